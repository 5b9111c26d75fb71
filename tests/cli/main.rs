//! The command line as a user calls it.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/program.rs"]
mod program;

mod commands;
mod decisions;
mod evaluate;
mod gallery;
mod names;
mod reading;
mod writing;
