//! The model of a consumer group: what arrives, who processes it, what is committed.
//!
//! One-second steps. It decides nothing: replicas are what it is told. What an autoscaler sees
//! of it is made in `observe`.

use super::assignment::MemberId;
use super::config::PlantConfig;
use super::effects::Effects;
use super::noise::{ArrivalNoise, Draws, Weather};
use super::partition::Partition;
use super::pods::Workload;
use super::rebalance::Group;
use super::scenario::{Arrivals, Scenario};

/// A consumer that is in the group and alive, and what it reads.
#[derive(Clone, Debug)]
struct Reader {
    member: MemberId,
    partitions: Vec<usize>,
    template: usize,
    speed: f64,
    /// Where in the commit interval it commits, s.
    phase: f64,
    pod: usize,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Second {
    pub arrived: f64,
    pub consumed: f64,
    pub late_message_seconds: f64,
    pub late_messages: f64,
    /// Whether a message was late at its end.
    pub violated: bool,
    /// Partitions without a reader because they are on the move.
    pub paused: usize,
    /// Mean busy share of the ready pods.
    pub utilisation: f64,
}

/// The state of a consumer group and its workload.
#[derive(Clone, Debug)]
pub struct Plant {
    pub(super) config: PlantConfig,
    pub(super) now: f64,
    max_delay: f64,
    pub(super) partitions: Vec<Partition>,
    pub(super) group: Group,
    pub(super) workload: Workload,
    pub(super) effects: Effects,
    readers: Vec<Reader>,
    /// Versions of the group and the workload that the readers were made from.
    readers_of: (u64, u64),
    /// When the assignment last changed, s.
    dealt_at: f64,
    arrivals: ArrivalNoise,
    weather: Weather,
    weather_now: f64,
    /// What is left of each pod's capacity and what it had this second.
    busy: Vec<(f64, f64)>,
}

impl Plant {
    /// A group that has been running for long, with nothing waiting.
    ///
    /// `max_delay` is how late a message may be, s; it decides nothing here, only what counts as late.
    pub fn new(config: &PlantConfig, scenario: &Scenario, max_delay: f64, seed: u64) -> Self {
        let kept = max_delay.max(config.retention.unwrap_or(0.0));
        let topics = config.partitions.iter().map(|t| t.partitions).collect();
        let assignor = config.assignor.unwrap_or_else(|| config.protocol.default_assignor());
        let mut group = Group::new(config.protocol, assignor, config.rebalance_pause.max(0.0), topics);
        let sd = config.capacity_noise.max(0.0) * std::f64::consts::FRAC_1_SQRT_2;
        let threads = config.threads.max(1) as u64;
        let workload = Workload::new(seed, sd, threads, config.start_up, config.initial_replicas);
        group.settle(workload.members());
        let mut plant = Self {
            config: config.clone(),
            now: 0.0,
            max_delay,
            partitions: (0..config.partition_count()).map(|_| Partition::new(kept)).collect(),
            group,
            workload,
            effects: Effects::new(config, scenario),
            readers: Vec::new(),
            readers_of: (0, 0),
            dealt_at: 0.0,
            arrivals: ArrivalNoise::new(seed),
            weather: Weather::new(seed, sd),
            weather_now: 1.0,
            busy: Vec::new(),
        };
        plant.gather_readers();
        plant
    }

    /// What arrives by chance, drawn ahead: the plant meets the same as without, sooner.
    #[must_use]
    pub(super) fn with_draws(self, draws: Draws) -> Self {
        Self { arrivals: ArrivalNoise::Ahead(draws, 0), ..self }
    }

    /// Draws ahead what will arrive with that seed: nobody has an influence on it. `None` when it cannot be kept.
    pub fn draws(config: &PlantConfig, scenario: &Scenario, seed: u64) -> Option<Draws> {
        let arrivals = ArrivalNoise::noting(seed);
        let mut plant = Self { arrivals, ..Self::new(config, scenario, 0.0, seed) };
        for _ in 0..scenario.duration.max(0.0).ceil() as u64 {
            let due = plant.effects.advance(scenario, plant.now);
            plant.arrive(scenario, due.burst);
            plant.now += 1.0;
        }
        plant.arrivals.noted()
    }

