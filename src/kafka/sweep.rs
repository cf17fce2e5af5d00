//! One sweep: every group asked for, read at once.
//!
//! Committed offsets come first, end offsets after, so that lag errs upwards. Each group is read
//! or not on its own; a partition that could not be read is unknown and named. Of groups at rest only the
//! ends are read (see `pace`); those whose ends have moved are then read in a second round.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{join, join_all};

use super::admin::{Admin, Offsets, Which};
use super::connection::{ConnectionConfig, client, left};
use super::coordinator::Coordinators;
use super::error::{CallFailed, ConnectionProblem, KafkaError};
use super::groups;
use super::observe::{Read, Seen, observation};
use super::pace::{Pace, unmoved};
use super::refusal::{Ask, Refusal};
use super::retention::{self, Retention};
use super::token::{Token, Tokens};
use super::topics::{Topics, counting};
use super::traffic::Traffic;
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

/// What a round of a sweep works with.
#[derive(Clone, Copy)]
struct Round<'a> {
    admin: &'a Arc<Admin>,
    token: Option<&'a Token>,
    groups_until: Instant,
    ends_until: Instant,
    /// Whether nobody can answer but the coordinators that are asked: no reading of the sweep may stand.
    alone: bool,
}

/// What came of it.
struct Answers {
    /// Nothing for a group that is to be read in the next round, or when nobody answered.
    groups: Vec<Option<GroupObservation>>,
    topics: Arc<Topics>,
    /// Whether no coordinator answered; nothing where none was asked.
    silent: Option<bool>,
    /// Whether leaders of partitions answered.
    ends: bool,
    /// Whether the client is of no more use.
    spent: bool,
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
    pace: Mutex<Pace>,
    coordinators: Mutex<Coordinators>,
    /// Requests of clients that are gone.
    sent_before: Mutex<BTreeMap<String, u64>>,
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
            pace: Mutex::default(),
            coordinators: Mutex::default(),
            sent_before: Mutex::default(),
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
        let readings = self.pace().rested(&requests, Instant::now());
        let rested: Vec<bool> = readings.iter().map(Option::is_some).collect();
        // A coordinator that does not answer leaves time for the leaders of partitions, and both for a second
        // round, where there may be one.
        let stops =
            if !rested.contains(&true) { [limit / 4, Duration::ZERO] } else { [limit / 2, limit * 3 / 8] };
        let round = Round {
            admin: &admin,
            token: token.as_ref(),
            groups_until: deadline - stops[0],
            ends_until: deadline - stops[1],
            alone: !rested.contains(&true),
        };
        let asked: Vec<(&GroupRequest, Option<GroupObservation>)> = requests.iter().zip(readings).collect();
        let first = self.round(&round, asked, topics).await;
        let mut groups = first.groups;
        let (mut topics, mut silent, mut spent) = (first.topics, first.silent, first.spent);
        let mut ends = first.ends;
        let woken: Vec<usize> = (0..groups.len()).filter(|i| groups[*i].is_none()).collect();
        // One coordinator that does not answer says nothing of the others, nor of the leaders.
        if !woken.is_empty() && (ends || silent != Some(true)) {
            let round = Round { groups_until: deadline - limit / 8, ends_until: deadline, ..round };
            let asked = woken.iter().map(|i| (&requests[*i], None)).collect();
            let second = self.round(&round, asked, topics).await;
            for (i, group) in woken.into_iter().zip(second.groups) {
                groups[i] = group;
            }
            topics = second.topics;
            ends |= second.ends;
            silent = silent.into_iter().chain(second.silent).reduce(|a, b| a && b);
            spent |= second.spent;
        }
        let seen: Option<Vec<GroupObservation>> = groups.into_iter().collect();
        let sweep = match seen.filter(|_| ends || silent != Some(true)) {
            None if silent == Some(true) => match self.reached(&admin, deadline).await {
                Some(cluster) => self.silent(&requests, cluster),
                None => self.nothing(&admin, &requests).await,
            },
            None => self.nothing(&admin, &requests).await,
            Some(groups) => {
                admin.client().context().clear();
                self.refusal.over();
                self.pace().tidy(Instant::now());
                self.coordinators().tidy(&requests, Instant::now());
                // Where an offset is missing the metadata is read anew, to know at the next sweep whether
                // there is a leader by then, and who.
                if groups.iter().flat_map(|g| &g.partitions).any(|p| p.end.is_none() || p.start.is_none()) {
                    self.forget_topics();
                }
                Sweep { groups, cluster: Some(topics.cluster.clone()), problem: None }
            }
        };
        if spent {
            // Another client from the next sweep on, see `CallFailed::spent`.
            self.forget_admin();
        }
        sweep
    }

    /// One round: reads those of the groups that have no reading which may stand, and sees of the others whether it
    /// does.
    async fn round(
        &self,
        round: &Round<'_>,
        asked: Vec<(&GroupRequest, Option<GroupObservation>)>,
        topics: Arc<Topics>,
    ) -> Answers {
        let due: Vec<&GroupRequest> = asked.iter().filter(|(_, r)| r.is_none()).map(|(r, _)| *r).collect();
        let reads = groups::read(round.admin, &due, round.groups_until).await;
        let spent = reads.values().flat_map(Read::errors).any(CallFailed::spent);
        let silent = (!reads.is_empty()).then(|| reads.values().all(Read::unanswered));
        self.coordinators().note(&reads, Instant::now());
        if silent == Some(true) && round.alone {
            // Not even their topics are known.
            return Answers { groups: vec![None; asked.len()], topics, silent, ends: false, spent };
        }
        let (groups, topics, ends) = self.partitions(round, asked, &reads, topics).await;
        Answers { groups, topics, silent, ends, spent }
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends and starts of the partitions that count for each group, and what follows for it: nothing yet for one
    /// whose reading does not stand.
    async fn partitions(
        &self,
        round: &Round<'_>,
        asked: Vec<(&GroupRequest, Option<GroupObservation>)>,
        reads: &HashMap<String, Read>,
        topics: Arc<Topics>,
    ) -> (Vec<Option<GroupObservation>>, Arc<Topics>, bool) {
        let due: Vec<(&GroupRequest, BTreeSet<String>)> = asked
            .iter()
            .filter(|(_, reading)| reading.is_none())
            .map(|(request, _)| {
                let read = &reads[&request.group];
                let of = read.committed.iter().flat_map(|o| o.keys().map(|(topic, _)| topic.clone()));
                (*request, counting(request, read.described.as_ref().ok(), of))
            })
            .collect();
        // A partition gets a leader within moments when a broker is back: not to be believed for long.
        let doubtful = due.iter().any(|(request, counting)| {
            counting.iter().any(|t| topics.name(t).is_none() || !topics.led(t))
                || reads[&request.group].described.as_ref().is_ok_and(|d| topics.outgrown(d, counting))
        });
        let topics = if doubtful {
            self.topics(round.admin, round.ends_until, true).await.unwrap_or(topics)
        } else {
            topics
        };

        let mut latest: BTreeMap<bool, BTreeSet<&str>> = BTreeMap::new();
        for (request, counting) in &due {
            latest.entry(isolation(request)).or_default().extend(counting.iter().map(String::as_str));
        }
        // Of groups at rest the starts do not count: they have read what is there.
        let earliest: BTreeSet<&str> = latest.values().flatten().copied().collect();
        for (request, reading) in &asked {
            let of = reading.iter().flat_map(|r| &r.partitions).map(|p| p.topic.as_ref());
            latest.entry(isolation(request)).or_default().extend(of);
        }
        let all = latest.values().flatten().map(|t| (*t).to_owned());
        retention::refresh(&self.retention, &self.config, round.token, all);
        // Before the ends: what came later than that may not have been seen.
        let at = clock::now();
        let (latest, earliest) = self.ends(round.admin, &latest, &earliest, &topics, round.ends_until).await;
        let high = self.past_stable(round.admin, &due, reads, &latest, round.ends_until).await;
        let answered = latest.values().flatten().any(|of| of.values().any(Result::is_ok));
        let mut due = due.into_iter();
        let now = Instant::now();
        let groups = asked.into_iter().map(|(request, reading)| {
            let latest = latest.get(&isolation(request));
            if let Some(reading) = reading {
                let stands = latest.is_some_and(|l| l.as_ref().is_ok_and(|l| unmoved(&reading, &topics, l)));
                return stands.then_some(GroupObservation { taken_at: Some(at), ..reading });
            }
            let (_, counting) = due.next()?;
            let seen = Seen {
                topics: &topics,
                latest,
                earliest: earliest.as_ref(),
                high: high.as_ref(),
                coordinators: &self.coordinators,
                retention: &self.retention,
            };
            let group = observation(request, &counting, &reads[&request.group], &seen);
            self.pace().note(request, &group, now);
            Some(group)
        });
        (groups.collect(), topics.clone(), answered)
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

    /// What the cluster says of itself now, where it is the coordinators alone that are away. Not where none was ever
    /// heard of, or something else than a broker that is down was told: then that is at fault.
    async fn reached(&self, admin: &Arc<Admin>, deadline: Instant) -> Option<ClusterInfo> {
        let told = admin.client().context().problem().reason;
        if !matches!(told, "Unreachable" | "TimedOut") || !self.coordinators().any() {
            return None;
        }
        // Not what it said a while ago.
        self.forget_topics();
        Some(self.topics(admin, deadline, true).await.ok()?.cluster.clone())
    }

    /// No coordinator answered.
    fn silent(&self, requests: &[GroupRequest], cluster: ClusterInfo) -> Sweep {
        let coordinators = self.coordinators();
        let unseen = |r: &GroupRequest| GroupObservation::unseen(&r.group, coordinators.silent(&r.group));
        Sweep { groups: requests.iter().map(unseen).collect(), cluster: Some(cluster), problem: None }
    }

    fn coordinators(&self) -> std::sync::MutexGuard<'_, Coordinators> {
        self.coordinators.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Some(admin) = self.admin.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let mut before = self.sent_before.lock().unwrap_or_else(PoisonError::into_inner);
        *before = admin.client().context().traffic().after(&before).requests;
    }

    /// What was sent to the brokers, up to some seconds ago. What asks for retention has a client of its own,
    /// for a moment every ten minutes, which is not counted.
    pub fn traffic(&self) -> Traffic {
        let admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = admin.map(|admin| admin.client().context().traffic()).unwrap_or_default();
        now.after(&self.sent_before.lock().unwrap_or_else(PoisonError::into_inner))
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

    /// Latest offsets of topics by isolation, and earliest ones: one call each.
    async fn ends(
        &self,
        admin: &Admin,
        latest: &BTreeMap<bool, BTreeSet<&str>>,
        earliest: &BTreeSet<&str>,
        topics: &Topics,
        deadline: Instant,
    ) -> (BTreeMap<bool, Result<Offsets, CallFailed>>, Result<Offsets, CallFailed>) {
        let latest = join_all(latest.iter().map(|(committed, of)| {
            let partitions = topics.with_leader(of);
            async move {
                (*committed, admin.list_offsets(&partitions, Which::Latest, *committed, left(deadline)).await)
            }
        }));
        let partitions = topics.with_leader(earliest);
        let earliest = admin.list_offsets(&partitions, Which::Earliest, false, left(deadline));
        let (latest, earliest) = join(latest, earliest).await;
        (latest.into_iter().collect(), earliest)
    }

    /// High watermarks of the partitions where a group that is to read committed messages only has
    /// a commit past the last stable offset: it may have read further, or the topic is a new one.
    async fn past_stable(
        &self,
        admin: &Admin,
        due: &[(&GroupRequest, BTreeSet<String>)],
        reads: &HashMap<String, Read>,
        latest: &BTreeMap<bool, Result<Offsets, CallFailed>>,
        deadline: Instant,
    ) -> Result<Offsets, CallFailed> {
        let Some(Ok(stable)) = latest.get(&true) else { return Ok(Offsets::new()) };
        let mut past = BTreeSet::new();
        for (request, _) in due.iter().filter(|(r, _)| isolation(r)) {
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
