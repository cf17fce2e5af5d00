//! Apache Kafka in KRaft mode: one broker or three, that can be stopped, killed and paused.
//!
//! Real brokers on the loopback. Ports and data stay over a restart. What Kafka's own tools say
//! of a group is in `kafka_tool`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::Signal;
use tokio::process::Command;

use crate::ports;
use crate::process::{Child, Spec, spawn};
use crate::tools::Tools;
use crate::wait::eventually;

/// Any 16 bytes: it only has to be the same on all brokers.
const CLUSTER_ID: &str = "c3BpbGx3YXktdGVzdGJlZA";

/// What Kafka to start.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// One or three.
    pub brokers: usize,
    /// Users and passwords of a second listener, SASL over plain text (PLAIN and SCRAM-SHA-512);
    /// none: no such listener.
    pub sasl: Vec<(String, String)>,
    /// How long a new group waits for more members (`group.initial.rebalance.delay.ms`).
    pub rebalance_delay: Duration,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { brokers: 1, sasl: Vec::new(), rebalance_delay: Duration::ZERO }
    }
}

struct Broker {
    spec: Spec,
    child: Mutex<Option<Child>>,
    port: u16,
    sasl_port: Option<u16>,
}

/// A running Kafka. Dropped, it ends.
pub struct Kafka {
    pub(crate) java: PathBuf,
    pub(crate) class_path: String,
    brokers: Vec<Broker>,
}

impl Kafka {
    /// Starts one in `dir`.
    ///
    /// # Errors
    /// When it does not start; the error holds the end of its log.
    pub async fn start(tools: &Tools, dir: &Path, options: &KafkaOptions) -> Result<Self> {
        let mut last = anyhow!("not tried");
        for _ in 0..3 {
            match Self::try_start(tools, dir, options).await {
                Ok(kafka) => return Ok(kafka),
                Err(error) if format!("{error:#}").contains("Address already in use") => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn try_start(tools: &Tools, dir: &Path, options: &KafkaOptions) -> Result<Self> {
        let _ = fs::remove_dir_all(dir);
        let java = tools.java();
        let class_path = format!("{}/*", tools.kafka_libs().display());
        let count = options.brokers.max(1);
        let ports = ports::free(count * 3)?;
        let voters: Vec<String> = (0..count).map(|i| format!("{}@127.0.0.1:{}", i + 1, ports[i * 3 + 1])).collect();
        let mut brokers = Vec::new();
        for i in 0..count {
            let own = dir.join(format!("broker-{}", i + 1));
            fs::create_dir_all(&own)?;
            let sasl_port = (!options.sasl.is_empty()).then_some(ports[i * 3 + 2]);
            let text = properties(i + 1, &own, ports[i * 3], ports[i * 3 + 1], sasl_port, &voters.join(","), options);
            let config = own.join("server.properties");
            fs::write(&config, text)?;
            let log4j = own.join("log4j2.properties");
            fs::write(&log4j, LOG4J)?;
            let mut format = Command::new(&java);
            format
                .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", &class_path])
                .arg(format!("-Dlog4j2.configurationFile={}", log4j.display()))
                .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
                .arg(&config);
            for (user, password) in &options.sasl {
                format.arg("--add-scram").arg(format!("SCRAM-SHA-512=[name={user},password={password}]"));
                format.arg("--add-scram").arg(format!("SCRAM-SHA-256=[name={user},password={password}]"));
            }
            let formatted = format.kill_on_drop(true).output().await.context("starting java")?;
            if !formatted.status.success() {
                let text = [formatted.stdout, formatted.stderr].concat();
                bail!("formatting Kafka's storage failed: {}", String::from_utf8_lossy(&text));
            }
            let spec = Spec {
                program: java.clone(),
                args: [
                    "-Xmx384m",
                    "-XX:TieredStopAtLevel=1",
                    "-XX:+UseSerialGC",
                    &format!("-Dlog4j2.configurationFile={}", log4j.display()),
                    "-cp",
                    &class_path,
                    "kafka.Kafka",
                    &config.to_string_lossy(),
                ]
                .map(String::from)
                .into(),
                log: own.join("kafka.log"),
                ..Spec::default()
            };
            brokers.push(Broker { spec, child: Mutex::new(None), port: ports[i * 3], sasl_port });
        }
        let kafka = Self { java, class_path, brokers };
        kafka.start_again().await?;
        Ok(kafka)
    }

    /// The plain listeners, `host:port,…`.
    pub fn bootstrap(&self) -> String {
        let all: Vec<String> = self.brokers.iter().map(|b| format!("127.0.0.1:{}", b.port)).collect();
        all.join(",")
    }

    /// The listeners that ask for a login.
    ///
    /// # Panics
    /// When it was started without users.
    pub fn sasl_bootstrap(&self) -> String {
        let all: Vec<String> = self
            .brokers
            .iter()
            .map(|b| format!("127.0.0.1:{}", b.sasl_port.expect("Kafka was started without SASL users")))
            .collect();
        all.join(",")
    }

    /// Stops every broker in order; the data stays.
    pub async fn stop(&self) {
        for i in 0..self.brokers.len() {
            self.stop_broker(i).await;
        }
    }

    /// Stops one broker.
    pub async fn stop_broker(&self, i: usize) {
        if let Some(child) = self.take(i) {
            child.stop(Duration::from_secs(20)).await;
        }
    }

    /// Kills every broker.
    pub async fn kill(&self) {
        for i in 0..self.brokers.len() {
            if let Some(child) = self.take(i) {
                child.signal(Signal::KILL);
                child.wait().await;
            }
        }
    }

    fn take(&self, i: usize) -> Option<Child> {
        self.brokers[i].child.lock().ok().and_then(|mut child| child.take())
    }

    /// Starts the brokers that are not running, on the ports they had, and waits for them.
    ///
    /// # Errors
    /// When one does not get ready.
    pub async fn start_again(&self) -> Result<()> {
        for broker in &self.brokers {
            if let Ok(mut child) = broker.child.lock()
                && child.as_ref().is_none_or(|c| c.exited().is_some())
            {
                *child = Some(spawn(&broker.spec)?);
            }
        }
        self.ready().await
    }

    async fn ready(&self) -> Result<()> {
        let want = self.brokers.len();
        let bootstrap = self.bootstrap();
        let ready = eventually("Kafka", Duration::from_secs(120), || {
            let bootstrap = bootstrap.clone();
            async move {
                if let Some(ended) = self.ended() {
                    return Ok::<_, anyhow::Error>(Err(ended));
                }
                let brokers = tokio::task::spawn_blocking(move || brokers_known(&bootstrap)).await??;
                if brokers < want { bail!("{brokers} of {want} brokers") } else { Ok(Ok(())) }
            }
        });
        match ready.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ended)) => Err(anyhow!(ended)),
            Err(error) => Err(error.context(self.tails())),
        }
    }

