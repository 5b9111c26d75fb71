//! What is decided by similarity: one file a task; and what tasks write for other programs.

pub mod episodes;
pub mod few_shot;
pub mod pair;
pub mod retrieval;
pub mod spreadsheet;
