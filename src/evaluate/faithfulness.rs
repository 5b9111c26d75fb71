//! Faithfulness: whether the score moves as the map says it should, when pixels are taken away or put back.

use serde::{Deserialize, Serialize};

use super::{EvaluateOptions, Evaluated, Evaluator, Subject, supports};
use crate::error::{Error, Result};
use crate::explain::{self, Class, ExplainOptions, Finer, Map, Request};
use crate::metrics::{Control, Fill, Perturbed, Row, area_under, confidence, drop_in_confidence};
use crate::tensor::Tensor;

/// How faithfulness is measured; see [`crate::metrics::Perturbed`]. The score is the one that ranks the classes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Faithfulness {
    /// The divisor of scores before the softmax over classes; over 0.
    pub temperature: f64,
    /// What replaces pixels.
    pub fill: Fill,
    /// Steps of insertion and of deletion, 1 to 500; each costs two forward passes.
    pub steps: usize,
    /// Seed of the shuffled control and of the order among ties.
    pub seed: u64,
    /// Whether the uniform, shuffled and inverted controls of the first variant are measured as well.
    pub controls: bool,
}

impl Default for Faithfulness {
    /// Temperature 0.1, the mean colour, 16 steps, seed 1, with controls.
    fn default() -> Self {
        Self { temperature: 0.1, fill: Fill::Mean, steps: 16, seed: 1, controls: true }
    }
}

impl Evaluator<'_> {
    pub(super) async fn faithfulness(
        &mut self,
        subject: &Subject,
        classes: &[Class],
        options: &EvaluateOptions,
        how: &Faithfulness,
        row: &impl Fn(&str, &str) -> Row,
        found: &mut Evaluated,
    ) -> Result<()> {
        if !(1..=500).contains(&how.steps) {
            return Err(Error::argument("steps", format!("{} is not within 1 and 500", how.steps)));
        }
        let input = self.backbone.image(subject.image)?.input.clone();
        let perturbed = Perturbed::new(&input, how.fill)?;
        let mut plans: Vec<(String, &ExplainOptions, Map)> = Vec::new();
        for (variant, map) in options.variants.iter().zip(&found.maps) {
            plans.push((variant.name.clone(), &variant.options, map.clone()));
        }
        if let (true, Some((_, first, map))) = (how.controls, plans.first().cloned()) {
            for control in Control::ALL {
                let data = control.apply(&map.data, how.seed);
                plans.push((control.name().to_owned(), first, Map { data, ..map.clone() }));
            }
        }
        for (name, choices, map) in plans {
            let full = self.confidence_of(subject, None, classes, choices, how).await?;
            let masked = perturbed.masked(&map.data, map.width, map.height)?;
            let kept = self.confidence_of(subject, Some(masked), classes, choices, how).await?;
            let order = perturbed.order(&map.data, map.width, map.height, how.seed)?;
            let mut areas = [0.0; 2];
            for (area, insert) in areas.iter_mut().zip([true, false]) {
                let mut curve = Vec::with_capacity(how.steps + 1);
                for step in 0..=how.steps {
                    let input = perturbed.step(&order, step as f64 / how.steps as f64, insert);
                    curve.push(self.confidence_of(subject, Some(input), classes, choices, how).await?);
                }
                *area = area_under(&curve);
            }
            let own = row("faithfulness", &name).with("drop", drop_in_confidence(full, kept));
            let own = own.with("increase", f64::from(u8::from(kept > full)));
            found.rows.push(own.with("insertion", areas[0]).with("deletion", areas[1]));
        }
        Ok(())
    }

    /// The confidence in the subject's class, with another input in its place if there is one.
    async fn confidence_of(
        &mut self,
        subject: &Subject,
        input: Option<Tensor>,
        classes: &[Class],
        choices: &ExplainOptions,
        how: &Faithfulness,
    ) -> Result<f64> {
        let image = match input {
            Some(input) => self.backbone.add_changed(subject.image, input)?,
            None => subject.image,
        };
        // Only the score is asked for, and every method ranks by the same one; the cheapest answers soonest.
        let (method, method_options) = Default::default();
        let finer = Finer::plain();
        let choices = ExplainOptions { method, layer: None, method_options, finer, ..choices.clone() };
        let supports = supports(classes);
        let request = Request::new(image, classes, &choices).learning_from(&supports).unjudged();
        let scored = explain::scores(self.backbone, self.given, &request).await;
        if image != subject.image {
            self.backbone.remove_image(image);
        }
        confidence(&scored?, subject.class, how.temperature)
    }
}
