//! The engine restarted at any moment of an outage and its recovery, in closed loop: it keeps the
//! objective, with a little more time, as one that is not restarted does.
//!
//! What a new process knows is what the status says: what was learnt, and the last state. What must
//! hold of a single decision after a restart is a property of `decide`.

use proptest::prelude::*;

use super::tests::policy;
use super::*;
use crate::decide::{Decision, Policy, State};

/// The engine, made anew at some moments.
struct Restarted {
    engine: Engine,
    policy: Policy,
    at: Vec<f64>,
}

impl Controller for Restarted {
    fn name(&self) -> String {
        "restarted".to_owned()
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        if self.at.contains(&view.now) {
            let state = self.engine.state();
            let state = State::restored(state.learnt.clone(), Some(state.state));
            self.engine = Engine::restored(self.policy.clone(), state);
        }
        self.engine.look(view)
    }

    fn decision(&self) -> Option<&Decision> {
        self.engine.decision()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: (ProptestConfig::default().cases / 16).max(1), ..ProptestConfig::default() })]

    #[test]
    fn whenever_it_is_restarted_the_backlog_is_gone_in_time(
        seed in 0..1000u64,
        share in 0.1..0.4f64,
        length in 60..400u32,
        restarts in prop::collection::vec(600..1900u32, 1..4),
    ) {
        let policy = Policy { recover_within: 600.0, ..policy(24) };
        let plant = PlantConfig { initial_replicas: 12, ..PlantConfig::default() };
        let (from, to) = (700.0, 700.0 + f64::from(length));
        let scenario = Scenario {
            name: "outage".into(),
            duration: 2400.0,
            traffic: Traffic::constant(share * plant.group_capacity()),
            events: vec![Event::ConsumersStopped { from, to }],
        };
        let at: Vec<f64> = restarts.iter().map(|r| f64::from(*r)).collect();
        let mut once = Engine::new(policy.clone());
        let whole = run(&plant, &scenario, policy.max_delay, &mut once, seed);
        let mut again = Restarted { engine: Engine::new(policy.clone()), policy: policy.clone(), at };
        let other = run(&plant, &scenario, policy.max_delay, &mut again, seed);
        let drained = |run: &Run| run.figures.drains.first().and_then(|d| d.seconds);
        if drained(&whole).is_some_and(|seconds| seconds <= policy.recover_within) {
            let seconds = drained(&other);
            // What arrived and was processed before is forgotten: a quarter more time, for it to be seen again.
            let limit = 1.25 * policy.recover_within;
            prop_assert!(seconds.is_some_and(|s| s <= limit), "{seconds:?} after {:?}", drained(&whole));
        }
        // A restart writes nothing by itself: at most one step up, and the way back in two halves, more than without.
        prop_assert!(other.writes.len() <= whole.writes.len() + 3, "{:?}\n{:?}", whole.writes, other.writes);
    }
}
