//! What happens in a run beside the traffic, to be shaded: events, schedules, and the states that came of it.
//!
//! Times and words only; it draws nothing.

use plotters::style::RGBColor;

use crate::calendar::Calendar;
use crate::decide::{ScalerState, Time};
use crate::simulate::{Event, Run, Scenario};

/// Time that is shaded, s since the start, and what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// From.
    pub from: f64,
    /// Until; the same as `from` for a moment.
    pub to: f64,
    /// What it is.
    pub label: String,
    /// Whether it is the owner's schedule, not something that goes wrong.
    pub schedule: bool,
}

/// What a scenario has.
pub fn events(scenario: &Scenario) -> Vec<Band> {
    let band = |event: &Event| {
        let (from, to) = event.span();
        Band { from, to: to.min(scenario.duration), label: label(event).to_owned(), schedule: false }
    };
    scenario.events.iter().map(band).filter(|b| b.from < scenario.duration).collect()
}

fn label(event: &Event) -> &'static str {
    match event {
        Event::ConsumersStopped { .. } => "nothing is processed",
        Event::ConsumersGone { .. } => "no consumer stays up",
        Event::ConsumerCrash { .. } => "consumers crash",
        Event::Blind { .. } => "Kafka cannot be read",
        Event::PartialMetadata { .. } => "a partition is not seen",
        Event::BrokerLost { .. } => "a broker is lost",
        Event::Rollout { .. } => "rollout",
        Event::DownstreamCeiling { .. } => "what they depend on is slow",
        Event::Speed { factor, .. } if *factor < 1.0 => "messages take longer",
        Event::Speed { .. } => "messages take shorter",
        Event::Poison { .. } => "a partition is held up",
        Event::Hot { .. } => "a hot partition",
        Event::Burst { .. } => "a backlog arrives",
    }
}

/// Shortest time between two looks into a calendar, s: half of how far ahead it tells.
const STRIDE: f64 = 1800.0;
/// Most looks.
const LOOKS: f64 = 5000.0;

/// When the owner's schedules are on, in a run that begins at a time (seconds since the Unix epoch).
pub fn schedules(calendar: &Calendar, begin: Time, duration: f64) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    if *calendar == Calendar::default() {
        return bands;
    }
    let (stride, mut at) = (STRIDE.max(duration / LOOKS), 0.0);
    while at < duration {
        for window in calendar.near(begin + at) {
            let (from, to) = ((window.from - begin).max(0.0), (window.until - begin).min(duration));
            let label = format!("{}: at least {}", window.name, window.min_replicas);
            match bands.iter_mut().find(|b| b.label == label && from <= b.to) {
                Some(band) => band.to = band.to.max(to),
                None if from < duration => bands.push(Band { from, to, label, schedule: true }),
                None => {}
            }
        }
        at += stride;
    }
    bands
}

/// The states one after the other, from when on; the last lasts until the end.
pub(super) fn states(run: &Run) -> Vec<(f64, ScalerState)> {
    let mut states: Vec<(f64, ScalerState)> = Vec::new();
    for (at, state) in run.decisions.iter().filter_map(|d| Some((d.at, d.state?))) {
        if states.last().is_none_or(|(_, before)| *before != state) {
            states.push((at, state));
        }
    }
    states
}

/// The colour of a state, one that the colour-blind tell from the others.
pub(super) fn color(state: ScalerState) -> RGBColor {
    match state {
        ScalerState::Idle => RGBColor(190, 200, 205),
        ScalerState::KeepingUp => RGBColor(0, 158, 115),
        ScalerState::Recovering => RGBColor(86, 180, 233),
        ScalerState::FallingBehind => RGBColor(230, 159, 0),
        ScalerState::Stuck => RGBColor(200, 50, 20),
        ScalerState::DownstreamSaturated => RGBColor(204, 121, 167),
        ScalerState::Blind => RGBColor(90, 90, 100),
        ScalerState::Paused | ScalerState::Invalid => RGBColor(150, 140, 120),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_morning_is_one_band() {
        let schedule = crate::api::Schedule {
            name: "mornings".into(),
            cron: "0 7 * * *".into(),
            duration: "3h".into(),
            time_zone: "UTC".into(),
            min_replicas: 9,
        };
        let calendar = Calendar::of(&[schedule]).unwrap();
        let bands = schedules(&calendar, 1_704_067_200.0, 2.0 * 86_400.0);
        let times: Vec<(f64, f64)> = bands.iter().map(|b| (b.from / 3600.0, b.to / 3600.0)).collect();
        assert_eq!(times, [(7.0, 10.0), (31.0, 34.0)]);
        assert_eq!(bands[0].label, "mornings: at least 9");
    }
}
