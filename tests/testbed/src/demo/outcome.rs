//! The demo's account: what became of every message, and whether the promises were kept.

use std::time::Duration;

use super::scene::ORDERS;
use super::{MAX_DELAY, RECOVER_WITHIN, REPLICAS};
use crate::account::Account;

/// The replicas that Spillway said it scaled to, one after the other.
pub(super) fn path(said: &[(String, String)]) -> Vec<i32> {
    let scaled = said.iter().filter(|(reason, _)| reason == "Scaled");
    scaled.filter_map(|(_, note)| note.split_once(": ")?.0.rsplit(' ').next()?.parse().ok()).collect()
}

/// How it ended.
#[derive(Default)]
pub(super) struct Outcome {
    produced: u64,
    processed: u64,
    missed: usize,
    refused: u64,
    repeated: u64,
    peak_lag: i64,
    longest_wait: f64,
    /// From the end of the outage until no message was late any more, s.
    drained: f64,
    /// Why producers, Kafka and consumers do not agree, if they do not.
    pub unsettled: Option<String>,
    /// Replicas asked for, from the beginning.
    pub path: Vec<i32>,
    /// Times that Spillway asked for others.
    pub writes: usize,
    /// Rebalances of the group.
    pub rebalances: usize,
}

impl Outcome {
    /// From the records of the programs; what else is in it is not known to them. `back`: when the
    /// outage ended, ms.
    pub fn of(account: &Account, back: i64) -> Self {
        let last_late = account.last_late(MAX_DELAY.as_secs_f64()).unwrap_or(back);
        Self {
            produced: account.produced_total(),
            processed: account.processed_total(),
            missed: account.missed().len(),
            refused: account.refused,
            repeated: account.repeated,
            peak_lag: account.peak_backlog(),
            longest_wait: account.longest_wait(),
            drained: ((last_late - back) as f64 / 1000.0).max(0.0),
            ..Self::default()
        }
    }

    /// What was not as promised.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.missed > 0 || self.refused > 0 {
            faults.push(format!("{} messages were missed and {} refused", self.missed, self.refused));
        }
        if self.produced == 0 {
            faults.push("nothing was produced".into());
        }
        if let Some(why) = &self.unsettled {
            faults.push(format!("the account is not settled: {why}"));
        }
        let objective = RECOVER_WITHIN.as_secs_f64();
        if self.drained > objective {
            faults
                .push(format!("the backlog took {:.0}s, and the objective is {objective:.0}s", self.drained));
        }
        let ends = [self.path.first(), self.path.last()];
        if ends != [Some(&REPLICAS); 2] || self.path.iter().max() <= Some(&REPLICAS) {
            faults.push(format!("the replicas went {}, not from {REPLICAS} up and back", self.path_text()));
        }
        if self.writes + 1 != self.path.len() {
            faults.push(format!(
                "the replicas went {}, and Spillway wrote {} times: somebody else did, or it wrote for nothing",
                self.path_text(),
                self.writes
            ));
        }
        faults
    }

    fn path_text(&self) -> String {
        self.path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ")
    }

    /// For a person.
    pub fn text(&self, took: Duration) -> String {
        let row = |name: &str, value: String| format!("  {name:<18}{value}\n");
        let verdict = if self.drained <= RECOVER_WITHIN.as_secs_f64() { "kept" } else { "MISSED" };
        let mut text = format!("\nAccount of {ORDERS}, after {}s\n", took.as_secs());
        text += &row("produced", self.produced.to_string());
        text += &row("processed", format!("{} ({} of them more than once)", self.processed, self.repeated));
        text += &row("missed", self.missed.to_string());
        text += &row("peak lag", format!("{} messages", self.peak_lag));
        text += &row("peak delay", format!("{:.0}s", self.longest_wait));
        text += &row(
            "time to drain",
            format!(
                "{:.0}s after the outage; objective {}s: {verdict}",
                self.drained,
                RECOVER_WITHIN.as_secs()
            ),
        );
        text += &row("replicas", self.path_text());
        text += &row("writes to /scale", format!("{} (all that Spillway changed)", self.writes));
        // Kafka counts generations of the group: one write starts or ends several consumers, each of
        // which joins or leaves when it is ready to, and a cooperative move takes two.
        text += &row(
            "rebalances",
            format!("{} (as the group forms, and one or more for each write)", self.rebalances),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        Outcome {
            produced: 10,
            processed: 10,
            drained: 28.0,
            path: vec![3, 6, 3],
            writes: 2,
            ..Outcome::default()
        }
    }

    #[test]
    fn every_broken_promise_is_a_fault() {
        assert_eq!(good().faults(), [""; 0]);
        let twice = Outcome { path: vec![3, 4, 6, 3], writes: 3, ..good() };
        assert_eq!(twice.faults(), [""; 0], "two steps up are no fault");
        let cases = [
            (Outcome { missed: 1, ..good() }, "1 messages were missed and 0 refused"),
            (Outcome { refused: 2, ..good() }, "0 messages were missed and 2 refused"),
            (Outcome { produced: 0, ..good() }, "nothing was produced"),
            (Outcome { unsettled: Some("why".into()), ..good() }, "the account is not settled: why"),
            (Outcome { drained: 46.0, ..good() }, "the backlog took 46s, and the objective is 45s"),
            (
                Outcome { path: vec![3, 6, 4], ..good() },
                "the replicas went 3 → 6 → 4, not from 3 up and back",
            ),
            (
                Outcome { path: vec![3, 2, 3], ..good() },
                "the replicas went 3 → 2 → 3, not from 3 up and back",
            ),
            (Outcome { path: vec![3], writes: 0, ..good() }, "the replicas went 3, not from 3 up and back"),
            (
                Outcome { writes: 3, ..good() },
                "the replicas went 3 → 6 → 3, and Spillway wrote 3 times: somebody else did, or it wrote for nothing",
            ),
        ];
        for (outcome, fault) in cases {
            assert_eq!(outcome.faults(), [fault]);
        }
    }
}
