//! A length of time as people write it in YAML.
//!
//! It keeps the text as written (so that nothing is rewritten in an object) and
//! parses on demand, as the rule in the schema reads it.

use std::borrow::Cow;
use std::time::Duration;

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
    /// When the text is no duration, or one longer than can be counted; the message says what to write.
    pub fn seconds(&self) -> Result<f64, String> {
        let text = &self.0;
        if text.starts_with('-') {
            return Err(format!("{text:?} is negative: write a duration such as 30s"));
        }
        let wrong = || format!("{text:?} is not a duration: write for instance 30s, 10m or 1h30m");
        let mut rest = text.as_str();
        let mut millis: u64 = 0;
        while !rest.is_empty() || text.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            if number.is_empty() {
                return Err(wrong());
            }
            // Longest first: `ms` begins as `m` does.
            let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
            let found = units.iter().find_map(|(unit, of)| Some((after.strip_prefix(unit)?, of)));
            let (left, of) = found.ok_or_else(wrong)?;
            let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*of));
            millis = part
                .and_then(|part| millis.checked_add(part))
                .ok_or_else(|| format!("{text:?} is too long: write a duration such as 30s"))?;
            rest = left;
        }
        Ok(Duration::from_millis(millis).as_secs_f64())
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
    #[case("30s", 30.0)]
    #[case("10m", 600.0)]
    #[case("1h30m", 5400.0)]
    #[case("1m500ms", 60.5)]
    #[case("0s", 0.0)]
    #[case("1s1s", 2.0)]
    fn a_duration_is_read(#[case] text: &str, #[case] seconds: f64) {
        assert_eq!(Span::from(text).seconds(), Ok(seconds));
    }

    #[rstest]
    #[case("", "not a duration")]
    #[case("soon", "not a duration")]
    #[case("30", "not a duration")]
    #[case("s", "not a duration")]
    #[case("1.5h", "not a duration")]
    #[case("1d", "not a duration")]
    #[case(" 30s", "not a duration")]
    #[case("1m-5s", "not a duration")]
    #[case("1m\u{e9}", "not a duration")]
    #[case("-5s", "is negative")]
    #[case("99999999999999999999999h", "too long")]
    #[case("18446744073709551615h", "too long")]
    #[case("18446744073709551615ms1ms", "too long")]
    fn what_is_none_is_told_and_never_panics(#[case] text: &str, #[case] expected: &str) {
        let why = Span::from(text).seconds().unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
}
