//! Everything that can be chosen, described once: what the command line, `famlens.js` and the page offer.

use serde::Serialize;
use serde_json::{Value, json};

use super::{ExplainOptions, Look};
use crate::choice::{Choice, Described, Need, describe};
use crate::fam::head::HeadChoice;
use crate::fam::{Form, Fusion, Norm, PoolingChoice, Similarity};
use crate::methods::Method;
use crate::tasks::few_shot::{Centre, Decide};

/// One thing that can be chosen.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// The default, as JSON; null where the model decides. For `"form"`, a user who has chosen none gets
    /// [`Form::usual`](crate::fam::Form::usual).
    pub default: Value,
    /// Which part of an explanation it is about.
    pub group: Group,
    /// Whether its value may name something that only one model has, so that it does not carry over to another model.
    pub of_model: bool,
    /// The choices under which it counts, any of them; always if there are none.
    pub applies: Vec<Applies>,
}

/// Which part of an explanation a choice is about, on the way from image to map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// How the map is made and what is done to it.
    Map,
    /// What decides which class it is.
    Decision,
    /// How activation maps become an embedding.
    Embedding,
    /// Where in the network and how often it looks.
    Place,
}

/// Values of another choice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Applies {
    /// The other choice's [`Entry::kind`].
    pub kind: &'static str,
    /// Names of its values.
    pub values: Vec<&'static str>,
}

/// The values of a choice for which something holds. They are read off the enum, so that a new value need not be listed
/// here.
fn when<T: Choice>(holds: impl Fn(T) -> bool) -> Applies {
    Applies { kind: T::KIND, values: T::ALL.iter().filter(|&&v| holds(v)).map(|v| v.name()).collect() }
}

/// A choice whose value names something of the model.
const OF_MODEL: &[&str] = &["against", "layer", "targets", "head", "center", "pooling", "form"];

