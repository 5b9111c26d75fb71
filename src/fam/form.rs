//! The forms of the channel weights.

use super::CellForm;
use crate::choice::choice;
use crate::error::{Error, Result};

/// Where a channel's weight comes from, for cosine similarity between a query's embedding `f` and class prototypes
/// `g_k`.
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
    /// The form of CAM (arXiv 1512.04150, eq. 2) with the prototype as the classifier's weights: `w_kc = g_kc / (|f|
    /// |g_k|)`. With average pooling the mean of the map over cells is the cosine similarity.
    Cam,
    /// `w_kc = |f_c| g_kc / (|f| |g_k|)`: for layers with negative activations, where the product of two negative
    /// values would give a negative map a positive weight.
    Magnitude,
    /// Whitened FAM ([`super::CellForm::Whitened`]): cells that deviate from what is usual as the class does. Ranks by
    /// Mahalanobis cosine.
    Whitened,
    /// Discriminative FAM ([`super::CellForm::Discriminative`]): the same, shared among the classes. Ranks by the mean
    /// of the map.
    Discriminative,
}

choice!(Form, "form", {
    Faithful: "fam", "FAM",
        "Shows everything that made the photo similar, even what all classes share.",
        "arXiv 2307.05017, equations 5 to 7",
        "Each channel counts by what it adds to the similarity.";
    Centred: "centred", "Centred",
        "As FAM, after subtracting what images have in common, so that only what is unusual counts.",
        "famlens (measured on mosaics)",
        "The score that ranks is then the centred similarity. Needs a mean embedding.", needs [Mean];
    Contrastive: "contrastive", "Contrastive",
        "What speaks for this class and against the other ones.",
        "famlens (measured on mosaics)",
        "Needs at least two classes. The weights sum to the margin over the other classes.", needs [Classes];
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
        "Ranks by the Mahalanobis cosine. Looks at a larger input and rests on statistics of unlabelled images.",
        needs [Statistics];
    Discriminative: "discriminative", "Discriminative",
        "The places that speak for this class more than for the other ones.",
        "famlens (docs/results.md)",
        "Needs at least two classes and ranks by the mean of the map. Looks at a larger input and rests on statistics of unlabelled images.",
        needs [Classes, Statistics];
});

impl Form {
    /// The form for a user who has chosen none. It is the form that tells this many classes apart best, among those for
    /// which the model has what they need. Page, module and command line begin with it.
    ///
    /// ```
    /// use famlens::fam::Form;
    /// assert_eq!(Form::usual(2, true, true), Form::Discriminative);
    /// assert_eq!(Form::usual(1, false, false), Form::Faithful);
    /// ```
    pub fn usual(classes: usize, has_statistics: bool, has_mean: bool) -> Self {
        match (classes > 1, has_statistics, has_mean) {
            (true, true, _) => Self::Discriminative,
            (false, true, _) => Self::Whitened,
            (true, false, _) => Self::Contrastive,
            (false, false, true) => Self::Centred,
            (false, false, false) => Self::Faithful,
        }
    }

    /// The name of the score that ranks the classes under this form with cosine similarity.
    pub fn score_name(self) -> &'static str {
        match self {
            Self::Centred => "centred cosine",
            Self::Whitened => CellForm::Whitened.score_name(),
            Self::Discriminative => CellForm::Discriminative.score_name(),
            Self::Faithful | Self::Contrastive | Self::Cam | Self::Magnitude => "cosine",
        }
    }

    /// The form as one that reads cells, if it is one: it then weighs no channels.
    pub fn cells(self) -> Option<CellForm> {
        match self {
            Self::Whitened => Some(CellForm::Whitened),
            Self::Discriminative => Some(CellForm::Discriminative),
            Self::Faithful | Self::Centred | Self::Contrastive | Self::Cam | Self::Magnitude => None,
        }
    }

    /// How a channel's weight is made: the one definition of the forms that weigh channels.
    ///
    /// # Errors
    /// [`Error::Argument`] for whitened and discriminative FAM, which compare cells.
    pub(crate) fn weighing(self) -> Result<fn(&Channel) -> f64> {
        match self {
            Self::Faithful | Self::Centred | Self::Contrastive => Ok(|channel| channel.contribution),
            Self::Magnitude => Ok(|channel| channel.feature.abs() * channel.slope),
            Self::Cam => Ok(|channel| channel.slope),
            Self::Whitened | Self::Discriminative => Err(Error::argument(
                "form",
                "whitened and discriminative FAM compare cells and cannot be used here; use another form",
            )),
        }
    }
}

/// One channel's part in what is explained: a similarity, or a margin over other classes.
pub(crate) struct Channel {
    /// What it adds: feature times slope, summed over cells where these differ in their slopes.
    pub contribution: f64,
    /// The query's pooled feature, measured from the centre.
    pub feature: f64,
    /// How steeply what is explained rises with the feature, lengths held fixed.
    pub slope: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choice;

    #[test]
    fn a_form_weighs_channels_or_reads_cells() {
        let channel = Channel { contribution: -6.0, feature: -2.0, slope: 3.0 };
        for &form in Form::ALL {
            assert_eq!(form.weighing().is_err(), form.cells().is_some(), "{form}");
        }
        let weight = |form: Form| form.weighing().map(|weigh| weigh(&channel)).unwrap_or(f64::NAN);
        assert_eq!([Form::Faithful, Form::Magnitude, Form::Cam].map(weight), [-6.0, 6.0, 3.0]);
    }

    #[test]
    fn an_unknown_form_is_answered_with_the_known_ones() {
        assert!("grad-cam".parse::<Form>().is_err_and(|e| {
            e.to_string().contains("fam, centred, contrastive, cam, magnitude, whitened, discriminative")
        }));
    }
}
