//! ONNX's own test cases of its operators, on every engine, held against `table.tsv`.
//!
//! `cases.tar.gz` has the cases that pass, as far as they are small; `cargo xtask conformance` fetches ONNX's source package
//! and runs this suite over all of its cases (`FAMLENS_ONNX_CASES` is the package's path then). The table lists each case of
//! the operators that famlens supports; it is written, together with the compact archive, by
//! `cargo xtask conformance --write`. Not the standard harness: an engine that cannot run here is printed as skipped. Words
//! on the command line select cases by name.

mod archive;
mod case;
mod proto;
mod run;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use archive::Files;
use case::Case;
use run::{Engines, Outcome};
use table::{Row, Table};

/// What a suite prints of failures at most.
const MOST_PRINTED: usize = 400;
/// Cases whose expected numbers ONNX Runtime does not give either (it leaves them out of its own tests), nor torch: the
/// specification says that the length of the resized axis is what counts, a whole number, and they take the fraction.
const DISPUTED: &[(&str, &str)] = &[
    ("test_resize_downsample_scales_cubic_align_corners", "as ONNX Runtime 1.32: the resized length is a whole number"),
    (
        "test_resize_downsample_scales_linear_align_corners",
        "as ONNX Runtime 1.32: the resized length is a whole number",
    ),
];
/// A case whose files are larger is not put into the compact archive.
const MOST_ARCHIVED: usize = 24_000;

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(file)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--list") {
        return ExitCode::SUCCESS;
    }
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let write = arguments.iter().any(|a| a == "--write");
    match suite(&words, write) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("conformance: FAILED: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn suite(words: &[&String], write: bool) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    let package = std::env::var_os("FAMLENS_ONNX_CASES").map(PathBuf::from);
    let whole = package.is_some();
    let path = package.unwrap_or_else(|| here("cases.tar.gz"));
    let (files, licence) = archive::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    if write && !(whole && words.is_empty()) {
        return Err("only a run of all cases renews the table: cargo xtask conformance --write".into());
    }
    let chosen = |name: &str| words.is_empty() || words.iter().any(|w| name.contains(w.as_str()));
    let engines = Engines::new();
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let operators = operators(&files);
    for (name, case) in files.iter().filter(|(name, _)| chosen(name)) {
        match check(name, case, &engines) {
            Checked::Unsupported(names) => names.into_iter().for_each(|n| *refused.entry(n).or_default() += 1),
            Checked::Row { mut row, failures } => {
                row.operator = operators.get(name).cloned().unwrap_or_default();
                wrong.extend(failures.into_iter().map(|f| format!("{name}: {f}")));
                rows.push(row);
            }
        }
    }
    let passed = rows.iter().filter(|r| r.passes()).count();
    println!("conformance, {}: {} cases pass, {} are not supported,", engines.describe(), passed, rows.len() - passed);
    println!("  {} wrong; {} operators are not supported at all", wrong.len(), refused.len());
    engines.skipped().iter().for_each(|s| println!("conformance, {s}"));
    wrong.iter().take(MOST_PRINTED).for_each(|w| println!("  WRONG {w}"));
    let now = Table::new(rows, refused);
    let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance.tsv");
    std::fs::write(&found, now.to_text()).map_err(text)?;
    println!("  the table of this run: {}", found.display());
    if !wrong.is_empty() {
        return Err(format!("{} cases are computed wrongly", wrong.len()));
    }
    if write {
        if !engines.skipped().is_empty() {
            return Err("the table is only written where every engine runs".into());
        }
        std::fs::write(here("table.tsv"), now.to_text()).map_err(text)?;
        // Of the real networks the quickest.
        let quick = |name: &str| !name.starts_with("light_") || name == "light_squeezenet";
        let small = files.iter().filter(|(n, f)| now.passes(n) && quick(n) && f.size() <= MOST_ARCHIVED);
        archive::write(&here("cases.tar.gz"), &licence, small.map(|(n, f)| (n.as_str(), f))).map_err(text)?;
        println!("conformance: wrote table.tsv and cases.tar.gz");
        return Ok(());
    }
    let kept = Table::read(&std::fs::read_to_string(here("table.tsv")).map_err(text)?);
    let all = words.is_empty();
    let differences = kept.differences(&now, all && whole, engines.skipped().is_empty());
    differences.iter().take(MOST_PRINTED).for_each(|d| println!("  DIFFERS {d}"));
    if all && !whole && passed < 900 {
        return Err(format!("the compact archive has only {passed} cases"));
    }
    if !engines.skipped().is_empty() && std::env::var("FAMLENS_REQUIRE_GPU").is_ok_and(|v| v == "1") {
        return Err("a GPU is required, and none was found".into());
    }
    match differences.len() {
        0 => Ok(()),
        n => Err(format!(
            "{n} differences from tests/conformance/table.tsv; what is better now is written with `cargo xtask conformance \
             --write`"
        )),
    }
}

