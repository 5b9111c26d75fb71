//! The house rules, read off the sources: which room may name which, where wgpu, candle and the web may be named, that
//! the library does not panic, and that files stay short.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Each room and the rooms it may name, as the table of ARCHITECTURE.md has them.
static ROOMS: LazyLock<Vec<(String, Vec<String>)>> = LazyLock::new(|| {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is readable");
    rooms(&text)
});

/// Crates that only some places may name, by path prefix under `src`.
const CRATES: &[(&[&str], &[&str])] = &[
    (&["wgpu"], &["engine/gpu"]),
    (&["candle_core", "candle_nn"], &["engine/candle"]),
    (&["web_sys", "js_sys", "wasm_bindgen", "wasm_bindgen_futures", "serde_wasm_bindgen"], &["web", "engine/gpu"]),
    (&["prost"], &["onnx"]),
    (&["fastrand"], &["random", "bin"]),
    (&["clap", "indicatif", "npyz"], &["bin"]),
];

/// Modules of the standard library that only the command line may name: the library is given bytes.
const STD: &[&str] = &["fs", "process", "net"];

const PANICKING_METHODS: &[&str] = &["unwrap", "expect"];
const PANICKING_MACROS: &[&str] = &["panic", "todo", "unimplemented"];
const LONGEST_FILE: usize = 500;

#[test]
fn the_table_of_rooms_runs_one_way() {
    for (i, (room, allowed)) in ROOMS.iter().enumerate() {
        for name in allowed {
            assert!(
                ROOMS[..i].iter().any(|(above, _)| above == name),
                "{room} may not name {name}: it is not above it"
            );
        }
    }
}

#[test]
fn the_table_has_every_room() {
    let entries = root().join("src").read_dir().expect("src is a folder").flatten();
    let stems = entries.map(|entry| entry.path().with_extension(""));
    let names = stems.map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    // The library's root declares the rooms, and the command line may name them all.
    let found: BTreeSet<_> = names.filter(|name| name != "lib" && name != "bin").collect();
    let listed: BTreeSet<_> = ROOMS.iter().map(|(room, _)| room.clone()).collect();
    assert_eq!(found, listed, "ARCHITECTURE.md lists other rooms than src has");
}

#[test]
fn a_room_names_every_room_that_it_may() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (place, source) in sources() {
        named.entry(room_of(&place).to_owned()).or_default().extend(named_rooms(&place, &source.tokens));
    }
    for (room, allowed) in ROOMS.iter() {
        let unused: Vec<_> = allowed.iter().filter(|name| !named[room].contains(*name)).collect();
        assert!(unused.is_empty(), "{room} names {unused:?} no longer: take them out of ARCHITECTURE.md's table");
    }
}

#[test]
fn the_sources_keep_the_house_rules() {
    let checked = |(place, source): &(String, Source)| {
        check(place, &source.tokens).into_iter().map(|what| format!("src/{place}:{what}")).collect::<Vec<_>>()
    };
    let broken: Vec<_> = sources().iter().flat_map(checked).collect();
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn files_stay_short() {
    let root = root();
    let mut files = Vec::new();
    for dir in ["src", "www", "xtask/src", "tests"] {
        files.extend(all_files(&root.join(dir)));
    }
    let is_code = |path: &&PathBuf| {
        let extension = path.extension().and_then(|ext| ext.to_str());
        extension.is_some_and(|ext| ["rs", "wgsl", "js", "mjs", "css", "html"].contains(&ext))
    };
    let long = files.iter().filter(is_code).filter_map(|path| {
        let lines = fs::read_to_string(path).expect("a source file is readable text").lines().count();
        (lines > LONGEST_FILE).then(|| format!("{}: {lines} lines", path.display()))
    });
    let long: Vec<_> = long.collect();
    assert!(long.is_empty(), "over {LONGEST_FILE} lines:\n{}", long.join("\n"));
}

#[test]
fn broken_rules_are_noticed() {
    let broken = |place: &str, text: &str| {
        let source = split(text.parse().expect("the example is Rust"));
        check(place, &source.tokens).len()
    };
    assert_eq!(broken("graph/mod.rs", "use crate::error::Error; use crate::tensor::Shape;"), 0);
    assert_eq!(broken("graph/mod.rs", "use crate::engine::Engine;"), 1);
    assert_eq!(broken("graph/mod.rs", "use crate::{error::Result, fam::{self, Map}, session};"), 2);
    assert_eq!(broken("fam/map.rs", "fn f() { let x = crate::onnx::read(&[]); }"), 1);
    assert_eq!(broken("tensor.rs", "use crate::{Error, Result};"), 0);
    assert_eq!(broken("engine/plan.rs", "fn f(d: &wgpu::Device) {}"), 1);
    assert_eq!(broken("engine/gpu/mod.rs", "use wgpu::Device; use crate::engine::Mix;"), 0);
    assert_eq!(broken("session/mod.rs", "fn f() { std::fs::read(\"x\").unwrap(); }"), 2);
    assert_eq!(broken("session/mod.rs", "use std::{fmt, fs::File};"), 1);
    assert_eq!(broken("fam/mod.rs", "fn f() { todo!() } // panic!() in a comment\nconst S: &str = \"panic!()\";"), 1);
    assert_eq!(broken("fam/mod.rs", "fn f(x: Option<u8>) -> u8 { vec![x.unwrap_or(1), x.expect(\"y\")][0] }"), 1);
    assert_eq!(broken("fam/mod.rs", "#[cfg(test)] mod tests { use crate::session; fn f() { panic!() } } fn g() {}"), 0);
    assert_eq!(broken("fam/mod.rs", "#[cfg(not(test))] fn f() { panic!() }"), 1);
}

/// The root of the repository: of the checkout that the test runs for, which need not be the one it was built in.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The rooms of a table whose rows begin with the room in backquotes, such as `src/fam/` or `src/error.rs`, and end
/// with the rooms that it may name. What lies deeper is part of a room.
fn rooms(text: &str) -> Vec<(String, Vec<String>)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let place = cells.first()?.strip_prefix("`src/")?.strip_suffix('`')?;
        let room = place.strip_suffix(".rs").or(place.strip_suffix('/'))?;
        let allowed = cells.last()?.split(',').map(str::trim).filter(|name| *name != "–");
        (!room.contains('/')).then(|| (room.to_owned(), allowed.map(str::to_owned).collect()))
    };
    text.lines().filter_map(row).collect()
}