/// Under which other choices a choice counts; an empty list is always.
fn applies(kind: &str) -> Vec<Applies> {
    let cells = || when(|form: Form| form.cells().is_some());
    let channels = || when(|form: Form| form.cells().is_none());
    let form = |only: Form| when(move |form: Form| form == only);
    let method = |any: &[Method]| when(|method: Method| any.contains(&method));
    let condition = match kind {
        "borderTerm" | "offset" | "cellShrinkage" => cells(),
        "sharpness" => form(Form::Discriminative),
        "rival" => form(Form::Contrastive),
        "gemExponent" => when(|pooling: PoolingChoice| pooling == PoolingChoice::GeM),
        "shrinkage" => {
            let learned = |head: HeadChoice| matches!(head, HeadChoice::Whitening | HeadChoice::Lda);
            return vec![when(learned), when(|similarity: Similarity| similarity.needs().contains(&Need::Matrix))];
        }
        "similarity" | "pooling" | "decide" | "center" | "l2" | "head" | "targets" | "fusion" => channels(),
        "weightRelu" | "weightNorm" | "mapRelu" | "mapNorm" | "finer.flip" | "finer.scales" => channels(),
        "layer" => when(|method: Method| method != Method::Fam && method.reads_maps()),
        "form" => method(&[Method::Fam]),
        "methodOptions.seed" => method(&[Method::Rise, Method::Random]),
        "methodOptions.channels" => method(&[Method::ScoreCam]),
        "methodOptions.masks" | "methodOptions.grid" | "methodOptions.keep" => method(&[Method::Rise]),
        "methodOptions.window" | "methodOptions.stride" => method(&[Method::Occlusion]),
        _ => return Vec::new(),
    };
    vec![condition]
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

/// Whether every choice that these options make counts under a form: none is one that only other forms heed.
pub(crate) fn counts_under(form: Form, options: &ExplainOptions) -> bool {
    let Ok(chosen) = serde_json::to_value(options) else { return false };
    catalogue().iter().all(|entry| {
        let value = entry.kind.split('.').fold(&chosen, |value, key| &value[key]);
        let mut forms = entry.applies.iter().filter(|applies| applies.kind == "form").peekable();
        value == &entry.default || forms.peek().is_none() || forms.any(|applies| applies.values.contains(&form.name()))
    })
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
    let entry = |group: Group, kind: &'static str, label, sentence, input| {
        let default = kind.split('.').fold(&defaults, |value, key| &value[key]).clone();
        let of_model = OF_MODEL.contains(&kind);
        Entry { kind, label, sentence, input, default, group, of_model, applies: applies(kind) }
    };
    use Group::{Decision, Embedding, Map, Place};
    vec![
        entry(Map, "method", "Method", "How the map is made.", named::<Method>()),
        entry(
            Decision,
            "against",
            "Explain a logit",
            "Outputs of the model's own classifier, in place of similarities to your classes.",
            Input::Logits,
        ),
        entry(
            Place,
            "layer",
            "Layer of the maps",
            "Whose activation maps are weighed; the target if none.",
            Input::Layer,
        ),
        entry(
            Map,
            "methodOptions.seed",
            "Seed",
            "Start of the random numbers of RISE and of random weights.",
            number(0.0, 4_294_967_295.0, 1.0),
        ),
        entry(
            Map,
            "methodOptions.channels",
            "Channels tried",
            "How many channels Score-CAM tries, the most active first; 0 for all.",
            number(0.0, 65_536.0, 1.0),
        ),
        entry(Map, "methodOptions.masks", "Masks", "How many random masks RISE takes.", number(1.0, 20_000.0, 1.0)),
        entry(
            Map,
            "methodOptions.grid",
            "Grid",
            "Cells along each side of the grid of RISE's masks.",
            number(1.0, 64.0, 1.0),
        ),
        entry(
            Map,
            "methodOptions.keep",
            "Kept",
            "How likely a cell of RISE's masks is to be kept.",
            number(0.01, 1.0, 0.01),
        ),
        entry(
            Map,
            "methodOptions.window",
            "Square",
            "Side of the grey square of occlusion, in pixels of the input.",
            number(1.0, 4096.0, 1.0),
        ),
        entry(
            Map,
            "methodOptions.stride",
            "Step",
            "How far the grey square of occlusion moves, in pixels of the input.",
            number(1.0, 4096.0, 1.0),
        ),
        entry(Map, "form", "Form", "How the weights of the channels are made.", named::<Form>()),
        entry(
            Map,
            "rival",
            "Against",
            "The class that the contrastive form is against; all others if none.",
            Input::Class,
        ),
        entry(
            Decision,
            "similarity",
            "Similarity",
            "How alike two embeddings are; it ranks the classes.",
            named::<Similarity>(),
        ),
        entry(Embedding, "pooling", "Pooling", "How activation maps become an embedding.", named::<PoolingChoice>()),
        entry(
            Embedding,
            "gemExponent",
            "GeM exponent",
            "1 is the average; the larger, the closer to the maximum.",
            number(0.1, 100.0, 0.1),
        ),
        entry(Decision, "decide", "Compared with", "What stands for a class.", named::<Decide>()),
        entry(
            Decision,
            "center",
            "Subtract",
            "What is subtracted from embeddings before they are compared.",
            named::<Centre>(),
        ),
        entry(
            Decision,
            "l2",
            "Scale embeddings to length 1",
            "Before they are averaged and compared (the L2N of SimpleShot).",
            Input::Switch,
        ),
        entry(
            Map,
            "borderTerm",
            "Border term",
            "Takes half of what the supports' borders look like off a class; for supports that are not cropped tight.",
            Input::Switch,
        ),
        entry(
            Map,
            "offset",
            "Offset",
            "What a cell must have more evidence than; the form's own if none.",
            number(-1.0, 1.0, 0.01),
        ),
        entry(
            Map,
            "sharpness",
            "Sharpness of the class share",
            "How strictly each cell goes to the class with the most evidence.",
            number(0.0, 1000.0, 1.0),
        ),
        entry(
            Map,
            "cellShrinkage",
            "Shrinkage of the cells' covariance",
            "0 whitens fully, 1 only subtracts the mean.",
            number(0.0, 1.0, 0.01),
        ),
        entry(
            Embedding,
            "head",
            "Transformation module",
            "What lies between pooled features and embedding.",
            named::<HeadChoice>(),
        ),
        entry(
            Embedding,
            "shrinkage",
            "Shrinkage",
            "How much learned covariances are pulled towards independent channels.",
            number(0.0, 1.0, 0.01),
        ),
        entry(Map, "weightRelu", "Only positive weights", "Channels that speak against are left out.", Input::Switch),
        entry(Map, "weightNorm", "Normalise weights", "How the weights of the channels are scaled.", named::<Norm>()),
        entry(Map, "mapRelu", "Only positive map", "What speaks against is left out of the map.", Input::Switch),
        entry(Map, "mapNorm", "Normalise map", "How the values of the map are scaled.", named::<Norm>()),
        entry(
            Place,
            "targets",
            "Target layers",
            "The layers whose activation maps are shown; the first one decides.",
            Input::Layers,
        ),
        entry(Place, "fusion", "Fusion", "How the maps of several layers become one.", named::<Fusion>()),
        entry(
            Place,
            "finer.look",
            "Second look",
            "The part of the photo around the box is looked at again, with smaller cells.",
            named::<Look>(),
        ),
        entry(
            Place,
            "finer.flip",
            "Also mirrored",
            "The map is averaged with that of the mirror image: two passes for one.",
            Input::Switch,
        ),
        entry(
            Place,
            "finer.shifts",
            "Shifts",
            "The image is looked at n x n times, shifted by parts of a cell, for n times the cells along each side.",
            number(0.0, 4.0, 1.0),
        ),
        entry(
            Place,
            "finer.scales",
            "Further scales",
            "The image is also looked at smaller or larger.",
            Input::Numbers { min: 0.5, max: 2.0 },
        ),
    ]
}

