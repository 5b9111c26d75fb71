//! What a method costs, counted and estimated.

use serde::Serialize;

use super::gather::Gathered;
use crate::methods::{Method, MethodMap, Reads};

/// How often the model ran for one method, beside the one forward pass that all methods share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Passes {
    /// Forward passes of the whole model.
    pub forward: usize,
    /// Forward passes of what comes after the layer.
    pub tail: usize,
    /// Backward passes from the score to the layer.
    pub backward: usize,
}

/// What a method cost for all classes together, as if it had run alone.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Cost {
    /// Milliseconds, with the shared forward pass and, where it reads gradients, the backward passes.
    pub milliseconds: f64,
    /// Milliseconds of the method itself.
    pub own: f64,
    /// Passes beside the shared one.
    pub passes: Passes,
    /// Bytes it holds at its peak, an estimate from the sizes of what must be there at once: the network's activations,
    /// the layer's maps, gradients, masks and sums. Weights are not counted: every method needs them alike.
    pub bytes: usize,
}

const FLOAT: usize = size_of::<f32>();
const DOUBLE: usize = size_of::<f64>();

impl Cost {
    pub(super) fn new(method: Method, gathered: &Gathered, own: f64, mut passes: Passes, maps: &[MethodMap]) -> Self {
        let classes = maps.len();
        let layer = gathered.activations.data().len();
        let result: usize = maps.iter().map(|m| m.data.len() + m.weights.len()).sum::<usize>() * FLOAT;
        let cells = maps.first().map_or(0, |m| m.data.len());
        let mut milliseconds = own + gathered.forward_ms;
        let extra = match method.reads() {
            // Where a logit lies behind further layers, its direction is a gradient.
            Reads::Direction if gathered.logits.is_some() && gathered.tail.is_some() => {
                passes.backward = classes;
                milliseconds += gathered.gradient_ms;
                classes * layer * FLOAT + gathered.tail_bytes
            }
            Reads::Activations | Reads::Direction if method == Method::EigenCam => layer * DOUBLE + 2 * cells * DOUBLE,
            Reads::Activations | Reads::Direction => cells * DOUBLE,
            Reads::Gradient => {
                passes.backward = classes;
                milliseconds += gathered.gradient_ms;
                classes * layer * FLOAT + gathered.tail_bytes
            }
            // A copy of the maps with one channel left out, and what the tail holds.
            Reads::Tail => layer * FLOAT + gathered.tail.as_ref().map_or(0, |t| t.bytes()),
            // The mask, the masked image, and sums.
            Reads::Input => 4 * gathered.pixels * FLOAT + classes * cells * DOUBLE,
        };
        let kept = if method.reads_maps() { layer * FLOAT } else { 0 };
        Self { milliseconds, own, passes, bytes: gathered.network_bytes + kept + result + extra }
    }
}
