//! What has been measured so far, one line an image and variant, so that a run that was stopped goes on where it was.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use famlens::Result;
use famlens::metrics::Row;
use serde::{Deserialize, Serialize};

use crate::files;

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
    /// Reads what is there and opens the file to append to. A last line that was cut off by a stop is dropped.
    pub fn open(path: &Path) -> Result<Self> {
        let mut entries = HashMap::new();
        let mut whole = 0;
        if path.is_file() {
            let mut reader = BufReader::new(File::open(path).map_err(|e| files::file_error(path, e))?);
            let mut line = String::new();
            while reader.read_line(&mut line).map_err(|e| files::file_error(path, e))? > 0 {
                let Some(entry) = line.strip_suffix('\n').and_then(|text| serde_json::from_str::<Entry>(text).ok())
                else {
                    break;
                };
                whole += line.len() as u64;
                entries.insert(entry.key.clone(), entry);
                line.clear();
            }
        }
        let open = || {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            file.set_len(whole)?;
            OpenOptions::new().append(true).open(path)
        };
        let file = open().map_err(|e| files::file_error(path, e))?;
        Ok(Self { entries, file: Some((path.to_owned(), file)) })
    }

    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub fn add(&mut self, entries: Vec<Entry>) -> Result<()> {
        for mut entry in entries {
            if let Some((path, file)) = &mut self.file {
                let mut line = serde_json::to_string(&entry).map_err(|e| files::file_error(path, e))?;
                // What a later run will read: a number may differ in its last bit, and both runs must print the same.
                entry = serde_json::from_str(&line).map_err(|e| files::file_error(path, e))?;
                line.push('\n');
                file.write_all(line.as_bytes()).and_then(|()| file.flush()).map_err(|e| files::file_error(path, e))?;
            }
            self.entries.insert(entry.key.clone(), entry);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_measured_again() {
        let path = std::env::temp_dir().join(format!("famlens-store-{}.jsonl", std::process::id()));
        let entry = |key: &str| Entry { key: key.into(), embedding: Some(vec![0.1, 1.5]), ..Entry::default() };
        let _ = std::fs::remove_file(&path);
        Store::open(&path).unwrap().add(vec![entry("a"), entry("b")]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        let mut store = Store::open(&path).unwrap();
        assert_eq!((store.get("a"), store.get("b")), (Some(&entry("a")), None));
        store.add(vec![entry("c")]).unwrap();
        let store = Store::open(&path).unwrap();
        assert_eq!((store.get("a"), store.get("c")), (Some(&entry("a")), Some(&entry("c"))));
        std::fs::remove_file(&path).unwrap();
    }
}
