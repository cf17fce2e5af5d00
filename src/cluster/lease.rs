//! One Lease, held by one process at a time.
//!
//! The holder renews it every third of its duration. All waiting is done on the monotonic
//! clock, counted from before the call that renewed it, so a process whose API server does not
//! answer knows by itself, and before anybody else may take over, that it does not hold it any
//! more ([`Held::left`]). Clocks of two machines are never compared: another holder
//! is given the whole duration from when its last renewal was *seen* here. Who is to have which
//! Lease is for `share`, how many there are for `layout`; `shards` has them all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;
use tokio::sync::{RwLock, watch};
use tracing::{info, warn};

use super::layout::Layout;
use super::share::{self, Row};
use super::{CallError, within};
use crate::api::MANAGER;

/// Kept from the end of the lease: a write begun before it must be over before another may lead.
const MARGIN: Duration = Duration::from_secs(1);
/// Longest time between two looks at another's lease: one that is given up is taken at once,
/// however long it would last.
const LOOK: Duration = Duration::from_secs(2);
/// Tries to give the lease up: a renewal under way may get in between once.
const TRIES: usize = 3;
/// How long a free lease is left to who should have it first: two looks, and a call.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(5);
/// The pod that asks the holder for the lease.
const ASKED: &str = "spillway.dev/asked-by";

/// What this process has of a lease.
pub(super) struct Held {
    shard: usize,
    name: String,
    identity: String,
    claim: Mutex<Claim>,
    /// Held for reading while something is done by it.
    pub acting: Arc<RwLock<()>>,
    /// How often it was gained.
    gained: AtomicU64,
    /// Of every lease, for the how many-th time it is held now.
    terms: Arc<watch::Sender<Terms>>,
}

/// What is known of our hold on a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Claim {
    /// Until when it is surely ours.
    until: Option<Instant>,
    /// It is being given up: what is under way may end, and nothing is begun.
    closing: bool,
}

/// Of every lease, for the how many-th time it is held now, if it is.
pub(super) type Terms = Vec<Option<u64>>;

impl Held {
    pub fn new(elector: &Elector, terms: Arc<watch::Sender<Terms>>) -> Self {
        Self {
            shard: elector.shard,
            name: elector.name.clone(),
            identity: elector.identity.clone(),
            claim: Mutex::default(),
            acting: Arc::default(),
            gained: AtomicU64::new(0),
            terms,
        }
    }

    fn claim(&self) -> MutexGuard<'_, Claim> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until(&self) -> Option<Instant> {
        self.claim().until
    }

    /// For how long the lease is surely ours: a write that ends within is safe. Zero when it is not.
    pub fn left(&self) -> Duration {
        self.until().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Whether something may be begun by it: it is surely ours, and is not being given up.
    pub fn may_begin(&self) -> bool {
        !self.claim().closing && !self.left().is_zero()
    }

    /// From here on nothing is begun; what is under way is to be over before another begins. Whether it was before
    /// the lease ran out; the lease is ours until then, and no longer.
    pub async fn close(&self, why: &str) -> bool {
        self.claim().closing = true;
        let ended = tokio::time::timeout(self.left(), self.acting.write()).await;
        self.hold(None, why);
        ended.is_ok()
    }

    /// Takes note of until when it is ours, if it is; a change is told with why.
    pub fn hold(&self, until: Option<Instant>, why: &str) {
        *self.claim() = Claim { until, closing: false };
        let ours = until.is_some();
        let changed = self.terms.send_if_modified(|terms| match terms.get_mut(self.shard) {
            Some(term) if term.is_some() != ours => {
                *term = ours.then(|| self.gained.fetch_add(1, Ordering::Relaxed) + 1);
                true
            }
            _ => false,
        });
        if changed {
            info!(identity = self.identity, lease = self.name, leads = ours, why, "leadership");
        }
    }
}

/// Who stands for a lease.
pub(super) struct Elector {
    pub api: Api<Lease>,
    /// Name of the lease.
    pub name: String,
    /// Name of the first one, which says how many there are.
    pub first: String,
    /// Which one it is, from 0.
    pub shard: usize,
    pub identity: String,
    pub duration: Duration,
    /// Every lease as last read.
    pub rows: Arc<Mutex<Vec<Option<Row>>>>,
    /// How many shards there are, as the first lease was last read.
    pub said: Arc<Mutex<Option<usize>>>,
}

/// Another's claim: what its lease said, and when that was first seen here.
struct Seen {
    spec: LeaseSpec,
    at: Instant,
}

/// What is remembered between two tries.
#[derive(Default)]
struct Known {
    seen: Option<Seen>,
    /// Since when it has been free.
    free: Option<Instant>,
    /// Since when others have been waited for to see that there is another number of shards.
    settling: Option<Instant>,
}

