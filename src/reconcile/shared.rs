//! What the loops of all connections share, and what the probes tell of them.
//!
//! It holds; what is done with it is the loops' and the manager's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Hands;
use super::step::Memory;
use super::work::{ConnectionId, Question};
use crate::api::{ConsumerScaler, KafkaConnectionStatus};
use crate::decide::{GroupObservation, Time};
use crate::report::metrics::ScalerKey;

/// A loop that has not moved for this long stands still.
const STALLED: Duration = Duration::from_secs(300);

/// The memories of all scalers.
pub(super) type Memories = Mutex<HashMap<ScalerKey, Arc<tokio::sync::Mutex<Memory>>>>;
/// The last answer to each question, by connection.
pub(super) type Answers = Mutex<HashMap<ConnectionId, HashMap<Question, GroupObservation>>>;

/// What the probes tell.
#[derive(Debug, Default)]
pub(super) struct Health {
    beats: Mutex<HashMap<String, Instant>>,
    ready: AtomicBool,
}

impl Health {
    /// A loop moves.
    pub fn beat(&self, who: &str) {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).insert(who.to_owned(), Instant::now());
    }

    /// A loop ended as it should.
    pub fn gone(&self, who: &str) {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).remove(who);
    }

    /// Why the process should be restarted, if it should.
    pub fn stalled(&self) -> Option<String> {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let (who, at) = beats.iter().find(|(_, at)| at.elapsed() > STALLED)?;
        Some(format!("{who} has stood still for {}s", at.elapsed().as_secs()))
    }

    /// The machinery is up.
    pub fn started(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Whether the machinery is up; neither Kafka nor the resources' definitions are part of it.
    pub fn ready(&self) -> Result<(), String> {
        if self.ready.load(Ordering::Relaxed) { Ok(()) } else { Err("starting".into()) }
    }
}

/// What the loops share.
pub(super) struct Shared {
    pub hands: Arc<Hands>,
    pub memories: Memories,
    pub answers: Answers,
    /// The statuses of connections as last written, by uid, and when.
    pub connection_statuses: Mutex<HashMap<String, (KafkaConnectionStatus, Time)>>,
    /// When connections last worked, by uid.
    pub contacts: Mutex<HashMap<String, Time>>,
    pub health: Arc<Health>,
    /// Held for reading by each loop while it lives.
    pub running: Arc<tokio::sync::RwLock<()>>,
}

impl Shared {
    /// The memory of a scaler; a new one when there is none, or only one of an earlier object of that name, or of
    /// before another process had it.
    pub fn memory(&self, key: &ScalerKey, object: &ConsumerScaler) -> Arc<tokio::sync::Mutex<Memory>> {
        let term = self.hands.shards.term(&key.namespace, &key.name).unwrap_or_default();
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memories.get(key) {
            // Being looked at: it is the one of the object now being looked at, or is replaced later.
            if known.try_lock().map_or(true, |m| m.is_of(object) && m.term == term) {
                return known.clone();
            }
        }
        let fresh = Arc::new(tokio::sync::Mutex::new(Memory::restored(object, term)));
        memories.insert(key.clone(), fresh.clone());
        fresh
    }
}
