//! `model.json`: everything about a model that its ONNX file does not say.

use serde::{Deserialize, Serialize};

use super::input::{InputSpec, USUAL_STRIDE};
use crate::choice::{self, choice};
use crate::error::{Error, Result};
use crate::fam::{Pooling, PoolingChoice};
use crate::image::{InputPixels, InputSize};

/// GeM's exponent where `model.json` asks for it (the initial value of arXiv 1711.02512).
const GEM_EXPONENT: f32 = 3.0;

/// How the weights of a model are held in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Weights {
    /// As the file has them.
    #[default]
    Stored,
    /// Float ones as int8.
    Int8,
}

choice!(Weights, "weights", {
    Stored: "stored", "As the file has them", "Weights keep the type that they have in the model's file.", "ONNX", "";
    Int8: "int8", "int8",
        "Float weights are rounded to 8 bits with one scale a channel when the model is loaded, for a quarter of the memory.",
        "Krishnamoorthi, arXiv 1806.08342, section 3.1.1", "";
});

/// The description of a model, read from `model.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format; 1.
    pub format: u32,
    /// The model's name, for people.
    pub name: String,
    /// File name of the ONNX file beside `model.json`.
    #[serde(default = "default_file")]
    pub file: String,
    /// Size of the ONNX file in bytes, for a download's progress.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// How a photo becomes the model's input.
    pub input: InputSpec,
    /// How weights are held in memory: `"stored"` or `"int8"`.
    #[serde(default)]
    pub weights: Weights,
    /// Name of the target layer: the activation map that is pooled into the embedding. Empty or absent: the best
    /// candidate, which [`Model::new`](super::Model::new) fills in.
    #[serde(default)]
    pub target: String,
    /// How the target layer is pooled: `"gap"`, `"gmp"`, `"gem"` (with exponent 3) or `"crow"`; `"model"` for the
    /// model's own embedding, with whatever makes it. Empty or absent: the model's own where the network ends in an
    /// embedding, else the average, which [`Model::new`](super::Model::new) fills in.
    #[serde(default)]
    pub pooling: String,
    /// Name of the value that is the model's own embedding, behind its pooling and projection, if it has one.
    #[serde(default)]
    pub embedding: Option<String>,
    /// Name of the classifier's output, if the model has one.
    #[serde(default)]
    pub logits: Option<String>,
    /// Class names of the classifier, in the order of its outputs.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Mean embedding of unlabelled images at the target layer: what the centred form subtracts.
    #[serde(default)]
    pub mean_embedding: Option<Vec<f32>>,
    /// What whitened and discriminative FAM look at, if they were prepared for this model.
    #[serde(default)]
    pub class_specific: Option<ClassSpecificSpec>,
    /// SHA-256 of the ONNX file, in hexadecimal; empty if it is not stated.
    #[serde(default)]
    pub sha256: String,
    /// Licence of the weights.
    #[serde(default)]
    pub licence: String,
}

/// What whitened and discriminative FAM look at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassSpecificSpec {
    /// Name of the layer that is whitened: the last block before the head.
    pub layer: String,
    /// Name of a second layer on the same grid, which is only centred: the head.
    #[serde(default)]
    pub head: Option<String>,
    /// Size of the input in pixels, as [`InputSpec::size`]; the model's own if absent.
    #[serde(flatten, with = "super::input::optional_size")]
    pub size: Option<InputSize>,
    /// File name of the statistics beside `model.json`.
    #[serde(default)]
    pub statistics: Option<String>,
    /// SHA-256 of that file, in hexadecimal.
    #[serde(default)]
    pub sha256: String,
}

fn default_file() -> String {
    "model.onnx".into()
}

