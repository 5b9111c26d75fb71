//! The forms of the channel weights.

use std::fmt;
use std::str::FromStr;

use super::similarity::{centred_cosine, cosine, subtract, unit};
use crate::engine::{Gate, Mix, Pooling};
use crate::error::{Error, Result};

/// Where a channel's weight comes from, for cosine similarity between a query's embedding `f` and class prototypes `g_k`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// FAM as published (arXiv 2307.05017): `w_kc = f_c g_kc / (|f| |g_k|)`. The weights sum to the cosine similarity.
    /// Faithful to the decision, yet nearly the same map for every class.
    #[default]
    #[serde(rename = "fam")]
    Faithful,
    /// `w_kc = (f_c - m_c)(g_kc - m_c) / (|f - m| |g_k - m|)`, with `m` the mean embedding of unlabelled images. The
    /// weights sum to the centred cosine similarity, which is then the score.
    Centred,
    /// `w_kc = f_c / |f| (u_kc - mean of the other classes' u_jc)`, with `u_k = g_k / |g_k|`. The weights sum to the
    /// margin: the cosine similarity with class k less the mean over the other classes.
    Contrastive,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Faithful, Self::Centred, Self::Contrastive];

    /// The name used on the command line and in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Faithful => "fam",
            Self::Centred => "centred",
            Self::Contrastive => "contrastive",
        }
    }

    /// The name of the score that ranks the classes under this form.
    pub fn score_name(self) -> &'static str {
        match self {
            Self::Faithful | Self::Contrastive => "cosine",
            Self::Centred => "centred cosine",
        }
    }

    /// The score of one class under this form: [`cosine`] or [`centred_cosine`].
    ///
    /// # Errors
    /// As [`Form::mix`].
    pub fn score(self, f: &[f32], g: &[f32], mean: Option<&[f32]>) -> Result<f64> {
        match self {
            Self::Faithful | Self::Contrastive => Ok(cosine(f, g)),
            Self::Centred => Ok(centred_cosine(f, g, required(mean, f.len())?)),
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
            Self::Faithful => (None, prototypes.iter().map(|g| unit(g)).collect()),
            Self::Centred => {
                let mean = required(mean, channels)?;
                (Some(mean.to_vec()), prototypes.iter().map(|g| unit(&subtract(g, mean))).collect())
            }
            Self::Contrastive => (None, against_others(prototypes)?),
        };
        Ok(Mix { pooling: Pooling::Average, mean, directions, gate: Gate::Feature, normalise: true })
    }
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

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|form| form.name() == name);
        known.ok_or_else(|| Error::argument("form", format!("{name:?} is not one of fam, centred, contrastive")))
    }
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
        assert!("grad-cam".parse::<Form>().is_err_and(|e| e.to_string().contains("fam, centred")));
    }
}
