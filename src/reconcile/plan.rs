//! Which connections to read, for which scalers: from the resources as they are now.
//!
//! Pure: secrets were read before, and nothing is read from Kafka here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use super::work::{ConnectionId, ConnectionPlan, Question, Work};
use crate::api::{ConsumerGroup, ConsumerScaler, IsolationLevel, KafkaConnection};
use crate::cluster::watch::Undecodable;
use crate::kafka::{ConnectionConfig, Isolation};
use crate::report::metrics::ScalerKey;
use crate::report::status::Blocked;
use crate::validate;

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
    questions: Vec<(Question, Vec<Arc<Work>>)>,
    /// Where in `questions` each is.
    places: HashMap<Question, usize>,
    scalers: Vec<Arc<Work>>,
    objects: Vec<Arc<KafkaConnection>>,
}

impl Building {
    fn ask(&mut self, question: &Question, work: &Arc<Work>) {
        let place = *self.places.entry(question.clone()).or_insert_with(|| {
            self.questions.push((question.clone(), Vec::new()));
            self.questions.len() - 1
        });
        if let Some((_, askers)) = self.questions.get_mut(place) {
            askers.push(work.clone());
        }
    }
}

type Named<'a> = HashMap<(String, String), Result<&'a Resolved, &'a Undecodable>>;

