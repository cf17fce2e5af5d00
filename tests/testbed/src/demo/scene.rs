//! What the demo is played on: the bed, Spillway, a producer, consumers, and what is seen of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;

use super::view::View;
use super::{ARRIVING, EACH, LIMIT, MAX_DELAY, PARTITIONS, RECOVER_WITHIN, REPLICAS, SWEEP};
use crate::account::Account;
use crate::bed::{Bed, BedOptions};
use crate::kubelet::Images;
use crate::operator::{self, Sample, value};
use crate::replicas::Path as Replicas;
use crate::sample::{self, Workload};
use crate::wait::eventually;

/// Namespace of the story.
const SHOP: &str = "shop";
/// Name of the topic, the group, the Deployment and the ConsumerScaler.
pub(super) const ORDERS: &str = "orders";
/// In place of an image pull and a program that starts slowly.
const START_DELAY: Duration = Duration::from_secs(3);

/// The bed with everything on it.
pub(super) struct Scene {
    pub bed: Bed,
    /// Every number of replicas that the consumers were asked for.
    pub replicas: Replicas,
    records: PathBuf,
    metrics: String,
}

/// What is seen at a moment; what could not be seen is not there.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub state: String,
    pub lag: Option<f64>,
    pub delay: Option<f64>,
    pub arriving: Option<f64>,
    pub processed: Option<f64>,
    pub capacity: Option<f64>,
    pub replicas: Option<f64>,
    pub desired: Option<f64>,
    pub ready: Option<f64>,
    pub eta: Option<f64>,
    /// What Spillway said so far: reason and sentence.
    pub said: Vec<(String, String)>,
    /// Why it could not be seen.
    pub problem: Option<String>,
}

impl Scene {
    /// Starts everything, saying what goes on.
    pub async fn set() -> Result<Self> {
        let images = Images::new()
            .map("spillway", operator::binary("spillway")?)
            .map(sample::IMAGE, operator::binary("sample")?);
        eprintln!("demo: starting etcd, kube-apiserver, kube-controller-manager and Kafka…");
        let bed =
            Bed::start("demo", BedOptions { images, start_delay: START_DELAY, ..BedOptions::default() })
                .await?;
        eprintln!("demo: helm install spillway…");
        let topic = bed.kafka()?;
        let shop = sample::namespace(SHOP);
        tokio::try_join!(
            operator::install(&bed, "{lease: {duration: 5s}, page: {enabled: true}}"),
            topic.create_topic(ORDERS, PARTITIONS),
            bed.apply(&shop),
        )?;
        let (_, ip) = operator::leader(&bed, LIMIT).await?;
        let records = bed.folder("records")?;
        let replicas = Replicas::follow(bed.client(), SHOP, ORDERS);
        let scene = Self { bed, replicas, records, metrics: ip };
        scene.start_producing()?;
        eprintln!("demo: a producer ({ARRIVING}/s) and {REPLICAS} consumers ({EACH}/s each)…");
        scene.bed.apply(&scene.workloads()?).await?;
        eventually("the consumers to start", LIMIT, || async {
            let ready = scene.look().await.ready;
            ensure!(ready == Some(f64::from(REPLICAS)), "{ready:?} are ready");
            Ok(())
        })
        .await?;
        eprintln!("demo: a ConsumerScaler for them…");
        scene.bed.apply(&scene.scaler()?).await?;
        Ok(scene)
    }

    fn workloads(&self) -> Result<String> {
        let servers = self.bed.kafka()?.bootstrap();
        let producer = Workload::producer(SHOP, "checkout", &servers, ORDERS, ARRIVING, &self.records)
            .with(&["--rate-file", &self.rate_file().to_string_lossy()]);
        let consumers = Workload::consumer(SHOP, ORDERS, &servers, ORDERS, EACH, &self.records)
            .replicas(REPLICAS)
            .with(&["--downstream", &self.downstream().to_string_lossy()]);
        Ok(producer.yaml() + &consumers.yaml())
    }

    fn scaler(&self) -> Result<String> {
        Ok(format!(
            "---
apiVersion: spillway.dev/v1alpha1
kind: KafkaConnection
metadata: {{name: main, namespace: {SHOP}}}
spec: {{bootstrapServers: ['{servers}'], sweepInterval: {sweep}s}}
---
apiVersion: spillway.dev/v1alpha1
kind: ConsumerScaler
metadata: {{name: {ORDERS}, namespace: {SHOP}}}
spec:
  scaleTargetRef: {{name: {ORDERS}}}
  consumerGroups:
  - {{group: {ORDERS}, connection: {{name: main}}}}
  {asked_for}
",
            sweep = SWEEP.as_secs(),
            asked_for = asked_for().join("\n  "),
            servers = self.bed.kafka()?.bootstrap(),
        ))
    }

    /// What is promised, in a line.
    pub fn title(&self) -> String {
        format!(
            "{ORDERS}: {PARTITIONS} partitions, a message may be {}s late, a backlog must be gone in {}s",
            MAX_DELAY.as_secs(),
            RECOVER_WITHIN.as_secs()
        )
    }

    /// How to look at it from another terminal.
    pub fn look_around(&self) -> String {
        let kubectl = self.bed.tools().kubectl();
        // Not resolved: by the link's name the binary knows that it is kubectl.
        let kubectl = std::path::absolute(&kubectl).unwrap_or(kubectl);
        format!(
            "Look around meanwhile:\n  export KUBECONFIG={}\n  {} get csc -n {SHOP} -w\n  {1} describe csc {ORDERS} -n {SHOP}\n  tail -n 20 {}\n  curl {}\nor in a browser, with the token {}:\n  {}\n",
            self.bed.plane().kubeconfig().display(),
            kubectl.display(),
            // Pods are processes here: kubectl logs has nobody to ask.
            self.bed.kubelet().pod_log(operator::NAMESPACE, "*").display(),
            operator::metrics_url(&self.metrics),
            self.bed.plane().token(),
            operator::page_url(&self.metrics, "/"),
        )
    }

