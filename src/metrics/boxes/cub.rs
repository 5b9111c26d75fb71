//! CUB-200-2011: text files with one line a photo.

use std::collections::HashMap;
use std::str::FromStr;

use super::{Annotated, Object, rect};
use crate::error::{Error, Result};

/// Reads the text files of CUB-200-2011 (Wah et al., CNS-TR-2011-001): `images.txt` (`id path`), `bounding_boxes.txt`
/// (`id x y width height`), and for labels `image_class_labels.txt` (`id class`) with `classes.txt` (`class name`).
///
/// # Errors
/// [`Error::Argument`] naming the file and line.
///
/// ```
/// use famlens::metrics::boxes::read_cub;
/// let labels = Some(("1 3\n", "3 003.Sooty_Albatross\n"));
/// let read = read_cub("1 003.Sooty_Albatross/a.jpg\n", "1 60.0 27.0 325.0 304.0\n", labels)?;
/// assert_eq!(read[0].objects[0].label.as_deref(), Some("003.Sooty_Albatross"));
/// assert_eq!(read[0].objects[0].bounds.x1, 385.0);
/// # Ok::<(), famlens::Error>(())
/// ```
pub fn read_cub(images: &str, boxes: &str, labels: Option<(&str, &str)>) -> Result<Vec<Annotated>> {
    let mut label_of: HashMap<u32, String> = HashMap::new();
    if let Some((of_image, names)) = labels {
        let names: HashMap<u32, String> = lines("classes.txt", names)?.collect();
        for (image, class) in lines("image_class_labels.txt", of_image)? {
            let class: u32 = parse("image_class_labels.txt", &class)?;
            names.get(&class).map(|name| label_of.insert(image, name.clone()));
        }
    }
    let mut bounds = HashMap::new();
    for (image, sides) in lines("bounding_boxes.txt", boxes)? {
        let sides: Vec<f64> =
            sides.split_whitespace().map(|side| parse("bounding_boxes.txt", side)).collect::<Result<_>>()?;
        let [x, y, width, height] = sides[..] else {
            let reason = format!("image {image} has {} numbers and not x, y, width, height", sides.len());
            return Err(Error::argument("bounding_boxes.txt", reason));
        };
        let found = rect([x, y, x + width, y + height])
            .map_err(|e| Error::argument("bounding_boxes.txt", format!("image {image}: {e}")))?;
        bounds.insert(image, found);
    }
    let entry = |(image, file): (u32, String)| {
        let object = |bounds| Object { label: label_of.get(&image).cloned(), bounds, difficult: false };
        Annotated { file, size: None, objects: bounds.get(&image).copied().map(object).into_iter().collect() }
    };
    Ok(lines("images.txt", images)?.map(entry).collect())
}

/// The number that starts each line, and the rest.
fn lines(name: &'static str, text: &str) -> Result<std::vec::IntoIter<(u32, String)>> {
    let line = |(number, line): (usize, &str)| {
        let parts = line.trim().split_once(char::is_whitespace);
        let found = parts.and_then(|(id, rest)| Some((id.parse().ok()?, rest.trim().to_owned())));
        found.ok_or_else(|| Error::argument(name, format!("line {}: expected a number and more", number + 1)))
    };
    let rows: Vec<_> =
        text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).map(line).collect::<Result<_>>()?;
    Ok(rows.into_iter())
}

fn parse<T: FromStr>(name: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::argument(name, format!("{text:?} is not a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_without_a_box_stay_and_errors_name_the_line() {
        let read = read_cub("1 a.jpg\n2 b.jpg\n", "2 0 0 4 4\n", None).unwrap();
        assert_eq!((read[0].objects.len(), read[1].objects.len()), (0, 1));
        let message = |images: &str, boxes: &str| read_cub(images, boxes, None).unwrap_err().to_string();
        assert!(message("1 a.jpg\nb.jpg\n", "").contains("images.txt: line 2"));
        assert!(message("1 a.jpg", "1 2 3 4").contains("3 numbers"));
        assert!(message("1 a.jpg", "1 2 3 4 x").contains("\"x\""));
        assert!(message("1 a.jpg", "1 2 3 0 5").contains("no area"));
    }
}
