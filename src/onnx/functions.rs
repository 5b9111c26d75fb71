//! Functions that a file defines for itself (`ModelProto.functions`): nodes that call one are replaced by its body.

use std::collections::HashMap;

use prost::Message;

use super::budget::MAX_NODES;
use super::proto::{Attribute, FunctionProto, NodeProto};
use crate::error::{Error, Result};

/// Functions may call functions, so many deep: one that calls itself ends here.
const MAX_DEPTH: usize = 16;

/// The functions by domain, name and overload.
type Functions = HashMap<(String, String, String), FunctionProto>;

/// Nodes in which no function of the file is called any more.
///
/// # Errors
/// [`Error::Onnx`] if a function cannot be read, calls itself, or makes too many nodes.
pub(super) fn inlined(nodes: Vec<NodeProto>, functions: &[Vec<u8>]) -> Result<Vec<NodeProto>> {
    if functions.is_empty() {
        return Ok(nodes);
    }
    let mut known = Functions::new();
    for bytes in functions {
        let function = FunctionProto::decode(bytes.as_slice())
            .map_err(|e| Error::onnx(format!("one of its functions cannot be read ({e}); export it again")))?;
        let key = |text: &str| text.to_owned();
        known.insert((key(function.domain()), key(function.name()), key(function.overload())), function);
    }
    let (mut result, mut calls) = (Vec::with_capacity(nodes.len()), 0);
    for node in nodes {
        expand(node, &known, 0, &mut calls, &mut result)?;
    }
    Ok(result)
}

/// Puts the nodes that a node stands for into `result`; `calls` counts them with the functions that make none.
fn expand(
    node: NodeProto,
    functions: &Functions,
    depth: usize,
    calls: &mut usize,
    result: &mut Vec<NodeProto>,
) -> Result<()> {
    *calls += 1;
    if *calls > 2 * MAX_NODES {
        return Err(Error::onnx(format!("its functions make more than {MAX_NODES} nodes; export it without them")));
    }
    let key = (node.domain().to_owned(), node.op_type().to_owned(), node.overload().to_owned());
    let Some(function) = functions.get(&key) else {
        result.push(node);
        return Ok(());
    };
    if depth >= MAX_DEPTH {
        let reason = format!("node {:?} calls the function {:?}, which calls itself", node.title(), function.name());
        return Err(Error::onnx(format!("{reason} or goes too deep; export the model again")));
    }
    // Parameters are what the node reads and computes; all else gets a name of its own.
    let mut names: HashMap<&str, String> = HashMap::new();
    let given = |all: &[String], i: usize| all.get(i).cloned().unwrap_or_default();
    names.extend(function.input.iter().enumerate().map(|(i, name)| (name.as_str(), given(&node.input, i))));
    for (i, name) in function.output.iter().enumerate() {
        let asked = given(&node.output, i);
        if !asked.is_empty() {
            names.insert(name, asked);
        }
    }
    let title = node.title().to_owned();
    let renamed = |name: &String| match names.get(name.as_str()) {
        Some(outer) => outer.clone(),
        None if name.is_empty() => String::new(),
        None => format!("{title}/{name}"),
    };
    for inner in &function.node {
        let call = NodeProto {
            input: inner.input.iter().map(renamed).collect(),
            output: inner.output.iter().map(renamed).collect(),
            name: Some(format!("{title}/{}", inner.title())),
            attribute: inner.attribute.iter().filter_map(|a| argument(a, &node, function)).collect(),
            ..inner.clone()
        };
        expand(call, functions, depth + 1, calls, result)?;
    }
    Ok(())
}

/// An attribute of a function's node: itself, or the one of the call or the default that it refers to, if there is any.
fn argument(attribute: &Attribute, call: &NodeProto, function: &FunctionProto) -> Option<Attribute> {
    let Some(asked) = attribute.ref_attr_name.as_deref().filter(|name| !name.is_empty()) else {
        return Some(attribute.clone());
    };
    let default = || function.attribute_proto.iter().find(|a| a.name() == asked);
    let given = call.attribute(asked).or_else(default)?;
    Some(Attribute { name: attribute.name.clone(), ..given.clone() })
}
