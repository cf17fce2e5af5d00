//! What is made from something else equals what it is made from, and the chart is sound.
//!
//! `make generate` runs these tests with `SPILLWAY_REGENERATE=1`, which writes the files
//! instead of comparing them: what makes them and what checks them is the same code. Whether
//! an API server accepts them is for the end-to-end suite.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;
use spillway::api::{ConsumerScaler, KafkaConnection};
use spillway::crd;

const CHART: &str = "charts/spillway";

#[test]
fn the_definitions_are_those_of_the_types() {
    generate_definitions();
}

#[test]
fn the_manifest_is_the_chart_with_its_defaults() {
    if regenerating() {
        // The chart holds the definitions, so these come first.
        generate_definitions();
    }
    let rendered = helm(&[
        "template",
        "spillway",
        CHART,
        "--namespace",
        "spillway-system",
        "--kube-version",
        "1.29.0",
        // kubectl has no use for the annotation.
        "--set",
        "crds.keep=false",
    ]);
    // Helm does not manage what kubectl applies.
    let rendered: String = rendered
        .lines()
        .filter(|l| !l.contains("app.kubernetes.io/managed-by:") && !l.contains("helm.sh/"))
        .filter(|l| !l.starts_with("# Source:"))
        .flat_map(|l| [l, "\n"])
        .collect();
    current(
        "deploy/install.yaml",
        &format!("{MANIFEST_HEADER}{rendered}"),
    );
}

const MANIFEST_HEADER: &str = "\
# Spillway with its defaults, for a cluster without Helm: kubectl apply --server-side -f install.yaml
# Made from charts/spillway by `make generate`. Don't edit: change the chart.
---
apiVersion: v1
kind: Namespace
metadata:
  name: spillway-system
  labels:
    app.kubernetes.io/name: spillway
    pod-security.kubernetes.io/enforce: restricted
";

#[test]
fn the_charts_readme_lists_the_values() {
    let path = format!("{CHART}/README.md");
    let readme = read(&path);
    let (before, rest) = readme
        .split_once("<!-- values -->\n")
        .expect("a place for the table");
    let (_, after) = rest
        .split_once("<!-- /values -->")
        .expect("an end of the table");
    let table: String = documented_values()
        .iter()
        .map(|(key, default, text)| format!("| `{key}` | `{default}` | {text} |\n"))
        .collect();
    current(
        &path,
        &format!(
            "{before}<!-- values -->\n| Value | Default | Meaning |\n|---|---|---|\n{table}<!-- /values -->{after}"
        ),
    );
}

#[test]
fn every_value_is_documented_and_in_the_schema() {
    let values: Value = yaml(&read(&format!("{CHART}/values.yaml")));
    let schema: Value =
        serde_json::from_str(&read(&format!("{CHART}/values.schema.json"))).expect("a schema");
    let mut used = BTreeSet::new();
    leaves_of_values(&values, "", &schema, &mut used);
    let mut known = BTreeSet::new();
    leaves_of_schema(&schema, "", &mut known);
    known.remove("global");
    assert_eq!(used, known, "left: values.yaml, right: values.schema.json");
    let documented: BTreeSet<String> = documented_values().into_iter().map(|(k, ..)| k).collect();
    assert_eq!(
        used, documented,
        "left: values.yaml, right: keys with a `# --` comment above"
    );
}

