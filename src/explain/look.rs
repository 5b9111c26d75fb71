//! A second look where the object is small: the part of the photo around the coarse box goes through the network again,
//! at the full input size, and its map takes the place of the coarse one there.
//!
//! Weights and class vectors stay those of the first look, and so do scores and contributions. A map says where the
//! evidence lies, and the second look says it with smaller cells.

use super::ExplainOptions;
use crate::choice::choice;
use crate::error::Result;
use crate::fam::Grid;
use crate::image::{Geometry, Rect};
use crate::metrics::localise;
use crate::overlay::MapView;

/// When a second look is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Look {
    /// Under the class-specific forms, where the coarse box is small.
    #[default]
    Auto,
    /// Never: one forward pass.
    Never,
    /// Under every form, wherever the map has a box that does not fill the photo.
    Always,
}

choice!(Look, "finer.look", {
    Auto: "auto", "Where the object is small",
        "A small box is looked at again at the full input size, with smaller cells: one more pass.",
        "famlens (docs/results.md)",
        "Under the class-specific forms. The scores stay those of the whole photo.";
    Never: "never", "Never",
        "The map is that of one look at the whole photo.",
        "famlens", "";
    Always: "always", "Always",
        "The box of the winning class is looked at again under every form, however large it is.",
        "famlens",
        "The scores stay those of the whole photo.";
});

/// A coarse box under this share of what the network saw is small (docs/results.md has the table of the choice).
pub const SMALL: f64 = 0.4;
/// How much wider and higher than the coarse box the second look is.
const WIDER: f64 = 1.3;
/// The least side of the second look, as a share of what the first one saw: less has no more detail to show.
const LEAST: f64 = 0.3;
/// A second look that sees more than this share of the photo again shows nothing new.
const MOST: f64 = 0.9;
/// Cells of the merged map along a cell of the coarse one: the least second look has cells of `LEAST` of its side.
const FINER: usize = 4;
/// A merged map has at most this many cells along a side, unless the coarse one has more.
const MOST_CELLS: usize = 160;

/// What a second look sees of the photo, in its pixels; `None` if no second look is taken. `coarse` is the map of the
/// class that won.
///
/// # Errors
/// [`crate::Error::Argument`] if a value of the map is not finite.
pub(super) fn region(coarse: &Grid, geometry: &Geometry, options: &ExplainOptions) -> Result<Option<Rect>> {
    let wanted = match options.finer.look {
        Look::Never => false,
        Look::Auto => options.form.cells().is_some(),
        Look::Always => true,
    };
    if !wanted {
        return Ok(None);
    }
    let view = MapView::new(&coarse.data, coarse.width, coarse.height, geometry)?;
    let Some(found) = localise(&view, options.threshold())? else { return Ok(None) };
    let seen = geometry.covered();
    if options.finer.look == Look::Auto && found.bounds.area() >= SMALL * seen.area() {
        return Ok(None);
    }
    let around = around(&found.bounds, &seen);
    Ok((around.area() <= MOST * seen.area()).then_some(around))
}

/// The box widened, at least [`LEAST`] of a side, moved to lie within what was seen.
fn around(found: &Rect, seen: &Rect) -> Rect {
    let side = |from: f64, to: f64, low: f64, high: f64| {
        let length = ((to - from) * WIDER).max(LEAST * (high - low)).min(high - low);
        let start = (f64::midpoint(from, to) - length / 2.0).clamp(low, high - length);
        (start, start + length)
    };
    let (x0, x1) = side(found.x0, found.x1, seen.x0, seen.x1);
    let (y0, y1) = side(found.y0, found.y1, seen.y0, seen.y1);
    Rect::new(x0, y0, x1.min(seen.x1), y1.min(seen.y1))
}

