//! How long topics keep a message: asked for now and then, beside the sweeps.
//!
//! What is not known is none: a right to describe configurations is not needed for anything else, and
//! no sweep waits for it. Deletion by size is not looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};

use super::admin::give_token;
use super::connection::{ConnectionConfig, Context, settings};
use super::token::Token;

/// How long an answer is believed.
const AGE: Duration = Duration::from_secs(600);
/// Time for one call.
const LIMIT: Duration = Duration::from_secs(10);
/// Topics asked for in one call.
const AT_ONCE: usize = 500;

/// What is known of the topics of a connection.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// Seconds by topic; `None`: for ever, or it may not be asked for.
    known: HashMap<String, Option<f64>>,
    asked_at: Option<Instant>,
    asking: bool,
}

impl Retention {
    /// What is known once topics were asked for.
    pub fn of(known: impl Iterator<Item = (String, f64)>) -> Self {
        Self { known: known.map(|(topic, kept)| (topic, Some(kept))).collect(), ..Self::default() }
    }
}

/// Seconds for which a topic keeps a message, as far as is known.
pub(super) fn of(retention: &Mutex<Retention>, topic: &str) -> Option<f64> {
    retention.lock().unwrap_or_else(PoisonError::into_inner).known.get(topic).copied().flatten()
}

/// Asks for topics in the background, when it is time or one of them is new.
pub(super) fn refresh(
    retention: &Arc<Mutex<Retention>>,
    config: &ConnectionConfig,
    token: Option<&Token>,
    topics: impl Iterator<Item = String>,
) {
    let topics: BTreeSet<String> = topics.collect();
    {
        let mut state = retention.lock().unwrap_or_else(PoisonError::into_inner);
        let old = state.asked_at.is_none_or(|at| at.elapsed() >= AGE);
        let new = topics.iter().any(|t| !state.known.contains_key(t));
        if topics.is_empty() || state.asking || !(old || new) {
            return;
        }
        (state.asking, state.asked_at) = (true, Some(Instant::now()));
    }
    let (retention, config, token) = (retention.clone(), config.clone(), token.cloned());
    tokio::spawn(async move {
        let answers = ask(&config, token.as_ref(), &topics).await;
        let mut state = retention.lock().unwrap_or_else(PoisonError::into_inner);
        // A topic without an answer is known to have none, until it is time again.
        state.known = topics.into_iter().map(|t| (t.clone(), answers.get(&t).copied())).collect();
        state.asking = false;
    });
}

/// Milliseconds kept become seconds; what is kept for ever is left out.
async fn ask(
    config: &ConnectionConfig,
    token: Option<&Token>,
    topics: &BTreeSet<String>,
) -> HashMap<String, f64> {
    // A client of its own, for moments: the one for sweeps has no safe call for this.
    let client: Arc<AdminClient<Context>> = match settings(config).create_with_context(Context::of(config)) {
        Ok(client) => Arc::new(client),
        Err(error) => {
            tracing::debug!("no client to ask for retention: {error}");
            return HashMap::new();
        }
    };
    if let Some(Err(why)) = token.map(|token| give_token(client.inner(), token)) {
        tracing::debug!("no token to ask for retention with: {why}");
    }
    let mut kept = HashMap::new();
    let all: Vec<&String> = topics.iter().collect();
    for some in all.chunks(AT_ONCE) {
        let specifiers: Vec<ResourceSpecifier<'_>> =
            some.iter().map(|t| ResourceSpecifier::Topic(t)).collect();
        let options = AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT));
        match tokio::time::timeout(LIMIT, client.describe_configs(&specifiers, &options)).await {
            Ok(Ok(answers)) => {
                kept.extend(answers.iter().filter_map(|a| match a {
                    Ok(resource) => seconds(resource),
                    Err(code) => {
                        tracing::debug!("the retention of a topic may not be known: {code}");
                        None
                    }
                }));
            }
            Ok(Err(error)) => tracing::debug!("asking for retention: {error}"),
            Err(_) => tracing::debug!("asking for retention: no answer in {}s", LIMIT.as_secs()),
        }
    }
    // Its end may take time, which is not for an async thread.
    tokio::task::spawn_blocking(move || drop(client));
    kept
}

/// The topic and how long it keeps a message, s.
pub(super) fn seconds(resource: &ConfigResource) -> Option<(String, f64)> {
    let OwnedResourceSpecifier::Topic(topic) = &resource.specifier else { return None };
    let value = |name: &str| resource.get(name).and_then(|entry| entry.value.as_deref());
    let policy = value("cleanup.policy").unwrap_or("delete");
    let millis: i64 = value("retention.ms")?.parse().ok()?;
    let deletes = policy.split(',').any(|p| p.trim() == "delete");
    (deletes && millis >= 0).then(|| (topic.clone(), millis as f64 / 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::admin::{ConfigEntry, ConfigSource};
    use rstest::rstest;

    #[rstest]
    #[case("delete", "604800000", Some(604_800.0))]
    #[case("compact,delete", "60000", Some(60.0))]
    #[case("compact", "604800000", None)]
    #[case("delete", "-1", None)]
    #[case("delete", "soon", None)]
    fn what_is_deleted_by_age(#[case] policy: &str, #[case] kept: &str, #[case] expected: Option<f64>) {
        let entry = |name: &str, value: &str| ConfigEntry {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source: ConfigSource::Default,
            is_read_only: false,
            is_default: true,
            is_sensitive: false,
        };
        let resource = ConfigResource {
            specifier: OwnedResourceSpecifier::Topic("orders".to_owned()),
            entries: vec![entry("cleanup.policy", policy), entry("retention.ms", kept)],
        };
        assert_eq!(seconds(&resource).map(|(_, s)| s), expected);
    }
}
