//! An hour under churn: `make soak`. Scalers come, are changed and go, brokers are killed and come back, a group
//! falls behind and recovers; what the operator takes of the machine stays what it was.
//!
//! It judges growth, and that nothing was lost; what each of these has to look like is the other cases'. It is no
//! part of `make e2e`, as it takes an hour; its rules and its page are.

pub mod book;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::wait::eventually;

use super::backlog::{Backlog, EACH, restarts};
use super::given;
use super::harness::{Case, SharedBed, case, taken};
use book::{Book, Sample};

static BED: SharedBed = SharedBed::new("soak", given::VALUES).brokers(3);

/// Scalers that come and go in a round.
const CHURN: usize = 40;
/// A broker is killed in each round of this number.
const BROKER_EVERY: usize = 4;
/// The group falls behind in each round of this number.
const BACKLOG_EVERY: usize = 3;
const LIMIT: Duration = Duration::from_secs(90);

#[test]
#[ignore = "takes an hour: `make soak`"]
fn an_hour_of_churn_leaves_nothing_behind() {
    let minutes = std::env::var("MINUTES").ok().filter(|text| !text.is_empty());
    let minutes: u64 = minutes.map_or(Ok(60), |text| text.parse()).expect("MINUTES is a number");
    case("soak", &BED, async |case: Case| {
        let backlog = Backlog::start(&case, "soak", "").await?;
        let operators = restarts(case.bed).await?;
        let mut book = Book::default();
        let (start, length) = (Instant::now(), Duration::from_secs(60 * minutes));
        let mut round = 0;
        while start.elapsed() < length {
            round += 1;
            churn(&case, round).await.with_context(|| format!("round {round}"))?;
            book.scalers += CHURN;
            if round % BACKLOG_EVERY == 0 {
                behind_and_back(&backlog).await.with_context(|| format!("round {round}"))?;
                book.backlogs += 1;
            }
            if round % BROKER_EVERY == 0 {
                lose_a_broker(&case, round / BROKER_EVERY % 3)
                    .await
                    .with_context(|| format!("round {round}"))?;
                book.brokers += 1;
            }
            let usage = taken(case.bed).await?;
            book.samples.push(Sample { after: start.elapsed().as_secs(), usage });
            println!(
                "soak: {}s of {}s, round {round}: {usage:?}",
                start.elapsed().as_secs(),
                length.as_secs()
            );
        }
        let account = backlog.settled().await?;
        book.messages = account.processed_total();
        let now = restarts(case.bed).await?;
        ensure!(now == operators, "the operator was restarted: {operators:?}, now {now:?}");
        let wrong = book.wrong();
        ensure!(wrong.is_empty(), "{wrong:#?}; {:#?}", book.samples);
        book::write(&book)?;
        super::chaos::write_page()
    });
}

/// Scalers of groups that have read everything come, each with a workload; are changed; and go. Every third has a
/// mistake in it.
async fn churn(case: &Case, round: usize) -> Result<()> {
    let mut yaml = String::new();
    let names: Vec<String> = (0..CHURN).map(|i| format!("churn-{round}-{i}")).collect();
    let resources = |most: i32| {
        let mut yaml = String::new();
        for (i, name) in names.iter().enumerate() {
            let connection = if i % 3 == 0 { "nowhere" } else { "main" };
            let group = format!("{{group: {name}, topics: [soak], connection: {{name: {connection}}}}}");
            let target = format!("{{apiVersion: test.example.com/v1, kind: Rig, name: {name}}}");
            yaml += &case.scaler(
                name,
                &group,
                &format!("scaleTargetRef: {target}, maxReplicas: {most}, mode: DryRun"),
            );
        }
        yaml
    };
    for name in &names {
        let _ = write!(yaml, "{}", case.custom("Rig", name, 1));
    }
    case.bed.apply(&(yaml + &resources(4))).await?;
    seen(case, 1).await.context("scalers that came")?;
    case.bed.apply(&resources(6)).await?;
    seen(case, 2).await.context("scalers that were changed")?;
    for kind in ["consumerscalers", "rigs.test.example.com"] {
        let all = case.bed.kubectl(&["get", kind, "-n", &case.namespace, "-o", "name"]).await?;
        let gone: Vec<&str> = all.lines().filter(|name| name.contains("/churn-")).collect();
        let mut args = vec!["delete", "-n", &case.namespace, "--wait=false"];
        args.extend(&gone);
        case.bed.kubectl(&args).await?;
    }
    eventually("the series of those that went to go", LIMIT, || async {
        let left = case.labels("spillway_scaler_state", "name").await?;
        let left: Vec<&String> = left.iter().filter(|name| name.starts_with("churn-")).collect();
        ensure!(left.is_empty(), "{left:?} are left");
        Ok(())
    })
    .await
}

/// Waits until of every scaler that churns this generation was looked at.
async fn seen(case: &Case, generation: i64) -> Result<()> {
    eventually("a status of each", LIMIT, || async {
        let all = case.scalers().list(&kube::api::ListParams::default()).await?.items;
        let behind: Vec<_> = all
            .iter()
            .filter(|s| s.metadata.name.as_deref().is_some_and(|name| name.starts_with("churn-")))
            .filter(|s| s.status.as_ref().and_then(|s| s.observed_generation) < Some(generation))
            .map(|s| s.metadata.name.clone().unwrap_or_default())
            .collect();
        ensure!(behind.is_empty(), "{behind:?} are not looked at");
        Ok(())
    })
    .await
}

/// The group gets a backlog, is given more replicas, and keeps up again.
async fn behind_and_back(backlog: &Backlog<'_>) -> Result<()> {
    backlog.flood(14.0 * EACH)?;
    backlog.grown(2000).await?;
    backlog.ebb()?;
    backlog.scaled_up().await?;
    backlog
        .case
        .until("the group to keep up again", &backlog.name, 2 * LIMIT, |s| {
            s.state.as_deref() == Some("KeepingUp")
        })
        .await?;
    Ok(())
}

/// One broker is killed, and started again once what it led is seen through the others or told as missing.
async fn lose_a_broker(case: &Case, broker: usize) -> Result<()> {
    let kafka = case.bed.kafka()?;
    kafka.kill_broker(broker).await;
    let again = kafka.start_broker(broker).await;
    // The others are not to wait for it in the next round.
    kafka.start_again().await?;
    again?;
    case.until("Kafka to be seen again", "soak", LIMIT, |s| s.state.as_deref() != Some("Blind")).await?;
    Ok(())
}
