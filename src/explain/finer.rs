//! Finer maps by several looks at the image: mirrored, shifted by parts of a cell, at further scales.
//!
//! The weights stay those of the plain look, so that contributions still sum to the similarity. The maps of shifted
//! looks interleave: each look gives a part of the cells of a finer grid, each in its own place, and nothing is
//! blurred. The maps of mirror images and scales are averaged.

use super::Request;
use super::maps::split;
use crate::backbone::{Backbone, ImageId};
use crate::engine::Mix;
use crate::error::{Error, Result};
use crate::fam::Grid;
use crate::image::{InputSize, prepare};
use crate::tensor::Tensor;

/// What the looks of one scale and direction saw.
struct Looks {
    /// Maps of each look, layer and class; looks row by row of their shifts.
    maps: Vec<Vec<Vec<Grid>>>,
    /// Each look's shift to the right and down, as a part of the input.
    shifts: Vec<[f64; 2]>,
    /// Width and height of the input in pixels.
    size: [usize; 2],
    flip: bool,
}

/// The maps of every class over all looks, for each layer, and the number of forward passes with the plain one. `plain`
/// are the maps of the plain look.
///
/// # Errors
/// Those of the engine.
pub(super) async fn finer_maps(
    backbone: &mut Backbone,
    request: &Request<'_>,
    layers: &[String],
    mixes: &[Mix],
    plain: Vec<Vec<Grid>>,
) -> Result<(Vec<Vec<Grid>>, usize)> {
    let finer = &request.options.finer;
    let n = finer.shifts.max(1);
    let directions = if finer.flip { &[false, true][..] } else { &[false] };
    let mut seen = Vec::new();
    let mut passes = 1;
    let mut cell = [1, 1];
    for scale in std::iter::once(1.0).chain(finer.scales.iter().copied()) {
        let input = scaled(backbone, request.query, scale)?;
        let [_, _, height, width] = *input.shape().dims() else { return Err(no_image()) };
        if scale == 1.0 {
            cell = plain
                .first()
                .and_then(|classes| classes.first())
                .map_or(cell, |grid| cell_sides([width, height], grid));
        }
        for &flip in directions {
            let mut looks = Looks { maps: Vec::new(), shifts: Vec::new(), size: [width, height], flip };
            for shift in shifts(n, cell) {
                looks.shifts.push([shift[0] as f64 / width as f64, shift[1] as f64 / height as f64]);
                looks.maps.push(match (scale, shift, flip) {
                    (1.0, [0, 0], false) => plain.clone(),
                    _ => {
                        passes += 1;
                        look(backbone, &seen_input(&input, shift, flip), layers, mixes).await?
                    }
                });
            }
            seen.push(looks);
        }
    }
    let classes = plain.first().map_or(0, Vec::len);
    let mean = |layer: usize, class: usize| mean(seen.iter().map(|looks| looks.join(layer, class, n, cell)).collect());
    Ok(((0..layers.len()).map(|l| (0..classes).map(|k| mean(l, k)).collect()).collect(), passes))
}

/// The maps of every layer and class from one forward pass on an input that is not kept.
async fn look(backbone: &mut Backbone, input: &Tensor, layers: &[String], mixes: &[Mix]) -> Result<Vec<Vec<Grid>>> {
    let found = backbone.mix_input(input, layers, mixes).await?;
    let maps = found.into_iter().zip(mixes);
    maps.map(|((shape, mixed), mix)| split(&shape, mixed.maps, mix.directions.len())).collect()
}

/// The input at another scale: from the photo where photos are kept, else from the prepared input.
fn scaled(backbone: &Backbone, query: ImageId, scale: f32) -> Result<Tensor> {
    let (image, manifest) = (backbone.image(query)?, backbone.model().manifest());
    if scale == 1.0 {
        return Ok(image.input.clone());
    }
    let spec = &manifest.input;
    let side = |n: usize| ((n as f32 * scale / spec.stride as f32).round().max(1.0) as usize) * spec.stride;
    if let Some(photo) = &image.photo {
        let (height, width) = spec.size.rows();
        let size = InputSize { width: side(width) as u32, height: side(height) as u32 };
        let geometry = spec.fit(size, photo.size())?;
        return prepare(photo, &geometry, manifest.pixels());
    }
    let [_, channels, height, width] = *image.input.shape().dims() else { return Err(no_image()) };
    let planes = image.input.data().chunks_exact(height * width);
    let resized = planes.flat_map(|p| Grid { width, height, data: p.to_vec() }.resized(side(width), side(height)).data);
    Tensor::new([1, channels, side(height), side(width)], resized.collect())
}

