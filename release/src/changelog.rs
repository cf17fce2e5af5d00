//! CHANGELOG.md: what is unreleased becomes a version's, and what is said of a version.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

const FILE: &str = "CHANGELOG.md";
const UNRELEASED: &str = "## Unreleased\n";

/// Puts what is unreleased under the version and its day (`2026-11-30`).
///
/// # Errors
/// When the file cannot be read or written, nothing is unreleased, or the version is there already.
pub fn released(root: &Path, version: &str, day: &str) -> Result<()> {
    let text = read(root)?;
    ensure!(section(&text, version).is_none(), "{FILE} has {version} already");
    let (before, after) = text.split_once(UNRELEASED).with_context(|| format!("{FILE} has no Unreleased"))?;
    let next = after.find("\n## ").unwrap_or(after.len());
    ensure!(!after[..next].trim().is_empty(), "{FILE} has nothing under Unreleased");
    let text = format!("{before}{UNRELEASED}\n## {version} - {day}\n{after}");
    fs::write(root.join(FILE), text).with_context(|| format!("writing {FILE}"))
}

/// What a version brought.
///
/// # Errors
/// When the file cannot be read, or does not have it.
pub fn notes(root: &Path, version: &str) -> Result<String> {
    let text = read(root)?;
    let section = section(&text, version).with_context(|| format!("{FILE} has no section {version}"))?;
    Ok(section.trim().to_owned() + "\n")
}

fn section<'a>(text: &'a str, version: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("\n## {version} - "))?;
    let (_, after) = after.split_once('\n')?;
    Some(&after[..after.find("\n## ").unwrap_or(after.len())])
}

fn read(root: &Path) -> Result<String> {
    fs::read_to_string(root.join(FILE)).with_context(|| format!("reading {FILE}"))
}
