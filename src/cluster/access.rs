//! Who may see what, as the API server says: TokenReview and SubjectAccessReview.
//!
//! Nothing is decided here: without a clear yes of the API server it is no. Answers are believed for
//! [`BELIEVED`]; tokens are kept as hashes only. Whoever sends one made-up token after another costs the API
//! server no more than [`STRANGERS`] allows, and does not keep those out who were let in before; whoever asks about
//! one name after another spends what is theirs alone (`limits`).

mod limits;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{CallError, LIMIT, within};
use limits::{Budget, Questions, Remembered};

/// How long an answer is believed: as long may somebody see what was taken from them.
const BELIEVED: Duration = Duration::from_secs(30);
/// Longest token that is looked at, bytes.
const LONGEST: usize = 16 * 1024;
/// Tokens remembered. More new ones than [`STRANGERS`] lets through in [`BELIEVED`].
const TOKENS: usize = 1024;
/// Rights remembered. More than are asked about in [`BELIEVED`] (`limits`): who asks without end takes away nobody
/// else's answers.
const RIGHTS: usize = 16 * 1024;
/// Reviews of rights under way at once. The API server counts them with the renewals of the leases: it may make
/// them wait, and is not to be asked for more than it answers.
const UNDER_WAY: usize = 32;
/// Most characters of the name of a namespace, by Kubernetes' rules.
const LONGEST_NAMESPACE: usize = 63;
/// Most characters of the name of any object.
const LONGEST_NAME: usize = 253;
/// Namespaces asked about side by side.
const SIDE_BY_SIDE: usize = 8;

/// Reviews of tokens never seen before: so many at once, and so many a second.
const STRANGERS: (f64, f64) = (20.0, 5.0);
/// Reviews of tokens that were good.
const FRIENDS: (f64, f64) = (50.0, 10.0);

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no token.
    #[error("a bearer token is needed, for instance that of `kubectl create token NAME`")]
    NoToken,
    /// The API server does not know the token.
    #[error("the API server does not accept this token: it has expired, or is meant for something else")]
    BadToken,
    /// The rights are not there. In words: who may not do what.
    #[error("{0}")]
    Forbidden(String),
    /// Too much is asked.
    #[error("too many requests with new tokens or for new namespaces: try again in a moment")]
    TooMany,
    /// The API server could not say. In words.
    #[error("it cannot be told now who you are and what you may see: {0}")]
    Unavailable(String),
}

/// Somebody whom the API server knows.
#[derive(Debug)]
pub struct Visitor {
    hash: Hashed,
    user: UserInfo,
}

impl Visitor {
    /// Name of the user.
    pub fn name(&self) -> &str {
        self.user.username.as_deref().unwrap_or_default()
    }
}

/// What may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeing {
    /// Every namespace.
    Everything,
    /// These.
    Namespaces(Vec<String>),
}

impl Seeing {
    /// Whether this namespace is among them.
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Namespaces(all) => all.iter().any(|n| n == namespace),
        }
    }
}

