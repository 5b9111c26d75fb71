//! Everything that can be chosen, described once: what the command line, `famlens.js` and the page offer.

use serde::Serialize;
use serde_json::{Value, json};

use super::ExplainOptions;
use crate::choice::{Choice, Described, describe};
use crate::fam::head::HeadChoice;
use crate::fam::{Form, Fusion, Norm, PoolingChoice, Similarity};
use crate::methods::Method;
use crate::tasks::few_shot::{Centre, Decide};

/// One thing that can be chosen.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// The field of [`ExplainOptions`] as JSON names it; a dot leads into an object: `"finer.flip"`.
    pub kind: &'static str,
    /// The name shown to people.
    pub label: &'static str,
    /// What it decides, in one sentence.
    pub sentence: &'static str,
    /// What the control for it is, and its values or range.
    #[serde(flatten)]
    pub input: Input,
    /// The default, as JSON; null where the model decides.
    pub default: Value,
}

/// What kind of value an option takes.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "input", rename_all = "lowercase")]
pub enum Input {
    /// One of named values.
    One {
        /// The values, the default first.
        values: Vec<Described>,
    },
    /// On or off.
    Switch,
    /// A number within a range.
    Number {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
        /// Step of a control for it.
        step: f64,
    },
    /// A class by its index, or null.
    Class,
    /// Names of target layers: those of the model.
    Layers,
    /// The name of one layer of the model, or null.
    Layer,
    /// Labels or indices of the model's classifier as `{"logit": ..}`, or null.
    Logits,
    /// Numbers within a range.
    Numbers {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
}

/// Every option of an explanation with every value: its name, label, sentence, source and note.
///
/// ```
/// let all = famlens::session::catalogue();
/// let form = all.iter().find(|entry| entry.kind == "form").unwrap();
/// assert_eq!(form.default, "fam");
/// ```
pub fn catalogue() -> Vec<Entry> {
    // The defaults are read off the options themselves. They always serialise.
    let defaults = serde_json::to_value(ExplainOptions::default()).unwrap_or_default();
    let entry = |kind: &'static str, label, sentence, input| {
        let default = kind.split('.').fold(&defaults, |value, key| &value[key]).clone();
        Entry { kind, label, sentence, input, default }
    };
    vec![
        entry("method", "Method", "How the map is made.", one::<Method>()),
        entry(
            "against",
            "Explain a logit",
            "Outputs of the model's own classifier, in place of similarities to your classes.",
            Input::Logits,
        ),
        entry("layer", "Layer of the maps", "Whose activation maps are weighed; the target if none.", Input::Layer),
        entry(
            "methodOptions.seed",
            "Seed",
            "Start of the random numbers of RISE and of random weights.",
            number(0.0, 4_294_967_295.0, 1.0),
        ),
        entry(
            "methodOptions.channels",
            "Channels tried",
            "How many channels Score-CAM tries, the most active first; 0 for all.",
            number(0.0, 65_536.0, 1.0),
        ),
        entry("methodOptions.masks", "Masks", "How many random masks RISE takes.", number(1.0, 20_000.0, 1.0)),
        entry(
            "methodOptions.grid",
            "Grid",
            "Cells along each side of the grid of RISE's masks.",
            number(1.0, 64.0, 1.0),
        ),
        entry(
            "methodOptions.keep",
            "Kept",
            "How likely a cell of RISE's masks is to be kept.",
            number(0.01, 1.0, 0.01),
        ),
        entry(
            "methodOptions.window",
            "Square",
            "Side of the grey square of occlusion, in pixels of the input.",
            number(1.0, 4096.0, 1.0),
        ),
        entry(
            "methodOptions.stride",
            "Step",
            "How far the grey square of occlusion moves, in pixels of the input.",
            number(1.0, 4096.0, 1.0),
        ),
        entry("form", "Form", "How the weights of the channels are made.", one::<Form>()),
        entry("rival", "Against", "The class that the contrastive form is against; all others if none.", Input::Class),
        entry("similarity", "Similarity", "How alike two embeddings are; it ranks the classes.", one::<Similarity>()),
        entry("pooling", "Pooling", "How activation maps become an embedding.", one::<PoolingChoice>()),
        entry(
            "gemExponent",
            "GeM exponent",
            "1 is the average; the larger, the closer to the maximum.",
            number(0.1, 100.0, 0.1),
        ),
        entry("decide", "Compared with", "What stands for a class.", one::<Decide>()),
        entry("center", "Subtract", "What is subtracted from embeddings before they are compared.", one::<Centre>()),
        entry(
            "l2",
            "Scale embeddings to length 1",
            "Before they are averaged and compared (the L2N of SimpleShot).",
            Input::Switch,
        ),
        entry(
            "borderTerm",
            "Border term",
            "Takes half of what the supports' borders look like off a class; for supports that are not cropped tight.",
            Input::Switch,
        ),
        entry(
            "offset",
            "Offset",
            "What a cell must have more evidence than; the form's own if none.",
            number(-1.0, 1.0, 0.01),
        ),
        entry(
            "sharpness",
            "Sharpness of the class share",
            "How strictly each cell goes to the class with the most evidence.",
            number(0.0, 1000.0, 1.0),
        ),
        entry(
            "cellShrinkage",
            "Shrinkage of the cells' covariance",
            "0 whitens fully, 1 only subtracts the mean.",
            number(0.0, 1.0, 0.01),
        ),
        entry("head", "Transformation module", "What lies between pooled features and embedding.", one::<HeadChoice>()),
        entry(
            "shrinkage",
            "Shrinkage",
            "How much learned covariances are pulled towards independent channels.",
            number(0.0, 1.0, 0.01),
        ),
        entry("weightRelu", "Only positive weights", "Channels that speak against are left out.", Input::Switch),
        entry("weightNorm", "Normalise weights", "How the weights of the channels are scaled.", one::<Norm>()),
        entry("mapRelu", "Only positive map", "What speaks against is left out of the map.", Input::Switch),
        entry("mapNorm", "Normalise map", "How the values of the map are scaled.", one::<Norm>()),
        entry(
            "targets",
            "Target layers",
            "The layers whose activation maps are shown; the first one decides.",
            Input::Layers,
        ),
        entry("fusion", "Fusion", "How the maps of several layers become one.", one::<Fusion>()),
        entry(
            "finer.flip",
            "Also mirrored",
            "The map is averaged with that of the mirror image: two passes for one.",
            Input::Switch,
        ),
        entry(
            "finer.shifts",
            "Shifts",
            "The image is looked at n x n times, shifted by parts of a cell, for n times the cells along each side.",
            number(0.0, 4.0, 1.0),
        ),
        entry(
            "finer.scales",
            "Further scales",
            "The image is also looked at smaller or larger.",
            Input::Numbers { min: 0.5, max: 2.0 },
        ),
    ]
}

