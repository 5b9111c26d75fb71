//! Explanations of the outputs of the model's classifier, in place of similarities.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Manifest;

/// One output of the classifier, by its label or its index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Output {
    /// By index, from 0.
    Index(usize),
    /// By label, as `model.json` lists them.
    Label(String),
}

/// Outputs of the model's classifier: `{"logit": "tabby"}`, `{"logit": 281}` or several, `{"logit": ["tabby", "tiger
/// cat"]}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Against {
    /// The outputs, one a class.
    #[serde(deserialize_with = "one_or_more")]
    pub logit: Vec<Output>,
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Output>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(Output),
        More(Vec<Output>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(one) => vec![one],
        Either::More(more) => more,
    })
}

impl std::str::FromStr for Output {
    type Err = std::convert::Infallible;

    /// A number is an index, everything else a label.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Label(text.to_owned()), Self::Index))
    }
}

impl Against {
    /// One output, by its label or its index as text.
    ///
    /// ```
    /// use famlens::session::{Against, ClassifierOutput};
    /// assert_eq!(Against::logit("281").logit, [ClassifierOutput::Index(281)]);
    /// ```
    pub fn logit(label_or_index: &str) -> Self {
        // Every text is an output.
        Self { logit: label_or_index.parse().into_iter().collect() }
    }

    /// The value that holds the classifier's outputs, and the index and the name of each output asked for.
    ///
    /// # Errors
    /// [`Error::Argument`] if the model has no classifier, for an unknown label, or without outputs.
    pub(crate) fn resolve(&self, manifest: &Manifest) -> Result<(String, Vec<(usize, String)>)> {
        let logits = manifest.logits.clone().ok_or_else(|| {
            Error::argument(
                "against",
                "the model has no classifier: model.json names no \"logits\"; explain a similarity",
            )
        })?;
        if self.logit.is_empty() {
            return Err(Error::argument("against", "name at least one output of the classifier"));
        }
        let find = |output: &Output| match output {
            Output::Index(i) => Ok((*i, manifest.labels.get(*i).cloned().unwrap_or_else(|| format!("output {i}")))),
            Output::Label(label) => {
                let at = manifest.labels.iter().position(|l| l.eq_ignore_ascii_case(label));
                at.map(|i| (i, manifest.labels[i].clone())).ok_or_else(|| unknown(label, &manifest.labels))
            }
        };
        Ok((logits, self.logit.iter().map(find).collect::<Result<_>>()?))
    }
}

/// An error that names labels that contain what was asked for.
fn unknown(label: &str, labels: &[String]) -> Error {
    let wanted = label.to_lowercase();
    let near: Vec<_> =
        labels.iter().filter(|l| l.to_lowercase().contains(&wanted)).take(8).map(String::as_str).collect();
    let hint = match (labels.is_empty(), near.is_empty()) {
        (true, _) => "model.json lists no labels; give the output's index".to_owned(),
        (_, true) => format!("model.json lists {} labels, such as {:?}; an index works too", labels.len(), labels[0]),
        _ => format!("did you mean {}?", near.join(", ")),
    };
    Error::argument("against", format!("the classifier has no label {label:?}; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_more_outputs() {
        let parse = |text: &str| serde_json::from_str::<Against>(text).map(|a| a.logit).map_err(|e| e.to_string());
        assert_eq!(parse(r#"{"logit": "tabby"}"#), Ok(vec![Output::Label("tabby".into())]));
        assert_eq!(parse(r#"{"logit": [3, "tabby"]}"#), Ok(vec![Output::Index(3), Output::Label("tabby".into())]));
        assert!(parse(r#"{"class": 3}"#).is_err_and(|e| e.contains("class")));
    }

    #[test]
    fn unknown_labels_are_answered_with_near_ones() {
        let labels = ["tabby".to_owned(), "tiger cat".to_owned()];
        assert!(unknown("cat", &labels).to_string().contains("tiger cat"));
        assert!(unknown("dog", &labels).to_string().contains("2 labels"));
        assert!(unknown("dog", &[]).to_string().contains("index"));
    }
}
