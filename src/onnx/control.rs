//! `If` and `Loop` nodes: their graphs are read with the file. Lowering takes the branch of a condition that turns out to
//! be known, and writes the rounds of a loop one after the other where their number is.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::data::{self, Data};
use super::functions::inlined;
use super::proto::{GraphProto, NodeProto};
use crate::error::{Error, Result};

/// Branches may hold `If` nodes themselves, so many deep.
const MAX_DEPTH: usize = 8;

/// One branch of an `If`, or the body of a `Loop`: its nodes, under names of their own, and the values that it takes and
/// gives.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub nodes: Vec<NodeProto>,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
}

/// By the name of the node's first output: the branches of every `If`, for the case that its condition holds and for the
/// other, and the body of every `Loop`.
pub(super) type Choices = HashMap<String, Vec<Taken>>;

/// Takes the branches out of all `If` and `Loop` nodes, which then read what their branches read. Constants in branches join
/// `known`.
///
/// # Errors
/// [`Error::Onnx`] if a branch cannot be read or branches go too deep.
pub(super) fn choices(
    nodes: &mut [NodeProto],
    functions: &[Vec<u8>],
    known: &mut HashMap<String, Data>,
) -> Result<Choices> {
    let mut reader = Reader { functions, known, choices: Choices::new() };
    for node in nodes.iter_mut().filter(|n| !graphs_of(n).is_empty()) {
        reader.read(node, &|name| name.to_owned(), 0)?;
    }
    Ok(reader.choices)
}

/// The attributes of a node that hold its graphs.
pub(super) fn graphs_of(node: &NodeProto) -> &'static [&'static str] {
    match (node.domain(), node.op_type()) {
        ("" | "ai.onnx", "If") => &["then_branch", "else_branch"],
        ("" | "ai.onnx", "Loop") => &["body"],
        _ => &[],
    }
}

struct Reader<'a> {
    functions: &'a [Vec<u8>],
    known: &'a mut HashMap<String, Data>,
    choices: Choices,
}

impl Reader<'_> {
    /// Reads the branches of a node; `outer` gives the name that a value around it has in the whole file.
    fn read(&mut self, node: &mut NodeProto, outer: &dyn Fn(&str) -> String, depth: usize) -> Result<()> {
        let title = node.title().to_owned();
        let kind = node.op_type().to_owned();
        let wrong = |reason: String| Error::onnx(format!("node {title:?} ({kind}): {reason}; export the model again"));
        if depth >= MAX_DEPTH {
            return Err(wrong("its branches go too deep".into()));
        }
        let mut captured: Vec<String> = Vec::new();
        let mut taken = Vec::with_capacity(2);
        for name in graphs_of(node) {
            let bytes = node.attribute(name).and_then(|a| a.g.as_deref()).unwrap_or_default();
            let graph = GraphProto::decode(bytes).map_err(|e| wrong(format!("its {name} cannot be read ({e})")))?;
            let nodes = inlined(graph.node, self.functions)?;
            let constants = graph.initializer.iter().map(|t| t.name());
            let given = constants.chain(graph.input.iter().map(|i| i.name()));
            let own: HashSet<String> =
                nodes.iter().flat_map(|n| &n.output).map(String::as_str).chain(given).map(str::to_owned).collect();
            let renamed = |name: &str| match own.contains(name) {
                _ if name.is_empty() => String::new(),
                true => format!("{title}/{name}/{}", taken.len()),
                false => outer(name),
            };
            for tensor in &graph.initializer {
                self.known.insert(renamed(tensor.name()), data::read(tensor)?);
            }
            let mut inner = Vec::with_capacity(nodes.len());
            for mut each in nodes {
                each.name = Some(format!("{title}/{}", each.title()));
                if !graphs_of(&each).is_empty() {
                    each.output.iter_mut().for_each(|o| *o = renamed(o));
                    let direct = each.input.len();
                    self.read(&mut each, &renamed, depth + 1)?;
                    each.input[..direct].iter_mut().for_each(|i| *i = renamed(i));
                } else {
                    each.input.iter_mut().chain(&mut each.output).for_each(|n| *n = renamed(n));
                }
                inner.push(each);
            }
            let outputs: Vec<String> = graph.output.iter().map(|o| renamed(o.name())).collect();
            let inputs: Vec<String> = graph.input.iter().map(|i| renamed(i.name())).collect();
            let made: HashSet<&String> = inner.iter().flat_map(|n| &n.output).chain(&inputs).collect();
            let read = inner.iter().flat_map(|n| &n.input).chain(&outputs);
            for name in read.filter(|n| !n.is_empty() && !made.contains(n) && !self.known.contains_key(*n)) {
                if !captured.contains(name) {
                    captured.push(name.clone());
                }
            }
            taken.push(Taken { nodes: inner, inputs, outputs });
        }
        node.attribute.clear();
        node.input.extend(captured);
        if let Some(output) = node.output.first() {
            self.choices.insert(output.clone(), taken);
        }
        Ok(())
    }
}
