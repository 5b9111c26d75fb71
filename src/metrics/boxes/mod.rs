//! Boxes that people drew, in the formats they come in: Pascal VOC XML, COCO JSON, the text files of CUB-200-2011, and
//! a plain tab-separated table. Pure functions on bytes, so that the command line and the page read the same files
//! alike.

mod coco;
mod cub;
mod tsv;
mod voc;

pub use coco::read_coco;
pub use cub::read_cub;
pub use tsv::read_tsv;
pub use voc::read_voc;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::image::Rect;

/// One box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// What it is, where the file says so.
    pub label: Option<String>,
    /// Where it is, in photo pixels, right and bottom exclusive.
    #[serde(rename = "box")]
    pub bounds: Rect,
    /// Marked as difficult (VOC) or as a crowd (COCO): such boxes do not count in evaluations.
    pub difficult: bool,
}

/// The boxes of one photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Annotated {
    /// The photo's name as the file gives it, with `/` between folders.
    pub file: String,
    /// Its width and height in pixels, where the file says so.
    pub size: Option<[u32; 2]>,
    /// Its boxes.
    pub objects: Vec<Object>,
}

/// The boxes of many photos, found by the photo's path.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Boxes {
    /// One entry a photo.
    pub photos: Vec<Annotated>,
    /// By file name without folders and ending, in lower case.
    index: HashMap<String, Vec<usize>>,
}

impl Boxes {
    /// Collects what was read. Several entries of one photo become one.
    pub fn new(entries: impl IntoIterator<Item = Annotated>) -> Self {
        let mut boxes = Self::default();
        let mut known: HashMap<String, usize> = HashMap::new();
        for mut entry in entries {
            entry.file = entry.file.replace('\\', "/");
            match known.get(&entry.file) {
                Some(&at) => boxes.photos[at].objects.append(&mut entry.objects),
                None => {
                    known.insert(entry.file.clone(), boxes.photos.len());
                    boxes.index.entry(stem(&entry.file)).or_default().push(boxes.photos.len());
                    boxes.photos.push(entry);
                }
            }
        }
        boxes
    }

    /// The boxes of the photo at a path: the entry whose name agrees with the most of the path's end, told apart by
    /// file name without its ending (annotation tools often write another ending, or only the name). `None` if there is
    /// no such entry or several fit equally well.
    ///
    /// ```
    /// use famlens::metrics::boxes::{Boxes, read_tsv};
    ///
    /// let boxes = Boxes::new(read_tsv("file\tx0\ty0\tx1\ty1\nbird/owl.jpg\t4\t5\t40\t50\n")?);
    /// let owl = boxes.of("photos/bird/owl.jpg").unwrap();
    /// assert_eq!(owl.objects[0].bounds.width(), 36.0);
    /// assert!(boxes.of("photos/bird/duck.jpg").is_none());
    /// # Ok::<(), famlens::Error>(())
    /// ```
    pub fn of(&self, path: &str) -> Option<&Annotated> {
        let path = path.replace('\\', "/");
        let candidates = self.index.get(&stem(&path))?;
        let shared = |file: &str| {
            let same = file.rsplit('/').skip(1).zip(path.rsplit('/').skip(1)).take_while(|(a, b)| a == b).count();
            (same, file.rsplit('/').next() == path.rsplit('/').next())
        };
        // A name with folders that contradict the path's is another photo.
        let fits = |file: &str| {
            shared(file).0 == file.rsplit('/').count() - 1 || shared(file).0 == path.rsplit('/').count() - 1
        };
        let scored = candidates.iter().map(|&at| &self.photos[at]).filter(|entry| fits(&entry.file));
        let mut scored: Vec<_> = scored.map(|entry| (shared(&entry.file), entry)).collect();
        scored.sort_by_key(|(shared, _)| std::cmp::Reverse(*shared));
        match scored[..] {
            [(best, entry), (second, _), ..] if best > second => Some(entry),
            [(_, entry)] => Some(entry),
            _ => None,
        }
    }
}

/// The file name without folders and ending, in lower case.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_lowercase()
}

