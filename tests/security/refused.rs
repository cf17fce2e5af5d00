//! Who is not let in, in which words, and how seldom it is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use futures::try_join;
use spillway::kafka::{Connection, ConnectionConfig, TlsConfig};
use spillway_testbed::pki::Valid;
use spillway_testbed::secured::{EXPIRED, MISNAMED, MUTUAL, PASSWORD, Secured, TLS, USERS};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::{config, password, refused, showing, sweep, test, trusting};

async fn says(bed: &Secured, door: &str, tls: Option<TlsConfig>, expected: &str) -> Result<()> {
    let at = if door.is_empty() { bed.kafka.bootstrap() } else { bed.at(door) };
    let connection = Connection::open(&ConnectionConfig { bootstrap: vec![at.clone()], tls, sasl: None })?;
    refused(&format!("a client of {door}"), &connection, &expected.replace("{at}", &at)).await
}

#[test]
fn certificates_of_brokers() {
    test(async |bed| {
        let stranger = TlsConfig { ca_pem: Some(bed.stranger.pem().into()), ..TlsConfig::default() };
        let shows = |what: &str| format!("TlsFailed: Kafka at {{at}} shows a certificate {what}");
        let unknown = shows(
            "signed by an authority that is not known here. Set tls.caCert to the authority that signed it",
        );
        let expired = shows("that has expired. Renew it there");
        let elsewhere = shows("for other hosts. Use a host name that is in it");
        try_join!(
            says(bed, TLS, Some(stranger), &unknown),
            says(bed, TLS, Some(TlsConfig::default()), &unknown),
            says(bed, EXPIRED, Some(trusting(bed)), &expired),
            says(bed, MISNAMED, Some(trusting(bed)), &elsewhere),
        )
        .map(drop)
    });
}

#[test]
fn certificates_of_clients() {
    test(async |bed| {
        let expired = bed.authority.issue("spillway", &[], Valid::Past)?;
        let unknown = bed.stranger.issue("spillway", &[], Valid::Now)?;
        let none = "TlsFailed: Kafka at {at} asks for a client certificate. Set tls.clientCert and tls.clientKey, or name another listener";
        let refused = "TlsFailed: Kafka at {at} refused the client certificate: it is not accepted there. Check tls.clientCert and tls.clientKey: expired, or not signed by an authority that the brokers trust";
        try_join!(
            says(bed, MUTUAL, Some(trusting(bed)), none),
            says(bed, MUTUAL, Some(showing(bed, expired)), refused),
            says(bed, MUTUAL, Some(showing(bed, unknown)), refused),
        )
        .map(drop)
    });
}

#[test]
fn plain_text_against_tls_and_the_reverse() {
    test(async |bed| {
        let tls = "Unreachable: Kafka at {at} closed the connection: the listener may ask for TLS (tls) or a login (sasl). Set it in a KafkaConnection, or name another listener";
        let plain = "TlsFailed: Kafka at {at} closed the connection at the TLS handshake: the listener may have no TLS. Remove tls, or name the listener that has it";
        try_join!(says(bed, TLS, None, tls), says(bed, "", Some(trusting(bed)), plain)).map(drop)
    });
}

#[test]
fn what_is_refused_is_not_tried_in_a_storm() {
    test(async |bed| {
        let wrong = |mechanism| password(mechanism, USERS[2].0, "wrong-secret");
        let scram = "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512";
        let check = "Check sasl.username, sasl.password and sasl.mechanism";
        let tries = [
            (
                PASSWORD,
                wrong("PLAIN"),
                format!(
                    "AuthenticationFailed: Kafka at {{at}} refused the login: Invalid username or password. {check}"
                ),
            ),
            (
                PASSWORD,
                wrong("SCRAM-SHA-512"),
                format!("AuthenticationFailed: Kafka at {{at}} refused the login: {scram}. {check}"),
            ),
            (
                EXPIRED,
                None,
                "TlsFailed: Kafka at {at} shows a certificate that has expired. Renew it there".to_owned(),
            ),
        ];
        // All at once, each as a loop that never rests.
        let all = tries.into_iter().map(|(door, sasl, said)| async move {
            let at = bed.at(door);
            let (address, connections) = counting(&at).await?;
            let connection = Connection::open(&config(address.clone(), trusting(bed), sasl))?;
            refused(door, &connection, &said.replace("{at}", &address)).await?;
            let (before, start) = (connections.load(Ordering::Relaxed), Instant::now());
            while start.elapsed() < WATCHED {
                ensure!(sweep(&connection).await.problem.is_some());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let tries = connections.load(Ordering::Relaxed) - before;
            println!("{said}: {tries} in {:?}", start.elapsed());
            ensure!((1..=18).contains(&tries), "{tries} tries in {WATCHED:?}: {said}");
            Ok(())
        });
        try_join_all(all).await.map(drop)
    });
}

/// How long the tries are counted. Left to itself a client makes two a second.
const WATCHED: Duration = Duration::from_secs(12);

/// Another address of a door, at which connections are counted.
async fn counting(door: &str) -> Result<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, count) = (listener.local_addr()?.to_string(), Arc::new(AtomicUsize::new(0)));
    let (counted, door) = (count.clone(), door.to_owned());
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let door = door.clone();
            tokio::spawn(async move {
                let mut to = TcpStream::connect(door).await?;
                copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    Ok((address, count))
}
