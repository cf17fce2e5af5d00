//! What is made from something else equals what it is made from, what is written twice agrees, and the chart is sound.
//!
//! `make generate` runs the tests of `current` with `SPILLWAY_REGENERATE=1`, which writes the
//! files instead of comparing them: what makes them and what checks them is the same code.
//! Whether an API server accepts them is for the end-to-end suite.
#![allow(missing_docs)]

mod alerts;
mod chart;
mod current;
mod examples;
mod notes;
mod reference;
mod templates;
mod values;
mod version;
mod words;
mod workflows;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const CHART: &str = "charts/spillway";

/// Where `kept` does not hold what `all` does.
fn lost(all: &Value, kept: &Value, at: &str) -> Vec<String> {
    match (all, kept) {
        (Value::Object(all), Value::Object(kept)) => all
            .iter()
            .flat_map(|(key, value)| match kept.get(key) {
                Some(kept) => lost(value, kept, &format!("{at}.{key}")),
                None => vec![format!("{at}.{key} is missing")],
            })
            .collect(),
        (Value::Array(all), Value::Array(kept)) if all.len() == kept.len() => all
            .iter()
            .zip(kept)
            .enumerate()
            .flat_map(|(i, (all, kept))| lost(all, kept, &format!("{at}[{i}]")))
            .collect(),
        // 10 and 10.0 are the same number.
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => Vec::new(),
        _ if all == kept => Vec::new(),
        _ => vec![format!("{at}: {kept} instead of {all}")],
    }
}

/// Runs helm and returns what it printed. Fails when it does.
fn helm(args: &[&str]) -> String {
    let output = run_helm(args);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "helm {} failed:\n{}{}",
        args.join(" "),
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn run_helm(args: &[&str]) -> std::process::Output {
    let helm = cache().join("bin/helm");
    Command::new(&helm)
        .args(args)
        .current_dir(root())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}: `make build` builds it", helm.display()))
}

/// Where the test bed's tools are.
fn cache() -> PathBuf {
    env::var_os("SPILLWAY_TESTBED_CACHE").map_or_else(|| root().join("target/testbed"), PathBuf::from)
}

fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    serde_yaml::Deserializer::from_str(text)
        .map(|d| Value::deserialize(d).expect("a YAML document"))
        .filter(|d| !d.is_null())
        .collect()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).expect("YAML")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
