//! One scaler's workload: read when it is due, and its replicas written, fenced.
//!
//! It decides nothing and tells nobody: what became of a write is the caller's to report.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::info;

use super::Hands;
use super::step::Memory;
use super::work::Work;
use crate::clock;
use crate::cluster::scale::{ScaleError, Target};
use crate::decide::{Decision, ScalerState, Time, Workload};
use crate::report::metrics::ScalerKey;
use crate::report::status::Blocked;

/// Longest time between two readings of a workload that needs no attention, s.
const WORKLOAD_AGE: f64 = 60.0;
/// Workloads of scalers at rest that are read a second, where there are many.
const RESTING_A_SECOND: f64 = 25.0;
/// Longest time between two readings of one, however many there are, s.
const LONGEST_REST: f64 = 300.0;
/// Time between two tries to read a workload that could not be read, s.
const RETRY: f64 = 5.0;
/// Time that a write gets at least: with less left of the lease it is not begun.
const LEAST_LEFT: Duration = Duration::from_secs(1);
/// Tries to write, when the workload changes between reading and writing: its status does all the time.
const TRIES: usize = 3;
/// A decision older than this, s, or than the sweeps that make a reading stale, is not written any more.
const DECISION_AGE: f64 = 30.0;

/// What became of a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// The replicas are set.
    Written,
    /// They are not, and nobody needs to know: it is decided anew at the next look.
    Kept,
    /// They are not, and this is why.
    Blocked(Blocked),
}

/// The longest time between two readings of the workload of a scaler at rest, of so many scalers, s. Whoever
/// changes its replicas by hand is noticed that late, and no write goes by a reading so old.
fn longest_rest(scalers: usize) -> f64 {
    (scalers as f64 / RESTING_A_SECOND).clamp(WORKLOAD_AGE, LONGEST_REST)
}

/// How old a reading may become that was made at `at`: of one at rest between half and all of the longest time,
/// so that those read together are not read together again.
fn allowed_age(rests: bool, scalers: usize, key: &ScalerKey, at: Time) -> f64 {
    if !rests {
        return WORKLOAD_AGE;
    }
    let mut hasher = DefaultHasher::new();
    (key, at.to_bits()).hash(&mut hasher);
    longest_rest(scalers) * (0.5 + 0.5 * (hasher.finish() % 1024) as f64 / 1024.0)
}

/// Reads the workload, if what is known of it is too old.
pub(super) async fn read_workload(
    hands: &Hands,
    work: &Work,
    target: &Target,
    memory: &mut Memory,
    now: Time,
) {
    let due = match &memory.workload {
        None => true,
        Some((at, Err(_))) => now - at >= RETRY,
        // Blind nothing changes but for the fallback, which reads it again: an outage of Kafka must
        // not become a storm on the API server.
        Some((at, Ok(_))) => {
            let attentive = memory.state.attentive() && memory.state.state != ScalerState::Blind;
            let scalers = hands.crowd.load(Ordering::Relaxed);
            attentive || now - at >= allowed_age(memory.workload_rests, scalers, &work.key, *at)
        }
    };
    if due {
        let read = hands.scales.workload(target).await.map_err(|e| blocked_by(&e));
        memory.workload = Some((now, read));
    }
}

fn blocked_by(error: &ScaleError) -> Blocked {
    Blocked { reason: error.reason().to_owned(), message: error.to_string() }
}

/// Why the workload must be left alone, if something else scales it. `fresh`: look again.
pub(super) async fn other_autoscaler(hands: &Hands, target: &Target, fresh: bool) -> Option<Blocked> {
    let other = hands.conflicts.other_autoscaler(target, fresh).await?;
    Some(Blocked {
        reason: "AnotherAutoscaler".into(),
        message: format!(
            "{} scales {} {} too, and two would fight: delete it, or set mode: DryRun to only watch beside it",
            other, target.kind, target.name
        ),
    })
}

/// Writes the replicas, fenced by the lease and by what was read just before.
pub(super) async fn apply(
    hands: &Hands,
    work: &Work,
    target: &Target,
    memory: &mut Memory,
    decision: &Decision,
) -> Outcome {
    let (Some(from), Some(to)) = (decision.from, decision.to) else { return Outcome::Kept };
    if let Some(why) = other_autoscaler(hands, target, true).await {
        return Outcome::Blocked(why);
    }
    let most = DECISION_AGE.max(work.policy.tuning.stale_sweeps * work.policy.sweep_interval);
    for _ in 0..TRIES {
        let read = match hands.scales.workload(target).await {
            Ok(read) => read,
            Err(error) => {
                let why = blocked_by(&error);
                memory.workload = Some((decision.at, Err(why.clone())));
                return Outcome::Blocked(why);
            }
        };
        if read.0.replicas != from {
            // Somebody else set it meanwhile: decided anew, on what is.
            info!(scaler = %work.key, seen = from, now = read.0.replicas, "the replicas were changed meanwhile");
            memory.workload = Some((decision.at, Ok(read)));
            return Outcome::Kept;
        }
        if clock::now() - decision.at > most {
            info!(scaler = %work.key, "a decision was not carried out: what it was made of is too old by now");
            return Outcome::Kept;
        }
        // Over before another may lead, whatever becomes of the call.
        let left = hands.shards.left(&work.key.namespace, &work.key.name);
        if left < LEAST_LEFT {
            return Outcome::Blocked(Blocked {
                reason: "NotLeader".into(),
                message: "the lease is not surely held: nothing is written".into(),
            });
        }
        match hands.scales.write(target, &read.1, to, left).await {
            Ok(scale) => {
                hands.metrics.scale_write(&work.key, from, to, "ok");
                hands.metrics.kubernetes_write("scale", "ok");
                let workload = Workload { replicas: scale.replicas, ..read.0 };
                memory.workload = Some((decision.at, Ok((workload, scale))));
                return Outcome::Written;
            }
            Err(error) => {
                hands.metrics.scale_write(&work.key, from, to, error.reason());
                // What became of a write that was cut off is only known by reading again.
                memory.workload = None;
                if matches!(error, ScaleError::Conflict(_)) {
                    hands.metrics.kubernetes_write("scale", "conflict");
                    continue;
                }
                hands.metrics.kubernetes_write("scale", "error");
                return Outcome::Blocked(blocked_by(&error));
            }
        }
    }
    Outcome::Kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_at_rest_are_read_the_rarer_the_more_there_are_and_not_together() {
        assert_eq!([1, 1500, 5000, 100_000].map(longest_rest), [60.0, 60.0, 200.0, 300.0]);
        let key = |i: usize| ScalerKey::new("shop", format!("orders-{i}"));
        assert_eq!(allowed_age(false, 5000, &key(1), 7.0), WORKLOAD_AGE);
        let ages: Vec<f64> = (0..5000).map(|i| allowed_age(true, 5000, &key(i), 7.0)).collect();
        assert!(ages.iter().all(|age| (100.0..=200.0).contains(age)));
        let within = |from: f64| ages.iter().filter(|age| (from..from + 10.0).contains(*age)).count();
        let most = (0..10).map(|i| within(100.0 + 10.0 * f64::from(i))).max();
        assert!(most < Some(650), "{most:?} within ten seconds, where 500 would be even");
    }
}
