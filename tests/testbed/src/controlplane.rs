//! A Kubernetes control plane: etcd, kube-apiserver with RBAC, kube-controller-manager.
//!
//! No kubelet and no scheduler: pods are run by `kubelet`. Everything listens on the loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::Signal;

use crate::pki::Certificate;
use crate::ports;
use crate::process::{Child, Spec, spawn};
use crate::tools::Tools;
use crate::wait::eventually;

mod audit;

use audit::Audit;
pub use audit::{Call, CallObject, CallStatus, CallUser};

/// Token of the administrator of every bed; it is worth nothing outside the loopback.
const TOKEN: &str = "test-bed-admin";

/// Every call of pods is noted, those of the controllers are not; of a Lease also what was written.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ['system:serviceaccounts:kube-system']}
- level: Request
  userGroups: ['system:serviceaccounts']
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- {level: Metadata, userGroups: ['system:serviceaccounts']}
";

/// A running control plane. Dropped, it ends.
pub struct ControlPlane {
    dir: PathBuf,
    port: u16,
    ca_pem: String,
    client: Client,
    audit: Mutex<Audit>,
    etcd: Mutex<Option<Child>>,
    apiserver: Mutex<Option<Child>>,
    controllers: Mutex<Option<Child>>,
    etcd_spec: Spec,
    apiserver_spec: Spec,
}

