//! Numbers as people read them: counts, rates, lengths of time, lists.
//!
//! It knows nothing of decisions.

/// The first few of many.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names.len() {
        0 => "nothing".to_owned(),
        n if n <= SHOWN => names.join(", "),
        n => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
    }
}

/// A number of things: `1 replica`, `2 replicas`.
pub(super) fn plural(n: i32, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

/// A count with thousands separated: `31,240`.
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if n < 0 { format!("-{out}") } else { out }
}

/// A rate: `420/s`, `6.1/s`, `0.25/s`, `<0.01/s`; `?/s` when not known.
pub fn rate(per_second: Option<f64>) -> String {
    match per_second {
        None => "?/s".to_owned(),
        Some(r) if r <= 0.0 => "0/s".to_owned(),
        Some(r) if r < 0.01 => "<0.01/s".to_owned(),
        Some(r) if r >= 10.0 => format!("{}/s", count(r.round() as i64)),
        Some(r) if r >= 1.0 => format!("{r:.1}/s"),
        Some(r) => format!("{r:.2}/s"),
    }
}

/// A length of time as people say it: `0s`, `45s`, `2m10s`, `3h5m`, `2d4h`.
pub fn span(seconds: f64) -> String {
    let s = if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { return "never".to_owned() };
    let (d, h, m, s) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    let parts = match (d, h, m) {
        (0, 0, 0) => return format!("{s}s"),
        (0, 0, _) => [(m, "m"), (s, "s")],
        (0, _, _) => [(h, "h"), (m, "m")],
        _ => [(d, "d"), (h, "h")],
    };
    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect()
}

/// A length of time rounded to what a person reads: a change below a tenth is none.
pub fn rounded(seconds: f64) -> f64 {
    let step = match seconds {
        s if s < 10.0 => 1.0,
        s if s < 60.0 => 5.0,
        s if s < 600.0 => 10.0,
        s if s < 3600.0 => 60.0,
        _ => 600.0,
    };
    (seconds / step).round() * step
}

/// `1st`, `2nd`.
pub(super) fn ordinal(n: u32) -> String {
    let end = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0.4, "0s")]
    #[case(45.0, "45s")]
    #[case(130.0, "2m10s")]
    #[case(180.0, "3m")]
    #[case(11_100.0, "3h5m")]
    #[case(187_200.0, "2d4h")]
    #[case(f64::INFINITY, "never")]
    fn spans(#[case] seconds: f64, #[case] text: &str) {
        assert_eq!(span(seconds), text);
    }

    #[rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(31_240, "31,240")]
    #[case(-1_234_567, "-1,234,567")]
    fn counts(#[case] n: i64, #[case] text: &str) {
        assert_eq!(count(n), text);
    }
}
