//! What a path leads to is looked at before it is read: links in circles, pipes, devices, huge files, descriptions that
//! name files elsewhere.

use std::fs::{self, File};
use std::path::Path;

use crate::program::{failure, famlens, folder, gallery, notes, picture, pictures, small_model, text};

#[cfg(unix)]
fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

/// Six gigabytes that take no room on the disk.
fn sparse(path: &Path) {
    File::create(path).and_then(|file| file.set_len(6 << 30)).expect("a file with a hole");
}

#[cfg(unix)]
#[test]
fn index_goes_on_past_everything_that_is_no_photo_and_names_it() {
    use std::os::unix::fs::symlink;
    let at = folder("reading-index");
    let model = small_model("reading-index-model", "conv64f");
    let photos = at.join("photos");
    pictures(&photos.join("deep"), 0, 2);
    fs::write(photos.join("upper.JFIF"), picture(7)).expect("a picture under another ending");
    symlink(&photos, photos.join("deep/circle")).expect("a link");
    symlink("itself.jpg", photos.join("itself.jpg")).expect("a link");
    symlink("nowhere.jpg", photos.join("dangling.jpg")).expect("a link");
    symlink("/dev/zero", photos.join("endless.jpg")).expect("a link");
    pipe(&photos.join("pipe.jpg"));
    sparse(&photos.join("hole.jpg"));
    fs::write(photos.join("scan.jp2"), b"II*\0").expect("a file");
    fs::create_dir(photos.join("folder.jpg")).expect("a folder");
    fs::write(photos.join("notes.txt"), b"no picture").expect("a file");
    let out = at.join("g");
    let said = notes(&famlens(&["index", "--model", &model, "--engine", "cpu", "-o", text(&out), text(&photos)]));
    for (name, reason) in [
        ("circle", "a symbolic link that leads back to"),
        ("itself.jpg", "a symbolic link that leads back"),
        ("dangling.jpg", "a symbolic link to something that is not there"),
        ("endless.jpg", "a device"),
        ("pipe.jpg", "a pipe"),
        ("hole.jpg", "too large: 6144 MiB, and the limit is 512 MiB"),
        ("scan.jp2", "a picture of another format (.jp2)"),
    ] {
        let told = said.lines().any(|line| line.contains("skipped: ") && line.contains(name) && line.contains(reason));
        assert!(told, "nothing of {name}: {reason}\n{said}");
    }
    assert!(said.contains("3 images") && said.contains("7 skipped"), "{said}");
    assert_eq!(gallery(&out).len(), 3);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_by_name_wherever_a_file_is_named() {
    let at = folder("reading-named");
    pipe(&at.join("query.jpg"));
    sparse(&at.join("model.onnx"));
    let (query, model) = (at.join("query.jpg"), at.join("model.onnx"));
    let explain =
        |query: &str| failure(&["explain", "--query", query, "--class", "a=fish/fish1.jpg", "--engine", "cpu"]);
    let said = explain(text(&query));
    assert!(said.contains("query.jpg: it is a pipe"), "{said}");
    assert!(explain("/dev/zero").contains("/dev/zero: it is a device"));
    assert!(explain("bird").contains("bird: it is a folder"));
    assert!(failure(&["inspect", text(&model)]).contains("model.onnx is too large: 6144 MiB"));
    assert!(failure(&["inspect", "/dev/zero"]).contains("it is a device"));
    assert!(failure(&["search", "/dev/null", "bird/owl.jpg"]).contains("famlens index makes one"));
    let boxes = ["evaluate", "--images", ".", "--boxes", text(&query)];
    assert!(failure(&boxes).contains("it is a pipe"));
}

#[test]
fn a_description_names_files_of_its_own_folder_only() {
    let model = small_model("reading-description", "conv64f");
    let card = Path::new(&model).join("model.json");
    let plain = fs::read_to_string(&card).expect("model.json");
    let with = |fields: &str| {
        fs::write(&card, plain.replacen('{', &format!("{{{fields}, "), 1)).expect("written");
        failure(&["embed", "fish/fish1.jpg", "--model", &model, "--out", "/dev/null"])
    };
    for outside in ["../model.onnx", "/dev/zero", "weights/../../model.onnx"] {
        let said = with(&format!("\"file\": {outside:?}"));
        assert!(said.contains("reading-description") && said.contains(outside), "{said}");
        assert!(said.contains("not in the same folder"), "{said}");
    }
    let said = with(r#""class_specific": {"layer": "relu3", "statistics": "/etc/passwd"}"#);
    assert!(said.contains("/etc/passwd") && said.contains("not in the same folder"), "{said}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/dev/zero", Path::new(&model).join("endless.onnx")).expect("a link");
        let said = with(r#""file": "endless.onnx""#);
        assert!(said.contains("endless.onnx: it is a device"), "{said}");
    }
}
