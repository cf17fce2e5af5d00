//! What the templates make of the values: every object with everything on, as a snapshot; what values do to
//! each other; and what is refused because it makes no sense together.
//!
//! With the defaults the chart is deploy/install.yaml, which `current` compares. Whether an API server takes
//! the objects is for the end-to-end suite.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::{CHART, documents, helm, root, run_helm};

/// Arguments that make Helm believe that the Prometheus Operator is there.
const MONITORING: [&str; 2] = ["--api-versions", "monitoring.coreos.com/v1"];

/// The objects with these values set.
fn objects(set: &[&str]) -> Vec<Value> {
    documents(&rendered(set))
}

fn rendered(set: &[&str]) -> String {
    let sets: Vec<&str> = set.iter().flat_map(|value| ["--set", value]).collect();
    helm(&[&["template", "x", CHART, "--namespace", "own"], &MONITORING[..], &sets].concat())
}

/// What Helm says when it refuses these values.
fn refused(set: &[&str], more: &[&str]) -> String {
    let sets: Vec<&str> = set.iter().flat_map(|value| ["--set", value]).collect();
    let output = run_helm(&[&["template", "x", CHART], more, &sets].concat());
    assert!(!output.status.success(), "{set:?} was accepted");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A new version changes no snapshot.
fn versionless(text: &str) -> String {
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|o| o["kind"] == kind).collect()
}

fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}: {found:?}");
    found[0]
}

