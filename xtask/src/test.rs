//! `cargo xtask test`: every check, one after the other, and a table of what passed at the end.
//!
//! A failed step does not stop the others. A step that cannot run on this machine is SKIPPED and says what to install;
//! on a CI machine (`CI` set) that counts as a failure, because there it would hide a hole.

use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{browser, node, package, sh, tools, web};

/// What became of a step.
enum Outcome {
    Passed,
    /// Passed, with a part of it not run, and why.
    PassedInPart(String),
    Skipped(String),
    Failed(String),
}

struct Step {
    name: &'static str,
    title: &'static str,
    run: fn() -> Result<Outcome>,
}

const WASM: [&str; 4] = ["--lib", "--no-default-features", "--target", "wasm32-unknown-unknown"];

const STEPS: &[Step] = &[
    Step { name: "fmt", title: "formatting", run: fmt },
    Step { name: "clippy", title: "lints, native", run: clippy },
    Step { name: "clippy-wasm", title: "lints, wasm32", run: clippy_wasm },
    Step { name: "doc", title: "documentation, native and wasm32", run: doc },
    Step { name: "unit", title: "unit and suite tests, native", run: unit },
    Step { name: "wasm-engines", title: "engine problems as wasm32, in node", run: wasm_engines },
    Step { name: "arm", title: "the CPU engine's kernels on 64-bit Arm (NEON), under qemu", run: arm },
    Step { name: "js", title: "format, lints and types of the page's scripts", run: js },
    Step { name: "build", title: "web build", run: build },
    Step { name: "web", title: "the page in a real browser", run: browser_tests },
    Step { name: "browsers", title: "the core of the page in Firefox", run: other_browsers },
    Step { name: "npm", title: "the packed npm packages in four bundlers, a CDN and Node", run: npm_packages },
];

/// Runs the named steps, or all of them.
///
/// # Errors
/// If a step has failed, or (with `CI` set) was skipped, or a name is unknown.
pub fn run(names: &[String], list: bool) -> Result<()> {
    if list {
        STEPS.iter().for_each(|step| println!("{:12} {}", step.name, step.title));
        return Ok(());
    }
    if let Some(name) = names.iter().find(|name| STEPS.iter().all(|step| step.name != *name)) {
        bail!("there is no step {name:?}; `cargo xtask test --list` names them");
    }
    let chosen = STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name));
    let mut results = Vec::new();
    for step in chosen {
        println!("\n==== {}: {} ====", step.name, step.title);
        let start = Instant::now();
        let outcome = (step.run)().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let time = start.elapsed();
        println!("---- {}: {} ({:.0?})", step.name, outcome.word(), Duration::from_secs(time.as_secs()));
        results.push((step, outcome, time));
    }
    summary(&results)
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::PassedInPart(_) => "passed IN PART",
            Self::Skipped(_) => "SKIPPED",
            Self::Failed(_) => "FAILED",
        }
    }
}

