//! The whitened length of cells, as one product.

use std::sync::Arc;

use super::failed;
use super::kernels::{Dense, Isa, Rows};
use super::weights::WeightStore;
use crate::error::Result;

/// A whitening factor as packed weights, for as long as the same one is asked for.
#[derive(Default)]
pub(super) struct Whitener {
    packed: Option<(Arc<[f32]>, Dense)>,
    whitened: Vec<f32>,
}

impl Whitener {
    /// `sum_i |P x_i|^2` over rows of cells.
    pub(super) fn energy(&mut self, isa: Isa, store: &WeightStore, factor: &Arc<[f32]>, rows: &[f32]) -> Result<f64> {
        let channels = factor.len().isqrt();
        if !self.packed.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, factor)) {
            let dense = Dense::pack(isa, store, [channels, channels], factor, &vec![0.0; channels])?;
            self.packed = Some((factor.clone(), dense));
        }
        let Some((_, dense)) = &self.packed else { return Err(failed("no whitening factor")) };
        self.whitened.resize(rows.len(), 0.0);
        let each = || Rows { start: 0, stride: channels };
        let unclamped = [f32::NEG_INFINITY, f32::INFINITY];
        dense.apply(rows.len() / channels.max(1), rows, each(), &mut self.whitened, each(), None, unclamped)?;
        // A row in f32, in strands that do not wait for each other; the rows in f64.
        let energy = |row: &[f32]| {
            let (chunks, rest) = row.as_chunks::<8>();
            let mut strands = [0f32; 8];
            chunks.iter().for_each(|c| strands.iter_mut().zip(c).for_each(|(s, z)| *s += z * z));
            f64::from(strands.iter().sum::<f32>() + rest.iter().map(|z| z * z).sum::<f32>())
        };
        Ok(self.whitened.chunks_exact(channels.max(1)).map(energy).sum())
    }
}
