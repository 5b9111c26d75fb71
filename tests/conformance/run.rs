//! A case's variant on every engine.

use famlens::engine::{Engine, Mix};
use famlens::graph::{Graph, ValueId, passes};
use famlens::onnx::Model;
use famlens::{Error, Result};
use pollster::block_on;
use prost::Message;

use crate::case::{Case, Expected, Variant};
use crate::engines::Candidate;
use crate::proto::{self, Node, Value};

/// How far a value may be off at least, as a share of the largest of its output.
const FLOOR: f64 = 1e-5;

/// What became of a variant on one engine.
pub enum Outcome {
    Passed,
    /// The engine says that it cannot.
    Refused(String),
    /// It ran, and the numbers are others.
    Wrong(String),
}

/// The outcome on each engine. The reference takes minutes for a whole network, and is left out then.
pub fn all(engines: &[Candidate], case: &Case, variant: &Variant, network: bool) -> Vec<(String, Outcome)> {
    let optimized = match passes::optimize(variant.graph.clone(), &[]) {
        Ok(graph) => graph,
        Err(error) => return vec![("passes".into(), Outcome::Wrong(error.to_string()))],
    };
    let mut outcomes = Vec::new();
    for Candidate { name, engine } in engines.iter().filter(|c| !(network && c.name == "reference")) {
        let Ok(engine) = engine else { continue };
        if name == "reference" {
            // The graph as it was read: it tells a wrong reader from a wrong pass.
            outcomes.push(("reference, as read".into(), one(engine.as_ref(), &variant.graph, case, variant)));
        }
        outcomes.push((name.clone(), one(engine.as_ref(), &optimized, case, variant)));
    }
    outcomes
}

fn one(engine: &dyn Engine, graph: &Graph, case: &Case, variant: &Variant) -> Outcome {
    let values = match run(engine, graph, variant) {
        Ok(values) => values,
        Err(error) => return Outcome::Refused(reason(&error)),
    };
    for (i, (found, expected)) in values.iter().zip(&case.expected).enumerate() {
        if let Err(reason) = compare(found, expected) {
            return Outcome::Wrong(format!("output {i} {reason}"));
        }
    }
    match values.len() == case.expected.len() {
        true => Outcome::Passed,
        false => Outcome::Wrong(format!("{} outputs, and not {}", values.len(), case.expected.len())),
    }
}

fn run(engine: &dyn Engine, graph: &Graph, variant: &Variant) -> Result<Vec<famlens::tensor::Tensor>> {
    // The mix is over the first target, which must have channels: the image has some.
    let targets: Vec<ValueId> = std::iter::once(graph.image_input()?).chain(graph.outputs.iter().copied()).collect();
    let mut program = engine.compile(graph, &targets)?;
    let output = block_on(program.run(&variant.input, &Mix::default()))?;
    output.features[1..].iter().map(|features| block_on(program.read(features))).collect()
}

fn compare(found: &famlens::tensor::Tensor, expected: &Expected) -> std::result::Result<(), String> {
    if found.shape().dims() != expected.dims {
        return Err(format!("has shape {}, and should have {:?}", found.shape(), expected.dims));
    }
    let largest = expected.values.iter().filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs()));
    for (i, (&a, &b)) in found.data().iter().zip(&expected.values).enumerate() {
        let a = f64::from(a);
        let same = a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= expected.relative * b.abs() + FLOOR * largest;
        if !same {
            return Err(format!("{:?}: value {i} is {a}, and should be {b}", expected.dims));
        }
    }
    Ok(())
}

/// What an error says, on one line: of unsupported nodes only their operator and the reason.
pub fn reason(error: &Error) -> String {
    let text = match error {
        Error::Unsupported { nodes } => {
            let mut all: Vec<String> = nodes.iter().map(|n| format!("{}: {}", n.op, n.reason)).collect();
            all.dedup();
            all.join("; ")
        }
        Error::Node { op, reason, .. } => format!("{op}: {reason}"),
        other => other.to_string(),
    };
    // What to do about it says nothing of the case.
    let text = text.split("; take another input size").next().unwrap_or_default();
    text.replace(['\n', '\t'], " ")
}

/// Whether the importer knows an operator, whatever its attributes.
pub fn is_known(operator: &str) -> bool {
    let (domain, op) = operator.rsplit_once('.').unwrap_or(("", operator));
    let node = Node {
        input: vec!["x".into()],
        output: vec!["y".into()],
        op_type: Some(op.into()),
        domain: Some(domain.into()),
        attribute: vec![],
    };
    let graph = proto::Graph {
        node: vec![node.encode_to_vec()],
        input: vec![Value::image("x", &[1, 3, 8, 8])],
        output: vec![Value::output("y")],
        ..proto::Graph::default()
    };
    let opset = vec![vec![16, 17]];
    let model = proto::Model { ir_version: Some(8), graph: Some(graph), opset_import: opset };
    let lowered = Model::parse(&model.encode_to_vec()).and_then(|m| m.to_graph(8, 8));
    match lowered {
        Err(Error::Unsupported { nodes }) => !nodes.iter().any(|n| crate::WHOLE_OPERATOR.contains(&n.reason.as_str())),
        _ => true,
    }
}
