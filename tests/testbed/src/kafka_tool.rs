//! What Kafka's own `kafka-consumer-groups` tool says: the measure for lag.
//!
//! It runs the tool from kafka-tools with java, and reads its table by its header.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::kafka::Kafka;

/// A line of `--describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRow {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// CURRENT-OFFSET; `None` for `-`.
    pub committed: Option<i64>,
    /// LOG-END-OFFSET.
    pub end: Option<i64>,
    /// LAG.
    pub lag: Option<i64>,
    /// CONSUMER-ID.
    pub member: Option<String>,
}

impl Kafka {
    /// The offsets and lag of a group, by topic and partition.
    ///
    /// # Errors
    /// When the tool fails or prints no table.
    pub async fn describe_group(&self, group: &str) -> Result<BTreeMap<(String, i32), ToolRow>> {
        let text = self.groups_tool(&["--describe", "--offsets", "--group", group]).await?;
        table(&text).with_context(|| format!("the tool said:\n{text}"))
    }

    /// Sets the offsets of a group without members, for instance `--to-earliest`.
    ///
    /// # Errors
    /// When the tool fails.
    pub async fn reset_offsets(&self, group: &str, topic: &str, to: &[&str]) -> Result<()> {
        let mut args = vec!["--reset-offsets", "--execute", "--group", group, "--topic", topic];
        args.extend(to);
        self.groups_tool(&args).await.map(drop)
    }

    async fn groups_tool(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.java)
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &self.class_path])
            .arg("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand")
            .args(["--bootstrap-server", &self.bootstrap(), "--timeout", "20000"])
            .args(args)
            .kill_on_drop(true)
            .output()
            .await
            .context("starting java")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("kafka-consumer-groups failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(text)
    }
}

fn table(text: &str) -> Result<BTreeMap<(String, i32), ToolRow>> {
    let mut lines = text.lines().skip_while(|l| !l.starts_with("GROUP"));
    let header: Vec<&str> = lines.next().context("no header that begins with GROUP")?.split_whitespace().collect();
    let column = |name: &str| header.iter().position(|h| *h == name).with_context(|| format!("no column {name}"));
    let (topic, partition) = (column("TOPIC")?, column("PARTITION")?);
    let (committed, end, lag) = (column("CURRENT-OFFSET")?, column("LOG-END-OFFSET")?, column("LAG")?);
    let member = column("CONSUMER-ID")?;
    let mut rows = BTreeMap::new();
    for line in lines.take_while(|l| !l.trim().is_empty()) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let text = |i: usize| cells.get(i).copied().filter(|c| *c != "-");
        let number = |i: usize| text(i).map(str::parse::<i64>).transpose();
        let (Some(topic), Some(partition)) = (text(topic), number(partition)?) else { continue };
        let row = ToolRow {
            topic: topic.to_owned(),
            partition: partition as i32,
            committed: number(committed)?,
            end: number(end)?,
            lag: number(lag)?,
            member: text(member).map(str::to_owned),
        };
        rows.insert((row.topic.clone(), row.partition), row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_no_number() {
        let text = "
Consumer group 'g' has no active members.

GROUP  TOPIC   PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID
g      orders  0          5               12              7    -            -     -
g      orders  1          -               3               -    m-1          /h    c
";
        let rows = table(text).unwrap();
        assert_eq!(rows[&("orders".to_owned(), 0)].lag, Some(7));
        let second = &rows[&("orders".to_owned(), 1)];
        assert_eq!((second.committed, second.end, second.lag), (None, Some(3), None));
        assert_eq!(second.member.as_deref(), Some("m-1"));
        assert!(table("nothing").is_err());
    }
}
