//! Measuring explanations: maps against boxes, masks and mosaics, faithfulness, and what a pass costs.
//!
//! An `Evaluator` borrows what a session works with. The figures are therefore those of the explanations that a user
//! of the session gets.

mod bench;
mod faithfulness;
mod measure;
mod mosaic;

pub use bench::Benchmark;
pub use faithfulness::Faithfulness;
pub use measure::{EvaluateOptions, Evaluated, Subject, Variant};
pub use mosaic::{Mosaic, MosaicForm, Tile};

use crate::backbone::{Backbone, ImageId};
use crate::explain::{Class, Given};

/// A backbone and what the user brought along, to be measured.
pub(crate) struct Evaluator<'a> {
    /// The model with its engines and images.
    pub backbone: &'a mut Backbone,
    /// What the user brought along for comparisons.
    pub given: &'a mut Given,
}

/// All the classes' supports.
fn supports(classes: &[Class]) -> Vec<ImageId> {
    classes.iter().flat_map(|class| class.supports.iter().copied()).collect()
}
