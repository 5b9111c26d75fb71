//! The only place that writes to the terminal. Names come from other people's files and folders: characters that
//! a terminal would obey are shown instead.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};

/// Whether a terminal, or the eye, would take a character for something else than text: control characters (escape
/// sequences begin with one), marks that turn the direction of writing, and characters that are not seen at all.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escaped(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match hidden(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// A name, or any text that is not the program's own, as it may be shown within a line: `\n`, `\u{1b}` in place of what
/// would not be seen.
pub fn shown(name: &str) -> Cow<'_, str> {
    escaped(name, is_hidden)
}

/// A path as [`shown`].
pub fn shown_path(path: &std::path::Path) -> String {
    shown(&path.to_string_lossy()).into_owned()
}

/// JSON as it may be printed: what would not be seen is written as `\u009b`, which means the same in JSON.
fn shown_json(json: &str) -> Cow<'_, str> {
    let hidden = |c| is_hidden(c) && c != '\n';
    if !json.contains(hidden) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        match hidden(c) {
            // Writing to a String cannot fail.
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(shown, "\\u{unit:04x}")),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Prints text of several lines on standard output; names in it should be [`shown`] already.
pub fn print(text: impl Display) {
    let text = text.to_string();
    put(io::stdout().lock(), &escaped(&text, |c| is_hidden(c) && c != '\n'));
}

/// Prints one JSON value on standard output.
pub fn print_json(json: impl Display) {
    let json = json.to_string();
    put(io::stdout().lock(), &format!("{}\n", shown_json(&json)));
}

/// Prints text of several lines on standard error.
pub fn print_note(text: impl Display) {
    let text = text.to_string();
    put(io::stderr().lock(), &escaped(&format!("{text}\n"), |c| is_hidden(c) && c != '\n'));
}

/// Prints an error, or why something was skipped, as one line on standard error: the names in it are not the program's
/// own.
pub fn complain(text: impl Display) {
    put(io::stderr().lock(), &complaint(text));
}

fn complaint(text: impl Display) -> String {
    format!("famlens: {}\n", shown(&text.to_string()))
}

/// Tells, above a progress bar, why something was skipped.
pub fn skipped(bar: &indicatif::ProgressBar, reason: impl Display) {
    let line = complaint(format_args!("skipped: {reason}"));
    // A bar that is not drawn swallows what it is told.
    bar.suspend(|| put(io::stderr().lock(), &line));
}

fn put(mut stream: impl io::Write, text: &str) {
    if let Err(error) = stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        // A reader that went away wants no more; that a disk is full has to be said.
        if error.kind() != io::ErrorKind::BrokenPipe {
            _ = writeln!(io::stderr(), "famlens: the output cannot be written: {error}");
        }
        std::process::exit(1);
    }
}

/// Prints a line on standard output, formatted as by `println!`.
macro_rules! say {
    () => { $crate::terminal::print("\n") };
    ($($part:tt)*) => { $crate::terminal::print($crate::terminal::Line(format_args!($($part)*))) };
}
/// Prints a line on standard error, formatted as by `eprintln!`.
macro_rules! note {
    ($($part:tt)*) => { $crate::terminal::print_note(format_args!($($part)*)) };
}
pub(crate) use {note, say};

/// Text and a line break.
pub struct Line<'a>(pub fmt::Arguments<'a>);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        assert_eq!(shown("\u{1b}[31mred\u{7}\r\n.jpg"), "\\u{1b}[31mred\\u{7}\\r\\n.jpg");
        assert_eq!(shown("\u{9b}2J \u{202e}gpj.exe"), "\\u{9b}2J \\u{202e}gpj.exe");
        let plain = "smörgås, 日本語, e\u{301}, 🏳️‍🌈 100%#.jpg";
        assert!(matches!(shown(plain), Cow::Borrowed(text) if text == plain));
    }

    #[test]
    fn json_means_what_it_meant() {
        let name = "a\u{9b}2J\u{202e}\u{e0041}\u{7f}\n.jpg";
        let json = serde_json::json!({ "name": name }).to_string();
        let printed = shown_json(&json);
        assert!(!printed.contains(is_hidden), "{printed}");
        let again: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(again["name"], name);
    }
}
