#![no_main]
//! See `tests/fuzz/checks/passes.rs`.

#[path = "../checks/passes.rs"]
mod passes;
#[path = "../checks/recipe.rs"]
mod recipe;
#[path = "../checks/values.rs"]
mod values;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| passes::check(bytes));
