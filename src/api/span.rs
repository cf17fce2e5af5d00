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
        let wrong = || format!("{:?} is not a duration: write for instance 30s, 10m or 1h30m", self.0);
        if !self.parsable() {
            return Err(wrong());
        }
        let span = kube::core::Duration::from_str(&self.0).map_err(|_| wrong())?;
        if span.is_negative() {
            return Err(format!("{:?} is negative: write a duration such as 30s", self.0));
        }
        Ok(std::time::Duration::from(span).as_secs_f64())
    }
}

impl Span {
    /// Whether the parser can be given it: it panics over what no `Duration` can hold, and over a
    /// sign within.
    fn parsable(&self) -> bool {
        const LONGEST: usize = 64;
        const DIGITS: usize = 12;
        let digits = self.0.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
        let signed = self.0.char_indices().any(|(i, c)| i > 0 && matches!(c, '-' | '+'));
        self.0.len() <= LONGEST && digits <= Some(DIGITS) && !signed
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1h30m", Some(5400.0))]
    #[case("250ms", Some(0.25))]
    #[case("999999999999h", Some(999_999_999_999.0 * 3600.0))]
    #[case("99999999999999999999999999999h", None)]
    #[case("5s-5s", None)]
    #[case("--5s", None)]
    #[case("-5s", None)]
    #[case("soon", None)]
    fn what_is_no_duration_is_refused_and_breaks_nothing(#[case] text: &str, #[case] seconds: Option<f64>) {
        assert_eq!(Span::from(text).seconds().ok(), seconds);
    }

    #[test]
    fn a_thousand_of_them_are_none() {
        assert!(Span("999999999999h".repeat(100_000)).seconds().is_err());
    }
}
