//! What tests do inside the cluster: topics, records, groups' offsets.
//!
//! Groups are described by Kafka's own command-line tool, so that Spillway's
//! figures are compared with somebody else's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::Kafka;
use crate::process;
use crate::tools::java;

const LIMIT: Duration = Duration::from_secs(30);
/// A JVM that starts beside a compiler is slow.
const TOOL_LIMIT: Duration = Duration::from_secs(90);

/// A line of `kafka-consumer-groups --describe --offsets`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToolRow {
    /// Topic.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Committed offset, if there is one.
    pub committed: Option<i64>,
    /// End offset of the partition, if known.
    pub end: Option<i64>,
    /// Messages between the two, if both are known.
    pub lag: Option<i64>,
    /// Id of the member that has the partition, if any.
    pub member: Option<String>,
    /// Where that member connects from.
    pub host: Option<String>,
    /// What it calls itself (`client.id`).
    pub client: Option<String>,
}

/// Where [`Kafka::reset_offsets`] puts a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// The first message kept.
    Earliest,
    /// Behind the last message.
    Latest,
    /// An offset, the same in every partition.
    Offset(i64),
}

impl Kafka {
    /// Client settings for the listener without authentication.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config
    }

    fn admin(&self) -> Result<(AdminClient<DefaultClientContext>, AdminOptions)> {
        let options = AdminOptions::new().operation_timeout(Some(LIMIT)).request_timeout(Some(LIMIT));
        Ok((self.client().create()?, options))
    }

    /// Creates a topic, on all brokers, and waits until each partition has a leader.
    ///
    /// # Errors
    /// When it exists, or the cluster does not do it in time.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        self.create_replicated_topic(name, partitions, i32::try_from(self.brokers())?).await
    }

    /// As [`Kafka::create_topic`], with each partition on this many brokers.
    ///
    /// # Errors
    /// When it exists, or the cluster does not do it in time.
    pub async fn create_replicated_topic(&self, name: &str, partitions: i32, replicas: i32) -> Result<()> {
        self.create_configured_topic(name, partitions, replicas, &[]).await
    }

    /// As [`Kafka::create_replicated_topic`], with settings of the topic: `("retention.ms", "60000")`.
    ///
    /// # Errors
    /// When it exists, a setting is refused, or the cluster does not do it in time.
    pub async fn create_configured_topic(
        &self,
        name: &str,
        partitions: i32,
        replicas: i32,
        settings: &[(&str, &str)],
    ) -> Result<()> {
        let (admin, options) = self.admin()?;
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let answer = admin.create_topics([&topic], &options).await?;
        for topic in answer {
            topic.map_err(|(name, error)| anyhow::anyhow!("creating topic {name}: {error}"))?;
        }
        self.partitions_are(name, partitions).await
    }

    /// Gives a topic more partitions: `partitions` in all.
    ///
    /// # Errors
    /// When the cluster refuses or does not do it in time.
    pub async fn grow_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let (admin, options) = self.admin()?;
        let wanted = NewPartitions::new(name, usize::try_from(partitions)?);
        for topic in admin.create_partitions([&wanted], &options).await? {
            topic.map_err(|(name, error)| anyhow::anyhow!("growing topic {name}: {error}"))?;
        }
        self.partitions_are(name, partitions).await
    }

    /// Deletes a topic and waits until it is gone.
    ///
    /// # Errors
    /// When there is none, or the cluster does not do it in time.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        let (admin, options) = self.admin()?;
        for topic in admin.delete_topics(&[name], &options).await? {
            topic.map_err(|(name, error)| anyhow::anyhow!("deleting topic {name}: {error}"))?;
        }
        self.partitions_are(name, 0).await
    }

    /// Id of the broker that leads a partition; `None`: nobody does.
    ///
    /// # Errors
    /// When no broker answers in time, or there is no such partition.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<Option<i32>> {
        let (config, topic) = (self.client(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let client: BaseConsumer = config.create()?;
            let metadata = client.fetch_metadata(Some(&topic), LIMIT)?;
            let partitions = metadata.topics().first().map_or(&[][..], |t| t.partitions());
            let found = partitions.iter().find(|p| p.id() == partition);
            let leader = found.with_context(|| format!("no partition {topic}/{partition}"))?.leader();
            Ok((leader >= 0).then_some(leader))
        })
        .await?
    }

    /// Waits until the topic has exactly this many partitions, all with a leader.
    async fn partitions_are(&self, name: &str, wanted: i32) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let (config, topic) = (self.client(), name.to_owned());
            let seen = tokio::task::spawn_blocking(move || -> Result<usize> {
                let client: BaseConsumer = config.create()?;
                let metadata = client.fetch_metadata(Some(&topic), Duration::from_secs(5))?;
                let partitions = metadata.topics().first().map_or(&[][..], |t| t.partitions());
                Ok(partitions.iter().filter(|p| p.leader() >= 0).count())
            })
            .await?;
            if seen.as_ref().is_ok_and(|&n| i32::try_from(n) == Ok(wanted)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("topic {name}: {wanted} partitions expected, {seen:?} after {LIMIT:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Deletes the records of a partition below offset `before`, as retention would.
    ///
    /// # Errors
    /// When the cluster refuses or does not do it in time.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let (admin, options) = self.admin()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before))?;
        let answer = admin.delete_records(&list, &options).await?;
        for element in answer.elements() {
            element.error().with_context(|| format!("deleting records of {topic}/{partition}"))?;
        }
        Ok(())
    }

    /// First kept offset and end offset of a partition.
    ///
    /// # Errors
    /// When the cluster does not answer in time.
    pub async fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let (config, topic) = (self.client(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let client: BaseConsumer = config.create()?;
            Ok(client.fetch_watermarks(&topic, partition, LIMIT)?)
        })
        .await?
    }

    /// A group's offsets as Kafka's own tool sees them, sorted; empty for a group
    /// that does not exist.
    ///
    /// # Errors
    /// When the tool fails or its output cannot be read.
    pub async fn describe_group(&self, group: &str) -> Result<Vec<ToolRow>> {
        Ok(self.describe_groups(&[group]).await?.remove(group).unwrap_or_default())
    }

    /// The same of several groups, by one run of the tool. A group that does not exist is not there.
    ///
    /// # Errors
    /// As [`Kafka::describe_group`].
    pub async fn describe_groups(&self, groups: &[&str]) -> Result<BTreeMap<String, Vec<ToolRow>>> {
        let mut args = vec!["--describe", "--offsets"];
        for group in groups {
            args.extend(["--group", group]);
        }
        let output = self.group_tool(&args).await?;
        parse_describe(&output, groups)
            .with_context(|| format!("reading the description of groups {groups:?}:\n{output}"))
    }

    /// Moves the committed offsets of a group without members.
    ///
    /// # Errors
    /// When the tool fails, for instance because the group has members.
    pub async fn reset_offsets(&self, group: &str, topic: &str, to: ResetTo) -> Result<()> {
        let offset;
        let mut args = vec!["--reset-offsets", "--execute", "--group", group];
        args.extend(["--topic", topic]);
        match to {
            ResetTo::Earliest => args.push("--to-earliest"),
            ResetTo::Latest => args.push("--to-latest"),
            ResetTo::Offset(at) => {
                offset = at.to_string();
                args.extend(["--to-offset", &offset]);
            }
        }
        let output = self.group_tool(&args).await?;
        // The tool reports a refusal on its output and exits with 0.
        ensure!(!output.contains("Error:"), "resetting the offsets of group {group}: {output}");
        Ok(())
    }

    /// Commits an offset of a group without members on a partition: faster than the tool.
    ///
    /// # Errors
    /// When Kafka refuses it, for instance because the group has members.
    pub async fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let mut config = self.client();
        config.set("group.id", group).set("enable.auto.commit", "false");
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        let said = format!("committing {offset} for group {group} on {topic}-{partition}");
        tokio::task::spawn_blocking(move || -> Result<()> {
            let client: BaseConsumer = config.create()?;
            let deadline = Instant::now() + LIMIT;
            // The coordinator of a group that is new may not be there yet.
            while let Err(error) = client.commit(&offsets, CommitMode::Sync) {
                ensure!(Instant::now() < deadline, "{error}");
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        })
        .await?
        .context(said)
    }

    /// How often a group of the classic protocol was rebalanced, by the brokers' own logs.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn rebalances(&self, group: &str) -> Result<usize> {
        self.logged(&format!("Stabilized group {group} generation "))
    }

    /// How often the brokers' logs have a line with these words.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn logged(&self, said: &str) -> Result<usize> {
        let mut count = 0;
        for log in self.logs() {
            let text = std::fs::read_to_string(&log).with_context(|| format!("reading {}", log.display()))?;
            count += text.lines().filter(|line| line.contains(said)).count();
        }
        Ok(count)
    }

    /// Gives a user another password, for SCRAM-SHA-512.
    ///
    /// # Errors
    /// When the tool fails.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<()> {
        let servers = self.bootstrap();
        let credentials = format!("SCRAM-SHA-512=[password={password}]");
        let mut args = vec!["--bootstrap-server", &servers, "--alter", "--add-config", &credentials];
        args.extend(["--entity-type", "users", "--entity-name", user]);
        self.run_tool("kafka.admin.ConfigCommand", &args).await.map(drop)
    }

    async fn group_tool(&self, args: &[&str]) -> Result<String> {
        let bootstrap = self.bootstrap();
        let mut all = vec!["--bootstrap-server", &bootstrap, "--timeout", "20000"];
        all.extend(args);
        let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
        self.run_tool(class, &all).await
    }

    /// Runs one of Kafka's command-line tools by its class and returns its standard
    /// output.
    ///
    /// # Errors
    /// When it fails or takes more than a minute and a half.
    pub async fn run_tool(&self, class: &str, args: &[&str]) -> Result<String> {
        let log4j = self.dir.join("tool-log4j2.properties");
        let mut command = process::command(&java());
        command
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
            .arg(format!("-Dlog4j2.configurationFile={}", log4j.display()))
            .arg("-cp")
            .arg(format!("{}/*", self.libs.display()))
            .arg(class)
            .args(args);
        let output = process::output(command, "", TOOL_LIMIT).await.with_context(|| class.to_owned())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{class} {}: {}\n{text}{}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    }
}

