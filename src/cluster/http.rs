//! `/livez`, `/readyz` and `/metrics`, and beside them the page.
//!
//! What they say is the caller's; this serves it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What is served.
pub struct Probes {
    /// Whether the process should live on; the error says why not.
    pub live: Check,
    /// Whether it is ready.
    pub ready: Check,
    /// The metrics, in Prometheus' text format.
    pub metrics: Box<dyn Fn() -> Result<String> + Send + Sync>,
}

/// A running server. Dropped, it stops.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Stops it.
    pub async fn stop(self) {
        self.task.abort();
    }
}

/// Serves at an address; at every address of IPv4 where every one of IPv6 too is asked for, and there is
/// no IPv6. `page` is what is served besides.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr, probes: Probes, page: Option<Router>) -> Result<Server> {
    let mut bound = TcpListener::bind(address).await;
    if bound.is_err() && address.ip() == Ipv6Addr::UNSPECIFIED {
        bound = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
    }
    let listener = bound.with_context(|| {
        format!("cannot listen on {address}: is the port taken? --listen-address sets another")
    })?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/livez", get(live))
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(probes))
        .merge(page.unwrap_or_default());
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the HTTP server on {address} ended: {error}");
        }
    });
    Ok(Server { address, task })
}

async fn live(State(probes): State<Arc<Probes>>) -> Response {
    told((probes.live)())
}

async fn ready(State(probes): State<Arc<Probes>>) -> Response {
    told((probes.ready)())
}

fn told(outcome: Result<(), String>) -> Response {
    match outcome {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(probes): State<Arc<Probes>>) -> Response {
    match (probes.metrics)() {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}
