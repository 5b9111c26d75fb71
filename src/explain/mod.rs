//! Explanations: what can be chosen about one, and the map that it ends in.

mod against;
mod catalogue;
mod map;
mod options;

pub use against::{Against, Output as ClassifierOutput};
pub use catalogue::{Entry as CatalogueEntry, Input as CatalogueInput, catalogue, catalogue_json};
pub use map::Map;
pub use options::{ExplainOptions, Finer};
