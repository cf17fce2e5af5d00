//! One sweep: every group asked for, read at once.
//!
//! Committed offsets come first, end offsets after, so that lag errs upwards. Each group is read
//! or not on its own; a partition that could not be read is unknown and named.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{join, join_all};

use super::admin::{Admin, Offsets, Which};
use super::connection::{ConnectionConfig, client, left};
use super::error::{CallFailed, ConnectionProblem, KafkaError};
use super::observe::{Read, Seen, observation};
use super::refusal::{Ask, Refusal};
use super::retention::{self, Retention};
use super::token::{Token, Tokens};
use super::topics::{Topics, counting};
use super::{ClusterInfo, GroupRequest, Isolation};
use crate::clock;
use crate::decide::GroupObservation;

/// How long metadata is believed: after that, new partitions are noticed.
const METADATA_AGE: Duration = Duration::from_secs(30);
/// And how long where something about it is doubtful: it is asked of the whole cluster, and a topic
/// that somebody misspelt must not have it read at every sweep.
const DOUBT_AGE: Duration = Duration::from_secs(5);
/// Time to find out more about a broker's certificate.
const EXPLAIN: Duration = Duration::from_secs(2);
/// Time for the brokers to let us in after they did not.
const ANOTHER_TRY: Duration = Duration::from_secs(2);

/// What one sweep read.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// One entry a request, in their order.
    pub groups: Vec<GroupObservation>,
    /// What the cluster says of itself, when it answered.
    pub cluster: Option<ClusterInfo>,
    /// Why nothing at all was answered, if so.
    pub problem: Option<ConnectionProblem>,
}

/// A client of one Kafka cluster, kept between sweeps.
pub struct Connection {
    config: ConnectionConfig,
    tokens: Option<Tokens>,
    refusal: Refusal,
    /// None while nobody is asked: a client goes on trying by itself.
    admin: Mutex<Option<Arc<Admin>>>,
    topics: Mutex<Option<(Instant, Arc<Topics>)>>,
    retention: Arc<Mutex<Retention>>,
    /// The cluster's id, asked for once: it never changes.
    cluster_id: OnceLock<String>,
}

impl Connection {
    /// Makes a client. It connects by itself, when first used.
    ///
    /// # Errors
    /// When the settings cannot be used at all.
    pub fn open(config: &ConnectionConfig) -> Result<Self, KafkaError> {
        let tokens =
            Tokens::of(config).map_err(|why| KafkaError { bootstrap: config.bootstrap.join(","), why })?;
        let admin = admin(config)?;
        Ok(Self {
            config: config.clone(),
            tokens,
            refusal: Refusal::default(),
            admin: Mutex::new(Some(admin)),
            topics: Mutex::new(None),
            retention: Arc::default(),
            cluster_id: OnceLock::new(),
        })
    }

    /// Reads every group asked for, within the limit. After a refused login it says for a while what was
    /// said of it, and asks nobody.
    pub async fn sweep(&self, requests: Vec<GroupRequest>, limit: Duration) -> Sweep {
        let limit = match self.refusal.now() {
            Ask::Freely => limit,
            Ask::Again => limit.min(ANOTHER_TRY),
            Ask::Not(problem) => return self.unseen(&requests, problem),
        };
        let deadline = Instant::now() + limit;
        let (admin, token) = match self.ready(deadline).await {
            Ok(ready) => ready,
            Err(problem) => return self.unseen(&requests, problem),
        };
        let topics = match self.topics(&admin, deadline, false).await {
            Ok(topics) => topics,
            Err(_) => return self.nothing(&admin, &requests).await,
        };
        // A coordinator that does not answer leaves time for the leaders of partitions.
        let reads = self.groups(&admin, &requests, deadline - limit / 4).await;
        let silent = reads.values().all(|r| r.errors().filter(|e| e.unanswered()).count() == 2);
        let sweep = if silent && !reads.is_empty() {
            self.nothing(&admin, &requests).await
        } else {
            self.partitions(&admin, &requests, &reads, topics, token.as_ref(), deadline).await
        };
        if reads.values().flat_map(Read::errors).any(CallFailed::spent) {
            // Another client from the next sweep on, see `CallFailed::spent`.
            self.forget_admin();
        }
        sweep
    }

