//! The forms of the channel weights.

use super::CellForm;
use super::similarity::{centred_cosine, cosine, subtract, unit};
use crate::choice::choice;
use crate::engine::{Gate, Mix, Pooling};
use crate::error::{Error, Result};

/// Where a channel's weight comes from, for cosine similarity between a query's embedding `f` and class prototypes `g_k`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Form {
    /// FAM as published (arXiv 2307.05017): `w_kc = f_c g_kc / (|f| |g_k|)`. The weights sum to the cosine similarity.
    /// Faithful to the decision, yet nearly the same map for every class.
    #[default]
    Faithful,
    /// `w_kc = (f_c - m_c)(g_kc - m_c) / (|f - m| |g_k - m|)`, with `m` the mean embedding of unlabelled images. The
    /// weights sum to the centred cosine similarity, which is then the score.
    Centred,
    /// `w_kc = f_c / |f| (u_kc - mean of the other classes' u_jc)`, with `u_k = g_k / |g_k|`. The weights sum to the
    /// margin: the cosine similarity with class k less the mean over the other classes.
    Contrastive,
    /// The form of CAM (arXiv 1512.04150, eq. 2) with the prototype as the classifier's weights: `w_kc = g_kc / (|f| |g_k|)`.
    /// With average pooling the mean of the map over cells is the cosine similarity.
    Cam,
    /// `w_kc = |f_c| g_kc / (|f| |g_k|)`: for layers with negative activations, where the product of two negative values
    /// would give a negative map a positive weight.
    Magnitude,
    /// Whitened FAM ([`super::CellForm::Whitened`]): cells that deviate from what is usual as the class does. Ranks by Mahalanobis cosine.
    Whitened,
    /// Discriminative FAM ([`super::CellForm::Discriminative`]): the same, shared among the classes. Ranks by the mean of the map.
    Discriminative,
}

choice!(Form, "form", {
    Faithful: "fam", "FAM",
        "Each channel counts by what it adds to the similarity.",
        "arXiv 2307.05017, equations 5 to 7",
        "Faithful to the decision, yet nearly the same map for every class.";
    Centred: "centred", "Centred",
        "As FAM, after subtracting what images have in common, so that only what is unusual counts.",
        "famlens (measured on mosaics)",
        "The score that ranks is then the centred similarity. Needs a mean embedding.";
    Contrastive: "contrastive", "Contrastive",
        "What speaks for this class and against the other ones.",
        "famlens (measured on mosaics)",
        "Needs at least two classes. The weights sum to the margin over the other classes.";
    Cam: "cam", "CAM form",
        "Each channel counts by the class alone, as in a class activation map.",
        "arXiv 1512.04150, equation 2, with the class prototype as the classifier's weights",
        "Safe where activations are negative. With average pooling the mean of the map is the similarity.";
    Magnitude: "magnitude", "Magnitude",
        "As FAM, with the size of the query's feature and without its sign.",
        "famlens",
        "For layers with negative activations; the same as FAM where there are none.";
    Whitened: "whitened", "Whitened",
        "The places that differ from what is usual in images in the same way as this class does.",
        "famlens (docs/results.md)",
        "Ranks by the Mahalanobis cosine. Looks at a larger input and rests on statistics of unlabelled images.";
    Discriminative: "discriminative", "Discriminative",
        "The places that speak for this class more than for the other ones.",
        "famlens (docs/results.md)",
        "Needs at least two classes and ranks by the mean of the map. Looks at a larger input and rests on statistics of unlabelled images.";
});

impl Form {
    /// The name of the score that ranks the classes under this form with cosine similarity.
    pub fn score_name(self) -> &'static str {
        match self {
            Self::Centred => "centred cosine",
            Self::Whitened => CellForm::Whitened.score_name(),
            Self::Discriminative => CellForm::Discriminative.score_name(),
            _ => "cosine",
        }
    }

    /// The form as one that reads cells, if it is one: it then has no [`Form::mix`].
    pub fn cells(self) -> Option<CellForm> {
        match self {
            Self::Whitened => Some(CellForm::Whitened),
            Self::Discriminative => Some(CellForm::Discriminative),
            Self::Faithful | Self::Centred | Self::Contrastive | Self::Cam | Self::Magnitude => None,
        }
    }

    /// Refuses forms that read cells where channels are weighed.
    ///
    /// # Errors
    /// [`Error::Argument`] for whitened and discriminative FAM.
    pub(crate) fn require_channels(self) -> Result<()> {
        if self.cells().is_some() { Err(reads_cells()) } else { Ok(()) }
    }

    /// The score of one class under this form: [`cosine`] or [`centred_cosine`].
    ///
    /// # Errors
    /// As [`Form::mix`].
    pub fn score(self, f: &[f32], g: &[f32], mean: Option<&[f32]>) -> Result<f64> {
        match self {
            Self::Centred => Ok(centred_cosine(f, g, required(mean, f.len())?)),
            Self::Whitened | Self::Discriminative => Err(reads_cells()),
            _ => Ok(cosine(f, g)),
        }
    }

    /// The mix that computes the weights and maps of every class at once. `prototypes` are `K` rows of `C` values,
    /// `mean` the mean embedding of unlabelled images (only the centred form needs it).
    ///
    /// # Errors
    /// [`Error::Argument`] if the centred form has no mean, the contrastive form fewer than two classes, or lengths differ.
    ///
    /// ```
    /// use famlens::fam::Form;
    /// let mix = Form::Faithful.mix(&[vec![3.0, 4.0]], None)?;
    /// assert_eq!(mix.directions, [[0.6, 0.8]]);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn mix(self, prototypes: &[Vec<f32>], mean: Option<&[f32]>) -> Result<Mix> {
        let channels = prototypes.first().map_or(0, Vec::len);
        if prototypes.iter().any(|g| g.len() != channels) {
            return Err(Error::argument("classes", "the prototypes differ in their number of channels"));
        }
        let (mean, directions) = match self {
            Self::Faithful | Self::Cam | Self::Magnitude => (None, prototypes.iter().map(|g| unit(g)).collect()),
            Self::Centred => {
                let mean = required(mean, channels)?;
                (Some(mean.to_vec()), prototypes.iter().map(|g| unit(&subtract(g, mean))).collect())
            }
            Self::Contrastive => (None, against_others(prototypes)?),
            Self::Whitened | Self::Discriminative => return Err(reads_cells()),
        };
        let gate = match self {
            Self::Faithful | Self::Centred | Self::Contrastive => Gate::Feature,
            Self::Cam | Self::Whitened | Self::Discriminative => Gate::One,
            Self::Magnitude => Gate::AbsFeature,
        };
        Ok(Mix { pooling: Pooling::Average, mean, directions, gate, normalise: true })
    }
}

