//! What librdkafka complains of, in words of our own: what is wrong, where, and what to do.
//!
//! The same trouble is always the same text, whichever broker it came from last and however
//! long a try took: a text that moves would be written to the status again and again. It knows
//! no secrets, and makes no connection.

use std::collections::BTreeMap;

use rdkafka::types::RDKafkaErrorCode;

use super::error::{ConnectionProblem, quoted};
use super::http::Untrusted;

/// Everything complained of since it last worked, the latest of each broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Troubles {
    of: BTreeMap<String, Trouble>,
    /// Why a certificate cannot be trusted, once it is known.
    untrusted: Option<Untrusted>,
}

/// What the owner set, for hints that fit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub tls: bool,
    /// With a certificate of our own.
    pub certificate: bool,
    pub login: Login,
}

/// How to log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Login {
    #[default]
    None,
    Password,
    OAuth,
    Aws,
}

/// Brokers whose troubles are kept.
const MOST: usize = 1000;

/// In the order in which they are told: what an owner can mend first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    LoginRefused(String),
    /// With the mechanisms that the broker offers.
    WrongMechanism(String),
    NoLoginAsked,
    Untrusted,
    /// Our certificate, or that there is none.
    CertificateRefused(String),
    Tls(String),
    NotTls,
    NoHost(String),
    Closed,
    Unreachable(String),
    Silent,
}

impl Trouble {
    /// With what others said as it may be told.
    fn quoted(self) -> Self {
        match self {
            Self::LoginRefused(said) => Self::LoginRefused(quoted(&said)),
            Self::WrongMechanism(said) => Self::WrongMechanism(quoted(&said)),
            Self::CertificateRefused(said) => Self::CertificateRefused(quoted(&said)),
            Self::Tls(said) => Self::Tls(quoted(&said)),
            Self::NoHost(said) => Self::NoHost(quoted(&said)),
            Self::Unreachable(said) => Self::Unreachable(quoted(&said)),
            other => other,
        }
    }
}

impl Troubles {
    /// Takes in what librdkafka says of a broker.
    pub fn note(&mut self, code: RDKafkaErrorCode, text: &str, asked: Asked) {
        if code == RDKafkaErrorCode::AllBrokersDown {
            // It says nothing that was not said of each of them.
            return;
        }
        let (broker, said) = split(text);
        let broker = quoted(broker);
        // What troubles so many tells no more of one more; and somebody's own Kafka may name ever new ones.
        if self.of.len() < MOST || self.of.contains_key(&broker) {
            self.of.insert(broker, trouble(code, said, asked).quoted());
        }
    }

    /// It works again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The broker whose certificate is what is told of, where it is not known why it cannot be trusted.
    pub fn unexplained(&self, bootstrap: &[String]) -> Option<&str> {
        let (broker, trouble) = self.worst(bootstrap)?;
        (*trouble == Trouble::Untrusted && self.untrusted.is_none() && !broker.is_empty()).then_some(broker)
    }

    /// Why its certificate cannot be trusted.
    pub fn explain(&mut self, why: Untrusted) {
        self.untrusted = Some(why);
    }

    /// The worst first; of equals one that the owner named, then by name: always the same.
    fn worst(&self, bootstrap: &[String]) -> Option<(&String, &Trouble)> {
        let known = |broker: &String| bootstrap.contains(broker) || broker.is_empty();
        self.of.iter().min_by_key(|(broker, trouble)| (*trouble, !known(broker), *broker))
    }

