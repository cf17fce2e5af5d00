//! The policy of a simulation, from YAML: a ConsumerScaler, alone or among others, or just its spec.
//!
//! It reads text that somebody else has read from a file, and says what is wrong in it, and in
//! which line. What may be asked for is for `validate` to say.

use serde::Deserialize;

use serde_yaml::{Deserializer, Value};

use crate::api::ConsumerScalerSpec;
use crate::calendar::Calendar;
use crate::decide::Policy;
use crate::{validate, yaml};

/// What is wrong in a policy: the line, counted from 1, and what to write.
pub type Problem = (usize, String);

/// A resource; what else is in it does not matter here.
#[derive(Deserialize)]
struct Resource {
    spec: ConsumerScalerSpec,
}

/// Longest text read, bytes: a policy has a few lines, and a parser takes its time with what has millions.
const LONGEST: usize = 1 << 20;
/// Deepest that lists and objects in brackets lie in each other: more is no policy.
const DEEPEST: usize = 1000;
/// Fields told that are none: who has more of them gave the wrong file.
const UNKNOWN: usize = 20;
/// Letters in which a field may differ from the one that was meant.
const MISTYPED: usize = 2;
const API_VERSION: &str = "spillway.dev/v1alpha1";

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The policy.
    pub policy: Policy,
    /// Its schedules.
    pub calendar: Calendar,
}

/// Reads a policy; `sweep_interval` is how often the operator would look, s.
///
/// # Errors
/// Everything that is wrong, as far as one pass can tell.
pub fn policy(text: &str, sweep_interval: f64) -> Result<Asked, Vec<Problem>> {
    let last = yaml::last_line(text);
    let told = |(line, what): Problem| (line.min(last), yaml::one_line(&what));
    read_policy(text, sweep_interval).map_err(|problems| problems.into_iter().map(told).collect())
}

fn read_policy(text: &str, sweep_interval: f64) -> Result<Asked, Vec<Problem>> {
    if text.len() > LONGEST || text.matches(['[', '{']).count() > DEEPEST {
        let what = "too long for a policy: write a ConsumerScaler, or what would be under its spec";
        return Err(vec![(1, what.to_owned())]);
    }
    // A byte order mark is what some editors put first.
    let text = text.trim_start_matches('\u{feff}');
    let (index, whole) = find(text).map_err(|problem| vec![problem])?;
    let mut unknown = Vec::new();
    let spec = read(text, index, whole, &mut unknown);
    let mut meant = Vec::new();
    let mut problems: Vec<Problem> = unknown
        .into_iter()
        .take(UNKNOWN)
        .map(|path| {
            let near = near(&path);
            let write =
                near.as_ref().map_or_else(|| "correct or remove it".to_owned(), |n| format!("write {n}"));
            meant.extend(near);
            (line(text, &path), format!("{path} is not a field of a ConsumerScaler: {write}"))
        })
        .collect();
    let spec = match spec {
        Ok(spec) => spec,
        Err(problem) => {
            // What is missing may be there under a name that is none, and then all was said.
            if !meant.iter().any(|field| problem.1.contains(&format!("missing field `{field}`"))) {
                problems.push(problem);
            }
            return Err(problems);
        }
    };
    let asked = validate::policy(&spec, sweep_interval)
        .and_then(|policy| Ok(Asked { policy, calendar: validate::calendar(&spec)? }));
    match asked {
        Ok(asked) if problems.is_empty() && asked.policy.groups.len() == 1 => return Ok(asked),
        Ok(asked) if asked.policy.groups.len() != 1 => {
            let what = "the simulator has one consumer group: try the groups one by one, each alone in consumerGroups"
                .to_owned();
            problems.push((line(text, "consumerGroups"), what));
        }
        Ok(_) => {}
        Err(all) => problems.extend(all.into_iter().map(|what| {
            let field = what.split([' ', ':']).next().unwrap_or_default().to_owned();
            let field = if field == "consumer" { "consumerGroups".to_owned() } else { field };
            // What is not written there is as the default has it: another field must be at fault.
            let other = || what.split([' ', ':', '(']).filter(|w| w.len() > 3).find_map(|w| line_of(text, w));
            (line_of(text, &field).or_else(other).unwrap_or(1), what)
        })),
    }
    problems.sort();
    Err(problems)
}

