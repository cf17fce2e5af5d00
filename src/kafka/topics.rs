//! Which topics and partitions there are, and which count for a group.
//!
//! Metadata is kept for a while; a topic that is not in it makes it read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode;

use super::admin::Description;
use super::{ClusterInfo, GroupRequest};

/// Topics with their partitions, as the brokers say.
#[derive(Clone, Debug, Default)]
pub(super) struct Topics {
    /// By topic: each partition and whether it has a leader.
    pub partitions: BTreeMap<Arc<str>, Vec<(i32, bool)>>,
    /// What is wrong with topics that are there, but of which nothing was told.
    pub troubled: BTreeMap<Arc<str>, String>,
    pub cluster: ClusterInfo,
}

impl Topics {
    pub fn of(metadata: &Metadata, cluster_id: Option<String>) -> Self {
        let partitions = metadata
            .topics()
            .iter()
            .filter(|t| t.error().is_none())
            .map(|t| {
                let all = t.partitions().iter().map(|p| (p.id(), p.leader() >= 0)).collect();
                (Arc::from(t.name()), all)
            })
            .collect();
        let troubled = metadata
            .topics()
            .iter()
            .filter_map(|t| {
                let error = RDKafkaErrorCode::from(t.error()?);
                let absent = matches!(
                    error,
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic
                );
                (!absent).then(|| (Arc::from(t.name()), error.to_string()))
            })
            .collect();
        let cluster = ClusterInfo { brokers: metadata.brokers().len() as i32, cluster_id };
        Self { partitions, troubled, cluster }
    }

    /// Whether a member has a partition of these topics that is not known here: the topic has grown.
    pub fn outgrown(&self, description: &Description, counting: &BTreeSet<String>) -> bool {
        description.members.iter().flat_map(|m| &m.assignment).any(|(topic, partition)| {
            // Partitions are numbered from 0 without gaps.
            let known = self.partitions.get(topic).map(Vec::len);
            counting.contains(topic.as_ref())
                && known.is_some_and(|known| usize::try_from(*partition).is_ok_and(|p| p >= known))
        })
    }

    /// Whether every partition of a topic has a leader.
    pub fn led(&self, topic: &str) -> bool {
        self.partitions.get(topic).is_none_or(|all| all.iter().all(|(_, led)| *led))
    }

    /// The partitions of topics that have a leader: one without would keep a whole call waiting.
    pub fn with_leader(&self, of: &BTreeSet<&str>) -> Vec<(Arc<str>, i32)> {
        let known = of.iter().filter_map(|topic| self.partitions.get_key_value(*topic));
        let led = known.flat_map(|(name, all)| {
            all.iter().filter(|(_, led)| *led).map(|(partition, _)| (name.clone(), *partition))
        });
        led.collect()
    }

    /// Whether a topic is known, and if so its name as kept here.
    pub fn name(&self, topic: &str) -> Option<Arc<str>> {
        self.partitions.get_key_value(topic).map(|(name, _)| name.clone())
    }
}

/// The topics that count for a group: those asked for; else those its members read; else those
/// they were seen to read; else those the group has committed to.
pub(super) fn counting(
    request: &GroupRequest,
    description: Option<&Description>,
    committed: impl Iterator<Item = Arc<str>>,
) -> BTreeSet<String> {
    if let Some(topics) = &request.topics {
        return topics.iter().cloned().collect();
    }
    let read: BTreeSet<String> = description
        .into_iter()
        .flat_map(|d| d.members.iter())
        .flat_map(|m| m.assignment.iter().chain(m.target.iter().flatten()))
        .map(|(topic, _)| topic.to_string())
        .collect();
    let rebalancing = description.is_some_and(|d| d.phase == super::admin::Phase::Rebalancing);
    if !read.is_empty() && !rebalancing {
        return read;
    }
    // While partitions move, members may have none of a topic they read all the same.
    let known: BTreeSet<String> = read.into_iter().chain(request.remembered.iter().cloned()).collect();
    if known.is_empty() { committed.map(|t| t.to_string()).collect() } else { known }
}

#[cfg(test)]
mod tests {
    use super::super::Isolation;
    use super::super::admin::{MemberDescription, Phase};
    use super::*;

    fn request(topics: Option<&[&str]>, remembered: &[&str]) -> GroupRequest {
        GroupRequest {
            group: "g".into(),
            topics: topics.map(|t| t.iter().map(ToString::to_string).collect()),
            remembered: remembered.iter().map(ToString::to_string).collect(),
            isolation: Isolation::ReadUncommitted,
            resting: false,
        }
    }

    fn described(phase: Phase, topics: &[&str]) -> Description {
        let assignment = topics.iter().map(|t| (Arc::from(*t), 0)).collect();
        let member = MemberDescription {
            id: "m".into(),
            host: "h".into(),
            client: "c".into(),
            assignment,
            target: None,
        };
        Description { phase, new_protocol: false, members: vec![member], coordinator: None }
    }

    fn names(request: &GroupRequest, description: Option<&Description>, committed: &[&str]) -> Vec<String> {
        counting(request, description, committed.iter().map(|t| Arc::from(*t))).into_iter().collect()
    }

    #[test]
    fn asked_for_then_read_then_remembered_then_committed() {
        let reads = described(Phase::Stable, &["a"]);
        assert_eq!(names(&request(Some(&["x"]), &["r"]), Some(&reads), &["c"]), ["x"]);
        assert_eq!(
            names(&request(None, &["r"]), Some(&reads), &["c", "old"]),
            ["a"],
            "a topic left long ago is not lag"
        );
        let empty = described(Phase::Empty, &[]);
        assert_eq!(names(&request(None, &["r"]), Some(&empty), &["c"]), ["r"]);
        assert_eq!(names(&request(None, &[]), Some(&empty), &["c"]), ["c"]);
    }

    #[test]
    fn a_topic_has_grown_when_a_member_has_more_of_it_than_is_known() {
        let topics = |count: i32| Topics {
            partitions: BTreeMap::from([(Arc::from("a"), (0..count).map(|p| (p, true)).collect())]),
            ..Topics::default()
        };
        let mut reads = described(Phase::Stable, &["a", "b"]);
        reads.members[0].assignment.push(("a".into(), 3));
        let counting = |topic: &str| BTreeSet::from([topic.to_owned()]);
        assert!(topics(3).outgrown(&reads, &counting("a")));
        assert!(!topics(4).outgrown(&reads, &counting("a")));
        assert!(!topics(3).outgrown(&reads, &counting("b")), "a topic that does not count");
    }

    #[test]
    fn a_topic_is_not_forgotten_while_partitions_move() {
        let moving = described(Phase::Rebalancing, &["a"]);
        assert_eq!(names(&request(None, &["a", "b"]), Some(&moving), &[]), ["a", "b"]);
    }
}
