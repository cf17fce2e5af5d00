//! Which shard an object belongs to, and which pod is to have which shard.
//!
//! Pure: it is told what the Leases say, and says what a pod may take, ask for and is to give. There are no
//! members to be counted: a pod that has two shards less than another asks it for one, and who has died holds
//! none soon. So shards are even but for one, and none moves without need.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};

/// The shard of an object, from 0: the first eight bytes of the SHA-256 of `namespace/name`, modulo the number of
/// shards. The same in every version, as pods of two versions work side by side during an upgrade.
pub fn shard_of(namespace: &str, name: &str, shards: usize) -> usize {
    if shards < 2 {
        return 0;
    }
    let sum = digest(&SHA256, format!("{namespace}/{name}").as_bytes());
    let first = sum.as_ref().iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    usize::try_from(first % shards as u64).unwrap_or_default()
}

/// A shard as its Lease was last read here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// The pod that holds it; none when it is free or has run out.
    pub holder: Option<String>,
    /// The pod that asks for it.
    pub asked: Option<String>,
}

/// What all Leases said; none where one was not read yet.
pub(super) type Rows = [Option<Row>];

/// How many shards each pod has, by whom each counts for.
fn counts<'a>(rows: &'a Rows, whose: impl Fn(&'a Row) -> Option<&'a String>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for pod in rows.iter().flatten().filter_map(whose) {
        *counts.entry(pod.as_str()).or_default() += 1;
    }
    counts
}

/// Whom a shard will be with once what was asked for has been given.
fn promised(row: &Row) -> Option<&String> {
    row.asked.as_ref().or(row.holder.as_ref())
}

/// Whether `me` may take a shard that is free. Who has more than another leaves it to that one, and everybody to
/// the one that asked for it, unless that has not come for it (`waited`).
pub(super) fn takes(rows: &Rows, me: &str, shard: usize, waited: bool) -> bool {
    let asked = rows.get(shard).and_then(Option::as_ref).and_then(|row| row.asked.as_deref());
    if waited || asked == Some(me) {
        return true;
    }
    let counts = counts(rows, promised);
    let mine = counts.get(me).copied().unwrap_or_default();
    asked.is_none() && counts.values().all(|others| mine <= *others)
}

/// The shard that `me` should ask for, if any: of the pod that has the most, which has two more at least. Not
/// while one is free, or was not looked at yet.
pub(super) fn asks(rows: &Rows, me: &str) -> Option<usize> {
    if rows.iter().any(|row| row.as_ref().is_none_or(|row| row.holder.is_none())) {
        return None;
    }
    let counts = counts(rows, promised);
    let mine = counts.get(me).copied().unwrap_or_default();
    let (richest, most) = counts.iter().max_by_key(|(_, most)| **most)?;
    let of_it = |row: &Row| row.asked.is_none() && row.holder.as_deref() == Some(richest);
    (most - mine >= 2).then(|| rows.iter().rposition(|row| row.as_ref().is_some_and(of_it))).flatten()
}

