//! Two groups in one workload: what is decided and told of the one that it is about.

use super::plant::{Plant, knows, policy};
use crate::decide::*;

/// Two groups that the same replicas read: what one needs says nothing of the other.
struct Two {
    orders: Plant,
    audit: Plant,
    policy: Policy,
    state: State,
}

impl Two {
    /// `orders` of consumers that do 60/s, and `audit` of ones that do 400/s.
    fn new(
        replicas: i32,
        orders: impl Fn(f64) -> f64 + 'static,
        audit: impl Fn(f64) -> f64 + 'static,
    ) -> Self {
        let mut state = knows(60.0);
        state.learnt.capacity_per_replica.insert("audit".to_owned(), 400.0);
        let group = |name: &str| GroupPolicy { group: name.into(), start_from: StartFrom::Earliest };
        let policy = Policy { groups: vec![group("orders"), group("audit")], ..policy() };
        let (mut orders, mut audit) =
            (Plant::new(replicas, orders, |_| true), Plant::new(replicas, audit, |_| true));
        (orders.capacity, audit.capacity) = (60.0, 400.0);
        Self { orders, audit, policy, state: State::restored(state.learnt, None) }
    }

    fn partitions(mut self, orders: usize, audit: usize) -> Self {
        for (plant, partitions) in [(&mut self.orders, orders), (&mut self.audit, audit)] {
            (plant.ends, plant.committed) = (vec![0.0; partitions], vec![0.0; partitions]);
        }
        self
    }

    fn run(&mut self, until: f64) -> Vec<Decision> {
        let mut all = Vec::new();
        while self.orders.now < until {
            self.orders.step();
            self.audit.step();
            let mut seen = self.orders.see();
            let mut other = self.audit.see().groups.remove(0);
            other.group = "audit".into();
            seen.groups.push(other);
            let (decision, next) =
                decide(&self.policy, std::mem::take(&mut self.state), &seen, self.orders.now);
            self.state = next;
            if let (true, Some(to)) = (decision.write, decision.to) {
                self.orders.write(to);
                self.audit.write(to);
            }
            all.push(decision);
        }
        all
    }
}

fn first_up(all: &[Decision]) -> &Decision {
    all.iter().find(|d| d.write && d.to > d.from).expect("a step up")
}

#[test]
fn a_step_up_follows_the_group_that_needs_it() {
    let mut two = Two::new(2, |t| if t < 60.0 { 60.0 } else { 150.0 }, |_| 300.0);
    let all = two.run(200.0);
    let up = first_up(&all);
    assert_eq!((up.numbers.subject, up.numbers.capacity.map(f64::round)), (Some(0), Some(60.0)), "{up:?}");
    let [orders, audit] = up.numbers.groups.as_slice() else { panic!("{up:?}") };
    assert!(orders.demand > audit.demand && up.numbers.demand == orders.demand, "{up:?}");
    // The sums are of both, as the metrics say.
    let sum = orders.arrival.unwrap() + audit.arrival.unwrap();
    assert!((up.numbers.arrival.unwrap() - sum).abs() < 1e-6);
}

#[test]
fn who_is_never_done_is_the_one_that_is_behind() {
    // Both are late; there is room for no more replicas. What waits of the second is gone soon.
    let mut two = Two::new(2, |_| 150.0, |_| 300.0);
    two.policy.max_replicas = 2;
    two.audit.working = Box::new(|t| !(60.0..100.0).contains(&t));
    let all = two.run(101.0);
    let last = all.last().unwrap();
    assert_eq!((last.state, last.numbers.worst), (ScalerState::FallingBehind, Some(0)), "{last:?}");
    let [orders, audit] = last.numbers.groups.as_slice() else { panic!("{last:?}") };
    assert!(audit.delay > Some(two.policy.max_delay) && audit.eta.is_some(), "{audit:?}");
    assert!(orders.eta.is_none() && orders.arrival > orders.service, "{orders:?}");
}

#[test]
fn a_group_that_stands_still_is_the_one_that_is_told() {
    let mut two = Two::new(2, |_| 60.0, |_| 300.0);
    two.audit.working = Box::new(|t| t < 60.0);
    let all = two.run(100.0);
    let last = all.last().unwrap();
    assert_eq!((last.state, last.numbers.worst), (ScalerState::Stuck, Some(1)), "{last:?}");
}

#[test]
fn counts_that_change_nothing_are_those_of_the_group_that_needs_more() {
    // With 10 partitions 6 to 9 do what 5 do; with the 12 of the other group 6 would do more.
    let arrival = |t: f64| if t < 60.0 { 100.0 } else { 400.0 };
    let mut two = Two::new(3, arrival, |_| 300.0).partitions(10, 12);
    let all = two.run(200.0);
    let up =
        all.iter().find(|d| d.write && d.to == Some(10)).unwrap_or_else(|| panic!("{:?}", two.orders.writes));
    assert_eq!(up.numbers.subject, Some(0));
    let from = up.from.unwrap().max(5);
    assert_eq!(up.numbers.no_better, Some((from + 1, 9)));
}

#[test]
fn a_group_without_partitions_to_spare_does_not_hold_up_another() {
    // Of the first nobody knows what a replica does, and it has as many as it has partitions; the other needs more.
    let mut two = Two::new(2, |_| 150.0, |t| if t < 60.0 { 300.0 } else { 1200.0 }).partitions(2, 12);
    two.state.learnt.capacity_per_replica.remove("orders");
    two.state = State::restored(std::mem::take(&mut two.state).learnt, None);
    let all = two.run(200.0);
    assert!(all.iter().any(|d| d.write && d.to >= Some(4)), "{:?}", two.orders.writes);
    // And where the other is in time, more would have no work.
    let mut two = Two::new(2, |_| 150.0, |_| 300.0).partitions(2, 12);
    two.state.learnt.capacity_per_replica.remove("orders");
    two.state = State::restored(std::mem::take(&mut two.state).learnt, None);
    let all = two.run(200.0);
    assert!(all.iter().any(|d| d.limits.contains(&Limit::Partitions)), "{:?}", all.last());
    assert_eq!(two.orders.writes, []);
}
