//! `cargo xtask bench --size`: what the wasm consists of, by section, by crate and by room of famlens, and what the page
//! loads gzipped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

use crate::{node, sh, tools};

/// Bytes by name.
type Sizes = BTreeMap<String, usize>;

/// Lines of a table.
const MOST: usize = 24;

/// Reads the wasm that the last `cargo xtask build` compiled, before names are taken out of it, and weighs dist/.
///
/// # Errors
/// If nothing has been built, or the file cannot be read.
pub fn run() -> Result<()> {
    let built = sh::target_dir().join(tools::WASM).join("wasm-release/famlens.wasm");
    let bytes = fs::read(&built).with_context(|| format!("no {}: run cargo xtask build first", built.display()))?;
    let (sections, functions) = measure(&bytes)?;
    println!("{} (before wasm-bindgen and wasm-opt), in kB\n", built.display());
    print("section", &sections);
    print("crate", &grouped(&functions, |name| owner(name).first().copied().unwrap_or("?").to_owned()));
    let room = |name: &str| match owner(name).as_slice() {
        ["famlens", room, ..] => (*room).to_owned(),
        _ => "(other crates)".to_owned(),
    };
    print("room of famlens", &grouped(&functions, room));
    let dist = sh::root().join("dist");
    if dist.is_dir() { gzipped(&dist) } else { Ok(()) }
}

/// Bytes of each section, and of each function by its name.
fn measure(bytes: &[u8]) -> Result<(Sizes, Sizes)> {
    let (mut sections, mut bodies, mut names, mut imported) = (Sizes::new(), Vec::new(), BTreeMap::new(), 0);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        match &payload {
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    imported += usize::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.range().len()),
            Payload::CodeSectionStart { range, .. } => *sections.entry("code".into()).or_default() += range.len(),
            Payload::DataSection(data) => *sections.entry("data".into()).or_default() += data.range().len(),
            Payload::CustomSection(custom) => {
                *sections.entry(format!("custom {}", custom.name())).or_default() += custom.data().len();
                if let KnownCustom::Name(reader) = custom.as_known() {
                    for part in reader {
                        if let Name::Function(map) = part? {
                            for naming in map {
                                let naming = naming?;
                                names.insert(naming.index as usize, naming.name.to_owned());
                            }
                        }
                    }
                }
            }
            other => {
                if let Some((_, range)) = other.as_section() {
                    *sections.entry("all else".into()).or_default() += range.len();
                }
            }
        }
    }
    let mut functions = Sizes::new();
    for (i, size) in bodies.into_iter().enumerate() {
        *functions.entry(names.remove(&(imported + i)).unwrap_or_default()).or_default() += size;
    }
    Ok((sections, functions))
}

/// The path of what a function belongs to: for an implementation, the type or trait that it is for.
fn owner(name: &str) -> Vec<&str> {
    let start = name.trim_start_matches(['<', '&', '[', '(', '*']);
    let start = start.strip_prefix("mut ").or(start.strip_prefix("const ")).unwrap_or(start);
    let start = start.strip_prefix("dyn ").unwrap_or(start).trim_start_matches(['<', '&', '[', '(']);
    let end = start.find([' ', '<', '>', ',', '(', ')', ']']).unwrap_or(start.len());
    start[..end].trim_end_matches(':').split("::").collect()
}

fn grouped(functions: &Sizes, group: impl Fn(&str) -> String) -> Sizes {
    let mut sizes = Sizes::new();
    for (name, size) in functions {
        *sizes.entry(group(&format!("{:#}", rustc_demangle::demangle(name)))).or_default() += size;
    }
    sizes
}

fn print(what: &str, sizes: &Sizes) {
    let mut rows: Vec<(&String, &usize)> = sizes.iter().collect();
    rows.sort_by_key(|(_, size)| std::cmp::Reverse(**size));
    println!("{:>10}  {what}", "kB");
    for (name, size) in rows.iter().take(MOST) {
        println!("{:>10.1}  {name}", **size as f64 / 1e3);
    }
    let rest: usize = rows.iter().skip(MOST).map(|(_, size)| **size).sum();
    if rest > 0 {
        println!("{:>10.1}  ({} more)", rest as f64 / 1e3, rows.len() - MOST);
    }
    println!();
}

/// What a visitor downloads before the model, as tests/web/suites/size.test.mjs counts it.
fn gzipped(dist: &Path) -> Result<()> {
    let script = "const { code } = await import('./tests/web/harness/sizes.mjs'); \
                  const { files, bytes, gzipped } = await code(process.argv[1]); \
                  console.log(`dist: wasm and scripts, ${files} files: ${(bytes / 1e3).toFixed(0)} kB, gzipped \
                  ${(gzipped / 1e3).toFixed(0)} kB`);";
    sh::run(node::node()?.args(["--input-type=module", "-e", script]).arg(dist))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_belongs_to_what_it_is_for() {
        assert_eq!(owner("famlens::onnx::lower::run"), ["famlens", "onnx", "lower", "run"]);
        assert_eq!(owner("<famlens::fam::Form as core::fmt::Debug>::fmt"), ["famlens", "fam", "Form"]);
        assert_eq!(owner("core::ptr::drop_in_place<alloc::vec::Vec<u8>>"), ["core", "ptr", "drop_in_place"]);
        assert_eq!(owner("<&mut serde_json::ser::Serializer<W>>::x"), ["serde_json", "ser", "Serializer"]);
        assert_eq!(owner(""), [""]);
    }
}
