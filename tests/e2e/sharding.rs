//! Several pods share the work: each shard has one owner at a time, also while pods come, go and die.
//!
//! Who owned what is read off the Leases, who wrote what off the API server's own log. What a pod may take and asks
//! for is tested on values (`src/cluster/share.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use spillway::cluster::share::shard_of;
use spillway_testbed::operator;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;
use tokio::task::JoinHandle;

use super::backlog::{Backlog, EACH};
use super::failover::lost;
use super::harness::{Case, SharedBed, case};
use super::{page, typed};

static BED: SharedBed =
    SharedBed::new("sharding", "{replicaCount: 2, shards: 4, lease: {duration: 8s}, page: {enabled: true}}")
        .cases(1);

const SHARDS: usize = 4;
const LIMIT: Duration = Duration::from_secs(60);
/// A lease runs out 8 s after its last renewal; the others look every other second, and who has more leaves it to
/// another for 5 s.
const TAKEOVER: Duration = Duration::from_secs(20);
/// Scalers beside the one with a backlog.
const QUIET: usize = 11;

/// Who held each shard, in the order of the Leases' versions.
struct Owners {
    seen: Arc<Mutex<BTreeMap<usize, Vec<String>>>>,
    task: JoinHandle<()>,
}

impl Drop for Owners {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Owners {
    fn follow(case: &Case) -> Self {
        let api: Api<Lease> = Api::namespaced(case.bed.client(), operator::NAMESPACE);
        let seen = Arc::new(Mutex::new(BTreeMap::<usize, Vec<String>>::new()));
        let to = seen.clone();
        let task = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default()).boxed();
            while let Some(event) = events.next().await {
                let Ok(Event::Apply(lease) | Event::InitApply(lease)) = event else { continue };
                let name = lease.name_any();
                let shard = match name.strip_prefix(operator::RELEASE) {
                    Some("") => 0,
                    Some(rest) => match rest.strip_prefix("-shard-").and_then(|n| n.parse().ok()) {
                        Some(shard) => shard,
                        None => continue,
                    },
                    None => continue,
                };
                let holder = lease.spec.and_then(|s| s.holder_identity).unwrap_or_default();
                let mut seen = to.lock().unwrap_or_else(PoisonError::into_inner);
                let holders = seen.entry(shard).or_default();
                if !holder.is_empty() && holders.last() != Some(&holder) {
                    holders.push(holder);
                }
            }
        });
        Self { seen, task }
    }

    fn of(&self, shard: usize) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&shard).cloned().unwrap_or_default()
    }
}

/// What each pod says that it has: its shards, and the scalers of the case that it has series of.
type Shares = BTreeMap<String, (BTreeSet<usize>, BTreeSet<String>)>;

async fn shares(case: &Case) -> Result<Shares> {
    let mut all = Shares::new();
    for (pod, ip) in operator::pods(case.bed).await? {
        let samples = operator::metrics(&ip).await.with_context(|| format!("the metrics of {pod}"))?;
        let (shards, scalers) = all.entry(pod).or_default();
        for sample in samples {
            if sample.name == "spillway_shard_owned" && sample.value == 1.0 {
                shards.extend(sample.labels.get("shard").and_then(|s| s.parse::<usize>().ok()));
            }
            if sample.name == "spillway_scaler_state"
                && sample.labels.get("namespace") == Some(&case.namespace)
            {
                scalers.extend(sample.labels.get("name").cloned());
            }
        }
    }
    Ok(all)
}

/// Whether every shard is one pod's.
fn each_once(all: &Shares, shards: usize) -> bool {
    let mut held: Vec<usize> = all.values().flat_map(|(shards, _)| shards.iter().copied()).collect();
    held.sort_unstable();
    held.into_iter().eq(0..shards)
}

/// Waits until every shard and every scaler is one pod's, as even as can be.
async fn even(case: &Case, pods: usize, shards: usize, limit: Duration) -> Result<Shares> {
    eventually(&format!("{shards} shards to be even over {pods} pods"), limit, || async {
        let all = shares(case).await?;
        ensure!(all.len() == pods, "the pods are {:?}", all.keys());
        let sizes: Vec<usize> = all.values().map(|(shards, _)| shards.len()).collect();
        let (least, most) = (sizes.iter().min(), sizes.iter().max());
        ensure!(each_once(&all, shards), "{all:?}");
        ensure!(least.zip(most).is_some_and(|(least, most)| most - least <= 1), "{all:?}");
        for name in names() {
            let shard = shard_of(&case.namespace, &name, shards);
            for (pod, (shards, scalers)) in &all {
                let (owns, shows) = (shards.contains(&shard), scalers.contains(&name));
                ensure!(
                    owns == shows,
                    "{name} is of shard {shard}: {pod} owns {owns}, shows {shows}: {all:?}"
                );
            }
        }
        Ok(all)
    })
    .await
}

