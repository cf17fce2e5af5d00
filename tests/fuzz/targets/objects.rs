//! Resources as the watch gives them, up to the status and what `/metrics`, the page and `explain` say.
//!
//! The API server would refuse most of what is made up here; an object may be older than a rule, and a
//! status may be written by whoever has the right to.

use std::collections::BTreeMap;

use futures::executor::block_on;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{DeserializeGuard, ObjectMeta};
use spillway::api::{ConsumerScaler, KafkaConnection};
use spillway::cluster::secrets::Secrets;
use spillway::decide::{
    Committed, GroupObservation, GroupPhase, Member, Observation, PartitionObservation, Policy, Time,
};
use spillway::explain;
use spillway::reconcile::rehearsal::{Objects, Outcome, Rehearsed, rehearse};

use super::dice::Dice;
use super::group::{BEGIN, workload};
use super::{holds, parts};

const LOOKS: usize = 12;
const SPEC: &str = r#"{"scaleTargetRef":{"name":"o"},"maxReplicas":8,"consumerGroups":[{"group":"o","bootstrapServers":["k:1"]}],"schedules":[{"name":"s","cron":"0 7 * * *","duration":"1h","minReplicas":2}]}"#;
const MAIN: &str = r#"{"metadata":{"name":"main","namespace":"shop"},"spec":{"bootstrapServers":["k:1"]}}"#;
/// A password that is nowhere to be read.
const PASSWORD: &str = "S3CR3T-hunter2";

/// A ConsumerScaler, and a KafkaConnection that it may name.
pub fn scaler(data: &[u8]) {
    let parts = parts(data);
    let Ok(scaler) = serde_json::from_slice::<DeserializeGuard<ConsumerScaler>>(parts[0]) else { return };
    let other = parts.get(1).copied().unwrap_or(MAIN.as_bytes());
    let mut connections: Vec<DeserializeGuard<KafkaConnection>> =
        serde_json::from_str(MAIN).into_iter().collect();
    connections.extend(serde_json::from_slice(other));
    let whole = scaler.0.as_ref().ok().cloned();
    let made = gone_through(data, Objects { scalers: vec![scaler], connections });
    if let Some(whole) = whole {
        explained(&whole, &made);
    }
}

/// A status, in an object that is as it should be.
pub fn status(data: &[u8]) {
    let mut json =
        format!(r#"{{"metadata":{{"name":"o","namespace":"shop","generation":2}},"spec":{SPEC},"status":"#)
            .into_bytes();
    json.extend_from_slice(data);
    json.push(b'}');
    scaler(&json);
}

/// A KafkaConnection, with the Secrets there are.
pub fn connection(data: &[u8]) {
    let Ok(connection) = serde_json::from_slice::<DeserializeGuard<KafkaConnection>>(data) else { return };
    let scaler = r#"{"metadata":{"name":"o","namespace":"shop"},"spec":{"scaleTargetRef":{"name":"o"},"maxReplicas":8,"consumerGroups":[{"group":"o","connection":{"name":"main"}}]}}"#;
    let scalers = serde_json::from_str(scaler).into_iter().collect();
    let made = gone_through(data, Objects { scalers, connections: vec![connection] });
    let secret = if holds(data, PASSWORD) { "\u{10ffff}nothing" } else { PASSWORD };
    for settings in &made.connections {
        match settings {
            Ok(config) => assert!(!format!("{config:?}").contains(secret), "{config:?}"),
            Err(why) => told(&why.reason, &why.message, secret),
        }
    }
}

fn gone_through(data: &[u8], objects: Objects) -> Rehearsed {
    let secret = if holds(data, PASSWORD) { "\u{10ffff}nothing" } else { PASSWORD };
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let values = [("password", PASSWORD), ("ca", pem), ("crt", pem), ("key", pem)];
    let mut all: BTreeMap<String, ByteString> =
        values.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into()))).collect();
    all.insert("binary".into(), ByteString(vec![0xff, 0xfe, 0]));
    let metadata = ObjectMeta {
        name: Some("spillway-kafka".into()),
        namespace: Some("shop".into()),
        ..ObjectMeta::default()
    };
    let secrets = Secrets::given([Secret { data: Some(all), metadata, ..Secret::default() }]);
    let (mut dice, mut replicas) = (Dice::hashed(data), 1);
    let made = block_on(rehearse(objects, &secrets, LOOKS, |policy, look| {
        let now = BEGIN + look as f64 * policy.sweep_interval;
        replicas = if dice.yes(4) { dice.below(12) as i32 } else { replicas };
        (seen(policy, &mut dice, look, replicas, now), now)
    }));
    for outcome in &made.scalers {
        match outcome {
            Outcome::Undecodable(why) => assert!(!why.trim().is_empty()),
            Outcome::Broken(why, status) => {
                told(&why.reason, &why.message, secret);
                assert!(serde_json::to_string(status).is_ok(), "{status:?}");
            }
            Outcome::Decided(looks) => {
                for (decision, status) in looks {
                    let message = status.message.clone().unwrap_or_default();
                    assert!(!message.trim().is_empty(), "{decision:?}");
                    let json = serde_json::to_string(status).unwrap_or_else(|e| panic!("{e}: {status:?}"));
                    let again: serde_json::Result<spillway::api::ConsumerScalerStatus> =
                        serde_json::from_str(&json);
                    assert!(again.is_ok(), "{again:?}: {json}");
                    assert!(!json.contains(secret), "{json}");
                    let n = &decision.numbers;
                    for value in [n.delay, n.arrival, n.service, n.capacity, n.eta].into_iter().flatten() {
                        assert!(value.is_finite() && value >= 0.0, "{value} in {decision:?}");
                    }
                }
            }
        }
    }
    metrics(&made.metrics);
    made
}

