//! What the fuzz targets of `tests/fuzz` have found, and the seeds they start from: run as an ordinary test, so that
//! none comes back. `cargo xtask fuzz` looks for more.

mod common;
#[path = "fuzz/checks/importer.rs"]
mod importer;
#[path = "fuzz/checks/kernels.rs"]
mod kernels;
#[path = "fuzz/checks/passes.rs"]
mod passes;
#[path = "fuzz/checks/recipe.rs"]
mod recipe;
#[path = "fuzz/checks/values.rs"]
mod values;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the check on every file of these folders and names all that fail.
fn each(folders: &[&str], least: usize, check: fn(&[u8])) {
    let entries = folders.iter().filter_map(|f| std::fs::read_dir(common::root(f)).ok()).flatten();
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_none_or(|e| e == "onnx"));
    files.sort();
    assert!(files.len() >= least, "only {} files in {folders:?}", files.len());
    let failed: Vec<_> =
        files.iter().filter(|file| catch_unwind(AssertUnwindSafe(|| check(&common::bytes(file)))).is_err()).collect();
    assert!(failed.is_empty(), "{} of {} files failed: {failed:?}", failed.len(), files.len());
}

#[test]
fn the_importer_takes_what_was_found() {
    each(&["tests/fuzz/found/importer", "tests/onnx"], 100, importer::check);
}

#[test]
fn the_passes_take_what_was_found() {
    each(&["tests/fuzz/found/passes"], 1, passes::check);
}

/// Recipes that the fuzzer did not choose: as many as are quick.
#[test]
fn the_passes_keep_the_answers_of_random_graphs() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        let recipe: Vec<u8> = (0..random.usize(8..120)).map(|_| random.u8(..)).collect();
        if catch_unwind(|| passes::check(&recipe)).is_err() {
            panic!("fails for the recipe {recipe:?}");
        }
    }
}

#[test]
fn the_kernels_take_what_was_found() {
    each(&["tests/fuzz/found/kernels", "tests/fuzz/found/passes"], 1, kernels::check);
}

/// As above, on the kernels of every instruction set of this machine.
#[test]
fn the_kernels_give_the_answers_of_the_reference() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..600 {
        let recipe: Vec<u8> = (0..random.usize(8..90)).map(|_| random.u8(..)).collect();
        if catch_unwind(|| kernels::check(&recipe)).is_err() {
            panic!("fails for the recipe {recipe:?}");
        }
    }
}
