//! What `/metrics` shows.
//!
//! Every series of a scaler is made, on each scrape, from its last look alone. So nothing
//! is left of a scaler, a group or a partition that is gone, and an unknown value is an
//! absent series, never a zero and never an old figure. Two scalers that watch the same
//! group of the same cluster share its `kafka_…` series. It serves no HTTP and computes
//! no figure that a decision does not hold.

mod catalogue;
mod consumergroups;
mod family;
#[cfg(test)]
pub(super) mod fixture;
mod process;
mod record;
mod scalers;
#[cfg(test)]
mod shape;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::decide::{Decision, Observation, Policy, ScalerState, Time};
pub use family::{Family, Kind};
use record::Record;

/// Which ConsumerScaler a figure belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScalerKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ScalerKey {
    /// The key of `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ScalerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One look at a scaler: what was asked, seen and decided.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// What its owner asks for.
    pub policy: &'a Policy,
    /// What was seen.
    pub observation: &'a Observation,
    /// What was decided.
    pub decision: &'a Decision,
    /// The Kafka cluster of each group of the policy, in its order: the label `cluster_name`.
    /// Groups of different scalers are the same group when these are the same.
    pub clusters: &'a [Arc<str>],
    /// For each group of the observation, in its order, how long the oldest unread message of
    /// each of its partitions has waited, s. Shorter or empty where that is not known.
    pub delays: &'a [Vec<Option<f64>>],
    /// Why the workload cannot be scaled, one CamelCase word; nothing while it can be.
    pub blocked: Option<&'a str>,
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    partitions: usize,
    scalers: Mutex<BTreeMap<ScalerKey, Arc<Record>>>,
    /// The failure reasons that each connection has series for.
    reasons: Mutex<BTreeMap<String, BTreeSet<String>>>,
    sweep_duration: HistogramVec,
    sweep_failures: IntCounterVec,
    connection_up: IntGaugeVec,
    last_contact: GaugeVec,
    kafka_requests: IntCounterVec,
    kafka_connections: IntGaugeVec,
    /// Of each connection, as last told.
    requests: Mutex<BTreeMap<String, BTreeMap<String, u64>>>,
    kubernetes_writes: IntCounterVec,
    leader: IntGauge,
    shard_owned: IntGaugeVec,
}

const BUILD_INFO: Family = Family {
    name: "spillway_build_info",
    kind: Kind::Gauge,
    labels: &["version"],
    help: "1, with the version of Spillway.",
    series: "1",
};
const SWEEP_DURATION: Family = Family {
    name: "spillway_sweep_duration_seconds",
    kind: Kind::Histogram,
    labels: &["connection"],
    help: "How long one reading of a Kafka connection took (all groups on it), in seconds. Failed ones count too.",
    series: "15 × C",
};
const SWEEP_FAILURES: Family = Family {
    name: "spillway_sweep_failures_total",
    kind: Kind::Counter,
    labels: &["connection", "reason"],
    help: "Readings of a Kafka connection that failed, by reason.",
    series: "reasons seen × C",
};
const CONNECTION_UP: Family = Family {
    name: "spillway_connection_up",
    kind: Kind::Gauge,
    labels: &["connection"],
    help: "1 while Kafka answers on this connection, 0 while its last reading failed.",
    series: "C",
};
const LAST_CONTACT: Family = Family {
    name: "spillway_connection_last_contact_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &["connection"],
    help: "When a reading of this connection last succeeded, Unix time in seconds.",
    series: "C",
};
const KAFKA_REQUESTS: Family = Family {
    name: "spillway_kafka_requests_total",
    kind: Kind::Counter,
    labels: &["connection", "request"],
    help: "Requests sent to the brokers of a connection, by their name in Kafka's protocol. Up to 5 seconds old.",
    series: "≤ 8 × C",
};
const KAFKA_CONNECTIONS: Family = Family {
    name: "spillway_kafka_connections",
    kind: Kind::Gauge,
    labels: &["connection"],
    help: "TCP connections to the brokers that are open. Up to 5 seconds old.",
    series: "C",
};
const KUBERNETES_WRITES: Family = Family {
    name: "spillway_kubernetes_writes_total",
    kind: Kind::Counter,
    labels: &["kind", "result"],
    help: "Writes to the Kubernetes API, by what was written and how it ended.",
    series: "≤ 4 × 3",
};
const LEADER: Family = Family {
    name: "spillway_leader",
    kind: Kind::Gauge,
    labels: &["lease"],
    help: "1 while this process holds a lease and scales, 0 while it stands by. `lease` is the namespace and name of the first one: the same for all pods of a release.",
    series: "1",
};
const SHARD_OWNED: Family = Family {
    name: "spillway_shard_owned",
    kind: Kind::Gauge,
    labels: &["lease", "shard"],
    help: "1 while this process surely holds the lease of that shard, else 0. Without sharding there is the shard 0 alone. Absent while the first lease says another number of shards than this process counts.",
    series: "shards",
};

