//! How the target layer's activation maps become the embedding, by name.

use crate::choice::choice;
use crate::engine::Pooling;
use crate::error::{Error, Result};

/// A pooling by name; with its parameter it becomes an [`engine::Pooling`](Pooling).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PoolingChoice {
    /// Global average pooling: the mean over cells.
    #[default]
    Average,
    /// Global max pooling: the largest cell of each channel.
    Max,
    /// Generalised mean with a chosen exponent.
    GeM,
    /// A mean weighted by where the activations are strong.
    Crow,
    /// The model's own embedding: the value that `model.json` names as `"embedding"`, or the file's first output.
    Model,
}

choice!(PoolingChoice, "pooling", {
    Average: "gap", "Average (GAP)",
        "Each channel is averaged over the whole image.",
        "arXiv 1312.4400 (Network In Network), section 3.2", "";
    Max: "gmp", "Maximum (GMP)",
        "Each channel counts with its strongest cell only.",
        "arXiv 1511.05879 (MAC)",
        "The map still shows whole channels; only their weights come from the strongest cells.";
    GeM: "gem", "Generalised mean (GeM)",
        "Between average and maximum: the larger the exponent, the more the strongest cells count.",
        "arXiv 1711.02512, equation 3", "Negative activations count as zero.";
    Crow: "crow", "Spatial attention (CroW)",
        "A mean that weighs each cell by the square root of its total activation, so that empty background counts less.",
        "arXiv 1512.04065 (CroW), spatial weights with a = b = 2", "";
    Model: "model", "The model's own",
        "The embedding is the model's own output, with whatever pooling, attention and projection it has.",
        "the model's file; carried back as in arXiv 2202.07304, section 3.3",
        "Where attention or a class token makes it, the gradient carries the contributions back; what that misses is shown as residual.";
});

impl PoolingChoice {
    /// The engine's pooling; `exponent` is that of GeM.
    ///
    /// # Errors
    /// [`Error::Argument`] for an exponent that is not within 0.1 to 100, and for the model's own embedding, which is
    /// no pooling of the target layer.
    ///
    /// ```
    /// use famlens::{engine::Pooling, fam::PoolingChoice};
    /// assert_eq!(PoolingChoice::GeM.of(3.0)?, Pooling::GeM(3.0));
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn of(self, exponent: f32) -> Result<Pooling> {
        match self {
            Self::Average => Ok(Pooling::Average),
            Self::Max => Ok(Pooling::Max),
            Self::GeM if (0.1..=100.0).contains(&exponent) => Ok(Pooling::GeM(exponent)),
            Self::GeM => Err(Error::argument("gemExponent", format!("{exponent} is not within 0.1 to 100"))),
            Self::Crow => Ok(Pooling::Crow),
            Self::Model => Err(Error::argument("pooling", "the model's own embedding is not a pooling of a layer")),
        }
    }
}
