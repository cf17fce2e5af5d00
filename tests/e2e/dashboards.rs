//! Every query of the chart's dashboards, as Grafana would send it. What they find is for a case to say.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use spillway_testbed::operator;
use spillway_testbed::prometheus::Prometheus;
use spillway_testbed::wait::eventually;

/// A query of a panel or of a variable.
pub struct Query {
    /// Where it is: dashboard, panel and letter.
    pub place: String,
    /// With variables replaced: all namespaces and names, rates over a minute.
    pub promql: String,
}

/// All queries of all dashboards.
pub fn queries() -> Result<Vec<Query>> {
    let mut all = Vec::new();
    for file in fs::read_dir(operator::chart().join("files/dashboards"))? {
        let path = file?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let panels = dashboard["panels"].as_array().with_context(|| format!("{name}: panels"))?;
        for panel in panels {
            let title = panel["title"].as_str().context("a title")?;
            let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
            ensure!(panel["type"] == "row" || !targets.is_empty(), "{name}: {title} asks for nothing");
            for target in targets {
                let text = target["expr"].as_str().with_context(|| format!("{name}: {title}: expr"))?;
                let letter = target["refId"].as_str().unwrap_or_default();
                all.push(Query { place: format!("{name}: {title} {letter}"), promql: replaced(text)? });
            }
        }
        let variables = dashboard["templating"]["list"].as_array().context("variables")?;
        for variable in variables.iter().filter(|v| v["type"] == "query") {
            let text = variable["query"]["query"].as_str().context("the query of a variable")?;
            let inner = text.strip_prefix("label_values(").and_then(|t| t.strip_suffix(')'));
            let (series, label) = inner.and_then(|t| t.rsplit_once(", ")).context(text.to_owned())?;
            let promql = replaced(&format!("count by ({label}) ({series})"))?;
            all.push(Query { place: format!("{name}: variable {}", variable["name"]), promql });
        }
    }
    ensure!(!all.is_empty(), "no dashboard");
    Ok(all)
}

fn replaced(text: &str) -> Result<String> {
    // What is 0 where there is nothing would be found always: here there is something.
    let text = text.strip_suffix(" or vector(0)").unwrap_or(text);
    let promql = text.replace("$namespace", ".*").replace("$name", ".*").replace("$__rate_interval", "1m");
    ensure!(!promql.contains('$'), "a variable that nobody replaces: {promql}");
    Ok(promql)
}

/// Waits until each of them finds something. What Prometheus refuses is an error.
pub async fn find(prometheus: &Prometheus, queries: &[Query], limit: Duration) -> Result<()> {
    eventually("every query of the dashboards to find something", limit, || async {
        let mut empty = Vec::new();
        for Query { place, promql } in queries {
            let found = prometheus.query(promql).await.with_context(|| place.clone())?;
            if !found.iter().any(|(_, value)| value.is_finite()) {
                empty.push(format!("{place}: {promql}"));
            }
        }
        ensure!(empty.is_empty(), "{} of {} find nothing: {empty:#?}", empty.len(), queries.len());
        Ok(())
    })
    .await
}
