//! The `spillway_…` families of scalers and of their groups.
//!
//! Of partitions it knows only those that stand still, by name; all of them are in `consumergroups`.

use std::sync::Arc;

use crate::decide::{GroupNumbers, ScalerState};

use super::ScalerKey;
use super::family::{Family, Kind};
use super::record::{Record, Seen};
use super::text::Page;

/// At most that many partitions of a scaler that stand still are named; all are counted.
const NAMED: usize = 10;

const OF_SCALER: &[&str] = &["namespace", "name"];

type ScalerGauge = (Family, fn(&Seen) -> Option<f64>);
type GroupGauge = (Family, fn(&GroupNumbers) -> Option<f64>);

/// Families with one series a scaler.
const SCALER: &[ScalerGauge] = &[
    (
        scaler(
            "spillway_scaler_lag_messages",
            "Messages behind, over all groups and partitions of the scaler. Absent while it cannot be known.",
        ),
        |s| s.decision.numbers.lag.map(|v| v as f64),
    ),
    (
        scaler("spillway_scaler_delay_seconds", "How long the oldest unread message has waited, in seconds."),
        |s| s.decision.numbers.delay,
    ),
    (
        scaler(
            "spillway_scaler_eta_seconds",
            "How long until the backlog is gone with the desired replicas, in seconds. Absent without a backlog, or when it is not shrinking.",
        ),
        |s| s.decision.numbers.eta,
    ),
    (
        scaler(
            "spillway_scaler_arrival_messages_per_second",
            "Messages arriving per second, over all groups.",
        ),
        |s| s.decision.numbers.arrival,
    ),
    (
        scaler(
            "spillway_scaler_service_messages_per_second",
            "Messages processed per second, over all groups.",
        ),
        |s| s.decision.numbers.service,
    ),
    (
        scaler(
            "spillway_scaler_capacity_messages_per_second",
            "Messages per second that one busy, warm replica processes, as learnt.",
        ),
        |s| s.decision.numbers.capacity,
    ),
    (scaler("spillway_scaler_current_replicas", "Replicas that the workload asks for now."), |s| {
        s.decision.from.map(f64::from)
    }),
    (scaler("spillway_scaler_desired_replicas", "Replicas that Spillway wants."), |s| {
        s.decision.to.map(f64::from)
    }),
    (
        scaler(
            "spillway_scaler_demand_replicas",
            "Replicas that the objective needs, before minReplicas, maxReplicas, partitions and steps limit them.",
        ),
        |s| s.decision.numbers.demand.map(f64::from),
    ),
    (
        scaler(
            "spillway_scaler_ready_replicas",
            "Pods of the workload that are ready, where its kind tells.",
        ),
        |s| s.ready.map(f64::from),
    ),
    (
        scaler(
            "spillway_scaler_base_replicas",
            "Replicas held while quiet, as fewer did not last. Absent while nothing above minReplicas is.",
        ),
        |s| s.decision.numbers.base.map(|b| b.replicas.into()),
    ),
    (
        scaler(
            "spillway_scaler_schedule_min_replicas",
            "Replicas that the schedule that is on asks for. Absent while none is.",
        ),
        |s| s.decision.numbers.schedule.as_ref().map(|s| s.min_replicas.into()),
    ),
    (
        scaler(
            "spillway_scaler_expired_messages",
            "Messages that retention deleted before they were read, as far as the groups have not read on since.",
        ),
        |s| Some(s.decision.numbers.expired as f64),
    ),
    (
        scaler(
            "spillway_scaler_time_to_loss_seconds",
            "How long until retention deletes the first message that waits, in seconds. Absent without a backlog, or where messages are kept for ever.",
        ),
        |s| s.decision.numbers.time_to_loss,
    ),
    (scaler("spillway_scaler_min_replicas", "minReplicas of the scaler."), |s| Some(s.min_replicas.into())),
    (scaler("spillway_scaler_max_replicas", "maxReplicas of the scaler."), |s| Some(s.max_replicas.into())),
    (
        scaler(
            "spillway_scaler_objective_max_delay_seconds",
            "objective.maxDelay: how late a message may be, in seconds.",
        ),
        |s| Some(s.decision.numbers.max_delay),
    ),
    (
        scaler(
            "spillway_scaler_objective_recover_within_seconds",
            "objective.recoverWithin: how soon a backlog must be gone, in seconds.",
        ),
        |s| Some(s.decision.numbers.recover_within),
    ),
    (
        scaler(
            "spillway_scaler_start_up_seconds",
            "Time from asking for a replica to its first work, as planned with, in seconds.",
        ),
        |s| Some(s.decision.numbers.start_up),
    ),
    (
        scaler(
            "spillway_scaler_rebalance_pause_seconds",
            "Time that a rebalance stops the group, as planned with, in seconds.",
        ),
        |s| Some(s.decision.numbers.rebalance_pause),
    ),
    (
        scaler(
            "spillway_scaler_problems",
            "Things that could not be seen at the last look. The status and the log name them.",
        ),
        |s| Some(s.decision.problems.len() as f64),
    ),
    (
        scaler(
            "spillway_scaler_lasting_replicas",
            "Replicas that what arrives needs once the backlog is gone. Absent unless more are asked for.",
        ),
        |s| s.decision.numbers.lasting.map(f64::from),
    ),
    (
        scaler(
            "spillway_scaler_expected_arrival_messages_per_second",
            "Messages per second that may arrive by the time new replicas work, where more and more arrives.",
        ),
        |s| s.decision.numbers.expected,
    ),
    (
        scaler(
            "spillway_scaler_scale_up_above_messages_per_second",
            "More than this arriving asks for more replicas, messages per second. Absent while nothing would.",
        ),
        |s| s.decision.turning.up_above,
    ),
    (
        scaler(
            "spillway_scaler_scale_down_below_messages_per_second",
            "Less than this arriving lets fewer replicas do, messages per second. Absent while nothing would.",
        ),
        |s| s.decision.turning.down_below,
    ),
    (
        scaler(
            "spillway_scaler_scale_down_in_seconds",
            "Until fewer replicas may be asked for if all stays as it is, in seconds.",
        ),
        |s| s.decision.turning.down_in,
    ),
    (
        scaler(
            "spillway_scaler_held_seconds",
            "Until more replicas are asked for again after some that did not help, in seconds.",
        ),
        |s| s.decision.turning.held_for,
    ),
    (
        scaler(
            "spillway_scaler_fallback_in_seconds",
            "Until the fallback applies if nothing is seen, in seconds.",
        ),
        |s| s.decision.turning.fallback_in,
    ),
    (
        scaler(
            "spillway_scaler_stuck_partitions",
            "Partitions that stand still while others of their group are processed.",
        ),
        |s| s.decision.problems.is_empty().then(|| s.stuck_partitions().len() as f64),
    ),
];

