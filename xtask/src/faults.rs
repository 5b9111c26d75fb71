//! `cargo xtask faults`: breaks things on purpose, many times over, and says how often each promise held.
//!
//! Each part is a suite that `cargo xtask test` runs as well, there with a few faults only. A part that fails does not stop
//! the others.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::sh;

struct Part {
    name: &'static str,
    title: &'static str,
    /// Makes the fault so many times; an error says which promise was broken.
    run: fn(count: u32) -> Result<()>,
}

const PARTS: &[Part] = &[Part {
    name: "kills",
    title: "SIGKILL of `famlens index` and `famlens evaluate` at random moments: nothing that was saved is lost",
    run: kills,
}];

/// Runs the named parts, or all.
///
/// # Errors
/// If a name is unknown or a promise was broken.
pub fn run(names: &[String], count: u32, list: bool) -> Result<()> {
    if list {
        PARTS.iter().for_each(|part| println!("{:10} {}", part.name, part.title));
        return Ok(());
    }
    if let Some(name) = names.iter().find(|name| PARTS.iter().all(|part| part.name != *name)) {
        bail!("there is no part {name:?}; `cargo xtask faults --list` names them");
    }
    let chosen = PARTS.iter().filter(|part| names.is_empty() || names.iter().any(|name| name == part.name));
    let mut results = Vec::new();
    for part in chosen {
        println!("\n==== {}: {} ====", part.name, part.title);
        let start = Instant::now();
        let outcome = (part.run)(count);
        results.push((part, outcome, start.elapsed().as_secs()));
    }
    println!("\n==== summary, each fault {count} times ====");
    for (part, outcome, seconds) in &results {
        let word = if outcome.is_ok() { "held" } else { "BROKEN" };
        println!("{:10} {seconds:>5} s  {word:7} {}", part.name, part.title);
        if let Err(error) = outcome {
            println!("{:20}{error:#}", "");
        }
    }
    match results.iter().filter(|(_, outcome, _)| outcome.is_err()).count() {
        0 => Ok(()),
        broken => bail!("{broken} of {} parts failed", results.len()),
    }
}

/// A suite of the repository's, with the number of its faults in the environment.
fn suite(name: &str, variable: &str, count: u32) -> Result<()> {
    let mut tests = sh::cargo();
    tests.env(variable, count.to_string()).args(["--config", "profile.dev.package.famlens.opt-level=2"]);
    sh::run(tests.args(["test", "--locked", "--package", "famlens", "--test", name, "--", "--nocapture"]))
}

fn kills(count: u32) -> Result<()> {
    suite("kills", "FAMLENS_KILLS", count)
}