#[test]
fn everything_on() {
    let values = format!("{CHART}/ci/all-on-values.yaml");
    let args =
        ["template", "x", CHART, "--namespace", "own", "--values", &values, "--set", "crds.enabled=false"];
    let text = helm(&[&args[..], &MONITORING].concat());
    // The dashboard is a file of its own.
    let (before, rest) = text.split_once("  spillway.json: |\n").expect("a dashboard");
    let dashboard: String =
        rest.lines().take_while(|l| l.starts_with("    ")).flat_map(|l| [l, "\n"]).collect();
    let parsed: Value = serde_json::from_str(&dashboard).expect("a dashboard in JSON");
    assert!(parsed["panels"].as_array().is_some_and(|panels| panels.len() >= 4), "{dashboard}");
    let text = format!("{before}  spillway.json: (omitted)\n{}", &rest[dashboard.len()..]);
    let text = versionless(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn a_service_monitor() {
    let values = format!("{CHART}/ci/service-monitor-values.yaml");
    let args = ["template", "x", CHART, "--values", &values, "--show-only", "templates/servicemonitor.yaml"];
    let text = versionless(&helm(&[&args[..], &MONITORING].concat()));
    insta::assert_snapshot!(text);
}

#[test]
fn the_digest_wins_and_an_empty_tag_is_the_version() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let with_digest = format!("image.digest={digest}");
    for (set, image) in [
        (vec![], format!("spillway.dev/spillway:{}", env!("CARGO_PKG_VERSION"))),
        (vec!["image.tag=v9"], "spillway.dev/spillway:v9".into()),
        (vec!["image.tag=v9", &with_digest], format!("spillway.dev/spillway@{digest}")),
    ] {
        let all = objects(&set);
        let container = &only(&all, "Deployment")["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], json!(image), "{set:?}");
    }
}

#[test]
fn a_budget_is_for_more_than_one_pod() {
    for (set, budgets) in [
        (vec![], 0),
        (vec!["replicaCount=0"], 0),
        (vec!["replicaCount=2"], 1),
        (vec!["replicaCount=2", "podDisruptionBudget.enabled=false"], 0),
    ] {
        assert_eq!(of_kind(&objects(&set), "PodDisruptionBudget").len(), budgets, "{set:?}");
    }
}

#[test]
fn the_right_to_leases_is_to_those_of_the_shards() {
    for (set, names, argument) in [
        (vec![], vec!["x-spillway"], None),
        (
            vec!["shards=3"],
            vec!["x-spillway", "x-spillway-shard-1", "x-spillway-shard-2"],
            Some("--shards=3"),
        ),
    ] {
        let all = objects(&set);
        let role = of_kind(&all, "Role").into_iter().find(|r| r["metadata"]["name"] == "x-spillway-lease");
        assert_eq!(role.expect("the Role")["rules"][0]["resourceNames"], json!(names), "{set:?}");
        let args = &only(&all, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
        let given = args.as_array().expect("arguments").iter().filter_map(Value::as_str);
        assert_eq!(given.clone().find(|a| a.starts_with("--shards")), argument, "{given:?}");
    }
}

#[test]
fn pods_spread_by_the_labels_of_the_release_unless_told_otherwise() {
    let spread = |set: &[&str]| {
        let all = objects(set);
        only(&all, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"][0].clone()
    };
    let seen = spread(&[]);
    assert_eq!(seen["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(seen["whenUnsatisfiable"], "ScheduleAnyway");
    let own =
        json!({"matchLabels": {"app.kubernetes.io/name": "spillway", "app.kubernetes.io/instance": "x"}});
    assert_eq!(seen["labelSelector"], own);
    let selector = "topologySpreadConstraints[0].labelSelector.matchLabels.app=other";
    let more = "topologySpreadConstraints[0].topologyKey=zone,topologySpreadConstraints[0].maxSkew=1,topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule";
    assert_eq!(spread(&[more, selector])["labelSelector"], json!({"matchLabels": {"app": "other"}}));
    assert_eq!(spread(&["topologySpreadConstraints=null"]), Value::Null);
}

#[test]
fn with_namespaces_named_there_is_no_right_beyond_them() {
    let all = objects(&["watchNamespaces={shop,billing}"]);
    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        assert!(of_kind(&all, kind).is_empty(), "{kind}");
    }
    for kind in ["Role", "RoleBinding"] {
        let mut at: Vec<&str> =
            of_kind(&all, kind).iter().filter_map(|o| o["metadata"]["namespace"].as_str()).collect();
        at.sort_unstable();
        assert_eq!(at, ["billing", "own", "shop"], "{kind}");
    }
    let everywhere = objects(&[]);
    let (wide, narrow) = (only(&everywhere, "ClusterRole"), of_kind(&all, "Role"));
    let same = narrow.iter().filter(|role| role["rules"] == wide["rules"]);
    assert_eq!(same.count(), 2, "in each namespace the same as otherwise everywhere");
}

#[test]
fn aggregated_roles_are_for_people() {
    let all = objects(&["rbac.aggregateToDefaultRoles=true"]);
    let bound: Vec<&Value> = ["RoleBinding", "ClusterRoleBinding"]
        .iter()
        .flat_map(|k| of_kind(&all, k))
        .map(|b| &b["roleRef"]["name"])
        .collect();
    let to = |role: &Value, name: &str| {
        role["metadata"]["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{name}")] == "true"
    };
    let mut seen = 0;
    for role in of_kind(&all, "ClusterRole") {
        let writes =
            ["create", "update", "patch", "delete"].iter().any(|v| role["rules"].to_string().contains(v));
        if to(role, "admin") {
            seen += 1;
            assert!(!bound.contains(&&role["metadata"]["name"]), "{role}");
            assert!(to(role, "edit") && to(role, "view") != writes, "{role}");
            assert!(!role["rules"].to_string().contains("/status"), "{role}");
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn a_prometheus_finds_the_pods_in_one_way_only() {
    let marked = |set: &[&str]| {
        let all = objects(set);
        only(&all, "Deployment")["spec"]["template"]["metadata"]["annotations"]["prometheus.io/scrape"]
            == "true"
    };
    assert!(marked(&[]));
    assert!(!marked(&["metrics.podMonitor.enabled=true"]));
    assert!(!marked(&["metrics.serviceMonitor.enabled=true"]));
    let all = objects(&["podAnnotations.prometheus\\.io/scrape=never"]);
    let annotations = &only(&all, "Deployment")["spec"]["template"]["metadata"]["annotations"];
    let own = json!({"prometheus.io/scrape": "never", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics"});
    assert_eq!(annotations, &own, "each once, and the user's wins");
    let both =
        refused(&["metrics.podMonitor.enabled=true", "metrics.serviceMonitor.enabled=true"], &MONITORING);
    assert!(both.contains("scraped twice: set one of them"), "{both}");
    let none =
        refused(&["metrics.serviceMonitor.enabled=true", "metrics.service.enabled=false"], &MONITORING);
    assert!(none.contains("needs metrics.service.enabled"), "{none}");
}

#[test]
fn a_kind_that_the_cluster_does_not_know_is_told_or_skipped() {
    for (set, kind) in [
        ("metrics.podMonitor.enabled=true", "PodMonitor"),
        ("metrics.serviceMonitor.enabled=true", "ServiceMonitor"),
        ("prometheusRule.enabled=true", "PrometheusRule"),
    ] {
        let said = refused(&[set], &[]);
        let asks = set.trim_end_matches("=true");
        assert!(
            said.contains(&format!("{asks} asks for a {kind}")) && said.contains("ifKindMissing"),
            "{said}"
        );
        let skip = "metrics.ifKindMissing=Skip";
        let without = documents(&helm(&["template", "x", CHART, "--set", set, "--set", skip]));
        assert!(of_kind(&without, kind).is_empty());
        assert_eq!(of_kind(&without, "Deployment").len(), 1);
        assert_eq!(of_kind(&objects(&[set, skip]), kind).len(), 1, "where it is known it is made");
    }
}

#[test]
fn alerts_can_be_left_out_by_name() {
    let names = |set: &[&str]| -> Vec<String> {
        let all = objects(set);
        let groups = only(&all, "PrometheusRule")["spec"]["groups"].clone();
        let rules =
            groups.as_array().expect("groups").iter().flat_map(|g| g["rules"].as_array().expect("rules"));
        rules.map(|r| r["alert"].as_str().expect("a name").to_owned()).collect()
    };
    let all = names(&["prometheusRule.enabled=true"]);
    assert!(all.len() >= 7, "{all:?}");
    let fewer = names(&["prometheusRule.enabled=true", "prometheusRule.skip={SpillwayDown,SpillwayBlind}"]);
    let expected: Vec<&String> =
        all.iter().filter(|n| *n != "SpillwayDown" && *n != "SpillwayBlind").collect();
    assert_eq!(fewer.iter().collect::<Vec<_>>(), expected);
    let said = refused(&["prometheusRule.enabled=true", "prometheusRule.skip={SpillwayDwon}"], &MONITORING);
    assert!(said.contains("names SpillwayDwon, and there is no such alert"), "{said}");
}

#[test]
fn the_address_of_a_runbook_has_the_alert_at_its_end_or_where_it_is_asked_for() {
    let first = |url: &str| {
        let all = objects(&["prometheusRule.enabled=true", &format!("prometheusRule.runbookUrl={url}")]);
        only(&all, "PrometheusRule")["spec"]["groups"][0]["rules"][0]["annotations"]["runbook_url"].clone()
    };
    assert_eq!(first(""), Value::Null);
    assert_eq!(first("https://a.test/b/"), "https://a.test/b/SpillwayDown");
    assert_eq!(first("https://a.test/\\{alert\\}.md"), "https://a.test/SpillwayDown.md");
}

/// The objects with everything on that goes together, in two ways; those of `extraObjects` are the user's own.
fn with_everything(more: &[&str]) -> Vec<Vec<Value>> {
    let values = format!("{CHART}/ci/all-on-values.yaml");
    let all =
        ["template", "x", CHART, "--namespace", "own", "--values", &values, "--set", "extraObjects=null"];
    let sets: Vec<&str> = more.iter().flat_map(|value| ["--set", value]).collect();
    let other = "watchNamespaces=null,metrics.podMonitor.enabled=false,metrics.serviceMonitor.enabled=true";
    let ways = [&[][..], &["--set", other][..]];
    let texts = ways.map(|way| helm(&[&all[..], &MONITORING, &sets, way].concat()));
    let templates = fs::read_dir(root().join(CHART).join("templates")).expect("templates");
    for template in templates.map(|t| t.expect("a template").file_name().to_string_lossy().into_owned()) {
        let none =
            template.starts_with('_') || ["NOTES.txt", "extraobjects.yaml"].contains(&template.as_str());
        let source = format!("# Source: spillway/templates/{template}\n");
        assert!(none || texts.iter().any(|text| text.contains(&source)), "{template} renders nothing");
    }
    texts.iter().map(|text| documents(text)).collect()
}

#[test]
fn labels_and_annotations_for_all_are_on_all_and_select_nothing() {
    let ways = with_everything(&[
        "nameOverride=null",
        "fullnameOverride=null",
        "commonLabels.team=a",
        "commonLabels.app\\.kubernetes\\.io/name=wrong",
        "podLabels.app\\.kubernetes\\.io/instance=wrong",
        "commonAnnotations.note=b",
    ]);
    for object in ways.iter().flatten() {
        let metadata = &object["metadata"];
        assert_eq!(metadata["labels"]["team"], "a", "{} {metadata}", object["kind"]);
        assert_eq!(metadata["labels"]["app.kubernetes.io/name"], "spillway", "{metadata}");
        assert_eq!(metadata["annotations"]["note"], "b", "{} {metadata}", object["kind"]);
    }
    let selected = json!({"app.kubernetes.io/name": "spillway", "app.kubernetes.io/instance": "x"});
    let spec = &only(&ways[0], "Deployment")["spec"];
    assert_eq!(spec["selector"]["matchLabels"], selected);
    assert_eq!(spec["template"]["metadata"]["labels"]["team"], "a");
    for (way, kind, at) in [
        (0, "Service", "/spec/selector"),
        (0, "PodDisruptionBudget", "/spec/selector/matchLabels"),
        (0, "NetworkPolicy", "/spec/podSelector/matchLabels"),
        (0, "PodMonitor", "/spec/selector/matchLabels"),
        (1, "ServiceMonitor", "/spec/selector/matchLabels"),
    ] {
        assert_eq!(only(&ways[way], kind).pointer(at), Some(&selected), "{kind}");
    }
    for (label, value) in selected.as_object().expect("labels") {
        assert_eq!(&spec["template"]["metadata"]["labels"][label], value, "pods are what is selected");
    }
}

/// Which object it is: Helm refuses one that another release has.
fn identity(object: &Value) -> (String, String, String) {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

#[test]
fn releases_of_one_name_in_two_namespaces_claim_no_object_twice() {
    let values = format!("{CHART}/ci/all-on-values.yaml");
    let claimed = |namespace: &str, watched: &str, crds: bool| -> BTreeSet<_> {
        let (watched, crds) = (format!("watchNamespaces={watched}"), format!("crds.enabled={crds}"));
        let args = ["template", "spillway", CHART, "--namespace", namespace, "--values", &values];
        let text = helm(&[&args[..], &MONITORING, &["--set", &watched, "--set", &crds]].concat());
        documents(&text).iter().map(identity).collect()
    };
    // A sidecar goes by the file's name and Grafana by the dashboard's uid: two would be one, so one release has it.
    let dashboard = |claimed: &BTreeSet<(String, String, String)>| {
        let found = claimed.iter().find(|(_, _, name)| name == "floodgate-dashboard").cloned();
        found.expect("a dashboard of the release's name, whatever its namespace")
    };
    for (one, other) in [("null", "null"), ("{shop}", "{billing}"), ("{team-b}", "{billing}")] {
        let first = claimed("team-a", one, true);
        assert!(first.len() >= 18 && first.iter().any(|(_, namespace, _)| namespace.is_empty()), "{first:?}");
        let second = claimed("team-b", other, false);
        let both: Vec<_> = first.intersection(&second).cloned().collect();
        assert_eq!(both, [dashboard(&first)], "watching {one} and {other}");
        // The definitions are one release's.
        let both = first.intersection(&claimed("team-b", other, true)).cloned().collect::<Vec<_>>();
        let kinds: Vec<&str> = both.iter().map(|(kind, ..)| kind.as_str()).collect();
        assert_eq!(kinds, ["ConfigMap", "CustomResourceDefinition", "CustomResourceDefinition"], "{both:?}");
    }
    // What two names would make of the same letters.
    let wide = |release: &str, namespace: &str| {
        let args = ["template", release, CHART, "--namespace", namespace];
        identity(only(&documents(&helm(&args)), "ClusterRole"))
    };
    assert_ne!(wide("spillway-a", "b"), wide("spillway", "a-b"));
    // A colon is Kubernetes' own: `system:` begins its roles.
    assert_eq!(wide("spillway", "system").2, "spillway.system");
}

/// What is in the cluster decides nothing: whoever may change the release's own objects may upgrade it, next to whatever is
/// there. Without a right to look, `lookup` fails.
#[test]
fn an_upgrade_is_refused_for_nothing_that_is_in_the_cluster() {
    let templates = fs::read_dir(root().join(CHART).join("templates")).expect("templates");
    let texts = templates.map(|t| fs::read_to_string(t.expect("a template").path()).expect("a text"));
    let looking: Vec<String> = texts.filter(|text| text.contains("lookup")).collect();
    assert!(looking.is_empty(), "{looking:?}");
}

#[test]
fn more_objects_are_rendered_whether_they_are_maps_or_texts() {
    let values = r#"extraObjects=[
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{{ .Release.Name }}-map"}},
        "apiVersion: v1\nkind: Secret\nmetadata: {name: '{{ .Release.Name }}-text'}"]"#;
    let all = documents(&helm(&["template", "x", CHART, "--set-json", values]));
    let names: Vec<&Value> = of_kind(&all, "Secret").iter().map(|s| &s["metadata"]["name"]).collect();
    assert_eq!(names, [&json!("x-map"), &json!("x-text")]);
}

#[test]
fn a_policy_of_the_network_lets_in_scrapes_and_out_what_is_needed() {
    let all = objects(&["networkPolicy.enabled=true", "networkPolicy.kafkaPorts={9098}"]);
    let policy = &only(&all, "NetworkPolicy")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let container = &only(&all, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(policy["ingress"][0]["ports"][0]["port"], container["ports"][0]["name"]);
    let out: Vec<&Value> = policy["egress"]
        .as_array()
        .expect("rules")
        .iter()
        .flat_map(|r| r["ports"].as_array().expect("ports"))
        .map(|p| &p["port"])
        .collect();
    assert_eq!(out, [&json!(53), &json!(53), &json!(443), &json!(6443), &json!(9098)]);
}
