//! KEDA's cron trigger as a schedule: its two expressions as a beginning and a length.
//!
//! What has no one length (say, weekdays from seven to the end of the month) has no equal.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Beginnings looked at.
const LOOKED_AT: usize = 60;
const HOUR: i64 = 3600;

/// How long it is from each beginning to the next end.
///
/// # Errors
/// Why the two are no schedule.
pub(super) fn length(start: &str, end: &str, zone: &str) -> Result<String, String> {
    let zone = TimeZone::get(zone).map_err(|_| format!("the time zone {zone:?} is not known"))?;
    let (start, end) = (parsed(start)?, parsed(end)?);
    // Winter and summer: a length that only the change of the clock alters is one length.
    let from = Timestamp::from_second(1_704_067_200).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone);
    let mut lengths = Vec::new();
    for begins in start.iter_after(from).take(LOOKED_AT) {
        let ends = end.iter_after(begins.clone()).next().ok_or("it never ends")?;
        lengths.push(ends.timestamp().as_second() - begins.timestamp().as_second());
    }
    lengths.sort_unstable();
    let (Some(least), Some(most)) = (lengths.first(), lengths.last()) else {
        return Err("it never begins".to_owned());
    };
    let usual = lengths[lengths.len() / 2];
    if most - least > 2 * HOUR {
        return Err("it is not always as long".to_owned());
    }
    if !(60..=7 * 24 * HOUR).contains(&usual) {
        return Err("it is shorter than 1m or longer than 168h".to_owned());
    }
    Ok(written(usual))
}

fn parsed(expression: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(expression).map_err(|error| format!("{expression:?} is not understood ({error})"))
}

/// Seconds as a duration of Kubernetes: `1h30m`.
pub(super) fn written(seconds: i64) -> String {
    let parts = [(seconds / HOUR, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0 7 * * 1-5", "0 19 * * 1-5", Ok("12h"))]
    #[case("30 22 * * *", "0 6 * * *", Ok("7h30m"))]
    #[case("0 7 * * 1", "0 7 * * 5", Ok("96h"))]
    #[case("0 7 * * 1-5", "0 19 1 * *", Err("it is not always as long"))]
    #[case("0 7 * *", "0 19 * * *", Err("is not understood"))]
    fn lengths(#[case] start: &str, #[case] end: &str, #[case] expected: Result<&str, &str>) {
        let seen = length(start, end, "Europe/Madrid");
        match (seen, expected) {
            (Ok(seen), Ok(expected)) => assert_eq!(seen, expected),
            (Err(seen), Err(expected)) => assert!(seen.contains(expected), "{seen}"),
            (seen, expected) => panic!("{seen:?}, not {expected:?}"),
        }
    }
}
