//! Files that are cut off, contradict themselves or ask for too much: an error that names the fault, no panic, and no
//! memory beyond the file's own size. That the operators compute what ONNX says is tested in `tests/onnx.rs`.

use super::Model;
use super::proto::*;
use crate::error::Error;
use crate::graph::passes;

pub(super) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(data_type::FLOAT),
        name: Some(name.into()),
        raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        ..TensorProto::default()
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        dims: vec![values.len() as i64],
        data_type: Some(data_type::INT64),
        name: Some(name.into()),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(super) fn value(name: &str, dims: &[Option<i64>]) -> ValueInfo {
    let dim = dims.iter().map(|&dim_value| Dimension { dim_value, ..Dimension::default() }).collect();
    let tensor_type = TensorType { elem_type: Some(data_type::FLOAT), shape: Some(ShapeProto { dim }) };
    let r#type = TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() };
    ValueInfo { name: Some(name.into()), r#type: Some(r#type), ..ValueInfo::default() }
}

pub(super) fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|s| s.to_string()).collect(),
        output: vec![output.into()],
        op_type: Some(op.into()),
        name: Some(format!("node {output}")),
        ..NodeProto::default()
    }
}

pub(super) fn with(mut node: NodeProto, name: &str, ints: &[i64]) -> NodeProto {
    node.attribute.push(Attribute { name: Some(name.into()), ints: ints.to_vec(), ..Attribute::default() });
    node
}

pub(super) fn model(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> ModelProto {
    let output = nodes.last().map_or("y", |n| n.output[0].as_str());
    let graph = GraphProto {
        output: vec![value(output, &[])],
        input: vec![value("x", &[None, Some(3), None, None])],
        node: nodes,
        initializer: initializers,
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        opset_import: vec![OperatorSetId { domain: Some(String::new()), version: Some(17) }],
        ..ModelProto::default()
    }
}

pub(super) fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

/// The message of whatever goes wrong between the bytes and an 8 x 8 graph.
fn failure(model: &ModelProto) -> String {
    Model::parse(&model.write()).and_then(|m| m.to_graph(8, 8)).unwrap_err().to_string()
}

pub(super) fn conv(weight: TensorProto, attributes: &[(&str, &[i64])]) -> ModelProto {
    let conv = attributes.iter().fold(node("Conv", &["x", "w"], "y"), |n, (name, ints)| with(n, name, ints));
    model(vec![conv], vec![weight])
}

#[test]
fn a_small_file_is_read() {
    let small = conv(floats("w", &[2, 3, 1, 1], &[0.5; 6]), &[]);
    let graph = Model::parse(&small.write()).unwrap().to_graph(8, 8).unwrap();
    assert_eq!((graph.nodes.len(), graph.value(graph.outputs[0]).name.as_str()), (1, "y"));
}

#[test]
fn every_cut_and_every_changed_byte_is_survived() {
    let weights: Vec<f32> = (0..6).map(|i| i as f32).collect();
    let nodes = vec![
        with(node("Conv", &["x", "w"], "c"), "pads", &[0, 0, 0, 0]),
        node("Shape", &["c"], "s"),
        node("Slice", &["s", "from", "to"], "hw"),
        node("Concat", &["one", "free", "hw"], "shape"),
        node("Reshape", &["c", "shape"], "r"),
        with(node("ReduceMean", &["r"], "y"), "axes", &[2, 3]),
    ];
    let mut nodes = nodes;
    nodes[3].attribute.push(Attribute { name: Some("axis".into()), i: Some(0), ..Attribute::default() });
    let constants = vec![
        floats("w", &[2, 3, 1, 1], &weights),
        ints("from", &[2]),
        ints("to", &[4]),
        ints("one", &[1]),
        ints("free", &[-1]),
    ];
    let bytes = model(nodes, constants).write();
    assert!(Model::parse(&bytes).unwrap().to_graph(8, 8).is_ok());
    let lower = |bytes: &[u8]| {
        // Whatever the answer is: it must come, and an accepted graph must survive the passes.
        if let Ok(graph) = Model::parse(bytes).and_then(|m| m.to_graph(8, 8)) {
            let _ = passes::optimize(graph, &[]);
        }
    };
    for end in 0..bytes.len() {
        lower(&bytes[..end]);
    }
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff, 0x7f] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            lower(&changed);
        }
    }
}

