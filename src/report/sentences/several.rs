//! Made-up decisions for two groups: the sentence is of one of them, by name, or of both.

use super::{Decision, GroupNumbers, Limit, Rule, ScalerState, Scheduled, decision, in_time, limited, with};

/// The first of two groups gets 100/s at 60/s a replica and is late; the other gets 300/s at 400/s and is in time.
fn two(rule: Rule, from: i32, to: i32) -> Decision {
    with(decision(rule, from, to), |d| {
        let shared = GroupNumbers { members: Some(1), partitions: 24, consumers: 24, ..Default::default() };
        let orders = GroupNumbers {
            group: "orders".into(),
            lag: Some(4000),
            delay: Some(74.0),
            arrival: Some(100.0),
            service: Some(60.0),
            capacity: Some(60.0),
            demand: Some(3),
            eta: Some(130.0),
            ..shared.clone()
        };
        let audit = GroupNumbers {
            group: "audit".into(),
            lag: Some(30),
            delay: Some(0.1),
            arrival: Some(300.0),
            service: Some(310.0),
            capacity: Some(400.0),
            demand: Some(1),
            eta: Some(0.0),
            eta_as_is: Some(0.0),
            ..shared
        };
        let n = &mut d.numbers;
        (n.lag, n.arrival, n.service, n.capacity) = (Some(4030), Some(400.0), Some(370.0), Some(60.0));
        (n.subject, n.worst, n.groups) = (Some(0), Some(0), vec![orders, audit]);
    })
}

pub(super) fn all() -> Vec<(String, Decision)> {
    use ScalerState as S;
    let stays = |state| with(two(Rule::Enough, 1, 1), |d| d.state = state);
    let first = |change: fn(&mut GroupNumbers)| move |d: &mut Decision| change(&mut d.numbers.groups[0]);
    let other = |change: fn(&mut GroupNumbers)| move |d: &mut Decision| change(&mut d.numbers.groups[1]);
    let calm = |rule, from, to| {
        with(
            in_time(two(rule, from, to)),
            first(|g| {
                (g.lag, g.delay, g.eta, g.service) = (Some(9), Some(0.1), Some(0.0), Some(100.0));
            }),
        )
    };
    let narrow = |g: &mut GroupNumbers| {
        (g.partitions, g.consumers, g.limits) = (6, 6, vec![Limit::Partitions]);
        g.eta = Some(900.0);
    };
    vec![
        ("up".to_owned(), two(Rule::ScaleUp, 1, 3)),
        ("up, in time".to_owned(), calm(Rule::ScaleUp, 1, 3)),
        (
            "up, and it is late for another".to_owned(),
            with(two(Rule::ScaleUp, 1, 3), other(|g| g.eta = Some(900.0))),
        ),
        (
            "up, and it does not do for another".to_owned(),
            with(two(Rule::ScaleUp, 1, 3), other(|g| g.eta = None)),
        ),
        (
            "up, the first has too few partitions".to_owned(),
            with(limited(two(Rule::ScaleUp, 1, 6), &[Limit::Partitions]), first(narrow)),
        ),
        (
            "up, the other has too few partitions".to_owned(),
            with(limited(two(Rule::ScaleUp, 1, 6), &[Limit::Partitions]), other(narrow)),
        ),
        ("probe".to_owned(), with(two(Rule::Probe, 1, 2), first(|g| g.capacity = None))),
        (
            "the deadline".to_owned(),
            with(two(Rule::Deadline, 1, 3), |d| d.numbers.time_to_loss = Some(400.0)),
        ),
        ("down".to_owned(), calm(Rule::ScaleDown, 5, 3)),
        (
            "to none".to_owned(),
            with(calm(Rule::ScaleDown, 1, 0), |d| {
                (d.numbers.lag, d.numbers.arrival) = (Some(0), Some(0.0));
                d.numbers.groups.iter_mut().for_each(|g| (g.lag, g.arrival) = (Some(0), Some(0.0)));
            }),
        ),
        ("back".to_owned(), two(Rule::GoBack, 3, 1)),
        (
            "a schedule".to_owned(),
            with(calm(Rule::Schedule, 2, 8), |d| {
                let (name, ends_in) = ("mornings".into(), 9000.0);
                d.numbers.schedule = Some(Scheduled { name, min_replicas: 8, begins_in: 0.0, ends_in });
            }),
        ),
        ("idle".to_owned(), stays(S::Idle)),
        ("keeping up".to_owned(), with(calm(Rule::Enough, 3, 3), |d| d.state = S::KeepingUp)),
        ("recovering".to_owned(), with(stays(S::Recovering), first(|g| g.eta_as_is = Some(120.0)))),
        ("behind".to_owned(), with(stays(S::FallingBehind), first(|g| g.eta_as_is = Some(900.0)))),
        ("behind for good".to_owned(), stays(S::FallingBehind)),
        ("stuck".to_owned(), stays(S::Stuck)),
        ("saturated".to_owned(), stays(S::DownstreamSaturated)),
    ]
}