    fn downstream(&self) -> PathBuf {
        self.records.join("downstream-stopped")
    }

    fn rate_file(&self) -> PathBuf {
        self.records.join("rate")
    }

    /// What the consumers depend on stops.
    pub fn stop_downstream(&self) -> Result<()> {
        Ok(fs::write(self.downstream(), "")?)
    }

    /// And goes on.
    pub fn start_downstream(&self) -> Result<()> {
        Ok(fs::remove_file(self.downstream())?)
    }

    /// The producer sends nothing more.
    pub fn stop_producing(&self) -> Result<()> {
        Ok(fs::write(self.rate_file(), "0")?)
    }

    /// The producer sends.
    pub fn start_producing(&self) -> Result<()> {
        Ok(fs::write(self.rate_file(), ARRIVING.to_string())?)
    }

    /// What goes on now.
    pub async fn look(&self) -> Seen {
        let (metrics, said) = tokio::join!(operator::metrics(&self.metrics), self.said());
        let mut seen = match metrics {
            Ok(samples) => seen(&samples),
            Err(error) => Seen { problem: Some(format!("{error:#}")), ..Seen::default() },
        };
        match said {
            Ok(said) => seen.said = said,
            Err(error) => seen.problem = Some(format!("{error:#}")),
        }
        if let Ok(deployment) = Api::<Deployment>::namespaced(self.bed.client(), SHOP).get(ORDERS).await {
            seen.ready = Some(f64::from(deployment.status.and_then(|s| s.ready_replicas).unwrap_or(0)));
            seen.replicas = deployment.spec.and_then(|s| s.replicas).map(f64::from);
        }
        seen
    }

    async fn said(&self) -> Result<Vec<(String, String)>> {
        let api: Api<Event> = Api::namespaced(self.bed.client(), SHOP);
        let mut all = api.list(&ListParams::default()).await?.items;
        all.retain(|e| e.reporting_controller.as_deref() == Some("spillway"));
        all.sort_by_key(|e| e.event_time.as_ref().map(|t| t.0));
        Ok(all.into_iter().map(|e| (e.reason.unwrap_or_default(), e.note.unwrap_or_default())).collect())
    }

    /// The account, once every message sent was processed or none is any more; then with the reason why
    /// it is not settled.
    pub async fn account(&self, view: &mut View) -> Result<(Account, Option<String>)> {
        let kafka = self.bed.kafka()?;
        let counted = eventually("every message to be processed", LIMIT / 4, || {
            Account::settled(&self.records, kafka, ORDERS, PARTITIONS)
        });
        tokio::pin!(counted);
        loop {
            tokio::select! {
                outcome = &mut counted => return match outcome {
                    Ok(account) => Ok((account, None)),
                    // What is missing is the account's to tell.
                    Err(why) => Ok((Account::read(&self.records)?, Some(format!("{why:#}")))),
                },
                () = tokio::time::sleep(view.pace()) => view.show(&self.look().await),
            }
        }
    }

    /// Rebalances of the group, by the broker's own log.
    pub fn rebalances(&self) -> Result<usize> {
        self.bed.kafka()?.rebalances(ORDERS).context("counting rebalances")
    }

    /// When the Deployment's `/scale` was written, by the API server's own log (RFC 3339).
    pub fn scale_writes(&self) -> Result<Vec<String>> {
        let calls = self.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)?;
        let writes = calls.iter().filter(|c| {
            c.object_ref.subresource == "scale"
                && c.object_ref.namespace == SHOP
                && matches!(c.verb.as_str(), "update" | "patch")
                && c.response_status.code == 200
        });
        Ok(writes.map(|c| c.request_received_timestamp.clone()).collect())
    }

    /// Where the programs write down what they do.
    pub fn records(&self) -> &Path {
        &self.records
    }
}

/// What Spillway is asked for, field by field, as YAML: the spec but for what names the parts.
pub(super) fn asked_for() -> [String; 4] {
    [
        "minReplicas: 1".to_owned(),
        format!("maxReplicas: {PARTITIONS}"),
        format!(
            "objective: {{maxDelay: {}s, recoverWithin: {}s}}",
            MAX_DELAY.as_secs(),
            RECOVER_WITHIN.as_secs()
        ),
        "behavior: {scaleDown: {window: 15s, maxStepPercent: 100}}".to_owned(),
    ]
}

fn seen(samples: &[Sample]) -> Seen {
    let of = [("namespace", SHOP), ("name", ORDERS)];
    let get = |name: &str| value(samples, name, &of);
    let state = samples.iter().find(|s| {
        s.name == "spillway_scaler_state"
            && s.value == 1.0
            && of.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|f| f == v))
    });
    Seen {
        state: state.and_then(|s| s.labels.get("state").cloned()).unwrap_or_default(),
        lag: get("spillway_scaler_lag_messages"),
        delay: get("spillway_scaler_delay_seconds"),
        arriving: get("spillway_scaler_arrival_messages_per_second"),
        processed: get("spillway_scaler_service_messages_per_second"),
        capacity: get("spillway_scaler_capacity_messages_per_second"),
        desired: get("spillway_scaler_desired_replicas"),
        eta: get("spillway_scaler_eta_seconds"),
        ..Seen::default()
    }
}
