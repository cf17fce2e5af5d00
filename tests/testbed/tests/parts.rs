//! The parts of the bed, each for real.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, Config};
use serde_json::json;
use spillway_testbed::controlplane::ControlPlane;
use spillway_testbed::kafka::{Kafka, KafkaOptions};
use spillway_testbed::tools::Tools;
use spillway_testbed::wait::eventually;

const LIMIT: Duration = Duration::from_secs(60);

fn dir(tools: &Tools, name: &str) -> PathBuf {
    tools.beds().join(format!("{name}-{}", std::process::id()))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_control_planes_side_by_side() -> Result<()> {
    let tools = Tools::prepare().await?;
    let (one, two) = (dir(&tools, "plane-1"), dir(&tools, "plane-2"));
    let (first, second) = tokio::try_join!(ControlPlane::start(&tools, &one), ControlPlane::start(&tools, &two))?;
    let version = first.client().apiserver_version().await?;
    ensure!(version.git_version.starts_with("v1.37"), "{version:?}");

    // RBAC is on: a token that nobody issued gets nothing.
    let url = format!("https://{}:{}", first.host(), first.port()).parse()?;
    let mut config = Config::new(url);
    config.accept_invalid_certs = true;
    config.auth_info.token = Some("nobody".to_owned().into());
    let stranger: Api<Pod> = Api::namespaced(Client::try_from(config)?, "default");
    match stranger.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 401 => {}
        other => bail!("a stranger got {other:?}"),
    }

    // The controllers work: a Deployment makes its pods.
    let deployments: Api<Deployment> = Api::default_namespaced(first.client());
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "app"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "app"}},
            "template": {
                "metadata": {"labels": {"app": "app"}},
                "spec": {"containers": [{"name": "app", "image": "app"}]}
            }
        }
    }))?;
    deployments.create(&PostParams::default(), &deployment).await?;
    let pods: Api<Pod> = Api::default_namespaced(first.client());
    eventually("three pods", LIMIT, || async {
        match pods.list(&ListParams::default()).await?.items.len() {
            3 => Ok(()),
            n => bail!("{n} pods"),
        }
    })
    .await?;
    let elsewhere: Api<Pod> = Api::default_namespaced(second.client());
    ensure!(elsewhere.list(&ListParams::default()).await?.items.is_empty(), "two planes share nothing");

    // Data stays over a restart of the API server and of etcd.
    first.stop_apiserver().await;
    ensure!(first.client().apiserver_version().await.is_err(), "a stopped API server answers");
    first.start_apiserver().await?;
    ensure!(deployments.get_opt("app").await?.is_some(), "the deployment is gone");
    first.restart_etcd().await?;
    ensure!(deployments.get_opt("app").await?.is_some(), "the deployment is gone");
    let maps: Api<ConfigMap> = Api::default_namespaced(first.client());
    eventually("the root CA for pods", LIMIT, || maps.get("kube-root-ca.crt")).await?;
    drop((first, second));
    std::fs::remove_dir_all(one)?;
    std::fs::remove_dir_all(two)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_stops_and_starts_again() -> Result<()> {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
    use rdkafka::producer::{FutureProducer, FutureRecord};
    use rdkafka::{Offset, TopicPartitionList};

    let tools = Tools::prepare().await?;
    let at = dir(&tools, "kafka");
    let users = vec![("ann".to_owned(), "secret".to_owned())];
    let kafka = Kafka::start(&tools, &at, &KafkaOptions { sasl: users, ..KafkaOptions::default() }).await?;
    kafka.create_topic("orders", 2).await?;
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create()?;
    for i in 0..10 {
        let record = FutureRecord::<(), str>::to("orders").partition(0).payload("x");
        producer.send(record, LIMIT).await.map_err(|(error, _)| anyhow::anyhow!("message {i}: {error}"))?;
    }
    let consumer: StreamConsumer =
        ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).set("group.id", "g").create()?;
    let mut commit = TopicPartitionList::new();
    commit.add_partition_offset("orders", 0, Offset::Offset(4))?;
    consumer.commit(&commit, CommitMode::Sync)?;
    let rows = kafka.describe_group("g").await?;
    let row = &rows[&("orders".to_owned(), 0)];
    ensure!((row.committed, row.end, row.lag) == (Some(4), Some(10), Some(6)), "{row:?}");

    kafka.stop().await;
    kafka.start_again().await?;
    kafka.delete_records("orders", 0, 8).await?;
    let rows = kafka.describe_group("g").await?;
    ensure!(rows[&("orders".to_owned(), 0)].committed == Some(4), "{rows:?}");

    for (mechanism, password, works) in
        [("PLAIN", "secret", true), ("SCRAM-SHA-512", "secret", true), ("SCRAM-SHA-512", "wrong", false)]
    {
        let client: rdkafka::producer::BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", kafka.sasl_bootstrap())
            .set("security.protocol", "sasl_plaintext")
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", "ann")
            .set("sasl.password", password)
            .set("log_level", "0")
            .create()?;
        let answer = tokio::task::spawn_blocking(move || {
            use rdkafka::producer::Producer as _;
            client.client().fetch_metadata(None, Duration::from_secs(5)).is_ok()
        })
        .await?;
        ensure!(answer == works, "{mechanism} with {password}: {answer}");
    }
    drop(kafka);
    std::fs::remove_dir_all(at)?;
    Ok(())
}
