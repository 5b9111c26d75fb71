//! A gallery as two files that other programs read too: the embeddings as a NumPy array of one row an image, and a CSV
//! table of the images in the same order, whose first line says what made them.

use std::fmt::Write;

use super::{Gallery, Item, Origin};
use crate::error::{Error, Result};

/// What the table's first line begins with; the origin follows as JSON.
const MARK: &str = "# famlens gallery ";
const COLUMNS: &str = "name,content,picture,width,height";

fn unreadable(file: &str, reason: impl std::fmt::Display) -> Error {
    Error::argument("gallery", format!("its {file} cannot be read: {reason}"))
}

impl Gallery {
    /// The embeddings as the bytes of a `.npy` file: float32, `[images, channels]`.
    pub fn to_npy(&self) -> Vec<u8> {
        let (rows, channels) = (self.len(), self.origin.channels);
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {channels}), }}");
        // Magic, version and length take 10 bytes; the whole is a multiple of 64 and ends with a line break.
        let padding = (64 - (10 + header.len() + 1) % 64) % 64;
        header.extend(std::iter::repeat_n(' ', padding).chain(['\n']));
        let mut bytes = Vec::with_capacity(10 + header.len() + self.embeddings.len() * 4);
        bytes.extend_from_slice(b"\x93NUMPY\x01\x00");
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend(self.embeddings.iter().flat_map(|v| v.to_le_bytes()));
        bytes
    }

    /// The images as a CSV table (RFC 4180) with the columns name, content, picture, width and height. Its first line is
    /// a comment with the origin; `pandas.read_csv(file, comment="#")` skips it.
    ///
    /// # Errors
    /// [`Error::Argument`] if the origin cannot be written, which no valid one makes it.
    pub fn to_csv(&self) -> Result<String> {
        let origin = serde_json::to_string(&self.origin).map_err(|e| Error::argument("gallery", e.to_string()))?;
        let mut text = format!("{MARK}{origin}\n{COLUMNS}\n");
        for Item { name, content, picture, width, height } in &self.items {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{},{},{picture:016x},{width},{height}", quoted(name), quoted(content));
        }
        Ok(text)
    }

    /// Reads what [`Gallery::to_npy`] and [`Gallery::to_csv`] wrote. Arrays of float64 are read too.
    ///
    /// # Errors
    /// [`Error::Argument`] if a file is not of its kind, the table does not say what made the embeddings, or the two do
    /// not belong together.
    pub fn from_files(npy: &[u8], csv: &str) -> Result<Self> {
        let (rows, channels, values) = read_npy(npy).map_err(|reason| unreadable("array (.npy)", reason))?;
        let (origin, items) = read_csv(csv)?;
        if items.len() != rows || origin.channels != channels {
            let table = format!("a table of {} images with {} channels", items.len(), origin.channels);
            let reason = format!("{table} does not belong to an array of {rows} x {channels}");
            return Err(Error::argument("gallery", reason));
        }
        let mut gallery = Self::new(origin);
        for (item, row) in items.into_iter().zip(values.chunks_exact(channels.max(1))) {
            gallery.push(item, row)?;
        }
        Ok(gallery)
    }
}

/// `(rows, columns, values)` of a NumPy file of floats, versions 1 to 3; or what is wrong with it.
pub(crate) fn read_npy(bytes: &[u8]) -> std::result::Result<(usize, usize, Vec<f32>), String> {
    let wrong = |reason: &str| reason.to_owned();
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(|| wrong("it is not a NumPy file"))?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(wrong("its version is unknown or it is cut off")),
    };
    let header = rest.get(..length).ok_or_else(|| wrong("it is cut off"))?;
    let header = std::str::from_utf8(header).map_err(|_| wrong("its header is not text"))?;
    let data = &rest[length..];
    let after = |key: &str| header.split_once(key).map(|(_, rest)| rest.trim_start_matches([' ', ':', '\'', '"']));
    if after("fortran_order").is_none_or(|rest| !rest.starts_with("False")) {
        return Err(wrong("it is in Fortran order; save it with numpy.ascontiguousarray"));
    }
    let shape = after("'shape'").and_then(|rest| rest.strip_prefix('(')?.split_once(')'));
    let shape: Option<Vec<usize>> = shape
        .and_then(|(s, _)| s.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| s.parse().ok()).collect());
    let Some([rows, columns]) = shape.as_deref() else {
        return Err(wrong("it is not a matrix of rows and columns"));
    };
    let kind = after("'descr'").and_then(|rest| rest.get(..3)).unwrap_or_default();
    let values: Vec<f32> = match kind {
        "<f4" => data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        "<f8" => data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        _ => return Err(wrong(&format!("it holds {kind:?}, and float32 or float64 is expected"))),
    };
    match rows.checked_mul(*columns) == Some(values.len()) {
        true => Ok((*rows, *columns, values)),
        false => Err(wrong(&format!("{rows} x {columns} values are announced and {} are there", values.len()))),
    }
}

