//! A gallery keeps what it has: adding, replacing, running twice at once, being killed.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::program::{command, failure, famlens, folder, gallery, notes, pictures, small_model, text};

/// `famlens index` of those arguments with a small network.
fn index(model: &str, args: &[&str]) -> String {
    notes(&famlens(&[&["index", "--model", model, "--engine", "cpu"], args].concat()))
}

fn names(folder: &Path) -> Vec<String> {
    let name = |item: &famlens::tasks::retrieval::Item| item.name.rsplit('/').next().unwrap_or_default().to_owned();
    gallery(folder).items().iter().map(name).collect()
}

#[test]
fn indexing_another_folder_adds_to_the_gallery_and_replaces_it_only_if_told_to() {
    let at = folder("gallery-merge");
    let model = small_model("gallery-merge-model", "conv64f");
    let [a, b, g] = ["a", "b", "g"].map(|name| at.join(name));
    pictures(&a, 0, 4);
    pictures(&b, 10, 2);
    let [a, b, out] = [&a, &b, &g].map(|path| text(path));
    index(&model, &[a, "-o", out]);
    let said = index(&model, &[b, "-o", out]);
    assert!(said.contains("6 images") && said.contains("2 embedded now, 4 known before, 0 skipped"), "{said}");
    assert_eq!(names(&g), ["000.png", "001.png", "002.png", "003.png", "010.png", "011.png"]);

    // The same again changes nothing, not even the files' times.
    let before = fs::metadata(g.join("images.csv")).and_then(|m| m.modified()).expect("a time");
    index(&model, &[b, a, "-o", out]);
    assert_eq!(fs::metadata(g.join("images.csv")).and_then(|m| m.modified()).expect("a time"), before);

    // A photo that was moved keeps its row, and one that has changed is another one.
    fs::rename(at.join("a/000.png"), at.join("a/moved.png")).expect("moved");
    fs::copy(at.join("b/010.png"), at.join("a/copy.png")).expect("copied");
    pictures(&at.join("c"), 50, 1);
    fs::rename(at.join("c/050.png"), at.join("a/001.png")).expect("changed");
    let said = index(&model, &[a, "-o", out]);
    assert!(said.contains("8 images") && said.contains("1 embedded now"), "{said}");
    let expected = ["moved.png", "001.png", "002.png", "003.png", "010.png", "011.png", "001.png", "copy.png"];
    assert_eq!(names(&g), expected);

    index(&model, &[a, "-o", out, "--replace"]);
    assert_eq!(names(&g), ["001.png", "002.png", "003.png", "copy.png", "moved.png"]);
    let mut left: Vec<_> = fs::read_dir(&g).expect("a folder").flatten().map(|e| e.file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", "embeddings.npy", "images.csv"]);
}

#[test]
fn a_gallery_that_cannot_be_added_to_is_refused_and_replaced_if_told_to() {
    let at = folder("gallery-refused");
    let model = small_model("gallery-refused-model", "conv64f");
    pictures(&at.join("a"), 0, 2);
    let (photos, out) = (at.join("a"), at.join("g"));
    let (photos, out) = (text(&photos), text(&out));
    index(&model, &[photos, "-o", out]);
    let other = ["index", "--model", &model, "--engine", "cpu", "--pooling", "gmp", photos, "-o", out];
    let said = failure(&other);
    assert!(said.contains("(now gmp)") && said.contains("--replace"), "{said}");
    let said = notes(&famlens(&[&other[..], &["--replace"]].concat()));
    assert!(said.contains("this run replaces the gallery") && said.contains("2 embedded now"), "{said}");

    // What an older famlens left when it was killed between its two files: the array is newer than the table.
    let table = fs::read_to_string(at.join("g/images.csv")).expect("a table");
    pictures(&at.join("a"), 5, 1);
    notes(&famlens(&other));
    fs::write(at.join("g/images.csv"), table).expect("the old table");
    let said = failure(&other);
    assert!(said.contains("another moment") && said.contains("--replace"), "{said}");
    notes(&famlens(&[&other[..], &["--replace"]].concat()));
    assert_eq!(names(&at.join("g")).len(), 3);
}

#[test]
fn galleries_of_the_first_format_are_added_to() {
    let at = folder("gallery-old");
    let model = small_model("gallery-old-model", "conv64f");
    pictures(&at.join("a"), 0, 2);
    let (photos, out) = (at.join("a"), at.join("g"));
    index(&model, &[text(&photos), "-o", text(&out)]);
    let table = fs::read_to_string(out.join("images.csv")).expect("a table");
    let (heading, rows) = table.split_once('\n').expect("two lines");
    let cut = heading.find(",\"format\"").expect("its format");
    fs::write(out.join("images.csv"), format!("{}}}\n{rows}", &heading[..cut])).expect("a table of the first format");
    pictures(&at.join("b"), 5, 1);
    let said = index(&model, &[text(&at.join("b")), "-o", text(&out)]);
    assert!(said.contains("3 images") && said.contains("1 embedded now"), "{said}");
}

#[test]
fn two_runs_at_once_both_get_in() {
    let at = folder("gallery-twice");
    let model = small_model("gallery-twice-model", "conv64f");
    let out = at.join("g");
    let start = |name: &str, first: usize| {
        pictures(&at.join(name), first, 25);
        let mut index = command();
        index.args(["index", "--model", &model, "--engine", "cpu", "--jobs", "1", "--save-every", "0", "-o"]);
        index.arg(&out).arg(at.join(name)).stderr(Stdio::null()).spawn().expect("the command line starts")
    };
    let mut runs = [start("a", 0), start("b", 100)];
    for run in &mut runs {
        assert!(run.wait().expect("it ends").success());
    }
    let mut names = names(&out);
    names.sort();
    let expected: Vec<String> = (0..25).chain(100..125).map(|n| format!("{n:03}.png")).collect();
    assert_eq!(names, expected);
}