/// The field that somebody may have meant.
fn near(path: &str) -> Option<String> {
    let schema = serde_json::to_value(schemars::schema_for!(ConsumerScalerSpec)).ok()?;
    let mut names = Vec::new();
    let mut left = vec![&schema];
    while let Some(value) = left.pop() {
        if let Some(fields) = value.get("properties").and_then(serde_json::Value::as_object) {
            names.extend(fields.keys().cloned());
        }
        left.extend(value.as_object().into_iter().flat_map(|o| o.values()));
    }
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let wrong = plain(path.rsplit('.').next().unwrap_or(path));
    let far = |name: &String| strsim::osa_distance(&plain(name), &wrong);
    names.into_iter().filter(|name| far(name) <= MISTYPED.min(wrong.len() / 3)).min_by_key(far)
}

/// Which document has the policy, and whether it is a whole resource.
fn find(text: &str) -> Result<(usize, bool), Problem> {
    let mut other = None;
    let mut found: Option<(usize, bool)> = None;
    for (index, document) in Deserializer::from_str(text).enumerate() {
        let value = Value::deserialize(document).map_err(|e| located(&e))?;
        let policy = match value.get("kind").and_then(Value::as_str) {
            Some("ConsumerScaler") => Some((index, true)),
            Some(kind) => {
                other = Some(format!("a {kind}"));
                None
            }
            None if value.get("spec").is_some() => Some((index, true)),
            None if value.is_mapping() => Some((index, false)),
            None => {
                other = other.or(match value {
                    Value::Null => None,
                    Value::Sequence(_) => Some("a list".to_owned()),
                    _ => Some("a single value".to_owned()),
                });
                None
            }
        };
        let Some((_, whole)) = policy else { continue };
        if found.is_some() {
            let what = "more than one ConsumerScaler is in it: leave the one to be tried";
            return Err((nth_document(text, index), what.to_owned()));
        }
        let version = value.get("apiVersion").map(|v| v.as_str().unwrap_or_default());
        if whole && version.is_some_and(|v| v != API_VERSION) {
            let at = nth_document(text, index);
            let after = text.lines().skip(at - 1).position(|l| l.starts_with("apiVersion:")).unwrap_or(0);
            return Err((at + after, format!("apiVersion is not one of Spillway's: write {API_VERSION}")));
        }
        found = policy;
    }
    if let Some(found) = found {
        return Ok(found);
    }
    let found = other.unwrap_or_else(|| "nothing".to_owned());
    Err((1, format!("{found} is in it: write a ConsumerScaler, or what would be under its spec")))
}

/// The line of what parts a document from the one before it, or the first.
fn nth_document(text: &str, index: usize) -> usize {
    let parts = text.lines().enumerate().filter(|(line, l)| *line > 0 && l.starts_with("---"));
    let mut begins: Vec<usize> = parts.map(|(line, _)| line + 1).collect();
    begins.insert(0, 1);
    begins.get(index).copied().unwrap_or(1)
}

fn read(
    text: &str,
    index: usize,
    whole: bool,
    unknown: &mut Vec<String>,
) -> Result<ConsumerScalerSpec, Problem> {
    let Some(document) = Deserializer::from_str(text).nth(index) else {
        return Err((1, "nothing is in it".to_owned()));
    };
    let mut note = |path: serde_ignored::Path<'_>| {
        let path = path.to_string().replace(".?", "");
        match path.strip_prefix("spec.") {
            Some(inner) => unknown.push(inner.to_owned()),
            None if !whole => unknown.push(path),
            None => {}
        }
    };
    if whole {
        serde_ignored::deserialize(document, &mut note).map(|r: Resource| r.spec).map_err(|e| located(&e))
    } else {
        serde_ignored::deserialize(document, &mut note).map_err(|e| located(&e))
    }
}

fn located(error: &serde_yaml::Error) -> Problem {
    let line = error.location().map_or(1, |l| l.line());
    let text = error.to_string();
    // The place is told once, in front.
    let what = text.split(" at line ").next().unwrap_or(&text).replace('\n', " ");
    (line, format!("{what}: see `kubectl explain csc.spec`, or deploy/examples/consumerscaler.yaml"))
}

/// The line of a field; the first when it is not written there.
fn line(text: &str, path: &str) -> usize {
    line_of(text, path).unwrap_or(1)
}