/// Families with one series a group of a scaler.
const GROUP: &[GroupGauge] = &[
    (group("spillway_group_lag_messages", "Messages behind, of one group of the scaler."), |g| {
        g.lag.map(|v| v as f64)
    }),
    (
        group(
            "spillway_group_delay_seconds",
            "How long the oldest unread message of the group has waited, in seconds.",
        ),
        |g| g.delay,
    ),
    (
        group("spillway_group_arrival_messages_per_second", "Messages arriving per second for the group."),
        |g| g.arrival,
    ),
    (
        group("spillway_group_service_messages_per_second", "Messages that the group processes per second."),
        |g| g.service,
    ),
    (group("spillway_group_members", "Consumers in the group."), |g| g.members.map(|v| v as f64)),
    (
        group(
            "spillway_group_demand_replicas",
            "Replicas that the group needs, before limits. The scaler follows the largest.",
        ),
        |g| g.demand.map(f64::from),
    ),
];

const fn scaler(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels: OF_SCALER, help, series: "S" }
}

const fn group(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: Kind::Gauge,
        labels: &["namespace", "name", "cluster_name", "group"],
        help,
        series: "G",
    }
}

const SCALERS: Family = Family {
    name: "spillway_scalers",
    kind: Kind::Gauge,
    labels: &[],
    help: "ConsumerScalers that this process looks after.",
    series: "1",
};
const STATE: Family = Family {
    name: "spillway_scaler_state",
    kind: Kind::Gauge,
    labels: &["namespace", "name", "state"],
    help: "1 for the state that the scaler is in, 0 for every other state.",
    series: "9 × S",
};
const RULE: Family = Family {
    name: "spillway_scaler_rule",
    kind: Kind::Gauge,
    labels: &["namespace", "name", "rule"],
    help: "1 for the rule that bound the last decision. Absent otherwise.",
    series: "S",
};
const LIMITED: Family = Family {
    name: "spillway_scaler_limited",
    kind: Kind::Gauge,
    labels: &["namespace", "name", "limit"],
    help: "1 for each limit that holds the replicas back from what the objective needs. Absent otherwise.",
    series: "≤ 11 × S",
};
const STUCK: Family = Family {
    name: "spillway_scaler_stuck_partition_info",
    kind: Kind::Gauge,
    labels: &["namespace", "name", "topic", "partition"],
    help: "1 for each partition that stands still while others of its group are processed, for ten of them. Absent otherwise.",
    series: "≤ 10 × S",
};
const OBSERVED: Family = Family {
    name: "spillway_scaler_observed_timestamp_seconds",
    kind: Kind::Gauge,
    labels: OF_SCALER,
    help: "When all groups of the scaler were last read whole, Unix time in seconds; its age is time() minus this.",
    series: "S",
};
const DECISIONS: Family = Family {
    name: "spillway_decisions_total",
    kind: Kind::Counter,
    labels: &["namespace", "name", "rule"],
    help: "Decisions, one a sweep and scaler, by the rule that bound them.",
    series: "≤ 17 × S",
};
const SCALE_WRITES: Family = Family {
    name: "spillway_scale_writes_total",
    kind: Kind::Counter,
    labels: &["namespace", "name", "direction", "result"],
    help: "Writes to the scale subresource of the workload, by direction and how they ended.",
    series: "≤ 2 × 8 × S",
};

