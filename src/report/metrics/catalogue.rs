//! Which `spillway_…` families of scalers and of their groups there are, and where their values come from.
//!
//! It writes nothing; that is for `scalers`.

use crate::decide::GroupNumbers;

use super::family::{Family, Kind};
use super::record::Seen;

const OF_SCALER: &[&str] = &["namespace", "name"];

pub(super) type ScalerGauge = (Family, fn(&Seen) -> Option<f64>);
pub(super) type GroupGauge = (Family, fn(&GroupNumbers) -> Option<f64>);

/// Families with one series a scaler.
pub(super) const SCALER: &[ScalerGauge] = &[
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
            "Things that could not be seen at the last look. The condition Ready names the first five.",
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
pub(super) const GROUP: &[GroupGauge] = &[
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

pub(super) const SCALERS: Family = Family {
    name: "spillway_scalers",
    kind: Kind::Gauge,
    labels: &[],
    help: "ConsumerScalers that this process looks after.",
    series: "1",
};
pub(super) const STATE: Family = Family {
    name: "spillway_scaler_state",
    kind: Kind::Gauge,
    labels: &["namespace", "name", "state"],
    help: "1 for the state that the scaler is in, 0 for every other state.",
    series: "9 × S",
};
pub(super) const RULE: Family = Family {
    name: "spillway_scaler_rule",
    kind: Kind::Gauge,
    labels: &["namespace", "name", "rule"],
    help: "1 for the rule that bound the last decision. Absent otherwise.",
    series: "S",
};
pub(super) const LIMITED: Family = Family {
    name: "spillway_scaler_limited",
    kind: Kind::Gauge,
    labels: &["namespace", "name", "limit"],
    help: "1 for each limit that holds the replicas back from what the objective needs. Absent otherwise.",
    series: "≤ 11 × S",
};
pub(super) const BLOCKED: Family = Family {
    name: "spillway_scaler_blocked",
    kind: Kind::Gauge,
    labels: &["namespace", "name", "reason"],
    help: "1 while the workload cannot be scaled, with the reason that the conditions have. Absent otherwise.",
    series: "≤ S",
};
pub(super) const STUCK: Family = Family {
    name: "spillway_scaler_stuck_partition_info",
    kind: Kind::Gauge,
    labels: &["namespace", "name", "topic", "partition"],
    help: "1 for each partition that stands still while others of its group are processed, for ten of them. Absent otherwise.",
    series: "≤ 10 × S",
};
pub(super) const OBSERVED: Family = Family {
    name: "spillway_scaler_observed_timestamp_seconds",
    kind: Kind::Gauge,
    labels: OF_SCALER,
    help: "When all groups of the scaler were last read whole, Unix time in seconds; its age is time() minus this.",
    series: "S",
};
pub(super) const DECISIONS: Family = Family {
    name: "spillway_decisions_total",
    kind: Kind::Counter,
    labels: &["namespace", "name", "rule"],
    help: "Decisions, one a sweep and scaler, by the rule that bound them.",
    series: "≤ 17 × S",
};
pub(super) const SCALE_WRITES: Family = Family {
    name: "spillway_scale_writes_total",
    kind: Kind::Counter,
    labels: &["namespace", "name", "direction", "result"],
    help: "Writes to the scale subresource of the workload, by direction and how they ended.",
    series: "≤ 2 × 8 × S",
};

/// All of them.
pub(super) fn families() -> impl Iterator<Item = &'static Family> {
    let alone = [&SCALERS, &STATE, &RULE, &LIMITED, &BLOCKED, &STUCK, &OBSERVED, &DECISIONS, &SCALE_WRITES];
    alone.into_iter().chain(SCALER.iter().map(|(f, _)| f)).chain(GROUP.iter().map(|(f, _)| f))
}
