//! Every method against pytorch-grad-cam and plain torch (`tests/goldens/make_methods.py` says what is compared and
//! where the two differ by intent), and what the session promises of a comparison.

mod common;

use common::{golden, json, npy, pearson, relative_error, root};
use famlens::image::{Limits, decode};
use famlens::methods::{Method, MethodOptions};
use famlens::session::{
    Against, Class, Comparison, EngineChoice, ExplainOptions, ImageId, MethodResult, Model, Progress, Session,
    keep_going,
};
use famlens::{Error, Result};
use pollster::block_on;

/// The small network of the goldens, its query and its class of one support.
fn net() -> (Session, ImageId, Vec<Class>) {
    net_pooling(None)
}

/// The same with another pooling in `model.json`.
fn net_pooling(pooling: Option<&str>) -> (Session, ImageId, Vec<Class>) {
    let mut card = json(golden("methods/net.json"));
    if let Some(pooling) = pooling {
        card["pooling"] = pooling.into();
    }
    let card = card.to_string();
    let model = Model::new(&card, &common::bytes(golden("methods/net.onnx"))).expect("the test network loads");
    let mut session = block_on(Session::new(model, EngineChoice::Cpu)).expect("the CPU engine starts");
    let query = add(&mut session, "methods/query.png");
    let class = Class::new("dog", [add(&mut session, "methods/support.png")]);
    (session, query, vec![class])
}

fn add(session: &mut Session, file: &str) -> ImageId {
    let photo = decode(file, &common::bytes(golden(file)), &Limits::default()).expect("a golden's input decodes");
    session.add_image(file, &photo).expect("a golden's input fits the model")
}

/// Options for one of the two objectives at a layer; small windows, for the input has 64 pixels.
fn options(objective: &str, layer: &str) -> ExplainOptions {
    let index = json(golden("methods/index.json"));
    let number = |part: &str, key: &str| index[part][key].as_u64().expect("a number") as usize;
    let method_options = MethodOptions {
        seed: index["rise"]["seed"].as_u64().expect("a seed"),
        channels: 0,
        masks: number("rise", "masks"),
        grid: number("rise", "grid"),
        keep: index["rise"]["keep"].as_f64().expect("a chance"),
        window: number("occlusion", "window"),
        stride: number("occlusion", "stride"),
    };
    let against = (objective == "logit").then(|| Against::logit(&index["logit"].to_string()));
    ExplainOptions { against, layer: Some(layer.to_owned()), method_options, ..ExplainOptions::default() }
}

fn run(
    session: &mut Session,
    query: ImageId,
    classes: &[Class],
    methods: &[Method],
    options: &ExplainOptions,
) -> Result<Comparison> {
    block_on(session.compare_methods(query, classes, methods, options, &mut keep_going))
}

/// The methods that index.json lists for a layer, in its order.
fn listed(layer: &str) -> Vec<Method> {
    let index = json(golden("methods/index.json"));
    let names = index["methods"][layer].as_array().expect("names");
    names.iter().map(|n| n.as_str().expect("a name").parse().expect("a method")).collect()
}

/// Compares a map with a golden, which is not rectified: where a method is, both are.
fn check(result: &MethodResult, expected: &[f32], what: &str) {
    let found = &result.maps[0].map.data;
    let rectified = matches!(
        result.method,
        Method::GradCam
            | Method::GradCamPlusPlus
            | Method::LayerCam
            | Method::XGradCam
            | Method::ScoreCam
            | Method::AblationCam
    );
    let expected: Vec<f32> = expected.iter().map(|&v| if rectified { v.max(0.0) } else { v }).collect();
    if expected.iter().all(|&v| v == 0.0) {
        assert!(found.iter().all(|&v| v == 0.0), "{what}: should be zero everywhere");
        return;
    }
    let mut r = pearson(found, &expected);
    // The sign of a principal component is arbitrary.
    if result.method == Method::EigenCam {
        r = r.abs();
    }
    println!("{what:<40} r = {r:.6}");
    assert!(r >= 0.999, "{what}: r = {r}");
    // Where the scale is defined it is the same too: rank-one differences show in it.
    let scaled = !matches!(result.method, Method::EigenCam | Method::ScoreCam | Method::AblationCam);
    if scaled {
        let off = relative_error(found, &expected);
        assert!(off < 2e-3, "{what}: off by {off}");
    }
}

