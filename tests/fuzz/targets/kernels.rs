#![no_main]
//! See `tests/fuzz/checks/kernels.rs`.

#[path = "../checks/kernels.rs"]
mod kernels;
#[path = "../checks/recipe.rs"]
mod recipe;
#[path = "../checks/values.rs"]
mod values;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kernels::check(bytes));
