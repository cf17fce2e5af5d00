//! The targets of `tests/fuzz`, for libFuzzer.

#[path = "../../tests/fuzz/targets/mod.rs"]
pub mod targets;

/// Makes a program of the target of this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::targets::run($name, data));
    };
}