/// The coarse map with the second look's in its place. Both lie on the photo by their geometries. A cell of the result
/// takes the second look's value at its centre if that look saw the centre, else the coarse one's; both are bilinear.
pub(super) fn merge(coarse: &Grid, whole: &Geometry, second: &Grid, part: &Geometry) -> Grid {
    let finer = (MOST_CELLS / coarse.width.max(coarse.height).max(1)).clamp(1, FINER);
    let (width, height) = (coarse.width * finer, coarse.height * finer);
    let seen = part.covered();
    let sample = |grid: &Grid, geometry: &Geometry, x: f64, y: f64| {
        let (u, v) = geometry.to_map(grid.width, grid.height, x, y);
        grid.sample(u / grid.width.max(1) as f64, v / grid.height.max(1) as f64)
    };
    let value = |i: usize| {
        let (x, y) = whole.map_to_photo(width, height, (i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
        if seen.contains(x, y) { sample(second, part, x, y) } else { sample(coarse, whole, x, y) }
    };
    Grid { width, height, data: (0..width * height).map(value).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Finer;
    use crate::fam::Form;
    use crate::image::GeometryMode;

    fn options(look: Look, form: Form) -> ExplainOptions {
        ExplainOptions { form, finer: Finer { look, ..Finer::default() }, ..ExplainOptions::default() }
    }

    fn spot(at: (usize, usize)) -> Grid {
        let data = (0..100).map(|i| if (i % 10, i / 10) == at { 1.0 } else { 0.0 }).collect();
        Grid { width: 10, height: 10, data }
    }

    #[test]
    fn a_small_box_is_looked_at_again_and_a_large_one_is_not() -> Result<()> {
        let geometry = Geometry::new(GeometryMode::Squash, (400, 200), 320, 32)?;
        let auto = options(Look::Auto, Form::Discriminative);
        let found = region(&spot((5, 5)), &geometry, &auto)?;
        // The spot is at 220, 110; the least look has three tenths of each side.
        assert_eq!(found.map(|r| [r.x0, r.y0, r.x1, r.y1].map(f64::round)), Some([160.0, 80.0, 280.0, 140.0]));
        let corner = region(&spot((0, 9)), &geometry, &auto)?;
        assert_eq!(corner, Some(Rect::new(0.0, 140.0, 120.0, 200.0)), "it stays within the photo");
        let mut large = Grid { width: 10, height: 10, data: vec![1.0; 100] };
        large.data[0] = 0.0;
        assert_eq!(region(&large, &geometry, &auto)?, None);
        assert_eq!(region(&large, &geometry, &options(Look::Always, Form::Discriminative))?, None, "nothing new");
        assert_eq!(region(&spot((5, 5)), &geometry, &options(Look::Never, Form::Discriminative))?, None);
        assert_eq!(region(&spot((5, 5)), &geometry, &options(Look::Auto, Form::Faithful))?, None);
        assert!(region(&spot((5, 5)), &geometry, &options(Look::Always, Form::Faithful))?.is_some());
        let nothing = Grid { width: 10, height: 10, data: vec![0.0; 100] };
        assert_eq!(region(&nothing, &geometry, &auto)?, None);
        Ok(())
    }

    /// Two looks at a plane `a x + b y + c` of the photo agree, so merging them gives that plane, under every geometry.
    #[test]
    fn merging_is_exact_in_photo_coordinates() -> Result<()> {
        let plane = |x: f64, y: f64| (0.3 * x - 0.7 * y + 11.0) as f32;
        for mode in GeometryMode::ALL {
            let whole = Geometry::new(mode, (300, 200), 160, 32)?;
            let cells = (whole.input_size().0 as usize / 32, whole.input_size().1 as usize / 32);
            let grid = |geometry: &Geometry, (width, height): (usize, usize)| {
                let at = |i: usize| {
                    let (x, y) = (i % width, i / width);
                    let (x, y) = geometry.map_to_photo(width, height, x as f64 + 0.5, y as f64 + 0.5);
                    plane(x, y)
                };
                Grid { width, height, data: (0..width * height).map(at).collect() }
            };
            let part = Geometry::part((300, 200), Rect::new(77.5, 60.0, 201.0, 123.25), (160, 160))?;
            let merged = merge(&grid(&whole, cells), &whole, &grid(&part, (5, 5)), &part);
            assert_eq!((merged.width, merged.height), (cells.0 * 4, cells.1 * 4));
            let mut inside = 0;
            for (i, &value) in merged.data.iter().enumerate() {
                let (ix, iy) = (i % merged.width, i / merged.width);
                let (x, y) = whole.map_to_photo(merged.width, merged.height, ix as f64 + 0.5, iy as f64 + 0.5);
                // Beyond the outermost centres of a look, its values are constant.
                let margin = |from: f64, to: f64| (to - from) / 10.0;
                let r = part.covered();
                let (mx, my) = (margin(r.x0, r.x1), margin(r.y0, r.y1));
                if r.contains(x, y) {
                    if !Rect::new(r.x0 + mx, r.y0 + my, r.x1 - mx, r.y1 - my).contains(x, y) {
                        continue;
                    }
                    inside += 1;
                } else if ix < 2 || iy < 2 || ix + 2 >= merged.width || iy + 2 >= merged.height {
                    continue;
                }
                assert!((value - plane(x, y)).abs() < 1e-3, "{mode} at {x}, {y}: {value}, not {}", plane(x, y));
            }
            assert!(inside > 4, "{mode}: {inside}");
        }
        Ok(())
    }

    /// Against numpy (`tests/goldens/make_looks.py`).
    #[test]
    fn merged_maps_are_those_of_numpy() -> Result<()> {
        let index: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/goldens/looks/index.json")).unwrap();
        let floats = |value: &serde_json::Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let grid = |value: &serde_json::Value| Grid {
            width: value["width"].as_u64().unwrap() as usize,
            height: value["height"].as_u64().unwrap() as usize,
            data: floats(&value["data"]).into_iter().map(|v| v as f32).collect(),
        };
        for case in index["merge"].as_array().unwrap() {
            let (photo, part) = (floats(&case["photo"]), floats(&case["part"]));
            let photo = (photo[0] as u32, photo[1] as u32);
            let whole = Geometry::new(GeometryMode::Squash, photo, 320, 32)?;
            let part = Geometry::part(photo, Rect::new(part[0], part[1], part[2], part[3]), (320, 320))?;
            let merged = merge(&grid(&case["coarse"]), &whole, &grid(&case["second"]), &part);
            for (found, expected) in merged.data.iter().zip(floats(&case["merged"])) {
                assert!((f64::from(*found) - expected).abs() < 1e-4, "{found}, not {expected}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_map_of_many_cells_keeps_their_number() -> Result<()> {
        let whole = Geometry::new(GeometryMode::Squash, (300, 200), 320, 32)?;
        let part = Geometry::part((300, 200), Rect::new(0.0, 0.0, 150.0, 100.0), (320, 320))?;
        let grid = |width| Grid { width, height: width, data: vec![1.0; width * width] };
        assert_eq!(merge(&grid(200), &whole, &grid(200), &part).width, 200);
        assert_eq!(merge(&grid(60), &whole, &grid(60), &part).width, 120);
        Ok(())
    }
}
