//! The famlens command line.
fn main() {}
