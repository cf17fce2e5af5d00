//! What a scrape shows, and that nothing of what is gone stays in it.

use std::collections::BTreeMap;

use crate::decide::{Committed, GroupObservation, Numbers, Rule, ScalerState};

use super::fixture::Case;
use super::{Metrics, ScalerKey};

pub(super) fn orders() -> ScalerKey {
    ScalerKey::new("shop", "orders")
}

/// The series of a scrape. Fails on a series that is there twice, on a family that is begun
/// twice or without help, and on a series outside its family.
pub(super) fn scrape(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.render().expect("a page");
    let mut series = BTreeMap::new();
    let mut families = Vec::new();
    for line in text.lines() {
        if let Some(header) = line.strip_prefix("# HELP ") {
            let (name, help) = header.split_once(' ').expect("a help text");
            assert!(help.ends_with('.') && help.len() > 8, "help of {name}: {help}");
            assert!(!families.contains(&name), "{name} is begun twice");
            families.push(name);
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (id, value) = line.rsplit_once(' ').expect("a series and its value");
        let name = id.split('{').next().unwrap_or_default();
        let family = families.last().expect("a header before the first series");
        assert!(name.starts_with(family), "{name} stands under {family}");
        let value = value.parse().expect("a number");
        assert!(series.insert(id.to_owned(), value).is_none(), "{id} is there twice");
    }
    series
}

pub(super) fn names_with(series: &BTreeMap<String, f64>, part: &str) -> Vec<String> {
    series.keys().filter(|k| k.contains(part)).cloned().collect()
}

#[test]
fn a_look_shows_its_numbers() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    Case::new("orders", &[("orders", &[5, 0])]).show(&metrics, &orders());
    let seen = scrape(&metrics);
    let of = |name: &str| seen.get(&format!("{name}{{namespace=\"shop\",name=\"orders\"}}")).copied();
    assert_eq!(of("spillway_scaler_lag_messages"), Some(5.0));
    assert_eq!(of("spillway_scaler_delay_seconds"), Some(74.0));
    assert_eq!(of("spillway_scaler_arrival_messages_per_second"), Some(420.0));
    assert_eq!(of("spillway_scaler_service_messages_per_second"), Some(122.0));
    assert_eq!(of("spillway_scaler_capacity_messages_per_second"), Some(61.0));
    assert_eq!(of("spillway_scaler_current_replicas"), Some(2.0));
    assert_eq!(of("spillway_scaler_desired_replicas"), Some(9.0));
    assert_eq!(of("spillway_scaler_demand_replicas"), Some(30.0));
    assert_eq!(of("spillway_scaler_max_replicas"), Some(24.0));
    assert_eq!(of("spillway_scaler_objective_max_delay_seconds"), Some(30.0));
    assert_eq!(of("spillway_scaler_observed_timestamp_seconds"), Some(1000.0));
    assert_eq!(of("spillway_scaler_eta_seconds"), None, "not known, so not there");
    let id = |rest: &str| format!("{{namespace=\"shop\",name=\"orders\",{rest}}}");
    let state = |s| seen[&format!("spillway_scaler_state{}", id(&format!("state=\"{s}\"")))];
    assert_eq!((state("Recovering"), state("Blind")), (1.0, 0.0));
    assert_eq!(seen[&format!("spillway_scaler_limited{}", id("limit=\"MaxReplicas\""))], 1.0);
    assert_eq!(seen[&format!("spillway_decisions_total{}", id("rule=\"ScaleUp\""))], 1.0);
    assert_eq!(
        seen[&format!("spillway_group_members{}", id("cluster_name=\"shop/main\",group=\"orders\""))],
        1.0
    );
}

#[test]
fn partitions_that_stand_still_are_named_while_they_do() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let mut case = Case::new("orders", &[("orders", &[5, 7])]);
    case.decision.numbers.stuck_partitions = vec!["orders-1".into(), "orders-1".into()];
    case.show(&metrics, &orders());
    let name = "spillway_scaler_stuck_partition_info";
    let id = format!("{name}{{namespace=\"shop\",name=\"orders\",topic=\"orders\",partition=\"1\"}}");
    let seen = scrape(&metrics);
    assert_eq!(seen.get(&id), Some(&1.0));
    assert_eq!(seen["spillway_scaler_stuck_partitions{namespace=\"shop\",name=\"orders\"}"], 1.0);
    case.decision.numbers.stuck_partitions = (0..40).map(|i| format!("topic-a-{i}")).collect();
    case.show(&metrics, &orders());
    let seen = scrape(&metrics);
    assert_eq!(names_with(&seen, name).len(), 10, "bounded");
    assert_eq!(seen["spillway_scaler_stuck_partitions{namespace=\"shop\",name=\"orders\"}"], 40.0);
    case.decision.numbers.stuck_partitions.clear();
    case.show(&metrics, &orders());
    assert!(names_with(&scrape(&metrics), name).is_empty());
}

