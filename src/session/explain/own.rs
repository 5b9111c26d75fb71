//! FAM of the model's own embedding where attention, a class token or anything else than a pooling and a head makes it.
//!
//! The similarity is then split among the channels of the target layer by the gradient, as it is before a head that is not linear. With
//! `s = <a, e(A)>`, where `e(A)` is the embedding that the network makes of the activations `A` and `a` what the similarity multiplies it with,
//! channel `c` contributes `sum_i A_ci ds/dA_ci`. Behind a global average pooling that is `f_c g_c / (|f| |g|)`, FAM's weight. As the lengths of
//! embeddings are held fixed there, so are the weights of attention and the deviations of normalisations here (arXiv 2202.07304, section 3.3): the
//! attention is a weighted mean of cells, and what a cell brings to it is its contribution.

use web_time::Instant;

use super::super::pooled::Place;
use super::super::{ImageId, Session, milliseconds};
use super::maps::{split, weighed};
use super::setup::Setup;
use super::{Class, ExplainOptions, Explanation, Timings, Told, Weighed};
use crate::engine::cpu::CpuEngine;
use crate::engine::mix::mix_host;
use crate::engine::{Engine, Mix, Program};
use crate::error::{Error, Result};
use crate::fam::{ChannelWeights, Form, contrast};
use crate::graph::gradient::{Tail, Trace};
use crate::graph::{Op, Target};
use crate::tensor::Tensor;

/// From how many multiplications on the engine runs a tail, and not the plain loops.
const SMALL_TAIL: usize = 4_000_000;

/// The way from a layer to the model's own embedding, kept from one explanation to the next.
pub(in super::super) struct Way {
    layer: String,
    size: (u32, u32),
    tail: Tail,
    /// Gives the layer and what the tail reads beside it.
    program: Box<dyn Program>,
    /// What it gave for the last image: the layer, and what is read beside it.
    given: Option<(ImageId, Tensor, Vec<Tensor>)>,
}

/// How many ways are kept: one for each of a few target layers.
const WAYS: usize = 3;

/// One layer's side of an explanation.
struct Carried {
    activations: Tensor,
    /// The mean of each channel's cells.
    means: Vec<f32>,
    classes: Vec<ChannelWeights>,
}

impl Session {
    pub(super) async fn explain_own(
        &mut self,
        query: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
        layers: &[String],
        place: &Place,
    ) -> Result<Explanation> {
        if options.form == Form::Centred {
            let reason = "the centred form measures pooled features from their mean, and the model's own embedding is not pooled features; \
                          choose the similarity \"centredCosine\" or another form";
            return Err(Error::argument("form", reason));
        }
        let (mut notes, mut timings) = (Vec::new(), Timings::default());
        let started = Instant::now();
        let (setups, mut embedded) =
            self.learn(query, classes, options, &place.layers, place.pooling, &mut notes).await?;
        if embedded > 0 {
            timings.supports = milliseconds(started);
        }
        let started = Instant::now();
        embedded += usize::from(self.missing(query, &place.layers)?);
        let embedding = self.pooled(query, &place.layers, place.pooling).await?.swap_remove(0);
        timings.forward = milliseconds(started);

        let started = Instant::now();
        let Setup { space, references } = &setups[0];
        let side = space.side(&embedding)?;
        let (decision, directions) = references.decide(space.metric(), &side);
        // The contributions are of activations measured from zero, and so is what is left over.
        let space = &space.uncentred();
        let told = space.explain(&embedding, &side, &directions, options.form, options.rival)?;
        let directions = match options.form {
            Form::Contrastive => contrast(&directions, options.rival)?,
            _ => directions,
        };
        // The weights of the CAM form are the slope of the score, with lengths held fixed.
        let slopes: Vec<Vec<f32>> =
            space.explain(&embedding, &side, &directions, Form::Cam, None)?.into_iter().map(|c| c.weights).collect();

        let value = &place.layers[0];
        let layers = self.layers_read(layers, options, value)?;
        notes.push(match layers[0] == self.model.manifest().target {
            true => format!("What is compared is the model's own embedding, {value:?}; the gradient between it and {:?} makes the weights.", layers[0]),
            false => format!(
                "What is compared is the model's own embedding, {value:?}; the gradient between it and {:?}, whose cells it is made of, makes the weights.",
                layers[0]
            ),
        });
        let mut carried = Vec::with_capacity(layers.len());
        for layer in &layers {
            let mut one = self.carry_back(query, layer, value, &slopes, options.form, &told).await?;
            one.classes.iter_mut().for_each(|class| super::finish_weights(class, options));
            carried.push(one);
        }
        let signed = carried[0].activations.data().iter().any(|&a| a < 0.0);
        let mut grids = Vec::with_capacity(layers.len());
        for Carried { activations, classes, .. } in &carried {
            let mix = weighed(classes);
            grids.push(split(activations.shape(), mix_host(activations, &mix)?.maps, mix.directions.len())?);
        }
        timings.mix = milliseconds(started);
        let features = std::mem::take(&mut carried[0].means);
        let explained: Vec<_> = carried.into_iter().map(|one| one.classes).collect();
        let (grids, passes) = match options.finer.is_on() {
            true => self.weighed_maps(query, &layers, &explained, options, &mut timings).await?,
            false => (grids, 1),
        };
        let (setup, features, layers, own) = (&setups[0], &features, &layers, true);
        let weighed = Weighed { decision, setup, features, explained, grids, passes, signed, layers, own };
        self.conclude(query, classes, options, weighed, Told { notes, timings, embedded })
    }

