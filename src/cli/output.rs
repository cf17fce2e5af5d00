//! What is printed: on standard output as it is, in colours only where a person looks.
//!
//! It says nothing of its own.

use std::io::{IsTerminal, Write as _};

/// Whether a stream is to have colours: it is a terminal, and nobody asked for none (`NO_COLOR`).
pub(super) fn coloured(stream: &impl IsTerminal) -> bool {
    let asked_not = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    stream.is_terminal() && !asked_not && !dumb
}

/// Prints to standard output. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// When it cannot be written.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_else(unless_seen_enough).map_err(unprinted)
}

pub(super) fn unless_seen_enough(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

pub(super) fn unprinted(error: std::io::Error) -> anyhow::Error {
    anyhow::anyhow!("standard output cannot be written: {error}")
}
