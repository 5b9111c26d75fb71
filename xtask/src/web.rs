//! The web build: Trunk with every tool at hand, so that it downloads nothing itself.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{sh, tools};

/// Builds the page in release into `dist` (relative to the root of the repository, or absolute).
///
/// # Errors
/// If a tool cannot be had or the build fails.
pub fn build(dist: &Path) -> Result<()> {
    let tools = tools::ensure()?;
    let mut trunk = sh::command("trunk");
    trunk.env("PATH", &tools.path);
    // Trunk takes any value but `true` or `false` here for an error, and the convention is that any value counts.
    trunk.env_remove("NO_COLOR");
    trunk.args(["build", "--offline", "--skip-version-check", "--public-url", "./", "--cargo-profile", "wasm-release"]);
    trunk.arg("--dist").arg(sh::root().join(dist));
    // What Trunk calls release is only whether wasm-opt runs; the optimised cargo profile is used either way.
    trunk.arg(format!("--release={}", tools.wasm_opt));
    sh::run(&mut trunk)?;
    check(&sh::root().join(dist))
}

/// Checks that what the page cannot do without has been built.
fn check(dist: &Path) -> Result<()> {
    for file in ["index.html", "www/famlens.js", "models/efficientnet_lite0/model.onnx"] {
        if !dist.join(file).is_file() {
            bail!("the build has left no {file} in {}", dist.display());
        }
    }
    let wasm = files(dist)?.into_iter().filter(|file| file.extension().is_some_and(|ext| ext == "wasm"));
    match wasm.collect::<Vec<_>>().as_slice() {
        [wasm] => println!("{} is {} kB", wasm.display(), std::fs::metadata(wasm)?.len() / 1000),
        found => bail!("expected one wasm file in {}, found {}", dist.display(), found.len()),
    }
    Ok(())
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in dir.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}
