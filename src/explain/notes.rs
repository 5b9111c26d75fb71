//! Plain sentences about the choices: when one cannot change the map, turns it upside down or leaves it zero, and why.

use super::setup::Setup;
use super::{Class, ExplainOptions};
use crate::fam::head::HeadChoice;
use crate::fam::{ChannelWeights, Form, Grid, Norm, PoolingChoice, Similarity};
use crate::tasks::few_shot::{Centre, Decide};

/// Everything that a sentence may be about.
pub(super) struct Context<'a> {
    pub options: &'a ExplainOptions,
    pub classes: &'a [Class],
    pub setup: &'a Setup,
    /// The query's pooled features.
    pub features: &'a [f32],
    pub explained: &'a [ChannelWeights],
    pub maps: &'a [Grid],
    /// Whether the layer has negative activations in this image.
    pub signed: bool,
    pub layers: &'a [String],
    /// Whether the gradient of the model's own embedding made the weights.
    pub own_embedding: bool,
}

pub(super) fn write(c: &Context, notes: &mut Vec<String>) {
    zero_maps(c, notes);
    signs(c, notes);
    idle_weights(c, notes);
    idle_maps(c, notes);
    idle_rules(c, notes);
    residuals(c, notes);
}

/// The note on a target layer that famlens found early in the network; `behind` is the share of the products behind it,
/// 0 to 1.
pub(super) fn early_target(layer: &str, behind: f64) -> String {
    format!(
        "{layer:?} is the last layer that famlens found to keep where things are in the image, yet {:.0} % of the \
         network's multiplications come after it. If a later layer keeps that too, name it as the target layer.",
        100.0 * behind
    )
}

fn is_zero(values: &[f32]) -> bool {
    values.iter().all(|&v| v == 0.0)
}

fn zero_maps(c: &Context, notes: &mut Vec<String>) {
    for (k, map) in c.maps.iter().enumerate().filter(|(_, m)| is_zero(&m.data)) {
        let class = &c.explained[k];
        let why = match () {
            () if is_zero(c.features) => "every channel of the query is zero at this layer",
            () if c.options.weight_relu && is_zero(&class.weights) => {
                "no channel speaks for the class, and channels that speak against it are left out"
            }
            () if is_zero(&class.weights) => {
                "query and class have no active channel in common, so no channel has a weight"
            }
            () if c.options.map_relu => {
                "nothing in the picture speaks for the class, and what speaks against it is left out"
            }
            () => "the weighted activation maps cancel out everywhere",
        };
        let Grid { width, height, .. } = map;
        notes.push(format!("The map of {:?} ({width} x {height}) is zero everywhere: {why}.", c.classes[k].name));
    }
}

/// The part of the weights, by size, that lies on channels whose feature in the query is negative.
fn negative_share(c: &Context) -> f64 {
    let size = |w: &f32| f64::from(w.abs());
    let all: f64 = c.explained.iter().flat_map(|e| &e.weights).map(size).sum();
    let negative = |e: &ChannelWeights| -> f64 {
        e.weights.iter().zip(c.features).filter(|(_, f)| **f < 0.0).map(|(w, _)| size(w)).sum()
    };
    c.explained.iter().map(negative).sum::<f64>() / all.max(f64::MIN_POSITIVE)
}

fn signs(c: &Context, notes: &mut Vec<String>) {
    let multiplies = matches!(c.options.form, Form::Faithful | Form::Centred | Form::Contrastive);
    match (c.signed, c.options.form) {
        // Pooling may leave nothing negative, as GeM does.
        (true, _) if multiplies && c.features.iter().any(|f| *f < 0.0) => notes.push(format!(
            "This layer has negative activations ({:.0} % of the weight lies on channels that are negative in the \
             image). If both sides of the comparison are negative, their product is positive and turns the channel's \
             map upside down. The forms \"cam\" and \"magnitude\" do not do that.",
            negative_share(c) * 100.0
        )),
        (false, Form::Magnitude) if c.setup.space.centre().is_none() && !c.own_embedding => {
            notes.push(
                "This layer has no negative activations, so the form \"magnitude\" is the same as \"fam\".".into(),
            );
        }
        _ => {}
    }
}