impl ControlPlane {
    /// Starts one in `dir`.
    ///
    /// # Errors
    /// When a part does not start or does not get ready; the error holds the end of its log.
    pub async fn start(tools: &Tools, dir: &Path) -> Result<Self> {
        let mut last = anyhow!("not tried");
        for _ in 0..3 {
            match Self::try_start(tools, dir).await {
                Ok(plane) => return Ok(plane),
                // Another process may have taken the port meanwhile.
                Err(error) if format!("{error:#}").contains("address already in use") => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn try_start(tools: &Tools, dir: &Path) -> Result<Self> {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir)?;
        let [client_port, peer_port, port] = ports::free(3)?[..] else { bail!("three ports") };
        let ca_pem = certificates(dir)?;
        fs::write(dir.join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n"))?;
        fs::write(dir.join("audit-policy.yaml"), AUDIT_POLICY)?;
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let kubeconfig = dir.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(port, &path("ca.crt")))?;

        let etcd_url = format!("http://127.0.0.1:{client_port}");
        let peer_url = format!("http://127.0.0.1:{peer_port}");
        let etcd_spec = Spec {
            program: tools.etcd(),
            args: [
                format!("--data-dir={}", path("etcd")),
                format!("--listen-client-urls={etcd_url}"),
                format!("--advertise-client-urls={etcd_url}"),
                format!("--listen-peer-urls={peer_url}"),
                format!("--initial-advertise-peer-urls={peer_url}"),
                format!("--initial-cluster=default={peer_url}"),
                // Nothing here has to survive a power cut.
                "--unsafe-no-fsync".into(),
                "--log-level=warn".into(),
            ]
            .into(),
            log: dir.join("etcd.log"),
            ..Spec::default()
        };
        let apiserver_spec = Spec {
            program: tools.kube_apiserver(),
            args: [
                format!("--etcd-servers={etcd_url}"),
                "--bind-address=127.0.0.1".into(),
                "--advertise-address=127.0.0.1".into(),
                format!("--secure-port={port}"),
                format!("--tls-cert-file={}", path("server.crt")),
                format!("--tls-private-key-file={}", path("server.key")),
                format!("--client-ca-file={}", path("ca.crt")),
                format!("--token-auth-file={}", path("tokens.csv")),
                "--authorization-mode=RBAC".into(),
                format!("--service-account-key-file={}", path("sa.pub")),
                format!("--service-account-signing-key-file={}", path("sa.key")),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                "--service-cluster-ip-range=10.0.0.0/24".into(),
                "--allow-privileged=true".into(),
                "--profiling=false".into(),
                format!("--audit-policy-file={}", path("audit-policy.yaml")),
                format!("--audit-log-path={}", path("audit.log")),
                "--endpoint-reconciler-type=none".into(),
            ]
            .into(),
            log: dir.join("apiserver.log"),
            ..Spec::default()
        };
        let controllers_spec = Spec {
            program: tools.kube_controller_manager(),
            args: [
                format!("--kubeconfig={}", kubeconfig.display()),
                format!("--service-account-private-key-file={}", path("sa.key")),
                format!("--root-ca-file={}", path("ca.crt")),
                "--use-service-account-credentials=true".into(),
                "--leader-elect=false".into(),
                // It would call every pod unready whenever the kubelet cannot reach a stopped API server.
                "--controllers=*,-node-lifecycle-controller".into(),
                "--bind-address=127.0.0.1".into(),
                "--secure-port=0".into(),
                "--kube-api-qps=200".into(),
                "--kube-api-burst=400".into(),
            ]
            .into(),
            log: dir.join("controllers.log"),
            ..Spec::default()
        };
        let etcd = spawn(&etcd_spec)?;
        let apiserver = spawn(&apiserver_spec)?;
        let client = client(&kubeconfig).await?;
        ready(&client, &apiserver, &etcd).await?;
        let controllers = spawn(&controllers_spec)?;
        let plane = Self {
            dir: dir.to_owned(),
            port,
            ca_pem,
            client,
            audit: Mutex::default(),
            etcd: Mutex::new(Some(etcd)),
            apiserver: Mutex::new(Some(apiserver)),
            controllers: Mutex::new(Some(controllers)),
            etcd_spec,
            apiserver_spec,
        };
        plane.default_account().await?;
        Ok(plane)
    }

    /// The default service account exists: pods can be made from now on.
    async fn default_account(&self) -> Result<()> {
        use k8s_openapi::api::core::v1::ServiceAccount;
        let accounts: kube::Api<ServiceAccount> = kube::Api::namespaced(self.client.clone(), "default");
        eventually("the default service account", Duration::from_secs(60), || accounts.get("default"))
            .await?;
        Ok(())
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A kubeconfig with all rights.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The administrator's token.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// The authority that signed the API server's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The API server's certificate, for something that stands before it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn certificate(&self) -> Result<Certificate> {
        let read =
            |name: &str| fs::read_to_string(self.dir.join(name)).with_context(|| format!("reading {name}"));
        Ok(Certificate { cert: read("server.crt")?, key: read("server.key")? })
    }

    /// Host of the API server.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// Port of the API server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its parts write what they do.
    pub fn logs(&self) -> [PathBuf; 3] {
        ["etcd.log", "apiserver.log", "controllers.log"].map(|log| self.dir.join(log))
    }

    /// The calls that the pods of a service account made so far, in their order.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn calls(&self, namespace: &str, account: &str) -> Result<Vec<Call>> {
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        audit.read_on(&self.dir.join("audit.log")).context("reading the audit log")?;
        Ok(audit.calls.iter().filter(|call| call.user.username == user).cloned().collect())
    }

    /// Ends all its processes.
    pub fn end(&self) {
        for slot in [&self.controllers, &self.apiserver, &self.etcd] {
            // Dropped, a process ends.
            drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }

    /// Stops the API server; the data stays.
    pub async fn stop_apiserver(&self) {
        let child = self.apiserver.lock().ok().and_then(|mut c| c.take());
        if let Some(child) = child {
            child.stop(Duration::from_secs(5)).await;
        }
    }

    /// Starts the API server again if it is stopped, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_apiserver(&self) -> Result<()> {
        if let Ok(mut slot) = self.apiserver.lock()
            && slot.as_ref().is_none_or(|child| child.exited().is_some())
        {
            *slot = Some(spawn(&self.apiserver_spec)?);
        }
        self.ready_again().await
    }

    /// Waits until the API server is ready; its own end and that of etcd are told at once.
    async fn ready_again(&self) -> Result<()> {
        eventually("the API server", Duration::from_secs(60), || async {
            for (name, slot) in [("kube-apiserver", &self.apiserver), ("etcd", &self.etcd)] {
                if let Ok(slot) = slot.lock()
                    && let Some(child) = &*slot
                    && let Some(status) = child.exited()
                {
                    return Ok(Err(anyhow!("{name} ended ({status}):\n{}", child.tail(15))));
                }
            }
            is_ready(&self.client).await.map(Ok)
        })
        .await?
    }

    /// The API server stops answering, with its connections open.
    pub fn pause_apiserver(&self) {
        self.signal_apiserver(Signal::STOP);
    }

    /// The API server goes on.
    pub fn resume_apiserver(&self) {
        self.signal_apiserver(Signal::CONT);
    }

    fn signal_apiserver(&self, signal: Signal) {
        if let Ok(slot) = self.apiserver.lock()
            && let Some(child) = &*slot
        {
            child.signal(signal);
        }
    }

    /// Kills etcd and starts it again.
    ///
    /// # Errors
    /// When the API server does not get ready again.
    pub async fn restart_etcd(&self) -> Result<()> {
        let child = self.etcd.lock().ok().and_then(|mut c| c.take());
        if let Some(child) = child {
            child.signal(Signal::KILL);
            child.wait().await;
        }
        let child = spawn(&self.etcd_spec)?;
        if let Ok(mut slot) = self.etcd.lock() {
            *slot = Some(child);
        }
        self.ready_again().await
    }
}

/// A client for a kubeconfig.
///
/// # Errors
/// When it cannot be read or used.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // Whatever HTTPS_PROXY says: this is the loopback.
    config.proxy_url = None;
    Ok(Client::try_from(config)?)
}

