//! `docs/kafka-permissions.md`, command by command: what it grants is enough, and what is said without.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use spillway::decide::GroupObservation;
use spillway::kafka::{Connection, GroupRequest, Isolation};
use spillway_testbed::secured::{PASSWORD, Secured, USERS};
use spillway_testbed::wait::eventually;

use super::{LIMIT, config, password, request, test, trusting};

const DOCUMENT: &str = include_str!("../../docs/kafka-permissions.md");
const NO_GROUP: &str = "not allowed to describe it: grant DESCRIBE on the group";
const NO_TOPIC: &str = "does not exist, or may not be described: correct consumerGroups[].topics, create it, or grant DESCRIBE on it";

/// The document's commands that hold these words, for a user of the bed.
async fn run(bed: &Secured, user: &str, words: &str, without: Option<&str>) -> Result<()> {
    let servers = bed.kafka.bootstrap();
    let command = DOCUMENT
        .lines()
        .find(|line| line.starts_with("kafka-acls.sh ") && line.contains(words))
        .with_context(|| format!("no command with {words:?} in the document"))?;
    let command = command
        .trim_start_matches("kafka-acls.sh ")
        .replace("kafka:9092", &servers)
        .replace("User:spillway", &format!("User:{user}"));
    let command = without.map_or(command.clone(), |part| command.replace(part, ""));
    let args: Vec<&str> = command.split_whitespace().collect();
    bed.kafka.run_tool("org.apache.kafka.tools.AclCommand", &args).await.map(drop)
}

fn opened(bed: &Secured, user: usize) -> Result<Connection> {
    let sasl = password("SCRAM-SHA-512", USERS[user].0, USERS[user].1);
    Ok(Connection::open(&config(bed.at(PASSWORD), trusting(bed), sasl))?)
}

/// Waits until a group is seen so.
async fn seen(
    what: &str,
    connection: &Connection,
    request: GroupRequest,
    fits: impl Fn(&GroupObservation) -> bool,
) -> Result<()> {
    eventually(what, LIMIT, || async {
        let swept = connection.sweep(vec![request.clone()], Duration::from_secs(5)).await;
        ensure!(swept.problem.is_none(), "Kafka answers, and {:?}", swept.problem);
        ensure!(fits(&swept.groups[0]), "{:?}", swept.groups);
        Ok(())
    })
    .await
}

fn says(group: &GroupObservation, words: &str) -> bool {
    group.problems.iter().any(|p| p.contains(words))
}

/// A member of a group of the new protocol (KIP-848): its description is another call.
async fn member(bed: &Secured, topic: &str) -> Result<StreamConsumer> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", bed.kafka.bootstrap())
        .set("group.id", topic)
        .set("group.protocol", "consumer")
        .create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

#[test]
fn the_documents_rights_are_enough_and_each_is_needed() {
    test(async |bed| {
        bed.kafka.create_topic("orders", 2).await?;
        bed.kafka.create_topic("shop.bills", 2).await?;
        let consumer = member(bed, "orders").await?;
        let mut reading = std::pin::pin!(consumer.recv());
        let work = async {
            for words in [NO_GROUP, NO_TOPIC] {
                ensure!(DOCUMENT.contains(words), "the document does not say {words:?}");
            }
            let (spillway, alice, ann) = (opened(bed, 0)?, opened(bed, 1)?, opened(bed, 2)?);
            seen("nothing to be allowed", &spillway, request("orders"), |g| {
                says(g, NO_GROUP) && says(g, NO_TOPIC)
            })
            .await?;
            let both = "--operation Describe --group orders --topic orders";
            run(bed, USERS[1].0, both, Some("--topic orders")).await?;
            seen("the group alone to be allowed", &alice, request("orders"), |g| {
                !says(g, NO_GROUP) && says(g, NO_TOPIC)
            })
            .await?;
            run(bed, USERS[2].0, both, Some("--group orders")).await?;
            seen("the topic alone to be allowed", &ann, request("orders"), |g| {
                says(g, NO_GROUP) && !says(g, NO_TOPIC)
            })
            .await?;

            run(bed, USERS[0].0, both, None).await?;
            let by_group = GroupRequest { topics: None, ..request("orders") };
            let read = |g: &GroupObservation| g.complete() && g.members.len() == 1 && g.partitions.len() == 2;
            seen("a group with a member to be read", &spillway, by_group.clone(), read).await?;
            seen("how long messages are kept not to be known", &spillway, by_group.clone(), |g| {
                read(g) && g.partitions.iter().all(|p| p.retention.is_none())
            })
            .await?;

            run(bed, USERS[0].0, "--operation DescribeConfigs", None).await?;
            let fresh = opened(bed, 0)?;
            seen("how long messages are kept to be known", &fresh, by_group, |g| {
                read(g) && g.partitions.iter().all(|p| p.retention == Some(604_800.0))
            })
            .await?;

            run(bed, USERS[0].0, "--resource-pattern-type prefixed", None).await?;
            bed.kafka.commit("shop.bills", "shop.bills", 0, 0).await?;
            let uncommitted = GroupRequest { isolation: Isolation::ReadUncommitted, ..request("shop.bills") };
            seen("what begins alike to be read", &fresh, uncommitted, |g| g.complete()).await?;

            let denied = || {
                bed.kafka.logged("Principal = User:spillway is Denied operation = DESCRIBE from host = 127.0.0.1 on resource = Group:LITERAL:spillway")
            };
            ensure!(denied()? > 0, "nobody asked for the group spillway");
            run(bed, USERS[0].0, "--group spillway", None).await?;
            eventually("the group spillway not to be refused any more", LIMIT, || async {
                let (before, another) = (denied()?, opened(bed, 0)?);
                let swept = another.sweep(vec![request("orders")], Duration::from_secs(5)).await;
                ensure!(swept.groups[0].complete(), "{:?}", swept.groups);
                ensure!(denied()? == before, "refused again");
                Ok(())
            })
            .await
        };
        tokio::select! {
            outcome = work => outcome,
            message = &mut reading => Err(anyhow::anyhow!("the member ended: {message:?}")),
        }
    });
}
