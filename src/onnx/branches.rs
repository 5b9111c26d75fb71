//! Several inputs in one file. Each image has a branch: the nodes that read it alone, up to where it meets the others.
//! If the branches are the same layers with the same weights, as in a siamese network, one of them is the backbone of
//! all.

use std::collections::{HashMap, HashSet};

use super::data::Data;
use super::model::InputInfo;
use super::proto::NodeProto;

/// The branch of one image.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    /// Its input.
    pub input: InputInfo,
    /// Its nodes, in order.
    pub nodes: Vec<NodeProto>,
    /// What leaves it: outputs of the file, then what nodes of several inputs read, the last first.
    pub ends: Vec<String>,
    /// Other images that go through the same layers with the same weights.
    pub twins: Vec<String>,
}

/// The branches of all images among several inputs, those of twins once; none if every image is mixed with something at
/// once.
pub(super) fn branches(
    inputs: &[InputInfo],
    nodes: &[NodeProto],
    outputs: &[String],
    known: &HashMap<String, Data>,
) -> Vec<Branch> {
    let mut found: Vec<Branch> = Vec::new();
    for input in inputs.iter().filter(|i| i.dims.len() == 4) {
        let Some(branch) = branch(input, nodes, outputs, known) else { continue };
        match found.iter_mut().find(|other| same(other, &branch, known)) {
            Some(twin) => twin.twins.push(input.name.clone()),
            None => found.push(branch),
        }
    }
    found
}

fn branch(input: &InputInfo, nodes: &[NodeProto], outputs: &[String], known: &HashMap<String, Data>) -> Option<Branch> {
    let mut own: HashSet<&str> = HashSet::from([input.name.as_str()]);
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for node in nodes {
        let reads = |n: &&String| !n.is_empty() && !known.contains_key(n.as_str());
        let mut read = node.input.iter().filter(reads).peekable();
        // What depends on nothing, such as a random number, belongs to nobody.
        if read.peek().is_some() && read.all(|n| own.contains(n.as_str())) {
            own.extend(node.output.iter().map(String::as_str));
            inside.push(node);
        } else {
            outside.push(node);
        }
    }
    let computed = |name: &str| own.contains(name) && name != input.name;
    let mut ends: Vec<String> = outputs.iter().filter(|o| computed(o)).cloned().collect();
    let read: HashSet<&str> = outside.iter().flat_map(|n| &n.input).map(String::as_str).collect();
    for name in inside.iter().rev().flat_map(|n| &n.output) {
        if read.contains(name.as_str()) && !ends.contains(name) {
            ends.push(name.clone());
        }
    }
    // A cosine reads the embedding and its length; the embedding is what counts.
    let lengths: HashSet<&str> =
        inside.iter().filter(|n| is_length(n)).flat_map(|n| &n.output).map(String::as_str).collect();
    ends.sort_by_key(|end| lengths.contains(end.as_str()));
    let nodes = inside.into_iter().cloned().collect();
    (!ends.is_empty()).then(|| Branch { input: input.clone(), nodes, ends, twins: Vec::new() })
}

/// Whether a node gives the length of a vector, or its square.
fn is_length(node: &NodeProto) -> bool {
    matches!(node.op_type.as_deref(), Some("ReduceSum" | "ReduceSumSquare" | "ReduceL2" | "Sqrt"))
}

/// Whether two branches are the same layers with the same weights.
fn same(a: &Branch, b: &Branch, known: &HashMap<String, Data>) -> bool {
    if (&a.input.dims, a.input.element, a.nodes.len()) != (&b.input.dims, b.input.element, b.nodes.len()) {
        return false;
    }
    let mut renamed: HashMap<&str, &str> = HashMap::from([(a.input.name.as_str(), b.input.name.as_str())]);
    for (x, y) in a.nodes.iter().zip(&b.nodes) {
        let alike = x.full_type() == y.full_type()
            && x.attribute == y.attribute
            && x.input.len() == y.input.len()
            && x.output.len() == y.output.len();
        let values = |(p, q): (&String, &String)| match (known.get(p), known.get(q)) {
            (Some(p), Some(q)) => p.same_values(q),
            (None, None) if p.is_empty() => q.is_empty(),
            (None, None) => renamed.get(p.as_str()) == Some(&q.as_str()),
            _ => false,
        };
        if !alike || !x.input.iter().zip(&y.input).all(values) {
            return false;
        }
        renamed.extend(x.output.iter().map(String::as_str).zip(y.output.iter().map(String::as_str)));
    }
    true
}
