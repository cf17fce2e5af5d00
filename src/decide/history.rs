//! What the partitions of a group were seen to do: delay, arrival and service rates from offsets.
//!
//! They are read together, so a time is kept once for all of them, and what was read lies reading after reading:
//! whoever asks the same of thousands of partitions goes through memory in its order, and not through as many
//! places of it. Bounded memory: recent readings are kept as they came, old ones are thinned.
//! It knows nothing of groups, replicas or objectives, and calls a partition a lane: one more may be all of them.

use super::Time;

/// Readings kept at most. The newest half of so many is never thinned.
const READINGS: usize = 64;
/// Readings left when they are thinned.
const KEPT: usize = 48;
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
    /// Of each lane, since when what was read counts, and what was read then: that reading may be thinned out.
    since: Vec<Time>,
    began: Vec<Point>,
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
        Self {
            since: vec![NEVER; lanes],
            began: vec![Point::default(); lanes],
            saturated_since: vec![NEVER; lanes],
            ..Self::default()
        }
    }

    /// The same readings of other lanes, each of which was one of these or is new.
    pub fn of_lanes(&self, lanes: &[Option<usize>]) -> Self {
        let of = |values: &[Time]| lanes.iter().map(|lane| lane.map_or(NEVER, |lane| values[lane])).collect();
        let (since, saturated_since) = (of(&self.since), of(&self.saturated_since));
        let point =
            |points: &[Point], lane: &Option<usize>| lane.map_or(Point::default(), |lane| points[lane]);
        let began = lanes.iter().map(|lane| point(&self.began, lane)).collect();
        let mut points = Vec::with_capacity(self.readings.len() * lanes.len());
        let mut readings = Vec::with_capacity(self.readings.len());
        for (slot, reading) in self.readings.iter().enumerate() {
            let row = &self.points[self.place(reading.slot)..];
            points.extend(lanes.iter().map(|lane| point(row, lane)));
            readings.push(Reading { slot: slot as u32, ..*reading });
        }
        Self { since, began, saturated_since, readings, points, free: Vec::new(), flat: false }
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
            (*since, self.began[lane], begun.flat) = (begun.at, point, false);
            return false;
        };
        let last = self.points[before + lane];
        begun.flat &= last == point;
        if end < last.end || position < last.position {
            (*since, self.began[lane], self.saturated_since[lane]) = (begun.at, point, NEVER);
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
            self.thin();
        }
        self.free.pop().unwrap_or_else(|| {
            let slots = self.readings.len();
            if self.points.len() <= slots * self.lanes() {
                // Twice as many, and never more than are kept: there are thousands of histories.
                let more = slots.max(2).min(READINGS - slots) * self.lanes();
                self.points.reserve_exact(more);
                self.points.resize(self.points.len() + more, Point::default());
            }
            slots as u32
        })
    }

    /// Leaves out old readings, those that lie closest together for how old they are: then a moment long ago is known
    /// about as well, for its age, as one of a short while ago.
    fn thin(&mut self) {
        let newest = self.readings[READINGS - 1].at;
        while self.readings.len() > KEPT {
            let old = 1..self.readings.len() - READINGS / 2;
            let gap = |i: &usize| self.readings[i + 1].at - self.readings[i - 1].at;
            let close = |i: &usize| gap(i) / (newest - self.readings[*i].at);
            let Some(closest) = old.min_by(|a, b| close(a).total_cmp(&close(b))) else { return };
            self.free.push(self.readings.remove(closest).slot);
        }
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
        let began = self.began.iter_mut().skip(lane).take(1);
        for point in self.points.iter_mut().skip(lane).step_by(lanes).chain(began) {
            point.end = point.end.saturating_add(arrived);
            point.position = point.position.saturating_add(read);
        }
    }

    /// Forgets what came before the last reading of a lane.
    pub fn forget(&mut self, lane: usize) {
        let Some(last) = self.readings.last() else { return };
        (self.since[lane], self.began[lane]) = (last.at, self.points[self.place(last.slot) + lane]);
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

    /// Whether a lane's consumer had work throughout the `window` seconds before a time.
    pub fn saturated_for(&self, lane: usize, window: f64, until: Time) -> bool {
        until - self.saturated_since[lane] >= window
    }

    /// What waits in a lane; `None` where nothing was read. Lanes next to each other are mostly alike: `near` is where
    /// the last one's was found.
    ///
    /// The moment a message arrived is interpolated between the two readings of the end of the
    /// log around its offset. A message older than the history is placed by the mean arrival
    /// rate; without arrivals its delay is at least the length of the history.
    pub fn waiting(&self, lane: usize, near: &mut usize) -> Option<Waiting> {
        let newest = self.readings.last().filter(|newest| self.since[lane] <= newest.at)?;
        let last = self.points[self.place(newest.slot) + lane];
        if last.position >= last.end {
            return Some(Waiting::default());
        }
        let (since, first) = (self.since[lane], self.began[lane].end);
        if first > last.position {
            let (age, arrived) = (newest.at - since, last.end.saturating_sub(first) as f64);
            let missing = first.saturating_sub(last.position) as f64;
            let rate = if age > 0.0 { arrived / age } else { 0.0 };
            let delay = if rate > 0.0 { age + missing / rate } else { age };
            return Some(Waiting { delay, older: first == last.end });
        }
        let begin = self.first(lane);
        let end = |reading: &Reading| self.points[self.place(reading.slot) + lane].end;
        let after = |index: usize| end(&self.readings[index]) > last.position;
        if *near <= begin || *near >= self.readings.len() || !after(*near) || after(*near - 1) {
            *near = begin + self.readings[begin..].partition_point(|r| end(r) <= last.position);
        }
        let b = &self.readings[*near];
        let (a, end_a) = match near.checked_sub(1).filter(|before| *before >= begin) {
            Some(before) => (self.readings[before].at, end(&self.readings[before])),
            None => (since, first),
        };
        let share = last.position.saturating_sub(end_a) as f64 / end(b).saturating_sub(end_a) as f64;
        Some(Waiting { delay: (newest.at - (a + (b.at - a) * share)).max(0.0), older: false })
    }

    /// `window` seconds (or what there is of it) that ended `ago` seconds back, for [`History::arrival`] and
    /// [`History::service`]; `None` where there is nothing of it.
    pub fn stretch(&self, window: f64, ago: f64) -> Option<Stretch> {
        let (from, until) = self.span_of(self.readings.first()?.at, (window, ago))?;
        let between = |time| {
            let after = self.readings.partition_point(|r| r.at < time).min(self.readings.len() - 1);
            let (a, b) = (&self.readings[after.saturating_sub(1)], &self.readings[after]);
            let exact = b.at <= time || after == 0;
            let (a, share) = if exact { (b, 0.0) } else { (a, (time - a.at) / (b.at - a.at)) };
            (Between { before: self.place(a.slot), after: self.place(b.slot), share }, a.at)
        };
        let ((from_place, known), (until_place, _)) = (between(from), between(until));
        Some(Stretch {
            asked: (window, ago),
            from: from_place,
            until: until_place,
            seconds: until - from,
            known,
        })
    }

    /// When `window` seconds that ended `ago` seconds back, or what there is of it since a time, began and ended.
    fn span_of(&self, since: Time, (window, ago): (f64, f64)) -> Option<(Time, Time)> {
        let until = self.readings.last()?.at - ago;
        let from = (until - window).max(since);
        (until - from > 0.0).then_some((from, until))
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
            let (from, until) = self.span_of(self.since[lane], stretch.asked)?;
            let at = |time| self.value_at(lane, time, &value);
            return Some((at(until) - at(from)) / (until - from));
        }
        let at = |place: &Between| {
            let a = value(&self.points[place.before + lane]);
            if place.share == 0.0 {
                return a as f64;
            }
            let b = value(&self.points[place.after + lane]);
            a as f64 + b.saturating_sub(a) as f64 * place.share
        };
        Some((at(&stretch.until) - at(&stretch.from)) / stretch.seconds)
    }

    /// What a lane was at a time since it was read first.
    fn value_at(&self, lane: usize, time: Time, value: impl Fn(&Point) -> i64) -> f64 {
        let of = |r: &Reading| (r.at, value(&self.points[self.place(r.slot) + lane]));
        let begin = self.first(lane);
        let after = self.readings[begin..].partition_point(|r| r.at < time) + begin;
        let before = after.checked_sub(1).filter(|before| *before >= begin);
        let (a, from) =
            before.map_or((self.since[lane], value(&self.began[lane])), |i| of(&self.readings[i]));
        let Some((b, to)) = self.readings.get(after).map(of).filter(|(b, _)| *b > a) else {
            return from as f64;
        };
        from as f64 + to.saturating_sub(from) as f64 * ((time - a) / (b - a)).clamp(0.0, 1.0)
    }

    /// The fewest messages that waited in a lane at any reading of the last `window` seconds; while it could not be
    /// read, as if they had come and gone evenly.
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
        self.readings.last().map_or(0.0, |last| (last.at - self.since[lane]).max(0.0))
    }

    /// The first reading of a lane that is remembered.
    fn first(&self, lane: usize) -> usize {
        let since = self.since[lane];
        match self.readings.first() {
            Some(first) if since <= first.at => 0,
            _ => self.readings.partition_point(|r| r.at < since),
        }
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
