//! What every case needs: its bed, its namespace, ways to look, and a report when it fails.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use kube::Api;
use spillway::api::{ConsumerScaler, ConsumerScalerStatus};
use spillway_testbed::bed::{Bed, BedOptions};
use spillway_testbed::kafka::KafkaOptions;
use spillway_testbed::kubelet::Images;
use spillway_testbed::usage::{self, Usage};
use spillway_testbed::wait::eventually;
use spillway_testbed::{operator, sample};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::{given, leaks};

/// User and password of Kafka's listener with a login.
pub const LOGIN: (&str, &str) = ("alice", "alice-secret");

/// A user of that listener whose password is changed.
pub const CHANGING: (&str, &str) = ("carol", "carol-secret");

/// How long a group must have kept up before a step down, s.
pub const DOWN_WINDOW: u32 = 15;

/// Beds outlive the case that started them: so does what drives them.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime"));

/// A bed that cases share.
pub struct SharedBed {
    name: &'static str,
    /// Values of the chart (YAML).
    values: &'static str,
    brokers: usize,
    /// Another Kafka than that of most beds.
    kafka: Option<fn() -> Result<KafkaOptions>>,
    /// With nothing installed, and without Kafka unless it has one of its own.
    bare: bool,
    /// How many cases use it: after the last one it ends. Zero: it stays for as long as the process.
    cases: usize,
    done: AtomicUsize,
    /// Or why there is none: whoever comes next is told the same.
    bed: OnceCell<Result<Bed, String>>,
}

impl SharedBed {
    pub const fn new(name: &'static str, values: &'static str) -> Self {
        Self {
            name,
            values,
            brokers: 1,
            kafka: None,
            bare: false,
            cases: 0,
            done: AtomicUsize::new(0),
            bed: OnceCell::const_new(),
        }
    }

    /// The same for so many cases only.
    pub const fn cases(mut self, cases: usize) -> Self {
        self.cases = cases;
        self
    }

    /// The same with this many Kafka brokers.
    pub const fn brokers(mut self, brokers: usize) -> Self {
        self.brokers = brokers;
        self
    }

    /// The same with another Kafka.
    pub const fn kafka(mut self, options: fn() -> Result<KafkaOptions>) -> Self {
        self.kafka = Some(options);
        self
    }

    /// The same with a control plane only (and the Kafka asked for), for a case that installs by itself.
    pub const fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Ends what the case of this name has at work, or the whole bed when this was its last case: what is
    /// left running takes its part of the machine from all others.
    async fn done(&self, bed: &Bed, name: &str) {
        if self.done.fetch_add(1, Ordering::Relaxed) + 1 == self.cases {
            bed.end().await;
            return;
        }
        for kinds in ["deployments", "consumerscalers,kafkaconnections"] {
            // A bed without the definitions has no such kinds.
            let _ = bed.kubectl(&["delete", kinds, "--all", "-n", name, "--wait=false"]).await;
        }
    }

