//! Feature Activation Maps: embeddings in, channel weights and maps out.
//!
//! FAM (arXiv 2307.05017) explains a similarity between two embeddings `f` (query) and `g` (class prototype or other
//! image), each pooled from activation maps `A [C, H, W]`: a channel's share of the similarity, `w_c`, weighs that
//! channel's activation map, and the sum over channels is the map. [`Form`] names the choices of `w_c`; the
//! weights become a [`crate::engine::Mix`], which an engine evaluates where the activation maps are.

mod class_specific;
mod form;
mod fusion;
pub mod head;
mod linear;
mod metric;
mod normalise;
mod pooling;
mod similarity;
mod space;

pub use class_specific::{
    Accumulator, CellForm, ClassCells, HeadOrigin, Origin, Rule, Specific, SpecificDecision, Statistics, Whitening,
};
pub(crate) use form::Channel;
pub use form::Form;
pub use fusion::{Fusion, Grid};
pub use linear::{Inverse, MOST_ROWS, Samples};
pub use metric::{Decomposition, Direction, Metric, Side};
pub use normalise::Norm;
pub use pooling::PoolingChoice;
pub use similarity::{Similarity, centred_cosine, cosine, dot, norm, prototype};
pub use space::{ChannelWeights, Space, contrast};

pub use crate::engine::Pooling;
