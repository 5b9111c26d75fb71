//! The variants to compare: every combination of the given choices.

use famlens::session::{ExplainOptions, Variant};
use famlens::{Error, Result};
use serde_json::{Map, Value, json};

/// One choice and the values asked for, as JSON.
pub struct Axis<'a> {
    pub option: &'static str,
    pub values: Vec<&'a str>,
}

/// Every combination, named after the values that differ (`"fam"` if there is one only), and then those that were given
/// whole as `NAME=JSON`.
pub fn combine(axes: &[Axis<'_>], whole: &[String]) -> Result<Vec<Variant>> {
    let mut combined: Vec<(Vec<&str>, Map<String, Value>)> = vec![(Vec::new(), Map::new())];
    for axis in axes.iter().filter(|axis| !axis.values.is_empty()) {
        let mut next = Vec::with_capacity(combined.len() * axis.values.len());
        for (names, options) in &combined {
            for value in &axis.values {
                let (mut names, mut options) = (names.clone(), options.clone());
                if axis.values.len() > 1 {
                    names.push(value);
                }
                options.insert(axis.option.to_owned(), json!(value));
                next.push((names, options));
            }
        }
        combined = next;
    }
    let mut variants = Vec::new();
    for (names, options) in combined {
        let only = axes.iter().rev().find_map(|axis| axis.values.first().filter(|_| axis.option == "form"));
        let name = if names.is_empty() { only.copied().unwrap_or("fam").to_owned() } else { names.join(", ") };
        variants.push(Variant { name, options: ExplainOptions::from_json(&Value::Object(options).to_string())? });
    }
    for text in whole {
        let (name, json) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            Error::argument("--variant", format!("{text:?} is not NAME=JSON, such as cam={{\"form\": \"cam\"}}"))
        })?;
        variants.push(Variant { name: name.to_owned(), options: ExplainOptions::from_json(json)? });
    }
    for (i, variant) in variants.iter().enumerate() {
        if variants[..i].iter().any(|other| other.name == variant.name) {
            return Err(Error::argument("--variant", format!("{:?} is given twice", variant.name)));
        }
    }
    Ok(variants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_are_named_by_what_differs() {
        let axes = [
            Axis { option: "form", values: vec!["fam", "contrastive"] },
            Axis { option: "similarity", values: vec!["cosine"] },
            Axis { option: "pooling", values: vec!["gap", "gmp"] },
        ];
        let names = |axes: &[Axis<'_>], whole: &[String]| {
            combine(axes, whole).unwrap().into_iter().map(|v| v.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&axes, &[]), ["fam, gap", "fam, gmp", "contrastive, gap", "contrastive, gmp"]);
        assert_eq!(names(&axes[1..2], &["mine={\"form\": \"centred\"}".into()]), ["fam", "mine"]);
        assert!(combine(&axes, &["x".into()]).is_err());
        assert!(combine(&[], &["fam={}".into()]).is_err_and(|e| e.to_string().contains("twice")));
        assert!(combine(&[Axis { option: "form", values: vec!["no"] }], &[]).is_err());
    }
}
