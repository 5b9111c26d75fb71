//! Hostile files: each ends in an answer or in one message, without a panic, in bounded memory and time.
//! `tests/hostile/files` are those that were found by hand; `tests/hostile/*.rs` makes many more, and writes them into
//! a folder for the page: `FAMLENS_HOSTILE=folder cargo test --test hostile -- --ignored written`.

mod common;
#[path = "hostile/generate.rs"]
mod generate;
#[path = "hostile/side_files.rs"]
mod side_files;

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use famlens::engine::{Engine, Mix, cpu::CpuEngine};
use famlens::fam::Statistics;
use famlens::fam::head::Head;
use famlens::onnx::ModelSummary;
use famlens::session::{EngineChoice, Model, Session};
use famlens::tasks::retrieval::Gallery;
use famlens::tensor::Tensor;
use famlens::{Error, Result};
use side_files::{Kind, MANIFEST, SideFile};

/// What any hostile file may take.
const MOST_BYTES: usize = 500_000_000;

/// Far more than any takes on a quiet machine in a build that is optimised: this asks for an end, and measures nothing.
const PATIENCE: Duration = Duration::from_secs(60);

const SEED: u64 = 11;

/// Counts what is allocated.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What is counted is of one file at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What a file came to, and what it took.
struct Outcome {
    message: std::result::Result<(), String>,
    bytes: usize,
    time: Duration,
}

/// Runs one file, alone; `Err` says what it did that none may.
fn outcome(run: impl FnOnce() -> Result<()>) -> std::result::Result<Outcome, String> {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let start = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(run)).map_err(|_| "it panics".to_string())?;
    let (bytes, time) = (MOST.load(Ordering::Relaxed).saturating_sub(before), start.elapsed());
    if bytes > MOST_BYTES {
        return Err(format!("it takes {} MB", bytes / 1_000_000));
    }
    if time > PATIENCE {
        return Err(format!("it takes {} s", time.as_secs()));
    }
    let message = result.map_err(|e| e.to_string());
    match &message {
        Err(text) if text.trim().is_empty() || text.len() > 20_000 => Err(format!("no message: {} bytes", text.len())),
        _ => Ok(Outcome { message, bytes, time }),
    }
}

/// Through the doors that page and command line use: read, looked at, compiled and run once.
fn explain(manifest: &str, bytes: &[u8]) -> Result<()> {
    if let Ok(model) = famlens::onnx::Model::parse(bytes) {
        let (height, width) = model.input_size().unwrap_or_default();
        let _ = ModelSummary::new(&model, height.unwrap_or(32), width.unwrap_or(32));
    }
    let model = Model::new(manifest, bytes)?;
    let target = model.manifest().target.clone();
    let graph = model.graph(model.manifest().input.size.across(), &target)?;
    let layer = graph.find(&target).ok_or_else(|| Error::argument("target", "it is gone"))?;
    let shape = graph.value(graph.image_input()?).shape.clone();
    let mut program = CpuEngine::new().compile(&graph, &[layer])?;
    let image = Tensor::new(shape.clone(), vec![0.5; shape.len()])?;
    pollster::block_on(program.run(&image, &Mix::default())).map(|_| ())
}

fn report(what: &str, outcomes: &[(String, std::result::Result<Outcome, String>)]) {
    let bad: Vec<String> =
        outcomes.iter().filter_map(|(name, o)| o.as_ref().err().map(|e| format!("{name}: {e}"))).collect();
    let good: Vec<(&String, &Outcome)> = outcomes.iter().filter_map(|(n, o)| Some((n, o.as_ref().ok()?))).collect();
    let answers = good.iter().filter(|(_, o)| o.message.is_ok()).count();
    let mut by_time: Vec<_> = good.iter().map(|(name, o)| (o.time.as_millis(), *name)).collect();
    by_time.sort_unstable_by(|a, b| b.cmp(a));
    println!("slowest, in ms: {:?}", &by_time[..by_time.len().min(12)]);
    let slowest = good.iter().max_by_key(|(_, o)| o.time);
    let largest = good.iter().max_by_key(|(_, o)| o.bytes);
    if let (Some((slow, s)), Some((large, l))) = (slowest, largest) {
        println!(
            "{} {what}: {answers} answers, {} messages; at most {} ms ({slow}) and {} MB ({large})",
            outcomes.len(),
            good.len() - answers,
            s.time.as_millis(),
            l.bytes / 1_000_000
        );
    }
    assert!(bad.is_empty(), "{} of {} {what}:\n{}", bad.len(), outcomes.len(), bad.join("\n"));
}

