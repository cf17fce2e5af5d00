//! Why Kafka could not be read, in words that say what, where, and what to do.
//!
//! No text here carries a password.

use std::fmt;

use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

/// Settings that no client can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings for Kafka at {bootstrap} cannot be used: {why}")]
pub struct KafkaError {
    /// The bootstrap servers.
    pub bootstrap: String,
    /// What is wrong with them.
    pub why: String,
}

/// Why a connection does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionProblem {
    /// One CamelCase word.
    pub reason: &'static str,
    /// What, where, and what to do.
    pub message: String,
    /// The settings whose values may be at fault, as the fields of a `KafkaConnection`.
    pub fields: &'static [&'static str],
}

/// How much is told of a text that somebody else on the network wrote, in characters.
const QUOTED: usize = 300;

/// A text of somebody else's as it may be told: one line, and not a long one. It ends up in statuses, logs
/// and terminals.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Why one call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallFailed {
    pub code: Option<RDKafkaErrorCode>,
    pub text: String,
}

impl CallFailed {
    /// With the meaning of the code where a broker's text says nothing ("ConsumerGroupDescribe: ").
    pub fn new(code: RDKafkaRespErr, text: String) -> Self {
        let code = RDKafkaErrorCode::from(code);
        let text = match text.trim() {
            "" => code.to_string(),
            said if said.ends_with(':') => format!("{said} {code}"),
            said => said.to_owned(),
        };
        Self { code: Some(code), text: quoted(&text) }
    }

    /// Of the number of an error, as a broker sent it: a newer one may have more of them than are known here. `None`
    /// where it is the number of no error.
    pub fn of(code: i32, text: String) -> Option<Self> {
        match RDKafkaRespErr::try_from(code) {
            Ok(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR) => None,
            Ok(code) => Some(Self::new(code, text)),
            Err(_) if text.trim().is_empty() => Some(Self::internal(&format!("Kafka's error {code}"))),
            Err(_) => Some(Self::internal(&quoted(&format!("Kafka's error {code}: {}", text.trim())))),
        }
    }

    pub fn internal(text: &str) -> Self {
        Self { code: None, text: text.to_owned() }
    }

    pub fn timed_out() -> Self {
        Self { code: Some(RDKafkaErrorCode::OperationTimedOut), text: "no answer in time".into() }
    }

    /// Whether the group's coordinator, or nobody, answered: then the connection may be at fault.
    pub fn unanswered(&self) -> bool {
        use RDKafkaErrorCode as E;
        matches!(
            self.code,
            Some(
                E::OperationTimedOut
                    | E::AllBrokersDown
                    | E::BrokerTransportFailure
                    | E::Resolve
                    | E::Authentication
                    | E::SaslAuthenticationFailed
                    | E::SSL
                    | E::WaitingForCoordinator
                    | E::TimedOutQueue
                    | E::RequestTimedOut
            )
        )
    }

    /// Whether there was no answer at all, rather than one that its connection cannot be used.
    pub fn no_answer(&self) -> bool {
        use RDKafkaErrorCode as E;
        let unusable = [E::Resolve, E::Authentication, E::SaslAuthenticationFailed, E::SSL];
        self.unanswered() && self.code.is_none_or(|code| !unusable.contains(&code))
    }

    /// Whether, after such an answer for a group, its client is of no more use: librdkafka asks a broker
    /// that was the group's coordinator for ever as long as it is up, and must not be left with a call
    /// that nobody waits for.
    pub fn spent(&self) -> bool {
        use RDKafkaErrorCode as E;
        matches!(self.code, Some(E::NotCoordinator | E::OperationTimedOut))
    }
}

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use RDKafkaErrorCode as E;
        match self.code {
            Some(E::GroupAuthorizationFailed) => {
                f.write_str("not allowed to describe it: grant DESCRIBE on the group")
            }
            Some(E::TopicAuthorizationFailed) => {
                f.write_str("not allowed to read it: grant DESCRIBE on the topic")
            }
            Some(E::OperationTimedOut | E::RequestTimedOut | E::TimedOutQueue) => {
                f.write_str("no answer in time")
            }
            // librdkafka's text speaks of its own workers around it, or is empty.
            Some(code) if code != E::Fail && code != E::Unknown => write!(f, "{code}"),
            _ => f.write_str(&self.text),
        }
    }
}