fn read_csv(text: &str) -> Result<(Origin, Vec<Item>)> {
    let wrong = |reason: String| unreadable("table (.csv)", reason);
    let text = text.trim_start_matches('\u{feff}');
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let origin = first.strip_prefix(MARK).ok_or_else(|| {
        let made = "so nobody knows which model made the embeddings; index the images again";
        wrong(format!("its first line does not begin with {MARK:?}, {made}"))
    })?;
    let origin: Origin = serde_json::from_str(origin.trim()).map_err(|e| wrong(format!("its first line: {e}")))?;
    let mut records = records(rest).into_iter();
    if records.next().is_none_or(|columns| columns.join(",") != COLUMNS) {
        return Err(wrong(format!("its columns are not {COLUMNS}")));
    }
    let item = |(line, record): (usize, Vec<String>)| {
        let bad = |what: &str| wrong(format!("image {}: {what}", line + 1));
        let fields: [String; 5] = record.try_into().map_err(|r: Vec<_>| bad(&format!("{} columns, not 5", r.len())))?;
        let [name, content, picture, width, height] = fields;
        let side = |text: &str| text.parse().map_err(|_| bad(&format!("{text:?} is not a number of pixels")));
        let hash = u64::from_str_radix(&picture, 16).map_err(|_| bad(&format!("{picture:?} is not a hash")))?;
        Ok(Item { name, content, picture: hash, width: side(&width)?, height: side(&height)? })
    };
    let items = records.enumerate().map(item).collect::<Result<_>>()?;
    Ok((origin, items))
}

/// A field, in quotation marks where it needs them.
fn quoted(field: &str) -> String {
    match field.contains(['"', ',', '\n', '\r']) || field.starts_with('#') {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

/// The records of a CSV text. Empty lines are none.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut within, mut was_quoted) = (false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if within && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' if within || field.is_empty() => (within, was_quoted) = (!within, true),
            ',' if !within => record.push(std::mem::take(&mut field)),
            '\n' if !within => {
                if !was_quoted && field.ends_with('\r') {
                    field.pop();
                }
                if !record.is_empty() || !field.is_empty() || was_quoted {
                    record.push(std::mem::take(&mut field));
                    records.push(std::mem::take(&mut record));
                }
                was_quoted = false;
            }
            '\r' if !within && was_quoted => {}
            c => field.push(c),
        }
    }
    if !record.is_empty() || !field.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::super::tests::{item, origin, random};
    use super::*;

    #[test]
    fn a_gallery_comes_back_as_it_was() -> Result<()> {
        let mut gallery = random(7, 5);
        for name in ["a \"quoted\", name.jpg", "# hash.png", "two\nlines.jpg", "", "ends with quote\"", "smörgås.jpg"]
        {
            gallery.push(item(name, u64::MAX), &[0.25, -1.5, 0.0, 1e-20, 3e7])?;
        }
        let again = Gallery::from_files(&gallery.to_npy(), &gallery.to_csv()?)?;
        assert_eq!(again, gallery);
        let windows = gallery.to_csv()?.replace('\n', "\r\n").replace("two\r\nlines", "two\nlines");
        assert_eq!(Gallery::from_files(&gallery.to_npy(), &format!("\u{feff}{windows}"))?, gallery);
        let none = Gallery::new(origin(5));
        assert_eq!(Gallery::from_files(&none.to_npy(), &none.to_csv()?)?, none);
        Ok(())
    }

    #[test]
    fn the_array_is_what_numpy_reads() {
        let gallery = random(3, 4);
        let bytes = gallery.to_npy();
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(file.shape(), [3, 4]);
        assert_eq!(file.into_vec::<f32>().unwrap(), gallery.embeddings);
        assert_eq!((bytes.len() - 48) % 64, 0);
    }

    #[test]
    fn arrays_of_numpy_are_read() {
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }\n";
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()));
        assert_eq!(read_npy(&bytes).unwrap(), (1, 2, vec![1.5, -2.0]));
        let refused = |from: &str, to: &str| {
            let text = header.replace(from, to);
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text.as_bytes());
            bytes.extend([0; 16]);
            read_npy(&bytes).unwrap_err()
        };
        assert!(refused("False", "True").contains("Fortran"));
        assert!(refused("<f8", "<i8").contains("<i8"));
        assert!(refused("(1, 2)", "(2,)").contains("matrix"));
        assert!(refused("(1, 2)", "(1, 3)").contains("1 x 3"));
        assert!(refused("(1, 2)", "(18446744073709551615, 2)").contains("announced"));
        assert!(read_npy(b"\x93NUMPY\x01\x00\xff\xff{").is_err_and(|e| e.contains("cut off")));
        assert!(read_npy(b"PK").is_err_and(|e| e.contains("not a NumPy file")));
    }

    #[test]
    fn tables_that_do_not_fit_are_refused_by_name() -> Result<()> {
        let gallery = random(2, 3);
        let (npy, csv) = (gallery.to_npy(), gallery.to_csv()?);
        let refused = |csv: &str| Gallery::from_files(&npy, csv).unwrap_err().to_string();
        assert!(refused("name,content\n").contains("index the images again"));
        assert!(refused(&csv.replace("width", "breadth")).contains("columns are not"));
        assert!(refused(&csv.replace("1.jpg,content", "1.jpg,,content")).contains("image 2: 6 columns"));
        assert!(refused(&csv.replace(",640,", ",wide,")).contains("\"wide\""));
        assert!(refused(&random(1, 3).to_csv()?).contains("does not belong"));
        assert!(refused(&random(2, 4).to_csv()?).contains("does not belong"));
        Ok(())
    }
}