/// What was found by hand: each is refused with a message that names the node, or runs.
#[test]
fn what_was_found_is_refused_by_name() {
    let _alone = ALONE.lock();
    let expected = [
        ("fold_conv_2e48", "bomb", "4096 x 4096 cells"),
        ("fold_matmul_4096", "bomb", "million steps"),
        ("fold_maxpool_1e12", "bomb", "1048575 x 1048575 cells"),
        ("fold_memory_64GB", "a", "computed beforehand"),
        ("input_5400_conv8", "conv1", "smaller input size"),
        ("pad_edge_empty", "bomb", "no elements"),
        ("pool_kernel_1048575_active", "bomb", "1048575 x 1048575 cells"),
        ("resize_antialias_quadratic", "bomb", ""),
        ("scatternd_capacity_2e31", "\"i\"", "too large"),
        ("split_num_outputs_2e40", "bomb", "1099511627776 parts"),
        ("wasm32_depthwise_wrap", "bomb", "a pad of"),
    ];
    let manifest = MANIFEST.replace("\"size\": 32", "\"size\": 0");
    let mut outcomes = Vec::new();
    for (name, node, words) in expected {
        let bytes = common::bytes(common::root(&format!("tests/hostile/files/{name}.onnx")));
        let outcome = outcome(|| explain(&manifest, &bytes));
        if let Ok(Outcome { message: Err(message), .. }) = &outcome {
            assert!(
                message.contains(node) && message.contains(words),
                "{name}: no {node:?} or {words:?} in: {message}"
            );
        } else {
            assert!(words.is_empty() || outcome.is_err(), "{name} is not refused");
        }
        outcomes.push((name.to_string(), outcome));
    }
    let head = common::bytes(common::root("tests/hostile/files/outputs_huge.safetensors"));
    let outcome = outcome(|| Head::from_safetensors(&head, None).map(|_| ()));
    assert!(outcome.as_ref().is_ok_and(|o| o.message.as_ref().is_err_and(|m| m.contains("layer 0"))));
    outcomes.push(("outputs_huge".into(), outcome));
    report("files found by hand", &outcomes);
}

#[test]
fn generated_models_end_in_an_answer_or_a_message() {
    let _alone = ALONE.lock();
    let cases = generate::models(SEED);
    assert!(cases.len() >= 200, "{}", cases.len());
    let outcomes: Vec<_> =
        cases.into_iter().map(|case| (case.name, outcome(|| explain(MANIFEST, &case.bytes)))).collect();
    report("generated models", &outcomes);
}

#[test]
fn the_model_that_is_changed_is_good() -> Result<()> {
    let _alone = ALONE.lock();
    explain(MANIFEST, &generate::good())
}

#[test]
fn generated_side_files_end_in_an_answer_or_a_message() {
    let _alone = ALONE.lock();
    let files = side_files::side_files(SEED);
    assert!(files.len() >= 50, "{}", files.len());
    let good = generate::good();
    let outcomes: Vec<_> = files.into_iter().map(|f| (f.name.clone(), outcome(|| open(&f, &good)))).collect();
    report("generated side files", &outcomes);
    let (array, table) = (side_files::good_array(), side_files::table());
    assert_eq!(Gallery::from_files(&array, &table).map(|g| g.len()).ok(), Some(1), "the files changed are good");
}

/// Through the door of its kind.
fn open(file: &SideFile, model: &[u8]) -> Result<()> {
    let text = || String::from_utf8_lossy(&file.bytes);
    match file.kind {
        Kind::Manifest => explain(&text(), model),
        Kind::Head => Head::from_safetensors(&file.bytes, None).map(|_| ()),
        Kind::Matrix => {
            let mut session = pollster::block_on(Session::new(Model::new(MANIFEST, model)?, EngineChoice::Cpu))?;
            session.load_matrix(&file.bytes).map(|_| ())
        }
        Kind::Statistics => Statistics::from_bytes(&file.bytes).map(|_| ()),
        Kind::GalleryArray => Gallery::from_files(&file.bytes, &side_files::table()).map(|_| ()),
        Kind::GalleryTable => Gallery::from_files(&side_files::good_array(), &text()).map(|_| ()),
    }
}

/// Writes all files into the folder that `FAMLENS_HOSTILE` names, with `index.json` that says what each is.
#[test]
#[ignore = "writes files; FAMLENS_HOSTILE=folder cargo test --test hostile -- --ignored written"]
fn written_into_a_folder() -> std::io::Result<()> {
    let Some(folder) = std::env::var_os("FAMLENS_HOSTILE") else { return Ok(()) };
    let folder = std::path::PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    let mut index = Vec::new();
    for entry in std::fs::read_dir(common::root("tests/hostile/files"))? {
        let path = entry?.path();
        let (Some(name), Some(kind)) = (path.file_name(), path.extension()) else { continue };
        std::fs::copy(&path, folder.join(name))?;
        let kind = if kind == "onnx" { "model" } else { "head" };
        index.push(serde_json::json!({ "file": name.to_string_lossy(), "kind": kind }));
    }
    // Names of negative values differ from those of positive ones; what else a name holds is no matter of a file
    // system.
    for case in generate::models(SEED) {
        let name = format!("{}.onnx", case.name);
        std::fs::write(folder.join(&name), &case.bytes)?;
        index.push(serde_json::json!({ "file": name, "kind": "model" }));
    }
    for file in side_files::side_files(SEED) {
        let name = format!("{}.{}", file.name, file.kind.extension());
        std::fs::write(folder.join(&name), &file.bytes)?;
        index.push(serde_json::json!({ "file": name, "kind": format!("{:?}", file.kind).to_lowercase() }));
    }
    std::fs::write(folder.join("manifest.json"), MANIFEST)?;
    std::fs::write(folder.join("good.onnx"), generate::good())?;
    std::fs::write(folder.join("gallery.npy"), side_files::good_array())?;
    std::fs::write(folder.join("gallery.csv"), side_files::table())?;
    std::fs::write(folder.join("index.json"), serde_json::to_vec_pretty(&index)?)
}
