//! The operator itself: killed amid its work, left without its lease, with a clock that is wrong.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::http::Method;
use spillway_testbed::apiproxy::{Picks, When};
use spillway_testbed::operator;
use spillway_testbed::wait::eventually;

use super::super::stage::LEASE;
use super::super::story::{BACKLOG, Scene};
use super::kafka::sees;
use crate::backlog::{EACH, leads};
use crate::failover::{both, lost, takes_over};

const LIMIT: Duration = Duration::from_secs(90);

fn scale(method: &Method, path: &str) -> bool {
    *method != Method::GET && path.contains("/scale")
}

fn status(method: &Method, path: &str) -> bool {
    *method != Method::GET && path.contains("/consumerscalers/") && path.contains("/status")
}

fn lease(method: &Method, path: &str) -> bool {
    *method != Method::GET && path.contains("/leases/")
}

fn list(method: &Method, path: &str) -> bool {
    *method == Method::GET && path.contains("/consumerscalers?") && !path.contains("watch=")
}

fn event(method: &Method, path: &str) -> bool {
    *method == Method::POST && path.contains("/events")
}

const LISTED: &str = "the scalers listed";

/// A step: its name, the call, whether the API server knows of it when the operator dies.
const STEPS: [(&str, Picks, When); 8] = [
    ("its write of replicas on its way", scale, When::Before),
    ("its write of replicas taken, not answered", scale, When::After),
    ("its status on its way", status, When::Before),
    ("its status taken, not answered", status, When::After),
    ("its renewal of the lease on its way", lease, When::Before),
    ("its renewal of the lease taken, not answered", lease, When::After),
    (LISTED, list, When::After),
    ("an event on its way", event, When::Before),
];

pub async fn killed(scene: &Scene<'_>) -> Result<()> {
    scene.backlog.flood(10.0 * EACH)?;
    for (i, (step, picks, when)) in STEPS.into_iter().enumerate() {
        let mut held = scene.stage.proxy.hold(picks, when);
        if i == 2 {
            scene.backlog.ebb()?;
        }
        if step == LISTED {
            // It lists when it starts, which is where the last one is now.
            kill(scene, "before").await?;
        }
        let call = held.reached(LIMIT * 2).await.with_context(|| format!("killing it with {step}"))?;
        println!("{}: killed with {step} ({call})", scene.backlog.name);
        kill(scene, step).await?;
        // Who is dead hears nothing of it.
        if when == When::Before {
            held.discard();
        }
    }
    let (_, ip) = operator::leader(scene.case.bed, LIMIT).await?;
    leads(&ip, true, LIMIT).await
}

/// Kills the pod that holds the lease, or the only one there is, for good.
async fn kill(scene: &Scene<'_>, step: &str) -> Result<()> {
    let pods = operator::pods(scene.case.bed).await?;
    let (name, _) = pods.first().context("there is no operator to kill")?.clone();
    // One that is only being started has no process yet.
    eventually("a process of the operator", LIMIT, || lost(scene.case, &name))
        .await
        .with_context(|| format!("killing it: {step}"))?;
    eventually("another pod of the operator", LIMIT, || async {
        let pods = operator::pods(scene.case.bed).await?;
        ensure!(pods.iter().any(|(n, ip)| *n != name && !ip.is_empty()), "{pods:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

pub async fn lease_lost(scene: &Scene<'_>) -> Result<()> {
    let [leader, standby] = both(scene.case).await?;
    let mut held = scene.stage.proxy.hold(scale, When::Before);
    scene.backlog.flood(14.0 * EACH)?;
    scene.backlog.grown(BACKLOG).await?;
    scene.backlog.ebb()?;
    let write = held.reached(LIMIT).await.context("the write of the one that leads")?;
    let kubelet = scene.case.bed.kubelet();
    kubelet.pause_pod(operator::NAMESPACE, &leader.0)?;
    let outcome = async {
        takes_over(scene.case, &standby.0, LEASE * 4).await?;
        leads(&standby.1, true, LIMIT).await?;
        scene.backlog.scaled_up().await.context("by the one that took over")
    }
    .await;
    let before = scene.backlog.path.counts()?;
    // The write of the first arrives only now.
    drop(held);
    sees(scene).await?;
    kubelet.resume_pod(operator::NAMESPACE, &leader.0)?;
    outcome?;
    leads(&leader.1, false, LIMIT).await.context("the one that lost the lease")?;
    let after = scene.backlog.path.counts()?;
    ensure!(after.starts_with(&before), "{before:?}, then {after:?}, with {write} too late");
    Ok(())
}

pub async fn clock_jumps(scene: &Scene<'_>) -> Result<()> {
    for ahead in [3600, -3600, 0] {
        scene.stage.set_clock(ahead)?;
        scene.lasts(Duration::from_secs(20)).await;
    }
    sees(scene).await
}
