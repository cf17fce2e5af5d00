//! KEDA's cron trigger as a schedule: its two expressions as a beginning and a length.
//!
//! What has no one length (say, weekdays from seven to the end of the month) has no equal.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Most ends looked at: six on each day of the longest time.
const MOST: usize = 28 * 366 * 6;
const HOUR: i64 = 3600;
/// Changes of a clock looked at: two a year, until dates fall on the same days of the week again.
const CHANGES: usize = 2 * 28;

/// How long it is from each beginning to the last end before the next one, as KEDA is active whenever it ends
/// before it begins again, s. By the clock on the wall: where that changes meanwhile ([`meets_a_change`]), the
/// schedule ends an hour off.
///
/// # Errors
/// Why the two are no schedule.
pub(super) fn length(start: &str, end: &str, zone: &str) -> Result<i64, String> {
    TimeZone::get(zone).map_err(|_| format!("the time zone {zone:?} is not known"))?;
    let years = years(&[start, end]);
    let (start, end) = (parsed(start)?, parsed(end)?);
    // A zone without summer and winter, so that only the expressions count.
    let from = beginning().to_zoned(TimeZone::UTC);
    let until = from.checked_add(years.years()).map_err(|e| e.to_string())?;
    let mut begins = start
        .iter_from(from.clone(), croner::Direction::Forward)
        .map(|at| at.timestamp().as_second())
        .peekable();
    let mut ends = end.iter_after(from).map(|at| at.timestamp().as_second()).peekable();
    let mut length = None;
    let mut looked_at = 0;
    while let Some(began) = begins.next().filter(|began| *began < until.timestamp().as_second()) {
        let again = begins.peek().copied().unwrap_or(i64::MAX);
        let mut ended = None;
        while let Some(end) = ends.next_if(|end| *end <= again) {
            looked_at += 1;
            if looked_at > MOST {
                return Err("it begins or ends too often".to_owned());
            }
            ended = Some(end).filter(|end| *end > began);
        }
        let Some(ended) = ended else {
            let never = ends.peek().is_none();
            return Err(if never { "it never ends" } else { "it begins again before it ends" }.to_owned());
        };
        if *length.get_or_insert(ended - began) != ended - began {
            return Err("it is not always as long".to_owned());
        }
    }
    let length = length.ok_or("it never begins")?;
    if !(60..=7 * 24 * HOUR).contains(&length) {
        return Err("it is shorter than 1m or longer than 168h".to_owned());
    }
    Ok(length)
}

