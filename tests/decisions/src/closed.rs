//! The loads of the recorded runs, in the simulator: the loop closed.
//!
//! Open loop (`replay`) shows that the model writes what KEDA wrote when it sees what KEDA saw.
//! Here the plant has to bring forth what it sees, too; and on the same plant Spillway shows what it
//! does with the same two loads.

use crate::sample::{self, change};
use spillway::decide::{Decision, Policy};
use spillway::simulate::assignment::Assignor;
use spillway::simulate::{
    Controller, Engine, Event, PlantConfig, Protocol, Scenario, Skew, TopicConfig, Traffic, View,
};

/// The consumers of the recordings: 12 even partitions, 60 msg/s a replica, ready 10 s after they
/// are made, range assignor (eager; a round took 2 to 3 s).
///
/// They commit every second, so that half a second's input is not yet committed on average. In the
/// simulator's steps of a second an interval of 2 s has that mean.
pub fn plant(initial_replicas: i32) -> PlantConfig {
    PlantConfig {
        partitions: vec![TopicConfig { name: "orders".to_owned(), partitions: 12, skew: Skew::Even }],
        capacity: 60.0,
        capacity_noise: 0.0,
        start_up: (10.0, 0.0),
        protocol: Protocol::Eager,
        assignor: Some(Assignor::Range),
        rebalance_pause: 2.0,
        commit_interval: 2.0,
        initial_replicas,
        ..PlantConfig::default()
    }
}

/// 240 msg/s for 765 s; the consumers stop working, but stay members, from 45 to 165 s.
pub fn recovery() -> Scenario {
    Scenario {
        name: "recorded recovery".to_owned(),
        duration: 765.0,
        traffic: Traffic::constant(240.0).smooth(),
        events: vec![Event::ConsumersStopped { from: 45.0, to: 165.0 }],
    }
}

/// 480 msg/s for 512 s, with a backlog of 17,782 messages when it begins.
pub fn step() -> Scenario {
    Scenario {
        name: "recorded step".to_owned(),
        duration: 512.0,
        traffic: Traffic::constant(480.0).smooth(),
        events: vec![Event::Burst { at: 0.0, messages: 17_782.0 }],
    }
}

/// What the recorded ScaledObjects asked for, in our words: 2 to 12 replicas. A message may be 10 s
/// late (the recordings count the seconds over 10 s of input); the rest is as it comes.
pub fn policy(recover_within: &str) -> Policy {
    sample::policy(&[
        change("minReplicas", 2),
        change("maxReplicas", 12),
        change("maxDelay", "10s"),
        change("recoverWithin", recover_within),
    ])
}

/// Spillway, added to what runs already: it first looks after 1 s, as the recorded KEDA was added
/// about when the recording began. A backlog of the first second is there then; it did not arrive.
#[derive(Clone, Debug)]
pub struct Added(Engine);

impl Added {
    /// With a policy, knowing nothing yet.
    pub fn new(policy: Policy) -> Self {
        Self(Engine::new(policy))
    }
}

impl Controller for Added {
    fn name(&self) -> String {
        self.0.name()
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        if view.now < 1.0 { None } else { self.0.look(view) }
    }

