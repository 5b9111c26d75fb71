//! One photo's object on another photo, where its box is known: what maps are measured on when objects are small.

use super::{Photo, Rect, scale};
use crate::error::{Error, Result};

/// How far around the box the object's own photo goes on, as a share of the box's sides; it fades out there.
const MARGIN: f64 = 0.08;
/// The object never fills more than this share of a side.
const MOST: f64 = 0.98;

/// Pastes the object in `bounds` of `photo` on `background`, so that its box has the share `side * side` of the
/// background's area, `side` within 0.02 and 1. `at` says where: 0, 0 puts the box into the top left corner, 1, 1 into
/// the bottom right one. The rim of the object's own photo around the box fades out. Gives the picture, of the
/// background's size, and the box on it.
///
/// ```
/// use famlens::image::{Photo, Rect, paste_object};
/// let [background, photo] = [40, 200].map(|grey| Photo::from_rgb(100, 100, vec![grey; 30_000]));
/// let (picture, bounds) =
///     paste_object(&background?, &photo?, &Rect::new(20.0, 20.0, 80.0, 80.0), 0.5, [1.0, 0.0])?;
/// assert_eq!(bounds, Rect::new(50.0, 0.0, 100.0, 50.0));
/// assert_eq!((picture.pixel(75, 25), picture.pixel(10, 90)), (Some([200; 3]), Some([40; 3])));
/// # Ok::<(), famlens::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] for a box that is empty or reaches outside its photo, or a share or place outside its range.
pub fn paste_object(
    background: &Photo,
    photo: &Photo,
    bounds: &Rect,
    side: f64,
    at: [f64; 2],
) -> Result<(Photo, Rect)> {
    let (pw, ph) = (f64::from(photo.width()), f64::from(photo.height()));
    let inside = bounds.x0 >= 0.0 && bounds.y0 >= 0.0 && bounds.x1 <= pw && bounds.y1 <= ph;
    if !inside || bounds.area() <= 0.0 {
        return Err(Error::argument("box", format!("{bounds:?} is empty or reaches outside its {photo:?}")));
    }
    if !(0.02..=1.0).contains(&side) || at.iter().any(|place| !(0.0..=1.0).contains(place)) {
        return Err(Error::argument("place", format!("side {side} at {at:?} is not within the photo")));
    }
    let (width, height) = (f64::from(background.width()), f64::from(background.height()));
    let (bw, bh) = (bounds.width(), bounds.height());
    let fitting = (MOST * width / bw).min(MOST * height / bh);
    let zoom = (side * (width * height / (bw * bh)).sqrt()).min(fitting);
    // The box lands on whole pixels, and the margin around it is cut to what its photo has.
    let [w, h] = [bw, bh].map(|length| (length * zoom).round().max(1.0));
    let place = |free: f64, at: f64| (free * at).round().max(0.0);
    let (left, top) = (place(width - w, at[0]), place(height - h, at[1]));
    let cut = |from: f64, to: f64, most: f64, length: f64| {
        ((from - MARGIN * length).max(0.0), (to + MARGIN * length).min(most))
    };
    let ((x0, x1), (y0, y1)) = (cut(bounds.x0, bounds.x1, pw, bw), cut(bounds.y0, bounds.y1, ph, bh));
    let (zx, zy) = (w / bw, h / bh);
    let margins = [(bounds.x0 - x0) * zx, (bounds.y0 - y0) * zy, (x1 - bounds.x1) * zx, (y1 - bounds.y1) * zy];
    let [ml, mt, mr, mb] = margins.map(f64::round);
    let (cut_width, cut_height) = ((ml + w + mr) as u32, (mt + h + mb) as u32);
    let object = scale(photo, &Rect::new(x0, y0, x1, y1), cut_width, cut_height)?;
    let mut rgb = background.rgb().to_vec();
    let fade = |i: u32, before: f64, length: f64, after: f64| {
        let centre = f64::from(i) + 0.5;
        let into = if before > 0.0 { centre / before } else { 1.0 };
        let out = if after > 0.0 { (before + length + after - centre) / after } else { 1.0 };
        into.min(out).clamp(0.0, 1.0)
    };
    for y in 0..cut_height {
        let row = top - mt + f64::from(y);
        for x in 0..cut_width {
            let column = left - ml + f64::from(x);
            if !(0.0..height).contains(&row) || !(0.0..width).contains(&column) {
                continue;
            }
            let opacity = fade(x, ml, w, mr) * fade(y, mt, h, mb);
            let to = (row as usize * background.width() as usize + column as usize) * 3;
            let from = (y as usize * cut_width as usize + x as usize) * 3;
            for (below, &above) in rgb.iter_mut().skip(to).take(3).zip(object.rgb().iter().skip(from)) {
                let mixed = f64::from(*below) + (f64::from(above) - f64::from(*below)) * opacity;
                *below = mixed.round() as u8;
            }
        }
    }
    let picture = Photo::from_rgb(background.width(), background.height(), rgb)?;
    Ok((picture, Rect::new(left, top, left + w, top + h)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, value: u8) -> Photo {
        Photo::from_rgb(width, height, vec![value; (width * height * 3) as usize]).unwrap()
    }

    #[test]
    fn the_box_has_the_share_asked_for_and_lies_in_the_picture() {
        let (background, photo) = (grey(320, 240, 0), grey(200, 100, 255));
        let bounds = Rect::new(50.0, 10.0, 150.0, 60.0);
        for side in [0.1, 0.3, 0.6] {
            for at in [[0.0, 0.0], [0.3, 0.9], [1.0, 1.0]] {
                let (picture, found) = paste_object(&background, &photo, &bounds, side, at).unwrap();
                assert_eq!(picture.size(), (320, 240));
                let share = found.area() / (320.0 * 240.0);
                assert!((share.sqrt() - side).abs() < 0.02, "{side}: {share}");
                let whole = Rect::new(0.0, 0.0, 320.0, 240.0);
                assert_eq!(found.intersection(&whole), found);
                // All of the box is the object's own pixels.
                for (x, y) in [(found.x0, found.y0), (found.x1 - 1.0, found.y1 - 1.0)] {
                    assert_eq!(picture.pixel(x as u32, y as u32), Some([255; 3]), "{side} {at:?}");
                }
            }
        }
    }

    #[test]
    fn an_object_too_long_for_the_share_fits_the_side() {
        let (_, found) =
            paste_object(&grey(100, 100, 0), &grey(400, 40, 9), &Rect::new(0.0, 0.0, 400.0, 40.0), 0.9, [0.5; 2])
                .unwrap();
        assert_eq!((found.width(), found.height()), (98.0, 10.0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (background, photo) = (grey(50, 50, 0), grey(50, 50, 9));
        let paste = |bounds, side, at| paste_object(&background, &photo, &bounds, side, at).is_err();
        assert!(paste(Rect::new(10.0, 10.0, 60.0, 20.0), 0.5, [0.5; 2]));
        assert!(paste(Rect::new(10.0, 10.0, 10.0, 20.0), 0.5, [0.5; 2]));
        assert!(paste(Rect::new(10.0, 10.0, 20.0, 20.0), 1.5, [0.5; 2]));
        assert!(paste(Rect::new(10.0, 10.0, 20.0, 20.0), 0.5, [0.5, f64::NAN]));
    }
}
