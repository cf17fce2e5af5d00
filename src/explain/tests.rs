//! What is said of a scaler, as files to be read.

use super::*;

const NOW: f64 = 1_767_265_260.0;

fn scaler(status: &str) -> ConsumerScaler {
    let yaml = format!(
        "apiVersion: spillway.dev/v1alpha1
kind: ConsumerScaler
metadata: {{name: orders, namespace: shop, generation: 2}}
spec:
  scaleTargetRef: {{name: orders}}
  maxReplicas: 12
  objective: {{maxDelay: 30s, recoverWithin: 10m}}
  consumerGroups: [{{group: orders, bootstrapServers: ['kafka:9092']}}]
{status}"
    );
    serde_yaml::from_str(&yaml).unwrap()
}

const DRAINING: &str = "
status:
  observedGeneration: 2
  state: Recovering
  message: 4,379 behind, the oldest message waits 35s; 12 replicas clear it in 30s; maxReplicas allows no more
  lag: 4379
  delay: 35s
  eta: 30s
  currentReplicas: 12
  desiredReplicas: 12
  conditions:
  - {type: Ready, status: 'True', reason: Observed, message: Kafka and the workload are seen, lastTransitionTime: '2026-01-01T10:00:00Z'}
  - {type: AbleToScale, status: 'True', reason: ReadyForNewScale, message: can, lastTransitionTime: '2026-01-01T10:00:00Z'}
  - {type: ScalingLimited, status: 'True', reason: TooManyReplicas, message: More replicas are needed than maxReplicas allows, lastTransitionTime: '2026-01-01T10:00:00Z'}
  - {type: KeepingUp, status: 'False', reason: Recovering, message: 'Messages wait longer than 30s, or a backlog is left of it', lastTransitionTime: '2026-01-01T10:00:00Z'}
  lastDecision:
    time: '2026-01-01T11:00:00Z'
    from: 3
    to: 12
    rule: ScaleUp
    message: 'Scaled orders 3 → 12: 4,439 behind and 120/s arriving; 12 replicas at 60/s each clear it in 30s (objective 10m); maxReplicas allows no more'
    lag: 4439
    delaySeconds: 38
    arrivalRate: 120
    serviceRate: 0.9
    capacityPerReplica: 60
    demand: 14
    etaSeconds: 30
    wouldChange: fewer below 96/s, in 3m at the earliest
    limits: [MaxReplicas]
  learnt:
    capacityPerReplica: {orders: 60.2}
    startUpSeconds: 21
    rebalancePauseSeconds: 3
    base: {replicas: 3, relapses: 2, changedAt: 0}
    topics: {orders: [orders]}
";

fn event(second: i64, kind: &str, reason: &str, note: &str) -> Event {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": format!("orders.{second}"), "namespace": "shop"},
        "eventTime": format!("2026-01-01T10:59:{second:02}.000000Z"),
        "type": kind, "reason": reason, "note": note,
        "reportingController": "spillway", "reportingInstance": "a", "action": "Scale",
    }))
    .unwrap()
}

fn events() -> Vec<Event> {
    vec![
        event(5, "Normal", "KeepingUp", "3 replicas keep up"),
        event(58, "Normal", "Scaled", "Scaled orders 3 → 12: 4,439 behind and 120/s arriving"),
        event(40, "Warning", "FallingBehind", "4,819 behind, the oldest message waits 40s"),
    ]
}

#[test]
fn a_backlog_that_is_drained() {
    let said = explained(&scaler(DRAINING), Ok(events()), NOW);
    insta::assert_snapshot!("draining", text(&said, NOW, Paint(false)));
    let json = serde_json::to_value(&said).unwrap();
    assert_eq!(json["replicas"], serde_json::json!({"current": 12, "desired": 12, "min": 1, "max": 12}));
    assert_eq!(json["limits"][0]["word"], "MaxReplicas");
    assert_eq!(json["events"][0]["reason"], "Scaled");
}

