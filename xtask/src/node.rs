//! Node and npm: the browser tests, the benchmark and the type check run on them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::sh;

const OLDEST: u32 = 20;

/// A command that runs node.
///
/// # Errors
/// If there is no node, or an old one; the message says what to install.
pub fn node() -> Result<Command> {
    let ask = || sh::ask(sh::command("node").arg("--version"));
    if ask().is_none() && sh::can_apt() {
        println!("Node.js is missing");
        sh::apt_install(&["nodejs", "npm"])?;
    }
    let Some(version) = ask() else {
        bail!("Node.js is missing: install Node.js {OLDEST} or newer (https://nodejs.org), with npm");
    };
    let major = version.trim_start_matches('v').split('.').next().and_then(|text| text.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST) {
        bail!("Node.js {version} is too old: install Node.js {OLDEST} or newer");
    }
    Ok(sh::command("node"))
}

/// A command that runs npm.
///
/// # Errors
/// If there is none.
pub fn npm() -> Result<Command> {
    node()?;
    // On Windows npm is a script, which is only found by its full name.
    sh::which("npm").map(sh::command).context("npm is missing: it comes with Node.js")
}

/// Installs the packages of a folder's package-lock.json, if they are not there yet.
///
/// # Errors
/// If npm is missing or fails.
pub fn ensure_packages(folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json")).context("cannot read package-lock.json")?;
    // npm leaves no mark that the committed lock file is what is installed; this copy is ours.
    let mark = folder.join("node_modules/.installed-package-lock.json");
    if fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    sh::run(npm()?.current_dir(folder).args(["ci", "--no-audit", "--no-fund"]))?;
    fs::write(mark, lock).context("cannot write into node_modules")
}
