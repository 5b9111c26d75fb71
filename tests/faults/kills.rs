//! The program is killed at random moments, as by `kill -9`, and has lost nothing that it had reported as done.
//!
//! `cargo xtask faults kills` does it 50 times for each command, this suite alone 3 times; `FAMLENS_KILLS` says how
//! often. A run that ends before its kill does not count.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/program.rs"]
mod program;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use program::{command, famlens, folder, notes, pictures, small_model, stdout, text};
use serde_json::Value;

fn kills() -> usize {
    std::env::var("FAMLENS_KILLS").map_or(3, |count| count.parse().expect("FAMLENS_KILLS is a number"))
}

/// Starts a command and kills it after a random part of `within`. Gives what it said, and whether it was killed before
/// its end.
fn killed(command: &mut Command, within: Duration, random: &mut fastrand::Rng) -> (String, bool) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the command line starts");
    thread::sleep(within.mul_f64(random.f64()));
    // It may have ended already.
    let _ = child.kill();
    let output = child.wait_with_output().expect("it ends");
    (String::from_utf8_lossy(&output.stderr).into_owned(), !output.status.success())
}

/// How long a command takes when nobody kills it.
fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    stdout(&command.output().expect("the command line starts"));
    start.elapsed()
}

/// A run may end before its kill. So many runs, in multiples of the kills, are tried before that is a fault.
const MOST_RUNS: usize = 10;

/// Rows that the gallery holds before the first kill.
const KNOWN: usize = 150;
/// Photos that each killed run was to add.
const ADDED: usize = 12;

/// The file names of a gallery's rows, as the program itself reads them.
fn rows(gallery: &Path, model: &str, query: &Path) -> BTreeSet<String> {
    let search =
        ["search", text(gallery), text(query), "--top", "100000", "--json", "--model", model, "--engine", "cpu"];
    let found: Value = serde_json::from_str(&stdout(&famlens(&search))).expect("JSON");
    let hits = found["hits"].as_array().expect("hits");
    let name = |hit: &Value| hit["name"].as_str().and_then(|name| name.rsplit('/').next()).expect("a name").to_owned();
    hits.iter().map(name).collect()
}