fn no_image() -> Error {
    Error::argument("finer", "the model's input is no image")
}

/// Pixels of an input of that width and height to a cell, across and down.
pub(super) fn cell_sides([width, height]: [usize; 2], grid: &Grid) -> [usize; 2] {
    [(width / grid.width.max(1)).max(1), (height / grid.height.max(1)).max(1)]
}

/// `n * n` shifts by parts of a cell, row by row. They lie around the plain look, so that no side of the photo loses
/// more than half a cell.
pub(super) fn shifts(n: usize, [across, down]: [usize; 2]) -> impl Iterator<Item = [isize; 2]> {
    let shift = move |i: usize, cell: usize| (2 * i as isize + 1 - n as isize) * cell as isize / (2 * n as isize);
    (0..n * n).map(move |i| [shift(i % n, across), shift(i / n, down)])
}

/// The input as a look sees it: moved, with the outermost column and row repeated, then mirrored.
pub(super) fn seen_input(input: &Tensor, [right, down]: [isize; 2], flip: bool) -> Tensor {
    let [_, _, height, width] = *input.shape().dims() else { return input.clone() };
    let mut out = Tensor::zeros(input.shape().clone());
    let moved = |i: usize, shift: isize, n: usize| i.saturating_add_signed(shift).min(n - 1);
    let planes = input.data().chunks_exact(height * width).zip(out.data_mut().chunks_exact_mut(height * width));
    for (from, to) in planes {
        for (y, row) in to.chunks_exact_mut(width).enumerate() {
            let line = &from[moved(y, down, height) * width..][..width];
            for (x, value) in row.iter_mut().enumerate() {
                let x = if flip { width - 1 - x } else { x };
                *value = line[moved(x, right, width)];
            }
        }
    }
    out
}

impl Looks {
    /// One map of all looks, with `n` times the cells along each side.
    fn join(&self, layer: usize, class: usize, n: usize, cell: [usize; 2]) -> Grid {
        let looks: Vec<&Grid> = self.maps.iter().map(|maps| &maps[layer][class]).collect();
        match cell_sides(self.size, looks[0]) == cell {
            true => stitch(&looks, n, self.flip),
            // A layer of another stride: the shifts are not parts of its cells.
            false => self.blend(&looks, n),
        }
    }

    /// The mean over the looks, each put back to where it saw its cells.
    fn blend(&self, looks: &[&Grid], n: usize) -> Grid {
        let (width, height) = (looks[0].width * n, looks[0].height * n);
        let at = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
        let value = |(x, y): (usize, usize)| {
            let sample = |(grid, shift): (&&Grid, &[f64; 2])| {
                let (u, v) = (at(x, width) - shift[0], at(y, height) - shift[1]);
                f64::from(grid.sample(if self.flip { 1.0 - u } else { u }, v))
            };
            (looks.iter().zip(&self.shifts).map(sample).sum::<f64>() / looks.len() as f64) as f32
        };
        Grid { width, height, data: cells(width, height).map(value).collect() }
    }
}

/// Fine cell `(x, y)` is cell `(x / n, y / n)` of look `(x % n, y % n)`: that cell's centre lies there.
pub(super) fn stitch(looks: &[&Grid], n: usize, flip: bool) -> Grid {
    let (width, height) = (looks[0].width, looks[0].height);
    let value = |(x, y): (usize, usize)| {
        let column = if flip { width - 1 - x / n } else { x / n };
        looks[y % n * n + x % n].data[y / n * width + column]
    };
    Grid { width: width * n, height: height * n, data: cells(width * n, height * n).map(value).collect() }
}