/// Reads boxes from annotation files, recognised by their content: any number of Pascal VOC XML files, COCO JSON files,
/// tables; and `images.txt` with `bounding_boxes.txt` of CUB-200-2011 (with `image_class_labels.txt` and `classes.txt`
/// for the labels).
///
/// `files` are names (paths) and contents.
///
/// # Errors
/// [`Error::Argument`] naming the file and what is wrong in it, or if there is no file at all.
pub fn read_boxes(files: &[(String, Vec<u8>)]) -> Result<Boxes> {
    if files.is_empty() {
        return Err(Error::argument("boxes", "there is no file; give VOC XML, COCO JSON, CUB's text files or a table"));
    }
    let texts: Vec<(&str, &str)> =
        files.iter().map(|(name, bytes)| Ok((name.as_str(), text(name, bytes)?))).collect::<Result<_>>()?;
    let named = |wanted: &str| {
        texts.iter().find(|(name, _)| name.replace('\\', "/").rsplit('/').next() == Some(wanted)).map(|(_, text)| *text)
    };
    if let (Some(images), Some(boxes)) = (named("images.txt"), named("bounding_boxes.txt")) {
        let labels = named("image_class_labels.txt").zip(named("classes.txt"));
        return Ok(Boxes::new(read_cub(images, boxes, labels)?));
    }
    let mut entries = Vec::new();
    for (name, text) in texts {
        let read = match text.trim_start().bytes().next() {
            Some(b'<') => read_voc(text).map(|entry| vec![entry]),
            Some(b'{' | b'[') => read_coco(text),
            _ => read_tsv(text),
        };
        // A VOC file whose <filename> is empty belongs to the photo of the same name.
        let read = read.map_err(|error| Error::argument(name, error.to_string()))?;
        entries.extend(
            read.into_iter()
                .map(|entry| if entry.file.is_empty() { Annotated { file: name.to_owned(), ..entry } } else { entry }),
        );
    }
    Ok(Boxes::new(entries))
}

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::argument(name, "it is not a text file in UTF-8"))?;
    Ok(text.trim_start_matches('\u{feff}'))
}

/// A box from its edges, checked.
fn rect(sides: [f64; 4]) -> Result<Rect, String> {
    let [x0, y0, x1, y1] = sides;
    match sides.iter().all(|side| side.is_finite() && side.abs() < 1e9) && x0 < x1 && y0 < y1 {
        true => Ok(Rect::new(x0.max(0.0), y0.max(0.0), x1, y1)),
        false => Err(format!("the box from ({x0}, {y0}) to ({x1}, {y1}) has no area")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(file: &str) -> Annotated {
        let bounds = Rect::new(0.0, 0.0, file.len() as f64, 1.0);
        Annotated { file: file.into(), size: None, objects: vec![Object { label: None, bounds, difficult: false }] }
    }

    #[test]
    fn photos_are_found_by_the_end_of_their_path() {
        let boxes = Boxes::new(["a/one.jpg", "b/one.jpg", "two.png", "b\\three.jpg"].map(entry));
        let found = |path: &str| boxes.of(path).map(|entry| entry.file.as_str());
        assert_eq!(found("photos/a/one.jpg"), Some("a/one.jpg"));
        assert_eq!(found("photos/b/one.jpg"), Some("b/one.jpg"));
        assert_eq!(found("photos/c/one.jpg"), None, "a contradicting folder is another photo");
        assert_eq!(found("one.jpg"), None, "two fit equally well");
        assert_eq!(found("anywhere/two.JPG"), Some("two.png"), "another ending, written otherwise");
        assert_eq!(found("x\\b\\three.jpg"), Some("b/three.jpg"));
        assert_eq!(found("b/four.jpg"), None);
    }

    #[test]
    fn entries_of_one_photo_are_joined() {
        let boxes = Boxes::new(["a/one.jpg", "a\\one.jpg"].map(entry));
        assert_eq!((boxes.photos.len(), boxes.photos[0].objects.len()), (1, 2));
    }

    #[test]
    fn formats_are_told_by_content_and_errors_name_the_file() {
        let files = |files: &[(&str, &str)]| {
            read_boxes(&files.iter().map(|(n, t)| ((*n).into(), t.as_bytes().to_vec())).collect::<Vec<_>>())
        };
        let xml = "<annotation><filename>a.jpg</filename><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin>\
                   <xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>";
        let found = files(&[("x.xml", xml), ("more.tsv", "b.jpg\t0\t0\t3\t3")]).unwrap();
        assert_eq!(found.of("a.jpg").unwrap().objects[0].bounds, Rect::new(0.0, 0.0, 5.0, 6.0));
        assert_eq!(found.of("b.jpg").unwrap().objects[0].bounds, Rect::new(0.0, 0.0, 3.0, 3.0));
        let cub = files(&[("CUB/images.txt", "1 a/b.jpg\n"), ("CUB/bounding_boxes.txt", "1 2 3 10 20\n")]).unwrap();
        assert_eq!(cub.of("a/b.jpg").unwrap().objects[0].bounds, Rect::new(2.0, 3.0, 12.0, 23.0));
        for (name, text) in [("bad.xml", "<annotation>"), ("bad.json", "{}"), ("bad.tsv", "h\na\t1\t2\t3")] {
            let message = files(&[(name, text)]).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
        assert!(files(&[]).is_err());
        assert!(read_boxes(&[("binary".into(), vec![0xff, 0xfe, 0])]).unwrap_err().to_string().contains("UTF-8"));
        let unnamed = files(&[("dir/IMG_1.xml", &xml.replace("a.jpg", ""))]).unwrap();
        assert!(unnamed.of("dir/img_1.jpg").is_some());
    }
}
