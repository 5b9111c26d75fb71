//! Where embeddings are compared: pooled features, a transformation module, a metric; and the way back from a
//! comparison to weights of the target layer's channels.

use super::form::Channel;
use super::head::Head;
use super::similarity::{dot, subtract};
use super::{Direction, Form, Metric, Side};
use crate::error::{Error, Result};

/// A transformation module and the metric behind it.
#[derive(Clone, Debug)]
pub struct Space {
    head: Head,
    metric: Metric,
    centre: Option<Vec<f32>>,
}

/// Why one class is as similar as it is, channel by channel of the target layer.
#[derive(Clone, PartialEq, Debug)]
pub struct ChannelWeights {
    /// What is split: the similarity, or the margin over the other classes for [`Form::Contrastive`].
    pub explained: f64,
    /// What each channel adds to it.
    pub contributions: Vec<f32>,
    /// What no channel adds to it by construction.
    pub constant: f64,
    /// `explained - constant - sum of the contributions`: 0 up to rounding unless the head is not affine.
    pub residual: f64,
    /// What the activation maps are multiplied with under the form asked for.
    pub weights: Vec<f32>,
}

impl Space {
    /// `centre` is what pooled features are measured from where a form multiplies with them: the mean of pooled
    /// features that belongs to the metric's mean. Without it, the centre of a learned head; without that, zero.
    pub fn new(head: Head, metric: Metric, centre: Option<Vec<f32>>) -> Self {
        let centre = centre.or_else(|| head.centre().map(<[f32]>::to_vec));
        Self { head, metric, centre }
    }

    /// The same with features measured from zero, whatever mean belongs to the metric or the head.
    pub fn uncentred(&self) -> Self {
        Self { centre: None, ..self.clone() }
    }

    /// The transformation module.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The metric.
    pub fn metric(&self) -> &Metric {
        &self.metric
    }

    /// What pooled features are measured from.
    pub fn centre(&self) -> Option<&[f32]> {
        self.centre.as_deref()
    }

    /// The query's side of a comparison, from its pooled features.
    ///
    /// # Errors
    /// [`Error::Argument`] if the head or the metric was made for another number of channels.
    pub fn side(&self, features: &[f32]) -> Result<Side> {
        Ok(self.metric.side(&self.embed(features)?))
    }

    /// An image's side of a class: embedded, centred and scaled, to be averaged or made a direction.
    ///
    /// # Errors
    /// As [`Space::side`].
    pub fn prepare(&self, features: &[f32]) -> Result<Vec<f32>> {
        Ok(self.metric.prepare(&self.embed(features)?))
    }

    /// A class's side of a comparison, from the pooled features of its one image.
    ///
    /// # Errors
    /// As [`Space::side`].
    pub fn direction(&self, features: &[f32]) -> Result<Direction> {
        Ok(self.metric.direction(&self.prepare(features)?))
    }

    fn embed(&self, features: &[f32]) -> Result<Vec<f32>> {
        let embedding = self.head.forward(features)?;
        match self.metric.size() {
            Some(size) if size != embedding.len() => {
                let reason = format!("has {size} values, and embeddings have {}", embedding.len());
                Err(Error::argument("mean or matrix", reason))
            }
            _ => Ok(embedding),
        }
    }

