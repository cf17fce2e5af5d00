//! A proxy before the API server that is slow, refuses calls, ends watches, or holds a call back at a
//! chosen moment.
//!
//! Who calls is whoever the token says: it adds no rights. A pod is led to it by
//! `KUBERNETES_SERVICE_PORT`. It understands methods and paths, no objects.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::controlplane::ControlPlane;
use crate::encrypted::Encrypted;

/// Whether a call is meant, by its method and its path with the query.
pub type Picks = fn(&Method, &str) -> bool;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is passed on this much later.
    Slow(Duration),
    /// It is answered with this HTTP status, and not passed on.
    Refuse(u16),
}

/// When a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before the API server knows of it.
    Before,
    /// When the API server has answered, before the caller knows.
    After,
}

struct Trap {
    picks: Picks,
    when: When,
    reached: oneshot::Sender<String>,
    /// Told when the call is to be lost.
    lose: oneshot::Receiver<()>,
}

/// A call that is waited for, and held when it comes. Dropped, it goes on.
pub struct Held {
    reached: oneshot::Receiver<String>,
    lose: oneshot::Sender<()>,
}

impl Held {
    /// Waits until the call is held: its method and path.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn reached(&mut self, limit: Duration) -> Result<String> {
        let call = tokio::time::timeout(limit, &mut self.reached).await;
        call.with_context(|| format!("no such call within {}s", limit.as_secs()))?.context("the proxy ended")
    }

    /// The call is lost on its way.
    pub fn discard(self) {
        let _ = self.lose.send(());
    }
}

struct Shared {
    upstream: Client,
    fault: Mutex<Option<(Picks, Fault)>>,
    traps: Mutex<Vec<Trap>>,
    /// Counts up when watches are to end.
    cut: watch::Sender<u64>,
}

/// A running proxy. Dropped, it ends.
pub struct ApiProxy {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiProxy {
    /// Starts one before this API server, with the certificate of it.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        let listener = Encrypted::bind(&plane.certificate()?).await?;
        let port = listener.address()?.port();
        let mut config = Config::new(format!("https://{}:{}", plane.host(), plane.port()).parse()?);
        config.root_cert = Some(vec![CertificateDer::from_pem_slice(plane.ca_pem().as_bytes())?.to_vec()]);
        config.proxy_url = None;
        // Each call once: what becomes of it is its caller's.
        config.default_retry = false;
        let shared = Arc::new(Shared {
            upstream: Client::try_from(config)?,
            fault: Mutex::default(),
            traps: Mutex::default(),
            cut: watch::Sender::new(0),
        });
        let app = Router::new().fallback(call).with_state(shared.clone());
        let task = tokio::spawn(async move {
            // It ends with the task only.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { port, shared, task })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on these calls, and no others, suffer this.
    pub fn fault(&self, picks: Picks, fault: Fault) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some((picks, fault));
    }

    /// Ends [`ApiProxy::fault`], and forgets what was to be held.
    pub fn clear(&self) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.shared.traps.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends every watch that is open, amid its answer.
    pub fn cut_watches(&self) {
        self.shared.cut.send_modify(|n| *n += 1);
    }

    /// Holds the next call that is meant.
    pub fn hold(&self, picks: Picks, when: When) -> Held {
        let (reached, told) = oneshot::channel();
        let (lose, lost) = oneshot::channel();
        let trap = Trap { picks, when, reached, lose: lost };
        self.shared.traps.lock().unwrap_or_else(PoisonError::into_inner).push(trap);
        Held { reached: told, lose }
    }
}

impl Shared {
    /// Takes the trap that this call goes into.
    fn trap(&self, method: &Method, path: &str, when: When) -> Option<Trap> {
        let mut traps = self.traps.lock().unwrap_or_else(PoisonError::into_inner);
        let i = traps.iter().position(|t| t.when == when && (t.picks)(method, path))?;
        Some(traps.remove(i))
    }

    /// Holds the call, if it is waited for.
    ///
    /// # Errors
    /// When it is to be lost.
    async fn held(&self, method: &Method, path: &str, when: When) -> Result<()> {
        if let Some(trap) = self.trap(method, path, when) {
            let _ = trap.reached.send(format!("{method} {path}"));
            ensure!(trap.lose.await.is_err(), "the call was lost");
        }
        Ok(())
    }
}

async fn call(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    // In a task of its own: what a caller has sent arrives, also when the caller is gone meanwhile.
    match tokio::spawn(pass(shared, request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn pass(shared: Arc<Shared>, request: Request) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let (method, path) = (parts.method.clone(), parts.uri.to_string());
    let fault = *shared.fault.lock().unwrap_or_else(PoisonError::into_inner);
    match fault.filter(|(picks, _)| picks(&method, &path)) {
        Some((_, Fault::Slow(delay))) => tokio::time::sleep(delay).await,
        Some((_, Fault::Refuse(code))) => return Ok(refusal(code)),
        None => {}
    }
    shared.held(&method, &path, When::Before).await?;
    parts.headers.remove(header::HOST);
    let request = http::Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    let answer = shared.upstream.send(request).await?;
    shared.held(&method, &path, When::After).await?;
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.remove(header::CONNECTION);
    if !path.contains("watch=") {
        return Ok(Response::from_parts(parts, Body::new(body)));
    }
    let mut cut = shared.cut.subscribe();
    let seen = *cut.borrow_and_update();
    let now = cut.clone();
    let end = async move {
        let _ = cut.changed().await;
    };
    let broken = stream::once(async move { (*now.borrow() != seen).then(|| std::io::Error::other("cut")) });
    let whole = body.into_data_stream().map(|part| part.map_err(std::io::Error::other));
    let body =
        whole.take_until(Box::pin(end)).chain(broken.filter_map(|error| std::future::ready(error.map(Err))));
    Ok(Response::from_parts(parts, Body::from_stream(body)))
}

/// An answer as the API server's own.
fn refusal(code: u16) -> Response {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": reason, "message": format!("the test bed refuses this ({code})"),
    });
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, [(header::CONTENT_TYPE, "application/json")], status.to_string()).into_response()
}