#[test]
fn what_is_no_onnx_file_says_so() {
    for bytes in
        [&b""[..], b"<!DOCTYPE html><html></html>", b"version https://git-lfs.github.com/spec/v1\n", &[0xff; 64]]
    {
        let error = Model::parse(bytes).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the ONNX file"), "{error}");
    }
}

#[test]
fn weights_must_be_as_long_as_their_dimensions() {
    assert!(
        failure(&conv(floats("w", &[2, 3, 1, 1], &[0.5; 5]), &[])).contains("\"w\": its shape [2, 3, 1, 1] needs 6")
    );
    assert!(failure(&conv(floats("w", &[2, -3, 1, 1], &[0.5; 6]), &[])).contains("negative dimensions"));
    let huge = [i64::MAX, i64::MAX, 1, 1];
    assert!(failure(&conv(floats("w", &huge, &[0.5; 6]), &[])).contains("too large"));
    let mut typed = floats("w", &[2, 3, 1, 1], &[]);
    (typed.raw_data, typed.float_data) = (None, vec![0.5; 7]);
    assert!(failure(&conv(typed, &[])).contains("holds 7"));
    let strings = TensorProto { data_type: Some(8), ..floats("w", &[1], &[1.0]) };
    assert!(failure(&conv(strings, &[])).contains("it reads string values"));
}

#[test]
fn weights_in_another_file_are_refused_with_advice() {
    let location = StringEntry { key: Some("location".into()), value: Some("weights.bin".into()) };
    let external =
        TensorProto { data_location: Some(1), external_data: vec![location], ..floats("w", &[2, 3, 1, 1], &[]) };
    let error = failure(&conv(external, &[]));
    assert!(error.contains("\"w\"") && error.contains("weights.bin") && error.contains("one file"), "{error}");
}

#[test]
fn graphs_must_be_acyclic_and_name_each_value_once() {
    let cycle = model(vec![node("Add", &["x", "b"], "a"), node("Relu", &["a"], "b")], vec![]);
    assert!(failure(&cycle).contains("cycle"));
    let itself = model(vec![node("Relu", &["y"], "y")], vec![]);
    assert!(failure(&itself).contains("cycle"));
    let twice = model(vec![node("Relu", &["x"], "y"), node("Tanh", &["x"], "y")], vec![]);
    assert!(failure(&twice).contains("\"y\", which something else gives too"));
    let input = model(vec![node("Relu", &["x"], "x")], vec![]);
    assert!(failure(&input).contains("gives too"));
    let same = model(vec![node("Relu", &["x"], "y")], vec![ints("a", &[1]), ints("a", &[2])]);
    assert!(failure(&same).contains("two initializers are named \"a\""));
    let nowhere = model(vec![node("Add", &["x", "missing"], "y")], vec![]);
    assert!(failure(&nowhere).contains("\"missing\", which nothing computes"));
}

#[test]
fn nodes_in_any_order_are_sorted() {
    let shuffled =
        model(vec![node("Tanh", &["b"], "c"), node("Sigmoid", &["a"], "b"), node("Relu", &["x"], "a")], vec![]);
    let mut shuffled = shuffled;
    graph(&mut shuffled).output = vec![value("c", &[])];
    let lowered = Model::parse(&shuffled.write()).unwrap().to_graph(8, 8).unwrap();
    assert_eq!(lowered.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["node a", "node b", "node c"]);
}