/// Plans the work for `scalers`, with the connections they name; `unreadable` are those that are there,
/// but cannot be decoded.
pub(super) fn plan(
    scalers: &[Arc<ConsumerScaler>],
    connections: &[Resolved],
    unreadable: &[Undecodable],
    ids: &mut Ids,
) -> Plan {
    let readable =
        connections.iter().map(|r| ((r.object.namespace().unwrap_or_default(), r.object.name_any()), Ok(r)));
    let not = unreadable.iter().map(|bad| ((bad.namespace.clone(), bad.name.clone()), Err(bad)));
    let by_name: Named<'_> = readable.chain(not).collect();
    let mut building: BTreeMap<ConnectionId, Building> = BTreeMap::new();
    let mut broken = Vec::new();

    // A connection that no scaler uses yet is read too: its status tells whether it works.
    for resolved in connections {
        if let Ok((config, interval)) = &resolved.settings {
            let id = start(&mut building, ids, config, *interval);
            if let Some(entry) = building.get_mut(&id) {
                entry.objects.push(resolved.object.clone());
            }
        }
    }
    // First all connections: how often one is read depends on everybody who names it.
    let mut placed = Vec::new();
    for object in scalers {
        match places(object, &by_name, &mut building, ids) {
            Ok(groups) => placed.push((object, groups)),
            Err(why) => broken.push(Broken { object: object.clone(), why }),
        }
    }
    for (object, groups) in placed {
        match work(object, groups, &building) {
            Ok(work) => {
                let work = Arc::new(work);
                for (id, question) in &work.groups {
                    if let Some(connection) = building.get_mut(id) {
                        connection.ask(question, &work);
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

/// Makes sure that a connection is planned, and read at least that often.
fn start(
    building: &mut BTreeMap<ConnectionId, Building>,
    ids: &mut Ids,
    config: &ConnectionConfig,
    interval: f64,
) -> ConnectionId {
    let id = ids.of(config);
    let entry = building.entry(id).or_insert_with(|| Building {
        config: config.clone(),
        interval,
        questions: Vec::new(),
        places: HashMap::new(),
        scalers: Vec::new(),
        objects: Vec::new(),
    });
    entry.interval = entry.interval.min(interval);
    id
}

fn invalid(problems: Vec<String>) -> Blocked {
    Blocked { reason: "Invalid".into(), message: problems.join("; ") }
}

/// Where each group of a scaler is read.
fn places(
    object: &ConsumerScaler,
    connections: &Named<'_>,
    building: &mut BTreeMap<ConnectionId, Building>,
    ids: &mut Ids,
) -> Result<Vec<(ConnectionId, Question)>, Blocked> {
    let namespace = object.namespace().unwrap_or_default();
    // Checked first, so that a broken connection is not blamed for a broken spec.
    validate::policy(&object.spec, validate::DEFAULT_SWEEP).map_err(invalid)?;
    let mut all = Vec::new();
    for group in &object.spec.consumer_groups {
        all.push((group, settings(group, &namespace, connections)?));
    }
    Ok(all
        .into_iter()
        .map(|(group, (config, interval))| (start(building, ids, &config, interval), question(group)))
        .collect())
}

fn work(
    object: &Arc<ConsumerScaler>,
    groups: Vec<(ConnectionId, Question)>,
    building: &BTreeMap<ConnectionId, Building>,
) -> Result<Work, Blocked> {
    let namespace = object.namespace().unwrap_or_default();
    let longest =
        groups.iter().filter_map(|(id, _)| building.get(id)).map(|b| b.interval).fold(0.0, f64::max);
    let policy = validate::policy(&object.spec, longest).map_err(invalid)?;
    let calendar = validate::calendar(&object.spec).map_err(invalid)?;
    let clusters = object.spec.consumer_groups.iter().map(|g| cluster(g, &namespace)).collect();
    let key = ScalerKey::new(namespace, object.name_any());
    Ok(Work { key, object: object.clone(), policy, calendar, groups, clusters })
}

fn settings(
    group: &ConsumerGroup,
    namespace: &str,
    connections: &Named<'_>,
) -> Result<(ConnectionConfig, f64), Blocked> {
    if let Some(servers) = &group.bootstrap_servers {
        let bootstrap = servers.iter().map(|a| a.0.clone()).collect();
        return Ok((ConnectionConfig { bootstrap, tls: None, sasl: None }, validate::DEFAULT_SWEEP));
    }
    let name = group.connection.as_ref().map(|c| c.name.as_str()).unwrap_or_default();
    match connections.get(&(namespace.to_owned(), name.to_owned())) {
        Some(Ok(resolved)) => resolved.settings.clone(),
        Some(Err(bad)) => Err(Blocked {
            reason: "ConnectionInvalid".into(),
            message: format!(
                "consumer group {} names KafkaConnection {name:?}, which cannot be read: {}",
                group.group, bad.error
            ),
        }),
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
    use std::collections::HashSet;

    use super::super::work::Identity;
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
        let plan = plan(&scalers, &[connection("main", "k:9092", 2.0)], &[], &mut Ids::default());
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
        let plan = plan(&scalers, &[connection("main", "k:9092", 5.0)], &[], &mut Ids::default());
        let [broken] = &plan.broken[..] else { panic!("{:?}", plan.broken) };
        assert_eq!(broken.why.reason, "ConnectionNotFound");
        assert!(
            broken.why.message.contains("KafkaConnection \"mian\", which is not in namespace shop"),
            "{}",
            broken.why.message
        );
        assert_eq!(plan.connections.values().map(|c| c.scalers.len()).sum::<usize>(), 1);
    }

    fn only(scalers: &[Arc<ConsumerScaler>], connections: &[Resolved], ids: &mut Ids) -> Arc<ConnectionPlan> {
        plan(scalers, connections, &[], ids).connections.into_values().next().unwrap()
    }

    fn with_generation(scaler: &Arc<ConsumerScaler>, generation: i64) -> Arc<ConsumerScaler> {
        let mut changed = ConsumerScaler::clone(scaler);
        changed.metadata.generation = Some(generation);
        Arc::new(changed)
    }

    #[test]
    fn a_plan_is_another_when_something_to_do_is_and_only_then() {
        let connections = [connection("main", "k:9092", 5.0)];
        let mut ids = Ids::default();
        let a = scaler("a", "[{group: orders, connection: {name: main}}]");
        let b = scaler("b", "[{group: bills, connection: {name: main}}]");
        let first = only(std::slice::from_ref(&a), &connections, &mut ids);
        let mut reported = ConsumerScaler::clone(&a);
        reported.status = Some(crate::api::ConsumerScalerStatus::default());
        assert!(first.is(&only(&[Arc::new(reported)], &connections, &mut ids)), "a status is our own");
        assert!(!first.is(&only(&[with_generation(&a, 2)], &connections, &mut ids)));
        assert!(!first.is(&only(&[a.clone(), b], &connections, &mut ids)));
        assert!(!first.is(&only(&[a], &[connection("main", "k:9092", 2.0)], &mut ids)));
    }

    #[test]
    fn only_what_new_scalers_ask_is_read_between_ticks() {
        let connections = [connection("main", "k:9092", 5.0)];
        let mut ids = Ids::default();
        let a = scaler("a", "[{group: orders, connection: {name: main}}]");
        let known: HashSet<Identity> =
            only(std::slice::from_ref(&a), &connections, &mut ids).askers().map(|w| w.identity()).collect();
        let changed = only(&[with_generation(&a, 2)], &connections, &mut ids);
        assert!(changed.newcomers(&known).is_none(), "a change of a known one waits for the tick");
        let b = scaler("b", "[{group: bills, connection: {name: main}}]");
        let new = only(&[a, b], &connections, &mut ids).newcomers(&known).unwrap();
        let asked: Vec<&str> = new.questions.iter().map(|(q, _)| q.group.as_str()).collect();
        assert_eq!(asked, ["bills"]);
        let looked_at: Vec<&str> = new.scalers.iter().map(|w| w.key.name.as_str()).collect();
        assert_eq!(looked_at, ["b"]);
    }

    #[test]
    fn a_group_on_a_second_connection_is_asked_for_by_its_scaler() {
        let connections = [connection("east", "e:9092", 5.0), connection("west", "w:9092", 20.0)];
        let both = "[{group: orders, connection: {name: east}}, {group: orders, connection: {name: west}}]";
        let plan = plan(&[scaler("a", both)], &connections, &[], &mut Ids::default());
        let mut named = Vec::new();
        for (id, connection) in &plan.connections {
            for (question, askers) in &connection.questions {
                named.extend(askers.iter().flat_map(|w| w.names(*id, question)).map(str::to_owned));
                assert!(askers.iter().all(|w| w.policy.sweep_interval == 20.0), "the longest counts");
            }
        }
        assert_eq!(named, ["orders on east", "orders on west"]);
    }

    #[test]
    fn a_connection_that_cannot_be_read_is_not_one_that_is_missing() {
        let bad = Undecodable {
            namespace: "shop".into(),
            name: "main".into(),
            uid: None,
            generation: None,
            error: "unknown mechanism".into(),
        };
        let scalers = [scaler("a", "[{group: orders, connection: {name: main}}]")];
        let plan = plan(&scalers, &[], &[bad], &mut Ids::default());
        assert_eq!(plan.broken[0].why.reason, "ConnectionInvalid");
        assert!(plan.broken[0].why.message.ends_with("cannot be read: unknown mechanism"));
    }

    #[test]
    fn ids_stay_while_used() {
        let mut ids = Ids::default();
        let scalers = [scaler("a", "[{group: orders, bootstrapServers: ['k:9092']}]")];
        let first = plan(&scalers, &[], &[], &mut ids);
        let again = plan(&scalers, &[], &[], &mut ids);
        assert!(first.connections.keys().eq(again.connections.keys()));
        let other =
            plan(&[scaler("a", "[{group: orders, bootstrapServers: ['l:9092']}]")], &[], &[], &mut ids);
        assert!(!other.connections.keys().eq(again.connections.keys()));
    }
}
