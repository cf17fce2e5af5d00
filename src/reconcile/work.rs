//! What a plan holds: questions, the scalers that ask them, and what is new in it.
//!
//! Pure. It does not make plans; `plan` does.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use crate::api::{ConsumerScaler, KafkaConnection};
use crate::calendar::Calendar;
use crate::decide::Policy;
use crate::kafka::{ConnectionConfig, Isolation};
use crate::report::metrics::ScalerKey;

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

/// Which object a scaler is: its name, and its uid, as another may be given the name.
pub(super) type Identity = (ScalerKey, Option<String>);

impl Work {
    pub fn identity(&self) -> Identity {
        (self.key.clone(), self.object.uid())
    }

    /// The names under which the answers to a question are remembered, see [`crate::validate::policy`].
    pub fn names<'a>(
        &'a self,
        id: ConnectionId,
        question: &'a Question,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        self.groups
            .iter()
            .zip(&self.policy.groups)
            .filter(move |((at, asked), _)| *at == id && asked == question)
            .map(|(_, policy)| policy.group.as_str())
    }

    /// Whether the same is to be done for the same object. Its status does not count: it is our own.
    fn is(&self, other: &Self) -> bool {
        self.key == other.key
            && self.object.metadata.uid == other.object.metadata.uid
            && self.object.metadata.generation == other.object.metadata.generation
            && self.policy == other.policy
            && self.groups == other.groups
    }
}

/// One connection and what hangs on it.
#[derive(Debug)]
pub(super) struct ConnectionPlan {
    pub config: ConnectionConfig,
    pub interval: Duration,
    /// Each question once, with the scalers that ask it, also those whose first group is elsewhere.
    pub questions: Vec<(Question, Vec<Arc<Work>>)>,
    /// Scalers decided for after a sweep of this connection: those whose first group is here.
    pub scalers: Vec<Arc<Work>>,
    /// The resources that describe it.
    pub objects: Vec<Arc<KafkaConnection>>,
}

impl ConnectionPlan {
    /// Whether there is nothing in it that another plan of the same connection has not.
    pub fn is(&self, other: &Self) -> bool {
        let works =
            |a: &[Arc<Work>], b: &[Arc<Work>]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b));
        let of = |c: &KafkaConnection| (c.namespace(), c.name_any(), c.uid(), c.metadata.generation);
        self.interval == other.interval
            && self.questions.len() == other.questions.len()
            && self.questions.iter().zip(&other.questions).all(|(a, b)| a.0 == b.0 && works(&a.1, &b.1))
            && works(&self.scalers, &other.scalers)
            && self.objects.iter().map(|c| of(c)).eq(other.objects.iter().map(|c| of(c)))
    }

    /// Every scaler that asks something here.
    pub fn askers(&self) -> impl Iterator<Item = &Arc<Work>> {
        self.questions.iter().flat_map(|(_, askers)| askers)
    }

    /// The part of it for scalers that are not among `known`; none without any.
    pub fn newcomers(&self, known: &HashSet<Identity>) -> Option<Self> {
        let new = |work: &Arc<Work>| !known.contains(&work.identity());
        let questions: Vec<_> = self
            .questions
            .iter()
            .filter(|(_, askers)| askers.iter().any(new))
            .map(|(question, askers)| (question.clone(), askers.clone()))
            .collect();
        (!questions.is_empty()).then(|| Self {
            config: self.config.clone(),
            interval: self.interval,
            questions,
            scalers: self.scalers.iter().filter(|w| new(w)).cloned().collect(),
            objects: Vec::new(),
        })
    }
}
