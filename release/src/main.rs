//! `release`: says the one version (and that every place has it), moves it, or prints what it brought.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use spillway_release::{agreed, files, move_to, notes};

const USAGE: &str = "\
usage: release check [VERSION]   the one version; fails where a place has another, or when it is not VERSION
       release to VERSION        moves it everywhere, and what is unreleased in CHANGELOG.md under it
       release notes VERSION     what CHANGELOG.md says of it";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => check(None),
        ["check", version] => check(Some(version)),
        ["to", version] => to(version),
        ["notes", version] => notes(root(), version),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("release: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(expected: Option<&str>) -> Result<String> {
    let version = agreed(root())?;
    if let Some(expected) = expected {
        ensure!(version == expected, "this is {version}, not {expected}");
        notes(root(), expected)?;
    }
    Ok(version + "\n")
}

fn to(version: &str) -> Result<String> {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().context("running date")?;
    let day = String::from_utf8(date.stdout)?;
    move_to(root(), version, day.trim())?;
    let files = files().join(", ");
    Ok(format!(
        "{version} is now in {files}, and CHANGELOG.md has a section for it: look at it with git diff\n"
    ))
}

/// The workspace that this was built in.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
