//! The policy that the benchmark and the tests here ask for: `policy.yaml`, read as a user's is.
//!
//! What it leaves out is as it comes, so that a change of a default is a change here.

use spillway::decide::Policy;
use spillway::simulate::input::{self, Asked};

/// What `spillway simulate --policy tests/decisions/policy.yaml` reads.
pub const POLICY: &str = include_str!("../policy.yaml");

/// How often Spillway looks, s: the default.
pub const SWEEP: f64 = 5.0;

/// `policy.yaml` with lines of it changed: (from, to), as `sed s/from/to/` does.
///
/// # Panics
/// When `from` is not in it, or the result is no policy: a mistake in the source that calls it.
pub fn policy(changes: &[(String, String)]) -> Policy {
    asked(changes).policy
}

/// The same, with its schedules.
///
/// # Panics
/// As [`policy`].
pub fn asked(changes: &[(String, String)]) -> Asked {
    let text = changes.iter().fold(POLICY.to_owned(), |text, (from, to)| {
        assert!(text.contains(from.as_str()), "{from} is not in policy.yaml");
        text.replace(from.as_str(), to)
    });
    match input::policy(&text, SWEEP) {
        Ok(asked) => asked,
        Err(problems) => panic!("policy.yaml with {changes:?}: {problems:?}"),
    }
}

/// One line of `policy.yaml` with another value.
pub fn change(field: &str, value: impl std::fmt::Display) -> (String, String) {
    let line = POLICY.lines().find(|l| l.trim_start().starts_with(&format!("{field}:"))).unwrap_or(field);
    (line.trim().to_owned(), format!("{field}: {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_is_as_it_comes() {
        let p = policy(&[change("maxReplicas", 36), change("maxDelay", "15m")]);
        assert_eq!((p.min_replicas, p.max_replicas, p.max_delay, p.recover_within), (1, 36, 900.0, 600.0));
        assert_eq!((p.down_window, p.down_max_step), (60.0, 1.0));
    }
}