/// The whitened and discriminative forms are no weights of channels that an embedding alone would decide.
fn reads_cells() -> Error {
    Error::argument("form", "whitened and discriminative FAM compare cells and cannot be used here; use another form")
}

fn required(mean: Option<&[f32]>, channels: usize) -> Result<&[f32]> {
    match mean {
        Some(mean) if mean.len() == channels => Ok(mean),
        Some(mean) => {
            let found = format!("the model's mean embedding has {} channels and this layer {channels}", mean.len());
            Err(Error::argument("form", format!("{found}; use \"fam\" or \"contrastive\" for this layer")))
        }
        None => Err(Error::argument(
            "form",
            "the centred form needs a mean embedding, and model.json has none for this layer; use \"fam\" or \"contrastive\"",
        )),
    }
}

/// `u_k - mean of u_j over j != k`.
fn against_others(prototypes: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
    let others = prototypes.len().saturating_sub(1);
    if others == 0 {
        return Err(Error::argument("form", "the contrastive form compares classes and needs at least two"));
    }
    let units: Vec<_> = prototypes.iter().map(|g| unit(g)).collect();
    let total = |c: usize| units.iter().map(|u| f64::from(u[c])).sum::<f64>();
    let totals: Vec<f64> = (0..units[0].len()).map(total).collect();
    let rest = |own: f32, total: f64| (total - f64::from(own)) / others as f64;
    let row = |u: &Vec<f32>| u.iter().zip(&totals).map(|(&own, &t)| (f64::from(own) - rest(own, t)) as f32).collect();
    Ok(units.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of_weights(mix: &Mix, f: &[f32], class: usize) -> f64 {
        let f = mix.mean.as_ref().map_or_else(|| f.to_vec(), |m| subtract(f, m));
        cosine_parts(&unit(&f), &mix.directions[class])
    }

    fn cosine_parts(f: &[f32], d: &[f32]) -> f64 {
        super::super::similarity::dot(f, d)
    }

    const F: [f32; 4] = [0.5, 2.0, 0.0, 1.0];
    const MEAN: [f32; 4] = [0.25, 0.5, 0.75, 0.5];

    fn prototypes() -> Vec<Vec<f32>> {
        vec![vec![1.0, 2.0, 0.5, 0.0], vec![0.0, 0.5, 2.0, 1.0], vec![0.3, 0.3, 0.3, 3.0]]
    }

    #[test]
    fn weights_sum_to_the_score_that_ranks() -> Result<()> {
        let g = prototypes();
        for form in [Form::Faithful, Form::Centred] {
            let mix = form.mix(&g, Some(&MEAN))?;
            for (k, g) in g.iter().enumerate() {
                let score = form.score(&F, g, Some(&MEAN))?;
                assert!((sum_of_weights(&mix, &F, k) - score).abs() < 1e-6, "{form} class {k}");
            }
        }
        Ok(())
    }

    #[test]
    fn contrastive_weights_sum_to_the_margin() -> Result<()> {
        let g = prototypes();
        let mix = Form::Contrastive.mix(&g, None)?;
        let margin = cosine(&F, &g[0]) - (cosine(&F, &g[1]) + cosine(&F, &g[2])) / 2.0;
        assert!((sum_of_weights(&mix, &F, 0) - margin).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn what_a_form_needs_is_said() {
        let one = [vec![1.0, 2.0]];
        assert!(Form::Contrastive.mix(&one, None).is_err_and(|e| e.to_string().contains("at least two")));
        assert!(Form::Centred.mix(&one, None).is_err_and(|e| e.to_string().contains("mean embedding")));
        assert!(Form::Centred.mix(&one, Some(&[1.0])).is_err_and(|e| e.to_string().contains("1 channels")));
        assert!("grad-cam".parse::<Form>().is_err_and(|e| {
            e.to_string().contains("fam, centred, contrastive, cam, magnitude, whitened, discriminative")
        }));
    }
}