#[test]
fn methods_equal_pytorch_grad_cams_at_a_late_and_an_early_layer() {
    let (mut session, query, classes) = net();
    for objective in ["logit", "cosine"] {
        for layer in ["features", "early"] {
            let methods = listed(layer);
            let found = run(&mut session, query, &classes, &methods, &options(objective, layer)).expect("it runs");
            let goldens = npy(&format!("methods/net_{layer}_{objective}.npy"));
            for (result, expected) in found.methods.iter().zip(common::rows(&goldens)) {
                check(result, expected, &format!("{objective}, {layer}: {}", result.method));
            }
            let score = json(golden("methods/index.json"))["scores"][objective].as_f64().expect("a score");
            assert!((found.classes[0].score - score).abs() < 1e-3 * score.abs().max(1.0), "{}", found.classes[0].score);
        }
    }
}

#[test]
fn occlusion_and_rise_equal_torchs() {
    let (mut session, query, classes) = net();
    for objective in ["logit", "cosine"] {
        let methods = [Method::Occlusion, Method::Rise];
        let found = run(&mut session, query, &classes, &methods, &options(objective, "features")).expect("it runs");
        for result in &found.methods {
            let expected = npy(&format!("methods/net_{}_{objective}.npy", result.method));
            let off = relative_error(&result.maps[0].map.data, expected.data());
            assert!(off < 5e-3, "{objective}, {}: off by {off}", result.method);
            check(result, expected.data(), &format!("{objective}: {}", result.method));
        }
        assert_eq!((found.methods[0].cost.passes.forward, found.methods[1].cost.passes.forward), (257, 60));
    }
}

/// Through display as well: they scale, resize and scale again, famlens resizes and scales.
#[test]
fn what_is_shown_is_what_pytorch_grad_cam_shows() {
    let (mut session, query, classes) = net();
    let methods = [Method::GradCam, Method::LayerCam];
    let found = run(&mut session, query, &classes, &methods, &options("logit", "features")).expect("it runs");
    let shown = npy("methods/shown.npy");
    for (result, expected) in found.methods.iter().zip(common::rows(&shown)) {
        let view = result.maps[0].map.view().expect("a view");
        let mut pixels = famlens::overlay::Upsampler::pixels(&view, 64, 64);
        let ours: Vec<f32> = (0..64).flat_map(|row| pixels.row(row).to_vec()).collect();
        let r = pearson(&ours, expected);
        assert!(r >= 0.999, "{}: r = {r}", result.method);
    }
}

#[test]
fn the_shipped_model_agrees_with_torchs_head() {
    let folder = root("models/efficientnet_lite0");
    let card = String::from_utf8(common::bytes(folder.join("model.json"))).expect("model.json is UTF-8");
    let model = Model::new(&card, &common::bytes(folder.join("model.onnx"))).expect("the shipped model loads");
    let mut session = block_on(Session::new(model, EngineChoice::Cpu)).expect("the CPU engine starts");
    let query = add(&mut session, "engine/dog.png");
    let classes = [Class::new("kingfisher", [add(&mut session, "engine/kingfisher.png")])];
    let label = json(golden("methods/index.json"))["lite0_label"].as_str().expect("a label").to_owned();
    for (objective, against) in [("logit", Some(Against::logit(&label))), ("cosine", None)] {
        let options = ExplainOptions { against, ..ExplainOptions::default() };
        let methods = listed("lite0");
        let found = run(&mut session, query, &classes, &methods, &options).expect("it runs");
        let goldens = npy(&format!("methods/lite0_{objective}.npy"));
        for (result, expected) in found.methods.iter().zip(common::rows(&goldens)) {
            let mut r = pearson(&result.maps[0].map.data, &expected.iter().map(|v| v.max(0.0)).collect::<Vec<_>>());
            if matches!(result.method, Method::EigenCam | Method::HiResCam) {
                r = pearson(&result.maps[0].map.data, expected).abs();
            }
            println!("lite0 {objective}: {:<12} r = {r:.6}", result.method);
            assert!(r >= 0.999, "lite0 {objective}, {}: r = {r}", result.method);
        }
    }
}

