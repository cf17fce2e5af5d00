//! That what a scrape shows is described, all of it and as it is, and that it is bounded.

use std::collections::BTreeMap;

use crate::decide::{Base, Limit, Scheduled, Turning};

use super::fixture::Case;
use super::tests::{names_with, orders, scrape};
use super::{Family, Metrics, ScalerKey, families};

#[test]
fn of_each_group_so_many_partitions_are_shown_and_the_rest_are_counted() {
    let shown = |most: usize| {
        let metrics = Metrics::new("spillway-system/spillway", most);
        let mut case = Case::new("orders", &[("a", &[5, 7]), ("b", &[1])]);
        case.show(&metrics, &orders());
        // Another group on the same topic shows its own.
        case.policy.groups[0].group = "other".into();
        case.observation.groups[0].group = "other".into();
        case.show(&metrics, &ScalerKey::new("shop", "other"));
        scrape(&metrics)
    };
    let left_out = |seen: &BTreeMap<String, f64>| seen["spillway_partitions_left_out{cluster_name=\"shop/main\",group=\"orders\"}"];
    let none = shown(0);
    assert!(names_with(&none, "partition=").is_empty(), "{none:?}");
    assert_eq!(left_out(&none), 3.0);
    let two = shown(2);
    assert_eq!(names_with(&two, "kafka_consumergroup_group_lag{").len(), 2 * 2);
    assert_eq!(names_with(&two, "kafka_partition_latest_offset").len(), 2);
    assert!(names_with(&two, "topic=\"b\",partition").is_empty(), "the first by name");
    assert_eq!(left_out(&two), 1.0);
    let all = shown(3);
    assert_eq!(left_out(&all), 0.0);
    for whole in ["sum_lag", "max_lag"] {
        let of = |seen: &BTreeMap<String, f64>| -> Vec<(String, f64)> {
            names_with(seen, whole).into_iter().map(|name| (name.clone(), seen[&name])).collect()
        };
        assert!(of(&none).len() >= 2, "{none:?}");
        assert_eq!(of(&none), of(&all), "what is not shown counts all the same");
    }
}

/// A scaler with every number, so that every family has a series.
fn full() -> Case {
    let mut case = Case::new("orders", &[("orders", &[5, 7])]);
    let numbers = &mut case.decision.numbers;
    numbers.eta = Some(60.0);
    numbers.lasting = Some(4);
    numbers.expected = Some(500.0);
    numbers.base = Some(Base { replicas: 3, ..Base::default() });
    numbers.schedule =
        Some(Scheduled { name: "rush".into(), min_replicas: 4, begins_in: 0.0, ends_in: 600.0 });
    numbers.time_to_loss = Some(3600.0);
    numbers.stuck_partitions = vec!["orders-1".into()];
    numbers.groups[0].capacity = Some(61.0);
    case.blocked = Some("AnotherAutoscaler");
    case.decision.limits = vec![Limit::MaxReplicas, Limit::Partitions];
    case.decision.turning = Turning {
        up_above: Some(500.0),
        up_delay: Some(85.0),
        down_below: Some(300.0),
        down_in: Some(60.0),
        held_for: Some(120.0),
        fallback_in: Some(30.0),
    };
    case
}

#[test]
fn a_scaler_has_as_many_series_as_the_documents_say() {
    let metrics = Metrics::new("spillway-system/spillway", 0);
    let before = scrape(&metrics).len();
    full().show(&metrics, &orders());
    let series = scrape(&metrics).len() - before;
    assert!((40..=65).contains(&series), "some 60 in docs/metrics.md, and {series} here");
}

#[test]
fn every_family_is_described_as_it_is_written() {
    let metrics = Metrics::new("spillway-system/spillway", 100);
    full().show(&metrics, &orders());
    metrics.scale_write(&orders(), 2, 9, "ok");
    metrics.sweep("shop/main", 1000.0, 0.02, Ok(()));
    metrics.sweep("shop/main", 1005.0, 3.0, Err("BrokersUnreachable"));
    metrics.traffic("shop/main", &[("OffsetFetch".to_owned(), 7)].into(), 4);
    metrics.shards(&[Some(true)]);
    metrics.kubernetes_write("status", "ok");
    let text = metrics.render().expect("a page");
    let mut written = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            let family = families().into_iter().find(|f| f.name == name);
            let family: &Family = family.unwrap_or_else(|| panic!("{name} is not described"));
            assert_eq!(help, family.help, "{name}");
            written.push(family);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            let family = written.last().filter(|f| f.name == name).expect("the help comes first");
            assert_eq!(kind, family.kind.as_str(), "{name}");
        } else if let Some((_, rest)) = line.split_once('{') {
            let family = written.last().expect("a family");
            for pair in rest.split("\",").map(|p| p.split('=').next().unwrap_or_default()) {
                assert!(family.labels.contains(&pair) || pair == "le", "{line}: {pair} is not described");
            }
            for label in family.labels {
                assert!(
                    line.contains(&format!("{label}=\""))
                        || label.ends_with("_host")
                        || label.ends_with("_id"),
                    "{line}: no {label}"
                );
            }
        }
    }
    let missing: Vec<&str> =
        families().iter().filter(|f| !written.iter().any(|w| w.name == f.name)).map(|f| f.name).collect();
    assert!(missing.is_empty(), "described, and not written: {missing:?}");
    let mut names: Vec<&str> = families().iter().map(|f| f.name).collect();
    names.dedup();
    assert_eq!(names.len(), families().len(), "described twice: {names:?}");
}
