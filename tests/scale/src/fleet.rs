//! The things to be looked after: topics, groups, workloads and their scalers.
//!
//! A hundred groups share a topic. A group is nothing but its committed offsets, as of consumers that are all at
//! zero replicas; a workload is a small object with a scale subresource, as Deployments would load the
//! controllers and not the operator. It measures nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use spillway_testbed::bed::Bed;

use crate::say::Say;

/// Partitions of each topic, thus of each group.
pub const PARTITIONS: i32 = 10;
/// Groups that share a topic.
const SHARED: usize = 100;
/// Scalers in a namespace.
const TOGETHER: usize = 500;
/// Messages in each partition at the beginning, all of them read.
const FIRST: i64 = 10;
/// The topic of those that fall behind.
const BUSY: &str = "busy";
/// Groups whose offsets are committed by one run of the tool, which has a time limit.
const A_RUN: usize = 1000;
/// Calls to the API server at a time.
const SIDE_BY_SIDE: usize = 24;
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at all statuses, which cost the API server something.
const STEP: Duration = Duration::from_secs(5);
/// And between two words about it.
const TELL: Duration = Duration::from_secs(20);

const WORKER: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: workers.scale.test}
spec:
  group: scale.test
  scope: Namespaced
  names: {plural: workers, singular: worker, kind: Worker}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {replicas: {type: integer}}}
          status: {type: object, properties: {replicas: {type: integer}}}
";

/// So many scalers on a bed.
#[derive(Clone, Copy)]
pub struct Fleet<'a> {
    pub bed: &'a Bed,
    pub count: usize,
    /// How often Kafka is read, s.
    pub sweep: u64,
    pub say: Say,
}

/// The kind of the workloads.
pub fn workers() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("scale.test", "v1", "Worker"))
}

/// The kind of our own.
pub fn ours(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("spillway.dev", "v1alpha1", kind))
}

