//! The `spillway_…` families of scalers and of their groups.
//!
//! Of partitions it knows only those that stand still, by name; all of them are in `consumergroups`.

use std::sync::Arc;

use crate::decide::{GroupNumbers, ScalerState};

use super::ScalerKey;
use super::record::{Record, Seen};
use super::text::{Kind, Page};

type ScalerGauge = (&'static str, &'static str, fn(&Seen) -> Option<f64>);
type GroupGauge = (&'static str, &'static str, fn(&GroupNumbers) -> Option<f64>);

/// Families with one series a scaler.
const SCALER: &[ScalerGauge] = &[
    (
        "spillway_scaler_lag_messages",
        "Messages behind, over all groups and partitions of the scaler. Absent while it cannot be known.",
        |s| s.decision.numbers.lag.map(|v| v as f64),
    ),
    ("spillway_scaler_delay_seconds", "How long the oldest unread message has waited, in seconds.", |s| {
        s.decision.numbers.delay
    }),
    (
        "spillway_scaler_eta_seconds",
        "How long until the backlog is gone with the desired replicas, in seconds. Absent without a backlog, or when it is not shrinking.",
        |s| s.decision.numbers.eta,
    ),
    ("spillway_scaler_arrival_messages_per_second", "Messages arriving per second, over all groups.", |s| {
        s.decision.numbers.arrival
    }),
    ("spillway_scaler_service_messages_per_second", "Messages processed per second, over all groups.", |s| {
        s.decision.numbers.service
    }),
    (
        "spillway_scaler_capacity_messages_per_second",
        "Messages per second that one busy, warm replica processes, as learnt.",
        |s| s.decision.numbers.capacity,
    ),
    ("spillway_scaler_current_replicas", "Replicas that the workload asks for now.", |s| {
        s.decision.from.map(f64::from)
    }),
    ("spillway_scaler_desired_replicas", "Replicas that Spillway wants.", |s| s.decision.to.map(f64::from)),
    (
        "spillway_scaler_demand_replicas",
        "Replicas that the objective needs, before minReplicas, maxReplicas, partitions and steps limit them.",
        |s| s.decision.numbers.demand.map(f64::from),
    ),
    ("spillway_scaler_ready_replicas", "Pods of the workload that are ready, where its kind tells.", |s| {
        s.ready.map(f64::from)
    }),
    (
        "spillway_scaler_base_replicas",
        "Replicas held while quiet, as fewer did not last. Absent while nothing above minReplicas is.",
        |s| s.decision.numbers.base.map(|b| b.replicas.into()),
    ),
    (
        "spillway_scaler_schedule_min_replicas",
        "Replicas that the schedule that is on asks for. Absent while none is.",
        |s| s.decision.numbers.schedule.as_ref().map(|s| s.min_replicas.into()),
    ),
    (
        "spillway_scaler_expired_messages",
        "Messages that retention deleted before they were read, as far as the groups have not read on since.",
        |s| Some(s.decision.numbers.expired as f64),
    ),
    (
        "spillway_scaler_time_to_loss_seconds",
        "How long until retention deletes the first message that waits, in seconds. Absent without a backlog, or where messages are kept for ever.",
        |s| s.decision.numbers.time_to_loss,
    ),
    ("spillway_scaler_min_replicas", "minReplicas of the scaler.", |s| Some(s.min_replicas.into())),
    ("spillway_scaler_max_replicas", "maxReplicas of the scaler.", |s| Some(s.max_replicas.into())),
    (
        "spillway_scaler_objective_max_delay_seconds",
        "objective.maxDelay: how late a message may be, in seconds.",
        |s| Some(s.decision.numbers.max_delay),
    ),
    (
        "spillway_scaler_objective_recover_within_seconds",
        "objective.recoverWithin: how soon a backlog must be gone, in seconds.",
        |s| Some(s.decision.numbers.recover_within),
    ),
    (
        "spillway_scaler_start_up_seconds",
        "Time from asking for a replica to its first work, as planned with, in seconds.",
        |s| Some(s.decision.numbers.start_up),
    ),
    (
        "spillway_scaler_rebalance_pause_seconds",
        "Time that a rebalance stops the group, as planned with, in seconds.",
        |s| Some(s.decision.numbers.rebalance_pause),
    ),
    (
        "spillway_scaler_problems",
        "Things that could not be seen at the last look. The status and the log name them.",
        |s| Some(s.decision.problems.len() as f64),
    ),
];

