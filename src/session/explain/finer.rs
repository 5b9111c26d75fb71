//! Finer maps by several looks at the image: mirrored, shifted by parts of a cell, at further scales.
//!
//! The weights stay those of the plain look, so that contributions still sum to the similarity; what is averaged are the
//! activation maps, each put back to where its look saw it.

use super::super::{Finer, ImageId, Session};
use super::maps::split;
use crate::engine::Mix;
use crate::error::{Error, Result};
use crate::fam::Grid;
use crate::image::{Geometry, prepare};
use crate::tensor::Tensor;

/// One look: the input's scale, its shift in pixels of that scale, and whether it is mirrored.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Look {
    scale: f32,
    shift: [usize; 2],
    flip: bool,
}

impl Session {
    /// The mean over all looks of the maps of every class, for each layer, and the number of looks. `plain` are the maps of the
    /// plain look.
    pub(super) async fn finer_maps(
        &mut self,
        query: ImageId,
        layers: &[String],
        mixes: &[Mix],
        plain: Vec<Vec<Grid>>,
        finer: &Finer,
    ) -> Result<(Vec<Vec<Grid>>, usize)> {
        let shifts = finer.shifts.max(1);
        let scales: Vec<f32> = std::iter::once(1.0).chain(finer.scales.iter().copied()).collect();
        // (maps of each layer and class, shift as a part of the input, mirrored)
        let mut seen: Vec<(Vec<Vec<Grid>>, [f64; 2], bool)> = Vec::new();
        for scale in scales {
            let input = self.scaled(query, scale)?;
            let [_, _, height, width] = *input.shape().dims() else {
                return Err(Error::argument("finer", "the model's input is no image"));
            };
            let cell = self.model.manifest().input.stride;
            for look in looks(scale, shifts, cell, finer.flip) {
                let part = [look.shift[0] as f64 / width as f64, look.shift[1] as f64 / height as f64];
                let maps = match (scale, look.shift, look.flip) {
                    (1.0, [0, 0], false) => plain.clone(),
                    _ => self.look(&seen_input(&input, &look), layers, mixes).await?,
                };
                seen.push((maps, part, look.flip));
            }
        }
        let average = |layer: usize, class: usize| {
            let grids = || seen.iter().map(|(maps, ..)| &maps[layer][class]);
            let width = grids().map(|g| g.width).max().unwrap_or(1) * shifts;
            let height = grids().map(|g| g.height).max().unwrap_or(1) * shifts;
            let at = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
            let value = |x: usize, y: usize| {
                let sample = |(maps, part, flip): &(Vec<Vec<Grid>>, [f64; 2], bool)| {
                    let (u, v) = (at(x, width) - part[0], at(y, height) - part[1]);
                    f64::from(maps[layer][class].sample(if *flip { 1.0 - u } else { u }, v))
                };
                (seen.iter().map(sample).sum::<f64>() / seen.len() as f64) as f32
            };
            let cells = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
            Grid { width, height, data: cells.map(|(x, y)| value(x, y)).collect() }
        };
        let classes = plain.first().map_or(0, Vec::len);
        let averaged = (0..layers.len()).map(|l| (0..classes).map(|k| average(l, k)).collect()).collect();
        Ok((averaged, seen.len()))
    }

    /// One forward pass on an input that is not kept.
    async fn look(&mut self, input: &Tensor, layers: &[String], mixes: &[Mix]) -> Result<Vec<Vec<Grid>>> {
        let [_, _, height, width] = *input.shape().dims() else {
            return Err(Error::argument("finer", "the model's input is no image"));
        };
        let program = self.engines.program_for(&self.model, (width as u32, height as u32), layers)?;
        let output = program.run(input, &mixes[0]).await?;
        let mut maps = Vec::with_capacity(layers.len());
        for (i, (features, mix)) in output.features.iter().zip(mixes).enumerate() {
            let values = match i {
                0 => output.mixed.maps.clone(),
                _ => program.mix(features, mix).await?.maps,
            };
            maps.push(split(&features.shape, values, mix.directions.len())?);
        }
        Ok(maps)
    }

    /// The input at another scale: from the photo where the session keeps photos, else from the prepared input.
    fn scaled(&self, query: ImageId, scale: f32) -> Result<Tensor> {
        let entry = self.entry(query)?;
        if scale == 1.0 {
            return Ok(entry.input.clone());
        }
        let input = &self.model.manifest().input;
        let side = |n: usize| ((n as f32 * scale / input.stride as f32).round().max(1.0) as usize) * input.stride;
        if let Some(photo) = &entry.photo {
            let geometry = Geometry::new(input.geometry, photo.size(), side(input.size) as u32, input.stride as u32)?;
            return prepare(photo, &geometry, &self.model.manifest().normalization());
        }
        let [_, channels, height, width] = *entry.input.shape().dims() else {
            return Err(Error::argument("finer", "the model's input is no image"));
        };
        let planes = entry.input.data().chunks_exact(height * width);
        let resized =
            planes.flat_map(|p| Grid { width, height, data: p.to_vec() }.resized(side(width), side(height)).data);
        Tensor::new([1, channels, side(height), side(width)], resized.collect())
    }
}

/// The looks of one scale: `n * n` shifts by parts of a cell, each also mirrored if asked for.
fn looks(scale: f32, n: usize, cell: usize, flip: bool) -> Vec<Look> {
    let shifts = (0..n * n).map(|i| [(i % n) * cell / n, (i / n) * cell / n]);
    let mirrored = if flip { &[false, true][..] } else { &[false] };
    shifts.flat_map(|shift| mirrored.iter().map(move |&flip| Look { scale, shift, flip })).collect()
}

/// The input as a look sees it: moved to the left and up with the last column and row repeated, then mirrored.
fn seen_input(input: &Tensor, look: &Look) -> Tensor {
    let [_, _, height, width] = *input.shape().dims() else { return input.clone() };
    let mut out = Tensor::zeros(input.shape().clone());
    let planes = input.data().chunks_exact(height * width).zip(out.data_mut().chunks_exact_mut(height * width));
    for (from, to) in planes {
        for (y, row) in to.chunks_exact_mut(width).enumerate() {
            let line = &from[(y + look.shift[1]).min(height - 1) * width..][..width];
            for (x, value) in row.iter_mut().enumerate() {
                let x = if look.flip { width - 1 - x } else { x };
                *value = line[(x + look.shift[0]).min(width - 1)];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_multiply() {
        assert_eq!(looks(1.0, 1, 32, false), [Look { scale: 1.0, shift: [0, 0], flip: false }]);
        let all = looks(1.0, 2, 32, true);
        assert_eq!(all.len(), 8);
        let shifts: Vec<_> = all.iter().filter(|l| !l.flip).map(|l| l.shift).collect();
        assert_eq!(shifts, [[0, 0], [16, 0], [0, 16], [16, 16]]);
    }

    #[test]
    fn a_look_moves_and_mirrors() -> Result<()> {
        let input = Tensor::new([1, 1, 2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
        let seen = |shift, flip| seen_input(&input, &Look { scale: 1.0, shift, flip }).into_data();
        assert_eq!(seen([1, 0], false), [2.0, 3.0, 3.0, 5.0, 6.0, 6.0]);
        assert_eq!(seen([0, 1], false), [4.0, 5.0, 6.0, 4.0, 5.0, 6.0]);
        assert_eq!(seen([1, 0], true), [3.0, 3.0, 2.0, 6.0, 6.0, 5.0]);
        Ok(())
    }
}