impl Known {
    /// Whether another still holds the lease that says `spec`.
    fn lasts(&mut self, spec: &LeaseSpec, now: Instant) -> bool {
        if spec.holder_identity.as_deref().unwrap_or_default().is_empty() {
            return false;
        }
        if self.seen.as_ref().is_none_or(|s| s.spec != *spec) {
            self.seen = Some(Seen { spec: spec.clone(), at: now });
        }
        self.seen.as_ref().is_none_or(|s| now.saturating_duration_since(s.at) <= duration(spec))
    }
}

fn duration(spec: &LeaseSpec) -> Duration {
    Duration::from_secs(spec.lease_duration_seconds.unwrap_or(15).max(1).unsigned_abs().into())
}

/// Stands for a lease for ever.
pub(super) async fn stand(elector: Arc<Elector>, held: Arc<Held>) {
    let mut known = Known::default();
    let mut complained: Option<String> = None;
    let mut lasts = elector.duration;
    loop {
        let before = Instant::now();
        // Our own lease must not be believed longer than it lasts, however long the call takes.
        let attempt = elector.attempt(&mut known);
        let outcome = match held.until() {
            Some(until) => tokio::time::timeout_at(until.into(), attempt)
                .await
                .unwrap_or_else(|_| Err(CallError::Unavailable("no answer before the lease ran out".into()))),
            None => attempt.await,
        };
        if outcome.is_ok() {
            complained = None;
        }
        match outcome {
            Ok(Attempt::Ours { why, lasts: for_long }) => {
                lasts = for_long;
                held.hold(Some(before + lasts.saturating_sub(MARGIN)), &why);
            }
            Ok(Attempt::Others | Attempt::Changed) => held.hold(None, "another holds it"),
            Ok(Attempt::ToGive(why)) => {
                if held.close(&why).await {
                    elector.give_up().await;
                } else {
                    info!(lease = elector.name, "a look has not ended: the lease runs out by itself");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if complained.as_ref() != Some(&text) {
                    warn!("lease {}: {text}; trying again", elector.name);
                    complained = Some(text);
                }
                if held.until().is_some_and(|until| Instant::now() >= until) {
                    held.hold(None, "it ran out");
                }
            }
        }
        // Not beyond its end: who does not lead any more is to know at once.
        let pause = match held.until() {
            Some(until) => (lasts / 3).min(until.saturating_duration_since(Instant::now())),
            None => (elector.duration / 5).min(LOOK),
        };
        tokio::time::sleep(pause).await;
    }
}

/// What one try to have the lease showed.
enum Attempt {
    /// It is ours for so long, unless it is renewed; and how that came, where it was not.
    Ours {
        why: String,
        lasts: Duration,
    },
    Others,
    /// It was ours when it was read, and was changed before it could be renewed.
    Changed,
    /// It is ours and is to be given up, and why.
    ToGive(String),
}

impl Elector {
    /// Takes or renews the lease if it may.
    async fn attempt(&self, known: &mut Known) -> Result<Attempt, CallError> {
        match self.once(known).await? {
            // Somebody touched the object (a label): it may still be ours.
            Attempt::Changed => self.once(known).await,
            attempt => Ok(attempt),
        }
    }

    async fn once(&self, known: &mut Known) -> Result<Attempt, CallError> {
        let me = self.identity.as_str();
        let found = within(self.api.get_opt(&self.name)).await?;
        let fresh = found.is_none();
        let mut lease = found.unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: None,
        });
        let spec = lease.spec.take().unwrap_or_default();
        let mut annotations = lease.metadata.annotations.take().unwrap_or_default();
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        if self.shard == 0 {
            self.says(Layout::of(Some(&annotations), holder.as_deref()).shards);
        }
        let ours = holder.as_deref() == Some(me);
        let anothers = !ours && known.lasts(&spec, Instant::now());
        let asked = annotations.get(ASKED).cloned();
        self.saw(holder.clone().filter(|_| ours || anothers), asked.clone());
        if anothers {
            (known.free, known.settling) = (None, None);
            let rows = self.rows();
            let asks = asked.is_none() && share::asks(&rows, me) == Some(self.shard);
            // Who counts otherwise could not take what it is given.
            if asks && self.settled(rows.len(), false).await?.is_some() {
                annotations.insert(ASKED.to_owned(), me.to_owned());
                (lease.metadata.annotations, lease.spec) = (Some(annotations), Some(spec));
                if self.write(false, &lease).await? {
                    self.saw(holder, Some(me.to_owned()));
                }
            }
            return Ok(Attempt::Others);
        }
        if !ours {
            known.settling = None;
            let waited = known.free.get_or_insert_with(Instant::now).elapsed() > LEFT_TO_OTHERS;
            if !share::takes(&self.rows(), me, self.shard, waited) {
                return Ok(Attempt::Others);
            }
        }
        let by_another = asked.filter(|asker| asker != me);
        if ours
            && let Some(asker) = &by_another
            && share::gives(&self.rows(), me, asker)
        {
            return Ok(Attempt::ToGive(format!("{asker} has less and asks for it")));
        }
        let shards = self.rows().len();
        // As written, and as believed here.
        let (mut lasts, mut believed) = (self.duration, self.duration);
        let mut works = true;
        if self.shard == 0 {
            let mut layout = Layout::of(Some(&annotations), holder.as_deref()).taken_by(shards);
            if layout.before.is_some() {
                // Who works by another number has seen it within the time that this lease lasts.
                lasts = lasts.max(duration(&spec));
                works = ours && known.settling.is_some_and(|since| since.elapsed() > lasts);
                if works {
                    layout.before = None;
                }
            }
            layout.put(&mut annotations, me);
        } else if let Some(first) = self.settled(shards, ours).await? {
            // Who changes the number of shards waits for as long as the first lease lasts, and for no other.
            believed = believed.min(first);
        } else {
            let other = "the number of shards is another, or not said yet";
            return Ok(if ours { Attempt::ToGive(other.into()) } else { Attempt::Others });
        }
        annotations.remove(ASKED);
        lease.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
        let transitions = spec.lease_transitions.unwrap_or(0);
        let now = MicroTime(jiff::Timestamp::now());
        let why = match &holder {
            _ if fresh => "there was none".to_owned(),
            None => "it was free".to_owned(),
            Some(_) if ours => "it is in our name".to_owned(),
            Some(silent) => format!("{silent} was silent for longer than it lasts"),
        };
        lease.spec = Some(LeaseSpec {
            acquire_time: Some(spec.acquire_time.filter(|_| ours).unwrap_or_else(|| now.clone())),
            lease_duration_seconds: Some(lasts.as_secs_f64().ceil() as i32),
            lease_transitions: Some(if ours || fresh { transitions } else { transitions + 1 }),
            holder_identity: Some(me.to_owned()),
            renew_time: Some(now),
            ..LeaseSpec::default()
        });
        // The resourceVersion read above goes with it: of two that try, one gets a conflict.
        if !self.write(fresh, &lease).await? {
            return Ok(if ours { Attempt::Changed } else { Attempt::Others });
        }
        self.saw(Some(me.to_owned()), None);
        if self.shard == 0 {
            self.says(shards);
        }
        known.free = None;
        if works {
            known.settling = None;
            return Ok(Attempt::Ours { why, lasts: believed });
        }
        if known.settling.replace(known.settling.unwrap_or_else(Instant::now)).is_none() {
            info!(
                lease = self.name,
                shards, "another number of shards: waiting until nobody works by the old one"
            );
        }
        Ok(Attempt::Others)
    }

    /// How long the first lease lasts, if it says, and everybody by now knows, that there are so many. While it is free
    /// whoever has a shard goes on, but nobody takes one: a version without shards may be the next to have it, and
    /// acts on all objects then.
    async fn settled(&self, shards: usize, ours: bool) -> Result<Option<Duration>, CallError> {
        let first = within(self.api.get_opt(&self.first)).await?;
        let settled = |first: &Lease| {
            let holder = first.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
            let held = holder.is_some_and(|holder| !holder.is_empty());
            (ours || held) && Layout::of(first.metadata.annotations.as_ref(), holder).is_settled(shards)
        };
        Ok(first.filter(settled).map(|first| duration(&first.spec.unwrap_or_default())))
    }

    /// Writes the lease; `false` when another was faster.
    async fn write(&self, fresh: bool, lease: &Lease) -> Result<bool, CallError> {
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let outcome = if fresh {
            within(self.api.create(&params, lease)).await
        } else {
            within(self.api.replace(&self.name, &params, lease)).await
        };
        match outcome {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rows(&self) -> Vec<Option<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn says(&self, shards: usize) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(shards);
    }

    fn saw(&self, holder: Option<String>, asked: Option<String>) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get_mut(self.shard) {
            *row = Some(Row { holder, asked });
        }
    }

    /// Frees the lease if it is ours, so that another need not wait for its end.
    pub async fn give_up(&self) {
        for _ in 0..TRIES {
            match self.free().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    warn!("giving up the lease: {error}; it runs out by itself");
                    return;
                }
            }
        }
    }

    /// Frees the lease if it is ours; `false` when it was renewed just then.
    async fn free(&self) -> Result<bool, CallError> {
        let Some(mut lease) = within(self.api.get_opt(&self.name)).await? else { return Ok(true) };
        let Some(spec) = &mut lease.spec else { return Ok(true) };
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(true);
        }
        spec.holder_identity = None;
        self.write(false, &lease).await
    }
}

#[cfg(test)]
mod tests;
