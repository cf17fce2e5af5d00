//! What the page is given, from looks made up; what the charts keep is tested with the history.

use std::sync::Arc;

use serde_json::Value;

use super::super::metrics::fixture::Case;
use super::*;
use crate::decide::{GroupObservation, Member};

fn shown(case: &Case, pages: &Pages, key: &ScalerKey, message: &str) {
    let look = Look {
        policy: &case.policy,
        observation: &case.observation,
        decision: &case.decision,
        clusters: &case.clusters,
        delays: &case.delays,
        blocked: None,
    };
    let rates = |_: usize, _: &str, partition: i32| (Some(10.0), Some(f64::from(partition)));
    pages.observe(
        key,
        &Shown { look: &look, target: "Deployment orders".into(), message: message.into(), rates: &rates },
    );
}

fn key(namespace: &str) -> ScalerKey {
    ScalerKey::new(namespace, "orders")
}

fn one(pages: &Pages, key: &ScalerKey) -> Value {
    pages.one(key).expect("the scaler")
}

#[test]
fn a_scaler_in_full_has_the_numbers_of_its_decision() {
    let (pages, mut case) = (Pages::default(), Case::new("orders", &[("orders", &[5, 0, 70])]));
    case.decision.numbers.eta = Some(12.34);
    pages.tell(&key("shop"), 999.0, true, "Stuck", "nothing is processed");
    shown(&case, &pages, &key("shop"), "75 behind");
    let seen = one(&pages, &key("shop"));
    for (field, expected) in [
        ("state", Value::from("Recovering")),
        ("message", "75 behind".into()),
        ("target", "Deployment orders".into()),
        ("lag", 75.into()),
        ("delay", 74.0.into()),
        ("maxDelay", 30.0.into()),
        ("eta", 12.3.into()),
        ("current", 2.into()),
        ("desired", 9.into()),
        ("ready", 2.into()),
        ("max", 24.into()),
        ("rule", "ScaleUp".into()),
        ("seenAt", 1000.0.into()),
    ] {
        assert_eq!(seen[field], expected, "{field}");
    }
    assert_eq!(seen["history"]["lag"], serde_json::json!([75.0]));
    assert_eq!(seen["told"][0]["text"], "nothing is processed");
    let partitions = &seen["groups"][0]["partitions"];
    // The furthest behind first, with its rates and its reader.
    assert_eq!((&partitions[0]["partition"], &partitions[0]["lag"]), (&2.into(), &70.into()));
    assert_eq!(partitions[0]["service"], 2.0);
    assert_eq!(partitions[2]["partition"], 1);
    assert_eq!(partitions[1]["member"], "orders-7 · 10.0.0.7");
    assert_eq!(partitions[0]["member"], Value::Null);
    let members = &seen["groups"][0]["members"];
    assert_eq!((&members[0]["lag"], &members[0]["partitions"]), (&5.into(), &1.into()));
}

#[test]
fn what_is_not_seen_any_more_is_not_shown_as_if_it_were() {
    let (pages, mut case) = (Pages::default(), Case::new("orders", &[("orders", &[5])]));
    shown(&case, &pages, &key("shop"), "5 behind");
    // The numbers of a blind decision are those of the last complete look.
    case.decision.problems = vec!["broker 1 does not answer".into()];
    case.decision.state = ScalerState::Blind;
    case.observation.groups = vec![GroupObservation::unseen("orders", "broker 1 does not answer")];
    shown(&case, &pages, &key("shop"), "broker 1 does not answer");
    let seen = one(&pages, &key("shop"));
    for field in ["lag", "delay", "eta", "arrival", "service"] {
        assert_eq!(seen[field], Value::Null, "{field}");
        assert_eq!(seen["groups"][0][field], Value::Null, "{field} of the group");
    }
    assert_eq!(seen["problems"][0], "broker 1 does not answer");
    // When it was last seen whole is still told.
    assert_eq!(seen["seenAt"], 1000.0);

    pages.observe_unseen(&key("shop"), "no such connection", 2000.0);
    let seen = one(&pages, &key("shop"));
    assert_eq!((&seen["state"], &seen["message"]), (&"Invalid".into(), &"no such connection".into()));
    assert_eq!(
        (&seen["lag"], &seen["current"], &seen["groups"]),
        (&Value::Null, &Value::Null, &Value::Array(vec![]))
    );
}

#[test]
fn only_what_may_be_seen_is_listed_and_what_is_forgotten_is_gone() {
    let (pages, case) = (Pages::default(), Case::new("orders", &[("orders", &[5])]));
    for namespace in ["billing", "shop"] {
        shown(&case, &pages, &key(namespace), "5 behind");
    }
    let listed = pages.list(|namespace| namespace == "shop");
    assert_eq!(listed.iter().map(|s| s.namespace.as_str()).collect::<Vec<_>>(), ["shop"]);
    let histories = pages.histories(|namespace| namespace == "shop");
    assert_eq!(histories.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&histories[0]["namespace"], &histories[0]["history"]["width"]),
        (&"shop".into(), &3.75.into())
    );
    pages.forget(&key("shop"));
    assert!(pages.one(&key("shop")).is_none());
    // Something was told of it, but it was not looked at.
    pages.tell(&key("shop"), 1.0, false, "Scaled", "x");
    assert!(pages.one(&key("shop")).is_none() && pages.list(|_| true).len() == 1);
}

#[test]
fn it_stays_small_whatever_there_is() {
    let (pages, mut case) = (Pages::default(), Case::new("orders", &[("orders", &[1; 3000])]));
    case.observation.groups[0].members = (0..500)
        .map(|i| Member {
            id: format!("id-{i}"),
            host: "/10.0.0.7".into(),
            client: "é".repeat(4000),
            assignment: vec![(Arc::from("orders"), i)],
        })
        .collect();
    case.observation.groups[0].partitions[1234].end = None;
    for i in 0..500 {
        case.decision.at = 1000.0 + f64::from(i);
        pages.tell(&key("shop"), case.decision.at, false, "Scaled", &"é".repeat(4000));
        shown(&case, &pages, &key("shop"), &"é".repeat(4000));
    }
    let seen = one(&pages, &key("shop"));
    let group = &seen["groups"][0];
    let length = |value: &Value| value.as_array().map_or(0, Vec::len);
    assert_eq!((length(&group["members"]), &group["moreMembers"]), (groups::MEMBERS, &400.into()));
    assert_eq!((length(&group["partitions"]), &group["morePartitions"]), (groups::PARTITIONS, &2950.into()));
    assert_eq!(group["moreLag"], 2950);
    // What is not known may be anything: it is not hidden.
    assert_eq!(
        (&group["partitions"][0]["partition"], &group["partitions"][0]["lag"]),
        (&1234.into(), &Value::Null)
    );
    assert_eq!(length(&seen["told"]), TOLD);
    assert!(length(&seen["history"]["at"]) <= history::POINTS);
    let text = seen["told"][0]["text"].as_str().expect("a sentence");
    assert!(text.len() <= SENTENCE && text.ends_with('…'), "{}", text.len());
    // The largest there is of one scaler and one group, written out.
    let bytes = seen.to_string().len();
    assert!(bytes < 100_000, "{bytes}");
}
