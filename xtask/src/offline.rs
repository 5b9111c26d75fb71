//! The service worker of the built page: `www/offline/worker.js` with the list of the files that it keeps.

use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::sh;
use crate::web::files;

/// What is not kept before somebody asks for it: the model that is downloaded when it is chosen, what only developers
/// load, and where there is a bundle the modules and styles that are in it. `page` is index.html, and what it names is
/// kept.
fn wanted(file: &str, bundled: bool, page: &str) -> bool {
    let has = |endings: &[&str]| endings.iter().any(|ending| file.ends_with(ending));
    let in_bundle = bundled && has(&[".js", ".css"]) && file.starts_with("www/") && !file.starts_with("www/bundle/");
    !file.starts_with("models/efficientnet_lite2/")
        && !has(&[".map", ".d.ts", "tsconfig.json", "tsconfig.types.json"])
        && file != "sw.js"
        && (!in_bundle || page.contains(&format!("\"{file}\"")))
}

/// Writes `sw.js` beside index.html. To be called when all else is in `dist`: the version is a hash of all files.
///
/// # Errors
/// If files cannot be read or written.
pub fn write(dist: &Path) -> Result<()> {
    let mut names: Vec<String> = files(dist)?
        .iter()
        .map(|file| Ok(file.strip_prefix(dist)?.to_string_lossy().replace('\\', "/")))
        .collect::<Result<_>>()?;
    let bundled = names.iter().any(|name| name == "www/bundle/page.js");
    let page = fs::read_to_string(dist.join("index.html")).context("cannot read the page")?;
    names.retain(|name| wanted(name, bundled, &page));
    names.sort();
    let program = fs::read_to_string(sh::root().join("www/offline/worker.js")).context("cannot read the worker")?;
    let mut hasher = DefaultHasher::new();
    hasher.write(program.as_bytes());
    for name in &names {
        hasher.write(name.as_bytes());
        hasher.write(&fs::read(dist.join(name))?);
    }
    let list: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let page = format!("{{ version: \"{:016x}\", files: [{}] }}", hasher.finish(), list.join(", "));
    Ok(fs::write(dist.join("sw.js"), format!("const PAGE = {page};\n\n{program}"))?)
}
