//! The partitions of one group: what each waits for, and which of them stand still alone.
//!
//! Their names and what was read of them are kept elsewhere; what follows is the group's to say.

use super::history::History;
use super::names::Names;
use super::{Committed, GroupObservation, Policy, StartFrom, Time};

/// Sweeps over which a sudden rise is seen.
pub(super) const FAST_SWEEPS: f64 = 3.0;

/// One partition and what was seen of it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Messages behind.
    pub lag: i64,
    /// How long its oldest unread message has waited, by the history, s.
    waited: f64,
    /// Whether the history does not tell.
    older: bool,
    /// Messages arriving over the rate window, msg/s.
    pub arrival: Option<f64>,
    /// When it last got further, or had nothing to get further with.
    pub moved_at: Time,
    /// When it last got further; before all times if never.
    pub further_at: Time,
    /// Its last step forward left one record, and none has come since.
    left_one: bool,
    /// Nothing of it is processed while others are: a message that cannot be, or a consumer that hangs.
    pub standing: bool,
    /// Messages waited when it was first seen, and none of them has been processed since: it may be standing,
    /// for longer than this process has looked.
    unproven: bool,
    /// It could not be read when the others were, and is as it was last known.
    pub unseen: bool,
    /// When it was read last.
    pub read_at: Time,
    /// All that is left is one record that nobody moves past: the mark at the end of a transaction.
    pub residue: bool,
    /// How long a message is kept, s.
    pub retention: Option<f64>,
    /// Messages deleted before the group read them, as far as it has not read on since.
    pub expired: i64,
}

impl Entry {
    /// How long its oldest unread message has waited, s.
    pub fn delay(&self) -> f64 {
        if self.residue { 0.0 } else { self.waited }
    }

    /// Whether messages wait of which nothing tells how long. One may be the mark at the end of a transaction.
    pub fn undated(&self) -> bool {
        self.older && self.lag > 0 && !(self.left_one && self.lag == 1)
    }

    /// Whether messages waited when it was first seen, and none of them has been processed since.
    pub fn unproven(&self) -> bool {
        self.unproven
    }

    /// Whether it stands still alone, or may have before it was first seen, or cannot be seen: nothing tells that
    /// replicas clear it. `others` is whether any partition of the group got further since.
    pub fn held_up(&self, others: bool) -> bool {
        self.standing || self.unseen || (self.unproven && others)
    }
}

/// For how long a partition must have stood still to be told apart, s; `None` where it cannot be told now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Still {
    /// To stand still alone: only of a group that processes others meanwhile, else the group as a whole
    /// stands still.
    pub alone: Option<f64>,
    /// To have nothing left but the mark at the end of a transaction: one record, of which nothing has come
    /// though somebody reads. Consumers that commit the offset after their last message never get past it
    /// (KAFKA-6607). A message that came by itself is told from it: nobody stepped forward to it.
    pub residue: Option<f64>,
}

/// What a reading of all partitions told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// Whether any got further.
    pub progressed: bool,
    /// Whether any got further that had stood still alone, or can be read again.
    pub resumed: bool,
    /// Whether any has new messages.
    pub arrived: bool,
    /// Messages behind, over all.
    pub lag: i64,
    /// Whether the oldest message of any has waited long enough to keep a consumer busy.
    pub pressed: bool,
    /// Whether every partition has a commit, or is empty.
    pub all_committed: bool,
    /// Whether the partitions are not those of the last reading.
    pub realigned: bool,
    /// Messages deleted unread since the last reading, over all.
    pub expired: i64,
    /// Messages deleted unread as far as nobody has read on since, over all.
    pub behind_retention: i64,
}

/// The partitions of a group, in the order of the observation.
#[derive(Clone, Debug)]
pub(super) struct Partitions {
    names: Names,
    /// Each at the place of its name.
    entries: Vec<Entry>,
    /// What was read of each, at its place, and after the last of all as one: rates of the group need not be summed up
    /// from thousands.
    history: History,
    /// Since when any got further.
    moved: Option<Time>,
}

impl Default for Partitions {
    fn default() -> Self {
        Self { names: Names::default(), entries: Vec::new(), history: History::new(1), moved: None }
    }
}

