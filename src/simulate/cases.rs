//! The named scenarios: each shows one thing that goes wrong, or must not.
//!
//! Rates are shares of what the group can process at most, so that a case means the same on any
//! plant. Values only.

use super::noise;
use super::plant::PlantConfig;
use super::scenario::{Event, Scenario, Traffic};

/// A scenario and the plant it happens to.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The plant, changed where the case asks for it.
    pub plant: PlantConfig,
    /// What happens.
    pub scenario: Scenario,
}

/// Names of the scenarios, and what each shows.
pub const CASES: [(&str, &str); 1] = [("constant", "the same load for six hours: nothing is to be done")];

/// The case of that name, on a plant; `None` when there is none. The seed places what is random in it.
pub fn named(name: &str, plant: &PlantConfig, seed: u64) -> Option<Case> {
    let _ = noise::scenario(seed);
    let most = plant.group_capacity();
    let (name, _) = CASES.iter().find(|(n, _)| *n == name)?;
    let events: Vec<Event> = Vec::new();
    let traffic = Traffic::constant(0.3 * most);
    Some(Case {
        plant: plant.clone(),
        scenario: Scenario { name: (*name).to_owned(), duration: 6.0 * 3600.0, traffic, events },
    })
}