/// The library's own code, each file by its path under `src`.
fn sources() -> Vec<(String, Source)> {
    let src = root().join("src");
    let files = rust_files(&src);
    assert!(files.len() > 10, "found only {} files under {}", files.len(), src.display());
    let sources: Vec<_> = files.iter().map(|path| (path.clone(), parse(path))).collect();
    // Modules that a parent declares under #[cfg(test)] are test code as a whole.
    let test_files: BTreeSet<_> = sources.iter().flat_map(|(path, source)| test_modules(path, &source.tests)).collect();
    let own = sources.into_iter().filter(|(path, _)| !test_files.iter().any(|test| path.starts_with(test)));
    let place = |path: &Path| path.strip_prefix(&src).expect("listed under src").to_string_lossy().replace('\\', "/");
    own.map(|(path, source)| (place(&path), source)).collect()
}

/// Sources as tokens: comments are gone, and what is under `#[cfg(test)]` is apart.
struct Source {
    tokens: Vec<TokenTree>,
    tests: Vec<TokenTree>,
}

fn parse(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a source file is readable text");
    split(text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Takes out items under `#[cfg(test)]`: the attribute, what stands between, and the first `;` or brace group.
fn split(stream: TokenStream) -> Source {
    let (mut tokens, mut tests) = (Vec::new(), Vec::new());
    let mut rest = stream.into_iter().peekable();
    while let Some(token) = rest.next() {
        let attribute = match (&token, rest.peek()) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(group))) if hash.as_char() == '#' => is_cfg_test(group),
            _ => false,
        };
        if attribute {
            for token in rest.by_ref() {
                let ends = match &token {
                    TokenTree::Punct(punct) => punct.as_char() == ';',
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    _ => false,
                };
                tests.push(token);
                if ends {
                    break;
                }
            }
        } else if let TokenTree::Group(group) = &token {
            let inner = split(group.stream());
            tests.extend(inner.tests);
            let mut kept = Group::new(group.delimiter(), inner.tokens.into_iter().collect());
            kept.set_span(group.span());
            tokens.push(TokenTree::Group(kept));
        } else {
            tokens.push(token);
        }
    }
    Source { tokens, tests }
}

fn is_cfg_test(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    attribute.delimiter() == Delimiter::Bracket
        && (text == "cfg(test)"
            || text.starts_with("cfg(all(test,")
            || text == "test"
            || text.starts_with("cfg(any(test,"))
}

/// Paths of modules declared as `#[cfg(test)] mod name;` in this file.
fn test_modules(path: &Path, tests: &[TokenTree]) -> Vec<PathBuf> {
    let dir = path.parent().expect("a file has a folder");
    let stem = path.file_stem().expect("a file has a name");
    let dir = if stem == "mod" || stem == "lib" { dir.to_path_buf() } else { dir.join(stem) };
    let declared = tests.windows(3).filter_map(|window| match window {
        [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(end)] => {
            (word == "mod" && end.as_char() == ';').then(|| name.to_string())
        }
        _ => None,
    });
    declared.flat_map(|name| [dir.join(format!("{name}.rs")), dir.join(name)]).collect()
}