    /// The scores alone: no map, and so no way back.
    pub(in super::super) async fn own_scores(
        &mut self,
        query: ImageId,
        classes: &[Class],
        options: &ExplainOptions,
        layers: &[String],
    ) -> Result<Vec<f64>> {
        let Place { layers, pooling, .. } = self.place(options, layers)?;
        let (setups, _) = self.learn(query, classes, options, &layers, pooling, &mut Vec::new()).await?;
        let embedding = self.pooled(query, &layers, pooling).await?.swap_remove(0);
        let Setup { space, references } = &setups[0];
        Ok(references.decide(space.metric(), &space.side(&embedding)?).0.scores)
    }

    /// Every class's weights at a layer from the slopes of its score at the embedding.
    async fn carry_back(
        &mut self,
        query: ImageId,
        layer: &str,
        value: &str,
        slopes: &[Vec<f32>],
        form: Form,
        told: &[ChannelWeights],
    ) -> Result<Carried> {
        let entry = self.entry(query)?;
        let (input, size) = (entry.input.clone(), entry.geometry.input_size());
        let way = self.way(layer, value, size)?;
        if way.tail.output_shape().len() != slopes.first().map_or(0, Vec::len) {
            let reason = format!(
                "the model's own embedding, {value:?}, is {} for an image of this shape; take another geometry",
                way.tail.output_shape()
            );
            return Err(Error::argument("pooling", reason));
        }
        let given = match way.given.take() {
            Some(given) if given.0 == query => given,
            _ => {
                let output = way.program.run(&input, &Mix::default()).await?;
                let mut values = Vec::with_capacity(output.features.len());
                for features in &output.features {
                    values.push(way.program.read(features).await?);
                }
                let sides = values.split_off(1);
                (query, values.swap_remove(0), sides)
            }
        };
        let (_, activations, sides) = way.given.insert(given).clone();
        let trace = trace(&way.tail, &activations, &sides).await?;
        let (channels, height, width) = activations.shape().chw().ok_or_else(|| super::super::not_spatial(layer))?;
        let cells = height * width;
        let sum = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>();
        let means: Vec<f32> = activations
            .data()
            .chunks(cells)
            .map(|plane| (sum(&mut plane.iter().map(|&a| f64::from(a))) / cells as f64) as f32)
            .collect();
        let mut classes = Vec::with_capacity(slopes.len());
        for (slope, told) in slopes.iter().zip(told) {
            let gradient = trace.conservative_gradient(slope)?;
            let planes = || activations.data().chunks(cells).zip(gradient.data().chunks(cells));
            let product =
                |(a, g): (&[f32], &[f32])| sum(&mut a.iter().zip(g).map(|(&a, &g)| f64::from(a) * f64::from(g))) as f32;
            let contributions: Vec<f32> = planes().map(product).collect();
            let slope = |c: usize| sum(&mut gradient.data()[c * cells..][..cells].iter().map(|&g| f64::from(g))) as f32;
            let weights = match form {
                Form::Cam => (0..channels).map(slope).collect(),
                Form::Magnitude => means.iter().enumerate().map(|(c, f)| f.abs() * slope(c)).collect(),
                _ => contributions.clone(),
            };
            let (explained, constant) = (told.explained, told.constant);
            let carried: f64 = contributions.iter().map(|&w| f64::from(w)).sum();
            let residual = explained - constant - carried;
            classes.push(ChannelWeights { explained, contributions, constant, residual, weights });
        }
        Ok(Carried { activations, means, classes })
    }

