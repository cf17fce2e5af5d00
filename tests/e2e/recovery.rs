//! The main job: a backlog drained by one right-sized step, and taken back.

use std::fs;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::account::Account;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::harness::{CALM, Case, case};

/// Messages per second of one consumer.
const EACH: f64 = 50.0;
/// Messages per second that arrive.
const ARRIVING: f64 = 60.0;
/// Messages that wait when the outage ends.
const BACKLOG: u64 = 2400;
/// How late a message may be, s.
const MAX_DELAY: f64 = 8.0;
/// How soon the backlog must be gone, s.
const RECOVER_WITHIN: f64 = 60.0;
const OBJECTIVE: &str = "objective: {maxDelay: 8s, recoverWithin: 60s}";

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// The fewest and the most replicas that are right by what the sentence of the step says was seen: with all
/// of the time to recover, and with the quarter of it that is always left to plan with, when the new ones take
/// 15 s to work. On a slow machine the step comes that late.
fn right_sizes(said: &str) -> Result<RangeInclusive<i32>> {
    let before = |mark: &str| -> Result<f64> {
        let (head, _) = said.split_once(mark).with_context(|| format!("no {mark:?} in {said:?}"))?;
        Ok(head.rsplit(' ').next().unwrap_or_default().replace(',', "").parse()?)
    };
    let (behind, arriving, each) = (before(" behind")?, before("/s arriving")?, before("/s each")?);
    // Between these counts another replica changes nothing: twelve partitions are dealt out whole.
    let level = |rate: f64| [2, 3, 4, 6, 12].into_iter().find(|n| f64::from(*n) * each >= rate).unwrap_or(12);
    let asked = |behind: f64, time: f64| (arriving / 0.8).max((arriving + behind / time) / 0.95);
    let least = level(asked(behind, RECOVER_WITHIN));
    Ok(least..=level(asked(behind + 15.0 * arriving, RECOVER_WITHIN / 4.0)))
}

#[test]
fn an_outage_of_the_consumers_is_recovered_from_by_one_step() {
    case("recovery", &CALM, async |case: Case| {
        let (servers, kafka) = (case.servers()?, case.bed.kafka()?);
        kafka.create_topic("recovery", 12).await?;
        let stop = case.records.join("downstream-stopped");
        let rate = case.records.join("rate");
        let consumers =
            Workload::consumer(&case.namespace, "recovery", &servers, "recovery", EACH, &case.records)
                .replicas(2)
                .with(&["--downstream", &stop.to_string_lossy()]);
        let producer =
            Workload::producer(&case.namespace, "producer", &servers, "recovery", ARRIVING, &case.records)
                .with(&["--rate-file", &rate.to_string_lossy()]);
        case.bed.apply(&(producer.yaml() + &consumers.yaml() + &case.timed("recovery", OBJECTIVE)?)).await?;
        case.until("the group to keep up", "recovery", Duration::from_secs(60), |s| {
            s.state.as_deref() == Some("KeepingUp") && s.current_replicas == Some(2)
        })
        .await?;
        let before = case.scalings().await?;

        // The dependency of the consumers is away: they stay in the group and process nothing.
        fs::write(&stop, "")?;
        case.until("the outage to be seen", "recovery", Duration::from_secs(60), |s| {
            s.state.as_deref() == Some("Stuck")
        })
        .await?;
        eventually("a backlog", Duration::from_secs(120), || async {
            let account = Account::read(&case.records)?;
            let waiting = account.produced_total().saturating_sub(account.processed_total());
            ensure!(waiting >= BACKLOG, "{waiting} messages wait");
            Ok(())
        })
        .await?;
        ensure!(
            case.scalings().await? == before,
            "more replicas could not have helped: {:?}",
            case.scalings().await?
        );
        fs::remove_file(&stop)?;
        let back = now_ms()?;

        let recovered = case
            .until("the group to recover", "recovery", Duration::from_secs(90), |s| {
                s.state.as_deref() == Some("KeepingUp")
            })
            .await?;
        case.until("the replicas to come back", "recovery", Duration::from_secs(90), |s| {
            s.state.as_deref() == Some("KeepingUp") && s.current_replicas == Some(2)
        })
        .await
        .with_context(|| format!("it recovered with {:?}", recovered.current_replicas))?;

        // Nothing is sent any more, so that everything can be counted.
        fs::write(&rate, "0")?;
        let account = eventually("every message to be processed", Duration::from_secs(60), || {
            Account::settled(&case.records, kafka, "recovery", 12)
        })
        .await?;
        ensure!(account.produced_total() > BACKLOG, "only {} were sent", account.produced_total());
        ensure!(account.refused == 0, "{} were refused", account.refused);
        let late = account.last_late(MAX_DELAY).context("no message was late: there was no outage")?;
        let took = (late - back) as f64 / 1000.0;
        ensure!(
            took <= RECOVER_WITHIN,
            "messages were late until {took}s after the outage, not {RECOVER_WITHIN}s"
        );

        let path: Vec<(i32, i32, String)> = case.scalings().await?.split_off(before.len());
        let [(2, up, said), (down_from, 2, _)] = &path[..] else {
            anyhow::bail!("one step up and one back, not {path:#?}");
        };
        ensure!(up == down_from, "{path:#?}");
        // Three, at 50/s each. On a slow machine a replica is seen to process less, and more are right.
        let right = right_sizes(said)?;
        ensure!(right.contains(up), "{right:?} replicas would be right, not {path:#?}");
        ensure!(case.scale_writes()? == before.len() + 2, "{} writes", case.scale_writes()?);
        Ok(())
    });
}
