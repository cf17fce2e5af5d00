//! Where the version is written: a table, and what stands there now.
//!
//! It reads and replaces text; which version is to be there is for `main` to say.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// A file, and what stands before the version in it.
struct Place {
    file: &'static str,
    before: &'static str,
    /// Only the first counts: what follows is of others.
    once: bool,
}

const fn every(file: &'static str, before: &'static str) -> Place {
    Place { file, before, once: false }
}

const fn first(file: &'static str, before: &'static str) -> Place {
    Place { file, before, once: true }
}

/// Every place, but those of Cargo.lock.
const PLACES: &[Place] = &[
    first("Cargo.toml", "[workspace.package]\nversion = \""),
    first("charts/spillway/Chart.yaml", "\nversion: "),
    first("charts/spillway/Chart.yaml", "\nappVersion: "),
    every("charts/spillway/Chart.yaml", "spillway.dev/spillway:"),
    every("charts/spillway/README.md", "image.tag="),
    every("deploy/install.yaml", "app.kubernetes.io/version: "),
    every("deploy/install.yaml", "spillway.dev/spillway:"),
    every("README.md", "registry.example.com/spillway:"),
    every("README.md", "spillway.dev/spillway:"),
    every("README.md", "image.tag="),
    every("docs/quick-start.md", "$IMAGE:"),
    every("docs/quick-start.md", "image.tag="),
    every("tests/e2e/quick_start.rs", "$IMAGE:"),
    first("fuzz/Cargo.lock", "name = \"spillway\"\nversion = \""),
];

/// Files that a version is written to.
#[must_use]
pub fn files() -> Vec<&'static str> {
    let mut files = vec![LOCK];
    files.extend(PLACES.iter().map(|place| place.file));
    files.sort_unstable();
    files.dedup();
    files
}

const LOCK: &str = "Cargo.lock";

/// A version that was found: where, and which.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The file, relative to the root.
    pub file: &'static str,
    /// Its line, from 1.
    pub line: usize,
    /// What is written there.
    pub version: String,
}

/// Everything that is written in the workspace under `root`.
///
/// # Errors
/// When a file cannot be read, or nothing stands in a place any more.
pub fn found(root: &Path) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for file in files() {
        let text = read(root, file)?;
        for range in ranges(file, &text)? {
            let line = text[..range.start].matches('\n').count() + 1;
            all.push(Found { file, line, version: text[range].to_owned() });
        }
    }
    Ok(all)
}

/// Writes `version` in every place.
///
/// # Errors
/// As [`found`], before anything is written; or when a file cannot be written.
pub fn set(root: &Path, version: &str) -> Result<()> {
    let mut changed = Vec::new();
    for file in files() {
        let mut text = read(root, file)?;
        for range in ranges(file, &text)?.into_iter().rev() {
            text.replace_range(range, version);
        }
        changed.push((file, text));
    }
    for (file, text) in changed {
        fs::write(root.join(file), text).with_context(|| format!("writing {file}"))?;
    }
    Ok(())
}

/// Where versions stand in a file, in order.
fn ranges(file: &str, text: &str) -> Result<Vec<std::ops::Range<usize>>> {
    let mut ranges = Vec::new();
    for place in PLACES.iter().filter(|place| place.file == file) {
        let most = if place.once { 1 } else { usize::MAX };
        let of = text.match_indices(place.before).take(most);
        let before = ranges.len();
        ranges.extend(of.map(|(at, _)| version_at(text, at + place.before.len())));
        ensure!(
            ranges.len() > before,
            "{file}: {:?} is there no more: mend release/src/places.rs",
            place.before
        );
    }
    if file == LOCK {
        // Packages of the workspace have no source. Each begins with its name and its version.
        for (at, package) in blocks(text, "[[package]]\n") {
            let version =
                package.find("\nversion = \"").context("Cargo.lock: a package without a version")?;
            if !package.contains("\nsource = ") {
                ranges.push(version_at(text, at + version + "\nversion = \"".len()));
            }
        }
        ensure!(!ranges.is_empty(), "Cargo.lock: no package of this workspace");
    }
    ranges.sort_by_key(|range| range.start);
    Ok(ranges)
}

/// What follows each `begin`, up to the next, and where it is.
fn blocks<'a>(text: &'a str, begin: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    text.match_indices(begin).map(move |(at, _)| {
        let rest = &text[at + begin.len()..];
        (at + begin.len(), &rest[..rest.find(begin).unwrap_or(rest.len())])
    })
}

/// The version that begins here; empty when there is none.
fn version_at(text: &str, at: usize) -> std::ops::Range<usize> {
    let of_a_version = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    at..at + text[at..].find(|c| !of_a_version(c)).unwrap_or(text.len() - at)
}

fn read(root: &Path, file: &str) -> Result<String> {
    fs::read_to_string(root.join(file)).with_context(|| format!("reading {file}"))
}
