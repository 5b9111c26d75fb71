//! The results so far, one line for each image and variant, so that a stopped run can go on.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use famlens::Result;
use famlens::metrics::Row;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::terminal::{note, shown_path};

/// One line of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Of the image's bytes and of all settings that its figures depend on.
    pub key: String,
    pub rows: Vec<Row>,
    /// Columns, rows and values of the own class's map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<(usize, usize, Vec<f32>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
}

#[derive(Default)]
pub struct Store {
    entries: HashMap<String, Entry>,
    file: Option<(PathBuf, File)>,
}

impl Store {
    /// Reads what is there and opens the file to append to. A stop may cut off the last line. The command reports a
    /// line that it cannot read and measures its image again.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| files::file_error(path, error);
        files::check(path)?;
        let file = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(files::file_error(
                    path,
                    "another famlens evaluate is writing it; wait, or choose another --out",
                ));
            }
            // Some network drives know no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let (mut entries, mut damaged, mut whole) = (HashMap::new(), 0usize, true);
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            whole = line.ends_with(b"\n");
            match serde_json::from_slice::<Entry>(&line) {
                Ok(entry) => _ = entries.insert(entry.key.clone(), entry),
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(_) => damaged += 1,
            }
            line.clear();
        }
        if damaged > 0 {
            let lines = if damaged == 1 { "1 line is" } else { &format!("{damaged} lines are") };
            note!("{}: {lines} damaged; their images are measured again", shown_path(path));
        }
        let mut store = Self { entries, file: Some((path.to_owned(), file)) };
        if !whole {
            // What comes next begins a line of its own.
            store.append(b"\n")?;
        }
        Ok(store)
    }

    fn append(&mut self, line: &[u8]) -> Result<()> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        file.write_all(line).and_then(|()| file.flush()).map_err(|e| files::file_error(path, e))
    }

    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub fn add(&mut self, entries: Vec<Entry>) -> Result<()> {
        for mut entry in entries {
            if let Some((path, _)) = &self.file {
                let mut line = serde_json::to_string(&entry).map_err(|e| files::file_error(path, e))?;
                // What a later run will read: a number may differ in its last bit, and both runs must print the same.
                entry = serde_json::from_str(&line).map_err(|e| files::file_error(path, e))?;
                line.push('\n');
                self.append(line.as_bytes())?;
            }
            self.entries.insert(entry.key.clone(), entry);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str) -> Entry {
        Entry { key: key.into(), embedding: Some(vec![0.1, 1.5]), ..Entry::default() }
    }

    /// The keys of those that are there.
    fn held<'a>(store: &Store, keys: &[&'a str]) -> Vec<&'a str> {
        keys.iter().copied().filter(|key| store.get(key) == Some(&entry(key))).collect()
    }

    #[test]
    fn a_line_that_was_cut_off_is_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.jsonl");
        Store::open(&path).unwrap().add(vec![entry("a"), entry("b")]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        let mut store = Store::open(&path).unwrap();
        assert_eq!(held(&store, &["a", "b"]), ["a"]);
        store.add(vec![entry("c")]).unwrap();
        drop(store);
        assert_eq!(held(&Store::open(&path).unwrap(), &["a", "b", "c"]), ["a", "c"]);
    }

    #[test]
    fn a_damaged_line_costs_itself_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.jsonl");
        let keys = ["a", "b", "c", "d", "e"];
        Store::open(&path).unwrap().add(keys.map(entry).to_vec()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let line = bytes.len() / keys.len();
        // No text, no JSON, and a line break where there was none.
        bytes[line + 9] = 0xff;
        bytes[2 * line + 9] = b'\n';
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(held(&Store::open(&path).unwrap(), &keys), ["a", "d", "e"]);
    }

    #[test]
    fn two_runs_do_not_write_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.jsonl");
        let _first = Store::open(&path).unwrap();
        assert!(Store::open(&path).is_err_and(|e| e.to_string().contains("another famlens evaluate")));
    }
}
