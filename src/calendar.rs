//! Schedules: from cron expressions to the times that are near.
//!
//! It reads no clock: the moment comes in. What follows from a time is for `decide` to say.

use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use crate::api::Schedule;
use crate::clock::timestamp;
use crate::decide::{ScheduleWindow, Time};

/// How far ahead a time is told, s: replicas that start slowly are asked for that long before.
const AHEAD: f64 = 3600.0;
/// Beginnings looked at: with one a minute, more than there are in the hour ahead.
const BEGINNINGS: usize = 70;

/// The schedules of one scaler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calendar {
    schedules: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    name: Arc<str>,
    cron: Cron,
    zone: TimeZone,
    duration: f64,
    min_replicas: i32,
}

impl Calendar {
    /// Reads schedules.
    ///
    /// # Errors
    /// Every problem, one entry each, naming the schedule and what to write.
    pub fn of(schedules: &[Schedule]) -> Result<Self, Vec<String>> {
        let (mut read, mut problems) = (Vec::new(), Vec::new());
        for (i, schedule) in schedules.iter().enumerate() {
            if schedules[..i].iter().any(|other| other.name == schedule.name) {
                problems.push(format!(
                    "schedules: {} is listed twice: give each a name of its own",
                    schedule.name
                ));
            }
            match entry(schedule) {
                Ok(entry) => read.push(entry),
                Err(all) => {
                    problems.extend(all.into_iter().map(|why| format!("schedules[{}].{why}", schedule.name)))
                }
            }
        }
        if problems.is_empty() { Ok(Self { schedules: read }) } else { Err(problems) }
    }

    /// The times that are on at `now` (seconds since the Unix epoch), or begin within the hour.
    pub fn near(&self, now: Time) -> Vec<ScheduleWindow> {
        self.schedules.iter().filter_map(|entry| entry.near(now)).collect()
    }
}

impl Entry {
    /// The time that is on; else the one that begins soon.
    fn near(&self, now: Time) -> Option<ScheduleWindow> {
        let ahead = timestamp(now + AHEAD).to_zoned(self.zone.clone());
        let mut on = None;
        // From the latest beginning backwards: what overlaps counts until the last of them ends.
        for begins in self.cron.iter_before(ahead).take(BEGINNINGS) {
            let from = begins.timestamp().as_second() as f64;
            if from + self.duration <= now {
                break;
            }
            let until = on.as_ref().filter(|w: &&ScheduleWindow| from + self.duration >= w.from);
            let until = until.map_or(from + self.duration, |later| later.until);
            on = Some(ScheduleWindow {
                name: self.name.clone(),
                from,
                until,
                min_replicas: self.min_replicas,
            });
            // What began before it ends before it.
            if from <= now {
                break;
            }
        }
        on
    }
}

