//! The plant and the loop as a whole: nothing is lost, nothing is left to chance, and what the
//! engine does in the named cases.

mod commits;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::decide::{GroupPolicy, Mode, Policy, StartFrom, Tuning};

/// Asks for what a list says, at the times it says.
struct Script(Vec<(f64, i32)>);

impl Controller for Script {
    fn name(&self) -> String {
        "script".to_owned()
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        self.0.iter().find(|(at, _)| *at == view.now).map(|(_, to)| *to)
    }
}

pub(super) fn policy(max_replicas: i32) -> Policy {
    Policy {
        groups: vec![GroupPolicy { group: "orders".into(), start_from: StartFrom::Earliest }],
        min_replicas: 1,
        max_replicas,
        threads_per_replica: 1,
        max_delay: 30.0,
        recover_within: 600.0,
        fallback: None,
        down_window: 600.0,
        down_max_step: 0.5,
        mode: Mode::Active,
        sweep_interval: 5.0,
        tuning: Tuning::default(),
    }
}

fn quiet(plant: PlantConfig) -> PlantConfig {
    PlantConfig { capacity_noise: 0.0, ..plant }
}

fn fixed(replicas: i32) -> PlantConfig {
    PlantConfig { initial_replicas: replicas, ..PlantConfig::default() }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_not() {
    let case = named("bursty", &fixed(6), 5).unwrap();
    let scenario = Scenario { duration: 3600.0, ..case.scenario };
    let once = |seed| run(&case.plant, &scenario, 30.0, &mut Engine::new(policy(24)), seed);
    let (a, b, c) = (once(5), once(5), once(6));
    assert_eq!((&a.figures, &a.series, &a.decisions), (&b.figures, &b.series, &b.decisions));
    assert_ne!(a.figures.messages, c.figures.messages);
}

#[test]
fn all_controllers_meet_the_same_traffic() {
    let case = named("outage", &fixed(8), 1).unwrap();
    let scenario = Scenario { duration: 5000.0, ..case.scenario };
    let idle = run(&case.plant, &scenario, 30.0, &mut Script(Vec::new()), 1);
    let busy =
        run(&case.plant, &scenario, 30.0, &mut Script(vec![(100.0, 12), (3000.0, 3), (4500.0, 24)]), 1);
    let arrivals = |r: &Run| r.series.iter().map(|s| s.arrival).collect::<Vec<_>>();
    assert_eq!(arrivals(&idle), arrivals(&busy));
    assert_eq!((busy.figures.writes, busy.figures.reversals), (3, 2));
}

#[test]
fn late_message_seconds_against_a_hand_computed_outage() {
    // 100 msg/s, smooth; nothing is processed from 100 s to 200 s; then 24 partitions are drained
    // at 24 × 60 = 1440 msg/s. Message x of the backlog arrived x/100 s after 100 s and is
    // processed at 200 + x/1440: it waits 100 − x·(1/100 − 1/1440). Later than 30 s are those with
    // x < 70/(1/100 − 1/1440) = 7522.4, by 70 − x·0.0093056: half of 70 × 7522.4 = 263,284 in all.
    let plant = quiet(PlantConfig { commit_interval: 1.0, ..fixed(24) });
    let scenario = Scenario {
        name: "hand".into(),
        duration: 400.0,
        traffic: Traffic::constant(100.0).smooth(),
        events: vec![Event::ConsumersStopped { from: 100.0, to: 200.0 }],
    };
    let run = run(&plant, &scenario, 30.0, &mut Script(Vec::new()), 1);
    let f = &run.figures;
    assert!((f.late_message_seconds - 263_284.0).abs() < 20.0, "{}", f.late_message_seconds);
    assert!((f.late_share * f.messages - 7522.4).abs() < 1.0, "{}", f.late_share * f.messages);
    assert!((f.peak_delay - 100.0).abs() < 0.1, "{}", f.peak_delay);
    // 10,000 waiting at 200 s, what arrives meanwhile comes after them: 10,000/1,440 = 6.9 s.
    assert_eq!(f.drains, [Drain { outage_ended: 200.0, seconds: Some(8.0) }]);
    assert!((f.replica_hours - 24.0 * 400.0 / 3600.0).abs() < 1e-9);
}

#[test]
fn more_than_the_downstream_takes_is_never_processed() {
    let plant = PlantConfig { downstream_ceiling: Some(300.0), ..fixed(24) };
    let scenario =
        Scenario { name: "c".into(), duration: 600.0, traffic: Traffic::constant(400.0), events: Vec::new() };
    let run = run(&plant, &scenario, 30.0, &mut Script(Vec::new()), 1);
    assert!(run.series.iter().all(|s| s.consumed <= 300.01));
    assert!(run.series.last().unwrap().lag > 50_000.0);
}

#[test]
fn a_crash_is_paid_for_with_the_session_and_the_work_done_twice() {
    let case = named("crash", &fixed(14), 1).unwrap();
    let run = run(&case.plant, &case.scenario, 30.0, &mut Script(Vec::new()), 1);
    assert!((45.0..60.0).contains(&run.figures.peak_delay), "{}", run.figures.peak_delay);
    // One when it comes back, one when the dead member is given up.
    assert_eq!(run.figures.rebalances, 2);
    assert_eq!(run.figures.lost, 0.0);
}

fn any_event() -> impl Strategy<Value = Event> {
    let times = (0.0..500.0f64, 1.0..300.0f64).prop_map(|(from, length)| (from, from + length));
    (times, 0..9usize, 0..12usize).prop_map(|((from, to), kind, partition)| match kind {
        0 => Event::ConsumersStopped { from, to },
        1 => Event::ConsumersGone { from, to },
        2 => Event::ConsumerCrash { at: from, pods: partition },
        3 => Event::BrokerLost { from, to, brokers: 3 },
        4 => Event::Rollout { at: from, capacity: 30.0 },
        5 => Event::DownstreamCeiling { from, to, limit: 50.0 },
        6 => Event::Poison { partition, from, to },
        7 => Event::Hot { partition, from, to, factor: 20.0 },
        _ => Event::Burst { at: from, messages: 5000.0 },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_message_is_lost_or_made_up(
        seed in any::<u64>(),
        events in prop::collection::vec(any_event(), 0..4),
        protocol in prop_oneof![Just(Protocol::Eager), Just(Protocol::Cooperative), Just(Protocol::Kip848)],
        retention in prop::option::of(50.0..300.0f64),
        asked in prop::collection::vec((0u32..700, 0..16i32), 0..6),
        rate in 0.0..900.0f64,
        threads in 1..3i32,
    ) {
        let topics = [7, 5].map(|n| TopicConfig { name: format!("t{n}"), partitions: n, skew: Skew::Zipf(0.5) });
        let plant = PlantConfig { partitions: topics.into(), protocol, retention, threads, ..fixed(3) };
        let scenario = Scenario { name: "any".into(), duration: 700.0, traffic: Traffic::constant(rate), events };
        let mut plant = Plant::new(&plant, &scenario, 20.0, seed);
        let mut arrived = 0.0;
        for second in 0..700u32 {
            if let Some((_, to)) = asked.iter().find(|(at, _)| *at == second) {
                plant.ask_for(*to);
            }
            let before: f64 = plant.partitions.iter().map(|p| p.done).sum();
            arrived += plant.step(&scenario).arrived;
            let done: f64 = plant.partitions.iter().map(|p| p.done).sum();
            prop_assert!(done >= before - 1e-6);
            prop_assert!((plant.lag() + done - arrived).abs() < 1e-3, "{} + {done} is not {arrived}", plant.lag());
            for p in &plant.partitions {
                prop_assert!(p.committed <= p.position + 1e-9 || p.position == p.start);
                prop_assert!(p.position <= p.arrived && p.done <= p.arrived && p.start <= p.arrived);
                prop_assert!(retention.is_some() || p.lost == 0.0);
            }
            prop_assert!(plant.ready_replicas() as usize <= plant.pods());
            prop_assert!(plant.delay().is_finite() && plant.delay() >= 0.0);
        }
    }
}

/// What a person reads of each case that is over within hours, as it is by default: a change of the rules shows here.
#[rstest]
fn the_table_of(
    #[values(
        "constant",
        "step",
        "drain",
        "rise",
        "flash-crowd",
        "outage",
        "crash-loop",
        "crash",
        "hot-partition",
        "poison",
        "slow-downstream",
        "slow-messages",
        "relapse",
        "broker-loss",
        "partial-metadata",
        "blind",
        "rollout",
        "retention",
        "prime",
        "idle-burst"
    )]
    name: &str,
) {
    // 8 are too many or too few for most loads; the rise is about those that are just enough.
    let initial_replicas = if name == "rise" { 12 } else { 8 };
    let case = named(name, &PlantConfig { initial_replicas, ..PlantConfig::default() }, 1).unwrap();
    let policy = Policy { down_window: 60.0, down_max_step: 1.0, ..policy(24) };
    let run = run(&case.plant, &case.scenario, 30.0, &mut Engine::new(policy), 1);
    right::hold(name, &run);
    insta::assert_snapshot!(name, format!("{}\n{}", table::decisions(&run), table::summary(&run, 600.0)));
}

#[test]
fn a_backlog_that_is_there_from_the_start_never_counts_as_arriving() {
    let case = named("drain", &fixed(12), 1).unwrap();
    let run = run(&case.plant, &case.scenario, 30.0, &mut Engine::new(policy(24)), 1);
    let said: Vec<&str> = run.decisions.iter().map(|d| d.sentence.as_str()).collect();
    let rates = said.iter().flat_map(|s| s.split(' ')).filter_map(|word| word.strip_suffix("/s"));
    for rate in rates {
        let rate: f64 = rate.replace(',', "").parse().unwrap();
        assert!(rate < 1000.0, "432/s arrive, and: {said:#?}");
    }
    assert!(run.writes.iter().any(|w| w.to == 24), "{said:#?}");
    let recovery = table::summary(&run, 600.0);
    let recovery = recovery.lines().find(|l| l.starts_with("recovery")).unwrap_or_default();
    assert!(recovery.contains(" after the start; objective 10m: "), "{recovery}");
}

#[test]
fn a_schedule_raises_replicas_before_its_time_begins() {
    let schedule = crate::api::Schedule {
        name: "mornings".into(),
        // A quarter past one in Madrid is a quarter past midnight in UTC.
        cron: "15 1 * * 1".into(),
        duration: "30m".into(),
        time_zone: "Europe/Madrid".into(),
        min_replicas: 9,
    };
    let calendar = crate::calendar::Calendar::of(&[schedule]).unwrap();
    let monday = 1_704_067_200.0;
    let scenario =
        Scenario { name: "s".into(), duration: 7200.0, traffic: Traffic::constant(60.0), events: Vec::new() };
    let on = |begin| {
        let mut engine = Engine::new(policy(24)).with_schedules(calendar.clone(), begin);
        run(&fixed(2), &scenario, 30.0, &mut engine, 1)
    };
    let run = on(monday);
    let up = run.writes.first().unwrap();
    assert!((700.0..900.0).contains(&up.at) && up.to == 9, "{:?}", run.writes);
    let ready = run.series.iter().find(|s| s.at == 900.0).unwrap().ready;
    assert_eq!(ready, 9, "all are there when it begins");
    let said = run.decisions.iter().find(|d| d.to == 9).unwrap();
    assert!(said.sentence.contains("schedule mornings begins in "), "{}", said.sentence);
    let down = run.writes.last().unwrap();
    assert!(down.at >= 2700.0 && down.to < 9, "{:?}", run.writes);
    assert!(on(monday + 86_400.0).writes.iter().all(|w| w.to < 9), "it is not Monday");
}

#[test]
fn the_plot_has_all_its_parts_and_is_one_picture() {
    let case = named("outage", &fixed(12), 1).unwrap();
    let scenario = Scenario { duration: 6000.0, ..case.scenario };
    let run = run(&case.plant, &scenario, 30.0, &mut Engine::new(policy(24)), 1);
    let svg = plot::svg(&run, &plot::events(&scenario)).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for text in [
        "Traffic",
        "messages / s",
        "Lag",
        "Delay",
        "objective, 30s",
        "minutes",
        "nothing is processed",
        "FallingBehind",
        "prefers-color-scheme: dark",
        "asked for",
        "ready",
        "rebalance",
        "time since the start, hh:mm",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(svg.len() < 500_000, "{}", svg.len());
}

#[test]
fn in_the_retention_race_who_waits_loses_messages() {
    let case = named("retention", &fixed(12), 1).unwrap();
    let race = |asked: Vec<(f64, i32)>| {
        let run = run(&case.plant, &case.scenario, 30.0, &mut Script(asked), 1);
        run.figures.lost
    };
    assert!(race(Vec::new()) > 1000.0);
    assert_eq!(race(vec![(3600.0 + 28.0 * 60.0 + 120.0, 24)]), 0.0);
}

#[test]
fn partitions_that_move_together_keep_no_more_consumers_busy_than_there_are_numbers() {
    let topic = |name: &str| TopicConfig { name: name.into(), partitions: 12, skew: Skew::Even };
    let plant = PlantConfig {
        partitions: vec![topic("orders"), topic("bills")],
        assignor: Some(assignment::Assignor::Range),
        protocol: Protocol::Eager,
        ..quiet(fixed(4))
    };
    let case = named("outage", &plant, 1).unwrap();
    // What the group could process with a consumer for each partition is twice what it can with the range assignor.
    let scenario = Scenario { traffic: Traffic::constant(0.15 * plant.group_capacity()), ..case.scenario };
    let run = run(&plant, &scenario, 30.0, &mut Engine::new(policy(24)), 1);
    let most = run.writes.iter().map(|w| w.to).max().unwrap();
    assert_eq!(most, 12, "{:?}", run.writes);

    // With ten times the load it is told why there are no more: 24 partitions are not too few.
    let case = named("step", &plant, 1).unwrap();
    let run = super::run(&plant, &case.scenario, 30.0, &mut Engine::new(policy(24)), 1);
    let said: String = run.decisions.iter().map(|d| format!("{}\n", d.sentence)).collect();
    assert!(
        said.contains("so at most 12 consumers have work: with another assignor up to 24 would"),
        "{said}"
    );
    assert!(
        !said.contains("more consumers than there are partitions") && !said.contains("12 partitions"),
        "{said}"
    );
}

#[test]
fn what_arrived_before_a_step_down_is_no_reason_to_go_up_again() {
    // Ten times the load for two hours, and a window shorter than what arrivals are averaged over for sizing up.
    for seed in 1..=4 {
        let case = named("step", &fixed(3), seed).unwrap();
        let policy = Policy { down_window: 60.0, down_max_step: 1.0, ..policy(24) };
        let done = run(&case.plant, &case.scenario, 30.0, &mut Engine::new(policy), seed);
        let path: Vec<(f64, i32)> = done.writes.iter().map(|w| (w.at, w.to)).collect();
        let turns = path.windows(2).filter(|w| w[1].1 > w[0].1 && w[1].0 > 3.0 * 3600.0).count();
        assert_eq!(turns, 0, "seed {seed}: {path:?}");
        assert!(path.last().is_some_and(|(at, _)| *at > 3.0 * 3600.0), "seed {seed}: it went back: {path:?}");
    }
}

#[test]
fn a_limit_that_a_step_for_what_was_to_come_meets_is_found_out() {
    // Five times the load in a moment: replicas are there before messages wait, and three of them were enough for
    // what their database takes.
    let topic = TopicConfig { partitions: 12, ..PlantConfig::default().partitions[0].clone() };
    let plant = PlantConfig { partitions: vec![topic], downstream_ceiling: Some(150.0), ..fixed(3) };
    let traffic = Traffic::points(vec![(0.0, 100.0), (1200.0, 100.0), (1201.0, 500.0)]);
    let scenario = Scenario { name: "limit".into(), duration: 2400.0, traffic, events: Vec::new() };
    let policy = Policy { down_window: 60.0, down_max_step: 1.0, max_delay: 60.0, ..policy(12) };
    let done = run(&plant, &scenario, 60.0, &mut Engine::new(policy), 1);
    let path: Vec<(f64, i32)> = done.writes.iter().map(|w| (w.at, w.to)).collect();
    assert!(matches!(path[..], [(_, up), (_, 3), ..] if up > 3), "up for the rise, and back: {path:?}");
    assert!(path[1..].iter().all(|(_, to)| *to <= 4), "tried out carefully after that: {path:?}");
    let said: Vec<&str> = done.decisions.iter().filter_map(|d| d.state.map(|s| s.as_str())).collect();
    assert!(said.contains(&"DownstreamSaturated"), "{said:?}");
}