/// Has so many pods share so many shards.
async fn install(case: &Case, pods: usize, shards: usize) -> Result<()> {
    let values = format!(
        "{{replicaCount: {pods}, shards: {shards}, lease: {{duration: 8s}}, page: {{enabled: true}}}}"
    );
    operator::install(case.bed, &values).await
}

fn names() -> impl Iterator<Item = String> {
    (0..QUIET).map(|i| format!("quiet-{i}")).chain(["orders".to_owned()])
}

/// Changes every quiet scaler, and waits until each was looked at since: whoever has it writes its status.
async fn change_all(case: &Case, most: usize) -> Result<()> {
    let mut yaml = String::new();
    for name in names().filter(|name| name != "orders") {
        yaml += &case.timed(&name, &format!("minReplicas: 0\nmaxReplicas: {most}"))?;
    }
    case.bed.apply(&yaml).await?;
    for name in names().filter(|name| name != "orders") {
        eventually(&format!("a status of {name} as it is now"), LIMIT, || async {
            let scaler = case.scalers().get(&name).await?;
            let seen = scaler.status.and_then(|s| s.observed_generation);
            ensure!(seen == scaler.metadata.generation, "{seen:?} of {:?}", scaler.metadata.generation);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// A rollout to one shard more stands still, as its pod does not get ready. By what `SpillwayDown` is made from, shards
/// that are not in force are nobody's to miss: no pod shows them.
async fn stands_still(case: &Case, shards: usize) -> Result<()> {
    let before = operator::pods(case.bed).await?;
    let (chart, more) = (operator::chart(), format!("shards={}", shards + 1));
    let upgrade =
        ["upgrade", operator::RELEASE, &*chart.to_string_lossy(), "--namespace", operator::NAMESPACE];
    let stuck = ["--reuse-values", "--set", &more, "--set", "readinessProbe.httpGet.path=/nowhere"];
    case.bed.helm(&[&upgrade[..], &stuck].concat()).await?;
    eventually("a pod by the new number, and the shards of the old", LIMIT, || async {
        let pods = operator::pods(case.bed).await?;
        ensure!(pods.len() == before.len() + 1 && before.iter().all(|pod| pods.contains(pod)), "{pods:?}");
        let (mut owners, mut shown_by_new) = (BTreeMap::<String, f64>::new(), None);
        for pod in pods {
            let samples =
                operator::metrics(&pod.1).await.with_context(|| format!("the metrics of {}", pod.0))?;
            let owned = samples.iter().filter(|sample| sample.name == "spillway_shard_owned");
            let owned: Vec<_> = owned.map(|s| (s.labels["shard"].clone(), s.value)).collect();
            if !before.contains(&pod) {
                let leads = operator::value(&samples, "spillway_leader", &[]);
                ensure!(leads == Some(0.0), "{} leads: {leads:?}", pod.0);
                shown_by_new = Some(owned.len());
            }
            for (shard, value) in owned {
                *owners.entry(shard).or_default() += value;
            }
        }
        let expected: BTreeMap<_, _> = (0..shards).map(|shard| (shard.to_string(), 1.0)).collect();
        ensure!(owners == expected && shown_by_new == Some(0), "{owners:?}, {shown_by_new:?} by the new pod");
        Ok(())
    })
    .await
}

/// Which pods wrote replicas or the status of each scaler, in their order.
fn writers(case: &Case) -> Result<BTreeMap<String, Vec<String>>> {
    let mut calls = case.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)?;
    // The log has them as they ended.
    calls.sort_by(|a, b| a.request_received_timestamp.cmp(&b.request_received_timestamp));
    let mut writers = BTreeMap::<String, Vec<String>>::new();
    for call in calls {
        let written = matches!(call.verb.as_str(), "update" | "patch")
            && call.object_ref.namespace == case.namespace
            && matches!(call.object_ref.subresource.as_str(), "scale" | "status")
            && call.object_ref.resource != "kafkaconnections"
            && (200..300).contains(&call.response_status.code);
        if written {
            let pod =
                call.pod().with_context(|| format!("the audit log does not say which pod: {call:?}"))?;
            let of = writers.entry(call.object_ref.name.clone()).or_default();
            if of.last().is_none_or(|last| last != pod) {
                of.push(pod.to_owned());
            }
        }
    }
    Ok(writers)
}

/// Whether `some` are among `all`, in the same order.
fn in_order(some: &[String], all: &[String]) -> bool {
    let mut rest = all.iter();
    some.iter().all(|pod| rest.any(|other| other == pod))
}

#[test]
fn each_scaler_is_one_pods_while_pods_come_go_and_die() {
    case("sharding", &BED, async |case: Case| {
        let owners = Owners::follow(&case);
        let (servers, kafka) = (case.servers()?, case.bed.kafka()?);
        let mut yaml = String::new();
        for name in names().filter(|name| name != "orders") {
            kafka.create_topic(&name, 1).await?;
            yaml += &Workload::consumer(&case.namespace, &name, &servers, &name, EACH, &case.records)
                .replicas(0)
                .yaml();
        }
        case.bed.apply(&yaml).await?;
        change_all(&case, 10).await?;
        let backlog = Backlog::start(&case, "orders", "").await?;
        let two = even(&case, 2, SHARDS, LIMIT).await?;
        let page = "docs/scaling-out.md";
        let lines = typed::type_all(&case, page, &typed::blocks(page, "sh")?, "orders").await?;
        ensure!(lines >= 1, "{page} has no commands");

        let (pod, (own, _)) = two.first_key_value().context("no pod")?;
        let ip = operator::pods(case.bed).await?.into_iter().find(|(name, _)| name == pod);
        page::is_a_part(&case, &ip.context("no address")?, own.len(), SHARDS).await?;

        // One comes.
        let start = Instant::now();
        install(&case, 3, SHARDS).await?;
        let three = even(&case, 3, SHARDS, LIMIT).await?;
        let joined = start.elapsed();
        let kept = two.iter().map(|(pod, (before, _))| {
            three.get(pod).map_or(0, |(after, _)| before.intersection(after).count())
        });
        ensure!(kept.sum::<usize>() == SHARDS - 1, "more moved than had to: {two:?}, then {three:?}");
        change_all(&case, 11).await?;

        // One dies, amid the work on a backlog.
        backlog.flood(14.0 * EACH)?;
        backlog.grown(3000).await?;
        backlog.ebb()?;
        backlog.scaled_up().await?;
        backlog.in_the_middle()?;
        let shard = shard_of(&case.namespace, "orders", SHARDS);
        let now = shares(&case).await?;
        let (died, _) =
            now.iter().find(|(_, (shards, _))| shards.contains(&shard)).context("nobody has it")?;
        lost(&case, died).await?;
        let start = Instant::now();
        eventually("its shards to be taken over", TAKEOVER, || async {
            let all = shares(&case).await?;
            ensure!(each_once(&all, SHARDS) && !all.contains_key(died), "{all:?}");
            Ok(())
        })
        .await?;
        let took = start.elapsed();
        even(&case, 3, SHARDS, LIMIT).await?;
        change_all(&case, 12).await?;
        let counts = backlog.finish().await?;
        ensure!(case.scale_writes()? == counts.len() - 1, "{} writes, {counts:?}", case.scale_writes()?);

        // Nothing was written by two in turns: only by who had the shard, in the order in which they had it.
        let writers = writers(&case)?;
        for name in names() {
            let wrote = writers.get(&name).with_context(|| format!("nobody wrote the status of {name}"))?;
            let owned = owners.of(shard_of(&case.namespace, &name, SHARDS));
            ensure!(in_order(wrote, &owned), "{name} was written by {wrote:?}, its shard owned by {owned:?}");
        }
        ensure!(writers.values().any(|pods| pods.len() > 1), "nothing changed hands: {writers:?}");
        println!(
            "sharding: even over three after {joined:.1?}, taken over after {took:.1?}, replicas {counts:?}"
        );

        // Another number of shards: whoever works by the old one is done before anybody works by the new.
        let start = Instant::now();
        install(&case, 2, 2).await?;
        even(&case, 2, 2, LIMIT).await?;
        change_all(&case, 13).await?;
        let new: BTreeSet<String> = shares(&case).await?.into_keys().collect();
        for (name, wrote) in self::writers(&case)? {
            let first = wrote.iter().position(|pod| new.contains(pod));
            // Of the one that was not changed nothing may have been left to say.
            ensure!(first.is_some() || name == "orders", "{name} was written by {wrote:?}, not by {new:?}");
            let since = &wrote[first.unwrap_or(wrote.len())..];
            ensure!(
                since.iter().all(|pod| new.contains(pod)),
                "{name} was written by {wrote:?}, of whom {new:?} are new"
            );
        }
        println!("sharding: two shards instead of four after {:.1?}", start.elapsed());
        stands_still(&case, 2).await
    });
}
