//! What of a ScaledObject is about neither triggers nor Kafka: limits, mode, speed and fallback.
//!
//! It makes the lines for each and says what is lost; triggers are for `scaler`, TLS and login for `login`.

use super::keda::{Fallback, ScaleDown, ScalingPolicy, Spec, pauses};
use super::scaler::Making;
use super::{Lines, cron, left_out};

/// The most replicas that a ConsumerScaler may have.
const MOST: i32 = 10_000;
/// KEDA's defaults.
const MAX_REPLICAS: i32 = 100;
const POLLING: i64 = 30;
/// The longest time that a ConsumerScaler may have, in seconds.
const LONGEST: i64 = 7 * 24 * 3600;
/// How often Spillway looks unless told otherwise, and how long its window is.
const OURS: &str = "Spillway reads every 5s (sweepInterval in a KafkaConnection)";

/// A number as it may be here: what it becomes, and what is said when that is another one.
pub(super) fn within<N: Copy + Ord + std::fmt::Display>(
    field: &str,
    value: N,
    (least, what_least): (N, &str),
    (most, what_most): (N, &str),
) -> (N, Option<String>) {
    let (written, why) = if value > most {
        (most, format!("is above {what_most}"))
    } else if value < least {
        (least, format!("is below {what_least}"))
    } else {
        return (value, None);
    };
    (written, Some(format!("{field} ({value}) {why}: {written} is written")))
}

/// The replicas that a ScaledObject may have, at least and at most, and what is said of them.
pub(super) fn limits(spec: &Spec) -> (i32, i32, Vec<String>) {
    let (most, above) = within(
        "maxReplicaCount",
        spec.max_replica_count.unwrap_or(MAX_REPLICAS),
        (1, "1"),
        (MOST, "what a ConsumerScaler may have"),
    );
    let field = if spec.idle_replica_count.is_some() { "idleReplicaCount" } else { "minReplicaCount" };
    let least = spec.idle_replica_count.or(spec.min_replica_count).unwrap_or(0);
    let (least, outside) = within(field, least, (0, "0"), (most, "maxReplicas"));
    (least, most, above.into_iter().chain(outside).collect())
}

