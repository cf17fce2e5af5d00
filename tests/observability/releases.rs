//! The alerts as the chart renders them for two releases in one cluster: each is about its own alone.
//!
//! How long each waits and when it fires is held on the file they are made from, in alerts.yaml.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{cache, promtool, read, root};

pub const TESTS: &str = "tests/observability/releases.yaml";

/// The rules of a release called spillway in this namespace, as a rule file.
fn rules(namespace: &str, sets: &[&str]) -> String {
    let helm = cache().join("bin/helm");
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let output = Command::new(&helm)
        .args(["template", "spillway", "charts/spillway", "--namespace", namespace])
        .args(["--api-versions", "monitoring.coreos.com/v1", "--set", "prometheusRule.enabled=true"])
        .args(["--show-only", "templates/prometheusrule.yaml"])
        .args(sets)
        .current_dir(root())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}: `make build` builds it", helm.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rule: Value = serde_yaml::from_slice(&output.stdout).expect("a PrometheusRule");
    serde_yaml::to_string(&rule["spec"]).expect("YAML")
}

#[test]
fn each_release_has_alerts_of_its_own() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("releases");
    fs::create_dir_all(&folder).expect("a folder");
    for (team, namespace) in [("a", "shop"), ("b", "billing")] {
        let (label, watched) =
            (format!("prometheusRule.alertLabels.team={team}"), format!("watchNamespaces={{{namespace}}}"));
        let rules = rules(&format!("team-{team}"), &[&label, &watched]);
        let file = folder.join(format!("team-{team}.yaml"));
        fs::write(&file, rules).expect("a rule file");
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", &file.to_string_lossy()]);
    }
    let tests = folder.join("tests.yaml");
    fs::write(&tests, read(TESTS)).expect("the tests");
    promtool(&["test", "rules", &tests.to_string_lossy()]);
}

/// Whatever a rule selects: by the lease what a pod says of itself, by the namespaces what it says of scalers.
#[test]
fn whatever_is_selected_is_the_releases_own() {
    let of_lease = [
        "spillway_leader{lease=~\"own/spillway|\"}",
        "spillway_shard_owned{lease=\"own/spillway\"}",
        "spillway_shard_owned{lease=\"\"}",
    ];
    let selector = regex::Regex::new(r"spillway_[a-z_]+(\{[^}]*\})?").expect("a pattern");
    for (sets, of_scalers) in [
        (
            vec!["watchNamespaces={shop,billing}", "prometheusRule.alertLabels.lease=mine"],
            "{namespace=~\"shop|billing|own\"",
        ),
        (vec!["prometheusRule.alertLabels.lease=mine"], ""),
    ] {
        let rules: Value = serde_yaml::from_str(&rules("own", &sets)).expect("YAML");
        let rules = rules["groups"].as_array().expect("groups").iter();
        let (mut leases, mut scalers) = (0, 0);
        for rule in rules.flat_map(|group| group["rules"].as_array().expect("rules")) {
            let expression = rule["expr"].as_str().expect("an expression");
            let selected: Vec<&str> = selector.find_iter(expression).map(|m| m.as_str()).collect();
            let by_lease = selected.iter().filter(|s| of_lease.contains(s)).count();
            let scaler = |s: &&&str| s.starts_with("spillway_scaler_") && s.contains(of_scalers);
            let by_namespace = selected.iter().filter(scaler).count();
            assert!(!selected.is_empty() && by_lease + by_namespace == selected.len(), "{expression}");
            // What says which release it is; where it is about scalers the label is the user's own.
            let label = if by_lease > 0 { "own/spillway" } else { "mine" };
            assert_eq!(rule["labels"]["lease"], label, "{expression}");
            (leases, scalers) = (leases + by_lease, scalers + by_namespace);
        }
        assert_eq!(leases, of_lease.len());
        assert!(scalers >= 15, "{scalers}");
    }
}

/// Without a list of namespaces a release speaks of every scaler.
#[test]
fn a_release_for_all_namespaces_leaves_none_out() {
    let rules = rules("spillway-system", &[]);
    assert!(rules.contains("spillway_leader{lease=~\"spillway-system/spillway|\"}"), "{rules}");
    assert!(!rules.contains("namespace=~"), "{rules}");
}
