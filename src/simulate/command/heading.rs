//! What stands above the decisions of a run: the load, the plant, the objective, and what is in the way.
//!
//! It computes nothing that the run depends on.

use super::needed;
use crate::decide::Policy;
use crate::report::sentence::{count, rate, span};
use crate::simulate::{PlantConfig, Scenario};

/// Load, plant and objective.
pub(super) fn text(scenario: &Scenario, plant: &PlantConfig, policy: &Policy, seed: u64) -> String {
    let topics: Vec<String> = plant.partitions.iter().map(|t| t.partitions.to_string()).collect();
    format!(
        "{}: {}, at most {} arriving; {} {}, {} a consumer, seed {seed}\nObjective: no message later than {}, a backlog gone within {}; {} to {} replicas\n{}",
        scenario.name,
        span(scenario.duration),
        rate(Some(scenario.traffic.peak())),
        topics.join(" + "),
        if plant.partition_count() == 1 { "partition" } else { "partitions" },
        rate(Some(plant.capacity)),
        span(policy.max_delay),
        span(policy.recover_within),
        count(i64::from(policy.min_replicas)),
        count(i64::from(policy.max_replicas)),
        in_the_way(scenario, plant, policy).unwrap_or_default(),
    ) + &seldom(policy)
}

/// What a policy can hardly keep, as it is looked at so seldom.
fn seldom(policy: &Policy) -> String {
    if policy.sweep_interval <= policy.max_delay {
        return String::new();
    }
    format!(
        "Spillway looks every {}, and messages are late after {}: they will be before it can see it (--sweep-interval)\n",
        span(policy.sweep_interval),
        span(policy.max_delay)
    )
}

/// That there are fewer partitions than consumers are allowed, where nobody said how many.
pub(super) fn fewer(policy: &Policy, partitions: usize) -> String {
    let consumers = i64::from(policy.max_replicas) * i64::from(policy.threads_per_replica);
    if consumers <= partitions as i64 {
        return String::new();
    }
    format!(
        "maxReplicas allows {} consumers, and unless --partitions says otherwise there are {} partitions\n",
        count(consumers),
        count(partitions as i64)
    )
}

/// Why no policy could do much here, if so: the run would look as if the policy was at fault.
fn in_the_way(scenario: &Scenario, plant: &PlantConfig, policy: &Policy) -> Option<String> {
    let (peak, partitions) = (scenario.traffic.peak(), plant.partition_count());
    if peak > plant.group_capacity() {
        return Some(format!(
            "{} are more than {} can process, one consumer each ({}): give more --partitions, another --peak, or a higher --capacity\n",
            rate(Some(peak)),
            if partitions == 1 { "1 partition".to_owned() } else { format!("{partitions} partitions") },
            rate(Some(plant.group_capacity())),
        ));
    }
    let (needed, most) = (needed(plant, peak, policy.tuning.steady_utilisation), policy.max_replicas);
    if needed > most {
        return Some(format!(
            "At its highest the load needs {} replicas, and maxReplicas allows {}: what they cannot process waits\n",
            count(i64::from(needed)),
            count(i64::from(most)),
        ));
    }
    let usable = i64::from(most) * i64::from(plant.threads.max(1));
    (needed == most && partitions as i64 > usable).then(|| {
        format!(
            "At its highest the load needs all {} replicas that maxReplicas allows: none are left to drain a backlog with\n",
            count(i64::from(most)),
        )
    })
}

/// When simulated time begins, for a policy with schedules.
pub(super) fn begin(at: jiff::Timestamp) -> String {
    let at = at.strftime("%A %Y-%m-%d %H:%M UTC");
    format!("Simulated time begins on {at}, for the schedules; --begin says otherwise\n")
}
