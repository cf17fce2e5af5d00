//! docs/troubleshooting.md and docs/operations.md against the code: what they quote is said, and what can be said
//! has an entry.
//!
//! Their commands are typed on a real cluster by the end-to-end suite (`tests/e2e/typed.rs`).
#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;

/// Words in quotes that are written like a reason, and are none: types of conditions, kinds, what an event
/// calls the action, fields of what others send.
const NO_REASONS: &[&str] = &[
    // Types of conditions.
    "Ready",
    "AbleToScale",
    "ScalingLimited",
    // Actions of events.
    "Observe",
    "Scale",
    "Validate",
    // Kinds.
    "ConsumerScaler",
    "Deployment",
    "KafkaConnection",
    "ScaledObject",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    // What a condition is, a strategy of a StatefulSet, what librdkafka says, names of Rust.
    "True",
    "False",
    "Unknown",
    "OnDelete",
    "Disconnected",
    "Password",
    "TlsConfig",
];

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// Every file below a folder that ends so.
fn files(under: &str, end: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, end: &str, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, end, found);
            } else if path.to_string_lossy().ends_with(end) {
                found.insert(path.to_string_lossy().into_owned(), read(&path));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(under), end, &mut found);
    assert!(!found.is_empty(), "no {end} below {under}");
    found
}

/// The code of the operator and its tools, without its unit tests and comments: what only those say, nobody hears.
fn code() -> BTreeMap<String, String> {
    let mut all = files("src", ".rs");
    all.retain(|path, _| {
        !path.ends_with("tests.rs") && !path.contains("/tests/") && !path.contains("/simulate/")
    });
    for text in all.values_mut() {
        let told = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        *text = told
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .fold(String::new(), |t, l| t + l + "\n");
    }
    all
}

