//! The operator itself is killed, frozen or replaced while a backlog is drained, or starts before its
//! definitions are there.
//!
//! One writes at a time; the next one changes nothing wrongly and finishes the job.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use spillway_testbed::operator;
use spillway_testbed::wait::eventually;

use super::backlog::{Backlog, healthy, leads, restarts};
use super::harness::{Case, SharedBed, case};

/// Two of them, and a lease that nobody waits for long.
static BED: SharedBed = SharedBed::new("failover", "{replicaCount: 2, lease: {duration: 5s}}");
static TURN: Mutex<()> = Mutex::new(());

const LIMIT: Duration = Duration::from_secs(60);
/// A lease runs out 5 s after its last renewal; the other looks every second.
const TAKEOVER: Duration = Duration::from_secs(15);

/// The pods of the operator: the one that leads and the one that stands by, name and address.
async fn both(case: &Case) -> Result<[(String, String); 2]> {
    let leader = operator::leader(case.bed, LIMIT).await?;
    let others = eventually("a second operator", LIMIT, || async {
        let mut all = operator::pods(case.bed).await?;
        all.retain(|(name, ip)| *name != leader.0 && !ip.is_empty());
        match &all[..] {
            [other] => Ok(other.clone()),
            all => bail!("beside {} there are {all:?}", leader.0),
        }
    });
    Ok([leader.clone(), others.await?])
}

/// Waits until the pod of that name leads.
async fn takes_over(case: &Case, name: &str, limit: Duration) -> Result<Duration> {
    let start = Instant::now();
    eventually(&format!("{name} to take over"), limit, || async {
        let holder = operator::holder(case.bed).await?;
        ensure!(holder.as_deref() == Some(name), "the lease is held by {holder:?}");
        Ok(())
    })
    .await?;
    Ok(start.elapsed())
}

/// Writes to `/scale` that the process at `ip` made so far, of whatever outcome.
async fn writes(ip: &str) -> Result<f64> {
    let samples = operator::metrics(ip).await?;
    Ok(samples.iter().filter(|s| s.name == "spillway_scale_writes_total").map(|s| s.value).sum())
}

/// A backlog has been met by more replicas, and is far from gone.
async fn in_the_middle(backlog: &Backlog<'_>) -> Result<Vec<i32>> {
    backlog.flood(300.0)?;
    backlog.grown(3000).await?;
    backlog.ebb()?;
    backlog.scaled_up().await?;
    backlog.in_the_middle()?;
    backlog.path.counts()
}

#[test]
fn killed_in_the_middle_the_next_one_finishes_the_job() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    case("killed", &BED, async |case: Case| {
        let backlog = Backlog::start(&case, "killed", "").await?;
        let [leader, standby] = both(&case).await?;
        healthy(&standby.1).await.context("the one that stands by")?;
        leads(&standby.1, false, LIMIT).await?;
        let before = in_the_middle(&backlog).await?;
        ensure!(writes(&standby.1).await? == 0.0, "the one that stands by has written");
        case.bed.kubelet().kill_pod(operator::NAMESPACE, &leader.0)?;
        let start = Instant::now();
        eventually("the kubelet to start it again", LIMIT, || async {
            let restarts = restarts(case.bed).await?;
            ensure!(restarts.iter().any(|(name, n)| *name == leader.0 && *n > 0), "{restarts:?}");
            Ok(())
        })
        .await?;
        // The same pod, if it is quick: the lease is held in its name. Else the other.
        let next = operator::leader(case.bed, TAKEOVER).await?;
        leads(&next.1, true, LIMIT).await?;
        let took = start.elapsed();
        let counts = backlog.finish().await?;
        ensure!(counts[..before.len()] == before[..], "{counts:?} began with {before:?}");
        ensure!(counts.len() <= before.len() + 2, "one more step up at the most, then one back: {counts:?}");
        ensure!(case.scale_writes()? == counts.len() - 1, "{} writes, {counts:?}", case.scale_writes()?);
        ensure!(writes(&next.1).await? >= 1.0, "who took the replicas away?");
        let other = if next.0 == leader.0 { &standby } else { &leader };
        leads(&other.1, false, LIMIT).await?;
        ensure!(writes(&other.1).await? == 0.0, "{} has written, and {} leads", other.0, next.0);
        println!("killed: {} leads after {took:.1?}, replicas {counts:?}", next.0);
        Ok(())
    });
}

