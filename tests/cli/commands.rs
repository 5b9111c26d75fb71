//! Each command: what it prints and writes, and what it says of wrong arguments.

use crate::common::{self, root};
use crate::program::{failure, famlens, folder, small_model, stdout};

const EXPLAIN: [&str; 9] = [
    "explain",
    "--query",
    "bird/kingfisher.jpg",
    "--class",
    "bird=bird/owl.jpg,bird/duck.jpg,bird/scarlet_macaw.jpg",
    "--class",
    "fish=fish",
    "--engine",
    "cpu",
];

#[test]
fn explain_prints_json_in_pixels_of_the_photo() {
    let output = famlens(&[&EXPLAIN[..], &["--form", "fam", "--json"]].concat());
    let value: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!((&value["predicted"], &value["form"]), (&"bird".into(), &"fam".into()));
    assert_eq!(value["classes"][0]["name"], "bird");
    let number = |v: &serde_json::Value| v.as_f64().expect("a number");
    assert!(number(&value["classes"][0]["similarity"]) > number(&value["classes"][1]["similarity"]));
    let map = &value["map"];
    assert_eq!(map["data"].as_array().map(Vec::len), Some(49));
    assert_eq!((&map["width"], &map["height"]), (&7.into(), &7.into()));
    // The kingfisher's box in boxes.tsv.
    let (x, y) = (number(&value["peak"][0]), number(&value["peak"][1]));
    assert!((211.0..480.0).contains(&x) && (43.0..389.0).contains(&y), "peak at {x}, {y}");
    let sides: Vec<f64> = value["box"].as_array().expect("a box").iter().map(number).collect();
    assert!(sides[0] < sides[2] && sides[2] <= 768.0 && sides[1] < sides[3] && sides[3] <= 432.0, "{sides:?}");
}

#[test]
fn the_form_is_the_pages_unless_another_choice_counts_only_elsewhere() {
    let form = |more: &[&str]| {
        let value: serde_json::Value =
            serde_json::from_str(&stdout(&famlens(&[&EXPLAIN[..], more, &["--json"]].concat()))).expect("JSON");
        value["form"].as_str().expect("a name").to_owned()
    };
    assert_eq!(form(&[]), "discriminative");
    assert_eq!(form(&["--similarity", "euclidean"]), "fam");
    assert_eq!(form(&["--rival", "fish"]), "contrastive");
    assert_eq!(form(&["--method", "eigen-cam"]), "fam");
}

#[test]
fn explain_writes_overlays_and_raw_maps() {
    let out = folder("explain");
    let target = out.to_str().expect("a path");
    let text = stdout(&famlens(&[&EXPLAIN[..], &["--form", "contrastive", "--out", target]].concat()));
    assert!(text.contains("\nbird "), "{text}");
    for class in ["bird", "fish"] {
        let picture = common::bytes(out.join(format!("kingfisher.{class}.contrastive.png")));
        let photo = famlens::image::decode("overlay", &picture, &Default::default()).expect("a PNG");
        assert_eq!(photo.size(), (768, 432));
        let map = common::bytes(out.join(format!("kingfisher.{class}.contrastive.npy")));
        assert_eq!(npyz::NpyFile::new(&map[..]).expect("a NumPy file").shape(), [7, 7]);
    }
}

#[test]
fn embed_writes_one_row_a_photo() {
    let out = folder("embed").join("e.npy");
    let path = out.to_str().expect("a path");
    let listed = stdout(&famlens(&["embed", "bear", "dog/dog.jpg", "--engine", "cpu", "--out", path]));
    assert_eq!(listed.lines().collect::<Vec<_>>(), ["bear/panda.jpg", "bear/polar_bear.jpg", "dog/dog.jpg"]);
    let bytes = common::bytes(&out);
    assert_eq!(npyz::NpyFile::new(&bytes[..]).expect("a NumPy file").shape(), [3, 1280]);
}