impl Partitions {
    /// Takes in what was read at `at`. A partition that could not be read stays as it was: nothing is known to come.
    pub fn take_in(
        &mut self,
        policy: &Policy,
        seen: &GroupObservation,
        start_from: StartFrom,
        at: Time,
    ) -> Reading {
        let known =
            |p: &super::PartitionObservation| Some((p.end?, p.position(start_from)?, p.lag(start_from)?));
        let realigned = !self.names.same(seen);
        if realigned {
            self.align(seen, at);
        }
        let total = self.entries.len();
        let (mut all_ends, mut all_positions, mut anew) = (0i64, 0i64, false);
        let window = policy.rate_window();
        let mut reading = Reading { all_committed: true, realigned, ..Reading::default() };
        let history = &mut self.history;
        let mut begun = history.begin(at);
        let (stretch, mut near) = (history.stretch(window, 0.0), 0);
        for (lane, (entry, p)) in self.entries.iter_mut().zip(&seen.partitions).enumerate() {
            let before = history.before(&begun, lane);
            let Some((end, position, lag)) = known(p) else {
                let (end, position) = history.keep(&begun, lane).unwrap_or_default();
                all_ends = all_ends.saturating_add(end);
                all_positions = all_positions.saturating_add(position);
                reading.lag = reading.lag.saturating_add(entry.lag);
                reading.all_committed = false;
                (entry.unseen, entry.arrival) = (true, Some(0.0));
                // Nobody is to blame for what is not seen; what stood still before goes on doing so.
                if !entry.standing && !entry.residue {
                    entry.moved_at = at;
                }
                continue;
            };
            let expired = p.expired();
            reading.expired = reading.expired.saturating_add((expired - entry.expired).max(0));
            reading.behind_retention = reading.behind_retention.saturating_add(expired);
            (entry.expired, entry.retention) = (expired, p.retention);
            let arrived = before.is_some_and(|(before, _)| before != end);
            reading.arrived |= arrived;
            entry.unproven = lag > 0 && (entry.unproven || before.is_none());
            let further = history.record(&mut begun, lane, end, position);
            if std::mem::take(&mut entry.unseen) {
                // What came and was read meanwhile was so at no one moment, and nobody was seen to be busy with it.
                // Of one that was never seen all of it was left out.
                let (before, read) = before.unwrap_or_default();
                history.shift(total, end.saturating_sub(before), position.saturating_sub(read));
                history.fill(lane, entry.read_at);
                history.resume(lane);
                reading.resumed = true;
            }
            entry.read_at = at;
            // What came before is forgotten: the topic was made anew, or the group went back.
            anew |= before.is_some() && history.is_first(lane);
            all_ends = all_ends.saturating_add(end);
            all_positions = all_positions.saturating_add(position);
            reading.progressed |= further;
            // Read while it is at hand: thousands of them are in no cache.
            let waiting = history.waiting(lane, &mut near).unwrap_or_default();
            (entry.waited, entry.older) = (waiting.delay, waiting.older);
            entry.arrival = stretch.as_ref().and_then(|stretch| history.arrival(lane, stretch));
            if further && entry.standing {
                // While it stood still it kept nobody busy, however much waited.
                history.resume(lane);
                reading.resumed = true;
            }
            let pressed = lag > 0 && entry.waited >= policy.saturated_delay();
            history.note_saturation(&begun, lane, pressed);
            reading.pressed |= pressed;
            if further {
                entry.further_at = at;
                entry.unproven = false;
            }
            if further || lag == 0 {
                entry.moved_at = at;
                entry.standing = false;
            }
            if further || arrived {
                entry.left_one = further && lag == 1;
                entry.residue = false;
            }
            entry.lag = lag;
            reading.lag = reading.lag.saturating_add(lag);
            reading.all_committed &= matches!(p.committed, Committed::At(_)) || p.start == p.end;
        }
        history.record(&mut begun, total, all_ends, all_positions);
        if anew {
            history.forget(total);
        }
        history.end(&begun);
        if reading.progressed {
            self.moved.get_or_insert(at);
        }
        reading
    }

    /// Whether others have got further for longer than `gap`, so that each has had its turn to.
    pub fn moved_for(&self, gap: f64, at: Time) -> bool {
        self.moved.is_some_and(|since| at - since >= gap)
    }

    /// While partitions move nobody is to blame: the last `seconds` before `at` do not count.
    pub fn wait(&mut self, seconds: f64, at: Time) {
        for entry in self.entries.iter_mut().filter(|e| !e.standing) {
            entry.moved_at = (entry.moved_at + seconds).min(at);
        }
    }

    /// Tells apart the partitions that stand still, and those of which no more will come. All of them.
    pub fn note_still(&mut self, at: Time, still: Still) -> impl Iterator<Item = &Entry> {
        self.entries.iter_mut().map(move |entry| {
            if entry.unseen {
                return &*entry;
            }
            let since = at - entry.moved_at;
            if let Some(limit) = still.residue {
                entry.residue = entry.left_one && entry.lag == 1 && since > limit;
            }
            if let Some(limit) = still.alone {
                entry.standing = entry.lag > 0 && !entry.residue && since > limit;
                // From here on that tells.
                entry.unproven &= since <= limit;
            }
            &*entry
        })
    }

    fn align(&mut self, seen: &GroupObservation, at: Time) {
        let fresh = Entry {
            lag: 0,
            waited: 0.0,
            older: false,
            arrival: None,
            moved_at: at,
            further_at: f64::NEG_INFINITY,
            // One that was there before us is taken for a mark: with a message it would be the same.
            left_one: true,
            standing: false,
            unproven: false,
            unseen: false,
            read_at: at,
            residue: false,
            retention: None,
            expired: 0,
        };
        let before = |p: &super::PartitionObservation| self.names.position(&p.topic, p.partition);
        let mut lanes: Vec<Option<usize>> = seen.partitions.iter().map(before).collect();
        let entry =
            |lane: &Option<usize>| lane.map_or_else(|| fresh.clone(), |lane| self.entries[lane].clone());
        self.entries = lanes.iter().map(entry).collect();
        self.names = Names::of(seen);
        // What all were together was another all.
        lanes.push(None);
        self.history = self.history.of_lanes(&lanes);
    }

    /// Messages that arrived at all of them per second over the last `window` seconds.
    pub fn arrival(&self, window: f64) -> Option<f64> {
        // Of numbers so large that they are rounded it may be a little below none.
        let stretch = self.history.stretch(window, 0.0)?;
        self.history.arrival(self.entries.len(), &stretch).map(|rate| rate.max(0.0))
    }

    /// Messages of all of them processed per second over the last `window` seconds.
    pub fn service(&self, window: f64) -> Option<f64> {
        self.service_of(self.entries.len(), window)
    }

    /// Messages of the partition at a place processed per second over the last `window` seconds.
    pub fn service_of(&self, place: usize, window: f64) -> Option<f64> {
        let stretch = self.history.stretch(window, 0.0)?;
        self.history.service(place, &stretch).map(|rate| rate.max(0.0))
    }

    /// What was read of each, at its place.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.entries.iter()
    }

    /// What they are called, and at which places they are.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A partition, by its place.
    pub fn at(&self, place: usize) -> Option<&Entry> {
        self.entries.get(place)
    }
}
