//! What may not happen, whatever breaks: judged on what was written down of a round.
//!
//! It looks at nothing itself, so that each rule can be shown to fail.

use std::ops::RangeInclusive;

use spillway_testbed::usage::Usage;

/// Memory that a process may have gained over a round, KiB: its allocator keeps what was freed.
const MEMORY: u64 = 16 * 1024;
/// Threads, descriptors and sockets that may be under way at a moment.
const UNDER_WAY: u64 = 3;

/// What was written down of a round. Times are ms since the epoch.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Each number of replicas that was asked for, and when.
    pub steps: Vec<(i64, i32)>,
    /// What `minReplicas` and `maxReplicas` allow.
    pub bounds: RangeInclusive<i32>,
    /// From when to when nothing could be seen.
    pub blind: Vec<(i64, i64)>,
    /// Of each message that waited for longer than allowed: from when to when it was late.
    pub late: Vec<(i64, i64)>,
    /// Each time the lease was taken or renewed, and by which pod.
    pub renewals: Vec<(i64, String)>,
    /// Each write of replicas that the API server took, and from which pod.
    pub writes: Vec<(i64, String)>,
    /// How long the lease lasts, ms.
    pub lease: i64,
    /// Lines of the operator's logs that tell of a defect.
    pub defects: Vec<String>,
    /// Restarts of the operator; none where it is the row that kills it.
    pub restarts: Option<i32>,
    /// What the operator took of the machine before the first round and after this one.
    pub usage: (Usage, Usage),
    /// Why not every message is accounted for, if so.
    pub unsettled: Option<String>,
    /// What was waited for in vain.
    pub awaited: Option<String>,
}

/// Each rule that was broken, with the figures; nothing: it held.
pub fn broken(e: &Evidence) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(e.awaited.clone());
    all.extend(e.unsettled.as_ref().map(|why| format!("not every message was processed: {why}")));
    for two in e.steps.windows(2) {
        let ((_, from), (at, to)) = (two[0], two[1]);
        if to >= from {
            continue;
        }
        if e.blind.iter().any(|(since, until)| (*since..=*until).contains(&at)) {
            all.push(format!("scaled down {from} → {to} while blind"));
        }
        let late = e.late.iter().filter(|(since, until)| (*since..*until).contains(&at)).count();
        if late > 0 {
            all.push(format!("scaled down {from} → {to} while {late} messages were late"));
        }
    }
    for (_, replicas) in e.steps.iter().filter(|(_, n)| !e.bounds.contains(n)) {
        all.push(format!("{replicas} replicas are out of bounds {:?}", e.bounds));
    }
    all.extend(e.writes.iter().filter_map(|write| unfenced(e, write)));
    all.extend(e.defects.iter().map(|line| format!("a defect: {line}")));
    if let Some(n) = e.restarts.filter(|n| *n != 0) {
        all.push(format!("the operator was restarted {n} times"));
    }
    let (before, after) = &e.usage;
    for (what, before, after, more) in [
        ("KiB of memory", before.resident_kib, after.resident_kib, MEMORY),
        ("threads", before.threads, after.threads, UNDER_WAY),
        ("descriptors", before.descriptors, after.descriptors, UNDER_WAY),
        ("connections", before.sockets, after.sockets, UNDER_WAY),
    ] {
        if after > before + more {
            all.push(format!("{after} {what} afterwards, {before} before"));
        }
    }
    all
}

/// A write by a pod that did not hold the lease when the API server took it.
fn unfenced(e: &Evidence, (at, pod): &(i64, String)) -> Option<String> {
    let last = e.renewals.iter().filter(|(renewed, _)| renewed <= at).max_by_key(|(renewed, _)| *renewed);
    match last {
        Some((renewed, holder)) if holder == pod && at - renewed <= e.lease => None,
        Some((renewed, holder)) => {
            Some(format!("{pod} wrote replicas; {holder} had renewed the lease {}ms before", at - renewed))
        }
        None => Some(format!("{pod} wrote replicas, and nobody held the lease")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Evidence {
        let usage = Usage { resident_kib: 40_000, threads: 20, descriptors: 30, sockets: 10 };
        Evidence {
            steps: vec![(0, 2), (10_000, 6), (70_000, 2)],
            bounds: 2..=12,
            blind: vec![(20_000, 40_000)],
            late: vec![(15_000, 50_000), (16_000, 69_000)],
            renewals: vec![(9_000, "a".into()), (69_000, "b".into())],
            writes: vec![(10_000, "a".into()), (70_000, "b".into())],
            lease: 5_000,
            defects: Vec::new(),
            restarts: Some(0),
            usage: (usage, usage),
            unsettled: None,
            awaited: None,
        }
    }

    #[test]
    fn what_is_right_holds() {
        assert_eq!(broken(&held()), [] as [&str; 0]);
        let killed = Evidence { restarts: None, late: Vec::new(), ..held() };
        assert_eq!(broken(&killed), [] as [&str; 0]);
    }

    #[test]
    fn every_rule_can_be_broken() {
        let a = held();
        let more = |change: fn(&mut Usage)| {
            let mut usage = a.usage;
            change(&mut usage.1);
            Evidence { usage, ..a.clone() }
        };
        let cases = [
            (Evidence { blind: vec![(60_000, 80_000)], ..a.clone() }, "scaled down 6 → 2 while blind"),
            (
                Evidence { late: vec![(15_000, 75_000)], ..a.clone() },
                "scaled down 6 → 2 while 1 messages were late",
            ),
            (Evidence { bounds: 3..=12, ..a.clone() }, "2 replicas are out of bounds 3..=12"),
            (Evidence { bounds: 2..=5, ..a.clone() }, "6 replicas are out of bounds 2..=5"),
            (Evidence { renewals: Vec::new(), ..a.clone() }, "a wrote replicas, and nobody held the lease"),
            (Evidence { lease: 500, ..a.clone() }, "a wrote replicas; a had renewed the lease 1000ms before"),
            (
                Evidence { writes: vec![(70_000, "a".into())], ..a.clone() },
                "a wrote replicas; b had renewed the lease 1000ms before",
            ),
            (Evidence { defects: vec!["panicked".into()], ..a.clone() }, "a defect: panicked"),
            (Evidence { restarts: Some(1), ..a.clone() }, "the operator was restarted 1 times"),
            (Evidence { unsettled: Some("one".into()), ..a.clone() }, "not every message was processed: one"),
            (Evidence { awaited: Some("waited 60s".into()), ..a.clone() }, "waited 60s"),
            (more(|u| u.resident_kib += 20_000), "60000 KiB of memory afterwards, 40000 before"),
            (more(|u| u.threads += 4), "24 threads afterwards, 20 before"),
            (more(|u| u.descriptors += 4), "34 descriptors afterwards, 30 before"),
            (more(|u| u.sockets += 4), "14 connections afterwards, 10 before"),
        ];
        for (evidence, said) in cases {
            assert!(broken(&evidence).iter().any(|rule| rule == said), "{said}: {:?}", broken(&evidence));
        }
    }
}
