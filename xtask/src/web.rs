//! The web build: what Trunk would do with index.html, done here with two crates instead of a tool that takes minutes
//! to compile. `trunk build` reads the same lines and keeps working where Trunk is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::{node, offline, sh, tools};

/// Builds the page in release into `dist` (relative to the root of the repository, or absolute).
///
/// The new page is built beside the old one and takes its place when it is complete.
///
/// # Errors
/// If a tool cannot be had, index.html asks for something that this build does not know, or the build fails.
pub fn build(dist: &Path) -> Result<()> {
    let dist = &sh::root().join(dist);
    let html = fs::read_to_string(sh::root().join("index.html")).context("cannot read index.html")?;
    let (page, links) = directives(&html)?;
    let stage = dist.with_extension("building");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    fs::create_dir_all(&stage)?;
    fs::write(stage.join("index.html"), page)?;
    for link in &links {
        let target = stage.join(link.need("data-target-path")?);
        match link.need("rel")? {
            "rust" => wasm(link, &target)?,
            "copy-dir" => copy(&sh::root().join(link.need("href")?), &target)?,
            other => bail!("index.html: this build does not know data-trunk rel={other:?}"),
        }
    }
    check(&stage)?;
    bundle(&stage)?;
    offline::write(&stage)?;
    if dist.exists() {
        fs::remove_dir_all(dist)?;
    }
    fs::rename(&stage, dist).with_context(|| format!("cannot put the built page in {}", dist.display()))
}

/// A `<link data-trunk ...>` of index.html: its attributes in order.
struct Link(Vec<(String, String)>);

impl Link {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn need(&self, name: &str) -> Result<&str> {
        self.get(name).with_context(|| format!("index.html: a data-trunk link without {name}"))
    }
}

/// The page without its lines for Trunk, and what those lines ask for. Each link stands on a line of its own.
fn directives(html: &str) -> Result<(String, Vec<Link>)> {
    let mut page = String::new();
    let mut links = Vec::new();
    for line in html.lines() {
        match line.trim().strip_prefix("<link data-trunk ").map(|rest| rest.strip_suffix('>')) {
            Some(Some(attributes)) => links.push(Link(attributes.split_whitespace().map(attribute).collect())),
            Some(None) => bail!("index.html: a data-trunk link must stand on one line: {line}"),
            None => page.extend([line, "\n"]),
        }
    }
    Ok((page, links))
}

fn attribute(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.trim_matches('"').to_owned())
}

/// Compiles the library for wasm32, makes its JavaScript bindings in `target` and optimises it if wasm-opt can be had.
///
/// There are two files afterwards: `NAME_bg.wasm` uses relaxed SIMD, `NAME_plain_bg.wasm` runs in every browser that has
/// SIMD. Without wasm-opt, which makes the second from the first, both are what a build without relaxed SIMD gives.
fn wasm(link: &Link, target: &Path) -> Result<()> {
    let tools = tools::ensure()?;
    let name = link.need("data-target-name")?;
    let mut cargo = sh::cargo();
    cargo.args(["build", "--locked", "--lib", "--target", tools::WASM, "--profile", "wasm-release"]);
    if link.get("data-cargo-no-default-features").is_some() {
        cargo.arg("--no-default-features");
    }
    if tools.wasm_opt.is_some() {
        relax(&mut cargo);
    }
    sh::run(&mut cargo)?;
    let built = sh::target_dir().join(tools::WASM).join("wasm-release").join(format!("{name}.wasm"));
    Bindgen::new().input_path(&built).web(true)?.typescript(false).generate(target)?;
    let bound = target.join(format!("{name}_bg.wasm"));
    let plain = target.join(format!("{name}_plain_bg.wasm"));
    let (Some(wasm_opt), Some(level)) = (&tools.wasm_opt, link.get("data-wasm-opt")) else {
        fs::copy(bound, plain)?;
        return Ok(());
    };
    let small = target.join(format!("{name}_bg.opt.wasm"));
    sh::run(sh::command(wasm_opt).arg(format!("-O{level}")).arg(&bound).arg("--output").arg(&small))?;
    fs::rename(small, &bound)?;
    without_relaxed_simd(wasm_opt, &bound, &plain)
}

