//! When a lease is believed to be held, and when something may be begun by it: against Leases kept here, whose
//! server can be told to refuse, to hang, and to have somebody else write in between. The real one is in
//! `tests/e2e/failover.rs` and `sharding.rs`.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use kube::Client;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const LIMIT: Duration = Duration::from_secs(20);
const FIRST: &str = "spillway";
const SECOND: &str = "spillway-shard-1";

type Between = Box<dyn FnOnce(&mut Value) + Send>;

/// Leases, as an API server keeps them.
#[derive(Default)]
struct Server {
    leases: Mutex<BTreeMap<String, Value>>,
    /// Answers nothing but errors.
    refuses: AtomicBool,
    /// Held for writing: nothing is answered.
    gate: RwLock<()>,
    /// Calls that came.
    calls: watch::Sender<usize>,
    /// What another does to a lease just before it is written.
    between: Mutex<Option<Between>>,
}

impl Server {
    fn put(&self, name: &str, annotations: Value, spec: Value) {
        let metadata = json!({"name": name, "resourceVersion": "1", "annotations": annotations});
        let lease = json!({"metadata": metadata, "spec": spec});
        self.leases.lock().unwrap().insert(name.to_owned(), lease);
    }

    fn holder(&self, name: &str) -> Option<String> {
        let leases = self.leases.lock().unwrap();
        leases[name]["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }

    /// Does so just before the next lease is written.
    fn between(&self, does: impl FnOnce(&mut Value) + Send + 'static) {
        *self.between.lock().unwrap() = Some(Box::new(does));
    }

    async fn called(&self, times: usize) {
        let mut calls = self.calls.subscribe();
        let reached = calls.wait_for(|calls| *calls >= times);
        tokio::time::timeout(LIMIT, reached).await.expect("a call").unwrap();
    }

    fn answer(&self, method: &Method, name: &str, mut body: Value) -> Result<Value, StatusCode> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let mut leases = self.leases.lock().unwrap();
        if *method == Method::GET {
            return leases.get(name).cloned().ok_or(StatusCode::NOT_FOUND);
        }
        if *method == Method::POST {
            body["metadata"]["resourceVersion"] = json!("1");
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            return match leases.contains_key(&name) {
                true => Err(StatusCode::CONFLICT),
                false => Ok(leases.entry(name).or_insert(body).clone()),
            };
        }
        let there = leases.get_mut(name).ok_or(StatusCode::NOT_FOUND)?;
        let next = |lease: &Value| {
            let version = lease["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
            json!((version + 1).to_string())
        };
        if let Some(does) = self.between.lock().unwrap().take() {
            does(there);
            there["metadata"]["resourceVersion"] = next(there);
        }
        if body["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"] {
            return Err(StatusCode::CONFLICT);
        }
        body["metadata"]["resourceVersion"] = next(there);
        *there = body;
        Ok(there.clone())
    }
}

async fn handle(State(server): State<Arc<Server>>, request: Request) -> Response {
    server.calls.send_modify(|calls| *calls += 1);
    let _open = server.gate.read().await;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let name = parts.uri.path().rsplit('/').next().unwrap();
    let (status, body) = match server.answer(&parts.method, name, body) {
        Ok(body) => (StatusCode::OK, body),
        Err(code) => {
            // kube goes by the reason.
            let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "" };
            let status =
                json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason});
            (code, status)
        }
    };
    Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
}

/// One that stands for a lease of `shards`, for so many seconds.
struct Pod {
    elector: Arc<Elector>,
    held: Arc<Held>,
    terms: watch::Receiver<Terms>,
}

impl Pod {
    fn new(server: &Arc<Server>, identity: &str, shard: usize, shards: usize, seconds: u64) -> Self {
        let router = Router::new().fallback(handle).with_state(server.clone());
        let client = Client::new(router, "spillway");
        let elector = Arc::new(Elector {
            api: Api::namespaced(client, "spillway"),
            name: [FIRST, SECOND][shard].to_owned(),
            first: FIRST.to_owned(),
            shard,
            identity: identity.to_owned(),
            duration: Duration::from_secs(seconds),
            rows: Arc::new(Mutex::new(vec![None; shards])),
            said: Arc::default(),
        });
        let terms = Arc::new(watch::Sender::new(vec![None; shards]));
        let held = Arc::new(Held::new(&elector, terms.clone()));
        Self { elector, held, terms: terms.subscribe() }
    }

    /// Stands for it until that is dropped.
    fn stands(&self) -> tokio::task::JoinSet<()> {
        let mut standing = tokio::task::JoinSet::new();
        standing.spawn(stand(self.elector.clone(), self.held.clone()));
        standing
    }

