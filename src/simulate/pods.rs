//! The workload: pods that are asked for, start, run, crash, and are replaced by a rollout.
//!
//! It knows which consumers join and leave the group, not what they read. Times are s since the start.

use super::assignment::MemberId;
use super::noise::PodLuck;

/// How long the broker waits for a member that died without leaving, s (`session.timeout.ms`).
const SESSION_TIMEOUT: f64 = 45.0;
/// Shares of the replicas that a rollout may add and may take away (a Deployment's defaults).
const SURGE: f64 = 0.25;
const UNAVAILABLE: f64 = 0.25;

/// A pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pod {
    serial: u64,
    template: usize,
    /// When it will be ready, s; `None` once it is.
    starting: Option<f64>,
    /// How often its containers were started anew.
    restarts: u64,
    luck: PodLuck,
}

impl Pod {
    pub fn ready(&self) -> bool {
        self.starting.is_none()
    }

    /// Factor on the capacity of its consumers.
    pub fn speed(&self) -> f64 {
        self.luck.speed
    }

    /// Which pod template it is of, counted from 0.
    pub fn template(&self) -> usize {
        self.template
    }

    /// Its `thread`-th consumer.
    pub fn member(&self, thread: u64) -> MemberId {
        (self.serial << 24) | ((self.restarts & 0xffff) << 8) | thread
    }
}

/// Consumers that join and leave the group in one second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub joined: Vec<MemberId>,
    /// Left in good order.
    pub left: Vec<MemberId>,
    /// Expired after their pod died: what they had not committed is read again.
    pub expired: Vec<MemberId>,
}

/// The pods of one workload.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    seed: u64,
    noise: f64,
    threads: u64,
    /// Mean and half width of the start-up time, s.
    start_up: (f64, f64),
    /// Replicas asked for.
    pub replicas: i32,
    /// Pods, oldest first.
    pub pods: Vec<Pod>,
    /// The pod template now, counted from 0.
    pub template: usize,
    made: u64,
    /// Members of dead pods, and when the broker gives them up.
    ghosts: Vec<(f64, MemberId)>,
    /// No container stays up until then, s.
    down_until: Option<f64>,
    changes: Changes,
    /// Changes whenever pods do.
    pub version: u64,
}

impl Workload {
    /// `replicas` pods that have been ready for long.
    pub fn new(seed: u64, noise: f64, threads: u64, start_up: (f64, f64), replicas: i32) -> Self {
        let mut workload = Self {
            seed,
            noise,
            threads: threads.max(1),
            start_up,
            replicas: replicas.max(0),
            pods: Vec::new(),
            template: 0,
            made: 0,
            ghosts: Vec::new(),
            down_until: None,
            changes: Changes::default(),
            version: 0,
        };
        for _ in 0..workload.replicas {
            workload.make(0.0);
        }
        workload.pods.iter_mut().for_each(|p| p.starting = None);
        workload
    }

    /// The consumers of all ready pods.
    pub fn members(&self) -> Vec<MemberId> {
        self.pods.iter().filter(|p| p.ready()).flat_map(|p| consumers(p, self.threads)).collect()
    }

    /// Pods that are ready.
    pub fn ready(&self) -> i32 {
        self.pods.iter().filter(|p| p.ready()).count() as i32
    }

    /// Whether pods of an older template are still to be replaced.
    pub fn rolling_out(&self) -> bool {
        self.pods.iter().any(|p| p.template != self.template)
    }

    /// No container stays up from now until `until` s.
    pub fn crash_all(&mut self, until: f64) {
        self.down_until = Some(until);
        self.version += 1;
        let (threads, start_up) = (self.threads, self.start_up);
        for pod in &mut self.pods {
            if pod.ready() {
                self.changes.left.extend(consumers(pod, threads));
            }
            pod.restarts += 1;
            pod.starting = Some(until + start_up_time(start_up, pod.luck));
        }
    }

    /// The newest `count` ready pods die without leaving the group, and start anew.
    pub fn crash(&mut self, now: f64, count: usize) {
        self.version += 1;
        let (threads, start_up) = (self.threads, self.start_up);
        for pod in self.pods.iter_mut().rev().filter(|p| p.ready()).take(count) {
            self.ghosts.extend(consumers(pod, threads).map(|m| (now + SESSION_TIMEOUT, m)));
            pod.restarts += 1;
            pod.starting = Some(now + start_up_time(start_up, pod.luck));
        }
    }

    /// A new pod template: every pod is to be replaced.
    pub fn roll_out(&mut self) {
        self.template += 1;
        self.version += 1;
    }

    /// Makes, removes and starts pods at `now`; tells who joins and leaves.
    pub fn step(&mut self, now: f64) -> Changes {
        self.down_until = self.down_until.filter(|until| *until > now);
        for pod in self.pods.iter_mut().filter(|p| p.starting.is_some_and(|at| at <= now)) {
            pod.starting = None;
            self.version += 1;
            self.changes.joined.extend(consumers(pod, self.threads));
        }
        let expired = self.ghosts.extract_if(.., |(at, _)| *at <= now).map(|(_, member)| member);
        self.changes.expired.extend(expired);
        if self.rolling_out() {
            self.replace(now);
        }
        let rolling = self.rolling_out();
        while !rolling && (self.pods.len() as i32) < self.replicas {
            self.make(now);
        }
        while !rolling && self.pods.len() as i32 > self.replicas {
            self.remove(|_| true);
        }
        std::mem::take(&mut self.changes)
    }

