//! A real Prometheus, to see what an owner's Prometheus would see.
//!
//! Distributions leave service discoveries out of it (Debian's knows no Kubernetes), so it is built
//! from its source, with the discovery of files, HTTP and Kubernetes and without the web pages. It
//! keeps nothing but its data folder, and knows nothing of what it scrapes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use crate::http_client::http_get;
use crate::ports;
use crate::process::{Child, Spec, spawn};
use crate::tools::{needs, run};
use crate::wait::eventually;

/// What is built. Its Go module has the version v0.313.5: 3.13.5 without the dot, after v0.
const VERSION: &str = "3.13.5";
const MODULE: &str = "v0.313.5";

const SOURCE: &str = "github.com/prometheus/prometheus/cmd";
const PROGRAMS: [&str; 2] = ["prometheus", "promtool"];

/// A configuration that only a Prometheus with Kubernetes' discovery takes.
const PODS: &str = "scrape_configs: [{job_name: pods, kubernetes_sd_configs: [{role: pod}]}]\n";

/// Long for a start, but the machine may be building something meanwhile.
const READY: Duration = Duration::from_secs(60);
/// Lines of its log that an error shows.
const TAIL: usize = 15;

/// Makes sure that Prometheus is in the cache: the one in `PATH` when it discovers pods, else built.
///
/// Several processes may ask at once: one works, the others wait.
///
/// # Errors
/// One line when Go is missing; the last lines of its output when the build fails.
pub async fn prepare(cache: &Path) -> Result<()> {
    if prepared(cache) {
        return Ok(());
    }
    fs::create_dir_all(cache).with_context(|| format!("creating {}", cache.display()))?;
    let lock = File::create(cache.join("prometheus.lock"))?;
    let waiting =
        tokio::task::spawn_blocking(move || flock(&lock, FlockOperation::LockExclusive).map(|()| lock));
    let _lock = waiting.await??;
    if prepared(cache) {
        return Ok(());
    }
    let partial = cache.join("prometheus.partial");
    let _ = fs::remove_dir_all(&partial);
    let bin = partial.join(BIN);
    fs::create_dir_all(&bin)?;
    fs::write(partial.join("pods.yml"), PODS)?;
    match in_path() {
        Some(found) if usable(&found, &partial).await.is_ok() => {
            for (program, name) in found.iter().zip(PROGRAMS) {
                symlink(program, bin.join(name))?;
            }
        }
        _ => build(&partial).await?,
    }
    usable(&PROGRAMS.map(|name| bin.join(name)), &partial).await?;
    fs::write(partial.join("version"), VERSION)?;
    let finished = cache.join("prometheus");
    let _ = fs::remove_dir_all(&finished);
    fs::rename(&partial, &finished).with_context(|| format!("moving it to {}", finished.display()))
}

/// promtool, once [`prepare`] has run.
pub fn promtool(cache: &Path) -> PathBuf {
    program(cache, "promtool")
}

/// Where the programs are, as in a package.
const BIN: &str = "usr/bin";

fn program(cache: &Path, name: &str) -> PathBuf {
    cache.join("prometheus").join(BIN).join(name)
}

/// A link to a program that is gone does not count, nor does another version.
fn prepared(cache: &Path) -> bool {
    let version = fs::read_to_string(cache.join("prometheus/version"));
    version.is_ok_and(|found| found == VERSION) && PROGRAMS.iter().all(|name| program(cache, name).exists())
}

/// Both programs, from one folder of `PATH`: then they are of one version.
fn in_path() -> Option<[PathBuf; 2]> {
    let path = std::env::var_os("PATH")?;
    let dirs = std::env::split_paths(&path).filter_map(|dir| std::path::absolute(dir).ok());
    dirs.map(|dir| PROGRAMS.map(|name| dir.join(name))).find(|found| found.iter().all(|path| path.is_file()))
}

/// Both run, and know Kubernetes' discovery.
async fn usable([prometheus, promtool]: &[PathBuf; 2], dir: &Path) -> Result<()> {
    for (program, args) in
        [(prometheus, &["--version"][..]), (promtool, &["check", "config", "pods.yml"][..])]
    {
        let output = Command::new(program).args(args).current_dir(dir).stdin(Stdio::null()).output().await;
        let output = output.with_context(|| format!("starting {}", program.display()))?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{} {}: {}", program.display(), args.join(" "), said.trim());
    }
    Ok(())
}

async fn build(dir: &Path) -> Result<()> {
    needs("go", &["version"], "Go 1.26 or later (https://go.dev/dl)").await?;
    fs::write(dir.join("go.mod"), "module prometheus\n\ngo 1.26.0\n")?;
    let sources = PROGRAMS.map(|name| format!("{SOURCE}/{name}"));
    let [prometheus, promtool] = sources.each_ref().map(|source| format!("{source}@{MODULE}"));
    run("fetching Prometheus", dir, "go", &["get", &prometheus, &promtool]).await?;
    // Files and HTTP are always in; the other discoveries would bring the libraries of a dozen clouds.
    let tags = "remove_all_sd,enable_kubernetes_sd";
    let flags = format!("-s -w -X github.com/prometheus/common/version.Version={VERSION}");
    let out = format!("{BIN}/");
    let [prometheus, promtool] = &sources;
    let args = ["build", "-tags", tags, "-ldflags", &flags, "-o", &out, prometheus, promtool];
    run("building Prometheus", dir, "go", &args).await
}

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
    pub async fn start(cache: &Path, dir: &Path, scrape: &str) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nscrape_configs:\n{}\n",
            scrape.trim_matches('\n')
        );
        fs::write(dir.join("prometheus.yml"), config)?;
        let mut last = anyhow!("not tried");
        for _ in 0..3 {
            match Self::try_start(cache, dir).await {
                Ok(prometheus) => return Ok(prometheus),
                // Another process may have taken the port meanwhile.
                Err(error) if format!("{error:#}").contains("address already in use") => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn try_start(cache: &Path, dir: &Path) -> Result<Self> {
        let [port] = ports::free(1)?[..] else { bail!("one port") };
        let data = dir.join("data").to_string_lossy().into_owned();
        let log = dir.join("prometheus.log");
        // Of this start only: what an earlier one said is no reason for this one.
        File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let child = spawn(&Spec {
            program: program(cache, "prometheus"),
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
