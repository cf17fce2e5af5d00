//! Which partitions a group has: topics and numbers, in ascending order, and the place of each.
//!
//! It knows nothing of what was read of them. Thousands of groups have some each: a topic is named once.

use std::sync::Arc;

use super::GroupObservation;

/// The names of some partitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Each topic, and the place of the first of its partitions.
    topics: Vec<(Arc<str>, usize)>,
    /// The number of each partition.
    numbers: Vec<i32>,
}

impl Names {
    /// Of the partitions of an observation, whose order is ascending.
    pub fn of(seen: &GroupObservation) -> Self {
        let mut topics: Vec<(Arc<str>, usize)> = Vec::new();
        for (place, p) in seen.partitions.iter().enumerate() {
            if topics.last().is_none_or(|(topic, _)| *topic != p.topic) {
                topics.push((p.topic.clone(), place));
            }
        }
        topics.shrink_to_fit();
        Self { topics, numbers: seen.partitions.iter().map(|p| p.partition).collect() }
    }

    /// Whether they are those of an observation, in its order.
    pub fn same(&self, seen: &GroupObservation) -> bool {
        let mut topics = self.topics.iter().peekable();
        let mut current: Option<&Arc<str>> = None;
        self.numbers.len() == seen.partitions.len()
            && self.numbers.iter().zip(&seen.partitions).enumerate().all(|(place, (number, p))| {
                if let Some((topic, _)) = topics.next_if(|(_, first)| *first == place) {
                    current = Some(topic);
                }
                // One topic after itself, nearly always.
                let topic = current.is_some_and(|topic| Arc::ptr_eq(topic, &p.topic) || *topic == p.topic);
                topic && *number == p.partition
            })
    }

    /// How many topics.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// The place of a partition.
    pub fn position(&self, topic: &str, partition: i32) -> Option<usize> {
        let index = self.topics.binary_search_by(|(known, _)| (**known).cmp(topic)).ok()?;
        let first = self.topics[index].1;
        let end = self.topics.get(index + 1).map_or(self.numbers.len(), |(_, next)| *next);
        let numbers = &self.numbers[first..end];
        // Of a topic all partitions are there, nearly always.
        let likely = usize::try_from(partition).ok().filter(|place| numbers.get(*place) == Some(&partition));
        likely.or_else(|| numbers.binary_search(&partition).ok()).map(|place| first + place)
    }

    /// The number that the partition at each place has in its topic.
    pub fn numbers(&self) -> &[i32] {
        &self.numbers
    }

    /// `orders-3`, of the partition at a place.
    pub fn name(&self, place: usize) -> String {
        let topic = self.topics.partition_point(|(_, first)| *first <= place).saturating_sub(1);
        let topic = self.topics.get(topic).map_or("", |(topic, _)| topic);
        format!("{topic}-{}", self.numbers.get(place).copied().unwrap_or(-1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Committed, PartitionObservation};
    use super::*;

    fn seen(partitions: &[(&str, i32)]) -> GroupObservation {
        let of = |(topic, partition): &(&str, i32)| PartitionObservation {
            topic: (*topic).into(),
            partition: *partition,
            committed: Committed::None,
            end: Some(0),
            start: Some(0),
            retention: None,
        };
        let mut seen = GroupObservation::unseen("g", "");
        seen.partitions = partitions.iter().map(of).collect();
        seen
    }

    #[test]
    fn each_partition_has_its_place_and_its_name() {
        let all = [("a", 0), ("a", 1), ("b", 3), ("b", 7), ("c", 0)];
        let names = Names::of(&seen(&all));
        for (place, (topic, partition)) in all.into_iter().enumerate() {
            assert_eq!(names.position(topic, partition), Some(place));
            assert_eq!(names.name(place), format!("{topic}-{partition}"));
        }
        for (topic, partition) in [("a", 2), ("b", 0), ("c", -1), ("d", 0), ("", 0)] {
            assert_eq!(names.position(topic, partition), None, "{topic}-{partition}");
        }
        assert_eq!((names.topics(), names.numbers()), (3, &[0, 1, 3, 7, 0][..]));
    }

    #[test]
    fn they_are_the_same_only_if_all_are() {
        let all = [("a", 0), ("a", 1), ("b", 0)];
        let names = Names::of(&seen(&all));
        assert!(names.same(&seen(&all)) && Names::default().same(&seen(&[])));
        for other in [
            &all[..2],
            &[("a", 0), ("b", 0), ("b", 1)],
            &[("a", 0), ("a", 1), ("c", 0)],
            &[("a", 0), ("a", 2), ("b", 0)],
            &[],
        ] {
            assert!(!names.same(&seen(other)), "{other:?}");
        }
    }
}
