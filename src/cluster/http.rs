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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn status(address: SocketAddr, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.lines().next().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn there_is_no_page_unless_one_is_given() {
        let probes = || Probes {
            live: Box::new(|| Ok(())),
            ready: Box::new(|| Err("starting".into())),
            metrics: Box::new(|| Ok(String::new())),
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = serve(any, probes(), None).await.expect("a server");
        for (path, expected) in [
            ("/livez", "200 OK"),
            ("/readyz", "503 Service Unavailable"),
            ("/", "404 Not Found"),
            ("/assets/main.js", "404 Not Found"),
            ("/api/scalers", "404 Not Found"),
            ("/api/scalers/shop/orders", "404 Not Found"),
        ] {
            let seen = status(server.address, path).await.expect("an answer");
            assert_eq!(seen, format!("HTTP/1.1 {expected}"), "{path}");
        }
        server.stop().await;
        let page = Router::new().route("/", get(|| async { "page" }));
        let server = serve(any, probes(), Some(page)).await.expect("a server");
        assert_eq!(status(server.address, "/").await.expect("an answer"), "HTTP/1.1 200 OK");
        assert_eq!(status(server.address, "/livez").await.expect("an answer"), "HTTP/1.1 200 OK");
        server.stop().await;
    }
}
