//! How many shards there are, as the first Lease says: pods that count otherwise are never at work together.
//!
//! Pure. An object would be in one shard for the ones and in another for the others, and both would act on it.
//! So whoever holds the first Lease says how many shards there are, and every pod that counts otherwise gives
//! up what it has at its next renewal; only when each of them surely has does anybody work by the new number.

use std::collections::BTreeMap;

/// How many shards there are; where it is missing, one.
pub(super) const SHARDS: &str = "spillway.dev/shards";
/// How many there were, while some may still work by that.
pub(super) const BEFORE: &str = "spillway.dev/shards-before";

/// What the annotations of the first Lease say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// How many shards there are.
    pub shards: usize,
    /// How many there were, while some may still work by that.
    pub before: Option<usize>,
}

impl Layout {
    /// Reads it.
    pub fn of(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let number = |key| annotations.and_then(|all| all.get(key)).and_then(|text| text.parse().ok());
        Self { shards: number(SHARDS).unwrap_or(1), before: number(BEFORE) }
    }

    /// Writes it. A single shard needs no word.
    pub fn put(self, annotations: &mut BTreeMap<String, String>) {
        let mut set = |key: &str, number: Option<usize>| match number {
            Some(number) => annotations.insert(key.to_owned(), number.to_string()),
            None => annotations.remove(key),
        };
        set(SHARDS, (self.shards > 1).then_some(self.shards));
        set(BEFORE, self.before);
    }

    /// What it becomes when who counts `shards` has the first Lease. Who held another single one held this very
    /// Lease, so that there is nobody to wait for.
    pub fn taken_by(self, shards: usize) -> Self {
        match self {
            Self { before: Some(_), .. } => Self { shards, before: self.before },
            Self { shards: same, .. } if same == shards => self,
            Self { shards: 1, .. } => Self { shards, before: None },
            Self { shards: other, .. } => Self { shards, before: Some(other) },
        }
    }

    /// Whether everybody who works at all counts `shards`.
    pub fn is_settled(self, shards: usize) -> bool {
        self == Self { shards, before: None }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const fn layout(shards: usize, before: Option<usize>) -> Layout {
        Layout { shards, before }
    }

    #[rstest]
    #[case::as_it_was(layout(4, None), 4, layout(4, None))]
    #[case::from_a_single_one(layout(1, None), 4, layout(4, None))]
    #[case::to_a_single_one(layout(4, None), 1, layout(1, Some(4)))]
    #[case::to_more(layout(4, None), 8, layout(8, Some(4)))]
    #[case::the_next_one_waits_anew(layout(8, Some(4)), 8, layout(8, Some(4)))]
    #[case::back_amid_the_change(layout(8, Some(4)), 4, layout(4, Some(4)))]
    #[case::on_amid_the_change(layout(1, Some(4)), 8, layout(8, Some(4)))]
    fn who_takes_the_first_lease_says_how_many(#[case] was: Layout, #[case] by: usize, #[case] is: Layout) {
        let mut annotations = BTreeMap::from([("other".to_owned(), "kept".to_owned())]);
        was.put(&mut annotations);
        let taken = Layout::of(Some(&annotations)).taken_by(by);
        assert_eq!(taken, is);
        assert_eq!(taken.is_settled(by), is.before.is_none());
        assert!(!taken.is_settled(by + 1));
        taken.put(&mut annotations);
        assert_eq!(Layout::of(Some(&annotations)), is);
        assert_eq!(annotations.get("other").map(String::as_str), Some("kept"));
    }

    #[test]
    fn a_lease_of_an_earlier_version_is_a_single_shard() {
        assert_eq!(Layout::of(None), layout(1, None));
        let mut none = BTreeMap::new();
        layout(1, None).put(&mut none);
        assert!(none.is_empty(), "a single shard needs no word");
    }
}