/// The texts in quotes, as they are when they are told: with `…` where values stand.
fn texts(code: &str) -> Vec<String> {
    let (quoted, value) = (pattern(r#"(?s)"((?:[^"\\]|\\.)*)""#), pattern(r"\{[^{}]*\}"));
    let end_of_line = pattern(r"\\\n\s*");
    quoted
        .captures_iter(code)
        .map(|found| {
            let text = end_of_line.replace_all(&found[1], "").replace("\\\"", "\"");
            value.replace_all(&text, "…").replace("{{", "{").replace("}}", "}")
        })
        .collect()
}

/// Everything that can be read somewhere: texts of the code, sentences with all their endings, the page, the chart.
fn said() -> Vec<String> {
    let mut all: Vec<String> = code().values().flat_map(|text| texts(text)).collect();
    all.extend(files("src/report/snapshots", ".snap").into_values());
    all.extend(files("src/cluster/page", ".js").into_values());
    all.extend(files("charts/spillway/templates", "").into_values().map(|text| text.replace("%s", "…")));
    all
}

/// The quotations of a page: its `>` lines.
fn quotations(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix("> ")).collect()
}

/// The parts of a quotation between values, without what is too short to be found by.
fn parts(quotation: &str) -> Vec<&str> {
    let letters = |part: &&str| part.chars().filter(|c| c.is_alphabetic()).count() >= 4;
    quotation.split('…').filter(letters).collect()
}

#[test]
fn what_is_quoted_is_said() {
    let said = said();
    let page = read("docs/troubleshooting.md");
    let quoted = quotations(&page);
    assert!(quoted.len() > 40, "only {} quotations", quoted.len());
    let mut unsaid = Vec::new();
    for quotation in quoted {
        let all = parts(quotation);
        assert!(!all.is_empty(), "this quotes nothing: {quotation}");
        for part in all.into_iter().filter(|part| !said.iter().any(|text| text.contains(part))) {
            unsaid.push(format!("{part:?} of {quotation:?}"));
        }
    }
    assert!(unsaid.is_empty(), "said nowhere in the code, the page or the chart:\n{}", unsaid.join("\n"));
}

/// Where reasons and states are given.
fn gives_reasons(path: &str) -> bool {
    let places = ["src/report/status.rs", "src/report/news.rs", "src/reconcile/", "src/kafka/"];
    let cluster = ["scale.rs", "secrets.rs", "conflict.rs"].map(|file| format!("src/cluster/{file}"));
    places.iter().any(|place| path.contains(place)) || cluster.iter().any(|file| path.ends_with(file))
}

/// The reasons that a status or an event may have: single words in quotes, written as reasons are.
fn reasons() -> BTreeSet<String> {
    let word = pattern(r#""([A-Z][a-z]+(?:[A-Z][a-z]+)*)""#);
    let mut found: BTreeSet<String> =
        spillway::decide::ScalerState::ALL.iter().map(ToString::to_string).collect();
    for (path, text) in code().into_iter().filter(|(path, _)| gives_reasons(path)) {
        let words = word.captures_iter(&text).map(|found| found[1].to_owned());
        // Of librdkafka's complaints, AWS's answers and HTTP's headers single words are looked for.
        let heard = |w: &String| {
            let of_others = format!("contains(\"{w}\")");
            text.contains(&of_others) || path.ends_with("kafka/aws.rs") || path.ends_with("kafka/msk.rs")
        };
        found.extend(words.filter(|w| !NO_REASONS.contains(&w.as_str())).filter(|w| !heard(w)));
    }
    found
}

#[test]
fn every_reason_has_an_entry() {
    let page = read("docs/troubleshooting.md");
    let reasons = reasons();
    for sure in [
        "Stuck",
        "SecretForbidden",
        "TooManyReplicas",
        "AnotherAutoscaler",
        "TlsFailed",
        "BaseRaised",
        "Connected",
    ] {
        assert!(reasons.contains(sure), "{sure} is a reason, and was not found: {reasons:?}");
    }
    let headings: BTreeSet<&str> =
        page.lines().filter(|l| l.starts_with('#')).flat_map(|l| l.split([' ', ','])).collect();
    let missing: Vec<&String> = reasons
        .iter()
        .filter(|reason| !page.contains(&format!("`{reason}`")) && !headings.contains(reason.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "write in docs/troubleshooting.md what to do about {missing:?} (or, if it is no reason, into NO_REASONS)"
    );
    for state in spillway::decide::ScalerState::ALL {
        assert!(headings.contains(state.as_str()), "state {state} has no section of its own");
    }
}

#[test]
fn every_reason_in_a_table_is_one() {
    let known = reasons();
    let all = code();
    let word = pattern(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)`");
    let mut pages = files("docs/runbooks", ".md");
    for name in ["docs/troubleshooting.md", "docs/operations.md"] {
        pages.insert(name.to_owned(), read(name));
    }
    for (path, text) in pages {
        let tables = text.lines().filter(|line| line.starts_with('|'));
        for found in
            tables.flat_map(|line| word.captures_iter(line).map(|c| c[1].to_owned()).collect::<Vec<_>>())
        {
            // A rule, a limit, a mode, a kind, a field of a chart: it is in the code.
            let in_code = || {
                let quoted = format!("\"{found}\"");
                let variant = pattern(&format!(r"(?m)^\s*{found},$"));
                all.values().any(|text| text.contains(&quoted) || variant.is_match(text))
            };
            let alert = read("charts/spillway/files/alerts.yaml").contains(&format!("alert: {found}\n"));
            assert!(
                known.contains(&found) || alert || in_code(),
                "{path} speaks of `{found}`: there is none"
            );
        }
    }
}

/// What is logged at `info` or above: the texts of the macros, without those that are a sentence of somebody else.
fn logged() -> BTreeSet<String> {
    let call = pattern(r"\b(?:info|warn|error)!\(");
    let mut found = BTreeSet::new();
    for text in code().values() {
        for call in call.find_iter(text) {
            let line = texts(arguments(&text[call.end()..])).pop();
            found.extend(line.filter(|line| line.chars().any(char::is_alphabetic)));
        }
    }
    found
}

/// What is before the parenthesis that closes a call, of what follows the one that opens it.
fn arguments(code: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (at, c) in code.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[..at];
        }
    }
    panic!("a call without an end: {}", code.lines().next().unwrap_or_default());
}

#[test]
fn every_line_of_the_log_is_explained() {
    let page = read("docs/operations.md");
    let logged = logged();
    for sure in ["started", "leading", "Kafka answers", "writing the status: …"] {
        assert!(logged.contains(sure), "{sure:?} is logged, and was not found: {logged:#?}");
    }
    let missing: Vec<&String> = logged.iter().filter(|line| !page.contains(&format!("`{line}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md has no line for {missing:#?}");
    let section =
        page.split("## Logs").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section");
    let word = pattern(r"`([^`]+)`");
    for line in section.lines().filter(|l| l.starts_with("| `")) {
        let first = line.split('|').nth(1).unwrap_or_default();
        for told in word.captures_iter(first).map(|c| c[1].to_owned()) {
            assert!(logged.contains(&told), "docs/operations.md explains {told:?}, and nothing logs it");
        }
    }
}

/// The constants that docs/operations.md has the values of: file, line of the code, words of the page.
const LIMITS: &[(&str, &str, &str)] = &[
    (
        "src/reconcile/sweep.rs",
        "LEAST_LIMIT: Duration = Duration::from_secs(5);",
        "at least 5 s and at most 30 s",
    ),
    (
        "src/reconcile/sweep.rs",
        "MOST_LIMIT: Duration = Duration::from_secs(30);",
        "at least 5 s and at most 30 s",
    ),
    ("src/decide/policy.rs", "stale_sweeps: 3.0,", "after three sweeps"),
    (
        "src/kafka/sweep.rs",
        "METADATA_AGE: Duration = Duration::from_secs(30);",
        "every 30 s; every 5 s where",
    ),
    ("src/kafka/sweep.rs", "DOUBT_AGE: Duration = Duration::from_secs(5);", "every 30 s; every 5 s where"),
    (
        "src/kafka/refusal.rs",
        "PAUSE: Duration = Duration::from_secs(2);",
        "again after 2 s, doubling up to 30 s",
    ),
    (
        "src/kafka/refusal.rs",
        "LONGEST: Duration = Duration::from_secs(30);",
        "again after 2 s, doubling up to 30 s",
    ),
    ("src/cluster/mod.rs", "LIMIT: Duration = Duration::from_secs(10);", "a call to the API server | 10 s"),
    ("src/reconcile/apply.rs", "TRIES: usize = 3;", "up to three tries"),
    ("src/reconcile/apply.rs", "DECISION_AGE: f64 = 30.0;", "dropped after 30 s"),
    ("src/reconcile/apply.rs", "WORKLOAD_AGE: f64 = 60.0;", "else every 60 s; 5 s after a failure"),
    ("src/reconcile/apply.rs", "RETRY: f64 = 5.0;", "else every 60 s; 5 s after a failure"),
    ("src/cluster/conflict.rs", "KEPT: Duration = Duration::from_secs(30);", "are looked for | every 30 s"),
    (
        "src/cluster/secrets.rs",
        "KEPT: Duration = Duration::from_secs(30);",
        "read again every 30 s; one that is missing every 5 s",
    ),
    (
        "src/cluster/secrets.rs",
        "ABSENT: Duration = Duration::from_secs(5);",
        "read again every 30 s; one that is missing every 5 s",
    ),
    (
        "src/reconcile/manager.rs",
        "REFRESH: Duration = Duration::from_secs(10);",
        "the plan is made every 10 s",
    ),
    ("src/reconcile/shared.rs", "STALLED: Duration = Duration::from_secs(300);", "stood still for 300 s"),
    ("src/cluster/watch.rs", "LONGEST: Duration = Duration::from_secs(5);", "pauses up to 5 s"),
    ("src/report/status.rs", "REFRESH: f64 = 30.0;", "at most every 30 s; a change of a word at once"),
    ("src/reconcile/step.rs", "STATUS_RETRY: f64 = 5.0;", "after a refusal 5 s later"),
    (
        "src/reconcile/mod.rs",
        "ENDING: Duration = Duration::from_secs(3);",
        "3 s for the loops, 5 s for the lease",
    ),
    ("src/cluster/lease.rs", "MARGIN: Duration = Duration::from_secs(1);", "a second before the end"),
    ("src/cluster/lease.rs", "LOOK: Duration = Duration::from_secs(2);", "the other looks every 2 s"),
    ("charts/spillway/values.yaml", "duration: 15s", "`lease.duration`, 15 s"),
    ("charts/spillway/values.yaml", "terminationGracePeriodSeconds: 30", "the chart gives 30 s"),
    ("charts/spillway/values.yaml", "memory: 256Mi", "a limit of 256 MiB"),
];

#[test]
fn the_time_limits_are_those_of_the_code() {
    let page = read("docs/operations.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for (file, line, words) in LIMITS {
        assert!(
            read(file).contains(line),
            "{file} has no {line:?} any more: correct docs/operations.md and this list"
        );
        assert!(page.contains(words), "docs/operations.md does not say {words:?}");
    }
}

#[test]
fn a_quotation_that_nobody_says_would_be_found() {
    let said = texts(r#"format!("{kafka} refused the login: {said}. Check \"this\"")"#);
    assert_eq!(said, ["… refused the login: …. Check \"this\""]);
    assert_eq!(parts("… refused the login: …. Check …"), [" refused the login: ", ". Check "]);
    assert!(!said.iter().any(|text| text.contains(" refused the password: ")));
}