    /// One step of a rolling update, with the surge and unavailability a Deployment has by default.
    fn replace(&mut self, now: f64) {
        let wanted = self.replicas.max(0) as usize;
        let most = wanted + (wanted as f64 * SURGE).ceil() as usize;
        let least = wanted - (wanted as f64 * UNAVAILABLE).floor() as usize;
        let current = self.template;
        while self.pods.iter().filter(|p| p.template == current).count() > wanted {
            self.remove(|p| p.template == current);
        }
        while self.pods.iter().any(|p| p.template != current && !p.ready()) {
            self.remove(|p| p.template != current && !p.ready());
        }
        while self.ready() as usize > least && self.rolling_out() {
            self.remove(|p| p.template != current);
        }
        while self.pods.len() < most && self.pods.iter().filter(|p| p.template == current).count() < wanted {
            self.make(now);
        }
    }

    fn make(&mut self, now: f64) {
        let luck = PodLuck::of(self.seed, self.made, self.noise);
        let begins = self.down_until.unwrap_or(now);
        let starting = Some(begins + start_up_time(self.start_up, luck));
        self.pods.push(Pod { serial: self.made, template: self.template, starting, restarts: 0, luck });
        self.made += 1;
        self.version += 1;
    }

    /// Removes one pod: one that is not ready if there is one, else the newest, as a ReplicaSet does.
    fn remove(&mut self, which: impl Fn(&Pod) -> bool) {
        let at = self
            .pods
            .iter()
            .rposition(|p| which(p) && !p.ready())
            .or_else(|| self.pods.iter().rposition(which));
        if let Some(at) = at {
            let pod = self.pods.remove(at);
            if pod.ready() {
                self.changes.left.extend(consumers(&pod, self.threads));
            }
            self.version += 1;
        }
    }
}

fn consumers(pod: &Pod, threads: u64) -> impl Iterator<Item = MemberId> + use<> {
    let first = pod.member(0);
    (0..threads).map(move |thread| first | thread)
}

fn start_up_time((mean, jitter): (f64, f64), luck: PodLuck) -> f64 {
    (mean + jitter * luck.start_up).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(replicas: i32) -> Workload {
        Workload::new(1, 0.0, 2, (10.0, 0.0), replicas)
    }

    #[test]
    fn pods_join_when_started_and_the_newest_leaves_first() {
        let mut w = workload(2);
        assert_eq!(w.step(0.0), Changes::default());
        w.replicas = 3;
        assert_eq!(w.step(1.0), Changes::default());
        assert_eq!((w.pods.len(), w.ready()), (3, 2));
        assert_eq!(w.step(11.0).joined, [2 << 24, 2 << 24 | 1]);
        w.replicas = 1;
        let left = w.step(12.0).left;
        assert_eq!(left, [2 << 24, 2 << 24 | 1, 1 << 24, 1 << 24 | 1]);
    }

    #[test]
    fn one_that_is_not_ready_goes_first_and_nobody_notices() {
        let mut w = workload(2);
        w.replicas = 4;
        w.step(1.0);
        w.replicas = 2;
        assert_eq!(w.step(2.0), Changes::default());
        assert_eq!(w.ready(), 2);
    }

    #[test]
    fn a_dead_member_is_given_up_after_its_session() {
        let mut w = workload(2);
        w.crash(100.0, 1);
        assert_eq!(w.step(100.0), Changes::default());
        let joined = w.step(110.0).joined;
        assert_eq!(joined, [1 << 24 | 1 << 8, 1 << 24 | 1 << 8 | 1]);
        assert_eq!(w.step(145.0).expired, [1 << 24, 1 << 24 | 1]);
    }

    #[test]
    fn a_rollout_replaces_all_and_keeps_three_quarters_ready() {
        let mut w = workload(8);
        w.roll_out();
        let mut second = 0;
        while w.rolling_out() {
            w.step(f64::from(second));
            assert!(w.ready() >= 6 && w.pods.len() <= 10, "{} {}", w.ready(), w.pods.len());
            second += 1;
            assert!(second < 200);
        }
        assert!(w.pods.iter().all(|p| p.template() == 1));
        w.step(f64::from(second + 20));
        assert_eq!((w.pods.len(), w.ready()), (8, 8));
    }

    #[test]
    fn all_down_come_back_together() {
        let mut w = workload(2);
        w.crash_all(60.0);
        assert_eq!(w.step(0.0).left.len(), 4);
        w.replicas = 3;
        w.step(5.0);
        assert_eq!((w.step(69.0).joined.len(), w.ready()), (0, 0));
        assert_eq!((w.step(70.0).joined.len(), w.ready()), (6, 3));
    }
}
