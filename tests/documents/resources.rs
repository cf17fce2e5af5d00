//! The YAML of the pages: it can be read, and resources of ours pass `spillway check`.
//!
//! What is written in a command (a here document) is applied by the end-to-end suite.

use serde::Deserialize;
use serde_json::Value;

use super::page::pages;

#[test]
fn the_yaml_of_the_pages_is_valid() {
    let mut checked = 0;
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.info == "yaml") {
            let place = format!("{}:{}", page.path, block.line);
            for document in serde_yaml::Deserializer::from_str(&block.text) {
                Value::deserialize(document).unwrap_or_else(|e| panic!("{place}: {e}"));
            }
            if block.text.contains("apiVersion: spillway.dev/") {
                let said = spillway::check::check(&block.text);
                assert!(said.problems.is_empty(), "{place}: {:#?}", said.problems);
                checked += said.resources.len();
            }
        }
    }
    assert!(checked >= 3, "only {checked} resources were found");
}
