//! What others answer, as values: for tests that make such answers up (`tests/fuzz`).
//!
//! Each is read as the operator reads it. No connection is made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use rdkafka::admin::{ConfigEntry, ConfigResource, ConfigSource, OwnedResourceSpecifier};
use rdkafka::client::ClientContext as _;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::types::RDKafkaRespErr;

use super::admin::{Description, MemberDescription, Offsets, Phase};
use super::connection::{ConnectionConfig, Context, TlsConfig};
use super::error::{CallFailed, ConnectionProblem};
use super::http::Http;
use super::oauth::{self, OAuthConfig};
use super::observe::{Read, Seen, observation};
use super::retention::{self, Retention};
use super::topics::{Topics, counting};
use super::{GroupRequest, aws};
use crate::decide::{GroupObservation, Time};

/// A partition, by topic and number.
pub type Partition = (String, i32);
/// An offset, or the number of an error, of each partition.
pub type Answered = Vec<(Partition, Result<i64, i32>)>;

/// What a cluster answers about one group.
#[derive(Clone, Debug)]
pub struct Group {
    /// 0 to 4: rebalancing, stable, dead, empty, unknown; else the call failed.
    pub phase: u8,
    /// Whether it uses the protocol of KIP-848.
    pub new_protocol: bool,
    /// Id, assignment and target of each member.
    pub members: Vec<(String, Vec<Partition>, Option<Vec<Partition>>)>,
    /// Its commits, or the number of the error of the call.
    pub committed: Result<Answered, i32>,
    /// Topics with their partitions, and whether those have a leader.
    pub topics: Vec<(String, Vec<(i32, bool)>)>,
    /// Ends of the log.
    pub latest: Result<Answered, i32>,
    /// Oldest offsets.
    pub earliest: Result<Answered, i32>,
    /// `cleanup.policy` and `retention.ms` of each topic.
    pub kept: Vec<(String, String, String)>,
}

fn failed(code: i32) -> CallFailed {
    CallFailed::of(code, String::new()).unwrap_or_else(|| CallFailed::internal("no error"))
}

fn offsets(answer: &Answered) -> Offsets {
    let one = |((topic, partition), at): &(Partition, Result<i64, i32>)| {
        ((Arc::from(topic.as_str()), *partition), at.map_err(failed))
    };
    answer.iter().map(one).collect()
}

/// What is seen of a group by such answers, read at `at`.
pub fn observed(request: &GroupRequest, group: &Group, at: Time) -> GroupObservation {
    let assigned =
        |all: &[Partition]| all.iter().map(|(t, p)| (Arc::from(t.as_str()), *p)).collect::<Vec<_>>();
    let member = |(id, has, wants): &(String, Vec<Partition>, Option<Vec<Partition>>)| MemberDescription {
        id: id.clone(),
        host: "/127.0.0.1".into(),
        client: "c".into(),
        assignment: assigned(has),
        target: wants.as_deref().map(assigned),
    };
    let phase = [Phase::Rebalancing, Phase::Stable, Phase::Dead, Phase::Empty, Phase::Unknown];
    let described = match phase.get(usize::from(group.phase)) {
        Some(phase) => Ok(Description {
            phase: *phase,
            new_protocol: group.new_protocol,
            members: group.members.iter().map(member).collect(),
            coordinator: None,
        }),
        None => Err(failed(i32::from(group.phase))),
    };
    let read = Read {
        described,
        at: group.committed.is_ok().then_some(at),
        committed: group.committed.as_ref().map(offsets).map_err(|code| failed(*code)),
    };
    let partitions: BTreeMap<Arc<str>, Vec<(i32, bool)>> =
        group.topics.iter().map(|(topic, of)| (Arc::from(topic.as_str()), of.clone())).collect();
    let topics = Topics { partitions, ..Topics::default() };
    let (latest, earliest) =
        [&group.latest, &group.earliest].map(|a| a.as_ref().map(offsets).map_err(|c| failed(*c))).into();
    let entry = |name: &str, value: &str| ConfigEntry {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source: ConfigSource::Default,
        is_read_only: false,
        is_default: true,
        is_sensitive: false,
    };
    let resources = group.kept.iter().map(|(topic, policy, millis)| ConfigResource {
        specifier: OwnedResourceSpecifier::Topic(topic.clone()),
        entries: vec![entry("cleanup.policy", policy), entry("retention.ms", millis)],
    });
    let kept = Mutex::new(Retention::of(resources.filter_map(|r| retention::seconds(&r))));
    let of = read.committed.iter().flat_map(|o| o.keys().map(|(topic, _)| topic.clone()));
    let counting = counting(request, read.described.as_ref().ok(), of);
    let seen = Seen {
        topics: &topics,
        latest: Some(&latest),
        earliest: earliest.as_ref(),
        high: latest.as_ref(),
        coordinators: &Mutex::default(),
        retention: &kept,
    };
    observation(request, &counting, &read, &seen)
}

/// What is said of a token endpoint that answers this.
///
/// # Errors
/// Why there is no token.
pub fn token_answer(config: &OAuthConfig, status: u16, text: &str) -> Result<(), ConnectionProblem> {
    match StatusCode::from_u16(status).unwrap_or(StatusCode::OK) {
        StatusCode::OK => oauth::read(config, text).map(drop),
        other => Err(oauth::refused(config, other, text)),
    }
}

/// What is said of AWS's answers, that of STS and that of the agent.
///
/// # Errors
/// Why there are no credentials in them.
pub fn aws_answer(text: &str, agent: bool) -> Result<(), String> {
    if agent { aws::of_agent_answer(text).map(drop) } else { aws::of_role_answer(text).map(drop) }
}

/// What is said when librdkafka complains of these things, by the numbers of their errors.
pub fn complaints(config: &ConnectionConfig, said: &[(i32, String)]) -> ConnectionProblem {
    let context = Context::of(config);
    for (code, text) in said {
        match RDKafkaRespErr::try_from(*code) {
            Ok(code) => context.error(rdkafka::error::KafkaError::Global(code.into()), text),
            Err(_) => context.log(RDKafkaLogLevel::Error, "FAIL", text),
        }
    }
    context.problem()
}

/// Reads certificate authorities as for a token endpoint.
///
/// # Errors
/// What is wrong with them.
pub fn authorities(tls: &TlsConfig) -> Result<(), String> {
    Http::new(tls.ca_pem.as_deref()).map(drop)
}
