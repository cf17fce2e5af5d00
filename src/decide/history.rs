//! What the partitions of a group were seen to do: delay, arrival and service rates from offsets.
//!
//! They are read together, so a time is kept once for all of them, and what was read lies reading after reading:
//! whoever asks the same of thousands of partitions goes through memory in its order, and not through as many
//! places of it. Bounded memory: recent readings are kept as they came, old ones are thinned.
//! It knows nothing of groups, replicas or objectives, and calls a partition a lane: one more may be all of them.

use super::Time;

/// Readings kept. The newer half is never thinned.
const READINGS: usize = 64;
/// Of a lane that nothing was read of, and of one that does not wait.
const NEVER: Time = f64::INFINITY;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Point {
    end: i64,
    position: i64,
}

/// One moment at which lanes were read.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    at: Time,
    /// Where its points are: as many places of them from the beginning.
    slot: u32,
}

/// The history of some lanes.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Of each lane, since when what was read counts.
    since: Vec<Time>,
    /// Of each lane, since when its oldest unread message has waited long enough to keep a consumer busy.
    saturated_since: Vec<Time>,
    /// In ascending order of time.
    readings: Vec<Reading>,
    points: Vec<Point>,
    /// Places of points that readings no longer need.
    free: Vec<u32>,
    /// Whether the last reading is in all lanes what the one before was.
    flat: bool,
}

/// A reading that is being taken in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    at: Time,
    /// When the one before it was, and its first point.
    before: Option<(Time, usize)>,
    /// Its own first point.
    own: usize,
    /// Whether all lanes taken in so far are what they were.
    flat: bool,
}

/// A stretch of time, found among the readings once for all lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// What was asked for: how long it is, and how long ago it ended, s.
    asked: (f64, f64),
    from: Between,
    until: Between,
    seconds: f64,
    /// A lane counts that was read from here on.
    known: Time,
}

/// A moment between two readings: the first point of each, and how far it is from one to the other.
#[derive(Clone, Copy, Debug)]
struct Between {
    before: usize,
    after: usize,
    share: f64,
}

/// What waits in a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Waiting {
    /// How long the oldest unread message has waited when last read, s; zero when nothing waits.
    pub delay: f64,
    /// Whether messages wait that are older than the history, and none arrived by which to tell how much.
    pub older: bool,
}

impl History {
    /// A history of so many lanes of which nothing was read yet.
    pub fn new(lanes: usize) -> Self {
        Self { since: vec![NEVER; lanes], saturated_since: vec![NEVER; lanes], ..Self::default() }
    }

    /// The same readings of other lanes, each of which was one of these or is new.
    pub fn of_lanes(&self, lanes: &[Option<usize>]) -> Self {
        let of = |values: &[Time]| lanes.iter().map(|lane| lane.map_or(NEVER, |lane| values[lane])).collect();
        let (since, saturated_since) = (of(&self.since), of(&self.saturated_since));
        let mut points = Vec::with_capacity(self.readings.len() * lanes.len());
        let mut readings = Vec::with_capacity(self.readings.len());
        for (slot, reading) in self.readings.iter().enumerate() {
            let row = self.place(reading.slot);
            points.extend(lanes.iter().map(|lane| lane.map_or(Point::default(), |l| self.points[row + l])));
            readings.push(Reading { slot: slot as u32, ..*reading });
        }
        Self { since, saturated_since, readings, points, free: Vec::new(), flat: false }
    }

    /// Begins a reading, later than the last: of each lane something is then recorded or kept.
    pub fn begin(&mut self, at: Time) -> Begun {
        let before = self.readings.last().map(|r| (r.at, self.place(r.slot)));
        let slot = self.free_slot();
        self.readings.push(Reading { at, slot });
        Begun { at, before, own: self.place(slot), flat: before.is_some() }
    }

    /// Adds what was read of a lane: the end of the log and the next offset the group will read.
    ///
    /// A log that got shorter is another log (the topic was recreated): everything before is
    /// forgotten. So it is when the group went back, as rates over that moment mean nothing.
    /// Returns whether the group got further.
    pub fn record(&mut self, begun: &mut Begun, lane: usize, end: i64, position: i64) -> bool {
        let point = Point { end, position };
        self.points[begun.own + lane] = point;
        let since = &mut self.since[lane];
        let Some((_, before)) = begun.before.filter(|(at, _)| *since <= *at) else {
            (*since, begun.flat) = (begun.at, false);
            return false;
        };
        let last = self.points[before + lane];
        begun.flat &= last == point;
        if end < last.end || position < last.position {
            (*since, self.saturated_since[lane]) = (begun.at, NEVER);
        }
        position > last.position
    }

    /// Leaves a lane as it was last read, as nothing is known to have come. What that was, where anything was.
    pub fn keep(&mut self, begun: &Begun, lane: usize) -> Option<(i64, i64)> {
        let (end, position) = self.before(begun, lane)?;
        self.points[begun.own + lane] = Point { end, position };
        Some((end, position))
    }

