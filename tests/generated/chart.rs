//! The chart as Helm renders it: its values, its definitions, its roles.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use spillway::crd;

use super::{CHART, documents, examples, helm, lost, read, root, run_helm, values, yaml};

#[test]
fn what_artifact_hub_shows_is_true() {
    let chart: Value = yaml(&read(&format!("{CHART}/Chart.yaml")));
    let told = |name: &str| -> Vec<Value> {
        let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str();
        let told = yaml(text.unwrap_or_else(|| panic!("no {name}")));
        told.as_array().unwrap_or_else(|| panic!("{name} is no list")).clone()
    };
    let images: Vec<Value> = told("images").into_iter().map(|image| image["image"].clone()).collect();
    let deployment = helm(&["template", "x", CHART, "--show-only", "templates/deployment.yaml"]);
    assert_eq!(
        images,
        [documents(&deployment)[0]["spec"]["template"]["spec"]["containers"][0]["image"].clone()]
    );

    let definitions = crd::definitions();
    let kinds: Vec<(&str, Option<&str>)> =
        definitions.iter().map(|d| (d.spec.names.kind.as_str(), d.metadata.name.as_deref())).collect();
    let crds = told("crds");
    let shown: Vec<(&str, Option<&str>)> =
        crds.iter().map(|c| (c["kind"].as_str().expect("a kind"), c["name"].as_str())).collect();
    assert_eq!(shown, kinds);
    let examples = told("crdsExamples");
    assert_eq!(
        examples.iter().map(|e| e["kind"].as_str().expect("a kind")).collect::<Vec<_>>(),
        ["ConsumerScaler", "KafkaConnection"]
    );
    examples.iter().for_each(examples::is_as_the_types_are);

    // Each change is one of the changelog.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let changelog = words(&read("CHANGELOG.md"));
    let changes = told("changes");
    assert!(!changes.is_empty());
    for change in changes {
        let description = words(change["description"].as_str().expect("a description"));
        assert!(changelog.contains(&format!("- {description}")), "not in CHANGELOG.md: {description}");
    }
}

#[test]
fn helm_finds_no_fault_with_the_chart() {
    helm(&["lint", "--strict", CHART]);
    for file in ON {
        helm(&["lint", "--strict", CHART, "--values", &format!("{CHART}/ci/{file}")]);
    }
}

#[test]
fn a_misspelt_value_is_refused() {
    let output = run_helm(&["template", "x", CHART, "--set", "replicacount=2"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it was accepted");
    assert!(said.contains("'replicacount' not allowed"), "it said: {said}");
}

/// Twice in a chart of its own, one of them under another name and by a condition; nothing of the one is the other's.
#[test]
fn another_chart_may_have_it_as_parts() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("umbrella");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("charts")).expect("a folder");
    std::os::unix::fs::symlink(root().join(CHART), folder.join("charts/spillway")).expect("a link");
    let part = format!("name: spillway, version: {}", env!("CARGO_PKG_VERSION"));
    let chart = format!(
        "apiVersion: v2\nname: umbrella\nversion: 1.0.0\ndependencies:\n- {{{part}}}\n\
         - {{{part}, alias: spillway-a, condition: spillway-a.enabled}}\n"
    );
    fs::write(folder.join("Chart.yaml"), chart).expect("a chart");
    let folder = folder.to_string_lossy();
    for (enabled, expected) in [("true", vec!["x-spillway", "x-spillway-a"]), ("false", vec!["x-spillway"])] {
        let set = format!("spillway-a.enabled={enabled},spillway-a.crds.enabled=false");
        let args = ["template", "x", &*folder, "--is-upgrade", "--set", &set];
        let deployments = documents(&helm(&args)).into_iter().filter(|o| o["kind"] == "Deployment");
        let mut names: Vec<String> =
            deployments.map(|o| o["metadata"]["name"].as_str().unwrap_or_default().into()).collect();
        names.sort();
        assert_eq!(names, expected);
    }
}

