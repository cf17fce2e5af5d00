//! The story of every row: a group that keeps up gets a backlog, more replicas are on their way, and in
//! the middle of the recovery something breaks; when it is whole again, the job is finished.
//!
//! What breaks is the row's; what may not happen is judged by `verdict`.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use spillway::api::KafkaConnection;
use spillway_testbed::account::Account;
use spillway_testbed::operator;
use spillway_testbed::usage::Usage;
use spillway_testbed::wait::eventually;

use super::record::{self, Recorder, Seen};
use super::results::Round;
use super::rows::{Ending, Row};
use super::stage::{LEASE, Stage};
use super::verdict::{Evidence, broken};
use crate::backlog::{Backlog, EACH, FEW, FIRST, MAX_DELAY, Parts, now_ms, restarts};
use crate::harness::Case;
use crate::leaks;

/// Messages that wait when it breaks.
pub const BACKLOG: u64 = 6000;
/// For the end of it: all that waits, and the time after which replicas are taken back.
const END: Duration = Duration::from_secs(300);
const LIMIT: Duration = Duration::from_secs(90);
/// Threads and connections of what is over may take a moment to go: an idle connection to the API server is
/// kept for a minute and a half.
const GO: Duration = Duration::from_secs(120);
/// How long the threads must be as many before they are taken for those of the calm.
const STEADY: Duration = Duration::from_secs(10);
/// More than a scaler may ever ask for.
const MOST: i32 = 6;

/// A round of a row while it is played.
pub struct Scene<'a> {
    pub stage: &'a Stage,
    pub case: &'a Case,
    pub backlog: Backlog<'a>,
    pub recorder: Recorder,
    /// From when to when the operator could not see Kafka, as far as the row knows by itself.
    pub unseen: RefCell<Vec<(i64, i64)>>,
}

