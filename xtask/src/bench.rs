//! `cargo xtask bench`: famlens against its peers in one headless Chromium. The measuring itself is in tests/web/bench.

use anyhow::Result;

use crate::{browser, node, sh, web};

/// Builds (unless told not to), installs the peers and measures; figures go to the terminal and target/bench.json.
///
/// # Errors
/// If something cannot be built, installed or run, or (with `check`) a floor is not met.
pub fn run(rounds: u32, gpu_rounds: u32, no_build: bool, check: bool) -> Result<()> {
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
    bench.arg("--out").arg(sh::root().join("target/bench.json"));
    bench.args(check.then_some("--check"));
    sh::run(&mut bench)
}
