//! COCO: one JSON file for all photos.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Annotated, Object, rect};
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    width: Option<u32>,
    height: Option<u32>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: Option<u64>,
    bbox: Option<[f64; 4]>,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

/// Reads a COCO detection file: `images`, `annotations` with `bbox` as `[x, y, width, height]`, `categories`.
///
/// # Errors
/// [`Error::Argument`] if it is not such a file, or an annotation names a photo that is not listed.
///
/// ```
/// let json = r#"{"images": [{"id": 7, "file_name": "a.jpg", "width": 9, "height": 8}],
///   "annotations": [{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]}],
///   "categories": [{"id": 1, "name": "cat"}]}"#;
/// let read = famlens::metrics::boxes::read_coco(json)?;
/// assert_eq!(read[0].objects[0].label.as_deref(), Some("cat"));
/// assert_eq!(read[0].objects[0].bounds.x1, 4.0);
/// # Ok::<(), famlens::Error>(())
/// ```
pub fn read_coco(json: &str) -> Result<Vec<Annotated>> {
    let invalid = |reason: String| Error::argument("COCO annotations", reason);
    let file: File = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
    let names: HashMap<u64, String> = file.categories.into_iter().map(|c| (c.id, c.name)).collect();
    let at: HashMap<u64, usize> = file.images.iter().enumerate().map(|(at, image)| (image.id, at)).collect();
    let empty = |image: Image| {
        let size = image.width.zip(image.height).map(|(w, h)| [w, h]);
        Annotated { file: image.file_name, size, objects: Vec::new() }
    };
    let mut photos: Vec<Annotated> = file.images.into_iter().map(empty).collect();
    for annotation in file.annotations {
        // Captions and keypoints have no box.
        let Some([x, y, width, height]) = annotation.bbox else { continue };
        let id = annotation.image_id;
        let photo =
            at.get(&id).ok_or_else(|| invalid(format!("an annotation names the image {id}, which is not listed")))?;
        let bounds = rect([x, y, x + width, y + height]).map_err(|e| invalid(format!("image {id}: {e}")))?;
        let label = annotation.category_id.and_then(|id| names.get(&id).cloned());
        photos[*photo].objects.push(Object { label, bounds, difficult: annotation.iscrowd == 1 });
    }
    Ok(photos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowds_are_marked_and_captions_left_out() {
        let json = r#"{"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}], "annotations": [
            {"image_id": 2, "caption": "a cat"}, {"image_id": 2, "bbox": [0, 0, 5, 5], "iscrowd": 1, "segmentation": {}},
            {"image_id": 2, "bbox": [1.5, 0, 2.5, 5]}]}"#;
        let read = read_coco(json).unwrap();
        assert_eq!((read[0].objects.len(), read[1].objects.len()), (0, 2));
        assert!(read[1].objects[0].difficult && !read[1].objects[1].difficult);
        assert_eq!(read[1].objects[1].bounds.x1, 4.0);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |json: &str| read_coco(json).unwrap_err().to_string();
        assert!(message(r#"{"annotations": []}"#).contains("images"));
        let json = r#"{"images": [], "annotations": [{"image_id": 9, "bbox": [0, 0, 1, 1]}]}"#;
        assert!(message(json).contains("image 9"));
        let json =
            r#"{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "bbox": [0, 0, 0, 1]}]}"#;
        assert!(message(json).contains("no area"));
    }
}
