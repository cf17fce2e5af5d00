//! What a connection costs its brokers: requests by name, and connections that are open.
//!
//! librdkafka counts them; here they are added up over its clients, one of which is made after another. It
//! judges nothing.

use std::collections::BTreeMap;

use rdkafka::statistics::Statistics;

/// What was sent to the brokers of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests so far, by their name in Kafka's protocol (`OffsetFetch`).
    pub requests: BTreeMap<String, u64>,
    /// TCP connections open now.
    pub connections: usize,
}

impl Traffic {
    /// What a client has counted since it was made.
    pub(super) fn of(statistics: &Statistics) -> Self {
        let mut traffic = Self::default();
        for broker in statistics.brokers.values() {
            for (name, count) in broker.req.iter().filter(|(_, count)| **count > 0) {
                *traffic.requests.entry(name.clone()).or_default() += count.unsigned_abs();
            }
            traffic.connections += usize::from(matches!(broker.state.as_str(), "UP" | "UPDATE"));
        }
        traffic
    }

    /// The same with the requests of clients before.
    pub(super) fn after(mut self, before: &BTreeMap<String, u64>) -> Self {
        for (name, count) in before {
            *self.requests.entry(name.clone()).or_default() += count;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rdkafka::statistics::Broker;

    use super::*;

    fn broker(state: &str, requests: &[(&str, i64)]) -> Broker {
        let req: HashMap<String, i64> = requests.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect();
        Broker { state: state.into(), req, ..Broker::default() }
    }

    #[test]
    fn what_brokers_were_sent_is_added_up_over_clients() {
        let brokers = [
            ("one", broker("UP", &[("OffsetFetch", 3), ("Metadata", 1), ("Produce", 0)])),
            ("two", broker("DOWN", &[("OffsetFetch", 4)])),
        ];
        let brokers = brokers.into_iter().map(|(name, broker)| (name.to_owned(), broker)).collect();
        let now = Traffic::of(&Statistics { brokers, ..Statistics::default() });
        let before = BTreeMap::from([("Metadata".to_owned(), 10), ("ApiVersion".to_owned(), 2)]);
        let all = now.after(&before);
        let requests: Vec<(&str, u64)> = all.requests.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        assert_eq!(requests, [("ApiVersion", 2), ("Metadata", 11), ("OffsetFetch", 7)]);
        assert_eq!(all.connections, 1);
    }
}