async fn is_ready(client: &Client) -> Result<()> {
    let request = http_get("/readyz")?;
    let text = client.request_text(request).await?;
    if text.trim() == "ok" { Ok(()) } else { bail!("{text}") }
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

async fn ready(client: &Client, apiserver: &Child, etcd: &Child) -> Result<()> {
    let ended = async {
        tokio::select! {
            status = apiserver.wait() => anyhow!("kube-apiserver ended ({status}):\n{}", apiserver.tail(15)),
            status = etcd.wait() => anyhow!("etcd ended ({status}):\n{}", etcd.tail(15)),
        }
    };
    tokio::select! {
        outcome = eventually("the API server", Duration::from_secs(90), || is_ready(client)) => {
            outcome.with_context(|| format!("its log ends with:\n{}", apiserver.tail(15)))
        }
        error = ended => Err(error),
    }
}

/// An authority, a certificate of the API server by it, and the key of the service accounts.
fn certificates(dir: &Path) -> Result<String> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(rcgen::DnType::CommonName, "test bed");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = Issuer::from_params(&ca, &ca_key);
    let names =
        ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1", "10.0.0.1"];
    let server_key = KeyPair::generate()?;
    let server = CertificateParams::new(names.map(String::from).to_vec())?.signed_by(&server_key, &issuer)?;
    let account_key = KeyPair::generate()?;
    fs::write(dir.join("ca.crt"), ca_cert.pem())?;
    fs::write(dir.join("server.crt"), server.pem())?;
    fs::write(dir.join("server.key"), server_key.serialize_pem())?;
    fs::write(dir.join("sa.key"), account_key.serialize_pem())?;
    fs::write(dir.join("sa.pub"), account_key.public_key_pem())?;
    Ok(ca_cert.pem())
}

fn kubeconfig_text(port: u16, ca: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: bed
clusters:
- name: bed
  cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: '{ca}'}}
users:
- name: admin
  user: {{token: {TOKEN}}}
contexts:
- name: bed
  context: {{cluster: bed, user: admin}}
"
    )
}
