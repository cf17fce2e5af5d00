//! A real Apache Kafka (KRaft), one process a node, for tests.
//!
//! A node's ports and data stay the same over stops, kills and starts. What is
//! done *inside* the cluster (topics, offsets, groups) is in `kafka::admin`. It
//! does not fetch Kafka: the caller names a folder with its jars.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::future::{join_all, try_join_all};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::Signal;

use crate::process::{Child, Spec, spawn};
use crate::tools::java;

mod admin;
mod config;

pub use admin::{ResetTo, ToolRow};
pub use config::{KafkaOptions, Listener};

/// A node needs 7 s alone on two cores; several at once, beside a compiler, far more.
const START_LIMIT: Duration = Duration::from_secs(120);
/// With all controllers going down at once a controlled shutdown cannot finish, and
/// Kafka would wait minutes for it. Its data survive a SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A running cluster. Dropping it kills its processes; its folder stays.
#[derive(Debug)]
pub struct Kafka {
    dir: PathBuf,
    libs: PathBuf,
    options: KafkaOptions,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    id: i32,
    ports: config::Ports,
    dir: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Node {
    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = self.child().as_ref() {
            child.signal(signal);
        }
    }

    /// What it last wrote, and how it ended if it did.
    fn state(&self) -> String {
        match self.child().as_ref() {
            None => format!("node {} is stopped", self.id),
            Some(child) => format!(
                "node {} (pid {}, {}), end of {}:\n{}",
                self.id,
                child.pid(),
                child.exited().map_or("running".to_owned(), |s| format!("ended: {s}")),
                child.log().display(),
                child.tail(25)
            ),
        }
    }
}

impl Kafka {
    /// Formats and starts a cluster under `dir` with the jars in `libs`, and waits
    /// until every node answers and knows all others.
    ///
    /// # Errors
    /// When java cannot be run, or a node does not answer within two minutes; the
    /// message ends with its log.
    pub async fn start(libs: &Path, dir: &Path, options: KafkaOptions) -> Result<Self> {
        ensure!(
            matches!(options.brokers, 1 | 3),
            "a test cluster has 1 or 3 brokers, not {}",
            options.brokers
        );
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        std::fs::write(dir.join("broker-log4j2.properties"), config::BROKER_LOG4J)?;
        std::fs::write(dir.join("tool-log4j2.properties"), config::TOOL_LOG4J)?;
        let each = 3 + options.listeners.len();
        let ports: Vec<config::Ports> = config::free_ports(options.brokers * each)?
            .chunks(each)
            .map(|p| config::Ports { plain: p[0], sasl: p[1], controller: p[2], more: p[3..].to_vec() })
            .collect();
        let mut nodes = Vec::new();
        for id in 1..=options.brokers {
            let node = dir.join(format!("node-{id}"));
            std::fs::create_dir_all(&node)?;
            let text = config::properties(&options, &ports, id, &node.join("data"));
            std::fs::write(node.join("server.properties"), text)?;
            nodes.push(Node {
                id: i32::try_from(id)?,
                ports: ports[id - 1].clone(),
                dir: node,
                child: Mutex::new(None),
            });
        }
        let kafka = Self { dir, libs: libs.to_owned(), options, nodes };
        kafka.format().await?;
        kafka.start_again().await?;
        Ok(kafka)
    }

    async fn format(&self) -> Result<()> {
        let cluster = "c3BpbGx3YXktYmVkLTAwMQ";
        let of = |kind, (user, password): &(String, String)| {
            format!("SCRAM-SHA-{kind}=[name={user},password={password}]")
        };
        let mut scram: Vec<String> = self.options.sasl.iter().map(|user| of(512, user)).collect();
        scram.extend(self.options.scram.iter().flat_map(|user| [of(256, user), of(512, user)]));
        try_join_all(self.nodes.iter().map(|node| {
            let config = node.dir.join("server.properties").display().to_string();
            let mut args = vec!["format", "-t", cluster, "-c"];
            args.push(&config);
            for user in &scram {
                args.extend(["--add-scram", user]);
            }
            let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
            async move {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                self.run_tool("kafka.tools.StorageTool", &args).await
            }
        }))
        .await
        .context("formatting Kafka's storage")?;
        Ok(())
    }

    /// Bootstrap servers of the listener without authentication.
    pub fn bootstrap(&self) -> String {
        self.addresses(|ports| ports.plain)
    }

    /// Bootstrap servers of the listener with SASL (see [`KafkaOptions::sasl`]).
    pub fn sasl_bootstrap(&self) -> String {
        self.addresses(|ports| ports.sasl)
    }

    /// Bootstrap servers of a further listener (see [`KafkaOptions::listeners`]); none: there is no such
    /// listener.
    pub fn listener(&self, name: &str) -> String {
        match self.options.listeners.iter().position(|l| l.name == name) {
            Some(i) => self.addresses(|ports| ports.more[i]),
            None => String::new(),
        }
    }

