//! The programs of the web build: used from PATH where their version is right, else installed for famlens alone.
//!
//! They go into `famlens-tools` in cargo's home, one folder a version: nothing that the user installed is replaced,
//! `cargo clean` keeps them and all clones share them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{node, sh};

const WASM: &str = "wasm32-unknown-unknown";
const TRUNK: &str = "0.21.14";
const CARGO_FUZZ: &str = "0.13.2";
const BINARYEN: &str = "132.0.0";
/// Version 108, which Debian 12 has, exports the function table where wasm-bindgen's table of references should be.
const OLDEST_BINARYEN: u32 = 120;

/// What the web build runs with.
pub struct Tools {
    /// PATH with the tools in front.
    pub path: OsString,
    /// Whether wasm-opt is there; the build goes on without it and is some tens of kilobytes larger.
    pub wasm_opt: bool,
}

/// Finds or installs the wasm target, Trunk, wasm-bindgen and, if it can be had, wasm-opt.
///
/// # Errors
/// If one of the first three can neither be found nor installed.
pub fn ensure() -> Result<Tools> {
    wasm_target()?;
    let bindgen = locked_version("wasm-bindgen")?;
    let mut dirs = vec![
        cargo_tool("trunk", "trunk", TRUNK, &["--locked", "--no-default-features"])?,
        // Without --locked: the lock file of some releases asks for crates that no longer build.
        cargo_tool("wasm-bindgen-cli", "wasm-bindgen", &bindgen, &["--bin", "wasm-bindgen"])?,
    ];
    let wasm_opt = wasm_opt();
    dirs.extend(wasm_opt.clone());
    let old = env::var_os("PATH").unwrap_or_default();
    dirs.extend(env::split_paths(&old));
    let path = env::join_paths(dirs).context("PATH holds a folder whose name cannot be in PATH")?;
    Ok(Tools { path, wasm_opt: wasm_opt.is_some() })
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

/// The folder that holds `program` in exactly this version.
fn cargo_tool(package: &str, program: &str, version: &str, args: &[&str]) -> Result<PathBuf> {
    let is_right = |path: &Path| {
        let said = sh::ask(sh::command(path).arg("--version")).unwrap_or_default();
        said.split_whitespace().nth(1) == Some(version)
    };
    if let Some(path) = sh::which(program).filter(|path| is_right(path)) {
        return Ok(path.parent().map(Path::to_path_buf).unwrap_or_default());
    }
    let home = self::home()?.join(format!("{program}-{version}"));
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

/// The folder that holds a wasm-opt, from PATH or from npm.
fn wasm_opt() -> Option<PathBuf> {
    if let Some(path) = sh::which("wasm-opt") {
        let said = sh::ask(sh::command(&path).arg("--version")).unwrap_or_default();
        let version = said.split_whitespace().find_map(|word| word.parse::<u32>().ok()).unwrap_or(0);
        if version >= OLDEST_BINARYEN {
            return Some(path.parent().map(Path::to_path_buf).unwrap_or_default());
        }
        println!("wasm-opt {version} on PATH is too old: it writes wasm that does not run");
    }
    let from_npm = || -> Result<PathBuf> {
        let home = self::home()?.join(format!("binaryen-{BINARYEN}"));
        let bin = home.join("node_modules/.bin");
        if !bin.join("wasm-opt").is_file() {
            println!("installing wasm-opt {BINARYEN} into {}", home.display());
            std::fs::create_dir_all(&home)?;
            let mut install = node::npm()?;
            install.args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"]).arg(&home);
            sh::run(install.arg(format!("binaryen@{BINARYEN}")))?;
        }
        Ok(bin)
    };
    match from_npm() {
        Ok(dir) => Some(dir),
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

/// The version of a package in Cargo.lock.
fn locked_version(package: &str) -> Result<String> {
    let lock = std::fs::read_to_string(sh::root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    let version = version.and_then(|line| line.strip_suffix('"'));
    version.map(str::to_owned).with_context(|| format!("Cargo.lock names no {package}"))
}