#[test]
fn what_cannot_be_seen() {
    let status = "
status:
  observedGeneration: 1
  state: Blind
  message: 'Cannot see, so nothing is changed: Kafka at kafka:9092 cannot be reached'
  currentReplicas: 3
  desiredReplicas: 3
  conditions:
  - {type: Ready, status: 'False', reason: Unreachable, message: 'Kafka at kafka:9092 cannot be reached', lastTransitionTime: '2026-01-01T10:00:00Z'}
  lastDecision: {time: '2026-01-01T10:00:00Z', from: 3, to: 3, rule: Blind, message: 'Cannot see, so nothing is changed: Kafka at kafka:9092 refused the login'}
";
    let mut paused = scaler(status);
    paused.spec.mode = Mode::DryRun;
    let said = explained(&paused, Err("not allowed to list events in namespace shop".into()), NOW);
    let said = text(&said, NOW, Paint(false));
    assert!(!said.contains("refused the login"), "the cause of an hour ago is not that of now:\n{said}");
    insta::assert_snapshot!("blind", said);
}

/// As in a migration: KEDA's HPA is still there, and Kafka refuses the login.
#[test]
fn what_blocks_and_what_cannot_be_seen() {
    let status = "
status:
  observedGeneration: 2
  state: Blind
  message: 'HorizontalPodAutoscaler keda-hpa-orders scales Deployment orders, too'
  currentReplicas: 3
  desiredReplicas: 3
  conditions:
  - {type: Ready, status: 'False', reason: AnotherAutoscaler, message: 'HorizontalPodAutoscaler keda-hpa-orders scales Deployment orders, too; and not to be seen: Kafka at kafka:9092 refused the login', lastTransitionTime: '2026-01-01T10:00:00Z'}
  - {type: AbleToScale, status: 'False', reason: AnotherAutoscaler, message: 'HorizontalPodAutoscaler keda-hpa-orders scales Deployment orders, too', lastTransitionTime: '2026-01-01T10:00:00Z'}
  lastDecision: {time: '2026-01-01T10:00:00Z', from: 3, to: 3, rule: Blind, message: 'Cannot see, so nothing is changed: Kafka at kafka:9092 cannot be reached'}
";
    let said = explained(&scaler(status), Ok(Vec::new()), NOW);
    insta::assert_snapshot!("blocked", text(&said, NOW, Paint(false)));
}

/// It was blind before somebody broke it, and what it could not see then is not why it stands now.
#[test]
fn an_invalid_one_is_not_explained_by_what_was_before() {
    let status = "
status:
  observedGeneration: 2
  state: Invalid
  message: 'Secret \"login\" is not in namespace shop: create it, or correct secretKeyRef.name'
  conditions:
  - {type: Ready, status: 'False', reason: SecretNotFound, message: 'Secret \"login\" is not in namespace shop: create it, or correct secretKeyRef.name', lastTransitionTime: '2026-01-01T10:00:00Z'}
  lastDecision: {time: '2026-01-01T10:00:00Z', from: 3, to: 3, rule: Blind, message: 'Cannot see, so nothing is changed: Kafka at kafka:9092 cannot be reached', limits: [MaxReplicas]}
";
    let said = explained(&scaler(status), Ok(Vec::new()), NOW);
    insta::assert_snapshot!("invalid", text(&said, NOW, Paint(false)));
}

#[test]
fn one_that_nobody_looks_at() {
    let said = explained(&scaler(""), Ok(Vec::new()), NOW);
    insta::assert_snapshot!("unseen", text(&said, NOW, Paint(false)));
}

#[test]
fn several_are_a_line_each_and_colours_take_no_room() {
    let all =
        [explained(&scaler(DRAINING), Ok(Vec::new()), NOW), explained(&scaler(""), Ok(Vec::new()), NOW)];
    let plain = list(&all, true, Paint(false));
    insta::assert_snapshot!("list", plain);
    let painted = list(&all, true, Paint(true));
    let stripped = regex::Regex::new("\u{1b}\\[[0-9]*m").unwrap().replace_all(&painted, "").into_owned();
    assert_eq!(stripped, plain);
    assert!(painted.contains("\u{1b}[33mRecovering"), "{painted:?}");
}
