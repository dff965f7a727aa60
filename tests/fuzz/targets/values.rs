//! Fuzzes the functions for single values.

#![no_main]

// Each target uses its own part of the checks.
#[allow(dead_code)]
#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::values(input));
