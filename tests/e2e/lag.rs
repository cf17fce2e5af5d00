//! The lag on `/metrics` is that of Kafka's own tool, partition by partition.
//!
//! Nothing moves while the two are compared: a case sends its records and commits its offsets itself, and
//! members of groups are held up by a downstream that is away, so that they process and commit nothing.
//! Here is what the cases share; where the two are to differ, the case says so and why.

mod groups;
mod leaderless;
mod series;
mod topics;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use spillway_testbed::kafka::ToolRow;
use spillway_testbed::operator::{self, Sample, value};
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::harness::Case;

/// For what takes a sweep, on a machine that does something else besides.
const LIMIT: Duration = Duration::from_secs(60);

/// What is known of one partition of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub committed: Option<i64>,
    pub end: Option<i64>,
    pub lag: Option<i64>,
    /// Id, host and client id of the member that has it.
    pub member: Option<[String; 3]>,
}

/// By topic and partition.
pub type Rows = BTreeMap<(String, i32), Row>;

/// The tool's rows.
pub fn rows(tool: &[ToolRow]) -> Rows {
    let row = |r: &ToolRow| {
        let member = r.member.clone().zip(r.host.clone()).zip(r.client.clone());
        let member = member.map(|((id, host), client)| [id, host, client]);
        ((r.topic.clone(), r.partition), Row { committed: r.committed, end: r.end, lag: r.lag, member })
    };
    tool.iter().map(row).collect()
}

/// Lag by topic and partition, in their order.
pub fn lags(rows: &Rows) -> Vec<Option<i64>> {
    rows.values().map(|r| r.lag).collect()
}

/// Sends this many records to a partition.
pub async fn send(case: &Case, topic: &str, partition: i32, count: usize) -> Result<()> {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", case.servers()?).set("linger.ms", "5").create()?;
    let sends = (0..count).map(|_| {
        let record = FutureRecord::<(), _>::to(topic).partition(partition).payload("x");
        producer.send(record, LIMIT)
    });
    for sent in futures::future::join_all(sends).await {
        sent.map_err(|(error, _)| error)?;
    }
    Ok(())
}

