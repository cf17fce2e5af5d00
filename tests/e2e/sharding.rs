//! Several pods share the work: each shard has one owner at a time, also while pods come, go and die.
//!
//! Who owned what when and who wrote what is read off the API server's own log (`tenure`), while something is to be
//! said of every scaler all the time. What a pod may take and asks for is tested on values (`src/cluster/share.rs`).
//! How many replicas the one with a backlog gets, and when, is not judged here: only that it is done once.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use spillway::cluster::share::shard_of;
use spillway_testbed::operator;
use spillway_testbed::sample::Workload;
use spillway_testbed::wait::eventually;

use super::backlog::{Backlog, EACH, FIRST, Parts};
use super::failover::lost;
use super::harness::{Case, SharedBed, case};
use super::tenure::Log;
use super::{page, typed};

static BED: SharedBed =
    SharedBed::new("sharding", "{replicaCount: 2, shards: 4, lease: {duration: 8s}, page: {enabled: true}}")
        .cases(1);

const SHARDS: usize = 4;
/// For anything that is waited for: on a busy machine a pod may take half a minute to start.
const LIMIT: Duration = Duration::from_secs(120);
/// Scalers beside the one with a backlog.
const QUIET: usize = 11;

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
async fn even(case: &Case, pods: usize, shards: usize) -> Result<Shares> {
    eventually(&format!("{shards} shards to be even over {pods} pods"), LIMIT, || async {
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

fn quiet() -> impl Iterator<Item = String> {
    (0..QUIET).map(|i| format!("quiet-{i}"))
}

fn names() -> impl Iterator<Item = String> {
    quiet().chain(["orders".to_owned()])
}

/// Changes every quiet scaler, and waits until each was looked at since: whoever has it writes its status.
async fn change_all(case: &Case, most: usize) -> Result<()> {
    let change = json!({"spec": {"maxReplicas": most}});
    for name in quiet() {
        case.scalers().patch(&name, &PatchParams::default(), &Patch::Merge(&change)).await?;
    }
    for name in quiet() {
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

/// Does so for as long as something lasts, so that who has a scaler writes all the while, and once after. Something
/// must have changed hands meanwhile.
async fn amid_changes<T>(
    case: &Case,
    most: &mut usize,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let (start, since) = (Instant::now(), Timestamp::now());
    let mut next = || {
        *most += 1;
        *most
    };
    let mut work = pin!(work);
    let mut rounds = 1;
    let done = loop {
        tokio::select! {
            done = &mut work => break done.with_context(|| what.to_owned())?,
            changed = change_all(case, next()) => changed.with_context(|| what.to_owned())?,
        }
        rounds += 1;
    };
    let took = start.elapsed();
    change_all(case, next()).await?;
    let log = Log::of(case)?;
    let (changed, writes) = (log.changed_hands(since), log.writes.iter().filter(|w| w.at >= since).count());
    ensure!(!changed.is_empty(), "{what}: nothing changed hands in {writes} writes");
    println!("sharding: {what}: {took:.1?}, {rounds} rounds, {writes} writes, of two pods of {changed:?}");
    Ok(done)
}

/// The pod that has the scaler with the backlog.
async fn owner(case: &Case) -> Result<String> {
    let shard = shard_of(&case.namespace, "orders", SHARDS);
    eventually("one that has it", LIMIT, || async {
        let all = shares(case).await?;
        let owner = all.iter().find(|(_, (shards, _))| shards.contains(&shard));
        owner.map(|(pod, _)| pod.clone()).with_context(|| format!("nobody has shard {shard}: {all:?}"))
    })
    .await
}

/// Waits until all shards are had, and none of them by a pod.
async fn taken_from(case: &Case, gone: &str) -> Result<()> {
    eventually(&format!("the shards of {gone} to be taken over"), LIMIT, || async {
        let all = shares(case).await?;
        ensure!(each_once(&all, SHARDS) && !all.contains_key(gone), "{all:?}");
        Ok(())
    })
    .await
}

/// A pod dies amid the work on a backlog: others finish that, and nothing is done twice. Returns the replicas.
async fn dies_amid_a_backlog(case: &Case, backlog: &Backlog<'_>) -> Result<Vec<i32>> {
    // More than all consumers process, however many there are by now.
    backlog.flood(14.0 * EACH)?;
    backlog.grown(3000).await?;
    backlog.scaled_up().await?;
    backlog.ebb()?;
    backlog.in_the_middle()?;
    let died = owner(case).await?;
    lost(case, &died).await?;
    let start = Instant::now();
    taken_from(case, &died).await?;
    println!("sharding: taken over from one that died after {:.1?}", start.elapsed());
    backlog.settled().await?;
    case.until("the group to rest", "orders", LIMIT, |s| s.state.as_deref() == Some("Idle")).await?;
    let log = Log::of(case)?;
    let last = log.writes.iter().rfind(|w| w.name == "orders").context("nobody wrote of it")?;
    ensure!(last.pod != died, "{died} is gone, and wrote last of it: {last}");
    // It may yet go down: both are looked at until they are of the same moment.
    eventually("as many changes of the replicas as writes of them", LIMIT, || async {
        let (counts, writes) = (backlog.path.counts()?, case.scale_writes()?);
        ensure!(writes == counts.len() - 1, "{writes} writes, {counts:?}");
        ensure!(counts.iter().any(|count| *count > FIRST), "{counts:?}");
        Ok(counts)
    })
    .await
}

#[test]
fn each_scaler_is_one_pods_while_pods_come_go_and_die() {
    case("sharding", &BED, async |case: Case| {
        let (servers, kafka) = (case.servers()?, case.bed.kafka()?);
        let mut yaml = String::new();
        let mut most = 10;
        for name in quiet() {
            kafka.create_topic(&name, 1).await?;
            yaml += &Workload::consumer(&case.namespace, &name, &servers, &name, EACH, &case.records)
                .replicas(0)
                .yaml();
            yaml += &case.timed(&name, &format!("minReplicas: 0\nmaxReplicas: {most}"))?;
        }
        case.bed.apply(&yaml).await?;
        let backlog = Backlog::deploy(&case, "orders", Parts::default()).await?;
        let two = even(&case, 2, SHARDS).await?;
        let page = "docs/scaling-out.md";
        let lines = typed::type_all(&case, page, &typed::blocks(page, "sh")?, "orders").await?;
        ensure!(lines >= 1, "{page} has no commands");

        let (pod, (own, _)) = two.first_key_value().context("no pod")?;
        let ip = operator::pods(case.bed).await?.into_iter().find(|(name, _)| name == pod);
        page::is_a_part(&case, &ip.context("no address")?, own.len(), SHARDS).await?;

        let three = amid_changes(&case, &mut most, "one comes", async {
            install(&case, 3, SHARDS).await?;
            even(&case, 3, SHARDS).await
        })
        .await?;
        let kept = two.iter().map(|(pod, (before, _))| {
            three.get(pod).map_or(0, |(after, _)| before.intersection(after).count())
        });
        ensure!(kept.sum::<usize>() == SHARDS - 1, "more moved than had to: {two:?}, then {three:?}");

        let counts = dies_amid_a_backlog(&case, &backlog).await?;
        println!("sharding: replicas {counts:?}");
        even(&case, 3, SHARDS).await?;

        let drained = owner(&case).await?;
        amid_changes(&case, &mut most, "one is drained", async {
            let pods: Api<Pod> = Api::namespaced(case.bed.client(), operator::NAMESPACE);
            pods.delete(&drained, &DeleteParams::default()).await?;
            taken_from(&case, &drained).await?;
            even(&case, 3, SHARDS).await
        })
        .await?;

        let new: BTreeSet<String> = amid_changes(&case, &mut most, "two shards instead of four", async {
            install(&case, 2, 2).await?;
            even(&case, 2, 2).await
        })
        .await?
        .into_keys()
        .collect();

        let log = Log::of(&case)?;
        log.each_by_its_holder(&case.namespace, |pod| if new.contains(pod) { 2 } else { SHARDS })?;
        for name in names() {
            ensure!(log.writes.iter().any(|w| w.name == name), "nobody wrote the status of {name}");
        }
        // Whoever works by the old number is done before anybody works by the new, on whatever object.
        let first =
            log.writes.iter().position(|w| new.contains(&w.pod)).context("the new ones wrote nothing")?;
        if let Some(late) = log.writes[first..].iter().find(|w| !new.contains(&w.pod)) {
            bail!("{late}, by four shards, after {}, by two", log.writes[first]);
        }
        stands_still(&case, 2).await
    });
}
