//! While nothing changes, nothing is written.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::harness::{CALM, Case, DOWN_WINDOW, case};

/// Messages per second of one consumer.
const EACH: f64 = 50.0;
/// Down windows that are looked at.
const WINDOWS: u32 = 4;
const OBSERVED: &str = "spillway_scaler_observed_timestamp_seconds";

#[test]
fn a_constant_load_is_left_alone() {
    case("steady", &CALM, async |case: Case| {
        let (servers, kafka) = (case.servers()?, case.bed.kafka()?);
        // Nothing at all, half of what two can do, and as much as two are planned with.
        let loads = [("idle", 0.0), ("half", 50.0), ("full", 68.0)];
        let mut yaml = String::new();
        for (name, rate) in loads {
            kafka.create_topic(name, 12).await?;
            let (ns, records) = (&case.namespace, &case.records);
            yaml +=
                &Workload::producer(ns, &format!("{name}-producer"), &servers, name, rate, records).yaml();
            yaml += &Workload::consumer(ns, name, &servers, name, EACH, records).replicas(2).yaml();
            yaml += &case.timed(name, "minReplicas: 2\nobjective: {maxDelay: 8s, recoverWithin: 60s}")?;
        }
        case.bed.apply(&yaml).await?;
        for (name, rate) in loads {
            let quiet = if rate > 0.0 { "KeepingUp" } else { "Idle" };
            case.until("the group to keep up", name, Duration::from_secs(90), |s| {
                s.state.as_deref() == Some(quiet) && s.current_replicas == Some(2)
            })
            .await?;
        }
        // What is learnt is written once; from then on there is nothing to say.
        let from = settled(&case, loads[0].0).await?;
        let before = (case.scale_writes()?, case.writes("status")?);
        let until = from + f64::from(WINDOWS * DOWN_WINDOW);
        for (name, _) in loads {
            eventually("several down windows to pass", Duration::from_secs(150), || async {
                let now = case.metric(OBSERVED, name).await?;
                ensure!(now >= until, "{:.0}s of them are left", until - now);
                Ok(())
            })
            .await?;
        }
        let after = (case.scale_writes()?, case.writes("status")?);
        ensure!(after == before, "writes of scale and status: {before:?} before, {after:?} after");
        ensure!(before.0 == 0, "{:?}", case.scalings().await?);
        for (name, rate) in loads {
            let lag = case.metric("spillway_scaler_lag_messages", name).await?;
            ensure!(lag <= 3.0 * rate, "{name}: {lag} behind at {rate}/s: this was no steady load");
        }
        Ok(())
    });
}

/// Waits until no status was written for more than two down windows; returns the operator's time.
async fn settled(case: &Case, name: &str) -> Result<f64> {
    let look = async || anyhow::Ok((case.writes("status")?, case.metric(OBSERVED, name).await?));
    let last = Mutex::new(look().await?);
    let quiet = 2.5 * f64::from(DOWN_WINDOW);
    eventually("the statuses to settle", Duration::from_secs(180), || async {
        let (written, at) = look().await?;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != written {
            *last = (written, at);
        }
        ensure!(at - last.1 >= quiet, "{written} writes, none for {:.0}s", at - last.1);
        Ok(at)
    })
    .await
}
