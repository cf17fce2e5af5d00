//! What Kafka says of the groups in the files: by the operator's own code, once.
//!
//! It reads what the operator would read, and writes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use kube::ResourceExt as _;

use super::{Found, Origin, Report};
use crate::api::{ConsumerGroup, ConsumerScaler, IsolationLevel, KafkaConnection, StartFrom};
use crate::cluster::secrets::Secrets;
use crate::decide::{Committed, GroupObservation, GroupPhase, StartFrom as Start};
use crate::kafka::{Connection, ConnectionConfig, GroupRequest, Isolation, Sweep};
use crate::reconcile;
use crate::report::sentence::count;
use crate::validate;

/// Time limit of one question: one to a Kafka that does not answer takes as long.
const LIMIT: Duration = Duration::from_secs(8);
/// Tries of a group: the first question to a new cluster can come before it knows its coordinators.
const TRIES: u32 = 3;

/// The settings of a connection in the files, or why there are none.
type Settings = Result<ConnectionConfig, String>;

/// What is asked of one cluster.
#[derive(Default)]
struct Asked<'a> {
    connections: Vec<&'a Origin<KafkaConnection>>,
    groups: Vec<(&'a Origin<ConsumerScaler>, &'a ConsumerGroup)>,
}

/// Asks Kafka about every group, at `brokers` where they are given: each cluster once.
pub(super) async fn ask(found: &Found, brokers: &[String], report: &mut Report) {
    let secrets = Secrets::given(found.secrets.iter().cloned().map(in_clear));
    let mut named: BTreeMap<(String, String), Settings> = BTreeMap::new();
    let mut clusters: Vec<(ConnectionConfig, Asked<'_>)> = Vec::new();
    for connection in &found.connections {
        let object = &connection.object;
        let key = (object.namespace().unwrap_or_default(), object.name_any());
        let settings = reconcile::settings(object.clone(), &secrets).await.map_err(|why| why.message);
        let settings = settings.map(|config| at(config, brokers));
        match &settings {
            Ok(config) => of(&mut clusters, config).connections.push(connection),
            // Told before anybody was asked.
            Err(_) if !validate::connection::connection(&object.spec).is_empty() => {}
            Err(why) => {
                // The line begins with its name already.
                let named = format!("KafkaConnection {}: ", object.name_any());
                report.problems.push(connection.line(why.strip_prefix(&named).unwrap_or(why)));
            }
        }
        named.insert(key, settings);
    }
    for scaler in &found.scalers {
        for group in &scaler.object.spec.consumer_groups {
            match settings(scaler, group, &named, brokers) {
                Ok(Some(config)) => of(&mut clusters, &config).groups.push((scaler, group)),
                // Told of the connection.
                Ok(None) => {}
                Err(why) => report.notes.push(scaler.line(why)),
            }
        }
    }
    let swept = clusters
        .iter()
        .map(|(config, asked)| sweep(config, asked.groups.iter().map(|(_, g)| request(g)).collect()));
    for (swept, (_, asked)) in join_all(swept).await.into_iter().zip(&clusters) {
        tell(swept, asked, report);
    }
}

fn of<'a, 'b>(
    clusters: &'b mut Vec<(ConnectionConfig, Asked<'a>)>,
    config: &ConnectionConfig,
) -> &'b mut Asked<'a> {
    let place = clusters.iter().position(|(known, _)| known == config).unwrap_or_else(|| {
        clusters.push((config.clone(), Asked::default()));
        clusters.len() - 1
    });
    &mut clusters[place].1
}

/// What a manifest gives in the clear, where the API server would have put it.
fn in_clear(mut secret: k8s_openapi::api::core::v1::Secret) -> k8s_openapi::api::core::v1::Secret {
    for (key, value) in secret.string_data.take().into_iter().flatten() {
        let value = k8s_openapi::ByteString(value.into_bytes());
        secret.data.get_or_insert_default().insert(key, value);
    }
    secret
}

fn at(config: ConnectionConfig, brokers: &[String]) -> ConnectionConfig {
    if brokers.is_empty() { config } else { ConnectionConfig { bootstrap: brokers.to_vec(), ..config } }
}

fn settings(
    scaler: &Origin<ConsumerScaler>,
    group: &ConsumerGroup,
    named: &BTreeMap<(String, String), Settings>,
    brokers: &[String],
) -> Result<Option<ConnectionConfig>, String> {
    let plain = |bootstrap| ConnectionConfig { bootstrap, tls: None, sasl: None };
    if let Some(servers) = &group.bootstrap_servers {
        return Ok(Some(at(plain(servers.iter().map(|a| a.0.clone()).collect()), brokers)));
    }
    let name = group.connection.as_ref().map(|c| c.name.clone()).unwrap_or_default();
    match named.get(&(scaler.object.namespace().unwrap_or_default(), name.clone())) {
        Some(Ok(config)) => Ok(Some(config.clone())),
        Some(Err(_)) => Ok(None),
        None if !brokers.is_empty() => Ok(Some(plain(brokers.to_vec()))),
        None => Err(format!(
            "Kafka was not asked about group {}: KafkaConnection {name:?} is not in these files; give it too, or --brokers",
            group.group
        )),
    }
}

