//! What was seen, in an order of our own.
//!
//! Kafka promises none, and sums of the same numbers in another order differ in their last digits:
//! without it the same group could be decided for differently. It changes nothing but the order.

use std::borrow::Cow;
use std::sync::Arc;

use super::{GroupObservation, Member};

/// The observation with partitions, members and what each member has in ascending order; the same
/// one where it is so already, as a copy of thousands of partitions takes time.
pub(super) fn ordered(seen: &GroupObservation) -> Cow<'_, GroupObservation> {
    let partitions =
        seen.partitions.is_sorted_by(|a, b| in_order((&a.topic, a.partition), (&b.topic, b.partition)));
    let members = seen.members.is_sorted_by_key(|m| &m.id) && seen.members.iter().all(assigned_in_order);
    if partitions && members {
        return Cow::Borrowed(seen);
    }
    let mut own = seen.clone();
    own.partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    own.members.iter_mut().for_each(|m| m.assignment.sort());
    own.members.sort_by(|a, b| a.id.cmp(&b.id));
    Cow::Owned(own)
}

fn assigned_in_order(member: &Member) -> bool {
    member.assignment.is_sorted_by(|a, b| in_order((&a.0, a.1), (&b.0, b.1)))
}

fn in_order(a: (&Arc<str>, i32), b: (&Arc<str>, i32)) -> bool {
    // One topic after itself, nearly always.
    if Arc::ptr_eq(a.0, b.0) { a.1 <= b.1 } else { a <= b }
}
