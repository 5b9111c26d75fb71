//! `cargo xtask fuzz`: looks for bytes that break the importer, the graph passes or the kernels (`tests/fuzz`).

use std::env;

use anyhow::{Context as _, Result, bail};

use crate::{sh, tools};

/// The targets, and where their first seeds lie.
const TARGETS: [(&str, &[&str]); 3] =
    [("importer", &["tests/onnx"]), ("kernels", &["tests/fuzz/found/passes"]), ("passes", &[])];

/// Runs the named targets, or all, each for so many minutes.
///
/// # Errors
/// If there is no such target, no nightly compiler, or something was found: its bytes are left in `tests/fuzz/found`,
/// where `cargo test --test fuzz` runs them from then on.
pub fn run(names: &[String], minutes: u32) -> Result<()> {
    if let Some(name) = names.iter().find(|n| !TARGETS.iter().any(|(target, _)| target == *n)) {
        bail!("no fuzz target is called {name:?}; there are {}", TARGETS.map(|(target, _)| target).join(", "));
    }
    let bin = tools::cargo_fuzz()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([bin].into_iter().chain(env::split_paths(&path))).context("PATH cannot be extended")?;
    for (target, seeds) in TARGETS.iter().filter(|(target, _)| names.is_empty() || names.iter().any(|n| n == target)) {
        let (corpus, found) = (format!("target/fuzz/corpus/{target}"), format!("tests/fuzz/found/{target}"));
        std::fs::create_dir_all(sh::root().join(&corpus))?;
        std::fs::create_dir_all(sh::root().join(&found))?;
        // The fuzzer's instrumentation needs nightly, whatever the repository is built with.
        let mut fuzz = sh::command("rustup");
        fuzz.env("PATH", &path).args(["run", "nightly", "cargo", "fuzz", "run", "--fuzz-dir", "tests/fuzz"]);
        // Under AddressSanitizer, whatever cargo-fuzz takes by default.
        fuzz.args(["--sanitizer", "address"]);
        fuzz.args(["--target-dir", "target/fuzz", target, &corpus, &found]).args(*seeds);
        fuzz.arg("--").arg(format!("-max_total_time={}", 60 * minutes)).arg(format!("-artifact_prefix={found}/"));
        // Memory without bound and answers that never come are findings too.
        fuzz.args([
            "-rss_limit_mb=3000",
            "-malloc_limit_mb=700",
            "-timeout=20",
            "-max_len=65536",
            "-print_final_stats=1",
        ]);
        sh::run(&mut fuzz)?;
    }
    Ok(())
}
