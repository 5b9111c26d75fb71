//! Hostile models, the same in every run: cut off, damaged, contradicting themselves, and asking for absurd sizes in
//! every attribute and shape. `tests/hostile.rs` runs them natively and writes them into a folder for the page.

#[path = "wire.rs"]
pub mod wire;

use wire::{Node, file, floats, graph, ints, node, tensor, value};

/// One file.
pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
}

fn case(name: impl Into<String>, bytes: Vec<u8>) -> Case {
    Case { name: name.into(), bytes }
}

/// What an attribute or a size is that no exporter writes.
const ABSURD: [i64; 12] =
    [-1, 0, i64::MIN, i64::MAX, 65_537, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) + 1, 1 << 40, 1 << 62, -(1 << 31)];

/// All hostile models.
pub fn models(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(damaged(seed));
    cases.extend(inputs());
    cases.extend(structures());
    cases.extend(attributes());
    cases.extend(shapes());
    cases.extend(floods());
    cases
}

const SIDE: i64 = 32;

/// A network around one node: `c [1, 8, 32, 32]` is the convolution that it may read and `y` what it computes.
fn around(opset: i64, nodes: &[Node], constants: &[Vec<u8>]) -> Vec<u8> {
    let mut all = vec![node("Conv", &["x", "w", "b"], &["c"]).ints("pads", &[1, 1, 1, 1])];
    all.extend_from_slice(nodes);
    all.push(node("GlobalAveragePool", &["y"], &["out"]));
    let mut initializers = vec![floats("w", &[8, 3, 3, 3]), floats("b", &[8])];
    initializers.extend_from_slice(constants);
    file(opset, &graph(&all, &initializers, &[value("x", 1, &[1, 3, SIDE, SIDE])], &["out"]))
}

/// A good file, for what is done to it.
pub fn good() -> Vec<u8> {
    around(17, &[node("Relu", &["c"], &["y"])], &[])
}

fn damaged(seed: u64) -> Vec<Case> {
    let mut random = fastrand::Rng::with_seed(seed);
    let good = good();
    let mut cases: Vec<Case> =
        (0..24).map(|i| case(format!("cut_{i}"), good[..good.len() * i / 24].to_vec())).collect();
    for i in 0..48 {
        let mut bytes = good.clone();
        for _ in 0..=i / 6 {
            let at = random.usize(..bytes.len());
            bytes[at] ^= 1 << random.u8(..8);
        }
        cases.push(case(format!("flipped_{i}"), bytes));
    }
    for (i, len) in [1, 16, 4096, 1 << 20].into_iter().enumerate() {
        cases.push(case(format!("noise_{i}"), (0..len).map(|_| random.u8(..)).collect()));
        cases.push(case(format!("zeros_{i}"), vec![0; len]));
    }
    cases
}

/// Inputs that are no image or no size.
fn inputs() -> Vec<Case> {
    let nodes = [node("Conv", &["x", "w"], &["y"]), node("GlobalAveragePool", &["y"], &["out"])];
    let weight = [floats("w", &[8, 3, 3, 3])];
    let mut cases = Vec::new();
    for (i, &n) in ABSURD.iter().enumerate() {
        for (at, what) in ["batch", "channels", "height", "width"].into_iter().enumerate() {
            let mut dims = [1, 3, SIDE, SIDE];
            dims[at] = n;
            let bytes = file(17, &graph(&nodes, &weight, &[value("x", 1, &dims)], &["out"]));
            cases.push(case(format!("input_{what}_{i}"), bytes));
        }
    }
    for kind in [0, 2, 3, 6, 7, 8, 9, 14, 17, 99, -1] {
        let bytes = file(17, &graph(&nodes, &weight, &[value("x", kind, &[1, 3, SIDE, SIDE])], &["out"]));
        cases.push(case(format!("input_type_{kind}"), bytes));
    }
    for (i, dims) in [&[][..], &[3], &[1, 3], &[1; 9], &[1; 100]].into_iter().enumerate() {
        let bytes = file(17, &graph(&nodes, &weight, &[value("x", 1, dims)], &["out"]));
        cases.push(case(format!("input_rank_{i}"), bytes));
    }
    cases
}