    /// Waits until it has the lease for the so many-th time, or has it no more.
    async fn comes_to(&mut self, term: Option<u64>) {
        let shard = self.elector.shard;
        let reached = self.terms.wait_for(|terms| terms[shard] == term);
        tokio::time::timeout(LIMIT, reached).await.expect("a change of the lease").unwrap();
    }

    async fn tries(&self, known: &mut Known) -> Attempt {
        self.elector.attempt(known).await.unwrap()
    }
}

fn spec(holder: &str, renewed: &str, seconds: i32) -> LeaseSpec {
    let spec = json!({"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": seconds});
    serde_json::from_value(spec).unwrap()
}

/// Waits for what nothing tells of.
async fn eventually(what: &str, is: impl Fn() -> bool) {
    let reached = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, reached).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Clocks of two machines are never compared, and may be set.
#[rstest]
#[case::long_ago("2001-01-01T00:00:00.000000Z")]
#[case::to_come("2101-01-01T00:00:00.000000Z")]
fn another_has_the_whole_time_from_when_its_renewal_was_seen_here(#[case] renewed: &str) {
    let (start, mut known) = (Instant::now(), Known::default());
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let mut lasts = |renewed: &str, seconds| known.lasts(&spec("b", renewed, 15), at(seconds));
    assert!(lasts(renewed, 0) && lasts(renewed, 15), "it has 15 s");
    assert!(!lasts(renewed, 16), "it was silent for longer");
    // Renewed, by a clock that was set back meanwhile.
    assert!(lasts("1999-01-01T00:00:00.000000Z", 16) && lasts("1999-01-01T00:00:00.000000Z", 31));
    assert!(!lasts("1999-01-01T00:00:00.000000Z", 32));
    assert!(!known.lasts(&spec("", renewed, 15), at(0)), "it was given up");
}

#[tokio::test]
async fn of_two_one_has_it_and_the_other_when_that_was_silent() {
    let server = Arc::new(Server::default());
    let (a, b) = (Pod::new(&server, "a", 0, 1, 15), Pod::new(&server, "b", 0, 1, 15));
    let (mut as_a, mut as_b) = (Known::default(), Known::default());
    assert!(matches!(a.tries(&mut as_a).await, Attempt::Ours { why, .. } if why == "there was none"));
    assert!(matches!(b.tries(&mut as_b).await, Attempt::Others));
    // 14 s later, and 16 s later, with a renewal in between that b did not see.
    let earlier = |known: &mut Known, seconds| {
        let seen = known.seen.as_mut().expect("it has seen a's");
        seen.at = seen.at.checked_sub(Duration::from_secs(seconds)).expect("a machine up for longer");
    };
    earlier(&mut as_b, 14);
    assert!(matches!(b.tries(&mut as_b).await, Attempt::Others));
    assert!(matches!(a.tries(&mut as_a).await, Attempt::Ours { .. }));
    earlier(&mut as_b, 2);
    assert!(matches!(b.tries(&mut as_b).await, Attempt::Others), "it was renewed");
    earlier(&mut as_b, 16);
    let silent = "a was silent for longer than it lasts";
    assert!(matches!(b.tries(&mut as_b).await, Attempt::Ours { why, .. } if why == silent));
    assert!(matches!(a.tries(&mut as_a).await, Attempt::Others));
}

#[tokio::test]
async fn whoever_writes_in_between_is_not_overwritten() {
    let server = Arc::new(Server::default());
    let (a, mut known) = (Pod::new(&server, "a", 0, 1, 15), Known::default());
    assert!(matches!(a.tries(&mut known).await, Attempt::Ours { .. }));
    server.between(|lease| lease["metadata"]["labels"] = json!({"team": "checkout"}));
    assert!(matches!(a.tries(&mut known).await, Attempt::Ours { .. }), "a label is no other holder");
    assert_eq!(server.leases.lock().unwrap()[FIRST]["metadata"]["labels"]["team"], "checkout");
    server.between(|lease| lease["spec"]["holderIdentity"] = json!("b"));
    assert!(matches!(a.tries(&mut known).await, Attempt::Others));
    assert_eq!(server.holder(FIRST).as_deref(), Some("b"));
}

/// However long the answer took: others count from when they see the renewal.
#[tokio::test]
async fn it_is_believed_from_before_the_call_that_renewed_it() {
    let server = Arc::new(Server::default());
    let mut pod = Pod::new(&server, "a", 0, 1, 30);
    let hangs = server.gate.write().await;
    let _standing = pod.stands();
    server.called(1).await;
    let came = Instant::now();
    drop(hangs);
    pod.comes_to(Some(1)).await;
    let until = pod.held.until().expect("it is held");
    assert!(until <= came + Duration::from_secs(30) - MARGIN, "{:?} too long", until - came);
    assert!(pod.held.may_begin());
}

