//! The alerts of the chart, for the table in its README. What they are is tested in tests/observability.

use serde_json::Value;

use super::{CHART, read, yaml};

/// The alerts, each with its name.
pub fn alerts() -> Vec<(String, Value)> {
    let rules: Value = yaml(&read(&format!("{CHART}/files/alerts.yaml")));
    let groups = rules["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    rules.map(|rule| (rule["alert"].as_str().expect("a name").to_owned(), rule.clone())).collect()
}