    /// Asks for `replicas`.
    pub fn ask_for(&mut self, replicas: i32) {
        self.workload.replicas = replicas.max(0);
    }

    /// Replicas asked for.
    pub fn spec_replicas(&self) -> i32 {
        self.workload.replicas
    }

    /// Pods that are ready.
    pub fn ready_replicas(&self) -> i32 {
        self.workload.ready()
    }

    /// Pods that exist, ready or not.
    pub fn pods(&self) -> usize {
        self.workload.pods.len()
    }

    /// Messages not yet processed.
    pub fn lag(&self) -> f64 {
        self.partitions.iter().map(|p| (p.arrived - p.done).max(0.0)).sum()
    }

    /// How long the oldest message not yet processed has waited, s.
    pub fn delay(&self) -> f64 {
        self.partitions.iter().map(|p| p.delay(self.now)).fold(0.0, f64::max)
    }

    /// Messages that retention deleted before they were processed.
    pub fn lost(&self) -> f64 {
        self.partitions.iter().map(|p| p.lost).sum()
    }

    /// Whether the group is rebalancing.
    pub fn rebalancing(&self) -> bool {
        self.group.rebalancing()
    }

    /// One second.
    pub(super) fn step(&mut self, scenario: &Scenario) -> Second {
        let begun = self.now;
        let due = self.effects.advance(scenario, begun);
        for _ in 0..due.rollouts {
            self.workload.roll_out();
        }
        if let Some(until) = due.gone_until {
            self.workload.crash_all(until);
        }
        if due.crashed > 0 {
            self.workload.crash(begun, due.crashed);
        }
        self.group.step(begun);
        let changes = self.workload.step(begun);
        self.release(&changes.left, false);
        self.release(&changes.expired, true);
        let left: Vec<MemberId> = changes.left.iter().chain(&changes.expired).copied().collect();
        self.group.change(begun, &changes.joined, &left);
        self.weather_now = self.weather.factor(begun);
        if self.readers_of != (self.group.version, self.workload.version) {
            if self.readers_of.0 != self.group.version {
                self.commit_all();
                self.dealt_at = begun;
            }
            self.gather_readers();
        }
        let mut second = Second { arrived: self.arrive(scenario, due.burst), ..Second::default() };
        if !self.group.members().is_empty() {
            second.paused = self.group.owners().iter().filter(|o| o.is_none()).count();
        }
        (second.consumed, second.utilisation) = self.consume();
        self.now = begun + 1.0;
        self.commit(begun);
        for p in &mut self.partitions {
            let late = p.close(self.now, self.max_delay, self.config.retention);
            second.late_message_seconds += late.message_seconds;
            second.late_messages += late.messages;
            second.violated |= late.now;
        }
        second
    }

    /// What members that left or died had: committed in good order, or to be read again.
    fn release(&mut self, members: &[MemberId], died: bool) {
        if members.is_empty() {
            return;
        }
        for (p, owner) in self.partitions.iter_mut().zip(self.group.owners()) {
            if owner.is_some_and(|m| members.contains(&m)) {
                if died {
                    p.rewind();
                } else {
                    p.committed = p.position;
                }
            }
        }
    }

    /// A consumer that gives up partitions commits first; so does one that a rebalance asks to join anew.
    fn commit_all(&mut self) {
        if self.effects.stopped {
            return;
        }
        let alive = self.workload.members();
        for reader in self.readers.iter().filter(|r| alive.contains(&r.member)) {
            for p in &reader.partitions {
                self.partitions[*p].committed = self.partitions[*p].position;
            }
        }
    }

    fn gather_readers(&mut self) {
        self.readers_of = (self.group.version, self.workload.version);
        self.readers.clear();
        let threads = self.config.threads.max(1) as u64;
        for (pod_index, pod) in self.workload.pods.iter().enumerate().filter(|(_, p)| p.ready()) {
            for thread in 0..threads {
                let member = pod.member(thread);
                let partitions: Vec<usize> =
                    (0..self.partitions.len()).filter(|p| self.group.owners()[*p] == Some(member)).collect();
                if !partitions.is_empty() {
                    let spread =
                        (member.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1u64 << 24) as f64;
                    self.readers.push(Reader {
                        member,
                        partitions,
                        template: pod.template(),
                        speed: pod.speed(),
                        phase: if self.config.commits_together {
                            -self.dealt_at
                        } else {
                            spread * self.config.commit_interval
                        },
                        pod: pod_index,
                    });
                }
            }
        }
    }