impl Fleet<'_> {
    /// Those that fall behind together: one of a hundred, at least one.
    fn is_busy(i: usize) -> bool {
        i.is_multiple_of(100)
    }

    /// How many of them there are.
    pub fn busy(&self) -> usize {
        (0..self.count).filter(|i| Self::is_busy(*i)).count()
    }

    fn topic(i: usize) -> String {
        if Self::is_busy(i) { BUSY.to_owned() } else { format!("quiet-{}", i / SHARED) }
    }

    fn namespace(i: usize) -> String {
        format!("team-{}", i / TOGETHER)
    }

    fn name(i: usize) -> String {
        format!("worker-{i:05}")
    }

    fn namespaces(&self) -> Vec<String> {
        (0..self.count).step_by(TOGETHER).map(Self::namespace).collect()
    }

    /// Makes all of it.
    ///
    /// # Errors
    /// When Kafka or the API server refuses something.
    pub async fn make(&self) -> Result<()> {
        self.definitions().await?;
        self.topics().await?;
        self.say.line("committing offsets of the groups");
        self.commit(|_| true, FIRST).await?;
        let text: String = self
            .namespaces()
            .iter()
            .map(|ns| format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {ns}}}\n"))
            .collect();
        self.bed.apply(&text).await?;
        let client = self.bed.client();
        self.objects("workloads", &client, |i| {
            let body = json!({"spec": {"replicas": 0}, "status": {"replicas": 0}});
            (workers(), Self::namespace(i), Self::name(i), body)
        })
        .await?;
        let servers: Vec<String> = self.bed.kafka()?.bootstrap().split(',').map(str::to_owned).collect();
        let mut connections = String::new();
        for namespace in self.namespaces() {
            writeln!(
                connections,
                "---\napiVersion: spillway.dev/v1alpha1\nkind: KafkaConnection\nmetadata: {{name: main, namespace: {namespace}}}\nspec: {{bootstrapServers: {servers:?}, sweepInterval: {}s}}",
                self.sweep
            )?;
        }
        self.bed.apply(&connections).await?;
        self.objects("ConsumerScalers", &client, |i| {
            let body = json!({"spec": {
                "scaleTargetRef": {"apiVersion": "scale.test/v1", "kind": "Worker", "name": Self::name(i)},
                "minReplicas": 0,
                "maxReplicas": PARTITIONS,
                // So that what is quiet is called idle after a minute.
                "objective": {"maxDelay": "60s", "recoverWithin": "1m"},
                "consumerGroups": [{"group": format!("group-{i:05}"), "connection": {"name": "main"}}],
            }});
            (ours("ConsumerScaler"), Self::namespace(i), Self::name(i), body)
        })
        .await
    }

    async fn definitions(&self) -> Result<()> {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds.yaml");
        self.bed.apply(&fs::read_to_string(&ours).with_context(|| ours.display().to_string())?).await?;
        self.bed.apply(WORKER).await?;
        let names = ["consumerscalers.spillway.dev", "kafkaconnections.spillway.dev", "workers.scale.test"];
        for name in names {
            let name = format!("crd/{name}");
            self.bed.kubectl(&["wait", "--for=condition=Established", &name, "--timeout=60s"]).await?;
        }
        Ok(())
    }

    async fn topics(&self) -> Result<()> {
        let kafka = self.bed.kafka()?;
        let quiet = self.count.div_ceil(SHARED);
        self.say.line(format_args!("making {} topics of {PARTITIONS} partitions", quiet + 1));
        let names: Vec<String> = (0..quiet).map(|i| format!("quiet-{i}")).chain([BUSY.to_owned()]).collect();
        stream::iter(&names)
            .map(|name| kafka.create_replicated_topic(name, PARTITIONS, 1))
            .buffer_unordered(8)
            .try_collect::<Vec<()>>()
            .await?;
        stream::iter(&names)
            .map(|name| self.produce(name, FIRST))
            .buffer_unordered(4)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Sends messages to each partition, and waits until Kafka has them.
    async fn produce(&self, topic: &str, each: i64) -> Result<()> {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", self.bed.kafka()?.bootstrap())
            .set("linger.ms", "5")
            .create()?;
        let sent = (0..PARTITIONS).flat_map(|p| (0..each).map(move |_| p)).map(|partition| {
            let producer = &producer;
            async move {
                let record = FutureRecord::<(), str>::to(topic).partition(partition).payload("message");
                producer.send(record, LIMIT).await.map_err(|(error, _)| error)
            }
        });
        futures::future::try_join_all(sent).await.with_context(|| format!("sending to {topic}"))?;
        Ok(())
    }

    /// Those that are to fall behind do.
    ///
    /// # Errors
    /// When Kafka does not take the messages.
    pub async fn fall_behind(&self, each: i64) -> Result<()> {
        self.produce(BUSY, each).await
    }

    /// They have read what there is, `end` messages in each partition, and their workloads are at zero again.
    ///
    /// # Errors
    /// When Kafka or the API server refuses it.
    pub async fn catch_up(&self, end: i64) -> Result<()> {
        self.commit(Self::is_busy, end).await?;
        let client = self.bed.client();
        let patch = kube::api::Patch::Merge(json!({"spec": {"replicas": 0}, "status": {"replicas": 0}}));
        stream::iter((0..self.count).filter(|i| Self::is_busy(*i)))
            .map(|i| {
                let api: Api<DynamicObject> =
                    Api::namespaced_with(client.clone(), &Self::namespace(i), &workers());
                let patch = &patch;
                async move { api.patch(&Self::name(i), &Default::default(), patch).await.map(drop) }
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Messages in each partition of the topic of those that fall behind, at the beginning.
    pub fn first(&self) -> i64 {
        FIRST
    }

    async fn commit(&self, of: impl Fn(usize) -> bool, offset: i64) -> Result<()> {
        let kafka = self.bed.kafka()?;
        let file = self.bed.folder("offsets")?.join("offsets");
        // A class given as a source file is compiled and run by `java` itself.
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("Commit.java");
        let (source, path) = (source.to_string_lossy().into_owned(), file.to_string_lossy().into_owned());
        let all: Vec<usize> = (0..self.count).filter(|i| of(*i)).collect();
        for (i, some) in all.chunks(A_RUN).enumerate() {
            let mut text = String::new();
            for i in some {
                writeln!(text, "group-{i:05} {} {PARTITIONS} {offset}", Self::topic(*i))?;
            }
            fs::write(&file, text)?;
            kafka.run_tool(&source, &[&kafka.bootstrap(), &path]).await?;
            if all.len() > A_RUN {
                self.say.line(format_args!("  {} of {}", i * A_RUN + some.len(), all.len()));
            }
        }
        Ok(())
    }

    /// Creates an object for each scaler.
    async fn objects(
        &self,
        what: &str,
        client: &Client,
        of: impl Fn(usize) -> (ApiResource, String, String, serde_json::Value),
    ) -> Result<()> {
        self.say.line(format_args!("making {} {what}", self.count));
        let begun = Instant::now();
        let mut made = stream::iter(0..self.count)
            .map(|i| {
                let (kind, namespace, name, body) = of(i);
                let mut object = DynamicObject::new(&name, &kind).within(&namespace);
                object.data = body;
                let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind);
                async move { api.create(&PostParams::default(), &object).await.map(drop) }
            })
            .buffer_unordered(SIDE_BY_SIDE);
        let mut count = 0;
        while let Some(()) = made.try_next().await? {
            count += 1;
            if count % 1000 == 0 && count < self.count {
                let each = begun.elapsed() / count as u32;
                self.say.line(format_args!("  {count} {what}, {:.1} ms each", each.as_secs_f64() * 1e3));
            }
        }
        Ok(())
    }

    /// Waits until the statuses of all scalers satisfy a condition, and says how far it is. Gives the time it took.
    ///
    /// # Errors
    /// When they do not within the limit.
    pub async fn until_statuses(
        &self,
        what: &str,
        limit: Duration,
        fits: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<Duration> {
        let (client, begun) = (self.bed.client(), Instant::now());
        let mut told = None;
        loop {
            let mut fit = 0;
            for namespace in self.namespaces() {
                let api: Api<DynamicObject> =
                    Api::namespaced_with(client.clone(), &namespace, &ours("ConsumerScaler"));
                let all = api.list(&Default::default()).await?;
                fit += all.items.iter().filter(|s| s.data.get("status").is_some_and(&fits)).count();
            }
            if told.is_none_or(|at: Instant| at.elapsed() >= TELL) || fit == self.count {
                self.say.line(format_args!("  {what}: {fit} of {}", self.count));
                told = Some(Instant::now());
            }
            if fit == self.count {
                return Ok(begun.elapsed());
            }
            ensure!(begun.elapsed() < limit, "{what}: {fit} of {} after {}s", self.count, limit.as_secs());
            tokio::time::sleep(STEP).await;
        }
    }
}
