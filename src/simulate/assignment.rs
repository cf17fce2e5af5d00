//! Who reads which partition: Kafka's assignors, as far as counts and moves go.
//!
//! Pure. Every member reads every topic. Racks and user data are not modelled; how a group gets
//! from one assignment to the next is in `rebalance`.

use serde::Serialize;

/// A consumer in the group; they are ordered as Kafka orders member ids.
pub type MemberId = u64;

/// How partitions are dealt out.
#[derive(clap::ValueEnum, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Assignor {
    /// Each topic on its own, in contiguous ranges: with several topics the first members get more of each.
    Range,
    /// All partitions of all topics in turn.
    RoundRobin,
    /// Evenly, and everyone keeps what it has as far as that allows.
    Sticky,
    /// The broker's own (KIP-848): even and sticky too.
    Uniform,
}

/// Who reads each partition, counted over all topics; `None` when there is nobody.
///
/// `topics` are partition counts, `members` is ascending, `before` is who read each partition.
pub fn assign(
    assignor: Assignor,
    topics: &[usize],
    members: &[MemberId],
    before: &[Option<MemberId>],
) -> Vec<Option<MemberId>> {
    let total: usize = topics.iter().sum();
    if members.is_empty() {
        return vec![None; total];
    }
    match assignor {
        Assignor::Range => topics.iter().flat_map(|count| range(*count, members)).collect(),
        Assignor::RoundRobin => (0..total).map(|p| members.get(p % members.len()).copied()).collect(),
        Assignor::Sticky | Assignor::Uniform => sticky(total, members, before),
    }
}

/// One topic: the first `count % members` get one more, each a run of neighbours.
fn range(count: usize, members: &[MemberId]) -> Vec<Option<MemberId>> {
    let (each, more) = (count / members.len(), count % members.len());
    members
        .iter()
        .enumerate()
        .flat_map(|(i, member)| std::iter::repeat_n(Some(*member), each + usize::from(i < more)))
        .collect()
}

fn sticky(total: usize, members: &[MemberId], before: &[Option<MemberId>]) -> Vec<Option<MemberId>> {
    let (each, mut more) = (total / members.len(), total % members.len());
    let index = |member: MemberId| members.binary_search(&member).ok();
    let mut owned = vec![0usize; members.len()];
    for i in before.iter().take(total).flatten().filter_map(|m| index(*m)) {
        owned[i] += 1;
    }
    // Who has more than its share keeps one more, as long as there are any to spare.
    let mut quota = vec![each; members.len()];
    for pass in 0..2 {
        for i in 0..members.len() {
            if more > 0 && quota[i] == each && (pass == 1 || owned[i] > each) {
                quota[i] += 1;
                more -= 1;
            }
        }
    }
    let mut room = quota;
    let mut owners: Vec<Option<MemberId>> = vec![None; total];
    for (owner, old) in owners.iter_mut().zip(before) {
        if let Some(i) = old.and_then(index)
            && room[i] > 0
        {
            room[i] -= 1;
            *owner = *old;
        }
    }
    for owner in owners.iter_mut().filter(|o| o.is_none()) {
        // The emptiest first, so that what is dealt out is dealt out evenly.
        let emptiest = (0..members.len()).max_by_key(|i| (room[*i], std::cmp::Reverse(*i)));
        if let Some(i) = emptiest.filter(|i| room[*i] > 0) {
            room[i] -= 1;
            *owner = Some(members[i]);
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some(owners: &[u64]) -> Vec<Option<u64>> {
        owners.iter().copied().map(Some).collect()
    }

    fn counts(owners: &[Option<u64>], members: &[u64]) -> Vec<usize> {
        members.iter().map(|m| owners.iter().filter(|o| **o == Some(*m)).count()).collect()
    }

    #[test]
    fn range_over_two_topics_gives_the_first_more_of_both() {
        // The example in the documentation of Kafka's RangeAssignor: two consumers, two topics of
        // three partitions: C0 gets t0p0 t0p1 t1p0 t1p1, C1 gets t0p2 t1p2.
        let owners = assign(Assignor::Range, &[3, 3], &[0, 1], &[]);
        assert_eq!(owners, some(&[0, 0, 1, 0, 0, 1]));
        // More members than partitions in a topic: the last read nothing.
        let owners = assign(Assignor::Range, &[2, 2], &[0, 1, 2], &[]);
        assert_eq!(counts(&owners, &[0, 1, 2]), [2, 2, 0]);
    }

    #[test]
    fn round_robin_deals_over_all_topics() {
        // The example of Kafka's RoundRobinAssignor: C0 gets t0p0 t0p2 t1p1, C1 gets t0p1 t1p0 t1p2.
        assert_eq!(assign(Assignor::RoundRobin, &[3, 3], &[0, 1], &[]), some(&[0, 1, 0, 1, 0, 1]));
    }

    #[test]
    fn sticky_moves_no_more_than_evenness_asks() {
        let before = some(&[0, 0, 0, 1, 1, 1, 2, 2]);
        let after = assign(Assignor::Sticky, &[8], &[0, 1, 2, 3], &before);
        assert_eq!(counts(&after, &[0, 1, 2, 3]), [2, 2, 2, 2]);
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert_eq!(moved, 2);
        // One leaves: only what it had moves.
        let fewer = assign(Assignor::Sticky, &[8], &[0, 1, 3], &after);
        assert_eq!(after.iter().zip(&fewer).filter(|(a, b)| a != b).count(), 2);
    }

    proptest! {
        #[test]
        fn every_partition_has_one_reader_and_sticky_is_even(topics in prop::collection::vec(0usize..40, 1..4),
            members in prop::collection::btree_set(0u64..50, 0..30), before in prop::collection::vec(prop::option::of(0u64..50), 0..120)) {
            let members: Vec<u64> = members.into_iter().collect();
            let total: usize = topics.iter().sum();
            for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky, Assignor::Uniform] {
                let owners = assign(assignor, &topics, &members, &before);
                prop_assert_eq!(owners.len(), total);
                if members.is_empty() {
                    prop_assert!(owners.iter().all(Option::is_none));
                    continue;
                }
                prop_assert!(owners.iter().all(|o| o.is_some_and(|m| members.contains(&m))));
                let counts = counts(&owners, &members);
                if assignor != Assignor::Range {
                    prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
                }
            }
            let once = assign(Assignor::Sticky, &topics, &members, &before);
            prop_assert_eq!(&assign(Assignor::Sticky, &topics, &members, &once), &once);
        }
    }
}
