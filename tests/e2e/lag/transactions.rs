//! Transactions: open, aborted and committed ones, and the control records that end them.
//!
//! Kafka's tool always counts to the high watermark. A scaler with `isolationLevel: read_committed`
//! counts to the last stable offset, where its consumers stop. Control records take offsets that no
//! consumer is ever given: both count them, so that a client which commits one past the last record it
//! was given (librdkafka, Spring Kafka by default) is 1 behind when it has read everything.

use anyhow::{Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use spillway_testbed::operator::value;

use spillway_testbed::account::Account;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::{
    LIMIT, Rows, agree, blocked, commit, connection, lags, rows, scaler, scrape, shown, status_agrees,
};
use crate::harness::{CALM, Case, case};

const TOPIC: &str = "lag-transactions";
/// Group, fields of its scaler, commits on both partitions.
const GROUPS: [(&str, &str, [i64; 2]); 3] = [
    ("lag-uncommitted", "", [2, 6]),
    ("lag-committed", ", isolationLevel: read_committed", [2, 6]),
    // Its consumers read on where its scaler says they stop.
    ("lag-past-stable", ", isolationLevel: read_committed", [12, 6]),
];

fn write(producer: &BaseProducer, partition: i32, count: usize) -> Result<()> {
    for _ in 0..count {
        let record = BaseRecord::<(), _>::to(TOPIC).partition(partition).payload("x");
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(LIMIT)?)
}

async fn told(case: &Case) -> Result<Vec<Rows>> {
    let tool = case.bed.kafka()?.describe_groups(&GROUPS.map(|(group, ..)| group)).await?;
    Ok(GROUPS.iter().map(|(group, ..)| tool.get(*group).map(|of| rows(of)).unwrap_or_default()).collect())
}

#[test]
fn lag_ends_at_the_last_stable_offset_for_who_reads_committed() {
    case("lag-transactions", &CALM, async |case: Case| {
        let kafka = case.bed.kafka()?;
        kafka.create_topic(TOPIC, 2).await?;
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", case.servers()?)
            .set("transactional.id", TOPIC)
            // However slow the machine, the broker must not end the open one.
            .set("transaction.timeout.ms", "600000")
            .create()?;
        producer.init_transactions(LIMIT)?;
        producer.begin_transaction()?;
        write(&producer, 0, 5)?;
        write(&producer, 1, 6)?;
        producer.commit_transaction(LIMIT)?;
        producer.begin_transaction()?;
        write(&producer, 0, 3)?;
        producer.abort_transaction(LIMIT)?;
        producer.begin_transaction()?;
        write(&producer, 0, 4)?;
        // Partition 0: 5 records, commit, 3 records, abort, 4 records of the open transaction.
        let (stable, high) = (5 + 1 + 3 + 1, 5 + 1 + 3 + 1 + 4);

        let mut yaml = connection(&case)?;
        for (group, more, commits) in GROUPS {
            commit(&case, group, TOPIC, &commits)?;
            yaml += &(blocked(&case, group, TOPIC)?.replicas(0).yaml() + &scaler(&case, group, more));
        }
        case.bed.apply(&yaml).await?;
        let tool = told(&case).await?;
        let said: Vec<_> = tool.iter().map(lags).collect();
        ensure!(
            said == [[Some(high - 2), Some(1)], [Some(high - 2), Some(1)], [Some(high - 12), Some(1)]],
            "Kafka's tool: {tool:?}"
        );
        // Who reads committed messages only has 5 records, a control record, 3 records of an aborted
        // transaction and its control record up to there, 2 of them behind it.
        let mut expected = tool;
        for (rows, lag) in expected.iter_mut().zip([high - 2, stable - 2, 0]) {
            rows.entry((TOPIC.to_owned(), 0)).and_modify(|row| row.lag = Some(lag));
        }
        for ((group, ..), rows) in GROUPS.iter().zip(&expected) {
            agree(&case, group, rows).await?;
            status_agrees(&case, group, rows).await?;
            let labels = [("namespace", case.namespace.as_str()), ("name", group)];
            let problems = value(&scrape(&case).await?, "spillway_scaler_problems", &labels);
            ensure!(problems == Some(0.0), "{group}: {problems:?} problems");
        }

        producer.commit_transaction(LIMIT)?;
        let tool = told(&case).await?;
        let said: Vec<_> = tool.iter().map(lags).collect();
        // All of the 4 records, and the control record behind them.
        ensure!(
            said == [[Some(high - 1), Some(1)], [Some(high - 1), Some(1)], [Some(high - 11), Some(1)]],
            "Kafka's tool: {tool:?}"
        );
        for ((group, ..), rows) in GROUPS.iter().zip(&tool) {
            agree(&case, group, rows).await?;
        }
        Ok(())
    });
}

#[test]
fn who_was_given_everything_is_behind_by_the_last_control_record() {
    case("lag-done", &CALM, async |case: Case| {
        let (kafka, servers, name) = (case.bed.kafka()?, case.servers()?, "lag-done");
        kafka.create_topic(name, 2).await?;
        let producer = Workload::producer(&case.namespace, "producer", &servers, name, 40.0, &case.records)
            .with(&["--transactional", "5"]);
        let consumer = Workload::consumer(&case.namespace, name, &servers, name, 0.0, &case.records)
            .with(&["--isolation-level", "read_committed"]);
        let scaler = scaler(&case, name, ", isolationLevel: read_committed");
        case.bed.apply(&(connection(&case)? + &producer.yaml() + &consumer.yaml() + &scaler)).await?;
        eventually("some transactions", LIMIT, || async {
            let sent = Account::read(&case.records)?.produced_total();
            ensure!(sent >= 20, "{sent} messages in committed transactions");
            Ok(())
        })
        .await?;
        // It commits its last transaction before it ends.
        case.bed.kubectl(&["scale", "deployment/producer", "-n", &case.namespace, "--replicas=0"]).await?;
        eventually("everything to be processed", LIMIT, || async {
            let pods = case.bed.kubectl(&["get", "pods", "-n", &case.namespace, "-o", "name"]).await?;
            ensure!(!pods.contains("producer"), "the producer is still there: {pods}");
            let account = Account::read(&case.records)?;
            let (sent, processed) = (account.produced_total(), account.processed_total());
            ensure!(sent == processed, "{processed} of {sent} are processed");
            Ok(())
        })
        .await?;
        // All that is left is the control record that ends the last transaction of each partition.
        eventually("the last commits", LIMIT, || async {
            let seen = shown(&case, &scrape(&case).await?, name)?;
            ensure!(lags(&seen) == [Some(1); 2], "{seen:?}");
            Ok(())
        })
        .await?;
        let tool = rows(&kafka.describe_group(name).await?);
        ensure!(lags(&tool) == [Some(1); 2], "Kafka's tool: {tool:?}");
        agree(&case, name, &tool).await
    });
}