    fn addresses(&self, port: impl Fn(&config::Ports) -> u16) -> String {
        let all = self.nodes.iter().map(|n| port(&n.ports));
        let all: Vec<String> = all.map(|port| format!("127.0.0.1:{port}")).collect();
        all.join(",")
    }

    /// Number of nodes.
    pub fn brokers(&self) -> usize {
        self.nodes.len()
    }

    /// SIGTERM to all nodes; SIGKILL to what is left after ten seconds.
    pub async fn stop(&self) {
        join_all((0..self.nodes.len()).map(|i| self.stop_broker(i))).await;
    }

    /// Starts all nodes that are not running, with the data they had, and waits
    /// until each answers and knows all others.
    ///
    /// # Errors
    /// When a node does not answer within two minutes.
    pub async fn start_again(&self) -> Result<()> {
        for node in &self.nodes {
            self.launch(node)?;
        }
        let all = self.nodes.len();
        try_join_all(self.nodes.iter().map(|node| self.ready(node, all))).await?;
        Ok(())
    }

    /// SIGKILL to all nodes.
    pub async fn kill(&self) {
        join_all((0..self.nodes.len()).map(|i| self.kill_broker(i))).await;
    }

    /// Freezes all nodes (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&self) {
        (0..self.nodes.len()).for_each(|i| self.pause_broker(i));
    }

    /// Ends [`Kafka::pause`].
    pub fn resume(&self) {
        (0..self.nodes.len()).for_each(|i| self.resume_broker(i));
    }

    /// As [`Kafka::stop`], for the node with index `i` (from 0; its id is `i + 1`).
    pub async fn stop_broker(&self, i: usize) {
        let child = self.nodes[i].child().take();
        if let Some(child) = child {
            child.stop(STOP_GRACE).await;
        }
    }

    /// SIGKILL to the node with index `i`.
    pub async fn kill_broker(&self, i: usize) {
        let child = self.nodes[i].child().take();
        if let Some(child) = child {
            child.signal(Signal::KILL);
            child.wait().await;
        }
    }

    /// Starts the node with index `i` again and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer within two minutes.
    pub async fn start_broker(&self, i: usize) -> Result<()> {
        self.launch(&self.nodes[i])?;
        self.ready(&self.nodes[i], 1).await
    }

    /// Freezes the node with index `i` (SIGSTOP).
    pub fn pause_broker(&self, i: usize) {
        self.nodes[i].signal(Signal::STOP);
    }

    /// Ends [`Kafka::pause_broker`].
    pub fn resume_broker(&self, i: usize) {
        self.nodes[i].signal(Signal::CONT);
    }

    /// Where the nodes write what they do.
    pub fn logs(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(|node| node.dir.join("server.log")).collect()
    }

    fn launch(&self, node: &Node) -> Result<()> {
        let mut child = node.child();
        if child.as_ref().is_some_and(|c| c.exited().is_none()) {
            return Ok(());
        }
        let log4j = self.dir.join("broker-log4j2.properties");
        let mut args = vec![
            "-Xmx384m".into(),
            "-XX:TieredStopAtLevel=1".into(),
            "-XX:+UseSerialGC".into(),
            format!("-Dlog4j2.configurationFile={}", log4j.display()),
        ];
        args.extend(self.options.jvm.iter().cloned());
        args.extend([
            "-cp".into(),
            format!("{}/*", self.libs.display()),
            "kafka.Kafka".into(),
            node.dir.join("server.properties").display().to_string(),
        ]);
        *child = Some(spawn(&Spec {
            program: java(),
            args,
            cwd: Some(node.dir.clone()),
            log: node.dir.join("server.log"),
            ..Spec::default()
        })?);
        Ok(())
    }

    /// Waits for a metadata answer from this very node that lists it and at least
    /// `brokers` in all.
    async fn ready(&self, node: &Node, brokers: usize) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        let address = format!("127.0.0.1:{}", node.ports.plain);
        loop {
            let ended = node.child().as_ref().is_none_or(|c| c.exited().is_some());
            if ended {
                bail!("Kafka ended while starting: {}", node.state());
            }
            let problem = match metadata(address.clone()).await {
                Ok(ids) if ids.contains(&node.id) && ids.len() >= brokers => return Ok(()),
                Ok(ids) => format!("it knows only brokers {ids:?}"),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                bail!("Kafka at {address} is not ready after {START_LIMIT:?} ({problem}): {}", node.state());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The brokers that the node at `address` lists.
async fn metadata(address: String) -> Result<Vec<i32>> {
    tokio::task::spawn_blocking(move || {
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", address).set("log_level", "0").create()?;
        let metadata = client.fetch_metadata(None, Duration::from_secs(2))?;
        Ok(metadata.brokers().iter().map(|b| b.id()).collect())
    })
    .await?
}
