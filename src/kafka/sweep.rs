//! One sweep: every group asked for, read at once.
//!
//! Committed offsets come first, end offsets after, so that lag errs upwards. Each group is read
//! or not on its own; a partition that could not be read is unknown and named.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use rdkafka::producer::Producer as _;

use super::admin::{Admin, Description, NO_OFFSET, Offsets, Phase, Which};
use super::connection::{ConnectionConfig, client, left};
use super::error::{CallFailed, ConnectionProblem, KafkaError};
use super::topics::{Topics, counting};
use super::{ClusterInfo, GroupRequest, Isolation};
use crate::clock;
use crate::decide::{Committed, GroupObservation, GroupPhase, Member, PartitionObservation, Time};

/// How long metadata is believed: after that, new partitions are noticed.
const METADATA_AGE: Duration = Duration::from_secs(30);

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
    admin: Arc<Admin>,
    bootstrap: String,
    topics: Mutex<Option<(Instant, Arc<Topics>)>>,
}

struct Read {
    at: Option<Time>,
    committed: Result<Offsets, CallFailed>,
}

impl Connection {
    /// Makes a client. It connects by itself, when first used.
    ///
    /// # Errors
    /// When the settings cannot be used at all.
    pub fn open(config: &ConnectionConfig) -> Result<Self, KafkaError> {
        let bootstrap = config.bootstrap.join(",");
        let admin = Admin::new(client(config)?).map_err(|e| KafkaError {
            bootstrap: bootstrap.clone(),
            why: format!("no thread for it: {e}"),
        })?;
        Ok(Self { admin: Arc::new(admin), bootstrap, topics: Mutex::new(None) })
    }

