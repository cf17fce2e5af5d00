//! The established `kafka_…` families: lag and offsets of every partition, named and
//! labelled as kafka-lag-exporter does, so that dashboards made for it work.
//!
//! Groups are merged over scalers first: a partition that two scalers see has one series,
//! from the scaler whose name comes first. A sum is there only when every part of it is known.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ScalerKey;
use super::record::{GroupRecord, PartitionRecord, Record};
use super::text::{Kind, Page};

type Value = fn(&PartitionRecord) -> Option<f64>;

/// Families with one series a group and partition.
const PARTITION_OF_GROUP: &[(&str, &str, Value)] = &[
    (
        "kafka_consumergroup_group_lag",
        "Messages that the group is behind on the partition, never negative. Absent while it cannot be known.",
        |p| p.lag.map(|v| v as f64),
    ),
    (
        "kafka_consumergroup_group_offset",
        "The group's committed offset on the partition: the next it will read. Absent without a commit.",
        |p| p.committed.map(|v| v as f64),
    ),
    (
        "kafka_consumergroup_group_lag_seconds",
        "How long the group's oldest unread message on the partition has waited, in seconds.",
        |p| p.delay,
    ),
];

/// Families with one series a partition.
const PARTITION: &[(&str, &str, Value)] = &[
    (
        "kafka_partition_latest_offset",
        "End of the partition: its high watermark, or its last stable offset where every group reads committed messages only.",
        |p| p.end.map(|v| v as f64),
    ),
    ("kafka_partition_earliest_offset", "The oldest offset that the partition still holds.", |p| {
        p.start.map(|v| v as f64)
    }),
];

/// A partition of a group.
#[derive(Clone, Copy)]
struct Row<'a> {
    group: &'a GroupRecord,
    partition: &'a PartitionRecord,
}

impl Row<'_> {
    fn by_partition(&self, other: &Self) -> Ordering {
        let (a, b) = (self.partition, other.partition);
        (&self.group.cluster, &a.topic, a.partition).cmp(&(&other.group.cluster, &b.topic, b.partition))
    }

    fn by_group(&self, other: &Self) -> Ordering {
        (&self.group.cluster, &self.group.group)
            .cmp(&(&other.group.cluster, &other.group.group))
            .then_with(|| self.by_partition(other))
    }
}

/// What is known of a group as a whole.
#[derive(Default)]
struct Whole<'a> {
    incomplete: bool,
    delay: Option<f64>,
    topics: BTreeMap<&'a str, Sum>,
}

/// A sum of lags, unknown once a part of it is.
#[derive(Clone, Copy)]
struct Sum {
    lag: Option<i64>,
    largest: Option<i64>,
}

impl Sum {
    const ZERO: Self = Self { lag: Some(0), largest: Some(0) };

    fn and(self, lag: Option<i64>, largest: Option<i64>) -> Self {
        Self {
            lag: self.lag.zip(lag).map(|(a, b)| a.saturating_add(b)),
            largest: self.largest.zip(largest).map(|(a, b)| a.max(b)),
        }
    }
}

impl Whole<'_> {
    /// The sum over all topics, when the whole group was read.
    fn total(&self) -> Option<Sum> {
        let known = !self.incomplete && !self.topics.is_empty();
        known.then(|| self.topics.values().fold(Sum::ZERO, |all, topic| all.and(topic.lag, topic.largest)))
    }
}

type OfGroup = (&'static str, &'static str, fn(&Whole<'_>) -> Option<f64>);

/// Families with one series a group.
const GROUP: &[OfGroup] = &[
    (
        "kafka_consumergroup_group_sum_lag",
        "Messages that the group is behind, over all its partitions. Absent unless known for every partition.",
        |g| Some(g.total()?.lag? as f64),
    ),
    (
        "kafka_consumergroup_group_max_lag",
        "Messages that the group is behind on its worst partition. Absent unless known for every partition.",
        |g| Some(g.total()?.largest? as f64),
    ),
    (
        "kafka_consumergroup_group_max_lag_seconds",
        "How long the group's oldest unread message has waited, in seconds.",
        |g| g.delay,
    ),
];

/// Writes the families.
pub(super) fn write(page: &mut Page, records: &[(ScalerKey, Arc<Record>)]) {
    let groups: Vec<&GroupRecord> =
        records.iter().filter_map(|(_, record)| record.seen.as_ref()).flat_map(|seen| &seen.groups).collect();
    let mut rows: Vec<Row<'_>> = groups
        .iter()
        .flat_map(|group| {
            let row = |partition| Row { group, partition };
            group.partitions.iter().map(row)
        })
        .collect();
    // The sorts are stable, so of two rows for the same thing the first scaler's stays.
    rows.sort_by(Row::by_group);
    rows.dedup_by(|b, a| a.by_group(b).is_eq());
    for (name, help, value) in PARTITION_OF_GROUP {
        let mut family = page.family(name, Kind::Gauge, help);
        for Row { group, partition } in &rows {
            let reader = partition.reader.as_deref();
            let labels = [
                ("cluster_name", group.cluster.as_ref()),
                ("group", &group.group),
                ("topic", &partition.topic),
                ("partition", &partition.partition.to_string()),
                ("member_host", reader.map_or("", |r| &r.host)),
                ("consumer_id", reader.map_or("", |r| &r.id)),
                ("client_id", reader.map_or("", |r| &r.client)),
            ];
            family.series(&labels, value(partition));
        }
    }
    write_groups(page, &groups, &rows);
    rows.sort_by(Row::by_partition);
    for (name, help, value) in PARTITION {
        let mut family = page.family(name, Kind::Gauge, help);
        for same in rows.chunk_by(|a, b| a.by_partition(b).is_eq()) {
            let Row { group, partition } = same[0];
            let labels = [
                ("cluster_name", group.cluster.as_ref()),
                ("topic", &partition.topic),
                ("partition", &partition.partition.to_string()),
            ];
            // Of groups that read up to different offsets the one that reads furthest tells the end.
            let known = same.iter().filter_map(|row| value(row.partition));
            family.series(&labels, known.max_by(f64::total_cmp));
        }
    }
}

fn write_groups(page: &mut Page, groups: &[&GroupRecord], rows: &[Row<'_>]) {
    let mut wholes: BTreeMap<(&str, &str), Whole<'_>> = BTreeMap::new();
    for group in groups {
        let whole = wholes.entry((&group.cluster, &group.group)).or_default();
        whole.incomplete |= !group.complete;
        whole.delay = match (whole.delay, group.delay) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
    for Row { group, partition } in rows {
        if let Some(whole) = wholes.get_mut(&(group.cluster.as_ref(), group.group.as_str())) {
            let sum = whole.topics.entry(&partition.topic).or_insert(Sum::ZERO);
            *sum = sum.and(partition.lag, partition.lag);
        }
    }
    let mut family = page.family(
        "kafka_consumergroup_group_topic_sum_lag",
        Kind::Gauge,
        "Messages that the group is behind on the topic. Absent unless known for every partition.",
    );
    for ((cluster, group), whole) in wholes.iter().filter(|(_, w)| !w.incomplete) {
        for (topic, sum) in &whole.topics {
            let labels = [("cluster_name", *cluster), ("group", group), ("topic", topic)];
            family.series(&labels, sum.lag.map(|v| v as f64));
        }
    }
    for (name, help, value) in GROUP {
        let mut family = page.family(name, Kind::Gauge, help);
        for ((cluster, group), whole) in &wholes {
            family.series(&[("cluster_name", *cluster), ("group", group)], value(whole));
        }
    }
}
