//! From weights to maps: the mix, several layers fused, finer maps.

use web_time::Instant;

use super::finer::finer_maps;
use super::{ExplainOptions, Request, Timings};
use crate::backbone::{Backbone, milliseconds};
use crate::engine::{Gate, Mix};
use crate::error::{Error, Result};
use crate::fam::{ChannelWeights, Grid};
use crate::model::not_spatial;
use crate::tensor::Shape;

/// The maps of every class for each layer, and how many forward passes of the query they are made of.
///
/// # Errors
/// Those of the engine.
pub(super) async fn weighed_maps(
    backbone: &mut Backbone,
    request: &Request<'_>,
    layers: &[String],
    explained: &[Vec<ChannelWeights>],
    timings: &mut Timings,
) -> Result<(Vec<Vec<Grid>>, usize)> {
    let mixes: Vec<Mix> = explained.iter().map(|classes| weighed(classes)).collect();
    let started = Instant::now();
    let mut plain = Vec::with_capacity(layers.len());
    for (layer, mix) in layers.iter().zip(&mixes) {
        let (shape, mixed) = backbone.mix(request.query, layer, mix).await?;
        plain.push(split(&shape, mixed.maps, mix.directions.len())?);
    }
    timings.mix = milliseconds(started);
    if !request.options.finer.is_on() {
        return Ok((plain, 1));
    }
    let started = Instant::now();
    let finer = finer_maps(backbone, request, layers, &mixes, plain).await?;
    timings.finer = milliseconds(started);
    Ok(finer)
}

/// The mix of weights that are known.
pub(super) fn weighed(classes: &[ChannelWeights]) -> Mix {
    let directions = classes.iter().map(|class| class.weights.clone()).collect();
    Mix { directions, gate: Gate::One, ..Mix::default() }
}

/// Cuts `K x H x W` values into one grid a class.
pub(super) fn split(shape: &Shape, data: Vec<f32>, classes: usize) -> Result<Vec<Grid>> {
    let (_, height, width) = shape.chw().ok_or_else(|| not_spatial(&shape.to_string()))?;
    if data.len() != classes * height * width || data.is_empty() {
        let reason = format!("{} map values for {classes} classes of {height} x {width}", data.len());
        return Err(Error::argument("maps", reason));
    }
    Ok(data.chunks(height * width).map(|data| Grid { width, height, data: data.to_vec() }).collect())
}

/// ReLU, fusion over layers and normalisation, class by class.
pub(super) fn finish(layers: &[Vec<Grid>], options: &ExplainOptions) -> Vec<Grid> {
    let classes = layers.first().map_or(0, Vec::len);
    let finish = |k: usize| {
        let mut grids: Vec<Grid> = layers.iter().map(|layer| layer[k].clone()).collect();
        if options.map_relu {
            grids.iter_mut().flat_map(|g| &mut g.data).for_each(|v| *v = v.max(0.0));
        }
        let mut grid = match grids.len() {
            1 => grids.swap_remove(0),
            _ => options.fusion.fuse(&grids),
        };
        options.map_norm.apply(&mut grid.data);
        grid
    };
    (0..classes).map(finish).collect()
}
