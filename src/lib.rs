//! famlens shows *why* two images were judged alike by a model that has no classifier layer: Feature Activation Maps
//! (FAM, arXiv 2307.05017), on any CNN brought as ONNX, in the browser or on the command line.
//!
//! The flow: **bytes -> pixels -> graph -> engine -> activation maps -> explanation -> overlay -> screen**, one module
//! each: [`image`] decodes, resizes and normalises; [`onnx`] reads a model into a [`graph`]; an [`engine`] runs it and
//! keeps the activation maps; [`fam`] turns embeddings into channel weights and maps; [`overlay`] colours a map;
//! [`session`] is the facade over all of it.

pub mod backbone;
pub mod choice;
pub mod engine;
mod error;
pub mod evaluate;
pub mod explain;
pub mod fam;
pub mod graph;
pub mod image;
pub mod methods;
pub mod metrics;
pub mod model;
pub mod onnx;
pub mod overlay;
pub mod quant;
mod random;
pub mod session;
pub mod tasks;
pub mod tensor;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use error::{Error, Result, UnsupportedNode};
