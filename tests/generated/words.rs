//! Conditions with their reasons, and events: what each word means, for docs/reference.md.
//!
//! That none is missing is found in the sources, by the ways in which a reason is written there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::root;

/// Condition, status, reason, and what that means.
pub const CONDITIONS: [(&str, &str, &str, &str); 37] = [
    ("Ready", "True", "Observed", "Kafka and the workload are seen"),
    ("Ready", "True", "Paused", "`mode: Paused`: it only observes"),
    ("Ready", "True", "Connected", "of a KafkaConnection: Kafka answers"),
    ("Ready", "False", "Blind", "something could not be read; the message says what"),
    (
        "Ready",
        "False",
        "AuthenticationFailed",
        "Kafka, or who gives the tokens, refused the login; of a KafkaConnection too",
    ),
    (
        "Ready",
        "False",
        "TlsFailed",
        "no encrypted connection: a certificate or a listener does not fit; of a KafkaConnection too",
    ),
    (
        "Ready",
        "False",
        "Unreachable",
        "no broker could be reached, or the provider of tokens could not; of a KafkaConnection too",
    ),
    ("Ready", "False", "TimedOut", "Kafka did not answer in time; of a KafkaConnection too"),
    (
        "Ready",
        "False",
        "ConnectionNotFound",
        "`connection` names a KafkaConnection that is not in the namespace",
    ),
    ("Ready", "False", "ConnectionInvalid", "the KafkaConnection that `connection` names cannot be used"),
    (
        "Ready",
        "False",
        "SecretNotFound",
        "a Secret that the KafkaConnection names is not in the namespace; of a KafkaConnection too",
    ),
    ("Ready", "False", "SecretKeyNotFound", "the Secret has no such key; of a KafkaConnection too"),
    (
        "Ready",
        "False",
        "SecretNotText",
        "what the Secret holds under the key is no text; of a KafkaConnection too",
    ),
    (
        "Ready",
        "False",
        "SecretForbidden",
        "Spillway may not read the Secret: `rbac.secretNames` of the chart; of a KafkaConnection too",
    ),
    (
        "Ready",
        "False",
        "SecretUnreadable",
        "the API server did not give the Secret; of a KafkaConnection too",
    ),
    (
        "Ready",
        "False",
        "Invalid",
        "a field cannot be acted on; the message says which, and what to write; of a KafkaConnection too",
    ),
    ("AbleToScale", "True", "ReadyForNewScale", "the replicas of the workload can be read and set"),
    (
        "AbleToScale",
        "False",
        "AnotherAutoscaler",
        "an HPA, a ScaledObject or another ConsumerScaler is on the workload: two would fight",
    ),
    ("AbleToScale", "False", "TargetNotFound", "there is no such workload"),
    ("AbleToScale", "False", "TargetKindNotFound", "the cluster does not know the kind"),
    ("AbleToScale", "False", "TargetNotScalable", "the kind has no scale subresource"),
    (
        "AbleToScale",
        "False",
        "Forbidden",
        "Spillway may not read or scale it: `rbac.extraScaleTargets` of the chart",
    ),
    (
        "AbleToScale",
        "False",
        "Conflict",
        "somebody else changed the replicas at the same moment; it is tried again",
    ),
    ("AbleToScale", "False", "ApiServerUnavailable", "the API server does not answer"),
    (
        "AbleToScale",
        "False",
        "ApiServerRefused",
        "the API server refused, for another reason; the message has it",
    ),
    (
        "AbleToScale",
        "False",
        "NotLeader",
        "this pod no longer surely holds the Lease, so it did not write; the one that does will",
    ),
    ("ScalingLimited", "False", "DesiredWithinRange", "nothing holds the number back"),
    ("ScalingLimited", "True", "TooManyReplicas", "`maxReplicas` allows no more"),
    ("ScalingLimited", "True", "PartitionsExhausted", "more consumers would get no partition"),
    ("ScalingLimited", "True", "HotPartition", "one partition alone gets more than one consumer processes"),
    ("ScalingLimited", "True", "DownstreamSaturated", "more replicas did not process more"),
    ("ScalingLimited", "True", "PausedScaleDown", "`mode: PausedScaleDown`, and fewer would do"),
    ("ScalingLimited", "True", "DryRun", "`mode: DryRun`: nothing is written"),
    ("ScalingLimited", "Unknown", "Invalid", "the resource cannot be acted on"),
    ("KeepingUp", "True", "InTime", "messages are processed within `maxDelay`"),
    (
        "KeepingUp",
        "False",
        "*state*",
        "`Recovering`, `FallingBehind`, `Stuck` or `DownstreamSaturated`: messages are late, or a backlog is left of it",
    ),
    ("KeepingUp", "Unknown", "*state*", "`Blind`, `Paused` or `Invalid`: not known"),
];

