//! From a resource to what `decide` works on: every problem in one pass, in words.
//!
//! Most of it is refused by the API server already; an object may be older than a rule,
//! though, or a server may not check it. No I/O.

pub mod connection;

use crate::api::{self, ConsumerGroup, ConsumerScalerSpec, Span};
use crate::calendar::Calendar;
use crate::decide::{FallbackPolicy, GroupPolicy, Mode, Policy, StartFrom, Tuning};

/// Sweep interval of a connection given by `bootstrapServers` alone, s.
pub const DEFAULT_SWEEP: f64 = 5.0;

/// What the owner asks for, in plain numbers.
///
/// `sweep_interval` is the longest of the connections the scaler uses, s.
///
/// # Errors
/// Every problem, one entry each, naming the field and what to write.
pub fn policy(spec: &ConsumerScalerSpec, sweep_interval: f64) -> Result<Policy, Vec<String>> {
    let mut problems = Vec::new();
    const WEEK: f64 = 7.0 * 86_400.0;
    let mut seconds = |field: &str, span: &Span, low: f64| match span.seconds() {
        Ok(seconds) if (low..=WEEK).contains(&seconds) => seconds,
        Ok(_) => {
            problems.push(format!("{field}: {} is not between {low}s and 168h", span.0));
            low
        }
        Err(why) => {
            problems.push(format!("{field}: {why}"));
            low
        }
    };
    let max_delay = seconds("objective.maxDelay", &spec.objective.max_delay, 1.0);
    let recover_within = seconds("objective.recoverWithin", &spec.objective.recover_within, 10.0);
    let down_window = seconds("behavior.scaleDown.window", &spec.behavior.scale_down.window, 0.0);
    let fallback = spec
        .fallback
        .as_ref()
        .map(|f| FallbackPolicy { after: seconds("fallback.after", &f.after, 0.0), replicas: f.replicas });

    for schedule in spec.schedules.iter().filter(|s| s.min_replicas > spec.max_replicas) {
        problems.push(format!(
            "schedules[{}].minReplicas ({}) is above maxReplicas ({}): lower it or raise maxReplicas",
            schedule.name, schedule.min_replicas, spec.max_replicas
        ));
    }
    if let Err(all) = calendar(spec) {
        problems.extend(all);
    }
    if spec.min_replicas > spec.max_replicas && spec.max_replicas >= 1 {
        problems.push(format!(
            "minReplicas ({}) is above maxReplicas ({}): lower minReplicas or raise maxReplicas",
            spec.min_replicas, spec.max_replicas
        ));
    }
    if spec.min_replicas < 0 {
        problems.push("minReplicas must be at least 0".to_owned());
    }
    if spec.max_replicas < 1 {
        problems.push("maxReplicas must be at least 1".to_owned());
    }
    if spec.threads_per_replica < 1 {
        problems.push("threadsPerReplica must be at least 1".to_owned());
    }
    if !(1..=100).contains(&spec.behavior.scale_down.max_step_percent) {
        problems.push("behavior.scaleDown.maxStepPercent must be between 1 and 100".to_owned());
    }
    let target = &spec.scale_target_ref;
    // Each becomes a part of a URL.
    for (field, text) in [
        ("name", target.name.as_str()),
        ("kind", target.kind.as_str()),
        ("apiVersion", target.api_version.as_str()),
    ] {
        let mut parts = text.splitn(if field == "apiVersion" { 2 } else { 1 }, '/');
        if !parts.all(api::in_a_path) {
            problems.push(format!(
                "scaleTargetRef.{field}: {text:?} names no object: write it as kubectl shows it"
            ));
        }
    }
    if spec.consumer_groups.is_empty() || spec.consumer_groups.len() > 16 {
        problems.push("consumerGroups must have 1 to 16 entries".to_owned());
    }
    for group in &spec.consumer_groups {
        if group.connection.is_some() == group.bootstrap_servers.is_some() {
            problems.push(format!(
                "consumer group {}: give exactly one of connection (a KafkaConnection, for TLS and login) and bootstrapServers (a plain listener)",
                group.group
            ));
        }
        for address in group.bootstrap_servers.iter().flatten() {
            if let Some(why) = address.problem() {
                problems.push(format!(
                    "consumer group {}: bootstrapServers: {:?} is {why}",
                    group.group, address.0
                ));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Policy {
        groups: spec
            .consumer_groups
            .iter()
            .map(|g| GroupPolicy {
                group: name(g, spec),
                start_from: match g.start_from {
                    api::StartFrom::Earliest => StartFrom::Earliest,
                    api::StartFrom::Latest => StartFrom::Latest,
                },
            })
            .collect(),
        min_replicas: spec.min_replicas,
        max_replicas: spec.max_replicas,
        threads_per_replica: spec.threads_per_replica,
        max_delay,
        recover_within,
        fallback,
        down_window,
        down_max_step: f64::from(spec.behavior.scale_down.max_step_percent) / 100.0,
        mode: match spec.mode {
            api::Mode::Active => Mode::Active,
            api::Mode::DryRun => Mode::DryRun,
            api::Mode::Paused => Mode::Paused,
            api::Mode::PausedScaleDown => Mode::PausedScaleDown,
        },
        sweep_interval,
        tuning: Tuning::default(),
    })
}

/// What a group is called, and what is learnt of it is kept under: its id, and where two clusters have
/// one of that id, the cluster too.
fn name(group: &ConsumerGroup, spec: &ConsumerScalerSpec) -> String {
    if spec.consumer_groups.iter().filter(|g| g.group == group.group).count() < 2 {
        return group.group.clone();
    }
    let servers =
        || group.bootstrap_servers.iter().flatten().map(|a| a.0.as_str()).collect::<Vec<_>>().join(",");
    let cluster = group.connection.as_ref().map_or_else(servers, |c| c.name.clone());
    format!("{} on {cluster}", group.group)
}

/// The owner's schedules.
///
/// # Errors
/// As [`policy`], of which these problems are a part.
pub fn calendar(spec: &ConsumerScalerSpec) -> Result<Calendar, Vec<String>> {
    Calendar::of(&spec.schedules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> ConsumerScalerSpec {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn the_least_spec_has_sensible_defaults() {
        let spec = spec(
            "{scaleTargetRef: {name: orders}, maxReplicas: 8, consumerGroups: [{group: orders, bootstrapServers: ['k:9092']}]}",
        );
        let policy = policy(&spec, 5.0).unwrap();
        assert_eq!((policy.min_replicas, policy.max_replicas, policy.threads_per_replica), (1, 8, 1));
        assert_eq!((policy.max_delay, policy.recover_within, policy.down_window), (60.0, 600.0, 60.0));
        assert_eq!((policy.down_max_step, policy.mode, policy.fallback), (1.0, Mode::Active, None));
        assert_eq!(policy.groups, [GroupPolicy { group: "orders".into(), start_from: StartFrom::Earliest }]);
    }

    #[test]
    fn two_groups_of_one_id_are_told_apart() {
        let spec = spec(
            "{scaleTargetRef: {name: orders}, maxReplicas: 8, consumerGroups: [{group: orders, connection: {name: east}}, {group: orders, bootstrapServers: ['k:9092']}, {group: bills, connection: {name: east}}]}",
        );
        let policy = policy(&spec, 5.0).unwrap();
        let names: Vec<&str> = policy.groups.iter().map(|g| g.group.as_str()).collect();
        assert_eq!(names, ["orders on east", "orders on k:9092", "bills"]);
    }

    #[test]
    fn a_broker_address_without_a_port_that_can_be_is_told() {
        let spec = spec(
            "{scaleTargetRef: {name: orders}, maxReplicas: 8, consumerGroups: [{group: orders, bootstrapServers: ['k:9092', '127.0.0.1:99999']}]}",
        );
        assert_eq!(
            policy(&spec, 5.0).unwrap_err(),
            [
                "consumer group orders: bootstrapServers: \"127.0.0.1:99999\" is not a broker address: write a port from 1 to 65535, for instance kafka-0:9092"
            ]
        );
    }

    #[test]
    fn what_would_be_another_objects_address_is_no_target() {
        for (target, field) in [
            ("{name: '../../other/deployments/orders'}", "name"),
            ("{name: 'orders?dryRun=All'}", "name"),
            ("{name: orders, kind: 'Deployment/../Secret'}", "kind"),
            ("{name: orders, apiVersion: '../../api/v1'}", "apiVersion"),
            ("{name: orders, apiVersion: 'apps/v1/namespaces'}", "apiVersion"),
        ] {
            let yaml = format!(
                "{{scaleTargetRef: {target}, maxReplicas: 8, consumerGroups: [{{group: orders, bootstrapServers: ['k:9092']}}]}}"
            );
            let problems = policy(&spec(&yaml), 5.0).unwrap_err();
            let begin = format!("scaleTargetRef.{field}: ");
            assert!(problems.len() == 1 && problems[0].starts_with(&begin), "{target}: {problems:?}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let spec = spec(
            "{scaleTargetRef: {name: orders}, minReplicas: 9, maxReplicas: 8, objective: {maxDelay: soon, recoverWithin: 1s}, consumerGroups: [{group: orders}], schedules: [{name: mornings, cron: '0 7', duration: 3h, minReplicas: 20}]}",
        );
        assert_eq!(
            policy(&spec, 5.0).unwrap_err(),
            [
                "objective.maxDelay: \"soon\" is not a duration: write for instance 30s, 10m or 1h30m",
                "objective.recoverWithin: 1s is not between 10s and 168h",
                "schedules[mornings].minReplicas (20) is above maxReplicas (8): lower it or raise maxReplicas",
                "schedules[mornings].cron: \"0 7\" is not understood (Pattern must have 5 fields when seconds are disallowed.): write minute, hour, day of the month, month and day of the week, for instance \"0 7 * * 1-5\"",
                "minReplicas (9) is above maxReplicas (8): lower minReplicas or raise maxReplicas",
                "consumer group orders: give exactly one of connection (a KafkaConnection, for TLS and login) and bootstrapServers (a plain listener)",
            ]
        );
    }
}
