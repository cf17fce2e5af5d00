//! What the bed is made of: built or fetched once, into a cache.
//!
//! Several processes may ask at once: one works, the others wait. What is there and still made
//! from the same inputs is used as it is. It starts nothing.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::fs::{FlockOperation, flock};

mod monitoring;
mod prometheus;
mod run;

use run::{header, mounts, needs, recent, run};

/// Kubernetes version of the control plane: that of `controlplane/go.mod`.
const KUBERNETES: &str = "1.37.2";

const GO: &str = "Go 1.26 or later (https://go.dev/dl)";
const JDK: &str = "a JDK, 17 or later (Debian: default-jdk-headless)";
const CHROMIUM: &str = "chromium";
const MAVEN: &str = "Maven (Debian: maven)";

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Tools {
    cache: PathBuf,
    assets: Option<PathBuf>,
}

impl Tools {
    /// Makes sure that everything but Prometheus is there, building and fetching what is not.
    ///
    /// # Errors
    /// One line when a toolchain is missing; the last lines of its output when a build fails.
    pub fn prepare() -> Result<Self> {
        let cache = cache();
        fs::create_dir_all(cache.join("bin")).with_context(|| format!("creating {}", cache.display()))?;
        let _lock = locked(&cache)?;
        let tools = Self { cache, assets: std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from) };
        // Maven waits for the network, Go for the processor: side by side.
        std::thread::scope(|scope| {
            let jars = scope.spawn(|| tools.kafka_jars());
            tools.go_parts().and(jars.join().unwrap_or_else(|_| Err(anyhow!("fetching Kafka panicked"))))
        })?;
        Ok(tools)
    }

    /// Makes sure that Kafka is there, and nothing else.
    ///
    /// # Errors
    /// As [`Tools::prepare`].
    pub fn prepare_kafka() -> Result<Self> {
        let cache = cache();
        fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
        let _lock = locked(&cache)?;
        let tools = Self { cache, assets: None };
        tools.kafka_jars()?;
        Ok(tools)
    }

    /// What this machine lacks to compile the workspace, a line each. Quick.
    pub fn missing_to_compile() -> Vec<String> {
        lines([
            needs("pkg-config", &["--version"], "pkg-config (Debian: pkg-config)"),
            header("openssl/ssl.h", "OpenSSL's headers (Debian: libssl-dev)"),
            header("zlib.h", "zlib's headers (Debian: zlib1g-dev)"),
        ])
    }

    /// What this machine lacks to build and to run the bed, a line each. Quick, but for a Go that
    /// fetches a newer one.
    pub fn missing() -> Vec<String> {
        let bed = lines([
            recent_go(),
            recent_java(),
            needs("mvn", &["--version"], MAVEN),
            needs("setpriv", &["--version"], "util-linux"),
            mounts(),
            space(&cache()),
        ]);
        [Self::missing_to_compile(), bed].concat()
    }

    /// What it lacks beside that for every test there is.
    pub fn missing_for_tests() -> Vec<String> {
        [Self::missing(), lines([needs(CHROMIUM, &["--version"], "Chromium (Debian: chromium)")])].concat()
    }

    /// Makes sure that Prometheus is there too.
    ///
    /// # Errors
    /// As [`Tools::prepare`].
    pub fn prepare_prometheus(&self) -> Result<()> {
        let _lock = locked(&self.cache)?;
        prometheus::prepare(&self.cache)
    }

    /// Makes sure that the definitions of the Prometheus Operator are there too.
    ///
    /// # Errors
    /// As [`Tools::prepare`].
    pub fn prepare_monitoring(&self) -> Result<()> {
        let _lock = locked(&self.cache)?;
        monitoring::prepare(&self.cache)
    }

    /// The folder of the definitions of PodMonitor, ServiceMonitor and PrometheusRule.
    pub fn monitoring(&self) -> PathBuf {
        monitoring::folder(&self.cache)
    }

    /// etcd.
    pub fn etcd(&self) -> PathBuf {
        self.asset("etcd")
    }

    /// kube-apiserver.
    pub fn kube_apiserver(&self) -> PathBuf {
        self.asset("kube-apiserver")
    }

    /// kube-controller-manager.
    pub fn kube_controller_manager(&self) -> PathBuf {
        self.asset("kube-controller-manager")
    }

    /// kubectl.
    pub fn kubectl(&self) -> PathBuf {
        self.asset("kubectl")
    }

    /// helm.
    pub fn helm(&self) -> PathBuf {
        self.cache.join("bin/helm")
    }

    /// prometheus.
    pub fn prometheus(&self) -> PathBuf {
        prometheus::program(&self.cache, "prometheus")
    }

    /// promtool.
    pub fn promtool(&self) -> PathBuf {
        prometheus::program(&self.cache, "promtool")
    }

    /// The browser, of the machine.
    pub fn chromium(&self) -> PathBuf {
        PathBuf::from(CHROMIUM)
    }

    /// The folder of Kafka's jars.
    pub fn kafka_libs(&self) -> PathBuf {
        self.cache.join("kafka/libs")
    }

    /// A folder for beds.
    pub fn beds(&self) -> PathBuf {
        self.cache.join("beds")
    }

    /// A copy that is already on the machine is used for what it holds.
    fn asset(&self, name: &str) -> PathBuf {
        let found = self.assets.as_ref().map(|dir| dir.join(name)).filter(|path| path.exists());
        found.unwrap_or_else(|| self.cache.join("bin").join(name))
    }

    fn go_parts(&self) -> Result<()> {
        let module = here().join("../controlplane");
        let bin = self.cache.join("bin");
        let stamp =
            Stamp::of(&bin.join("go.stamp"), &["main.go", "go.mod", "go.sum"].map(|f| module.join(f)))?;
        if !stamp.fits() || !bin.join("controlplane").exists() || !bin.join("helm").exists() {
            recent_go()?;
            let (major, minor) = KUBERNETES.split_once('.').unwrap_or(("1", "37"));
            let minor = minor.split('.').next().unwrap_or(minor);
            let version = "k8s.io/component-base/version";
            let flags = format!(
                "-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
            );
            let plane = bin.join("controlplane");
            let plane = plane.to_string_lossy();
            run(
                "building the Kubernetes control plane",
                &module,
                "go",
                &["build", "-ldflags", &flags, "-o", &plane, "."],
            )?;
            let helm = bin.join("helm");
            let helm = helm.to_string_lossy();
            let helm_flags = "-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1";
            run(
                "building Helm",
                &module,
                "go",
                &["build", "-ldflags", helm_flags, "-o", &helm, "helm.sh/helm/v4/cmd/helm"],
            )?;
            stamp.set()?;
        }
        for name in ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"] {
            let link = bin.join(name);
            if !link.exists() {
                let _ = fs::remove_file(&link);
                symlink("controlplane", &link).with_context(|| format!("linking {}", link.display()))?;
            }
        }
        Ok(())
    }

    fn kafka_jars(&self) -> Result<()> {
        let pom = here().join("../kafka/pom.xml");
        let libs = self.kafka_libs();
        let stamp = Stamp::of(&self.cache.join("kafka/stamp"), std::slice::from_ref(&pom))?;
        recent_java()?;
        if stamp.fits() && libs.exists() {
            return Ok(());
        }
        needs("mvn", &["--version"], MAVEN)?;
        let partial = self.cache.join("kafka/partial");
        let _ = fs::remove_dir_all(&partial);
        let _ = fs::remove_dir_all(&libs);
        let out = format!("-DoutputDirectory={}", partial.display());
        let pom = pom.to_string_lossy();
        run(
            "fetching Kafka",
            &self.cache,
            "mvn",
            &["-B", "-q", "-f", &pom, "dependency:copy-dependencies", &out],
        )?;
        fs::rename(&partial, &libs)?;
        stamp.set()
    }
}

