//! `cargo xtask deny`: licences, bans, duplicates and sources of everything that is compiled in, by deny.toml.

use anyhow::Result;

use crate::{sh, tools};

/// Checks the dependencies against deny.toml. Asks no network but crates.io, and only if cargo-deny is missing.
///
/// # Errors
/// If a dependency breaks a rule, or cargo-deny can neither be found nor installed.
pub fn run() -> Result<()> {
    let deny = tools::cargo_deny()?.join("cargo-deny");
    sh::run(sh::command(deny).args(["--locked", "check", "bans", "licenses", "sources"]))
}
