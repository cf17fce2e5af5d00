//! What strangers on the network say: token endpoints, AWS, and brokers in librdkafka's words.
//!
//! Whoever may write a KafkaConnection names them, and is told what they say: one line, not long, with
//! nothing in it that was sent there.

use spillway::kafka::outside::{aws_answer, complaints, token_answer};
use spillway::kafka::{ConnectionConfig, OAuthConfig, SaslConfig, TlsConfig};

use super::{holds, parts};

const SECRET: &str = "S3CR3T-hunter2";
/// Longest that is told of an answer, in characters.
const LONGEST: usize = 1500;

/// A number (HTTP status or librdkafka's error), then the text, then more of both.
pub fn answers(data: &[u8]) {
    if holds(data, SECRET) {
        return;
    }
    let oauth = OAuthConfig {
        token_endpoint: "https://127.0.0.1:1/token".into(),
        client_id: "ann".into(),
        client_secret: SECRET.into(),
        scope: None,
        extensions: vec![("logicalCluster".into(), "a".into())],
        ca_pem: None,
    };
    let all: Vec<(i32, String)> = parts(data)
        .into_iter()
        .map(|part| {
            let text = String::from_utf8_lossy(part);
            let (number, rest) = text.split_once('\n').unwrap_or(("", &text));
            (number.trim().parse().unwrap_or_default(), rest.to_owned())
        })
        .collect();
    for (number, text) in &all {
        let status = u16::try_from(*number).unwrap_or(200);
        if let Err(problem) = token_answer(&oauth, status, text) {
            told(problem.reason, &problem.message);
        }
        for agent in [false, true] {
            if let Err(why) = aws_answer(text, agent) {
                told("AuthenticationFailed", &why);
            }
        }
    }
    let bootstrap = vec!["k:1".to_owned()];
    for config in [
        ConnectionConfig { bootstrap: bootstrap.clone(), tls: None, sasl: None },
        ConnectionConfig { bootstrap, tls: Some(TlsConfig::default()), sasl: Some(SaslConfig::OAuth(oauth)) },
    ] {
        let problem = complaints(&config, &all);
        told(problem.reason, &problem.message);
    }
}

fn told(reason: &str, message: &str) {
    assert!(!reason.is_empty() && reason.chars().all(|c| c.is_ascii_alphanumeric()), "{reason:?}");
    assert!(!message.trim().is_empty() && !message.contains(SECRET), "{message:?}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(message.chars().count() <= LONGEST, "{} characters: {message}", message.chars().count());
}
