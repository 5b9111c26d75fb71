//! Calling the program: what the suites of the command line share.
#![allow(dead_code, reason = "every suite uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::root;

/// The program, from the folder of the repository's photos.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_famlens"));
    command.current_dir(root("tests/photos"));
    command
}

pub fn famlens(args: &[&str]) -> Output {
    command().args(args).output().expect("the command line starts")
}

/// What it prints; it must not fail.
pub fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// What it notes on standard error; it must not fail.
pub fn notes(output: &Output) -> String {
    stdout(output);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it says when it fails; it must fail.
pub fn failure(args: &[&str]) -> String {
    let output = famlens(args);
    assert!(!output.status.success(), "{args:?} should fail");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder of this test's own.
pub fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a folder for the test's files");
    path
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain text")
}

/// The folder of a small network of one's own, with a model.json that leaves the target layer open.
pub fn small_model(name: &str, family: &str) -> String {
    let model = folder(name);
    fs::copy(root(&format!("tests/families/{family}.onnx")), model.join("model.onnx")).expect("a copy");
    let manifest =
        r#"{"format": 1, "name": "small", "input": {"mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5]}}"#;
    fs::write(model.join("model.json"), manifest).expect("a file");
    text(&model).to_owned()
}

/// Small pictures of noise, no two alike: `count` of them in a folder, from that number on.
pub fn pictures(folder: &Path, first: usize, count: usize) {
    fs::create_dir_all(folder).expect("a folder");
    for number in first..first + count {
        fs::write(folder.join(format!("{number:03}.png")), picture(number)).expect("a picture");
    }
}

/// One such picture as PNG.
pub fn picture(number: usize) -> Vec<u8> {
    let mut state = number as u32 * 2 + 1;
    let mut noise = || {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        (state >> 24) as u8
    };
    let rgb = (0..40 * 30 * 3).map(|_| noise()).collect();
    let photo = famlens::image::Photo::from_rgb(40, 30, rgb).expect("a picture");
    famlens::image::encode_png(&photo).expect("PNG")
}

/// The names in a gallery, by the library's own reader, in their order.
pub fn gallery(folder: &Path) -> famlens::tasks::retrieval::Gallery {
    let csv = fs::read_to_string(folder.join("images.csv")).expect("a table");
    let npy = fs::read(folder.join("embeddings.npy")).expect("an array");
    famlens::tasks::retrieval::Gallery::from_files(&npy, &csv).expect("a gallery")
}