    /// Ends a reading.
    pub fn end(&mut self, begun: &Begun) {
        if begun.flat && self.flat {
            // While nothing happens two are all there will be.
            let before = self.readings.remove(self.readings.len() - 2);
            self.free.push(before.slot);
        }
        self.flat = begun.flat;
    }

    /// A place for the points of another reading. Where there are too many, old ones make room.
    fn free_slot(&mut self) -> u32 {
        if self.readings.len() == READINGS {
            let mut index = 0;
            let free = &mut self.free;
            self.readings.retain(|reading| {
                index += 1;
                let kept = index == 1 || index > READINGS / 2 || index % 2 == 0;
                if !kept {
                    free.push(reading.slot);
                }
                kept
            });
        }
        self.free.pop().unwrap_or_else(|| {
            let slots = self.readings.len();
            if self.points.len() <= slots * self.lanes() {
                // Twice as many, and never more than are kept: there are thousands of histories.
                let more = slots.clamp(2, READINGS.saturating_sub(slots).max(1)) * self.lanes();
                self.points.reserve_exact(more);
                self.points.resize(self.points.len() + more, Point::default());
            }
            slots as u32
        })
    }

    /// Fills in what was kept of a lane since it was read at `from`, up to the last reading: as if what came meanwhile
    /// had come evenly.
    pub fn fill(&mut self, lane: usize, from: Time) {
        let Some(last) = self.readings.last().copied().filter(|_| self.since[lane] <= from) else { return };
        // That reading may be thinned out by now, but what was kept of it is in every one since.
        let since = self.readings.partition_point(|r| r.at <= from);
        let Some(kept) = self.readings.get(since).filter(|r| r.at < last.at) else { return };
        let (a, b) = (self.points[self.place(kept.slot) + lane], self.points[self.place(last.slot) + lane]);
        for Reading { at, slot } in &self.readings[since..self.readings.len() - 1] {
            let share = (at - from) / (last.at - from);
            let place = self.place(*slot) + lane;
            self.points[place] =
                Point { end: part(a.end, b.end, share), position: part(a.position, b.position, share) };
        }
    }

    /// Takes so many messages, arrived and read, for ones that were there before all that is remembered.
    pub fn shift(&mut self, lane: usize, arrived: i64, read: i64) {
        let lanes = self.lanes().max(1);
        for point in self.points.iter_mut().skip(lane).step_by(lanes) {
            point.end = point.end.saturating_add(arrived);
            point.position = point.position.saturating_add(read);
        }
    }

    /// Forgets what came before the last reading of a lane.
    pub fn forget(&mut self, lane: usize) {
        self.since[lane] = self.readings.last().map_or(NEVER, |last| last.at);
        (self.saturated_since[lane], self.flat) = (NEVER, false);
    }

    /// Notes whether a message of a lane has waited long enough to keep a consumer busy.
    pub fn note_saturation(&mut self, begun: &Begun, lane: usize, waits: bool) {
        let since = &mut self.saturated_since[lane];
        *since = if waits { since.min(begun.at) } else { NEVER };
    }

    /// What waited until now in a lane kept nobody busy: to be saturated begins anew.
    pub fn resume(&mut self, lane: usize) {
        self.saturated_since[lane] = NEVER;
    }

    /// Whether a lane's consumer had work throughout the last `window` seconds.
    pub fn saturated_for(&self, lane: usize, window: f64) -> bool {
        self.readings.last().is_some_and(|last| last.at - self.saturated_since[lane] >= window)
    }

    /// What waits in a lane; `None` where nothing was read. Lanes next to each other are mostly alike: `near` is where
    /// the last one's was found.
    ///
    /// The moment a message arrived is interpolated between the two readings of the end of the
    /// log around its offset. A message older than the history is placed by the mean arrival
    /// rate; without arrivals its delay is at least the length of the history.
    pub fn waiting(&self, lane: usize, near: &mut usize) -> Option<Waiting> {
        let newest = self.readings.last()?;
        let last = self.points[self.place(newest.slot) + lane];
        let begin = self.first(lane)?;
        if last.position >= last.end {
            return Some(Waiting::default());
        }
        let end = |index: usize| self.points[self.place(self.readings[index].slot) + lane].end;
        let first = end(begin);
        if first > last.position {
            let (age, arrived) = (newest.at - self.readings[begin].at, last.end.saturating_sub(first) as f64);
            let missing = first.saturating_sub(last.position) as f64;
            let rate = if age > 0.0 { arrived / age } else { 0.0 };
            let delay = if rate > 0.0 { age + missing / rate } else { age };
            return Some(Waiting { delay, older: first == last.end });
        }
        let tried = (*near).clamp(begin + 1, self.readings.len() - 1);
        if end(tried) > last.position && end(tried - 1) <= last.position {
            *near = tried;
        } else {
            let within = &self.readings[begin..];
            *near = begin
                + within.partition_point(|r| self.points[self.place(r.slot) + lane].end <= last.position);
        }
        let (a, b) = (self.readings[*near - 1].at, self.readings[*near].at);
        let (end_a, end_b) = (end(*near - 1), end(*near));
        let share = last.position.saturating_sub(end_a) as f64 / end_b.saturating_sub(end_a) as f64;
        Some(Waiting { delay: (newest.at - (a + (b - a) * share)).max(0.0), older: false })
    }