/// Every family that `/metrics` may show, by name.
pub fn families() -> Vec<&'static Family> {
    let own = [
        &BUILD_INFO,
        &SWEEP_DURATION,
        &SWEEP_FAILURES,
        &CONNECTION_UP,
        &LAST_CONTACT,
        &KAFKA_REQUESTS,
        &KAFKA_CONNECTIONS,
        &KUBERNETES_WRITES,
        &LEADER,
        &SHARD_OWNED,
    ];
    let mut all: Vec<&Family> =
        catalogue::families().chain(consumergroups::families()).chain(process::FAMILIES).chain(own).collect();
    all.sort_by_key(|f| f.name);
    all
}

impl Metrics {
    /// No scaler, no connection, not leading. `lease` is the `namespace/name` of the first lease: in one
    /// cluster there may be several releases. At most `partitions` of each group have series of their
    /// own, whose labels name the member that reads them: 0 is none.
    pub fn new(lease: &str, partitions: usize) -> Self {
        let registry = Registry::new();
        let version =
            Opts::new(BUILD_INFO.name, BUILD_INFO.help).const_label("version", env!("CARGO_PKG_VERSION"));
        add(&registry, Gauge::with_opts(version)).set(1.0);
        let buckets = vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let duration = HistogramOpts::new(SWEEP_DURATION.name, SWEEP_DURATION.help).buckets(buckets);
        Self {
            sweep_duration: add(&registry, HistogramVec::new(duration, SWEEP_DURATION.labels)),
            sweep_failures: add(&registry, IntCounterVec::new(opts(&SWEEP_FAILURES), SWEEP_FAILURES.labels)),
            connection_up: add(&registry, IntGaugeVec::new(opts(&CONNECTION_UP), CONNECTION_UP.labels)),
            last_contact: add(&registry, GaugeVec::new(opts(&LAST_CONTACT), LAST_CONTACT.labels)),
            kafka_requests: add(&registry, IntCounterVec::new(opts(&KAFKA_REQUESTS), KAFKA_REQUESTS.labels)),
            kafka_connections: add(
                &registry,
                IntGaugeVec::new(opts(&KAFKA_CONNECTIONS), KAFKA_CONNECTIONS.labels),
            ),
            requests: Mutex::default(),
            kubernetes_writes: add(
                &registry,
                IntCounterVec::new(opts(&KUBERNETES_WRITES), KUBERNETES_WRITES.labels),
            ),
            leader: add(&registry, IntGauge::with_opts(opts(&LEADER).const_label("lease", lease))),
            shard_owned: add(
                &registry,
                IntGaugeVec::new(opts(&SHARD_OWNED).const_label("lease", lease), &["shard"]),
            ),
            registry,
            partitions,
            scalers: Mutex::default(),
            reasons: Mutex::default(),
        }
    }

    /// Takes note of a look at a scaler. Replaces all that its last look showed.
    pub fn observe(&self, key: &ScalerKey, look: &Look<'_>) {
        let mut scalers = lock(&self.scalers);
        let record = Record::of(look, scalers.get(key).map(AsRef::as_ref));
        scalers.insert(key.clone(), Arc::new(record));
    }

    /// Takes note that a scaler cannot be looked at: only its `state` and its counters remain.
    pub fn observe_unseen(&self, key: &ScalerKey, state: ScalerState) {
        let mut scalers = lock(&self.scalers);
        let record = Record::unseen(state, scalers.get(key).map(AsRef::as_ref));
        scalers.insert(key.clone(), Arc::new(record));
    }

    /// Counts a write to `/scale`. `result` is `ok`, or the reason for which it failed, one of a few words.
    /// A scaler that was never looked at has no counters.
    pub fn scale_write(&self, key: &ScalerKey, from: i32, to: i32, result: &'static str) {
        if let Some(record) = lock(&self.scalers).get_mut(key) {
            let direction = if to >= from { "up" } else { "down" };
            let writes = &mut Arc::make_mut(record).scale_writes;
            *writes.entry((direction, result)).or_default() += 1;
        }
    }

