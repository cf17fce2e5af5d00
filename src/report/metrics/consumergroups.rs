//! The established `kafka_…` families: lag and offsets of every partition, named and
//! labelled as kafka-lag-exporter does, so that dashboards made for it work.
//!
//! Groups are merged over scalers first: a partition that two scalers see has one series,
//! from the scaler whose name comes first. A sum is there only when every part of it is known.
//! Of partitions there are no more than are asked for, as each has five series; sums are of all.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ScalerKey;
use super::family::{Family, Kind};
use super::record::{GroupRecord, PartitionRecord, Record};
use super::text::Page;

type Value = fn(&PartitionRecord) -> Option<f64>;

/// Families with one series a group and partition.
const PARTITION_OF_GROUP: &[(Family, Value)] = &[
    (
        read(
            "kafka_consumergroup_group_lag",
            "Messages that the group is behind on the partition, never negative. Absent while it cannot be known.",
        ),
        |p| p.lag.map(|v| v as f64),
    ),
    (
        read(
            "kafka_consumergroup_group_offset",
            "The group's committed offset on the partition: the next it will read. Absent without a commit.",
        ),
        |p| p.committed.map(|v| v as f64),
    ),
    (
        read(
            "kafka_consumergroup_group_lag_seconds",
            "How long the group's oldest unread message on the partition has waited, in seconds.",
        ),
        |p| p.delay,
    ),
];

/// Families with one series a partition.
const PARTITION: &[(Family, Value)] = &[
    (
        partition(
            "kafka_partition_latest_offset",
            "End of the partition: its high watermark, or its last stable offset where every group reads committed messages only.",
        ),
        |p| p.end.map(|v| v as f64),
    ),
    (
        partition("kafka_partition_earliest_offset", "The oldest offset that the partition still holds."),
        |p| p.start.map(|v| v as f64),
    ),
];

const fn read(name: &'static str, help: &'static str) -> Family {
    let labels = &["cluster_name", "group", "topic", "partition", "member_host", "consumer_id", "client_id"];
    Family { name, kind: Kind::Gauge, labels, help, series: "≤ M × K" }
}

const fn partition(name: &'static str, help: &'static str) -> Family {
    let labels = &["cluster_name", "topic", "partition"];
    Family { name, kind: Kind::Gauge, labels, help, series: "≤ M × K" }
}

const fn group(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels: &["cluster_name", "group"], help, series: "K" }
}

const TOPIC_SUM_LAG: Family = Family {
    name: "kafka_consumergroup_group_topic_sum_lag",
    kind: Kind::Gauge,
    labels: &["cluster_name", "group", "topic"],
    help: "Messages that the group is behind on the topic. Absent unless known for every partition.",
    series: "topics × K",
};

const LEFT_OUT: Family = Family {
    name: "spillway_partitions_left_out",
    kind: Kind::Gauge,
    labels: &["cluster_name", "group"],
    help: "Partitions of the group that have no series of their own, as --partition-metrics asks for fewer.",
    series: "K",
};

/// All families of this file.
pub(super) fn families() -> impl Iterator<Item = &'static Family> {
    let of_partitions = PARTITION_OF_GROUP.iter().chain(PARTITION).map(|(f, _)| f);
    of_partitions.chain([&TOPIC_SUM_LAG, &LEFT_OUT]).chain(GROUP.iter().map(|(f, _)| f))
}

/// A partition of a group.
#[derive(Clone, Copy)]
struct Row<'a> {
    group: &'a GroupRecord,
    partition: &'a PartitionRecord,
    /// Whether it has series of its own.
    shown: bool,
}

impl Row<'_> {
    fn by_partition(&self, other: &Self) -> Ordering {
        let (a, b) = (self.partition, other.partition);
        (&self.group.cluster, &a.topic, a.partition).cmp(&(&other.group.cluster, &b.topic, b.partition))
    }

    fn by_group(&self, other: &Self) -> Ordering {
        self.of_group().cmp(&other.of_group()).then_with(|| self.by_partition(other))
    }

    fn of_group(&self) -> (&str, &str) {
        (&self.group.cluster, &self.group.group)
    }
}

/// What is known of a group as a whole.
#[derive(Default)]
struct Whole<'a> {
    incomplete: bool,
    left_out: usize,
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

type OfGroup = (Family, fn(&Whole<'_>) -> Option<f64>);

/// Families with one series a group.
const GROUP: &[OfGroup] = &[
    (
        group(
            "kafka_consumergroup_group_sum_lag",
            "Messages that the group is behind, over all its partitions. Absent unless known for every partition.",
        ),
        |g| Some(g.total()?.lag? as f64),
    ),
    (
        group(
            "kafka_consumergroup_group_max_lag",
            "Messages that the group is behind on its worst partition. Absent unless known for every partition.",
        ),
        |g| Some(g.total()?.largest? as f64),
    ),
    (
        group(
            "kafka_consumergroup_group_max_lag_seconds",
            "How long the group's oldest unread message has waited, in seconds.",
        ),
        |g| g.delay,
    ),
];

/// Writes the families; those of single partitions for the first `most` of each group, in the order
/// of their names: the same ones from scrape to scrape.
pub(super) fn write(page: &mut Page, records: &[(ScalerKey, Arc<Record>)], most: usize) {
    let groups: Vec<&GroupRecord> =
        records.iter().filter_map(|(_, record)| record.seen.as_ref()).flat_map(|seen| &seen.groups).collect();
    let mut rows: Vec<Row<'_>> = groups
        .iter()
        .flat_map(|group| {
            let row = |partition| Row { group, partition, shown: false };
            group.partitions.iter().map(row)
        })
        .collect();
    // The sorts are stable, so of two rows for the same thing the first scaler's stays.
    rows.sort_by(Row::by_group);
    rows.dedup_by(|b, a| a.by_group(b).is_eq());
    for of_group in rows.chunk_by_mut(|a, b| a.of_group() == b.of_group()) {
        of_group.iter_mut().take(most).for_each(|row| row.shown = true);
    }
    for (family, value) in PARTITION_OF_GROUP {
        let mut family = page.family(family);
        for Row { group, partition, .. } in rows.iter().filter(|row| row.shown) {
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
    for (family, value) in PARTITION {
        let mut family = page.family(family);
        let partitions = rows.chunk_by(|a, b| a.by_partition(b).is_eq());
        for same in partitions.filter(|same| same.iter().any(|row| row.shown)) {
            let Row { group, partition, .. } = same[0];
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
    for Row { group, partition, shown } in rows {
        if let Some(whole) = wholes.get_mut(&(group.cluster.as_ref(), group.group.as_str())) {
            let sum = whole.topics.entry(&partition.topic).or_insert(Sum::ZERO);
            *sum = sum.and(partition.lag, partition.lag);
            whole.left_out += usize::from(!shown);
        }
    }
    let mut family = page.family(&TOPIC_SUM_LAG);
    for ((cluster, group), whole) in wholes.iter().filter(|(_, w)| !w.incomplete) {
        for (topic, sum) in &whole.topics {
            let labels = [("cluster_name", *cluster), ("group", group), ("topic", topic)];
            family.series(&labels, sum.lag.map(|v| v as f64));
        }
    }
    let mut family = page.family(&LEFT_OUT);
    for ((cluster, group), whole) in &wholes {
        family.series(&[("cluster_name", *cluster), ("group", group)], Some(whole.left_out as f64));
    }
    for (family, value) in GROUP {
        let mut family = page.family(family);
        for ((cluster, group), whole) in &wholes {
            family.series(&[("cluster_name", *cluster), ("group", group)], value(whole));
        }
    }
}
