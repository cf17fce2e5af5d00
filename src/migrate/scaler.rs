//! One ScaledObject as a ConsumerScaler.
//!
//! It decides what each field becomes and what is said of those that become nothing.

use super::keda::{ScaleDown, ScaledObject, Trigger, text};
use super::login::{self, METADATA};
use super::{Connections, Known, Lines, cron, head, quoted};

/// The most replicas that a ConsumerScaler may have.
const MOST: i32 = 10_000;
/// KEDA's defaults.
const MAX_REPLICAS: i32 = 100;
const POLLING: f64 = 30.0;
/// How often Spillway looks unless told otherwise, and how long its window is.
const OURS: &str = "Spillway reads every 5s (sweepInterval in a KafkaConnection)";

/// A consumer group: where it is read, and of what.
struct Group {
    group: String,
    /// `connection: {…}` or `bootstrapServers: […]`.
    place: String,
    topics: Vec<String>,
    start_from: &'static str,
}

struct Making<'a> {
    object: &'a ScaledObject,
    known: &'a Known,
    connections: &'a mut Connections,
    groups: Vec<Group>,
    thresholds: Vec<String>,
    schedules: Lines,
    remarks: Vec<String>,
}

/// The ConsumerScaler as YAML, and how many remarks are above it.
///
/// # Errors
/// Why there is none.
pub(super) fn scaler(
    object: &ScaledObject,
    known: &Known,
    connections: &mut Connections,
) -> Result<(String, usize), String> {
    let name = &object.metadata.name;
    if name.is_empty() {
        return Err("a ScaledObject without a name was left out".to_owned());
    }
    let mut making = Making {
        object,
        known,
        connections,
        groups: Vec::new(),
        thresholds: Vec::new(),
        schedules: Lines::default(),
        remarks: Vec::new(),
    };
    for (i, trigger) in object.spec.triggers.iter().enumerate() {
        making.trigger(i, trigger);
    }
    if making.groups.is_empty() {
        let kinds: Vec<&str> = object.spec.triggers.iter().map(|t| t.kind.as_str()).collect();
        let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
        return Err(format!(
            "ScaledObject {name} has no Kafka trigger (its triggers: {kinds}) and was left out"
        ));
    }
    Ok(making.yaml())
}

