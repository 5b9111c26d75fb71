//! What is explained: one number a class, and its gradient.

use crate::error::{Error, Result};
use crate::fam::{Direction, Form, Space};

/// The scores that are explained, one for each class: similarities to classes, or outputs of a classifier.
#[derive(Clone, Debug)]
pub enum Objective {
    /// The similarity of the query's pooled features to each class, behind whatever transformation module the space
    /// has.
    Similarity {
        /// Where embeddings are compared.
        space: Space,
        /// What stands for each class.
        classes: Vec<Direction>,
    },
    /// Outputs of the model's classifier (logits), by index.
    Outputs(Vec<usize>),
}

impl Objective {
    /// Number of scores.
    pub fn classes(&self) -> usize {
        match self {
            Self::Similarity { classes, .. } => classes.len(),
            Self::Outputs(indices) => indices.len(),
        }
    }

    /// The score of each class, for pooled features or for the classifier's outputs.
    ///
    /// # Errors
    /// [`Error::Argument`] if `values` has not as many numbers as the classes, or no output of such an index.
    ///
    /// ```
    /// use famlens::fam::{Metric, Similarity, Space, head::Head};
    /// use famlens::methods::Objective;
    /// let space = Space::new(Head::none(), Metric::new(Similarity::Cosine, None, None, false)?, None);
    /// let classes = vec![space.direction(&[1.0, 0.0])?, space.direction(&[0.0, 1.0])?];
    /// let cosine = Objective::Similarity { space, classes };
    /// assert_eq!(cosine.scores(&[0.0, 3.0])?, [0.0, 1.0]);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn scores(&self, values: &[f32]) -> Result<Vec<f64>> {
        match self {
            Self::Similarity { space, classes } => {
                let side = space.side(values)?;
                classes.iter().try_for_each(|class| fits(class, side.values.len()))?;
                Ok(classes.iter().map(|class| space.metric().compare(&side, class)).collect())
            }
            Self::Outputs(indices) => indices.iter().map(|&i| output(values, i).map(f64::from)).collect(),
        }
    }

    /// The gradient of the score of one class with respect to `values`, in closed form: that of the metric
    /// ([`crate::fam::Metric::gradient`]) pulled back through the transformation module.
    ///
    /// For the cosine it is `g / (|f| |g|) - cos(f, g) f / |f|^2`; zeros where `f` or `g` is zero.
    ///
    /// # Errors
    /// As [`Objective::scores`]; also if there is no such class.
    pub fn gradient(&self, values: &[f32], class: usize) -> Result<Vec<f32>> {
        match self {
            Self::Similarity { space, classes } => {
                let direction = classes.get(class).ok_or_else(|| self.no_class(class))?;
                let embedding = space.head().forward(values)?;
                fits(direction, embedding.len())?;
                space.head().pull_back(values, &space.metric().gradient(&embedding, direction))
            }
            Self::Outputs(indices) => {
                let &index = indices.get(class).ok_or_else(|| self.no_class(class))?;
                output(values, index)?;
                Ok((0..values.len()).map(|i| if i == index { 1.0 } else { 0.0 }).collect())
            }
        }
    }

    /// For each class the weights in which its score is linear in pooled features, for CAM: `g / (|f| |g|)` for the
    /// cosine, whose query's length counts as a constant; one value for an output, which is one of the values itself.
    /// None where the transformation module is not affine.
    ///
    /// # Errors
    /// As [`Objective::scores`].
    pub fn directions(&self, values: &[f32]) -> Result<Option<Vec<Vec<f32>>>> {
        match self {
            Self::Similarity { space, classes } if space.head().is_affine() => {
                let side = space.side(values)?;
                classes.iter().try_for_each(|class| fits(class, side.values.len()))?;
                let found = space.explain(values, &side, classes, Form::Cam, None)?;
                Ok(Some(found.into_iter().map(|class| class.weights).collect()))
            }
            Self::Similarity { .. } => Ok(None),
            Self::Outputs(_) => {
                (0..self.classes()).map(|class| self.gradient(values, class)).collect::<Result<_>>().map(Some)
            }
        }
    }

    fn no_class(&self, class: usize) -> Error {
        Error::argument("class", format!("there is no class {class}; there are {}", self.classes()))
    }
}

fn output(values: &[f32], index: usize) -> Result<f32> {
    values.get(index).copied().ok_or_else(|| {
        Error::argument("logit", format!("there is no output {index}; the classifier has {}", values.len()))
    })
}

fn fits(class: &Direction, len: usize) -> Result<()> {
    match class.values.len() == len {
        true => Ok(()),
        false => {
            let found = format!("a class has {} channels and the embedding {len}", class.values.len());
            Err(Error::argument("classes", found))
        }
    }
}
