//! How often a group is read: at every sweep where something happens, rarely where nothing does.
//!
//! Of a group that has read everything, and of which nothing is expected, its last reading stands as long as
//! no end of its partitions moves: what it has read cannot become more, and what it would read is seen in the
//! ends, which every sweep reads. Once an end has moved it is read in the same sweep. What the ends do not
//! tell (offsets reset or expired, members that left while nothing came, topics subscribed to) is seen when
//! its time has come, at most [`longest`] later.
//!
//! Ends cost one request a leader, however many groups there are; a group costs two, and mostly two more to
//! find its coordinator, as librdkafka remembers ten of them and asks for one group at a time: it has neither
//! KIP-709 (several groups in one OffsetFetch) nor KIP-699 (several in one FindCoordinator). With this pace
//! they are not needed: docs/scale.md has the counts.
//!
//! It reads nothing itself.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use super::admin::Offsets;
use super::topics::Topics;
use super::{GroupRequest, Isolation};
use crate::decide::{Committed, GroupObservation, GroupPhase};

/// Groups at rest that are read a second, where there are many: few enough that Kafka does not feel it.
const A_SECOND: f64 = 50.0;
/// Longest time between two readings of a group at rest, however few there are.
const SHORTEST: Duration = Duration::from_secs(30);
/// And however many.
const LONGEST: Duration = Duration::from_secs(300);
/// What nobody has asked about for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// The longest time between two readings of a group, where so many are at rest.
pub(super) fn longest(resting: usize) -> Duration {
    Duration::from_secs_f64(resting as f64 / A_SECOND).clamp(SHORTEST, LONGEST)
}

/// A group that has read everything, as last read.
#[derive(Debug)]
struct Kept {
    topics: Option<Vec<String>>,
    isolation: Isolation,
    seen: GroupObservation,
    /// When it is to be read again, whatever happens.
    due: Instant,
    asked: Instant,
}

/// The groups of a connection that have read everything.
#[derive(Debug, Default)]
pub(super) struct Pace {
    kept: HashMap<String, Vec<Kept>>,
    readings: u64,
}

impl Pace {
    /// The last reading of each request, where it stands until an end moves.
    pub fn rested(&mut self, requests: &[GroupRequest], now: Instant) -> Vec<Option<GroupObservation>> {
        requests
            .iter()
            .map(|request| {
                let kept = self.kept.get_mut(&request.group)?.iter_mut().find(|k| k.is_of(request))?;
                kept.asked = now;
                (request.resting && now < kept.due).then(|| kept.seen.clone())
            })
            .collect()
    }

    /// Takes note of a reading.
    pub fn note(&mut self, request: &GroupRequest, seen: &GroupObservation, now: Instant) {
        if !has_read_all(seen) {
            if let Some(of) = self.kept.get_mut(&request.group) {
                of.retain(|k| !k.is_of(request));
            }
            return;
        }
        self.readings += 1;
        let longest = longest(self.kept.len());
        // Between half and all of it, each time another part: what was read together is not read together again.
        let mut hasher = DefaultHasher::new();
        (&request.group, self.readings).hash(&mut hasher);
        let part = 0.5 + 0.5 * (hasher.finish() % 1024) as f64 / 1024.0;
        let mut seen = seen.clone();
        seen.partitions.shrink_to_fit();
        seen.members.shrink_to_fit();
        let kept = Kept {
            topics: request.topics.clone(),
            isolation: request.isolation,
            seen,
            due: now + longest.mul_f64(part),
            asked: now,
        };
        let of = self.kept.entry(request.group.clone()).or_default();
        match of.iter_mut().find(|k| k.is_of(request)) {
            Some(known) => *known = kept,
            None => {
                // Mostly there is one.
                of.reserve_exact(1);
                of.push(kept);
            }
        }
    }

    /// Forgets what nobody asks about any more.
    pub fn tidy(&mut self, now: Instant) {
        self.kept.retain(|_, of| {
            of.retain(|k| now.saturating_duration_since(k.asked) < FORGOTTEN);
            !of.is_empty()
        });
    }
}

impl Kept {
    fn is_of(&self, request: &GroupRequest) -> bool {
        self.isolation == request.isolation && self.topics == request.topics
    }
}

/// Whether everything was seen of a group, and it has read all that is there.
fn has_read_all(seen: &GroupObservation) -> bool {
    // Of one whose topics are not known no end tells anything.
    seen.complete()
        && !seen.partitions.is_empty()
        && matches!(seen.phase, GroupPhase::Stable | GroupPhase::Empty | GroupPhase::Dead)
        && seen.partitions.iter().all(|p| match (p.committed, p.end, p.start) {
            (Committed::At(at), Some(end), Some(_)) => at >= end,
            // Where nothing is there is nothing to commit.
            (Committed::None, Some(end), Some(start)) => start == end,
            _ => false,
        })
}