fn named<T: Choice>() -> Input {
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
                let json = match entry.kind.split_once('.') {
                    Some((object, field)) => json!({ object: { field: value.name } }),
                    None => json!({ entry.kind: value.name }),
                };
                let json = json.to_string();
                let parsed = ExplainOptions::from_json(&json).unwrap_or_else(|e| panic!("{json}: {e}"));
                let back = serde_json::to_value(parsed).expect("options serialise");
                let at = format!("/{}", entry.kind.replace('.', "/"));
                assert_eq!(back.pointer(&at), Some(&json!(value.name)));
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

    #[test]
    fn a_choice_counts_under_the_forms_that_heed_it() {
        let plain = ExplainOptions::default();
        assert!(Form::ALL.iter().all(|&form| counts_under(form, &plain)));
        let decided = ExplainOptions { decide: Decide::Nearest, ..plain.clone() };
        assert!(counts_under(Form::Faithful, &decided) && !counts_under(Form::Discriminative, &decided));
        let offset = ExplainOptions { offset: Some(0.1), ..plain };
        assert!(counts_under(Form::Whitened, &offset) && !counts_under(Form::Faithful, &offset));
    }

    /// A condition that names no value of any choice would never hold.
    #[test]
    fn conditions_name_values_that_exist() {
        let catalogue = catalogue();
        for entry in &catalogue {
            for Applies { kind, values } in &entry.applies {
                let other = catalogue.iter().find(|other| other.kind == *kind).expect("a choice of that name");
                let Input::One { values: known } = &other.input else { panic!("{kind} has no named values") };
                assert!(!values.is_empty(), "{}: no value of {kind} will do", entry.kind);
                for value in values {
                    assert!(known.iter().any(|k| k.name == *value), "{}: {kind} has no {value:?}", entry.kind);
                }
            }
        }
        let entry = |kind: &str| catalogue.iter().find(|entry| entry.kind == kind).expect("a choice of that name");
        assert_eq!(entry("sharpness").applies, [Applies { kind: "form", values: vec!["discriminative"] }]);
        assert_eq!(entry("layer").applies[0].values.len(), Method::ALL.len() - 3, "all but FAM, RISE and occlusion");
    }
}