impl Manifest {
    /// Reads and checks a `model.json`.
    ///
    /// # Errors
    /// [`Error::Manifest`] naming the field and what was expected.
    pub fn parse(json: &str) -> Result<Self> {
        let invalid = |reason: String| Error::Manifest { reason };
        let written: serde_json::Value = serde_json::from_str(json).map_err(|e| invalid(format!("model.json: {e}")))?;
        check_fields(&written).map_err(invalid)?;
        let manifest: Self = serde_json::from_value(written).map_err(|e| invalid(format!("model.json: {e}")))?;
        if manifest.format != 1 {
            return Err(invalid(format!("\"format\" is {} and this famlens reads format 1", manifest.format)));
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// The description of an ONNX file that has none: everything is left to the network.
    ///
    /// ```
    /// let manifest = famlens::session::Manifest::of_file("reid.onnx");
    /// assert_eq!((manifest.name.as_str(), manifest.file.as_str()), ("reid", "reid.onnx"));
    /// ```
    pub fn of_file(file: &str) -> Self {
        Self {
            format: 1,
            name: file.strip_suffix(".onnx").unwrap_or(file).to_owned(),
            file: file.to_owned(),
            bytes: None,
            input: InputSpec { stride: USUAL_STRIDE as usize, ..InputSpec::default() },
            weights: Weights::default(),
            target: String::new(),
            pooling: String::new(),
            embedding: None,
            logits: None,
            labels: Vec::new(),
            mean_embedding: None,
            class_specific: None,
            sha256: String::new(),
            licence: String::new(),
        }
    }

    /// Checks what was read, or changed since.
    ///
    /// # Errors
    /// [`Error::Manifest`] naming the field and what was expected.
    pub fn check(&self) -> Result<()> {
        let invalid = |reason: String| Error::Manifest { reason };
        let manifest = self;
        if !manifest.pooling.is_empty() {
            let pooling = choice::parse::<PoolingChoice>(&manifest.pooling);
            pooling.map_err(|e| invalid(format!("\"pooling\": {e}")))?;
        }
        manifest.input.check().map_err(invalid)?;
        if let Some(size) = manifest.class_specific.as_ref().and_then(|spec| spec.size) {
            manifest.input.check_size("class_specific", size).map_err(invalid)?;
        }
        Ok(())
    }

    /// How the target layer is pooled; by the average where the model's own embedding is compared.
    pub fn pooling(&self) -> Pooling {
        // It was checked when the description was read.
        choice::parse::<PoolingChoice>(&self.pooling).and_then(|p| p.of(GEM_EXPONENT)).unwrap_or_default()
    }

    /// Whether the model's own embedding is what is compared unless something else is asked for.
    pub fn pools_itself(&self) -> bool {
        matches!(self.pooling.parse(), Ok(PoolingChoice::Model))
    }

    /// How pixels become the values of the input.
    pub fn pixels(&self) -> InputPixels {
        self.input.pixels()
    }
}

/// The fields that a description may have. The last two are for people.
const FIELDS: [&str; 17] = [
    "format",
    "name",
    "file",
    "bytes",
    "input",
    "weights",
    "target",
    "pooling",
    "embedding",
    "logits",
    "labels",
    "mean_embedding",
    "class_specific",
    "sha256",
    "licence",
    "provenance",
    "mean_embedding_source",
];

/// Those of its `"class_specific"`.
const CLASS_SPECIFIC_FIELDS: [&str; 7] = ["layer", "head", "size", "height", "width", "statistics", "sha256"];

/// Refuses fields that mean nothing: a wrong name would go unnoticed, and maps would still look plausible.
fn check_fields(written: &serde_json::Value) -> Result<(), String> {
    let parts: [(&str, Option<&serde_json::Value>, &[&str]); 3] = [
        ("", Some(written), &FIELDS),
        (" of \"input\"", written.get("input"), &super::input::FIELDS),
        (" of \"class_specific\"", written.get("class_specific"), &CLASS_SPECIFIC_FIELDS),
    ];
    for (place, part, known) in parts {
        let names = part.and_then(serde_json::Value::as_object).into_iter().flat_map(|object| object.keys());
        // What starts with a dollar, as "$schema", is for editors.
        let Some(unknown) = names.into_iter().find(|name| !name.starts_with('$') && !known.contains(&name.as_str()))
        else {
            continue;
        };
        let distance = |field: &&&str| strsim::osa_distance(&unknown.to_lowercase(), field);
        let nearest = known.iter().min_by_key(distance).copied().unwrap_or_default();
        let elsewhere = parts.iter().find(|(other, _, fields)| *other != place && fields.contains(&unknown.as_str()));
        let advice = match elsewhere {
            Some(("", ..)) => "it belongs beside \"input\", not into it".to_owned(),
            Some((other, ..)) => format!("it is a field{other}"),
            None => format!("the nearest known field is {nearest:?}"),
        };
        return Err(format!("model.json: {unknown:?} is no field{place}; {advice}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(extra: &str) -> String {
        format!(
            r#"{{"format": 1, "name": "n", "target": "features",
                "input": {{"size": 224, "mean": [127, 127, 127], "std": [128, 128, 128]}} {extra}}}"#
        )
    }

    #[test]
    fn the_least_a_description_needs() -> Result<()> {
        let manifest = Manifest::parse(&json(""))?;
        assert_eq!((manifest.file.as_str(), manifest.input.stride), ("model.onnx", 32));
        Ok(())
    }

    #[test]
    fn unknown_fields_are_refused_with_the_nearest() {
        let message = |text: String| Manifest::parse(&text).map(|_| ()).unwrap_err().to_string();
        assert!(
            message(json(r#", "poolng": "gap""#))
                .contains("\"poolng\" is no field; the nearest known field is \"pooling\"")
        );
        assert!(message(json("").replace("\"std\"", "\"Std\"")).contains("nearest known field is \"std\""));
        assert!(message(json(r#", "geometry": "crop""#)).contains("it is a field of \"input\""));
        assert!(message(json("").replace("\"size\"", "\"target\": 1, \"size\"")).contains("beside \"input\""));
        assert!(Manifest::parse(&json(r#", "$schema": "x""#)).is_ok());
    }

    #[test]
    fn inputs_are_written_as_they_are_read() -> Result<()> {
        let text = r#"{"height": 256, "width": 128, "geometry": "crop", "resize": 256, "fill": [114, 114, 114],
            "channels": "bgr", "mean": 127.5, "std": [1, 2, 3], "name": "x1"}"#;
        let json = format!(r#"{{"format": 1, "name": "n", "input": {text}}}"#);
        let input = Manifest::parse(&json)?.input;
        assert_eq!((input.size, input.resize), (InputSize { width: 128, height: 256 }, Some(256)));
        assert_eq!(input.pixels().normalization.mean, [127.5; 3]);
        let words = input.words();
        assert_eq!(
            words,
            "256x128 crop mean [127.5, 127.5, 127.5] std [1.0, 2.0, 3.0] resize 256 fill [114.0, 114.0, 114.0] bgr input \"x1\""
        );
        let again = serde_json::to_string(&Manifest::parse(&json)?).unwrap_or_default();
        assert_eq!(Manifest::parse(&again)?.input.words(), words);
        let refused =
            |input: &str| Manifest::parse(&json.replace(text, input)).is_err_and(|e| !e.to_string().is_empty());
        for wrong in [
            r#"{"height": 5}"#,
            r#"{"size": 5, "width": 5}"#,
            r#"{"mean": 1}"#,
            r#"{"resize": 256}"#,
            r#"{"fill": 300}"#,
            r#"{"channels": "gray"}"#,
            r#"{"mean": [1, 2], "std": 1}"#,
        ] {
            assert!(refused(wrong), "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |text: &str| Manifest::parse(text).map(|_| ()).map_err(|e| e.to_string());
        assert!(message("{").is_err_and(|m| m.contains("model.json")));
        assert!(message(&json(r#", "pooling": "attention""#)).is_err_and(|m| m.contains("attention")));
        assert!(message(&json("").replace("128, 128, 128", "128, 0, 128")).is_err_and(|m| m.contains("std")));
        assert!(message(&json("").replace("224", "5000")).is_err_and(|m| m.contains("size 5000")));
        assert!(
            message(&json(r#", "bytes": 1"#).replace("224,", "0, \"stride\": 0,"))
                .is_err_and(|m| m.contains("stride 0"))
        );
    }
}