    async fn get(&'static self) -> Result<&'static Bed> {
        let bed =
            self.bed.get_or_init(async || self.start().await.map_err(|error| format!("{error:#}"))).await;
        bed.as_ref().map_err(|error| anyhow!("{error}"))
    }

    async fn start(&self) -> Result<Bed> {
        let kafka = KafkaOptions {
            sasl: [LOGIN, CHANGING].map(|(user, password)| (user.into(), password.into())).to_vec(),
            brokers: self.brokers,
            ..KafkaOptions::default()
        };
        let images = Images::new()
            .map("spillway", env!("CARGO_BIN_EXE_spillway"))
            // Its pods name the program that they run.
            .map("kafka", "/bin/bash")
            .map(sample::IMAGE, operator::binary("sample")?);
        let kafka = match self.kafka {
            Some(options) => Some(options()?),
            None => (!self.bare).then_some(kafka),
        };
        let options = BedOptions { kafka, images, start_delay: Duration::from_secs(2) };
        let bed = Bed::start(self.name, options).await?;
        if self.bare {
            return Ok(bed);
        }
        let installed = async {
            bed.apply(&given::definitions()).await?;
            operator::install(&bed, self.values).await?;
            operator::leader(&bed, Duration::from_secs(60)).await
        };
        match installed.await {
            Ok(_) => Ok(bed),
            Err(error) => bail!("{error:#}\n{}", bed.report(&[operator::NAMESPACE]).await),
        }
    }
}

/// A bed that nothing happens to: for everything but outages.
pub static CALM: SharedBed = SharedBed::new("calm", given::VALUES);

/// Runs a case on a bed; when it fails, says what there was on the bed.
pub fn case(name: &str, shared: &'static SharedBed, test: impl AsyncFnOnce(Case) -> Result<()>) {
    let start = Instant::now();
    RUNTIME.block_on(async {
        let bed = shared.get().await.unwrap_or_else(|e| panic!("{name}: no bed: {e:#}"));
        let started = Instant::now();
        let outcome = match Case::new(name, bed).await {
            Ok(case) => test(case).await,
            Err(error) => Err(error),
        };
        note_time(name, start, started);
        let outcome = match outcome {
            Ok(()) => leaks::none(bed, name, !shared.bare).await,
            failed => failed,
        };
        let report = match &outcome {
            Ok(()) => String::new(),
            Err(_) => bed.report(&[name, operator::NAMESPACE]).await,
        };
        shared.done(bed, name).await;
        if let Err(error) = outcome {
            let error = format!("{name}: {error:#}");
            note("e2e-failures", name, &error);
            panic!("{error}\n{report}");
        }
    });
}

/// Does something on a bed that is no case by itself: it makes its own ([`Case::new`]).
pub fn on_bed<T>(shared: &'static SharedBed, work: impl AsyncFnOnce(&'static Bed) -> T) -> T {
    RUNTIME.block_on(async {
        let bed = shared.get().await.unwrap_or_else(|e| panic!("no bed: {e:#}"));
        work(bed).await
    })
}

/// What the operator that leads takes of the machine.
pub async fn taken(bed: &Bed) -> Result<Usage> {
    let (name, _) = operator::leader(bed, Duration::from_secs(90)).await?;
    usage::of(bed.kubelet().pid(operator::NAMESPACE, &name)?)
}

/// Leaves a line for `make e2e`, which shows them all in the end.
fn note(folder: &str, name: &str, text: &str) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
    // What a case found is in its panic too: it does not fail for a line that cannot be written.
    let _ =
        fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join(name), format!("{}\n", text.trim_end())));
}

/// The slowest are shown.
fn note_time(name: &str, start: Instant, started: Instant) {
    let text = format!(
        "{:.0} {name} ({:.0}s for the bed)",
        start.elapsed().as_secs_f64(),
        (started - start).as_secs_f64()
    );
    note("e2e-times", name, &text);
}

/// One case: a namespace and a folder of its own.
pub struct Case {
    pub bed: &'static Bed,
    pub namespace: String,
    /// Where the sample's programs write down what they did.
    pub records: PathBuf,
}

impl Case {
    /// Makes its namespace and its folder.
    pub async fn new(name: &str, bed: &'static Bed) -> Result<Self> {
        let case = Self { bed, namespace: name.to_owned(), records: bed.folder(&format!("records-{name}"))? };
        bed.apply(&sample::namespace(name)).await?;
        Ok(case)
    }

    /// Kafka's plain listener.
    pub fn servers(&self) -> Result<String> {
        Ok(self.bed.kafka()?.bootstrap())
    }

    /// A ConsumerScaler for the Deployment and the group of this name, with times short enough for
    /// a test; `more` is the rest of its spec, a line a field, and `maxReplicas` where it is not 12. With its KafkaConnection, `main`.
    pub fn timed(&self, name: &str, more: &str) -> Result<String> {
        let most = if more.contains("maxReplicas: ") { "" } else { "maxReplicas: 12" };
        Ok(format!(
            "---
apiVersion: spillway.dev/v1alpha1
kind: ConsumerScaler
metadata: {{name: {name}, namespace: {ns}}}
spec:
  scaleTargetRef: {{name: {name}}}
  consumerGroups:
  - {{group: {name}, connection: {{name: main}}}}
  {most}
  behavior: {{scaleDown: {{window: {DOWN_WINDOW}s, maxStepPercent: 100}}}}
  {more}
---
apiVersion: spillway.dev/v1alpha1
kind: KafkaConnection
metadata: {{name: main, namespace: {ns}}}
spec: {{bootstrapServers: ['{servers}'], sweepInterval: 1s}}
",
            more = more.replace('\n', "\n  "),
            ns = self.namespace,
            // One entry a broker.
            servers = self.servers()?.replace(',', "', '"),
        ))
    }