    /// Members and committed offsets of each group, all at once. One call a group: one that does not
    /// end holds up no other.
    async fn groups(
        &self,
        admin: &Admin,
        requests: &[GroupRequest],
        deadline: Instant,
    ) -> HashMap<String, Read> {
        let names: BTreeSet<&String> = requests.iter().map(|r| &r.group).collect();
        let reads = names.into_iter().map(|group| async move {
            let committed = async {
                let committed = admin.committed(group, left(deadline)).await;
                (committed.is_ok().then(clock::now), committed)
            };
            let (described, (at, committed)) = join(admin.describe(group, left(deadline)), committed).await;
            (group.clone(), Read { described, at, committed })
        });
        join_all(reads).await.into_iter().collect()
    }

    /// Ends and starts of the partitions that count for each group, and what follows for it.
    async fn partitions(
        &self,
        admin: &Arc<Admin>,
        requests: &[GroupRequest],
        reads: &HashMap<String, Read>,
        topics: Arc<Topics>,
        token: Option<&Token>,
        deadline: Instant,
    ) -> Sweep {
        let counting: Vec<BTreeSet<String>> = requests
            .iter()
            .map(|request| {
                let read = &reads[&request.group];
                let of = read.committed.iter().flat_map(|o| o.keys().map(|(topic, _)| topic.clone()));
                counting(request, read.described.as_ref().ok(), of)
            })
            .collect();
        // A partition gets a leader within moments when a broker is back: not to be believed for long.
        let doubtful = counting.iter().flatten().any(|t| topics.name(t).is_none() || !topics.led(t))
            || requests.iter().zip(&counting).any(|(request, counting)| {
                reads[&request.group].described.as_ref().is_ok_and(|d| topics.outgrown(d, counting))
            });
        let topics =
            if doubtful { self.topics(admin, deadline, true).await.unwrap_or(topics) } else { topics };

        retention::refresh(&self.retention, &self.config, token, counting.iter().flatten().cloned());
        let (latest, earliest) = self.ends(admin, requests, &counting, &topics, deadline).await;
        let high = self.past_stable(admin, requests, reads, &latest, deadline).await;
        admin.client().context().clear();
        self.refusal.over();
        let groups: Vec<GroupObservation> = requests
            .iter()
            .zip(&counting)
            .map(|(request, counting)| {
                let seen = Seen {
                    topics: &topics,
                    latest: latest.get(&isolation(request)),
                    earliest: earliest.as_ref(),
                    high: high.as_ref(),
                    retention: &self.retention,
                };
                observation(request, counting, &reads[&request.group], &seen)
            })
            .collect();
        // Where an offset is missing the metadata is read anew, to know at the next sweep whether
        // there is a leader by then, and who.
        if groups.iter().flat_map(|g| &g.partitions).any(|p| p.end.is_none() || p.start.is_none()) {
            self.forget_topics();
        }
        Sweep { groups, cluster: Some(topics.cluster.clone()), problem: None }
    }

    /// The client, and the token that it has to log in with if one is needed.
    async fn ready(&self, deadline: Instant) -> Result<(Arc<Admin>, Option<Token>), ConnectionProblem> {
        let admin = self.admin()?;
        let Some(tokens) = &self.tokens else { return Ok((admin, None)) };
        let token = tokens.current(left(deadline)).await?;
        admin.give_token(&token).map_err(|why| ConnectionProblem {
            reason: "AuthenticationFailed",
            message: format!("the token cannot be used to log in to Kafka: {why}"),
            fields: &[],
        })?;
        Ok((admin, Some(token)))
    }

    /// Kafka did not answer, or let nobody in.
    async fn nothing(&self, admin: &Admin, requests: &[GroupRequest]) -> Sweep {
        let context = admin.client().context();
        context.explain(self.config.tls.as_ref(), EXPLAIN).await;
        let problem = context.problem();
        if self.refusal.note(&problem) {
            self.forget_admin();
        }
        if let Some(tokens) = self.tokens.as_ref().filter(|_| problem.reason == "AuthenticationFailed") {
            tokens.doubt().await;
        }
        self.unseen(requests, problem)
    }

    fn unseen(&self, requests: &[GroupRequest], problem: ConnectionProblem) -> Sweep {
        self.forget_topics();
        Sweep {
            groups: requests.iter().map(|r| GroupObservation::unseen(&r.group, &problem.message)).collect(),
            cluster: None,
            problem: Some(problem),
        }
    }

    fn admin(&self) -> Result<Arc<Admin>, ConnectionProblem> {
        let mut kept = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(admin) = &*kept {
            return Ok(admin.clone());
        }
        let fresh = admin(&self.config).map_err(|error| ConnectionProblem {
            reason: "Unreachable",
            message: error.to_string(),
            fields: &[],
        })?;
        *kept = Some(fresh.clone());
        Ok(fresh)
    }

