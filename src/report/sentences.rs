//! Every sentence that a person can get, in one file to be read: `snapshots/…sentences.snap`.
//!
//! Decisions are made up here, one for each rule, limit and state that puts other words together,
//! with numbers that go together. Whether the engine makes such decisions is not looked at. Those of several groups
//! are in `several`.

mod several;

use std::fmt::Write as _;

use super::sentence::{news, sentence, would_change};
use crate::decide::{
    Base, Decision, GroupNumbers, Limit, News, Numbers, Rule, ScalerState, Scheduled, Turning,
};

/// A made-up decision: 31,240 behind at 2 replicas of 61 msg/s.
pub(super) fn decision(rule: Rule, from: i32, to: i32) -> Decision {
    Decision {
        at: 0.0,
        from: Some(from),
        to: Some(to),
        write: from != to,
        state: ScalerState::FallingBehind,
        rule,
        limits: Vec::new(),
        numbers: Numbers {
            lag: Some(31_240),
            delay: Some(74.0),
            arrival: Some(420.0),
            service: Some(120.0),
            capacity: Some(61.0),
            demand: Some(to),
            eta: Some(130.0),
            max_delay: 30.0,
            recover_within: 180.0,
            deadline_in: Some(150.0),
            min_replicas: 3,
            max_replicas: 6,
            unseen: 600.0,
            groups: vec![GroupNumbers {
                members: Some(from.max(0) as usize),
                partitions: 24,
                consumers: 24,
                ..GroupNumbers::default()
            }],
            ..Numbers::default()
        },
        problems: Vec::new(),
        news: Vec::new(),
        turning: Turning::default(),
        next_look: 5.0,
    }
}

fn with(mut decision: Decision, change: impl FnOnce(&mut Decision)) -> Decision {
    change(&mut decision);
    decision
}

fn limited(decision: Decision, limits: &[Limit]) -> Decision {
    with(decision, |d| d.limits = limits.to_vec())
}

/// The same, with nothing left behind.
fn in_time(decision: Decision) -> Decision {
    with(decision, |d| {
        (d.numbers.lag, d.numbers.delay, d.numbers.eta) = (Some(12), Some(0.4), Some(0.0));
        d.state = ScalerState::KeepingUp;
    })
}

fn staying(state: ScalerState, replicas: i32) -> Decision {
    with(decision(Rule::Enough, replicas, replicas), |d| d.state = state)
}

const HELD: [Limit; 5] =
    [Limit::MaxReplicas, Limit::Partitions, Limit::HotPartition, Limit::Downstream, Limit::DownStep];

