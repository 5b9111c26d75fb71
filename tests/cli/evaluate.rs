//! `famlens evaluate` as a user calls it: what it writes, that it goes on where it was stopped, and the formats it
//! reads.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::{self, root};
use crate::program::{folder, stdout, text};

fn evaluate(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_famlens"));
    command.arg("evaluate").args(args).args(["--engine", "cpu"]).output().expect("the command line starts")
}

/// Copies some of the repository's photos.
fn copy(to: &Path, photos: &[(&str, &str)]) {
    for (from, name) in photos {
        let target = to.join(name);
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        fs::copy(root("tests/photos").join(from), target).expect("a photo");
    }
}

const PHOTOS: [(&str, &str); 7] = [
    ("bird/kingfisher.jpg", "bird/kingfisher.jpg"),
    ("bird/owl.jpg", "bird/owl.jpg"),
    ("bird/duck.jpg", "bird/duck.jpg"),
    ("fish/fish1.jpg", "fish/fish1.jpg"),
    ("fish/fish9.jpg", "fish/fish9.jpg"),
    ("fish/fish25.jpg", "fish/fish25.jpg"),
    ("hammer/hammer1.jpg", "hammer/hammer1.jpg"),
];

fn results(out: &Path) -> Value {
    serde_json::from_slice(&common::bytes(out.join("results.json"))).expect("JSON")
}

/// The mean of a figure of the aggregate over all sizes.
fn mean<'a>(results: &'a Value, table: &str, variant: &str, figure: &str) -> &'a Value {
    let found =
        results["aggregates"].as_array().expect("aggregates").iter().find(|a| {
            a["table"].as_str() == Some(table) && a["variant"].as_str() == Some(variant) && a["size"].is_null()
        });
    &found.unwrap_or_else(|| panic!("no aggregate of {variant} in {table}"))["values"][figure]["mean"]
}

#[test]
fn a_folder_becomes_rows_aggregates_and_a_report_and_a_second_run_measures_nothing_again() {
    let (images, out) = (folder("evaluate-images"), folder("evaluate-out"));
    copy(&images, &PHOTOS);
    copy(&images, &[("hammer/hammer2.jpg", "hammer/hammer2.jpg")]);
    fs::write(images.join("fish/broken.jpg"), b"no photo").expect("written");
    let table = "file\tx0\ty0\tx1\ty1\nbird/kingfisher.jpg\t211\t43\t480\t389\nbird/owl.jpg\t407\t103\t614\t489\n";
    fs::write(images.join("boxes.tsv"), table).expect("written");
    let (images, target) = (images.to_str().expect("a path"), out.to_str().expect("a path"));
    let args = [
        "--images",
        images,
        "--out",
        target,
        "--shots",
        "2",
        "--form",
        "fam,contrastive",
        "--mosaics",
        "2",
        "--faithfulness",
        "--steps",
        "2",
        "--randomise",
        "48",
        "--episodes",
        "20",
        "--ways",
        "2",
    ];
    let text = stdout(&evaluate(&args));
    assert!(text.contains("localisation (squash)") && text.contains("broken.jpg"), "{text}");
    let found = results(&out);
    let rows = found["rows"].as_array().expect("rows");
    let of =
        |table: &str, variant: &str| rows.iter().filter(|r| r["table"] == table && r["variant"] == variant).count();
    assert_eq!((of("localisation", "fam"), of("localisation", "contrastive")), (2, 2));
    assert_eq!(of("localisation", "floor: whole photo"), 2);
    assert_eq!((of("decision", "fam"), of("faithfulness", "fam"), of("faithfulness", "control: shuffled")), (6, 8, 8));
    // Three classes do not fill 3 x 3, and 2 x 2 needs four.
    assert_eq!(rows.iter().filter(|r| r["table"].as_str().is_some_and(|t| t.starts_with("mosaic"))).count(), 0);
    assert_eq!(of("comparison", "fam"), 8);
    // The owl's box is 207 x 386 of 768 x 512 pixels.
    let whole = mean(&found, "localisation", "floor: whole photo", "iou").as_f64().expect("a number");
    let expected = (269.0 * 346.0 / (768.0 * 432.0) + 207.0 * 386.0 / (768.0 * 512.0)) / 2.0;
    assert!((whole - expected).abs() < 1e-6, "{whole} is not {expected}");
    let fam = mean(&found, "localisation", "fam", "iou").as_f64().expect("a number");
    assert!(fam > whole, "{fam} is no better than the whole photo's {whole}");
    let random = mean(&found, "comparison", "fam", "pearson").as_f64().expect("a number");
    assert!(random < 0.9, "the map does not depend on the weights: {random}");
    assert!(
        found["skipped"]
            .as_array()
            .is_some_and(|s| s.len() == 1 && s[0].as_str().is_some_and(|s| s.contains("broken.jpg")))
    );

    let csv = fs::read_to_string(out.join("results.csv")).expect("CSV");
    assert_eq!(csv.lines().count(), rows.len() + 1);
    let html = fs::read_to_string(out.join("report.html")).expect("HTML");
    assert!(html.contains("<svg") && html.contains("data:image/jpeg;base64,") && !html.contains("src=\"http"));

    let before = common::bytes(out.join("progress.jsonl"));
    stdout(&evaluate(&args));
    assert!(common::bytes(out.join("progress.jsonl")) == before, "a finished run measures nothing again");
    // Stopped in the middle: half of the lines are gone, and one is cut.
    fs::write(out.join("progress.jsonl"), &before[..before.len() / 2]).expect("written");
    stdout(&evaluate(&args));
    assert_eq!(results(&out)["aggregates"], found["aggregates"]);
    // One more variant adds its own lines and no others.
    let more = [&args[..], &["--variant", "cam={\"form\": \"cam\"}"]].concat();
    stdout(&evaluate(&more));
    let after = results(&out);
    assert_eq!(after["rows"].as_array().map(|r| r.len()), Some(rows.len() + 8 + 8 + 8));
    assert_eq!(mean(&after, "localisation", "fam", "iou"), mean(&found, "localisation", "fam", "iou"));
}

