//! The `spillway_…` families of scalers and of their groups.
//!
//! Of partitions it knows only those that stand still, by name; all of them are in `consumergroups`.

use std::sync::Arc;

use crate::decide::ScalerState;

use super::ScalerKey;
use super::catalogue::{
    BLOCKED, DECISIONS, GROUP, LIMITED, OBSERVED, RULE, SCALE_WRITES, SCALER, SCALERS, STATE, STUCK,
};
use super::record::Record;
use super::text::Page;

/// At most that many partitions of a scaler that stand still are named; all are counted.
const NAMED: usize = 10;

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
    let mut family = page.family(&BLOCKED);
    for (key, record) in records {
        let [namespace, scaler] = of(key);
        let reason = record.seen.as_ref().and_then(|s| s.blocked.as_deref());
        family.series(&[namespace, scaler, ("reason", reason.unwrap_or_default())], reason.map(|_| 1.0));
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
