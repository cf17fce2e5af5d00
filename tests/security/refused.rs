//! Who is not let in, in which words, and how seldom it is tried again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use spillway::kafka::{Connection, ConnectionConfig, TlsConfig};
use spillway_testbed::pki::Valid;
use spillway_testbed::secured::{EXPIRED, MISNAMED, MUTUAL, PASSWORD, Secured, TLS, USERS};

use super::{config, password, refused, showing, sweep, test, trusting};

async fn says(bed: &Secured, door: &str, tls: Option<TlsConfig>, expected: &str) -> Result<()> {
    let at = if door.is_empty() { bed.kafka.bootstrap() } else { bed.at(door) };
    let connection =
        Connection::open(&ConnectionConfig { bootstrap: vec![at.clone()], tls, sasl: None })?;
    refused(&format!("a client of {door}"), &connection, &expected.replace("{at}", &at)).await
}

const UNTRUSTED: &str = "TlsFailed: Kafka at {at} shows a certificate that cannot be trusted. Set tls.caCert to the authority that signed it, and use a host name that is in it";

#[test]
fn certificates_of_brokers() {
    test(async |bed| {
        let stranger = TlsConfig { ca_pem: Some(bed.stranger.pem().into()), ..TlsConfig::default() };
        says(bed, TLS, Some(stranger), UNTRUSTED).await?;
        says(bed, TLS, Some(TlsConfig::default()), UNTRUSTED).await?;
        says(bed, EXPIRED, Some(trusting(bed)), UNTRUSTED).await?;
        says(bed, MISNAMED, Some(trusting(bed)), UNTRUSTED).await
    });
}

#[test]
fn certificates_of_clients() {
    test(async |bed| {
        let expired = bed.authority.issue("spillway", &[], Valid::Past)?;
        let unknown = bed.stranger.issue("spillway", &[], Valid::Now)?;
        let none = "TlsFailed: Kafka at {at} asks for a client certificate. Set tls.clientCert and tls.clientKey, or name another listener";
        says(bed, MUTUAL, Some(trusting(bed)), none).await?;
        let refused = |why: &str| {
            format!("TlsFailed: Kafka at {{at}} refused the client certificate: {why}. Check tls.clientCert and tls.clientKey: expired, or not signed by an authority that the brokers trust")
        };
        says(bed, MUTUAL, Some(showing(bed, expired)), &refused("it has expired")).await?;
        says(bed, MUTUAL, Some(showing(bed, unknown)), &refused("it is not accepted there")).await
    });
}

#[test]
fn plain_text_against_tls_and_the_reverse() {
    test(async |bed| {
        says(bed, TLS, None, "Unreachable: Kafka at {at} closed the connection: the listener may ask for TLS (tls) or a login (sasl). Set it in a KafkaConnection, or name another listener").await?;
        says(bed, "", Some(trusting(bed)), "TlsFailed: Kafka at {at} closed the connection at the TLS handshake: the listener may have no TLS. Remove tls, or name the listener that has it").await
    });
}

#[test]
fn a_wrong_password_is_not_tried_in_a_storm() {
    test(async |bed| {
        for (mechanism, said) in [
            ("PLAIN", "Invalid username or password"),
            ("SCRAM-SHA-512", "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512"),
        ] {
            let at = bed.at(PASSWORD);
            let sasl = password(mechanism, USERS[2].0, "wrong-secret");
            let connection = Connection::open(&config(at.clone(), trusting(bed), sasl))?;
            let expected = format!(
                "AuthenticationFailed: Kafka at {at} refused the login: {said}. Check sasl.username, sasl.password and sasl.mechanism"
            );
            refused(mechanism, &connection, &expected).await?;
            // As the loop of a connection that is read every second, and as one that never rests.
            let (before, start) = (tries(bed, mechanism)?, Instant::now());
            while start.elapsed() < Duration::from_secs(10) {
                ensure!(sweep(&connection).await.problem.is_some());
            }
            let tries = tries(bed, mechanism)? - before;
            ensure!((1..=20).contains(&tries), "{mechanism}: {tries} logins in 10s");
            println!("{mechanism}: {tries} logins in {:?}", start.elapsed());
        }
        Ok(())
    });
}

/// Refused logins by a mechanism, by the broker's log.
fn tries(bed: &Secured, mechanism: &str) -> Result<usize> {
    let said = match mechanism {
        "PLAIN" => "Invalid username or password",
        _ => "invalid credentials with SASL mechanism SCRAM-SHA-512",
    };
    bed.kafka.logged(said)
}
