//! HTTP probes.
//!
//! It asks and counts; what follows is the pod's.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One probe and its count.
#[derive(Debug)]
pub(super) struct Prober {
    probe: Probe,
    port: u16,
    successes: i32,
    failures: i32,
}

impl Prober {
    /// For a probe over HTTP; others count as passed.
    pub fn new(probe: Option<&Probe>, container: &Container) -> Option<Self> {
        let probe = probe?.clone();
        let port = match &probe.http_get.as_ref()?.port {
            IntOrString::Int(port) => *port,
            IntOrString::String(name) => container
                .ports
                .iter()
                .flatten()
                .find(|p| p.name.as_ref() == Some(name))
                .map(|p| p.container_port)?,
        };
        Some(Self { probe, port: u16::try_from(port).ok()?, successes: 0, failures: 0 })
    }

    /// Time before the first try.
    pub fn delay(&self) -> Duration {
        seconds(self.probe.initial_delay_seconds, 0)
    }

    /// Time between two tries.
    pub fn period(&self) -> Duration {
        seconds(self.probe.period_seconds, 10)
    }

    /// Asks once. `Some` once the threshold of either side is reached.
    pub async fn ask(&mut self, ip: &str) -> Option<bool> {
        let http = self.probe.http_get.as_ref()?;
        let host = http.host.as_deref().unwrap_or(ip);
        let path = http.path.as_deref().unwrap_or("/");
        let limit = seconds(self.probe.timeout_seconds, 1);
        let passed =
            matches!(tokio::time::timeout(limit, get(host, self.port, path)).await, Ok(Ok(200..=399)));
        if passed {
            self.failures = 0;
            self.successes += 1;
            (self.successes >= self.probe.success_threshold.unwrap_or(1)).then_some(true)
        } else {
            self.successes = 0;
            self.failures += 1;
            (self.failures >= self.probe.failure_threshold.unwrap_or(3)).then_some(false)
        }
    }
}

fn seconds(value: Option<i32>, default: i32) -> Duration {
    Duration::from_secs(value.filter(|v| *v > 0).unwrap_or(default).max(0).unsigned_abs().into())
}

async fn get(host: &str, port: u16, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect((host, port)).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-probe\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0u8; 12];
    stream.read_exact(&mut head).await?;
    let code = std::str::from_utf8(&head[9..12]).ok().and_then(|c| c.parse().ok());
    Ok(code.unwrap_or(0))
}
