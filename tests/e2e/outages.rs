//! What Spillway needs is away while a backlog is drained: Kafka, or the API server; stopped, or frozen.
//!
//! Nothing is scaled down on what cannot be seen, nothing is restarted, and the job is finished afterwards.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use spillway::api::KafkaConnection;
use spillway_testbed::operator;
use spillway_testbed::wait::eventually;

use super::backlog::{Backlog, FIRST, MIDDLE, healthy, leads, now_ms, restarts};
use super::harness::{Case, DOWN_WINDOW, SharedBed, case};
use super::modes::observed;

static BED: SharedBed = SharedBed::new("outage", "lease: {duration: 5s}").cases(2);
/// What one case takes away, the others on the bed would miss.
static TURN: Mutex<()> = Mutex::new(());

const LIMIT: Duration = Duration::from_secs(60);
/// When the fallback is due, s, and what it is: more than the backlog asks for.
const FALLBACK: (i64, i32) = (10, 8);
/// How much later than that it may come, s: an outage is seen when requests time out.
const LATER: i64 = 15;
/// How soon the operator leads again once the API server answers.
const RESUME: Duration = Duration::from_secs(10);

/// Condition Ready of the KafkaConnection: its status, reason and message.
pub async fn connection(case: &Case) -> Result<(String, String, String)> {
    let api: Api<KafkaConnection> = Api::namespaced(case.bed.client(), &case.namespace);
    let status = api.get("main").await?.status.context("no status of the connection")?;
    let ready = status.conditions.into_iter().find(|c| c.type_ == "Ready").context("no condition Ready")?;
    Ok((ready.status, ready.reason, ready.message))
}

/// Waits until scaler and connection say that Kafka cannot be seen, where, and since when not.
pub async fn blind(backlog: &Backlog<'_>) -> Result<()> {
    let (case, servers) = (backlog.case, backlog.case.servers()?);
    let status = case
        .until("the outage to be seen", &backlog.name, LIMIT, |s| s.state.as_deref() == Some("Blind"))
        .await?;
    let message = status.message.unwrap_or_default();
    ensure!(
        message.contains("Kafka") && message.contains(&servers),
        "the status should name Kafka and {servers}, not {message:?}"
    );
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").context("no condition Ready")?;
    ensure!(
        ready.status == "False" && ["Unreachable", "TimedOut"].contains(&ready.reason.as_str()),
        "Ready of the scaler is {ready:?}"
    );
    eventually("the connection not to be ready", LIMIT, || async {
        let (status, reason, message) = connection(case).await?;
        ensure!(
            status == "False"
                && ["Unreachable", "TimedOut"].contains(&reason.as_str())
                && message.contains(&servers),
            "{status}, {reason}: {message}"
        );
        Ok(())
    })
    .await
}

/// Waits until everything is seen again.
pub async fn seeing(backlog: &Backlog<'_>) -> Result<()> {
    backlog
        .case
        .until("Kafka to be seen again", &backlog.name, LIMIT, |s| s.state.as_deref() != Some("Blind"))
        .await?;
    eventually("the connection to be ready", LIMIT, || async {
        let (status, reason, message) = connection(backlog.case).await?;
        ensure!(status == "True", "{status}, {reason}: {message}");
        Ok(())
    })
    .await
}

/// Decisions so far that saw nothing.
async fn blind_looks(backlog: &Backlog<'_>) -> Result<f64> {
    let (case, (_, ip)) = (backlog.case, operator::leader(backlog.case.bed, LIMIT).await?);
    let samples = operator::metrics(&ip).await?;
    let of = [("namespace", case.namespace.as_str()), ("name", backlog.name.as_str())];
    let by =
        |rule| operator::value(&samples, "spillway_decisions_total", &[&of[..], &[("rule", rule)]].concat());
    Ok(by("Blind").unwrap_or(0.0) + by("Fallback").unwrap_or(0.0))
}