    fn ended(&self) -> Option<String> {
        self.brokers.iter().find_map(|b| {
            let child = b.child.lock().ok()?;
            let child = child.as_ref()?;
            child.exited().map(|status| format!("a broker ended ({status}):\n{}", child.tail(15)))
        })
    }

    fn tails(&self) -> String {
        let tails = self.brokers.iter().filter_map(|b| Some(b.child.lock().ok()?.as_ref()?.tail(10)));
        format!("the brokers' logs end with:\n{}", tails.collect::<Vec<_>>().join("\n---\n"))
    }

    /// Every broker stops answering, with its connections open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// The brokers go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        for broker in &self.brokers {
            if let Ok(child) = broker.child.lock()
                && let Some(child) = &*child
            {
                child.signal(signal);
            }
        }
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(ClientConfig::new().set("bootstrap.servers", self.bootstrap()).set("log_level", "0").create()?)
    }

    /// Creates a topic and waits until it can be used.
    ///
    /// # Errors
    /// When Kafka refuses.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let replicas = self.brokers.len().min(3) as i32;
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        for made in self.admin()?.create_topics([&topic], &limits()).await? {
            made.map_err(|(topic, error)| anyhow!("creating topic {topic}: {error}"))?;
        }
        let bootstrap = self.bootstrap();
        eventually("the topic's leaders", Duration::from_secs(30), || {
            let (bootstrap, name) = (bootstrap.clone(), name.to_owned());
            async move {
                let led = tokio::task::spawn_blocking(move || partitions_led(&bootstrap, &name)).await??;
                if led == partitions as usize { Ok(()) } else { bail!("{led} of {partitions} partitions") }
            }
        })
        .await
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// When Kafka refuses.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        for done in self.admin()?.delete_topics(&[name], &limits()).await? {
            done.map_err(|(topic, error)| anyhow!("deleting topic {topic}: {error}"))?;
        }
        Ok(())
    }

    /// Deletes the messages of a partition before an offset, as retention does.
    ///
    /// # Errors
    /// When Kafka refuses.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before))?;
        self.admin()?.delete_records(&list, &limits()).await?;
        Ok(())
    }
}

fn limits() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(Duration::from_secs(20)))
        .operation_timeout(Some(Duration::from_secs(20)))
}

fn probe(bootstrap: &str) -> Result<rdkafka::producer::BaseProducer> {
    Ok(ClientConfig::new().set("bootstrap.servers", bootstrap).set("log_level", "0").create()?)
}

fn brokers_known(bootstrap: &str) -> Result<usize> {
    use rdkafka::producer::Producer as _;
    let metadata = probe(bootstrap)?.client().fetch_metadata(None, Duration::from_secs(3))?;
    Ok(metadata.brokers().len())
}

fn partitions_led(bootstrap: &str, topic: &str) -> Result<usize> {
    use rdkafka::producer::Producer as _;
    let metadata = probe(bootstrap)?.client().fetch_metadata(Some(topic), Duration::from_secs(5))?;
    Ok(metadata.topics().iter().flat_map(|t| t.partitions()).filter(|p| p.leader() > 0).count())
}

const LOG4J: &str = "status=error
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
";

fn properties(
    id: usize,
    dir: &Path,
    port: u16,
    controller_port: u16,
    sasl_port: Option<u16>,
    voters: &str,
    options: &KafkaOptions,
) -> String {
    let replicas = options.brokers.clamp(1, 3);
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{port}");
    let mut extra = String::new();
    if let Some(sasl_port) = sasl_port {
        listeners.push_str(&format!(",SASL://127.0.0.1:{sasl_port}"));
        let users: Vec<String> = options.sasl.iter().map(|(u, p)| format!("user_{u}=\"{p}\"")).collect();
        let package = "org.apache.kafka.common.security";
        extra.push_str(&format!(
            "listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config={package}.plain.PlainLoginModule required {};
listener.name.sasl.scram-sha-256.sasl.jaas.config={package}.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config={package}.scram.ScramLoginModule required;
",
            users.join(" ")
        ));
    }
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners={listeners},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms={}
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
log.cleaner.enable=false
{extra}",
        dir.join("data").display(),
        options.rebalance_delay.as_millis(),
    )
}