/// Steps up.
fn up() -> Vec<(String, Decision)> {
    let mut all = vec![
        ("late".to_owned(), decision(Rule::ScaleUp, 2, 9)),
        ("to one".to_owned(), decision(Rule::ScaleUp, 0, 1)),
        ("in time".to_owned(), in_time(decision(Rule::ScaleUp, 2, 9))),
        ("in time, to one".to_owned(), in_time(decision(Rule::ScaleUp, 0, 1))),
        ("never cleared".to_owned(), with(decision(Rule::ScaleUp, 2, 9), |d| d.numbers.eta = None)),
        (
            "never cleared, were the burst to go on".to_owned(),
            with(decision(Rule::ScaleUp, 2, 9), |d| {
                (d.numbers.eta, d.numbers.arrival, d.numbers.planned) = (None, Some(0.0), Some(900.0));
            }),
        ),
        (
            "never cleared, were the rise to go on".to_owned(),
            with(decision(Rule::ScaleUp, 2, 9), |d| {
                (d.numbers.eta, d.numbers.planned, d.numbers.expected) = (None, Some(900.0), Some(800.0));
            }),
        ),
        ("never cleared, to one".to_owned(), with(decision(Rule::ScaleUp, 0, 1), |d| d.numbers.eta = None)),
        (
            "later than asked".to_owned(),
            with(decision(Rule::ScaleUp, 2, 9), |d| d.numbers.eta = Some(4000.0)),
        ),
        ("capacity not known".to_owned(), with(decision(Rule::ScaleUp, 0, 9), |d| d.numbers.capacity = None)),
        (
            "one message".to_owned(),
            with(decision(Rule::ScaleUp, 0, 1), |d| {
                (d.numbers.lag, d.numbers.arrival, d.numbers.delay) = (Some(1), None, Some(0.0));
                d.numbers.eta = Some(0.02);
            }),
        ),
        (
            "nothing arriving".to_owned(),
            with(decision(Rule::ScaleUp, 2, 9), |d| d.numbers.arrival = Some(0.0)),
        ),
        (
            "dry run".to_owned(),
            with(decision(Rule::ScaleUp, 2, 9), |d| {
                (d.write, d.numbers.eta, d.numbers.eta_wanted) = (false, None, Some(130.0));
            }),
        ),
        (
            "rising".to_owned(),
            with(in_time(decision(Rule::ScaleUp, 2, 9)), |d| d.numbers.expected = Some(800.0)),
        ),
        ("probe".to_owned(), decision(Rule::Probe, 2, 4)),
        ("probe from none".to_owned(), decision(Rule::Probe, 0, 1)),
        ("one fewer is tried".to_owned(), decision(Rule::TryFewer, 24, 23)),
        (
            "probe from none at the first message".to_owned(),
            with(decision(Rule::Probe, 0, 1), |d| {
                (d.numbers.lag, d.numbers.arrival, d.numbers.delay) = (Some(1), None, Some(0.0));
            }),
        ),
    ];
    for limit in HELD {
        all.push((limit.as_str().to_owned(), limited(decision(Rule::ScaleUp, 2, 9), &[limit])));
    }
    all.push(("two limits".to_owned(), limited(decision(Rule::ScaleUp, 2, 9), &HELD[..2])));
    let never = || with(decision(Rule::ScaleUp, 2, 9), |d| d.numbers.eta = None);
    let too_late = || with(decision(Rule::ScaleUp, 2, 9), |d| d.numbers.eta = Some(222.0));
    let both = [Limit::Partitions, Limit::HotPartition];
    let hot = |d: &mut Decision| d.numbers.hot = Some("orders-3".into());
    all.push(("too few partitions".to_owned(), limited(too_late(), &both[..1])));
    all.push(("one partition's backlog".to_owned(), limited(too_late(), &both)));
    all.push(("hot, never cleared".to_owned(), with(limited(never(), &both), hot)));
    let skips = |d: &mut Decision| (d.to, d.numbers.no_better) = (Some(24), Some((13, 23)));
    all.push(("over counts that do no better".to_owned(), with(decision(Rule::ScaleUp, 2, 9), skips)));
    let one = |d: &mut Decision| d.numbers.no_better = Some((8, 8));
    all.push(("over one that does no better".to_owned(), with(decision(Rule::ScaleUp, 2, 9), one)));
    let alike = |d: &mut Decision| d.numbers.groups[0].consumers = 12;
    all.push((
        "topics dealt out alike".to_owned(),
        with(limited(with(too_late(), |d| d.to = Some(12)), &both[..1]), alike),
    ));
    let skips = |d: &mut Decision| (d.to, d.numbers.no_better) = (Some(12), Some((7, 11)));
    let over = with(with(decision(Rule::ScaleUp, 2, 9), skips), alike);
    all.push(("topics dealt out alike, over counts that do no better".to_owned(), over));
    all.push(("another try".to_owned(), with(decision(Rule::ScaleUp, 2, 9), |d| d.numbers.retry = true)));
    all.push(("another probe".to_owned(), with(decision(Rule::Probe, 2, 4), |d| d.numbers.retry = true)));
    all
}

