//! Where the rows are played: a bed with three brokers, and the operator installed as a row wants it.
//!
//! Every connection to Kafka can be led through relays, every call to the API server through a proxy; by
//! default nothing stands between. What is broken on it is mended by [`Stage::lift`].

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use spillway_testbed::apiproxy::ApiProxy;
use spillway_testbed::bed::Bed;
use spillway_testbed::kafka::{KafkaOptions, Listener};
use spillway_testbed::operator;
use spillway_testbed::process;
use spillway_testbed::relay::{Answers, Relay};
use spillway_testbed::usage::Usage;
use spillway_testbed::wait::eventually;

use crate::given;
use crate::harness::{CHANGING, LOGIN, SharedBed, taken};

pub static BED: SharedBed = SharedBed::new("chaos", "").kafka(relayed).bare();
/// How long the operator's lease lasts: as by default.
pub const LEASE: Duration = Duration::from_secs(15);
/// Name of the listener that is behind relays.
const RELAYED: &str = "RELAYED";
const LIMIT: Duration = Duration::from_secs(90);

static RELAYS: OnceLock<Vec<Relay>> = OnceLock::new();

/// Three brokers, each with a listener that clients find behind a relay.
fn relayed() -> Result<KafkaOptions> {
    let brokers = 3;
    let relays = (0..brokers).map(|_| Relay::start()).collect::<Result<Vec<_>>>()?;
    let advertised = relays.iter().map(Relay::port).collect();
    ensure!(RELAYS.set(relays).is_ok(), "the bed was started twice");
    Ok(KafkaOptions {
        brokers,
        sasl: [LOGIN, CHANGING].map(|(user, password)| (user.into(), password.into())).to_vec(),
        listeners: vec![Listener {
            name: RELAYED,
            protocol: "PLAINTEXT",
            properties: Vec::new(),
            advertised,
        }],
        ..KafkaOptions::default()
    })
}

/// How the operator is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setup {
    /// As a user does.
    Plain,
    /// The same; it reaches the API server through the proxy.
    Proxied,
    /// Two of them, through the proxy.
    Two,
    /// With a clock that can be set.
    Clock,
}

/// The bed with what stands before its servers.
pub struct Stage {
    pub bed: &'static Bed,
    pub proxy: ApiProxy,
    installed: Mutex<Option<Setup>>,
}

impl Stage {
    pub async fn set(bed: &'static Bed) -> Result<Self> {
        bed.apply(&given::definitions()).await?;
        let ports = bed.kafka()?.listener(RELAYED);
        for (relay, address) in relays()?.iter().zip(ports.split(',')) {
            relay.towards(address.rsplit(':').next().unwrap_or_default().parse()?);
        }
        Ok(Self { bed, proxy: ApiProxy::start(bed.plane()).await?, installed: Mutex::default() })
    }

    /// Bootstrap servers behind the relays, as entries of a list.
    pub fn relayed(&self) -> Result<String> {
        let all: Vec<String> = relays()?.iter().map(|r| format!("127.0.0.1:{}", r.port())).collect();
        Ok(all.join("', '"))
    }

    /// What becomes of the answers of the broker with this index.
    pub fn answers(&self, broker: usize, answers: Answers) -> Result<()> {
        relays()?.get(broker).context("no such broker")?.answers(answers);
        Ok(())
    }

    fn clock(&self) -> Result<PathBuf> {
        Ok(self.bed.folder("clock")?.join("offset"))
    }

    /// Sets the operator's clock: how many seconds it is ahead of the right one.
    pub fn set_clock(&self, ahead: i64) -> Result<()> {
        // In place: the operator looks into this very file.
        let mut file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(self.clock()?)?;
        Ok(file.write_all(&ahead.to_ne_bytes())?)
    }

    /// Installs the operator so, unless it is, and waits until it leads.
    pub async fn install(&self, setup: Setup) -> Result<()> {
        let installed = *self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        if installed == Some(setup) {
            return Ok(());
        }
        let mut env = String::from(
            "extraEnv:\n- {name: SPILLWAY_LISTEN_ADDRESS, value: '$(POD_IP):8080'}\n- {name: SPILLWAY_PARTITION_METRICS, value: '1000'}\n",
        );
        if matches!(setup, Setup::Proxied | Setup::Two) {
            env += &format!("- {{name: KUBERNETES_SERVICE_PORT, value: '{}'}}\n", self.proxy.port());
        }
        if setup == Setup::Clock {
            let library = self.bed.folder("clock")?.join("clock.so");
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/chaos/clock.c");
            let mut cc = process::command(Path::new("cc"));
            cc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source);
            let made = process::output(cc, "", LIMIT).await?;
            ensure!(made.status.success(), "{source}: {}", String::from_utf8_lossy(&made.stderr));
            self.set_clock(0)?;
            env += &format!(
                "- {{name: LD_PRELOAD, value: '{}'}}\n- {{name: CLOCK_OFFSET, value: '{}'}}\n",
                library.display(),
                self.clock()?.display(),
            );
        }
        let wanted = if setup == Setup::Two { 2 } else { 1 };
        let values = format!("lease: {{duration: {}s}}\nreplicaCount: {wanted}\n{env}", LEASE.as_secs());
        operator::install(self.bed, &values).await?;
        eventually("the operator's pods", LIMIT, || async {
            let pods = operator::pods(self.bed).await?;
            ensure!(pods.len() == wanted && pods.iter().all(|(_, ip)| !ip.is_empty()), "{pods:?}");
            Ok(())
        })
        .await?;
        operator::leader(self.bed, LIMIT).await?;
        *self.installed.lock().unwrap_or_else(PoisonError::into_inner) = Some(setup);
        Ok(())
    }

    /// Mends everything that a row may have broken.
    pub async fn lift(&self) -> Result<()> {
        self.proxy.clear();
        for relay in relays()? {
            relay.answers(Answers::AtOnce);
        }
        self.set_clock(0)?;
        let (plane, kafka) = (self.bed.plane(), self.bed.kafka()?);
        plane.resume_apiserver();
        kafka.resume();
        plane.start_apiserver().await?;
        kafka.start_again().await
    }

    /// What the operator that leads takes of the machine.
    pub async fn usage(&self) -> Result<Usage> {
        taken(self.bed).await
    }

    /// What the operator's logs hold now: how many bytes each.
    pub fn logs(&self) -> Result<Vec<(PathBuf, String)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.bed.folder("node/logs")?)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&format!("{}_", operator::NAMESPACE)) {
                let text = String::from_utf8_lossy(&fs::read(entry.path())?).into_owned();
                all.push((entry.path(), text));
            }
        }
        Ok(all)
    }
}

fn relays() -> Result<&'static Vec<Relay>> {
    RELAYS.get().context("the bed has no relays")
}