/// Graphs that contradict themselves, or are nested or long beyond reason.
fn structures() -> Vec<Case> {
    let image = [value("x", 1, &[1, 3, SIDE, SIDE])];
    let simple = |nodes: &[Node], outputs: &[&str]| file(17, &graph(nodes, &[], &image, outputs));
    let relu = || node("Relu", &["x"], &["y"]);
    let mut cases = vec![
        case("no_graph", file(17, &[])),
        case("no_nodes", simple(&[], &["x"])),
        case("no_inputs", file(17, &graph(&[relu()], &[], &[], &["y"]))),
        case("no_outputs", simple(&[relu()], &[])),
        case("unknown_output", simple(&[relu()], &["z"])),
        case("own_output", simple(&[node("Relu", &["y"], &["y"])], &["y"])),
        case("circle", simple(&[node("Add", &["x", "b"], &["a"]), node("Relu", &["a"], &["b"])], &["b"])),
        case("from_nowhere", simple(&[node("Add", &["x", "nothing"], &["y"])], &["y"])),
        case("twice", simple(&[relu(), relu()], &["y"])),
        case("computes_input", simple(&[node("Relu", &["x"], &["x"])], &["x"])),
        case("nameless", simple(&[node("", &[""], &[""])], &[""])),
        case(
            "no_operands",
            simple(&["Conv", "Add", "Sum", "Max", "Concat", "Gemm", "Einsum"].map(|op| node(op, &[], &[op])), &["Add"]),
        ),
        case("too_many_operands", simple(&[node("Relu", &["x"; 1000], &["y"])], &["y"])),
        case("many_outputs", simple(&[node("Split", &["x"], &vec!["y"; 5000])], &["y"])),
        case("long_names", simple(&[node(&"Relu".repeat(50_000), &["x"], &[&"y".repeat(300_000)])], &["y"])),
        case("not_text", {
            let mut bytes = simple(&[relu()], &["y"]);
            bytes.iter_mut().filter(|b| **b == b'y').for_each(|b| *b = 0xff);
            bytes
        }),
        case("old", around(1, &[node("Relu", &["c"], &["y"])], &[])),
        case("from_the_future", around(i64::MAX, &[node("Relu", &["c"], &["y"])], &[])),
        case("strings", around(17, &[node("Add", &["c", "s"], &["y"])], &[tensor("s", 8, &[1], b"text")])),
        case(
            "nothing_known_of_its_type",
            around(17, &[node("Add", &["c", "s"], &["y"])], &[tensor("s", 77, &[1], &[0; 4])]),
        ),
    ];
    // Graphs in graphs: control flow that holds itself.
    for (op, name) in [("If", "then_branch"), ("Loop", "body"), ("Scan", "body")] {
        let mut inner = graph(&[node("Identity", &["c"], &["y"])], &[], &[], &["y"]);
        for _ in 0..200 {
            inner = graph(&[node(op, &["c"], &["y"]).graph(name, &inner)], &[], &[], &["y"]);
        }
        cases.push(case(
            format!("nested_{op}"),
            around(17, &[node(op, &["c", "c", "c"], &["y"]).graph(name, &inner)], &[]),
        ));
    }
    // A message in a message in a message, of a field that is one.
    let mut deep = Vec::new();
    for _ in 0..2000 {
        let mut outer = Vec::new();
        wire::part(&mut outer, 7, &deep);
        deep = outer;
    }
    cases.push(case("deep_messages", deep));
    for (name, count) in [("chain", 2000), ("long_chain", 20_000), ("far_too_long_chain", 100_000)] {
        let names: Vec<String> = (0..=count).map(|i| format!("v{i}")).collect();
        let nodes: Vec<Node> =
            (0..count).map(|i| node("Relu", &[if i == 0 { "x" } else { &names[i] }], &[&names[i + 1]])).collect();
        cases.push(case(name, simple(&nodes, &[&names[count]])));
    }
    cases
}