impl Scene<'_> {
    /// Waits until the scaler is in one of these states; returns its sentence.
    pub async fn told(&self, what: &str, states: &[&str], limit: Duration) -> Result<String> {
        let status = self.case.until(what, &self.backlog.name, limit, |s| {
            s.state.as_deref().is_some_and(|state| states.contains(&state))
        });
        Ok(status.await?.message.unwrap_or_default())
    }

    /// Waits until the scaler is in none of these states.
    pub async fn no_more(&self, what: &str, states: &[&str], limit: Duration) -> Result<()> {
        let gone = self.case.until(what, &self.backlog.name, limit, |s| {
            s.state.as_deref().is_some_and(|state| !states.contains(&state))
        });
        gone.await.map(drop)
    }

    /// Lets time pass in which something stays broken.
    pub async fn lasts(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// A backlog that more replicas are being started for.
    pub async fn middle(&self) -> Result<()> {
        self.backlog.flood(14.0 * EACH)?;
        self.backlog.grown(BACKLOG).await?;
        self.backlog.ebb()?;
        self.backlog.scaled_up().await?;
        self.backlog.in_the_middle()
    }

    /// The case's connection is another one from now on: `fields` of its spec. Waits until it works.
    pub async fn connect(&self, fields: &str) -> Result<()> {
        self.case.bed.apply(&self.case.connection("main", &format!("{fields}, sweepInterval: 1s"))).await?;
        let api: Api<KafkaConnection> = Api::namespaced(self.case.bed.client(), &self.case.namespace);
        eventually("the other connection to work", LIMIT, || async {
            let object = api.get("main").await?;
            let status = object.status.context("no status")?;
            let ready = status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
            let seen = (status.observed_generation, ready);
            ensure!(
                seen == (object.metadata.generation, true),
                "{seen:?} of {:?}",
                object.metadata.generation
            );
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        self.backlog.calm().await
    }
}

/// Plays a round. What it holds in the end is told, not an error: that is for what could not be played.
pub async fn play(stage: &Stage, row: &Row, number: usize, usage: &mut Option<Usage>) -> Result<Round> {
    let namespace = format!("chaos-{}-{number}", row.name);
    stage.install(row.setup).await.with_context(|| format!("installing the operator for {}", row.name))?;
    let case = Case::new(&namespace, stage.bed).await?;
    let spec = format!("maxReplicas: {MOST}\n{}", row.spec);
    let parts = Parts { spec: spec.trim_end(), topic_replicas: row.topic_replicas, ..Parts::default() };
    let backlog = Backlog::start_as(&case, &namespace, parts).await?;
    let recorder = Recorder::follow(&case, &namespace);
    let scene = Scene { stage, case: &case, backlog, recorder, unseen: RefCell::default() };
    (row.prepare)(&scene).await.context("before anything breaks")?;
    let before = match *usage {
        Some(before) => before,
        None => *usage.insert(steady_usage(stage).await?),
    };
    let operators = restarts(stage.bed).await?;
    let (lines, began) = (defects(stage)?.len(), now_ms()?);
    let (broke, whole, awaited) = {
        let mut broke = began;
        let outcome = async {
            if !row.own_backlog {
                scene.middle().await?;
            }
            broke = now_ms()?;
            (row.act)(&scene).await
        }
        .await;
        let lifted = stage.lift().await;
        let whole = now_ms()?;
        lifted.context("making everything whole again")?;
        (broke, whole, outcome.err().map(|error| format!("{error:#}")))
    };
    let finished = finish(&scene, row).await;
    let (unsettled, account) = match finished {
        Ok(account) => (None, account),
        Err(error) => (Some(format!("{error:#}")), None),
    };
    let after = settled_usage(stage, before).await?;
    let seen = scene.recorder.seen();
    let mut blind = scene.recorder.blind(now_ms()?);
    blind.extend(scene.unseen.borrow().iter().copied());
    let steps: Vec<(i64, i32)> = scene.backlog.path.steps()?.iter().map(|s| (s.at, s.replicas)).collect();
    let (renewals, writes) = calls(&case, began)?;
    let evidence = Evidence {
        steps: steps.clone(),
        bounds: FIRST..=MOST,
        blind,
        late: account.as_ref().map(late).unwrap_or_default(),
        renewals,
        writes,
        lease: i64::try_from(LEASE.as_millis())?,
        defects: defects(stage)?.split_off(lines),
        restarts: match row.kills {
            true => None,
            false => Some(i32::from(restarts(stage.bed).await? != operators)),
        },
        usage: (before, after),
        unsettled,
        awaited,
    };
    let mut wrong = broken(&evidence);
    if let Err(error) = leaks::none(stage.bed, &namespace, true).await {
        wrong.push(format!("{error:#}"));
    }
    let events = record::events(&case, broke - 1000).await?;
    if !wrong.is_empty() {
        let report = stage.bed.report(&[&namespace, operator::NAMESPACE]).await;
        std::fs::write(case.records.join("report.txt"), &report)?;
        eprintln!("{}: {wrong:#?}; the state of the bed is in {}", namespace, case.records.display());
    }
    let round = Round {
        broken: wrong.iter().map(|text| clean(text, &case)).collect(),
        states: states(&seen, broke),
        sentence: sentence(row, &seen, broke, whole).map(|text| clean(&text, &case)),
        events,
        replicas: steps.iter().map(|(at, n)| ((at - broke) / 1000, *n)).collect(),
        lasted: (whole - broke) / 1000,
        recovered: recovered(&seen, whole),
        messages: account.map(|a| (a.processed_total(), a.repeated)),
        usage: (before, after),
    };
    drop(scene);
    case.bed.kubectl(&["delete", "namespace", &namespace, "--wait=false"]).await?;
    eventually("the row's scalers to be gone", LIMIT, || async {
        let left = case.bed.kubectl(&["get", "csc,deployments,pods", "-n", &namespace, "-o", "name"]).await?;
        ensure!(left.trim().is_empty(), "{left}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    Ok(round)
}

/// From when to when each message was late that was.
fn late(account: &Account) -> Vec<(i64, i64)> {
    let of = account.messages().filter(|m| m.waited() > MAX_DELAY);
    of.map(|m| (m.created + (MAX_DELAY * 1000.0) as i64, m.at)).collect()
}

/// Waits until the group keeps up with few replicas, and accounts for every message.
async fn finish(scene: &Scene<'_>, row: &Row) -> Result<Option<Account>> {
    let start = Instant::now();
    let kept_up = scene.case.until("the group to keep up with few replicas", &scene.backlog.name, END, |s| {
        let counts = scene.backlog.path.counts().unwrap_or_default();
        s.state.as_deref() == Some("KeepingUp")
            && s.current_replicas.is_some_and(|r| r <= FEW)
            && counts.last() < counts.iter().max()
    });
    kept_up.await.with_context(|| {
        format!("after {:?}; replicas {:?}", start.elapsed(), scene.backlog.path.counts())
    })?;
    match row.ending {
        Ending::All => scene.backlog.settled().await.map(Some),
        Ending::Group => {
            scene.backlog.silence()?;
            let kafka = scene.case.bed.kafka()?;
            eventually("the group to have read everything", LIMIT, || async {
                let rows = kafka.describe_group(&scene.backlog.name).await?;
                let topic: Vec<_> = rows.iter().filter(|r| r.topic == scene.backlog.name).collect();
                let end: i64 = topic.iter().filter_map(|r| r.end).sum();
                // A partition that got nothing has no commit.
                let behind = topic.iter().filter(|r| r.end > Some(0) && r.lag != Some(0)).count();
                ensure!(end > 0 && behind == 0, "{behind} partitions are behind: {topic:?}");
                Ok::<_, anyhow::Error>(())
            })
            .await?;
            Ok(None)
        }
    }
}

/// What the operator takes once it has nothing to end any more: a client of the row before, for instance.
async fn steady_usage(stage: &Stage) -> Result<Usage> {
    let last = Mutex::new((stage.usage().await?, Instant::now()));
    eventually("the operator's threads to be steady", LIMIT, || async {
        let now = stage.usage().await?;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.threads != now.threads {
            *last = (now, Instant::now());
        }
        ensure!(last.1.elapsed() >= STEADY, "{now:?} for {:?}", last.1.elapsed());
        Ok::<_, anyhow::Error>(now)
    })
    .await
}

/// What the operator takes once what is over is gone; else what it takes then.
async fn settled_usage(stage: &Stage, before: Usage) -> Result<Usage> {
    let settled = eventually("threads and connections to go", GO, || async {
        let now = stage.usage().await?;
        let more = now.threads > before.threads
            || now.sockets > before.sockets
            || now.descriptors > before.descriptors;
        ensure!(!more, "{now:?}, before {before:?}");
        Ok::<_, anyhow::Error>(now)
    });
    match settled.await {
        Ok(usage) => Ok(usage),
        Err(_) => stage.usage().await,
    }
}

/// Lines of the operator's logs that tell of a defect.
fn defects(stage: &Stage) -> Result<Vec<String>> {
    let logs = stage.logs()?;
    let lines = logs.iter().flat_map(|(_, text)| text.lines());
    Ok(lines
        .filter(|l| l.contains("panicked") || l.contains("a defect in Spillway"))
        .map(str::to_owned)
        .collect())
}

type Calls = Vec<(i64, String)>;

/// When the operator's pods renewed the lease, and wrote replicas in the case's namespace since a moment.
fn calls(case: &Case, since: i64) -> Result<(Calls, Calls)> {
    let (mut renewals, mut writes) = (Vec::new(), Vec::new());
    for call in case.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)? {
        if !matches!(call.verb.as_str(), "create" | "update" | "patch")
            || !(200..300).contains(&call.response_status.code)
        {
            continue;
        }
        let at: jiff::Timestamp = call.request_received_timestamp.parse()?;
        let pod = || call.pod().map(str::to_owned).context("the audit log does not say which pod");
        if call.object_ref.resource == "leases" {
            renewals.push((at.as_millisecond(), pod()?));
        } else if call.object_ref.subresource == "scale"
            && call.object_ref.namespace == case.namespace
            && at.as_millisecond() >= since
        {
            writes.push((at.as_millisecond(), pod()?));
        }
    }
    Ok((renewals, writes))
}

/// The states from when it broke on, each with why it was not ready; the first one is that before.
fn states(seen: &[Seen], broke: i64) -> Vec<(i64, String)> {
    let from = seen.iter().rposition(|s| s.at <= broke).unwrap_or(0);
    let word = |s: &Seen| match &s.unready {
        Some(reason) if *reason != s.state => format!("{} ({reason})", s.state),
        _ => s.state.clone(),
    };
    seen[from.min(seen.len())..].iter().map(|s| ((s.at - broke) / 1000, word(s))).collect()
}

/// The first sentence that tells of what broke.
fn sentence(row: &Row, seen: &[Seen], broke: i64, whole: i64) -> Option<String> {
    let late = whole + 10_000;
    let during = || seen.iter().filter(move |s| (broke..=late).contains(&s.at));
    let of = during().find(|s| s.unready.is_some() || row.shows.contains(&s.state.as_str()));
    of.map(|s| s.message.clone())
}

/// From when it was whole again to when the group kept up, s.
fn recovered(seen: &[Seen], whole: i64) -> Option<i64> {
    let last = seen.iter().rposition(|s| s.at <= whole)?;
    let up = seen[last..].iter().find(|s| matches!(s.state.as_str(), "KeepingUp" | "Idle"))?;
    Some(((up.at - whole) / 1000).max(0))
}

/// Without ports and names that are another's every time.
fn clean(text: &str, case: &Case) -> String {
    static ADDRESSES: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
        regex::Regex::new(r"127\.0\.0\.1:\d+(, ?127\.0\.0\.1:\d+)*").expect("a pattern")
    });
    ADDRESSES.replace_all(text, "kafka:9092").replace(&case.namespace, "orders")
}