/// Commits offsets of one topic for a group without members, by partition from 0.
pub fn commit(case: &Case, group: &str, topic: &str, offsets: &[i64]) -> Result<()> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", case.servers()?).set("group.id", group).create()?;
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets) {
        list.add_partition_offset(topic, partition, Offset::Offset(*offset))?;
    }
    // The coordinator of a group that nobody asked for before takes a moment to be there.
    let deadline = Instant::now() + LIMIT;
    while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
        ensure!(Instant::now() < deadline, "committing for {group}: {error}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A KafkaConnection to the bed's Kafka, read every second.
pub fn connection(case: &Case) -> Result<String> {
    Ok(format!(
        "---
apiVersion: spillway.dev/v1alpha1
kind: KafkaConnection
metadata: {{name: main, namespace: {ns}}}
spec: {{bootstrapServers: [{servers}], sweepInterval: 1s}}
",
        ns = case.namespace,
        servers = case.servers()?,
    ))
}

/// A scaler of the Deployment of this name and of the group of this name; `more` are fields of the
/// group. It writes nothing, and finds everything late, so that its status is kept fresh.
pub fn scaler(case: &Case, name: &str, more: &str) -> String {
    format!(
        "---
apiVersion: spillway.dev/v1alpha1
kind: ConsumerScaler
metadata: {{name: {name}, namespace: {ns}}}
spec:
  scaleTargetRef: {{name: {name}}}
  consumerGroups: [{{group: {name}, connection: {{name: main}}{more}}}]
  maxReplicas: 12
  objective: {{maxDelay: 1s, recoverWithin: 10s}}
  mode: DryRun
",
        ns = case.namespace,
    )
}

/// The Deployment of a group whose members process nothing.
pub fn blocked(case: &Case, name: &str, topics: &str) -> Result<Workload> {
    let away = case.records.join("downstream-away");
    std::fs::write(&away, "")?;
    let consumer = Workload::consumer(&case.namespace, name, &case.servers()?, topics, 0.0, &case.records);
    Ok(consumer.with(&["--downstream", &away.to_string_lossy()]))
}

/// What the operator's `/metrics` shows now.
pub async fn scrape(case: &Case) -> Result<Vec<Sample>> {
    let (_, ip) = operator::leader(case.bed, Duration::from_secs(10)).await?;
    operator::metrics(&ip).await
}

/// What kafka-lag-exporter's dashboards find on `/metrics` of a group.
pub fn shown(case: &Case, samples: &[Sample], group: &str) -> Result<Rows> {
    let cluster = format!("{}/main", case.namespace);
    let is = |s: &Sample, label: &str, value: &str| s.labels.get(label).is_some_and(|v| v == value);
    let mut shown = Rows::new();
    for sample in samples.iter().filter(|s| is(s, "cluster_name", &cluster) && is(s, "group", group)) {
        let of_lag = match sample.name.as_str() {
            "kafka_consumergroup_group_lag" => true,
            "kafka_consumergroup_group_offset" => false,
            _ => continue,
        };
        let label = |name: &str| sample.labels.get(name).cloned();
        let (topic, partition) =
            label("topic").zip(label("partition")).with_context(|| format!("{sample:?}"))?;
        let member = match [label("consumer_id"), label("member_host"), label("client_id")] {
            [Some(id), Some(host), Some(client)] => Some([id, host, client]),
            [None, None, None] => None,
            _ => bail!("some labels of a member are missing: {sample:?}"),
        };
        let place = [("cluster_name", cluster.as_str()), ("topic", &topic), ("partition", &partition)];
        let end = value(samples, "kafka_partition_latest_offset", &place).map(|v| v as i64);
        let none = Row { committed: None, end, lag: None, member: member.clone() };
        let row = shown.entry((topic, partition.parse()?)).or_insert(none);
        ensure!(row.member == member, "two members of one partition: {sample:?} and {:?}", row.member);
        *(if of_lag { &mut row.lag } else { &mut row.committed }) = Some(sample.value as i64);
    }
    Ok(shown)
}

/// Whether `/metrics` shows exactly this of the group that the scaler of the same name watches.
pub fn check(case: &Case, samples: &[Sample], name: &str, expected: &Rows) -> Result<()> {
    let seen = shown(case, samples, name)?;
    let places: BTreeSet<_> = expected.keys().chain(seen.keys()).collect();
    for place in places {
        let (expected, seen) = (expected.get(place), seen.get(place));
        ensure!(expected == seen, "{name}, {place:?}: expected {expected:?}, /metrics shows {seen:?}");
    }
    let cluster = format!("{}/main", case.namespace);
    let group = [("cluster_name", cluster.as_str()), ("group", name)];
    let scaler = [("namespace", case.namespace.as_str()), ("name", name)];
    let mut wholes = vec![
        ("kafka_consumergroup_group_sum_lag", group.to_vec(), sum(expected, None)),
        ("kafka_consumergroup_group_max_lag", group.to_vec(), largest(expected)),
        ("spillway_group_lag_messages", [&scaler[..], &group[..]].concat(), sum(expected, None)),
        ("spillway_scaler_lag_messages", scaler.to_vec(), sum(expected, None)),
    ];
    let topics: BTreeSet<&str> = expected.keys().map(|(topic, _)| topic.as_str()).collect();
    for topic in topics {
        let labels = [&group[..], &[("topic", topic)]].concat();
        // Of a group that was not read whole there are no sums at all.
        let lag = sum(expected, None).and_then(|_| sum(expected, Some(topic)));
        wholes.push(("kafka_consumergroup_group_topic_sum_lag", labels, lag));
    }
    for (metric, labels, expected) in wholes {
        let seen = value(samples, metric, &labels).map(|v| v as i64);
        ensure!(seen == expected, "{metric} {labels:?}: expected {expected:?}, /metrics shows {seen:?}");
    }
    Ok(())
}

/// The sum of the lags, of a topic if one is given; unknown when a part of it is, or there is none.
pub fn sum(rows: &Rows, topic: Option<&str>) -> Option<i64> {
    let mut of = rows.iter().filter(|((t, _), _)| topic.is_none_or(|topic| topic == t)).map(|(_, r)| r.lag);
    let first = of.next()??;
    of.try_fold(first, |sum, lag| Some(sum + lag?))
}

fn largest(rows: &Rows) -> Option<i64> {
    rows.values().map(|r| r.lag).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Waits until `/metrics` shows exactly this.
pub async fn agree(case: &Case, name: &str, expected: &Rows) -> Result<()> {
    eventually(&format!("/metrics to show the lag of {name}"), LIMIT, || async {
        check(case, &scrape(case).await?, name, expected)
    })
    .await
}

/// Waits until the status of the scaler tells the sum of this.
pub async fn status_agrees(case: &Case, name: &str, expected: &Rows) -> Result<()> {
    let lag = sum(expected, None);
    case.until(&format!("status.lag {lag:?}"), name, LIMIT, |s| s.lag == lag).await?;
    Ok(())
}
