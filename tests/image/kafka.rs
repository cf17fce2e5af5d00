//! The program of the image against a real broker with TLS: names, authorities and logins, where static ones break.
//!
//! It gets what a kubelet gives each container: `/etc/hosts` and `/etc/resolv.conf`. The name server is ours.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Result, ensure};
use serde_json::json;
use spillway_testbed::secured::{CLIENT, OAUTH, PASSWORD, Secured, TLS, USERS};
use spillway_testbed::tools::Tools;

use super::archive::Image;
use super::{images, sandbox};

/// The topic and the group that everybody may read.
const OPEN: &str = "open";
/// Where our name server listens, and where a container of it is to ask.
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 53);

#[test]
#[ignore = "of an image: make image-check"]
fn it_reaches_a_kafka_behind_tls() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let outcome = runtime.block_on(async {
        let bed = start().await?;
        tokio::task::spawn_blocking(move || images("kafka").iter().try_for_each(|image| of(image, &bed)))
            .await?
    });
    outcome.unwrap_or_else(|error: anyhow::Error| panic!("{error:#}"));
}

async fn start() -> Result<Secured> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image-kafka");
    let _ = fs::remove_dir_all(&dir);
    let tools = tokio::task::spawn_blocking(Tools::prepare_kafka).await??;
    let bed = Secured::start(&tools.kafka_libs(), &dir).await?;
    bed.kafka.create_topic(OPEN, 1).await?;
    bed.kafka.commit(OPEN, OPEN, 0, 0).await?;
    let everybody =
        ["--allow-principal", "User:*", "--operation", "Describe", "--group", OPEN, "--topic", OPEN];
    let servers = bed.kafka.bootstrap();
    let args = [&["--bootstrap-server", servers.as_str(), "--add"], &everybody[..]].concat();
    bed.kafka.run_tool("org.apache.kafka.tools.AclCommand", &args).await?;
    Ok(bed)
}

