//! A look at a scaler, for the tests of what a scrape shows.

use std::sync::Arc;

use crate::decide::{
    Committed, Decision, GroupNumbers, GroupObservation, GroupPhase, GroupPolicy, Limit, Member, Mode,
    Numbers, Observation, PartitionObservation, Policy, Rule, ScalerState, StartFrom, Tuning, Workload,
};

use super::{Look, Metrics, ScalerKey};

/// A scaler of one group of `topics` (each with the lag of its partitions), and its last look.
pub(in crate::report) struct Case {
    pub clusters: Vec<Arc<str>>,
    pub policy: Policy,
    pub observation: Observation,
    pub decision: Decision,
    pub delays: Vec<Vec<Option<f64>>>,
    pub blocked: Option<&'static str>,
}

impl Case {
    pub fn new(group: &str, topics: &[(&str, &[i64])]) -> Self {
        let partitions: Vec<PartitionObservation> = topics
            .iter()
            .flat_map(|(topic, lags)| lags.iter().enumerate().map(move |(i, lag)| (topic, i, lag)))
            .map(|(topic, i, lag)| PartitionObservation {
                topic: (*topic).into(),
                partition: i as i32,
                committed: Committed::At(100),
                end: Some(100 + lag),
                start: Some(10),
                retention: None,
            })
            .collect();
        let lag = topics.iter().flat_map(|(_, lags)| *lags).sum();
        let first = partitions[0].topic.clone();
        Self {
            clusters: vec!["shop/main".into()],
            policy: Policy {
                groups: vec![GroupPolicy { group: group.into(), start_from: StartFrom::Earliest }],
                min_replicas: 1,
                max_replicas: 24,
                threads_per_replica: 1,
                max_delay: 30.0,
                recover_within: 600.0,
                fallback: None,
                down_window: 600.0,
                down_max_step: 0.5,
                mode: Mode::Active,
                sweep_interval: 5.0,
                tuning: Tuning::default(),
            },
            blocked: None,
            delays: vec![vec![Some(1.5); partitions.len()]],
            observation: Observation {
                groups: vec![GroupObservation {
                    group: group.into(),
                    taken_at: Some(1000.0),
                    problems: vec![],
                    phase: GroupPhase::Stable,
                    members: vec![Member {
                        id: "consumer-1".into(),
                        host: "/10.0.0.7".into(),
                        client: "orders-7".into(),
                        assignment: vec![(first, 0)],
                    }],
                    partitions,
                }],
                workload: Ok(Workload {
                    replicas: 2,
                    pods: 2,
                    ready: Some(2),
                    template: None,
                    rolling_out: false,
                }),
                schedules: Vec::new(),
            },
            decision: Decision {
                at: 1000.5,
                from: Some(2),
                to: Some(9),
                write: true,
                state: ScalerState::Recovering,
                rule: Rule::ScaleUp,
                limits: vec![Limit::MaxReplicas],
                numbers: Numbers {
                    stuck_partitions: Vec::new(),
                    commits_apart: None,
                    undated: false,
                    stuck_members: Vec::new(),
                    lag: Some(lag),
                    delay: Some(74.0),
                    arrival: Some(420.0),
                    service: Some(122.0),
                    capacity: Some(61.0),
                    demand: Some(30),
                    eta: None,
                    eta_wanted: None,
                    eta_as_is: None,
                    expected: None,
                    planned: None,
                    lasting: None,
                    base: None,
                    schedule: None,
                    expired: 0,
                    time_to_loss: None,
                    start_up: 60.0,
                    rebalance_pause: 15.0,
                    max_delay: 30.0,
                    recover_within: 600.0,
                    groups: vec![GroupNumbers {
                        group: group.into(),
                        lag: Some(lag),
                        delay: Some(74.0),
                        arrival: Some(420.0),
                        service: Some(122.0),
                        capacity: None,
                        members: Some(1),
                        demand: Some(30),
                        ..GroupNumbers::default()
                    }],
                    ..Numbers::default()
                },
                problems: vec![],
                news: vec![],
                turning: Default::default(),
                next_look: 5.0,
            },
        }
    }

    pub fn show(&self, metrics: &Metrics, key: &ScalerKey) {
        metrics.observe(
            key,
            &Look {
                policy: &self.policy,
                observation: &self.observation,
                decision: &self.decision,
                clusters: &self.clusters,
                delays: &self.delays,
                blocked: self.blocked,
            },
        );
    }

    pub fn partition(&mut self, i: usize) -> &mut PartitionObservation {
        &mut self.observation.groups[0].partitions[i]
    }
}
