//! Explanations of the similarity of two images, on both sides and cell by cell.

use super::place::pools_itself;
use super::{Class, ExplainOptions, Explanation, Given, Request, explain};
use crate::backbone::{Backbone, ImageId};
use crate::error::{Error, Result};
use crate::fam::head::HeadChoice;
use crate::fam::{Form, PoolingChoice, Similarity, cosine, dot, norm};
use crate::tasks::few_shot::Centre;
use crate::tasks::pair::{Cells, WhereToWhere};

/// Two images, each explained as the query with the other as the only support of the only class.
#[derive(Clone, Debug)]
pub struct PairExplanation {
    /// What in image a makes it like image b.
    pub a: Explanation,
    /// What in image b makes it like image a.
    pub b: Explanation,
}

impl PairExplanation {
    /// The similarity of the two, under the score that the explanations name.
    pub fn similarity(&self) -> f64 {
        self.a.classes.first().map_or(0.0, |class| class.similarity)
    }
}

/// The similarity of two images, pair of cells by pair of cells.
#[derive(Clone, PartialEq, Debug)]
pub struct CellPairs {
    /// The terms and their sum.
    pub map: WhereToWhere,
    /// The similarity that the terms add up to, with `constant`.
    pub similarity: f64,
    /// What the similarity has beside the terms; 0 for all that are linear in both embeddings.
    pub constant: f64,
    /// Which similarity it is.
    pub score: Similarity,
}

/// Explains the similarity of two images on both sides.
///
/// # Errors
/// As [`explain`].
pub(crate) async fn pair(
    backbone: &mut Backbone,
    given: &mut Given,
    a: ImageId,
    b: ImageId,
    options: &ExplainOptions,
) -> Result<PairExplanation> {
    let class = |backbone: &Backbone, id| Ok::<_, Error>([Class::new(backbone.image(id)?.name.clone(), [id])]);
    let (like_a, like_b) = (class(backbone, a)?, class(backbone, b)?);
    Ok(PairExplanation {
        a: explain(backbone, given, &Request::new(a, &like_b, options).unjudged()).await?,
        b: explain(backbone, given, &Request::new(b, &like_a, options).unjudged()).await?,
    })
}

/// What every pair of a cell of image a and a cell of image b adds to the similarity of the two.
///
/// # Errors
/// [`Error::Argument`] for unknown images, or a choice under which the similarity is not a sum over pairs of cells of
/// the two images; [`Error::TooLarge`] for a layer with too many cells; the engine's errors.
pub(crate) async fn where_to_where(
    backbone: &mut Backbone,
    image_a: ImageId,
    image_b: ImageId,
    options: &ExplainOptions,
) -> Result<CellPairs> {
    let target = super::request::layers(backbone, &[], options)?.swap_remove(0);
    let model = backbone.model();
    let similarity = splittable(options, pools_itself(model, options))?;
    let pooling = match options.pooling {
        Some(pooling) => pooling.of(options.gem_exponent)?,
        None => model.manifest().pooling(),
    };
    let [of_a, of_b] = [
        backbone.recovering(async |b: &mut Backbone| b.activations(image_a, &target).await).await?,
        backbone.recovering(async |b: &mut Backbone| b.activations(image_b, &target).await).await?,
    ];
    let mean = match similarity == Similarity::CentredCosine || options.center == Centre::Model {
        true => Some(backbone.model().required_mean_embedding(&target)?),
        false => None,
    };
    let cells = |features| {
        let cells = Cells::new(features, pooling, mean)?;
        Ok::<_, Error>(if similarity == Similarity::Pearson { cells.less_own_mean() } else { cells })
    };
    let (of_a, of_b) = (cells(&of_a)?, cells(&of_b)?);
    let (f, g) = (of_a.embedding(), of_b.embedding());
    let lengths = if options.l2 { norm(f) * norm(g) } else { 1.0 };
    let scale = if lengths > 0.0 { 1.0 / lengths } else { 0.0 };
    let (map, constant, similar) = match similarity {
        Similarity::Dot => (WhereToWhere::new(&of_a, &of_b, scale)?, 0.0, scale * dot(f, g)),
        Similarity::Euclidean => {
            let squares = if options.l2 { 2.0 } else { dot(f, f) + dot(g, g) };
            let product = 2.0 * scale * dot(f, g);
            (WhereToWhere::new(&of_a, &of_b, 2.0 * scale)?, -squares, product - squares)
        }
        _ => (WhereToWhere::cosine(&of_a, &of_b)?, 0.0, cosine(f, g)),
    };
    Ok(CellPairs { map, similarity: similar, constant, score: similarity })
}

/// The similarity that is split; refuses what is not bilinear in the pooled activation maps.
fn splittable(options: &ExplainOptions, own_pooling: bool) -> Result<Similarity> {
    let refused = |name: &str, value: &str| {
        let reason = format!("{value:?} is not a sum over pairs of cells of two images");
        Err(Error::argument(name, format!("{reason}; for where to where choose another one")))
    };
    if options.head != HeadChoice::None {
        return refused("head", options.head.name());
    }
    if matches!(options.center, Centre::Supports | Centre::Gallery) {
        return refused("center", options.center.name());
    }
    if own_pooling {
        return refused("pooling", PoolingChoice::Model.name());
    }
    match options.similarity {
        Similarity::Bilinear | Similarity::Mahalanobis => refused("similarity", options.similarity.name()),
        Similarity::Cosine if options.form == Form::Centred => Ok(Similarity::CentredCosine),
        similarity => Ok(similarity),
    }
}
