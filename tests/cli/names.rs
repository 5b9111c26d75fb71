//! Names come from other people: none reaches a terminal raw, all survive a gallery, and what photos carry besides
//! their pixels goes nowhere.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::common::root;
use crate::program::{famlens, folder, gallery, picture, small_model, text};

/// Whether a terminal would obey something in an output.
fn is_raw(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output);
    text.chars().any(|c| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c))
}

fn checked(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!is_raw(&output.stdout), "{:?}", String::from_utf8_lossy(&output.stdout));
    assert!(!is_raw(&output.stderr), "{:?}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Names that a file system takes and that mean something to a terminal, a spreadsheet, a table or an address.
#[cfg(unix)]
const NAMES: [&str; 14] = [
    "\u{1b}[31mred\u{1b}[0m.png",
    "\u{1b}]0;title\u{7}.png",
    "\u{9b}2Jcleared.png",
    "\u{202e}gnp.exe.png",
    "two\nlines.png",
    "re\rturn\ttab.png",
    "=HYPERLINK(1).png",
    "+1.png",
    "-1.png",
    "@sum.png",
    "'=quoted'.png",
    "#1, 100% \"of\" it.png",
    "smörgås e\u{301} 日本語 🏳️‍🌈.png",
    " spaces .png",
];

#[cfg(unix)]
#[test]
fn every_name_survives_a_gallery_and_none_reaches_the_terminal_raw() {
    let at = folder("names");
    let model = small_model("names-model", "conv64f");
    // The class's folder has a name of that kind as well.
    let photos = at.join("a\u{1b}[7mclass");
    fs::create_dir_all(&photos).expect("a folder");
    for (number, name) in NAMES.iter().enumerate() {
        fs::write(photos.join(name), picture(number)).expect("a picture");
    }
    fs::write(photos.join("\u{1b}[5mbroken.png"), b"no picture").expect("a file");
    let out = at.join("g\u{1b}[1m");
    let small = ["--model", &model, "--engine", "cpu"];
    let run = |args: &[&str]| checked(famlens(&[args, &small].concat()));
    run(&["index", text(&photos), "-o", text(&out)]);
    let held = gallery(&out);
    let mut names: Vec<&str> = held.items().iter().filter_map(|item| item.name.rsplit('/').next()).collect();
    names.sort_unstable();
    let mut expected = NAMES.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);
    run(&["index", text(&photos), "-o", text(&out)]);
    assert_eq!(gallery(&out), held);

    let query = photos.join(NAMES[0]);
    let listed = run(&["search", text(&out), text(&query), "--top", "20"]);
    assert_eq!(listed.lines().count(), NAMES.len(), "one line a photo: {listed}");
    assert!(listed.contains("\\u{1b}[31mred") && listed.contains("two\\nlines.png"), "{listed}");
    let json: serde_json::Value =
        serde_json::from_str(&run(&["search", text(&out), text(&query), "--top", "20", "--json"])).expect("JSON");
    let hits = json["hits"].as_array().expect("hits");
    let cleared = photos.join(NAMES[2]);
    assert!(hits.iter().any(|hit| hit["name"] == text(&cleared)), "JSON has the names as they are");

    fs::remove_file(photos.join("\u{1b}[5mbroken.png")).expect("removed");
    let maps = at.join("maps");
    let class = format!("\u{1b}[31mred={}", text(&photos));
    let other = "\u{9b}2J=fish/fish1.jpg";
    let classes = ["--class", &class, "--class", other];
    let explain = ["explain", "--query", text(&query)];
    run(&[&explain[..], &classes, &["--out", text(&maps)]].concat());
    run(&[&explain[..], &classes, &["--json"]].concat());
    run(&[&["methods", "--methods", "fam", "--query", text(&query)], &classes[..]].concat());
    run(&[&["check"], &classes[..]].concat());
    run(&[&["mosaic", "--forms", "fam"], &classes[..]].concat());
    run(&["pair", text(&query), text(&cleared)]);
    run(&["embed", text(&photos), "--out", text(&at.join("e.npy"))]);
    let report = at.join("report");
    fs::create_dir(at.join("other")).expect("a folder");
    fs::copy(root("tests/photos/fish/fish1.jpg"), at.join("other/fish1.jpg")).expect("a photo");
    fs::copy(root("tests/photos/fish/fish9.jpg"), at.join("other/fish9.jpg")).expect("a photo");
    let evaluate = ["evaluate", "--images", text(&at), "--form", "fam", "--episodes", "5", "--out", text(&report)];
    run(&evaluate);
    let csv = fs::read(report.join("results.csv")).expect("a table");
    let mut rows = csv::Reader::from_reader(&csv[..]);
    for record in rows.records() {
        let record = record.expect("a row");
        // The figures behind the names may be negative.
        assert!(record.iter().take(6).all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{record:?}");
    }

    let missing = famlens(&["inspect", "\u{1b}[31mno\nwhere.onnx"]);
    assert!(!missing.status.success() && !is_raw(&missing.stderr));
    assert_eq!(String::from_utf8_lossy(&missing.stderr).lines().count(), 1);
}

/// A JPEG with Exif: a camera's maker, a place, and a thumbnail would all lie in that segment.
fn with_exif(photo: &[u8]) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0\x01\0".to_vec();
    // One entry: Make (0x010f), ASCII, behind the directory.
    tiff.extend([0x0f, 1, 2, 0]);
    tiff.extend((SECRET.len() as u32).to_le_bytes());
    tiff.extend(26u32.to_le_bytes());
    tiff.extend([0; 4]);
    tiff.extend(SECRET);
    let mut segment = b"Exif\0\0".to_vec();
    segment.extend(tiff);
    let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe1];
    jpeg.extend(((segment.len() + 2) as u16).to_be_bytes());
    jpeg.extend(&segment);
    jpeg.extend(&photo[2..]);
    jpeg
}

