//! Files that a command is given: by name, a folder of YAML, or standard input.
//!
//! It reads them; what is in them is the command's.

use std::path::{Path, PathBuf};

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// As it was called.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Reads files; a folder stands for the `.yaml`, `.yml` and `.json` files in it, `-` for standard input.
///
/// # Errors
/// What cannot be read, one line each.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<File>, Vec<String>> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match if path.is_dir() { folder(path) } else { Ok(vec![path.clone()]) } {
            Ok(paths) => {
                for path in paths {
                    match one(&path) {
                        Ok(file) => files.push(file),
                        Err(problem) => problems.push(problem),
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(path).map_err(|e| format!("{}: cannot be read: {e}", path.display()))?;
    let yaml = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") && path.is_file()
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(yaml).collect();
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{}: there is no .yaml, .yml or .json file in it", path.display()));
    }
    Ok(paths)
}

fn one(path: &Path) -> Result<File, String> {
    let name = if path == Path::new("-") { "(stdin)".to_owned() } else { path.display().to_string() };
    let read = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = read.map_err(|e| format!("{name}: cannot be read: {e}"))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        format!("{name}:{line}: not UTF-8: write plain text")
    })?;
    Ok(File { name, text })
}