fn request(group: &ConsumerGroup) -> GroupRequest {
    GroupRequest {
        group: group.group.clone(),
        topics: group.topics.clone(),
        remembered: Vec::new(),
        isolation: match group.isolation_level {
            IsolationLevel::ReadUncommitted => Isolation::ReadUncommitted,
            IsolationLevel::ReadCommitted => Isolation::ReadCommitted,
        },
        resting: false,
    }
}

async fn sweep(config: &ConnectionConfig, requests: Vec<GroupRequest>) -> Result<Sweep, String> {
    let connection = Connection::open(config).map_err(|error| error.to_string())?;
    let mut last = connection.sweep(requests.clone(), LIMIT).await;
    for _ in 1..TRIES {
        if last.problem.is_some() || last.groups.iter().all(|g| g.problems.is_empty()) {
            break;
        }
        last = connection.sweep(requests.clone(), LIMIT).await;
    }
    Ok(last)
}

fn tell(swept: Result<Sweep, String>, asked: &Asked<'_>, report: &mut Report) {
    let swept = swept.and_then(|swept| match swept.problem {
        Some(problem) => Err(problem.message),
        None => Ok(swept),
    });
    let swept = match swept {
        Ok(swept) => swept,
        Err(why) => {
            report.problems.extend(asked.connections.iter().map(|connection| connection.line(&why)));
            // Who names a connection of the files is told with it.
            let alone =
                asked.groups.iter().filter(|(_, g)| g.connection.is_none() || asked.connections.is_empty());
            report.problems.extend(alone.map(|(scaler, _)| scaler.line(&why)));
            return;
        }
    };
    let brokers = swept.cluster.map_or(0, |c| c.brokers);
    let brokers = if brokers == 1 { "1 broker".to_owned() } else { format!("{brokers} brokers") };
    let answers = format!("Kafka answers, {brokers}");
    report.said.extend(asked.connections.iter().map(|connection| connection.line(&answers)));
    for (seen, (scaler, group)) in swept.groups.iter().zip(&asked.groups) {
        report.problems.extend(seen.problems.iter().map(|problem| scaler.line(problem)));
        if seen.problems.is_empty() {
            report.said.push(scaler.line(said(seen, group)));
            notes(seen, scaler, report);
        }
    }
}

/// What was read of a group, in a sentence.
fn said(seen: &GroupObservation, group: &ConsumerGroup) -> String {
    let start = match group.start_from {
        StartFrom::Earliest => Start::Earliest,
        StartFrom::Latest => Start::Latest,
    };
    let lag: i64 = seen.partitions.iter().filter_map(|p| p.lag(start)).sum();
    let mut topics: BTreeMap<&str, usize> = BTreeMap::new();
    for partition in &seen.partitions {
        *topics.entry(&partition.topic).or_default() += 1;
    }
    let topics: Vec<String> = topics
        .iter()
        .map(|(topic, n)| format!("{topic} ({n} partition{})", if *n == 1 { "" } else { "s" }))
        .collect();
    let members = match (seen.phase, seen.members.len()) {
        (GroupPhase::Rebalancing, n) => format!("{n} members, rebalancing"),
        (_, 1) => "1 member".to_owned(),
        (_, n) => format!("{n} members"),
    };
    format!("group {}: {members}; topics {}; {} behind", seen.group, topics.join(", "), count(lag))
}

/// What is no problem, and may still be a mistake.
fn notes(seen: &GroupObservation, scaler: &Origin<ConsumerScaler>, report: &mut Report) {
    let uncommitted = seen.partitions.iter().all(|p| p.committed == Committed::None);
    if seen.members.is_empty() && uncommitted {
        report.notes.push(scaler.line(format!(
            "group {} has no members and has committed nothing: is its name right? It is fine for one that has never run",
            seen.group
        )));
    }
    let spec = &scaler.object.spec;
    let usable =
        seen.partitions.len().div_ceil(usize::try_from(spec.threads_per_replica).unwrap_or(1).max(1));
    // The group with the most partitions says how many replicas can be used.
    if spec.consumer_groups.len() == 1 && usize::try_from(spec.max_replicas).is_ok_and(|max| max > usable) {
        report.notes.push(scaler.line(format!(
            "maxReplicas is {}, and {} can use {usable}: more are never asked for",
            spec.max_replicas,
            match seen.partitions.len() {
                1 => "1 partition".to_owned(),
                n => format!("{n} partitions"),
            }
        )));
    }
}