/// Photos of the page's examples, with their boxes, and the rows that `tests/web/suites/evaluate.test.mjs` expects of
/// the page: both draw the same supports and measure the same. `FAMLENS_GOLDENS=write` writes the rows anew.
#[test]
fn the_page_and_the_command_line_measure_the_same() {
    let images = folder("evaluate-examples");
    let path = root("tests/goldens/evaluate/rows.json");
    let mut golden: Value = serde_json::from_slice(&common::bytes(&path)).expect("JSON");
    let mut boxes = String::new();
    for photo in golden["photos"].as_array().expect("photos") {
        let [file, path] = ["file", "path"].map(|key| photo[key].as_str().expect("a name"));
        let target = images.join(path);
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        fs::copy(root("www/examples").join(file), target).expect("an example");
        if let Some(sides) = photo["box"].as_array() {
            let sides: Vec<String> = sides.iter().map(ToString::to_string).collect();
            boxes += &format!("{path}\t{}\n", sides.join("\t"));
        }
    }
    fs::write(images.join("boxes.tsv"), boxes).expect("written");
    let shots = golden["shots"].to_string();
    let args =
        ["--images", text(&images), "--shots", &shots, "--form", "fam", "--episodes", "5", "--ways", "2", "--json"];
    let found: Value = serde_json::from_str(&stdout(&evaluate(&args))).expect("JSON");
    let rows = found["rows"].as_array().expect("rows").iter().filter(|row| row["variant"] == "fam");
    let measures = ["correct", "wrong", "energy"];
    let row = |row: &Value| {
        let values = measures.iter().filter_map(|name| Some((name.to_string(), row["values"].get(*name)?.clone())));
        let values: serde_json::Map<String, Value> = values.collect();
        serde_json::json!({ "table": row["table"], "image": row["image"], "values": values })
    };
    let rows: Vec<Value> = rows.map(row).collect();
    if std::env::var("FAMLENS_GOLDENS").is_ok_and(|how| how == "write") {
        golden["rows"] = rows.into();
        let text = serde_json::to_string_pretty(&golden).expect("JSON");
        fs::write(&path, format!("{text}\n")).expect("written");
        return;
    }
    let expected = golden["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!((&row["table"], &row["image"]), (&expected["table"], &expected["image"]));
        for (name, value) in expected["values"].as_object().expect("values") {
            let [found, value] = [&row["values"][name], value].map(|v| v.as_f64().expect("a number"));
            assert!((found - value).abs() < 2e-3, "{}, {name}: {found} is not {value}", row["image"]);
        }
    }
}

