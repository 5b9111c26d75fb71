//! The photos in a folder, and the files that are left out, with the reason.

use std::path::{Path, PathBuf};

use famlens::{Error, Result};
use walkdir::WalkDir;

use super::file_error;
use super::read::{explained, no_file, what_else};

/// File name endings that are taken from a folder as photos.
const PHOTO_ENDINGS: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// Endings of pictures that famlens does not read. It names them, so that nobody believes that it looked at them.
const OTHER_PICTURES: [&str; 19] = [
    "avif", "heic", "heif", "jxl", "jp2", "psd", "svg", "ico", "tga", "exr", "hdr", "ppm", "pgm", "dng", "cr2", "cr3",
    "nef", "arw", "raf",
];

/// The files of a folder and the folders below it.
#[derive(Default)]
pub struct Listing {
    /// Sorted by path.
    pub files: Vec<PathBuf>,
    /// What was left out, each with its reason.
    pub skipped: Vec<Error>,
}

impl Listing {
    /// The files. Standard error lists those that are left out.
    pub fn or_tell(self) -> Vec<PathBuf> {
        self.skipped.iter().for_each(|error| crate::terminal::complain(format_args!("skipped: {error}")));
        self.files
    }
}

/// The photos in a folder and the folders below it. Links are followed, but not around in circles.
pub fn photos_in(folder: &Path) -> Result<Listing> {
    let mut listing = walk(folder, |ending| PHOTO_ENDINGS.contains(&ending) || OTHER_PICTURES.contains(&ending))?;
    let (files, others) = listing.files.into_iter().partition(|path| PHOTO_ENDINGS.contains(&&*ending_of(path)));
    listing.files = files;
    let advice = "JPEG, PNG, WebP, GIF, BMP and TIFF are read; save it as one of these";
    let unread = |path: &PathBuf| {
        file_error(path, format!("it is a picture of another format (.{}); {advice}", ending_of(path)))
    };
    listing.skipped.extend(others.iter().map(unread));
    Ok(listing)
}

/// The photos among paths that are photos or folders of photos, each once, in the order of the paths.
pub fn photos_among(paths: &[PathBuf]) -> Result<Listing> {
    let mut all = Listing::default();
    for path in paths {
        if path.is_dir() {
            let listing = photos_in(path)?;
            all.files.extend(listing.files);
            all.skipped.extend(listing.skipped);
        } else {
            all.files.push(path.clone());
        }
    }
    let mut seen = std::collections::HashSet::new();
    all.files.retain(|path| seen.insert(path.clone()));
    Ok(all)
}

/// The files of these endings, in lower case, in a folder and the folders below it.
pub fn with_endings(folder: &Path, endings: &[&str]) -> Result<Listing> {
    walk(folder, |ending| endings.contains(&ending))
}

/// The files whose ending in lower case is wanted.
fn walk(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Listing> {
    let mut listing = Listing::default();
    for entry in WalkDir::new(folder).follow_links(true) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let reason = reason(&error);
                // Without the folder itself there is nothing to go on with.
                if error.depth() == 0 {
                    return Err(file_error(folder, reason));
                }
                let path = error.path().unwrap_or(folder);
                // A link to a file that is not wanted is nobody's concern.
                if error.loop_ancestor().is_some() || is_folder(path) || wanted(&ending_of(path)) {
                    listing.skipped.push(file_error(path, reason));
                }
                continue;
            }
        };
        if entry.file_type().is_dir() || !wanted(&ending_of(entry.path())) {
            continue;
        }
        match what_else(entry.file_type()) {
            Some(kind) => listing.skipped.push(no_file(entry.path(), kind)),
            None => listing.files.push(entry.into_path()),
        }
    }
    listing.files.sort();
    Ok(listing)
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

fn reason(error: &walkdir::Error) -> String {
    let path = error.path().unwrap_or(Path::new(""));
    match (error.loop_ancestor(), error.io_error()) {
        (Some(above), _) => format!("it is a symbolic link that leads back to {}", above.display()),
        (None, Some(said)) => explained(path, said),
        (None, None) => error.to_string(),
    }
}

fn ending_of(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase()
}
