//! What Kafka answers about a group, sweep after sweep, up to the decision.
//!
//! A broker of somebody's own may answer anything: numbers that are none, partitions twice, errors that
//! nobody has heard of, topics that nobody asked for.

use spillway::decide::{Decision, Learnt, Observation, Policy, State, Time, Workload, decide};
use spillway::kafka::outside::{Answered, Group, Partition, observed};
use spillway::kafka::{GroupRequest, Isolation};
use spillway::validate;

use super::dice::Dice;

const TOPICS: [&str; 4] = ["orders", "bills", "", "a\nb"];
/// A moment at which it begins.
pub const BEGIN: Time = 1_700_000_000.0;

pub fn group(data: &[u8]) {
    let mut dice = Dice::of(data);
    let policy = policy(&mut dice);
    let request = GroupRequest {
        group: "orders".into(),
        topics: dice.yes(2).then(|| TOPICS.map(str::to_owned)[..1 + dice.below(4)].to_vec()),
        remembered: if dice.yes(3) { vec!["bills".into()] } else { Vec::new() },
        isolation: if dice.yes(2) { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
        resting: false,
    };
    let mut state = State::restored(Learnt::default(), None);
    let (mut now, mut replicas) = (BEGIN, 1);
    for look in 0..40 {
        if look > 3 && !dice.more() {
            break;
        }
        now += match dice.below(8) {
            0 => 0.0,
            1 => 3600.0,
            2 => -30.0,
            _ => policy.sweep_interval,
        };
        let seen = Observation {
            groups: vec![observed(&request, &answers(&mut dice, look), now)],
            workload: if dice.yes(16) { Err("gone".into()) } else { Ok(workload(&mut dice, replicas)) },
            schedules: Vec::new(),
        };
        let (decision, next) = decide(&policy, std::mem::take(&mut state), &seen, now);
        state = next;
        sound(&policy, &decision, &state.learnt);
        if let (true, Some(to)) = (decision.write, decision.to) {
            replicas = to;
        }
    }
}

fn policy(dice: &mut Dice<'_>) -> Policy {
    let yaml = [
        "{scaleTargetRef: {name: o}, maxReplicas: 8, consumerGroups: [{group: orders, bootstrapServers: ['k:1']}]}",
        "{scaleTargetRef: {name: o}, minReplicas: 0, maxReplicas: 10000, threadsPerReplica: 256, objective: {maxDelay: 1s, recoverWithin: 10s}, behavior: {scaleDown: {window: 0s, maxStepPercent: 1}}, consumerGroups: [{group: orders, startFrom: latest, bootstrapServers: ['k:1']}]}",
        "{scaleTargetRef: {name: o}, minReplicas: 3, maxReplicas: 3, mode: PausedScaleDown, fallback: {after: 0s, replicas: 3}, objective: {maxDelay: 168h, recoverWithin: 168h}, consumerGroups: [{group: orders, bootstrapServers: ['k:1']}]}",
    ][dice.below(3)];
    let spec = serde_yaml::from_str(yaml).unwrap_or_else(|e| panic!("{yaml}: {e}"));
    validate::policy(&spec, [1.0, 5.0, 300.0][dice.below(3)]).unwrap_or_else(|e| panic!("{yaml}: {e:?}"))
}

pub fn workload(dice: &mut Dice<'_>, replicas: i32) -> Workload {
    let replicas = match dice.below(24) {
        0 => dice.whole() as i32,
        1 => 0,
        _ => replicas,
    };
    Workload {
        replicas,
        pods: if dice.yes(8) { dice.whole() as i32 } else { replicas },
        ready: (!dice.yes(4)).then(|| if dice.yes(8) { dice.whole() as i32 } else { replicas }),
        template: (!dice.yes(4)).then(|| format!("t{}", dice.below(20) / 18)),
        rolling_out: dice.yes(16),
    }
}

fn partition(dice: &mut Dice<'_>) -> Partition {
    let number = if dice.yes(24) { dice.whole() as i32 } else { dice.below(6) as i32 };
    (TOPICS[dice.below(TOPICS.len() * 4).saturating_sub(12)].to_owned(), number)
}

fn answer(dice: &mut Dice<'_>, about: i64) -> Result<Answered, i32> {
    if dice.yes(24) {
        return Err(dice.whole() as i32);
    }
    let one = |dice: &mut Dice<'_>| {
        let of = partition(dice);
        (of, if dice.yes(24) { Err(dice.whole() as i32) } else { Ok(dice.offset(about)) })
    };
    let mut all: Answered = (0..6).map(|p| (("orders".to_owned(), p), Ok(dice.offset(about)))).collect();
    all.extend((0..dice.below(6)).map(|_| one(dice)).collect::<Answered>());
    Ok(all)
}

fn answers(dice: &mut Dice<'_>, look: i64) -> Group {
    let members = (0..dice.below(5)).map(|i| {
        let has: Vec<Partition> = (0..dice.below(5)).map(|_| partition(dice)).collect();
        let wants = dice.yes(4).then(|| (0..dice.below(5)).map(|_| partition(dice)).collect());
        (format!("m{i}"), has, wants)
    });
    let members = members.collect();
    let topics = TOPICS.iter().take(1 + dice.below(4)).map(|topic| {
        let count = if dice.yes(32) { 3000 } else { 6 };
        ((*topic).to_owned(), (0..count).map(|p| (p, !dice.yes(64))).collect())
    });
    let topics = topics.collect();
    Group {
        phase: [1, 1, 1, 1, 0, 2, 3, 4, 30][dice.below(9)],
        new_protocol: dice.yes(3),
        members,
        committed: answer(dice, look * 500),
        topics,
        latest: answer(dice, look * 700),
        earliest: answer(dice, 0),
        kept: vec![("orders".into(), "delete".into(), dice.whole().to_string())],
    }
}

/// What holds of every decision, whatever was seen.
pub fn sound(policy: &Policy, decision: &Decision, learnt: &Learnt) {
    let n = &decision.numbers;
    let known = [n.delay, n.arrival, n.service, n.capacity, n.eta];
    let all = known.into_iter().flatten().chain([n.start_up, n.rebalance_pause, decision.next_look]);
    for value in all.chain(learnt.start_up_seconds) {
        assert!(value.is_finite() && value >= 0.0, "{value} in {decision:?}");
    }
    assert!(n.lag.is_none_or(|lag| lag >= 0) && n.demand.is_none_or(|d| d >= 0), "{decision:?}");
    if decision.write {
        let to = decision.to.expect("what is written is known");
        assert!((policy.min_replicas..=policy.max_replicas).contains(&to), "{to}: {decision:?}");
        assert!(decision.to != decision.from, "{decision:?}");
        let seen = decision.problems.is_empty();
        assert!(seen || decision.from.is_none_or(|from| to >= from.min(policy.max_replicas)), "{decision:?}");
    }
}
