//! Who held which Lease when, and who wrote what meanwhile: both by the API server's own log, and so by one clock.
//!
//! It judges one thing: that whoever wrote of an object had its shard then ([`Log::each_by_its_holder`]). Who should
//! have which shard is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use spillway::cluster::share::shard_of;
use spillway_testbed::controlplane::Call;
use spillway_testbed::operator;

use super::harness::Case;

/// A Lease in a pod's name, without a break.
#[derive(Clone, Debug)]
struct Tenure {
    pod: String,
    /// When the call that took it came in.
    from: Timestamp,
    /// When the call came in that gave it up, or by which another took it.
    until: Option<Timestamp>,
}

/// A word of a pod about an object: its replicas or its status.
#[derive(Clone)]
pub struct Write {
    /// When it came in.
    pub at: Timestamp,
    pub pod: String,
    /// Name of the scaler (its workload has the same), or of the connection.
    pub name: String,
    /// `scale` or `status`.
    pub what: String,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} of {} written by {} at {}", self.what, self.name, self.pod, self.at)
    }
}

/// What the log has of a case.
pub struct Log {
    /// By shard.
    tenures: BTreeMap<usize, Vec<Tenure>>,
    /// In their order.
    pub writes: Vec<Write>,
}

/// The shard of the Lease of a name, if it is one.
fn shard_of_lease(name: &str) -> Option<usize> {
    match name.strip_prefix(operator::RELEASE)? {
        "" => Some(0),
        rest => rest.strip_prefix("-shard-")?.parse().ok(),
    }
}

impl Log {
    /// Reads it.
    pub fn of(case: &Case) -> Result<Self> {
        let mut calls = case.bed.plane().calls(operator::NAMESPACE, operator::RELEASE)?;
        calls.retain(|call| {
            matches!(call.verb.as_str(), "create" | "update" | "patch")
                && (200..300).contains(&call.response_status.code)
        });
        // The log has them as they ended. Of two that replaced a Lease the later one read what the earlier one had
        // written, so this is their order.
        calls.sort_by(|a, b| a.request_received_timestamp.cmp(&b.request_received_timestamp));
        let mut log = Self { tenures: BTreeMap::new(), writes: Vec::new() };
        for call in calls {
            let at = call.request_received_timestamp.parse()?;
            if call.object_ref.resource == "leases" {
                log.lease_written(&call, at)?;
            } else if call.object_ref.namespace == case.namespace
                && matches!(call.object_ref.subresource.as_str(), "scale" | "status")
            {
                let pod = call.pod().with_context(|| format!("the log does not say which pod: {call:?}"))?;
                let (name, what) = (call.object_ref.name.clone(), call.object_ref.subresource.clone());
                log.writes.push(Write { at, pod: pod.to_owned(), name, what });
            }
        }
        Ok(log)
    }

    fn lease_written(&mut self, call: &Call, at: Timestamp) -> Result<()> {
        // Who makes one names it in what is written only.
        let written = call.request_object["metadata"]["name"].as_str();
        let name = written.with_context(|| format!("the log does not say what was written: {call:?}"))?;
        let Some(shard) = shard_of_lease(name) else { return Ok(()) };
        let holder = call.request_object["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let tenures = self.tenures.entry(shard).or_default();
        let held = tenures.last_mut().filter(|last| last.until.is_none());
        if held.as_ref().is_some_and(|last| last.pod == holder) {
            return Ok(());
        }
        if let Some(last) = held {
            last.until = Some(at);
        }
        if !holder.is_empty() {
            // A renewal that was on its way when another took it would be refused: only who takes it names itself.
            ensure!(call.pod() == Some(holder), "{:?} gave lease {name} to {holder}", call.pod());
            tenures.push(Tenure { pod: holder.to_owned(), from: at, until: None });
        }
        Ok(())
    }

    /// That every write came from the pod that had the object's shard when it came in. `count` says how many
    /// shards there are by a pod.
    pub fn each_by_its_holder(&self, namespace: &str, count: impl Fn(&str) -> usize) -> Result<()> {
        for write in &self.writes {
            let shard = shard_of(namespace, &write.name, count(&write.pod));
            let tenures = self.tenures.get(&shard).map(Vec::as_slice).unwrap_or_default();
            let held = |t: &Tenure| {
                t.pod == write.pod && t.from <= write.at && t.until.is_none_or(|end| write.at < end)
            };
            ensure!(
                tenures.iter().any(held),
                "{write}: its shard {shard} was not that pod's then: {tenures:#?}"
            );
        }
        Ok(())
    }

    /// The objects of which more than one pod wrote since then.
    pub fn changed_hands(&self, since: Timestamp) -> BTreeSet<&str> {
        let mut by = BTreeMap::<&str, BTreeSet<&str>>::new();
        for write in self.writes.iter().filter(|write| write.at >= since) {
            by.entry(&write.name).or_default().insert(&write.pod);
        }
        by.into_iter().filter(|(_, pods)| pods.len() > 1).map(|(name, _)| name).collect()
    }
}

#[test]
fn a_write_of_who_does_not_hold_the_lease_any_more_is_seen() {
    let at = |second| Timestamp::from_second(second).expect("a time");
    let tenure = |pod: &str, from, until: Option<i64>| Tenure {
        pod: pod.into(),
        from: at(from),
        until: until.map(at),
    };
    let judged = |writes: &[(&str, i64)]| {
        let write = |(pod, second): &(&str, i64)| Write {
            at: at(*second),
            pod: (*pod).into(),
            name: "orders".into(),
            what: "status".into(),
        };
        let tenures = BTreeMap::from([(2, vec![tenure("a", 10, Some(20)), tenure("b", 22, None)])]);
        let log = Log { tenures, writes: writes.iter().map(write).collect() };
        log.each_by_its_holder("shop", |_| 4).is_ok()
    };
    assert!(judged(&[("a", 10), ("a", 19), ("b", 22), ("b", 99)]));
    for wrong in [("a", 9), ("a", 20), ("b", 21), ("a", 30), ("c", 15)] {
        assert!(!judged(&[wrong]), "{wrong:?}");
    }
}
