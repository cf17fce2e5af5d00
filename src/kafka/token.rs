//! The token of a connection that logs in with one: got, kept, got anew in time.
//!
//! All clients of a connection share it. It is handed to librdkafka before each sweep
//! (`Admin::give_token`), where time limits are ours; librdkafka's own callback would hold up the thread
//! that takes in its answers. Where tokens come from is in `oauth` and `msk`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::connection::{ConnectionConfig, SaslConfig};
use super::error::ConnectionProblem;
use super::msk::Msk;
use super::oauth::OAuth;
use crate::clock;

/// Time for one attempt at most.
const LIMIT: Duration = Duration::from_secs(10);
/// Pause after a failed attempt; it doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A token this young that Kafka refuses is not replaced: another would fare the same.
const YOUNG: Duration = Duration::from_secs(30);
/// The part of a token's life at whose end another is got. librdkafka would ask at 0.8.
const USED: f64 = 0.75;

/// What a login is made with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Tells it from others of this process; never 0.
    pub number: u64,
    pub value: String,
    pub principal: String,
    /// When it ends, ms since the epoch.
    pub ends: i64,
    /// SASL extensions (RFC 7628, 3.1).
    pub extensions: Vec<(String, String)>,
    got: Instant,
    life: Duration,
}

impl Token {
    /// One that is good for `life` from now.
    pub fn new(value: String, principal: String, life: Duration, extensions: Vec<(String, String)>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // By the clock that librdkafka looks at, however it was set meanwhile.
        let ends = ((clock::now() + clock::set_since() + life.as_secs_f64()) * 1000.0) as i64;
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self { number, value, principal, ends, extensions, got: Instant::now(), life }
    }

    fn fresh(&self) -> bool {
        self.got.elapsed() < self.life.mul_f64(USED)
    }

    fn valid(&self) -> bool {
        self.got.elapsed() + Duration::from_secs(1) < self.life
    }
}

enum Source {
    OAuth(OAuth),
    Msk(Msk),
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    failed: Option<Failed>,
}

struct Failed {
    problem: ConnectionProblem,
    pause: Duration,
    until: Instant,
}

/// Keeps the token of a connection.
pub(super) struct Tokens {
    source: Source,
    state: Mutex<State>,
}

impl Tokens {
    /// `None`: the connection logs in without one.
    ///
    /// # Errors
    /// When the settings cannot be used at all.
    pub fn of(config: &ConnectionConfig) -> Result<Option<Self>, String> {
        let source = match &config.sasl {
            Some(SaslConfig::OAuth(oauth)) => Source::OAuth(OAuth::new(oauth)?),
            Some(SaslConfig::Aws(aws)) => Source::Msk(Msk::new(aws)?),
            Some(SaslConfig::Password { .. }) | None => return Ok(None),
        };
        Ok(Some(Self { source, state: Mutex::default() }))
    }

    /// The token: the one kept, or a new one when three quarters of its life are over. One that is still
    /// good does when no other can be had.
    ///
    /// # Errors
    /// Why there is none. It is asked for again after a pause only.
    pub async fn current(&self, limit: Duration) -> Result<Token, ConnectionProblem> {
        let mut state = self.state.lock().await;
        if let Some(token) = state.token.as_ref().filter(|t| t.fresh()) {
            return Ok(token.clone());
        }
        let old = state.token.clone().filter(Token::valid);
        if let Some(failed) = state.failed.as_ref().filter(|f| Instant::now() < f.until) {
            return old.ok_or_else(|| failed.problem.clone());
        }
        let limit = limit.min(LIMIT);
        let got = match &self.source {
            Source::OAuth(oauth) => oauth.token(limit).await,
            Source::Msk(msk) => msk.token(limit).await,
        };
        match got {
            Ok(token) => {
                *state = State { token: Some(token.clone()), failed: None };
                Ok(token)
            }
            Err(problem) => {
                tracing::debug!(target: "spillway::kafka", "no token: {}", problem.message);
                let pause = state.failed.as_ref().map_or(PAUSE, |f| (f.pause * 2).min(LONGEST_PAUSE));
                let failed = Failed { problem: problem.clone(), pause, until: Instant::now() + pause };
                state.failed = Some(failed);
                old.ok_or(problem)
            }
        }
    }

    /// Kafka refused the login: the token may have been revoked, or its keys changed. The next sweep gets
    /// another one, unless it was got just now.
    pub async fn doubt(&self) {
        self.state.lock().await.token.take_if(|token| token.got.elapsed() > YOUNG);
    }
}