/// A story in which messages arrive, and replicas process some of them.
fn seen(policy: &Policy, dice: &mut Dice<'_>, look: usize, replicas: i32, now: Time) -> Observation {
    let group = |of: &spillway::decide::GroupPolicy| {
        let partitions: Vec<PartitionObservation> = (0..4)
            .map(|partition| PartitionObservation {
                topic: "orders".into(),
                partition,
                committed: if dice.yes(12) {
                    Committed::None
                } else {
                    Committed::At(dice.offset(look as i64 * 900))
                },
                end: Some(dice.offset(look as i64 * 1000).max(0)),
                start: Some(0),
                retention: dice.yes(3).then_some(600.0),
            })
            .collect();
        let members = (0..replicas.clamp(0, 4)).map(|i| Member {
            id: format!("m{i}"),
            host: "/127.0.0.1".into(),
            client: "c".into(),
            assignment: vec![("orders".into(), i)],
        });
        GroupObservation {
            group: of.group.clone(),
            taken_at: Some(now),
            problems: if dice.yes(12) { vec!["partition orders-0 has no leader".into()] } else { Vec::new() },
            phase: if dice.yes(12) { GroupPhase::Rebalancing } else { GroupPhase::Stable },
            members: members.collect(),
            partitions,
        }
    };
    let groups = policy.groups.iter().map(group).collect();
    Observation { groups, workload: Ok(workload(dice, replicas)), schedules: Vec::new() }
}

/// What the conventions of Kubernetes ask of a reason, and a person of a message.
fn told(reason: &str, message: &str, secret: &str) {
    assert!(!reason.is_empty() && reason.chars().all(|c| c.is_ascii_alphanumeric()), "{reason:?}");
    assert!(!message.trim().is_empty() && !message.contains(secret), "{message:?}");
}

/// One series a line, each with a number, whatever is in the labels.
fn metrics(text: &str) {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let number = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        let named = line.starts_with(|c: char| c.is_ascii_lowercase());
        assert!(named && number.is_some(), "no series: {line:?}");
    }
}

/// Nothing in it moves the cursor of who reads it.
fn explained(scaler: &ConsumerScaler, made: &Rehearsed) {
    let mut all = vec![scaler.clone()];
    for outcome in &made.scalers {
        if let Outcome::Decided(looks) = outcome
            && let Some((_, status)) = looks.last()
        {
            all.push(ConsumerScaler { status: Some(status.clone()), ..scaler.clone() });
        }
    }
    for scaler in &all {
        let of = explain::explained(scaler, Ok(Vec::new()), BEGIN);
        let text = explain::text(&of, BEGIN, explain::Paint(false))
            + &explain::list(std::slice::from_ref(&of), true, explain::Paint(false));
        let moving = text.chars().find(|c| c.is_control() && *c != '\n');
        assert!(moving.is_none(), "{moving:?} in {text:?}");
        assert!(serde_json::to_string(&of).is_ok());
    }
}
