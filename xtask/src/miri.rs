//! `cargo xtask miri`: the kernels' own tests under Miri.
//!
//! Miri knows no AVX, so that it sees the portable kernels; the checks before a kernel runs are the same for all.

use anyhow::Result;

use crate::{sh, tools};

/// Rust's names of what is interpreted: this machine is 64 bits wide, browsers are 32.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "i686-unknown-linux-gnu"];

/// Runs the tests of the CPU engine's kernels and walks.
///
/// # Errors
/// If Miri cannot be had, or finds something.
pub fn run() -> Result<()> {
    tools::miri()?;
    for target in TARGETS {
        let mut miri = sh::command("rustup");
        miri.args([
            "run",
            "nightly",
            "cargo",
            "miri",
            "test",
            "--package",
            "famlens",
            "--lib",
            "--no-default-features",
        ]);
        miri.args(["--target", target, "--target-dir", "target/miri", "engine::cpu"]);
        sh::run(&mut miri)?;
    }
    Ok(())
}