/// Every attribute that is a size, with every absurd value.
fn attributes() -> Vec<Case> {
    let mut cases = Vec::new();
    for &n in &ABSURD {
        let nodes: Vec<(i64, Node)> = vec![
            (17, node("Conv", &["c", "k"], &["y"]).ints("strides", &[n, 1])),
            (17, node("Conv", &["c", "k"], &["y"]).ints("dilations", &[1, n])),
            (17, node("Conv", &["c", "k"], &["y"]).ints("pads", &[0, n, 0, n])),
            (17, node("Conv", &["c", "k"], &["y"]).ints("pads", &[n, 0, 0, 1])),
            (17, node("Conv", &["c", "k"], &["y"]).int("group", n)),
            (17, node("Conv", &["c", "k"], &["y"]).ints("dilations", &[n, n]).text("auto_pad", "SAME_UPPER")),
            (17, node("Conv", &["c", "k"], &["y"]).ints("strides", &[n, n]).text("auto_pad", "SAME_LOWER")),
            (17, node("MaxPool", &["c"], &["y"]).ints("kernel_shape", &[n, 2])),
            (17, node("MaxPool", &["c"], &["y"]).ints("kernel_shape", &[3, 3]).ints("pads", &[n, 0, 1, 0])),
            (
                17,
                node("MaxPool", &["c"], &["y"])
                    .ints("kernel_shape", &[3, n])
                    .ints("dilations", &[n, 1])
                    .int("ceil_mode", 1),
            ),
            (
                17,
                node("AveragePool", &["c"], &["y"])
                    .ints("kernel_shape", &[3, 3])
                    .ints("strides", &[n, n])
                    .int("ceil_mode", 1),
            ),
            (17, node("AveragePool", &["c"], &["y"]).ints("kernel_shape", &[n, n]).text("auto_pad", "SAME_UPPER")),
            (18, node("Split", &["c"], &["y", "z"]).int("num_outputs", n).int("axis", 1)),
            (17, node("Split", &["c"], &["y", "z"]).int("axis", n)),
            (17, node("Concat", &["c", "c"], &["y"]).int("axis", n)),
            (17, node("Softmax", &["c"], &["y"]).int("axis", n)),
            (11, node("Softmax", &["c"], &["y"]).int("axis", n)),
            (17, node("Flatten", &["c"], &["y"]).int("axis", n)),
            (17, node("ReduceMean", &["c"], &["y"]).ints("axes", &[n])),
            (17, node("Transpose", &["c"], &["y"]).ints("perm", &[0, n, 2, 3])),
            (17, node("DepthToSpace", &["c"], &["y"]).int("blocksize", n)),
            (17, node("SpaceToDepth", &["c"], &["y"]).int("blocksize", n)),
            (17, node("LRN", &["c"], &["y"]).int("size", n)),
            (21, node("GroupNormalization", &["c", "b", "b"], &["y"]).int("num_groups", n)),
            (17, node("LayerNormalization", &["c", "b"], &["y"]).int("axis", n)),
            (11, node("Squeeze", &["c"], &["y"]).ints("axes", &[n])),
            (11, node("Unsqueeze", &["c"], &["y"]).ints("axes", &[n])),
            (17, node("Gather", &["c", "one"], &["y"]).int("axis", n)),
            (17, node("LpNormalization", &["c"], &["y"]).int("axis", n).int("p", n)),
            (17, node("Cast", &["c"], &["y"]).int("to", n)),
            (17, node("ConvTranspose", &["c", "k"], &["y"]).ints("strides", &[n, n]).ints("output_padding", &[n, n])),
            (17, node("DequantizeLinear", &["c", "b"], &["y"]).int("axis", n)),
        ];
        for (i, (opset, node)) in nodes.into_iter().enumerate() {
            let constants = [floats("k", &[8, 8, 3, 3]), ints("one", &[1])];
            cases.push(case(format!("attribute_{i}_{n}"), around(opset, &[node], &constants)));
        }
    }
    cases
}