/// Families with one series a group of a scaler.
const GROUP: &[GroupGauge] = &[
    ("spillway_group_lag_messages", "Messages behind, of one group of the scaler.", |g| {
        g.lag.map(|v| v as f64)
    }),
    (
        "spillway_group_delay_seconds",
        "How long the oldest unread message of the group has waited, in seconds.",
        |g| g.delay,
    ),
    ("spillway_group_arrival_messages_per_second", "Messages arriving per second for the group.", |g| {
        g.arrival
    }),
    ("spillway_group_service_messages_per_second", "Messages that the group processes per second.", |g| {
        g.service
    }),
    ("spillway_group_members", "Consumers in the group.", |g| g.members.map(|v| v as f64)),
    (
        "spillway_group_demand_replicas",
        "Replicas that the group needs, before limits. The scaler follows the largest.",
        |g| g.demand.map(f64::from),
    ),
];

/// Writes the families.
pub(super) fn write(page: &mut Page, records: &[(ScalerKey, Arc<Record>)]) {
    page.family("spillway_scalers", Kind::Gauge, "ConsumerScalers that this process looks after.")
        .series(&[], Some(records.len() as f64));
    for (name, help, value) in SCALER {
        let mut family = page.family(name, Kind::Gauge, help);
        for (key, record) in records {
            family.series(&of(key), record.seen.as_ref().and_then(value));
        }
    }
    states(page, records);
    let mut observed = page.family(
        "spillway_scaler_observed_timestamp_seconds",
        Kind::Gauge,
        "When all groups of the scaler were last read whole, Unix time in seconds; its age is time() minus this.",
    );
    for (key, record) in records {
        observed.series(&of(key), record.observed_at);
    }
    counters(page, records);
    for (name, help, value) in GROUP {
        let mut family = page.family(name, Kind::Gauge, help);
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
    let mut family = page.family(
        "spillway_scaler_state",
        Kind::Gauge,
        "1 for the state that the scaler is in, 0 for every other state.",
    );
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        for state in ScalerState::ALL {
            let is = f64::from(u8::from(state == record.state));
            family.series(&[namespace, scaler, ("state", state.as_str())], Some(is));
        }
    }
    let mut family = page.family(
        "spillway_scaler_limited",
        Kind::Gauge,
        "1 for each limit that holds the replicas back from what the objective needs. Absent otherwise.",
    );
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
    let mut family = page.family(
        "spillway_scaler_stuck_partition",
        Kind::Gauge,
        "1 for each partition that stands still while others of its group are processed. Absent otherwise.",
    );
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        let mut partitions: Vec<&String> =
            record.seen.iter().flat_map(|s| &s.decision.numbers.stuck_partitions).collect();
        partitions.sort_unstable();
        partitions.dedup();
        for partition in partitions {
            family.series(&[namespace, scaler, ("partition", partition)], Some(1.0));
        }
    }
}

fn counters(page: &mut Page, records: &[(ScalerKey, Arc<Record>)]) {
    let mut family = page.family(
        "spillway_decisions_total",
        Kind::Counter,
        "Decisions, one a sweep and scaler, by the rule that bound them.",
    );
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        for (rule, count) in &record.decisions {
            family.series(&[namespace, scaler, ("rule", rule)], Some(*count as f64));
        }
    }
    let mut family = page.family(
        "spillway_scale_writes_total",
        Kind::Counter,
        "Writes to the scale subresource of the workload, by direction and how they ended.",
    );
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
