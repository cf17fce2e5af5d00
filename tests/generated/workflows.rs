//! The workflows of `.github`: pinned, bounded, with the least rights. That they are well-formed is actionlint's.

use std::fs;

use serde_json::Value;

use super::{read, root, yaml};

/// Name and text of each.
fn workflows() -> Vec<(String, String)> {
    let folder = root().join(".github/workflows");
    let mut all: Vec<(String, String)> = fs::read_dir(&folder)
        .expect("workflows")
        .map(|file| file.expect("an entry").path())
        .map(|path| (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path))
        .map(|(name, path)| (name, fs::read_to_string(path).expect("a workflow")))
        .collect();
    all.sort();
    assert!(all.len() >= 3, "{all:?}");
    all
}

#[test]
fn every_action_is_pinned_and_says_its_version() {
    let mut pins = std::collections::BTreeMap::new();
    for (name, text) in workflows() {
        for (i, line) in text.lines().enumerate() {
            let Some((_, uses)) = line.split_once("uses: ") else { continue };
            let place = format!("{name}:{}: {uses}", i + 1);
            if uses.starts_with("./") {
                continue;
            }
            let (action, pin) = uses.split_once('@').unwrap_or_else(|| panic!("{place}: no pin"));
            let (hash, version) = pin.split_once(" # v").unwrap_or_else(|| panic!("{place}: no version"));
            let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            assert!(hash.len() == 40 && hash.chars().all(hex), "{place}: not a commit");
            assert_eq!(version.split('.').count(), 3, "{place}: not a whole version");
            // The same action is the same everywhere.
            let repository: Vec<&str> = action.split('/').take(2).collect();
            let before = pins.entry(repository.join("/")).or_insert_with(|| pin.to_owned());
            assert_eq!(before, pin, "{place}");
        }
    }
    assert!(pins.len() > 5, "{pins:?}");
}

#[test]
fn every_job_ends_and_may_do_no_more_than_it_says() {
    for (name, text) in workflows() {
        let workflow: Value = yaml(&text);
        assert_eq!(
            workflow["permissions"],
            serde_json::json!({}),
            "{name}: what no job asks for is not given"
        );
        assert!(workflow["concurrency"]["group"].is_string(), "{name}: no concurrency");
        for (job, of) in workflow["jobs"].as_object().expect("jobs") {
            assert!(of["permissions"].is_object(), "{name}: {job} does not say what it may do");
            // A called workflow has limits of its own.
            let limit = of["timeout-minutes"].as_u64();
            assert!(of["uses"].is_string() || limit.is_some_and(|l| l <= 90), "{name}: {job} has no limit");
        }
    }
}

#[test]
fn rust_is_the_one_of_the_workspace_everywhere() {
    let rust = env!("CARGO_PKG_RUST_VERSION");
    let mut seen = 0;
    let mut texts = workflows();
    for file in ["deploy/Dockerfile", "README.md", "CONTRIBUTING.md"] {
        texts.push((file.to_owned(), read(file)));
    }
    for (name, text) in texts {
        for before in ["toolchain install ", "rustup default ", "rust:", "RUST=", "Rust ", "Rust toolchain ("]
        {
            for (at, _) in text.match_indices(before) {
                let after = &text[at + before.len()..];
                if after.starts_with("1.") {
                    seen += 1;
                    let version = &after
                        [..after.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(after.len())];
                    assert_eq!(version, rust, "{name}: {before}{version}");
                }
            }
        }
    }
    assert!(seen > 6, "only {seen} places");
}
