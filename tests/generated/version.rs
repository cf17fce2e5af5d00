//! The version is the same wherever it is written, and one command moves all of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spillway_release::{agreed, move_to, notes};

use super::{CHART, current, root};

/// A day on which nothing was released.
const DAY: &str = "2001-02-03";
/// Files that say with which version something was done, and others' versions: no release changes them.
const STAYS: [&str; 9] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "docs/benchmark.md",
    "docs/simulator.md",
    "tests/decisions/recordings",
    "tests/e2e/chart.rs",
    "tests/e2e/previous",
    "tests/generated/version.rs",
    "tests/testbed/controlplane",
];

#[test]
fn every_place_has_the_version_of_the_crate() {
    let version = agreed(root()).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn one_command_moves_the_version_everywhere() {
    let copy = copied("moved");
    let (old, new) = (env!("CARGO_PKG_VERSION"), next(env!("CARGO_PKG_VERSION")));
    move_to(&copy, &new, DAY).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(agreed(&copy).unwrap_or_else(|e| panic!("{e:#}")), new);

    // Helm renders the manifest that was written, and Cargo takes the lock file as it is.
    let rendered = current::manifest(&copy.join(CHART).to_string_lossy());
    assert_eq!(fs::read_to_string(copy.join("deploy/install.yaml")).expect("a manifest"), rendered);
    assert!(rendered.contains(&new), "the chart does not render {new}");
    let cargo = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--depth", "0"])
        .current_dir(&copy)
        .output()
        .expect("cargo");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));

    // What was unreleased is told of the version.
    let told = notes(&copy, &new).unwrap_or_else(|e| panic!("{e:#}"));
    let before = fs::read_to_string(root().join("CHANGELOG.md")).expect("a changelog");
    let unreleased = before.split("\n## ").find_map(|s| s.strip_prefix("Unreleased\n")).expect("Unreleased");
    assert_eq!(told.trim(), unreleased.trim());
    let after = fs::read_to_string(copy.join("CHANGELOG.md")).expect("a changelog");
    assert_eq!(after, before.replacen("## Unreleased\n", &format!("## Unreleased\n\n## {new} - {DAY}\n"), 1));

    // Nothing was forgotten.
    let mut left = Vec::new();
    every_file(&copy, &mut |path| {
        let inside = path.strip_prefix(&copy).expect("inside").to_string_lossy().into_owned();
        let Ok(text) = fs::read_to_string(path) else { return };
        if !STAYS.iter().any(|stays| inside.starts_with(stays)) {
            let lines = text.lines().enumerate().filter(|(_, line)| has(line, old));
            left.extend(lines.map(|(i, line)| format!("{inside}:{}: {line}", i + 1)));
        }
    });
    let mend = "name them in release/src/places.rs, or in STAYS";
    assert!(left.is_empty(), "{old} is still there: {mend}:\n{}", left.join("\n"));
}

#[test]
fn a_place_that_differs_is_named_and_nothing_is_moved() {
    let copy = copied("differs");
    let new = next(env!("CARGO_PKG_VERSION"));
    let chart = copy.join(CHART).join("Chart.yaml");
    let text = fs::read_to_string(&chart).expect("a chart");
    let line = text.lines().position(|l| l.starts_with("appVersion: ")).expect("an appVersion") + 1;
    fs::write(&chart, text.replacen("\nappVersion: ", "\nappVersion: 9", 1)).expect("written");
    let error = move_to(&copy, &new, DAY).expect_err("it was moved").to_string();
    assert!(error.starts_with(&format!("charts/spillway/Chart.yaml:{line}: 9")), "{error}");
    assert!(!error.contains("\ncharts"), "another place is named: {error}");

    fs::write(&chart, &text).expect("written");
    let before = everything(&copy);
    for (wrong, said) in
        [("0.2", "is no version"), ("v9.0.0", "is no version"), ("0.0.1", "does not come after")]
    {
        let error = move_to(&copy, wrong, DAY).expect_err("it was moved").to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
    assert!(before == everything(&copy), "a refused move changed something");
    // What was moved is not moved again under nothing.
    move_to(&copy, &new, DAY).unwrap_or_else(|e| panic!("{e:#}"));
    let error = move_to(&copy, &new, DAY).expect_err("it was released twice").to_string();
    assert!(error.contains("already"), "{error}");
    let error = move_to(&copy, &next(&new), DAY).expect_err("nothing was unreleased").to_string();
    assert!(error.contains("nothing under Unreleased"), "{error}");
}

/// The next minor version.
fn next(version: &str) -> String {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{major}.{}.0", minor.parse::<u64>().unwrap_or_else(|e| panic!("{version}: {e}")) + 1)
}

/// Whether the version is in the line, and not part of a longer one.
fn has(line: &str, version: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit() || c == '.');
    let more = |c: char| c.is_ascii_digit();
    line.match_indices(version).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + version.len()..]);
        !part(before.chars().next_back())
            && !after.starts_with(more)
            && !after.strip_prefix('.').is_some_and(|a| a.starts_with(more))
    })
}

/// The workspace, without what was built.
fn copied(name: &str) -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("version-{name}"));
    let _ = fs::remove_dir_all(&copy);
    every_file(root(), &mut |path| {
        let to = copy.join(path.strip_prefix(root()).expect("inside"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(path, to).expect("copied");
    });
    copy
}

fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    every_file(folder, &mut |path| all.push((path.to_owned(), fs::read(path).expect("a file"))));
    all.sort();
    all
}

fn every_file(folder: &Path, of: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "target" && name != ".git" {
                every_file(&path, of);
            }
        } else if name != ".git" {
            of(&path);
        }
    }
}