    /// The weights of every class's channels. `features` are the query's pooled features and `side` what
    /// [`Space::side`] made of them; a contrastive form is against class `rival`, or against all others.
    ///
    /// Through a head, a direction `d` becomes `J' d`, with `J` the head's derivative at the query: exactly the
    /// direction in front of an affine head, gradient times input for another one.
    ///
    /// # Errors
    /// [`Error::Argument`] if the contrastive form has fewer than two classes, or there is no such rival.
    ///
    /// ```
    /// use famlens::fam::{Form, Metric, Similarity, Space, head::Head};
    /// let space = Space::new(Head::none(), Metric::new(Similarity::Dot, None, None, false)?, None);
    /// let (f, g) = ([2.0, 3.0], [1.0, -1.0]);
    /// let found = space.explain(&f, &space.side(&f)?, &[space.direction(&g)?], Form::Faithful, None)?;
    /// assert_eq!(found[0].weights, [2.0, -3.0]);
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn explain(
        &self,
        features: &[f32],
        side: &Side,
        classes: &[Direction],
        form: Form,
        rival: Option<usize>,
    ) -> Result<Vec<ChannelWeights>> {
        let weigh = form.weighing()?;
        let factor = side.scale * side.length;
        let gated = self.centre.as_ref().map_or_else(|| features.to_vec(), |c| subtract(features, c));
        let start = self.start(features.len())?;
        let explain = |k: usize| -> Result<ChannelWeights> {
            let (direction, own) = match form {
                Form::Contrastive => (against(classes, k, rival)?, 0.0),
                _ => (classes[k].clone(), side.constant),
            };
            let explained = side.scale * dot(&side.values, &direction.values) + direction.constant + own;
            let back = self.head.pull_back(features, &direction.values)?;
            let constant = direction.constant + own + factor * dot(&start, &direction.values);
            let parts = gated.iter().zip(&back).map(|(&feature, &v)| {
                let (feature, slope) = (f64::from(feature), factor * f64::from(v));
                let contribution = feature * slope;
                (contribution as f32, weigh(&Channel { contribution, feature, slope }) as f32)
            });
            let (contributions, weights): (Vec<f32>, Vec<f32>) = parts.unzip();
            let carried: f64 = contributions.iter().map(|&w| f64::from(w)).sum();
            let residual = explained - constant - carried;
            Ok(ChannelWeights { explained, contributions, constant, residual, weights })
        };
        (0..classes.len()).map(explain).collect()
    }

    /// How steeply what is explained rises with each channel's pooled feature, for every class, with lengths held
    /// fixed: the weights of the form [`Form::Cam`].
    ///
    /// # Errors
    /// As [`Space::explain`].
    pub fn slopes(
        &self,
        features: &[f32],
        side: &Side,
        classes: &[Direction],
        form: Form,
        rival: Option<usize>,
    ) -> Result<Vec<Vec<f32>>> {
        let directions = match form {
            Form::Contrastive => contrast(classes, rival)?,
            _ => classes.to_vec(),
        };
        let explained = self.explain(features, side, &directions, Form::Cam, None)?;
        Ok(explained.into_iter().map(|class| class.weights).collect())
    }

    /// `head(centre) - mean`: what the embedding is where nothing is left to be carried by a channel.
    fn start(&self, channels: usize) -> Result<Vec<f32>> {
        let start = match &self.centre {
            Some(centre) => self.head.forward(centre)?,
            None => self.head.forward(&vec![0.0; channels])?,
        };
        Ok(self.metric.mean().map_or_else(|| start.clone(), |mean| subtract(&start, mean)))
    }
}

/// Every class's direction less that of its rival, or less the mean of all others: the directions of
/// [`Form::Contrastive`].
///
/// # Errors
/// [`Error::Argument`] with fewer than two classes, or if there is no such rival.
pub fn contrast(classes: &[Direction], rival: Option<usize>) -> Result<Vec<Direction>> {
    (0..classes.len()).map(|k| against(classes, k, rival)).collect()
}