    /// The layers to explain. Where the user names none it is the target layer or, if the embedding is made without its cells (as of a class token,
    /// which reads the others for the last time in the last attention), the next one before it that has as many channels and is read.
    pub(in super::super) fn layers_read(
        &mut self,
        layers: &[String],
        options: &ExplainOptions,
        value: &str,
    ) -> Result<Vec<String>> {
        let named = options.target.is_some() || !options.targets.is_empty();
        let named = named && layers != [self.model.manifest().target.as_str()];
        if named && layers.iter().all(|layer| self.known_read.contains(layer)) {
            return Ok(layers.to_vec());
        }
        if let (false, Some(known)) = (named, &self.read_layer) {
            return Ok(vec![known.clone()]);
        }
        let mut found = Vec::with_capacity(layers.len());
        for layer in layers {
            let read = self.first_read(layer, value)?;
            let unread = || {
                let instead = match &read {
                    Some(read) => format!("choose {read:?} or one before it"),
                    None => "it has no layer of as many channels that is read; choose another pooling".to_owned(),
                };
                let reason = format!("the embedding {value:?} is made without the cells of {layer:?}; {instead}");
                Error::argument("target", reason)
            };
            match &read {
                Some(read) if !named || read == layer => found.push(read.clone()),
                _ => return Err(unread()),
            }
        }
        match named {
            true => self.known_read.extend(found.iter().cloned()),
            false => self.read_layer = found.first().cloned(),
        }
        Ok(found)
    }

    /// A layer, or the next before it that has as many channels and whose cells the embedding is made of.
    fn first_read(&self, layer: &str, value: &str) -> Result<Option<String>> {
        // What remains when the network is optimised is a layer; the rest are steps within one, such as the squares of a normalisation.
        let graph = self.model.graph_as_it_lies(&[layer, value])?;
        let (Some(from), Some(to)) = (graph.find(layer), graph.find(value)) else { return Ok(None) };
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
                && self.model.targets().contains(name)
        };
        Ok(candidates.iter().find(fits).map(|target| graph.value(target.value).name.clone()))
    }

    fn way(&mut self, layer: &str, value: &str, size: (u32, u32)) -> Result<&mut Way> {
        let known = self.ways.iter().position(|way| way.layer == layer && way.size == size);
        let way = match known {
            Some(at) => self.ways.remove(at),
            None => {
                let graph = self.model.graph_keeping(size, &[layer, value])?;
                let find = |name: &str| graph.find(name).ok_or_else(|| super::super::not_spatial(name));
                let tail = Tail::new(&graph, find(layer)?, find(value)?)?;
                let targets = std::iter::once(layer).chain(tail.sides()).map(find).collect::<Result<Vec<_>>>()?;
                let program = CpuEngine::new().compile(&graph, &targets)?;
                Way { layer: layer.to_owned(), size, tail, program, given: None }
            }
        };
        if self.ways.len() >= WAYS {
            self.ways.remove(0);
        }
        self.ways.push(way);
        self.ways.last_mut().ok_or_else(|| super::super::not_spatial(layer))
    }
}

/// Runs a tail forward: a small one in plain loops, a large one on the CPU engine with every value read back.
pub(in super::super) async fn trace<'a>(tail: &'a Tail, layer: &Tensor, sides: &[Tensor]) -> Result<Trace<'a>> {
    if tail.multiplications() <= SMALL_TAIL {
        return tail.trace(layer, sides);
    }
    let closed = tail.with_sides(sides)?;
    let targets = closed.values();
    let mut program = CpuEngine::new().compile(closed.graph(), &targets)?;
    let output = program.run(layer, &Mix::default()).await?;
    let mut values = Vec::with_capacity(targets.len());
    for features in &output.features {
        values.push(program.read(features).await?);
    }
    tail.trace_from(layer, sides, targets.into_iter().zip(values).collect())
}
