//! What this process may act on: the shards whose Leases it holds.
//!
//! One shard is one active operator, as without any. With more there is a Lease for each, and every pod stands for
//! all of them: who gets which is for `share`. Each action on an object is begun by [`Shards::act`], and a shard is
//! given up only when all that were begun have ended, so that no two pods ever act on an object together.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{FutureExt as _, join_all};
use kube::{Api, Client};
use tokio::sync::{Notify, OwnedRwLockReadGuard, watch};
use tokio::task::JoinHandle;

use super::lease::{Elector, Held, Terms, stand};
use super::share;

/// Most shards: each pod looks at each of them every other second.
pub const MOST: usize = 32;
/// Between the first looks at two Leases: pods that start together get about equally many each.
const APART: Duration = Duration::from_millis(200);

/// How to stand for the shards.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Namespace of the Leases.
    pub namespace: String,
    /// Name of the first Lease; the others are `NAME-shard-1` and so on.
    pub name: String,
    /// How many shards there are: from 1 to [`MOST`].
    pub shards: usize,
    /// Name of this process in the Leases: the pod's.
    pub identity: String,
    /// How long a Lease is held without renewal.
    pub duration: Duration,
}

/// The shards as seen by this process. Cloning gives the same.
#[derive(Clone)]
pub struct Shards {
    leases: Arc<Vec<(Arc<Elector>, Arc<Held>)>>,
    terms: Arc<watch::Sender<Terms>>,
    rows: Arc<Mutex<Vec<Option<share::Row>>>>,
    said: Arc<Mutex<Option<usize>>>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
    /// Told when one of them has ended, which none of them does.
    ended: Arc<Notify>,
}

/// The right to act on the objects of a shard, until it is dropped. It does not say that a write may still be
/// begun: see [`Shards::left`].
pub struct Acting {
    /// For the how many-th time this process has the shard: what was known in an earlier term may be old.
    pub term: u64,
    _begun: OwnedRwLockReadGuard<()>,
}

/// Name of the Lease of a shard.
fn lease_name(first: &str, shard: usize) -> String {
    if shard == 0 { first.to_owned() } else { format!("{first}-shard-{shard}") }
}

/// In whose turn a Lease is first looked at: the first one first, and then each pod begins elsewhere.
fn turn(identity: &str, shard: usize, shards: usize) -> usize {
    if shard == 0 {
        return 0;
    }
    let others = shards.saturating_sub(1).max(1);
    1 + (shard + share::shard_of("", identity, others)) % others
}

/// The same, and tells when it has ended, also by a panic.
async fn telling(ended: Arc<Notify>, work: impl Future<Output = ()>) {
    // Nothing that it has touched is looked at any more but the leases, which then run out.
    let _ = AssertUnwindSafe(work).catch_unwind().await;
    ended.notify_one();
}

impl Shards {
    /// Starts to stand for them, in the background, for as long as the process lives.
    pub fn start(client: &Client, standing: &Standing) -> Self {
        let all = Self::none(client, standing);
        let start = |(elector, held): &(Arc<Elector>, Arc<Held>)| {
            let (elector, held) = (elector.clone(), held.clone());
            let after =
                APART * u32::try_from(turn(&elector.identity, elector.shard, all.count())).unwrap_or(0);
            tokio::spawn(telling(all.ended.clone(), async move {
                tokio::time::sleep(after).await;
                stand(elector, held).await;
            }))
        };
        let tasks = all.leases.iter().map(start).collect();
        Self { tasks: Arc::new(Mutex::new(tasks)), ..all }
    }

