//! A partition without a leader: what is not seen is named, and nothing is taken away on it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::operator::{self, value};
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::{LIMIT, connection, scrape, send, shown};
use crate::harness::{Case, SharedBed, case};

/// A bed whose Kafka goes on when a broker is lost.
static THREE: SharedBed = SharedBed::new("three", "{}").brokers(3).cases(1);

const NAME: &str = "lag-leaderless";
/// How long the group must have kept up before replicas are taken away, in sweeps of a second.
const WINDOW: u32 = 10;

fn scaler(case: &Case) -> String {
    format!(
        "---
apiVersion: spillway.dev/v1alpha1
kind: ConsumerScaler
metadata: {{name: {NAME}, namespace: {ns}}}
spec:
  scaleTargetRef: {{name: {NAME}}}
  consumerGroups: [{{group: {NAME}, connection: {{name: main}}}}]
  minReplicas: 1
  maxReplicas: 3
  objective: {{maxDelay: 8s, recoverWithin: 60s}}
  behavior: {{scaleDown: {{window: {WINDOW}s, maxStepPercent: 100}}}}
",
        ns = case.namespace,
    )
}

/// Decisions so far by this rule.
async fn decisions(case: &Case, rule: &str) -> Result<f64> {
    let labels = [("namespace", case.namespace.as_str()), ("name", NAME), ("rule", rule)];
    Ok(value(&scrape(case).await?, "spillway_decisions_total", &labels).unwrap_or_default())
}

/// Lag of each partition, `None` where it is not shown.
async fn lag(case: &Case) -> Result<[Option<i64>; 3]> {
    let rows = shown(case, &scrape(case).await?, NAME)?;
    Ok([0, 1, 2].map(|p| rows.get(&(NAME.to_owned(), p)).and_then(|r| r.lag)))
}

#[test]
fn a_partition_without_a_leader_is_named_and_nothing_is_scaled_down_on_it() {
    case("lag-leaderless", &THREE, async |case: Case| {
        let kafka = case.bed.kafka()?;
        kafka.create_replicated_topic(NAME, 3, 1).await?;
        for partition in 0..3 {
            send(&case, NAME, partition, 5).await?;
        }
        let consumers = Workload::consumer(&case.namespace, NAME, &case.servers()?, NAME, 0.0, &case.records);
        case.bed.apply(&(connection(&case)? + &consumers.replicas(3).yaml() + &scaler(&case))).await?;
        eventually("everything to be read", LIMIT, || async {
            let lag = lag(&case).await?;
            ensure!(lag == [Some(0); 3], "{lag:?}");
            Ok(())
        })
        .await?;

        let leader = kafka.leader(NAME, 1).await?.context("nobody leads partition 1")?;
        kafka.kill_broker(usize::try_from(leader - 1)?).await;
        // At first Kafka says so, later its metadata do: in both cases which partition it is.
        let named = format!("partition {NAME}-1");
        case.until("the partition to be named", NAME, LIMIT, |s| {
            s.state.as_deref() == Some("Blind") && s.message.as_ref().is_some_and(|m| m.contains(&named))
        })
        .await?;
        let replicas = case.status(NAME).await?.current_replicas;
        eventually("the other partitions to be seen", LIMIT, || async {
            let lag = lag(&case).await?;
            ensure!(lag == [Some(0), None, Some(0)], "{lag:?}");
            Ok(())
        })
        .await?;
        let (before, written) = (decisions(&case, "Blind").await?, case.scale_writes()?);
        eventually("looks over more than the window", Duration::from_secs(90), || async {
            let looks = decisions(&case, "Blind").await? - before;
            ensure!(looks > f64::from(2 * WINDOW), "{looks} looks");
            Ok(())
        })
        .await?;
        ensure!(case.scale_writes()? == written, "scaled on what was not seen: {:?}", case.scalings().await?);
        let labels = [("cluster_name", "lag-leaderless/main"), ("group", NAME)];
        let sum = value(&scrape(&case).await?, "kafka_consumergroup_group_sum_lag", &labels);
        ensure!(sum.is_none(), "a sum of what is not known: {sum:?}");

        // What held it back was that partition: seen again, replicas that nobody needs are taken away.
        ensure!(replicas == Some(3), "{replicas:?} replicas before anything was scaled");
        kafka.start_broker(usize::try_from(leader - 1)?).await?;
        case.until("the replicas to be taken away", NAME, Duration::from_secs(90), |s| {
            s.current_replicas == Some(1)
        })
        .await?;
        let restarts = [
            "get",
            "pods",
            "-n",
            operator::NAMESPACE,
            "-o",
            "jsonpath={.items[*].status.containerStatuses[*].restartCount}",
        ];
        let restarts = case.bed.kubectl(&restarts).await?;
        ensure!(restarts == "0", "restarts of the operator: {restarts:?}");
        Ok(())
    });
}
