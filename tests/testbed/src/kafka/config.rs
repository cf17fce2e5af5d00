//! What a Kafka node is told: its ports, its properties, its log settings.
//!
//! It starts nothing.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Result, bail};

/// What kind of cluster to run.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Number of combined broker and controller nodes: 1 or 3.
    pub brokers: usize,
    /// Users (name, password) of a second listener, `SASL_PLAINTEXT` with PLAIN
    /// and SCRAM-SHA-512. Empty: no such listener.
    pub sasl: Vec<(String, String)>,
    /// Users (name, password) with SCRAM credentials of both kinds, beside those of `sasl`.
    pub scram: Vec<(String, String)>,
    /// Further listeners.
    pub listeners: Vec<Listener>,
    /// Further arguments of the brokers' JVM.
    pub jvm: Vec<String>,
    /// How long a new classic group waits for more members before its first
    /// assignment (`group.initial.rebalance.delay.ms`; Kafka's own default is 3 s).
    pub rebalance_delay: Duration,
    /// How long a silent member of a group of the new protocol stays in it
    /// (`group.consumer.session.timeout.ms`; Kafka's own default is 45 s).
    pub consumer_session: Duration,
    /// Further broker properties, which win over those set here.
    pub properties: Vec<(String, String)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: 1,
            sasl: Vec::new(),
            scram: Vec::new(),
            listeners: Vec::new(),
            jvm: Vec::new(),
            rebalance_delay: Duration::ZERO,
            consumer_session: Duration::from_secs(6),
            properties: Vec::new(),
        }
    }
}

/// A listener beside those that every node has.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name, in capitals.
    pub name: &'static str,
    /// `SSL`, `SASL_SSL`, …
    pub protocol: &'static str,
    /// Broker properties, without their prefix `listener.name.….`.
    pub properties: Vec<(String, String)>,
    /// The port of each node that clients are told, where something stands before it (see
    /// [`crate::relay`]); empty: its own.
    pub advertised: Vec<u16>,
}

/// The ports of one node.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    pub plain: u16,
    pub sasl: u16,
    pub controller: u16,
    /// Of the further listeners, in their order.
    pub more: Vec<u16>,
}

/// Ports nobody listens on now. They are taken from below the range the kernel
/// gives to outgoing connections: a node that is down for a while must find its
/// port free when it comes back.
pub(super) fn free_ports(count: usize) -> Result<Vec<u16>> {
    const FIRST: u16 = 20_000;
    const SPAN: u64 = 12_000;
    let mut random = RandomState::new().build_hasher();
    let mut ports = Vec::new();
    for attempt in 0..10_000u64 {
        random.write_u64(attempt);
        let port = FIRST + u16::try_from(random.finish() % SPAN)?;
        if !ports.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
            if ports.len() == count {
                return Ok(ports);
            }
        }
    }
    bail!("no {count} free TCP ports on 127.0.0.1 between {FIRST} and 32000");
}

