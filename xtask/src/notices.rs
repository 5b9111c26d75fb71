//! `cargo xtask notices`: THIRD-PARTY.txt, the licences of everything that is in the binary and in the wasm.
//!
//! Written from what the packages themselves say: `cargo metadata` names them, and their folders hold the texts. Equal
//! texts are printed once, with all packages that they belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::sh;

const FILE: &str = "THIRD-PARTY.txt";

/// Of the licences that a package offers, the first of these is taken.
const PREFERRED: &[&str] =
    &["MIT", "Apache-2.0", "BSD-3-Clause", "BSD-2-Clause", "ISC", "Zlib", "0BSD", "BSL-1.0", "Unicode-3.0"];

/// Writes the file, or with `check` says whether it is what would be written.
///
/// # Errors
/// If the packages cannot be listed, one of them has a licence that nobody has decided on, or the file is outdated.
pub fn run(check: bool) -> Result<()> {
    let text = make()?;
    let path = sh::root().join(FILE);
    if !check {
        fs::write(&path, text)?;
        println!("wrote {FILE}");
    } else if fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n") != text {
        bail!("{FILE} is not what the dependencies say: `cargo xtask notices` writes it again");
    }
    Ok(())
}

fn make() -> Result<String> {
    let metadata = sh::ask(sh::cargo().args(["metadata", "--format-version", "1", "--locked"]))
        .context("cargo metadata failed: are the packages there, and Cargo.lock up to date?")?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in shipped(&metadata)? {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let title = format!("{} {}", field("name"), field("version"));
        let folder = Path::new(field("manifest_path")).parent().context("a package without a folder")?;
        for part in field("license").split(" AND ") {
            let licence = chosen(part).with_context(|| {
                format!("{title} is licensed under {part:?}, which xtask/src/notices.rs does not know")
            })?;
            let text = text_of(folder, licence)?.unwrap_or_else(|| {
                let authors = package["authors"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let authors = authors.collect::<Vec<_>>().join(", ");
                let by = if authors.is_empty() { field("repository").to_owned() } else { authors };
                format!(
                    "Licence: {licence}, by {by}. The package holds no text of it; its terms are those of the other \
                     {licence} licences in this list.\n"
                )
            });
            groups.entry(text).or_default().insert(title.clone());
        }
    }
    let mut out = String::from(
        "famlens contains the work of others, under these licences. `cargo xtask notices` writes this list.\n",
    );
    let mut ordered = groups.iter().collect::<Vec<_>>();
    ordered.sort_by(|a, b| a.1.cmp(b.1));
    for (text, packages) in ordered {
        let names = packages.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        write!(out, "\n{}\n{names}\n\n{text}", "-".repeat(80))?;
    }
    Ok(out)
}

/// The packages that the library and the command line link, on every platform.
fn shipped(metadata: &Value) -> Result<Vec<&Value>> {
    let list = |value: &'_ Value| -> Vec<Value> { value.as_array().cloned().unwrap_or_default() };
    let nodes = list(&metadata["resolve"]["nodes"]);
    let by_id: BTreeMap<&str, &Value> = nodes.iter().filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let root = packages
        .iter()
        .find(|package| package["name"] == "famlens")
        .and_then(|package| package["id"].as_str())
        .context("cargo metadata does not list famlens")?;
    let mut seen = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for dep in by_id.get(id.as_str()).map(|node| list(&node["deps"])).unwrap_or_default() {
            // What only builds or tests is not in the result.
            if list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()) {
                open.extend(dep["pkg"].as_str().map(str::to_owned));
            }
        }
    }
    let shipped = packages.iter().filter(|package| {
        package["id"].as_str().is_some_and(|id| id != root && seen.contains(id)) && !package["source"].is_null()
    });
    Ok(shipped.collect())
}

/// The licence to go by, of an SPDX expression such as `MIT OR Apache-2.0`.
fn chosen(expression: &str) -> Option<&'static str> {
    let words: Vec<&str> = expression.split(|c: char| c.is_whitespace() || "()/".contains(c)).collect();
    PREFERRED.iter().copied().find(|name| words.contains(name))
}

/// The text of a licence in a package's folder: the file that is named after it, or the only kind of file there is.
fn text_of(folder: &Path, licence: &str) -> Result<Option<String>> {
    let mut files = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let of_licence = ["LICEN", "COPYING", "UNLICENSE"].iter().any(|start| name.starts_with(start));
        if of_licence && entry.file_type()?.is_file() {
            files.push((name, entry.path()));
        }
    }
    files.sort();
    let word = licence.split('-').next().unwrap_or(licence).to_uppercase();
    let named = files.iter().find(|(name, _)| name.contains(&word));
    let plain = files.iter().find(|(name, _)| ["LICENSE", "LICENSE.MD", "LICENSE.TXT", "LICENCE"].contains(&&**name));
    let Some((_, path)) = named.or(plain).or(files.first()) else { return Ok(None) };
    let text = String::from_utf8_lossy(&fs::read(path)?).replace("\r\n", "\n");
    let lines = text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    Ok(Some(format!("{}\n", lines.trim_matches('\n'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_licence_of_an_expression_is_taken() {
        assert_eq!(chosen("Apache-2.0 OR MIT"), Some("MIT"));
        assert_eq!(chosen("Apache-2.0 WITH LLVM-exception"), Some("Apache-2.0"));
        assert_eq!(chosen("MIT/Apache-2.0"), Some("MIT"));
        assert_eq!(chosen("(MIT OR Apache-2.0) AND Unicode-3.0"), Some("MIT"));
        assert_eq!(chosen("GPL-3.0"), None);
    }

    #[test]
    fn the_text_named_after_the_licence_is_found() -> Result<()> {
        let text = text_of(&sh::root(), "MIT")?.unwrap_or_default();
        assert!(text.contains("Permission is hereby granted"), "{text}");
        let text = text_of(&sh::root(), "Apache-2.0")?.unwrap_or_default();
        assert!(text.contains("Apache License"), "{text}");
        Ok(())
    }
}