/// Every shape or index that is an input, with every absurd value; of activations and of constants.
fn shapes() -> Vec<Case> {
    let mut cases = Vec::new();
    for &n in &ABSURD {
        for from in ["c", "k"] {
            let nodes: Vec<(Node, Vec<Vec<u8>>)> = vec![
                (node("Reshape", &[from, "s"], &["v"]), vec![ints("s", &[1, n, -1])]),
                (node("Expand", &[from, "s"], &["v"]), vec![ints("s", &[n, 1, 1, 1])]),
                (node("Tile", &[from, "s"], &["v"]), vec![ints("s", &[1, n, 1, 1])]),
                (node("Pad", &[from, "s"], &["v"]), vec![ints("s", &[0, 0, n, 0, 0, 0, 0, 0])]),
                (node("Pad", &[from, "s"], &["v"]).text("mode", "reflect"), vec![ints("s", &[0, 0, 0, 0, 0, 0, 0, n])]),
                (node("Pad", &[from, "s"], &["v"]).text("mode", "wrap"), vec![ints("s", &[0, n, 0, 0, 0, 0, 0, 0])]),
                (
                    node("Slice", &[from, "s", "e", "a", "t"], &["v"]),
                    vec![ints("s", &[n]), ints("e", &[i64::MAX]), ints("a", &[2]), ints("t", &[1])],
                ),
                (
                    node("Slice", &[from, "s", "e", "a", "t"], &["v"]),
                    vec![ints("s", &[0]), ints("e", &[n]), ints("a", &[1]), ints("t", &[n])],
                ),
                (node("Gather", &[from, "s"], &["v"]).int("axis", 1), vec![ints("s", &[0, n])]),
                (node("Resize", &[from, "", "", "s"], &["v"]).text("mode", "linear"), vec![ints("s", &[1, 8, 32, n])]),
                (
                    node("Resize", &[from, "", "", "s"], &["v"]).text("mode", "nearest"),
                    vec![ints("s", &[1, n, 32, 32])],
                ),
                (
                    node("Resize", &[from, "", "r"], &["v"]).text("mode", "cubic").int("antialias", 1),
                    vec![tensor("r", 1, &[4], &[1.0, 1.0, 1.0, n as f32].map(f32::to_le_bytes).concat())],
                ),
                (node("Trilu", &[from, "s"], &["v"]), vec![tensor("s", 7, &[], &n.to_le_bytes())]),
                (node("ConstantOfShape", &["s"], &["v"]), vec![ints("s", &[1, 1, n])]),
                (
                    node("Range", &["s", "e", "t"], &["v"]),
                    vec![
                        tensor("s", 7, &[], &0i64.to_le_bytes()),
                        tensor("e", 7, &[], &n.to_le_bytes()),
                        tensor("t", 7, &[], &1i64.to_le_bytes()),
                    ],
                ),
            ];
            for (i, (node, mut constants)) in nodes.into_iter().enumerate() {
                constants.push(floats("k", &[1, 8, 3, 3]));
                let sum = wire::node("ReduceMean", &["v"], &["m"]).int("keepdims", 0);
                let all = if from == "c" {
                    vec![node, wire::node("Identity", &["v"], &["y"])]
                } else {
                    vec![node, sum, wire::node("Mul", &["c", "m"], &["y"])]
                };
                cases.push(case(format!("shape_{from}_{i}_{n}"), around(18, &all, &constants)));
            }
        }
    }
    for (i, dims) in
        [&[1 << 31, 0][..], &[0, i64::MAX], &[0; 8], &[1 << 32, 1 << 32], &[-1], &[1; 64]].into_iter().enumerate()
    {
        for op in
            ["Add", "Mul", "MatMul", "Concat", "Gather", "ScatterND", "Where", "Max", "Pow", "Expand", "Conv", "Gemm"]
        {
            let empty = tensor("e", if matches!(op, "Gather" | "Expand") { 7 } else { 1 }, dims, &[]);
            let nodes = [node(op, &["e", "e", "e"], &["v"]), node(op, &["c", "e", "e"], &["y"])];
            cases.push(case(format!("empty_{op}_{i}"), around(17, &nodes, &[empty])));
        }
    }
    cases
}