    /// Why nothing was answered by the cluster that is reached through `bootstrap`.
    pub fn problem(&self, bootstrap: &[String], asked: Asked) -> ConnectionProblem {
        let kafka = format!("Kafka at {}", bootstrap.join(","));
        let known = |broker: &String| bootstrap.contains(broker) || broker.is_empty();
        let Some((broker, trouble)) = self.worst(bootstrap) else {
            return silent(&kafka);
        };
        let (reason, message) = match trouble {
            Trouble::LoginRefused(said) => (
                "AuthenticationFailed",
                match asked.login {
                    Login::None | Login::Password => format!(
                        "{kafka} refused the login: {said}. Check sasl.username, sasl.password and sasl.mechanism"
                    ),
                    Login::OAuth => format!(
                        "{kafka} refused the token: {said}. Check sasl.oauth.scope, and the issuer and the audience that the brokers ask for"
                    ),
                    Login::Aws => format!(
                        "{kafka} refused the AWS identity: {said}. Check sasl.aws, and that its IAM policy allows kafka-cluster:Connect"
                    ),
                },
            ),
            Trouble::CertificateRefused(said) => (
                "TlsFailed",
                if asked.certificate {
                    format!(
                        "{kafka} refused the client certificate: {said}. Check tls.clientCert and tls.clientKey: expired, or not signed by an authority that the brokers trust"
                    )
                } else {
                    format!(
                        "{kafka} asks for a client certificate. Set tls.clientCert and tls.clientKey, or name another listener"
                    )
                },
            ),
            Trouble::WrongMechanism(offered) => (
                "AuthenticationFailed",
                format!(
                    "{kafka} does not take this mechanism. Set sasl.mechanism to one it offers: {offered}"
                ),
            ),
            Trouble::NoLoginAsked => (
                "AuthenticationFailed",
                format!(
                    "{kafka} asks for no login on this listener. Remove sasl, or name the listener that has one"
                ),
            ),
            Trouble::Untrusted => (
                "TlsFailed",
                format!(
                    "{kafka} shows a certificate {}",
                    self.untrusted.unwrap_or(Untrusted::Otherwise).rest("tls.caCert")
                ),
            ),
            Trouble::Tls(said) => (
                "TlsFailed",
                format!("no TLS connection to {kafka}: {said}. Check tls.caCert and the client certificate"),
            ),
            Trouble::NotTls => (
                "TlsFailed",
                format!(
                    "{kafka} closed the connection at the TLS handshake: the listener may have no TLS. Remove tls, or name the listener that has it"
                ),
            ),
            Trouble::Closed => (
                "Unreachable",
                format!(
                    "{kafka} closed the connection: the listener may ask for {}. Set it in a KafkaConnection, or name another listener",
                    if asked.login == Login::None { "TLS (tls) or a login (sasl)" } else { "TLS (tls)" }
                ),
            ),
            Trouble::NoHost(said) if known(broker) => (
                "Unreachable",
                format!(
                    "the host of {kafka} cannot be found: {said}. Check bootstrapServers, and the cluster's DNS"
                ),
            ),
            Trouble::Unreachable(said) if known(broker) => (
                "Unreachable",
                format!(
                    "{kafka} cannot be reached: {said}. Check bootstrapServers, and that Kafka runs there"
                ),
            ),
            Trouble::NoHost(said) | Trouble::Unreachable(said) => (
                "Unreachable",
                format!(
                    "{kafka} names a broker {broker} that cannot be reached: {said}. Check that it runs, and the brokers' advertised.listeners"
                ),
            ),
            Trouble::Silent => return silent(&kafka),
        };
        ConnectionProblem { reason, message, fields: fields(trouble, asked) }
    }
}

/// The settings whose values may be at fault.
fn fields(trouble: &Trouble, asked: Asked) -> &'static [&'static str] {
    match (trouble, asked.login) {
        (Trouble::LoginRefused(_), Login::Password) => &["sasl.username", "sasl.password"],
        (Trouble::LoginRefused(_), Login::OAuth) => &["sasl.oauth.clientId", "sasl.oauth.clientSecret"],
        (Trouble::LoginRefused(_), Login::Aws) => {
            &["sasl.aws.accessKeyId", "sasl.aws.secretAccessKey", "sasl.aws.sessionToken"]
        }
        (Trouble::CertificateRefused(_), _) => &["tls.clientCert", "tls.clientKey"],
        (Trouble::Untrusted, _) => &["tls.caCert"],
        (Trouble::Tls(_), _) => &["tls.caCert", "tls.clientCert", "tls.clientKey"],
        _ => &[],
    }
}

fn silent(kafka: &str) -> ConnectionProblem {
    ConnectionProblem {
        reason: "TimedOut",
        message: format!(
            "{kafka} does not answer in time. Check bootstrapServers, the network, and that Kafka is well"
        ),
        fields: &[],
    }
}

/// Which broker a text speaks of, and what it says: `ssl://kafka-0:9093/bootstrap: SSL …`. The
/// broker is empty when it speaks of none.
fn split(text: &str) -> (&str, &str) {
    let text = match text.split_once("]: ") {
        Some((_, rest)) if text.starts_with('[') => rest,
        _ => text,
    };
    let text = text.strip_prefix("GroupCoordinator: ").unwrap_or(text);
    let Some((name, said)) = text.split_once(": ") else { return ("", text) };
    let name = name.split_once("://").map_or(name, |(_, name)| name);
    let address = name.split('/').next().unwrap_or(name);
    let port = address.rsplit_once(':').map_or("", |(_, port)| port);
    if port.parse::<u16>().is_ok() { (address, said) } else { ("", text) }
}

