//! A connection to Kafka leaves nothing behind, whatever it was doing when it was dropped.
//!
//! Its calls go past Rust's own checks (`src/kafka/admin.rs`), so what is left of it is counted: its
//! threads. `make valgrind` shows what else could be left. What it reads is in `e2e/lag`,
//! how it is let in is in `security`.
#![allow(missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use spillway::kafka::{Connection, ConnectionConfig, GroupRequest, Isolation};
use spillway_testbed::kafka::{Kafka, KafkaOptions, Listener};
use spillway_testbed::relay::{Answers, Relay};
use spillway_testbed::tools::Tools;
use spillway_testbed::wait::eventually;
use tokio::sync::Mutex;

/// Threads are counted in the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

fn request(group: &str, isolation: Isolation) -> GroupRequest {
    GroupRequest {
        group: group.into(),
        topics: Some(vec!["connection".into()]),
        remembered: Vec::new(),
        isolation,
        resting: false,
    }
}

/// Both isolations, a group that does not exist, and a name that C cannot hold.
fn requests() -> Vec<GroupRequest> {
    vec![
        request("connection", Isolation::ReadUncommitted),
        request("connection", Isolation::ReadCommitted),
        request("nobody", Isolation::ReadUncommitted),
        request("no\0body", Isolation::ReadUncommitted),
    ]
}

/// Threads of librdkafka, and those that take in its answers.
fn threads() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        // One that ended meanwhile has no name any more.
        let name = std::fs::read_to_string(thread?.path().join("comm")).unwrap_or_default();
        if name.starts_with("rdk:") || name.starts_with("kafka-admin") {
            names.push(name.trim().to_owned());
        }
    }
    Ok(names)
}