type Hashed = [u8; 32];
/// Whose right, to do what, in which namespace (none: all), to which object (none: any).
type Right = Arc<(Hashed, &'static str, Option<String>, Option<String>)>;

/// Asks the API server, and remembers for a moment.
pub struct Access {
    client: Client,
    tokens: Mutex<Remembered<Hashed, Option<Arc<Visitor>>>>,
    rights: Mutex<Remembered<Right, bool>>,
    strangers: Mutex<Budget>,
    friends: Mutex<Budget>,
    questions: Mutex<Questions<Hashed>>,
    under_way: Semaphore,
}

impl Access {
    /// Nobody known yet.
    pub fn new(client: Client) -> Self {
        let budget = |of| Mutex::new(Budget::new(of, Instant::now()));
        Self {
            client,
            tokens: Mutex::new(Remembered::new(TOKENS)),
            rights: Mutex::new(Remembered::new(RIGHTS)),
            strangers: budget(STRANGERS),
            friends: budget(FRIENDS),
            questions: Mutex::new(Questions::new(Instant::now())),
            under_way: Semaphore::new(UNDER_WAY),
        }
    }

    /// Who sends this `Authorization` header.
    ///
    /// # Errors
    /// When it is not there, or the API server does not say who that is.
    pub async fn visitor(&self, authorization: Option<&str>) -> Result<Arc<Visitor>, Refusal> {
        let token = authorization.and_then(bearer).ok_or(Refusal::NoToken)?;
        if token.len() > LONGEST {
            return Err(Refusal::BadToken);
        }
        let hash = hashed(token);
        let now = Instant::now();
        let known = lock(&self.tokens).get(&hash).cloned();
        let friend = match known {
            Some((at, visitor)) if now.saturating_duration_since(at) < BELIEVED => {
                return visitor.ok_or(Refusal::BadToken);
            }
            Some((_, visitor)) => visitor.is_some(),
            None => false,
        };
        let budget = if friend { &self.friends } else { &self.strangers };
        if !lock(budget).spend(now) {
            return Err(Refusal::TooMany);
        }
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: None },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = within(api.create(&PostParams::default(), &review))
            .await
            .map_err(|e| unavailable(&e, "tokenreviews.authentication.k8s.io"))?;
        let status = answer.status.unwrap_or_default();
        let user = status.user.filter(|user| {
            status.authenticated == Some(true) && user.username.as_ref().is_some_and(|name| !name.is_empty())
        });
        let visitor = user.map(|user| Arc::new(Visitor { hash, user }));
        lock(&self.tokens).put(hash, visitor.clone(), now);
        visitor.ok_or(Refusal::BadToken)
    }

    /// In which of these namespaces somebody may list ConsumerScalers.
    ///
    /// # Errors
    /// When it is none of them, or the API server does not say.
    pub async fn listing(&self, visitor: &Visitor, namespaces: Vec<String>) -> Result<Seeing, Refusal> {
        if self.may(visitor, "list", None, None).await? {
            return Ok(Seeing::Everything);
        }
        let asked = !namespaces.is_empty();
        let answers = futures::stream::iter(namespaces)
            .map(async |namespace| {
                self.may(visitor, "list", Some(&namespace), None).await.map(|may| may.then_some(namespace))
            })
            .buffered(SIDE_BY_SIDE);
        let answers: Vec<Result<Option<String>, Refusal>> = answers.collect().await;
        let seen = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        let seen: Vec<String> = seen.into_iter().flatten().collect();
        if seen.is_empty() {
            let anywhere = if asked { "in any namespace that has one" } else { "in the cluster" };
            return Err(Refusal::Forbidden(format!(
                "{} may not list consumerscalers.spillway.dev {anywhere}: ask for a role that lets you",
                visitor.name()
            )));
        }
        Ok(Seeing::Namespaces(seen))
    }

    /// Whether somebody may get this ConsumerScaler; of one that cannot exist, as its name is too long, everybody.
    ///
    /// # Errors
    /// When not, or the API server does not say.
    pub async fn getting(&self, visitor: &Visitor, namespace: &str, name: &str) -> Result<(), Refusal> {
        // Each answer is kept with its names: thousands of long ones would be more than the pod has room for.
        if namespace.len() > LONGEST_NAMESPACE || name.len() > LONGEST_NAME {
            return Ok(());
        }
        if self.may(visitor, "get", Some(namespace), Some(name)).await? {
            return Ok(());
        }
        Err(Refusal::Forbidden(format!(
            "{} may not get the consumerscalers.spillway.dev {name} in namespace {namespace}: ask for a role that lets you",
            visitor.name()
        )))
    }

    async fn may(
        &self,
        visitor: &Visitor,
        verb: &'static str,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<bool, Refusal> {
        let right: Right =
            Arc::new((visitor.hash, verb, namespace.map(str::to_owned), name.map(str::to_owned)));
        let now = Instant::now();
        if let Some((at, may)) = lock(&self.rights).get(&right)
            && now.saturating_duration_since(*at) < BELIEVED
        {
            return Ok(*may);
        }
        // By name: another token of the same user is no other visitor.
        if !lock(&self.questions).spend(hashed(visitor.name()), now) {
            return Err(Refusal::TooMany);
        }
        // Before the user is copied, whose groups may be many.
        let _turn = self.turn().await?;
        let user = visitor.user.clone();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                uid: user.uid,
                groups: user.groups,
                extra: user.extra,
                resource_attributes: Some(ResourceAttributes {
                    group: Some("spillway.dev".into()),
                    resource: Some("consumerscalers".into()),
                    verb: Some(verb.into()),
                    namespace: namespace.map(str::to_owned),
                    name: name.map(str::to_owned),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = within(api.create(&PostParams::default(), &review))
            .await
            .map_err(|e| unavailable(&e, "subjectaccessreviews.authorization.k8s.io"))?;
        let may = answer.status.is_some_and(|s| s.allowed && s.denied != Some(true));
        lock(&self.rights).put(right, may, now);
        Ok(may)
    }

    /// A place among the reviews under way, when there is one within the time limit of a call.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        match timeout(LIMIT, self.under_way.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Refusal::TooMany),
        }
    }
}