    fn arrive(&mut self, scenario: &Scenario, burst: f64) -> f64 {
        let rate = scenario.traffic.rate(self.now + 0.5) + burst;
        let mut total = 0.0;
        for (index, p) in self.partitions.iter_mut().enumerate() {
            let expected = rate * self.effects.shares[index];
            let count = match scenario.traffic.arrivals {
                Arrivals::Poisson => self.arrivals.poisson(expected),
                Arrivals::Smooth => expected,
            };
            if self.effects.leaderless(index) {
                p.held += count;
            } else {
                let count = count + std::mem::take(&mut p.held);
                p.arrived += count;
                total += count;
            }
        }
        total
    }

    /// Everyone processes what it can; returns msg/s and the mean busy share of the ready pods.
    fn consume(&mut self) -> (f64, f64) {
        let ready = self.workload.ready();
        if self.effects.stopped || ready == 0 {
            return (0.0, 0.0);
        }
        let common = self.weather_now * self.effects.speed;
        let threads = f64::from(self.config.threads.max(1));
        let capacity =
            |template: usize, speed: f64| (self.effects.capacity_of(template) * speed * common).max(0.0);
        let effects = &self.effects;
        let partitions = &mut self.partitions;
        let workable = |p: &usize| !effects.stands_still(*p);
        // What each could do; then all of them less, if what they write to takes less.
        let wants: Vec<f64> = self
            .readers
            .iter()
            .map(|r| {
                let waiting: f64 =
                    r.partitions.iter().filter(|p| workable(p)).map(|p| partitions[*p].waiting()).sum();
                waiting.min(capacity(r.template, r.speed))
            })
            .collect();
        let wanted: f64 = wants.iter().sum();
        let limit = effects.ceiling.min(self.config.downstream_ceiling.unwrap_or(f64::INFINITY));
        let share = if wanted > limit { limit / wanted } else { 1.0 };
        self.busy.clear();
        self.busy.resize(self.workload.pods.len(), (0.0, 0.0));
        let mut consumed = 0.0;
        for (reader, want) in self.readers.iter().zip(&wants) {
            let served = pour(partitions, &reader.partitions, &workable, want * share);
            self.busy[reader.pod].0 += served;
            self.busy[reader.pod].1 = capacity(reader.template, reader.speed) * threads;
            consumed += served;
        }
        let busy: f64 = self.busy.iter().filter(|(_, all)| *all > 0.0).map(|(used, all)| used / all).sum();
        (consumed, busy / f64::from(ready))
    }

    fn commit(&mut self, begun: f64) {
        if self.effects.stopped {
            return;
        }
        let interval = self.config.commit_interval;
        for reader in &self.readers {
            let due = interval <= 1.0
                || ((begun + 1.0 + reader.phase) / interval).floor()
                    > ((begun + reader.phase) / interval).floor();
            if due {
                for p in &reader.partitions {
                    self.partitions[*p].committed = self.partitions[*p].position;
                }
            }
        }
    }
}

/// Spreads `budget` over partitions evenly; what one does not need goes to the others.
fn pour(
    partitions: &mut [Partition],
    which: &[usize],
    workable: &impl Fn(&usize) -> bool,
    mut budget: f64,
) -> f64 {
    let mut served = 0.0;
    let mut left: Vec<usize> = which.iter().copied().filter(workable).collect();
    left.sort_by(|a, b| partitions[*a].waiting().total_cmp(&partitions[*b].waiting()));
    let count = left.len();
    for (i, p) in left.into_iter().enumerate() {
        let taken = partitions[p].serve(budget / (count - i) as f64);
        budget = (budget - taken).max(0.0);
        served += taken;
    }
    served
}