#[test]
fn all_unsupported_nodes_are_reported_at_once() {
    let mut custom = node("LongformerAttention", &["x"], "c");
    custom.domain = Some("com.microsoft".into());
    let unique = node("Unique", &["r"], "q");
    let nodes = vec![
        node("LSTM", &["x"], "l"),
        custom,
        node("Relu", &["x"], "r"),
        unique,
        node("If", &["x"], "i"),
        node("Sum", &["l", "c", "q", "i"], "y"),
    ];
    match Model::parse(&model(nodes, vec![]).write()).unwrap().to_graph(8, 8) {
        Err(Error::Unsupported { nodes }) => {
            let mut ops: Vec<&str> = nodes.iter().map(|n| n.op.as_str()).collect();
            ops.sort_unstable();
            assert_eq!(ops, ["If", "LSTM", "Unique", "com.microsoft.LongformerAttention"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_follows_an_unsupported_node_is_looked_at_too() {
    // A shape of the broken value is no activation: picking from it is not held against the file.
    let nodes = vec![
        node("Hardmax", &["x"], "e"),
        node("Sin", &["e"], "r"),
        node("Shape", &["r"], "s"),
        node("Slice", &["s", "a", "b"], "part"),
        node("Reshape", &["x", "part"], "shaped"),
        node("Cos", &["shaped"], "cut"),
        node("Add", &["cut", "r"], "y"),
    ];
    match Model::parse(&model(nodes, vec![ints("a", &[0]), ints("b", &[4])]).write()).unwrap().to_graph(8, 8) {
        Err(Error::Unsupported { nodes }) => {
            let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
            assert_eq!(names, ["node e", "node r", "node cut"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_comes_after_the_target_need_not_be_supported() {
    let nodes = vec![node("Relu", &["x"], "features"), node("ArgMax", &["features"], "y")];
    let parsed = Model::parse(&model(nodes, vec![]).write()).unwrap();
    assert!(matches!(parsed.to_graph(8, 8), Err(Error::Unsupported { .. })));
    let graph = parsed.to_graph_for(8, 8, "features").unwrap();
    assert_eq!(graph.value(graph.outputs[0]).name, "features");
    let error = parsed.to_graph_for(8, 8, "nothing").unwrap_err().to_string();
    assert!(error.contains("nothing") && error.contains("features"), "{error}");
}

#[test]
fn shapes_that_overflow_are_refused() {
    let pads = [0, 0, i64::MAX, i64::MAX, 0, 0, i64::MAX, 1];
    let padded = model(vec![node("Pad", &["x", "p"], "y")], vec![ints("p", &pads)]);
    assert!(failure(&padded).contains("too large"));
    let wide = conv(floats("w", &[2, 3, 1, 1], &[0.5; 6]), &[("pads", &[1 << 19, 1 << 19, 1 << 19, 1 << 19])]);
    assert!(failure(&wide).contains("too large"));
    let odd = conv(floats("w", &[2, 3, 1, 1], &[0.5; 6]), &[("strides", &[0, 1])]);
    assert!(failure(&odd).contains("strides"));
    let apart = conv(floats("w", &[2, 3, 1, 2], &[0.5; 12]), &[("dilations", &[1, 1 << 19])]);
    assert!(failure(&apart).contains("does not fit"));
}

#[test]
fn a_few_bytes_cannot_ask_for_gigabytes() {
    let shape = || ints("s", &[1 << 20, 1 << 20]);
    let nodes = vec![node("ConstantOfShape", &["s"], "c"), node("Add", &["x", "c"], "y")];
    assert!(failure(&model(nodes, vec![shape()])).contains("limit"));
    let nodes = vec![node("Expand", &["x", "s"], "y")];
    assert!(failure(&model(nodes, vec![ints("s", &[1 << 40, 3, 8, 8])])).contains("limit"));
    let scalar = |name: &str, v: i64| TensorProto { dims: vec![], ..ints(name, &[v]) };
    let nodes = vec![node("Range", &["a", "b", "c"], "r"), node("Cast", &["r"], "f"), node("Add", &["x", "f"], "y")];
    let numbers = vec![scalar("a", i64::MIN), scalar("b", i64::MAX), scalar("c", 1)];
    let mut range = model(nodes, numbers);
    let to = Attribute { name: Some("to".into()), i: Some(1), ..Attribute::default() };
    graph(&mut range).node[1].attribute.push(to);
    assert!(failure(&range).contains("limit"));
    let size = Model::parse(&conv(floats("w", &[2, 3, 1, 1], &[0.5; 6]), &[]).write()).unwrap();
    assert!(size.to_graph(1 << 30, 1 << 30).is_err() && size.to_graph(0, 8).is_err());
}

#[test]
fn the_image_input_must_be_clear() {
    let mut two = model(vec![node("Add", &["x", "z"], "y")], vec![]);
    graph(&mut two).input.push(value("z", &[Some(1), Some(3), None, None]));
    assert!(failure(&two).contains("it has 2: x, z"));
    let mut flat = model(vec![node("Relu", &["x"], "y")], vec![]);
    graph(&mut flat).input = vec![value("x", &[Some(1), Some(10)])];
    assert!(failure(&flat).contains("[1, 10], not an image"));
    let mut batch = model(vec![node("Relu", &["x"], "y")], vec![]);
    graph(&mut batch).input = vec![value("x", &[Some(8), Some(3), None, None])];
    let batch = Model::parse(&batch.write()).unwrap();
    assert_eq!((batch.inputs()[0].batch, batch.inputs()[0].dims[0]), (Some(8), Some(1)));
    let mut fixed = model(vec![node("Relu", &["x"], "y")], vec![]);
    graph(&mut fixed).input = vec![value("x", &[Some(1), Some(3), Some(224), Some(192)])];
    let error = failure(&fixed);
    assert!(error.contains("224 x 192") && error.contains("8 x 8"), "{error}");
}

#[test]
fn models_of_text_and_sound_are_told_what_famlens_is_for() {
    let mut text = model(vec![node("Relu", &["x"], "y")], vec![]);
    let ids = graph(&mut text).input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
    ids.elem_type = Some(data_type::INT64);
    let error = failure(&text);
    assert!(error.contains("\"x\" takes int64") && error.contains("text models"), "{error}");
    let mut sound = model(vec![node("Relu", &["mel"], "y")], vec![]);
    graph(&mut sound).input = vec![value("mel", &[Some(1), Some(80), None])];
    let error = failure(&sound);
    assert!(error.contains("\"mel\" is [1, 80, ?]") && error.contains("sound"), "{error}");
}

#[test]
fn weights_that_are_not_numbers_are_refused_by_name() {
    let error = failure(&conv(floats("w", &[2, 3, 1, 1], &[0.5, f32::NAN, 0.0, 0.0, 0.0, 0.0]), &[]));
    assert!(error.contains("1 values of \"w\"") && error.contains("node y") && error.contains("again"), "{error}");
    // What nothing reads does no harm.
    let mut unused = conv(floats("w", &[2, 3, 1, 1], &[0.5; 6]), &[]);
    graph(&mut unused).initializer.push(floats("unused", &[1], &[f32::NAN]));
    assert!(Model::parse(&unused.write()).is_ok());
}

#[test]
fn weights_in_another_file_can_be_brought_in() {
    let entry = |key: &str, value: &str| StringEntry { key: Some(key.into()), value: Some(value.into()) };
    let external = |location: &str, length: &str| {
        let external_data = vec![entry("location", location), entry("offset", "4"), entry("length", length)];
        let tensor = TensorProto { data_location: Some(1), external_data, ..floats("w", &[2, 3, 1, 1], &[]) };
        conv(TensorProto { raw_data: None, ..tensor }, &[]).write()
    };
    let file: Vec<u8> = [9.0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut asked = Vec::new();
    let whole = super::with_external_data(external("weights.bin", "24"), |name| {
        asked.push(name.to_string());
        Ok(file.clone())
    });
    let lowered = Model::parse(&whole.unwrap()).unwrap().to_graph(8, 8).unwrap();
    let weight = lowered.values.iter().find(|v| v.name == "w").unwrap().constant.as_ref().unwrap().to_float();
    assert_eq!((asked, weight.data()), (vec!["weights.bin".to_string()], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
    let refused = |location: &str, length: &str| {
        super::with_external_data(external(location, length), |_| Ok(file.clone())).unwrap_err().to_string()
    };
    assert!(refused("weights.bin", "25").contains("has 28 bytes"));
    for outside in ["../weights.bin", "/etc/passwd", "a/../../b", "C:weights"] {
        assert!(refused(outside, "24").contains("outside the model's folder"), "{outside}");
    }
    let plain = conv(floats("w", &[2, 3, 1, 1], &[0.5; 6]), &[]).write();
    assert_eq!(super::with_external_data(plain.clone(), |_| Err(Error::onnx("asked"))).unwrap(), plain);
}

#[test]
fn old_operator_sets_are_refused() {
    let mut old = model(vec![node("Relu", &["x"], "y")], vec![]);
    old.opset_import[0].version = Some(6);
    assert!(failure(&old).contains("operator set 6"));
    old.opset_import.clear();
    assert!(failure(&old).contains("which operator set"));
}

#[test]
fn a_file_read_and_written_again_is_the_same() {
    let mut whole = conv(floats("w", &[2, 3, 1, 1], &[0.5; 6]), &[("pads", &[0, 0, 0, 0])]);
    whole.functions = vec![vec![10, 1, 65]];
    whole.metadata_props = vec![StringEntry { key: Some("a".into()), value: Some("b".into()) }];
    whole.doc_string = Some("text".into());
    graph(&mut whole).value_info = vec![value("y", &[Some(0), None])];
    graph(&mut whole).node[0].attribute[0].r#type = Some(7);
    graph(&mut whole).node[0].attribute.push(Attribute {
        i: Some(0),
        f: Some(0.0),
        s: Some(vec![]),
        ..Attribute::default()
    });
    let bytes = whole.write();
    let again = ModelProto::read(&bytes).unwrap();
    assert_eq!(again, whole);
    assert_eq!(again.write(), bytes);
}