#[test]
fn index_keeps_what_it_had_and_what_it_saved() {
    let at = folder("kills-index");
    let model = small_model("kills-index-model", "conv64f");
    let gallery = at.join("gallery");
    let index = |photos: &Path| {
        let mut index = command();
        index.args(["index", "--model", &model, "--engine", "cpu", "--jobs", "2", "--save-every", "0", "-o"]);
        index.arg(&gallery).arg(photos);
        index
    };
    pictures(&at.join("known"), 0, KNOWN);
    notes(&index(&at.join("known")).output().expect("the command line starts"));
    let query = at.join("known/000.png");
    let mut held = rows(&gallery, &model, &query);
    assert_eq!(held.len(), KNOWN);
    pictures(&at.join("first"), 900_000, ADDED);
    let within = time(&mut index(&at.join("first"))).mul_f64(1.1);
    held.extend(rows(&gallery, &model, &query));

    let mut random = fastrand::Rng::with_seed(12);
    let (mut stopped, mut saved_rows) = (0, 0);
    let mut runs = 0;
    while stopped < kills() {
        let run = runs;
        runs += 1;
        assert!(runs <= MOST_RUNS * kills(), "only {stopped} of {run} runs were killed before their end");
        let photos = at.join(format!("run{run}"));
        pictures(&photos, 1000 + run * ADDED, ADDED);
        let (said, was_killed) = killed(&mut index(&photos), within, &mut random);
        stopped += usize::from(was_killed);
        let saved = said.lines().filter_map(|line| line.strip_prefix("saved ")?.split(' ').next()?.parse().ok()).max();
        let now = rows(&gallery, &model, &query);
        let lost: Vec<_> = held.difference(&now).collect();
        assert!(lost.is_empty(), "run {run} lost {lost:?}\n{said}");
        let new = now.len() - held.len();
        let saved: usize = saved.unwrap_or(0);
        assert!(new >= saved, "run {run} reported {saved} as saved, and {new} are there\n{said}");
        saved_rows += saved;
        held = now;
    }
    // What was cut off is made up for, and the folder is as tidy as ever.
    for run in 0..runs {
        notes(&index(&at.join(format!("run{run}"))).output().expect("the command line starts"));
    }
    assert_eq!(rows(&gallery, &model, &query).len(), KNOWN + ADDED * (1 + runs));
    let mut left: Vec<_> = fs::read_dir(&gallery).expect("a folder").flatten().map(|e| e.file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", "embeddings.npy", "images.csv"]);
    println!(
        "index: killed {stopped} times before its end in {runs} runs; {saved_rows} rows reported as saved and {KNOWN} known before, 0 lost"
    );
}

/// How often each line that is whole stands in the file, by its key.
fn lines(progress: &Path) -> HashMap<String, usize> {
    let mut keys = HashMap::new();
    let bytes = fs::read(progress).unwrap_or_default();
    for line in bytes.split_inclusive(|&b| b == b'\n').filter(|line| line.ends_with(b"\n")) {
        if let Ok(entry) = serde_json::from_slice::<Value>(line) {
            *keys.entry(entry["key"].as_str().expect("a key").to_owned()).or_default() += 1;
        }
    }
    keys
}

fn aggregates(out: &Path) -> Value {
    let bytes = fs::read(out.join("results.json")).expect("results");
    let results: Value = serde_json::from_slice(&bytes).expect("whole JSON");
    results["aggregates"].clone()
}

/// Runs of one evaluation that are to be killed before one may end.
const A_RUN: usize = 4;

#[test]
fn evaluate_goes_on_from_what_it_had_measured() {
    let at = folder("kills-evaluate");
    let model = small_model("kills-evaluate-model", "conv64f");
    let images = at.join("images");
    for (class, name) in ["a", "b", "c"].into_iter().enumerate() {
        pictures(&images.join(name), class * 10, 6);
    }
    let boxes: String = (0..6).map(|n| format!("a/{n:03}.png\t5\t5\t25\t20\n")).collect();
    fs::write(images.join("boxes.tsv"), boxes).expect("written");
    let evaluate = |out: &Path| {
        let mut evaluate = command();
        evaluate.args(["evaluate", "--model", &model, "--engine", "cpu", "--form", "fam,cam", "--shots", "2"]);
        evaluate.args(["--episodes", "20", "--ways", "2", "--randomise", "2"]);
        evaluate.arg("--images").arg(&images).arg("--out").arg(out);
        evaluate
    };
    let whole = at.join("whole");
    let within = time(&mut evaluate(&whole)).mul_f64(0.8);
    let (expected, measured) = (aggregates(&whole), lines(&whole.join("progress.jsonl")).len());

    let mut random = fastrand::Rng::with_seed(34);
    let (mut stopped, mut kept) = (0, 0);
    let mut runs = 0;
    while stopped < kills() {
        assert!(runs <= MOST_RUNS * kills(), "only {stopped} of {runs} runs were killed before their end");
        let out = at.join(format!("run{runs}"));
        let progress = out.join("progress.jsonl");
        for _ in 0..A_RUN {
            runs += 1;
            let before = lines(&progress);
            let (said, was_killed) = killed(&mut evaluate(&out), within, &mut random);
            stopped += usize::from(was_killed);
            let after = lines(&progress);
            assert!(before.keys().all(|key| after.contains_key(key)), "a figure was lost\n{said}");
            kept += before.len();
            if out.join("results.json").exists() {
                aggregates(&out);
            }
        }
        stdout(&evaluate(&out).output().expect("the command line starts"));
        let lines = lines(&progress);
        assert!(lines.values().all(|&times| times == 1), "a figure that was there was measured again");
        assert_eq!(lines.len(), measured);
        assert_eq!(aggregates(&out), expected);
    }
    println!(
        "evaluate: killed {stopped} times before its end in {runs} runs; {kept} figures found again, 0 lost, the tables as without a kill"
    );
}
