//! `cargo xtask package`: what is published, made and tried out as a stranger gets it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result, bail};

use crate::{browser, node, notices, sh, web};

type Part = (&'static str, fn(&Path) -> Result<()>);

/// What `--check` tries, in the order of what it costs.
const PARTS: &[Part] = &[("notices", |_| notices::run(true)), ("npm", npm), ("crate", packed_crate)];

/// crates.io takes no crate that is larger.
const MOST: u64 = 10_000_000;

/// Makes the npm packages and, with `check`, tries packed packages and crate out (`only` parts of that, if named).
///
/// # Errors
/// If something cannot be built, or does not work in an empty folder.
pub fn run(no_build: bool, check: bool, only: &[String]) -> Result<()> {
    if let Some(name) = only.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        let names = PARTS.iter().map(|(part, _)| *part).collect::<Vec<_>>();
        bail!("there is no part {name:?}: they are {}", names.join(", "));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    if !check || wanted("npm") {
        make(no_build)?;
    }
    if check { try_out(&wanted) } else { Ok(()) }
}

/// The npm packages of the page that is in dist/, made and tried out: a step of `cargo xtask test`.
///
/// # Errors
/// If they cannot be made or do not work in an empty folder.
pub fn try_npm() -> Result<()> {
    make(true)?;
    try_out(&|name| name == "npm")
}

/// Tries the wanted parts out in an empty folder.
fn try_out(wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let folder = env::temp_dir().join(format!("famlens-package-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let done = PARTS.iter().filter(|(name, _)| wanted(name)).try_for_each(|(name, part)| {
        println!("\n==== {name} ====");
        part(&folder).with_context(|| format!("package --check, {name}"))
    });
    fs::remove_dir_all(&folder)?;
    done
}

/// Makes dist/npm.
fn make(no_build: bool) -> Result<()> {
    if !no_build {
        web::build(&sh::root().join("dist"))?;
    }
    let folder = sh::root().join("npm");
    node::ensure_packages(&folder)?;
    sh::run(node::node()?.arg("npm/build.mjs"))?;
    println!("the npm packages are in dist/npm; `npm publish ./dist/npm/<name>` publishes one, models first");
    Ok(())
}

/// Bundlers, a CDN and Node on the packed npm packages.
fn npm(folder: &Path) -> Result<()> {
    let suite = sh::root().join("npm/check");
    node::ensure_packages(&suite)?;
    node::ensure_packages(&sh::root().join("tests/web"))?;
    let chromium = browser::ensure_chromium()?;
    let mut check = node::node()?;
    check.args(["--test", "--test-reporter=spec", "npm/check/packed.test.mjs"]);
    check.env("CHROME", chromium).env("FAMLENS_FOLDER", folder);
    sh::run(&mut check)
}

/// The packed crate fits, and installs from its unpacked archive with the model in it.
fn packed_crate(folder: &Path) -> Result<()> {
    let target = sh::target_dir();
    // Whether it builds is seen below, with the programs that it installs.
    sh::run(sh::cargo().args(["package", "--package", "famlens", "--allow-dirty", "--no-verify", "--locked"]))?;
    let packed = newest(&target.join("package"))?;
    let size = fs::metadata(&packed)?.len();
    println!("{} has {:.1} MB", packed.display(), size as f64 / 1e6);
    if size > MOST {
        bail!("the crate has {size} bytes, and crates.io takes {MOST}");
    }
    sh::run(sh::command("tar").arg("xzf").arg(&packed).arg("-C").arg(folder))?;
    let name = packed.file_stem().context("an archive without a name")?;
    let unpacked = folder.join(name);
    let mut install = sh::cargo();
    install.current_dir(folder).args(["install", "--quiet", "--locked", "--path"]).arg(&unpacked);
    install.arg("--root").arg(folder.join("installed")).arg("--target-dir").arg(target.join("package-check"));
    // That it installs is what counts here, and not how fast it then is.
    install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    sh::run(&mut install)?;
    let program = folder.join("installed/bin/famlens").with_extension(env::consts::EXE_EXTENSION);
    let photos = sh::root().join("www/examples");
    let mut explain = sh::command(&program);
    explain.current_dir(folder).arg("explain").arg("--query").arg(photos.join("kingfisher.jpg"));
    for (class, photo) in [("bird", "owl.jpg"), ("fish", "goldfish.jpg")] {
        explain.arg("--class").arg(format!("{class}={}", photos.join(photo).display()));
    }
    sh::run(explain.args(["--form", "discriminative", "--engine", "cpu", "--out", "explained"]))?;
    if !folder.join("explained").is_dir() {
        bail!("the installed famlens has explained nothing");
    }
    Ok(())
}

/// The newest packed crate in a folder.
fn newest(folder: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "crate") {
            found.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    found.into_iter().max().map(|(_, path)| path).context("cargo package has left no archive")
}
