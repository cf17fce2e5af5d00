//! The Kafka of the test bed is a real one, and does what its API says.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use spillway_testbed::kafka::{Kafka, KafkaOptions, ResetTo};

mod common;

async fn send(servers: &str, topic: &str, partition: i32, count: usize) -> Result<()> {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", servers).set("linger.ms", "5").create()?;
    let sends = (0..count).map(|_| {
        let record = FutureRecord::<(), _>::to(topic).partition(partition).payload("x");
        producer.send(record, Duration::from_secs(30))
    });
    for sent in futures::future::join_all(sends).await {
        sent.map_err(|(error, _)| error)?;
    }
    Ok(())
}

fn row(rows: &[spillway_testbed::kafka::ToolRow], partition: i32) -> Result<[Option<i64>; 3]> {
    rows.iter()
        .find(|r| r.partition == partition)
        .map(|r| [r.committed, r.end, r.lag])
        .with_context(|| format!("no row of partition {partition} in {rows:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broker_keeps_data_ports_and_groups() -> Result<()> {
    let dir = common::dir("kafka-one")?;
    let options =
        KafkaOptions { sasl: vec![("alice".into(), "alice-secret".into())], ..KafkaOptions::default() };
    let kafka = Kafka::start(&common::libs()?, &dir, options).await?;
    let servers = kafka.bootstrap();
    kafka.create_topic("orders", 3).await?;
    send(&servers, "orders", 0, 10).await?;
    send(&servers, "orders", 1, 7).await?;
    kafka.commit("g", "orders", 0, 4).await?;
    kafka.commit("g", "orders", 2, 0).await?;

    let rows = kafka.describe_group("g").await?;
    ensure!(row(&rows, 0)? == [Some(4), Some(10), Some(6)], "{rows:?}");
    ensure!(row(&rows, 2)? == [Some(0), Some(0), Some(0)], "{rows:?}");
    ensure!(rows.iter().all(|r| r.member.is_none()), "{rows:?}");
    ensure!(kafka.describe_group("nobody").await?.is_empty());

    kafka.reset_offsets("g", "orders", ResetTo::Latest).await?;
    let rows = kafka.describe_group("g").await?;
    ensure!(row(&rows, 1)? == [Some(7), Some(7), Some(0)], "{rows:?}");

    kafka.delete_records("orders", 0, 6).await?;
    ensure!(kafka.watermarks("orders", 0).await? == (6, 10));
    kafka.grow_topic("orders", 5).await?;

    // Authentication is real: the right password is let in by both mechanisms, a
    // wrong one by none.
    for (mechanism, password, welcome) in [
        ("PLAIN", "alice-secret", true),
        ("SCRAM-SHA-512", "alice-secret", true),
        ("PLAIN", "wrong", false),
        ("SCRAM-SHA-512", "wrong", false),
    ] {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", kafka.sasl_bootstrap())
            .set("security.protocol", "sasl_plaintext")
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", "alice")
            .set("sasl.password", password)
            .set("log_level", "0")
            .create()?;
        let refused = kafka.logged("Failed authentication with")?;
        let limit = Duration::from_secs(if welcome { 20 } else { 3 });
        let answer = client.fetch_metadata(Some("orders"), limit);
        ensure!(answer.is_ok() == welcome, "{mechanism} with {password}: {:?}", answer.err());
        // Not any error: the broker says that it is the password.
        let refused = kafka.logged("Failed authentication with")? - refused;
        ensure!((refused == 0) == welcome, "{mechanism} with {password}: refused {refused} times");
    }

    kafka.kill().await;
    kafka.start_again().await?;
    ensure!(kafka.bootstrap() == servers, "the ports have changed");
    ensure!(kafka.watermarks("orders", 1).await? == (0, 7));

    kafka.pause();
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &servers).set("log_level", "0").create()?;
    let limit = Duration::from_secs(2);
    ensure!(client.fetch_metadata(None, limit).is_err(), "a frozen broker answered");
    kafka.resume();
    client.fetch_metadata(None, Duration::from_secs(20))?;

    kafka.stop().await;
    kafka.start_again().await?;
    kafka.delete_topic("orders").await?;
    kafka.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_brokers_survive_the_loss_of_one() -> Result<()> {
    let dir = common::dir("kafka-three")?;
    let options = KafkaOptions { brokers: 3, ..KafkaOptions::default() };
    let kafka = Kafka::start(&common::libs()?, &dir, options).await?;
    let servers = kafka.bootstrap();
    ensure!(servers.split(',').count() == 3, "{servers}");
    kafka.create_topic("orders", 3).await?;
    kafka.kill_broker(1).await;
    for partition in 0..3 {
        send(&servers, "orders", partition, 5).await?;
    }
    kafka.commit("g", "orders", 1, 2).await?;
    let rows = kafka.describe_group("g").await?;
    ensure!(row(&rows, 1)? == [Some(2), Some(5), Some(3)], "{rows:?}");
    kafka.start_broker(1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_start_says_why() -> Result<()> {
    let dir = common::dir("kafka-broken")?;
    let properties: Vec<(String, String)> = vec![("num.io.threads".into(), "0".into())];
    let options = KafkaOptions { properties, ..KafkaOptions::default() };
    let error = match Kafka::start(&common::libs()?, &dir, options).await {
        Ok(_) => anyhow::bail!("it started without I/O threads"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(error.contains("num.io.threads"), "{error}");
    Ok(())
}

#[test]
fn the_jars_are_where_they_are_said_to_be() -> Result<()> {
    let libs: PathBuf = common::libs()?;
    ensure!(libs.join("kafka-tools-4.1.1.jar").is_file());
    Ok(())
}
