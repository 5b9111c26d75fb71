//! Products with a constant matrix: in f32, or in 16-bit integers where the weights are int8 and the engine is set to.

use super::kernels::{Dense, Fixed, Isa, Quantized, Rows};
use super::weights::WeightStore;
use crate::error::Result;
use crate::graph::Constant;

/// How products are computed, and where their weights are held.
#[derive(Clone, Debug)]
pub(super) struct Arithmetic {
    /// The instruction set.
    pub isa: Isa,
    /// Whether products with int8 weights are computed in 16-bit integers.
    pub fixed: bool,
    /// The packed weights of all programs.
    pub store: WeightStore,
}

/// A row-major `[n, k]` matrix as the graph has it.
#[derive(Clone, Copy)]
pub(super) enum Weight<'a> {
    Float(&'a [f32]),
    /// With one scale a row.
    Int8(&'a [i8], &'a [f32]),
}

impl<'a> Weight<'a> {
    pub(super) fn of(constant: &'a Constant) -> Self {
        match constant {
            Constant::Float(t) => Self::Float(t.data()),
            Constant::Int8(t) => Self::Int8(t.data(), t.scales()),
        }
    }
}

/// Products with fewer weights than this stay in f32 (measured on SIMD128).
const SMALL: usize = 2048;

/// A packed matrix with its bias.
pub(super) enum Product {
    Float(Dense),
    Fixed(Fixed),
}

impl Product {
    /// Packs a matrix.
    pub(super) fn pack(arithmetic: &Arithmetic, [n, k]: [usize; 2], weight: Weight, bias: &[f32]) -> Result<Self> {
        let Arithmetic { isa, fixed, ref store } = *arithmetic;
        match weight {
            Weight::Float(w) => Dense::pack(isa, store, [n, k], w, bias).map(Self::Float),
            Weight::Int8(w, scales) => {
                // In a small product, scaling rows and results takes longer than 16 bits save.
                if fixed && w.len() >= SMALL {
                    let packed = Fixed::pack(isa, store, [n, k], w, scales, bias)?;
                    if packed.is_precise() {
                        return Ok(Self::Fixed(packed));
                    }
                }
                let rows = w.chunks_exact(k.max(1)).zip(scales);
                let floats: Vec<f32> = rows.flat_map(|(row, s)| row.iter().map(move |&q| f32::from(q) * s)).collect();
                Dense::pack(isa, store, [n, k], &floats, bias).map(Self::Float)
            }
        }
    }

    /// Makes room for quantized rows.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] if the machine has no such room.
    pub(super) fn reserve(&self, quantized: &mut Quantized) -> Result<()> {
        match self {
            Self::Float(_) => Ok(()),
            Self::Fixed(fixed) => fixed.reserve(quantized),
        }
    }

    /// `y = clamp(x W^T + b + r)` for `m` rows. See [`Dense::apply`].
    #[allow(clippy::too_many_arguments)]
    pub(super) fn apply(
        &self,
        m: usize,
        (x, x_rows): (&[f32], Rows),
        (y, y_rows): (&mut [f32], Rows),
        residual: Option<&[f32]>,
        quantized: &mut Quantized,
        clamp: [f32; 2],
    ) -> Result<()> {
        match self {
            Self::Float(dense) => dense.apply(m, x, x_rows, y, y_rows, residual, clamp),
            Self::Fixed(fixed) => fixed.apply(m, x, x_rows, y, y_rows, residual, quantized, clamp),
        }
    }

    /// The same for all rows of `x` and `y`, each in one piece.
    pub(super) fn apply_all(
        &self,
        x: &[f32],
        y: &mut [f32],
        residual: Option<&[f32]>,
        quantized: &mut Quantized,
        clamp: [f32; 2],
    ) -> Result<()> {
        let [n, k] = match self {
            Self::Float(dense) => dense.size(),
            Self::Fixed(fixed) => fixed.size(),
        };
        let rows = |stride| Rows { start: 0, stride };
        self.apply(x.len() / k.max(1), (x, rows(k)), (y, rows(n)), residual, quantized, clamp)
    }
}
