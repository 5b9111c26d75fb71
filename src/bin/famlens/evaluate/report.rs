//! What a run found, as JSON, CSV and text.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

use famlens::metrics::{Aggregate, Interval, MEASURES, Row, Summary};
use famlens::tasks::spreadsheet::guarded;
use famlens::{Error, Result};
use serde_json::json;

use crate::files;

pub struct Report {
    /// The command that was typed.
    pub command: String,
    /// What the figures rest on, as sentences.
    pub about: Vec<String>,
    pub seconds: f64,
    pub skipped: Vec<String>,
    pub rows: Vec<Row>,
    pub summary: Summary,
}

/// One table of means: variants down, figures across.
pub struct Table<'a> {
    pub name: &'a str,
    pub setting: &'a str,
    /// Names of the figures, in the order of [`MEASURES`].
    pub measures: Vec<&'static str>,
    pub lines: Vec<&'a Aggregate>,
}

impl Report {
    pub fn tables(&self) -> Vec<Table<'_>> {
        let mut tables: Vec<Table<'_>> = Vec::new();
        for aggregate in &self.summary.aggregates {
            match tables.last_mut().filter(|t| t.name == aggregate.table && t.setting == aggregate.setting) {
                Some(table) => table.lines.push(aggregate),
                None => {
                    let (name, setting) = (aggregate.table.as_str(), aggregate.setting.as_str());
                    tables.push(Table { name, setting, measures: Vec::new(), lines: vec![aggregate] });
                }
            }
        }
        for table in &mut tables {
            let held = |name: &str| table.lines.iter().any(|line| line.values.contains_key(name));
            table.measures = MEASURES.iter().map(|m| m.name).filter(|name| held(name)).collect();
        }
        tables
    }

    pub fn json(&self) -> Result<String> {
        let value = json!({
            "command": self.command,
            "about": self.about,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "measures": MEASURES,
            "aggregates": self.summary.aggregates,
            "differences": self.summary.differences,
            "rows": self.rows,
        });
        serde_json::to_string_pretty(&value).map_err(|e| Error::argument("results", e.to_string()))
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        files::write(&folder.join("results.json"), self.json()?.as_bytes())?;
        let path = folder.join("results.csv");
        let csv = self.csv().map_err(|e| files::file_error(&path, e))?;
        files::write(&path, &csv)
    }

    /// One line an image and variant, one column a figure.
    fn csv(&self) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let measures: Vec<&str> = MEASURES
            .iter()
            .map(|m| m.name)
            .filter(|name| self.rows.iter().any(|r| r.values.contains_key(*name)))
            .collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["table", "setting", "variant", "image", "class", "size"].iter().chain(&measures))?;
        for row in &self.rows {
            let size = row.size.map_or("", |size| size.name());
            // Names come from folders, and a spreadsheet runs what begins like a formula.
            let texts = [&row.table, &row.setting, &row.variant, &row.image, &row.class].map(|text| guarded(text));
            let mut record: Vec<String> = texts.into_iter().map(Cow::into_owned).chain([size.to_owned()]).collect();
            record.extend(measures.iter().map(|name| row.values.get(*name).map(f64::to_string).unwrap_or_default()));
            writer.write_record(&record)?;
        }
        Ok(writer.into_inner()?)
    }

    /// The tables for a terminal: means in per cent with their intervals.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        self.about.iter().for_each(|line| {
            let _ = writeln!(text, "{line}");
        });
        for table in self.tables() {
            let wide = table.lines.iter().map(|line| title(line).chars().count()).max().unwrap_or(0);
            let _ = writeln!(text, "\n{} ({}), per cent", table.name, table.setting);
            let _ = write!(text, "  {:<wide$}", "");
            table.measures.iter().for_each(|name| {
                let _ = write!(text, " {:>20}", label(name));
            });
            text.push_str("      n\n");
            for line in &table.lines {
                let _ = write!(text, "  {:<wide$}", title(line));
                for name in &table.measures {
                    let cell = line.values.get(*name).map_or_else(String::new, percent);
                    let _ = write!(text, " {cell:>20}");
                }
                let n = line.values.values().map(|interval| interval.n).max().unwrap_or(0);
                let _ = writeln!(text, " {n:>6}");
            }
        }
        if !self.skipped.is_empty() {
            let _ = writeln!(text, "\nskipped:");
            self.skipped.iter().for_each(|reason| {
                let _ = writeln!(text, "  {reason}");
            });
        }
        let _ = writeln!(text, "\n{:.1} s", self.seconds);
        text
    }
}

/// The variant, with the objects' size where a line is about one.
pub fn title(line: &Aggregate) -> String {
    match line.size {
        Some(size) => format!("{}, {} objects", line.variant, size.name()),
        None => line.variant.clone(),
    }
}

/// The name of a figure for people.
pub fn label(name: &str) -> &str {
    MEASURES.iter().find(|m| m.name == name).map_or(name, |m| m.label)
}

/// `67.3 (61.0 to 73.2)`.
pub fn percent(interval: &Interval) -> String {
    let [mean, low, high] = [interval.mean, interval.low, interval.high].map(|v| v * 100.0);
    format!("{mean:.1} ({low:.1} to {high:.1})")
}
