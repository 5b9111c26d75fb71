//! What is evaluated: photos, their classes, boxes and masks, and which photos support which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use famlens::image::Rect;
use famlens::metrics::boxes::{Annotated, Boxes, read_boxes};
use famlens::tasks::episodes::{Labelled, Protocol};
use famlens::{Error, Result};
use sha2::{Digest, Sha256};

use crate::{files, gallery};

/// One photo of a class.
pub struct Item {
    pub path: PathBuf,
    /// The path below the folder of images, with `/`.
    pub name: String,
    pub class: usize,
    /// SHA-256 of the file's bytes.
    pub content: String,
    pub boxes: Vec<Rect>,
    /// Width and height that the boxes are for, where the annotation says so.
    pub size: Option<[u32; 2]>,
    pub mask: Option<PathBuf>,
}

pub struct Data {
    pub classes: Vec<String>,
    pub items: Vec<Item>,
    /// Draws which photos support which.
    pub protocol: Protocol,
    /// What was left out and why.
    pub skipped: Vec<String>,
}

pub struct Source<'a> {
    pub images: &'a Path,
    pub boxes: Option<&'a Path>,
    pub masks: Option<&'a Path>,
    pub classes: &'a [String],
    pub seed: u64,
}

impl Data {
    pub fn collect(source: &Source<'_>) -> Result<Self> {
        let boxes = match source.boxes {
            Some(path) => read_boxes(&annotation_files(path)?)?,
            None => {
                let beside = source.images.join("boxes.tsv");
                if beside.is_file() { read_boxes(&annotation_files(&beside)?)? } else { Boxes::default() }
            }
        };
        let sources = sources(source.images)?;
        let (mut groups, mut skipped) = (BTreeMap::<String, Vec<Item>>::new(), Vec::new());
        let mut loose = 0;
        let listing = files::photos_in(source.images)?;
        skipped.extend(listing.skipped.iter().map(ToString::to_string));
        for path in listing.files {
            let name = path.strip_prefix(source.images).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let annotated = boxes.of(&name);
            let Some(class) = class_of(&name, annotated) else {
                loose += 1;
                continue;
            };
            if !source.classes.is_empty() && !source.classes.contains(&class) {
                continue;
            }
            let content = match files::read_photo(&path) {
                Ok(bytes) => gallery::content(&bytes),
                Err(error) => {
                    skipped.push(error.to_string());
                    continue;
                }
            };
            let (boxes, size) = (objects(annotated, &class), annotated.and_then(|a| a.size));
            let mask = source.masks.and_then(|folder| mask_of(folder, &name));
            groups.entry(class).or_default().push(Item { path, name, class: 0, content, boxes, size, mask });
        }
        if let Some(missing) = source.classes.iter().find(|class| !groups.contains_key(*class)) {
            return Err(Error::argument("--classes", format!("there are no photos of {missing:?}")));
        }
        if groups.is_empty() {
            let reason = format!(
                "{} has no sub-folders with photos and no boxes that name classes; {loose} photos are of no class",
                source.images.display()
            );
            return Err(Error::argument("--images", reason));
        }
        if loose > 0 {
            skipped.push(format!("{loose} photos lie in no class's folder and have no boxes of one class"));
        }
        let (mut classes, mut items, mut labelled) = (Vec::new(), Vec::new(), Vec::new());
        for (class, (name, group)) in groups.into_iter().enumerate() {
            let label = |item: &Item| Labelled {
                class: name.clone(),
                name: item.name.clone(),
                content: item.content.clone(),
                source: sources.get(&item.name).cloned(),
            };
            labelled.extend(group.iter().map(label));
            items.extend(group.into_iter().map(|item| Item { class, ..item }));
            classes.push(name);
        }
        Ok(Self { classes, items, protocol: Protocol::new(&labelled, source.seed), skipped })
    }
}

/// Which photos are made of one picture, from `sources.tsv` among the images, if it is there: `file` and `source` on
/// each line.
fn sources(images: &Path) -> Result<BTreeMap<String, String>> {
    let path = images.join("sources.tsv");
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let text = files::read_text(&path)?;
    let lines = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    let pair = |line: &str| match line.split_once('\t') {
        Some((file, source)) => Ok((file.trim().to_owned(), source.trim().to_owned())),
        None => Err(files::file_error(&path, format!("{line:?} has no tab between file and source"))),
    };
    lines.map(pair).collect()
}

/// The folder directly below the images, or the one label that all boxes of the photo share.
fn class_of(name: &str, annotated: Option<&Annotated>) -> Option<String> {
    if let Some((folder, _)) = name.split_once('/') {
        return Some(folder.to_owned());
    }
    let mut labels: Vec<&str> = annotated?.objects.iter().filter_map(|object| object.label.as_deref()).collect();
    labels.sort_unstable();
    labels.dedup();
    match labels[..] {
        [only] => Some(only.to_owned()),
        _ => None,
    }
}

/// The boxes that count: those of the class where they say so, else all; none that is marked as difficult.
fn objects(annotated: Option<&Annotated>, class: &str) -> Vec<Rect> {
    let all: Vec<_> = annotated.map_or(&[][..], |a| &a.objects).iter().filter(|object| !object.difficult).collect();
    let of_class: Vec<Rect> =
        all.iter().filter(|object| object.label.as_deref() == Some(class)).map(|o| o.bounds).collect();
    if of_class.is_empty() { all.iter().map(|object| object.bounds).collect() } else { of_class }
}

/// A mask of the photo's name, ending in `.png`, at the same place below the folder of masks or directly in it.
fn mask_of(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = Path::new(name).with_extension("png");
    let candidates = [folder.join(&path), folder.join(path.file_name()?)];
    candidates.into_iter().find(|path| path.is_file())
}

/// A file, or the annotation files of a folder: CUB's four, else all XML files, else JSON and tables.
fn annotation_files(path: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |path: &Path| Ok((path.display().to_string(), files::read(path)?));
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let cub = ["images.txt", "bounding_boxes.txt", "image_class_labels.txt", "classes.txt"].map(|name| path.join(name));
    if cub[0].is_file() && cub[1].is_file() {
        return cub.iter().filter(|path| path.is_file()).map(|path| read(path)).collect();
    }
    for endings in [&["xml"][..], &["json", "tsv", "csv", "txt"]] {
        let annotations = files::with_endings(path, endings)?.or_tell();
        if !annotations.is_empty() {
            return annotations.iter().map(|path| read(path)).collect();
        }
    }
    let reason = "the folder holds no VOC XML, COCO JSON, table, or CUB's images.txt with bounding_boxes.txt";
    Err(files::file_error(path, reason))
}

/// A short hash of some bytes, as hexadecimal digits.
pub fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