/// Whatever the load is.
fn asked_for() -> Vec<(String, Decision)> {
    let schedule = |begins_in: f64| {
        move |d: &mut Decision| {
            d.numbers.schedule =
                Some(Scheduled { name: "mornings".into(), min_replicas: 8, begins_in, ends_in: 9000.0 });
        }
    };
    let base = |d: &mut Decision| {
        d.numbers.base = Some(Base { replicas: 6, relapses: 3, changed_at: 0.0 });
    };
    let loss = |d: &mut Decision| d.numbers.time_to_loss = Some(400.0);
    let calm = |rule, from, to| in_time(decision(rule, from, to));
    let expired = |n: i64| move |d: &mut Decision| d.numbers.expired = n;
    let keeping = |limit| limited(in_time(staying(ScalerState::KeepingUp, 8)), &[limit]);
    vec![
        ("a schedule begins".to_owned(), with(calm(Rule::Schedule, 2, 8), schedule(45.0))),
        ("a schedule is on".to_owned(), with(calm(Rule::Schedule, 2, 8), schedule(0.0))),
        ("kept by a schedule".to_owned(), with(keeping(Limit::Schedule), schedule(0.0))),
        ("the base".to_owned(), with(calm(Rule::Base, 2, 6), base)),
        ("kept by the base".to_owned(), with(keeping(Limit::Base), base)),
        ("the deadline".to_owned(), with(decision(Rule::Deadline, 2, 9), loss)),
        (
            "the deadline, maxReplicas".to_owned(),
            limited(decision(Rule::Deadline, 2, 9), &[Limit::MaxReplicas]),
        ),
        ("offsets to be kept".to_owned(), calm(Rule::KeepOffsets, 0, 1)),
        ("for a while".to_owned(), with(decision(Rule::ScaleUp, 2, 9), |d| d.numbers.lasting = Some(4))),
        ("one is lost".to_owned(), with(staying(ScalerState::Recovering, 9), expired(1))),
        ("many are lost".to_owned(), with(staying(ScalerState::FallingBehind, 9), expired(12_345))),
    ]
}

/// Steps down, and those that rules for what is not seen ask for.
fn down() -> Vec<(String, Decision)> {
    let calm = || in_time(decision(Rule::ScaleDown, 9, 4));
    let unseen =
        |d: &mut Decision| d.problems = vec!["broker kafka-0:9092 refused the connection".to_owned()];
    vec![
        ("down".to_owned(), calm()),
        ("to one".to_owned(), with(calm(), |d| (d.to, d.numbers.demand) = (Some(1), Some(1)))),
        (
            "step limited".to_owned(),
            with(limited(calm(), &[Limit::DownStep]), |d| d.numbers.demand = Some(2)),
        ),
        ("kept by the window".to_owned(), with(calm(), |d| d.numbers.demand = Some(1))),
        (
            "kept by the minimum".to_owned(),
            with(limited(calm(), &[Limit::MinReplicas]), |d| {
                (d.to, d.numbers.demand) = (Some(3), Some(1));
            }),
        ),
        (
            "kept by the base".to_owned(),
            with(limited(calm(), &[Limit::Base]), |d| {
                d.numbers.demand = Some(1);
                d.numbers.base = Some(Base { replicas: 4, relapses: 3, changed_at: 0.0 });
            }),
        ),
        (
            "kept by a schedule".to_owned(),
            with(limited(calm(), &[Limit::Schedule]), |d| {
                let on =
                    Scheduled { name: "mornings".into(), min_replicas: 4, begins_in: 0.0, ends_in: 9000.0 };
                (d.numbers.demand, d.numbers.schedule) = (Some(1), Some(on));
            }),
        ),
        ("none needed".to_owned(), with(calm(), |d| d.numbers.demand = Some(0))),
        (
            "to none".to_owned(),
            with(in_time(decision(Rule::ScaleDown, 1, 0)), |d| {
                (d.numbers.lag, d.numbers.arrival) = (Some(0), Some(0.0));
                d.state = ScalerState::Idle;
            }),
        ),
        ("nothing arrives, some waits".to_owned(), with(calm(), |d| d.numbers.arrival = Some(0.0))),
        ("dry run".to_owned(), with(calm(), |d| d.write = false)),
        ("back".to_owned(), limited(decision(Rule::GoBack, 9, 4), &[Limit::Downstream])),
        ("back by one".to_owned(), limited(decision(Rule::GoBack, 5, 4), &[Limit::Downstream])),
        ("fallback".to_owned(), with(decision(Rule::Fallback, 2, 6), unseen)),
        ("fallback without a word".to_owned(), decision(Rule::Fallback, 2, 6)),
        ("below the minimum".to_owned(), limited(decision(Rule::Bounds, 1, 3), &[Limit::MinReplicas])),
        ("above the maximum".to_owned(), limited(decision(Rule::Bounds, 9, 6), &[Limit::MaxReplicas])),
    ]
}

