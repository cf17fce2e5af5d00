//! Alerts, runbooks, dashboards and documents speak of the same metrics as the code.
//!
//! The rules are tested by promtool here; that they fire on a real cluster, and that the dashboards find
//! something there, is for the end-to-end suite.
#![allow(missing_docs)]

mod releases;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spillway::decide::{Limit, ScalerState};
use spillway::report::metrics::{Kind, families};

const ALERTS: &str = "charts/spillway/files/alerts.yaml";
const TESTS: &str = "tests/observability/alerts.yaml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn files(under: &str, ending: &str) -> Vec<PathBuf> {
    let dir = root().join(under);
    let all = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let all = all.map(|entry| entry.expect("an entry").path());
    all.filter(|path| path.extension().is_some_and(|e| e == ending)).collect()
}

/// Where the test bed's tools are.
fn cache() -> PathBuf {
    env::var_os("SPILLWAY_TESTBED_CACHE").map_or_else(|| root().join("target/testbed"), PathBuf::from)
}

fn promtool(args: &[&str]) {
    let tool = cache().join("prometheus/usr/bin/promtool");
    let output = Command::new(&tool)
        .args(args)
        .current_dir(root())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}: `make build` builds it", tool.display()));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {}:\n{said}", args.join(" "));
}

fn alerts() -> Vec<Value> {
    let file: Value = serde_yaml::from_str(&read(ALERTS)).expect("YAML");
    let groups = file["groups"].as_array().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().expect("a name")
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", ALERTS]);
    promtool(&["test", "rules", TESTS]);
    let tests: Value = serde_yaml::from_str(&read(TESTS)).expect("YAML");
    let cases: Vec<&Value> = tests["tests"]
        .as_array()
        .expect("tests")
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array().expect("cases"))
        .collect();
    for alert in alerts() {
        let of = |fires: bool| {
            cases.iter().any(|case| {
                case["alertname"] == alert["alert"]
                    && case["exp_alerts"].as_array().is_some_and(|expected| expected.is_empty() != fires)
            })
        };
        assert!(of(true), "{TESTS} never has {} fire", name(&alert));
        assert!(of(false), "{TESTS} never has {} not fire", name(&alert));
    }
}

#[test]
fn alerts_name_states_and_limits_that_there_are() {
    let states: Vec<&str> = ScalerState::ALL.iter().map(|state| state.as_str()).collect();
    let limits = [Limit::MaxReplicas, Limit::Partitions, Limit::HotPartition].map(Limit::as_str);
    let mut seen = 0;
    for alert in alerts() {
        let expression = alert["expr"].as_str().expect("an expression");
        let after = |start: &str| -> Vec<String> {
            let parts =
                expression.split(start).skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
            parts.flat_map(|words| words.split('|')).map(str::to_owned).collect()
        };
        for state in after("state=\"") {
            assert!(states.contains(&state.as_str()), "{}: no state is called {state}", name(&alert));
            seen += 1;
        }
        for limit in after("limit=~\"") {
            assert!(limits.contains(&limit.as_str()), "{}: no limit is called {limit}", name(&alert));
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn each_alert_says_how_bad_it_is_and_what_to_do() {
    for alert in alerts() {
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["warning", "critical"].contains(&severity), "{}: severity {severity:?}", name(&alert));
        let text = |key: &str| alert["annotations"][key].as_str().unwrap_or_default().to_owned();
        let (summary, description) = (text("summary"), text("description"));
        assert!((10..130).contains(&summary.len()), "{}: {summary:?}", name(&alert));
        assert!((60..400).contains(&description.len()), "{}: {description:?}", name(&alert));
        assert!(name(&alert).starts_with("Spillway"), "{}", name(&alert));
    }
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let alerts = alerts();
    let names: BTreeSet<String> = alerts.iter().map(|a| name(a).to_owned()).collect();
    let index = read("docs/runbooks/README.md");
    let mut pages = BTreeSet::new();
    for path in files("docs/runbooks", "md") {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name == "README" {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a page");
        assert!(text.starts_with(&format!("# {name}\n")), "{name} does not begin with its name");
        for part in ["## See it", "## Do", "## Meanwhile", "## Ignore it"] {
            let body = text.split_once(&format!("{part}\n")).map(|(_, rest)| rest.split("\n## ").next());
            let body = body.flatten().unwrap_or_default().trim();
            assert!(body.len() > 20, "{name} has nothing under {part:?}");
        }
        assert!(index.contains(&format!("({name}.md)")), "docs/runbooks/README.md does not list {name}");
        pages.insert(name);
    }
    assert_eq!(names, pages);
}

/// Names of metrics of ours in a text: what begins as ours do.
fn named(text: &str) -> BTreeSet<String> {
    let is = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c: char| !is(c)).filter(|word| {
        ["spillway_", "kafka_consumergroup_", "kafka_partition_", "process_"]
            .iter()
            .any(|start| word.starts_with(start) && word.len() > start.len())
    });
    words.map(str::to_owned).collect()
}

/// What a scrape may have: the families, and of a histogram its parts.
fn known() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for family in families() {
        all.insert(family.name.to_owned());
        if family.kind == Kind::Histogram {
            all.extend(["bucket", "sum", "count"].map(|part| format!("{}_{part}", family.name)));
        }
    }
    all
}

fn expressions(dashboard: &Value) -> Vec<String> {
    match dashboard {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value.as_str()) {
                ("expr" | "query" | "definition", Some(text)) => vec![text.to_owned()],
                _ => expressions(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn nothing_asks_for_a_metric_that_there_is_not() {
    let known = known();
    let mut texts: Vec<(String, String)> = Vec::new();
    for alert in alerts() {
        texts.push((name(&alert).to_owned(), alert["expr"].as_str().expect("an expression").to_owned()));
    }
    for path in files("charts/spillway/files/dashboards", "json") {
        let dashboard: Value =
            serde_json::from_str(&fs::read_to_string(&path).expect("a dashboard")).expect("JSON");
        let found = expressions(&dashboard);
        assert!(found.len() > 10, "{}", path.display());
        texts.extend(found.into_iter().map(|text| (path.display().to_string(), text)));
    }
    let named_in_rules: usize = texts.iter().map(|(_, text)| named(text).len()).sum();
    assert!(named_in_rules > 40, "only {named_in_rules} metrics found");
    for tests in [TESTS, releases::TESTS] {
        texts.push((tests.to_owned(), read(tests)));
    }
    for path in files("docs", "md").into_iter().chain(files("docs/runbooks", "md")) {
        texts.push((path.display().to_string(), fs::read_to_string(&path).expect("a page")));
    }
    texts.push(("README.md".to_owned(), read("README.md")));
    for (place, text) in texts {
        for name in named(&text) {
            let of_a_group = name.ends_with('_') && known.iter().any(|k| k.starts_with(&name));
            assert!(known.contains(&name) || of_a_group, "{place}: there is no {name}");
        }
    }
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for family in families() {
        let counter = family.name.ends_with("_total");
        assert_eq!(counter, family.kind == Kind::Counter, "{}", family.name);
        assert!(family.help.ends_with('.'), "{}: {:?}", family.name, family.help);
        // Seconds, bytes and counts: base units alone.
        for other in ["_ms", "_milliseconds", "_minutes", "_percent", "_kb", "_mb"] {
            assert!(!family.name.ends_with(other), "{}", family.name);
        }
        if family.help.contains("in seconds") {
            assert!(family.name.contains("_seconds"), "{}: {:?}", family.name, family.help);
        }
    }
}