fn trouble(code: RDKafkaErrorCode, said: &str, asked: Asked) -> Trouble {
    use RDKafkaErrorCode as E;
    // How long it took, and how often it was not told.
    let said = said.split(" (after ").next().unwrap_or(said).trim().trim_end_matches('.');
    let has = |words: &str| said.contains(words);
    if has("not valid in current SASL state") {
        Trouble::NoLoginAsked
    } else if let Some((_, offered)) = said.split_once("supported mechanisms:") {
        Trouble::WrongMechanism(offered.trim().to_owned())
    } else if matches!(code, E::Authentication | E::SaslAuthenticationFailed) {
        let said = said.trim_start_matches("SASL authentication error: ");
        Trouble::LoginRefused(said.trim_start_matches("Authentication failed: ").to_owned())
    } else if has("certificate verify failed") {
        Trouble::Untrusted
    } else if let Some(why) = refused_certificate(said) {
        Trouble::CertificateRefused(why.to_owned())
    } else if code == E::Resolve || has("Failed to resolve") {
        Trouble::NoHost(said.rsplit(": ").next().unwrap_or(said).to_owned())
    } else if asked.tls && (has("PLAINTEXT broker listener") || has("wrong version number") || closed(said)) {
        Trouble::NotTls
    } else if code == E::SSL || has("SSL handshake failed") {
        Trouble::Tls(openssl(said))
    } else if has("nvalid response size") {
        // The size is what was said there, in other words: that is not for whoever names an address to read.
        Trouble::Unreachable("what answers there is not Kafka".to_owned())
    } else if closed(said) {
        Trouble::Closed
    } else if has("timed out") || has("Timed out") || code == E::OperationTimedOut {
        Trouble::Silent
    } else {
        // "Connect to ipv4#10.0.0.7:9092 failed: Connection refused": a host has several addresses.
        let why = said.rsplit("failed: ").next().unwrap_or(said);
        Trouble::Unreachable(why.to_owned())
    }
}

/// Whether the other side ended the connection; which of the texts comes is a matter of luck.
fn closed(said: &str) -> bool {
    ["Disconnected", "Broken pipe", "Connection reset", "closed by peer"].iter().any(|w| said.contains(w))
}

/// Why the other side refused our certificate: by the alerts that speak of it (RFC 8446, 6.2).
fn refused_certificate(said: &str) -> Option<&'static str> {
    let alerts = [
        ("alert certificate expired", "it has expired"),
        ("alert certificate required", "there is none"),
        ("alert certificate revoked", "it has been revoked"),
        ("alert unknown ca", "it is signed by an authority that is not known there"),
        ("alert certificate unknown", "it is not accepted there"),
        ("alert bad certificate", "it is not accepted there"),
        ("alert unsupported certificate", "its kind is not supported there"),
    ];
    alerts.into_iter().find(|(alert, _)| said.contains(alert)).map(|(_, why)| why)
}

