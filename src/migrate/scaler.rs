//! One ScaledObject as a ConsumerScaler.
//!
//! It makes consumer groups and schedules of the triggers, and puts the parts together; the other fields of
//! a ScaledObject are for `settings`, and what is said of those that become nothing is in `left_out`.

use super::keda::{ScaledObject, Trigger, of_keda, text};
use super::settings::{limits, within};
use super::{Connections, Known, Lines, cron, head, left_out, login, quoted};

/// A consumer group: where it is read, and of what.
struct Group {
    group: String,
    /// `connection: {…}` or `bootstrapServers: […]`.
    place: String,
    topics: Vec<String>,
    start_from: &'static str,
    /// The triggers with a name.
    triggers: Vec<String>,
}

pub(super) struct Making<'a> {
    pub object: &'a ScaledObject,
    known: &'a Known,
    connections: &'a mut Connections,
    groups: Vec<Group>,
    thresholds: Vec<String>,
    schedules: Lines,
    remarks: Vec<String>,
    /// minReplicas and maxReplicas.
    pub least: i32,
    pub most: i32,
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
    let (least, most, outside) = limits(&object.spec);
    let mut making = Making {
        object,
        known,
        connections,
        groups: Vec::new(),
        thresholds: Vec::new(),
        schedules: Lines::default(),
        remarks: outside,
        least,
        most,
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
    pub fn remark(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    fn trigger(&mut self, i: usize, trigger: &Trigger) {
        match trigger.kind.as_str() {
            _ if trigger.of_kafka() => self.kafka(i, trigger),
            "cron" => self.cron(i, trigger),
            other => {
                let name = trigger.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
                self.remark(format!(
                    "triggers[{i}]{name}: {other} has no equal: Spillway scales by Kafka alone"
                ));
            }
        }
        left_out::of_trigger(i, trigger).into_iter().for_each(|remark| self.remark(remark));
    }

    fn kafka(&mut self, i: usize, trigger: &Trigger) {
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
        for name in ["bootstrapServers", "consumerGroup", "topic"] {
            if let Some(variable) = of(&format!("{name}FromEnv")).filter(|_| of(name).is_some()) {
                self.remark(format!(
                    "{name}FromEnv ({variable}) is not needed: {name} is in the trigger, too"
                ));
            }
        }
        let start_from = match of("offsetResetPolicy").as_deref() {
            Some("earliest") => "earliest",
            None | Some("latest") => "latest",
            Some(other) => {
                self.remark(format!(
                    "offsetResetPolicy ({other}) is neither earliest nor latest: latest is written"
                ));
                "latest"
            }
        };
        self.group(
            i,
            Group { group, place, topics, start_from, triggers: trigger.name.clone().into_iter().collect() },
        );
        self.thresholds.push(of("lagThreshold").unwrap_or_else(|| "10".to_owned()));
        for (name, value) in &trigger.metadata {
            if let Some(remark) = left_out::of_metadata(name, &text(value)) {
                self.remark(remark);
            }
        }
    }

    /// Takes the group of a trigger in, or what it says of one that is there.
    fn group(&mut self, i: usize, group: Group) {
        let Some(same) = self.groups.iter_mut().find(|g| g.group == group.group && g.place == group.place)
        else {
            return self.groups.push(group);
        };
        same.triggers.extend(group.triggers);
        let mut said = Vec::new();
        if same.start_from != group.start_from {
            said.push(format!(
                "triggers[{i}]: offsetResetPolicy {} is not carried over: group {} is one consumer group and has one startFrom, {} as in its first trigger; see what its consumers have",
                group.start_from, same.group, same.start_from
            ));
        }
        if same.topics.is_empty() != group.topics.is_empty() {
            let topics = if same.topics.is_empty() { &group.topics } else { &same.topics };
            said.push(format!(
                "topic ({}) is left out: another trigger of group {} has none, so that those its members read count",
                topics.join(","),
                same.group
            ));
            same.topics.clear();
        } else {
            same.topics
                .extend(group.topics.into_iter().filter(|t| !same.topics.contains(t)).collect::<Vec<_>>());
        }
        said.into_iter().for_each(|remark| self.remark(remark));
    }

    fn cron(&mut self, i: usize, trigger: &Trigger) {
        let of = |name: &str| trigger.metadata.get(name).map(text).unwrap_or_default();
        let (start, end, zone) = (of("start"), of("end"), of("timezone"));
        let replicas = of("desiredReplicas").parse::<i32>().ok().filter(|n| *n >= 1);
        let read = ["start", "end", "timezone", "desiredReplicas"];
        for name in trigger.metadata.keys().filter(|name| !read.contains(&name.as_str())) {
            self.remark(format!("triggers[{i}].metadata.{name} is not known here and was left out"));
        }
        if let Some(reference) = &trigger.authentication_ref {
            self.remark(format!(
                "triggers[{i}].authenticationRef ({}) is not needed: nobody is asked for the time",
                reference.name
            ));
        }
        let length = cron::length(&start, &end, &zone);
        match (length, replicas) {
            (Ok(length), Some(replicas)) => {
                if cron::meets_a_change(&start, length, &zone) {
                    self.remark(format!(
                        "triggers[{i}]: in {zone} the clock changes while it lasts: on such a day it ends an hour earlier or later than {end:?}, as it is always as long"
                    ));
                }
                let field = format!("triggers[{i}]: desiredReplicas");
                let (replicas, outside) = within(&field, replicas, (1, "1"), (self.most, "maxReplicas"));
                outside.into_iter().for_each(|remark| self.remark(remark));
                let name = trigger.name.as_ref().map_or_else(String::new, |name| format!("{name}, "));
                self.schedules.add(1, &format!("- name: cron-{i}"), Some(&format!("{name}until {end}")));
                self.schedules.add(2, &format!("cron: {}", quoted(&start)), None);
                self.schedules.add(2, &format!("duration: {}", cron::written(length)), None);
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

    fn yaml(mut self) -> (String, usize) {
        let (mode, about) = self.mode();
        self.of_spec();
        let behavior = self.behavior();
        let fallback = self.fallback();
        let spec = &self.object.spec;
        let target = &spec.scale_target_ref;
        let (least, most) = (self.least, self.most);
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
            let triggers =
                (!group.triggers.is_empty()).then(|| format!("trigger {}", group.triggers.join(", ")));
            lines.add(1, &format!("- group: {}", quoted(&group.group)), triggers.as_deref());
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

        let labels = self.labels();
        let metadata = &self.object.metadata;
        let more = if self.remarks.is_empty() { "" } else { " What to know, and what has no equal:" };
        let title = format!("From ScaledObject {}.{more}", metadata.name);
        let mut out = String::new();
        head(&mut out, "ConsumerScaler", &metadata.namespace, &metadata.name, &title, &self.remarks);
        labels.write(&mut out);
        lines.write(&mut out);
        (out, self.remarks.len())
    }

    /// The labels of the ScaledObject, but for KEDA's own.
    fn labels(&mut self) -> Lines {
        let mut lines = Lines::default();
        let metadata = &self.object.metadata;
        for (name, value) in &metadata.labels {
            left_out::of_label(name, value).into_iter().for_each(|remark| self.remark(remark));
            if !of_keda(name) {
                lines.add(2, &format!("{}: {}", quoted(name), quoted(value)), None);
            }
        }
        if !lines.0.is_empty() {
            lines.0.insert(0, (1, "labels:".to_owned(), None));
        }
        lines
    }
}