/// Whether the partitions are those of the last reading, and none of their ends has moved since.
pub(super) fn unmoved(seen: &GroupObservation, topics: &Topics, latest: &Offsets) -> bool {
    let same = |p: &crate::decide::PartitionObservation| {
        let now = latest.get(&(p.topic.clone(), p.partition));
        now.and_then(|end| end.as_ref().ok()).copied() == p.end
    };
    seen.partitions.chunk_by(|a, b| a.topic == b.topic).all(|of| {
        // A partition more is an end that was not looked at.
        topics.partitions.get(&of[0].topic).is_some_and(|there| there.len() == of.len())
            && of.iter().all(same)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::decide::PartitionObservation;

    const START: i64 = 10;

    fn request(group: &str, resting: bool) -> GroupRequest {
        GroupRequest {
            group: group.into(),
            topics: None,
            remembered: Vec::new(),
            isolation: Isolation::ReadUncommitted,
            resting,
        }
    }

    fn partition(number: i32, committed: Committed, end: Option<i64>) -> PartitionObservation {
        let topic = Arc::from("orders");
        PartitionObservation { topic, partition: number, committed, end, start: Some(START), retention: None }
    }

    /// A group without members that has read both partitions.
    fn done(group: &str) -> GroupObservation {
        let partitions =
            vec![partition(0, Committed::At(100), Some(100)), partition(1, Committed::At(50), Some(50))];
        GroupObservation {
            group: group.into(),
            taken_at: Some(1.0),
            problems: Vec::new(),
            phase: GroupPhase::Empty,
            members: Vec::new(),
            partitions,
        }
    }

    fn ends(of: &[(i32, i64)]) -> Offsets {
        of.iter().map(|(p, end)| ((Arc::from("orders"), *p), Ok(*end))).collect()
    }

    fn topics(partitions: i32) -> Topics {
        let of = (0..partitions).map(|p| (p, true)).collect();
        Topics { partitions: BTreeMap::from([(Arc::from("orders"), of)]), ..Topics::default() }
    }

    #[rstest]
    #[case::all(|_: &mut GroupObservation| {}, true)]
    #[case::messages_wait(|g: &mut GroupObservation| g.partitions[1].committed = Committed::At(49), false)]
    #[case::never_committed(|g: &mut GroupObservation| g.partitions[1].committed = Committed::None, false)]
    #[case::nothing_to_commit(|g: &mut GroupObservation| g.partitions[1] = partition(1, Committed::None, Some(START)), true)]
    #[case::recreated(|g: &mut GroupObservation| g.partitions[1].committed = Committed::PastEnd(90), false)]
    #[case::no_end(|g: &mut GroupObservation| g.partitions[1].end = None, false)]
    #[case::a_problem(|g: &mut GroupObservation| g.problems.push("partition orders-2 has no leader".into()), false)]
    #[case::on_the_move(|g: &mut GroupObservation| g.phase = GroupPhase::Rebalancing, false)]
    #[case::no_topics(|g: &mut GroupObservation| g.partitions.clear(), false)]
    fn only_who_has_read_everything_rests(#[case] change: fn(&mut GroupObservation), #[case] rests: bool) {
        let mut seen = done("g");
        change(&mut seen);
        let (mut pace, now) = (Pace::default(), Instant::now());
        // What was known before does not count.
        pace.note(&request("g", true), &done("g"), now);
        pace.note(&request("g", true), &seen, now);
        let rested = pace.rested(&[request("g", true)], now);
        assert_eq!(rested[0].as_ref(), rests.then_some(&seen));
    }

    #[test]
    fn who_is_expected_to_do_something_is_read() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.note(&request("g", false), &done("g"), now);
        let asked = [
            request("g", true),
            request("g", false),
            request("new", true),
            GroupRequest { isolation: Isolation::ReadCommitted, ..request("g", true) },
            GroupRequest { topics: Some(vec!["orders".into()]), ..request("g", true) },
        ];
        let rested = pace.rested(&asked, now);
        assert_eq!(
            rested.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, false, false, false, false]
        );
    }

    #[rstest]
    #[case::nothing_came(&[(0, 100), (1, 50)], 2, true)]
    #[case::a_message(&[(0, 100), (1, 51)], 2, false)]
    #[case::made_anew(&[(0, 100), (1, 0)], 2, false)]
    #[case::not_answered(&[(0, 100)], 2, false)]
    #[case::grown(&[(0, 100), (1, 50)], 3, false)]
    #[case::deleted(&[(0, 100), (1, 50)], 0, false)]
    fn an_end_that_moves_wakes_it(#[case] now: &[(i32, i64)], #[case] partitions: i32, #[case] same: bool) {
        assert_eq!(unmoved(&done("g"), &topics(partitions), &ends(now)), same);
    }

    #[test]
    fn each_is_read_in_time_and_not_all_at_once() {
        let (count, sweep) = (3000, Duration::from_secs(15));
        assert_eq!([0, 1500, count, 15_000, 1_000_000].map(|n| longest(n).as_secs()), [30, 30, 60, 300, 300]);
        let requests: Vec<GroupRequest> = (0..count).map(|i| request(&format!("g{i}"), true)).collect();
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut read_at = vec![now; count];
        for request in &requests {
            pace.note(request, &done(&request.group), now);
        }
        let mut most = 0;
        for round in 0..40 {
            now += sweep;
            let rested = pace.rested(&requests, now);
            let due: Vec<usize> = (0..count).filter(|i| rested[*i].is_none()).collect();
            for i in &due {
                assert!(now - read_at[*i] < longest(count) + sweep, "{:?}", now - read_at[*i]);
                read_at[*i] = now;
                pace.note(&requests[*i], &done(&requests[*i].group), now);
            }
            // The first ones were read together, and are apart after a while.
            if round >= 20 {
                most = most.max(due.len());
            }
        }
        let evenly = count as f64 * sweep.as_secs_f64() / (0.75 * longest(count).as_secs_f64());
        assert!((most as f64) < 1.5 * evenly, "{most} at once, where {evenly:.0} would be even");
    }

    #[test]
    fn what_nobody_asks_about_is_forgotten() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for group in ["asked", "not"] {
            pace.note(&request(group, true), &done(group), now);
        }
        pace.rested(&[request("asked", true)], now + FORGOTTEN / 2);
        pace.tidy(now + FORGOTTEN);
        assert_eq!(pace.kept.keys().collect::<Vec<_>>(), ["asked"]);
    }
}