/// Class `k`'s direction less that of its rival, or less the mean of all others.
fn against(classes: &[Direction], k: usize, rival: Option<usize>) -> Result<Direction> {
    if classes.len() < 2 {
        return Err(Error::argument("form", "the contrastive form compares classes and needs at least two"));
    }
    if let Some(rival) = rival.filter(|&r| r >= classes.len()) {
        return Err(Error::argument("rival", format!("there is no class {rival}; there are {}", classes.len())));
    }
    // A rival has no rival but the others.
    let rivals: Vec<usize> = match rival.filter(|&r| r != k) {
        Some(rival) => vec![rival],
        None => (0..classes.len()).filter(|&j| j != k).collect(),
    };
    let mean = |value: &dyn Fn(usize) -> f64| rivals.iter().map(|&j| value(j)).sum::<f64>() / rivals.len() as f64;
    let own = &classes[k];
    let values = (0..own.values.len())
        .map(|c| (f64::from(own.values[c]) - mean(&|j| f64::from(classes[j].values[c]))) as f32)
        .collect();
    Ok(Direction { values, constant: own.constant - mean(&|j| classes[j].constant) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choice;
    use crate::fam::{Samples, Similarity};

    const F: [f32; 3] = [0.5, 2.0, 1.0];
    const CLASSES: [[f32; 3]; 3] = [[1.0, 2.0, 0.5], [0.0, 0.5, 2.0], [3.0, 0.3, 0.3]];
    const MEAN: [f32; 3] = [0.25, 0.5, 0.75];

    fn space(similarity: Similarity, mean: Option<&[f32]>) -> Result<Space> {
        let rows: Vec<&[f32]> = CLASSES.iter().map(|g| g.as_slice()).collect();
        let inverse = Samples::new(&rows)?.inverse(0.2)?;
        let metric = Metric::new(similarity, mean.map(<[f32]>::to_vec), Some(inverse), false)?;
        Ok(Space::new(Head::none(), metric, mean.map(<[f32]>::to_vec)))
    }

    fn explain(space: &Space, form: Form, rival: Option<usize>) -> Result<Vec<ChannelWeights>> {
        let classes = CLASSES.iter().map(|g| space.direction(g)).collect::<Result<Vec<_>>>()?;
        space.explain(&F, &space.side(&F)?, &classes, form, rival)
    }

    #[test]
    fn contributions_sum_to_what_is_explained_under_every_similarity_and_form() -> Result<()> {
        for &similarity in Similarity::ALL {
            let space = space(similarity, Some(&MEAN))?;
            let similar: Vec<f64> = CLASSES.iter().map(|g| space.metric().similarity(&F, g)).collect();
            for form in [Form::Faithful, Form::Cam, Form::Magnitude, Form::Contrastive] {
                for (k, found) in explain(&space, form, None)?.iter().enumerate() {
                    let expected = match form {
                        Form::Contrastive => similar[k] - (similar.iter().sum::<f64>() - similar[k]) / 2.0,
                        _ => similar[k],
                    };
                    assert!((found.explained - expected).abs() < 1e-5, "{similarity} {form} {k}");
                    assert!(found.residual.abs() < 1e-5, "{similarity} {form} {k}: residual {}", found.residual);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn forms_differ_by_what_multiplies_the_direction() -> Result<()> {
        let space = space(Similarity::Dot, Some(&MEAN))?;
        let weights = |form| explain(&space, form, None).map(|all| all[0].weights.clone());
        let d: Vec<f32> = CLASSES[0].iter().zip(&MEAN).map(|(g, m)| g - m).collect();
        let times = |gate: fn(f32) -> f32| -> Vec<f32> {
            F.iter().zip(&MEAN).zip(&d).map(|((f, m), d)| gate(f - m) * d).collect()
        };
        assert_eq!(weights(Form::Faithful)?, times(|e| e));
        assert_eq!(weights(Form::Cam)?, times(|_| 1.0));
        assert_eq!(weights(Form::Magnitude)?, times(f32::abs));
        assert!(times(|e| e) != times(f32::abs) || F.iter().zip(&MEAN).all(|(f, m)| f >= m));
        Ok(())
    }

    #[test]
    fn a_chosen_rival_is_the_only_one() -> Result<()> {
        let space = space(Similarity::Cosine, None)?;
        let similar = |k: usize| crate::fam::cosine(&F, &CLASSES[k]);
        let found = explain(&space, Form::Contrastive, Some(2))?;
        assert!((found[0].explained - (similar(0) - similar(2))).abs() < 1e-6);
        let rest = (similar(0) + similar(1)) / 2.0;
        assert!((found[2].explained - (similar(2) - rest)).abs() < 1e-6, "the rival itself is against all others");
        assert!(explain(&space, Form::Contrastive, Some(3)).is_err_and(|e| e.to_string().contains("class 3")));
        Ok(())
    }
}
