//! What Helm says after an installation and after an upgrade.
//!
//! Helm shows notes of an upgrade only where there is a release: here they are rendered as a template of a copy of the
//! chart. That an upgrade of a real release shows them is for the end-to-end suite.

use std::fs;
use std::path::{Path, PathBuf};

use super::{CHART, documents, helm, root};

/// A copy of the chart whose notes are the value of a document.
fn copy() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("notes");
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir_all(copy.join("templates")).expect("a folder");
    let chart = root().join(CHART);
    for file in ["Chart.yaml", "values.yaml", "values.schema.json", "templates/_helpers.tpl"] {
        fs::copy(chart.join(file), copy.join(file)).expect("a copy");
    }
    let notes = fs::read_to_string(chart.join("templates/NOTES.txt")).expect("notes");
    let define = format!("{{{{- define \"notes\" -}}}}\n{notes}{{{{- end }}}}\n");
    fs::write(copy.join("templates/_notes.tpl"), define).expect("a template");
    fs::write(copy.join("templates/notes.yaml"), "notes: {{ include \"notes\" . | toJson }}\n")
        .expect("a template");
    copy
}

fn notes(copy: &Path, more: &[&str]) -> String {
    let copy = copy.to_string_lossy();
    let args = ["template", "x", &*copy, "--namespace", "own"];
    let rendered = helm(&[&args[..], more].concat());
    documents(&rendered)[0]["notes"].as_str().expect("a text").to_owned()
}

#[test]
fn the_first_steps_are_said_once_and_an_upgrade_says_what_it_needs() {
    let copy = copy();
    let everything =
        "page.enabled=true,networkPolicy.enabled=true,rbac.secretNames={a,b},watchNamespaces={shop}";
    let first = notes(&copy, &["--set", everything]);
    for said in [
        "being started in namespace own",
        "rollout status deployment/x-spillway",
        "the namespaces shop.",
        "kind: ConsumerScaler",
        "port-forward deployment/x-spillway 8080",
        "the Secrets named a, b;",
        "on the ports 9092, 9093, 9094 only",
    ] {
        assert!(first.contains(said), "not said: {said:?}\n{first}");
    }
    let upgrade = notes(&copy, &["--is-upgrade", "--set", everything]);
    for said in [
        "takes over in namespace own",
        "rollout status deployment/x-spillway",
        "the namespaces shop.",
        "neither --reset-then-reuse-values nor --reuse-values",
        "definitions were upgraded too",
        "helm rollback x -n own",
    ] {
        assert!(upgrade.contains(said), "not said: {said:?}\n{upgrade}");
    }
    assert!(upgrade.lines().count() <= 8, "briefly:\n{upgrade}");
    for step in ["kind: ConsumerScaler", "DryRun", "port-forward", "secretNames"] {
        assert!(!upgrade.contains(step), "a first step: {step}\n{upgrade}");
    }
}

#[test]
fn notes_say_what_is_left_to_do_by_hand() {
    let copy = copy();
    for (when, said) in [
        (&[][..], "apply deploy/crds.yaml yourself"),
        (&["--is-upgrade"], "deploy/crds.yaml of this version too"),
    ] {
        let text = notes(&copy, &[when, &["--set", "crds.enabled=false,shards=3"]].concat());
        for said in [said, "One pod has all 3 shards"] {
            assert!(text.contains(said), "not said: {said:?}\n{text}");
        }
        let text = notes(&copy, &[when, &["--set", "shards=3,replicaCount=2"]].concat());
        assert!(!text.contains("crds.yaml") && !text.contains("all 3 shards"), "{text}");
    }
}