impl Making<'_> {
    fn remark(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    fn trigger(&mut self, i: usize, trigger: &Trigger) {
        match trigger.kind.as_str() {
            "kafka" | "apache-kafka" => self.kafka(trigger),
            "cron" => self.cron(i, trigger),
            other => self.remark(format!("trigger {other} has no equal: Spillway scales by Kafka alone")),
        }
        for (field, _) in trigger.other.iter().filter(|(field, _)| *field != "name") {
            self.remark(format!("triggers[{i}].{field} has no equal, and none is needed"));
        }
    }

    fn kafka(&mut self, trigger: &Trigger) {
        let of = |name: &str| trigger.metadata.get(name).map(text).filter(|t| !t.is_empty());
        let namespace = self.object.metadata.namespace.clone();
        let login = login::login(trigger, &namespace, self.known);
        let mut needed = |name: &str, otherwise: &str| {
            of(name).unwrap_or_else(|| {
                let variable = of(&format!("{name}FromEnv"))
                    .map_or_else(String::new, |v| format!(" (KEDA took it from {v} of the container)"));
                self.remark(format!(
                    "CHANGE ME: {name} is not in the trigger{variable}: write it where {otherwise} stands"
                ));
                otherwise.to_owned()
            })
        };
        let servers = needed("bootstrapServers", "change-me:9092");
        let group = needed("consumerGroup", "change-me");
        let servers: Vec<String> = servers.split(',').map(|s| quoted(s.trim())).collect();
        let servers = format!("[{}]", servers.join(", "));
        let place = if login.plain {
            login.remarks.iter().for_each(|remark| self.remark(remark.clone()));
            format!("bootstrapServers: {servers}")
        } else {
            let otherwise = format!("{}-kafka", self.object.metadata.name);
            let name = self.connections.name(&namespace, &servers, &login, &otherwise);
            format!("connection: {{name: {}}}", quoted(&name))
        };
        let topics: Vec<String> = of("topic")
            .map(|t| t.split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect())
            .unwrap_or_default();
        if let Some(variable) = of("topicFromEnv").filter(|_| topics.is_empty()) {
            self.remark(format!(
                "the topic came from {variable} of the container: without topics, those that the members read count"
            ));
        }
        let start_from =
            if of("offsetResetPolicy").as_deref() == Some("earliest") { "earliest" } else { "latest" };
        match self.groups.iter_mut().find(|g| g.group == group && g.place == place) {
            Some(same) if topics.is_empty() => same.topics.clear(),
            Some(same) if !same.topics.is_empty() => {
                same.topics
                    .extend(topics.into_iter().filter(|t| !same.topics.contains(t)).collect::<Vec<_>>());
            }
            Some(_) => {}
            None => self.groups.push(Group { group, place, topics, start_from }),
        }
        self.thresholds.push(of("lagThreshold").unwrap_or_else(|| "10".to_owned()));
        for (name, value) in &trigger.metadata {
            if let Some(remark) = of_metadata(name, &text(value)) {
                self.remark(remark);
            }
        }
    }

    fn cron(&mut self, i: usize, trigger: &Trigger) {
        let of = |name: &str| trigger.metadata.get(name).map(text).unwrap_or_default();
        let (start, end, zone) = (of("start"), of("end"), of("timezone"));
        let replicas = of("desiredReplicas").parse::<i32>().ok().filter(|n| *n >= 1);
        let length = cron::length(&start, &end, &zone);
        match (length, replicas) {
            (Ok(length), Some(replicas)) => {
                let replicas = replicas.min(self.most());
                self.schedules.add(1, &format!("- name: cron-{i}"), Some(&format!("until {end}")));
                self.schedules.add(2, &format!("cron: {}", quoted(&start)), None);
                self.schedules.add(2, &format!("duration: {length}"), None);
                self.schedules.add(2, &format!("timeZone: {}", quoted(&zone)), None);
                self.schedules.add(2, &format!("minReplicas: {replicas}"), None);
            }
            (Err(why), _) => {
                self.remark(format!("the cron trigger from {start:?} to {end:?} is no schedule: {why}"));
            }
            (_, None) => self.remark(format!(
                "the cron trigger from {start:?} to {end:?} asks for no replicas, and was left out"
            )),
        }
    }

    fn most(&self) -> i32 {
        self.object.spec.max_replica_count.unwrap_or(MAX_REPLICAS).clamp(1, MOST)
    }

    /// The mode that stands for KEDA's annotations, and what is said of it.
    fn mode(&mut self) -> (&'static str, String) {
        const PREFIX: &str = "autoscaling.keda.sh/";
        let annotations = self.object.metadata.annotations.clone();
        let of = |name: &str| annotations.get(&format!("{PREFIX}{name}")).map(String::as_str);
        for (name, why) in [
            ("paused-replicas", "Paused keeps the replicas there are; set that number yourself"),
            ("paused-scale-out", "no mode scales down only; lower maxReplicas instead"),
            ("force-activation", "a group without messages is not woken; minReplicas: 1 keeps a replica"),
        ] {
            if let Some(value) = of(name) {
                self.remark(format!("annotation {name} ({value}) has no equal: {why}"));
            }
        }
        let no_down = self.scale_down().is_some_and(|d| d.select_policy.as_deref() == Some("Disabled"));
        if of("paused") == Some("true") || of("paused-replicas").is_some() {
            ("Paused", "as KEDA's was paused; then DryRun, then Active".to_owned())
        } else if of("paused-scale-in") == Some("true") || no_down {
            (
                "DryRun",
                "watches and tells, writes nothing; then PausedScaleDown, which scales up only, as KEDA did"
                    .to_owned(),
            )
        } else {
            (
                "DryRun",
                "watches and tells, writes nothing; Active when you have deleted the ScaledObject".to_owned(),
            )
        }
    }

    fn scale_down(&self) -> Option<&ScaleDown> {
        let config = self.object.spec.advanced.as_ref()?.horizontal_pod_autoscaler_config.as_ref()?;
        config.behavior.as_ref()?.scale_down.as_ref()
    }

    /// minReplicas.
    fn least(&self) -> i32 {
        let spec = &self.object.spec;
        spec.idle_replica_count.or(spec.min_replica_count).unwrap_or(0).clamp(0, self.most())
    }

    /// Fields of the ScaledObject that become nothing.
    fn of_spec(&mut self) {
        let spec = &self.object.spec;
        let mut remarks = Vec::new();
        if let Some(polling) = spec.polling_interval {
            remarks.push(format!("pollingInterval ({polling}s) is not carried over: {OURS}"));
        }
        let wait = match self.least() {
            0 => "has no equal: it goes to zero when nothing waits and nothing came for five minutes (behavior.scaleDown.window, where that is more), and then for that window".to_owned(),
            least => format!("is not needed: it is about going to zero, and minReplicas is {least}"),
        };
        if let Some(period) = spec.cooldown_period {
            remarks.push(format!("cooldownPeriod ({period}s) {wait}"));
        }
        if spec.initial_cooldown_period.is_some_and(|p| p > 0.0) {
            remarks.push(format!("initialCooldownPeriod {wait}"));
        }
        if let Some(idle) = spec.idle_replica_count {
            remarks.push(format!(
                "idleReplicaCount ({idle}) becomes minReplicas; that at least {} are there while messages come has no equal: there are as many as they need",
                spec.min_replica_count.unwrap_or(0)
            ));
        }
        let advanced = spec.advanced.clone().unwrap_or_default();
        if advanced.restore_to_original_replica_count == Some(true) {
            remarks.push(
                "restoreToOriginalReplicaCount is true: set it to false before you delete the ScaledObject, or KEDA resets the replicas then"
                    .to_owned(),
            );
        }
        for field in advanced.other.keys() {
            remarks.push(format!(
                "advanced.{field} has no equal: the replicas follow the group that needs most"
            ));
        }
        let config = advanced.horizontal_pod_autoscaler_config.unwrap_or_default();
        if config.name.is_some() {
            remarks.push("horizontalPodAutoscalerConfig.name is not needed: there is no HPA".to_owned());
        }
        let behavior = config.behavior.unwrap_or_default();
        if behavior.scale_up.is_some() {
            remarks.push(
                "behavior.scaleUp has no equal: what the objective needs is asked for in one step".to_owned(),
            );
        }
        for field in behavior.scale_down.iter().flat_map(|d| d.other.keys()) {
            remarks.push(format!("behavior.scaleDown.{field} has no equal"));
        }
        remarks.extend(spec.other.keys().map(|field| format!("{field} is not known here and was left out")));
        remarks.into_iter().for_each(|remark| self.remark(remark));
    }

    fn behavior(&mut self) -> Lines {
        let mut lines = Lines::default();
        let Some(down) = self.scale_down().cloned() else { return lines };
        let window = down.stabilization_window_seconds.filter(|s| (0.0..=604_800.0).contains(s));
        let percent = down.policies.iter().find(|p| p.kind == "Percent").map(|p| p.value.clamp(1, 100));
        for policy in &down.policies {
            let every = policy.period_seconds.unwrap_or(0);
            match policy.kind.as_str() {
                "Percent" => self.remark(format!(
                    "behavior.scaleDown: {} percent every {every}s becomes maxStepPercent: at most that in one step, and a window between two",
                    policy.value
                )),
                kind => self.remark(format!(
                    "behavior.scaleDown: {} {kind} every {every}s has no equal: maxStepPercent limits a step",
                    policy.value
                )),
            }
        }
        if window.is_none() && percent.is_none() {
            return lines;
        }
        lines.add(0, "behavior:", None);
        lines.add(1, "scaleDown:", None);
        if let Some(window) = window {
            lines.add(
                2,
                &format!("window: {}", cron::written(window as i64)),
                Some("stabilizationWindowSeconds"),
            );
        }
        if let Some(percent) = percent {
            lines.add(2, &format!("maxStepPercent: {percent}"), None);
        }
        lines
    }

    fn fallback(&mut self) -> Lines {
        let mut lines = Lines::default();
        let Some(fallback) = &self.object.spec.fallback else { return lines };
        let behavior = fallback.behavior.clone().unwrap_or_else(|| "static".into());
        let after = fallback.failure_threshold * self.object.spec.polling_interval.unwrap_or(POLLING);
        let (replicas, most) = (fallback.replicas.max(0), self.most());
        match behavior.as_str() {
            "static" => self.remark(
                "fallback: KEDA set that number, even with more there; Spillway sees to at least as many, and takes none away while it cannot see",
            ),
            "currentReplicasIfHigher" => {}
            "currentReplicas" => {
                self.remark("fallback behavior currentReplicas: that is what Spillway does without one");
                return lines;
            }
            other => {
                self.remark(format!("fallback behavior {other} has no equal, and was left out"));
                return lines;
            }
        }
        if replicas > most {
            self.remark(format!("fallback.replicas ({replicas}) is above maxReplicas: {most} is written"));
        }
        lines.add(0, "fallback:", None);
        let why = "failureThreshold times pollingInterval";
        lines.add(1, &format!("after: {}", cron::written((after.clamp(0.0, 604_800.0)) as i64)), Some(why));
        lines.add(1, &format!("replicas: {}", replicas.min(most)), None);
        lines
    }

    fn yaml(mut self) -> (String, usize) {
        let (mode, about) = self.mode();
        self.of_spec();
        let behavior = self.behavior();
        let fallback = self.fallback();
        let spec = &self.object.spec;
        let target = &spec.scale_target_ref;
        let most = self.most();
        let least = self.least();
        let thresholds = self.thresholds.join(", ");

        let mut lines = Lines::default();
        lines.add(0, "spec:", None);
        let version = target.api_version.as_deref().unwrap_or("apps/v1");
        let kind = target.kind.as_deref().unwrap_or("Deployment");
        lines.add(1, "scaleTargetRef:", None);
        for (field, value) in [("apiVersion", version), ("kind", kind), ("name", &target.name)] {
            lines.add(2, &format!("{field}: {}", quoted(value)), None);
        }
        lines.add(1, "consumerGroups:", None);
        for group in &self.groups {
            lines.add(1, &format!("- group: {}", quoted(&group.group)), None);
            lines.add(2, &group.place, None);
            if !group.topics.is_empty() {
                let topics: Vec<String> = group.topics.iter().map(|t| quoted(t)).collect();
                lines.add(2, &format!("topics: [{}]", topics.join(", ")), None);
            }
            let same = "must be the consumers' own auto.offset.reset";
            lines.add(2, &format!("startFrom: {}", group.start_from), Some(same));
        }
        lines.add(1, &format!("minReplicas: {least}"), None);
        let why = spec
            .max_replica_count
            .is_none()
            .then_some("KEDA's default; as many as the topic has partitions are enough");
        lines.add(1, &format!("maxReplicas: {most}"), why);
        for comment in [
            format!("lagThreshold was {thresholds}: messages, and how late they are depends on how fast they are read."),
            "These are Spillway's defaults, not KEDA's behaviour. Choose them: how late may a message be, and how".to_owned(),
            "soon must a backlog be gone? `spillway simulate` shows what comes of it.".to_owned(),
        ] {
            lines.add(1, &format!("# {}", crate::yaml::one_line(&comment)), None);
        }
        lines.add(1, "objective:", None);
        lines.add(2, "maxDelay: 60s", None);
        lines.add(2, "recoverWithin: 10m", None);
        if !self.schedules.0.is_empty() {
            lines.add(1, "schedules:", None);
            lines.append(0, &self.schedules);
        }
        lines.append(1, &fallback);
        lines.append(1, &behavior);
        lines.add(1, &format!("mode: {mode}"), Some(&about));

        let metadata = &self.object.metadata;
        let more = if self.remarks.is_empty() { "" } else { " What to know, and what has no equal:" };
        let title = format!("From ScaledObject {}.{more}", metadata.name);
        let mut out = String::new();
        head(&mut out, "ConsumerScaler", &metadata.namespace, &metadata.name, &title, &self.remarks);
        if !metadata.labels.is_empty() {
            let mut labels = Lines::default();
            labels.add(1, "labels:", None);
            for (name, value) in &metadata.labels {
                labels.add(2, &format!("{}: {}", quoted(name), quoted(value)), None);
            }
            labels.write(&mut out);
        }
        lines.write(&mut out);
        (out, self.remarks.len())
    }
}