/// The line of a field, as far as its names tell.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let mut at = 0;
    let mut found = None;
    for name in path.split('.').filter(|part| !part.is_empty() && part.parse::<usize>().is_err()) {
        let key = format!("{name}:");
        if let Some(offset) = text[at..].find(&key) {
            at += offset;
            found = Some(at);
        }
    }
    found.map(|at| text[..at].matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SPEC: &str = "scaleTargetRef: {name: orders}\nmaxReplicas: 8\nconsumerGroups: [{group: orders, bootstrapServers: ['k:9092']}]\n";

    #[test]
    fn a_spec_a_resource_and_one_among_others_mean_the_same() {
        let indented: String = SPEC.lines().map(|l| format!("  {l}\n")).collect();
        let resource = format!(
            "apiVersion: spillway.dev/v1alpha1\nkind: ConsumerScaler\nmetadata: {{name: o}}\nspec:\n{indented}"
        );
        let among = format!("kind: KafkaConnection\nspec: {{}}\n---\n{resource}");
        let policy = policy(SPEC, 5.0).unwrap();
        assert_eq!(super::policy(&resource, 5.0).unwrap(), policy);
        assert_eq!(super::policy(&among, 5.0).unwrap(), policy);
    }

    #[test]
    fn the_example_is_a_policy() {
        let example = include_str!("../../deploy/examples/consumerscaler.yaml");
        assert_eq!(policy(example, 5.0).unwrap().policy.max_replicas, 24);
    }

    #[rstest]
    #[case("maxReplicas: 8\nscaleTargetRef: {name: orders}\n", 1, "missing field `consumerGroups`")]
    #[case("maxReplicas: many\n", 1, "invalid type: string \"many\"")]
    #[case("a: [1,\n", 1, "did not find expected node content")]
    #[case("a: 1\nb: [1,\n", 2, "did not find expected node content")]
    #[case("", 1, "nothing is in it")]
    #[case("kind: Deployment\n", 1, "a Deployment is in it")]
    #[case("- a\n- b\n", 1, "a list is in it")]
    #[case("orders.yaml\n", 1, "a single value is in it")]
    #[case(
        "# one\napiVersion: spillway.dev/v2\nkind: ConsumerScaler\nspec: {}\n",
        2,
        "write spillway.dev/v1alpha1"
    )]
    #[case(
        "kind: ConsumerScaler\nspec: {}\n---\nkind: ConsumerScaler\nspec: {}\n",
        3,
        "more than one ConsumerScaler is in it"
    )]
    #[case(&SPEC.replace("maxReplicas", "maxreplicas"), 2, "maxreplicas is not a field of a ConsumerScaler: write maxReplicas")]
    #[case(&SPEC.replace("maxReplicas: 8", "maxReplicas: 0"), 2, "maxReplicas must be at least 1")]
    #[case(&SPEC.replace("maxReplicas: 8", "maxReplicas: -3"), 2, "maxReplicas must be at least 1")]
    #[case(&format!("{SPEC}objective:\n  maxDelay: 10s\n  recoverWithing: 2m\n"), 6, "objective.recoverWithing is not a field")]
    #[case(&format!("{SPEC}objective:\n  maxDelay: soon\n"), 5, "objective.maxDelay: \"soon\" is not a duration")]
    #[case(&format!("{SPEC}minReplicas: 9\n"), 4, "minReplicas (9) is above maxReplicas (8)")]
    #[case(
        "scaleTargetRef: {name: o}\nmaxReplicas: 8\nconsumerGroups:\n- group: orders\n",
        3,
        "give exactly one of connection"
    )]
    #[case(
        "scaleTargetRef: {name: o}\nmaxReplicas: 8\nconsumerGroups:\n- {group: a, bootstrapServers: ['k:1']}\n- {group: b, bootstrapServers: ['k:1']}\n",
        3,
        "try the groups one by one"
    )]
    fn what_is_wrong_and_where(#[case] text: &str, #[case] line: usize, #[case] what: &str) {
        let problems = policy(text, 5.0).unwrap_err();
        assert!(problems.iter().any(|(l, w)| *l == line && w.contains(what)), "{problems:?}");
        assert!(problems.iter().all(|(_, w)| !w.contains('\n')), "{problems:?}");
    }

    #[test]
    fn a_field_that_is_mistyped_is_not_missing_too() {
        let problems = policy(&SPEC.replace("maxReplicas", "maxReplicaz"), 5.0).unwrap_err();
        let [(2, what)] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!(what, "maxReplicaz is not a field of a ConsumerScaler: write maxReplicas");
        // Another one that is missing is told.
        let text = SPEC.replace("scaleTargetRef: {name: orders}\n", "").replace("maxReplicas", "minReplicaz");
        let problems = policy(&text, 5.0).unwrap_err();
        assert!(
            problems.iter().any(|(_, w)| w.starts_with("missing field `scaleTargetRef`")),
            "{problems:?}"
        );
    }
}
