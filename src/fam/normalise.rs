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

impl Norm {
    /// Scales values in place.
    ///
    /// ```
    /// use famlens::fam::Norm;
    /// let scaled = |norm: Norm| {
    ///     let mut values = [1.0, -1.0, 2.0];
    ///     norm.apply(&mut values);
    ///     values
    /// };
    /// assert_eq!(scaled(Norm::MinMax), [2.0 / 3.0, 0.0, 1.0]);
    /// assert_eq!(scaled(Norm::Sum), [0.25, -0.25, 0.5]);
    /// assert!((scaled(Norm::Softmax).iter().sum::<f32>() - 1.0).abs() < 1e-6);
    /// ```
    pub fn apply(self, values: &mut [f32]) {
        let smallest = values.iter().copied().fold(f32::INFINITY, f32::min);
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (shift, factor) = match self {
            Self::None => return,
            Self::MinMax => (smallest, inverse(f64::from(largest) - f64::from(smallest))),
            Self::Sum => (0.0, inverse(values.iter().map(|&v| f64::from(v.abs())).sum())),
            Self::Softmax => {
                values.iter_mut().for_each(|v| *v = (*v - largest).exp());
                (0.0, inverse(values.iter().map(|&v| f64::from(v)).sum()))
            }
        };
        values.iter_mut().for_each(|v| *v = (f64::from(*v - shift) * factor) as f32);
    }
}

fn inverse(total: f64) -> f64 {
    if total > 0.0 { 1.0 / total } else { 0.0 }
}
