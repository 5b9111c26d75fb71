//! ONNX's own test cases of its operators, on every engine, held against `table.tsv`.
//!
//! `cases.tar.gz` has the cases that pass, as far as they are small; `cargo xtask conformance` fetches ONNX's source
//! package and runs this suite over all of its cases (`FAMLENS_ONNX_CASES` is the package's path then). The table lists
//! each case of the operators that famlens supports; it is written, together with the compact archive, by `cargo xtask
//! conformance --write`. One trial for each case, on all engines; an engine that cannot run here is shown as ignored. A
//! word on the command line selects cases by name.

mod archive;
mod case;
#[path = "../common/engines.rs"]
mod engines;
mod proto;
mod run;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use archive::Files;
use case::Case;
use engines::Candidate;
use libtest_mimic::{Arguments, Failed, Trial};
use run::Outcome;
use table::{Row, Table};

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
    let mut given: Vec<String> = std::env::args().collect();
    let flags = given.len();
    given.retain(|a| a != "--write");
    let write = given.len() < flags;
    let arguments = engines::arguments(given);
    match suite(&arguments, write) {
        Ok(code) => code,
        Err(reason) => {
            println!("conformance: FAILED: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// What the trials have found.
#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    /// Operators that are not supported at all, with the number of their cases.
    refused: BTreeMap<String, usize>,
}

/// What every trial reads.
struct Shared {
    files: BTreeMap<String, Files>,
    operators: BTreeMap<String, String>,
    kept: Table,
    /// Whether all of ONNX's cases are there, and not only those of the compact archive.
    whole: bool,
    /// Whether every engine runs here.
    complete: bool,
    write: bool,
    found: Mutex<Found>,
}

fn suite(arguments: &Arguments, write: bool) -> Result<ExitCode, String> {
    let text = |e: std::io::Error| e.to_string();
    let package = std::env::var_os("FAMLENS_ONNX_CASES").map(PathBuf::from);
    let whole = package.is_some();
    let path = package.unwrap_or_else(|| here("cases.tar.gz"));
    let (files, licence) = archive::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let all = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    if write && !(whole && all) {
        return Err("only a run of all cases renews the table: cargo xtask conformance --write".into());
    }
    let candidates = engines::of_every_kind();
    let missing =
        candidates.iter().filter_map(|c| engines::skipped("conformance", c, &format!("{} cases", files.len())));
    let mut trials: Vec<Trial> = missing.collect();
    let complete = trials.is_empty();
    if write && !complete {
        return Err("the table is only written where every engine runs".into());
    }
    engines::keep(candidates);
    let kept = Table::read(&std::fs::read_to_string(here("table.tsv")).map_err(text)?);
    let (operators, found) = (operators(&files), Mutex::default());
    let shared = Arc::new(Shared { files, operators, kept, whole, complete, write, found });
    trials.extend(shared.files.keys().map(|name| {
        let (shared, name) = (shared.clone(), name.clone());
        Trial::test(name.clone(), move || one(&shared, &name))
    }));
    let conclusion = libtest_mimic::run(arguments, trials);
    if all {
        finish(&shared, &licence, conclusion.num_failed == 0)?;
    }
    Ok(conclusion.exit_code())
}

/// One case on every engine, against its row of the table.
fn one(shared: &Shared, name: &str) -> Result<(), Failed> {
    let checked = engines::with(|engines| check(name, &shared.files[name], engines));
    let mut found = shared.found.lock().map_err(|e| e.to_string())?;
    let (mut row, failures) = match checked {
        Checked::Unsupported(names) => {
            names.into_iter().for_each(|n| *found.refused.entry(n).or_default() += 1);
            return Ok(());
        }
        Checked::Row { row, failures } => (row, failures),
    };
    row.operator = shared.operators.get(name).cloned().unwrap_or_default();
    found.rows.push(row.clone());
    if !failures.is_empty() {
        return Err(failures.join("\n").into());
    }
    match shared.kept.difference(&row, shared.whole, shared.complete) {
        Some(difference) if !shared.write => {
            let advice = "what is better now is written with `cargo xtask conformance --write`";
            Err(format!("differs from tests/conformance/table.tsv ({advice}): {difference}").into())
        }
        _ => Ok(()),
    }
}

/// What only a run of all cases can say; renews the table and the compact archive.
fn finish(shared: &Shared, licence: &[u8], right: bool) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    let found = std::mem::take(&mut *shared.found.lock().map_err(|e| e.to_string())?);
    let passed = found.rows.iter().filter(|r| r.passes()).count();
    println!("conformance: {passed} cases pass, {} are not supported;", found.rows.len() - passed);
    println!("  {} operators are not supported at all", found.refused.len());
    let now = Table::new(found.rows, found.refused);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance.tsv");
    std::fs::write(&path, now.to_text()).map_err(text)?;
    println!("  the table of this run: {}", path.display());
    if shared.write && right {
        std::fs::write(here("table.tsv"), now.to_text()).map_err(text)?;
        // Of the real networks the quickest.
        let quick = |name: &str| !name.starts_with("light_") || name == "light_squeezenet";
        let small = shared.files.iter().filter(|(n, f)| now.passes(n) && quick(n) && f.size() <= MOST_ARCHIVED);
        archive::write(&here("cases.tar.gz"), licence, small.map(|(n, f)| (n.as_str(), f))).map_err(text)?;
        println!("conformance: wrote table.tsv and cases.tar.gz");
        return Ok(());
    }
    if !shared.whole && passed < 1000 {
        return Err(format!("the compact archive has only {passed} cases"));
    }
    match shared.whole.then(|| shared.kept.missing(&now)) {
        Some(missing) if !missing.is_empty() => Err(missing.join("\n")),
        _ => Ok(()),
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

fn check(name: &str, files: &Files, engines: &[Candidate]) -> Checked {
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
        for (engine, outcome) in run::all(engines, &case, variant, name.starts_with("light_")) {
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
