//! What is explained: one number a class, and its gradient.

use crate::error::{Error, Result};
use crate::fam::{cosine, dot, norm};

/// The scores that are explained, one for each class: similarities to prototypes, or outputs of a classifier.
#[derive(Clone, PartialEq, Debug)]
pub enum Objective {
    /// The cosine similarity of the embedding, less `mean` if there is one, to each prototype, less the same.
    Cosine {
        /// One row a class.
        prototypes: Vec<Vec<f32>>,
        /// What is subtracted from both sides: the mean embedding of unlabelled images, for the centred cosine.
        mean: Option<Vec<f32>>,
    },
    /// Outputs of the model's classifier (logits), by index.
    Outputs(Vec<usize>),
}

impl Objective {
    /// Number of scores.
    pub fn classes(&self) -> usize {
        match self {
            Self::Cosine { prototypes, .. } => prototypes.len(),
            Self::Outputs(indices) => indices.len(),
        }
    }

    /// The score of each class, for an embedding or for the classifier's outputs.
    ///
    /// # Errors
    /// [`Error::Argument`] if `values` has not as many numbers as the prototypes, or no output of such an index.
    ///
    /// ```
    /// use famlens::methods::Objective;
    /// let cosine = Objective::Cosine { prototypes: vec![vec![1.0, 0.0], vec![0.0, 1.0]], mean: None };
    /// assert_eq!(cosine.scores(&[0.0, 3.0])?, [0.0, 1.0]);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn scores(&self, values: &[f32]) -> Result<Vec<f64>> {
        self.check(values)?;
        Ok(match self {
            Self::Cosine { prototypes, mean } => {
                let f = centred(values, mean.as_deref());
                prototypes.iter().map(|g| cosine(&f, &centred(g, mean.as_deref()))).collect()
            }
            Self::Outputs(indices) => indices.iter().map(|&i| f64::from(values[i])).collect(),
        })
    }

    /// The gradient of the score of one class with respect to `values`.
    ///
    /// For the cosine, in closed form: `g / (|f| |g|) - cos(f, g) f / |f|^2`; zeros where `f` or `g` is zero.
    ///
    /// # Errors
    /// As [`Objective::scores`]; also if there is no such class.
    pub fn gradient(&self, values: &[f32], class: usize) -> Result<Vec<f32>> {
        self.check(values)?;
        if class >= self.classes() {
            return Err(Error::argument("class", format!("there is no class {class}; there are {}", self.classes())));
        }
        Ok(match self {
            Self::Cosine { prototypes, mean } => {
                let (f, g) = (centred(values, mean.as_deref()), centred(&prototypes[class], mean.as_deref()));
                let (lf, lg) = (norm(&f), norm(&g));
                if lf == 0.0 || lg == 0.0 {
                    return Ok(vec![0.0; values.len()]);
                }
                let cosine = dot(&f, &g) / (lf * lg);
                let slope = |(&f, &g): (&f32, &f32)| f64::from(g) / (lf * lg) - cosine * f64::from(f) / (lf * lf);
                f.iter().zip(&g).map(|pair| slope(pair) as f32).collect()
            }
            Self::Outputs(indices) => {
                let mut unit = vec![0.0; values.len()];
                unit[indices[class]] = 1.0;
                unit
            }
        })
    }

    /// The direction of one class in which the score is linear, for CAM: `g / |g|`, or the unit vector of an output.
    pub fn direction(&self, class: usize, len: usize) -> Vec<f32> {
        match self {
            Self::Cosine { prototypes, mean } => {
                let g = prototypes.get(class).map(|g| centred(g, mean.as_deref())).unwrap_or_default();
                let length = norm(&g).max(f64::MIN_POSITIVE);
                g.iter().map(|&v| (f64::from(v) / length) as f32).collect()
            }
            Self::Outputs(indices) => {
                let chosen = indices.get(class).copied();
                (0..len).map(|i| if Some(i) == chosen { 1.0 } else { 0.0 }).collect()
            }
        }
    }

    fn check(&self, values: &[f32]) -> Result<()> {
        let wrong = match self {
            Self::Cosine { prototypes, mean } => {
                prototypes.iter().chain(mean).map(Vec::len).find(|&len| len != values.len())
            }
            Self::Outputs(indices) => indices.iter().copied().find(|&i| i >= values.len()),
        };
        match (wrong, self) {
            (None, _) => Ok(()),
            (Some(len), Self::Cosine { .. }) => {
                let found = format!("a prototype has {len} channels and the embedding {}", values.len());
                Err(Error::argument("classes", found))
            }
            (Some(i), Self::Outputs(_)) => {
                Err(Error::argument("logit", format!("there is no output {i}; the classifier has {}", values.len())))
            }
        }
    }
}

fn centred(values: &[f32], mean: Option<&[f32]>) -> Vec<f32> {
    match mean {
        Some(mean) => values.iter().zip(mean).map(|(v, m)| v - m).collect(),
        None => values.to_vec(),
    }
}
