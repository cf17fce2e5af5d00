//! Recorded runs of the real KEDA, and KEDA's model on the same lag.
//!
//! It reads the recordings' CSV text, and runs the model over it: open loop, the lag is the
//! recorded one whatever the model writes. What is compared is the path of `spec.replicas`.

use spillway::decide::{
    Committed, GroupObservation, GroupPhase, Observation, PartitionObservation, Workload,
};

use crate::keda::{Keda, ScaledObject};
use crate::{Controller, View};

/// One second of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Second {
    /// Since its start, s.
    pub at: f64,
    /// Messages behind, over all partitions.
    pub lag: i64,
    /// Replicas asked for.
    pub spec: i32,
    /// Pods ready.
    pub ready: i32,
}

/// A change of the replicas asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// When, s.
    pub at: f64,
    /// Replicas from then on.
    pub to: i32,
}

/// Reads a recording: `t,lag,spec,ready` under a header.
///
/// # Errors
/// For the first line that is wrong, with its number.
pub fn recording(text: &str) -> Result<Vec<Second>, String> {
    let line = |index: usize, line: &str| {
        let wrong = || format!("line {}: {line:?} is not t,lag,spec,ready", index + 1);
        let mut fields = line.split(',').map(str::trim);
        let mut next = || fields.next().ok_or_else(wrong);
        let at = next()?.parse().map_err(|_| wrong())?;
        let lag = next()?.parse().map_err(|_| wrong())?;
        let spec = next()?.parse().map_err(|_| wrong())?;
        let ready = next()?.parse().map_err(|_| wrong())?;
        Ok(Second { at, lag, spec, ready })
    };
    text.lines().enumerate().skip(1).filter(|(_, l)| !l.trim().is_empty()).map(|(i, l)| line(i, l)).collect()
}

/// The changes of the replicas asked for, in a recording.
pub fn recorded_path(recording: &[Second]) -> Vec<Step> {
    recording
        .windows(2)
        .filter(|pair| pair[0].spec != pair[1].spec)
        .map(|pair| Step { at: pair[1].at, to: pair[1].spec })
        .collect()
}

/// The model's writes on the recorded lag, from the replicas that the recording begins with.
///
/// The second in which a write is first seen was sampled after it: the model is given the lag of
/// the sample before. `ahead` is what is added to it, messages: consumers commit once a second, and so
/// does the sampling; somebody who reads at another moment of the second sees up to a second's
/// input more.
pub fn modelled_path(
    recording: &[Second],
    partitions: usize,
    object: &ScaledObject,
    ahead: i64,
) -> Vec<Step> {
    let mut keda = Keda::new(object.clone());
    let mut spec = recording.first().map_or(0, |s| s.spec);
    let mut steps = Vec::new();
    let before = recording.first().into_iter().chain(recording);
    for (second, before) in recording.iter().zip(before) {
        // A Deployment has its pods within a second, ready or not.
        let seen = observed(second.at, partitions, before.lag + ahead, spec, spec);
        let view = View {
            now: second.at,
            observation: &seen,
            spec_replicas: spec,
            ready_replicas: second.ready,
            utilisation: 0.0,
            consumed: 0.0,
        };
        if let Some(to) = keda.look(&view).filter(|to| *to != spec) {
            spec = to;
            steps.push(Step { at: second.at, to });
        }
    }
    steps
}

/// How far two paths are apart: the largest difference in time, s; `None` when they do not go
/// through the same numbers.
pub fn apart(one: &[Step], other: &[Step]) -> Option<f64> {
    let same = one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.to == b.to);
    same.then(|| one.iter().zip(other).map(|(a, b)| (a.at - b.at).abs()).fold(0.0, f64::max))
}

/// An observation with a total lag, dealt out evenly over the partitions of one topic.
pub fn observed(now: f64, partitions: usize, lag: i64, replicas: i32, pods: i32) -> Observation {
    let count = partitions.max(1) as i64;
    let partitions = (0..count)
        .map(|p| PartitionObservation {
            topic: "orders".into(),
            partition: p as i32,
            committed: Committed::At(1_000),
            end: Some(1_000 + lag / count + i64::from(p < lag % count)),
            start: Some(0),
            retention: None,
        })
        .collect();
    let group = GroupObservation {
        group: "orders".to_owned(),
        taken_at: Some(now),
        problems: Vec::new(),
        phase: GroupPhase::Stable,
        members: Vec::new(),
        partitions,
    };
    let workload = Workload { replicas, pods, ready: None, template: None, rolling_out: false };
    Observation { groups: vec![group], workload: Ok(workload), schedules: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keda::Trigger;
    use rstest::rstest;

    const RECOVERY_10: &str = include_str!("../recordings/keda-recovery-threshold-10.csv");
    const RECOVERY_600: &str = include_str!("../recordings/keda-recovery-threshold-600.csv");
    const RECOVERY_2400: &str = include_str!("../recordings/keda-recovery-threshold-2400.csv");
    const STEP_600: &str = include_str!("../recordings/keda-step-threshold-600.csv");

    fn object(lag_threshold: i64) -> ScaledObject {
        ScaledObject {
            trigger: Trigger { lag_threshold, ..Trigger::default() },
            min: 2,
            max: 12,
            ..ScaledObject::default()
        }
    }

    /// The best phase of the HPA's rounds, of 60 in a period, and how far the paths are apart then.
    fn fitted(text: &str, lag_threshold: i64, ahead: i64) -> Option<(f64, f64)> {
        let recording = recording(text).unwrap();
        let recorded = recorded_path(&recording);
        let phases = (0..60).map(|quarter| f64::from(quarter) / 4.0);
        let apart_at = |sync_phase| {
            let object = ScaledObject { sync_phase, ..object(lag_threshold) };
            let path = modelled_path(&recording, 12, &object, ahead);
            apart(&path, &recorded).map(|seconds| (sync_phase, seconds))
        };
        phases.filter_map(apart_at).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The same numbers in the same order, at the second. The phase of the rounds is not known and
    /// fitted (an HPA's first round is one period after it was made: all are about 15 s).
    #[rstest]
    #[case::step(STEP_600, 600, 14.25, 0.0)]
    #[case::recovery(RECOVERY_600, 600, 14.0, 0.0)]
    // Its rounds drift less: the model's phase of 0.75 s is 2.1 s off after 31 of them.
    #[case::slow(RECOVERY_2400, 2400, 0.75, 2.2)]
    fn the_model_takes_the_recorded_path(
        #[case] text: &str,
        #[case] lag_threshold: i64,
        #[case] phase: f64,
        #[case] off: f64,
    ) {
        let (fitted, seconds) = fitted(text, lag_threshold, 0).unwrap();
        assert!(fitted == phase && seconds <= off, "phase {fitted}: {seconds} s apart");
    }

    /// With a threshold of 10 the lag of a group that keeps up decides: 54 messages just after the
    /// commits, when the recording looks, up to 240 more just before. KEDA saw at least 111 (it wrote 12
    /// at once); half a second's input more than recorded gives the recorded path.
    #[test]
    fn a_small_threshold_sees_the_commit_interval() {
        assert_eq!(fitted(RECOVERY_10, 10, 120), Some((14.25, 0.0)));
        let least = (0..240).find(|ahead| fitted(RECOVERY_10, 10, *ahead).is_some_and(|f| f.1 <= 1.0));
        assert_eq!(least, Some(51));
    }

    #[test]
    fn a_wrong_line_is_named() {
        assert_eq!(
            recording("t,lag,spec,ready\n0.0,1,2").unwrap_err(),
            "line 2: \"0.0,1,2\" is not t,lag,spec,ready"
        );
    }
}
