//! Decisions as the program tells them: none of these, and what covering a part does.

use crate::program::{failure, famlens, stdout};

/// A windmill among birds and fish: a photo of a class that is not shown.
const STRANGER: [&str; 10] = [
    "--query",
    "windmill/windmill1.jpg",
    "--class",
    "Bird=bird/owl.jpg,bird/duck.jpg,bird/scarlet_macaw.jpg",
    "--class",
    "Fish=fish/fish1.jpg,fish/fish3.jpg,fish/fish6.jpg",
    "--engine",
    "cpu",
    "--form",
    "discriminative",
];

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&stdout(&famlens(args))).expect("JSON")
}

#[test]
fn a_photo_of_no_class_is_none_of_these() {
    let text = stdout(&famlens(&[&["explain"], &STRANGER[..]].concat()));
    assert!(text.starts_with("None of these. It is not like your photos of any class. "), "{text}");
    let value = json(&[&["explain"], &STRANGER[..], &["--json"]].concat());
    let decision = &value["decision"];
    assert_eq!((&decision["class"], &decision["known"]), (&serde_json::Value::Null, &false.into()));
    assert!(decision["evidence"].as_f64() < decision["bound"].as_f64(), "{decision}");
    assert!(text.contains(decision["says"].as_str().expect("words")), "the same words in both");
    // Noise is not drawn like evidence: the scale reaches what the classes' own photos have.
    assert_eq!(value["scale"]["highSays"], "as in your own photos");
}

#[test]
fn what_if_compares_the_map_with_what_happens() {
    let whole = ["--box", "0,0,100000,100000"];
    let value = json(&[&["what-if"], &STRANGER[..8], &whole, &["--form", "fam", "--json"]].concat());
    assert_eq!(value["covered"], 1.0);
    for class in value["classes"].as_array().expect("classes") {
        // A photo that is covered as a whole is what predictions are measured by.
        let [predicted, measured] = ["predicted", "measured"].map(|name| class[name].as_f64().expect("a number"));
        assert!((predicted - measured).abs() < 1e-9 && measured < 0.0, "{class}");
    }
    let text =
        stdout(&famlens(&[&["what-if"], &STRANGER[..8], &["--box", "20,20,90,120"], &["--with", "blur"]].concat()));
    assert!(text.contains("Bird: ") && text.contains("measured ") && text.contains("The covered photo: "), "{text}");
    let wrong = failure(&[&["what-if"], &STRANGER[..8], &["--box", "9000,0,9001,5"]].concat());
    assert!(wrong.contains("9000,0,9001,5 has no area on the photo of"), "{wrong}");
}