fn summary(results: &[(&Step, Outcome, Duration)]) -> Result<()> {
    println!("\n==== summary ====");
    for (step, outcome, time) in results {
        println!("{:12} {:>5} s  {:14} {}", step.name, time.as_secs(), outcome.word(), step.title);
        if let Outcome::PassedInPart(why) | Outcome::Skipped(why) | Outcome::Failed(why) = outcome {
            println!("{:22}{why}", "");
        }
    }
    let count = |test: fn(&Outcome) -> bool| results.iter().filter(|(_, outcome, _)| test(outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let in_part = count(|outcome| matches!(outcome, Outcome::PassedInPart(_)));
    println!("\nsteps: {} passed, {failed} failed, {skipped} skipped", results.len() - failed - skipped);
    if failed > 0 {
        bail!("{failed} of {} steps failed", results.len());
    }
    if skipped + in_part > 0 && env::var_os("CI").is_some() {
        bail!("on a CI machine every step must run in full");
    }
    Ok(())
}

fn fmt() -> Result<Outcome> {
    sh::run(sh::cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

/// Warnings are errors here. A newer compiler may know new ones: then either the code or this is behind the times.
fn clippy() -> Result<Outcome> {
    sh::run(sh::cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    Ok(Outcome::Passed)
}

fn clippy_wasm() -> Result<Outcome> {
    tools::wasm_target()?;
    let mut clippy = sh::cargo();
    web::relax(&mut clippy);
    sh::run(clippy.args(["clippy", "--locked"]).args(WASM).args(["--", "-D", "warnings"]))?;
    Ok(Outcome::Passed)
}

fn doc() -> Result<Outcome> {
    tools::wasm_target()?;
    let doc = || {
        let mut cargo = sh::cargo();
        cargo.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--locked", "--no-deps"]);
        cargo
    };
    sh::run(doc().args(["--package", "famlens"]))?;
    sh::run(doc().args(WASM))?;
    Ok(Outcome::Passed)
}

fn unit() -> Result<Outcome> {
    let no_vulkan = browser::ensure_vulkan();
    let mut tests = sh::cargo();
    if no_vulkan.is_none() {
        // With a driver there, a suite that finds no adapter is a failure and not one that was skipped.
        tests.env("FAMLENS_REQUIRE_GPU", "1");
    }
    // The suites run whole networks on every engine, which is slow without optimisation.
    tests.args(["--config", "profile.dev.package.famlens.opt-level=2"]);
    sh::run(tests.args(["test", "--locked", "--workspace", "--no-fail-fast"]))?;
    Ok(no_vulkan.map_or(Outcome::Passed, |why| Outcome::PassedInPart(format!("GPU suites skipped: {why}"))))
}

/// The CPU engine as the page has it: 32 bits, SIMD128, with and without relaxed SIMD.
fn wasm_engines() -> Result<Outcome> {
    if let Err(missing) = node::node() {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    tools::wasm_target()?;
    let mut build = sh::cargo();
    web::relax(&mut build);
    build.args(["build", "--locked", "--package", "famlens-engines-wasm", "--target", tools::WASM]);
    sh::run(build.args(["--config", "profile.dev.package.famlens.opt-level=2"]))?;
    let module = sh::target_dir().join(tools::WASM).join("debug/famlens_engines_wasm.wasm");
    let run = |module: &Path| sh::run(node::node()?.arg("tests/engines/wasm/run.mjs").arg(module));
    run(&module)?;
    let Some(wasm_opt) = tools::ensure()?.wasm_opt else {
        return Ok(Outcome::PassedInPart("the module without relaxed SIMD needs wasm-opt".into()));
    };
    let plain = module.with_extension("plain.wasm");
    web::without_relaxed_simd(&wasm_opt, &module, &plain)?;
    run(&plain)?;
    Ok(Outcome::Passed)
}

/// The kernels' own tests as a program for Arm; on an Arm machine the step `unit` runs them.
fn arm() -> Result<Outcome> {
    const TARGET: &str = "aarch64-unknown-linux-gnu";
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(Outcome::Skipped("it needs Linux on x86-64".into()));
    }
    if sh::which("qemu-aarch64").is_none() || sh::which("aarch64-linux-gnu-gcc").is_none() {
        let packages = ["qemu-user", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];
        if !sh::can_apt() {
            return Ok(Outcome::Skipped(format!("it needs {}", packages.join(", "))));
        }
        sh::apt_install(&packages)?;
    }
    sh::run(sh::command("rustup").args(["target", "add", TARGET]))?;
    let mut test = sh::cargo();
    test.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    test.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", "qemu-aarch64 -L /usr/aarch64-linux-gnu");
    sh::run(test.args(["test", "--locked", "--lib", "--no-default-features", "--target", TARGET, "engine::cpu"]))?;
    Ok(Outcome::Passed)
}

fn js() -> Result<Outcome> {
    if let Err(missing) = node::node() {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    node::ensure_packages(&suite())?;
    for script in ["format", "lint", "types"] {
        sh::run(node::npm()?.current_dir(suite()).args(["run", "--silent", script]))?;
    }
    Ok(Outcome::Passed)
}

fn build() -> Result<Outcome> {
    web::build(&sh::root().join("dist"))?;
    Ok(Outcome::Passed)
}

fn browser_tests() -> Result<Outcome> {
    if let Err(missing) = node::node() {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    let chromium = match browser::ensure_chromium() {
        Ok(path) => path,
        Err(missing) => return Ok(Outcome::Skipped(missing.to_string())),
    };
    if !sh::root().join("dist/index.html").is_file() {
        bail!("dist/ is not there: run the step `build` first");
    }
    node::ensure_packages(&suite())?;
    sh::run(node::npm()?.current_dir(suite()).env("CHROME", chromium).args(["run", "--silent", "test"]))?;
    Ok(Outcome::Passed)
}

/// Another browser engine, against Chromium's answers.
fn other_browsers() -> Result<Outcome> {
    if let Err(missing) = node::node() {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    let chromium = match browser::ensure_chromium() {
        Ok(path) => path,
        Err(missing) => return Ok(Outcome::Skipped(missing.to_string())),
    };
    let firefox = match browser::ensure_firefox() {
        Ok(found) => found,
        Err(missing) => return Ok(Outcome::Skipped(format!("{missing:#}"))),
    };
    node::ensure_packages(&suite())?;
    let mut tests = node::node()?;
    tests.current_dir(suite()).args(["--test", "--test-timeout=1200000", "browsers/core.test.mjs"]);
    sh::run(tests.env("CHROME", chromium).envs(firefox))?;
    Ok(Outcome::Passed)
}

fn npm_packages() -> Result<Outcome> {
    if let Err(missing) = node::node() {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    if let Err(missing) = browser::ensure_chromium() {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    if !sh::root().join("dist/index.html").is_file() {
        bail!("dist/ is not there: run the step `build` first");
    }
    package::try_npm()?;
    Ok(Outcome::Passed)
}

/// The folder of the browser tests.
fn suite() -> PathBuf {
    sh::root().join("tests/web")
}