/// What OpenSSL says, without its numbers: `error:0A000086:SSL routines::bad certificate`.
fn openssl(said: &str) -> String {
    let said = said.trim_start_matches("SSL handshake failed: ");
    said.rsplit("::").next().unwrap_or(said).to_owned()
}

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaErrorCode as E;
    use rstest::rstest;

    use super::*;

    const PLAIN: Asked = Asked { tls: false, certificate: false, login: Login::None };
    const TLS: Asked = Asked { tls: true, ..PLAIN };
    const MUTUAL: Asked = Asked { certificate: true, ..TLS };
    const LOGIN: Asked = Asked { login: Login::Password, ..PLAIN };

    fn told(asked: Asked, code: E, texts: &[&str]) -> String {
        let mut troubles = Troubles::default();
        texts.iter().for_each(|text| troubles.note(code, text, asked));
        let problem = troubles.problem(&["k:1".to_owned(), "k:2".to_owned()], asked);
        format!("{}: {}", problem.reason, problem.message)
    }

    #[rstest]
    #[case(
        PLAIN,
        E::BrokerTransportFailure,
        "k:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
        "Unreachable: Kafka at k:1,k:2 cannot be reached: Connection refused. Check bootstrapServers, and that Kafka runs there"
    )]
    #[case(
        PLAIN,
        E::BrokerTransportFailure,
        "[thrd:x]: k:1/bootstrap: Connect to ipv6#[::1]:1 failed: Connection refused (after 7ms in state CONNECT, 3 identical error(s) suppressed)",
        "Unreachable: Kafka at k:1,k:2 cannot be reached: Connection refused. Check bootstrapServers, and that Kafka runs there"
    )]
    #[case(
        PLAIN,
        E::BrokerTransportFailure,
        "k:1/bootstrap: Connection setup timed out in state CONNECT (after 10003ms in state CONNECT)",
        "TimedOut: Kafka at k:1,k:2 does not answer in time. Check bootstrapServers, the network, and that Kafka is well"
    )]
    #[case(
        PLAIN,
        E::BrokerTransportFailure,
        "b-7.inside:9092/7: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
        "Unreachable: Kafka at k:1,k:2 names a broker b-7.inside:9092 that cannot be reached: Connection refused. Check that it runs, and the brokers' advertised.listeners"
    )]
    #[case(
        PLAIN,
        E::Resolve,
        "GroupCoordinator: b-7.inside:9092: Failed to resolve 'b-7.inside:9092': Name or service not known (after 5ms in state CONNECT)",
        "Unreachable: Kafka at k:1,k:2 names a broker b-7.inside:9092 that cannot be reached: Name or service not known. Check that it runs, and the brokers' advertised.listeners"
    )]
    #[case(
        TLS,
        E::SSL,
        "ssl://k:1/bootstrap: SSL handshake failed: error:0A000410:SSL routines::sslv3 alert handshake failure: SSL alert number 40 (after 9ms in state SSL_HANDSHAKE)",
        "TlsFailed: no TLS connection to Kafka at k:1,k:2: sslv3 alert handshake failure: SSL alert number 40. Check tls.caCert and the client certificate"
    )]
    #[case(
        MUTUAL,
        E::SSL,
        "ssl://k:1/bootstrap: SSL handshake failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42 (after 9ms in state SSL_HANDSHAKE)",
        "TlsFailed: Kafka at k:1,k:2 refused the client certificate: it is not accepted there. Check tls.clientCert and tls.clientKey: expired, or not signed by an authority that the brokers trust"
    )]
    #[case(
        LOGIN,
        E::SaslAuthenticationFailed,
        "sasl_plaintext://k:1/bootstrap: SASL authentication error: Authentication failed: Invalid username or password (after 309ms in state AUTH_REQ)",
        "AuthenticationFailed: Kafka at k:1,k:2 refused the login: Invalid username or password. Check sasl.username, sasl.password and sasl.mechanism"
    )]
    fn what_where_and_what_to_do(
        #[case] asked: Asked,
        #[case] code: E,
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(told(asked, code, &[text]), expected);
    }

    #[rstest]
    #[case(PLAIN, &["k:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused", "k:2/bootstrap: Connect to ipv4#10.0.0.2:1 failed: Connection refused"])]
    #[case(PLAIN, &["k:1/bootstrap: Send failed: Broken pipe", "k:1/bootstrap: Disconnected: verify that security.protocol is correctly configured, broker might require SASL authentication", "k:1/bootstrap: Receive failed: Connection reset by peer"])]
    #[case(TLS, &["ssl://k:1/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener?", "ssl://k:1/bootstrap: Disconnected: SSL connection closed by peer"])]
    fn the_order_of_complaints_does_not_matter(#[case] asked: Asked, #[case] texts: &[&str]) {
        let last = |n: usize| {
            let rotated: Vec<&str> = texts.iter().cycle().skip(n).take(texts.len()).copied().collect();
            told(asked, E::BrokerTransportFailure, &rotated)
        };
        for n in 1..texts.len() {
            assert_eq!(last(n), last(0));
        }
    }

    #[test]
    fn what_is_over_is_forgotten_and_the_latest_of_a_broker_counts() {
        let mut troubles = Troubles::default();
        troubles.note(E::SSL, "ssl://k:1/bootstrap: Disconnected: SSL connection closed by peer", TLS);
        troubles.note(
            E::BrokerTransportFailure,
            "ssl://k:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused",
            TLS,
        );
        troubles.note(E::AllBrokersDown, "1/1 brokers are down", TLS);
        assert!(troubles.problem(&["k:1".to_owned()], TLS).message.contains("Connection refused"));
        troubles.clear();
        assert_eq!(troubles.problem(&["k:1".to_owned()], TLS).reason, "TimedOut");
    }
}