fn unavailable(error: &CallError, resource: &str) -> Refusal {
    Refusal::Unavailable(match error.code() {
        Some(403) => {
            format!("Spillway may not create {resource}; the chart's page.enabled grants it ({error})")
        }
        _ => error.to_string(),
    })
}

/// The token of an `Authorization` header.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn hashed(text: &str) -> Hashed {
    let mut hash = Hashed::default();
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref());
    hash
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is a single insert or sum: a panic elsewhere leaves them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{Json, Router};
    use futures::future::{join, join_all};
    use rstest::rstest;
    use serde_json::json;
    use tokio::sync::Notify;

    use super::*;

    #[rstest]
    #[case("Bearer abc", Some("abc"))]
    #[case("bearer  abc ", Some("abc"))]
    #[case("Bearer ", None)]
    #[case("Bearer", None)]
    #[case("Basic YTpi", None)]
    #[case("", None)]
    fn only_a_bearer_token_is_one(#[case] header: &str, #[case] token: Option<&str>) {
        assert_eq!(bearer(header), token);
    }

    #[test]
    fn only_namespaces_that_were_allowed_are_covered() {
        let some = Seeing::Namespaces(vec!["shop".into()]);
        assert!(some.covers("shop") && !some.covers("sho") && !some.covers("shop2"));
        assert!(Seeing::Everything.covers("shop"));
    }

    /// However many are asked at once: the rest waits here, not at the API server.
    #[tokio::test]
    async fn so_many_reviews_are_under_way_and_no_more() {
        const ASKED: usize = 100;
        let (under_way, all, go) = (AtomicUsize::new(0), Notify::new(), Semaphore::new(0));
        let state = Arc::new((under_way, all, go));
        let of = state.clone();
        let answers = Router::new().fallback(async move || {
            let (under_way, all, go) = &*of;
            if under_way.fetch_add(1, Ordering::SeqCst) + 1 >= UNDER_WAY {
                all.notify_one();
            }
            let _turn = go.acquire().await;
            Json(json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {}, "status": {"allowed": true}
            }))
        });
        let access = Access::new(Client::new(answers, "shop"));
        let user = UserInfo { username: Some("greedy".into()), ..UserInfo::default() };
        let visitor = Visitor { hash: hashed("token"), user };
        let names: Vec<String> = (0..ASKED).map(|i| format!("orders-{i}")).collect();
        let asked = join_all(names.iter().map(|name| access.getting(&visitor, "shop", name)));
        let begun = async {
            state.1.notified().await;
            let begun = state.0.load(Ordering::SeqCst);
            state.2.add_permits(ASKED);
            begun
        };
        let (answers, begun) = timeout(LIMIT, join(asked, begun)).await.expect("all are answered");
        assert_eq!(begun, UNDER_WAY);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(state.0.load(Ordering::SeqCst), ASKED);
    }
}
