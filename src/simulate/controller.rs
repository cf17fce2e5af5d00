//! What an autoscaler sees and answers, and Spillway's own engine as one.
//!
//! The engine's rules are in `decide`; here it is only called as the operator calls it.

use std::borrow::Cow;

use crate::calendar::Calendar;
use crate::decide::{Decision, Observation, Policy, ScheduleWindow, State, Time, decide};

/// What any autoscaler may see at a moment.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Seconds since the start.
    pub now: f64,
    /// What a sweep would read of the group and the workload now.
    pub observation: &'a Observation,
    /// Replicas asked for.
    pub spec_replicas: i32,
    /// Pods that are ready.
    pub ready_replicas: i32,
    /// Mean CPU utilisation of ready pods over the last second, 0 to 1 (the busy share of their capacity).
    pub utilisation: f64,
    /// Messages processed per second over the last second, over all consumers.
    pub consumed: f64,
}

/// An autoscaler.
pub trait Controller {
    /// Its name, for tables.
    fn name(&self) -> String;

    /// Called once a second; returns the replicas to ask for, if it wants to write.
    fn look(&mut self, view: &View<'_>) -> Option<i32>;

    /// The decision of the last look, where it made one that can be put in words.
    fn decision(&self) -> Option<&Decision> {
        None
    }
}

/// Spillway: `decide`, called at its sweep interval.
#[derive(Clone, Debug)]
pub struct Engine {
    policy: Policy,
    state: State,
    next: f64,
    last: Option<Decision>,
    schedules: Schedules,
}

impl Engine {
    /// An engine that has seen nothing yet.
    pub fn new(policy: Policy) -> Self {
        Self::restored(policy, State::default())
    }

    /// An engine that knows what `state` knows.
    pub fn restored(policy: Policy, state: State) -> Self {
        Self { policy, state, next: 0.0, last: None, schedules: Schedules::default() }
    }

    /// With the owner's schedules, on a run whose first second is `begin`.
    #[must_use]
    pub fn with_schedules(self, calendar: Calendar, begin: Time) -> Self {
        Self { schedules: Schedules { calendar, begin, ..Schedules::default() }, ..self }
    }

    /// What it remembers.
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl Controller for Engine {
    fn name(&self) -> String {
        "Spillway".to_owned()
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        if view.now < self.next {
            self.last = None;
            return None;
        }
        self.next = view.now + self.policy.sweep_interval;
        let observation = self.schedules.seen(view);
        let (decision, state) = decide(&self.policy, std::mem::take(&mut self.state), &observation, view.now);
        self.state = state;
        let to = decision.to.filter(|_| decision.write);
        self.last = Some(decision);
        to
    }

    fn decision(&self) -> Option<&Decision> {
        self.last.as_ref()
    }
}

/// Time between two looks into the calendar, s: nothing begins between two full minutes.
const MINUTE: f64 = 60.0;

/// The owner's schedules, in the time of a run.
#[derive(Clone, Debug, Default)]
struct Schedules {
    calendar: Calendar,
    begin: Time,
    near: Vec<ScheduleWindow>,
    next: f64,
}

impl Schedules {
    /// What is seen, and the schedules that are on or near.
    fn seen<'a>(&mut self, view: &View<'a>) -> Cow<'a, Observation> {
        if self.calendar == Calendar::default() {
            return Cow::Borrowed(view.observation);
        }
        if view.now >= self.next {
            let begin = self.begin;
            self.next = ((begin + view.now) / MINUTE).floor() * MINUTE + MINUTE - begin;
            let near = self.calendar.near(begin + view.now);
            let ours =
                |w: ScheduleWindow| ScheduleWindow { from: w.from - begin, until: w.until - begin, ..w };
            self.near = near.into_iter().map(ours).collect();
        }
        let mut observation = view.observation.clone();
        observation.schedules.clone_from(&self.near);
        Cow::Owned(observation)
    }
}