    /// `window` seconds (or what there is of it) that ended `ago` seconds back, for [`History::arrival`] and
    /// [`History::service`]; `None` where there is nothing of it.
    pub fn stretch(&self, window: f64, ago: f64) -> Option<Stretch> {
        self.stretch_from(0, window, ago)
    }

    fn stretch_from(&self, begin: usize, window: f64, ago: f64) -> Option<Stretch> {
        let (first, last) = (self.readings.get(begin)?.at, self.readings.last()?.at);
        let until = last - ago;
        let from = (until - window).max(first);
        if until - from <= 0.0 {
            return None;
        }
        let (from_place, known) = self.between(begin, from);
        let (until_place, _) = self.between(begin, until);
        let asked = (window, ago);
        Some(Stretch { asked, from: from_place, until: until_place, seconds: until - from, known })
    }

    /// A moment among the readings from one on, and the first reading that tells of it.
    fn between(&self, begin: usize, time: Time) -> (Between, Time) {
        let after = self.readings.partition_point(|r| r.at < time).clamp(begin, self.readings.len() - 1);
        let (b, a) = (&self.readings[after], &self.readings[after.saturating_sub(1).max(begin)]);
        let (before, after) = (self.place(a.slot), self.place(b.slot));
        if b.at <= time || before == after {
            return (Between { before: after, after, share: 0.0 }, b.at);
        }
        (Between { before, after, share: (time - a.at) / (b.at - a.at) }, a.at)
    }

    /// Messages that arrived in a lane per second over a stretch, or over what there is of it.
    pub fn arrival(&self, lane: usize, stretch: &Stretch) -> Option<f64> {
        self.rate(lane, stretch, |p| p.end)
    }

    /// Messages processed of a lane per second over a stretch, or over what there is of it.
    pub fn service(&self, lane: usize, stretch: &Stretch) -> Option<f64> {
        self.rate(lane, stretch, |p| p.position)
    }

    fn rate(&self, lane: usize, stretch: &Stretch, value: impl Fn(&Point) -> i64) -> Option<f64> {
        if self.since[lane] > stretch.known {
            // A lane that was read for a shorter time has a stretch of its own.
            let (window, ago) = stretch.asked;
            let own = self.stretch_from(self.first(lane)?, window, ago)?;
            return Some(self.mean(lane, &own, value));
        }
        Some(self.mean(lane, stretch, value))
    }

    fn mean(&self, lane: usize, over: &Stretch, value: impl Fn(&Point) -> i64) -> f64 {
        let at = |place: &Between| {
            let a = value(&self.points[place.before + lane]);
            if place.share == 0.0 {
                return a as f64;
            }
            let b = value(&self.points[place.after + lane]);
            a as f64 + b.saturating_sub(a) as f64 * place.share
        };
        (at(&over.until) - at(&over.from)) / over.seconds
    }

    /// The fewest messages that waited in a lane at any reading of the last `window` seconds.
    pub fn least_waiting(&self, lane: usize, window: f64) -> i64 {
        let Some(last) = self.readings.last() else { return 0 };
        let from = (last.at - window - 1e-9).max(self.since[lane]);
        let within = self.readings.iter().rev().take_while(|r| r.at >= from);
        let points = within.map(|r| self.points[self.place(r.slot) + lane]);
        points.map(|p| p.end.saturating_sub(p.position)).min().unwrap_or(0)
    }

    /// Whether there is one reading only of a lane.
    pub fn is_first(&self, lane: usize) -> bool {
        self.readings.last().is_some_and(|last| self.since[lane] == last.at)
    }

    /// End of the log and the next offset the group will read, as read before the reading that has begun.
    pub fn before(&self, begun: &Begun, lane: usize) -> Option<(i64, i64)> {
        let (_, before) = begun.before.filter(|(at, _)| self.since[lane] <= *at)?;
        let last = self.points[before + lane];
        Some((last.end, last.position))
    }

    /// For how long a lane was read, s.
    pub fn span(&self, lane: usize) -> f64 {
        let first = self.first(lane).map(|first| self.readings[first].at);
        self.readings.last().zip(first).map_or(0.0, |(last, first)| last.at - first)
    }

    /// The first reading of a lane that is remembered.
    fn first(&self, lane: usize) -> Option<usize> {
        let since = self.since[lane];
        let first = match self.readings.first() {
            Some(first) if since <= first.at => 0,
            _ => self.readings.partition_point(|r| r.at < since),
        };
        (first < self.readings.len()).then_some(first)
    }

    fn lanes(&self) -> usize {
        self.since.len()
    }

    fn place(&self, slot: u32) -> usize {
        slot as usize * self.lanes()
    }
}

/// What lies between two numbers.
fn part(a: i64, b: i64, share: f64) -> i64 {
    a.saturating_add((b.saturating_sub(a) as f64 * share) as i64)
}

#[cfg(test)]
mod tests;
