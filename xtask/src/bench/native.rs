//! `cargo xtask bench --native`: the CPU engine against ONNX Runtime, outside a browser.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{sh, tools};

/// What the other side needs.
const PACKAGES: [&str; 3] = ["onnxruntime==1.23.2", "onnx==1.19.1", "numpy"];

/// Measures a model, the shipped one if none is named; `python` is one that has onnxruntime and onnx.
///
/// # Errors
/// If there is no Python, ONNX Runtime cannot be installed, or a side fails.
pub fn run(model: Option<&Path>, rounds: u32, python: Option<&Path>) -> Result<()> {
    let python = python.map_or_else(install, |python| Ok(python.to_path_buf()))?;
    let mut bench = sh::cargo();
    bench.args(["run", "--release", "--quiet", "--no-default-features", "--example", "bench_native", "--"]);
    bench.arg(python).arg(rounds.to_string()).args(model);
    sh::run(&mut bench)
}

/// A Python with ONNX Runtime, in an environment of its own beside the other tools.
fn install() -> Result<PathBuf> {
    let home = tools::home()?.join(PACKAGES[0].replace("==", "-"));
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let works = || sh::ask(sh::command(&python).args(["-c", "import onnxruntime, onnx"])).is_some();
    if works() {
        return Ok(python);
    }
    let found = ["python3", "python"].iter().find_map(|name| sh::which(name));
    let Some(any) = found else { bail!("there is no python3: install Python 3.10 or newer, or name one by --python") };
    println!("installing {} into {}", PACKAGES[0], home.display());
    sh::run(sh::command(any).args(["-m", "venv"]).arg(&home)).context("Python's venv is missing (python3-venv)")?;
    sh::run(sh::command(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    Ok(python)
}