async fn none_left(what: &str) -> Result<()> {
    eventually(&format!("the threads to end {what}"), Duration::from_secs(60), || async {
        let left = threads()?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

fn open(servers: &str) -> Result<Connection> {
    let bootstrap = servers.split(',').map(str::to_owned).collect();
    Ok(Connection::open(&ConnectionConfig { bootstrap, tls: None, sasl: None })?)
}

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_connection() -> Result<()> {
    let _alone = ALONE.lock().await;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("connection");
    let _ = std::fs::remove_dir_all(&dir);
    let tools = tokio::task::spawn_blocking(Tools::prepare).await??;
    let kafka = Kafka::start(&tools.kafka_libs(), &dir, KafkaOptions::default()).await?;
    let servers = kafka.bootstrap();
    kafka.create_topic("connection", 3).await?;
    none_left("of what made the topic").await?;

    let connection = open(&servers)?;
    ensure!(!threads()?.is_empty(), "a client without threads: they are not found by their names");
    // The first ones come before Kafka has made its topic of offsets.
    eventually("the groups to be read", Duration::from_secs(60), || async {
        let swept = connection.sweep(requests(), LIMIT).await;
        ensure!(swept.problem.is_none(), "{:?}", swept.problem);
        let problems: Vec<usize> = swept.groups.iter().map(|g| g.problems.len()).collect();
        ensure!(problems[..3] == [0; 3] && problems[3] > 0, "{:?}", swept.groups);
        ensure!(swept.groups[0].partitions.len() == 3, "{:?}", swept.groups);
        // Asked for beside the sweeps, so that the first ones know nothing of it: Kafka's seven days.
        let kept = swept.groups[0].partitions.iter().map(|p| p.retention).collect::<Vec<_>>();
        ensure!(kept == [Some(604_800.0); 3], "kept for {kept:?}");
        Ok(())
    })
    .await?;
    drop(connection);
    none_left("after sweeps").await?;

    // Wherever a sweep happens to be: before the metadata, between the calls, in the middle of one.
    for stop in (0..40).step_by(2).map(Duration::from_millis) {
        let connection = open(&servers)?;
        let _ = tokio::time::timeout(stop, connection.sweep(requests(), LIMIT)).await;
    }
    none_left("in the middle of a sweep").await?;

    // Under way when nothing answers: a call ends at its own limit, and with it the client.
    let connection = open(&servers)?;
    connection.sweep(requests(), LIMIT).await;
    kafka.pause();
    let limit = Duration::from_secs(3);
    let _ = tokio::time::timeout(Duration::from_millis(200), connection.sweep(requests(), limit)).await;
    drop(connection);
    none_left("while Kafka is silent").await?;
    kafka.resume();
    kafka.kill().await;
    Ok(())
}

/// A consumer that reads until it is dropped.
struct Reader(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Reader {
    fn start(servers: &str, group: &str, protocol: &str) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("group.id", group)
            .set("client.id", "reader")
            .set("group.protocol", protocol)
            .create()?;
        consumer.subscribe(&["connection"])?;
        let end = Arc::new(AtomicBool::new(false));
        let ended = end.clone();
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let _ = consumer.poll(Duration::from_millis(100));
            }
        });
        Ok(Self(end, Some(thread)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_read_whole_in_both_protocols() -> Result<()> {
    let _alone = ALONE.lock().await;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("connection-members");
    let _ = std::fs::remove_dir_all(&dir);
    let tools = tokio::task::spawn_blocking(Tools::prepare).await??;
    let kafka = Kafka::start(&tools.kafka_libs(), &dir, KafkaOptions::default()).await?;
    let servers = kafka.bootstrap();
    kafka.create_topic("connection", 3).await?;
    kafka.commit("classic", "connection", 0, 0).await?;
    let readers = ["classic", "consumer"]
        .into_iter()
        .flat_map(|protocol| [protocol; 2])
        .map(|protocol| Reader::start(&servers, protocol, protocol))
        .collect::<Result<Vec<Reader>>>()?;
    let connection = open(&servers)?;
    let of = || ["classic", "consumer"].map(|group| request(group, Isolation::ReadUncommitted)).to_vec();
    eventually("all partitions to have a reader", Duration::from_secs(120), || async {
        let swept = connection.sweep(of(), LIMIT).await;
        for group in &swept.groups {
            let mut has: Vec<(&str, i32)> = Vec::new();
            for member in &group.members {
                ensure!(member.client == "reader" && !member.id.is_empty(), "{member:?}");
                has.extend(member.assignment.iter().map(|(topic, p)| (topic.as_ref(), *p)));
            }
            has.sort_unstable();
            let all = [("connection", 0), ("connection", 1), ("connection", 2)];
            ensure!(group.members.len() == 2 && has == all, "{group:?}");
        }
        ensure!(swept.cluster.as_ref().is_some_and(|c| c.cluster_id.is_some()), "{:?}", swept.cluster);
        Ok(())
    })
    .await?;
    drop(connection);
    tokio::task::spawn_blocking(move || drop(readers)).await?;
    Ok(())
}

/// Partitions of the offsets topic, on the test bed.
const OFFSETS: i32 = 4;
/// Enough for each of them to have one, few enough for librdkafka to remember all their coordinators.
const GROUPS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_read_again_when_their_coordinators_have_moved() -> Result<()> {
    let _alone = ALONE.lock().await;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("connection-coordinators");
    let _ = std::fs::remove_dir_all(&dir);
    let tools = tokio::task::spawn_blocking(Tools::prepare).await??;
    // A broker that comes back becomes coordinator again at once, and the one that stood in for it
    // lives on: that one says then that it is not the coordinator any more.
    let back_at_once =
        [("leader.imbalance.check.interval.seconds", "1"), ("leader.imbalance.per.broker.percentage", "0")];
    let options = KafkaOptions {
        brokers: 3,
        properties: back_at_once.map(|(k, v)| (k.into(), v.into())).to_vec(),
        ..KafkaOptions::default()
    };
    let kafka = Kafka::start(&tools.kafka_libs(), &dir, options).await?;
    kafka.create_topic("connection", 3).await?;
    let connection = open(&kafka.bootstrap())?;
    let requests: Vec<GroupRequest> =
        (0..GROUPS).map(|i| request(&format!("group-{i}"), Isolation::ReadUncommitted)).collect();
    let read = |when: &str| {
        let (what, connection, requests) = (format!("all groups to be read {when}"), &connection, &requests);
        async move {
            eventually(&what, Duration::from_secs(60), || async {
                let swept = connection.sweep(requests.clone(), Duration::from_secs(3)).await;
                ensure!(swept.problem.is_none(), "{:?}", swept.problem);
                let problems: Vec<&String> = swept.groups.iter().flat_map(|g| &g.problems).collect();
                ensure!(problems.is_empty(), "{problems:?}");
                Ok(())
            })
            .await
        }
    };
    read("of a new cluster").await?;
    let led = async |id: i32| {
        let leaders = try_join_all((0..OFFSETS).map(|p| kafka.leader("__consumer_offsets", p))).await?;
        anyhow::Ok(leaders.iter().filter(|leader| **leader == Some(id)).count())
    };
    let before = led(1).await?;
    ensure!(before > 0, "broker 1 is the coordinator of no group");
    kafka.pause_broker(0);
    let swept = connection.sweep(requests.clone(), Duration::from_secs(3)).await;
    kafka.resume_broker(0);
    ensure!(swept.problem.is_none(), "of three brokers one stands still: {:?}", swept.problem);
    let bootstrap = kafka.bootstrap();
    let broker = bootstrap.split(',').next().context("no broker")?;
    let told = swept.groups.iter().filter(|g| g.problems.contains(&silent(broker, &g.group))).count();
    ensure!((1..GROUPS).contains(&told), "{told} groups of {GROUPS}: {:#?}", swept.groups);
    read("with broker 1 going on").await?;
    kafka.kill_broker(0).await;
    read("without broker 1").await?;
    kafka.start_broker(0).await?;
    eventually("the coordinators to move back", Duration::from_secs(60), || async {
        let now = led(1).await?;
        ensure!(now == before, "broker 1 leads {now} partitions of the offsets topic, not {before}");
        Ok(())
    })
    .await?;
    read("with broker 1 back").await?;
    Ok(())
}

/// What is said of a group whose coordinator, at that address, is silent.
fn silent(broker: &str, group: &str) -> String {
    format!(
        "broker {broker}, the coordinator of consumer group {group}, does not answer, though Kafka can be reached: \
         its members and committed offsets are not known. Check that broker"
    )
}

/// Nobody else answers for a group: that Kafka can be reached is known from the others all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_alone_does_not_answer_is_named() -> Result<()> {
    let _alone = ALONE.lock().await;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("connection-coordinator");
    let _ = std::fs::remove_dir_all(&dir);
    let tools = tokio::task::spawn_blocking(Tools::prepare).await??;
    let relays = (0..3).map(|_| Relay::start()).collect::<Result<Vec<_>>>()?;
    let advertised: Vec<u16> = relays.iter().map(Relay::port).collect();
    let addresses: Vec<String> = advertised.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let listener = Listener { name: "RELAYED", protocol: "PLAINTEXT", properties: Vec::new(), advertised };
    let options = KafkaOptions { brokers: 3, listeners: vec![listener], ..KafkaOptions::default() };
    let kafka = Kafka::start(&tools.kafka_libs(), &dir, options).await?;
    for (relay, address) in relays.iter().zip(kafka.listener("RELAYED").split(',')) {
        relay.towards(address.rsplit(':').next().context("no port")?.parse()?);
    }
    kafka.create_topic("connection", 3).await?;
    let connection = open(&addresses.join(","))?;
    let sweep = || connection.sweep(vec![request("a", Isolation::ReadUncommitted)], Duration::from_secs(3));
    let read = async || {
        let swept = sweep().await;
        let problems: Vec<&String> = swept.groups.iter().flat_map(|g| &g.problems).collect();
        ensure!(swept.problem.is_none() && problems.is_empty(), "{:?}, {problems:?}", swept.problem);
        Ok(())
    };
    eventually("the group to be read", Duration::from_secs(60), read).await?;
    // The hash of "a", as Java has it, is its code.
    let leader = kafka.leader("__consumer_offsets", i32::from(b'a') % OFFSETS).await?;
    let coordinator = usize::try_from(leader.context("nobody coordinates the group")? - 1)?;
    relays[coordinator].answers(Answers::After(Duration::from_secs(10)));
    // It may be asked for the brokers, too, and then nothing is known of the others.
    eventually("the coordinator to be named", Duration::from_secs(60), async || {
        let swept = sweep().await;
        ensure!(swept.problem.is_none(), "{:?}", swept.problem);
        let expected = silent(&addresses[coordinator], "a");
        ensure!(swept.groups[0].problems == [expected], "{:?}", swept.groups[0].problems);
        Ok(())
    })
    .await?;
    relays[coordinator].answers(Answers::AtOnce);
    eventually("the group to be read again", Duration::from_secs(60), read).await
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_at_rest_are_not_asked_for_until_a_message_comes() -> Result<()> {
    let _alone = ALONE.lock().await;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("connection-rest");
    let _ = std::fs::remove_dir_all(&dir);
    let tools = tokio::task::spawn_blocking(Tools::prepare).await??;
    let kafka = Kafka::start(&tools.kafka_libs(), &dir, KafkaOptions::default()).await?;
    kafka.create_topic("connection", 3).await?;
    let connection = open(&kafka.bootstrap())?;
    let rests =
        |i| GroupRequest { resting: true, ..request(&format!("group-{i}"), Isolation::ReadUncommitted) };
    let requests: Vec<GroupRequest> = (0..GROUPS).map(rests).collect();
    let read = async || {
        let swept = connection.sweep(requests.clone(), LIMIT).await;
        let problems: Vec<&String> = swept.groups.iter().flat_map(|g| &g.problems).collect();
        ensure!(swept.problem.is_none() && problems.is_empty(), "{:?}, {problems:?}", swept.problem);
        Ok(swept.groups)
    };
    // librdkafka tells what it has sent every five seconds. What is asked for twice at the beginning is not of
    // interest here.
    let sent = |request: &'static str| connection.traffic().requests.get(request).copied().unwrap_or(0);
    let told = async |request: &'static str, least: u64| {
        let what = format!("{least} {request} to be told");
        eventually(&what, Duration::from_secs(30), || async {
            ensure!(sent(request) >= least, "{:?}", connection.traffic());
            Ok(())
        })
        .await
    };
    let first = eventually("all groups to be read", Duration::from_secs(60), read).await?;
    told("OffsetFetch", GROUPS as u64).await?;
    let (fetched, described, listed) = (sent("OffsetFetch"), sent("DescribeGroups"), sent("ListOffsets"));
    ensure!(listed > 0 && connection.traffic().connections > 0, "{:?}", connection.traffic());
    let mut last = first[0].taken_at;
    for _ in 0..5 {
        let groups = read().await?;
        ensure!(groups[0].taken_at > last, "{:?} after {last:?}", groups[0].taken_at);
        last = groups[0].taken_at;
    }
    told("ListOffsets", listed + 5).await?;
    ensure!(sent("ListOffsets") == listed + 5, "ends alone, one leader: {:?}", connection.traffic());
    ensure!(
        (sent("OffsetFetch"), sent("DescribeGroups")) == (fetched, described),
        "groups at rest were asked for: {:?}",
        connection.traffic()
    );

    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create()?;
    let record = FutureRecord::<(), str>::to("connection").partition(1).payload("message");
    producer.send(record, LIMIT).await.map_err(|(error, _)| error)?;
    for group in read().await? {
        let ends: Vec<Option<i64>> = group.partitions.iter().map(|p| p.end).collect();
        ensure!(ends == [Some(0), Some(1), Some(0)], "{ends:?}");
    }
    told("OffsetFetch", fetched + GROUPS as u64).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_answer_hides_only_what_it_leads() -> Result<()> {
    let _alone = ALONE.lock().await;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("connection-silent");
    let _ = std::fs::remove_dir_all(&dir);
    let tools = tokio::task::spawn_blocking(Tools::prepare).await??;
    let options = KafkaOptions { brokers: 3, ..KafkaOptions::default() };
    let kafka = Kafka::start(&tools.kafka_libs(), &dir, options).await?;
    kafka.create_replicated_topic("connection", 3, 1).await?;
    let connection = open(&kafka.bootstrap())?;
    let requests: Vec<GroupRequest> =
        (0..GROUPS).map(|i| request(&format!("group-{i}"), Isolation::ReadUncommitted)).collect();
    eventually("all groups to be read", Duration::from_secs(60), || async {
        let swept = connection.sweep(requests.clone(), LIMIT).await;
        let problems: Vec<&String> = swept.groups.iter().flat_map(|g| &g.problems).collect();
        ensure!(swept.problem.is_none() && problems.is_empty(), "{:?}, {problems:?}", swept.problem);
        Ok(())
    })
    .await?;
    let silent = kafka.leader("connection", 0).await?.and_then(|id| usize::try_from(id - 1).ok());
    kafka.pause_broker(silent.context("partition 0 has no leader")?);
    // Shorter than what its cluster takes to give its partitions up.
    let swept = connection.sweep(requests, Duration::from_secs(5)).await;
    (0..3).for_each(|i| kafka.resume_broker(i));
    ensure!(swept.problem.is_none(), "{:?}", swept.problem);
    for group in &swept.groups {
        let known: Vec<bool> =
            group.partitions.iter().map(|p| p.end.is_some() && p.start.is_some()).collect();
        ensure!(known == [false, true, true], "{known:?}: {:?}", group.problems);
    }
    Ok(())
}
