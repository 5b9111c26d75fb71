//! What can be chosen about an explanation, in one place for library, command line, `famlens.js` and page.

use serde::{Deserialize, Serialize};

use super::{Against, Look};
use crate::error::{Error, Result};
use crate::fam::head::HeadChoice;
use crate::fam::{Form, Fusion, Norm, PoolingChoice, Similarity};
use crate::methods::{Method, MethodOptions};
use crate::metrics::Threshold;
use crate::tasks::few_shot::{Centre, Decide};

/// What can be chosen about an explanation. As JSON the names are camelCase, an absent field has its default, and an
/// unknown one is an error. [`super::catalogue`] describes every field.
///
/// ```
/// use famlens::{fam::Form, session::ExplainOptions};
/// let options = ExplainOptions { form: Form::Contrastive, ..ExplainOptions::default() };
/// assert_eq!(options, ExplainOptions::from_json(r#"{"form": "contrastive"}"#)?);
/// assert!(ExplainOptions::from_json(r#"{"fomr": "fam"}"#).is_err_and(|e| e.to_string().contains("fomr")));
/// # Ok::<(), famlens::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExplainOptions {
    /// Where the channel weights come from.
    pub form: Form,
    /// What ranks the classes, and what is split among channels.
    pub similarity: Similarity,
    /// How activation maps become the embedding; as `model.json` says if `None`.
    pub pooling: Option<PoolingChoice>,
    /// The exponent of GeM pooling, 0.1 to 100.
    pub gem_exponent: f32,
    /// The class that the contrastive form is against, by its index; all others if `None`.
    pub rival: Option<usize>,
    /// What is done to the weights of a class's channels before they weigh the activation maps.
    pub weight_norm: Norm,
    /// Whether negative weights become zero; before they are normalised.
    pub weight_relu: bool,
    /// Whether negative values of the map become zero; before it is normalised.
    pub map_relu: bool,
    /// What is done to the values of the map.
    pub map_norm: Norm,
    /// The transformation module between pooled features and embedding.
    pub head: HeadChoice,
    /// What learned covariances (whitening, LDA, bilinear, Mahalanobis) are mixed with the identity by, 0 to 1.
    pub shrinkage: f32,
    /// The target layer; the model's own if `None` and `targets` is empty. The same as `targets` with one name.
    pub target: Option<String>,
    /// The target layers. The first one decides; the maps of all are fused.
    pub targets: Vec<String>,
    /// How the maps of several target layers become one.
    pub fusion: Fusion,
    /// Several looks at the image for a finer map.
    pub finer: Finer,
    /// What a class is compared by.
    pub decide: Decide,
    /// What is subtracted from embeddings before they are compared.
    pub center: Centre,
    /// Whether every embedding is scaled to length 1 before it is averaged and compared.
    pub l2: bool,
    /// Whether half of what the supports' borders look like is taken off a class (whitened and discriminative forms).
    /// It assumes supports that are not cropped tight.
    pub border_term: bool,
    /// What the covariance of cells is mixed with the identity by, 0 to 1 (whitened and discriminative forms).
    pub cell_shrinkage: f32,
    /// What is subtracted from the evidence of a cell, -1 to 1; the form's own if `None` (whitened and discriminative
    /// forms).
    pub offset: Option<f32>,
    /// How sharply classes share a cell, 0 to 1000 (discriminative form).
    pub sharpness: f32,
    /// How the map is made: FAM in the form above, or one of the methods it is compared with.
    pub method: Method,
    /// Outputs of the model's classifier to explain, in place of similarities to classes.
    pub against: Option<Against>,
    /// The layer whose activation maps the methods weigh; the target layer if `None`, else one before it.
    pub layer: Option<String>,
    /// What can be chosen about the methods.
    pub method_options: MethodOptions,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self {
            form: Form::default(),
            similarity: Similarity::default(),
            pooling: None,
            gem_exponent: 3.0,
            rival: None,
            weight_norm: Norm::None,
            weight_relu: false,
            map_relu: false,
            map_norm: Norm::None,
            head: HeadChoice::None,
            shrinkage: 0.1,
            target: None,
            targets: Vec::new(),
            fusion: Fusion::default(),
            finer: Finer::default(),
            decide: Decide::default(),
            center: Centre::default(),
            l2: false,
            border_term: true,
            cell_shrinkage: 0.75,
            offset: None,
            sharpness: 20.0,
            method: Method::default(),
            against: None,
            layer: None,
            method_options: MethodOptions::default(),
        }
    }
}

/// Several looks at an image, whose activation maps are laid over each other: flipped, shifted by parts of a cell, and
/// at a second scale. Each look is one forward pass; looks multiply. A second look at the part of the photo around a small
/// box comes after them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Finer {
    /// Also the mirror image: twice the passes.
    pub flip: bool,
    /// Looks `1/n` of a cell apart along both sides: `n * n` times the passes, and the plain one. 0 and 1 are no shift;
    /// at most 4.
    pub shifts: usize,
    /// Further scales of the input, each within 0.5 to 2 of its size; one more set of passes for each.
    pub scales: Vec<f32>,
    /// Whether the part of the photo around the coarse box is looked at again.
    pub look: Look,
}

