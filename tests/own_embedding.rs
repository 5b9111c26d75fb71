//! FAM of a network's own embedding, behind attention or as a class token, against torch's autograd
//! (tests/goldens/make_own.py).

mod common;

use common::{bytes, golden, json, npy, relative_error, root};
use famlens::fam::head::HeadChoice;
use famlens::fam::{Form, PoolingChoice, Similarity};
use famlens::image::{Limits, Photo, decode};
use famlens::methods::Method;
use famlens::session::{Class, EngineChoice, ExplainOptions, ImageId, Model, Session, keep_going};
use famlens::tasks::few_shot::Centre;
use famlens::tasks::retrieval::Gallery;
use famlens::{Error, Result};
use pollster::block_on;

/// The networks, with the layer that the default choice comes to.
const NETWORKS: [(&str, &str); 3] = [("clip_resnet", "relu11"), ("clip_vit", "add15"), ("dino_vit", "add24")];

fn session(name: &str, choice: EngineChoice) -> Option<(Session, [ImageId; 2], serde_json::Value)> {
    let golden_of = json(golden("own/index.json"))[name].clone();
    let side = golden_of["size"].as_u64().expect("a size");
    let text = format!(
        r#"{{"format": 1, "name": "{name}", "input": {{"size": {side}, "stride": 8, "mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5]}}}}"#
    );
    let model = Model::new(&text, &bytes(root(&format!("tests/families/{name}.onnx")))).expect("the network loads");
    let mut session = match block_on(Session::new(model, choice)) {
        Ok(session) => session,
        Err(Error::NoGpu { reason }) => {
            assert!(std::env::var_os("FAMLENS_REQUIRE_GPU").is_none(), "a GPU is required: {reason}");
            eprintln!("SKIPPED: no GPU here: {reason}");
            return None;
        }
        Err(other) => panic!("{other}"),
    };
    let ids = ["query", "support"].map(|file| {
        let file = format!("own/{file}.png");
        let photo = decode(&file, &bytes(golden(&file)), &Limits::default()).expect("a golden's input decodes");
        let photo = corner(&photo, side as usize).expect("it is as large as the input");
        session.add_image(&file, &photo).expect("it fits")
    });
    Some((session, ids, golden_of))
}

/// The upper left corner of a photo.
fn corner(photo: &Photo, side: usize) -> Result<Photo> {
    let rows = photo.rgb().chunks(3 * photo.width() as usize).take(side);
    Photo::from_rgb(side as u32, side as u32, rows.flat_map(|row| &row[..3 * side]).copied().collect())
}

fn own(form: Form) -> ExplainOptions {
    ExplainOptions { form, pooling: Some(PoolingChoice::Model), ..ExplainOptions::default() }
}

#[test]
fn explanations_equal_torchs_autograd_on_both_engines() {
    for (name, layer) in NETWORKS {
        for choice in [EngineChoice::Cpu, EngineChoice::Gpu] {
            let Some((mut session, [query, support], expected)) = session(name, choice) else { continue };
            let classes = [Class::new("it", [support])];
            let similarity = expected["similarity"].as_f64().expect("a number");
            let [contributions, slopes, map] =
                ["contributions", "slopes", "map"].map(|what| npy(&format!("own/{name}_{what}.npy")));

            let found = block_on(session.explain(query, &classes, &own(Form::Faithful))).expect("it can be explained");
            assert_eq!(found.target, layer, "{name}");
            let off = (found.classes[0].similarity - similarity).abs();
            assert!(off < 1e-4, "{name}: similarity off by {off}");
            let off = relative_error(&found.contributions[0], contributions.data());
            assert!(off < 1e-3, "{name}: contributions off by {off}");
            let off = relative_error(&found.maps[0].map.data, map.data());
            assert!(off < 1e-3, "{name}: map off by {off}");
            let carried: f32 = found.contributions[0].iter().sum();
            let rest = found.classes[0].similarity - found.classes[0].constant - f64::from(carried);
            assert!((found.classes[0].residual - rest).abs() < 1e-6, "{name}: the residual is what is missed");
            assert!(found.notes.iter().any(|n| n.contains("gradient times input")), "{name}: {:?}", found.notes);

            let cam = block_on(session.explain(query, &classes, &own(Form::Cam))).expect("it can be explained");
            let off = relative_error(&cam.weights[0], slopes.data());
            assert!(off < 1e-3, "{name}: slopes off by {off}");
            assert_ne!(cam.maps[0].map.data, found.maps[0].map.data);
            // The head is part of it: asking for the one is asking for the other.
            let head = ExplainOptions { head: HeadChoice::Model, ..ExplainOptions::default() };
            let head = block_on(session.explain(query, &classes, &head)).expect("it can be explained");
            assert_eq!(head.maps[0].map.data, found.maps[0].map.data, "{name}");
        }
    }
}

