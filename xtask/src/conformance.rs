//! ONNX's own test cases of its operators: fetched once, checked, and run by `tests/conformance`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::{browser, sh, tools};

/// The source package on PyPI, which is the same for every platform. Newer ones than 1.22 hold only the programs that
/// write the cases of single operators, and no longer the cases.
const VERSION: &str = "1.22.0";
const URL: &str = "https://files.pythonhosted.org/packages/04/19/8ea73a64b368b75fe339771a20a02bc61ea1f551484c9e3d9d0bfbd0450f/\
                   onnx-1.22.0.tar.gz";
const SHA256: &str = "ef40c0aaf0b643857ea9306fc7eddce17eaf9fb0407e4801f1fc5758443a38e0";

/// Runs the cases whose name contains the word, or all; renews the table and the compact archive if `write`.
///
/// # Errors
/// If the package cannot be fetched, or the cases differ from the table.
pub fn run(word: Option<&str>, write: bool) -> Result<()> {
    let package = package()?;
    let mut tests = sh::cargo();
    match browser::ensure_vulkan() {
        // With a driver there, a suite that finds no adapter is a failure and not one that was skipped.
        None => _ = tests.env("FAMLENS_REQUIRE_GPU", "1"),
        Some(why) => println!("the GPU engine will be skipped: {why}"),
    }
    // Whole networks on every engine are slow without optimisation.
    tests.env("FAMLENS_ONNX_CASES", package).args(["--config", "profile.dev.package.famlens.opt-level=2"]);
    tests.args(["test", "--locked", "--package", "famlens", "--test", "conformance", "--"]).args(word);
    if write {
        tests.arg("--write");
    }
    sh::run(&mut tests)
}

/// The package, fetched if it is not there yet.
fn package() -> Result<PathBuf> {
    let home = tools::home()?;
    let path = home.join(format!("onnx-{VERSION}.tar.gz"));
    if !path.is_file() {
        println!("fetching ONNX's test cases (12 MB, once) into {}", home.display());
        std::fs::create_dir_all(&home)?;
        let part = path.with_extension("part");
        let mut fetch = sh::command("curl");
        fetch.args(["--fail", "--location", "--silent", "--show-error", "--retry", "3", "--output"]).arg(&part);
        let advice = || format!("fetch {URL} yourself and put it at {}", path.display());
        sh::run(fetch.arg(URL)).with_context(advice)?;
        check(&part)?;
        std::fs::rename(&part, &path)?;
    }
    check(&path)?;
    Ok(path)
}

/// Holds a file against the pinned checksum.
fn check(path: &std::path::Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let found: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    if found != SHA256 {
        bail!("{} has the SHA-256 {found}, and should have {SHA256}; delete it and try again", path.display());
    }
    Ok(())
}
