//! Text for tables that a spreadsheet may open. A spreadsheet would run a cell that begins like a formula.

use std::borrow::Cow;

/// What stands before a cell that would be run. Spreadsheets take what follows as text.
const GUARD: char = '\'';

/// Whether a spreadsheet may take a cell for a formula: `=`, `+`, `-`, `@` (their full-width forms as well, which some
/// programs read alike), or white space that is dropped before them.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}

/// A cell of text as it is written into a table: with `'` before it if it would be run as a formula. [`unguarded`]
/// gives every text back as it was.
///
/// ```
/// use famlens::tasks::spreadsheet::{guarded, unguarded};
/// assert_eq!(guarded("=1+1.jpg"), "'=1+1.jpg");
/// assert_eq!(guarded("owl.jpg"), "owl.jpg");
/// assert_eq!(unguarded(&guarded("'=1.jpg")), "'=1.jpg");
/// ```
pub fn guarded(cell: &str) -> Cow<'_, str> {
    let after_guards = cell.trim_start_matches(GUARD);
    // A text that looks guarded by itself gets one guard more, so that taking one away is always right.
    match is_formula(after_guards) {
        true => Cow::Owned(format!("{GUARD}{cell}")),
        false => Cow::Borrowed(cell),
    }
}

/// The text of a cell that [`guarded`] wrote.
pub fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix(GUARD) {
        Some(text) if is_formula(text.trim_start_matches(GUARD)) => text,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_none_is_a_formula() {
        let mut texts = vec![String::new()];
        // Every text of up to three of these characters.
        for _ in 0..3 {
            for text in texts.clone() {
                texts.extend(['=', '\'', '-', '\t', '\u{ff0b}', 'a'].map(|c| format!("{text}{c}")));
            }
        }
        for text in texts {
            let cell = guarded(&text);
            assert!(!is_formula(&cell), "{cell:?}");
            assert_eq!(unguarded(&cell), text);
        }
    }
}