/// What is said of an entry in the metadata of a trigger; `None`: nothing, as it is carried over.
fn of_metadata(name: &str, value: &str) -> Option<String> {
    let yes = value == "true";
    let said = match name {
        "bootstrapServers"
        | "consumerGroup"
        | "topic"
        | "lagThreshold"
        | "offsetResetPolicy"
        | "bootstrapServersFromEnv"
        | "consumerGroupFromEnv"
        | "topicFromEnv" => return None,
        _ if METADATA.contains(&name) => return None,
        "activationLagThreshold" if value == "0" => return None,
        "activationLagThreshold" => {
            format!("({value}) has no equal: from zero, the first message starts a replica")
        }
        "allowIdleConsumers" if yes => {
            "has no equal: replicas that would have no partition to read are never asked for".to_owned()
        }
        "scaleToZeroOnInvalidOffset" if yes => {
            "has no equal: a partition without a commit counts as startFrom says, and keeps a replica"
                .to_owned()
        }
        "excludePersistentLag" if yes => {
            "is not needed: a partition that stands still while others are read is left out, and named"
                .to_owned()
        }
        "limitToPartitionsWithLag" if yes => {
            "is not needed: what each partition needs is what counts, not the sum of lag".to_owned()
        }
        "ensureEvenDistributionOfPartitions" if yes => {
            "is not needed: of the replica counts that leave the busiest consumer as many partitions, the smallest is asked for"
                .to_owned()
        }
        "allowIdleConsumers"
        | "scaleToZeroOnInvalidOffset"
        | "excludePersistentLag"
        | "limitToPartitionsWithLag"
        | "ensureEvenDistributionOfPartitions" => return None,
        "partitionLimitation" if value.is_empty() => return None,
        "partitionLimitation" => {
            format!("({value}) has no equal: all partitions of a topic count")
        }
        "version" | "fullMetadata" => "is not needed: the client finds out by itself".to_owned(),
        _ => "is not known here and was left out".to_owned(),
    };
    Some(format!("{name} {said}"))
}