/// Reads the tables by their headers: columns come and go between versions. Each group has a table
/// of its own, with remarks in between.
fn parse_describe(output: &str, groups: &[&str]) -> Result<BTreeMap<String, Vec<ToolRow>>> {
    let mut tables: BTreeMap<String, Vec<ToolRow>> = BTreeMap::new();
    let mut header: Vec<&str> = Vec::new();
    for line in output.lines().map(str::trim) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        match cells.first() {
            Some(&"GROUP") => header = cells,
            Some(group) if groups.contains(group) => {
                let rows = tables.entry((*group).to_owned()).or_default();
                rows.extend(row(&header, &cells).with_context(|| format!("in {line:?}"))?);
            }
            _ => {}
        }
    }
    tables.values_mut().for_each(|rows| rows.sort());
    Ok(tables)
}

/// Nothing for a member without partitions, which has a line of its own with no topic.
fn row(header: &[&str], cells: &[&str]) -> Result<Option<ToolRow>> {
    let text = |name: &str| -> Result<Option<&str>> {
        let column = header.iter().position(|h| *h == name).with_context(|| format!("no column {name}"))?;
        let cell = cells.get(column).with_context(|| format!("nothing under {name}"))?;
        Ok((*cell != "-").then_some(*cell))
    };
    let number = |name: &str| -> Result<Option<i64>> {
        text(name)?.map(str::parse).transpose().with_context(|| format!("no number under {name}"))
    };
    let (Some(topic), Some(partition)) = (text("TOPIC")?, number("PARTITION")?) else {
        return Ok(None);
    };
    Ok(Some(ToolRow {
        topic: topic.to_owned(),
        partition: i32::try_from(partition)?,
        committed: number("CURRENT-OFFSET")?,
        end: number("LOG-END-OFFSET")?,
        lag: number("LAG")?,
        member: text("CONSUMER-ID")?.map(str::to_owned),
        host: text("HOST")?.map(str::to_owned),
        client: text("CLIENT-ID")?.map(str::to_owned),
    }))
}