/// The text of `server.properties` of node `id` (from 1).
pub(super) fn properties(options: &KafkaOptions, all: &[Ports], id: usize, data: &std::path::Path) -> String {
    let ports = &all[id - 1];
    let replicas = options.brokers.min(3);
    let voters: Vec<String> =
        all.iter().enumerate().map(|(i, p)| format!("{}@127.0.0.1:{}", i + 1, p.controller)).collect();
    let mut listeners =
        format!("PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}", ports.plain, ports.controller);
    let mut advertised = format!("PLAINTEXT://127.0.0.1:{}", ports.plain);
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |key: &str, value: &dyn std::fmt::Display| {
        set.insert(key.to_owned(), value.to_string());
    };
    if !options.sasl.is_empty() {
        let sasl = format!(",SASL://127.0.0.1:{}", ports.sasl);
        listeners.push_str(&sasl);
        advertised.push_str(&sasl);
        let users: String =
            options.sasl.iter().map(|(user, password)| format!(" user_{user}=\"{password}\"")).collect();
        put("sasl.enabled.mechanisms", &"PLAIN,SCRAM-SHA-512");
        put(
            "listener.name.sasl.plain.sasl.jaas.config",
            &format!("org.apache.kafka.common.security.plain.PlainLoginModule required{users};"),
        );
        put(
            "listener.name.sasl.scram-sha-512.sasl.jaas.config",
            &"org.apache.kafka.common.security.scram.ScramLoginModule required;",
        );
    }
    let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT".to_owned();
    for (listener, port) in options.listeners.iter().zip(&ports.more) {
        let told = listener.advertised.get(id - 1).unwrap_or(port);
        listeners.push_str(&format!(",{}://127.0.0.1:{port}", listener.name));
        advertised.push_str(&format!(",{}://127.0.0.1:{told}", listener.name));
        protocols.push_str(&format!(",{}:{}", listener.name, listener.protocol));
        for (key, value) in &listener.properties {
            put(&format!("listener.name.{}.{key}", listener.name.to_lowercase()), value);
        }
    }
    put("process.roles", &"broker,controller");
    put("node.id", &id);
    put("controller.quorum.voters", &voters.join(","));
    put("controller.listener.names", &"CONTROLLER");
    put("inter.broker.listener.name", &"PLAINTEXT");
    put("listener.security.protocol.map", &protocols);
    put("listeners", &listeners);
    put("advertised.listeners", &advertised);
    put("log.dirs", &data.display());
    // A test that names a wrong topic must fail, not make one.
    put("auto.create.topics.enable", &false);
    put("default.replication.factor", &replicas);
    put("min.insync.replicas", &replicas.min(2));
    put("offsets.topic.num.partitions", &4);
    put("offsets.topic.replication.factor", &replicas);
    put("transaction.state.log.num.partitions", &4);
    put("transaction.state.log.replication.factor", &replicas);
    put("transaction.state.log.min.isr", &1);
    put("share.coordinator.state.topic.num.partitions", &1);
    put("share.coordinator.state.topic.replication.factor", &replicas);
    put("share.coordinator.state.topic.min.isr", &1);
    put("group.initial.rebalance.delay.ms", &options.rebalance_delay.as_millis());
    // Lower bounds only: what a test asks for is then what it gets.
    put("group.min.session.timeout.ms", &1000);
    put("group.consumer.min.session.timeout.ms", &1000);
    put("group.consumer.min.heartbeat.interval.ms", &300);
    put("group.consumer.session.timeout.ms", &options.consumer_session.as_millis());
    put("group.consumer.heartbeat.interval.ms", &(options.consumer_session.as_millis() / 4).max(300));
    // A lost broker is noticed in seconds rather than in nine.
    put("broker.heartbeat.interval.ms", &500);
    put("broker.session.timeout.ms", &3000);
    // The heap is small, and so is the machine.
    put("log.cleaner.dedupe.buffer.size", &10_485_760);
    put("num.network.threads", &2);
    put("num.io.threads", &4);
    put("group.coordinator.threads", &1);
    put("file.delete.delay.ms", &1000);
    for (key, value) in &options.properties {
        put(key, value);
    }
    set.iter().map(|(k, v)| format!("{k}={v}\n")).collect()
}

/// Everything from INFO on goes to standard output, thus to the node's log file.
pub(super) const BROKER_LOG4J: &str = "\
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c{1}: %m%n
rootLogger.level=info
rootLogger.appenderRef.console.ref=console
";

/// A tool's output is parsed: only what is wrong may be mixed in, and on stderr.
pub(super) const TOOL_LOG4J: &str = "\
status=error
appender.console.type=Console
appender.console.name=console
appender.console.target=SYSTEM_ERR
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%p %c{1}: %m%n
rootLogger.level=error
rootLogger.appenderRef.console.ref=console
";