#[test]
fn the_chart_has_the_version_of_the_crate() {
    let chart: Value = yaml(&read(&format!("{CHART}/Chart.yaml")));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn helm_finds_no_fault_with_the_chart() {
    helm(&["lint", "--strict", CHART]);
    let all_on = format!("{CHART}/ci/all-on-values.yaml");
    helm(&["lint", "--strict", CHART, "--values", &all_on]);
}

#[test]
fn a_misspelt_value_is_refused() {
    let output = run_helm(&["template", "x", CHART, "--set", "replicacount=2"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it was accepted");
    assert!(
        said.contains("'replicacount' not allowed"),
        "it said: {said}"
    );
}

#[test]
fn every_value_reaches_a_template() {
    let all_on = format!("{CHART}/ci/all-on-values.yaml");
    let values: Value = yaml(&read(&all_on));
    let rendered = helm(&["template", "x", CHART, "--values", &all_on]);
    let mut texts = Vec::new();
    scalars(&values, "", &mut texts);
    let rendered = rendered.replace(['"', '\''], "");
    let missing: Vec<&(String, String)> = texts
        .iter()
        .filter(|(_, text)| !rendered.contains(text.as_str()))
        .collect();
    // With every Secret allowed there is no list of names; the digest replaces the tag.
    let names = [("rbac.secretNames", "one"), ("rbac.secretNames", "two")];
    for (key, text) in missing {
        assert!(
            names.contains(&(key.as_str(), text.as_str())),
            "{key}: {text} is nowhere in the rendered chart"
        );
    }
}

#[test]
fn the_charts_definitions_are_kept_and_say_the_same() {
    let rendered = helm(&["template", "x", CHART, "--show-only", "templates/crds.yaml"]);
    let expected: Vec<Value> = crd::definitions()
        .iter()
        .map(|d| serde_json::to_value(d).expect("a definition"))
        .collect();
    let mut seen = documents(&rendered);
    for definition in &mut seen {
        let metadata = &mut definition["metadata"];
        assert_eq!(metadata["annotations"]["helm.sh/resource-policy"], "keep");
        let metadata = metadata.as_object_mut().expect("metadata");
        metadata.remove("annotations");
        metadata.remove("labels");
    }
    let (seen, expected) = (Value::Array(seen), Value::Array(expected));
    let differences = [lost(&expected, &seen, ""), lost(&seen, &expected, "")].concat();
    assert!(differences.is_empty(), "{differences:#?}");
    let none = helm(&["template", "x", CHART, "--set", "crds.enabled=false"]);
    assert!(!none.contains("kind: CustomResourceDefinition"));
}

#[test]
fn the_operator_may_not_read_or_change_more_than_it_must() {
    let rendered = documents(&helm(&["template", "x", CHART]));
    let rules: Vec<&Value> = rendered
        .iter()
        .filter(|o| o["kind"] == "ClusterRole" || o["kind"] == "Role")
        .flat_map(|o| o["rules"].as_array().expect("rules"))
        .collect();
    assert!(!rules.is_empty());
    for rule in rules {
        let text = rule.to_string();
        assert!(!text.contains('*'), "a wildcard: {text}");
        for verb in [
            "delete",
            "deletecollection",
            "escalate",
            "bind",
            "impersonate",
        ] {
            assert!(!text.contains(&format!("\"{verb}\"")), "{verb}: {text}");
        }
        if text.contains("\"secrets\"") {
            assert_eq!(rule["verbs"], serde_json::json!(["get"]), "{text}");
            assert!(rule["resourceNames"].is_array(), "every Secret: {text}");
        }
        for workload in ["\"deployments\"", "\"statefulsets\""] {
            if text.contains(workload) {
                assert_eq!(rule["verbs"], serde_json::json!(["get"]), "{text}");
            }
        }
    }
}

#[test]
fn the_examples_are_resources_as_they_are_now() {
    let mut seen = 0;
    let folder = root().join("deploy/examples");
    for file in fs::read_dir(&folder).expect("examples") {
        let path = file.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a file");
        assert!(
            text.starts_with("# "),
            "{} does not say what it is for",
            path.display()
        );
        for document in documents(&text) {
            let kept = match document["kind"].as_str() {
                Some("ConsumerScaler") => round_trip::<ConsumerScaler>(&document),
                Some("KafkaConnection") => round_trip::<KafkaConnection>(&document),
                _ => continue,
            };
            seen += 1;
            let lost = lost(&document, &kept, "");
            assert!(
                lost.is_empty(),
                "{}: not in the type: {lost:?}",
                path.display()
            );
        }
    }
    assert!(seen >= 4, "only {seen} examples");
}

/// What an object becomes when it is read into its type and written again.
fn round_trip<K: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) -> Value {
    let read: K = serde_json::from_value(object.clone())
        .unwrap_or_else(|e| panic!("{}: {e}", object["metadata"]["name"]));
    serde_json::to_value(read).expect("an object")
}

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

fn generate_definitions() {
    current("deploy/crds.yaml", &crd::yaml());
    current(&format!("{CHART}/files/crds.yaml"), &crd::yaml());
}

/// The values with a `# --` comment above them: key, default, meaning.
fn documented_values() -> Vec<(String, String, String)> {
    let text = read(&format!("{CHART}/values.yaml"));
    let defaults: Value = yaml(&text);
    let (mut found, mut path, mut comment) = (Vec::new(), Vec::<(usize, String)>::new(), None);
    for line in text.lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(said) = trimmed.strip_prefix("# -- ") {
            comment = Some(said.replace('|', "\\|"));
        } else if let Some(more) = trimmed.strip_prefix("# ") {
            comment = comment.map(|said| format!("{said} {more}"));
        } else if let Some((key, _)) = trimmed.split_once(':')
            && !trimmed.starts_with('-')
        {
            path.retain(|(i, _)| *i < indent);
            path.push((indent, key.to_owned()));
            if let Some(said) = comment.take() {
                let keys: Vec<&str> = path.iter().map(|(_, k)| k.as_str()).collect();
                let default = keys.iter().fold(&defaults, |at, key| &at[*key]);
                found.push((keys.join("."), default.to_string(), said));
            }
        }
    }
    found
}

/// The keys of values.yaml as deep as the schema describes them key by key.
fn leaves_of_values(value: &Value, at: &str, schema: &Value, into: &mut BTreeSet<String>) {
    let closed = schema["additionalProperties"] == Value::Bool(false);
    match value.as_object() {
        Some(map) if closed => {
            for (key, value) in map {
                leaves_of_values(value, &join(at, key), &schema["properties"][key], into);
            }
        }
        _ => {
            into.insert(at.to_owned());
        }
    }
}

fn leaves_of_schema(schema: &Value, at: &str, into: &mut BTreeSet<String>) {
    let closed = schema["additionalProperties"] == Value::Bool(false);
    match schema["properties"].as_object() {
        Some(map) if closed => {
            for (key, schema) in map {
                leaves_of_schema(schema, &join(at, key), into);
            }
        }
        _ => {
            into.insert(at.to_owned());
        }
    }
}

/// Texts and numbers in a value, with the key they stand under.
fn scalars(value: &Value, at: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| scalars(v, &join(at, k), into)),
        Value::Array(list) => list.iter().for_each(|v| scalars(v, at, into)),
        Value::String(text) => into.push((at.to_owned(), text.clone())),
        Value::Number(number) => into.push((at.to_owned(), number.to_string())),
        Value::Bool(_) | Value::Null => {}
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

/// Fails when the file is not what it is to be; writes it when regenerating.
fn current(path: &str, expected: &str) {
    let full = root().join(path);
    if regenerating() {
        fs::write(&full, expected).unwrap_or_else(|e| panic!("{path}: {e}"));
        return;
    }
    let seen =
        fs::read_to_string(&full).unwrap_or_else(|e| panic!("{path}: {e}: run `make generate`"));
    if seen == expected {
        return;
    }
    let line = seen
        .lines()
        .zip(expected.lines())
        .take_while(|(a, b)| a == b)
        .count();
    panic!(
        "{path} is not up to date: run `make generate`. First difference in line {}:\n  there:    {}\n  expected: {}",
        line + 1,
        seen.lines().nth(line).unwrap_or("(end)"),
        expected.lines().nth(line).unwrap_or("(end)"),
    );
}

fn regenerating() -> bool {
    env::var("SPILLWAY_REGENERATE").is_ok_and(|v| v == "1")
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
    let cache = env::var_os("SPILLWAY_TESTBED_CACHE")
        .map_or_else(|| root().join("target/testbed"), PathBuf::from);
    let helm = cache.join("bin/helm");
    Command::new(&helm)
        .args(args)
        .current_dir(root())
        .output()
        .unwrap_or_else(|e| {
            panic!(
                "{}: {e}: the test bed builds it with `cargo run -p spillway-testbed --bin testbed -- prepare`",
                helm.display()
            )
        })
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