#[test]
fn photos_without_folders_take_their_class_from_voc_files() {
    let (images, boxes) = (folder("evaluate-flat"), folder("evaluate-voc"));
    let flat: Vec<(&str, String)> = PHOTOS.iter().map(|(from, name)| (*from, name.replace('/', "_"))).collect();
    copy(&images, &flat.iter().map(|(from, name)| (*from, name.as_str())).collect::<Vec<_>>());
    for (_, name) in &flat {
        let label = name.split('_').next().expect("a class");
        // Twice the photo's size, as if it had been annotated before it was scaled down.
        let photo =
            famlens::image::decode(name, &common::bytes(images.join(name)), &Default::default()).expect("a photo");
        let (w, h) = (photo.width() * 2, photo.height() * 2);
        let xml = format!(
            "<annotation><filename>{name}</filename><size><width>{w}</width><height>{h}</height></size><object><name>{label}</name>\
             <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>{h}</ymax></bndbox></object></annotation>",
            w / 2
        );
        fs::write(boxes.join(name.replace(".jpg", ".xml")), xml).expect("written");
    }
    let args = [
        "--images",
        images.to_str().expect("a path"),
        "--boxes",
        boxes.to_str().expect("a path"),
        "--shots",
        "1",
        "--json",
    ];
    let found: Value = serde_json::from_str(&stdout(&evaluate(&args))).expect("JSON");
    // The only hammer has no support and is not explained.
    let whole = mean(&found, "localisation", "floor: whole photo", "iou").as_f64().expect("a number");
    assert!((whole - 0.5).abs() < 0.01, "{whole}");
    assert_eq!(found["rows"].as_array().expect("rows").iter().filter(|r| r["variant"] == "centred").count(), 6);
}

#[test]
fn masks_are_measured_beside_boxes() {
    let (images, masks) = (folder("evaluate-mask-images"), folder("evaluate-masks"));
    copy(&images, &PHOTOS[..6]);
    fs::write(images.join("boxes.tsv"), "bird/kingfisher.jpg\t211\t43\t480\t389\n").expect("written");
    // The box as a mask, at a quarter of the size.
    let inside = |x: u32, y: u32| (53..120).contains(&x) && (11..97).contains(&y);
    let rgb = (0..192 * 108).flat_map(|i| [if inside(i % 192, i / 192) { 255 } else { 0 }; 3]).collect();
    let mask = famlens::image::Photo::from_rgb(192, 108, rgb).expect("a picture");
    fs::create_dir_all(masks.join("bird")).expect("a folder");
    fs::write(masks.join("bird/kingfisher.png"), famlens::image::encode_png(&mask).expect("PNG")).expect("written");
    let args = [
        "--images",
        images.to_str().expect("a path"),
        "--masks",
        masks.to_str().expect("a path"),
        "--form",
        "fam",
        "--json",
    ];
    let found: Value = serde_json::from_str(&stdout(&evaluate(&args))).expect("JSON");
    let figure = |name: &str| mean(&found, "localisation", "fam", name).as_f64().expect("a number");
    assert!((figure("energy") - figure("maskEnergy")).abs() < 0.02, "a mask of the box's shape holds the box's energy");
    assert!(figure("maskIou") > 0.3 && (figure("maskPointing") - figure("pointing")).abs() < 1e-9);
}

#[test]
fn what_is_wrong_is_named() {
    let photos = root("tests/photos");
    let failure = |args: &[&str]| {
        let output = evaluate(&[&["--images", photos.to_str().expect("a path")], args].concat());
        assert!(!output.status.success(), "{args:?} should fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(failure(&["--classes", "unicorn"]).contains("unicorn"));
    assert!(failure(&["--form", "nothing"]).contains("nothing"));
    assert!(failure(&["--variant", "x"]).contains("NAME=JSON"));
    assert!(failure(&["--boxes", "/nowhere.tsv"]).contains("nowhere"));
    assert!(
        failure(&["--randomise", "9000", "--classes", "bird,fish", "--only-boxed"]).contains("layers with weights")
    );
}