#[derive(Clone, Copy, PartialEq)]
enum Away {
    Refuses,
    Hangs,
}

/// It is held to its end, and not a moment longer, and had again when the API server is back.
#[rstest]
#[case(Away::Refuses)]
#[case(Away::Hangs)]
#[tokio::test]
async fn what_cannot_be_renewed_runs_out(#[case] away: Away) {
    let server = Arc::new(Server::default());
    let mut pod = Pod::new(&server, "a", 0, 1, 3);
    let _standing = pod.stands();
    pod.comes_to(Some(1)).await;
    let hangs = if away == Away::Hangs { Some(server.gate.write().await) } else { None };
    server.refuses.store(away == Away::Refuses, Ordering::SeqCst);
    let calls = *server.calls.borrow();
    server.called(calls + 1).await;
    let until = pod.held.until().expect("a failure is no end");
    assert!(pod.held.may_begin() && pod.terms.borrow()[0] == Some(1));
    pod.comes_to(None).await;
    assert!(Instant::now() >= until && !pod.held.may_begin() && pod.held.left().is_zero());
    server.refuses.store(false, Ordering::SeqCst);
    drop(hangs);
    pod.comes_to(Some(2)).await;
}

/// Both shards are a's, and b asks for the second: a holds it for so long.
fn asked_for(left: Duration) -> (Arc<Server>, Pod) {
    let server = Arc::new(Server::default());
    let held = json!({"holderIdentity": "a", "leaseDurationSeconds": 15});
    server.put(FIRST, json!({"spillway.dev/shards": "2"}), held.clone());
    server.put(SECOND, json!({ASKED: "b"}), held);
    let pod = Pod::new(&server, "a", 1, 2, 15);
    let row = Some(Row { holder: Some("a".into()), asked: None });
    *pod.elector.rows.lock().unwrap() = vec![row.clone(), row];
    pod.held.hold(Some(Instant::now() + left), "");
    (server, pod)
}

#[tokio::test]
async fn a_look_under_way_ends_with_the_lease_held_before_it_is_given_away() {
    let (server, mut pod) = asked_for(Duration::from_secs(60));
    let look = pod.held.acting.clone().read_owned().await;
    let _standing = pod.stands();
    eventually("nothing is begun any more", || !pod.held.may_begin()).await;
    assert!(pod.held.left() > Duration::from_secs(30), "what is under way may still write");
    assert_eq!(pod.terms.borrow()[1], Some(1), "and nobody is told to stop");
    assert_eq!(server.holder(SECOND).as_deref(), Some("a"));
    drop(look);
    pod.comes_to(None).await;
    eventually("it is given up", || server.holder(SECOND).is_none()).await;
}

#[tokio::test]
async fn a_look_that_does_not_end_leaves_the_lease_to_run_out() {
    let (server, mut pod) = asked_for(Duration::from_millis(500));
    let until = pod.held.until().expect("it is held");
    let _look = pod.held.acting.clone().read_owned().await;
    let _standing = pod.stands();
    pod.comes_to(None).await;
    assert!(Instant::now() >= until && pod.held.left().is_zero());
    assert_eq!(server.holder(SECOND).as_deref(), Some("a"), "another waits for its end");
}

/// Whoever changes the number of shards waits for as long as the first lease lasts: by then nobody may work by the
/// old one, however long their own leases last.
#[tokio::test]
async fn a_shard_is_believed_for_no_longer_than_the_first_lease_lasts() {
    let server = Arc::new(Server::default());
    let first = json!({"holderIdentity": "b", "leaseDurationSeconds": 5});
    server.put(FIRST, json!({"spillway.dev/shards": "2"}), first);
    let (pod, mut known) = (Pod::new(&server, "a", 1, 2, 60), Known::default());
    let five = Duration::from_secs(5);
    assert!(matches!(pod.tries(&mut known).await, Attempt::Ours { lasts, .. } if lasts == five));
    assert_eq!(server.leases.lock().unwrap()[SECOND]["spec"]["leaseDurationSeconds"], 60);
}

