//! `cargo xtask faults`: breaks things on purpose, many times over, and says how often each promise held.
//!
//! Each part is a suite that `cargo xtask test` runs as well, there with a few faults only. A part that fails does not
//! stop the others.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::{browser, node, sh};

struct Part {
    name: &'static str,
    title: &'static str,
    /// Makes the fault so many times; an error says which promise was broken.
    run: fn(count: u32) -> Result<()>,
}

const PARTS: &[Part] = &[
    Part {
        name: "kills",
        title: "SIGKILL of `famlens index` and `famlens evaluate` at random moments: nothing that was saved is lost",
        run: kills,
    },
    Part {
        name: "workers",
        title: "the page's worker dies at random moments, twice as often: it is told, and the next one goes on",
        run: |count| page("deaths", &[("workers", 2 * count), ("gpus", 0)]),
    },
    Part {
        name: "gpus",
        title: "the page's GPU is lost at random moments, twice as often: every answer is right",
        run: |count| page("deaths", &[("workers", 0), ("gpus", 2 * count)]),
    },
    Part {
        name: "network",
        title: "every fault of a network on every file of the page, once: told in words and in time",
        run: |_| page("network", &[]),
    },
    Part {
        name: "storage",
        title: "every fault of the browser's storage, once: it costs what is kept and nothing else",
        run: |_| page("storage", &[]),
    },
    Part {
        name: "hostile",
        title: "every hostile model and side file on the page, once: an answer or a message, in bounded memory",
        run: |_| hostile(),
    },
    Part {
        name: "soak-cpu",
        title: "20 times as many explanations of changing photos on the CPU: memory stays flat",
        run: |count| soak("cpu", 20 * count, 0),
    },
    Part { name: "soak-gpu", title: "the same on WebGPU", run: |count| soak("webgpu", 20 * count, 0) },
    Part {
        name: "soak-page",
        title: "twice as many changes of the page's query: memory stays flat",
        run: |count| soak("cpu", 0, 2 * count),
    },
];

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

/// Writes the hostile files and brings them to the page.
fn hostile() -> Result<()> {
    let folder = sh::target_dir().join("hostile");
    let mut tests = sh::cargo();
    tests.env("FAMLENS_HOSTILE", &folder).args(["--config", "profile.dev.package.famlens.opt-level=2"]);
    tests.args(["test", "--locked", "--package", "famlens", "--test", "hostile", "--", "--ignored", "written"]);
    sh::run(&mut tests)?;
    sh::run(browser_part("hostile")?.arg("--folder").arg(&folder))
}

/// A part in the browser, `tests/web/faults/<name>.mjs`, with its numbers.
fn page(name: &str, numbers: &[(&str, u32)]) -> Result<()> {
    let mut node = browser_part(name)?;
    for (option, value) in numbers {
        node.arg(format!("--{option}")).arg(value.to_string());
    }
    sh::run(&mut node)
}

fn soak(engine: &str, explanations: u32, queries: u32) -> Result<()> {
    let mut node = browser_part("soak")?;
    node.args(["--engine", engine, "--explanations", &explanations.to_string(), "--queries", &queries.to_string()]);
    sh::run(&mut node)
}

fn browser_part(name: &str) -> Result<Command> {
    let suites = sh::root().join("tests/web");
    if !sh::root().join("dist/index.html").is_file() {
        bail!("dist/ is not there: run `cargo xtask build` first");
    }
    node::ensure_packages(&suites)?;
    let mut node = node::node()?;
    node.current_dir(&suites).env("CHROME", browser::ensure_chromium()?).arg(format!("faults/{name}.mjs"));
    Ok(node)
}
