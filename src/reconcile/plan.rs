//! Which connections to read, for which scalers: from the resources as they are now.
//!
//! Pure: secrets were read before, and nothing is read from Kafka here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use crate::api::{ConsumerGroup, ConsumerScaler, IsolationLevel, KafkaConnection};
use crate::calendar::Calendar;
use crate::decide::Policy;
use crate::kafka::{ConnectionConfig, Isolation};
use crate::report::metrics::ScalerKey;
use crate::report::status::Blocked;
use crate::validate;

/// Names a distinct connection for as long as this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(pub u64);

/// What is asked of Kafka for a consumer group. Two scalers that ask the same share one answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub group: String,
    pub topics: Option<Vec<String>>,
    pub isolation: Isolation,
}

/// A scaler ready to be decided for.
#[derive(Debug)]
pub(super) struct Work {
    pub key: ScalerKey,
    pub object: Arc<ConsumerScaler>,
    pub policy: Policy,
    pub calendar: Calendar,
    /// Where each of its groups is read, in the order of the policy.
    pub groups: Vec<(ConnectionId, Question)>,
    /// What people call the cluster of each of them: the connection, or its servers.
    pub clusters: Vec<Arc<str>>,
}

/// One connection and what hangs on it.
#[derive(Debug)]
pub(super) struct ConnectionPlan {
    pub config: ConnectionConfig,
    pub interval: Duration,
    /// Each question once, with the scalers that ask it.
    pub questions: Vec<(Question, Vec<ScalerKey>)>,
    /// Scalers decided for after a sweep of this connection: those whose first group is here.
    pub scalers: Vec<Arc<Work>>,
    /// The resources that describe it.
    pub objects: Vec<Arc<KafkaConnection>>,
}

/// A scaler that cannot be acted on.
#[derive(Debug)]
pub(super) struct Broken {
    pub object: Arc<ConsumerScaler>,
    pub why: Blocked,
}

/// Everything to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub connections: BTreeMap<ConnectionId, Arc<ConnectionPlan>>,
    pub broken: Vec<Broken>,
}

/// A `KafkaConnection` with its secrets read, or why it cannot be used.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub object: Arc<KafkaConnection>,
    pub settings: Result<(ConnectionConfig, f64), Blocked>,
}

/// Hands out ids to distinct connections.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: HashMap<ConnectionConfig, ConnectionId>,
    next: u64,
}

impl Ids {
    fn of(&mut self, config: &ConnectionConfig) -> ConnectionId {
        if let Some(id) = self.known.get(config) {
            return *id;
        }
        self.next += 1;
        self.known.insert(config.clone(), ConnectionId(self.next));
        ConnectionId(self.next)
    }

    /// Forgets connections that nothing uses any more.
    pub fn retain(&mut self, plan: &Plan) {
        self.known.retain(|_, id| plan.connections.contains_key(id));
    }
}

#[derive(Debug)]
struct Building {
    config: ConnectionConfig,
    interval: f64,
    questions: Vec<(Question, Vec<ScalerKey>)>,
    scalers: Vec<Arc<Work>>,
    objects: Vec<Arc<KafkaConnection>>,
}