fn entry(schedule: &Schedule) -> Result<Entry, Vec<String>> {
    let mut problems = Vec::new();
    let cron = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(&schedule.cron)
        .and_then(|cron| match cron.find_next_occurrence(&timestamp(0.0).to_zoned(TimeZone::UTC), false) {
            Ok(_) => Ok(cron),
            Err(why) => Err(why),
        })
        .map_err(|why| {
            problems.push(format!(
                "cron: {:?} is not understood ({}): write minute, hour, day of the month, month and day of the week, for instance \"0 7 * * 1-5\"",
                schedule.cron,
                why.to_string().trim_start_matches("Invalid pattern: ")
            ));
        });
    let zone = TimeZone::get(&schedule.time_zone).map_err(|_| {
        problems.push(format!(
            "timeZone: {:?} is not known: write an IANA name, for instance Europe/Madrid or UTC",
            schedule.time_zone
        ));
    });
    let duration = match schedule.duration.seconds() {
        Ok(seconds) if (60.0..=7.0 * 86_400.0).contains(&seconds) => Ok(seconds),
        Ok(_) => {
            problems.push(format!("duration: {} is not between 1m and 168h", schedule.duration.0));
            Err(())
        }
        Err(why) => {
            problems.push(format!("duration: {why}"));
            Err(())
        }
    };
    match (cron, zone, duration) {
        (Ok(cron), Ok(zone), Ok(duration)) => Ok(Entry {
            name: schedule.name.as_str().into(),
            cron,
            zone,
            duration,
            min_replicas: schedule.min_replicas,
        }),
        _ => Err(problems),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn schedule(cron: &str, duration: &str, zone: &str) -> Schedule {
        Schedule {
            name: "mornings".into(),
            cron: cron.into(),
            duration: duration.into(),
            time_zone: zone.into(),
            min_replicas: 8,
        }
    }

    fn at(text: &str) -> Time {
        text.parse::<jiff::Timestamp>().unwrap().as_second() as f64
    }

    /// From and until of the time near, as texts.
    fn near(cron: &str, duration: &str, zone: &str, now: &str) -> Option<(String, String)> {
        let calendar = Calendar::of(&[schedule(cron, duration, zone)]).unwrap();
        let all = calendar.near(at(now));
        assert!(all.len() <= 1, "{all:?}");
        all.first().map(|w| (timestamp(w.from).to_string(), timestamp(w.until).to_string()))
    }

    #[rstest]
    // Monday, 7:00 in Madrid is 5:00 in summer and 6:00 in winter.
    #[case(
        "0 7 * * 1-5",
        "3h",
        "Europe/Madrid",
        "2026-07-06T05:30:00Z",
        "2026-07-06T05:00:00Z",
        "2026-07-06T08:00:00Z"
    )]
    #[case(
        "0 7 * * 1-5",
        "3h",
        "Europe/Madrid",
        "2026-01-05T06:30:00Z",
        "2026-01-05T06:00:00Z",
        "2026-01-05T09:00:00Z"
    )]
    // Soon.
    #[case(
        "0 7 * * 1-5",
        "3h",
        "UTC",
        "2026-07-06T06:10:00Z",
        "2026-07-06T07:00:00Z",
        "2026-07-06T10:00:00Z"
    )]
    // One a minute, half an hour long: on without an end that is near.
    #[case("* * * * *", "30m", "UTC", "2026-07-06T06:10:30Z", "2026-07-06T06:10:00Z", "2026-07-06T07:40:00Z")]
    // Two that touch are one.
    #[case(
        "0 6,7 * * *",
        "1h",
        "UTC",
        "2026-07-06T06:30:00Z",
        "2026-07-06T06:00:00Z",
        "2026-07-06T08:00:00Z"
    )]
    // Two with a gap are not.
    #[case(
        "0 6,7 * * *",
        "45m",
        "UTC",
        "2026-07-06T06:30:00Z",
        "2026-07-06T06:00:00Z",
        "2026-07-06T06:45:00Z"
    )]
    // 2:30 does not exist on the day that clocks go forward: it begins when they have.
    #[case(
        "30 2 * * *",
        "1h",
        "Europe/Madrid",
        "2026-03-29T01:10:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-29T02:00:00Z"
    )]
    fn on_or_soon(
        #[case] cron: &str,
        #[case] duration: &str,
        #[case] zone: &str,
        #[case] now: &str,
        #[case] from: &str,
        #[case] until: &str,
    ) {
        assert_eq!(near(cron, duration, zone, now), Some((from.to_owned(), until.to_owned())));
    }

    #[rstest]
    #[case("2026-07-06T05:30:00Z")]
    #[case("2026-07-06T10:00:00Z")]
    #[case("2026-07-05T07:30:00Z")]
    fn neither(#[case] now: &str) {
        assert_eq!(near("0 7 * * 1-5", "3h", "UTC", now), None);
    }

    #[rstest]
    #[case("0 7 * *", "3h", "UTC", "schedules[mornings].cron: \"0 7 * *\" is not understood")]
    #[case("0 0 7 * * 1", "3h", "UTC", "schedules[mornings].cron: \"0 0 7 * * 1\" is not understood")]
    #[case("61 7 * * *", "3h", "UTC", "schedules[mornings].cron: \"61 7 * * *\" is not understood")]
    #[case("0 0 31 2 *", "3h", "UTC", "schedules[mornings].cron: \"0 0 31 2 *\" is not understood")]
    #[case(
        "0 7 * * *",
        "3 hours",
        "UTC",
        "schedules[mornings].duration: \"3 hours\" is not a duration: write for instance 30s, 10m or 1h30m"
    )]
    #[case("0 7 * * *", "10s", "UTC", "schedules[mornings].duration: 10s is not between 1m and 168h")]
    #[case(
        "0 7 * * *",
        "3h",
        "Madrid",
        "schedules[mornings].timeZone: \"Madrid\" is not known: write an IANA name, for instance Europe/Madrid or UTC"
    )]
    fn what_is_wrong(#[case] cron: &str, #[case] duration: &str, #[case] zone: &str, #[case] said: &str) {
        let problems = Calendar::of(&[schedule(cron, duration, zone)]).unwrap_err();
        assert!(problems.len() == 1 && problems[0].starts_with(said), "{problems:?}");
    }

    #[test]
    fn a_name_is_used_once() {
        let twice = [schedule("0 7 * * *", "1h", "UTC"), schedule("0 9 * * *", "1h", "UTC")];
        let problems = Calendar::of(&twice).unwrap_err();
        assert_eq!(problems, ["schedules: mornings is listed twice: give each a name of its own"]);
    }
}