    /// Reads every group asked for, within the limit.
    pub async fn sweep(&self, requests: Vec<GroupRequest>, limit: Duration) -> Sweep {
        let deadline = Instant::now() + limit;
        let topics = match self.topics(deadline, false).await {
            Ok(topics) => topics,
            Err(_) => return self.nothing(&requests),
        };
        let names: BTreeSet<String> = requests.iter().map(|r| r.group.clone()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let describe = async {
            if names.is_empty() { Ok(Vec::new()) } else { self.admin.describe(&names, left(deadline)).await }
        };
        let reads = join_all(names.iter().map(|group| async move {
            let committed = self.admin.committed(group, left(deadline)).await;
            Read { at: committed.is_ok().then(clock::now), committed }
        }));
        let (described, reads) = join(describe, reads).await;
        // A broker that is frozen answers nothing about any group: the error is then with each group.
        let undescribed = match &described {
            Ok(all) => all.iter().all(|d| d.error.as_ref().is_some_and(CallFailed::unanswered)),
            Err(error) => error.unanswered(),
        };
        let unread = |r: &Read| r.committed.as_ref().err().is_some_and(CallFailed::unanswered);
        let silent = !names.is_empty() && undescribed && reads.iter().all(unread);
        if silent {
            return self.nothing(&requests);
        }
        let descriptions: HashMap<&str, &Description> =
            described.iter().flatten().map(|d| (d.group.as_str(), d)).collect();
        let reads: HashMap<&str, &Read> = names.iter().map(String::as_str).zip(&reads).collect();

        let counting: Vec<BTreeSet<String>> = requests
            .iter()
            .map(|request| {
                let committed = reads[request.group.as_str()].committed.as_ref().ok();
                let of = committed.into_iter().flat_map(|o| o.keys().map(|(topic, _)| topic.clone()));
                counting(request, descriptions.get(request.group.as_str()).copied(), of)
            })
            .collect();
        // A partition gets a leader within moments, when a broker is back: not something to believe for long.
        let doubtful = counting.iter().flatten().any(|t| topics.name(t).is_none() || !topics.led(t));
        let topics = if doubtful { self.topics(deadline, true).await.unwrap_or(topics) } else { topics };

        let (latest, earliest) = self.ends(&requests, &counting, &topics, deadline).await;
        if latest
            .values()
            .flatten()
            .flat_map(|o| o.values())
            .any(|o| o.as_ref().err().is_some_and(CallFailed::outdated))
        {
            self.forget_topics();
        }
        self.admin.producer().context().clear();
        let groups = requests
            .iter()
            .zip(&counting)
            .map(|(request, counting)| {
                let described = match &described {
                    Ok(_) => Ok(descriptions.get(request.group.as_str()).copied()),
                    Err(error) => Err(error),
                };
                let seen = Seen {
                    topics: &topics,
                    latest: latest.get(&isolation(request)),
                    earliest: earliest.as_ref(),
                };
                observation(request, counting, described, reads[request.group.as_str()], &seen)
            })
            .collect();
        Sweep { groups, cluster: Some(topics.cluster.clone()), problem: None }
    }

    fn nothing(&self, requests: &[GroupRequest]) -> Sweep {
        let problem = self.admin.producer().context().problem(&self.bootstrap);
        self.forget_topics();
        Sweep {
            groups: requests.iter().map(|r| GroupObservation::unseen(&r.group, &problem.message)).collect(),
            cluster: None,
            problem: Some(problem),
        }
    }

    fn forget_topics(&self) {
        *self.topics.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn topics(&self, deadline: Instant, fresh: bool) -> Result<Arc<Topics>, CallFailed> {
        let kept = self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, topics)) = kept
            && !fresh
            && at.elapsed() < METADATA_AGE
        {
            return Ok(topics);
        }
        let admin = self.admin.clone();
        let limit = left(deadline);
        // The crate's call blocks.
        let read = tokio::task::spawn_blocking(move || {
            let client = admin.producer().client();
            let metadata = client.fetch_metadata(None, limit)?;
            // Known from the metadata by now: it need not wait.
            let id = client.fetch_cluster_id(Duration::from_millis(100));
            Ok::<_, rdkafka::error::KafkaError>(Topics::of(&metadata, id))
        });
        let topics = match tokio::time::timeout(limit + Duration::from_secs(1), read).await {
            Ok(Ok(Ok(topics))) => Arc::new(topics),
            Ok(Ok(Err(error))) => {
                return Err(CallFailed { code: error.rdkafka_error_code(), text: error.to_string() });
            }
            Ok(Err(_)) | Err(_) => return Err(CallFailed::timed_out()),
        };
        *self.topics.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), topics.clone()));
        Ok(topics)
    }

    /// Latest offsets by isolation, and earliest ones: one call each.
    async fn ends(
        &self,
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
                (
                    *committed,
                    self.admin.list_offsets(&partitions, Which::Latest, *committed, left(deadline)).await,
                )
            }
        }));
        let earliest = self.admin.list_offsets(&all, Which::Earliest, false, left(deadline));
        let (latest, earliest) = join(latest, earliest).await;
        (latest.into_iter().collect(), earliest)
    }
}

fn isolation(request: &GroupRequest) -> bool {
    request.isolation == Isolation::ReadCommitted
}

struct Seen<'a> {
    topics: &'a Topics,
    latest: Option<&'a Result<Offsets, CallFailed>>,
    earliest: Result<&'a Offsets, &'a CallFailed>,
}

