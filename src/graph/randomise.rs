//! Weights at random: what the sanity checks of saliency maps compare a trained network with.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Constant, Graph, Op, ValueId};
use crate::error::{Error, Result};
use crate::random::Rng;
use crate::tensor::{Int8Tensor, Tensor};

/// Shuffles the weights and biases of the last `layers` convolutions and linear layers before `target`, counted from
/// the target backwards: cascading randomisation (Adebayo et al., arXiv 1810.03292, section 3). Each tensor keeps its
/// values and loses their order, so that activations stay in the range that the network is used to; int8 weights stay
/// int8. A map that explains what the network has learned must change with it.
///
/// Returns the names of the layers that were shuffled, the last one first.
///
/// # Errors
/// [`Error::Argument`] if there are fewer such layers.
pub fn randomise(graph: &mut Graph, target: ValueId, layers: usize, seed: u64) -> Result<Vec<String>> {
    let weighted = weighted_layers(graph, target);
    if layers > weighted.len() {
        let reason = format!("{layers} layers cannot be randomised; {} lie before the target", weighted.len());
        return Err(Error::argument("randomised layers", reason));
    }
    let mut random = Rng::with_seed(seed);
    let chosen: Vec<usize> = weighted.into_iter().rev().take(layers).collect();
    for &at in &chosen {
        // The first input is the activation; a residual has no constant.
        for input in 1..graph.nodes[at].inputs.len() {
            let id = graph.nodes[at].inputs[input];
            let Some(constant) = graph.value(id).constant.clone() else { continue };
            let (name, shape) = (format!("{}.randomised", graph.value(id).name), graph.value(id).shape.clone());
            // A value of its own: another layer may share the constant.
            let shuffled = shuffle(&constant, &mut random)?;
            let shuffled = graph.add_value(name, shape, Some(shuffled));
            graph.nodes[at].inputs[input] = shuffled;
        }
    }
    Ok(chosen.into_iter().map(|at| graph.nodes[at].name.clone()).collect())
}

/// Number of convolutions and linear layers before the target: how many can be randomised.
pub fn count_weighted_layers(graph: &Graph, target: ValueId) -> usize {
    weighted_layers(graph, target).len()
}

fn weighted_layers(graph: &Graph, target: ValueId) -> Vec<usize> {
    let mut needed = HashSet::from([target]);
    let mut found = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate().rev() {
        if needed.contains(&node.output) {
            needed.extend(node.inputs.iter().copied());
            if matches!(node.op, Op::Conv2d(_) | Op::Linear(_)) {
                found.push(at);
            }
        }
    }
    found.reverse();
    found
}

fn shuffle(constant: &Constant, random: &mut Rng) -> Result<Constant> {
    Ok(match constant {
        Constant::Float(tensor) => {
            let mut data = tensor.data().to_vec();
            random.shuffle(&mut data);
            Constant::Float(Arc::new(Tensor::new(tensor.shape().clone(), data)?))
        }
        Constant::Int8(tensor) => {
            let mut data = tensor.data().to_vec();
            random.shuffle(&mut data);
            Constant::Int8(Arc::new(Int8Tensor::new(tensor.shape().clone(), data, tensor.scales().to_vec())?))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, Linear};

    fn graph() -> (Graph, ValueId) {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 2, 4, 4]);
        let conv = |graph: &mut Graph, name: &str, input| {
            let weight: Vec<f32> = (0..36).map(|v| v as f32).collect();
            let weight = graph.add_constant(format!("{name}.w"), Tensor::new([2, 2, 3, 3], weight).unwrap());
            let bias = graph.add_constant(format!("{name}.b"), Tensor::new([2], vec![1.0, 2.0]).unwrap());
            let op = Op::Conv2d(Conv2d {
                strides: [1, 1],
                dilations: [1, 1],
                pads: [1; 4],
                groups: 1,
                activation: Default::default(),
                residual: false,
            });
            graph.add_node(name, op, vec![input, weight, bias]).unwrap()
        };
        let first = conv(&mut graph, "first", image);
        let second = conv(&mut graph, "second", first);
        let side = graph.add_int8("side.w", Int8Tensor::new([3, 4], (0..12).collect(), vec![1.0; 3]).unwrap());
        let bias = graph.add_constant("side.b", Tensor::new([3], vec![0.0; 3]).unwrap());
        graph.add_node("side", Op::Linear(Linear::default()), vec![first, side, bias]).unwrap();
        (graph, second)
    }

    fn weight(graph: &Graph, node: usize) -> Vec<f32> {
        graph.value(graph.nodes[node].inputs[1]).constant.as_ref().unwrap().to_float().data().to_vec()
    }

    #[test]
    fn the_last_layers_before_the_target_are_shuffled() {
        let (original, target) = graph();
        assert_eq!(count_weighted_layers(&original, target), 2);
        let mut one = original.clone();
        assert_eq!(randomise(&mut one, target, 1, 5).unwrap(), ["second"]);
        assert_eq!((weight(&one, 0), weight(&one, 2)), (weight(&original, 0), weight(&original, 2)));
        let mut shuffled = weight(&one, 1);
        assert_ne!(shuffled, weight(&original, 1));
        shuffled.sort_by(f32::total_cmp);
        assert_eq!(shuffled, weight(&original, 1), "no value is gained or lost");
        let mut two = original.clone();
        assert_eq!(randomise(&mut two, target, 2, 5).unwrap(), ["second", "first"]);
        assert_eq!(weight(&two, 1), weight(&one, 1), "the seed decides, from the target backwards");
        assert_ne!(weight(&two, 0), weight(&original, 0));
        assert!(randomise(&mut two, target, 3, 5).is_err());
    }
}
