//! The chart as Helm renders it: its values, its definitions, its roles.

use std::collections::BTreeSet;

use serde_json::Value;
use spillway::crd;

use super::{CHART, documents, helm, lost, read, run_helm, yaml};

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
    assert_eq!(used, documented, "left: values.yaml, right: keys with a `# --` comment above");
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
    assert!(said.contains("'replicacount' not allowed"), "it said: {said}");
}

#[test]
fn values_that_no_operator_starts_with_are_refused() {
    for set in ["fullnameOverride=My.App", "lease.duration=1s", "lease.duration=6m", "lease.duration=0s"] {
        let output = run_helm(&["template", "x", CHART, "--set-string", set]);
        assert!(!output.status.success(), "{set} was accepted");
    }
    for set in ["fullnameOverride=my-app", "lease.duration=3s", "lease.duration=1m30s", "lease.duration=300s"]
    {
        helm(&["template", "x", CHART, "--set-string", set]);
    }
}

#[test]
fn names_fit_whatever_the_release_is_called() {
    let long = "x".repeat(53);
    let longest = format!("fullnameOverride={}", "x".repeat(63));
    for args in [vec!["2024"], vec!["v1.2"], vec![long.as_str()], vec!["x", "--set", longest.as_str()]] {
        let args = [&["template"], &args[..], &[CHART, "--set-string", "nameOverride=2024"]].concat();
        for object in documents(&helm(&args)) {
            let metadata = &object["metadata"];
            let labels = metadata["labels"].as_object().expect("labels");
            assert!(labels.values().all(Value::is_string), "{args:?}: {labels:?}");
            let name = metadata["name"].as_str().unwrap_or_else(|| panic!("{args:?}: {metadata}"));
            if object["kind"] == "Service" {
                let fits = name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase());
                assert!(fits && !name.contains('.'), "{args:?}: {name}");
            }
        }
    }
}

#[test]
fn what_the_api_server_or_the_operator_would_refuse_is_refused_before() {
    for (set, named) in [
        ("log.level=info\\,\\,=", "log.level"),
        ("log.level=verbose", "log.level"),
        ("nameOverride=Foo_Bar", "nameOverride"),
        ("resources.limit.memory=1Gi", "'limit' not allowed"),
    ] {
        let output = run_helm(&["template", "x", CHART, "--set", set]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Helm writes a path with dots or with slashes.
        assert!(!output.status.success() && said.replace('/', ".").contains(named), "{set}: {said}");
    }
    let filter = "log.level=info\\,spillway::kafka=debug";
    assert!(helm(&["template", "x", CHART, "--set", filter]).contains("info,spillway::kafka=debug"));
}

#[test]
fn a_strategy_of_recreate_has_no_rolling_update() {
    let rendered = helm(&["template", "x", CHART, "--set", "strategy.type=Recreate"]);
    let deployment = documents(&rendered).into_iter().find(|o| o["kind"] == "Deployment");
    let strategy = deployment.expect("a Deployment")["spec"]["strategy"].clone();
    assert_eq!(strategy, serde_json::json!({"type": "Recreate"}));
}

#[test]
fn every_value_reaches_a_template() {
    let all_on = format!("{CHART}/ci/all-on-values.yaml");
    let values: Value = yaml(&read(&all_on));
    for (key, ..) in documented_values() {
        let set = key.split('.').fold(&values, |at, key| &at[key]);
        assert!(!set.is_null(), "{key} is not in {all_on}");
    }
    let rendered = helm(&["template", "x", CHART, "--values", &all_on]).replace(['"', '\''], "");
    let mut texts = Vec::new();
    scalars(&values, "", &mut texts);
    for (key, text) in texts {
        // The digest replaces the tag; with every Secret allowed there is no list of names.
        let replaced = key == "image.tag" || key == "rbac.secretNames";
        assert_eq!(
            rendered.contains(&text),
            !replaced,
            "{key}: {text}: left: whether it is in the rendered chart"
        );
    }
}

#[test]
fn the_charts_definitions_are_kept_and_say_the_same() {
    let rendered = helm(&["template", "x", CHART, "--show-only", "templates/crds.yaml"]);
    let expected: Vec<Value> =
        crd::definitions().iter().map(|d| serde_json::to_value(d).expect("a definition")).collect();
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
        for verb in ["delete", "deletecollection", "escalate", "bind", "impersonate"] {
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
fn the_page_is_off_until_it_is_asked_for_and_then_asks_who_is_there() {
    let off = helm(&["template", "x", CHART]);
    for word in ["--page", "tokenreviews", "subjectaccessreviews"] {
        assert!(!off.contains(word), "{word} in the chart with its defaults");
    }
    for more in [&[][..], &["--set", "watchNamespaces={shop}"]] {
        let args = [&["template", "x", CHART, "--set", "page.enabled=true"], more].concat();
        let objects = documents(&helm(&args));
        let kinds = |kind: &str| objects.iter().filter(|o| o["kind"] == kind).cloned().collect::<Vec<_>>();
        let args = &kinds("Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["args"];
        assert!(args.as_array().is_some_and(|a| a.iter().any(|a| a == "--page=authenticated")), "{args}");
        let roles = kinds("ClusterRole");
        let role = roles.iter().find(|r| r["metadata"]["name"] == "x-spillway-page").expect("a role");
        let asks = |group: &str, resource: &str| serde_json::json!({"apiGroups": [group], "resources": [resource], "verbs": ["create"]});
        assert_eq!(
            role["rules"],
            serde_json::json!([
                asks("authentication.k8s.io", "tokenreviews"),
                asks("authorization.k8s.io", "subjectaccessreviews")
            ])
        );
        let bound = kinds("ClusterRoleBinding").iter().any(|b| b["roleRef"]["name"] == "x-spillway-page");
        assert!(bound, "it is not bound");
    }
}

/// The values with a `# --` comment above them: key, default, meaning.
pub fn documented_values() -> Vec<(String, String, String)> {
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
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}
