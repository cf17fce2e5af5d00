//! The HPA on CPU: what most people have.
//!
//! CPU is the busy share of the ready pods' capacity, and a pod requests all of it. Facts:
//! kubernetes, `pkg/controller/podautoscaler/replica_calculator.go` (`GetResourceReplicas`,
//! `groupPods`), `metrics/utilization.go`, `config/v1alpha1/defaults.go`; metrics-server's
//! resolution of 15 s. What is coarser here: the view has no pods, only counts, so a pod counts as
//! measured when it has been ready for a whole window, and all pods have the mean utilisation.

use std::collections::VecDeque;

use crate::hpa::{Behavior, Hpa, SYNC, within_tolerance};
use crate::timer::Timer;
use crate::{Controller, View};

/// Window over which the CPU use of a pod is measured, s (metrics-server, `--metric-resolution`).
const WINDOW: usize = 15;

/// An HPA with a target for CPU utilisation.
#[derive(Clone, Debug)]
pub struct Cpu {
    target: i32,
    hpa: Hpa,
    sync: Timer,
    /// Utilisation and ready pods of the last seconds.
    window: VecDeque<(f64, i32)>,
}

impl Cpu {
    /// Between `min` and `max` replicas at a utilisation of `target` percent; rounds begin at `phase` s.
    pub fn new(target: i32, min: i32, max: i32, behavior: Option<Behavior>, phase: f64) -> Self {
        let hpa = Hpa::new(min, max, behavior);
        Self { target, hpa, sync: Timer::new(SYNC, phase), window: VecDeque::new() }
    }
}

/// Replicas for a mean utilisation (0 to 1) of `measured` pods when `others` have no measurement
/// that counts, and `current` are asked for; `None` when nothing is measured.
///
/// `GetResourceReplicas`: percentages are cut off to whole ones; on the way up, pods that are not
/// ready count as idle; a result that turns the direction around changes nothing.
pub fn replicas(current: i32, target: i32, utilisation: f64, measured: i32, others: i32) -> Option<i32> {
    if measured <= 0 {
        return None;
    }
    let ratio = |utilisation: f64| (utilisation * 100.0).floor() / f64::from(target);
    let first = ratio(utilisation);
    if !(others > 0 && first > 1.0) {
        let to = (first * f64::from(measured)).ceil() as i32;
        return Some(if within_tolerance(first) { current } else { to });
    }
    let all = measured + others;
    let second = ratio(utilisation * f64::from(measured) / f64::from(all));
    let to = (second * f64::from(all)).ceil() as i32;
    let turned = second < 1.0 || to < current;
    Some(if within_tolerance(second) || turned { current } else { to })
}

impl Controller for Cpu {
    fn name(&self) -> String {
        format!("HPA on CPU, {} %", self.target)
    }

    fn look(&mut self, view: &View<'_>) -> Option<i32> {
        self.window.push_back((view.utilisation, view.ready_replicas));
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
        let at = self.sync.due(view.now)?;
        let measured = self.window.iter().map(|(_, ready)| *ready).min().unwrap_or(0);
        let mean = self.window.iter().map(|(used, _)| used).sum::<f64>() / self.window.len() as f64;
        let pods = view.observation.workload.as_ref().map_or(view.ready_replicas, |w| w.pods);
        let proposal = replicas(view.spec_replicas, self.target, mean, measured, (pods - measured).max(0));
        self.hpa.sync(at, view.spec_replicas, proposal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    // 5 pods at 90 % for 60 %: 1.5 times as many.
    #[case(5, 60, 0.90, 5, 0, Some(8))]
    // 66 % is within a tenth of 60 %, and so is 66.9 %, as it is cut off.
    #[case(5, 60, 0.669, 5, 0, Some(5))]
    #[case(5, 60, 0.67, 5, 0, Some(6))]
    #[case(10, 60, 0.30, 10, 0, Some(5))]
    // 5 busy and 5 that start, counted as idle: 50 % in all is less than 60 %. No turning around.
    #[case(10, 60, 1.0, 5, 5, Some(10))]
    // 8 busy, 2 starting: 80 % in all.
    #[case(10, 60, 1.0, 8, 2, Some(14))]
    // On the way down, pods that are not ready do not count at all.
    #[case(10, 60, 0.3, 8, 2, Some(4))]
    #[case(10, 60, 0.0, 0, 10, None)]
    fn utilisation_becomes_replicas(
        #[case] current: i32,
        #[case] target: i32,
        #[case] utilisation: f64,
        #[case] measured: i32,
        #[case] others: i32,
        #[case] to: Option<i32>,
    ) {
        assert_eq!(replicas(current, target, utilisation, measured, others), to);
    }
}
