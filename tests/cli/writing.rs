//! Outputs are whole or not there: what a full disk, a limit or a device does to them.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::program::{command, failure, famlens, folder, notes, pictures, small_model, stdout, text};

/// The program where no file may grow beyond so many blocks of 512 bytes: what the system does on a full disk.
#[cfg(unix)]
fn limited(blocks: u32, args: &[&str]) -> Output {
    let mut shell = std::process::Command::new("sh");
    // Without the signal, writing fails as it does on a full disk.
    shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"")).arg("sh");
    shell.arg(command().get_program()).args(args).current_dir(crate::common::root("tests/photos"));
    shell.output().expect("a shell")
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let mut names: Vec<String> = entries.iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn no_half_output_is_left_where_there_is_no_room() {
    let at = folder("writing-limited");
    let model = small_model("writing-limited-model", "conv64f");
    let (out, sheet) = (at.join("out"), at.join("sheet.png"));
    let classes =
        ["--class", "bird=bird/owl.jpg", "--class", "fish=fish/fish1.jpg", "--model", &model, "--engine", "cpu"];
    let query = ["--query", "bird/duck.jpg"];
    let commands: [&[&str]; 4] = [
        &["explain", "--out", text(&out)],
        &["methods", "--methods", "fam,cam", "--pooling", "gap", "--out", text(&sheet)],
        &["mosaic", "--forms", "fam", "--out", text(&out)],
        &["pair", "bird/owl.jpg", "bird/duck.jpg", "--model", &model, "--engine", "cpu", "--out", text(&out)],
    ];
    for command in commands {
        let rest = match command[0] {
            "pair" => Vec::new(),
            "mosaic" => classes.to_vec(),
            _ => [&query[..], &classes].concat(),
        };
        let said = limited(16, &[command, &rest].concat());
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains("there is no room for it") && said.contains(".png"), "{command:?}: {said}");
        let left: Vec<String> = files(&out).into_iter().chain(files(&at)).collect();
        assert!(left.iter().all(|name| name == "out" || name.ends_with(".npy")), "{command:?} left {left:?}");
        for name in files(&out) {
            let array = fs::read(out.join(name)).expect("an array");
            npyz::NpyFile::new(&array[..]).expect("whole").into_vec::<f32>().expect("all its values");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_gallery_that_finds_no_room_stays_as_it_was() {
    let at = folder("writing-gallery");
    let model = small_model("writing-gallery-model", "conv64f");
    let (photos, out) = (at.join("a"), at.join("g"));
    pictures(&photos, 0, 3);
    let args = ["index", "--model", &model, "--engine", "cpu", text(&photos), "-o", text(&out)];
    notes(&famlens(&args));
    let before = ["embeddings.npy", "images.csv"].map(|name| fs::read(out.join(name)).expect("a gallery"));
    pictures(&photos, 50, 30);
    let said = limited(2, &args);
    assert!(!said.status.success());
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("there is no room for it"), "{said}");
    let after = ["embeddings.npy", "images.csv"].map(|name| fs::read(out.join(name)).expect("a gallery"));
    assert!(before == after, "the gallery has changed");
    assert_eq!(files(&out), [".lock", "embeddings.npy", "images.csv"]);
}

#[test]
fn an_output_that_was_there_is_replaced_whole_and_a_link_stays_a_link() {
    let at = folder("writing-replaced");
    let model = small_model("writing-replaced-model", "conv64f");
    let array = at.join("e.npy");
    let embed =
        |out: &Path| famlens(&["embed", "fish/fish1.jpg", "--model", &model, "--engine", "cpu", "--out", text(out)]);
    fs::write(&array, vec![7; 100_000]).expect("written");
    stdout(&embed(&array));
    let bytes = fs::read(&array).expect("an array");
    assert_eq!(npyz::NpyFile::new(&bytes[..]).expect("whole").shape()[0], 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        let fresh = at.join("fresh.npy");
        stdout(&embed(&fresh));
        fs::write(at.join("plain"), b"").expect("written");
        assert_eq!(mode(&fresh), mode(&at.join("plain")), "a new file has the rights that the system gives");
        fs::set_permissions(&array, fs::Permissions::from_mode(0o640)).expect("set");
        symlink("e.npy", at.join("link.npy")).expect("a link");
        fs::write(&array, b"old").expect("written");
        stdout(&embed(&at.join("link.npy")));
        assert!(at.join("link.npy").is_symlink() && fs::read(&array).expect("an array") == bytes);
        assert_eq!(mode(&array), 0o640);
    }
    assert_eq!(files(&at).iter().filter(|name| name.starts_with(".famlens")).count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_written_into_and_say_when_they_are_full() {
    let model = small_model("writing-device-model", "conv64f");
    let args = |out: &'static str| {
        ["embed", "fish/fish1.jpg", "--model", &model, "--engine", "cpu", "--out", out].map(str::to_owned)
    };
    let strs = |args: &[String; 8]| args.iter().map(String::as_str).map(str::to_owned).collect::<Vec<_>>();
    let call = |out| strs(&args(out));
    let owned = call("/dev/null");
    stdout(&famlens(&owned.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(!fs::metadata("/dev/null").expect("it is still there").is_file());
    let owned = call("/dev/full");
    let said = failure(&owned.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(said.contains("/dev/full: there is no room for it"), "{said}");

    let full = fs::File::options().write(true).open("/dev/full").expect("a full device");
    let output = command().arg("choices").stdout(full).output().expect("the command line starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("the output cannot be written"), "{said}");
}