/// What a case is listed under: its operator, or that of the case of which it is the expanded form.
fn operators(files: &BTreeMap<String, Files>) -> BTreeMap<String, String> {
    let of = |name: &str| {
        let model = proto::Model::operators(&files.get(name)?.model)?;
        Some(if name.starts_with("light_") { "(network)".into() } else { model.join(" ") })
    };
    let title = |name: &String| {
        let plain = name.split_once("_expanded").map(|(base, _)| base).and_then(of);
        plain.map(|op| format!("{op} (expanded)")).or_else(|| of(name)).unwrap_or_default()
    };
    files.keys().map(|name| (name.clone(), title(name))).collect()
}

enum Checked {
    /// Operators that the importer does not know.
    Unsupported(Vec<String>),
    Row {
        row: Row,
        failures: Vec<String>,
    },
}

/// Reasons of the importer that concern an operator as a whole.
const WHOLE_OPERATOR: [&str; 3] = ["unknown operator", "control flow", "not in the standard operator set"];

fn check(name: &str, files: &Files, engines: &Engines) -> Checked {
    let row = |run: &str, active: &str, outcome: String, gpu: String| Row {
        operator: String::new(),
        case: name.into(),
        run: run.into(),
        active: active.into(),
        outcome,
        gpu,
    };
    let refuse = |reason: String| Checked::Row {
        row: row("-", "-", format!("not supported: {reason}"), "-".into()),
        failures: Vec::new(),
    };
    let unknown: Vec<String> = operators_of(files).into_iter().filter(|op| !run::is_known(op)).collect();
    if !unknown.is_empty() {
        return Checked::Unsupported(unknown);
    }
    let case = match Case::new(name, files) {
        Ok(case) => case,
        Err(reason) => return refuse(reason),
    };
    let (variants, errors) = case.variants();
    let reasons: Vec<String> = errors.iter().map(run::reason).collect();
    if variants.is_empty() {
        return refuse(reasons.into_iter().next().unwrap_or_default());
    }
    let (mut failures, mut active, mut gpu) = (Vec::new(), Vec::new(), Vec::new());
    let mut cpu = Vec::new();
    for variant in &variants {
        let title = variant.active.join(",");
        for (engine, outcome) in engines.run(&case, variant, name.starts_with("light_")) {
            match outcome {
                Outcome::Passed => {}
                Outcome::Wrong(reason) => failures.push(format!("of [{title}] on {engine}: {reason}")),
                Outcome::Refused(reason) if engine.starts_with("gpu") => gpu.push(reason),
                Outcome::Refused(reason) => cpu.push(reason),
            }
        }
        if !title.is_empty() {
            active.push(title);
        }
    }
    if let Some((_, reason)) = DISPUTED.iter().find(|(case, _)| *case == name) {
        return match failures.is_empty() {
            false => refuse(format!("its numbers are disputed; {reason}")),
            true => Checked::Row {
                row: row("-", "-", "-".into(), "-".into()),
                failures: vec!["passes, and is listed in DISPUTED".into()],
            },
        };
    }
    if let Some(reason) = cpu.first() {
        return refuse(reason.clone());
    }
    let gpu = gpu.first().map_or("pass".into(), |reason| format!("not supported: {reason}"));
    let of_activations = reasons.first().filter(|_| active.is_empty());
    let outcome = match of_activations {
        Some(reason) => format!("pass; of activations not supported: {reason}"),
        None => "pass".into(),
    };
    let run = if active.is_empty() { "folded" } else { "engine" };
    let active = if active.is_empty() { "-".to_string() } else { active.join(" | ") };
    Checked::Row { row: row(run, &active, outcome, gpu), failures }
}

fn operators_of(files: &Files) -> Vec<String> {
    proto::Model::operators(&files.model).unwrap_or_default()
}