/// Has cargo build for wasm32 with relaxed SIMD, in place of the flags in `.cargo/config.toml`.
pub fn relax(cargo: &mut Command) {
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-C target-feature=+simd128,+relaxed-simd");
}

/// What both files of the wasm may use, as wasm-as has to be told.
const FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// Writes a module without relaxed SIMD, so that every browser loads it.
///
/// The multiply-adds that the engine asks for become traps, and the engine does not come there. The compiler takes
/// relaxed minima and maxima on its own, anywhere; those become the plain ones, which give one of the results that the
/// relaxed ones may give.
///
/// # Errors
/// If one of binaryen's programs, which lie together, is missing or fails.
pub fn without_relaxed_simd(wasm_opt: &Path, from: &Path, to: &Path) -> Result<()> {
    let tool = |name: &str| {
        let file = wasm_opt.file_name().unwrap_or_default().to_string_lossy().replace("wasm-opt", name);
        let mut command = sh::command(wasm_opt.with_file_name(file));
        command.args(FEATURES).arg("--enable-relaxed-simd");
        command
    };
    let text = to.with_extension("wat");
    sh::run(tool("wasm-dis").arg(from).arg("--output").arg(&text))?;
    let mut plain = fs::read_to_string(&text)?;
    for (relaxed, exact) in [("relaxed_min", "min"), ("relaxed_max", "max")] {
        for shape in ["f32x4", "f64x2"] {
            plain = plain.replace(&format!("{shape}.{relaxed}"), &format!("{shape}.{exact}"));
        }
    }
    fs::write(&text, plain)?;
    sh::run(tool("wasm-as").arg(&text).arg("--output").arg(to))?;
    fs::remove_file(text)?;
    sh::run(tool("wasm-opt").arg("--remove-relaxed-simd").arg(to).arg("--output").arg(to))
}

/// Copies a folder and all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in from.read_dir().with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Bundles the page's scripts and styles where Node.js is there; without it the page runs from its modules, as Trunk
/// leaves it.
fn bundle(stage: &Path) -> Result<()> {
    let folder = sh::root().join("npm");
    if let Err(error) = node::node().and_then(|_| node::ensure_packages(&folder)) {
        println!("the scripts stay as they are, in many files that load one after the other: {error:#}");
        return Ok(());
    }
    sh::run(node::node()?.arg("npm/page.mjs").arg("--dist").arg(stage))
}

/// Checks that what the page cannot do without has been built.
fn check(dist: &Path) -> Result<()> {
    for file in ["index.html", "www/famlens.js", "models/efficientnet_lite0/model.onnx"] {
        if !dist.join(file).is_file() {
            bail!("the build has left no {file} in {}", dist.display());
        }
    }
    let wasm = files(dist)?.into_iter().filter(|file| file.extension().is_some_and(|ext| ext == "wasm"));
    match wasm.collect::<Vec<_>>().as_slice() {
        [wasm, _] => println!("the wasm is {} kB", fs::metadata(wasm)?.len() / 1000),
        found => bail!("expected two wasm files in {}, found {}", dist.display(), found.len()),
    }
    Ok(())
}

/// All files in a folder and below it.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in dir.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_for_trunk_leave_the_page() -> Result<()> {
        let html = "<head>\n  <link data-trunk rel=\"copy-dir\" href=\"www\" data-target-path=\"www\">\n</head>\n";
        let (page, links) = directives(html)?;
        assert_eq!(page, "<head>\n</head>\n");
        assert_eq!(links.len(), 1);
        assert_eq!(links[0].need("rel")?, "copy-dir");
        assert_eq!(links[0].get("data-wasm-opt"), None);
        assert!(directives("<link data-trunk rel=\"rust\"\n").is_err());
        Ok(())
    }

    #[test]
    fn every_line_of_the_real_page_is_known() -> Result<()> {
        let html = fs::read_to_string(sh::root().join("index.html"))?;
        let (page, links) = directives(&html)?;
        assert!(!page.contains("data-trunk"), "a link that this build does not see");
        for link in links {
            assert!(["rust", "copy-dir"].contains(&link.need("rel")?), "{:?}", link.0);
            link.need("data-target-path")?;
        }
        Ok(())
    }
}
