//! Every way in that a `KafkaConnection` can name, through a door of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use spillway::kafka::{Connection, TlsConfig};
use spillway_testbed::pki::Valid;
use spillway_testbed::secured::{MISNAMED, MUTUAL, PASSWORD, TLS, USERS};

use super::{config, let_in, password, showing, test, trusting};

#[test]
fn tls_with_an_authority_of_ones_own() {
    test(async |bed| {
        let connection = Connection::open(&config(bed.at(TLS), trusting(bed), None))?;
        let_in("whoever trusts the authority", &connection).await
    });
}

#[test]
fn tls_with_the_authorities_that_the_environment_names() {
    test(async |bed| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("security-authorities.pem");
        std::fs::write(&file, bed.authority.pem())?;
        let resources = format!(
            "{{apiVersion: spillway.dev/v1alpha1, kind: KafkaConnection, metadata: {{name: main, namespace: shop}},
             spec: {{bootstrapServers: ['{}'], tls: {{}}}}}}",
            bed.at(TLS)
        );
        let check = |named: Option<&Path>| -> Result<(bool, String)> {
            let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
            command.args(["check", "--kafka", "-"]).env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
            command.envs(named.map(|file| ("SSL_CERT_FILE", file)));
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            child.stdin.take().map(|mut input| input.write_all(resources.as_bytes())).transpose()?;
            let output = child.wait_with_output()?;
            Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
        };
        let (let_in, said) = check(Some(&file))?;
        ensure!(let_in, "{said}");
        // This machine does not trust it, wherever it keeps its authorities.
        let (let_in, said) = check(None)?;
        ensure!(!let_in && said.contains("authority"), "{said}");
        Ok(())
    });
}

#[test]
fn tls_that_looks_at_no_certificate() {
    test(async |bed| {
        let blind = TlsConfig { skip_verify: true, ..TlsConfig::default() };
        let connection = Connection::open(&config(bed.at(MISNAMED), blind, None))?;
        let_in("whoever looks at no certificate", &connection).await
    });
}

#[test]
fn a_certificate_of_ones_own() {
    test(async |bed| {
        let certificate = bed.authority.issue("spillway", &[], Valid::Now)?;
        let connection = Connection::open(&config(bed.at(MUTUAL), showing(bed, certificate), None))?;
        let_in("a client with a certificate", &connection).await
    });
}

#[test]
fn a_password_by_each_mechanism() {
    test(async |bed| {
        let (user, secret) = USERS[0];
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let sasl = password(mechanism, user, secret);
            let connection = Connection::open(&config(bed.at(PASSWORD), trusting(bed), sasl))?;
            let_in(mechanism, &connection).await?;
        }
        Ok(())
    });
}