/// Nothing is to be done: what the state means.
fn states() -> Vec<(String, Decision)> {
    use ScalerState as S;
    let stuck = |names: usize| {
        with(staying(S::Stuck, 2), |d| {
            d.numbers.stuck_partitions = (0..names).map(|p| format!("orders-{p}")).collect();
        })
    };
    let unseen = |problems: &[&str]| {
        with(staying(S::Blind, 2), |d| d.problems = problems.iter().map(|p| (*p).to_owned()).collect())
    };
    let members = |n: Option<usize>| {
        with(staying(S::Stuck, 2), |d| d.numbers.groups.iter_mut().for_each(|g| g.members = n))
    };
    let mut all = vec![
        ("idle".to_owned(), staying(S::Idle, 1)),
        ("keeping up".to_owned(), in_time(staying(S::KeepingUp, 9))),
        ("keeping up, one".to_owned(), in_time(staying(S::KeepingUp, 1))),
        ("keeping up, none".to_owned(), in_time(staying(S::KeepingUp, 0))),
        (
            "keeping up, none, nothing arriving".to_owned(),
            with(in_time(staying(S::KeepingUp, 0)), |d| d.numbers.arrival = Some(0.0)),
        ),
        (
            "keeping up, rate not known".to_owned(),
            with(in_time(staying(S::KeepingUp, 9)), |d| d.numbers.arrival = None),
        ),
        (
            "keeping up, hardly anything".to_owned(),
            with(in_time(staying(S::KeepingUp, 1)), |d| d.numbers.arrival = Some(0.003)),
        ),
        (
            "keeping up, commits far apart".to_owned(),
            with(in_time(staying(S::KeepingUp, 9)), |d| d.numbers.commits_apart = Some(62.0)),
        ),
        ("recovering".to_owned(), staying(S::Recovering, 9)),
        ("recovering, one".to_owned(), staying(S::Recovering, 1)),
        ("recovering, end not known".to_owned(), with(staying(S::Recovering, 9), |d| d.numbers.eta = None)),
        ("behind".to_owned(), staying(S::FallingBehind, 2)),
        ("behind, one".to_owned(), staying(S::FallingBehind, 1)),
        (
            "behind, by a minute".to_owned(),
            with(staying(S::FallingBehind, 2), |d| d.numbers.eta = Some(210.0)),
        ),
        (
            "behind, long after the time was over".to_owned(),
            with(staying(S::FallingBehind, 2), |d| d.numbers.deadline_in = Some(-7200.0)),
        ),
        (
            "just woken".to_owned(),
            with(staying(S::FallingBehind, 1), |d| (d.numbers.eta, d.numbers.waking) = (None, true)),
        ),
        ("a try under way".to_owned(), with(staying(S::Recovering, 4), |d| d.numbers.retry = true)),
        ("behind for good".to_owned(), with(staying(S::FallingBehind, 2), |d| d.numbers.eta = None)),
        (
            "behind, rates not known".to_owned(),
            with(staying(S::FallingBehind, 2), |d| {
                (d.numbers.eta, d.numbers.arrival, d.numbers.service) = (None, None, None);
            }),
        ),
        (
            "behind, although more is processed".to_owned(),
            with(staying(S::FallingBehind, 2), |d| {
                (d.numbers.eta, d.numbers.service) = (None, Some(430.0));
            }),
        ),
        ("stuck".to_owned(), staying(S::Stuck, 2)),
        ("stuck, one member".to_owned(), members(Some(1))),
        ("stuck, no members".to_owned(), members(Some(0))),
        ("stuck, one partition".to_owned(), stuck(1)),
        (
            "stuck, one member of several".to_owned(),
            with(stuck(2), |d| d.numbers.stuck_members = vec!["consumer-1-5f2 on 10.0.0.7".into()]),
        ),
        ("behind at least".to_owned(), with(staying(S::Recovering, 9), |d| d.numbers.undated = true)),
        ("stuck, three partitions".to_owned(), stuck(3)),
        ("stuck, many partitions".to_owned(), stuck(12)),
        ("saturated".to_owned(), limited(staying(S::DownstreamSaturated, 4), &[Limit::Downstream])),
        ("blind".to_owned(), unseen(&["broker kafka-0:9092 refused the connection"])),
        ("blind for three reasons".to_owned(), unseen(&["partition orders-3 has no leader", "b", "c"])),
        ("blind without a word".to_owned(), unseen(&[])),
        (
            "blind after the fallback".to_owned(),
            with(unseen(&["broker kafka-0:9092 refused the connection"]), |d| d.rule = Rule::Fallback),
        ),
        ("paused".to_owned(), staying(S::Paused, 2)),
        (
            "invalid".to_owned(),
            with(
                unseen(&["minReplicas (9) is above maxReplicas (8)", "threadsPerReplica must be at least 1"]),
                |d| d.state = S::Invalid,
            ),
        ),
        (
            "the workload was not read".to_owned(),
            with(unseen(&["deployments.apps \"orders\" not found"]), |d| (d.from, d.to) = (None, None)),
        ),
    ];
    for rule in [Rule::WarmingUp, Rule::Confirming, Rule::Settling, Rule::CannotHelp] {
        all.push((
            format!("behind, {}", rule.as_str()),
            with(staying(S::FallingBehind, 2), |d| d.rule = rule),
        ));
    }
    for limit in
        HELD.into_iter().chain([Limit::MinReplicas, Limit::DownWindow, Limit::PausedScaleDown, Limit::DryRun])
    {
        all.push((format!("behind, {}", limit.as_str()), limited(staying(S::FallingBehind, 2), &[limit])));
    }
    all
}