/// Plans the work for `scalers`, with the connections they name.
pub(super) fn plan(scalers: &[Arc<ConsumerScaler>], connections: &[Resolved], ids: &mut Ids) -> Plan {
    let by_name: HashMap<(String, String), &Resolved> = connections
        .iter()
        .map(|r| ((r.object.namespace().unwrap_or_default(), r.object.name_any()), r))
        .collect();
    let mut building: BTreeMap<ConnectionId, Building> = BTreeMap::new();
    let mut broken = Vec::new();

    // A connection that no scaler uses yet is read too: its status tells whether it works.
    for resolved in connections {
        if let Ok((config, interval)) = &resolved.settings {
            let entry = start(&mut building, ids, config, *interval);
            entry.1.objects.push(resolved.object.clone());
        }
    }
    for object in scalers {
        match work(object, &by_name, &mut building, ids) {
            Ok(work) => {
                let work = Arc::new(work);
                for (id, question) in &work.groups {
                    let Some(connection) = building.get_mut(id) else { continue };
                    match connection.questions.iter_mut().find(|(q, _)| q == question) {
                        Some((_, askers)) => askers.push(work.key.clone()),
                        None => connection.questions.push((question.clone(), vec![work.key.clone()])),
                    }
                }
                if let Some(home) = work.groups.first().and_then(|(id, _)| building.get_mut(id)) {
                    home.scalers.push(work);
                }
            }
            Err(why) => broken.push(Broken { object: object.clone(), why }),
        }
    }
    let connections = building
        .into_iter()
        .map(|(id, b)| {
            let plan = ConnectionPlan {
                config: b.config,
                interval: Duration::from_secs_f64(b.interval),
                questions: b.questions,
                scalers: b.scalers,
                objects: b.objects,
            };
            (id, Arc::new(plan))
        })
        .collect();
    Plan { connections, broken }
}

fn start<'a>(
    building: &'a mut BTreeMap<ConnectionId, Building>,
    ids: &mut Ids,
    config: &ConnectionConfig,
    interval: f64,
) -> (ConnectionId, &'a mut Building) {
    let id = ids.of(config);
    let entry = building.entry(id).or_insert_with(|| Building {
        config: config.clone(),
        interval,
        questions: Vec::new(),
        scalers: Vec::new(),
        objects: Vec::new(),
    });
    entry.interval = entry.interval.min(interval);
    (id, entry)
}

fn work(
    object: &Arc<ConsumerScaler>,
    connections: &HashMap<(String, String), &Resolved>,
    building: &mut BTreeMap<ConnectionId, Building>,
    ids: &mut Ids,
) -> Result<Work, Blocked> {
    let namespace = object.namespace().unwrap_or_default();
    let invalid = |problems: Vec<String>| Blocked { reason: "Invalid".into(), message: problems.join("; ") };
    // Checked first, so that a broken connection is not blamed for a broken spec.
    validate::policy(&object.spec, validate::DEFAULT_SWEEP).map_err(invalid)?;
    let mut groups = Vec::new();
    let mut longest: f64 = 0.0;
    for group in &object.spec.consumer_groups {
        let (config, interval) = settings(group, &namespace, connections)?;
        let (id, entry) = start(building, ids, &config, interval);
        longest = longest.max(entry.interval);
        groups.push((id, question(group)));
    }
    let policy = validate::policy(&object.spec, longest).map_err(invalid)?;
    let calendar = validate::calendar(&object.spec).map_err(invalid)?;
    let clusters = object.spec.consumer_groups.iter().map(|g| cluster(g, &namespace)).collect();
    let key = ScalerKey::new(namespace, object.name_any());
    Ok(Work { key, object: object.clone(), policy, calendar, groups, clusters })
}

fn settings(
    group: &ConsumerGroup,
    namespace: &str,
    connections: &HashMap<(String, String), &Resolved>,
) -> Result<(ConnectionConfig, f64), Blocked> {
    if let Some(servers) = &group.bootstrap_servers {
        let bootstrap = servers.iter().map(|a| a.0.clone()).collect();
        return Ok((ConnectionConfig { bootstrap, tls: None, sasl: None }, validate::DEFAULT_SWEEP));
    }
    let name = group.connection.as_ref().map(|c| c.name.as_str()).unwrap_or_default();
    match connections.get(&(namespace.to_owned(), name.to_owned())) {
        Some(resolved) => resolved.settings.clone(),
        None => Err(Blocked {
            reason: "ConnectionNotFound".into(),
            message: format!(
                "consumer group {} names KafkaConnection {name:?}, which is not in namespace {namespace}: create it, or correct consumerGroups[].connection.name",
                group.group
            ),
        }),
    }
}