    fn decision(&self) -> Option<&Decision> {
        self.0.decision()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keda::{Keda, ScaledObject, Trigger};
    use rstest::rstest;
    use spillway::decide::ScalerState;
    use spillway::simulate::{Run, run, table};

    /// The recorded paths, write by write: at the same times within 2 s, and the same numbers but
    /// for one replica where the lag is near a multiple of the threshold (3,393 recorded, 3,720
    /// here, for 6 and 7 replicas at 600), as pauses of rebalances differ by tenths of seconds.
    #[rstest]
    #[case::recovery_10(recovery(), 6, 10, &[(15.0, 12)])]
    #[case::recovery_600(recovery(), 6, 600, &[(75.0, 12), (511.3, 2), (526.3, 4), (541.3, 6)])]
    #[case::recovery_2400(recovery(), 6, 2400, &[
        (121.1, 8), (136.1, 10), (166.1, 12), (466.1, 10), (481.1, 7), (496.1, 4), (511.1, 2), (557.2, 3), (587.2, 4),
    ])]
    // Recorded until 466 s.
    #[case::step_600(Scenario { duration: 466.0, ..step() }, 2, 600, &[(15.0, 4), (30.0, 8), (45.0, 12)])]
    fn the_loop_takes_the_recorded_path(
        #[case] scenario: Scenario,
        #[case] initial: i32,
        #[case] lag_threshold: i64,
        #[case] recorded: &[(f64, i32)],
    ) {
        let object = ScaledObject {
            trigger: Trigger { lag_threshold, ..Trigger::default() },
            min: 2,
            max: 12,
            sync_phase: 15.0,
            ..ScaledObject::default()
        };
        let run = run(&plant(initial), &scenario, 10.0, &mut Keda::new(object), 1);
        let path: Vec<(f64, i32)> = run.writes.iter().map(|w| (w.at, w.to)).collect();
        let near = |(a, b): (&(f64, i32), &(f64, i32))| (a.0 - b.0).abs() <= 2.0 && (a.1 - b.1).abs() <= 1;
        assert!(path.len() == recorded.len() && path.iter().zip(recorded).all(near), "{path:?}");
    }

    /// The recorded load under Spillway, and on for as long as it takes to give replicas back. The
    /// recorded consumers are paced and their load is even (`None`); with a seed, arrivals,
    /// capacities (5 %) and start-up times (2 s) vary.
    fn ours(load: Scenario, initial: i32, recover_within: &str, seed: Option<u64>) -> Run {
        let mut plant = plant(initial);
        let mut scenario = Scenario { duration: 1200.0, ..load };
        if seed.is_some() {
            plant.capacity_noise = 0.05;
            plant.start_up.1 = 2.0;
            scenario.traffic = Traffic::constant(scenario.traffic.peak());
        }
        let policy = policy(recover_within);
        let max_delay = policy.max_delay;
        run(&plant, &scenario, max_delay, &mut Added::new(policy), seed.unwrap_or(0))
    }

    /// The numbers written, and when.
    fn path(run: &Run) -> (Vec<i32>, Vec<f64>) {
        (run.writes.iter().map(|w| w.to).collect(), run.writes.iter().map(|w| w.at).collect())
    }

    /// 6 replicas clear 28,800 messages with 120/s to spare in 4 minutes, and 10 are allowed: nothing is
    /// to be done. KEDA wrote 1, 4 and 9 times here, at thresholds of 10, 600 and 2,400.
    #[rstest]
    fn a_recovery_with_time_needs_no_write(#[values(None, Some(1), Some(2), Some(3))] seed: Option<u64>) {
        let run = ours(recovery(), 6, "10m", seed);
        let table = table::decisions(&run);
        assert_eq!(run.writes, [], "{table}");
        let drained = run.figures.drains[0].seconds.unwrap();
        // Capacities that vary make for 2 to 6 minutes.
        let expected = if seed.is_none() { 210.0..=250.0 } else { 120.0..=360.0 };
        assert!(expected.contains(&drained), "drained in {drained} s\n{table}");
    }

    /// With 2 minutes 6 are too few: one step up, once something is processed again, and one down after
    /// the window. While the consumers stand still, more of them would not help, and that is said.
    #[rstest]
    fn a_recovery_in_a_hurry_needs_one_up_and_one_down(
        #[values(None, Some(1), Some(2), Some(3))] seed: Option<u64>,
    ) {
        let run = ours(recovery(), 6, "2m", seed);
        let table = table::decisions(&run);
        let (numbers, times) = path(&run);
        assert_eq!(numbers, [12, 6], "{table}");
        assert!((166.0..=210.0).contains(&times[0]) && times[1] > times[0] + 60.0, "{table}");
        let still = run.decisions.iter().find(|d| d.state == Some(ScalerState::Stuck)).unwrap();
        assert!(still.at < 75.0 && still.sentence.contains("More replicas would not help"), "{table}");
        let drained = run.figures.drains[0].seconds.unwrap();
        assert!(drained <= 120.0, "drained in {drained} s\n{table}");
    }

    /// A load four times what there is, and a backlog: one step to all that help, once it is known what
    /// a replica can do, and no other afterwards, as 480/s need them (6 can do 360/s). KEDA took three.
    #[rstest]
    #[case::with_time("10m", 105.0)]
    #[case::in_a_hurry("2m", 60.0)]
    fn the_step_needs_one_write(
        #[case] recover_within: &str,
        #[case] known_by: f64,
        #[values(None, Some(1), Some(2), Some(3))] seed: Option<u64>,
    ) {
        let run = ours(step(), 2, recover_within, seed);
        let (numbers, times) = path(&run);
        assert_eq!(numbers, [12], "{}", table::decisions(&run));
        assert!(times[0] <= known_by, "{}", table::decisions(&run));
    }
}