#[test]
fn pair_writes_both_sides_and_where_to_where() {
    let out = folder("pair");
    let path = out.to_str().expect("a path");
    let common = ["--engine", "cpu", "--json", "--out", path];
    let value = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&stdout(&famlens(&[&["pair"][..], args, &common].concat()))).expect("JSON")
    };
    let two = value(&["bird/owl.jpg", "bird/duck.jpg"]);
    let number = |v: &serde_json::Value| v.as_f64().expect("a number");
    let terms: Vec<f64> = two["whereToWhere"]["terms"].as_array().expect("terms").iter().map(number).collect();
    assert_eq!(terms.len(), 49 * 49);
    assert!((terms.iter().sum::<f64>() - number(&two["similarity"])).abs() < 1e-4);
    let file = common::bytes(out.join("where-to-where.npy"));
    assert_eq!(npyz::NpyFile::new(&file[..]).expect("a NumPy file").shape(), [49, 49]);
    let picture = common::bytes(out.join("pair.png"));
    assert_eq!(famlens::image::decode("pair", &picture, &Default::default()).expect("a PNG").height(), 480);

    let views = value(&["bird/owl.jpg", "--augment", "--seed", "5"]);
    assert_eq!((&views["a"]["seed"], &views["b"]["seed"]), (&5.into(), &6.into()));
    assert!(views["a"]["view"]["crop"].is_array() && views["a"]["view"] != views["b"]["view"]);
    assert_eq!(value(&["bird/owl.jpg", "--augment", "--seed", "5"])["similarity"], views["similarity"]);
    assert!(failure(&["pair", "bird/owl.jpg"]).contains("--augment"));

    // Behind the network's own head there is no sum over pairs of cells; the maps are there all the same.
    std::fs::remove_file(out.join("where-to-where.npy")).expect("it was written");
    let own = value(&["bird/owl.jpg", "bird/duck.jpg", "--head", "model"]);
    assert!(own["whereToWhere"].is_null() && !out.join("where-to-where.npy").exists());
    assert!(own["notes"].to_string().contains("no where to where"), "{}", own["notes"]);
    assert_eq!(own["b"]["map"]["data"].as_array().map(Vec::len), Some(49));
}

