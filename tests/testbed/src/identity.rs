//! An identity provider: gives tokens to clients that know their secret (OAuth 2.0, client
//! credentials), and shows the keys that they are signed with (JWKS).
//!
//! It knows nothing else of OpenID Connect: no discovery, no users, no other grant.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::encrypted::Encrypted;
use crate::pki::Certificate;

/// Who signs.
pub const ISSUER: &str = "https://identity.test.example.com";
/// For whom the tokens are.
pub const AUDIENCE: &str = "kafka";

/// A running provider. Its servers end with the runtime that started it.
pub struct IdentityProvider {
    shared: Arc<Shared>,
    tokens: SocketAddr,
    keys: SocketAddr,
}

/// What was asked of the token endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Tokens given.
    pub given: usize,
    /// Requests refused.
    pub refused: usize,
    /// The scope of the last request.
    pub scope: Option<String>,
}

struct Shared {
    setting: Mutex<Setting>,
    asked: Mutex<Asked>,
}

struct Setting {
    clients: BTreeMap<String, String>,
    lifetime: Duration,
    audience: String,
    key: Key,
    forged: Option<Key>,
    down: bool,
}

struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(id: &str) -> Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| anyhow!("no key"))?;
        let pair =
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).map_err(|e| anyhow!("{e}"))?;
        Ok(Self { id: id.to_owned(), pair })
    }

    fn public(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id, "x": text(x), "y": text(y)})
    }

    fn sign(&self, claims: &Value) -> Option<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.id});
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }
}

impl IdentityProvider {
    /// Starts one: tokens over TLS with this certificate, keys in plain for brokers of the bed. Each
    /// client is a name and its secret.
    ///
    /// # Errors
    /// When no port can be had, or the certificate is none.
    pub async fn start(certificate: &Certificate, clients: &[(&str, &str)]) -> Result<Self> {
        let setting = Setting {
            clients: clients.iter().map(|(id, secret)| ((*id).into(), (*secret).into())).collect(),
            lifetime: Duration::from_secs(300),
            audience: AUDIENCE.into(),
            key: Key::new("key")?,
            forged: None,
            down: false,
        };
        let shared = Arc::new(Shared { setting: Mutex::new(setting), asked: Mutex::default() });
        let app =
            Router::new().route("/token", post(token)).route("/jwks", get(jwks)).with_state(shared.clone());
        let plain = TcpListener::bind("127.0.0.1:0").await?;
        let keys = plain.local_addr()?;
        tokio::spawn({
            let app = app.clone();
            async move { axum::serve(plain, app).await }
        });
        let listener = Encrypted::bind(certificate).await.context("the identity provider's certificate")?;
        let tokens = listener.address()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { shared, tokens, keys })
    }

    /// Where clients get tokens.
    pub fn token_endpoint(&self) -> String {
        format!("https://{}/token", self.tokens)
    }

    /// Where brokers get keys.
    pub fn jwks_endpoint(&self) -> String {
        format!("http://{}/jwks", self.keys)
    }

    /// What was asked since it started.
    pub fn asked(&self) -> Asked {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long the next tokens are good for.
    pub fn lifetime(&self, lifetime: Duration) {
        self.setting(|s| s.lifetime = lifetime);
    }

    /// For whom the next tokens are; [`AUDIENCE`] at first.
    pub fn audience(&self, audience: &str) {
        self.setting(|s| audience.clone_into(&mut s.audience));
    }

    /// Whether the next tokens are signed with a key that is not the one shown, under its id.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn forge(&self, forge: bool) -> Result<()> {
        let key = forge.then(|| Key::new("key")).transpose()?;
        self.setting(|s| s.forged = key);
        Ok(())
    }

    /// Whether it answers with an error of its own (503).
    pub fn down(&self, down: bool) {
        self.setting(|s| s.down = down);
    }

    fn setting<T>(&self, change: impl FnOnce(&mut Setting) -> T) {
        change(&mut self.shared.setting.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The client of an `Authorization: Basic`: id and secret, each URL-encoded (RFC 6749, 2.3.1).
fn client(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |text: &str| {
        let pair = format!("v={text}");
        form_urlencoded::parse(pair.as_bytes()).next().map(|(_, v)| v.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

async fn token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let setting = shared.setting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut asked = shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
    asked.scope = form.get("scope").cloned();
    if setting.down {
        asked.refused += 1;
        return (StatusCode::SERVICE_UNAVAILABLE, "down").into_response();
    }
    let known = client(&headers).filter(|(id, secret)| setting.clients.get(id) == Some(secret));
    let fits = form.get("grant_type").is_some_and(|g| g == "client_credentials");
    let Some((id, _)) = known.filter(|_| fits) else {
        asked.refused += 1;
        let said = json!({"error": "invalid_client", "error_description": "Invalid client credentials"});
        return (StatusCode::UNAUTHORIZED, Json(said)).into_response();
    };
    asked.given += 1;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let claims = json!({
        "iss": ISSUER, "aud": setting.audience, "sub": id, "iat": now,
        "exp": now + setting.lifetime.as_secs(), "scope": form.get("scope"),
    });
    let Some(token) = setting.forged.as_ref().unwrap_or(&setting.key).sign(&claims) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let given =
        json!({"access_token": token, "token_type": "Bearer", "expires_in": setting.lifetime.as_secs()});
    Json(given).into_response()
}

async fn jwks(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let setting = shared.setting.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!({"keys": [setting.key.public()]}))
}
