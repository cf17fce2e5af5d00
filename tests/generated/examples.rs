//! `deploy/examples` speak of the resources as they are now.

use std::fs;

use serde_json::Value;
use spillway::api::{ConsumerScaler, KafkaConnection};

use super::{documents, lost, root};

#[test]
fn the_examples_are_resources_as_they_are_now() {
    let mut seen = 0;
    let folder = root().join("deploy/examples");
    for file in fs::read_dir(&folder).expect("examples") {
        let path = file.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.starts_with("# "), "{} does not say what it is for", path.display());
        for document in documents(&text) {
            if matches!(document["kind"].as_str(), Some("ConsumerScaler" | "KafkaConnection")) {
                seen += 1;
                is_as_the_types_are(&document);
            }
        }
    }
    assert!(seen >= 4, "only {seen} examples");
}

/// Fails for a resource of ours with a field that its type has not.
pub fn is_as_the_types_are(document: &Value) {
    let kept = match document["kind"].as_str() {
        Some("ConsumerScaler") => round_trip::<ConsumerScaler>(document),
        Some("KafkaConnection") => round_trip::<KafkaConnection>(document),
        other => panic!("none of our resources: {other:?}"),
    };
    let lost = lost(document, &kept, "");
    assert!(lost.is_empty(), "{}: not in the type: {lost:?}", document["metadata"]["name"]);
}

/// What an object becomes when it is read into its type and written again.
fn round_trip<K: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) -> Value {
    let read: K = serde_json::from_value(object.clone())
        .unwrap_or_else(|e| panic!("{}: {e}", object["metadata"]["name"]));
    serde_json::to_value(read).expect("an object")
}