/// Whether `me` is to give a shard that `asker` asks for: only if it has two more by what is held now. What was
/// asked for on an old view would otherwise go back and forth.
pub(super) fn gives(rows: &Rows, me: &str, asker: &str) -> bool {
    let counts = counts(rows, |row| row.holder.as_ref());
    let of = |pod: &str| counts.get(pod).copied().unwrap_or_default();
    of(me) >= of(asker) + 2
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// `A` holds it, `-` nobody; `Ab` is A's and asked for by B; `?` was not read.
    fn rows(text: &str) -> Vec<Option<Row>> {
        let row = |word: &str| {
            let holder = word.chars().next().filter(|c| *c != '-').map(String::from);
            let asked = word.chars().nth(1).map(|c| c.to_uppercase().to_string());
            (word != "?").then_some(Row { holder, asked })
        };
        text.split_whitespace().map(row).collect()
    }

    #[rstest]
    #[case("shop", "orders", 4, 2)]
    #[case("shop", "payments", 4, 1)]
    #[case("billing", "orders", 4, 0)]
    #[case("shop", "orders", 32, 14)]
    #[case("shop", "orders", 1, 0)]
    fn a_shard_is_the_same_in_every_version(
        #[case] namespace: &str,
        #[case] name: &str,
        #[case] shards: usize,
        #[case] expected: usize,
    ) {
        assert_eq!(shard_of(namespace, name, shards), expected);
    }

    #[test]
    fn shards_are_about_even() {
        let mut sizes = [0; 7];
        for i in 0..7000 {
            sizes[shard_of("shop", &format!("orders-{i}"), 7)] += 1;
        }
        assert!(sizes.iter().all(|size| (850..1150).contains(size)), "{sizes:?}");
    }

    #[rstest]
    #[case::alone("- - -", "A", 2, true)]
    #[case::alone_with_more("A A -", "A", 2, true)]
    #[case::has_as_few("A B -", "A", 2, true)]
    #[case::has_more("A A B -", "A", 3, false)]
    #[case::has_none("A A -", "B", 2, true)]
    #[case::asked_for_by_another("A A A -b", "A", 3, false)]
    #[case::asked_for_by_me("A A A -b", "B", 3, true)]
    #[case::counts_what_was_asked_for("A Bb Ac -", "C", 3, true)]
    #[case::nothing_known("? ? ?", "A", 1, true)]
    fn who_may_take_a_free_shard(
        #[case] text: &str,
        #[case] me: &str,
        #[case] shard: usize,
        #[case] may: bool,
    ) {
        let rows = rows(text);
        assert_eq!(takes(&rows, me, shard, false), may);
        assert!(takes(&rows, me, shard, true), "nobody came for it");
    }

    #[rstest]
    #[case::newcomer("A A A A", "B", Some(3))]
    #[case::one_asked_already("A A A Ab", "B", Some(2))]
    #[case::enough_asked("A A Ab Ab", "B", None)]
    #[case::of_the_richest("A A A B B", "C", Some(2))]
    #[case::even_but_one("A A B", "B", None)]
    #[case::third_of_four("A A B B", "C", Some(3))]
    #[case::one_is_free("A A A -", "B", None)]
    #[case::one_is_not_known("A A A ?", "B", None)]
    #[case::single_lease("A", "B", None)]
    #[case::more_pods_than_shards("A B", "C", None)]
    fn what_a_pod_asks_for(#[case] text: &str, #[case] me: &str, #[case] shard: Option<usize>) {
        assert_eq!(asks(&rows(text), me), shard);
    }

    #[rstest]
    #[case::newcomer("A A A Ab", "B", true)]
    #[case::two_more("A A Ab B C", "B", true)]
    #[case::one_more("A A Ab B B", "B", false)]
    #[case::even_by_now("A Ab B B", "B", false)]
    fn what_a_pod_gives(#[case] text: &str, #[case] asker: &str, #[case] gives_it: bool) {
        assert_eq!(gives(&rows(text), "A", asker), gives_it);
    }

    /// Pods come and go, and each acts on what it sees: it ends even, and without moving what need not be.
    #[rstest]
    #[case(4, 2, 2)]
    #[case(4, 3, 3)]
    #[case(16, 3, 10)]
    #[case(32, 10, 28)]
    #[case(2, 5, 1)]
    fn it_ends_even(#[case] shards: usize, #[case] pods: usize, #[case] most_moves: usize) {
        let name = |i: usize| format!("pod-{i}");
        let mut rows: Vec<Option<Row>> = vec![Some(Row { holder: Some(name(0)), asked: None }); shards];
        let mut moves = 0;
        for round in 0.. {
            assert!(round < 1000, "it never ends: {rows:?}");
            let before = rows.clone();
            for me in (0..pods).map(name) {
                if let Some(shard) = asks(&rows, &me) {
                    rows[shard].as_mut().unwrap().asked = Some(me);
                }
            }
            for shard in 0..shards {
                let Row { holder: Some(holder), asked: Some(asker) } = rows[shard].clone().unwrap() else {
                    continue;
                };
                let given = gives(&rows, &holder, &asker);
                moves += usize::from(given);
                rows[shard] = Some(Row { holder: Some(if given { asker } else { holder }), asked: None });
            }
            if rows == before {
                break;
            }
        }
        let sizes: Vec<usize> = (0..pods)
            .map(|i| rows.iter().flatten().filter(|row| row.holder == Some(name(i))).count())
            .collect();
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(most - least <= 1 && moves <= most_moves, "{sizes:?} after {moves} moves");
    }
}