/// Reasons of events, beside states and conditions.
pub const EVENTS: [(&str, &str); 6] = [
    ("Scaled", "the replicas were set: from how many to how many, and why"),
    ("WouldScale", "in `DryRun`: they would have been"),
    ("Relapsed", "the group fell behind soon after a step down: the next one waits longer"),
    ("BaseRaised", "more replicas are held while quiet from now on"),
    ("BaseLowered", "fewer are, after a quiet day"),
    ("MessagesExpired", "retention deleted messages that the group had not read"),
];

/// Where reasons are written, and how.
const SOURCES: [(&str, &[&str]); 11] = [
    (
        "src/report/status.rs",
        &[
            r#"put\(\s*"\w+",\s*"\w+",\s*"(\w+)""#,
            r#"Some\(\(\s*"([A-Z]\w+)""#,
            r#""(?:True|False|Unknown)", "(\w+)""#,
        ],
    ),
    ("src/report/news.rs", &[r#"=> \(\s*"([A-Z]\w+)","#]),
    ("src/reconcile/step.rs", &[r#"(?:Kind::\w+|kind), "(\w+)""#]),
    ("src/reconcile/apply.rs", &[r#"reason: "(\w+)""#]),
    ("src/reconcile/plan.rs", &[r#"reason: "(\w+)""#]),
    ("src/reconcile/connect.rs", &[r#"reason: "(\w+)""#]),
    ("src/kafka/trouble.rs", &[r#"(?m)^\s+"([A-Z]\w+)",$"#, r#"reason: "(\w+)""#]),
    ("src/kafka/sweep.rs", &[r#"reason: "(\w+)""#]),
    ("src/kafka/msk.rs", &[r#"reason: "(\w+)""#]),
    ("src/cluster/scale.rs", &[r#"=> "([A-Z]\w+)""#]),
    ("src/cluster/secrets.rs", &[r#"=> "([A-Z]\w+)""#]),
];

#[test]
fn every_reason_of_the_sources_is_in_the_reference() {
    let told: BTreeSet<&str> =
        CONDITIONS.iter().map(|(_, _, reason, _)| *reason).chain(EVENTS.iter().map(|(e, _)| *e)).collect();
    let mut found = BTreeSet::new();
    for (path, patterns) in SOURCES {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for pattern in patterns {
            let pattern = regex::Regex::new(pattern).expect("a pattern");
            let here: Vec<&str> =
                pattern.captures_iter(code).filter_map(|c| c.get(1)).map(|m| m.as_str()).collect();
            assert!(!here.is_empty(), "{path}: nothing is written as {pattern} any more");
            found.extend(here.into_iter().map(str::to_owned));
        }
    }
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let missing: Vec<_> = found.difference(&told).collect();
    assert!(missing.is_empty(), "in the sources and not in the reference: {missing:?}");
    let gone: Vec<_> =
        told.difference(&found).filter(|word| !word.contains('*') && !STATES.contains(word)).collect();
    assert!(gone.is_empty(), "in the reference and not in the sources: {gone:?}");
}

/// Reasons that are a state's word.
const STATES: [&str; 2] = ["Blind", "Paused"];

/// No other file of the sources makes a reason in these ways.
#[test]
fn reasons_are_written_where_they_are_looked_for() {
    let pattern = regex::Regex::new(r#"reason: "[A-Z]"#).expect("a pattern");
    let mut elsewhere = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(root()).unwrap_or(Path::new("")).to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap_or_default();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            // These say Invalid of what they were given.
            let known = ["src/reconcile/manager.rs", "src/reconcile/rehearsal.rs", "src/reconcile/sweep.rs"];
            if pattern.is_match(code)
                && !known.contains(&relative.as_str())
                && !SOURCES.iter().any(|(path, _)| *path == relative)
            {
                elsewhere.push(relative);
            }
        }
    }
    assert!(elsewhere.is_empty(), "add to SOURCES: {elsewhere:?}");
}
