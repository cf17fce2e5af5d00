//! A small fluid model of a consumer group, and the policy that most tests have.
//!
//! The full one is in `simulate`; this one has no noise, so that numbers can be told.

use std::sync::Arc;

use crate::decide::*;

/// Twelve partitions, consumers of 50 msg/s, one second steps.
pub struct Plant {
    pub ends: Vec<f64>,
    pub committed: Vec<f64>,
    /// Per consumer, msg/s.
    pub capacity: f64,
    pub arrival: Box<dyn Fn(f64) -> f64>,
    /// Whether consumers process at a time.
    pub working: Box<dyn Fn(f64) -> bool>,
    pub start_up: f64,
    pub asked: i32,
    /// Consumers in the group, and when the others will be.
    pub members: i32,
    pub arriving: Vec<(f64, i32)>,
    pub paused_until: f64,
    pub now: f64,
    pub template: String,
    pub writes: Vec<(f64, i32, i32)>,
    pub peak_delay: f64,
    /// Records at the end of each partition that no commit gets past.
    pub marks: f64,
    /// The most that all consumers process together, from a time to another, msg/s.
    pub ceiling: Option<(f64, f64, f64)>,
    /// A partition of which nothing can be processed, from a time to another.
    pub poison: Option<(usize, f64, f64)>,
    /// How long messages are kept, s.
    pub retention: Option<f64>,
    pub schedules: Vec<ScheduleWindow>,
}

impl Plant {
    pub fn new(
        replicas: i32,
        arrival: impl Fn(f64) -> f64 + 'static,
        working: impl Fn(f64) -> bool + 'static,
    ) -> Self {
        Self {
            ends: vec![0.0; 12],
            committed: vec![0.0; 12],
            capacity: 50.0,
            arrival: Box::new(arrival),
            working: Box::new(working),
            start_up: 3.0,
            asked: replicas,
            members: replicas,
            arriving: Vec::new(),
            paused_until: 0.0,
            now: 0.0,
            template: "a".into(),
            writes: Vec::new(),
            peak_delay: 0.0,
            marks: 0.0,
            ceiling: None,
            poison: None,
            retention: None,
            schedules: Vec::new(),
        }
    }

    pub fn step(&mut self) {
        self.now += 1.0;
        let arrival = (self.arrival)(self.now) / self.ends.len() as f64;
        self.ends.iter_mut().for_each(|e| *e += arrival);
        let now = self.now;
        let ready: i32 = self.arriving.iter().filter(|(at, _)| *at <= now).map(|(_, n)| n).sum();
        if ready != 0 {
            self.arriving.retain(|(at, _)| *at > now);
            self.members += ready;
            self.paused_until = self.now + 1.0;
        }
        if !(self.working)(self.now) || self.now < self.paused_until {
            return;
        }
        let members = f64::from(self.members.max(1));
        let share = self.ceiling.filter(|(_, from, to)| (*from..*to).contains(&now));
        let capacity = share.map_or(self.capacity, |(most, ..)| self.capacity.min(most / members));
        for partitions in &self.assignment() {
            let mut budget = capacity;
            // What one partition leaves of its share goes to the others.
            for _ in 0..8 {
                let share = budget / partitions.len().max(1) as f64;
                let poisoned = |p: &&usize| {
                    self.poison.is_some_and(|(of, from, to)| of == **p && (from..to).contains(&now))
                };
                for p in partitions.iter().filter(|p| !poisoned(p)) {
                    let taken = (self.ends[*p] - self.committed[*p]).min(share).min(budget);
                    self.committed[*p] += taken;
                    budget -= taken;
                }
            }
        }
    }

    pub fn assignment(&self) -> Vec<Vec<usize>> {
        let n = self.members.max(0) as usize;
        (0..n).map(|m| (0..self.ends.len()).filter(|p| p % n == m).collect()).collect()
    }

    pub fn write(&mut self, to: i32) {
        self.writes.push((self.now, self.asked, to));
        let change = to - self.asked;
        self.asked = to;
        self.arriving.push((self.now + if change > 0 { self.start_up } else { 1.0 }, change));
    }

    pub fn see(&self) -> Observation {
        let topic: Arc<str> = "orders".into();
        let members = self
            .assignment()
            .iter()
            .enumerate()
            .map(|(i, partitions)| Member {
                id: format!("m{i}"),
                host: "h".into(),
                client: "c".into(),
                assignment: partitions.iter().map(|p| (topic.clone(), *p as i32)).collect(),
            })
            .collect();
        let partitions = (0..self.ends.len())
            .map(|p| PartitionObservation {
                topic: topic.clone(),
                partition: p as i32,
                committed: Committed::At(self.committed[p] as i64),
                end: Some((self.ends[p] + self.marks) as i64),
                start: Some(0),
                retention: self.retention,
            })
            .collect();
        Observation {
            groups: vec![GroupObservation {
                group: "orders".into(),
                taken_at: Some(self.now),
                problems: Vec::new(),
                phase: if self.members > 0 { GroupPhase::Stable } else { GroupPhase::Empty },
                members,
                partitions,
            }],
            workload: Ok(Workload {
                replicas: self.asked,
                pods: self.asked,
                ready: Some(self.members),
                template: Some(self.template.clone()),
                rolling_out: false,
            }),
            schedules: self.schedules.clone(),
        }
    }

    /// Runs until `until`, deciding each second; returns the last decision.
    pub fn run(&mut self, policy: &Policy, state: &mut State, until: f64) -> Vec<Decision> {
        let mut all = Vec::new();
        while self.now < until {
            self.step();
            let (decision, next) = decide(policy, std::mem::take(state), &self.see(), self.now);
            *state = next;
            self.peak_delay = self.peak_delay.max(decision.numbers.delay.unwrap_or(0.0));
            if let (true, Some(to)) = (decision.write, decision.to) {
                self.write(to);
            }
            all.push(decision);
        }
        all
    }
}

pub fn policy() -> Policy {
    Policy {
        groups: vec![GroupPolicy { group: "orders".into(), start_from: StartFrom::Earliest }],
        min_replicas: 1,
        max_replicas: 12,
        threads_per_replica: 1,
        max_delay: 10.0,
        recover_within: 90.0,
        fallback: None,
        down_window: 20.0,
        down_max_step: 1.0,
        mode: Mode::Active,
        sweep_interval: 1.0,
        tuning: Tuning::default(),
    }
}

pub fn knows(capacity: f64) -> State {
    let learnt =
        Learnt { capacity_per_replica: [("orders".to_owned(), capacity)].into(), ..Learnt::default() };
    State::restored(learnt, None)
}
