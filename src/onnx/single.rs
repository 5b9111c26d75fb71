//! Files that take a fixed number of images at once, made to take one: the number also stands in the shapes that the
//! network's own nodes ask for.

use std::collections::HashMap;
use std::sync::Arc;

use super::data::{Array, Data};
use super::proto::NodeProto;
use crate::tensor::{Shape, Tensor};

/// Puts 1 in the place of the batch wherever a node asks for it: the shapes of Reshape and Expand, and constants that
/// are joined to every image, such as a class token.
pub(super) fn single(nodes: &mut [NodeProto], known: &mut HashMap<String, Data>, batch: usize) {
    for (place, node) in nodes.iter_mut().enumerate() {
        let changed: Vec<(usize, Data)> = match node.op_type() {
            "Reshape" | "Expand" => {
                let shape = node.input.get(1).and_then(|name| known.get(name));
                shape.and_then(|shape| one_image(shape, batch)).map(|shape| (1, shape)).into_iter().collect()
            }
            "Concat" => {
                let first = |(at, name): (usize, &String)| Some((at, first_row(known.get(name)?, batch)?));
                node.input.iter().enumerate().filter_map(first).collect()
            }
            _ => continue,
        };
        for (at, data) in changed {
            let name = format!("{}/one image, {place}", node.input[at]);
            node.input[at].clone_from(&name);
            known.insert(name, data);
        }
    }
}

/// A shape of several dimensions that begins with the batch, for one image.
fn one_image(shape: &Data, batch: usize) -> Option<Data> {
    let Data::Ints(shape) = shape else { return None };
    match shape.data.split_first() {
        Some((&first, rest)) if usize::try_from(first) == Ok(batch) && !rest.is_empty() => {
            let data = std::iter::once(1).chain(rest.iter().copied()).collect();
            Some(Data::Ints(Arc::new(Array { shape: shape.shape.clone(), data })))
        }
        _ => None,
    }
}

/// What belongs to the first image of a constant with a part for each.
fn first_row(data: &Data, batch: usize) -> Option<Data> {
    let Data::Float(tensor) = data else { return None };
    let dims = tensor.shape().dims();
    if dims.len() < 3 || dims[0] != batch {
        return None;
    }
    let one: Vec<usize> = std::iter::once(1).chain(dims[1..].iter().copied()).collect();
    let part = tensor.data()[..tensor.data().len() / batch].to_vec();
    Some(Data::float(Tensor::new(Shape::new(one), part).ok()?))
}
