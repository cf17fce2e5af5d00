//! A length of time as people write it in YAML.
//!
//! It keeps the text as written (so that nothing is rewritten in an object) and
//! parses on demand.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A duration such as `30s`, `10m` or `1h30m`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub String);

impl Span {
    /// Length in seconds.
    ///
    /// # Errors
    /// When the text is no duration; the message says what to write.
    pub fn seconds(&self) -> Result<f64, String> {
        let span = kube::core::Duration::from_str(&self.0)
            .map_err(|_| format!("{:?} is not a duration: write for instance 30s, 10m or 1h30m", self.0))?;
        if span.is_negative() {
            return Err(format!("{:?} is negative: write a duration such as 30s", self.0));
        }
        Ok(std::time::Duration::from(span).as_secs_f64())
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The length bound keeps the estimated cost of the rules inside the API server's budget.
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^([0-9]+(h|m|s|ms))+$')",
                "message": "not a duration: write for instance 30s, 10m or 1h30m"
            }]
        })
    }
}
