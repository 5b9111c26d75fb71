//! From weights to maps: the mix, several layers fused, finer maps.

use web_time::Instant;

use super::finer::finer_maps;
use super::look::{merge, region};
use super::{ExplainOptions, Request, Timings};
use crate::backbone::{Backbone, milliseconds};
use crate::engine::{Gate, Mix};
use crate::error::{Error, Result};
use crate::fam::{ChannelWeights, Grid};
use crate::image::Rect;
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

/// The maps with a second look in its place, where one is taken, and what it saw of the photo. `explained` are the
/// weights of every layer and class, with the class that won; `grids` are the maps of the looks before.
///
/// # Errors
/// Those of the engine.
pub(super) async fn look_again(
    backbone: &mut Backbone,
    request: &Request<'_>,
    layers: &[String],
    (explained, predicted): (&[Vec<ChannelWeights>], usize),
    grids: Vec<Vec<Grid>>,
    timings: &mut Timings,
) -> Result<(Vec<Vec<Grid>>, Option<Rect>)> {
    let whole = backbone.image(request.query)?.geometry;
    let fused = finish(&grids, request.options);
    let Some(coarse) = fused.get(predicted) else { return Ok((grids, None)) };
    let Some(seen) = region(coarse, &whole, request.options)? else { return Ok((grids, None)) };
    let started = Instant::now();
    let (input, part) = backbone.part(request.query, seen, whole.input_size())?;
    let mixes: Vec<Mix> = explained.iter().map(|classes| weighed(classes)).collect();
    let found = backbone.mix_input(&input, layers, &mixes).await?;
    let mut merged = Vec::with_capacity(grids.len());
    for (((shape, mixed), mix), classes) in found.into_iter().zip(&mixes).zip(&grids) {
        let second = split(&shape, mixed.maps, mix.directions.len())?;
        merged.push(classes.iter().zip(&second).map(|(coarse, second)| merge(coarse, &whole, second, &part)).collect());
    }
    timings.finer += milliseconds(started);
    Ok((merged, Some(seen)))
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