/// For a logit that is linear in the pooled features, methods coincide that differ elsewhere, and HiResCAM sums to it.
#[test]
fn a_linear_logit_is_summed_up_by_its_maps() {
    let (mut session, query, _) = net();
    let methods = [Method::Cam, Method::HiResCam, Method::Fam];
    let options = ExplainOptions { layer: None, ..options("logit", "features") };
    let found = run(&mut session, query, &[], &methods, &options).expect("it runs");
    let [cam, hires, fam] = &found.methods[..] else { panic!("three methods") };
    assert!(pearson(&cam.maps[0].map.data, &hires.maps[0].map.data) > 0.99999);
    // The mean of the CAM, the sum of HiResCAM and the weights of FAM are each the logit less its bias.
    let total = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>();
    let mean = total(&cam.maps[0].map.data) / cam.maps[0].map.data.len() as f64;
    assert!((mean - total(&hires.maps[0].map.data)).abs() < 1e-4 * mean.abs());
    assert!((mean - total(&fam.weights[0])).abs() < 1e-4 * mean.abs());
}

#[test]
fn one_comparison_serves_every_class_and_repeats_itself() {
    let (mut session, query, classes) = net();
    let twice = vec![classes[0].clone(), Class::new("itself", [query])];
    let methods: Vec<Method> = <Method as famlens::choice::Choice>::ALL.to_vec();
    let options = options("cosine", "features");
    let first = run(&mut session, query, &twice, &methods, &options).expect("it runs");
    let second = run(&mut session, query, &twice, &methods, &options).expect("it runs");
    assert_eq!((first.predicted, first.classes[1].name.as_str()), (1, "itself"));
    for (a, b) in first.methods.iter().zip(&second.methods) {
        assert_eq!(a.maps.len(), 2, "{}", a.method);
        for (a, b) in a.maps.iter().zip(&b.maps) {
            assert_eq!(a.map.data, b.map.data);
        }
        assert_eq!(a.notes.iter().any(|n| n.contains("knows nothing")), a.method.ignores_class(), "{}", a.method);
        assert!(a.cost.bytes > 0 && a.cost.milliseconds > 0.0);
    }
    let passes = |name: &str| first.methods.iter().find(|m| m.method.name() == name).expect("listed").cost.passes;
    assert_eq!((passes("grad-cam").backward, passes("fam").forward), (2, 0));
    assert!(passes("ablation-cam").tail > 1 && passes("ablation-cam").forward == 0);
    // The gradient of a cosine with itself is zero, and the note says that the map is.
    let grad = first.methods.iter().find(|m| m.method == Method::GradCam).expect("listed");
    assert!(grad.maps[1].range.1 < 1e-3 * grad.maps[0].range.1.max(1e-9) || grad.maps[1].range.1 < 1e-6);
}

#[test]
fn what_does_not_apply_is_said() {
    let (mut session, query, classes) = net();
    let mut message = |options: &ExplainOptions, methods: &[Method], classes: &[Class]| {
        run(&mut session, query, classes, methods, options)
            .map(|_| ())
            .map_err(|e| e.to_string())
            .expect_err("it fails")
    };
    let logit = |name: &str| ExplainOptions { against: Some(Against::logit(name)), ..ExplainOptions::default() };
    assert!(message(&logit("cow"), &[Method::Cam], &[]).contains("6 labels"));
    assert!(message(&logit("9"), &[Method::GradCam], &[]).contains("no output 9"));
    assert!(message(&ExplainOptions::default(), &[Method::Mean], &[]).contains("class"));
    assert!(message(&ExplainOptions::default(), &[], &classes).contains("at least one method"));
    // Between the early layer and the logit lies more than a linear function.
    assert!(message(&options("logit", "early"), &[Method::Cam], &[]).contains("linear"));
    let backwards =
        ExplainOptions { target: Some("early".into()), layer: Some("features".into()), ..ExplainOptions::default() };
    assert!(message(&backwards, &[Method::GradCam], &classes).contains("comes before"));
}

#[test]
fn a_comparison_is_told_of_and_cancelled() {
    let (mut session, query, classes) = net();
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let log = seen.clone();
    let mut watch = move |progress: Progress| {
        log.borrow_mut().push(progress);
        let go_on = progress.done < 5;
        Box::pin(std::future::ready(go_on)) as famlens::engine::LocalFuture<'static, bool>
    };
    let options = options("cosine", "features");
    let result = block_on(session.compare_methods(query, &classes, &[Method::Rise], &options, &mut watch));
    assert!(matches!(result, Err(Error::Cancelled)));
    let seen = seen.borrow();
    assert_eq!((seen.len(), seen[4].done, seen[4].total), (5, 5, 60));
}

