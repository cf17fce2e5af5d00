//! The invariants of ARCHITECTURE.md that a reader of the source can check.

use std::path::{Path, PathBuf};

fn sources(under: &str) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("source is UTF-8");
                out.push((path, text));
            }
        }
    }
    let mut out = Vec::new();
    let under_root = Path::new(env!("CARGO_MANIFEST_DIR")).join(under);
    if under_root.is_file() {
        let text = std::fs::read_to_string(&under_root).expect("source is UTF-8");
        return vec![(under_root, text)];
    }
    walk(&under_root, &mut out);
    assert!(!out.is_empty(), "no sources under {under}");
    out
}

/// Lines of code that contain one of the words, comments left out. A `use` of several names is read as one
/// of each.
fn naming(under: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(under) {
        for (at, _) in text.match_indices("use crate::{") {
            let names = text[at..].split(';').next().unwrap_or_default().trim_start_matches("use crate::{");
            let each = names.split([',', '{', '}']).map(|name| format!("crate::{}\n", name.trim()));
            let each: String = each.collect();
            for word in words.iter().filter(|word| each.contains(**word)) {
                found.push(format!("{}:{}: {word}", path.display(), text[..at].lines().count()));
            }
        }
        for (i, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words {
                if code.contains(word) {
                    found.push(format!("{}:{}: {}", path.display(), i + 1, line.trim()));
                }
            }
        }
    }
    found
}

#[track_caller]
fn none(found: Vec<String>, why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn deciding_is_pure() {
    let words = [
        "kube",
        "rdkafka",
        "tokio",
        "prometheus",
        "tracing",
        "Instant",
        "SystemTime",
        "crate::clock",
        "async ",
        "std::env",
    ];
    none(naming("src/decide", &words), "decide names no Kubernetes, Kafka, clock, async or logging");
}

#[test]
fn kafka_and_cluster_do_not_know_each_other() {
    none(
        naming("src/kafka", &["crate::cluster", "kube::", "crate::reconcile"]),
        "kafka knows nothing of Kubernetes",
    );
    none(
        naming("src/cluster", &["crate::kafka", "rdkafka", "crate::reconcile"]),
        "cluster knows nothing of Kafka",
    );
}

#[test]
fn reporting_decides_nothing_and_talks_to_nobody() {
    none(
        naming("src/report", &["kube::Client", "rdkafka", "tokio::", "crate::kafka", "crate::cluster"]),
        "report is pure",
    );
}

#[test]
fn what_is_checked_carried_over_and_explained_are_values() {
    for module in ["src/check", "src/migrate", "src/explain", "src/yaml.rs"] {
        let words = [
            "kube::Client",
            "rdkafka",
            "tokio",
            "crate::kafka",
            "crate::cluster",
            "crate::reconcile",
            "crate::cli",
            "std::fs",
            "std::io",
            "std::env",
            "SystemTime",
            "Instant",
        ];
        let found: Vec<String> =
            naming(module, &words).into_iter().filter(|line| !line.contains("/tests.rs:")).collect();
        none(found, "files, servers and the clock are the command's");
    }
    let under =
        ["src/api", "src/decide", "src/kafka", "src/cluster", "src/report", "src/reconcile", "src/simulate"];
    for module in under {
        none(
            naming(module, &["crate::cli", "crate::check", "crate::migrate", "crate::explain"]),
            "nothing below the command line knows it",
        );
    }
}

#[test]
fn simulating_knows_no_server() {
    let words =
        ["kube::", "k8s_openapi", "rdkafka", "tokio", "crate::kafka", "crate::cluster", "crate::reconcile"];
    none(naming("src/simulate", &words), "simulate names no Kubernetes, Kafka or async");
    let files: Vec<String> =
        naming("src/simulate", &["std::fs", "std::io", "std::env", "SystemTime", "Instant"])
            .into_iter()
            .filter(|line| !line.contains("src/simulate/command/"))
            .collect();
    none(files, "only the command reads and writes files, and looks at the clock");
}

#[test]
fn unsafe_code_is_in_one_file() {
    let found: Vec<String> =
        naming("src", &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code)"])
            .into_iter()
            .filter(|line| !line.contains("src/kafka/admin.rs:"))
            .collect();
    none(found, "unsafe code is in src/kafka/admin.rs only");
    none(naming("fuzz/src", &["unsafe {", "unsafe fn"]), "the fuzz targets need no unsafe code");
    let testbed = naming("tests", &["allow(unsafe_code)"]);
    let own = format!("{}:", file!());
    none(testbed.into_iter().filter(|l| !l.contains(&own)).collect(), "the tests need no unsafe code");
}

#[test]
fn every_statement_about_security_is_held_by_a_test_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("SECURITY.md")).expect("SECURITY.md");
    let code: String =
        ["src", "tests"].iter().flat_map(|under| sources(under)).map(|(_, text)| text).collect();
    let named = text.split('`').skip(1).step_by(2).filter(|name| {
        name.matches('_').count() > 1 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    });
    let named: Vec<&str> = named.chain(["secrets_mutated", "answers_mutated"]).collect();
    assert!(named.len() > 15, "the tests are named otherwise: {named:?}");
    let missing = named.iter().filter(|name| !code.contains(&format!("fn {name}("))).map(|n| (*n).to_owned());
    none(missing.collect(), "SECURITY.md names tests that are not there");
    // Each line of the table says by what it is held.
    let (_, table) = text.split_once("| A tenant …").expect("the table");
    let table = table.split("\n\n").next().unwrap_or_default();
    let bare = table.lines().skip(2).filter(|line| !line.contains('`') && !line.contains("see below"));
    none(bare.map(str::to_owned).collect(), "statements without a test");
}

#[test]
fn files_say_what_they_are_for_and_stay_small() {
    let mut wrong = Vec::new();
    for under in ["src", "tests"] {
        for (path, text) in sources(under) {
            if !text.starts_with("//!") {
                wrong.push(format!("{}: no header that says what it does and does not do", path.display()));
            }
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
            // Unsafe code is to be in one file, however long that makes it.
            let limit =
                if path.ends_with("tests.rs") || path.ends_with("kafka/admin.rs") { 700 } else { 500 };
            if code > limit {
                wrong.push(format!("{}: {code} lines; split it by idea (limit {limit})", path.display()));
            }
        }
    }
    none(wrong, "structure");
}
