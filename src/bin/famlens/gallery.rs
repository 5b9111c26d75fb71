//! A gallery on disk: a folder with `embeddings.npy` and `images.csv`, which the page exports and imports too.
//!
//! The table states the checksum of the array that it belongs to. A change writes the new array beside the old one,
//! under the name of its checksum, and then renames the new table into place. That one step is the commit. A kill
//! before it leaves the old table with the old array. A kill after it leaves the new table with the new array, which
//! keeps its checksum's name until the next step, or the next change, renames it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use famlens::tasks::retrieval::{Gallery, array_checksum};
use famlens::{Error, Result};
use sha2::{Digest, Sha256};

use crate::files;
use crate::terminal;

const ARRAY: &str = "embeddings.npy";
const TABLE: &str = "images.csv";
const LOCK: &str = ".lock";

/// How often a reader looks again, for a writer may change the gallery between its two reads.
const LOOKS: usize = 4;

/// Reads the gallery of a folder, `None` if there is none.
pub fn read(folder: &Path) -> Result<Option<Gallery>> {
    let table = folder.join(TABLE);
    if !table.exists() && !folder.join(ARRAY).exists() {
        return Ok(None);
    }
    let look = || {
        let text = String::from_utf8(files::read(&table)?).map_err(|e| files::file_error(&table, e))?;
        pair(folder, &text)
    };
    let mut gallery = look();
    for _ in 1..LOOKS {
        if gallery.is_err() {
            thread::sleep(Duration::from_millis(5));
            gallery = look();
        }
    }
    gallery.map(Some)
}

/// The gallery of a table, with the array of the folder that belongs to it.
fn pair(folder: &Path, table: &str) -> Result<Gallery> {
    let array = folder.join(ARRAY);
    let current = array.exists().then(|| array.clone());
    let mut refused = None;
    for path in current.into_iter().chain(named(folder, checksum_in)) {
        match files::read(&path).and_then(|npy| Gallery::from_files(&npy, table)) {
            Ok(gallery) => return Ok(gallery),
            Err(error) => _ = refused.get_or_insert(error),
        }
    }
    let missing = || files::file_error(&array, "it is not there, and images.csv belongs to it");
    Err(refused.map_or_else(missing, |error| files::file_error(folder, error)))
}

/// Whether a file's name is that of an array that waits for its commit.
fn checksum_in(name: &str) -> bool {
    let digits = name.strip_prefix("embeddings-").and_then(|rest| rest.strip_suffix(".npy"));
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The files of a folder with such names.
fn named(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(&wanted)).map(|entry| entry.path()).collect()
}

/// Changes the gallery of a folder as `change` says, which gets what is there at that moment: whatever another program
/// has added since is in it. Comes back when the change would survive a kill or a power failure.
pub fn commit(folder: &Path, change: impl FnOnce(Result<Option<Gallery>>) -> Result<Gallery>) -> Result<Gallery> {
    files::create_folder(folder)?;
    let _lock = lock(folder)?;
    let gallery = change(read(folder))?;
    let (npy, csv) = gallery.to_files()?;
    let checksum = array_checksum(&npy);
    let table = folder.join(TABLE);
    if files::read(&table).is_ok_and(|old| old == csv.as_bytes()) && pair(folder, &csv).is_ok() {
        return Ok(gallery);
    }
    let array = folder.join(format!("embeddings-{checksum}.npy"));
    files::write_durably(&array, &npy)?;
    files::write_durably(&table, csv.as_bytes())?;
    let to = folder.join(ARRAY);
    fs::rename(&array, &to).map_err(|e| files::file_error(&to, e))?;
    files::sync_folder(folder);
    // What a program that was killed has left; nobody else writes here now.
    let is_left = |name: &str| checksum_in(name) || name.starts_with(files::PART.0) && name.ends_with(files::PART.1);
    named(folder, is_left).iter().for_each(|path| _ = fs::remove_file(path));
    Ok(gallery)
}

/// Holds other programs off until it is dropped.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let failed = |error: io::Error| files::file_error(&path, error);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => file.lock().map_err(failed)?,
        // Some network drives know no locks.
        Err(TryLockError::Error(error)) => {
            let only = "let no other program write into it at the same time";
            terminal::complain(files::file_error(&path, format!("the gallery cannot be locked ({error}); {only}")));
        }
    }
    Ok(file)
}

/// The SHA-256 of a file's bytes in hexadecimal, as the page computes it.
pub fn content(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a gallery's image is: its path as it was given to `famlens index`, from here or from beside the gallery.
pub fn locate(folder: &Path, name: &str) -> Result<PathBuf> {
    let given = PathBuf::from(name);
    let beside = folder.parent().map(|parent| parent.join(name));
    let photo = std::iter::once(given).chain(beside).find(|path| path.is_file());
    photo.ok_or_else(|| Error::File {
        path: name.into(),
        reason: "it is not there; run famlens search where famlens index was run".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use famlens::tasks::retrieval::{Item, Origin};

    fn gallery(names: &[&str]) -> Gallery {
        let [model, weights, input, target, pooling] = ["net", "0", "224", "features", "gap"].map(String::from);
        let mut gallery = Gallery::new(Origin { model, weights, input, target, pooling, channels: 2 });
        for (at, name) in names.iter().enumerate() {
            let item = Item { name: (*name).into(), content: (*name).into(), picture: 0, width: 1, height: 1 };
            gallery.push(item, &[at as f32, 1.0]).unwrap();
        }
        gallery
    }

    /// Every state that a kill can leave: the files after each step of a commit.
    #[test]
    fn a_kill_between_any_two_steps_leaves_one_whole_gallery() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let (old, new) = (gallery(&["a", "b"]), gallery(&["a", "b", "c"]));
        commit(at, |_| Ok(old.clone())).unwrap();
        let (npy, csv) = new.to_files().unwrap();
        let aside = at.join(format!("embeddings-{}.npy", array_checksum(&npy)));
        fs::write(at.join(".famlens-x.part"), &npy[..9]).unwrap();
        assert_eq!(read(at).unwrap().as_ref(), Some(&old));
        fs::write(&aside, &npy).unwrap();
        assert_eq!(read(at).unwrap().as_ref(), Some(&old));
        fs::write(at.join(TABLE), csv).unwrap();
        assert_eq!(read(at).unwrap().as_ref(), Some(&new));
        fs::rename(&aside, at.join(ARRAY)).unwrap();
        assert_eq!(read(at).unwrap().as_ref(), Some(&new));

        commit(at, |found| Ok(found?.unwrap())).unwrap();
        fs::write(&aside, &npy).unwrap();
        commit(at, |_| Ok(old.clone())).unwrap();
        let mut left: Vec<_> = named(at, |_| true).iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        left.sort();
        assert_eq!(left, [LOCK, ARRAY, TABLE]);
    }

    #[test]
    fn writers_at_once_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for writer in 0..8u32 {
                let at = folder.path();
                scope.spawn(move || {
                    for row in 0..6 {
                        let name = format!("{writer}-{row}");
                        let item = Item { name: name.clone(), content: name, picture: 0, width: 1, height: 1 };
                        let add = |found: Result<Option<Gallery>>| {
                            let mut all = found?.unwrap_or_else(|| gallery(&[]));
                            all.push(item, &[writer as f32, row as f32])?;
                            Ok(all)
                        };
                        commit(at, add).unwrap();
                    }
                });
            }
            // A reader sees a whole gallery at any moment.
            for _ in 0..200 {
                read(folder.path()).unwrap();
            }
        });
        assert_eq!(read(folder.path()).unwrap().unwrap().len(), 48);
    }
}
