//! Everything that is known to be wrong with files that people bring: each gives one message, which names the node,
//! tensor or input at fault and says what to do. Through the door that the page and the command line use.

use super::proto::*;
use super::tests::*;
use crate::session;

/// What the user reads.
fn message(bytes: &[u8]) -> String {
    let manifest =
        r#"{"format": 1, "name": "own", "input": {"size": 8, "stride": 1, "mean": [0, 0, 0], "std": [1, 1, 1]}}"#;
    session::Model::new(manifest, bytes).map(|_| ()).unwrap_err().to_string()
}

fn says(bytes: &[u8], words: &[&str]) {
    let message = message(bytes);
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
    assert!(message.len() < 600 && !message.contains('\n'), "not one message: {message}");
}

fn with_input(mut model: ModelProto, name: &str, element: i32, dims: &[Option<i64>]) -> ModelProto {
    let mut input = value(name, dims);
    if let Some(tensor) = input.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) {
        tensor.elem_type = Some(element);
    }
    graph(&mut model).input = vec![input];
    model
}

fn relu() -> ModelProto {
    model(vec![node("Relu", &["x"], "y")], vec![])
}

#[test]
fn cut_off_and_damaged_files() {
    let whole = conv(floats("w", &[2, 3, 1, 1], &[0.5; 6]), &[]).write();
    for end in [1, whole.len() / 3, whole.len() - 1] {
        says(&whole[..end], &["cannot read the ONNX file", "again"]);
    }
    let mut damaged = whole;
    damaged[..16].fill(0xff);
    says(&damaged, &["no ONNX model or are cut off", "download or export the file again"]);
}

#[test]
fn circles_and_values_from_nowhere() {
    let circle = model(vec![node("Add", &["x", "b"], "a"), node("Relu", &["a"], "b")], vec![]);
    says(&circle.write(), &["node a", "cycle", "export the model again"]);
    let nowhere = model(vec![node("Add", &["x", "missing"], "y")], vec![]);
    says(&nowhere.write(), &["node y", "\"missing\", which nothing computes", "export the model again"]);
}

#[test]
fn absurd_shapes() {
    let pads = [0, 0, 1 << 40, 0, 0, 0, 0, 0];
    let padded = model(vec![node("Pad", &["x", "p"], "y")], vec![ints("p", &pads)]);
    says(&padded.write(), &["node y", "too large", "take another input size, or export the model again"]);
    let nodes = vec![node("Reshape", &["x", "s"], "y")];
    let reshaped = model(nodes, vec![ints("s", &[7, -1])]);
    says(&reshaped.write(), &["node y", "cannot be reshaped", "export the model again"]);
    let huge = conv(floats("w", &[i64::MAX, i64::MAX, 1, 1], &[0.5; 6]), &[]);
    says(&huge.write(), &["tensor \"w\"", "too large"]);
    let fixed = with_input(relu(), "x", data_type::FLOAT, &[Some(1), Some(3), Some(1 << 40), Some(8)]);
    says(&fixed.write(), &["1099511627776 x 8", "8 x 8"]);
}

#[test]
fn weights_that_do_not_fit() {
    let short = conv(floats("w", &[2, 3, 1, 1], &[0.5; 5]), &[]);
    says(&short.write(), &["tensor \"w\"", "needs 6 values", "download or export it again"]);
    let channels = conv(floats("w", &[2, 4, 1, 1], &[0.5; 8]), &[]);
    says(&channels.write(), &["node y", "[2, 4, 1, 1]", "[1, 3, 8, 8]", "export the model again"]);
    let inputs = ["x", "w", "b"];
    let bias = model(
        vec![node("Conv", &inputs, "y")],
        vec![floats("w", &[2, 3, 1, 1], &[0.5; 6]), floats("b", &[3], &[0.0; 3])],
    );
    says(&bias.write(), &["node y", "bias [3]", "2 output channels"]);
}

#[test]
fn weights_that_are_not_numbers() {
    let bad = conv(floats("w", &[2, 3, 1, 1], &[0.5, f32::NAN, 0.0, 0.0, 0.0, 0.0]), &[]);
    says(&bad.write(), &["1 values of \"w\"", "node y", "NaN", "good checkpoint"]);
}

#[test]
fn nothing_to_explain() {
    let nodes = vec![node("GlobalAveragePool", &["x"], "pooled"), node("Flatten", &["pooled"], "y")];
    says(&model(nodes, vec![]).write(), &["where things are in the image", "convolutions or a transformer's tokens"]);
    let constant = model(vec![node("Relu", &["w"], "y")], vec![floats("w", &[1], &[1.0])]);
    says(&constant.write(), &["none of its outputs depends on the image"]);
}

#[test]
fn text_sound_and_several_inputs() {
    let text = with_input(relu(), "ids", data_type::INT64, &[Some(1), Some(77)]);
    let mut text = text;
    graph(&mut text).node[0].input = vec!["ids".into()];
    says(&text.write(), &["input \"ids\" takes int64", "text models", "image models"]);
    let mut sound = with_input(relu(), "mel", data_type::FLOAT, &[Some(1), Some(80), None]);
    graph(&mut sound).node[0].input = vec!["mel".into()];
    says(&sound.write(), &["\"mel\" is [1, 80, ?]", "sound"]);
    let mut both = model(vec![node("Add", &["x", "z"], "y")], vec![]);
    graph(&mut both).input.push(value("z", &[Some(1), Some(77)]));
    says(&both.write(), &["it has 2: x, z", "export the image tower alone"]);
}

#[test]
fn weights_in_other_files() {
    let location = StringEntry { key: Some("location".into()), value: Some("weights.bin".into()) };
    let external =
        TensorProto { data_location: Some(1), external_data: vec![location], ..floats("w", &[2, 3, 1, 1], &[]) };
    says(&conv(external, &[]).write(), &["tensor \"w\"", "\"weights.bin\"", "save the model as one file"]);
}