/// torch's own gradients, cell by cell, through max pooling, a gate, SiLU and hard swish: by the maps that HiResCAM
/// makes of them, `sum_c G_c A_c`, and by their means, Grad-CAM's weights.
#[test]
fn gradients_equal_torchs() {
    let (mut session, query, classes) = net();
    for objective in ["logit", "cosine"] {
        for layer in ["features", "early"] {
            let gradient = npy(&format!("methods/net_{layer}_{objective}_gradient.npy"));
            let found =
                run(&mut session, query, &classes, &[Method::GradCam], &options(objective, layer)).expect("it runs");
            let mean = |plane: &[f32]| plane.iter().sum::<f32>() / plane.len() as f32;
            let expected: Vec<f32> = common::rows(&gradient).map(mean).collect();
            let off = relative_error(&found.methods[0].weights[0], &expected);
            assert!(off < 1e-3, "{objective}, {layer}: off by {off}");
        }
    }
}

/// A large tail runs on the CPU engine, every value read back, and gives the gradient that the plain loops give.
#[test]
fn a_trace_by_the_engine_equals_the_plain_one() {
    use famlens::engine::{Engine, Mix, cpu::CpuEngine};
    use famlens::graph::{gradient::Tail, passes};

    let model =
        famlens::onnx::Model::parse(&common::bytes(golden("methods/net.onnx"))).expect("the test network loads");
    let graph = model.to_graph(64, 64).expect("it fits 64 pixels");
    let [early, logits] = ["early", "logits"].map(|name| graph.find(name).expect("the network has it"));
    let graph = passes::optimize(graph, &[early, logits]).expect("it is well formed");
    let tail = Tail::new(&graph, early, logits).expect("the logits depend on the early layer");
    assert!(tail.sides().is_empty() && !tail.is_affine() && tail.multiplications() > 100_000);

    let shape = graph.value(early).shape.clone();
    let data = (0..shape.len()).map(|i| ((i * 37 + 11) % 101) as f32 / 25.0).collect();
    let layer = famlens::tensor::Tensor::new(shape, data).expect("the shape fits");
    let seed = [0.0, 0.0, 0.0, 1.0, 0.0, -0.5];
    let plain = tail.trace(&layer, &[]).and_then(|t| t.gradient(&seed)).expect("plain loops");

    let targets = tail.values();
    let mut program = CpuEngine::new().compile(tail.graph(), &targets).expect("it compiles");
    let output = block_on(program.run(&layer, &Mix::default())).expect("it runs");
    let read = |features| block_on(program.read(features)).expect("it is read back");
    let values: Vec<_> = targets.iter().copied().zip(output.features.iter().map(read)).collect();
    let missing = tail.trace_from(&layer, &[], values[1..].to_vec()).map(|_| ());
    assert!(missing.is_err(), "a value is missing");
    let engine = tail.trace_from(&layer, &[], values).and_then(|t| t.gradient(&seed)).expect("the engine's values");
    let off = relative_error(engine.data(), plain.data());
    assert!(off < 1e-4, "off by {off}");
}

#[test]
fn logits_are_those_of_the_classifier_whatever_pools_the_embedding() {
    let scores = |pooling| {
        let (mut session, query, _) = net_pooling(pooling);
        let mut one = |label: &str| {
            let options = ExplainOptions { against: Some(Against::logit(label)), ..options("logit", "early") };
            run(&mut session, query, &[], &[Method::GradCam], &options).expect("it explains").classes[0].score
        };
        ["ant", "bee", "cat", "dog", "eel", "fox"].map(&mut one)
    };
    assert!(scores(None).iter().any(|&logit| logit < 0.0), "a generalised mean would cut off what is negative");
    assert_eq!(scores(Some("gem")), scores(None));
}

#[test]
fn fam_says_when_its_map_is_not_of_the_layer_asked_for() {
    let (mut session, query, classes) = net();
    for (layer, said) in [("early", true), ("features", false)] {
        let options = options("cosine", layer);
        let found = run(&mut session, query, &classes, &[Method::Fam, Method::GradCam], &options).expect("it runs");
        let says = |i: usize| found.methods[i].notes.iter().any(|n| n.contains("where the similarity is taken"));
        assert_eq!((says(0), says(1)), (said, false), "{layer}");
    }
}
