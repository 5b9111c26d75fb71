//! A gallery on disk: a folder with `embeddings.npy` and `images.csv`, which the page exports and imports too.

use std::fs;
use std::path::{Path, PathBuf};

use famlens::tasks::retrieval::Gallery;
use famlens::{Error, Result};
use sha2::{Digest, Sha256};

use crate::files;

const ARRAY: &str = "embeddings.npy";
const TABLE: &str = "images.csv";

/// Reads the gallery of a folder, `None` if there is none.
pub fn read(folder: &Path) -> Result<Option<Gallery>> {
    let (array, table) = (folder.join(ARRAY), folder.join(TABLE));
    if !array.exists() && !table.exists() {
        return Ok(None);
    }
    let table = String::from_utf8(files::read(&table)?).map_err(|e| files::file_error(&table, e))?;
    let gallery = Gallery::from_files(&files::read(&array)?, &table);
    gallery.map(Some).map_err(|e| files::file_error(folder, e))
}

/// Writes a gallery; what was there stays until the new files are complete.
pub fn write(folder: &Path, gallery: &Gallery) -> Result<()> {
    files::create_folder(folder)?;
    let parts = [(ARRAY, gallery.to_npy()), (TABLE, gallery.to_csv()?.into_bytes())];
    let part = |name: &str| folder.join(format!("{name}.part"));
    for (name, bytes) in &parts {
        files::write(&part(name), bytes)?;
    }
    for (name, _) in &parts {
        let to = folder.join(name);
        fs::rename(part(name), &to).map_err(|e| files::file_error(&to, e))?;
    }
    Ok(())
}

/// The SHA-256 of a file's bytes in hexadecimal, as the page computes it.
pub fn content(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a gallery's image is: its path as it was given to `famlens index`, from here or from beside the gallery.
pub fn locate(folder: &Path, name: &str) -> Result<PathBuf> {
    let given = PathBuf::from(name);
    let beside = folder.parent().map(|parent| parent.join(name));
    let found = std::iter::once(given).chain(beside).find(|path| path.is_file());
    found.ok_or_else(|| Error::File {
        path: name.into(),
        reason: "it is not there; run famlens search where famlens index was run".into(),
    })
}