impl Finer {
    /// One look at the whole photo.
    pub fn plain() -> Self {
        Self { look: Look::Never, ..Self::default() }
    }

    /// Whether there is more than the plain look at the whole photo.
    pub fn is_on(&self) -> bool {
        self.flip || self.shifts > 1 || !self.scales.is_empty()
    }
}

impl ExplainOptions {
    /// The options from JSON.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the field or the value that is unknown.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|e| Error::argument("options", e.to_string()))
    }

    /// What part of a map counts as the object under these options: each form has its own default (docs/results.md has
    /// the tables that it was chosen from), and the methods that FAM is compared with have the usual 20 % of the range.
    ///
    /// ```
    /// use famlens::{fam::Form, metrics::Threshold, session::ExplainOptions};
    /// let options = ExplainOptions { form: Form::Discriminative, ..ExplainOptions::default() };
    /// assert_eq!(options.threshold(), Threshold::Energy(0.94));
    /// assert_eq!(ExplainOptions::default().threshold(), Threshold::Range(0.2));
    /// ```
    pub fn threshold(&self) -> Threshold {
        match (self.method, &self.against, self.form) {
            (Method::Fam, None, Form::Whitened | Form::Discriminative) => Threshold::Energy(0.94),
            _ => Threshold::default(),
        }
    }

    /// The target layers asked for, or the model's own.
    ///
    /// # Errors
    /// [`Error::Argument`] if `target` and `targets` disagree or a layer is named twice.
    pub(crate) fn layers(&self, default: &str) -> Result<Vec<String>> {
        let layers = match (&self.target, self.targets.is_empty()) {
            (None, true) => vec![default.to_owned()],
            (Some(one), true) => vec![one.clone()],
            (None, false) => self.targets.clone(),
            (Some(one), false) if self.targets == [one.as_str()] => self.targets.clone(),
            (Some(_), false) => return Err(Error::argument("targets", "give \"target\" or \"targets\", not both")),
        };
        for (i, layer) in layers.iter().enumerate() {
            if layers[..i].contains(layer) {
                return Err(Error::argument("targets", format!("{layer:?} is named twice")));
            }
        }
        Ok(layers)
    }

    /// Checks what can be checked without a model.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the option.
    pub(crate) fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.shrinkage) {
            return Err(Error::argument("shrinkage", format!("{} is not within 0 to 1", self.shrinkage)));
        }
        if let Some(pooling) = self.pooling.filter(|p| *p != PoolingChoice::Model) {
            pooling.of(self.gem_exponent)?;
        }
        if self.finer.shifts > 4 {
            return Err(Error::argument("finer.shifts", format!("{} is more than 4", self.finer.shifts)));
        }
        match self.finer.scales.iter().find(|s| !(0.5..=2.0).contains(*s)) {
            Some(bad) => Err(Error::argument("finer.scales", format!("{bad} is not within 0.5 to 2"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_json() -> Result<()> {
        let options = ExplainOptions {
            form: Form::Cam,
            pooling: Some(PoolingChoice::GeM),
            finer: Finer { flip: true, shifts: 2, scales: vec![1.5], look: Look::Always },
            targets: vec!["a".into(), "b".into()],
            ..ExplainOptions::default()
        };
        let json = serde_json::to_string(&options).map_err(|e| Error::argument("options", e.to_string()))?;
        assert!(json.contains("\"weightNorm\":\"none\"") && json.contains("\"pooling\":\"gem\""));
        assert_eq!(ExplainOptions::from_json(&json)?, options);
        assert_eq!(ExplainOptions::from_json("{}")?, ExplainOptions::default());
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |json: &str| match ExplainOptions::from_json(json).and_then(|o| o.check()) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(message(r#"{"similarity": "euclid"}"#).contains("euclidean"));
        assert!(message(r#"{"pooling": "gem", "gemExponent": 0}"#).contains("gemExponent"));
        assert!(message(r#"{"shrinkage": 2}"#).contains("shrinkage"));
        assert!(message(r#"{"finer": {"shifts": 9}}"#).contains("shifts"));
        assert!(message(r#"{"finer": {"scales": [3]}}"#).contains("scales"));
    }

    #[test]
    fn one_target_or_several() -> Result<()> {
        let layers = |json: &str| ExplainOptions::from_json(json)?.layers("own");
        assert_eq!(layers("{}")?, ["own"]);
        assert_eq!(layers(r#"{"target": "a"}"#)?, ["a"]);
        assert_eq!(layers(r#"{"targets": ["a", "b"]}"#)?, ["a", "b"]);
        assert_eq!(layers(r#"{"target": null, "targets": []}"#)?, ["own"]);
        assert!(layers(r#"{"target": "a", "targets": ["b"]}"#).is_err());
        assert!(layers(r#"{"targets": ["b", "b"]}"#).is_err());
        Ok(())
    }
}
