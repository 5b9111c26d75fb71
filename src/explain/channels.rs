//! The route over channels: pooled features of a layer are compared, and each channel's part in the similarity weighs
//! that channel's activation map.

use web_time::Instant;

use super::maps::{look_again, weighed_maps};
use super::setup::learn;
use super::weighed::{Weighed, finish_weights};
use super::{Effort, Explanation, Given, Request};
use crate::backbone::{Backbone, milliseconds};
use crate::error::{Error, Result};
use crate::fam::{ChannelWeights, Pooling};

pub(super) async fn explain(
    backbone: &mut Backbone,
    given: &Given,
    request: &Request<'_>,
    layers: &[String],
    pooling: Pooling,
) -> Result<Explanation> {
    let Request { query, options, .. } = *request;
    let (mut notes, mut effort) = (Vec::new(), Effort::default());
    let started = Instant::now();
    let (setups, new_images) = learn(backbone, given, request, layers, pooling, &mut notes).await?;
    if new_images > 0 {
        effort.timings.supports = milliseconds(started);
    }
    let started = Instant::now();
    let known = backbone.knows(query, layers)?;
    let features = backbone.features(query, layers, pooling).await?;
    if !known {
        effort.timings.forward = milliseconds(started);
    }
    effort.embedded = new_images + usize::from(!known);

    let mut explained: Vec<Vec<ChannelWeights>> = Vec::with_capacity(layers.len());
    let mut decision = None;
    for (setup, features) in setups.iter().zip(&features) {
        let space = &setup.space;
        let side = space.side(features)?;
        let (decided, directions) = setup.references.decide(space.metric(), &side);
        explained.push(space.explain(features, &side, &directions, options.form, options.rival)?);
        decision.get_or_insert(decided);
    }
    let decision = decision.ok_or_else(|| Error::argument("targets", "there is none"))?;
    explained.iter_mut().flatten().for_each(|class| finish_weights(class, options));

    let (grids, passes) = weighed_maps(backbone, request, layers, &explained, &mut effort.timings).await?;
    let (grids, looked) =
        look_again(backbone, request, layers, (&explained, decision.predicted), grids, &mut effort.timings).await?;
    let passes = passes + usize::from(looked.is_some());
    let signed = backbone.is_signed(query, &layers[0]).await?;
    let (setup, features) = (&setups[0], &features[0]);
    let weighed = Weighed {
        decision,
        setup,
        features,
        explained,
        grids,
        passes,
        looked,
        signed,
        layers,
        own_embedding: false,
        effort,
        notes,
    };
    weighed.findings(backbone, request)?.conclude(backbone, options)
}
