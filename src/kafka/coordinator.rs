//! Which broker coordinates each group, as it was last told; and what is said when that one does not answer.
//!
//! librdkafka finds the coordinator by itself for each call and names it with what was answered alone: so of one that
//! is silent it is known from before.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::GroupRequest;
use super::observe::Read;

/// For how long a group is remembered that nobody asks about.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The coordinators of the groups of a connection.
#[derive(Debug, Default)]
pub(super) struct Coordinators {
    /// With when the group was asked about last.
    of: HashMap<String, (Arc<str>, Instant)>,
    /// Each once: there are few.
    brokers: BTreeSet<Arc<str>>,
}

impl Coordinators {
    /// Whether any was ever heard of.
    pub fn any(&self) -> bool {
        !self.of.is_empty()
    }

    /// Takes note of what was answered.
    pub fn note(&mut self, reads: &HashMap<String, Read>, now: Instant) {
        for (group, read) in reads {
            let Some(broker) = read.described.as_ref().ok().and_then(|d| d.coordinator.as_deref()) else {
                continue;
            };
            if self.of.get(group).is_some_and(|(known, _)| **known == *broker) {
                continue;
            }
            let known = self.brokers.get(broker).cloned();
            let broker = known.unwrap_or_else(|| broker.into());
            self.brokers.insert(broker.clone());
            self.of.insert(group.clone(), (broker, now));
        }
    }

    /// Forgets the groups that nobody has asked about for long: a sweep may ask about some of them only.
    pub fn tidy(&mut self, requests: &[GroupRequest], now: Instant) {
        for request in requests {
            if let Some((_, asked)) = self.of.get_mut(&request.group) {
                *asked = now;
            }
        }
        if self.of.len() > requests.len() {
            self.of.retain(|_, (_, asked)| now.saturating_duration_since(*asked) < REMEMBERED);
            self.brokers = self.of.values().map(|(broker, _)| broker.clone()).collect();
        }
    }

    /// What is said of a group that was not answered for, while Kafka can be reached: which broker it is, what is not
    /// known for it, and where to look.
    pub fn silent(&self, group: &str) -> String {
        match self.of.get(group) {
            Some((broker, _)) => format!(
                "broker {broker}, the coordinator of consumer group {group}, does not answer, though Kafka can be reached: its members and committed offsets are not known. Check that broker"
            ),
            None => format!(
                "the coordinator of consumer group {group} does not answer, though Kafka can be reached: its members and committed offsets are not known. Check Kafka's brokers"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isolation;
    use super::super::admin::{Description, Offsets, Phase};
    use super::super::error::CallFailed;
    use super::*;

    fn read(coordinator: Option<&str>) -> Read {
        let description = Description {
            phase: Phase::Empty,
            new_protocol: false,
            members: Vec::new(),
            coordinator: coordinator.map(str::to_owned),
        };
        Read { described: Ok(description), at: Some(0.0), committed: Ok(Offsets::new()) }
    }

    fn silent() -> Read {
        let failed = CallFailed::timed_out;
        Read { described: Err(failed()), at: None, committed: Err(failed()) }
    }

    fn requests(groups: &[&str]) -> Vec<GroupRequest> {
        let request = |group: &&str| GroupRequest {
            group: (*group).to_owned(),
            topics: None,
            remembered: Vec::new(),
            isolation: Isolation::ReadUncommitted,
            resting: false,
        };
        groups.iter().map(request).collect()
    }

    fn noted(all: &mut Coordinators, reads: Vec<(&str, Read)>, asked: &[&str], at: Instant) {
        let reads = reads.into_iter().map(|(group, read)| (group.to_owned(), read)).collect();
        all.note(&reads, at);
        all.tidy(&requests(asked), at);
    }

    #[test]
    fn the_broker_that_last_answered_for_a_group_is_named() {
        let (mut all, now) = (Coordinators::default(), Instant::now());
        assert!(!all.any());
        assert_eq!(
            all.silent("orders"),
            "the coordinator of consumer group orders does not answer, though Kafka can be reached: its members and \
             committed offsets are not known. Check Kafka's brokers"
        );
        noted(&mut all, vec![("orders", read(Some("k-1:9092")))], &["orders"], now);
        noted(&mut all, vec![("orders", read(Some("k-2:9092")))], &["orders"], now);
        noted(&mut all, vec![("orders", silent())], &["orders"], now);
        assert_eq!(
            all.silent("orders"),
            "broker k-2:9092, the coordinator of consumer group orders, does not answer, though Kafka can be reached: \
             its members and committed offsets are not known. Check that broker"
        );
        // An answer that names none tells nothing new.
        noted(&mut all, vec![("orders", read(None))], &["orders"], now);
        assert!(all.any() && all.silent("orders").contains("k-2:9092"));
    }

    #[test]
    fn groups_that_nobody_asks_about_are_forgotten_with_their_brokers() {
        let (mut all, now) = (Coordinators::default(), Instant::now());
        let both = vec![("orders", read(Some("k-1:9092"))), ("payments", read(Some("k-2:9092")))];
        noted(&mut all, both, &["orders", "payments"], now);
        // A sweep of those only that are new.
        noted(&mut all, Vec::new(), &["new"], now + REMEMBERED / 2);
        assert!(all.silent("payments").contains("k-2:9092") && all.silent("orders").contains("k-1:9092"));
        noted(&mut all, Vec::new(), &["payments"], now + REMEMBERED);
        assert_eq!((all.of.len(), all.brokers.len()), (1, 1));
        assert!(all.silent("payments").contains("k-2:9092") && !all.silent("orders").contains("k-1:9092"));
    }
}