fn observation(
    request: &GroupRequest,
    counting: &BTreeSet<String>,
    described: Result<Option<&Description>, &CallFailed>,
    read: &Read,
    seen: &Seen<'_>,
) -> GroupObservation {
    let group = &request.group;
    let mut problems = Vec::new();
    let mut phase = GroupPhase::Unknown;
    let mut members = Vec::new();
    match described {
        Err(error) => problems.push(format!("consumer group {group}: {error}")),
        Ok(None) => problems.push(format!("consumer group {group}: Kafka did not describe it")),
        Ok(Some(Description { error: Some(error), .. })) => {
            problems.push(format!("consumer group {group}: {error}"))
        }
        Ok(Some(description)) => {
            phase = phase_of(description);
            members = description
                .members
                .iter()
                .map(|m| Member { id: m.id.clone(), host: m.host.clone(), assignment: m.assignment.clone() })
                .collect();
        }
    }
    let committed = match &read.committed {
        Ok(committed) => Some(committed),
        Err(error) => {
            problems.push(format!("the committed offsets of consumer group {group}: {error}"));
            None
        }
    };
    if counting.is_empty() && committed.is_some() {
        problems.push(format!(
            "consumer group {group} has no members and no committed offsets, so the topics it reads are not known: name them in consumerGroups[].topics, or start its consumers once"
        ));
    }
    let mut partitions = Vec::new();
    for topic in counting {
        let Some((name, of)) = seen.topics.partitions.get_key_value(topic.as_str()) else {
            problems.push(format!("topic {topic} does not exist, or describing it is not allowed"));
            continue;
        };
        for (partition, led) in of {
            let key = (name.clone(), *partition);
            if !led {
                problems.push(format!("partition {topic}-{partition} has no leader"));
            }
            let mut offset = |from: Result<&Offsets, &CallFailed>| match from.map(|o| o.get(&key)) {
                Ok(Some(Ok(offset))) if *offset >= 0 => Some(*offset),
                Ok(Some(Err(error))) => {
                    problems.push(format!("partition {topic}-{partition}: {error}"));
                    None
                }
                Ok(_) if !led => None,
                Ok(_) => {
                    problems.push(format!("partition {topic}-{partition}: Kafka gave no offset"));
                    None
                }
                Err(error) => {
                    problems.push(format!("partition {topic}-{partition}: {error}"));
                    None
                }
            };
            let end = offset(seen.latest.map_or(Ok(&Offsets::new()), Result::as_ref));
            let start = offset(seen.earliest);
            let committed = match committed.map(|c| c.get(&key)) {
                None => Committed::Unknown,
                Some(None) => Committed::None,
                Some(Some(Ok(offset))) if *offset == NO_OFFSET || *offset < 0 => Committed::None,
                Some(Some(Ok(offset))) => Committed::At(*offset),
                Some(Some(Err(error))) => {
                    problems.push(format!(
                        "the commit of consumer group {group} on {topic}-{partition}: {error}"
                    ));
                    Committed::Unknown
                }
            };
            // Ends are read after commits, so a commit cannot be past one; with read_committed it
            // can, when the consumer reads uncommitted messages.
            if let (Committed::At(at), Some(end), Isolation::ReadUncommitted) =
                (committed, end, request.isolation)
                && at > end
            {
                problems.push(format!(
                    "consumer group {group} has a commit past the end of partition {topic}-{partition}: the topic was recreated, and its lag is known when the group commits again"
                ));
            }
            partitions.push(PartitionObservation {
                topic: name.clone(),
                partition: *partition,
                committed,
                end,
                start,
            });
        }
    }
    problems.dedup();
    GroupObservation { group: group.clone(), taken_at: read.at, problems, phase, members, partitions }
}

fn phase_of(description: &Description) -> GroupPhase {
    match description.phase {
        Phase::Rebalancing => GroupPhase::Rebalancing,
        Phase::Stable => {
            // Of KIP-848 groups each member moves by itself; who is not where it is to be, moves.
            let moving =
                description.members.iter().any(|m| m.target.as_ref().is_some_and(|t| *t != m.assignment));
            if description.new_protocol && moving { GroupPhase::Rebalancing } else { GroupPhase::Stable }
        }
        Phase::Dead => GroupPhase::Dead,
        Phase::Empty => GroupPhase::Empty,
        // librdkafka has no word yet for Assigning and Reconciling of KIP-848.
        Phase::Unknown if description.new_protocol => GroupPhase::Rebalancing,
        Phase::Unknown => GroupPhase::Unknown,
    }
}
