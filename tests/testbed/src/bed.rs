//! A whole bed: control plane, Kafka, a kubelet, and the commands to work with them.
//!
//! It starts and stops the parts and shows their state; what is installed on it is the caller's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::Client;

use crate::controlplane::ControlPlane;
use crate::kafka::{Kafka, KafkaOptions};
use crate::kubelet::{Images, Kubelet, KubeletOptions};
use crate::process;
use crate::tools::Tools;

/// Time limit of a command. Helm waits for pods within it.
const LIMIT: Duration = Duration::from_secs(180);
/// Lines of a pod's log that a report shows.
const TAIL: usize = 40;
/// Lines of the log of a part of the bed.
const PART_TAIL: usize = 15;

/// What a bed is to have.
#[derive(Clone, Debug)]
pub struct BedOptions {
    /// Kafka, if one is wanted.
    pub kafka: Option<KafkaOptions>,
    /// Which binary an image stands for.
    pub images: Images,
    /// From the binding of a pod to the start of its process, in place of the image pull.
    pub start_delay: Duration,
}

impl Default for BedOptions {
    fn default() -> Self {
        Self { kafka: Some(KafkaOptions::default()), images: Images::new(), start_delay: Duration::ZERO }
    }
}

/// A running bed. Dropped, everything on it ends.
pub struct Bed {
    dir: PathBuf,
    tools: Tools,
    // Dropped first to last: pods end before what they talk to.
    kubelet: Kubelet,
    kafka: Option<Kafka>,
    plane: ControlPlane,
}

impl Bed {
    /// Starts one under a name of its own.
    ///
    /// # Errors
    /// When a part cannot be built, does not start or does not get ready.
    pub async fn start(name: &str, options: BedOptions) -> Result<Self> {
        let tools = tokio::task::spawn_blocking(Tools::prepare).await??;
        sweep_up(&tools.beds());
        let dir = tools.beds().join(format!("{name}-{}", std::process::id()));
        // What an earlier process with our number, or a try of ours that failed, has left: Kafka does not
        // start on it.
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("emptying {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let (plane_dir, kafka_dir, libs) = (dir.join("kubernetes"), dir.join("kafka"), tools.kafka_libs());
        let kafka = async {
            match options.kafka {
                Some(kafka) => Kafka::start(&libs, &kafka_dir, kafka).await.map(Some),
                None => Ok(None),
            }
        };
        let (plane, kafka) = tokio::try_join!(ControlPlane::start(&tools, &plane_dir), kafka)?;
        let kubelet = Kubelet::start(
            plane.client(),
            KubeletOptions {
                node: "bed".into(),
                root: dir.join("node"),
                images: options.images,
                api_host: plane.host().into(),
                api_port: plane.port(),
                ca_pem: plane.ca_pem().into(),
                start_delay: options.start_delay,
            },
        )
        .await?;
        Ok(Self { dir, tools, kubelet, kafka, plane })
    }

    /// Ends everything that runs on it; its files stay. What is asked of it afterwards fails.
    pub async fn end(&self) {
        self.kubelet.end();
        if let Some(kafka) = &self.kafka {
            kafka.kill().await;
        }
        self.plane.end();
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.plane.client()
    }

    /// The control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Kafka.
    ///
    /// # Errors
    /// When the bed has none.
    pub fn kafka(&self) -> Result<&Kafka> {
        self.kafka.as_ref().context("this bed has no Kafka: ask for it in BedOptions")
    }

    /// The kubelet.
    pub fn kubelet(&self) -> &Kubelet {
        &self.kubelet
    }

    /// The tools that it is made of.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// A folder for the caller's files, gone some time after this process.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        Ok(dir)
    }

    /// Runs kubectl and returns what it printed.
    ///
    /// # Errors
    /// When it fails; the error is what it wrote to its standard error.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.command(&self.tools.kubectl(), args, "").await
    }

    /// Applies resources given as YAML, as a person does.
    ///
    /// # Errors
    /// When the API server refuses one; the error is what kubectl said.
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        self.command(&self.tools.kubectl(), &["apply", "-f", "-"], yaml).await
    }

    /// Runs helm and returns what it printed.
    ///
    /// # Errors
    /// When it fails; the error is what it wrote to its standard error.
    pub async fn helm(&self, args: &[&str]) -> Result<String> {
        self.command(&self.tools.helm(), args, "").await
    }

    async fn command(&self, program: &Path, args: &[&str], input: &str) -> Result<String> {
        let home = self.dir.join("home");
        let mut command = process::command(program);
        command.args(args).env("KUBECONFIG", self.plane.kubeconfig()).env("HOME", &home);
        // A person's settings of Helm are not the bed's.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HELM_")) {
            command.env_remove(name);
        }
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let output = process::output(command, input, LIMIT)
            .await
            .with_context(|| format!("{name} {}", args.join(" ")))?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What there is on the bed, and what its parts and the pods of these namespaces last said: for a
    /// test that fails.
    pub async fn report(&self, namespaces: &[&str]) -> String {
        let mut text = format!("state of the bed in {}:\n", self.dir.display());
        let looks: [&[&str]; 3] = [
            &["get", "deployments,pods", "-A", "-o", "wide"],
            &["get", "csc,kc", "-A", "-o", "wide"],
            &["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"],
        ];
        for args in looks {
            let shown = tokio::time::timeout(Duration::from_secs(10), self.kubectl(args)).await;
            let shown = match shown {
                Ok(Ok(shown)) => shown,
                Ok(Err(error)) => format!("{error:#}\n"),
                Err(_) => "no answer\n".to_owned(),
            };
            text.push_str(&format!("$ kubectl {}\n{shown}", args.join(" ")));
        }
        for log in self.plane.logs() {
            text.push_str(&end_of(&log, PART_TAIL));
        }
        for log in self.kafka.iter().flat_map(Kafka::logs) {
            text.push_str(&end_of(&log, PART_TAIL));
        }
        for entry in fs::read_dir(self.dir.join("node/logs")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if namespaces.iter().any(|namespace| name.starts_with(&format!("{namespace}_"))) {
                text.push_str(&end_of(&entry.path(), TAIL));
            }
        }
        text
    }
}

fn end_of(log: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    format!("== {}\n{}\n", log.display(), all[all.len().saturating_sub(lines)..].join("\n"))
}

/// Removes the folders of beds whose process is gone. The last ones are kept until then, for
/// whoever wants to know why a test failed.
fn sweep_up(beds: &Path) {
    for entry in fs::read_dir(beds).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.rsplit_once('-').and_then(|(_, pid)| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
