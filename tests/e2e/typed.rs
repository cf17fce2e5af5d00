//! The commands of docs/operations.md and docs/troubleshooting.md, typed as they stand there, block by block.
//!
//! Those of blocks marked `sh release` change the release, and are typed where that harms no other case. Left out
//! are `kubectl logs` and `port-forward`: the bed's pods are processes without a server for them.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::operator;

use super::harness::Case;

const LIMIT: Duration = Duration::from_secs(60);
/// What a bed has no server for.
const LEFT_OUT: [&str; 2] = [" logs ", " port-forward "];

/// The blocks of a page: `sh` and what else is said behind it.
pub fn blocks(page: &str, kind: &str) -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        let mark = line.trim_start().strip_prefix("```");
        open = match (open.take(), mark) {
            (None, Some(begun)) => Some((begun.to_owned(), String::new())),
            (None, None) => None,
            (Some((of, block)), Some(_)) => {
                found.extend((of == kind).then_some(block));
                None
            }
            (Some((of, block)), None) => Some((of, block + line.trim_start() + "\n")),
        };
    }
    ensure!(open.is_none(), "{page}: a block without an end");
    Ok(found)
}

/// Types blocks for a scaler, one shell each, all in one folder. Each must end well and print something.
pub async fn type_all(case: &Case, page: &str, blocks: &[String], name: &str) -> Result<usize> {
    let folder = case.bed.folder(&format!("typed-{}", page.replace(['/', '.'], "-")))?;
    let tools = case.bed.tools();
    for (program, path) in [
        ("kubectl", tools.kubectl()),
        ("helm", tools.helm()),
        ("spillway", env!("CARGO_BIN_EXE_spillway").into()),
        // The chart, where the reader has a checkout.
        ("charts", Path::new(env!("CARGO_MANIFEST_DIR")).join("charts")),
    ] {
        std::os::unix::fs::symlink(path, folder.join(program))?;
    }
    let path = std::env::join_paths(
        std::iter::once(folder.clone())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )?;
    // A person's settings of Helm are not the bed's.
    let settings: Vec<_> = std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|n| n.to_string_lossy().starts_with("HELM_"))
        .collect();
    let mut typed = 0;
    for block in blocks {
        let lines = block.lines().filter(|line| !LEFT_OUT.iter().any(|word| line.contains(word)));
        let script = lines.collect::<Vec<_>>().join("\n");
        let script = named(&script, case, name);
        if script.trim().is_empty() {
            continue;
        }
        let mut command = tokio::process::Command::new("bash");
        settings.iter().for_each(|name| {
            command.env_remove(name);
        });
        let command = command
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(&folder)
            .env("PATH", &path)
            .env("KUBECONFIG", case.bed.plane().kubeconfig())
            .env("HOME", &folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, command)
            .await
            .with_context(|| format!("{page}: not done in {}s: {script}", LIMIT.as_secs()))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.success() && !(said.trim().is_empty() && complained.trim().is_empty()),
            "{page}: {}\n{script}\n{said}{complained}",
            output.status
        );
        typed += script.lines().count();
    }
    Ok(typed)
}

/// With this scaler's names in it, and the bed's name of the release's namespace. Only whole words are names.
fn named(script: &str, case: &Case, name: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let end = |word: &mut String, out: &mut String| {
        out.push_str(match word.as_str() {
            "NAMESPACE" => &case.namespace,
            "NAME" => name,
            other => other,
        });
        word.clear();
    };
    for c in script.chars() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else {
            end(&mut word, &mut out);
            out.push(c);
        }
    }
    end(&mut word, &mut out);
    out.replace("spillway-system", operator::NAMESPACE)
}