#[test]
fn index_resumes_and_search_ranks() {
    let out = folder("gallery");
    let gallery = out.join("g");
    let path = gallery.to_str().expect("a path");
    let index = |more: &[&str]| {
        let args = [&["index", "bird", "fish/fish1.jpg", "LICENSES.tsv", "--engine", "cpu", "-o", path], more].concat();
        let output = famlens(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let first = index(&["--jobs", "2"]);
    assert!(first.contains("0 known before, 1 skipped") && first.contains("LICENSES.tsv"), "{first}");
    let again = index(&[]);
    assert!(again.contains("(0 embedded now"), "{again}");

    let pictures = out.join("hits");
    let args = ["search", path, "bird/owl.jpg", "--top", "3", "--engine", "cpu", "--json", "--out"];
    let found = stdout(&famlens(&[&args[..], &[pictures.to_str().expect("a path")]].concat()));
    let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["hits"].as_array().map(Vec::len), Some(3));
    assert_eq!(found["hits"][0]["name"], "bird/owl.jpg");
    assert_eq!(found["hits"][0]["duplicate"]["of"], "sameFile");
    assert_eq!(found["hits"][1]["maps"]["hit"]["data"].as_array().map(Vec::len), Some(49));
    assert!(pictures.join("03.png").is_file());
    let text = stdout(&famlens(&["search", path, "bird/owl.jpg", "--engine", "cpu"]));
    assert!(text.contains("the same file as the query"), "{text}");

    // Another pooling has to be another gallery.
    let args = ["index", "bird", "--engine", "cpu", "--pooling", "gmp", "-o", path];
    assert!(failure(&args).contains("pooling gap (now gmp)"));
    let table = gallery.join("images.csv");
    let csv = String::from_utf8(common::bytes(&table)).expect("text").replace("\"weights\":\"", "\"weights\":\"0");
    std::fs::write(&table, csv).expect("written");
    assert!(failure(&["search", path, "bird/owl.jpg", "--engine", "cpu"]).contains("weights 0"));
    assert!(failure(&["search", "bird", "bird/owl.jpg"]).contains("famlens index makes one"));
}

#[test]
fn inspect_lists_targets() {
    let model = root("models/efficientnet_lite0/model.onnx");
    let text = stdout(&famlens(&["inspect", model.to_str().expect("a path")]));
    assert!(text.contains("features") && text.contains("[1, 1280, 7, 7]") && text.contains("4.63 million"), "{text}");
}

#[test]
fn inspect_draws_the_network() {
    let model = root("models/efficientnet_lite0/model.onnx");
    let model = model.to_str().expect("a path");
    let text = stdout(&famlens(&["inspect", model, "--target", "blocks.10.add"]));
    assert!(text.contains("Conv 3 x 3, depthwise, stride 2") && text.contains("blocks.10.add  <- target"), "{text}");
    assert!(
        text.contains("more layers") && text.contains("global average pooling, then Linear 1280 -> 1000"),
        "{text}"
    );
    let folded = stdout(&famlens(&["inspect", model, "--depth", "0"]));
    assert!(
        folded.lines().count() * 3 < text.lines().count() && folded.contains("after it: global average"),
        "{folded}"
    );
    let json: serde_json::Value = serde_json::from_str(&stdout(&famlens(&["inspect", model, "--json"]))).expect("JSON");
    assert_eq!(json["network"]["after"]["module"]["affine"], true);
    assert_eq!(json["network"]["blocks"][1]["label"], "blocks");
    assert!(failure(&["inspect", model, "--target", "nothing"]).contains("features"));
}

#[test]
fn failures_name_what_was_wrong() {
    assert!(failure(&["explain", "--query", "nowhere.jpg", "--class", "a=fish"]).contains("nowhere.jpg"));
    let message = failure(&["explain", "--query", "LICENSES.tsv", "--class", "a=fish"]);
    assert!(message.contains("LICENSES.tsv") && message.contains("text file"), "{message}");
    assert!(failure(&["explain", "--query", "dog/dog.jpg", "--class", "fish"]).contains("NAME=DIR_OR_FILE"));
    assert!(failure(&[&EXPLAIN[..], &["--class", "fish=fish"]].concat()).contains("other names"));
    assert!(failure(&[&EXPLAIN[..], &["--for", "cat"]].concat()).contains("bird, fish"));
    assert!(failure(&[&EXPLAIN[..], &["--target", "nothing"]].concat()).contains("features"));
    assert!(failure(&[&EXPLAIN[..], &["--form", "grad-cam"]].concat()).contains("fam, centred, contrastive"));
    let message = failure(&["inspect", "dog/dog.jpg"]);
    assert!(message.contains("ONNX"), "{message}");
    assert!(failure(&["evaluate", "--images", "fish"]).contains("sub-folders"));
}

#[test]
fn methods_are_compared_with_their_cost() {
    let folder = folder("methods");
    let sheet = folder.join("sheet.png");
    let sheet = sheet.to_str().expect("a path of plain text");
    let mut args =
        vec!["methods", "--methods", "fam,grad-cam,ablation-cam,rise", "--masks", "3", "--json", "--out", sheet];
    args.extend(&EXPLAIN[1..]);
    let value: serde_json::Value = serde_json::from_str(&stdout(&famlens(&args))).expect("JSON");
    assert_eq!((&value["predicted"], &value["score"]), (&"bird".into(), &"cosine".into()));
    let methods = value["methods"].as_array().expect("methods");
    let names: Vec<_> = methods.iter().map(|m| m["method"].as_str().expect("a name")).collect();
    assert_eq!(names, ["fam", "grad-cam", "ablation-cam", "rise"]);
    assert_eq!(methods[1]["cost"]["passes"]["backward"], 2);
    assert_eq!((&methods[3]["cost"]["passes"]["forward"], &methods[3]["map"]["width"]), (&3.into(), &224.into()));
    let picture = famlens::image::decode("sheet", &std::fs::read(sheet).expect("a sheet"), &Default::default());
    // The photo and four overlays.
    let picture = picture.expect("the sheet is a picture");
    assert!(
        picture.height() == 240 && picture.width().is_multiple_of(5) && picture.width() > 5 * 200,
        "{:?}",
        picture.size()
    );
}

#[test]
fn a_note_names_a_target_that_was_found_early() {
    let model = small_model("early-levit", "levit");
    let args = ["explain", "--model", &model, "--engine", "cpu", "--query", "bird/owl.jpg", "--class", "fish=fish"];
    let told = "\"add2\" is the last layer that famlens found";
    assert!(stdout(&famlens(&args)).contains(told));
    let named = stdout(&famlens(&[&args[..], &["--target", "add2"]].concat()));
    assert!(!named.contains(told), "it was chosen: {named}");
}

#[test]
fn one_level_of_rounding_more_or_less_is_no_difference() {
    let network = root("tests/families/dynamic_vit.onnx");
    let compared = stdout(&famlens(&["compare", network.to_str().expect("a path")]));
    assert!(compared.contains("largest difference") && !compared.contains("the first that differs"), "{compared}");
}

#[test]
fn the_usual_methods_are_those_that_apply() {
    let model = small_model("usual-dino", "dino_vit");
    let args = ["methods", "--model", &model, "--query", "bird/owl.jpg", "--json"];
    let names = |more: &[&str]| -> Vec<String> {
        let classes = ["--class", "bird=bird/duck.jpg", "--class", "fish=fish"];
        let args = [&args[..], &classes, more].concat();
        let value: serde_json::Value = serde_json::from_str(&stdout(&famlens(&args))).expect("JSON");
        let methods = value["methods"].as_array().expect("methods");
        methods.iter().map(|m| m["method"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&["--pooling", "gap"]), ["fam", "cam", "grad-cam", "eigen-cam", "score-cam", "random"]);
    // The network ends in an embedding, so that is the usual choice.
    assert_eq!(names(&[]), names(&["--pooling", "model"]));
    assert_eq!(names(&["--pooling", "model"])[0], "fam");
    assert!(!names(&["--pooling", "model"]).contains(&"cam".to_owned()));
}

#[test]
fn a_logit_of_the_models_classifier_is_explained_without_classes() {
    let args = [
        "explain",
        "--query",
        "bird/kingfisher.jpg",
        "--logit",
        "jay,tabby",
        "--method",
        "grad-cam",
        "--engine",
        "cpu",
    ];
    let value: serde_json::Value =
        serde_json::from_str(&stdout(&famlens(&[&args[..], &["--json"]].concat()))).expect("JSON");
    assert_eq!((&value["score"], &value["predicted"]), (&"logit".into(), &"jay".into()));
    let said = failure(&["explain", "--query", "bird/kingfisher.jpg", "--logit", "kingfish"]);
    assert!(said.contains("no label"), "{said}");
    assert!(failure(&["explain", "--query", "bird/kingfisher.jpg"]).contains("--class"));
}

#[test]
fn the_benchmark_of_methods_tells_how_each_grows() {
    let args = ["bench-methods", "--sizes", "64,96", "--methods", "grad-cam,occlusion", "--runs", "1", "--json"];
    let value: serde_json::Value = serde_json::from_str(&stdout(&famlens(&args))).expect("JSON");
    let rows = value["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    // Places 16 pixels apart, and the whole image.
    assert_eq!((&rows[1]["passes"]["forward"], &rows[3]["passes"]["forward"]), (&17.into(), &37.into()));
    assert!(value["growth"].as_array().is_some_and(|g| g.len() == 2 && g[1]["memory"].as_f64() > Some(0.0)));
    assert!(failure(&["bench-methods", "--sizes", "50"]).contains("multiple of 32"));
}

#[test]
fn what_can_be_chosen_is_listed_and_taken() {
    let listed = stdout(&famlens(&["choices", "similarity"]));
    assert!(listed.contains("euclidean") && listed.contains("Source: arXiv 1703.05175"), "{listed}");
    assert!(failure(&["choices", "colour"]).contains("similarity"));
    let options = ["--similarity", "euclidean", "--flip"];
    let text = stdout(&famlens(&[&EXPLAIN[..], &options].concat()));
    assert!(text.contains("score: negative squared Euclidean distance"), "{text}");
    assert!(text.contains("2 forward passes") && text.contains("constant -"), "{text}");
    let softmax = stdout(&famlens(&[&EXPLAIN[..], &["--weight-norm", "softmax"]].concat()));
    assert!(softmax.contains("nearly the plain mean"), "{softmax}");
    assert!(failure(&[&EXPLAIN[..], &["--similarity", "euclid"]].concat()).contains("euclidean"));
}

#[test]
fn a_support_set_is_checked() {
    let args = ["check", "--class", "bird=bird", "--class", "hammer=hammer", "--engine", "cpu", "--json"];
    let value: serde_json::Value = serde_json::from_str(&stdout(&famlens(&args))).expect("JSON");
    let images = value["images"].as_array().map_or(0, Vec::len);
    let counted: u64 = value["confusion"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|r| r.as_array().into_iter().flatten())
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert_eq!((counted as usize, images), (14, 14));
    assert!(value["accuracy"].as_f64().is_some_and(|a| a > 0.9), "birds are no hammers");
}

#[test]
fn quantize_calibrates_with_photos_and_says_what_it_lacks() {
    let folder = folder("quantize");
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::copy(root("tests/onnx/net_resnet.onnx"), path("model.onnx")).expect("a small float network");
    let calibrate = |rest: &[&str]| {
        let (input, output) = (path("model.onnx"), path("int8.onnx"));
        [&["quantize", &input, &output, "--calibrate"], rest].concat().iter().map(|s| s.to_string()).collect::<Vec<_>>()
    };
    let fails = |rest: &[&str]| failure(&calibrate(rest).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(fails(&["cup"]).contains("how photos are prepared"));
    let card =
        r#"{"format": 1, "name": "small", "input": {"size": 64, "mean": [127, 127, 127], "std": [128, 128, 128]}}"#;
    std::fs::write(path("model.json"), card).expect("model.json");
    std::fs::create_dir_all(path("empty")).expect("a folder");
    assert!(fails(&[&path("empty")]).contains("holds no photos"));
    assert!(fails(&["cup", "--images", "0"]).contains("nothing to calibrate with"));
    assert!(fails(&["cup", "--range", "widest"]).contains("min-max"));

    let arguments = calibrate(&["cup", "--images", "2", "--activations", "int8", "--verbose"]);
    let said = stdout(&famlens(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(said.contains("7 weights as int8 and 6 activations as int8"), "{said}");
    assert_eq!(said.lines().filter(|l| l.contains(" scale ")).count(), 6, "{said}");
    // It is a model like any other, and not one to calibrate again.
    assert!(stdout(&famlens(&["inspect", &path("int8.onnx")])).contains("Quantize"));
    let again = failure(&["quantize", &path("int8.onnx"), &path("twice.onnx"), "--calibrate", "cup"]);
    assert!(again.contains("quantized already"), "{again}");
}