impl Making<'_> {
    /// The mode that stands for KEDA's annotations, and what is said of it.
    pub(super) fn mode(&mut self) -> (&'static str, String) {
        let annotations = &self.object.metadata.annotations;
        for (name, value) in annotations {
            left_out::of_annotation(name, value).into_iter().for_each(|remark| self.remark(remark));
        }
        let of = |name: &str| annotations.get(&format!("autoscaling.keda.sh/{name}"));
        let no_down = self.scale_down().is_some_and(|d| d.select_policy.as_deref() == Some("Disabled"));
        if no_down {
            self.remark(
                "behavior.scaleDown.selectPolicy: Disabled becomes mode: PausedScaleDown, when it is to act",
            );
        }
        let upwards_only = no_down || of("paused-scale-in").is_some_and(|value| pauses(value));
        let acts = if upwards_only {
            "PausedScaleDown, which scales up only, as KEDA did"
        } else {
            "Active when you have deleted the ScaledObject"
        };
        if of("paused").is_some_and(|value| pauses(value)) || of("paused-replicas").is_some() {
            let acts = if upwards_only { acts } else { "Active" };
            ("Paused", format!("as KEDA's was paused; then DryRun, then {acts}"))
        } else if upwards_only {
            ("DryRun", format!("watches and tells, writes nothing; then {acts}"))
        } else {
            ("DryRun", format!("watches and tells, writes nothing; {acts}"))
        }
    }

    fn scale_down(&self) -> Option<&ScaleDown> {
        let config = self.object.spec.advanced.as_ref()?.horizontal_pod_autoscaler_config.as_ref()?;
        config.behavior.as_ref()?.scale_down.as_ref()
    }

    /// Fields of the ScaledObject that become nothing.
    pub(super) fn of_spec(&mut self) {
        let spec = &self.object.spec;
        if let Some(container) = &spec.scale_target_ref.env_source_container_name {
            self.remark(format!(
                "scaleTargetRef.envSourceContainerName ({container}) is not needed: Spillway takes nothing from the environment of a container"
            ));
        }
        if let Some(polling) = spec.polling_interval {
            self.remark(format!("pollingInterval ({polling}s) is not carried over: {OURS}"));
        }
        let wait = match self.least {
            0 => "has no equal: it goes to zero when nothing waits and nothing came for five minutes (behavior.scaleDown.window, where that is more), and then for that window".to_owned(),
            least => format!("is not needed: it is about going to zero, and minReplicas is {least}"),
        };
        if let Some(period) = spec.cooldown_period {
            self.remark(format!("cooldownPeriod ({period}s) {wait}"));
        }
        if let Some(period) = spec.initial_cooldown_period.filter(|period| *period > 0) {
            self.remark(format!("initialCooldownPeriod ({period}s) {wait}"));
        }
        if let Some(idle) = spec.idle_replica_count {
            self.remark(format!(
                "idleReplicaCount ({idle}) becomes minReplicas; that at least {} are there while messages come has no equal: there are as many as they need",
                spec.min_replica_count.unwrap_or(0)
            ));
        }
        let advanced = spec.advanced.clone().unwrap_or_default();
        if advanced.restore_to_original_replica_count == Some(true) {
            self.remark(
                "restoreToOriginalReplicaCount is true: set it to false before you delete the ScaledObject, or KEDA resets the replicas then",
            );
        }
        if advanced.scaling_modifiers.is_some() {
            self.remark(
                "advanced.scalingModifiers has no equal: the replicas follow the group that needs most",
            );
        }
        let config = advanced.horizontal_pod_autoscaler_config.unwrap_or_default();
        if config.name.is_some() {
            self.remark("horizontalPodAutoscalerConfig.name is not needed: there is no HPA");
        }
        if config.behavior.is_some_and(|behavior| behavior.scale_up.is_some()) {
            self.remark("behavior.scaleUp has no equal: what the objective needs is asked for in one step");
        }
        for path in &self.object.unknown {
            self.remark(left_out::of_unknown(path));
        }
    }

    /// `number` within bounds; that it was outside of them is told.
    fn bounded(&mut self, field: &str, number: i64, least: i64, most: (i64, &str)) -> i64 {
        let (written, said) = within(field, number, (least, &least.to_string()), most);
        said.into_iter().for_each(|remark| self.remark(remark));
        written
    }

    pub(super) fn behavior(&mut self) -> Lines {
        let mut lines = Lines::default();
        let Some(down) = self.scale_down().cloned() else { return lines };
        let window = down.stabilization_window_seconds.map(|window| {
            let field = "behavior.scaleDown.stabilizationWindowSeconds";
            self.bounded(field, window, 0, (LONGEST, "168h, in seconds"))
        });
        let percent = self.percent(&down);
        if window.is_none() && percent.is_none() {
            return lines;
        }
        lines.add(0, "behavior:", None);
        lines.add(1, "scaleDown:", None);
        if let Some(window) = window {
            lines.add(2, &format!("window: {}", cron::written(window)), Some("stabilizationWindowSeconds"));
        }
        if let Some(percent) = percent {
            lines.add(2, &format!("maxStepPercent: {percent}"), None);
        }
        lines
    }

    /// The one limit of a step that KEDA's policies become: of several in percent the one that KEDA goes by.
    fn percent(&mut self, down: &ScaleDown) -> Option<i64> {
        let select = down.select_policy.as_deref().unwrap_or("Max");
        match select {
            "Max" | "Disabled" => {}
            "Min" => self.remark(
                "behavior.scaleDown.selectPolicy: Min has no equal: of several policies in percent, the smallest is written",
            ),
            other => self.remark(format!(
                "behavior.scaleDown.selectPolicy ({other}) is not known here: it counts as Max"
            )),
        }
        let percents = down.policies.iter().filter(|policy| policy.kind == "Percent").map(|p| p.value);
        let chosen = if select == "Min" { percents.min() } else { percents.max() };
        let mut written = false;
        for ScalingPolicy { kind, value, period_seconds } in &down.policies {
            let every = period_seconds.unwrap_or(0);
            let policy =
                format!("behavior.scaleDown: {value} {} every {every}s", kind.replace("Percent", "percent"));
            let becomes = if kind != "Percent" {
                "has no equal: maxStepPercent limits a step"
            } else if chosen == Some(*value) && !written {
                written = true;
                "becomes maxStepPercent: at most that in one step, and a window between two"
            } else {
                "was left out: maxStepPercent is one number, and another policy's is written"
            };
            self.remark(format!("{policy} {becomes}"));
        }
        chosen.map(|value| self.bounded("behavior.scaleDown: percent", value.into(), 1, (100, "100")))
    }

    pub(super) fn fallback(&mut self) -> Lines {
        let mut lines = Lines::default();
        let Some(Fallback { failure_threshold, replicas, behavior }) = &self.object.spec.fallback else {
            return lines;
        };
        let left_out = format!("with failureThreshold {failure_threshold} and replicas {replicas}");
        match behavior.as_deref().unwrap_or("static") {
            "static" => self.remark(
                "fallback: KEDA set that number, even with more there; Spillway sees to at least as many, and takes none away while it cannot see",
            ),
            "currentReplicasIfHigher" => {}
            "currentReplicas" => {
                self.remark(format!(
                    "fallback behavior currentReplicas ({left_out}) was left out: that is what Spillway does without one"
                ));
                return lines;
            }
            other => {
                self.remark(format!("fallback behavior {other} ({left_out}) has no equal, and was left out"));
                return lines;
            }
        }
        let after = failure_threshold.saturating_mul(self.object.spec.polling_interval.unwrap_or(POLLING));
        let why = "failureThreshold times pollingInterval";
        let after = self.bounded(&format!("fallback: {why}"), after, 0, (LONGEST, "168h, in seconds"));
        let most = self.most.into();
        let replicas = self.bounded("fallback.replicas", (*replicas).into(), 0, (most, "maxReplicas"));
        lines.add(0, "fallback:", None);
        lines.add(1, &format!("after: {}", cron::written(after)), Some(why));
        lines.add(1, &format!("replicas: {replicas}"), None);
        lines
    }
}
