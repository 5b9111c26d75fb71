//! ONNX bytes to a [`Graph`](crate::graph::Graph).
//!
//! A file is parsed once ([`Model::parse`]): the wire format is decoded, the nodes are sorted, and whatever does not
//! depend on the image is computed. [`Model::to_graph`] then lowers it for one image size, where every shape is a
//! number, so that the shape arithmetic that exporters leave behind (Shape, Gather, Concat, ...) folds away. Weights
//! are shared between the graphs of all sizes. Nodes that famlens cannot run are reported all at once.
//!
//! Operators follow the specification of the standard operator set, versions 7 to 27 (onnx.ai/onnx/operators).

mod branches;
mod budget;
mod control;
mod data;
mod external;
mod formats;
mod functions;
mod lower;
mod model;
mod narrow;
mod order;
mod pixels;
pub(crate) mod proto;
mod single;
mod summary;

pub(crate) use data::{read_float, stored_bytes};
pub use external::with_external_data;
pub use model::{InputInfo, Model};
pub(crate) use order::weight_axes;
pub use pixels::PixelRange;
pub use summary::{ModelSummary, NodeSummary, TargetSummary};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong_tests;