/// Everything that is asked of one image.
fn of(image: &Image, bed: &Secured) -> Result<()> {
    fs::write(image.root.join("etc/hosts"), "127.0.0.1 localhost\n")?;
    let resolv =
        format!("nameserver {NAME_SERVER}\nsearch shop.svc.cluster.local cluster.local\noptions ndots:5\n");
    fs::write(image.root.join("etc/resolv.conf"), resolv)?;
    let ours = json!({"caCert": {"secretKeyRef": {"name": "spillway-kafka", "key": "ca.crt"}}});
    let none = json!({});
    let (user, password) = USERS[0];
    let scram = json!({
        "mechanism": "SCRAM-SHA-512", "username": {"value": user},
        "password": {"secretKeyRef": {"name": "spillway-kafka", "key": "password"}},
    });
    // The provider's certificate is checked by rustls, the broker's by OpenSSL.
    let oauth = json!({"mechanism": "OAUTHBEARER", "oauth": {
        "tokenEndpoint": bed.provider.token_endpoint(),
        "clientId": {"value": CLIENT.0},
        "clientSecret": {"secretKeyRef": {"name": "spillway-kafka", "key": "secret"}},
    }});
    let resources = |at: String, tls: Option<&serde_json::Value>, sasl: Option<&serde_json::Value>| {
        let mut spec = json!({"bootstrapServers": [at]});
        for (name, value) in [("tls", tls), ("sasl", sasl)] {
            if let Some(value) = value {
                spec[name] = value.clone();
            }
        }
        let object = |api: &str, kind: &str, name: &str| json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
        let ours = "spillway.dev/v1alpha1";
        let mut secret = object("v1", "Secret", "spillway-kafka");
        secret["stringData"] =
            json!({"ca.crt": bed.authority.pem(), "password": password, "secret": CLIENT.1});
        let mut connection = object(ours, "KafkaConnection", "main");
        connection["spec"] = spec;
        let mut scaler = object(ours, "ConsumerScaler", "open");
        scaler["spec"] = json!({
            "scaleTargetRef": {"name": "open"}, "maxReplicas": 2,
            "consumerGroups": [{"group": OPEN, "connection": {"name": "main"}}],
            "objective": {"maxDelay": "30s", "recoverWithin": "10m"},
        });
        [secret, connection, scaler].map(|object| object.to_string()).join("\n---\n")
    };
    let check = |what: &str, resources: &str| -> Result<String> {
        let (said, told) = sandbox::run(image, &["check", "--kafka", "-"], resources);
        let said = said.unwrap_or_else(|code| format!("exit code {code}"));
        println!("{}: {what}: {said} {told}", image.name);
        Ok(format!("{said}\n{told}"))
    };
    let let_in = |what: &str, resources: &str| -> Result<()> {
        let said = check(what, resources)?;
        ensure!(!said.contains("exit code") && said.contains(OPEN), "{}: {what}: {said}", image.name);
        Ok(())
    };

    let_in("an authority of a Secret", &resources(bed.at(TLS), Some(&ours), None))?;
    let_in("a password", &resources(bed.at(PASSWORD), Some(&ours), Some(&scram)))?;

    // The system's authorities are those of the image: ours is none of them, until it is.
    let said = check("a stranger's authority", &resources(bed.at(TLS), Some(&none), None))?;
    ensure!(
        said.contains("exit code 1") && said.contains("authority"),
        "{}: it trusted a stranger: {said}",
        image.name
    );
    fs::write(image.root.join("etc/ssl/certs/ca-certificates.crt"), bed.authority.pem())?;
    let_in("an authority of the image", &resources(bed.at(TLS), Some(&none), None))?;
    let_in("a token from behind TLS", &resources(bed.at(OAUTH), Some(&none), Some(&oauth)))?;

    // By a name as pods use it: short, and found by the search list of the name server.
    let names = NameServer::start()?;
    let (_, port) =
        bed.kafka.bootstrap().rsplit_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap_or_default();
    let_in("a short name", &resources(format!("kafka:{port}"), None, None))?;
    let asked = names.asked.lock().map(|asked| asked.clone()).unwrap_or_default();
    ensure!(asked.iter().any(|name| name == "kafka.shop.svc.cluster.local"), "asked for {asked:?}");
    Ok(())
}

/// Answers one name with 127.0.0.1, and says of all others that there is none.
struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
    socket: UdpSocket,
    thread: Option<thread::JoinHandle<()>>,
}

impl NameServer {
    fn start() -> Result<Self> {
        let socket = UdpSocket::bind((NAME_SERVER, 53))?;
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (own, seen) = (socket.try_clone()?, Arc::clone(&asked));
        let thread = thread::spawn(move || {
            let mut buffer = [0; 512];
            // An empty message ends it.
            while let Ok((length @ 1.., from)) = own.recv_from(&mut buffer) {
                let (name, answer) = answer(&buffer[..length]);
                if let Ok(mut seen) = seen.lock() {
                    seen.push(name);
                }
                let _ = own.send_to(&answer, from);
            }
        });
        Ok(Self { asked, socket, thread: Some(thread) })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.socket.send_to(&[], (NAME_SERVER, 53));
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// The name that is asked for, and the answer (RFC 1035).
fn answer(question: &[u8]) -> (String, Vec<u8>) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while let Some(length) = question.get(at).map(|l| usize::from(*l)).filter(|l| *l > 0) {
        labels.push(
            String::from_utf8_lossy(question.get(at + 1..at + 1 + length).unwrap_or_default()).into_owned(),
        );
        at += 1 + length;
    }
    // Behind the name: its type and class.
    let end = (at + 5).min(question.len());
    let name = labels.join(".");
    let ours = name == "kafka.shop.svc.cluster.local";
    let address = ours && question.get(at + 2) == Some(&1);
    let mut answer = question[..2].to_vec();
    // An answer, authoritative; code 3: no such name. One question, and one record or none.
    answer.extend([0x84, if ours { 0 } else { 3 }, 0, 1, 0, u8::from(address), 0, 0, 0, 0]);
    answer.extend(&question[12..end]);
    if address {
        // The name above, A, IN, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    (name, answer)
}
