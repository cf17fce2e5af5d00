//! Files made from something else: compared with it, or written when regenerating.

use std::{env, fs};

use spillway::crd;
use spillway::report::metrics::families;

use super::{CHART, alerts, helm, read, reference, root, values};

#[test]
fn the_definitions_are_those_of_the_types() {
    generate_definitions();
}

#[test]
fn the_manifest_is_the_chart_with_its_defaults() {
    if regenerating() {
        // The chart holds these, so they come first.
        generate_definitions();
        generate_schema();
    }
    current("deploy/install.yaml", &manifest(CHART));
}

/// What is applied without Helm: a chart with its defaults.
pub fn manifest(chart: &str) -> String {
    let rendered = helm(&[
        "template",
        "spillway",
        chart,
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
    format!("{MANIFEST_HEADER}{rendered}")
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
fn the_charts_readme_lists_the_values_and_the_alerts() {
    let path = format!("{CHART}/README.md");
    let cell = |text: &str| text.replace('|', "\\|");
    let row = |v: &values::Documented| {
        format!("| `{}` | `{}` | {} |\n", v.key, cell(&v.default.to_string()), cell(&v.meaning))
    };
    let table: String = values::documented().iter().map(row).collect();
    let readme =
        between(&read(&path), "values", &format!("| Value | Default | Meaning |\n|---|---|---|\n{table}"));
    let row = |(name, rule): &(String, serde_json::Value)| {
        let text = |at: &str| rule.pointer(at).and_then(|v| v.as_str()).unwrap_or("at once").to_owned();
        // Which namespace, name and partition is for whoever is alerted.
        let summary = text("/annotations/summary");
        let summary = summary.replace("{{ $labels.namespace }}/{{ $labels.name }}", "*scaler*");
        let summary = summary.replace("{{ $labels.", "*").replace(" }}", "*");
        format!("| `{name}` | {} | {} | {} |\n", text("/labels/severity"), text("/for"), cell(&summary))
    };
    let table: String = alerts::alerts().iter().map(row).collect();
    let readme = between(
        &readme,
        "alerts",
        &format!("| Alert | Severity | After | Meaning |\n|---|---|---|---|\n{table}"),
    );
    current(&path, &readme);
}

/// The text with this between the two marks of that name.
fn between(text: &str, mark: &str, new: &str) -> String {
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    format!("{before}{begin}{new}{end}{after}")
}

#[test]
fn the_list_of_metrics_is_that_of_the_code() {
    let path = "docs/metrics.md";
    let page = read(path);
    let (before, rest) = page.split_once("<!-- metrics -->\n").expect("a place for the lists");
    let (_, after) = rest.split_once("<!-- /metrics -->").expect("an end of the lists");
    let mut lists = String::new();
    for (title, start) in [
        ("ConsumerScalers and their groups", "spillway_"),
        ("As kafka-lag-exporter has them", "kafka_"),
        ("The process", "process_"),
    ] {
        lists += &format!(
            "\n## {title}\n\n| Name | Type | Labels | Unit | Series | Meaning |\n|---|---|---|---|---|---|\n"
        );
        for f in families().into_iter().filter(|f| f.name.starts_with(start)) {
            let labels: Vec<String> = f.labels.iter().map(|l| format!("`{l}`")).collect();
            lists += &format!(
                "| `{}` | {} | {} | {} | {} | {} |\n",
                f.name,
                f.kind.as_str(),
                labels.join(", "),
                f.unit(),
                f.series,
                f.help
            );
        }
    }
    let listed = lists.matches("\n| `").count();
    assert_eq!(listed, families().len(), "a family belongs to no list");
    current(path, &format!("{before}<!-- metrics -->\n{lists}\n<!-- /metrics -->{after}"));
}

#[test]
fn the_reference_is_that_of_the_types() {
    let path = "docs/reference.md";
    current(path, &between(&read(path), "reference", &reference::reference()));
}

#[test]
fn the_schema_is_that_of_the_values() {
    generate_schema();
}

fn generate_schema() {
    let schema = values::schema(&values::documented());
    let text = serde_json::to_string_pretty(&schema).expect("a schema");
    current(&format!("{CHART}/values.schema.json"), &format!("{text}\n"));
}

fn generate_definitions() {
    current("deploy/crds.yaml", &crd::yaml());
    current(&format!("{CHART}/files/crds.yaml"), &crd::yaml());
}

/// Fails when the file is not what it is to be; writes it when regenerating.
fn current(path: &str, expected: &str) {
    let full = root().join(path);
    if regenerating() {
        fs::write(&full, expected).unwrap_or_else(|e| panic!("{path}: {e}"));
        return;
    }
    let seen = fs::read_to_string(&full).unwrap_or_else(|e| panic!("{path}: {e}: run `make generate`"));
    if seen == expected {
        return;
    }
    let line = seen.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
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
