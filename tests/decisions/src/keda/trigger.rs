//! The number that KEDA's kafka trigger makes of a group's offsets.
//!
//! It knows nothing but committed offsets and ends: no rates, no replicas, no membership. Facts:
//! kedacore/keda, `pkg/scalers/kafka_scaler.go` (`getLagForPartition`, `getTotalLag`,
//! `GetMetricsAndActivity`), 8b4f083c.

use std::collections::HashMap;
use std::sync::Arc;

use spillway::decide::{Committed, Observation, PartitionObservation};

/// What a partition without a commit counts as (`offsetResetPolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// 1 message.
    #[default]
    Latest,
    /// Everything up to its end.
    Earliest,
}

/// The trigger's metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// `lagThreshold`: messages a replica.
    pub lag_threshold: i64,
    /// `activationLagThreshold`: active above it, messages.
    pub activation_lag_threshold: i64,
    /// `offsetResetPolicy`.
    pub offset_reset: OffsetReset,
    /// `scaleToZeroOnInvalidOffset`.
    pub scale_to_zero_on_invalid_offset: bool,
    /// `allowIdleConsumers`: no cap at the number of partitions.
    pub allow_idle_consumers: bool,
    /// `limitToPartitionsWithLag`: capped at those that have any.
    pub limit_to_partitions_with_lag: bool,
    /// `ensureEvenDistributionOfPartitions`: replicas are a divisor of the number of partitions.
    pub even_distribution: bool,
    /// `excludePersistentLag`: what has not moved since the last reading counts nothing.
    pub exclude_persistent_lag: bool,
}

impl Default for Trigger {
    fn default() -> Self {
        Self {
            lag_threshold: 10,
            activation_lag_threshold: 0,
            offset_reset: OffsetReset::Latest,
            scale_to_zero_on_invalid_offset: false,
            allow_idle_consumers: false,
            limit_to_partitions_with_lag: false,
            even_distribution: false,
            exclude_persistent_lag: false,
        }
    }
}

/// What a reading says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The metric for the HPA: messages, after the caps.
    pub metric: i64,
    /// Whether there is anything to do.
    pub active: bool,
}

/// Why there is no reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Kafka cannot be reached.
    Unreachable,
    /// One partition's offset cannot be read, and so the whole is not.
    Partition,
}

/// A trigger and the offsets of its last reading. Polls and the HPA's requests share them.
#[derive(Clone, Debug)]
pub struct Reader {
    trigger: Trigger,
    previous: HashMap<(Arc<str>, i32), i64>,
}

impl Reader {
    /// A trigger that has read nothing yet.
    pub fn new(trigger: Trigger) -> Self {
        Self { trigger, previous: HashMap::new() }
    }

    /// Reads the first group of an observation.
    ///
    /// # Errors
    /// When Kafka cannot be read, or a partition has no leader. A partition that merely has no end
    /// in the answer counts 0.
    pub fn read(&mut self, observation: &Observation) -> Result<Reading, Failure> {
        let group = observation.groups.first().ok_or(Failure::Unreachable)?;
        if group.taken_at.is_none() {
            return Err(Failure::Unreachable);
        }
        // sarama's `Leader` fails for such a partition before anything is asked.
        if group.problems.iter().any(|p| p.contains("no leader")) {
            return Err(Failure::Partition);
        }
        let (mut total, mut with_persistent, mut lagging) = (0i64, 0i64, 0i64);
        for partition in &group.partitions {
            let (lag, all) = self.lag(partition)?;
            total = total.saturating_add(lag);
            with_persistent = with_persistent.saturating_add(all);
            lagging += i64::from(lag > 0);
        }
        let metric = self.trigger.cap(total, group.partitions.len() as i64, lagging);
        Ok(Reading {
            // Negative lag, of a commit read after an end, counts 0 (since 2.20.2).
            metric: metric.max(0),
            active: with_persistent > self.trigger.activation_lag_threshold,
        })
    }

    /// Lag that counts for scaling, and lag that counts for being active.
    fn lag(&mut self, partition: &PartitionObservation) -> Result<(i64, i64), Failure> {
        let zero_on_invalid = self.trigger.scale_to_zero_on_invalid_offset;
        let committed = match partition.committed {
            Committed::Unknown => return Err(Failure::Partition),
            // It does not look at whether a commit is beyond the end: the lag is negative then.
            Committed::At(offset) | Committed::PastEnd(offset) => Some(offset),
            Committed::None => None,
        };
        let Some(committed) = committed else {
            let lag = match self.trigger.offset_reset {
                _ if zero_on_invalid => 0,
                OffsetReset::Latest => 1,
                OffsetReset::Earliest => partition.end.unwrap_or(0),
            };
            return Ok((lag, lag));
        };
        let Some(end) = partition.end else { return Ok((0, 0)) };
        let lag = end - committed;
        if self.trigger.exclude_persistent_lag {
            let key = (partition.topic.clone(), partition.partition);
            if self.previous.insert(key, committed) == Some(committed) {
                return Ok((0, lag));
            }
        }
        Ok((lag, lag))
    }
}

impl Trigger {
    /// The caps of `getTotalLag`, in whole numbers as there: with 10 partitions and a threshold of
    /// 10, a lag of 105 is not capped, as 105 ÷ 10 is 10.
    pub fn cap(&self, total: i64, partitions: i64, lagging: i64) -> i64 {
        let threshold = self.lag_threshold.max(1);
        let capped =
            !self.allow_idle_consumers || self.limit_to_partitions_with_lag || self.even_distribution;
        if !capped {
            return total;
        }
        let total = if self.even_distribution {
            let enough = |f: &i64| partitions % f == 0 && f * threshold >= total;
            (1..=partitions).find(enough).unwrap_or(partitions) * threshold
        } else {
            total
        };
        let bound = if self.limit_to_partitions_with_lag { lagging } else { partitions };
        if total / threshold > bound { bound * threshold } else { total }
    }
}
