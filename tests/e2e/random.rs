//! Resources made up at random: each is refused with a message or served, and their neighbour does not
//! notice.
//!
//! Some hundred here; `make chaos-specs` tries ten thousand (`SPILLWAY_SPECS`, and `SPILLWAY_SEED` for
//! others). What the words for single mistakes are is in `refused` and `broken`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use spillway_testbed::operator;
use spillway_testbed::wait::eventually;

use super::broken::restarts;
use super::given::SECRET;
use super::harness::{CALM, Case, LOGIN, case};
use super::madeup::Maker;

/// Namespace of this case: here the operator may be refused what it asks for.
pub const NAMESPACE: &str = "random";
/// Of those in the cluster at a time.
const BATCH: usize = 200;
/// Requests at a time.
const AT_ONCE: usize = 8;
/// Time for a batch to be served, and for the neighbour to be scaled amid it.
const LIMIT: Duration = Duration::from_secs(120);
/// The neighbour, which is to be scaled all the time.
const NEIGHBOUR: &str = "neighbour";

/// A number given from outside.
fn given(name: &str, usual: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text:?} is no number")),
        Err(_) => Ok(usual),
    }
}

async fn request(case: &Case, method: &str, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = axum::http::Request::builder()
        .method(method)
        .uri(format!("/apis/spillway.dev/v1alpha1/namespaces/{}/{path}", case.namespace))
        .header("Content-Type", "application/json")
        .body(body)
        .map_err(|e| kube::Error::BuildRequest(kube::core::request::Error::BuildRequest(e)))?;
    case.bed.client().request::<Value>(request).await
}

/// Applies one: `true` when it was taken.
async fn put(case: &Case, plural: &str, object: &Value) -> Result<bool> {
    match request(case, "POST", plural, object).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 413 | 422) => {
            ensure!(!status.message.trim().is_empty(), "refused without a word: {object}");
            Ok(false)
        }
        Err(other) => bail!("{other}: {object}"),
    }
}

/// Whether an object says what became of it.
fn served(object: &Value) -> bool {
    let ready = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    ready.filter(|c| c["type"] == "Ready").any(|c| {
        c["message"].as_str().is_some_and(|m| !m.trim().is_empty())
            && c["observedGeneration"] == object["metadata"]["generation"]
    })
}

/// What is told most, and how often: reasons of the condition Ready.
async fn all_served(case: &Case, taken: usize) -> Result<BTreeMap<String, usize>> {
    eventually("every object to say what became of it", LIMIT, || async {
        let mut reasons = BTreeMap::new();
        let mut seen = 0;
        for plural in ["consumerscalers", "kafkaconnections"] {
            let list = request(case, "GET", plural, &Value::Null).await?;
            for object in list["items"].as_array().into_iter().flatten() {
                ensure!(served(object), "nothing is said of {}: {object}", object["metadata"]["name"]);
                let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
                let reason = conditions.filter(|c| c["type"] == "Ready").find_map(|c| c["reason"].as_str());
                *reasons.entry(reason.unwrap_or_default().to_owned()).or_default() += 1;
                seen += 1;
            }
        }
        // With the neighbour and its connection.
        ensure!(seen == taken + 2, "{seen} of {taken} and two");
        Ok::<_, anyhow::Error>(reasons)
    })
    .await
}

/// Asks for another number of replicas, and waits until they are there: how long that took.
async fn scaled(case: &Case, replicas: i32) -> Result<Duration> {
    let began = Instant::now();
    case.bed.apply(&neighbour(case, replicas)).await?;
    case.until("the neighbour to be scaled", NEIGHBOUR, LIMIT, |s| s.current_replicas == Some(replicas))
        .await?;
    Ok(began.elapsed())
}

fn neighbour(case: &Case, replicas: i32) -> String {
    let target = format!("scaleTargetRef: {{apiVersion: test.example.com/v1, kind: Rig, name: {NEIGHBOUR}}}");
    let fields = format!(
        "{target}, minReplicas: {replicas}, maxReplicas: {replicas}, behavior: {{scaleDown: {{window: 0s}}}}"
    );
    case.scaler(NEIGHBOUR, "{group: random, topics: [random], connection: {name: neighbour}}", &fields)
}

