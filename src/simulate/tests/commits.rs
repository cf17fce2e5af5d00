//! Consumers that commit seldom: Kafka Connect each minute, Flink at its checkpoints.

use rstest::rstest;

use super::*;
use crate::decide::ScalerState;

fn plant(replicas: i32, commit_interval: f64, commits_together: bool) -> PlantConfig {
    let partitions = vec![TopicConfig { name: "orders".into(), partitions: 12, skew: Skew::Even }];
    PlantConfig { partitions, commit_interval, commits_together, ..fixed(replicas) }
}

/// The engine, and what it said last.
struct Heard(Engine, String);

impl Controller for Heard {
    fn name(&self) -> String {
        self.0.name()
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        let asked = self.0.look(view);
        if let Some(decision) = self.0.decision() {
            self.1 = crate::report::sentence::sentence("orders", decision);
        }
        asked
    }

    fn decision(&self) -> Option<&crate::decide::Decision> {
        self.0.decision()
    }
}

fn done(plant: &PlantConfig, policy: Policy, traffic: Traffic, duration: f64) -> (Run, String) {
    let scenario = Scenario { name: "commits".into(), duration, traffic, events: Vec::new() };
    let max_delay = policy.max_delay;
    let mut engine = Heard(Engine::new(policy), String::new());
    let run = run(plant, &scenario, max_delay, &mut engine, 1);
    (run, engine.1)
}

/// Ten times the load within two minutes, for half an hour.
#[rstest]
fn a_rise_is_met_however_seldom_consumers_commit(
    #[values(5.0, 20.0, 30.0, 60.0)] apart: f64,
    #[values(false, true)] together: bool,
    #[values(0, 1, 3)] replicas: i32,
) {
    let traffic = Traffic::points(vec![(600.0, 40.0), (700.0, 400.0), (2400.0, 400.0), (2500.0, 40.0)]);
    let policy = Policy { max_delay: 60.0, min_replicas: replicas.min(1), ..policy(12) };
    let (run, _) = done(&plant(replicas, apart, together), policy, traffic, 7200.0);
    let told = || format!("{:#?} {:#?}", run.writes, run.decisions);
    let most = run.writes.iter().map(|w| w.to).max();
    assert!(most >= Some(8), "400/s need seven at least: {}", told());
    let stuck = run.decisions.iter().filter(|d| d.state == Some(ScalerState::Stuck)).count();
    assert_eq!(stuck, 0, "something is processed all the time: {}", told());
    assert!(run.figures.peak_delay < 420.0, "late for {}: {}", run.figures.peak_delay, told());
    let last = run.writes.last().unwrap();
    assert!(last.to <= 3, "and is taken back: {}", told());
    assert!(run.writes.len() <= 8, "{}", told());
}

#[rstest]
fn a_delay_that_commits_alone_make_is_not_late_and_its_owner_is_told(
    #[values(20.0, 30.0, 60.0)] apart: f64,
    #[values(false, true)] together: bool,
    #[values(2, 3)] replicas: i32,
) {
    let policy = Policy { max_delay: 45.0, min_replicas: replicas, ..policy(12) };
    let (run, said) = done(&plant(replicas, apart, together), policy, Traffic::constant(80.0), 3600.0);
    assert_eq!(run.writes, [], "{:#?}", run.decisions);
    for decided in &run.decisions {
        assert_eq!(decided.state, Some(ScalerState::KeepingUp), "{:#?}", run.decisions);
    }
    let cannot =
        said.contains("commits come about every") && said.contains("maxDelay 45s is kept cannot be seen");
    assert_eq!(cannot, apart > 35.0, "{said}");
}
