//! Alerts and dashboards speak of metrics that there are, in words that there are, and alerts fire when they
//! should and not otherwise.
//!
//! promtool runs the rules on made-up series (`alerts-test.yaml`). That a real operator makes such series is for
//! the end-to-end suite.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use spillway::decide::ScalerState;

use super::{CHART, cache, read, root, yaml};

/// The metrics that the sources name.
fn metrics() -> BTreeSet<String> {
    let folder = root().join("src/report/metrics");
    let mut found = BTreeSet::new();
    for file in fs::read_dir(&folder).expect("the metrics") {
        let path = file.expect("an entry").path();
        if path.file_name().is_some_and(|name| name != "tests.rs" && name != "fixture.rs") && path.is_file() {
            let text = fs::read_to_string(&path).expect("a file");
            found.extend(text.split('"').filter(|word| is_metric(word)).map(str::to_owned));
        }
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

fn is_metric(word: &str) -> bool {
    let ours = word.starts_with("spillway_") || word.starts_with("kafka_");
    ours && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// What an expression names that looks like a metric.
fn named(expression: &str) -> Vec<&str> {
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| is_metric(word))
        .collect()
}

/// The alerts, each with its name.
pub fn alerts() -> Vec<(String, Value)> {
    let rules: Value = yaml(&read(&format!("{CHART}/files/alerts.yaml")));
    let groups = rules["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    rules.map(|rule| (rule["alert"].as_str().expect("a name").to_owned(), rule.clone())).collect()
}

/// Every `expr` in a dashboard.
fn expressions(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            into.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| expressions(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| expressions(value, into)),
        _ => {}
    }
}

#[test]
fn alerts_and_dashboards_name_metrics_that_there_are() {
    let there = metrics();
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, rule) in alerts() {
        all.push((name, rule["expr"].as_str().expect("an expression").to_owned()));
    }
    let dashboards = root().join(format!("{CHART}/files/dashboards"));
    for file in fs::read_dir(dashboards).expect("dashboards") {
        let path = file.expect("an entry").path();
        let board: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a file")).expect("JSON");
        let mut found = Vec::new();
        expressions(&board, &mut found);
        assert!(!found.is_empty(), "{}", path.display());
        all.extend(found.into_iter().map(|expression| (path.display().to_string(), expression)));
    }
    for (place, expression) in &all {
        let names = named(expression);
        assert!(!names.is_empty(), "{place}: {expression}");
        for name in names {
            // A histogram has these.
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let known = there.contains(name) || base.is_some_and(|base| there.contains(base));
            assert!(known, "{place}: there is no {name}: {expression}");
        }
    }
}

#[test]
fn alerts_name_states_that_there_are() {
    let states: Vec<&str> = ScalerState::ALL.iter().map(|state| state.as_str()).collect();
    let mut seen = 0;
    for (name, rule) in alerts() {
        let expression = rule["expr"].as_str().expect("an expression");
        for rest in expression.split("state=\"").skip(1) {
            let state = rest.split('"').next().unwrap_or_default();
            assert!(states.contains(&state), "{name}: no state is called {state}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_it_means() {
    for (name, rule) in alerts() {
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("critical" | "warning")), "{name}: {severity:?}");
        for annotation in ["summary", "description"] {
            assert!(rule["annotations"][annotation].as_str().is_some_and(|text| text.len() > 20), "{name}");
        }
    }
}

#[test]
fn alerts_fire_when_they_should_and_not_otherwise() {
    let tests = yaml(&read("tests/generated/alerts-test.yaml")).to_string();
    for (name, _) in alerts() {
        assert!(tests.contains(&format!("\"alertname\":\"{name}\"")), "{name} is not tried");
    }
    let promtool = cache().join("prometheus/usr/bin/promtool");
    let run = |args: &[&str]| {
        let output = Command::new(&promtool).args(args).current_dir(root()).output();
        let output = output.unwrap_or_else(|e| panic!("{}: {e}: `make unit` builds it", promtool.display()));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "promtool {}:\n{said}", args.join(" "));
    };
    run(&["check", "rules", "--lint-fatal", &format!("{CHART}/files/alerts.yaml")]);
    run(&["test", "rules", "tests/generated/alerts-test.yaml"]);
}
