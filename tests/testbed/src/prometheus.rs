//! A real Prometheus, to see what an owner's Prometheus would see.
//!
//! It keeps nothing but its data folder, and knows nothing of what it scrapes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http_client::http_get;
use crate::ports;
use crate::process::{Child, Spec, spawn};
use crate::tools::Tools;
use crate::wait::eventually;

/// Long for a start, but the machine may be building something meanwhile.
const READY: Duration = Duration::from_secs(60);
/// Lines of its log that an error shows.
const TAIL: usize = 15;

/// A running Prometheus. Dropped, it ends.
#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    child: Child,
}

impl Prometheus {
    /// Starts the one of the cache in `dir`, which keeps its configuration, its data and its log.
    ///
    /// `scrape` is the list under `scrape_configs`, in YAML. Every target is scraped every second
    /// unless its job says otherwise.
    ///
    /// # Errors
    /// When it does not start or does not get ready; the error holds the end of its log.
    pub async fn start(tools: &Tools, dir: &Path, scrape: &str) -> Result<Self> {
        Self::start_with_rules(tools, dir, scrape, "groups: []").await
    }

    /// The same with rules, in the format of a rule file; they are evaluated every second.
    ///
    /// # Errors
    /// As [`Prometheus::start`].
    pub async fn start_with_rules(tools: &Tools, dir: &Path, scrape: &str, rules: &str) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        fs::write(dir.join("rules.yml"), rules)?;
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n{}\n",
            scrape.trim_matches('\n')
        );
        fs::write(dir.join("prometheus.yml"), config)?;
        let mut last = anyhow!("not tried");
        for _ in 0..3 {
            match Self::try_start(tools, dir).await {
                Ok(prometheus) => return Ok(prometheus),
                // Another process may have taken the port meanwhile.
                Err(error) if format!("{error:#}").contains("address already in use") => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn try_start(tools: &Tools, dir: &Path) -> Result<Self> {
        let [port] = ports::free(1)?[..] else { bail!("one port") };
        let data = dir.join("data").to_string_lossy().into_owned();
        let log = dir.join("prometheus.log");
        // Of this start only: what an earlier one said is no reason for this one.
        File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let child = spawn(&Spec {
            program: tools.prometheus(),
            args: vec![
                format!("--config.file={}", dir.join("prometheus.yml").display()),
                format!("--storage.tsdb.path={data}"),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--log.level=warn".into(),
            ],
            log,
            ..Spec::default()
        })?;
        let prometheus = Self { port, child };
        let started = eventually("Prometheus", READY, || prometheus.look(&data)).await;
        let why = match started {
            Ok(None) => return Ok(prometheus),
            Ok(Some(status)) => format!("Prometheus ended ({status})"),
            Err(error) => format!("{error:#}"),
        };
        bail!("{why}; its log ends with:\n{}", prometheus.child.tail(TAIL))
    }

    /// Nothing when it is ready, or how it ended.
    async fn look(&self, data: &str) -> Result<Option<ExitStatus>> {
        if let Some(status) = self.child.exited() {
            return Ok(Some(status));
        }
        let (status, said) = http_get(&format!("{}/-/ready", self.url())).await?;
        ensure!(status == 200, "{status} {}", said.trim());
        // Whoever took the port before us may be a Prometheus as well.
        let flags: BTreeMap<String, String> = self.get("status/flags").await?;
        ensure!(
            flags.get("storage.tsdb.path").is_some_and(|path| path == data),
            "port {} is another's",
            self.port
        );
        Ok(None)
    }

    /// Where it listens, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The value that every series of an expression has now, with its labels; a scalar has none.
    ///
    /// # Errors
    /// When it does not answer, in its own words when it rejects the expression, and when the
    /// expression gives neither a vector nor a scalar.
    pub async fn query(&self, promql: &str) -> Result<Vec<(BTreeMap<String, String>, f64)>> {
        let encoded: String = form_urlencoded::byte_serialize(promql.as_bytes()).collect();
        let answer = self.get(&format!("query?query={encoded}")).await;
        answer.and_then(samples).with_context(|| format!("asking Prometheus for {promql}"))
    }

    /// The alerts that fire now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn firing(&self) -> Result<Vec<Alert>> {
        let all: Alerts = self.get("alerts").await?;
        Ok(all.alerts.into_iter().filter(|alert| alert.state == "firing").collect())
    }

    /// How many targets there are, when there are any and all of them are up.
    ///
    /// # Errors
    /// Otherwise: with the first that is not up and Prometheus' reason, or, as long as there is none,
    /// with the end of its log, where a discovery that fails says why.
    pub async fn targets_up(&self) -> Result<usize> {
        let found: Targets = self.get("targets?state=active").await?;
        ensure!(
            !found.active_targets.is_empty(),
            "no target; the log of Prometheus ends with:\n{}",
            self.child.tail(TAIL)
        );
        if let Some(target) = found.active_targets.iter().find(|target| target.health != "up") {
            let Target { scrape_url, health, last_error } = target;
            let reason = if last_error.is_empty() { "not scraped yet" } else { last_error };
            bail!("target {scrape_url} is {health}: {reason}");
        }
        Ok(found.active_targets.len())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let (status, body) = http_get(&format!("{}/api/v1/{path}", self.url())).await?;
        match serde_json::from_str(&body) {
            Ok(Answer::Success { data }) => Ok(data),
            Ok(Answer::Error { error_type, error }) => bail!("{error_type}: {error}"),
            Err(error) => bail!("{status} and an answer that is not understood ({error}): {body}"),
        }
    }
}

/// An alert, as its rule made it.
#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    /// Its labels, the name as `alertname`.
    pub labels: BTreeMap<String, String>,
    /// Its texts, expanded.
    pub annotations: BTreeMap<String, String>,
    state: String,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "camelCase")]
enum Answer<T> {
    Success {
        data: T,
    },
    #[serde(rename_all = "camelCase")]
    Error {
        error_type: String,
        error: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    scrape_url: String,
    health: String,
    last_error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: Sample,
}

/// Time, and the value as text: JSON has no NaN and no infinity.
type Sample = (f64, String);

fn samples(outcome: Outcome) -> Result<Vec<(BTreeMap<String, String>, f64)>> {
    let series: Vec<Series> = match outcome.result_type.as_str() {
        "vector" => serde_json::from_value(outcome.result)?,
        "scalar" => {
            vec![Series { metric: BTreeMap::new(), value: serde_json::from_value(outcome.result)? }]
        }
        other => bail!("it gives a {other}, not one value a series"),
    };
    let valued = series.into_iter().map(|Series { metric, value: (_, text) }| {
        let value = text.parse().with_context(|| format!("{text:?} is not a number"))?;
        Ok((metric, value))
    });
    valued.collect()
}
