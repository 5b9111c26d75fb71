//! A plain table: one line a box.

use super::{Annotated, Object, rect};
use crate::error::{Error, Result};

/// Reads a table with tabs (or else commas) between columns: `file, x0, y0, x1, y1` in photo pixels, right and bottom
/// exclusive. A first line of column names may put them in another order and add `label`; other columns are ignored.
/// Several lines may name one photo.
///
/// # Errors
/// [`Error::Argument`] naming the line.
///
/// ```
/// let read = famlens::metrics::boxes::read_tsv("file\tlabel\tx0\ty0\tx1\ty1\na.jpg\tcat\t1\t2\t3\t4\n")?;
/// assert_eq!((read[0].objects[0].label.as_deref(), read[0].objects[0].bounds.x1), (Some("cat"), 3.0));
/// # Ok::<(), famlens::Error>(())
/// ```
pub fn read_tsv(text: &str) -> Result<Vec<Annotated>> {
    let separator = if text.contains('\t') { '\t' } else { ',' };
    let mut columns = Columns { file: 0, sides: [1, 2, 3, 4], label: None };
    let mut photos: Vec<Annotated> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let cells: Vec<&str> = line.split(separator).map(str::trim).collect();
        if number == 0 && cells.get(1).is_some_and(|cell| cell.parse::<f64>().is_err()) {
            columns = Columns::named(&cells, columns);
            continue;
        }
        let invalid = |reason: String| Error::argument("table of boxes", format!("line {}: {reason}", number + 1));
        let (file, object) = columns.read(&cells).map_err(invalid)?;
        match photos.last_mut() {
            Some(last) if last.file == file => last.objects.push(object),
            _ => photos.push(Annotated { file: file.to_owned(), size: None, objects: vec![object] }),
        }
    }
    Ok(photos)
}

struct Columns {
    file: usize,
    sides: [usize; 4],
    label: Option<usize>,
}

impl Columns {
    /// By name where all five are named, else as they were.
    fn named(names: &[&str], default: Self) -> Self {
        let find = |names_of: &[&str]| names.iter().position(|name| names_of.contains(&name.to_lowercase().as_str()));
        let sides = [&["x0", "xmin"][..], &["y0", "ymin"], &["x1", "xmax"], &["y1", "ymax"]].map(find);
        let label = find(&["label", "class", "name"]);
        match (find(&["file", "filename", "image", "path"]), sides) {
            (Some(file), [Some(x0), Some(y0), Some(x1), Some(y1)]) => Self { file, sides: [x0, y0, x1, y1], label },
            _ => default,
        }
    }

    fn read<'a>(&self, cells: &[&'a str]) -> Result<(&'a str, Object), String> {
        let expected = || "expected file, x0, y0, x1, y1".to_owned();
        let file = cells.get(self.file).filter(|file| !file.is_empty()).ok_or_else(expected)?;
        let side = |at: usize| cells.get(at).and_then(|cell| cell.parse::<f64>().ok()).ok_or_else(expected);
        let [x0, y0, x1, y1] = self.sides;
        let bounds = rect([side(x0)?, side(y0)?, side(x1)?, side(y1)?])?;
        let label = self.label.and_then(|at| cells.get(at)).filter(|label| !label.is_empty());
        Ok((file, Object { label: label.map(|label| (*label).to_owned()), bounds, difficult: false }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_heading_tabs_or_commas() {
        for text in [
            "file\tx0\ty0\tx1\ty1\thow\na\t1\t2\t3\t4\tby eye\n",
            "a\t1\t2\t3\t4",
            "a,1,2,3,4\n\n",
            "# made by hand\na,1,2,3,4",
        ] {
            let read = read_tsv(text).unwrap();
            assert_eq!((read.len(), read[0].objects[0].bounds.y1), (1, 4.0), "{text:?}");
        }
        let read = read_tsv("xmin,ymin,xmax,ymax,class,filename\n1,2,3,4,cat,a\n1,2,3,5,dog,a\n").unwrap();
        assert_eq!((read.len(), read[0].objects.len()), (1, 2));
        assert_eq!(read[0].objects[1].label.as_deref(), Some("dog"));
    }

    #[test]
    fn errors_name_the_line() {
        let message = |text: &str| read_tsv(text).unwrap_err().to_string();
        assert!(message("file\tx0\ty0\tx1\ty1\na\t1\t2\t3\t4\nb\t1\t2\n").contains("line 3"));
        assert!(message("a\t3\t2\t1\t4\n").contains("no area"));
        assert!(message("a\t1\t2\tNaN\t4\n").contains("no area"));
    }
}