/// `$JAVA_HOME/bin/java`, or the one in `PATH`.
pub fn java() -> PathBuf {
    std::env::var_os("JAVA_HOME")
        .filter(|home| !home.is_empty())
        .map_or_else(|| PathBuf::from("java"), |home| PathBuf::from(home).join("bin/java"))
}

/// A Java that runs Kafka.
fn recent_java() -> Result<()> {
    recent(&java(), &["-version"], here(), (17, 0), JDK)
}

/// A Go that builds the control plane: the module names the version, and Go may fetch it.
fn recent_go() -> Result<()> {
    recent(Path::new("go"), &["version"], &here().join("../controlplane"), (1, 26), GO)
}

fn lines<const N: usize>(found: [Result<()>; N]) -> Vec<String> {
    found.into_iter().filter_map(|found| found.err().map(|error| error.to_string())).collect()
}

/// The cache: `SPILLWAY_TESTBED_CACHE`, else `target/testbed` of the workspace.
fn cache() -> PathBuf {
    std::env::var_os("SPILLWAY_TESTBED_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| here().ancestors().nth(3).unwrap_or(here()).join("target/testbed"))
}

/// Keeps other processes from working on the cache for as long as it lives.
fn locked(cache: &Path) -> Result<File> {
    let lock = File::create(cache.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Remembers what something was made from.
struct Stamp {
    path: PathBuf,
    hash: String,
}

impl Stamp {
    fn of(path: &Path, inputs: &[PathBuf]) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        KUBERNETES.hash(&mut hasher);
        for input in inputs {
            fs::read(input).with_context(|| format!("reading {}", input.display()))?.hash(&mut hasher);
        }
        Ok(Self { path: path.to_owned(), hash: format!("{:016x}", hasher.finish()) })
    }

    fn fits(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|found| found.trim() == self.hash)
    }

    fn set(&self) -> Result<()> {
        fs::create_dir_all(self.path.parent().unwrap_or(Path::new("/")))?;
        Ok(fs::write(&self.path, &self.hash)?)
    }
}

/// Free disk space that the beds need at the least: etcd alone claims two files of 64 MB for each
/// control plane, and ends with a stack trace when it does not get them.
const DISK_MIB: u64 = 3 * 1024;

fn space(folder: &Path) -> Result<()> {
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let Ok(disk) = rustix::fs::statvfs(existing) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) / (1024 * 1024);
    ensure!(
        free >= DISK_MIB,
        "{free} MiB of disk are free at {}: the test bed needs {DISK_MIB} MiB, and a build from nothing \
         about 8 GiB; make room there",
        existing.display()
    );
    Ok(())
}