#[test]
fn margins_and_magnitudes_are_combinations_of_slopes() {
    let Some((mut session, [query, support], _)) = session("clip_vit", EngineChoice::Cpu) else { return };
    let classes = [Class::new("it", [support]), Class::new("itself", [query])];
    let of = |session: &mut Session, form| {
        block_on(session.explain(query, &classes, &own(form))).expect("it can be explained")
    };
    let (fam, contrast) = (of(&mut session, Form::Faithful), of(&mut session, Form::Contrastive));
    for (c, &margin) in contrast.contributions[0].iter().enumerate() {
        assert!((margin - (fam.contributions[0][c] - fam.contributions[1][c])).abs() < 1e-5, "channel {c}");
    }
    let (cam, magnitude) = (of(&mut session, Form::Cam), of(&mut session, Form::Magnitude));
    let layer = fam.target.as_str();
    let channels: Vec<usize> = (0..cam.weights[0].len()).collect();
    let maps = block_on(session.channels(query, Some(layer), &channels)).expect("the layer has channels");
    let cells = maps.data().len() / channels.len();
    for (c, plane) in maps.data().chunks(cells).enumerate() {
        let expected = (plane.iter().sum::<f32>() / cells as f32).abs() * cam.weights[0][c];
        assert!((magnitude.weights[0][c] - expected).abs() < 1e-5, "channel {c}");
    }
    let error = block_on(session.explain(query, &classes, &own(Form::Centred)));
    assert!(error.is_err_and(|e| e.to_string().contains("centredCosine")));
}

#[test]
fn a_layer_that_the_embedding_is_not_made_of_is_refused_and_another_named() {
    let Some((mut session, [query, support], _)) = session("dino_vit", EngineChoice::Cpu) else { return };
    // The norm behind the last attention, of which only the class token goes on.
    let last = "add29";
    let options = ExplainOptions { target: Some(last.into()), ..own(Form::Faithful) };
    let error =
        block_on(session.explain(query, &[Class::new("it", [support])], &options)).expect_err("its cells are not read");
    let text = error.to_string();
    assert!(text.contains(&format!("without the cells of {last:?}")) && text.contains("add24"), "{text}");
    // One that is read, and two at once.
    let earlier = session.model().targets().iter().find(|t| t.as_str() == "add21").expect("it is a layer").clone();
    let options = ExplainOptions { targets: vec!["add24".into(), earlier], ..own(Form::Faithful) };
    let found = block_on(session.explain(query, &[Class::new("it", [support])], &options)).expect("both are read");
    assert_eq!(found.layers.len(), 2);
    assert_ne!(found.layers[0].maps[0].data, found.layers[1].maps[0].data);
}