async fn without_kafka(backlog: &Backlog<'_>) -> Result<()> {
    let (case, kafka) = (backlog.case, backlog.case.bed.kafka()?);
    let (_, ip) = operator::leader(case.bed, LIMIT).await?;
    // Little more than the first ones process: one on a slow machine asks for six, not for twelve.
    backlog.flood(120.0)?;
    let up = backlog.scaled_up().await?;
    ensure!(up < FALLBACK.1, "{up} replicas leave nothing to fall back to");

    // Frozen: connections are open, and nothing answers. What producers send meanwhile waits with them.
    let before = backlog.path.counts()?;
    kafka.pause();
    backlog.flood(300.0)?;
    let paused_at = now_ms()?;
    blind(backlog).await.context("while Kafka is frozen")?;
    healthy(&ip).await.context("while Kafka is frozen")?;
    eventually("the fallback", LIMIT, || async {
        let counts = backlog.path.counts()?;
        ensure!(counts.last() == Some(&FALLBACK.1), "the replicas went {counts:?}");
        Ok(())
    })
    .await?;
    let steps = backlog.path.steps()?;
    ensure!(steps.len() == before.len() + 1, "from {before:?} to the fallback in one step, not {steps:?}");
    let after = steps.last().map_or(0, |s| s.at) - paused_at;
    // The last look before may have been a sweep or two earlier.
    ensure!(after >= (FALLBACK.0 - 3) * 1000, "the fallback came after {after}ms, not {}s", FALLBACK.0);
    ensure!(after <= (FALLBACK.0 + LATER) * 1000, "the fallback came after {after}ms, not {}s", FALLBACK.0);
    // Events are sent aside from what they tell.
    eventually("the event of the fallback", LIMIT, || async {
        let (_, _, said) = case.scalings().await?.pop().context("no event")?;
        ensure!(said.contains("fallback"), "the last one says {said:?}");
        Ok(())
    })
    .await?;
    backlog.ebb()?;
    kafka.resume();
    seeing(backlog).await.context("after Kafka was frozen")?;

    // Stopped: connections are refused.
    // What producers held back arrives within moments.
    backlog.grown(MIDDLE).await?;
    let before = backlog.path.counts()?;
    kafka.stop().await;
    blind(backlog).await.context("while Kafka is stopped")?;
    healthy(&ip).await.context("while Kafka is stopped")?;
    // Blind for so long that a group which keeps up would have lost replicas twice, and looked at since.
    let looks = eventually("Kafka to be away for long", LIMIT, || async {
        let away = now_ms()? as f64 / 1000.0 - observed(case, &backlog.name).await?;
        ensure!(away > f64::from(2 * DOWN_WINDOW), "all was seen {away}s ago");
        blind_looks(backlog).await
    })
    .await?;
    eventually("a look after that", LIMIT, || async {
        let now = blind_looks(backlog).await?;
        ensure!(now > looks, "{now} looks have seen nothing");
        Ok(())
    })
    .await?;
    let counts = backlog.path.counts()?;
    ensure!(counts == before, "the replicas went {counts:?} while Kafka was stopped, before {before:?}");
    kafka.start_again().await?;
    seeing(backlog).await.context("after Kafka was stopped")
}

#[test]
fn kafka_away_in_the_middle_takes_no_replica_away() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    case("kafka-away", &BED, async |case: Case| {
        let operators = restarts(case.bed).await?;
        let more = format!("fallback: {{after: {}s, replicas: {}}}", FALLBACK.0, FALLBACK.1);
        let backlog = Backlog::start(&case, "kafka-away", &more).await?;
        let outcome = without_kafka(&backlog).await;
        // The next case needs it, and so does the report.
        let kafka = case.bed.kafka()?;
        kafka.resume();
        let again = kafka.start_again().await;
        outcome?;
        again?;
        let counts = backlog.finish().await?;
        ensure!(counts.contains(&FALLBACK.1), "no fallback in {counts:?}");
        println!("kafka-away: replicas {counts:?}");
        let now = restarts(case.bed).await?;
        ensure!(now == operators, "the operator was restarted: {operators:?}, now {now:?}");
        Ok(())
    });
}

async fn without_api_server(backlog: &Backlog<'_>) -> Result<()> {
    let bed = backlog.case.bed;
    let (_, ip) = operator::leader(bed, LIMIT).await?;

    // Frozen, while the backlog comes: nobody can be scaled, and nobody gives up.
    bed.plane().pause_apiserver();
    backlog.flood(500.0)?;
    backlog.grown(4000).await?;
    backlog.ebb()?;
    leads(&ip, false, LIMIT).await.context("with the API server frozen for longer than the lease")?;
    healthy(&ip).await.context("while the API server is frozen")?;
    bed.plane().resume_apiserver();
    leads(&ip, true, RESUME).await.context("after the API server was frozen")?;
    backlog.scaled_up().await?;

    // Stopped, in the middle of the recovery.
    backlog.in_the_middle()?;
    bed.plane().stop_apiserver().await;
    leads(&ip, false, LIMIT).await.context("with the API server stopped for longer than the lease")?;
    healthy(&ip).await.context("while the API server is stopped")?;
    bed.plane().start_apiserver().await?;
    leads(&ip, true, RESUME).await.context("after the API server was stopped")
}

#[test]
fn the_api_server_away_in_the_middle_restarts_nothing_and_the_job_is_finished() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    case("api-away", &BED, async |case: Case| {
        let operators = restarts(case.bed).await?;
        let backlog = Backlog::start(&case, "api-away", "").await?;
        let outcome = without_api_server(&backlog).await;
        case.bed.plane().resume_apiserver();
        let again = case.bed.plane().start_apiserver().await;
        outcome?;
        again?;
        let counts = backlog.finish().await?;
        println!("api-away: replicas {counts:?}");
        ensure!(counts.first() == Some(&FIRST), "it began with {counts:?}");
        let now = restarts(case.bed).await?;
        ensure!(now == operators, "the operator was restarted: {operators:?}, now {now:?}");
        Ok(())
    });
}