/// Few bytes that ask for much: memory and work before there is an image, and memory behind it.
fn floods() -> Vec<Case> {
    let mut cases = Vec::new();
    let of_shape = |name: &str| node("ConstantOfShape", &["s"], &[name]);
    let names: Vec<String> = (0..200).map(|i| format!("v{i}")).collect();
    let last = |nodes: Vec<Node>, value: &str| -> Vec<Node> {
        let mut nodes = nodes;
        nodes.push(node("ReduceMean", &[value], &["m"]).int("keepdims", 0));
        nodes.push(node("Mul", &["c", "m"], &["y"]));
        nodes
    };
    let sizes =
        [ints("s", &[4096, 4096]), ints("s", &[1, 1, 2000, 2000]), ints("s", &[1 << 24]), ints("s", &[1 << 12, 1])];
    let copies: Vec<Node> = names.iter().map(|name| of_shape(name)).collect();
    cases.push(case("flood_constants", around(17, &last(copies, "v7"), &sizes[2..3])));
    for op in ["Identity", "Exp", "Transpose", "Sqrt", "Softmax", "Erf"] {
        let mut nodes = vec![of_shape("v0")];
        nodes.extend(names.windows(2).map(|n| node(op, &[&n[0]], &[&n[1]])));
        cases.push(case(format!("flood_{op}"), around(17, &last(nodes, "v199"), &sizes[..1])));
    }
    for op in ["Concat", "MatMul", "Mul", "Add", "Where"] {
        let mut nodes = vec![of_shape("v0")];
        nodes.extend(
            names
                .windows(2)
                .map(|n| node(op, &[n[0].as_str(); 3][..if op == "Where" { 3 } else { 2 }], &[&n[1]]).int("axis", 0)),
        );
        cases.push(case(format!("flood_{op}"), around(17, &last(nodes, "v199"), &sizes[..1])));
    }
    // A column times a row, again and again.
    let outer = vec![
        of_shape("v0"),
        node("Transpose", &["v0"], &["v1"]),
        node("MatMul", &["v0", "v1"], &["v2"]),
        node("MatMul", &["v2", "v2"], &["v3"]),
    ];
    cases.push(case("flood_outer", around(17, &last(outer, "v3"), &sizes[3..])));
    let conv = vec![of_shape("v0"), node("Conv", &["v0", "v0"], &["v1"]).ints("pads", &[999, 999, 999, 999])];
    cases.push(case("flood_conv", around(17, &last(conv, "v1"), &sizes[1..2])));
    let pool = vec![of_shape("v0"), node("AveragePool", &["v0"], &["v1"]).ints("kernel_shape", &[999, 999])];
    cases.push(case("flood_pool", around(17, &last(pool, "v1"), &sizes[1..2])));
    // Activations that grow with each node.
    for (op, constant) in [
        ("Concat", ints("s", &[1])),
        ("Tile", ints("s", &[1, 4, 4, 4])),
        ("Resize", ints("s", &[1, 8, 100_000, 100_000])),
    ] {
        let mut nodes = vec![node("Relu", &["c"], &["v0"])];
        nodes.extend(names[..40].windows(2).map(|n| match op {
            "Concat" => node(op, &[&n[0], &n[0]], &[&n[1]]).int("axis", 2),
            "Tile" => node(op, &[&n[0], "s"], &[&n[1]]),
            _ => node(op, &[&n[0], "", "", "s"], &[&n[1]]),
        }));
        nodes.push(node("Relu", &["v39"], &["y"]));
        cases.push(case(format!("flood_activations_{op}"), around(18, &nodes, &[constant])));
    }
    // A sum of a column and a row of the image, which is a value of all pairs of its cells.
    let flat = [ints("s", &[-1, 1]), ints("t", &[1, -1])];
    let pairs = [
        node("Reshape", &["c", "s"], &["column"]),
        node("Reshape", &["c", "t"], &["row"]),
        node("Add", &["column", "row"], &["y"]),
    ];
    cases.push(case("flood_pairs", around(17, &pairs, &flat)));
    let equations = [
        "ij,jk->ik",
        "...,...->...",
        "i->",
        ",",
        "->",
        "ii->i",
        "abcdefghijklmnopqrstuvwxyz",
        "a...b,b...c->a...c",
        "....",
        "i,i,i,i->i",
    ];
    for (i, equation) in equations.into_iter().enumerate() {
        cases.push(case(
            format!("einsum_{i}"),
            around(17, &[node("Einsum", &["c", "c"], &["y"]).text("equation", equation)], &[]),
        ));
    }
    for value in [f32::NAN, f32::INFINITY, -1.0, 1e38, 1e-38] {
        cases.push(case(
            format!("float_{value}"),
            around(17, &[node("Elu", &["c"], &["y"]).float("alpha", value)], &[]),
        ));
        let scales = tensor("r", 1, &[4], &[1.0, 1.0, value, value].map(f32::to_le_bytes).concat());
        cases.push(case(format!("scale_{value}"), around(18, &[node("Resize", &["c", "", "r"], &["y"])], &[scales])));
        let given = node("ConstantOfShape", &["s"], &["v"]).tensor("value", &tensor("", 1, &[1], &value.to_le_bytes()));
        cases.push(case(
            format!("filled_{value}"),
            around(17, &[given, node("Mul", &["c", "v"], &["y"])], &[ints("s", &[8, 1, 1])]),
        ));
    }
    cases
}
