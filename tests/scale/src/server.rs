//! What the API server was asked, by its own `/metrics`.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::Client;

/// What the operator works with. The controllers of the bed ask for the rest.
const OF_INTEREST: [&str; 8] = [
    "consumerscalers",
    "kafkaconnections",
    "workers",
    "leases",
    "events",
    "horizontalpodautoscalers",
    "scaledobjects",
    "secrets",
];

/// Requests so far, by verb and resource (`GET workers/scale`).
pub type Requests = BTreeMap<String, f64>;

/// What was asked so far.
///
/// # Errors
/// When it does not answer.
pub async fn requests(client: &Client) -> Result<Requests> {
    let text = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let mut all = Requests::new();
    for line in text.lines().filter_map(|l| l.strip_prefix("apiserver_request_total{")) {
        let Some((labels, value)) = line.rsplit_once("} ") else { continue };
        let label = |name: &str| {
            let key = format!("{name}=\"");
            labels.split(',').find_map(|l| l.strip_prefix(key.as_str())).map(|v| v.trim_end_matches('"'))
        };
        let (Some(verb), Some(resource)) = (label("verb"), label("resource")) else { continue };
        if !OF_INTEREST.contains(&resource) {
            continue;
        }
        let what = match label("subresource") {
            Some(sub) if !sub.is_empty() => format!("{resource}/{sub}"),
            _ => resource.to_owned(),
        };
        *all.entry(format!("{verb} {what}")).or_default() += value.parse().unwrap_or(0.0);
    }
    Ok(all)
}

/// What came between two readings, a minute.
pub fn a_minute(before: &Requests, after: &Requests, seconds: f64) -> Requests {
    let rate = |key: &String, now: f64| (now - before.get(key).copied().unwrap_or(0.0)) * 60.0 / seconds;
    after.iter().map(|(key, now)| (key.clone(), rate(key, *now))).filter(|(_, rate)| *rate > 0.0).collect()
}
