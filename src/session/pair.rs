//! Explanations of the similarity of two images, on both sides and cell by cell.

use super::{Class, ExplainOptions, Explanation, ImageId, Session};
use crate::error::Result;
use crate::fam::Form;
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
    /// The name of the similarity.
    pub score: &'static str,
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
        let class = |s: &Self, id| Ok::<_, crate::Error>([Class::new(s.image_name(id)?, [id])]);
        let (of_a, of_b) = (class(self, a)?, class(self, b)?);
        Ok(PairExplanation { a: self.explain(a, &of_b, options).await?, b: self.explain(b, &of_a, options).await? })
    }

    /// What every pair of a cell of image a and a cell of image b adds to the similarity of the two. With the centred
    /// form it is the centred cosine that is split, else the cosine.
    ///
    /// # Errors
    /// As [`Session::explain`], and [`crate::Error::TooLarge`] for a layer with too many cells.
    pub async fn where_to_where(&mut self, a: ImageId, b: ImageId, options: &ExplainOptions) -> Result<CellPairs> {
        let target = options.target.clone().unwrap_or_else(|| self.model.manifest().target.clone());
        self.model.check_target(&target)?;
        let of_a = self.with_recovery(async |s: &mut Self| s.activations(a, &target).await).await?;
        let of_b = self.with_recovery(async |s: &mut Self| s.activations(b, &target).await).await?;
        let pooling = self.model.manifest().pooling();
        let mean = match options.form {
            Form::Centred => Some(self.model.required_mean_embedding(&target)?),
            _ => None,
        };
        let (of_a, of_b) = (Cells::new(&of_a, pooling, mean)?, Cells::new(&of_b, pooling, mean)?);
        let map = WhereToWhere::cosine(&of_a, &of_b)?;
        let similarity = crate::fam::cosine(of_a.embedding(), of_b.embedding());
        Ok(CellPairs { map, similarity, constant: 0.0, score: options.form.score_name() })
    }
}
