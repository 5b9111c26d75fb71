//! What the command compares: forms, input sizes, and the class-specific form without one of its parts.

use famlens::Result;
use famlens::fam::Form;
use famlens::session::{ClassSpecificSpec, ExplainOptions, Finer, Model};

/// One row of the table.
#[derive(Clone)]
pub struct Way {
    pub name: &'static str,
    pub options: ExplainOptions,
}

/// A model with its input size and layers changed, and the forms that are evaluated on it.
pub struct Variant {
    pub name: &'static str,
    pub change: fn(Model) -> Result<Model>,
    pub ways: Vec<Way>,
}

/// The row that others are compared with.
pub const PLAIN: &str = "FAM, 224";
/// The row that claims to tell classes apart.
pub const CLAIM: &str = "discriminative, 320";

const LARGE: u32 = 320;

fn way(name: &'static str, form: Form) -> Way {
    Way { name, options: ExplainOptions { form, ..ExplainOptions::default() } }
}

fn with(name: &'static str, options: ExplainOptions) -> Way {
    Way { name, options: ExplainOptions { form: Form::Discriminative, ..options } }
}

fn spec(model: &Model, change: impl FnOnce(&mut ClassSpecificSpec)) -> Option<ClassSpecificSpec> {
    let mut spec = model.manifest().class_specific.clone()?;
    change(&mut spec);
    Some(spec)
}

pub fn variants(brief: bool) -> Vec<Variant> {
    let default = ExplainOptions::default;
    let mut ways = vec![
        way(PLAIN, Form::Faithful),
        way("centred, 224", Form::Centred),
        way("contrastive, 224", Form::Contrastive),
        way("whitened, 320", Form::Whitened),
        way(CLAIM, Form::Discriminative),
    ];
    let ablation = vec![
        with("discriminative without border term", ExplainOptions { border_term: false, ..default() }),
        with("discriminative, shrinkage 0.1", ExplainOptions { cell_shrinkage: 0.1, ..default() }),
        with("discriminative without whitening (shrinkage 1)", ExplainOptions { cell_shrinkage: 1.0, ..default() }),
        with("discriminative without offset", ExplainOptions { offset: Some(0.0), ..default() }),
        with("discriminative without class share", ExplainOptions { sharpness: 0.0, ..default() }),
    ];
    if !brief {
        ways.extend(ablation);
        let finer = Finer { shifts: 2, ..Finer::default() };
        ways.push(with("discriminative, 320, 2 x 2 shifts", ExplainOptions { finer, ..default() }));
    }
    let mut all = vec![
        Variant { name: "as shipped", change: Ok, ways },
        Variant {
            name: "plain at 320",
            change: |model| model.with_size(LARGE),
            ways: vec![way("FAM, 320", Form::Faithful), way("contrastive, 320", Form::Contrastive)],
        },
        Variant {
            name: "cells at 224",
            change: |model| {
                let small = spec(&model, |spec| spec.size = None);
                Ok(model.with_class_specific(small))
            },
            ways: vec![way("whitened, 224", Form::Whitened), way("discriminative, 224", Form::Discriminative)],
        },
    ];
    if !brief {
        all.push(Variant {
            name: "last block alone",
            change: |model| {
                let block = spec(&model, |spec| spec.head = None);
                Ok(model.with_class_specific(block))
            },
            ways: vec![way("discriminative, last block alone", Form::Discriminative)],
        });
        all.push(Variant {
            name: "head alone",
            change: |model| {
                let head = spec(&model, |spec| {
                    if let Some(head) = spec.head.take() {
                        spec.layer = head;
                    }
                });
                Ok(model.with_class_specific(head))
            },
            ways: vec![with(
                "discriminative, head alone, not whitened",
                ExplainOptions { cell_shrinkage: 1.0, ..default() },
            )],
        });
    }
    all
}
