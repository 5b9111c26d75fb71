//! Reads files that others made. It checks what a path leads to before it reads a byte.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use famlens::image::{Limits, Photo, decode};
use famlens::{Error, Result};

use super::file_error;

/// Most bytes of a photo's file: more than an uncompressed picture of the most pixels that are decoded.
const PHOTO_BYTES: u64 = 512 << 20;
/// Most bytes of a description such as model.json.
const TEXT_BYTES: u64 = 16 << 20;
/// Most bytes of any other file: models, arrays, boxes.
const FILE_BYTES: u64 = 4 << 30;

/// The bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, FILE_BYTES)
}

/// A file of text, such as model.json.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_at_most(path, TEXT_BYTES)?).map_err(|_| file_error(path, "it is not text (UTF-8)"))
}

/// The bytes of a photo's file.
pub fn read_photo(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, PHOTO_BYTES)
}

pub fn photo(path: &Path) -> Result<Photo> {
    decode(&path.display().to_string(), &read_photo(path)?, &Limits::default())
}

/// Refuses what is there under a path and is no file; a path where nothing is is fine.
pub fn check(path: &Path) -> Result<()> {
    match fs::metadata(path).ok().and_then(|metadata| what_else(metadata.file_type())) {
        Some(kind) => Err(no_file(path, kind)),
        None => Ok(()),
    }
}

/// The path of a file that a description names, which has to lie in the description's folder: `described` comes from a
/// file that somebody else may have made.
pub fn beside(folder: &Path, described: &str) -> Result<PathBuf> {
    let inside = Path::new(described).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || described.is_empty() {
        let reason = format!("it names the file {described:?}, which is not in the same folder; move it there");
        return Err(file_error(folder, reason));
    }
    Ok(folder.join(described))
}

/// Refuses what is no file of at most `limit` bytes before it is opened: opening a pipe waits for somebody to write
/// into it, and a device may never end.
fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let failed = |error: io::Error| file_error(path, explained(path, &error));
    let size = |metadata: &fs::Metadata| -> Result<u64> {
        match what_else(metadata.file_type()) {
            Some(kind) => Err(no_file(path, kind)),
            None if metadata.len() > limit => Err(too_large(path, metadata.len(), limit)),
            None => Ok(metadata.len()),
        }
    };
    size(&fs::metadata(path).map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    // What the path leads to may have changed since.
    let expected = size(&file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::new();
    let room = bytes.try_reserve_exact(expected as usize);
    room.map_err(|_| file_error(path, format!("its {expected} bytes do not fit into memory")))?;
    // A file may grow, and those of /proc hold more than they say.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > limit {
        true => Err(too_large(path, bytes.len() as u64, limit)),
        false => Ok(bytes),
    }
}

pub(super) fn no_file(path: &Path, kind: &str) -> Error {
    file_error(path, format!("it is {kind}, and a file is needed"))
}

fn too_large(path: &Path, size: u64, limit: u64) -> Error {
    let mebibytes = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
    let what = format!("the file {}", path.display());
    Error::TooLarge { what, size: mebibytes(size), limit: mebibytes(limit) }
}

/// What a path leads to if it is no file.
pub(super) fn what_else(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let special = [
            (kind.is_fifo(), "a pipe"),
            (kind.is_socket(), "a socket"),
            (kind.is_char_device() || kind.is_block_device(), "a device"),
        ];
        if let Some((_, name)) = special.into_iter().find(|(is, _)| *is) {
            return Some(name);
        }
    }
    match (kind.is_dir(), kind.is_file()) {
        (true, _) => Some("a folder"),
        (_, true) => None,
        _ => Some("no file"),
    }
}

/// What the system said, or what it meant.
pub(super) fn explained(path: &Path, error: &io::Error) -> String {
    let is_link = || path.symlink_metadata().is_ok_and(|m| m.is_symlink());
    match error.kind() {
        io::ErrorKind::NotFound if is_link() => "it is a symbolic link to something that is not there".into(),
        // ErrorKind::FilesystemLoop has no stable name yet.
        _ if error.to_string().contains("symbolic link") => "it is a symbolic link that leads back to itself".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_files_of_its_own_folder_only() {
        let folder = Path::new("models/net");
        for inside in ["model.onnx", "./model.onnx", "weights/part.bin", "..model.onnx"] {
            assert_eq!(beside(folder, inside).unwrap(), folder.join(inside));
        }
        for outside in ["", "../model.onnx", "weights/../../model.onnx", "/dev/zero", "/etc/passwd"] {
            let refused = beside(folder, outside).unwrap_err().to_string();
            assert!(refused.contains("models/net") && refused.contains(&format!("{outside:?}")), "{refused}");
        }
    }
}
