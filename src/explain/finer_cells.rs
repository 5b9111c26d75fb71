//! Finer maps of the class-specific forms, by looks shifted by parts of a cell.
//!
//! Offset, ReLU and class share act on each cell alone, so the maps of shifted looks interleave as they are. The score
//! is the mean over the looks. So it stays the mean of the map that is shown (discriminative) or of the evidence behind
//! it (whitened).

use super::finer::{cell_sides, seen_input, shifts, stitch};
use crate::backbone::{Backbone, ImageId};
use crate::engine::{CellMaps, CellReadout};
use crate::error::Result;
use crate::fam::{Grid, SpecificDecision};

/// What one look, or all of them, say of a query.
pub(super) struct CellFindings {
    /// One map per class.
    pub grids: Vec<Grid>,
    pub decision: SpecificDecision,
    /// Forward passes of the query.
    pub passes: usize,
}

/// The maps of every class with `n` times the cells along each side, from `n * n` looks, and the decision over all of
/// them. `plain` is what the plain look gave, `plain_maps` its readout.
///
/// # Errors
/// Those of the engine and of `decide`.
pub(super) async fn finer_cells(
    backbone: &mut Backbone,
    query: ImageId,
    n: usize,
    readout: &CellReadout,
    (plain, plain_maps): (CellFindings, &CellMaps),
    decide: impl Fn(&CellMaps) -> Result<SpecificDecision>,
) -> Result<CellFindings> {
    let input = backbone.cell_tensor(query)?;
    let [_, _, height, width] = *input.shape().dims() else { return Ok(plain) };
    let cell = plain.grids.first().map_or([1, 1], |grid| cell_sides([width, height], grid));
    let mut looks: Vec<CellMaps> = Vec::with_capacity(n * n);
    let mut passes = 1;
    for shift in shifts(n, cell) {
        if shift == [0, 0] {
            looks.push(plain_maps.clone());
            continue;
        }
        passes += 1;
        looks.push(backbone.cells_of_input(&seen_input(&input, shift, false), readout).await?);
    }
    let stitched = plain.grids.iter().enumerate().map(|(class, Grid { width, height, .. })| {
        let part = |look: &CellMaps| Grid {
            width: *width,
            height: *height,
            data: look.maps.iter().skip(class * width * height).take(width * height).copied().collect(),
        };
        let parts: Vec<Grid> = looks.iter().map(part).collect();
        stitch(&parts.iter().collect::<Vec<_>>(), n, false)
    });
    let grids = stitched.collect();
    let decisions = looks.iter().map(decide).collect::<Result<Vec<_>>>()?;
    Ok(CellFindings { grids, decision: mean(plain.decision, &decisions), passes })
}

/// The mean of the looks' scores and contributions. Where no class has any, the plain look has ranked them.
fn mean(plain: SpecificDecision, looks: &[SpecificDecision]) -> SpecificDecision {
    let count = looks.len() as f64;
    let score = |k: usize| looks.iter().map(|look| look.scores[k]).sum::<f64>() / count;
    let scores: Vec<f64> = (0..plain.scores.len()).map(score).collect();
    let channel =
        |k: usize, c: usize| (looks.iter().map(|look| f64::from(look.contributions[k][c])).sum::<f64>() / count) as f32;
    let class = |(k, own): (usize, &Vec<f32>)| (0..own.len()).map(|c| channel(k, c)).collect();
    let contributions = plain.contributions.iter().enumerate().map(class).collect();
    let first = plain.predicted;
    let better = |best: usize, k: usize| if scores[k] > scores[best] { k } else { best };
    let predicted = (0..scores.len()).fold(first, better);
    SpecificDecision { scores, predicted, contributions }
}