    /// Those of one that stands for none.
    fn none(client: &Client, standing: &Standing) -> Self {
        let shards = standing.shards.clamp(1, MOST);
        let terms = Arc::new(watch::Sender::new(vec![None; shards]));
        let rows = Arc::new(Mutex::new(vec![None; shards]));
        let said = Arc::new(Mutex::new(None));
        let leases: Vec<_> = (0..shards)
            .map(|shard| {
                let elector = Arc::new(Elector {
                    api: Api::namespaced(client.clone(), &standing.namespace),
                    name: lease_name(&standing.name, shard),
                    first: standing.name.clone(),
                    shard,
                    identity: standing.identity.clone(),
                    duration: standing.duration,
                    rows: rows.clone(),
                    said: said.clone(),
                });
                let held = Arc::new(Held::new(&elector, terms.clone()));
                (elector, held)
            })
            .collect();
        Self { leases: Arc::new(leases), terms, rows, said, tasks: Arc::default(), ended: Arc::default() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.leases.len()
    }

    /// The shard of an object.
    pub fn of(&self, namespace: &str, name: &str) -> usize {
        share::shard_of(namespace, name, self.count())
    }

    fn held(&self, namespace: &str, name: &str) -> Option<&Held> {
        self.leases.get(self.of(namespace, name)).map(|(_, held)| &**held)
    }

    /// Begins to act on an object; nothing unless its shard is surely this process's.
    pub fn act(&self, namespace: &str, name: &str) -> Option<Acting> {
        let held = self.held(namespace, name)?;
        // First this: who gives the shard up says so, and then waits for what was begun.
        let begun = held.acting.clone().try_read_owned().ok()?;
        let term = self.term(namespace, name)?;
        held.may_begin().then_some(Acting { term, _begun: begun })
    }

    /// For the how many-th time the shard of an object is this process's, if it is.
    pub fn term(&self, namespace: &str, name: &str) -> Option<u64> {
        self.terms.borrow().get(self.of(namespace, name)).copied().flatten()
    }

    /// For how long the shard of an object is surely ours: a write that ends within is safe. Zero when it is not.
    pub fn left(&self, namespace: &str, name: &str) -> Duration {
        self.held(namespace, name).map_or(Duration::ZERO, Held::left)
    }

    /// Whether an object is this process's to act on now.
    pub fn has(&self, namespace: &str, name: &str) -> bool {
        !self.left(namespace, name).is_zero()
    }

    /// Of each shard, whether it is surely ours now.
    pub fn ours(&self) -> Vec<bool> {
        self.leases.iter().map(|(_, held)| !held.left().is_zero()).collect()
    }

    /// The same of those there are by what the first Lease says: nothing of any while it says another number, as
    /// then others are at work by that, or it was not read yet.
    pub fn in_force(&self) -> Vec<Option<bool>> {
        let counted = *self.said.lock().unwrap_or_else(PoisonError::into_inner) == Some(self.count());
        self.ours().into_iter().map(|ours| counted.then_some(ours)).collect()
    }

    /// Whether any is.
    pub fn any(&self) -> bool {
        self.ours().contains(&true)
    }

    /// Of each shard, which pod held it when its Lease was last read; nothing when nobody did, or it was not read
    /// yet.
    pub fn holders(&self) -> Vec<Option<String>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().map(|row| row.as_ref().and_then(|row| row.holder.clone())).collect()
    }

    /// Of each shard, for the how many-th time this process has it, if it does; and what tells when that changes.
    pub fn terms(&self) -> watch::Receiver<Vec<Option<u64>>> {
        self.terms.subscribe()
    }

    /// Waits until this process has a shard.
    pub async fn gained(&self) {
        // The sender lives as long as this.
        let _ = self.terms().wait_for(|terms| terms.iter().any(Option::is_some)).await;
    }

    /// Waits until it has none any more.
    pub async fn lost(&self) {
        let _ = self.terms().wait_for(|terms| terms.iter().all(Option::is_none)).await;
    }