/// Of the years that are looked at, a leap year: 2024.
fn beginning() -> Timestamp {
    Timestamp::from_second(1_704_067_200).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Whether the clock of a zone changes, as its rules are, between a beginning and its end `length` seconds later.
pub(super) fn meets_a_change(start: &str, length: i64, zone: &str) -> bool {
    let (Ok(start), Ok(zone)) = (parsed(start), TimeZone::get(zone)) else { return false };
    // What a zone has given up lately is no rule any more.
    let Ok(from) = beginning().checked_add((4 * 366 * 24).hours()) else { return false };
    zone.following(from).take(CHANGES).any(|change| {
        let at = change.timestamp();
        // Some time zone files end with a change that is none.
        let before = at.checked_sub(1.second()).unwrap_or(at);
        if zone.to_offset(before) == zone.to_offset(at) {
            return false;
        }
        let began = start.iter_before(at.to_zoned(zone.clone())).next();
        began.is_some_and(|began| at.as_second() - began.timestamp().as_second() < length)
    })
}

/// After how many years expressions begin anew: where dates count, in the next leap year; where days of the week
/// count, too, when those fall on the same dates again.
fn years(expressions: &[&str]) -> i64 {
    let any = |field: usize, is: fn(&str) -> bool| {
        expressions.iter().any(|expression| expression.split_whitespace().nth(field).is_some_and(is))
    };
    let counts = |field| any(field, |said| said != "*");
    // The third Friday, and the last one.
    let of_a_month = any(4, |said| said.contains(['#', 'L']));
    match (counts(2) || counts(3) || of_a_month, counts(4)) {
        (false, _) => 1,
        (true, false) => 4,
        (true, true) => 28,
    }
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
    #[case("0 7 * * 1-5", "0 19 1 * *", Err("it begins again before it ends"))]
    #[case("0 7 * *", "0 19 * * *", Err("is not understood"))]
    // A length that holds until March, or in three years of four, or until the days of the week fall otherwise.
    #[case("0 7 * * *", "0 19 * 1,2 *", Err("it begins again before it ends"))]
    #[case("0 7 * 1-11 *", "0 19 * 1-10 *", Err("it begins again before it ends"))]
    #[case("0 7 28 2 *", "0 7 1 3 *", Err("it is not always as long"))]
    #[case("0 7 29 2 *", "0 7 * * 1", Err("it is not always as long"))]
    // Only late in the year, or only in a leap year.
    #[case("0 7 24 12 *", "0 7 27 12 *", Ok("72h"))]
    #[case("0 7 29 2 *", "0 19 29 2 *", Ok("12h"))]
    #[case("0 22 31 12 *", "0 6 1 1 *", Ok("8h"))]
    #[case("0 7 * 11 1-5", "0 19 * 11 1-5", Ok("12h"))]
    #[case("0 7 30 2 *", "0 19 * * *", Err("it never begins"))]
    #[case("0 7 * * *", "0 19 30 2 *", Err("it never ends"))]
    // Two beginnings of one end, an hour apart: KEDA goes by the second.
    #[case("0 7,8 * * *", "0 19 * * *", Err("it begins again before it ends"))]
    // The night in which the clock changes, and the hour that is not there then.
    #[case("30 2 * * *", "30 3 * * *", Ok("1h"))]
    // Several ends of one beginning: the last one counts.
    #[case("0 7 * * *", "0 19,20 * * *", Ok("13h"))]
    #[case("0 0 * * *", "0 */4 * * *", Ok("24h"))]
    #[case("0 * * * *", "30 * * * *", Ok("30m"))]
    #[case("*/5 * * * *", "2-59/5 * * * *", Err("it begins or ends too often"))]
    // A third Friday, which is a date in some months only.
    #[case("0 7 * * 5#3", "0 19 * * 5#3", Ok("12h"))]
    #[case("0 7 * * 5#3", "0 19 21 * *", Err("it is not always as long"))]
    fn lengths(#[case] start: &str, #[case] end: &str, #[case] expected: Result<&str, &str>) {
        let seen = length(start, end, "Europe/Madrid");
        match (seen, expected) {
            (Ok(seen), Ok(expected)) => assert_eq!(written(seen), expected),
            (Err(seen), Err(expected)) => assert!(seen.contains(expected), "{seen}"),
            (seen, expected) => panic!("{seen:?}, not {expected:?}"),
        }
    }

    #[rstest]
    #[case("30 22 * * *", 8, "Europe/Madrid", true)]
    // The clock changes in the night before.
    #[case("0 7 * * *", 12, "Europe/Madrid", false)]
    #[case("30 22 * * *", 8, "UTC", false)]
    #[case("30 22 * * *", 8, "Asia/Kolkata", false)]
    // It had two changes a year until 2019.
    #[case("30 22 * * *", 8, "America/Sao_Paulo", false)]
    // In the night to a Sunday.
    #[case("0 22 * * 6", 8, "Europe/Madrid", true)]
    #[case("0 22 * * 1-5", 8, "Europe/Madrid", false)]
    #[case("0 7 * * 5", 72, "Europe/Madrid", true)]
    #[case("0 7 24 12 *", 72, "Europe/Madrid", false)]
    fn clocks_that_change_meanwhile(
        #[case] start: &str,
        #[case] hours: i64,
        #[case] zone: &str,
        #[case] meets: bool,
    ) {
        assert_eq!(meets_a_change(start, hours * HOUR, zone), meets);
    }
}
