//! Nothing to do, no replicas; the first new message brings one back, and none is forgotten.
//!
//! A restart of the operator while the group sleeps is among `decide`'s own tests.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::account::Account;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::harness::{CALM, Case, case};
use super::kubectl;
use spillway_testbed::replicas::Path;

const LIMIT: Duration = Duration::from_secs(90);
/// How soon a replica must be asked for after the first message, ms: two sweeps, on a busy machine.
const WAKE: i64 = 4000;
const PARTITIONS: i32 = 6;
/// Messages that are processed before it falls asleep.
const ENOUGH: usize = 60;

#[test]
fn an_idle_group_sleeps_and_is_woken_by_the_first_message() {
    case("zero", &CALM, async |case: Case| {
        let (servers, ns) = (case.servers()?, case.namespace.as_str());
        case.bed.kafka()?.create_topic("zero", PARTITIONS).await?;
        let rate = case.records.join("rate");
        let consumers = Workload::consumer(ns, "zero", &servers, "zero", 50.0, &case.records);
        let producer = Workload::producer(ns, "producer", &servers, "zero", 20.0, &case.records)
            .with(&["--rate-file", &rate.to_string_lossy()]);
        let spec = "minReplicas: 0\nobjective: {maxDelay: 10s, recoverWithin: 60s}";
        case.bed.apply(&(producer.yaml() + &consumers.yaml() + &case.timed("zero", spec)?)).await?;
        let path = Path::follow(case.bed.client(), &case.namespace, "zero");
        kubectl::shows(&case, "zero", &["KeepingUp"], false, LIMIT).await?;
        processed_since(&case, 0).await?;
        to_zero(&case, &rate).await?;
        let slept = path.steps()?;
        let [_, down] = &slept[..] else { anyhow::bail!("one step down, not {:?}", path.counts()?) };

        fs::write(&rate, "20")?;
        let woken = eventually("a replica to be asked for", LIMIT, || async {
            let first = path.steps()?.get(slept.len()).cloned();
            first.with_context(|| format!("the replicas went {:?}", path.counts()))
        })
        .await?;
        let first = processed_since(&case, down.at).await?;
        let took = woken.at - first;
        ensure!((0..=WAKE).contains(&took), "{took}ms from the first message to the step up");
        let said = case.scalings().await?;
        ensure!(
            matches!(said.last(), Some((0, 1, why)) if why.contains("there is no replica to process it")),
            "{said:#?}"
        );
        kubectl::shows(&case, "zero", &["KeepingUp"], false, LIMIT).await?;

        to_zero(&case, &rate).await?;
        let counts = path.counts()?;
        ensure!(counts == [1, 0, 1, 0], "one replica is enough for this, not {counts:?}");
        Ok(())
    });
}

/// Waits until a good number of messages sent after `since` (ms since the epoch) were processed; returns
/// when the first of them was sent.
async fn processed_since(case: &Case, since: i64) -> Result<i64> {
    eventually("messages to be processed", LIMIT, || async {
        let account = Account::read(&case.records)?;
        let sent: Vec<i64> = account.messages().map(|m| m.created).filter(|at| *at > since).collect();
        ensure!(sent.len() >= ENOUGH, "{} of {ENOUGH} are processed", sent.len());
        sent.into_iter().min().context("none was sent")
    })
    .await
}

/// Stops the producer, and waits until there are no replicas. Not one message may have been left behind
/// when the last consumer went.
async fn to_zero(case: &Case, rate: &std::path::Path) -> Result<()> {
    fs::write(rate, "0")?;
    case.until("no replicas", "zero", LIMIT, |s| {
        s.state.as_deref() == Some("Idle") && s.current_replicas == Some(0)
    })
    .await?;
    let account = Account::settled(&case.records, case.bed.kafka()?, "zero", PARTITIONS).await?;
    ensure!(account.refused == 0, "{} were refused", account.refused);
    let row = kubectl::shows(case, "zero", &["Idle"], false, LIMIT).await?;
    ensure!(row["LAG"] == "0" && row["REPLICAS"] == "0" && row["DESIRED"] == "0", "{row:?}");
    Ok(())
}