#[test]
fn lag_has_the_established_names_and_labels() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    Case::new("orders", &[("orders", &[5, 7]), ("refunds", &[1])]).show(&metrics, &orders());
    let seen = scrape(&metrics);
    let group = "cluster_name=\"shop/main\",group=\"orders\"";
    let read = "topic=\"orders\",partition=\"0\",member_host=\"/10.0.0.7\",consumer_id=\"consumer-1\",client_id=\"orders-7\"";
    assert_eq!(seen[&format!("kafka_consumergroup_group_lag{{{group},{read}}}")], 5.0);
    assert_eq!(seen[&format!("kafka_consumergroup_group_offset{{{group},{read}}}")], 100.0);
    assert_eq!(seen[&format!("kafka_consumergroup_group_lag_seconds{{{group},{read}}}")], 1.5);
    let unread = "topic=\"orders\",partition=\"1\"";
    assert_eq!(seen[&format!("kafka_consumergroup_group_lag{{{group},{unread}}}")], 7.0);
    assert_eq!(seen[&format!("kafka_consumergroup_group_sum_lag{{{group}}}")], 13.0);
    assert_eq!(seen[&format!("kafka_consumergroup_group_max_lag{{{group}}}")], 7.0);
    assert_eq!(seen[&format!("kafka_consumergroup_group_max_lag_seconds{{{group}}}")], 74.0);
    let topic = |t: &str| seen[&format!("kafka_consumergroup_group_topic_sum_lag{{{group},topic=\"{t}\"}}")];
    assert_eq!((topic("orders"), topic("refunds")), (12.0, 1.0));
    let end = "kafka_partition_latest_offset{cluster_name=\"shop/main\",topic=\"refunds\",partition=\"0\"}";
    assert_eq!(seen[end], 101.0);
    let start =
        "kafka_partition_earliest_offset{cluster_name=\"shop/main\",topic=\"refunds\",partition=\"0\"}";
    assert_eq!(seen[start], 10.0);
}

#[test]
fn what_is_unknown_is_absent_and_so_are_its_sums() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let mut case = Case::new("orders", &[("orders", &[5, 7]), ("refunds", &[1])]);
    case.partition(1).end = None;
    let why = vec!["partition orders-1 has no leader".to_owned()];
    case.observation.groups[0].problems.clone_from(&why);
    case.decision.problems = why;
    case.show(&metrics, &orders());
    let seen = scrape(&metrics);
    assert_eq!(names_with(&seen, "topic=\"orders\",partition=\"1\"").len(), 2, "committed, start");
    assert_eq!(names_with(&seen, "kafka_consumergroup_group_lag{").len(), 2);
    assert!(names_with(&seen, "sum_lag").is_empty());
    assert!(names_with(&seen, "max_lag{").is_empty());
    let old =
        ["lag_messages", "lag_seconds", "r_delay_seconds", "arrival", "service", "demand", "group_members"];
    for name in old {
        assert!(names_with(&seen, name).is_empty(), "{name} is of an earlier look");
    }
    assert_eq!(names_with(&seen, "spillway_scaler_capacity").len(), 1, "what was learnt stays");
    assert!(names_with(&seen, "observed_timestamp").is_empty(), "never seen whole");
}

#[test]
fn a_commit_past_the_end_has_an_offset_but_no_lag() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let mut case = Case::new("orders", &[("orders", &[5])]);
    case.partition(0).committed = Committed::PastEnd(900);
    case.show(&metrics, &orders());
    let seen = scrape(&metrics);
    assert!(names_with(&seen, "kafka_consumergroup_group_lag{").is_empty());
    assert!(names_with(&seen, "sum_lag").is_empty());
    let offset = names_with(&seen, "kafka_consumergroup_group_offset");
    assert_eq!(seen[&offset[0]], 900.0);
}

