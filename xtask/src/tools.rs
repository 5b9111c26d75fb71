//! The programs of the web build and of fuzzing: used from PATH where their version is right, else installed for
//! famlens alone.
//!
//! They go into `famlens-tools` in cargo's home, one folder a version: nothing that the user installed is replaced,
//! `cargo clean` keeps them and all clones share them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{node, sh};

/// Rust's name of the target that browsers run.
pub const WASM: &str = "wasm32-unknown-unknown";
const CARGO_FUZZ: &str = "0.13.2";
const CARGO_DENY: &str = "0.20.2";
const GECKODRIVER: &str = "0.37.1";
const BINARYEN: &str = "132.0.0";
/// Version 108, which Debian 12 has, exports the function table where wasm-bindgen's table of references should be.
const OLDEST_BINARYEN: u32 = 120;

/// What the web build runs with.
pub struct Tools {
    /// The wasm-opt to call; the build goes on without it and is some tens of kilobytes larger.
    pub wasm_opt: Option<PathBuf>,
}

/// Finds or installs the wasm target and, if it can be had, wasm-opt.
///
/// # Errors
/// If the wasm target can neither be found nor installed.
pub fn ensure() -> Result<Tools> {
    wasm_target()?;
    Ok(Tools { wasm_opt: wasm_opt() })
}

/// Makes sure that Rust's standard library for wasm32 is there.
///
/// # Errors
/// If it is not and rustup cannot add it.
pub fn wasm_target() -> Result<()> {
    let libdir = || sh::ask(sh::command("rustc").args(["--print", "target-libdir", "--target", WASM]));
    if libdir().is_some_and(|dir| Path::new(&dir).is_dir()) {
        return Ok(());
    }
    if sh::which("rustup").is_none() {
        bail!("Rust's target {WASM} is missing, and so is rustup: install Rust from https://rustup.rs");
    }
    sh::run(sh::command("rustup").args(["target", "add", WASM]))
}

/// Finds or installs cargo-fuzz and the nightly compiler that it needs; the folder of the first.
///
/// # Errors
/// If one of them can neither be found nor installed.
pub fn cargo_fuzz() -> Result<PathBuf> {
    if sh::ask(sh::command("rustup").args(["run", "nightly", "rustc", "--version"])).is_none() {
        sh::run(sh::command("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))?;
    }
    cargo_tool("cargo-fuzz", "cargo-fuzz", CARGO_FUZZ, &["--locked"])
}

/// Finds or installs cargo-deny; the folder that holds it.
///
/// # Errors
/// If it can neither be found nor installed.
pub fn cargo_deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", "cargo-deny", CARGO_DENY, &["--locked"])
}

/// Finds or installs Firefox's driver: any version on PATH will do.
///
/// # Errors
/// If it can neither be found nor installed.
pub fn geckodriver() -> Result<PathBuf> {
    if let Some(path) = sh::which("geckodriver") {
        return Ok(path);
    }
    let folder = cargo_tool("geckodriver", "geckodriver", GECKODRIVER, &["--locked"])?;
    Ok(folder.join("geckodriver").with_extension(env::consts::EXE_EXTENSION))
}

/// Makes sure that the nightly compiler and its Miri are there.
///
/// # Errors
/// If they are not and rustup cannot add them.
pub fn miri() -> Result<()> {
    if sh::ask(sh::command("rustup").args(["run", "nightly", "cargo", "miri", "--version"])).is_some() {
        return Ok(());
    }
    let mut install = sh::command("rustup");
    install.args(["toolchain", "install", "nightly", "--profile", "minimal", "--component", "miri,rust-src"]);
    sh::run(&mut install)
}

/// The folder that holds `program` in exactly this version.
fn cargo_tool(package: &str, program: &str, version: &str, args: &[&str]) -> Result<PathBuf> {
    let is_right = |path: &Path| {
        let said = sh::ask(sh::command(path).arg("--version")).unwrap_or_default();
        said.split_whitespace().nth(1) == Some(version)
    };
    if let Some(path) = sh::which(program).filter(|path| is_right(path)) {
        return Ok(path.parent().map(Path::to_path_buf).unwrap_or_default());
    }
    let home = home()?.join(format!("{program}-{version}"));
    let bin = home.join("bin");
    if is_right(&bin.join(program).with_extension(env::consts::EXE_EXTENSION)) {
        return Ok(bin);
    }
    println!("installing {program} {version} into {} (a few minutes, once)", home.display());
    let mut install = sh::cargo();
    // Built once, run for seconds: time to build matters more than speed.
    install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
    install.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16").env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    install.args(["install", "--quiet", package, "--version", version, "--root"]).arg(&home).args(args);
    sh::run(&mut install)?;
    Ok(bin)
}

/// The wasm-opt to call, from PATH or from npm.
fn wasm_opt() -> Option<PathBuf> {
    if let Some(path) = sh::which("wasm-opt") {
        let said = sh::ask(sh::command(&path).arg("--version")).unwrap_or_default();
        let version = said.split_whitespace().find_map(|word| word.parse::<u32>().ok()).unwrap_or(0);
        if version >= OLDEST_BINARYEN {
            return Some(path);
        }
        println!("wasm-opt {version} on PATH is too old: it writes wasm that does not run");
    }
    let from_npm = || -> Result<PathBuf> {
        let home = home()?.join(format!("binaryen-{BINARYEN}"));
        let bin = home.join("node_modules/.bin");
        if !bin.join("wasm-opt").is_file() {
            println!("installing wasm-opt {BINARYEN} into {}", home.display());
            std::fs::create_dir_all(&home)?;
            let mut install = node::npm()?;
            install.args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"]).arg(&home);
            sh::run(install.arg(format!("binaryen@{BINARYEN}")))?;
        }
        Ok(bin.join(if cfg!(windows) { "wasm-opt.cmd" } else { "wasm-opt" }))
    };
    match from_npm() {
        Ok(path) => Some(path),
        Err(error) => {
            println!("wasm-opt cannot be had ({error:#}); going on without it, the wasm will be larger");
            None
        }
    }
}

/// The folder of what xtask installs.
///
/// # Errors
/// If neither CARGO_HOME nor a home folder is set.
pub fn home() -> Result<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    Ok(home.context("neither CARGO_HOME nor a home folder is set")?.join("famlens-tools"))
}