/// All families of this file.
pub(super) fn families() -> impl Iterator<Item = &'static Family> {
    let alone = [&SCALERS, &STATE, &RULE, &LIMITED, &STUCK, &OBSERVED, &DECISIONS, &SCALE_WRITES];
    alone.into_iter().chain(SCALER.iter().map(|(f, _)| f)).chain(GROUP.iter().map(|(f, _)| f))
}

/// Writes the families.
pub(super) fn write(page: &mut Page, records: &[(ScalerKey, Arc<Record>)]) {
    page.family(&SCALERS).series(&[], Some(records.len() as f64));
    for (family, value) in SCALER {
        let mut family = page.family(family);
        for (key, record) in records {
            family.series(&of(key), record.seen.as_ref().and_then(value));
        }
    }
    states(page, records);
    let mut observed = page.family(&OBSERVED);
    for (key, record) in records {
        observed.series(&of(key), record.observed_at);
    }
    counters(page, records);
    for (family, value) in GROUP {
        let mut family = page.family(family);
        for (key, record) in records {
            // The id as Kafka knows it, and the cluster: two clusters may each have a group of that id.
            let groups = record.seen.iter().flat_map(|s| s.groups.iter().zip(&s.decision.numbers.groups));
            for (seen, numbers) in groups {
                let [namespace, scaler] = of(key);
                let (cluster, group) =
                    (("cluster_name", seen.cluster.as_ref()), ("group", seen.group.as_str()));
                family.series(&[namespace, scaler, cluster, group], value(numbers));
            }
        }
    }
}

fn states(page: &mut Page, records: &[(ScalerKey, Arc<Record>)]) {
    let mut family = page.family(&STATE);
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        for state in ScalerState::ALL {
            let is = f64::from(u8::from(state == record.state));
            family.series(&[namespace, scaler, ("state", state.as_str())], Some(is));
        }
    }
    let mut family = page.family(&LIMITED);
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        let mut limits: Vec<&str> =
            record.seen.iter().flat_map(|s| &s.decision.limits).map(|l| l.as_str()).collect();
        limits.sort_unstable();
        limits.dedup();
        for limit in limits {
            family.series(&[namespace, scaler, ("limit", limit)], Some(1.0));
        }
    }
    let mut family = page.family(&STUCK);
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        for name in record.seen.iter().flat_map(|s| s.stuck_partitions().into_iter().take(NAMED)) {
            // The partition is what follows the last hyphen: a topic may have some, too.
            let (topic, partition) = name.rsplit_once('-').unwrap_or((name, ""));
            family.series(&[namespace, scaler, ("topic", topic), ("partition", partition)], Some(1.0));
        }
    }
    let mut family = page.family(&RULE);
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        let rule = record.seen.as_ref().map(|s| s.decision.rule.as_str());
        family.series(&[namespace, scaler, ("rule", rule.unwrap_or_default())], rule.map(|_| 1.0));
    }
}

fn counters(page: &mut Page, records: &[(ScalerKey, Arc<Record>)]) {
    let mut family = page.family(&DECISIONS);
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        for (rule, count) in &record.decisions {
            family.series(&[namespace, scaler, ("rule", rule)], Some(*count as f64));
        }
    }
    let mut family = page.family(&SCALE_WRITES);
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        for ((direction, result), count) in &record.scale_writes {
            let labels = [namespace, scaler, ("direction", direction), ("result", result)];
            family.series(&labels, Some(*count as f64));
        }
    }
}

fn of(key: &ScalerKey) -> [(&str, &str); 2] {
    [("namespace", &key.namespace), ("name", &key.name)]
}
