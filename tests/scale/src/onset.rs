//! Some groups fall behind at once: how long until their workloads are scaled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};

use crate::fleet::{Fleet, workers};

/// Messages in each partition that they fall behind by.
const BY: i64 = 50;

/// Lets them fall behind so many times, at other moments between two sweeps each time. Gives the seconds from the
/// first message to the write of each group each time.
///
/// # Errors
/// When one of them is not scaled.
pub async fn rounds(fleet: &Fleet<'_>, rounds: u64) -> Result<Vec<f64>> {
    let sweep = Duration::from_secs(fleet.sweep);
    let mut all = Vec::new();
    let mut end = fleet.first();
    for round in 0..rounds {
        let took = one(fleet, sweep * 4).await?;
        let longest = took.iter().copied().fold(0.0, f64::max);
        fleet.say.line(format_args!(
            "  onset {} of {rounds}: {} scaled within {longest:.1} s",
            round + 1,
            took.len()
        ));
        all.extend(took);
        end += BY;
        if round + 1 == rounds {
            break;
        }
        fleet.catch_up(end).await?;
        // To be quiet takes two sweeps; the rest of a sweep moves the next onset to another place in it.
        tokio::time::sleep(sweep * 3 + sweep.mul_f64(1.0 / rounds as f64)).await;
    }
    Ok(all)
}

async fn one(fleet: &Fleet<'_>, limit: Duration) -> Result<Vec<f64>> {
    let api: Api<DynamicObject> = Api::all_with(fleet.bed.client(), &workers());
    let mut events = watcher(api, watcher::Config::default()).boxed();
    // What is there is known first: what changes from then on is seen as it happens.
    while let Some(event) = events.next().await {
        if matches!(event?, Event::InitDone) {
            break;
        }
    }
    let begun = Instant::now();
    let mut written: BTreeMap<String, f64> = BTreeMap::new();
    let watch = async {
        while written.len() < fleet.busy() {
            match events.next().await {
                Some(Ok(Event::Apply(worker))) => {
                    let replicas = worker.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
                    if replicas > Some(0) {
                        written.entry(worker.name_any()).or_insert_with(|| begun.elapsed().as_secs_f64());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(anyhow::Error::from(error)),
                None => bail!("the watch ended"),
            }
        }
        Ok(())
    };
    let both = async { tokio::try_join!(fleet.fall_behind(BY), watch).map(drop) };
    match tokio::time::timeout(limit, both).await {
        Ok(outcome) => outcome?,
        Err(_) => bail!("{} of {} were scaled within {}s", written.len(), fleet.busy(), limit.as_secs()),
    }
    Ok(written.into_values().collect())
}
