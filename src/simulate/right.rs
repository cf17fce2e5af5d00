//! What is right in each named case, whatever the table of it says: how much may be late, how soon a backlog is gone,
//! how often replicas may change, and when they may not.
//!
//! Bounds, not figures: what exactly comes out is in the golden tables, and in docs/benchmark.md. Where the bound is
//! looser than the objective, nobody could keep it on that plant, and the line says why.

use super::Run;

/// What is asked of one run.
struct Right {
    /// Most of the messages that may be late, a share.
    late: f64,
    /// How soon the backlog is gone after the outage, s.
    drained: Option<f64>,
    /// Most changes of the replicas.
    writes: u64,
    /// A time in which nothing is changed (what is added would not help, or nothing is seen): from, to, s.
    still: Option<(f64, f64)>,
    /// Replicas at the end.
    last: std::ops::RangeInclusive<i32>,
}

const HOUR: f64 = 3600.0;

/// All begin with 8 replicas; what arrives mostly needs 12.
fn of(case: &str) -> Right {
    let right = Right { late: 0.0, drained: None, writes: 1, still: None, last: 12..=12 };
    match case {
        // Once to what the load needs, and never again.
        "constant" => Right { still: Some((HOUR / 4.0, 6.0 * HOUR)), ..right },
        // Ten times the load within a second: until new pods have started it waits for as long as they take.
        "step" => Right { late: 0.005, writes: 2, last: 1..=3, ..right },
        // Half an hour of the load, and twice its capacity at most: nobody has it gone within ten minutes.
        "drain" => Right { late: 0.25, drained: Some(1200.0), writes: 2, ..right },
        "rise" => Right { writes: 2, last: 12..=24, ..right },
        // Twice a crowd within a minute, and in steps down as it goes.
        "flash-crowd" => Right { late: 0.002, writes: 20, last: 1..=4, ..right },
        "outage" => {
            Right { late: 0.09, drained: Some(600.0), writes: 3, still: Some((HOUR, HOUR + 600.0)), ..right }
        }
        "crash-loop" => {
            Right { late: 0.1, drained: Some(600.0), writes: 3, still: Some((HOUR, HOUR + 600.0)), ..right }
        }
        "crash" => Right { late: 0.001, writes: 1, ..right },
        // No number of replicas helps the one that gets too much.
        "hot-partition" => Right { late: 0.13, writes: 3, last: 8..=8, ..right },
        // For its backlog alone nothing is added; once it moves again, everything there is.
        "poison" => Right { late: 0.025, writes: 3, still: Some((HOUR, 2.0 * HOUR)), ..right },
        // One try after 5, 10, 20, … minutes, each taken back; then as an outage that is over.
        "slow-downstream" => Right { late: 0.35, drained: Some(660.0), writes: 11, ..right },
        "slow-messages" => Right { late: 0.001, writes: 2, last: 24..=24, ..right },
        "broker-loss" => {
            Right { late: 0.02, drained: Some(600.0), writes: 3, still: Some((HOUR, HOUR + 300.0)), ..right }
        }
        // What the missing one needs beside the others is seen only when it is.
        "partial-metadata" => Right { late: 0.001, writes: 8, last: 6..=8, ..right },
        // Nobody can see that more comes.
        "blind" => Right { late: 0.2, writes: 8, still: None, last: 6..=24, ..right },
        // A burst every ten minutes for two hours: more is kept by and by.
        "relapse" => Right { late: 0.05, writes: 20, last: 2..=24, ..right },
        // The version that comes amid it is a quarter slower than what was measured.
        "rollout" => Right {
            late: 0.11,
            drained: Some(780.0),
            writes: 2,
            still: Some((HOUR, HOUR + 600.0)),
            last: 24..=24,
        },
        // Ends before the first message is deleted, with all replicas there can be.
        "retention" => Right { late: 0.42, drained: Some(4000.0), writes: 3, ..right },
        "prime" => Right { writes: 6, last: 6..=8, ..right },
        // The first burst meets one replica of which nobody knows what it can do.
        "idle-burst" => Right { late: 0.2, writes: 8, last: 1..=1, ..right },
        _ => unreachable!("what is right in {case} is not written down"),
    }
}

/// Asserts it.
pub(super) fn hold(case: &str, run: &Run) {
    let (right, f) = (of(case), &run.figures);
    assert_eq!(f.lost, 0.0, "{case}: messages lost");
    assert!(f.late_share <= right.late, "{case}: {} of the messages late, of {}", f.late_share, right.late);
    assert!(f.writes <= right.writes, "{case}: {} writes, of {}: {:?}", f.writes, right.writes, run.writes);
    if let Some(within) = right.drained {
        let drained = f.drains.first().and_then(|d| d.seconds);
        assert!(drained.is_some_and(|s| s <= within), "{case}: gone after {drained:?} s, of {within}");
    }
    if let Some((from, to)) = right.still {
        let amid: Vec<_> = run.writes.iter().filter(|w| w.at > from && w.at < to).collect();
        assert!(amid.is_empty(), "{case}: {amid:?} between {from} and {to} s");
    }
    let last = run.series.last().map(|s| s.spec);
    assert!(
        last.is_some_and(|n| right.last.contains(&n)),
        "{case}: {last:?} at the end, of {:?}",
        right.last
    );
}