#[test]
fn no_commit_has_a_lag_but_no_offset() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let mut case = Case::new("orders", &[("orders", &[5])]);
    case.partition(0).committed = Committed::None;
    case.show(&metrics, &orders());
    let seen = scrape(&metrics);
    assert!(names_with(&seen, "kafka_consumergroup_group_offset").is_empty());
    let lag = names_with(&seen, "kafka_consumergroup_group_lag{");
    assert_eq!(seen[&lag[0]], 95.0, "from the oldest message on");
}

#[test]
fn a_blind_look_keeps_the_time_of_the_last_sight_but_no_old_figure() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let mut case = Case::new("orders", &[("orders", &[5])]);
    case.show(&metrics, &orders());
    case.observation.groups[0] = GroupObservation::unseen("orders", "no broker answers");
    case.decision.numbers = Numbers::default();
    case.decision.state = ScalerState::Blind;
    case.decision.rule = Rule::Blind;
    case.show(&metrics, &orders());
    let seen = scrape(&metrics);
    assert!(names_with(&seen, "kafka_").is_empty());
    assert!(names_with(&seen, "lag_messages").is_empty());
    let at = names_with(&seen, "observed_timestamp");
    assert_eq!(seen[&at[0]], 1000.0);
    assert_eq!(names_with(&seen, "decisions_total").len(), 2, "ScaleUp and Blind");
}

#[test]
fn nothing_of_a_forgotten_scaler_stays() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let before = scrape(&metrics);
    Case::new("orders", &[("orders", &[5])]).show(&metrics, &orders());
    metrics.scale_write(&orders(), 2, 9, "ok");
    assert!(scrape(&metrics).len() > before.len() + 20);
    metrics.forget(&orders());
    let ids = |m: &BTreeMap<String, f64>| m.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&scrape(&metrics)), ids(&before));
    metrics.scale_write(&orders(), 2, 9, "ok");
    assert!(names_with(&scrape(&metrics), "scale_writes").is_empty());
}

#[test]
fn a_group_topic_or_partition_that_is_gone_leaves_no_series() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    Case::new("orders", &[("orders", &[5, 7]), ("refunds", &[1])]).show(&metrics, &orders());
    Case::new("orders", &[("orders", &[5])]).show(&metrics, &orders());
    let seen = scrape(&metrics);
    assert!(names_with(&seen, "refunds").is_empty());
    assert!(names_with(&seen, "partition=\"1\"").is_empty());
    Case::new("invoices", &[("invoices", &[2])]).show(&metrics, &orders());
    let seen = scrape(&metrics);
    assert!(names_with(&seen, "group=\"orders\"").is_empty());
    assert!(names_with(&seen, "topic=\"orders\"").is_empty());
    assert!(!names_with(&seen, "group=\"invoices\"").is_empty());
}

#[test]
fn an_invalid_scaler_shows_its_state_and_keeps_its_counters() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    Case::new("orders", &[("orders", &[5])]).show(&metrics, &orders());
    metrics.observe_unseen(&orders(), ScalerState::Invalid);
    let seen = scrape(&metrics);
    assert!(names_with(&seen, "kafka_").is_empty());
    assert!(names_with(&seen, "_replicas").is_empty());
    assert_eq!(names_with(&seen, "decisions_total").len(), 1);
    let invalid = "spillway_scaler_state{namespace=\"shop\",name=\"orders\",state=\"Invalid\"}";
    assert_eq!(seen[invalid], 1.0);
}

#[test]
fn scalers_of_one_group_share_its_series() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let (a, b) = (ScalerKey::new("shop", "a"), ScalerKey::new("shop", "b"));
    Case::new("orders", &[("orders", &[5, 7])]).show(&metrics, &a);
    let mut other = Case::new("orders", &[("orders", &[6, 8]), ("refunds", &[1])]);
    other.decision.numbers.groups[0].delay = Some(80.0);
    other.show(&metrics, &b);
    let group = "{cluster_name=\"shop/main\",group=\"orders\"}";
    let sum = format!("kafka_consumergroup_group_sum_lag{group}");
    let worst = format!("kafka_consumergroup_group_max_lag_seconds{group}");
    let seen = scrape(&metrics);
    assert_eq!(seen[&sum], 13.0, "orders as a sees it, refunds as only b does");
    assert_eq!(seen[&worst], 80.0);
    assert_eq!(names_with(&seen, "kafka_consumergroup_group_lag{").len(), 3);
    metrics.forget(&a);
    assert_eq!(scrape(&metrics)[&sum], 15.0, "b alone");
    metrics.forget(&b);
    assert!(names_with(&scrape(&metrics), "kafka_").is_empty());
}

