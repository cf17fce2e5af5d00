//! How many shards there are, as the first Lease says: pods that count otherwise are never at work together.
//!
//! Pure. An object would be in one shard for the ones and in another for the others, and both would act on it.
//! So whoever holds the first Lease says how many shards there are, and every pod that counts otherwise gives
//! up what it has at its next renewal; only when each of them surely has does anybody work by the new number.
//! A version without shards holds the first Lease and leaves there what the last one with shards wrote: so who
//! wrote it is said, too, and what another wrote than who holds the Lease is not believed.

use std::collections::BTreeMap;

/// How many shards there are; where it is missing, one.
pub(super) const SHARDS: &str = "spillway.dev/shards";
/// How many there were, while some may still work by that.
pub(super) const BEFORE: &str = "spillway.dev/shards-before";
/// The pod that wrote these two.
pub(super) const BY: &str = "spillway.dev/shards-by";

/// What the annotations of the first Lease say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// How many shards there are.
    pub shards: usize,
    /// How many there were, while some may still work by that.
    pub before: Option<usize>,
}

impl Layout {
    /// Reads it, of the Lease that `holder` has. Who holds it and has not written it knows of no shards, and
    /// works as one; when it is free, it is what was written last.
    pub fn of(annotations: Option<&BTreeMap<String, String>>, holder: Option<&str>) -> Self {
        let said = |key| annotations.and_then(|all| all.get(key));
        let by = said(BY).filter(|_| holder.is_some_and(|holder| !holder.is_empty()));
        if by.is_some_and(|by| Some(by.as_str()) != holder) {
            return Self { shards: 1, before: None };
        }
        let number = |key| said(key).and_then(|text| text.parse().ok());
        Self { shards: number(SHARDS).unwrap_or(1), before: number(BEFORE) }
    }

    /// Writes it, as `me`. A single shard needs no word.
    pub fn put(self, annotations: &mut BTreeMap<String, String>, me: &str) {
        let mut set = |key: &str, said: Option<String>| match said {
            Some(said) => annotations.insert(key.to_owned(), said),
            None => annotations.remove(key),
        };
        let shards = Some(self.shards).filter(|shards| *shards > 1);
        set(SHARDS, shards.map(|shards| shards.to_string()));
        set(BEFORE, self.before.map(|before| before.to_string()));
        set(BY, shards.or(self.before).map(|_| me.to_owned()));
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
        was.put(&mut annotations, "a");
        let taken = Layout::of(Some(&annotations), None).taken_by(by);
        assert_eq!(taken, is);
        assert_eq!(taken.is_settled(by), is.before.is_none());
        assert!(!taken.is_settled(by + 1));
        taken.put(&mut annotations, "b");
        assert_eq!(Layout::of(Some(&annotations), Some("b")), is);
        assert_eq!(annotations.get("other").map(String::as_str), Some("kept"));
    }

    #[test]
    fn a_lease_of_an_earlier_version_is_a_single_shard() {
        assert_eq!(Layout::of(None, Some("a")), layout(1, None));
        let mut none = BTreeMap::new();
        layout(1, None).put(&mut none, "a");
        assert!(none.is_empty(), "a single shard needs no word");
    }

    #[rstest]
    #[case::by_who_wrote_it(Some("a"), layout(8, Some(4)))]
    #[case::free(None, layout(8, Some(4)))]
    #[case::given_up(Some(""), layout(8, Some(4)))]
    #[case::by_a_version_without_shards(Some("old"), layout(1, None))]
    fn what_was_written_counts_for_who_wrote_it(#[case] holder: Option<&str>, #[case] is: Layout) {
        let mut annotations = BTreeMap::new();
        layout(8, Some(4)).put(&mut annotations, "a");
        assert_eq!(Layout::of(Some(&annotations), holder), is);
        // Nothing is left of it when there is one shard again.
        layout(1, None).put(&mut annotations, "a");
        assert!(annotations.is_empty(), "{annotations:?}");
    }
}
