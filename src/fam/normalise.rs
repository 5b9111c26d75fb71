//! Normalisation of weights and of maps.

use crate::choice::choice;

/// How the weights of a class's channels, or the values of its map, are scaled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Norm {
    /// They stay as they are.
    #[default]
    None,
    /// `(x - min) / (max - min)`; zeros if all are equal.
    MinMax,
    /// `x / sum |x|`; zeros if all are zero.
    Sum,
    /// `exp(x) / sum exp(x)`.
    Softmax,
}

choice!(Norm, "norm", {
    None: "none", "None",
        "Values stay as they are.",
        "arXiv 2307.05017", "";
    MinMax: "minmax", "Min-max",
        "The smallest becomes 0 and the largest 1.",
        "arXiv 2307.05017", "";
    Sum: "sum", "Sum",
        "Values are divided by the sum of their sizes.",
        "arXiv 2307.05017", "A map that is drawn from its smallest to its largest value looks the same.";
    Softmax: "softmax", "Softmax",
        "The exponentials of the values, divided by their sum.",
        "arXiv 1910.01279 (Score-CAM) scales its weights so",
        "Shares of a similarity are so small that their exponentials are nearly equal: FAM becomes the plain mean of the channels.";
});
