//! Numbers as the tables have them.

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

/// The slowest drain of each seed, on average; how many never ended.
pub fn drain(entry: &Entry) -> String {
    let mut never = 0;
    let mut slowest = Vec::new();
    for figures in &entry.figures {
        never += usize::from(figures.drains.iter().any(|d| d.seconds.is_none()));
        slowest.extend(figures.drains.iter().filter_map(|d| d.seconds).max_by(f64::total_cmp));
    }
    if slowest.is_empty() && never == 0 {
        return "–".to_owned();
    }
    let mean = slowest.iter().sum::<f64>() / slowest.len().max(1) as f64;
    match (never, slowest.is_empty()) {
        (0, _) => number(mean),
        (n, true) => format!("never ({n})"),
        (n, false) => format!("{}, never ({n})", number(mean)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

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
}
