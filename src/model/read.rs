//! The layers that the model's own embedding reads.

use std::sync::PoisonError;

use super::Model;
use crate::error::{Error, Result};
use crate::graph::{Op, Target};

impl Model {
    /// A layer, or the next before it that has as many channels and whose cells the model's own embedding is made of: a
    /// class token reads the others for the last time in the last attention. `None` if there is none.
    ///
    /// # Errors
    /// [`crate::Error::Target`] for an unknown layer.
    pub(crate) fn read_layer(&self, layer: &str) -> Result<Option<String>> {
        if let Some(known) = self.read_layers.lock().unwrap_or_else(PoisonError::into_inner).get(layer) {
            return Ok(known.clone());
        }
        let found = self.find_read(layer)?;
        let mut layers = self.read_layers.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(layers.entry(layer.to_owned()).or_insert(found).clone())
    }

    fn find_read(&self, layer: &str) -> Result<Option<String>> {
        let value = self.own_embedding();
        // What remains when the network is optimised is a layer; the rest are steps within one, such as the squares of
        // a normalisation.
        let graph = self.graph_as_it_lies(&[layer, value])?;
        let (Some(from), Some(to)) = (graph.find(layer), graph.find(value)) else { return Ok(None) };
        if graph.value(to).shape.len() == 1 {
            let reason = format!(
                "{value:?} is one number and no embedding; choose another pooling, or name the embedding as \"embedding\" in \
                 model.json"
            );
            return Err(Error::argument("pooling", reason));
        }
        if graph.nodes.iter().any(|node| node.output == to && matches!(node.op, Op::Softmax { .. })) {
            let reason = format!(
                "{value:?} is a softmax: shares of classes, through which no channel's part can be followed; choose another \
                 pooling, or name the value before it as \"embedding\" in model.json"
            );
            return Err(Error::argument("pooling", reason));
        }
        let read = graph.read_for(to);
        let mut candidates = graph.target_candidates();
        let place = |id| graph.nodes.iter().position(|node| node.output == id);
        let moves = |id| {
            let node = graph.nodes.iter().find(|node| node.output == id);
            node.is_some_and(|node| matches!(node.op, Op::Transpose { .. } | Op::Reshape(_) | Op::Slice { .. }))
        };
        let roundings = graph.roundings();
        candidates.retain(|target| {
            let id = target.value;
            place(id) <= place(from) && (id == from || !moves(id) && !roundings[id.0])
        });
        candidates.sort_by_key(|target| std::cmp::Reverse(place(target.value)));
        let channels = candidates.iter().find(|target| target.value == from).map(|target| target.maps[0]);
        let fits = |target: &&Target| {
            let name = &graph.value(target.value).name;
            Some(target.maps[0]) == channels
                && graph.reads_cells(target, &read[target.value.0])
                && self.targets().contains(name)
        };
        Ok(candidates.iter().find(fits).map(|target| graph.value(target.value).name.clone()))
    }
}