#[test]
fn every_family_explains_its_own_output_at_a_layer_that_is_read() {
    let index = json(root("tests/families/index.json"));
    let mut explained = std::collections::HashMap::new();
    let (mut no_vector, mut shares, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for family in index.as_array().expect("a list") {
        let name = family["name"].as_str().expect("a name");
        let sides = [2, 3].map(|axis| family["input"][axis].as_u64().expect("a side"));
        let [height, width] = sides;
        let text = format!(
            r#"{{"format": 1, "name": "{name}", "pooling": "model", "input": {{"height": {height}, "width": {width}, "stride": 1, "mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5]}}}}"#
        );
        let model = Model::new(&text, &bytes(root(&format!("tests/families/{name}.onnx")))).expect("the network loads");
        let mut session = block_on(Session::new(model, EngineChoice::Cpu)).expect("the CPU is always there");
        let ids = ["query", "support"].map(|file| {
            let file = format!("own/{file}.png");
            let photo = decode(&file, &bytes(golden(&file)), &Limits::default()).expect("a golden's input decodes");
            session.add_image(&file, &photo).expect("it fits")
        });
        let pair = block_on(session.pair(ids[0], ids[1], &ExplainOptions::default()));
        let pair = match pair {
            Err(error) if error.to_string().contains("is not one vector") => {
                no_vector.push(name);
                continue;
            }
            Err(error) if error.to_string().contains("is one number") => {
                numbers.push(name);
                continue;
            }
            Err(error) if error.to_string().contains("is a softmax") => {
                shares.push(name);
                continue;
            }
            pair => pair.unwrap_or_else(|error| panic!("{name}: {error}")),
        };
        let map = &pair.a.maps[0].map.data;
        assert!(map.iter().all(|v| v.is_finite()) && map.iter().any(|&v| v != map[0]), "{name}: {map:?}");
        explained.insert(name, pair.a.target.clone());
        // What is explained is what a gallery ranks by and what embeddings are exported.
        let origin = session.origin(&ExplainOptions::default()).expect("an origin");
        let [f, g] = ids.map(|id| block_on(session.gallery_embedding(id, &origin)).expect("an embedding"));
        let found = common::cosine(&f, &g);
        assert!((pair.similarity() - found).abs() < 1e-4, "{name}: {} is not {found}", pair.similarity());
        let told = block_on(session.embed(ids[0])).expect("an embedding").values;
        assert!(relative_error(&told, &f) < 1e-5, "{name}");
        let hit = session.options_of(&origin).expect("they are this session's");
        let again = block_on(session.pair(ids[0], ids[1], &hit)).expect("a hit can be explained");
        assert_eq!(again.a.maps[0].map.data, *map, "{name}");
    }
    assert!(explained.len() > 65, "{explained:?}");
    assert_eq!(numbers, ["keras_bytes"], "networks that end in one probability");
    assert_eq!(shares, ["keras_mobilenet"], "classifiers that end in a softmax");
    assert_eq!(
        no_vector,
        [
            "crnn",
            "deeplab",
            "detr",
            "efficientdet",
            "efficientdet_nms",
            "paddle_found",
            "paddle_text",
            "pose",
            "retinaface",
            "scrfd",
            "ultraface",
            "unet_grey",
            "unet_new",
            "yolov3",
            "yolov5",
            "yolov8",
            "yolov8_new",
            "yolox"
        ],
        "networks whose output is boxes, maps or text"
    );
    // The norm before the last attention, where the class token is what the embedding is made of.
    for (name, target) in [
        ("vit_new", "layernormalization2"),
        ("deit_new", "layernormalization2"),
        ("dino_v2_registers", "layernormalization2"),
    ] {
        assert_eq!(explained[name], target, "{name}");
    }
}

#[test]
fn nothing_is_left_over_where_all_between_layer_and_embedding_is_linear() {
    for name in ["conv64f", "resnet12"] {
        let text = format!(
            r#"{{"format": 1, "name": "{name}", "pooling": "model", "input": {{"size": 84, "stride": 1, "mean": [127.5, 127.5, 127.5], "std": [127.5, 127.5, 127.5]}}}}"#
        );
        let model = Model::new(&text, &bytes(root(&format!("tests/families/{name}.onnx")))).expect("the network loads");
        let mut session = block_on(Session::new(model, EngineChoice::Cpu)).expect("the CPU is always there");
        let photos = ["own/query.png", "own/support.png", "methods/query.png"];
        let mut ids = Vec::new();
        for (turn, file) in photos.into_iter().enumerate() {
            let photo = decode(file, &bytes(golden(file)), &Limits::default()).expect("a golden's input decodes");
            let photo = corner(&photo, 64 - 8 * turn).expect("it is as large");
            ids.push(session.add_image(file, &photo).expect("it fits"));
        }
        let classes = [Class::new("a", [ids[1]]), Class::new("b", [ids[2]])];
        for similarity in [Similarity::Cosine, Similarity::Dot, Similarity::Euclidean, Similarity::Mahalanobis] {
            for center in [Centre::None, Centre::Supports, Centre::Gallery] {
                for head in [HeadChoice::None, HeadChoice::Whitening] {
                    for form in [Form::Faithful, Form::Contrastive] {
                        let options = ExplainOptions { similarity, center, head, ..own(form) };
                        let found = block_on(session.explain(ids[0], &classes, &options)).expect("it can be explained");
                        for class in &found.classes {
                            let scale = class.similarity.abs() + class.constant.abs() + 1e-3;
                            let what = format!("{name} {similarity} {center} {head} {form}: {class:?}");
                            assert!(class.residual.abs() < 2e-3 * scale, "{what} {:?}", found.notes);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn galleries_pairs_and_methods_compare_the_own_embedding_too() {
    let Some((mut session, [query, support], expected)) = session("clip_resnet", EngineChoice::Cpu) else { return };
    let similarity = expected["similarity"].as_f64().expect("a number");
    let options = own(Form::Faithful);
    let near =
        |found: f64, what: &str| assert!((found - similarity).abs() < 1e-4, "{what}: {found} is not {similarity}");

    let pair = block_on(session.pair(query, support, &options)).expect("a pair");
    near(pair.similarity(), "pair");
    assert!(
        block_on(session.where_to_where(query, support, &options))
            .is_err_and(|e| e.to_string().contains("where to where"))
    );

    let mut gallery = Gallery::new(session.origin(&options).expect("an origin"));
    assert_eq!(gallery.origin().channels, 12);
    let embedding = block_on(session.gallery_embedding(support, gallery.origin())).expect("an embedding");
    gallery.push(session.gallery_item(support, "one").expect("an item"), &embedding).expect("it fits");
    let hits = block_on(session.search(&gallery, query, 5)).expect("a ranking");
    near(hits[0].similarity, "gallery");

    let classes = [Class::new("it", [support])];
    let methods = [Method::Fam, Method::GradCam, Method::HiResCam, Method::AblationCam];
    let found =
        block_on(session.compare_methods(query, &classes, &methods, &options, &mut keep_going)).expect("they apply");
    near(found.classes[0].score, "methods");
    assert_eq!(found.layer, "relu11");
    let maps: Vec<_> = found.methods.iter().map(|m| &m.maps[0].map.data).collect();
    for (i, map) in maps.iter().enumerate() {
        assert!(!maps[..i].contains(map), "{:?} draws what another one draws", found.methods[i].method);
    }
    let told = block_on(session.embed_as(query, &options)).expect("an embedding");
    assert_eq!(told.values.len(), 12);
}
