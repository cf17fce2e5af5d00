//! Every way in that a `KafkaConnection` can name, through a door of its own.

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
