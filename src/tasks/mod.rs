//! The tasks that similarity decides, one file each, and what they write for other programs.

pub mod episodes;
pub mod few_shot;
pub mod pair;
pub mod retrieval;
pub mod spreadsheet;
pub mod verdict;