#[test]
fn sentences() {
    let mut text = String::new();
    for (heading, decisions) in [
        ("Up", up()),
        ("Whatever the load", asked_for()),
        ("Down, and what is not seen", down()),
        ("As it is", states()),
        ("Of two groups", several::all()),
    ] {
        let _ = writeln!(text, "{heading}\n");
        for (name, decision) in decisions {
            let said = sentence("orders", &decision);
            assert!(!said.contains('\n') && !said.contains("  ") && !said.is_empty(), "{said:?}");
            let _ = writeln!(text, "  {name}\n      {said}");
        }
        text.push('\n');
    }
    text.push_str("Told once\n\n");
    for told in [
        News::Relapsed { to: 3, window: 1200.0 },
        News::BaseRaised { from: 3, to: 4, relapses: 2 },
        News::BaseLowered { from: 4, to: 3 },
        News::Expired { group: "orders".into(), messages: 1 },
        News::Expired { group: "orders".into(), messages: 12_345 },
    ] {
        let (word, said) = news("orders", &told);
        let _ = writeln!(text, "  {word}\n      {said}");
    }
    text.push_str("\nWhat would change it\n\n");
    let never = Turning::default();
    for turning in [
        Turning { up_above: Some(165.0), down_below: Some(96.0), ..never.clone() },
        Turning { up_above: Some(165.0), up_delay: Some(85.0), ..never.clone() },
        Turning { up_above: Some(165.0), down_below: Some(96.0), down_in: Some(130.0), ..never.clone() },
        Turning { held_for: Some(280.0), ..never.clone() },
        Turning { fallback_in: Some(200.0), ..never },
    ] {
        let said = would_change(&with(staying(ScalerState::KeepingUp, 3), |d| d.turning = turning));
        let _ = writeln!(text, "  {}", said.unwrap_or_default());
    }
    insta::assert_snapshot!(text);
}