fn cluster(group: &ConsumerGroup, namespace: &str) -> Arc<str> {
    match (&group.connection, &group.bootstrap_servers) {
        (Some(connection), _) => format!("{namespace}/{}", connection.name).into(),
        (None, Some(servers)) => servers.iter().map(|a| a.0.as_str()).collect::<Vec<_>>().join(",").into(),
        (None, None) => "".into(),
    }
}

fn question(group: &ConsumerGroup) -> Question {
    Question {
        group: group.group.clone(),
        topics: group.topics.clone(),
        isolation: match group.isolation_level {
            IsolationLevel::ReadUncommitted => Isolation::ReadUncommitted,
            IsolationLevel::ReadCommitted => Isolation::ReadCommitted,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaler(name: &str, groups: &str) -> Arc<ConsumerScaler> {
        let yaml = format!(
            "{{apiVersion: spillway.dev/v1alpha1, kind: ConsumerScaler, metadata: {{name: {name}, namespace: shop}}, spec: {{scaleTargetRef: {{name: {name}}}, maxReplicas: 8, consumerGroups: {groups}}}}}"
        );
        Arc::new(serde_yaml::from_str(&yaml).unwrap())
    }

    fn connection(name: &str, server: &str, interval: f64) -> Resolved {
        let yaml = format!(
            "{{apiVersion: spillway.dev/v1alpha1, kind: KafkaConnection, metadata: {{name: {name}, namespace: shop}}, spec: {{bootstrapServers: ['{server}']}}}}"
        );
        let config = ConnectionConfig { bootstrap: vec![server.into()], tls: None, sasl: None };
        Resolved { object: Arc::new(serde_yaml::from_str(&yaml).unwrap()), settings: Ok((config, interval)) }
    }

    #[test]
    fn one_connection_and_one_question_however_many_ask() {
        let scalers = [
            scaler("a", "[{group: orders, connection: {name: main}}]"),
            scaler(
                "b",
                "[{group: orders, bootstrapServers: ['k:9092']}, {group: bills, connection: {name: main}}]",
            ),
        ];
        let plan = plan(&scalers, &[connection("main", "k:9092", 2.0)], &mut Ids::default());
        assert_eq!(plan.connections.len(), 1, "the same servers are one connection");
        let only = plan.connections.values().next().unwrap();
        assert_eq!(only.interval, Duration::from_secs(2));
        let asked: Vec<(&str, usize)> =
            only.questions.iter().map(|(q, by)| (q.group.as_str(), by.len())).collect();
        assert_eq!(asked, [("orders", 2), ("bills", 1)]);
        assert_eq!(only.scalers.len(), 2);
    }

    #[test]
    fn a_missing_connection_breaks_only_its_scaler() {
        let scalers = [
            scaler("a", "[{group: orders, connection: {name: mian}}]"),
            scaler("b", "[{group: bills, connection: {name: main}}]"),
        ];
        let plan = plan(&scalers, &[connection("main", "k:9092", 5.0)], &mut Ids::default());
        let [broken] = &plan.broken[..] else { panic!("{:?}", plan.broken) };
        assert_eq!(broken.why.reason, "ConnectionNotFound");
        assert!(
            broken.why.message.contains("KafkaConnection \"mian\", which is not in namespace shop"),
            "{}",
            broken.why.message
        );
        assert_eq!(plan.connections.values().map(|c| c.scalers.len()).sum::<usize>(), 1);
    }

    #[test]
    fn ids_stay_while_used() {
        let mut ids = Ids::default();
        let scalers = [scaler("a", "[{group: orders, bootstrapServers: ['k:9092']}]")];
        let first = plan(&scalers, &[], &mut ids);
        let again = plan(&scalers, &[], &mut ids);
        assert!(first.connections.keys().eq(again.connections.keys()));
        let other = plan(&[scaler("a", "[{group: orders, bootstrapServers: ['l:9092']}]")], &[], &mut ids);
        assert!(!other.connections.keys().eq(again.connections.keys()));
    }
}
