//! The YAML of the pages, in blocks and in commands: it can be read, and resources of ours pass `spillway check`.

use serde::Deserialize;
use serde_json::Value;

use super::page::{Block, pages};

/// What the variables of a command stand for: all of them are addresses.
const ADDRESS: &str = "kafka:9092";

#[test]
fn the_yaml_of_the_pages_is_valid() {
    let variable = regex::Regex::new(r"\$[A-Z_]+").expect("a pattern");
    let mut checked = 0;
    for page in pages() {
        for block in &page.blocks {
            let place = format!("{}:{}", page.path, block.line);
            for text in texts(block) {
                let text = variable.replace_all(text, ADDRESS);
                for document in serde_yaml::Deserializer::from_str(&text) {
                    Value::deserialize(document).unwrap_or_else(|e| panic!("{place}: {e}"));
                }
                if text.contains("apiVersion: spillway.dev/") {
                    let said = spillway::check::check(&text);
                    assert!(said.problems.is_empty(), "{place}: {:#?}", said.problems);
                    checked += said.resources.len();
                }
            }
        }
    }
    assert!(checked >= 5, "only {checked} resources were found");
}

/// The block itself, or what is given to its commands to read.
fn texts(block: &Block) -> Vec<&str> {
    match block.info.as_str() {
        "yaml" => vec![&block.text],
        "sh" => {
            let parts = block.text.split("<<EOF\n").skip(1);
            parts.filter_map(|part| Some(part.split_once("\nEOF\n")?.0)).collect()
        }
        _ => Vec::new(),
    }
}