const SECRET: &[u8] = b"where I live: 52.5 N 13.4 E\0";

#[test]
fn nothing_but_pixels_goes_from_a_photo_into_an_output() {
    let at = folder("names-exif");
    let model = small_model("names-exif-model", "conv64f");
    let photos = at.join("photos/bird");
    fs::create_dir_all(&photos).expect("a folder");
    for name in ["owl", "duck", "kingfisher"] {
        let photo = fs::read(root(&format!("tests/photos/bird/{name}.jpg"))).expect("a photo");
        fs::write(photos.join(format!("{name}.jpg")), with_exif(&photo)).expect("written");
    }
    fs::create_dir(at.join("photos/fish")).expect("a folder");
    for name in ["fish1", "fish9"] {
        let photo = fs::read(root(&format!("tests/photos/fish/{name}.jpg"))).expect("a photo");
        fs::write(at.join(format!("photos/fish/{name}.jpg")), with_exif(&photo)).expect("written");
    }
    fs::write(at.join("photos/boxes.tsv"), "bird/owl.jpg\t407\t103\t614\t489\n").expect("written");
    let (owl, duck) = (photos.join("owl.jpg"), photos.join("duck.jpg"));
    let small = ["--model", &model, "--engine", "cpu"];
    let out = |name: &str| text(&at.join("out").join(name)).to_owned();
    let classes = [format!("bird={}", text(&duck)), format!("fish={}", text(&at.join("photos/fish")))];
    let classes = ["--class", &classes[0], "--class", &classes[1]];
    let query = ["--query", text(&owl)];
    fs::create_dir(at.join("out")).expect("a folder");
    let run = |args: &[&str]| checked(famlens(&[args, &small].concat()));
    let mut printed = run(&[&["explain", "--json", "--out", &out("explain")], &query[..], &classes].concat());
    printed +=
        &run(&[&["methods", "--methods", "fam", "--json", "--out", &out("sheet.png")], &query[..], &classes].concat());
    printed += &run(&[&["mosaic", "--forms", "fam", "--json", "--out", &out("mosaic")], &classes[..]].concat());
    printed += &run(&["pair", text(&owl), text(&duck), "--json", "--out", &out("pair")]);
    printed += &run(&["embed", text(&photos), "--out", &out("e.npy")]);
    printed += &run(&["index", text(&photos), "-o", &out("g")]);
    printed += &run(&["search", &out("g"), text(&owl), "--json", "--out", &out("search")]);
    let images = at.join("photos");
    printed += &run(&[
        "evaluate",
        "--images",
        text(&images),
        "--form",
        "fam",
        "--episodes",
        "5",
        "--json",
        "--out",
        &out("report"),
    ]);
    assert!(!printed.contains("where I live"));
    let mut pictures = 0;
    visit(&at.join("out"), &mut |path| {
        let bytes = fs::read(path).expect("an output");
        let holds = |what: &[u8]| bytes.windows(what.len()).any(|part| part == what);
        assert!(
            !holds(SECRET.trim_ascii_end()) && !holds(b"Exif"),
            "{} tells where the photo was taken",
            path.display()
        );
        if path.extension().is_some_and(|ending| ending == "png") {
            pictures += 1;
            assert_eq!(chunks(&bytes), ["IHDR", "IDAT", "IEND"], "{}", path.display());
        }
    });
    assert!(pictures >= 8, "{pictures} pictures are no test");
}

fn visit(folder: &Path, see: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => visit(&path, see),
            path => see(&path),
        }
    }
}

/// The kinds of chunks of a PNG file, each once.
fn chunks(png: &[u8]) -> Vec<String> {
    let (mut kinds, mut rest) = (Vec::new(), &png[8..]);
    while let [a, b, c, d, after @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        kinds.push(String::from_utf8_lossy(&after[..4]).into_owned());
        rest = &after[4 + length + 4..];
    }
    kinds.dedup();
    kinds
}

/// One place prints, so that one place makes names safe.
#[test]
fn nothing_is_printed_past_the_one_place_that_prints() {
    visit(&root("src/bin"), &mut |path| {
        let source = fs::read_to_string(path).expect("source text");
        for macro_name in ["println!(", "print!(", "dbg!(", ".println(", "stdout()", "stderr()"] {
            let prints = source.contains(macro_name) && !path.ends_with("terminal.rs");
            assert!(!prints, "{} has {macro_name}; use say! and note!", path.display());
        }
    });
}