    fn forget_admin(&self) {
        *self.admin.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn forget_topics(&self) {
        *self.topics.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn topics(
        &self,
        admin: &Arc<Admin>,
        deadline: Instant,
        fresh: bool,
    ) -> Result<Arc<Topics>, CallFailed> {
        let kept = self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, topics)) = kept
            && at.elapsed() < if fresh { DOUBT_AGE } else { METADATA_AGE }
        {
            return Ok(topics);
        }
        let admin = admin.clone();
        let cluster_id = self.cluster_id.get().cloned();
        let limit = left(deadline);
        // The crate's call blocks.
        let read = tokio::task::spawn_blocking(move || {
            let client = admin.client();
            let metadata = client.fetch_metadata(None, limit)?;
            // Known from the metadata by now: it need not wait.
            let id = cluster_id.or_else(|| admin.cluster_id(Duration::from_millis(100)));
            Ok::<_, rdkafka::error::KafkaError>(Topics::of(&metadata, id))
        });
        let topics = match tokio::time::timeout(limit + Duration::from_secs(1), read).await {
            Ok(Ok(Ok(topics))) => Arc::new(topics),
            Ok(Ok(Err(error))) => {
                return Err(CallFailed { code: error.rdkafka_error_code(), text: error.to_string() });
            }
            Ok(Err(_)) | Err(_) => return Err(CallFailed::timed_out()),
        };
        if let Some(id) = &topics.cluster.cluster_id {
            self.cluster_id.get_or_init(|| id.clone());
        }
        *self.topics.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), topics.clone()));
        Ok(topics)
    }

    /// Latest offsets by isolation, and earliest ones: one call each.
    async fn ends(
        &self,
        admin: &Admin,
        requests: &[GroupRequest],
        counting: &[BTreeSet<String>],
        topics: &Topics,
        deadline: Instant,
    ) -> (BTreeMap<bool, Result<Offsets, CallFailed>>, Result<Offsets, CallFailed>) {
        let mut wanted: BTreeMap<bool, BTreeSet<(Arc<str>, i32)>> = BTreeMap::new();
        for (request, counting) in requests.iter().zip(counting) {
            let of = wanted.entry(isolation(request)).or_default();
            for topic in counting {
                let Some((name, partitions)) = topics.partitions.get_key_value(topic.as_str()) else {
                    continue;
                };
                // A partition without a leader would keep the whole call waiting.
                of.extend(partitions.iter().filter(|(_, led)| *led).map(|(p, _)| (name.clone(), *p)));
            }
        }
        let all: BTreeSet<(Arc<str>, i32)> = wanted.values().flatten().cloned().collect();
        let all: Vec<(Arc<str>, i32)> = all.into_iter().collect();
        let latest = join_all(wanted.iter().map(|(committed, partitions)| {
            let partitions: Vec<(Arc<str>, i32)> = partitions.iter().cloned().collect();
            async move {
                (*committed, admin.list_offsets(&partitions, Which::Latest, *committed, left(deadline)).await)
            }
        }));
        let earliest = admin.list_offsets(&all, Which::Earliest, false, left(deadline));
        let (latest, earliest) = join(latest, earliest).await;
        (latest.into_iter().collect(), earliest)
    }

    /// High watermarks of the partitions where a group that is to read committed messages only has
    /// a commit past the last stable offset: it may have read further, or the topic is a new one.
    async fn past_stable(
        &self,
        admin: &Admin,
        requests: &[GroupRequest],
        reads: &HashMap<String, Read>,
        latest: &BTreeMap<bool, Result<Offsets, CallFailed>>,
        deadline: Instant,
    ) -> Result<Offsets, CallFailed> {
        let Some(Ok(stable)) = latest.get(&true) else { return Ok(Offsets::new()) };
        let mut past = BTreeSet::new();
        for request in requests.iter().filter(|r| isolation(r)) {
            for (key, at) in reads[&request.group].committed.iter().flatten() {
                if let (Ok(at), Some(Ok(end))) = (at, stable.get(key))
                    && at > end
                {
                    past.insert(key.clone());
                }
            }
        }
        let past: Vec<(Arc<str>, i32)> = past.into_iter().collect();
        admin.list_offsets(&past, Which::Latest, false, left(deadline)).await
    }
}

fn admin(config: &ConnectionConfig) -> Result<Arc<Admin>, KafkaError> {
    let admin = Admin::new(client(config)?).map_err(|e| KafkaError {
        bootstrap: config.bootstrap.join(","),
        why: format!("no thread for it: {e}"),
    })?;
    Ok(Arc::new(admin))
}

fn isolation(request: &GroupRequest) -> bool {
    request.isolation == Isolation::ReadCommitted
}
