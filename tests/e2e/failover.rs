//! The operator itself is killed, frozen or replaced while a backlog is drained, or starts before its
//! definitions are there.
//!
//! One writes at a time; the next one changes nothing wrongly and finishes the job.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use spillway::api::ConsumerScalerStatus;
use spillway_testbed::operator;
use spillway_testbed::wait::eventually;

use super::backlog::{Backlog, EACH, healthy, leads, restarts};
use super::harness::{Case, SharedBed, case};
use super::page;

/// Two of them, and a lease that nobody waits for long.
static BED: SharedBed =
    SharedBed::new("failover", "{replicaCount: 2, lease: {duration: 8s}, page: {enabled: true}}").cases(2);
static TURN: Mutex<()> = Mutex::new(());

const LIMIT: Duration = Duration::from_secs(60);
/// A lease runs out 8 s after its last renewal; the other looks every other second.
const TAKEOVER: Duration = Duration::from_secs(18);

/// The pods of the operator: the one that leads and the one that stands by, name and address.
pub async fn both(case: &Case) -> Result<[(String, String); 2]> {
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
pub async fn takes_over(case: &Case, name: &str, limit: Duration) -> Result<Duration> {
    let start = Instant::now();
    eventually(&format!("{name} to take over"), limit, || async {
        let holder = operator::holder(case.bed).await?;
        ensure!(holder.as_deref() == Some(name), "the lease is held by {holder:?}");
        Ok(())
    })
    .await?;
    Ok(start.elapsed())
}

/// What the API server took from each pod of the operator in the case's namespace. They share an
/// account; their tokens are each its own.
#[derive(Debug, Default, PartialEq)]
struct Taken {
    /// Writes to `/scale`.
    scale: BTreeMap<String, usize>,
    /// These, and statuses and events.
    all: BTreeMap<String, usize>,
}

fn taken(case: &Case) -> Result<Taken> {
    let mut taken = Taken::default();
    for call in case.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)? {
        let written = matches!(call.verb.as_str(), "create" | "update" | "patch")
            && call.object_ref.namespace == case.namespace
            // One may be on its way when a process is stopped, and tells what was so before.
            && call.object_ref.resource != "events"
            && (200..300).contains(&call.response_status.code);
        if written {
            let pod =
                call.pod().with_context(|| format!("the audit log does not say which pod: {call:?}"))?;
            *taken.all.entry(pod.to_owned()).or_default() += 1;
            if call.object_ref.subresource == "scale" {
                *taken.scale.entry(pod.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(taken)
}

/// What the process at `ip` knows a replica to process, msg/s, once it has looked at the scaler.
async fn capacity(case: &Case, ip: &str, scaler: &str) -> Result<Option<f64>> {
    let samples = operator::metrics(ip).await?;
    let labels = [("namespace", case.namespace.as_str()), ("name", scaler)];
    operator::value(&samples, "spillway_scaler_observed_timestamp_seconds", &labels)
        .context("no look yet")?;
    Ok(operator::value(&samples, "spillway_scaler_capacity_messages_per_second", &labels))
}

/// Waits until a pod leads: the lease is in its name, and its own process says that it leads. The lease
/// alone may still be in the name of one that is gone.
async fn next(case: &Case, limit: Duration) -> Result<(String, String)> {
    eventually("an operator that leads", limit, || async {
        let (name, ip) = operator::leader(case.bed, Duration::ZERO).await?;
        let samples = operator::metrics(&ip).await.with_context(|| format!("{name} holds the lease"))?;
        let leads = operator::value(&samples, "spillway_leader", &[]);
        ensure!(leads == Some(1.0), "{name} holds the lease, and says spillway_leader {leads:?}");
        Ok((name, ip))
    })
    .await
}

/// Ends a pod as when its node dies: nobody gives the lease up, and another pod comes for it.
pub async fn lost(case: &Case, name: &str) -> Result<()> {
    case.bed.kubelet().kill_pod(operator::NAMESPACE, name)?;
    let pods: Api<Pod> = Api::namespaced(case.bed.client(), operator::NAMESPACE);
    pods.delete(name, &DeleteParams::default().grace_period(0)).await?;
    Ok(())
}

/// A backlog has been met by more replicas, what one of them processes is known, and it is far from gone.
/// More comes than twelve of them process, so that it grows however soon they are there.
async fn in_the_middle(backlog: &Backlog<'_>) -> Result<Vec<i32>> {
    backlog.flood(14.0 * EACH)?;
    backlog.grown(3000).await?;
    backlog.scaled_up().await?;
    let learnt =
        |s: &ConsumerScalerStatus| s.learnt.as_ref().is_some_and(|l| !l.capacity_per_replica.is_empty());
    backlog.case.until("a capacity to be learnt", &backlog.name, LIMIT, learnt).await?;
    backlog.ebb()?;
    backlog.in_the_middle()?;
    backlog.path.counts()
}

#[test]
fn lost_in_the_middle_the_next_one_finishes_the_job() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    case("killed", &BED, async |case: Case| {
        let backlog = Backlog::start(&case, "killed", "").await?;
        let [leader, standby] = both(&case).await?;
        healthy(&standby.1).await.context("the one that stands by")?;
        leads(&standby.1, false, LIMIT).await?;
        page::stands_by(&case, &leader, &standby).await?;
        let before = in_the_middle(&backlog).await?;
        let by = taken(&case)?;
        ensure!(by.all.keys().eq([&leader.0]), "only {} leads, and these have written: {by:?}", leader.0);
        lost(&case, &leader.0).await?;
        let start = Instant::now();
        let next = next(&case, TAKEOVER).await?;
        ensure!(next.0 != leader.0, "{} is gone, and leads", leader.0);
        let took = start.elapsed();
        // It takes many sweeps to measure a capacity: at the first look it is that of the status.
        let known = eventually("the next one to look", LIMIT, || capacity(&case, &next.1, "killed")).await?;
        let known =
            known.with_context(|| format!("{} did not take up the capacity learnt before", next.0))?;
        ensure!((0.5 * EACH..1.5 * EACH).contains(&known), "a replica processes {EACH}/s, not {known}/s");
        let counts = backlog.finish().await?;
        ensure!(counts[..before.len()] == before[..], "{counts:?} began with {before:?}");
        ensure!(case.scale_writes()? == counts.len() - 1, "{} writes, {counts:?}", case.scale_writes()?);
        let by = taken(&case)?;
        ensure!(
            by.all.keys().all(|pod| [&leader.0, &next.0].contains(&pod)) && by.scale.contains_key(&next.0),
            "{} led, then {}, and these have written: {by:?}",
            leader.0,
            next.0
        );
        println!("killed: {} leads after {took:.1?} and knows {known}/s, replicas {counts:?}", next.0);
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
        let kubelet = case.bed.kubelet();
        kubelet.pause_pod(operator::NAMESPACE, &leader.0)?;
        let took = takes_over(&case, &standby.0, TAKEOVER).await;
        let frozen = taken(&case)?;
        kubelet.resume_pod(operator::NAMESPACE, &leader.0)?;
        let took = took?;
        // It wakes up in the middle of whatever it was doing, and learns that it does not lead.
        leads(&leader.1, false, LIMIT).await?;
        let counts = backlog.finish().await?;
        ensure!(counts[..before.len()] == before[..], "{counts:?} began with {before:?}");
        let now = taken(&case)?;
        ensure!(
            now.all.get(&leader.0) == frozen.all.get(&leader.0),
            "{} lost the lease, and has written since: {frozen:?}, now {now:?}",
            leader.0
        );
        ensure!(now.scale.contains_key(&standby.0), "who took the replicas away? {now:?}");
        println!("frozen: taken over after {took:.1?}, replicas {counts:?}");

        // Killed, and started again by its kubelet: the lease is still in its name, if it is quick.
        let [leader, _] = both(&case).await?;
        let before = restarts(case.bed).await?;
        kubelet.kill_pod(operator::NAMESPACE, &leader.0)?;
        let start = Instant::now();
        eventually("the kubelet to start it again", LIMIT, || async {
            let now = restarts(case.bed).await?;
            ensure!(now.iter().map(|p| p.1).sum::<i32>() > before.iter().map(|p| p.1).sum(), "{now:?}");
            Ok(())
        })
        .await?;
        let (name, _) = next(&case, TAKEOVER).await?;
        println!("frozen: {} was killed, {name} leads after {:.1?}", leader.0, start.elapsed());
        Ok(())
    });
}

/// A lease so long that nobody can have waited for its end.
static LONG: SharedBed =
    SharedBed::new("handover", "{replicaCount: 2, lease: {duration: 120s}, crds: {enabled: false}}").cases(1);

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
        let took = takes_over(&case, &standby.0, TAKEOVER).await?;
        leads(&standby.1, true, LIMIT).await?;
        println!("handover: taken over after {took:.1?}, the lease lasts 120s");
        Ok(())
    });
}