#[test]
fn the_same_group_name_on_another_cluster_is_another_group() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    Case::new("orders", &[("orders", &[5])]).show(&metrics, &ScalerKey::new("shop", "a"));
    let mut other = Case::new("orders", &[("orders", &[6])]);
    other.clusters = vec!["shop/second".into()];
    other.show(&metrics, &ScalerKey::new("shop", "b"));
    let seen = scrape(&metrics);
    assert_eq!(names_with(&seen, "kafka_consumergroup_group_sum_lag").len(), 2);
    assert_eq!(names_with(&seen, "kafka_partition_latest_offset").len(), 2);
}

#[test]
fn writes_are_counted_by_direction_and_result() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let case = Case::new("orders", &[("orders", &[5])]);
    case.show(&metrics, &orders());
    metrics.scale_write(&orders(), 2, 9, "ok");
    metrics.scale_write(&orders(), 2, 9, "conflict");
    metrics.scale_write(&orders(), 9, 5, "ok");
    case.show(&metrics, &orders());
    metrics.scale_write(&orders(), 5, 6, "ok");
    let seen = scrape(&metrics);
    let count = |direction: &str, result: &str| {
        seen[&format!(
            "spillway_scale_writes_total{{namespace=\"shop\",name=\"orders\",direction=\"{direction}\",result=\"{result}\"}}"
        )]
    };
    assert_eq!(count("up", "ok"), 2.0);
    assert_eq!(count("up", "conflict"), 1.0);
    assert_eq!(count("down", "ok"), 1.0);
}

#[test]
fn a_connection_shows_its_sweeps_until_it_is_forgotten() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let before = scrape(&metrics);
    metrics.sweep("shop/main", 1000.0, 0.02, Ok(()));
    metrics.sweep("shop/main", 1005.0, 3.0, Err("BrokersUnreachable"));
    let seen = scrape(&metrics);
    assert_eq!(seen["spillway_connection_up{connection=\"shop/main\"}"], 0.0);
    assert_eq!(seen["spillway_connection_last_contact_timestamp_seconds{connection=\"shop/main\"}"], 1000.0);
    assert_eq!(seen["spillway_sweep_duration_seconds_count{connection=\"shop/main\"}"], 2.0);
    assert_eq!(
        seen["spillway_sweep_failures_total{connection=\"shop/main\",reason=\"BrokersUnreachable\"}"],
        1.0
    );
    for sent in [7, 9] {
        metrics.traffic("shop/main", &[("OffsetFetch".to_owned(), sent)].into(), 4);
    }
    let seen = scrape(&metrics);
    assert_eq!(seen["spillway_kafka_requests_total{connection=\"shop/main\",request=\"OffsetFetch\"}"], 9.0);
    assert_eq!(seen["spillway_kafka_connections{connection=\"shop/main\"}"], 4.0);
    metrics.forget_connection("shop/main");
    let ids = |m: &BTreeMap<String, f64>| m.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&scrape(&metrics)), ids(&before));
}

#[test]
fn the_process_says_whether_it_leads_and_which_version_it_is() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    let lease = "lease=\"spillway-system/spillway\"";
    let leader = format!("spillway_leader{{{lease}}}");
    assert_eq!(scrape(&metrics)[&leader], 0.0);
    metrics.leader(true);
    metrics.shards(&[Some(true), Some(false)]);
    metrics.kubernetes_write("status", "ok");
    let seen = scrape(&metrics);
    assert_eq!(seen[&leader], 1.0);
    let owned = |shard| format!("spillway_shard_owned{{{lease},shard=\"{shard}\"}}");
    assert_eq!([0, 1].map(|shard| seen[&owned(shard)]), [1.0, 0.0]);
    metrics.shards(&[None, None]);
    assert_eq!(names_with(&scrape(&metrics), "spillway_shard_owned"), [""; 0], "another number is in force");
    assert_eq!(seen["spillway_kubernetes_writes_total{kind=\"status\",result=\"ok\"}"], 1.0);
    let version = format!("spillway_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen[&version], 1.0);
}
