//! The page: its files, and what it asks for under `/api`.
//!
//! The files are in the binary, hold no data and are given to anybody; every answer under `/api` is for
//! somebody whom the API server lets read ConsumerScalers ([`Access`]). What is shown is the caller's.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::access::{Access, Refusal, Seeing};

/// What the page shows.
pub struct Source {
    /// Namespaces that have scalers, or are looked after.
    pub namespaces: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// What is said with each answer: an object, to which the answer is added.
    pub about: Box<dyn Fn() -> Value + Send + Sync>,
    /// The scalers of what may be seen.
    pub list: Box<dyn Fn(&Seeing) -> Value + Send + Sync>,
    /// The last hour of each of them.
    pub histories: Box<dyn Fn(&Seeing) -> Value + Send + Sync>,
    /// One scaler in full, by namespace and name; none when there is none.
    pub one: Box<dyn Fn(&str, &str) -> Option<Value> + Send + Sync>,
}

struct Page {
    access: Access,
    source: Source,
}

/// Its files: path, type, content.
const FILES: [(&str, &str, &str); 8] = [
    ("/", "text/html; charset=utf-8", include_str!("index.html")),
    ("/assets/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/assets/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("/assets/main.js", SCRIPT, include_str!("main.js")),
    ("/assets/list.js", SCRIPT, include_str!("list.js")),
    ("/assets/detail.js", SCRIPT, include_str!("detail.js")),
    ("/assets/charts.js", SCRIPT, include_str!("charts.js")),
    ("/assets/words.js", SCRIPT, include_str!("words.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Sent with everything: nothing but its own files runs, nothing is loaded from or sent to elsewhere, and no
/// other page may hold it in a frame.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The routes of the page.
pub fn router(source: Source, access: Access) -> Router {
    let mut router = Router::new()
        .route("/api/scalers", get(list))
        .route("/api/histories", get(histories))
        .route("/api/scalers/{namespace}/{name}", get(one));
    for (path, kind, content) in FILES {
        router = router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], content) }));
    }
    router.layer(axum::middleware::from_fn(guarded)).with_state(Arc::new(Page { access, source }))
}

async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn list(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    answered(page.listed(&headers, "scalers", &page.source.list).await)
}

async fn histories(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    answered(page.listed(&headers, "histories", &page.source.histories).await)
}

async fn one(
    State(page): State<Arc<Page>>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let outcome = page.one(&headers, &namespace, &name).await;
    // With who asked and who answers: it may be a standby that was asked.
    let missing = outcome.as_ref().is_ok_and(|answer| answer["scaler"].is_null());
    let mut response = answered(outcome);
    if missing {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

impl Page {
    async fn listed(
        &self,
        headers: &HeaderMap,
        what: &str,
        of: &(dyn Fn(&Seeing) -> Value + Send + Sync),
    ) -> Result<Value, Refusal> {
        let visitor = self.access.visitor(authorization(headers)).await?;
        let seeing = self.access.listing(&visitor, (self.source.namespaces)()).await?;
        Ok(self.with(visitor.name(), what, of(&seeing)))
    }

    async fn one(&self, headers: &HeaderMap, namespace: &str, name: &str) -> Result<Value, Refusal> {
        let visitor = self.access.visitor(authorization(headers)).await?;
        self.access.getting(&visitor, namespace, name).await?;
        let one = (self.source.one)(namespace, name).unwrap_or(Value::Null);
        Ok(self.with(visitor.name(), "scaler", one))
    }

    fn with(&self, user: &str, what: &str, value: Value) -> Value {
        let mut answer = (self.source.about)();
        answer["user"] = json!(user);
        answer[what] = value;
        answer
    }
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn answered(outcome: Result<Value, Refusal>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let refusal = match outcome {
        Ok(value) => return (json, value.to_string()).into_response(),
        Err(refusal) => refusal,
    };
    let status = match refusal {
        Refusal::NoToken | Refusal::BadToken => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
        Refusal::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = (status, json, json!({"error": refusal.to_string()}).to_string()).into_response();
    let more = match status {
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
        StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, "5")),
        _ => None,
    };
    if let Some((name, value)) = more {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