    /// Forgets a scaler: every series of it ends, except `kafka_…` series that another scaler shares.
    pub fn forget(&self, key: &ScalerKey) {
        lock(&self.scalers).remove(key);
    }

    /// Takes note of one reading of a connection that ended at `at` and took `seconds`; a failed
    /// one with its reason, one CamelCase word.
    pub fn sweep(&self, connection: &str, at: Time, seconds: f64, outcome: Result<(), &str>) {
        self.sweep_duration.with_label_values(&[connection]).observe(seconds);
        let up = self.connection_up.with_label_values(&[connection]);
        match outcome {
            Ok(()) => {
                up.set(1);
                self.last_contact.with_label_values(&[connection]).set(at);
            }
            Err(reason) => {
                up.set(0);
                lock(&self.reasons).entry(connection.to_owned()).or_default().insert(reason.to_owned());
                self.sweep_failures.with_label_values(&[connection, reason]).inc();
            }
        }
    }

    /// Takes note of what a connection has sent since it was opened: requests by name, and of the connections
    /// to brokers that are open.
    pub fn traffic(&self, connection: &str, requests: &BTreeMap<String, u64>, open: usize) {
        self.kafka_connections.with_label_values(&[connection]).set(i64::try_from(open).unwrap_or(i64::MAX));
        let mut known = lock(&self.requests);
        let known = known.entry(connection.to_owned()).or_default();
        for (name, count) in requests {
            let before = known.insert(name.clone(), *count).unwrap_or_default();
            let counter = self.kafka_requests.with_label_values(&[connection, name]);
            counter.inc_by(count.saturating_sub(before));
        }
    }

    /// Forgets a connection: every series of it ends.
    pub fn forget_connection(&self, connection: &str) {
        // An error says that there was no such series, which is what is wanted.
        let _ = self.sweep_duration.remove_label_values(&[connection]);
        let _ = self.connection_up.remove_label_values(&[connection]);
        let _ = self.last_contact.remove_label_values(&[connection]);
        let _ = self.kafka_connections.remove_label_values(&[connection]);
        for request in lock(&self.requests).remove(connection).unwrap_or_default().into_keys() {
            let _ = self.kafka_requests.remove_label_values(&[connection, &request]);
        }
        for reason in lock(&self.reasons).remove(connection).unwrap_or_default() {
            let _ = self.sweep_failures.remove_label_values(&[connection, &reason]);
        }
    }

    /// Counts a write to the Kubernetes API. `kind` says what was written (`scale`, `status`,
    /// `connection status`, `event`), `result` how it ended (`ok`, `conflict`, `error`).
    pub fn kubernetes_write(&self, kind: &'static str, result: &'static str) {
        self.kubernetes_writes.with_label_values(&[kind, result]).inc();
    }

    /// Takes note of whether this process holds a lease.
    pub fn leader(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// Takes note of which shards are this process's; nothing of those there are not, by what is in force.
    pub fn shards(&self, ours: &[Option<bool>]) {
        for (shard, ours) in ours.iter().enumerate() {
            let shard = shard.to_string();
            match ours {
                Some(ours) => self.shard_owned.with_label_values(&[&shard]).set((*ours).into()),
                // An error says that there was no such series, which is what is wanted.
                None => drop(self.shard_owned.remove_label_values(&[&shard])),
            }
        }
    }

    /// Everything in the Prometheus text format, version 0.0.4.
    ///
    /// # Errors
    /// When the registry holds a family that cannot be written, which would be a defect here.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        // Cloned so that a scrape of many partitions does not hold up a sweep.
        let records: Vec<(ScalerKey, Arc<Record>)> =
            lock(&self.scalers).iter().map(|(key, record)| (key.clone(), record.clone())).collect();
        let mut page = text::Page::default();
        scalers::write(&mut page, &records);
        consumergroups::write(&mut page, &records, self.partitions);
        process::write(&mut page);
        let mut text = page.into_text();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

/// Registers a metric. The names are constants of this file, so a clash is a defect that
/// every start would show.
fn add<M>(registry: &Registry, metric: Result<M, prometheus::Error>) -> M
where
    M: prometheus::core::Collector + Clone + 'static,
{
    let metric = metric.expect("the names and labels in this file are well formed");
    registry.register(Box::new(metric.clone())).expect("each name in this file is registered once");
    metric
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is a single insert or remove: a panic elsewhere leaves them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
