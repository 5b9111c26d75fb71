//! What is decided by similarity: one file a task.

pub mod few_shot;
pub mod pair;
pub mod retrieval;
