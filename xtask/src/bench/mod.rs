//! `cargo xtask bench`: famlens against its peers in one headless Chromium. The measuring itself is in tests/web/bench.

mod native;
mod size;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{browser, node, sh, web};

/// What is measured, and how often.
pub struct Bench {
    /// Rounds on the CPU; each runs every contender once, in turn.
    pub rounds: u32,
    /// Rounds on the software GPU.
    pub gpu_rounds: u32,
    /// Use dist/ as it is.
    pub no_build: bool,
    /// Fail if a floor is not met.
    pub check: bool,
    /// An ONNX file to measure instead of the model that ships.
    pub model: Option<PathBuf>,
    /// Against ONNX Runtime, outside a browser.
    pub native: bool,
    /// The Python that has ONNX Runtime.
    pub python: Option<PathBuf>,
    /// What the wasm consists of, instead of times.
    pub size: bool,
}

/// Builds (unless told not to), installs the peers and measures; figures go to the terminal and to target/bench.json,
/// for a model of the user's to target/bench-NAME.json.
///
/// # Errors
/// If something cannot be built, installed or run, or (with `check`) a floor is not met.
pub fn run(asked: &Bench) -> Result<()> {
    let Bench { rounds, gpu_rounds, no_build, check, ref model, native, ref python, size } = *asked;
    let model = model.as_deref().map(|file| file.canonicalize().with_context(|| format!("no file {}", file.display())));
    let model = model.transpose()?;
    if native {
        return native::run(model.as_deref(), rounds, python.as_deref());
    }
    if size {
        return size::run();
    }
    let dist = sh::root().join("dist");
    if !no_build {
        web::build(&dist)?;
    }
    let chromium = browser::ensure_chromium()?;
    let folder = sh::root().join("tests/web/bench");
    node::ensure_packages(&folder)?;
    let mut bench = node::node()?;
    bench.current_dir(&folder).env("CHROME", chromium).arg("bench.mjs");
    bench.args(["--rounds", &rounds.to_string(), "--gpu-rounds", &gpu_rounds.to_string()]);
    let report = model.as_deref().map_or("bench.json".to_owned(), |file| format!("bench-{}.json", name(file)));
    bench.arg("--out").arg(sh::root().join("target").join(report));
    bench.args(check.then_some("--check"));
    if let Some(file) = model {
        bench.arg("--model").arg(file);
    }
    sh::run(&mut bench)
}

/// The name of a model's report: that of its file, or of the folder where the file is called what every such file is.
fn name(file: &Path) -> String {
    let of = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let folder = || file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match of(file) {
        Some(stem) if stem != "model" => stem,
        stem => folder().or(stem).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_named_for_its_model() {
        assert_eq!(name(Path::new("/tmp/vit.b.16/model.onnx")), "vit.b.16");
        assert_eq!(name(Path::new("/tmp/models/resnet50.onnx")), "resnet50");
        assert_eq!(name(Path::new("model.onnx")), "model");
    }
}