#[test]
fn whatever_is_asked_for_is_refused_or_served_and_harms_no_neighbour() {
    case(NAMESPACE, &CALM, async |case: Case| {
        let (count, seed) = (given("SPILLWAY_SPECS", 200)? as usize, given("SPILLWAY_SEED", 1)?);
        case.quiet_group("random").await?;
        let rigs: String = (0..BATCH).map(|i| case.custom("Rig", &format!("rig-{i}"), 1)).collect();
        let own = case.plain(NEIGHBOUR)? + &case.custom("Rig", NEIGHBOUR, 1) + &neighbour(&case, 1);
        case.bed
            .apply(&(case.secret(SECRET, LOGIN.1) + &case.secret("private", LOGIN.1) + &rigs + &own))
            .await?;
        case.until("the neighbour to work", NEIGHBOUR, LIMIT, |s| s.current_replicas == Some(1)).await?;
        let before = restarts(&case).await?;
        let mut maker = Maker::new(seed, &case.servers()?);
        let (mut taken_of_all, mut reasons) = (0, BTreeMap::<String, usize>::new());
        let mut times = vec![scaled(&case, 2).await?];
        for first in (0..count).step_by(BATCH) {
            let made: Vec<(&str, Value)> =
                (first..count.min(first + BATCH)).map(|i| maker.any(NAMESPACE, i - first)).collect();
            let case = &case;
            let puts = stream::iter(&made).map(|(plural, object)| put(case, plural, object));
            let outcomes: Vec<Result<bool>> = puts.buffer_unordered(AT_ONCE).collect().await;
            let mut taken = 0;
            for outcome in outcomes {
                taken += usize::from(outcome?);
            }
            let replicas = 1 + (first / BATCH) as i32 % 2;
            times.push(scaled(case, replicas).await.context("amid the others")?);
            for (reason, n) in all_served(case, taken).await? {
                *reasons.entry(reason).or_default() += n;
            }
            taken_of_all += taken;
            ensure!(
                restarts(case).await? == before,
                "the operator was restarted: {:?}",
                restarts(case).await?
            );
            if first + BATCH < count {
                clear(case).await?;
            }
        }
        let refused = count - taken_of_all;
        println!(
            "{count} resources, seed {seed}: {refused} refused, {taken_of_all} served; what was said of them: {reasons:?}\n\
             The neighbour was scaled in {:.1}s alone, and amid the others in {:.1}s to {:.1}s",
            times[0].as_secs_f64(),
            times[1..].iter().min().map_or(0.0, Duration::as_secs_f64),
            times[1..].iter().max().map_or(0.0, Duration::as_secs_f64),
        );
        ensure!(
            refused * 10 > count && taken_of_all * 10 > count,
            "{refused} refused, {taken_of_all} served"
        );
        ensure!(reasons.len() > 5, "too few ways to be served: {reasons:?}");
        no_panic(&case)?;
        clear(&case).await
    });
}

/// Deletes all but the neighbour.
async fn clear(case: &Case) -> Result<()> {
    for plural in ["consumerscalers", "kafkaconnections"] {
        let selector = format!("{plural}?fieldSelector=metadata.name%21%3D{NEIGHBOUR}");
        request(case, "DELETE", &selector, &Value::Null).await?;
    }
    Ok(())
}

/// One event a line in the operator's log, whatever was in the names; and no defect.
fn no_panic(case: &Case) -> Result<()> {
    let mut lines = 0;
    for entry in std::fs::read_dir(case.bed.folder("node/logs")?)?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&format!("{}_", operator::NAMESPACE)) {
            continue;
        }
        for line in std::fs::read_to_string(entry.path())?.lines() {
            let timed = line.split_once(' ').is_some_and(|(at, _)| at.parse::<jiff::Timestamp>().is_ok());
            ensure!(timed, "no line of the operator's log: {line:?}");
            ensure!(!line.contains("panicked") && !line.contains("a defect in Spillway"), "{line}");
            lines += 1;
        }
    }
    ensure!(lines > 10, "this looks at nothing: {lines} lines");
    Ok(())
}
