//! What stands at the axes: moments as in the table, lengths of time in a fitting unit, short numbers.
//!
//! Words and numbers only; it draws nothing.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// Most marks on the time axis.
const MARKS: f64 = 13.0;
/// Steps between them that people count in, s.
const STEPS: [f64; 17] = [
    1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0,
    43_200.0, 86_400.0, 172_800.0,
];
const DAY: f64 = 86_400.0;

/// The time axis of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeAxis {
    /// Where the marks are, s since the start.
    pub marks: Vec<f64>,
    step: f64,
    days: bool,
    until: f64,
}

impl TimeAxis {
    /// Of a run of so many seconds.
    pub fn new(duration: f64) -> Self {
        let enough = |step: &&f64| duration / **step <= MARKS;
        let last = STEPS.iter().find(enough).copied();
        // Longer ones have a mark every so many weeks.
        let step = last.unwrap_or_else(|| (duration / MARKS / (7.0 * DAY)).ceil() * 7.0 * DAY);
        let count = (duration / step).floor() as usize;
        Self {
            marks: (0..=count).map(|i| i as f64 * step).collect(),
            step,
            days: duration >= 2.0 * DAY,
            until: duration.max(1e-9),
        }
    }

    /// What its marks are.
    pub fn about(&self) -> &'static str {
        match (self.days, self.step) {
            (true, step) if step >= DAY => "days since the start",
            (true, _) => "days and hours since the start",
            (false, step) if step < 60.0 => "time since the start, hh:mm:ss",
            _ => "time since the start, hh:mm",
        }
    }

    /// A mark.
    pub fn label(&self, at: f64) -> String {
        let s = at.round().max(0.0) as u64;
        match (self.days, self.step) {
            (true, step) if step >= DAY => format!("{}d", s / 86_400),
            (true, _) => format!("{}d{:02}h", s / 86_400, s / 3600 % 24),
            (false, step) if step < 60.0 => format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
            _ => format!("{:02}:{:02}", s / 3600, s / 60 % 60),
        }
    }
}

impl Ranged for TimeAxis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, at: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * at / self.until).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.until
    }
}

/// A unit for lengths of time up to this many seconds, and how many seconds it has.
pub(super) fn unit(longest: f64) -> (&'static str, f64) {
    match longest {
        s if s <= 300.0 => ("seconds", 1.0),
        s if s <= 3.0 * 3600.0 => ("minutes", 60.0),
        s if s <= 4.0 * DAY => ("hours", 3600.0),
        _ => ("days", DAY),
    }
}

/// A number on an axis: `1.2M`, `12k`, `1,200`, `12.5`.
pub(super) fn number(n: f64) -> String {
    let plain = |n: f64, suffix: &str| {
        let text = format!("{n:.2}");
        format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match n.abs() {
        a if a >= 1e9 => plain(n / 1e9, "G"),
        a if a >= 1e6 => plain(n / 1e6, "M"),
        a if a >= 1e4 => plain(n / 1e3, "k"),
        _ => plain(n, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0.0, "0")]
    #[case(12.5, "12.5")]
    #[case(1200.0, "1200")]
    #[case(12_000.0, "12k")]
    #[case(1_250_000.0, "1.25M")]
    fn numbers_on_axes(#[case] n: f64, #[case] text: &str) {
        assert_eq!(number(n), text);
    }

    #[rstest]
    #[case(45.0, &["00:00:00", "00:00:05"])]
    #[case(3.0 * 3600.0, &["00:00", "00:15"])]
    #[case(DAY, &["00:00", "02:00"])]
    #[case(3.0 * DAY, &["0d00h", "0d06h"])]
    #[case(14.0 * DAY, &["0d", "2d"])]
    #[case(400.0 * DAY, &["0d", "35d"])]
    fn moments_on_the_axis(#[case] duration: f64, #[case] first: &[&str]) {
        let axis = TimeAxis::new(duration);
        assert!((2..=14).contains(&axis.marks.len()), "{axis:?}");
        let said: Vec<String> = axis.marks.iter().take(2).map(|at| axis.label(*at)).collect();
        assert_eq!(said, first);
    }
}
