//! What an autoscaler sees of a plant: committed offsets, ends, members, the workload.
//!
//! One observation is kept and brought up to date, as it is looked at every second. Nothing that
//! Kafka and Kubernetes would not tell is in it.

use std::sync::Arc;

use super::plant::Plant;
use crate::decide::{Committed, GroupObservation, Member, Observation, PartitionObservation, Workload};

/// The view of a plant that is kept up to date.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    seen: Observation,
    blind: Observation,
    members_of: Option<u64>,
    names: Vec<(Arc<str>, i32)>,
}

impl Observer {
    pub fn new(plant: &Plant) -> Self {
        let names: Vec<(Arc<str>, i32)> = plant
            .config
            .partitions
            .iter()
            .flat_map(|topic| {
                let name: Arc<str> = topic.name.as_str().into();
                (0..topic.partitions).map(move |p| (name.clone(), p as i32))
            })
            .collect();
        let partitions = names
            .iter()
            .map(|(topic, partition)| PartitionObservation {
                topic: topic.clone(),
                partition: *partition,
                committed: Committed::At(0),
                end: None,
                start: None,
                retention: plant.config.retention,
            })
            .collect();
        let workload = Workload { replicas: 0, pods: 0, ready: None, template: None, rolling_out: false };
        let group = GroupObservation {
            group: plant.config.group.clone(),
            taken_at: None,
            problems: Vec::new(),
            phase: plant.group.phase(),
            members: Vec::new(),
            partitions,
        };
        let unseen =
            GroupObservation::unseen(&plant.config.group, "broker kafka-0:9092 refused the connection");
        Self {
            seen: Observation { groups: vec![group], workload: Ok(workload.clone()), schedules: Vec::new() },
            blind: Observation { groups: vec![unseen], workload: Ok(workload), schedules: Vec::new() },
            members_of: None,
            names,
        }
    }

    /// What can be seen now.
    pub fn look(&mut self, plant: &Plant) -> &Observation {
        let target = if plant.effects.blind { &mut self.blind } else { &mut self.seen };
        if let Ok(workload) = &mut target.workload {
            workload.replicas = plant.spec_replicas();
            workload.pods = plant.pods() as i32;
            workload.ready = Some(plant.ready_replicas());
            workload.rolling_out = plant.workload.rolling_out();
            let template = format!("template-{}", plant.workload.template);
            if workload.template.as_ref() != Some(&template) {
                workload.template = Some(template);
            }
        }
        if plant.effects.blind {
            return &self.blind;
        }
        self.read_members(plant);
        let Some(group) = self.seen.groups.first_mut() else {
            return &self.seen;
        };
        group.taken_at = Some(plant.now);
        group.phase = plant.group.phase();
        group.problems.clear();
        for (index, (seen, p)) in group.partitions.iter_mut().zip(&plant.partitions).enumerate() {
            seen.committed = Committed::At(p.committed.floor() as i64);
            let missing = plant.effects.missing.contains(&index);
            if plant.effects.leaderless(index) || missing {
                let (topic, number) = &self.names[index];
                let why = if missing { "Kafka gave no offset" } else { "has no leader" };
                group.problems.push(format!("partition {topic}-{number}: {why}"));
                (seen.end, seen.start) = (None, None);
            } else {
                (seen.end, seen.start) = (Some(p.arrived.floor() as i64), Some(p.start.floor() as i64));
            }
        }
        &self.seen
    }

    fn read_members(&mut self, plant: &Plant) {
        if self.members_of == Some(plant.group.version) {
            return;
        }
        self.members_of = Some(plant.group.version);
        let told = plant.group.assignment_told();
        let members = plant
            .group
            .members()
            .iter()
            .map(|member| Member {
                id: format!("consumer-{}-{}-{}", member >> 24, (member >> 8) & 0xffff, member & 0xff),
                client: "consumer".to_owned(),
                host: format!("/10.0.{}.{}", (member >> 32) & 0xff, (member >> 24) & 0xff),
                assignment: plant
                    .group
                    .owners()
                    .iter()
                    .zip(&self.names)
                    .filter(|(owner, _)| told && **owner == Some(*member))
                    .map(|(_, name)| name.clone())
                    .collect(),
            })
            .collect();
        if let Some(group) = self.seen.groups.first_mut() {
            group.members = members;
        }
    }
}
