//! A gallery as two files that other programs read too. One is a NumPy array with the embedding of one image in each
//! row. The other is a CSV table of the images in the same order; its first line says what made them and which array
//! they belong to.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

use super::{Gallery, Item, Origin};
use crate::error::{Error, Result};
use crate::tasks::spreadsheet::{guarded, unguarded};

/// What the table's first line begins with; a [`Heading`] follows as JSON.
const MARK: &str = "# famlens gallery ";
const COLUMNS: [&str; 5] = ["name", "content", "picture", "width", "height"];

/// The first format had no number, no checksum and no guarded cells.
const FORMAT: u32 = 2;

/// What the table's first line says.
#[derive(Serialize, Deserialize)]
struct Heading {
    #[serde(flatten)]
    origin: Origin,
    #[serde(default = "first_format")]
    format: u32,
    /// Checksum of the array's bytes: a table and an array of different moments do not pass for a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    array: Option<String>,
}

fn first_format() -> u32 {
    1
}

fn unreadable(file: &str, reason: impl std::fmt::Display) -> Error {
    Error::argument("gallery", format!("its {file} cannot be read: {reason}"))
}

/// The checksum of an array's bytes, as the table states it: XXH64 in hexadecimal.
pub fn array_checksum(npy: &[u8]) -> String {
    format!("{:016x}", xxh64(npy, 0))
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

    /// The images as a CSV table (RFC 4180) with the columns name, content, picture, width and height. Its first line
    /// is a comment with the origin and the array's checksum; `pandas.read_csv(file, comment="#")` skips it. A name
    /// that a spreadsheet would take for a formula is [guarded].
    ///
    /// # Errors
    /// [`Error::Argument`] if the origin cannot be written, which no valid one makes it.
    pub fn to_csv(&self) -> Result<String> {
        self.table(&array_checksum(&self.to_npy()))
    }

    /// Both files: what [`Gallery::to_npy`] and [`Gallery::to_csv`] give.
    ///
    /// # Errors
    /// As [`Gallery::to_csv`].
    pub fn to_files(&self) -> Result<(Vec<u8>, String)> {
        let npy = self.to_npy();
        let csv = self.table(&array_checksum(&npy))?;
        Ok((npy, csv))
    }

    fn table(&self, array: &str) -> Result<String> {
        let failed = |e: &dyn std::fmt::Display| Error::argument("gallery", format!("it cannot be written: {e}"));
        let heading = Heading { origin: self.origin.clone(), format: FORMAT, array: Some(array.to_owned()) };
        let heading = serde_json::to_string(&heading).map_err(|e| failed(&e))?;
        // A field with the comment character anywhere is quoted, or pandas would cut it off there.
        let mut writer = csv::WriterBuilder::new().comment(Some(b'#')).from_writer(Vec::new());
        writer.write_record(COLUMNS).map_err(|e| failed(&e))?;
        for Item { name, content, picture, width, height } in &self.items {
            let (picture, sides) = (format!("{picture:016x}"), [width.to_string(), height.to_string()]);
            let cells = [&*guarded(name), &*guarded(content), &picture, &sides[0], &sides[1]];
            writer.write_record(cells).map_err(|e| failed(&e))?;
        }
        let rows = writer.into_inner().map_err(|e| failed(&e))?;
        let rows = String::from_utf8(rows).map_err(|e| failed(&e))?;
        Ok(format!("{MARK}{heading}\n{rows}"))
    }

    /// Reads what [`Gallery::to_npy`] and [`Gallery::to_csv`] wrote. Arrays of float64 are read too.
    ///
    /// # Errors
    /// [`Error::Argument`] if a file is not of its kind, the table does not say what made the embeddings, or the two do
    /// not belong together.
    pub fn from_files(npy: &[u8], csv: &str) -> Result<Self> {
        let (heading, items) = read_csv(csv)?;
        if heading.array.is_some_and(|array| array != array_checksum(npy)) {
            let reason = "the array (.npy) is not the one that the table (.csv) was written with: one of the two is of \
                          another gallery, of another moment, or damaged";
            return Err(Error::argument("gallery", reason));
        }
        let (rows, channels, values) = read_npy(npy).map_err(|reason| unreadable("array (.npy)", reason))?;
        let origin = heading.origin;
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

fn read_csv(text: &str) -> Result<(Heading, Vec<Item>)> {
    let wrong = |reason: String| unreadable("table (.csv)", reason);
    let text = text.trim_start_matches('\u{feff}');
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let heading = first.strip_prefix(MARK).ok_or_else(|| {
        let made = "so nobody knows which model made the embeddings; index the images again";
        wrong(format!("its first line does not begin with {MARK:?}, {made}"))
    })?;
    let heading: Heading = serde_json::from_str(heading.trim()).map_err(|e| wrong(format!("its first line: {e}")))?;
    if heading.format > FORMAT {
        let reason = format!("it is of format {} and this famlens reads up to {FORMAT}", heading.format);
        return Err(wrong(reason));
    }
    // Rows of another length are told by their place, below.
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(rest.as_bytes());
    let mut records = reader.records();
    let columns = records.next().transpose().map_err(|e| wrong(e.to_string()))?;
    if columns.is_none_or(|columns| columns != COLUMNS[..]) {
        return Err(wrong(format!("its columns are not {}", COLUMNS.join(","))));
    }
    let cell = |text: &str| match heading.format {
        1 => text.to_owned(),
        _ => unguarded(text).to_owned(),
    };
    let item = |(line, record): (usize, csv::Result<csv::StringRecord>)| {
        let bad = |what: &str| wrong(format!("image {}: {what}", line + 1));
        let record = record.map_err(|e| bad(&e.to_string()))?;
        let fields: Vec<&str> = record.iter().collect();
        let [name, content, picture, width, height] = fields[..] else {
            return Err(bad(&format!("{} columns, not 5", fields.len())));
        };
        let side = |text: &str| text.parse().map_err(|_| bad(&format!("{text:?} is not a number of pixels")));
        let picture = u64::from_str_radix(picture, 16).map_err(|_| bad(&format!("{picture:?} is not a hash")))?;
        Ok(Item { name: cell(name), content: cell(content), picture, width: side(width)?, height: side(height)? })
    };
    let items = records.enumerate().map(item).collect::<Result<_>>()?;
    Ok((heading, items))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{item, origin, random};
    use super::*;

    const NAMES: [&str; 24] = [
        "a \"quoted\", name.jpg",
        "# hash.png",
        "100%#1.jpg",
        "two\nlines.jpg",
        "two\r\nlines.jpg",
        "old\rmac.jpg",
        "",
        "ends with quote\"",
        "smörgås.jpg",
        "日本語/写真.png",
        "e\u{301}\u{200d}🏳️‍🌈.gif",
        "=HYPERLINK(\"http://x\").jpg",
        "+1.jpg",
        "-1.jpg",
        "@cmd.jpg",
        "\ttab.jpg",
        "\rreturn.jpg",
        "'quoted'.jpg",
        "''.jpg",
        "'=1.jpg",
        " spaces \u{a0}.jpg ",
        "\u{1b}[31mred.jpg",
        "\u{0}null.jpg",
        "comma, semi; tab\t|.jpg",
    ];

    #[test]
    fn a_gallery_comes_back_as_it_was() -> Result<()> {
        let mut gallery = random(7, 5);
        for name in NAMES {
            gallery.push(item(name, u64::MAX), &[0.25, -1.5, 0.0, 1e-20, 3e7])?;
        }
        let again = Gallery::from_files(&gallery.to_npy(), &gallery.to_csv()?)?;
        assert_eq!(again, gallery);
        let (npy, csv) = gallery.to_files()?;
        assert_eq!((npy.as_slice(), csv.as_str()), (gallery.to_npy().as_slice(), gallery.to_csv()?.as_str()));
        let none = Gallery::new(origin(5));
        assert_eq!(Gallery::from_files(&none.to_npy(), &none.to_csv()?)?, none);
        Ok(())
    }

    #[test]
    fn a_table_that_windows_programs_saved_is_read() -> Result<()> {
        let gallery = random(7, 5);
        let windows = gallery.to_csv()?.replace('\n', "\r\n");
        assert_eq!(Gallery::from_files(&gallery.to_npy(), &format!("\u{feff}{windows}"))?, gallery);
        Ok(())
    }

    #[test]
    fn no_cell_begins_like_a_formula_and_no_comment_starts_within_a_row() -> Result<()> {
        let mut gallery = Gallery::new(origin(1));
        for name in NAMES {
            gallery.push(item(name, 0), &[1.0])?;
        }
        let table = gallery.to_csv()?;
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(table.as_bytes());
        let cells: Vec<String> = reader.records().map(|r| r.unwrap()[0].to_owned()).collect();
        assert_eq!(cells.len(), NAMES.len(), "a row begins like a comment");
        for cell in cells {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?}");
        }
        // Outside of quotation marks, pandas ends a row at the comment character.
        let rows = table.split_once('\n').unwrap().1;
        let outside: String = rows.split('"').step_by(2).collect();
        assert!(!outside.contains('#'), "{outside}");
        Ok(())
    }

    #[test]
    fn tables_of_the_first_format_are_read_as_they_were_written() -> Result<()> {
        let mut gallery = random(1, 3);
        gallery.push(item("'=1.jpg", 7), &[1.0, 2.0, 3.0])?;
        let origin = serde_json::to_string(gallery.origin()).unwrap();
        let mut table = format!("{MARK}{origin}\nname,content,picture,width,height\n");
        for Item { name, content, picture, width, height } in gallery.items() {
            table += &format!("{name},{content},{picture:016x},{width},{height}\n");
        }
        assert_eq!(Gallery::from_files(&gallery.to_npy(), &table)?, gallery);
        let newer = gallery.to_csv()?.replace("\"format\":2", "\"format\":9");
        assert!(Gallery::from_files(&gallery.to_npy(), &newer).is_err_and(|e| e.to_string().contains("format 9")));
        Ok(())
    }

    #[test]
    fn the_array_of_another_moment_is_refused() -> Result<()> {
        let (before, mut after) = (random(3, 4), random(3, 4));
        after.retain(|item| item.name != "0.jpg");
        after.push(item("3.jpg", 1), &[1.0; 4])?;
        let mixed = Gallery::from_files(&after.to_npy(), &before.to_csv()?);
        assert!(mixed.is_err_and(|e| e.to_string().contains("another moment")));
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
        // Without a checksum, as a program of one's own may write it, the shapes have to fit.
        let unchecked = |gallery: &Gallery| -> Result<String> {
            let csv = gallery.to_csv()?;
            Ok(csv.replace(&array_checksum(&gallery.to_npy()), &array_checksum(&npy)))
        };
        assert!(refused(&unchecked(&random(1, 3))?).contains("does not belong"));
        assert!(refused(&unchecked(&random(2, 4))?).contains("does not belong"));
        Ok(())
    }
}