/// What the tokens of the file at `place` (relative to `src`) break, each as `line: what`.
fn check(place: &str, tokens: &[TokenTree]) -> Vec<String> {
    let mut broken = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => broken.extend(check(place, &group.stream().into_iter().collect::<Vec<_>>())),
            TokenTree::Ident(ident) => {
                let (name, before, after) = (ident.to_string(), tokens[..i].last(), &tokens[i + 1..]);
                let mut wrong = misplaced_names(place, &name, after);
                wrong.extend(misplaced_crate(place, &name, after));
                wrong.extend(panics(&name, before, after));
                let line = token.span().start().line;
                broken.extend(wrong.into_iter().map(|what| format!("{line}: {what}")));
            }
            _ => {}
        }
    }
    broken
}

/// The room of the file at `place`.
fn room_of(place: &str) -> &str {
    place.split(['/', '.']).next().expect("a split has a first part")
}

/// The other rooms that the tokens of the file at `place` name.
fn named_rooms(place: &str, tokens: &[TokenTree]) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (i, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                named.extend(named_rooms(place, &group.stream().into_iter().collect::<Vec<_>>()));
            }
            TokenTree::Ident(ident) if ident == "crate" => named.extend(names_after(&tokens[i + 1..])),
            _ => {}
        }
    }
    named.retain(|name| name != room_of(place) && ROOMS.iter().any(|(room, _)| room == name));
    named
}

/// Rooms and modules of the standard library that a path from `crate` or `std` names and must not.
fn misplaced_names(place: &str, name: &str, after: &[TokenTree]) -> Vec<String> {
    let room = room_of(place);
    let allowed = ROOMS.iter().find(|(name, _)| name == room).map_or(&[][..], |(_, allowed)| allowed);
    let is_room = |other: &str| ROOMS.iter().any(|(name, _)| name == other);
    let mut names = names_after(after);
    match name {
        "crate" if room != "bin" && room != "lib" => {
            names.retain(|other| is_room(other) && other != room && !allowed.contains(other));
            names.into_iter().map(|other| format!("{room} may not name {other}")).collect()
        }
        "std" if room != "bin" => {
            names.retain(|module| STD.contains(&module.as_str()));
            names.into_iter().map(|module| format!("only the command line may name std::{module}")).collect()
        }
        _ => Vec::new(),
    }
}

fn misplaced_crate(place: &str, name: &str, after: &[TokenTree]) -> Option<String> {
    let (_, places) = CRATES.iter().find(|(crates, _)| crates.contains(&name))?;
    let is_path = starts_with(after, "::") || starts_with(after, ";");
    let allowed =
        places.iter().any(|allowed| place.starts_with(&format!("{allowed}/")) || place == format!("{allowed}.rs"));
    (is_path && !allowed).then(|| format!("{name} belongs in src/{}", places.join(" or src/")))
}

fn panics(name: &str, before: Option<&TokenTree>, after: &[TokenTree]) -> Option<String> {
    let after_dot = matches!(before, Some(TokenTree::Punct(dot)) if dot.as_char() == '.');
    let method = after_dot && PANICKING_METHODS.contains(&name);
    let makro = PANICKING_MACROS.contains(&name) && starts_with(after, "!");
    (method || makro).then(|| format!("{name} in code that must not panic"))
}

/// The first names of a path or of a group of paths: `::a::b` gives `a`, `::{a::b, c}` gives `a` and `c`.
fn names_after(tokens: &[TokenTree]) -> Vec<String> {
    if !starts_with(tokens, "::") {
        return Vec::new();
    }
    match tokens.get(2) {
        Some(TokenTree::Ident(name)) => vec![name.to_string()],
        Some(TokenTree::Group(group)) => {
            let inner: Vec<_> = group.stream().into_iter().collect();
            let paths = inner.split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','));
            paths.filter_map(|path| path.first()).map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    }
}

fn starts_with(tokens: &[TokenTree], text: &str) -> bool {
    let puncts = tokens.iter().map(|token| match token {
        TokenTree::Punct(punct) => punct.as_char(),
        _ => ' ',
    });
    puncts.take(text.len()).eq(text.chars())
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = all_files(dir);
    files.retain(|path| path.extension().is_some_and(|ext| ext == "rs"));
    files
}

/// All files under a folder, without installed packages; none if there is no such folder.
fn all_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.is_dir() {
            files.push(path);
        } else if path.file_name().is_some_and(|name| name != "node_modules") {
            files.extend(all_files(&path));
        }
    }
    files
}
