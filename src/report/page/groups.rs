//! A group as the page shows it: its members, and of its partitions those furthest behind.
//!
//! Bounded: of thousands of partitions and members the first are shown, and how many more there are. It
//! computes no figure that was not observed.

use std::collections::HashMap;

use serde::Serialize;

use super::super::Look;
use super::{Rates, rounded};
use crate::decide::{Committed, GroupObservation, GroupPhase, StartFrom};

/// Partitions shown of a group.
pub const PARTITIONS: usize = 50;
/// Members shown of a group.
pub const MEMBERS: usize = 100;
/// Longest name of a member kept, bytes: clients choose their own.
const NAME: usize = 128;

/// A consumer group.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    group: String,
    cluster: String,
    phase: &'static str,
    /// What could not be seen, in words.
    problems: Vec<String>,
    taken_at: Option<f64>,
    lag: Option<i64>,
    delay: Option<f64>,
    arrival: Option<f64>,
    service: Option<f64>,
    capacity: Option<f64>,
    /// Replicas it needs.
    demand: Option<i32>,
    members: Vec<Member>,
    /// Members that are not shown.
    more_members: usize,
    partitions: Vec<Partition>,
    /// Partitions that are not shown: none of them is further behind.
    more_partitions: usize,
    /// What waits in those, as far as it is known.
    more_lag: i64,
}

#[derive(Clone, Debug, Serialize)]
struct Member {
    client: String,
    host: String,
    partitions: usize,
    /// Over its partitions, as far as it is known.
    lag: i64,
    service: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct Partition {
    topic: String,
    partition: i32,
    lag: Option<i64>,
    delay: Option<f64>,
    committed: Option<i64>,
    end: Option<i64>,
    arrival: Option<f64>,
    service: Option<f64>,
    /// Client and host of the member that reads it.
    member: Option<String>,
}

/// The groups of a look.
pub fn groups(look: &Look<'_>, rates: &Rates<'_>) -> Vec<Group> {
    let policies = &look.policy.groups;
    let seen = look.observation.groups.iter().zip(policies).enumerate();
    seen.map(|(i, (seen, policy))| group(look, i, seen, policy.start_from, rates)).collect()
}

fn group(look: &Look<'_>, i: usize, seen: &GroupObservation, start: StartFrom, rates: &Rates<'_>) -> Group {
    let fresh = look.decision.problems.is_empty();
    let numbers = look.decision.numbers.groups.get(i);
    let live = numbers.filter(|_| fresh);
    let mut readers: HashMap<(&str, i32), usize> = HashMap::new();
    for (place, member) in seen.members.iter().enumerate() {
        readers.extend(member.assignment.iter().map(|(topic, p)| ((topic.as_ref(), *p), place)));
    }
    let mut members: Vec<Member> = seen
        .members
        .iter()
        .map(|m| Member {
            client: short(&m.client),
            host: short(m.host.trim_start_matches('/')),
            partitions: m.assignment.len(),
            lag: 0,
            service: None,
        })
        .collect();
    // Lag and place of each: what is not known comes first, as it may be anything.
    let mut order: Vec<(Option<i64>, usize)> = Vec::with_capacity(seen.partitions.len());
    for (place, p) in seen.partitions.iter().enumerate() {
        let lag = p.lag(start);
        if let Some(reader) = readers.get(&(p.topic.as_ref(), p.partition)) {
            let member = &mut members[*reader];
            member.lag = member.lag.saturating_add(lag.unwrap_or(0));
            let (_, service) = rates(i, &p.topic, p.partition);
            member.service = service.map(|s| s + member.service.unwrap_or(0.0)).or(member.service);
        }
        order.push((lag, place));
    }
    order.sort_unstable_by_key(|(lag, place)| (lag.is_some(), std::cmp::Reverse(*lag), *place));
    let hidden = order.split_off(order.len().min(PARTITIONS));
    let delays = look.delays.get(i).map(Vec::as_slice).unwrap_or_default();
    let partitions = order.into_iter().map(|(lag, place)| {
        let p = &seen.partitions[place];
        let (arrival, service) = rates(i, &p.topic, p.partition);
        let reader = readers.get(&(p.topic.as_ref(), p.partition));
        Partition {
            topic: p.topic.to_string(),
            partition: p.partition,
            lag,
            delay: rounded(delays.get(place).copied().flatten().filter(|_| fresh)),
            committed: match p.committed {
                Committed::At(offset) | Committed::PastEnd(offset) => Some(offset),
                Committed::None | Committed::Unknown => None,
            },
            end: p.end,
            arrival: rounded(arrival),
            service: rounded(service),
            member: reader.map(|r| format!("{} · {}", members[*r].client, members[*r].host)),
        }
    });
    let partitions: Vec<Partition> = partitions.collect();
    members.sort_by(|a, b| {
        b.lag.cmp(&a.lag).then_with(|| a.host.cmp(&b.host)).then_with(|| a.client.cmp(&b.client))
    });
    let more_members = members.len().saturating_sub(MEMBERS);
    members.truncate(MEMBERS);
    for member in &mut members {
        member.service = rounded(member.service);
    }
    Group {
        group: seen.group.clone(),
        cluster: look.clusters.get(i).map(ToString::to_string).unwrap_or_default(),
        phase: phase(seen.phase),
        problems: seen.problems.iter().take(5).map(|p| super::bounded(p)).collect(),
        taken_at: seen.taken_at,
        lag: live.and_then(|n| n.lag),
        delay: rounded(live.and_then(|n| n.delay)),
        arrival: rounded(live.and_then(|n| n.arrival)),
        service: rounded(live.and_then(|n| n.service)),
        capacity: rounded(numbers.and_then(|n| n.capacity)),
        demand: live.and_then(|n| n.demand),
        members,
        more_members,
        partitions,
        more_partitions: hidden.len(),
        more_lag: hidden.iter().filter_map(|(lag, _)| *lag).fold(0, i64::saturating_add),
    }
}

fn short(name: &str) -> String {
    let mut name = name.to_owned();
    name.truncate(name.floor_char_boundary(NAME));
    name
}

fn phase(phase: GroupPhase) -> &'static str {
    match phase {
        GroupPhase::Unknown => "unknown",
        GroupPhase::Rebalancing => "rebalancing",
        GroupPhase::Stable => "stable",
        GroupPhase::Empty => "no members",
        GroupPhase::Dead => "does not exist",
    }
}