#[tokio::test]
async fn another_number_of_shards_holds_once_the_longest_first_lease_is_over() {
    let server = Arc::new(Server::default());
    let free = json!({"holderIdentity": "", "leaseDurationSeconds": 60});
    server.put(FIRST, json!({"spillway.dev/shards": "4"}), free);
    let (pod, mut known) = (Pod::new(&server, "a", 0, 2, 15), Known::default());
    assert!(matches!(pod.tries(&mut known).await, Attempt::Others));
    let earlier = |known: &mut Known, seconds| {
        let since = known.settling.as_mut().expect("it waits");
        *since = since.checked_sub(Duration::from_secs(seconds)).expect("a machine up for longer");
    };
    earlier(&mut known, 30);
    assert!(matches!(pod.tries(&mut known).await, Attempt::Others), "its own 15 s are over, not the 60 s");
    assert_eq!(
        server.leases.lock().unwrap()[FIRST]["metadata"]["annotations"][super::super::layout::BEFORE],
        "4"
    );
    earlier(&mut known, 31);
    assert!(matches!(pod.tries(&mut known).await, Attempt::Ours { .. }));
    let annotations = server.leases.lock().unwrap()[FIRST]["metadata"]["annotations"].clone();
    assert_eq!(annotations, json!({"spillway.dev/shards": "2", "spillway.dev/shards-by": "a"}));
}

/// The first Lease is that of a version without shards, with what b wrote there when b's had two.
fn held_without_shards() -> Arc<Server> {
    let server = Arc::new(Server::default());
    let annotations = json!({"spillway.dev/shards": "2", "spillway.dev/shards-by": "b"});
    server.put(FIRST, annotations, json!({"holderIdentity": "old", "leaseDurationSeconds": 15}));
    server
}

#[tokio::test]
async fn a_shard_is_left_alone_while_a_version_without_shards_has_all_objects() {
    let server = held_without_shards();
    let (first, second) = (Pod::new(&server, "a", 0, 2, 15), Pod::new(&server, "a", 1, 2, 15));
    let (mut of_first, mut of_second) = (Known::default(), Known::default());
    assert!(matches!(second.tries(&mut of_second).await, Attempt::Others));
    assert!(!server.leases.lock().unwrap().contains_key(SECOND), "it acts on all objects");
    assert!(matches!(first.tries(&mut of_first).await, Attempt::Others));
    // It was silent for too long: it acted by this very lease, and there is nobody else to wait for.
    let seen = of_first.seen.as_mut().expect("it has seen the old one's");
    seen.at = seen.at.checked_sub(Duration::from_secs(16)).expect("a machine up for longer");
    assert!(matches!(first.tries(&mut of_first).await, Attempt::Ours { .. }));
    let annotations = server.leases.lock().unwrap()[FIRST]["metadata"]["annotations"].clone();
    assert_eq!(annotations, json!({"spillway.dev/shards": "2", "spillway.dev/shards-by": "a"}));
    assert!(matches!(second.tries(&mut of_second).await, Attempt::Ours { .. }));
}

#[tokio::test]
async fn nobody_takes_a_shard_while_the_first_lease_is_free_and_whoever_has_one_keeps_it() {
    let server = Arc::new(Server::default());
    let annotations = json!({"spillway.dev/shards": "2", "spillway.dev/shards-by": "b"});
    server.put(FIRST, annotations.clone(), json!({"holderIdentity": "", "leaseDurationSeconds": 15}));
    let (pod, mut known) = (Pod::new(&server, "a", 1, 2, 15), Known::default());
    assert!(matches!(pod.tries(&mut known).await, Attempt::Others), "a version without shards may come next");
    server.put(FIRST, annotations.clone(), json!({"holderIdentity": "old", "leaseDurationSeconds": 15}));
    assert!(matches!(pod.tries(&mut known).await, Attempt::Others), "it acts on all objects");
    server.put(FIRST, annotations.clone(), json!({"holderIdentity": "b", "leaseDurationSeconds": 15}));
    assert!(matches!(pod.tries(&mut known).await, Attempt::Ours { .. }));
    server.put(FIRST, annotations, json!({"holderIdentity": "", "leaseDurationSeconds": 15}));
    assert!(matches!(pod.tries(&mut known).await, Attempt::Ours { .. }), "it is renewed");
}

#[tokio::test]
async fn a_shard_is_given_up_when_a_version_without_shards_comes_back() {
    let server = held_without_shards();
    server.put(SECOND, json!({}), json!({"holderIdentity": "a", "leaseDurationSeconds": 15}));
    let mut pod = Pod::new(&server, "a", 1, 2, 15);
    pod.held.hold(Some(Instant::now() + Duration::from_secs(60)), "");
    let _standing = pod.stands();
    pod.comes_to(None).await;
    eventually("it is given up", || server.holder(SECOND).is_none()).await;
}
