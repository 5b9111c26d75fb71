//! Explanations of the similarity of two images, on both sides and cell by cell.

use super::{Class, ExplainOptions, Explanation, ImageId, Session};
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

impl Session {
    /// Explains the similarity of two images on both sides, with all the choices of [`Session::explain`] that need no
    /// second class.
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, a: famlens::session::ImageId,
    /// #     b: famlens::session::ImageId) -> famlens::Result<()> {
    /// let pair = session.pair(a, b, &Default::default()).await?;
    /// println!("{:.3}: {:?}", pair.similarity(), pair.a.maps[0].localisation);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Session::explain`].
    pub async fn pair(&mut self, a: ImageId, b: ImageId, options: &ExplainOptions) -> Result<PairExplanation> {
        let class = |s: &Self, id| Ok::<_, Error>([Class::new(s.image_name(id)?, [id])]);
        let (of_a, of_b) = (class(self, a)?, class(self, b)?);
        Ok(PairExplanation { a: self.explain(a, &of_b, options).await?, b: self.explain(b, &of_a, options).await? })
    }

    /// What every pair of a cell of image a and a cell of image b adds to the similarity of the two. Of the options the
    /// similarity, the pooling, the centre and the (first) target layer count; the centred form stands for the centred
    /// cosine. Of the squared Euclidean distance the cross term is split, and the rest is the constant.
    ///
    /// ```no_run
    /// # async fn example(session: &mut famlens::session::Session, a: famlens::session::ImageId,
    /// #     b: famlens::session::ImageId) -> famlens::Result<()> {
    /// let pairs = session.where_to_where(a, b, &Default::default()).await?;
    /// let sum: f32 = pairs.map.terms.iter().sum();
    /// assert!((f64::from(sum) + pairs.constant - pairs.similarity).abs() < 1e-4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Session::explain`]; [`Error::Argument`] for a choice under which the similarity is not a sum over pairs of
    /// cells of the two images; [`Error::TooLarge`] for a layer with too many cells.
    pub async fn where_to_where(&mut self, a: ImageId, b: ImageId, options: &ExplainOptions) -> Result<CellPairs> {
        options.check()?;
        let target = options.layers(&self.model.manifest().target)?.swap_remove(0);
        self.model.check_target(&target)?;
        let similarity = splittable(options, self.own_pooling(options))?;
        let pooling = match options.pooling {
            Some(pooling) => pooling.of(options.gem_exponent)?,
            None => self.model.manifest().pooling(),
        };
        let [of_a, of_b] = [
            self.with_recovery(async |s: &mut Self| s.activations(a, &target).await).await?,
            self.with_recovery(async |s: &mut Self| s.activations(b, &target).await).await?,
        ];
        let mean = match similarity == Similarity::CentredCosine || options.center == Centre::Model {
            true => Some(self.model.required_mean_embedding(&target)?),
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
        let (map, constant, found) = match similarity {
            Similarity::Dot => (WhereToWhere::new(&of_a, &of_b, scale)?, 0.0, scale * dot(f, g)),
            Similarity::Euclidean => {
                let squares = if options.l2 { 2.0 } else { dot(f, f) + dot(g, g) };
                let product = 2.0 * scale * dot(f, g);
                (WhereToWhere::new(&of_a, &of_b, 2.0 * scale)?, -squares, product - squares)
            }
            _ => (WhereToWhere::cosine(&of_a, &of_b)?, 0.0, cosine(f, g)),
        };
        Ok(CellPairs { map, similarity: found, constant, score: similarity })
    }
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