#[test]
fn frozen_for_longer_than_its_lease_it_writes_nothing_any_more() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    case("frozen", &BED, async |case: Case| {
        let backlog = Backlog::start(&case, "frozen", "").await?;
        let [leader, standby] = both(&case).await?;
        let before = in_the_middle(&backlog).await?;
        let written = writes(&leader.1).await?;
        let kubelet = case.bed.kubelet();
        kubelet.pause_pod(operator::NAMESPACE, &leader.0)?;
        let took = takes_over(&case, &standby.0, TAKEOVER).await;
        kubelet.resume_pod(operator::NAMESPACE, &leader.0)?;
        let took = took?;
        // It wakes up in the middle of whatever it was doing, and learns that it does not lead.
        leads(&leader.1, false, LIMIT).await?;
        let counts = backlog.finish().await?;
        ensure!(counts[..before.len()] == before[..], "{counts:?} began with {before:?}");
        // What it counted it forgot when it learnt that it does not lead.
        let since = writes(&leader.1).await?;
        ensure!(since == 0.0, "the frozen one has written {since} times since, {written} before");
        let by_the_other = writes(&standby.1).await?;
        let all = case.scale_writes()? as f64;
        ensure!(
            all == written + by_the_other,
            "{all} writes: {written} and {by_the_other} are accounted for"
        );
        ensure!(by_the_other >= 1.0, "who took the replicas away?");
        println!("frozen: taken over after {took:.1?}, replicas {counts:?}");
        Ok(())
    });
}

/// A lease so long that nobody can have waited for its end.
static LONG: SharedBed =
    SharedBed::new("handover", "{replicaCount: 2, lease: {duration: 120s}, crds: {enabled: false}}");

#[test]
fn without_definitions_it_waits_and_at_its_end_it_hands_the_lease_over() {
    case("handover", &LONG, async |case: Case| {
        let [leader, standby] = both(&case).await?;
        for (name, ip) in [&leader, &standby] {
            healthy(ip).await.with_context(|| format!("{name}, without the definitions"))?;
        }
        let log = case.bed.kubelet().pod_log(operator::NAMESPACE, &leader.0);
        eventually("the missing definition to be told", LIMIT, || async {
            let said = std::fs::read_to_string(&log)?;
            let told = said.contains("the definition of consumerscalers is not installed; waiting for it");
            ensure!(told, "the log says {said}");
            Ok(())
        })
        .await?;
        let definitions = operator::chart().join("../../deploy/crds.yaml");
        case.bed.kubectl(&["apply", "-f", &definitions.to_string_lossy()]).await?;
        eventually("the definitions to be served", LIMIT, || async {
            case.bed.kubectl(&["get", "csc,kc", "-A"]).await.map(drop)
        })
        .await?;
        case.bed.apply(&case.timed("nothing", "")?).await?;
        case.until("a status", "nothing", LIMIT, |s| s.state.is_some()).await?;
        ensure!(restarts(case.bed).await?.iter().all(|(_, n)| *n == 0), "{:?}", restarts(case.bed).await?);

        let pods: Api<Pod> = Api::namespaced(case.bed.client(), operator::NAMESPACE);
        pods.delete(&leader.0, &DeleteParams::default()).await?;
        let took = takes_over(&case, &standby.0, LIMIT / 2).await?;
        leads(&standby.1, true, LIMIT).await?;
        println!("handover: taken over after {took:.1?}, the lease lasts 120s");
        Ok(())
    });
}
