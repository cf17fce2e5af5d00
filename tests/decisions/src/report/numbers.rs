//! Numbers as the tables have them.

use spillway::simulate::Drain;

use crate::contest::{Entry, Mean};

/// A number with as many digits as matter.
pub fn number(n: f64) -> String {
    match n.abs() {
        a if a >= 1e7 => format!("{:.0} M", n / 1e6),
        a if a >= 1e6 => format!("{:.1} M", n / 1e6),
        a if a >= 1e4 => format!("{:.0} k", n / 1e3),
        a if a >= 100.0 || n == 0.0 => format!("{n:.0}"),
        _ => format!("{n:.1}"),
    }
}

/// A mean, and its interval where there is one.
pub fn shown(mean: Mean) -> String {
    if mean.half < 0.05 {
        number(mean.mean)
    } else {
        format!("{} ± {}", number(mean.mean), number(mean.half))
    }
}

/// A share as percent.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0".to_owned(),
        p if p < 0.01 => "< 0.01 %".to_owned(),
        p if p < 1.0 => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}

/// A ratio as the tables have it.
pub fn ratio(ratio: f64) -> String {
    match ratio {
        r if r.is_infinite() => "∞".to_owned(),
        r if r > 0.0 && r < 0.01 => "< 0.01".to_owned(),
        r if r >= 100.0 => format!("{r:.0}"),
        r => format!("{r:.2}"),
    }
}

/// The slowest drain of each seed, on average, in seconds and as a multiple of the time `asked`, s.
///
/// Who was not done when the run ended, at `end` s, took at least until then: with one such seed the means are lower
/// bounds, and with nothing else there is none worth telling.
pub fn drain(entry: &Entry, asked: f64, end: f64) -> [String; 2] {
    let mut never = 0;
    let mut slowest = Vec::new();
    for figures in &entry.figures {
        never += usize::from(figures.drains.iter().any(|d| d.seconds.is_none()));
        let at_least = |d: &Drain| d.seconds.unwrap_or(end - d.outage_ended);
        slowest.extend(figures.drains.iter().map(at_least).max_by(f64::total_cmp));
    }
    if slowest.is_empty() {
        return ["–".to_owned(), "–".to_owned()];
    }
    let mean = slowest.iter().sum::<f64>() / slowest.len() as f64;
    let multiple = ratio(mean / asked);
    match never {
        0 => [number(mean), multiple],
        n if n == slowest.len() => [format!("never ({n})"), "never".to_owned()],
        n => [format!("≥ {}, never ({n})", number(mean)), format!("≥ {multiple}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::Who;
    use rstest::rstest;
    use spillway::simulate::Figures;

    #[rstest]
    #[case(0.0, "0")]
    #[case(12.34, "12.3")]
    #[case(1234.0, "1234")]
    #[case(123_456.0, "123 k")]
    #[case(1_234_567.0, "1.2 M")]
    #[case(98_765_432.0, "99 M")]
    fn numbers_are_short(#[case] n: f64, #[case] text: &str) {
        assert_eq!(number(n), text);
    }

    /// 600 s asked for, of runs that end at 10,000 s. Two outages in one run: the slower one counts.
    #[rstest]
    #[case::nothing_to_drain(vec![vec![], vec![]], ["–", "–"])]
    #[case::done(vec![vec![(0.0, Some(300.0)), (50.0, Some(900.0))], vec![(0.0, Some(300.0))]], ["600", "1.00"])]
    // It took 9,000 s at least.
    #[case::not_done(vec![vec![(1000.0, None)], vec![(1000.0, Some(600.0))]], ["≥ 4800, never (1)", "≥ 8.00"])]
    #[case::never(vec![vec![(1000.0, None)], vec![(0.0, Some(5.0)), (1000.0, None)]], ["never (2)", "never"])]
    fn who_was_never_done_is_no_faster_than_the_run(
        #[case] seeds: Vec<Vec<(f64, Option<f64>)>>,
        #[case] cells: [&str; 2],
    ) {
        let of = |drains: &Vec<(f64, Option<f64>)>| Figures {
            drains: drains
                .iter()
                .map(|(outage_ended, seconds)| Drain { outage_ended: *outage_ended, seconds: *seconds })
                .collect(),
            ..Figures::default()
        };
        let figures = seeds.iter().map(of).collect();
        let entry = Entry { who: Who::Spillway, settings: String::new(), figures };
        assert_eq!(drain(&entry, 600.0, 10_000.0), cells);
    }
}
