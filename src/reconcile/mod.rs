//! Where Kafka and Kubernetes meet: the plan, one loop a connection, one look a scaler.
//!
//! It wires and keeps time; what is decided is `decide`'s, what is said is `report`'s.

mod apply;
mod connect;
mod manager;
mod page;
mod plan;
pub mod rehearsal;
mod shared;
mod step;
mod sweep;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{debug, info, warn};

use crate::api::{ConsumerScaler, KafkaConnection};
use crate::cluster::budget::Budget;
use crate::cluster::conflict::Conflicts;
use crate::cluster::events::Events;
use crate::cluster::scale::Scales;
use crate::cluster::secrets::Secrets;
use crate::cluster::shards::{Shards, Standing};
use crate::cluster::status::Statuses;
use crate::cluster::{self, CallError, http, watch};
use crate::kafka::ConnectionConfig;
use crate::report::metrics::Metrics;
use crate::report::page::Pages;
use crate::report::status::Blocked;

/// Longest time that the loops are given to end: each does at its next step.
const ENDING: Duration = Duration::from_secs(3);

/// Statuses written a second that are not urgent: a tenth of what an API server on one processor takes.
const STATUSES_A_SECOND: f64 = 50.0;
/// And at once, more than come together between two sweeps: what comes of a start of some hundred scalers waits for
/// nothing.
const STATUSES_AT_ONCE: f64 = 1000.0;

/// How the operator is to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where /livez, /readyz and /metrics are served.
    pub listen_address: SocketAddr,
    /// Namespaces to work in; empty: all.
    pub namespaces: Vec<String>,
    /// The Leases by which pods share the work.
    pub standing: Standing,
    /// Most partitions of each group with series of their own on `/metrics`.
    pub partition_metrics: usize,
    /// Whether the page is served, to those whom the API server lets read ConsumerScalers.
    pub page: bool,
}

/// Everything a look needs to act and to tell.
pub(crate) struct Hands {
    pub scales: Scales,
    pub conflicts: Conflicts,
    pub events: Events,
    pub status: Statuses,
    /// For statuses that nobody waits for.
    pub budget: Budget,
    /// ConsumerScalers that are looked after.
    pub crowd: AtomicUsize,
    /// What this process may act on.
    pub shards: Shards,
    pub metrics: Arc<Metrics>,
    /// What the page shows, where it is on.
    pub pages: Option<Arc<Pages>>,
}

/// Takes note that a status (`what`) of an object was not written. When the lease was over somebody else tells, and
/// nothing has gone wrong: so it is at every handover.
fn not_written(metrics: &Metrics, what: &'static str, namespace: &str, name: &str, error: &CallError) {
    if matches!(error, CallError::LeaseOver) {
        debug!(namespace, name, "writing the status: {error}");
        return;
    }
    metrics.kubernetes_write(what, "error");
    warn!(namespace, name, "writing the status: {error}");
}

/// The settings of a connection with its secrets read, as the operator would use them.
///
/// # Errors
/// What the operator would say of them.
pub async fn settings(object: Arc<KafkaConnection>, secrets: &Secrets) -> Result<ConnectionConfig, Blocked> {
    connect::resolve(object, secrets).await.settings.map(|(config, _)| config)
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When the API server's address or credentials cannot be found, the HTTP address cannot be bound, or the
/// work ended by itself.
pub async fn run(settings: Settings) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let client = cluster::client().await?;
    let lease = format!("{}/{}", settings.standing.namespace, settings.standing.name);
    let metrics = Arc::new(Metrics::new(&lease, settings.partition_metrics));
    let (scalers, scaler_watch) = watch::watch::<ConsumerScaler>(client.clone(), &settings.namespaces);
    let (connections, connection_watch) =
        watch::watch::<KafkaConnection>(client.clone(), &settings.namespaces);
    let standing = &settings.standing;
    let shards = Shards::start(&client, standing);
    let health = Arc::new(shared::Health::default());
    let pages = settings.page.then(|| Arc::new(Pages::default()));
    let page = pages
        .as_ref()
        .map(|pages| page::router(client.clone(), pages.clone(), scalers.clone(), shards.clone(), &settings));
    let server =
        http::serve(settings.listen_address, probes(health.clone(), metrics.clone(), shards.clone()), page)
            .await?;
    info!(
        address = %settings.listen_address,
        identity = standing.identity,
        lease,
        shards = standing.shards,
        namespaces = if settings.namespaces.is_empty() { "all".into() } else { settings.namespaces.join(",") },
        version = env!("CARGO_PKG_VERSION"),
        "started"
    );

    let hands = Arc::new(Hands {
        scales: Scales::new(client.clone()),
        conflicts: Conflicts::new(client.clone()),
        events: Events::new(
            client.clone(),
            &standing.identity,
            {
                let shards = shards.clone();
                move |namespace, name| shards.has(namespace, name)
            },
            {
                let metrics = metrics.clone();
                move |result| metrics.kubernetes_write("event", result)
            },
        ),
        status: Statuses::new(client.clone()),
        budget: Budget::new(STATUSES_A_SECOND, STATUSES_AT_ONCE),
        crowd: AtomicUsize::new(0),
        shards: shards.clone(),
        metrics,
        pages,
    });
    let manager = manager::Manager::new(hands, Secrets::new(client), scalers, connections, health);
    let loops = manager.loops();
    let mut work = tokio::spawn(async move {
        tokio::join!(scaler_watch, connection_watch, manager.run());
    });
    let outcome = tokio::select! {
        _ = terminate.recv() => {
            info!("SIGTERM: giving up the lease");
            Ok(())
        }
        _ = interrupt.recv() => {
            info!("interrupted: giving up the lease");
            Ok(())
        }
        // A process that holds the lease and does nothing is worse than none.
        ended = &mut work => Err(match ended {
            Err(why) => anyhow!("a defect in Spillway stopped its work: {why}; please report it with the log"),
            Ok(()) => anyhow!("a defect in Spillway ended its work; please report it with the log"),
        }),
        () = shards.ended() => {
            Err(anyhow!("a defect in Spillway ended its standing for a lease; please report it with the log"))
        }
    };
    // Nothing may be written after the lease is given up.
    work.abort();
    if !work.is_finished() {
        let _ = work.await;
    }
    if tokio::time::timeout(ENDING, loops.write()).await.is_err() {
        info!("a loop has not ended: the lease runs out by itself");
        server.stop().await;
        return outcome;
    }
    if tokio::time::timeout(Duration::from_secs(5), shards.release()).await.is_err() {
        info!("the lease could not be given up in time: it runs out by itself");
    }
    server.stop().await;
    outcome
}

fn probes(health: Arc<shared::Health>, metrics: Arc<Metrics>, shards: Shards) -> http::Probes {
    let live = health.clone();
    http::Probes {
        live: Box::new(move || live.stalled().map_or(Ok(()), Err)),
        ready: Box::new(move || health.ready()),
        metrics: Box::new(move || {
            // Whether a lease is surely held changes with time alone.
            metrics.shards(&shards.in_force());
            Ok(metrics.render()?)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handover_is_no_error_of_the_api_server() {
        let metrics = Metrics::new("spillway-system/spillway", 0);
        let errors = || metrics.render().unwrap().contains("result=\"error\"");
        not_written(&metrics, "status", "shop", "orders", &CallError::LeaseOver);
        assert!(!errors());
        not_written(&metrics, "status", "shop", "orders", &CallError::Unavailable("refused".into()));
        assert!(errors());
    }
}