    /// A metric of the operator about a ConsumerScaler of this namespace.
    pub async fn metric(&self, name: &str, scaler: &str) -> Result<f64> {
        let (_, ip) = operator::leader(self.bed, Duration::from_secs(10)).await?;
        let samples = operator::metrics(&ip).await?;
        let labels = [("namespace", self.namespace.as_str()), ("name", scaler)];
        operator::value(&samples, name, &labels).with_context(|| format!("no {name} of {scaler}"))
    }

    /// The values of a label among the series of a metric about this namespace: which limits, which
    /// partitions.
    pub async fn labels(&self, name: &str, label: &str) -> Result<Vec<String>> {
        let (_, ip) = operator::leader(self.bed, Duration::from_secs(10)).await?;
        let samples = operator::metrics(&ip).await?;
        let of = samples
            .into_iter()
            .filter(|s| s.name == name && s.labels.get("namespace") == Some(&self.namespace));
        Ok(of.filter_map(|s| s.labels.get(label).cloned()).collect())
    }

    /// The ConsumerScalers of the namespace.
    pub fn scalers(&self) -> Api<ConsumerScaler> {
        Api::namespaced(self.bed.client(), &self.namespace)
    }

    /// The status of a ConsumerScaler, once it has one.
    pub async fn status(&self, name: &str) -> Result<ConsumerScalerStatus> {
        self.scalers().get(name).await?.status.context("no status yet")
    }

    /// Waits until the status of a ConsumerScaler is as `fits` says, which else tells what it saw.
    pub async fn until(
        &self,
        what: &str,
        name: &str,
        limit: Duration,
        fits: impl Fn(&ConsumerScalerStatus) -> bool,
    ) -> Result<ConsumerScalerStatus> {
        eventually(what, limit, || async {
            let status = self.status(name).await?;
            ensure!(
                fits(&status),
                "state {:?}, lag {:?}, delay {:?}, replicas {:?} of {:?}: {:?}",
                status.state,
                status.lag,
                status.delay,
                status.current_replicas,
                status.desired_replicas,
                status.message
            );
            Ok(status)
        })
        .await
    }

    /// The changes of replicas that the operator asked for in this namespace, by its own events,
    /// in their order: from, to and the sentence.
    pub async fn scalings(&self) -> Result<Vec<(i32, i32, String)>> {
        let events = self.events().await?;
        let scaled = events.into_iter().filter(|(reason, _)| reason == "Scaled");
        scaled
            .map(|(_, note)| {
                let numbers = note.split_once(": ").map_or(note.as_str(), |(head, _)| head);
                let (from, to) =
                    numbers.split_once(" → ").with_context(|| format!("no arrow in {note:?}"))?;
                let from = from.rsplit(' ').next().unwrap_or_default();
                Ok((from.parse()?, to.trim().parse()?, note.clone()))
            })
            .collect()
    }

    /// Reason and sentence of every event of the namespace's scalers, in their order.
    pub async fn events(&self) -> Result<Vec<(String, String)>> {
        use k8s_openapi::api::events::v1::Event;
        let api: Api<Event> = Api::namespaced(self.bed.client(), &self.namespace);
        let mut all = api.list(&kube::api::ListParams::default()).await?.items;
        all.retain(|e| e.reporting_controller.as_deref() == Some("spillway"));
        all.sort_by_key(|e| e.event_time.as_ref().map(|t| t.0));
        Ok(all.into_iter().map(|e| (e.reason.unwrap_or_default(), e.note.unwrap_or_default())).collect())
    }

    /// Writes to `/scale` in this namespace that the API server took from the operator.
    pub fn scale_writes(&self) -> Result<usize> {
        self.writes("scale")
    }

    /// Writes of a subresource in this namespace that the API server took from the operator.
    pub fn writes(&self, subresource: &str) -> Result<usize> {
        let calls = self.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)?;
        let writes = calls.iter().filter(|c| {
            c.object_ref.subresource == subresource
                && c.object_ref.namespace == self.namespace
                && matches!(c.verb.as_str(), "update" | "patch")
                && c.response_status.code == 200
        });
        Ok(writes.count())
    }
}
