//! Writes files beside their old version and renames them when they are whole. A full disk, a kill or an error leaves
//! the old version as it was.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use famlens::Result;

use super::file_error;

/// What files that are being written are called; a killed program may leave one.
pub const PART: (&str, &str) = (".famlens-", ".part");

/// Writes a file in one piece.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    put(path, bytes, false)
}

/// Writes a file in one piece, and comes back when it would survive a power failure too.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    put(path, bytes, true)
}

pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| file_error(path, explained(&e)))
}

fn put(path: &Path, bytes: &[u8], durably: bool) -> Result<()> {
    replace(path, bytes, durably).map_err(|e| file_error(path, explained(&e)))
}

fn replace(path: &Path, bytes: &[u8], durably: bool) -> io::Result<()> {
    let known = fs::metadata(path).ok();
    if known.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        // A device or a pipe, such as /dev/stdout, is written into and never replaced. A folder says what it is.
        return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    // A link stays a link: what it leads to is replaced.
    let target = match known {
        Some(_) => fs::canonicalize(path)?,
        None => path.to_owned(),
    };
    let mut aside = tempfile::Builder::new();
    aside.prefix(PART.0).suffix(PART.1);
    let permissions = known.map(|metadata| metadata.permissions());
    if permissions.as_ref().is_some_and(fs::Permissions::readonly) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // A temporary file is the user's alone otherwise; what others may do with a new file is the system's setting.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        aside.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut aside = aside.tempfile_in(folder_of(&target))?;
    aside.write_all(bytes)?;
    aside.flush()?;
    if let Some(permissions) = permissions {
        aside.as_file().set_permissions(permissions)?;
    }
    if durably {
        aside.as_file().sync_all()?;
    }
    aside.persist(&target)?;
    if durably {
        sync_folder(&folder_of(&target));
    }
    Ok(())
}

/// The folder that a file lies in.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes renames last. Where folders cannot be opened, as on Windows, the system sees to that.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = fs::File::open(folder) {
        _ = folder.sync_all();
    }
}

/// What the system said, and what it means for the file.
fn explained(error: &io::Error) -> String {
    let full =
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge);
    match full {
        true => format!("there is no room for it: {error}; nothing was written, and what was there is as it was"),
        false => format!("it cannot be written: {error}"),
    }
}
