//! Class-specific forms: whitened and discriminative FAM.
//!
//! Plain FAM hardly depends on the class it explains. These forms compare cells, not channels: how much does each cell
//! of the query deviate from what cells are like in general in the same direction as the class's cells do? The
//! equations, with `A_i` the channel vector of cell `i` of `n`, `mu` and `W` from [`Statistics`] and [`Whitening`]:
//!
//! - class vector: `g_c` = mean over the supports of their mean cell, less `mu`; `e_c` = the same of their border ring;
//!   `d_c = g_c - e_c / 2` with the border term (it assumes objects that do not fill the border), else `d_c = g_c`;
//!   `w_c = W d_c / sqrt(d_c' W d_c)`;
//! - evidence: `s_ci = (A_i - mu)' w_c / r`, `r^2 = mean_i (A_i - mu)' W (A_i - mu)`;
//! - **whitened**: `max(s_ci - offset, 0)`; the score is the Mahalanobis cosine
//!   `(A_mean - mu)' W d_c / (|A_mean - mu|_W |d_c|_W)`, to which `mean_i s_ci` is equal up to the factor `|A_mean -
//!   mu|_W / r`, which is at most 1 and the same for every class;
//! - **discriminative**: `m_ci = max(s_ci - offset, 0) p_ci^2` with the class share `p_ci = softmax_c(sharpness s_ci)`,
//!   squared so that a cell between two classes counts little for either; the score is `E_c = mean_i m_ci`, so that the
//!   map sums to what decides. Its evidence is the mean over two layers: the last block, whitened as above,
//!   and the head, centred only (`W = I`).
//!
//! The constants were chosen on a development half of the photos' classes (docs/results.md).

mod file;
mod general;
mod rule;
mod statistics;
#[cfg(test)]
mod tests;
mod whitening;

pub use rule::{CellForm, ClassCells, Rule, Specific, SpecificDecision};
pub use statistics::{Accumulator, HeadOrigin, Origin, Statistics};
pub use whitening::Whitening;