/// The mean of maps, at the largest number of cells among them.
fn mean(grids: Vec<Grid>) -> Grid {
    let width = grids.iter().map(|g| g.width).max().unwrap_or(0);
    let height = grids.iter().map(|g| g.height).max().unwrap_or(0);
    let count = grids.len() as f32;
    let mut data = vec![0.0; width * height];
    for grid in grids {
        data.iter_mut().zip(grid.resized(width, height).data).for_each(|(sum, v)| *sum += v / count);
    }
    Grid { width, height, data }
}

fn cells(width: usize, height: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_lie_around_the_plain_look() {
        assert_eq!(shifts(1, [32; 2]).collect::<Vec<_>>(), [[0, 0]]);
        assert_eq!(shifts(2, [32; 2]).collect::<Vec<_>>(), [[-8, -8], [8, -8], [-8, 8], [8, 8]]);
        assert_eq!(shifts(3, [30; 2]).nth(4), Some([0, 0]));
        assert_eq!(shifts(2, [4, 32]).collect::<Vec<_>>(), [[-1, -8], [1, -8], [-1, 8], [1, 8]]);
    }

    #[test]
    fn a_look_moves_and_mirrors() -> Result<()> {
        let input = Tensor::new([1, 1, 2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
        let seen = |shift, flip| seen_input(&input, shift, flip).into_data();
        assert_eq!(seen([1, 0], false), [2.0, 3.0, 3.0, 5.0, 6.0, 6.0]);
        assert_eq!(seen([0, 1], false), [4.0, 5.0, 6.0, 4.0, 5.0, 6.0]);
        assert_eq!(seen([-1, -1], false), [1.0, 1.0, 2.0, 1.0, 1.0, 2.0]);
        assert_eq!(seen([1, 0], true), [3.0, 3.0, 2.0, 6.0, 6.0, 5.0]);
        Ok(())
    }

    /// A network whose activation is the mean over its cell, so many pixels across and down.
    fn network(input: &Tensor, [across, down]: [usize; 2]) -> Grid {
        let [_, _, height, width] = *input.shape().dims() else { panic!("an image") };
        let mean = |(x, y)| {
            let inside = cells(across, down).map(|(i, j)| input.data()[(y * down + j) * width + x * across + i]);
            inside.sum::<f32>() / (across * down) as f32
        };
        let (width, height) = (width / across, height / down);
        Grid { width, height, data: cells(width, height).map(mean).collect() }
    }

    #[test]
    fn stitched_cells_are_those_of_a_finer_network() -> Result<()> {
        for cell in [[12, 12], [12, 24], [6, 48]] {
            stitched(cell)?;
        }
        Ok(())
    }

    fn stitched([across, down]: [usize; 2]) -> Result<()> {
        let side = 48usize;
        let value = |(x, y): (usize, usize)| x as f32 + if (14..30).contains(&x) && y > 20 { 100.0 } else { y as f32 };
        let input = Tensor::new([1, 1, side, side], cells(side, side).map(value).collect())?;
        for (n, flip) in [1, 2, 3].into_iter().flat_map(|n| [(n, false), (n, true)]) {
            let looks =
                shifts(n, [across, down]).map(|shift| network(&seen_input(&input, shift, flip), [across, down]));
            let looks: Vec<Grid> = looks.collect();
            let fine = stitch(&looks.iter().collect::<Vec<_>>(), n, flip);
            assert_eq!((fine.width, fine.height), (side / across * n, side / down * n));
            for (x, y) in cells(fine.width, fine.height) {
                // The cell whose centre is that of the fine cell, where it lies within the image.
                let start = |i: usize, cell: usize| ((2 * i + 1) * cell / (2 * n)).checked_sub(cell / 2);
                let (Some(left), Some(top)) = (start(x, across), start(y, down)) else { continue };
                if left + across > side || top + down > side {
                    continue;
                }
                let inside = cells(across, down).map(|(i, j)| input.data()[(top + j) * side + left + i]);
                let expected = inside.sum::<f32>() / (across * down) as f32;
                let found = fine.data[y * fine.width + x];
                assert!((found - expected).abs() < 1e-3, "n {n}, flip {flip}, ({x}, {y}): {found}, not {expected}");
            }
        }
        Ok(())
    }
}
