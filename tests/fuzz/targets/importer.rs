#![no_main]
//! See `tests/fuzz/checks/importer.rs`.

#[path = "../checks/importer.rs"]
mod importer;
#[path = "../checks/values.rs"]
mod values;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| importer::check(bytes));
