//! The loads of the recorded runs, in the simulator: the loop closed.
//!
//! Open loop (`replay`) shows that the model writes what KEDA wrote when it sees what KEDA saw.
//! Here the plant has to bring forth what it sees, too.

use spillway::simulate::assignment::Assignor;
use spillway::simulate::{Event, PlantConfig, Protocol, Scenario, Skew, TopicConfig, Traffic};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keda::{Keda, ScaledObject, Trigger};
    use rstest::rstest;
    use spillway::simulate::run;

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
}