fn idle_weights(c: &Context, notes: &mut Vec<String>) {
    let unchanged = |e: &ChannelWeights| e.contributions.iter().all(|&w| w >= 0.0);
    let plain = matches!(c.options.form, Form::Faithful | Form::Centred | Form::Contrastive);
    if c.options.weight_relu && plain && c.explained.iter().all(unchanged) {
        notes.push("No weight is negative, so leaving out negative weights changes nothing.".into());
    }
    let drawn = "The colours run from the smallest to the largest value, so the picture stays the same";
    match c.options.weight_norm {
        Norm::None => {}
        Norm::Sum => notes.push(format!("Dividing the weights by their sum scales the whole map. {drawn}.")),
        Norm::MinMax => {
            let from_zero = |e: &ChannelWeights| {
                let before = |w: &f32| if c.options.weight_relu { w.max(0.0) } else { *w };
                e.contributions.iter().map(before).fold(f32::INFINITY, f32::min) == 0.0
            };
            if plain && c.explained.iter().all(from_zero) {
                notes.push(format!("The smallest weight is zero, so min-max only scales the map. {drawn}."));
            }
        }
        Norm::Softmax => {
            let spread = |e: &ChannelWeights| {
                let (lo, hi) = e.weights.iter().fold((f32::INFINITY, 0f32), |(lo, hi), &w| (lo.min(w), hi.max(w)));
                f64::from(hi) / f64::from(lo).max(f64::MIN_POSITIVE)
            };
            let spread = c.explained.iter().map(spread).fold(1.0, f64::max);
            if spread < 1.5 {
                notes.push(format!(
                    "After softmax the largest weight is only {spread:.2} times the smallest. The map is nearly the \
                     plain mean of the channels, whatever the class."
                ));
            }
        }
    }
}

fn idle_maps(c: &Context, notes: &mut Vec<String>) {
    let never_negative = c.maps.iter().all(|m| m.data.iter().all(|&v| v >= 0.0));
    if c.options.map_relu && c.options.map_norm == Norm::None && !c.signed && never_negative {
        let unweighed = c.explained.iter().all(|e| e.weights.iter().all(|&w| w >= 0.0));
        if unweighed {
            notes.push("No value of the map is negative, so leaving out negative values changes nothing.".into());
        }
    }
    if matches!(c.options.map_norm, Norm::MinMax | Norm::Sum) {
        notes.push(
            "Scaling the map changes its values. The colours run from the smallest to the largest value, so the \
             picture stays the same."
                .into(),
        );
    }
    if c.layers.len() > 1 && c.own_embedding {
        notes.push(format!("The model's own embedding decides. The map joins the maps of {} layers.", c.layers.len()));
    } else if c.layers.len() > 1 {
        notes.push(format!(
            "The first layer, {:?}, decides. The map joins the maps of {} layers.",
            c.layers[0],
            c.layers.len()
        ));
    }
}

fn idle_rules(c: &Context, notes: &mut Vec<String>) {
    let single = c.classes.iter().all(|class| class.supports.len() == 1);
    if single && c.options.decide != Decide::Prototype {
        notes.push("Every class has one image, so prototype, nearest image and mean are the same.".into());
    }
    let cosine = !matches!(c.options.similarity, Similarity::Dot | Similarity::Euclidean | Similarity::Mahalanobis);
    if c.options.l2 && cosine && (single || c.options.decide != Decide::Prototype) {
        notes.push(
            "This similarity ignores the length of embeddings and nothing is averaged, so scaling embeddings to length \
             1 changes nothing."
                .into(),
        );
    }
    if c.options.similarity == Similarity::Euclidean
        && c.options.center != Centre::None
        && !c.options.l2
        && !c.own_embedding
    {
        notes.push(
            "Subtracting a mean does not change a distance, so the ranking stays the same. The contributions are \
             measured from the mean."
                .into(),
        );
    }
    if c.options.rival.is_some() && c.options.form != Form::Contrastive {
        notes.push("Only the contrastive form uses a class to compare against.".into());
    }
    if c.options.pooling == Some(PoolingChoice::GeM) && c.options.gem_exponent == 1.0 && !c.signed {
        notes.push("GeM with exponent 1 is the average.".into());
    }
    let angle = matches!(c.options.similarity, Similarity::Cosine | Similarity::CentredCosine | Similarity::Bilinear);
    if c.options.head == HeadChoice::Lda && c.classes.len() == 2 && angle {
        notes.push(
            "Between two classes LDA leaves one direction, along which a cosine is 1 or -1. Choose the dot product or \
             a distance to see more."
                .into(),
        );
    }
}

fn residuals(c: &Context, notes: &mut Vec<String>) {
    let worst = c.explained.iter().max_by(|a, b| a.residual.abs().total_cmp(&b.residual.abs()));
    if let Some(worst) = worst.filter(|e| e.residual.abs() > 1e-3 * e.explained.abs().max(1e-3)) {
        let why = match c.own_embedding {
            true => "The way from the layer to the embedding is not linear, or reads more than the layer's cells",
            false => "The transformation module is not linear",
        };
        notes.push(format!(
            "{why}. The contributions, by gradient times input, add up to {:.3} of {:.3}.",
            worst.explained - worst.constant - worst.residual,
            worst.explained - worst.constant
        ));
    }
}
