//! Members and committed offsets of groups: many at a time, and none waits for another.
//!
//! What follows from them is for `observe` to say.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::{Either, join, join_all, select};
use tokio::sync::Semaphore;

use super::GroupRequest;
use super::admin::Admin;
use super::connection::left;
use super::observe::Read;
use crate::clock;

/// Groups asked for at a time: enough for all brokers to be busy, and the memory for calls on their way is bounded.
const AT_A_TIME: usize = 500;
/// A group that is not answered for within this time leaves its place to the next, and is waited for all the same: its
/// coordinator may hang, and those of others do not.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads each group asked for, until the deadline. One call a group: one that does not end holds up no other.
pub(super) async fn read(
    admin: &Admin,
    requests: &[&GroupRequest],
    deadline: Instant,
) -> HashMap<String, Read> {
    let names: BTreeSet<&String> = requests.iter().map(|r| &r.group).collect();
    let turns = Semaphore::new(AT_A_TIME);
    let reads = names.into_iter().map(|group| {
        let turns = &turns;
        async move {
            // Without a permit only where the semaphore was closed, which nobody does.
            let turn = turns.acquire().await;
            // On the heap, and only from its turn on: there may be thousands.
            (group.clone(), Box::pin(one(admin, group, turn, deadline)).await)
        }
    });
    join_all(reads).await.into_iter().collect()
}

/// The turn is given back when it has taken long enough, or at the end.
async fn one<T>(admin: &Admin, group: &str, turn: T, deadline: Instant) -> Read {
    let committed = async {
        let committed = admin.committed(group, left(deadline)).await;
        (committed.is_ok().then(clock::now), committed)
    };
    let call = pin!(join(admin.describe(group, left(deadline)), committed));
    let patience = pin!(tokio::time::sleep(PATIENCE));
    let (described, (at, committed)) = match select(call, patience).await {
        Either::Left((answers, _)) => answers,
        Either::Right(((), call)) => {
            drop(turn);
            call.await
        }
    };
    Read { described, at, committed }
}
