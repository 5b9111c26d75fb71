//! The hierarchy that exporters leave in names: of nodes (`/layer1/layer1.0/conv1/Conv`, `blocks.0.depthwise.conv`) or,
//! where those say nothing (`node_conv2d_3`), of weights (`layer1.0.conv1.weight`).

use crate::graph::{Graph, Node};

/// The modules that a node is in, outermost first, and last its own name; empty if no name says so. A node without
/// weights whose own name says nothing is in the module of what it reads.
pub(super) fn path(graph: &Graph, node: &Node, inputs: &[usize], before: &[Vec<String>]) -> Vec<String> {
    if let Some(found) = of_node(&node.name) {
        return found;
    }
    // Exporters store equal weights once, under one of their names: that name is not the others'.
    let reads = |n: &Node, name: &str| {
        n.inputs.iter().any(|&i| graph.value(i).constant.is_some() && graph.value(i).name == name)
    };
    let alone = |name: &str| graph.nodes.iter().filter(|n| reads(n, name)).count() == 1;
    let weight = node.inputs.iter().map(|&i| graph.value(i)).find_map(|v| match v.constant {
        Some(_) if alone(&v.name) => of_weight(&v.name),
        _ => None,
    });
    weight.unwrap_or_else(|| of_inputs(&node.name, inputs, before))
}

/// `/a/a.0/conv/Conv` and `a.0.conv`.
fn of_node(name: &str) -> Option<Vec<String>> {
    if let Some(rest) = name.strip_prefix('/') {
        let parts: Vec<String> = rest.split('/').filter(|p| !p.is_empty()).map(String::from).collect();
        return (!parts.is_empty()).then_some(parts);
    }
    let dotted = !name.contains('/') && name.contains('.');
    dotted.then(|| split(name))
}

/// Module names joined by dots; a number stays with the name before it, as in a Sequential.
fn split(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in name.split('.') {
        match (parts.last(), part.bytes().all(|b| b.is_ascii_digit())) {
            (Some(before), true) => parts.push(format!("{before}.{part}")),
            _ => parts.push(part.to_owned()),
        }
    }
    parts
}

/// `layer1.0.conv1.weight` without its last part.
fn of_weight(name: &str) -> Option<Vec<String>> {
    let usual = |end: &str| ["weight", "bias", "gamma", "beta", "scale", "running_mean", "running_var"].contains(&end);
    let (module, end) = name.rsplit_once('.')?;
    (usual(end) && !name.contains("::") && !name.contains('/')).then(|| split(module))
}

/// The module of the last input; or that of another one, if it contains the last one's.
fn of_inputs(name: &str, inputs: &[usize], before: &[Vec<String>]) -> Vec<String> {
    let module = |&i: &usize| before[i].split_last().map_or(&[][..], |(_, modules)| modules);
    let Some(mut found) = inputs.last().map(module) else { return Vec::new() };
    for other in inputs.iter().map(module) {
        if !other.is_empty() && found.starts_with(other) {
            found = other;
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    [found, &[name.to_owned()]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exporters_names_are_split_into_modules() {
        assert_eq!(of_node("/layer1/layer1.0/conv1/Conv").unwrap(), ["layer1", "layer1.0", "conv1", "Conv"]);
        assert_eq!(of_node("blocks.0.depthwise.conv").unwrap(), ["blocks", "blocks.0", "depthwise", "conv"]);
        assert_eq!(of_node("conv0"), None);
        assert_eq!(of_weight("features.3.1.weight").unwrap(), ["features", "features.3", "features.3.1"]);
        assert_eq!(of_weight("onnx::Conv_497"), None);
        assert_eq!(of_weight("w3"), None);
    }

    #[test]
    fn a_sum_is_where_its_branches_are() {
        let path = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let before = [path("l1 b0 relu"), path("l1 b1 conv3"), path("l1 b1 down conv")];
        assert_eq!(of_inputs("add", &[0, 1], &before), path("l1 b1 add"));
        assert_eq!(of_inputs("add", &[1, 2], &before), path("l1 b1 add"));
        assert!(of_inputs("relu", &[], &before).is_empty());
    }
}
