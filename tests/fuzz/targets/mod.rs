//! What is given input that nobody wrote in good faith: one function a target, of any bytes.
//!
//! Called from `tests/fuzz/main.rs` (the corpus and mutants of it, on any compiler) and from `fuzz/`
//! (libFuzzer, which follows coverage). A target panics where something is wrong; what it returns is for
//! nobody. It opens no connection to anything but a closed port of this machine.

mod answers;
mod dice;
mod group;
mod objects;
mod secrets;
mod texts;

pub use texts::{policy, resources, trace};

/// Every target by its name, which is also that of its corpus (`fuzz/corpus/NAME`).
pub const ALL: [(&str, fn(&[u8])); 9] = [
    ("scaler", objects::scaler),
    ("status", objects::status),
    ("connection", objects::connection),
    ("secrets", secrets::secrets),
    ("answers", answers::answers),
    ("group", group::group),
    ("policy", texts::policy),
    ("trace", texts::trace),
    ("resources", texts::resources),
];

/// Runs a target by its name.
#[allow(dead_code)] // Only libFuzzer's side names one.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = ALL.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no target {name}"));
    target(data);
}

/// Whether an input holds a secret by itself, as libFuzzer finds out what it is compared with: then that it
/// is shown says nothing.
fn holds(data: &[u8], secret: &str) -> bool {
    data.windows(secret.len()).any(|part| part == secret.as_bytes())
}

/// The parts of an input of several, divided by lines of `=====`.
fn parts(data: &[u8]) -> Vec<&[u8]> {
    const BETWEEN: &[u8] = b"\n=====\n";
    let mut all = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|w| w == BETWEEN) {
        all.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    all.push(rest);
    all
}