    /// Waits until standing for one of them has ended, by a defect: nobody would see to that shard any more.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Gives all of them up, so that another need not wait for their end.
    pub async fn release(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        // First of all: they would take free ones again.
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
        join_all(self.leases.iter().map(async |(elector, held)| {
            held.hold(None, "this process ends");
            elector.give_up().await;
        }))
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn each_pod_begins_elsewhere_and_looks_at_each_lease_once() {
        for pod in ["a", "b", "c"] {
            let mut turns: Vec<usize> = (0..8).map(|shard| turn(pod, shard, 8)).collect();
            assert_eq!(turns[0], 0, "it says how many there are");
            turns.sort_unstable();
            assert!(turns.into_iter().eq(0..8), "{pod}");
        }
        let first = |pod| (1..8).find(|shard| turn(pod, *shard, 8) == 1);
        assert!(["a", "b", "c", "d"].iter().any(|pod| first(pod) != first("a")));
        assert_eq!((turn("a", 0, 1), turn("a", 1, 2)), (0, 1));
    }

    fn four() -> Shards {
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let standing = Standing {
            namespace: "spillway".into(),
            name: "spillway".into(),
            shards: 4,
            identity: "a".into(),
            duration: Duration::from_secs(15),
        };
        Shards::none(&Client::try_from(nowhere).unwrap(), &standing)
    }

    #[tokio::test]
    async fn shards_that_are_not_in_force_are_nobodys_to_miss() {
        let shards = four();
        shards.leases[2].1.hold(Some(Instant::now() + Duration::from_secs(60)), "");
        let says = |count| *shards.said.lock().unwrap() = count;
        for other in [None, Some(1), Some(3), Some(8)] {
            says(other);
            assert_eq!(shards.in_force(), [None; 4], "{other:?}");
        }
        says(Some(4));
        assert_eq!(shards.in_force(), [false, false, true, false].map(Some));
    }

    #[tokio::test]
    async fn what_was_begun_ends_before_a_shard_is_given_up_and_nothing_is_begun_after() {
        let shards = four();
        let (ours, others) = (("shop", "payments"), ("shop", "orders"));
        assert_ne!(shards.of(ours.0, ours.1), shards.of(others.0, others.1));
        let held = shards.leases[shards.of(ours.0, ours.1)].1.clone();
        assert!(shards.act(ours.0, ours.1).is_none(), "it is nobody's yet");

        held.hold(Some(Instant::now() + Duration::from_secs(60)), "");
        let begun = shards.act(ours.0, ours.1).expect("it is ours");
        assert!(shards.act(ours.0, ours.1).is_some(), "several are begun side by side");
        assert!(shards.act(others.0, others.1).is_none() && !shards.has(others.0, others.1));

        held.hold(None, "");
        assert!(shards.act(ours.0, ours.1).is_none() && shards.left(ours.0, ours.1).is_zero());
        assert!(held.acting.try_write().is_err(), "what was begun goes on");
        drop(begun);
        assert!(held.acting.try_write().is_ok());

        held.hold(Some(Instant::now() + Duration::from_secs(60)), "");
        let again = shards.act(ours.0, ours.1).expect("it is ours again");
        assert_eq!(again.term, 2, "what was known before may be old");
        held.hold(Some(Instant::now()), "");
        assert!(shards.act(ours.0, ours.1).is_none(), "its time is over, and nobody said so yet");
    }

    /// A pod that has died in part would keep its leases from nobody, and its process from being started anew.
    #[tokio::test]
    async fn a_defect_in_standing_for_a_shard_is_told() {
        let ended = Arc::new(Notify::new());
        let task = tokio::spawn(telling(ended.clone(), async { panic!("a defect") }));
        tokio::time::timeout(Duration::from_secs(10), ended.notified()).await.expect("it is told");
        task.await.expect("it has ended");
    }

    #[test]
    fn one_shard_has_the_name_there_always_was() {
        assert_eq!(
            [0, 1, 31].map(|i| lease_name("spillway", i)),
            ["spillway", "spillway-shard-1", "spillway-shard-31"]
        );
    }
}
