//! Every row: its name, what is done, how the operator is installed, and how it ends.
//!
//! What is done stands in the files beside; what may not happen, in `verdict`.

mod apiserver;
mod group;
mod kafka;
mod operator;
mod resources;
mod topic;

use anyhow::Result;
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, ready};

use super::stage::Setup;
use super::story::Scene;

/// Something done in a scene.
pub type Act = for<'s> fn(&'s Scene<'s>) -> LocalBoxFuture<'s, Result<()>>;

/// What the end of a row is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every message was processed, by the consumers' records.
    All,
    /// The group has read everything there is, by Kafka's own tool: messages were deleted or skipped by hand.
    Group,
}

/// A row.
pub struct Row {
    pub name: &'static str,
    /// What was done, in words.
    pub done: &'static str,
    pub setup: Setup,
    /// More of the scaler's spec, a line a field.
    pub spec: &'static str,
    /// On how many brokers each partition is; none: on all.
    pub topic_replicas: Option<i32>,
    /// Before the backlog.
    pub prepare: Act,
    /// What breaks, until it is to be whole again.
    pub act: Act,
    /// The row makes the backlog itself, while it is broken.
    pub own_backlog: bool,
    pub ending: Ending,
    /// The row ends the operator itself.
    pub kills: bool,
    /// States whose sentence tells of it.
    pub shows: &'static [&'static str],
    /// What failed at first, and how it was mended.
    pub learnt: &'static str,
}

const ROW: Row = Row {
    name: "",
    done: "",
    setup: Setup::Plain,
    spec: "",
    topic_replicas: None,
    prepare: |_| ready(Ok(())).boxed_local(),
    act: |_| ready(Ok(())).boxed_local(),
    own_backlog: false,
    ending: Ending::All,
    kills: false,
    shows: &["Blind", "Invalid", "Stuck"],
    learnt: "",
};

/// All of them, in the order of the page.
pub const ROWS: &[Row] = &[
    Row {
        name: "broker-lost",
        done: "one broker of three is killed, and started again once everything is seen through the other two",
        act: |s| kafka::broker_lost(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "brokers-lost",
        done: "all three brokers are killed, and started again half a minute after that was told",
        act: |s| kafka::brokers_lost(s).boxed_local(),
        learnt: "the rule, not the operator: on a busy machine the rebalance of the step down itself made messages late, and was taken for a step down too early. What counts is what was late at that moment.",
        ..ROW
    },
    Row {
        name: "coordinator-moved",
        done: "the broker that coordinates the group is shut down, so that another does, and started again",
        act: |s| kafka::coordinator_moved(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "leaderless",
        done: "every partition is on one broker only; one broker is killed, and started again 20 s after that was told",
        topic_replicas: Some(1),
        act: |s| kafka::leaderless(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "broker-slow",
        done: "for 40 s one broker's answers to the operator come 5 s late",
        prepare: |s| kafka::through_relays(s).boxed_local(),
        act: |s| kafka::slow(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "broker-paused",
        done: "one broker stands still (SIGSTOP) with its connections open, for 40 s",
        act: |s| kafka::paused(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "answers-cut",
        done: "for 30 s every connection of the operator to Kafka ends 40 bytes into an answer",
        prepare: |s| kafka::through_relays(s).boxed_local(),
        act: |s| kafka::cut(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "api-down",
        done: "the API server is stopped for five minutes; another backlog comes meanwhile",
        act: |s| apiserver::down(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "api-slow",
        done: "every answer of the API server takes 1.5 s, for a minute; the backlog comes meanwhile",
        setup: Setup::Proxied,
        own_backlog: true,
        act: |s| apiserver::slow(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "api-refuses",
        done: "every write but the lease is refused, with 429, then 409, then 500, 15 s each; the backlog comes meanwhile",
        setup: Setup::Proxied,
        own_backlog: true,
        act: |s| apiserver::refuses(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "watch-cut",
        done: "every watch is cut each second for 20 s; `minReplicas` is changed meanwhile",
        setup: Setup::Proxied,
        act: |s| apiserver::watch_cut(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "etcd-restarted",
        done: "etcd is killed and started again, three times",
        act: |s| apiserver::etcd_restarted(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "operator-killed",
        done: "the operator's pod is killed at eight steps: its write of replicas on its way, and taken but not answered; its status likewise; its renewal of the lease likewise; having listed the scalers; with an event on its way",
        setup: Setup::Proxied,
        own_backlog: true,
        kills: true,
        act: |s| operator::killed(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "lease-lost",
        done: "of two operators the one that leads stands still with its write of replicas on its way; the other takes over and scales; then the first write arrives, and its sender goes on",
        setup: Setup::Two,
        own_backlog: true,
        act: |s| operator::lease_lost(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "clock-jumps",
        done: "the operator's clock jumps an hour ahead, an hour back and into place, 20 s each",
        setup: Setup::Clock,
        act: |s| operator::clock_jumps(s).boxed_local(),
        learnt: "with libfaketime the operator went blind, and its threads doubled: libfaketime does not know the waits of C11's threads, so that librdkafka's ended an hour late. The clock is now set by a library of the suite's own (`clock.c`), which treats such a wait as the kernel does.",
        ..ROW
    },
    Row {
        name: "secret",
        done: "the Secret with the operator's password is deleted, comes back wrong, then the password is rotated",
        prepare: |s| resources::with_login(s).boxed_local(),
        act: |s| resources::secret(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "topic-recreated",
        done: "the topic is deleted and made again with 6 partitions instead of 12; once that is told, producer and consumers are restarted, as their clients go on with the partitions that they knew",
        ending: Ending::Group,
        act: |s| topic::recreated(s).boxed_local(),
        learnt: "the clients, not the operator: for seven minutes librdkafka's consumers committed nothing and its producer sent nothing to the new partitions, and the operator stayed blind and said why. So the row restarts them, as a person would.",
        ..ROW
    },
    Row {
        name: "partitions-added",
        done: "the topic gets 18 partitions instead of 12",
        act: |s| topic::grown(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "group-deleted",
        done: "the consumers stand still until the group is empty; it is deleted; they go on, from the first message",
        act: |s| group::deleted(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "reset-earliest",
        done: "the consumers stand still until the group is empty; its offsets are set to the first message; they go on",
        act: |s| group::reset_earliest(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "reset-latest",
        done: "the same, with the offsets set behind the last message: what waited is skipped",
        ending: Ending::Group,
        act: |s| group::reset_latest(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "crash-loop",
        done: "every consumer is killed as soon as it runs, for 40 s",
        act: |s| group::crash_loop(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "rebalance-storm",
        done: "a further member joins the group and leaves it again, 15 times in a row",
        act: |s| group::storm(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "retention",
        done: "in four partitions all that waits is deleted, as by retention",
        ending: Ending::Group,
        act: |s| topic::retention(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "crd-removed",
        done: "the definition of ConsumerScaler is deleted, and every scaler with it; 20 s later both are put back",
        act: |s| resources::definition(s).boxed_local(),
        ..ROW
    },
    Row {
        name: "thousand",
        done: "1,000 scalers are created at once; when each has said what it sees, they are deleted at once",
        prepare: |s| resources::thousand_before(s).boxed_local(),
        act: |s| resources::thousand(s).boxed_local(),
        learnt: "the first thousand left 58 MiB more than before, and 40 connections to the API server. Two more thousand added 4 and 0.1 MiB: it is what the allocator keeps, no leak, and the row does it once before it counts. The connections are idle ones, which end after a minute and a half.",
        ..ROW
    },
];