#[test]
fn values_that_no_operator_starts_with_are_refused() {
    for set in ["fullnameOverride=My.App", "lease.duration=1s", "lease.duration=6m", "lease.duration=0s"] {
        let output = run_helm(&["template", "x", CHART, "--set-string", set]);
        assert!(!output.status.success(), "{set} was accepted");
    }
    for set in ["shards=0", "shards=33"] {
        let output = run_helm(&["template", "x", CHART, "--set", set]);
        assert!(!output.status.success(), "{set} was accepted");
    }
    helm(&["template", "x", CHART, "--set", "shards=32"]);
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
            let account = object.pointer("/spec/template/spec/serviceAccountName");
            assert!(account.is_none_or(Value::is_string), "{args:?}: {account:?}");
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
        ("image.repository=null", "missing property 'repository'"),
        ("lease=null", "missing property 'lease'"),
    ] {
        let output = run_helm(&["template", "x", CHART, "--set", set]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Helm writes a path with dots or with slashes.
        assert!(!output.status.success() && said.replace('/', ".").contains(named), "{set}: {said}");
    }
    let filter = "log.level=info\\,spillway::kafka=debug";
    assert!(helm(&["template", "x", CHART, "--set", filter]).contains("info,spillway::kafka=debug"));
}

/// In the words of whoever mends it, and all of them at once; by `helm lint` too.
#[test]
fn what_a_text_must_be_is_said_in_words() {
    for (set, said) in [
        ("nameOverride=Foo_Bar", "nameOverride is \"Foo_Bar\": write lower case letters"),
        ("fullnameOverride=a-", "fullnameOverride is \"a-\": write lower case letters"),
        ("image.digest=sha256:abc", "image.digest is \"sha256:abc\": write sha256: and 64 digits"),
        ("lease.duration=2s", "lease.duration is \"2s\": write a time from 3s to 5m"),
        ("lease.duration=1h", "lease.duration is \"1h\": write a time from 3s to 5m"),
        ("log.level=loud", "log.level is \"loud\": write error, warn, info"),
        ("watchNamespaces={shop,Shop}", "watchNamespaces[1] is \"Shop\": write the name of a namespace"),
        ("rbac.secretNames={a/b}", "rbac.secretNames[0] is \"a/b\": write the name of a Secret"),
        (
            "rbac.extraScaleTargets[0].apiGroup=a/v1,rbac.extraScaleTargets[0].resource=bs",
            "[0].apiGroup is \"a/v1\": write the group",
        ),
        (
            "rbac.extraScaleTargets[0].apiGroup=a,rbac.extraScaleTargets[0].resource=B",
            "[0].resource is \"B\": write the plural",
        ),
        ("metrics.podMonitor.interval=30", "metrics.podMonitor.interval is \"30\": write a time such as 30s"),
        (
            "metrics.serviceMonitor.scrapeTimeout=x",
            "metrics.serviceMonitor.scrapeTimeout is \"x\": write a time",
        ),
        (
            "podDisruptionBudget.maxUnavailable=0%",
            "podDisruptionBudget.maxUnavailable is \"0%\": write a number from 1",
        ),
        ("serviceAccount.create=false", "serviceAccount.name is empty, and serviceAccount.create is false"),
        (
            "grafanaDashboard.namespace=A",
            "grafanaDashboard.namespace is \"A\": write the name of a namespace",
        ),
    ] {
        // Digits alone would be taken for a number.
        let how = if set.ends_with("=30") { "--set-string" } else { "--set" };
        let output = run_helm(&["template", "x", CHART, how, set]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(said), "{set}: {told}");
        assert!(!told.contains('^') && !told.contains("pattern"), "{set}: {told}");
        let lint = run_helm(&["lint", CHART, how, set]);
        // It logs them, with each quote escaped.
        let told = String::from_utf8_lossy(&[lint.stdout, lint.stderr].concat()).replace('\\', "");
        assert!(!lint.status.success() && told.contains(said), "{set}, by helm lint: {told}");
    }
    let output = run_helm(&["template", "x", CHART, "--set", "lease.duration=2s,log.level=loud"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("\n- lease.duration") && told.contains("\n- log.level"), "{told}");
}

/// `null`, or a key with nothing but comments below it: the chart does as well without most, alone or with everything on,
/// and says of the others that they are missing.
#[test]
fn a_value_that_is_taken_away_is_not_missed_or_named() {
    let (needed, others): (Vec<_>, Vec<_>) = values::documented().into_iter().partition(|v| v.is_needed);
    assert!(!needed.is_empty() && others.len() > 80, "{} and {}", needed.len(), others.len());
    let groups = needed.iter().chain(&others).filter_map(|v| v.key.rsplit_once('.'));
    let groups: BTreeSet<String> = groups.map(|(group, _)| group.to_owned()).collect();
    let (spared, groups): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|group| values::SPARED.contains(&group.as_str()));
    for key in groups.into_iter().chain(needed.into_iter().map(|v| v.key)) {
        let output = run_helm(&["template", "x", CHART, "--set", &format!("{key}=null")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let named = format!("missing property '{}'", key.rsplit('.').next().unwrap_or_default());
        assert!(!output.status.success() && said.contains(&named), "{key}: {said}");
    }
    let mut missed = BTreeSet::new();
    let files = [ON[0], ON[1], "../values.yaml"].map(|file| format!("{CHART}/ci/{file}"));
    for (file, key) in files.iter().flat_map(|file| {
        let keys = others.iter().map(|v| &v.key).chain(&spared);
        keys.map(move |key| (file, key.as_str()))
    }) {
        let null = format!("{key}=null");
        let args = ["template", "x", CHART, "--api-versions", "monitoring.coreos.com/v1"];
        let args = [&args[..], &["--values", file, "--set", &null]].concat();
        let output = run_helm(&args);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let words = MISSED.iter().find(|(missed, _)| *missed == key).map(|(_, words)| *words);
            assert!(words.is_some_and(|words| said.contains(words)), "{file} without {key}: {said}");
            missed.insert(key);
            continue;
        }
        for object in documents(&String::from_utf8_lossy(&output.stdout)) {
            let mut empty = Vec::new();
            nothings(&object, "", &mut empty);
            assert!(empty.is_empty(), "{file} without {key}: {} has nothing at {empty:?}", object["kind"]);
        }
    }
    assert_eq!(missed, MISSED.map(|(key, _)| key).into());
    helm(&["template", "x", CHART, "--set", "networkPolicy.kafkaPorts=null"]);
}

/// What something else that is set needs, and what is said then. Of a policy, no ports would be every port.
const MISSED: [(&str, &str); 4] = [
    ("networkPolicy.apiServerPorts", "networkPolicy.apiServerPorts is empty, which would open every port"),
    ("networkPolicy.kafkaPorts", "networkPolicy.kafkaPorts is empty, which would open every port"),
    ("serviceAccount.create", "serviceAccount.name is empty"),
    ("metrics.service.enabled", "needs metrics.service.enabled"),
];

/// Where a value has nothing, or an argument without its value.
fn nothings(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| nothings(v, &join(at, k), into)),
        Value::Array(list) => list.iter().for_each(|v| nothings(v, at, into)),
        Value::String(text) if text.starts_with("--") && text.ends_with('=') => into.push(at.to_owned()),
        Value::Null => into.push(at.to_owned()),
        _ => {}
    }
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
    let mut missing: Vec<String> = values::documented().into_iter().map(|d| d.key).collect();
    for file in ON {
        let file = format!("{CHART}/ci/{file}");
        let values: Value = yaml(&read(&file));
        missing.retain(|key| key.split('.').fold(&values, |at, key| &at[key]).is_null());
        let args = ["template", "x", CHART, "--api-versions", "monitoring.coreos.com/v1", "--values", &file];
        let rendered = helm(&args).replace(['"', '\''], "");
        let mut texts = Vec::new();
        scalars(&values, "", &mut texts);
        for (key, text) in texts {
            let absent = REPLACED.contains(&key.as_str()) || text.contains("{{");
            assert_eq!(
                rendered.contains(&text),
                !absent,
                "{file}: {key}: {text}: left: whether it is in the rendered chart"
            );
        }
    }
    assert!(missing.is_empty(), "in none of {ON:?}: {missing:?}");
}

/// Values files that set everything between them.
const ON: [&str; 2] = ["all-on-values.yaml", "service-monitor-values.yaml"];

/// What is not to be in the rendered chart: the digest replaces the tag; with every Secret allowed there is
/// no list of names; an alert left out; a choice between two behaviours.
const REPLACED: [&str; 4] = ["image.tag", "rbac.secretNames", "prometheusRule.skip", "metrics.ifKindMissing"];

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
        let role = roles.iter().find(|r| r["metadata"]["name"] == "x-spillway.default.page").expect("a role");
        let asks = |group: &str, resource: &str| serde_json::json!({"apiGroups": [group], "resources": [resource], "verbs": ["create"]});
        assert_eq!(
            role["rules"],
            serde_json::json!([
                asks("authentication.k8s.io", "tokenreviews"),
                asks("authorization.k8s.io", "subjectaccessreviews")
            ])
        );
        let bound =
            kinds("ClusterRoleBinding").iter().any(|b| b["roleRef"]["name"] == "x-spillway.default.page");
        assert!(bound, "it is not bound");
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