fn one<T: Choice>() -> Input {
    Input::One { values: describe::<T>() }
}

fn number(min: f64, max: f64, step: f64) -> Input {
    Input::Number { min, max, step }
}

/// The catalogue as JSON.
pub fn catalogue_json() -> String {
    json!(catalogue()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that nobody can choose, or an entry that no field takes, is an oversight.
    #[test]
    fn the_catalogue_lists_every_option() {
        let defaults = serde_json::to_value(ExplainOptions::default()).expect("options serialise");
        let mut fields = Vec::new();
        for (key, value) in defaults.as_object().expect("an object") {
            match value.as_object() {
                Some(inner) => fields.extend(inner.keys().map(|k| format!("{key}.{k}"))),
                None if key == "target" => {} // the alias of "targets"
                None => fields.push(key.clone()),
            }
        }
        let mut kinds: Vec<_> = catalogue().iter().map(|e| e.kind.to_owned()).collect();
        fields.sort();
        kinds.sort();
        assert_eq!(kinds, fields);
    }

    #[test]
    fn every_value_is_explained_and_taken() {
        for entry in catalogue() {
            assert!(entry.sentence.ends_with('.') && !entry.label.is_empty(), "{}", entry.kind);
            let Input::One { values } = &entry.input else { continue };
            for value in values {
                let words = value.sentence.split_whitespace().count();
                assert!(value.sentence.ends_with('.') && words >= 4, "{} {}", entry.kind, value.name);
                assert!(!value.source.is_empty() && !value.label.is_empty(), "{} {}", entry.kind, value.name);
                let json = json!({ entry.kind: value.name }).to_string();
                let parsed = ExplainOptions::from_json(&json).unwrap_or_else(|e| panic!("{json}: {e}"));
                let back = serde_json::to_value(parsed).expect("options serialise");
                assert_eq!(back[entry.kind], value.name);
            }
            let names: std::collections::BTreeSet<_> = values.iter().map(|v| v.name).collect();
            assert_eq!(names.len(), values.len(), "{} names a value twice", entry.kind);
            assert!(
                entry.default.is_null() || entry.default == values[0].name,
                "{}: the default comes first",
                entry.kind
            );
        }
    }
}
