//! Series end with what they speak of.

use anyhow::{Result, ensure};
use spillway_testbed::operator::Sample;
use spillway_testbed::wait::eventually;

use super::{LIMIT, blocked, commit, scaler, scrape, send};
use crate::harness::{CALM, Case, case};

/// Names of the metrics that have a series with this value in one of its labels.
fn with(samples: &[Sample], wanted: &[&str]) -> Vec<String> {
    let is = |s: &&Sample| s.labels.values().any(|v| wanted.contains(&v.as_str()));
    let mut names: Vec<String> = samples.iter().filter(is).map(|s| s.name.clone()).collect();
    names.dedup();
    names
}

/// Whether a scaler, and the group of its name, have their series.
fn present(samples: &[Sample], name: &str) -> Result<()> {
    let seen = with(samples, &[name]);
    for wanted in
        ["spillway_scaler_lag_messages", "kafka_consumergroup_group_lag", "spillway_decisions_total"]
    {
        ensure!(seen.iter().any(|s| s == wanted), "{name} has no {wanted}, only {seen:?}");
    }
    Ok(())
}

#[test]
fn nothing_is_left_of_a_deleted_scaler_and_connection() {
    case("lag-series", &CALM, async |case: Case| {
        let kafka = case.bed.kafka()?;
        kafka.create_topic("lag-series", 2).await?;
        send(&case, "lag-series", 1, 3).await?;
        // By another name of the same broker, so that the connection is this case's own.
        let servers = case.servers()?.replace("127.0.0.1", "localhost");
        let mut yaml = format!(
            "---
apiVersion: spillway.dev/v1alpha1
kind: KafkaConnection
metadata: {{name: main, namespace: {}}}
spec: {{bootstrapServers: ['{servers}'], sweepInterval: 1s}}
",
            case.namespace
        );
        let names = ["lag-series-a", "lag-series-b"];
        for name in names {
            commit(&case, name, "lag-series", &[0, 1])?;
            yaml += &(blocked(&case, name, "lag-series")?.replicas(0).yaml() + &scaler(&case, name, ""));
        }
        case.bed.apply(&yaml).await?;
        let all = eventually("both scalers on /metrics", LIMIT, || async {
            let samples = scrape(&case).await?;
            names.iter().try_for_each(|name| present(&samples, name))?;
            Ok::<_, anyhow::Error>(samples)
        })
        .await?;
        let cluster = format!("{}/main", case.namespace);
        let seen = with(&all, &[&cluster]);
        ensure!(seen.iter().any(|s| s == "spillway_connection_up"), "{cluster} has only {seen:?}");

        case.bed.kubectl(&["delete", "csc", "lag-series-a", "-n", &case.namespace]).await?;
        eventually("the series of the deleted scaler to end", LIMIT, || async {
            let samples = scrape(&case).await?;
            let seen = with(&samples, &["lag-series-a"]);
            ensure!(seen.is_empty(), "{seen:?}");
            present(&samples, "lag-series-b")
        })
        .await?;

        case.bed.kubectl(&["delete", "csc,kc", "--all", "-n", &case.namespace]).await?;
        let gone = [servers.as_str(), &cluster, "lag-series-b", "lag-series"];
        eventually("everything of the case to end", LIMIT, || async {
            let seen = with(&scrape(&case).await?, &gone);
            ensure!(seen.is_empty(), "{seen:?}");
            Ok(())
        })
        .await
    });
}
