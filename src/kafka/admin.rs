//! The three admin calls of librdkafka that the `rdkafka` crate does not wrap, the one that takes a token
//! with all that belongs to it, and the id of the cluster, which the crate never frees.
//!
//! The only unsafe code: every C object has one owner here that frees it, and everything is
//! copied out before it is freed. Answers come on one queue, polled by one thread. It judges
//! nothing.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use rdkafka::bindings as c;
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::oneshot;

use super::connection::Context;
use super::error::{CallFailed, quoted};
use super::token::Token;

// As numbers: what a broker sent is passed through, and one that the enum of the bindings has not would be no value of it.
unsafe extern "C" {
    #[link_name = "rd_kafka_event_error"]
    fn event_error(event: *mut c::rd_kafka_event_t) -> c_int;
    #[link_name = "rd_kafka_error_code"]
    fn error_code(error: *const c::rd_kafka_error_t) -> c_int;
}

/// An offset or why there is none, by topic and partition.
pub(super) type Offsets = HashMap<(Arc<str>, i32), Result<i64, CallFailed>>;

/// librdkafka's mark for "no offset" (`RD_KAFKA_OFFSET_INVALID`).
pub(super) const NO_OFFSET: i64 = -1001;

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Earliest,
    Latest,
}

/// A group as the broker describes it.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub phase: Phase,
    /// Whether it uses the protocol of KIP-848.
    pub new_protocol: bool,
    pub members: Vec<MemberDescription>,
    /// The broker that answered for it, `host:port`, where that was told.
    pub coordinator: Option<String>,
}

/// Its state, in librdkafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Unknown,
    Rebalancing,
    Stable,
    Dead,
    Empty,
}

#[derive(Clone, Debug)]
pub(super) struct MemberDescription {
    pub id: String,
    pub host: String,
    pub client: String,
    pub assignment: Vec<(Arc<str>, i32)>,
    /// What it is to have (KIP-848).
    pub target: Option<Vec<(Arc<str>, i32)>>,
}

enum Answer {
    Group(Description),
    Offsets(Offsets),
    Failed(CallFailed),
}

/// Owner of a queue.
struct Queue(*mut c::rd_kafka_queue_t);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: made by rd_kafka_queue_new, freed once, here.
        unsafe { c::rd_kafka_queue_destroy(self.0) }
    }
}

/// Owner of an event.
struct Event(*mut c::rd_kafka_event_t);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: given to us by rd_kafka_queue_poll, freed once, here.
        unsafe { c::rd_kafka_event_destroy(self.0) }
    }
}

/// Owner of the options of a call.
struct Options(*mut c::rd_kafka_AdminOptions_t);

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made by rd_kafka_AdminOptions_new, freed once, here; calls copy them.
        unsafe { c::rd_kafka_AdminOptions_destroy(self.0) }
    }
}

/// Owner of a list of partitions.
struct Partitions(*mut c::rd_kafka_topic_partition_list_t);

impl Drop for Partitions {
    fn drop(&mut self) {
        // SAFETY: made by rd_kafka_topic_partition_list_new, freed once, here; calls copy it.
        unsafe { c::rd_kafka_topic_partition_list_destroy(self.0) }
    }
}

/// Owner of a request for a group's offsets.
struct GroupOffsets(*mut c::rd_kafka_ListConsumerGroupOffsets_t);

impl Drop for GroupOffsets {
    fn drop(&mut self) {
        // SAFETY: made by rd_kafka_ListConsumerGroupOffsets_new, freed once, here; the call copies it.
        unsafe { c::rd_kafka_ListConsumerGroupOffsets_destroy(self.0) }
    }
}

struct Shared {
    // Dropped first to last: a queue must be gone before its client.
    queue: Queue,
    client: BaseConsumer<Context>,
    waiting: Mutex<Waiting>,
}

/// Who waits for which call. A call is given a number to bring back, so that nothing is lost with
/// one that never ends.
#[derive(Default)]
struct Waiting {
    last: usize,
    calls: HashMap<usize, oneshot::Sender<Answer>>,
}

/// The limit that librdkafka is given for calls to the coordinator of a group, the longest it takes.
///
/// Ours is shorter. But a call which librdkafka gives up while it looks for the coordinator aborts the
/// process when the coordinator is found later (librdkafka#5397): a client with such a call is dropped
/// instead, which ends it well.
const UNLIMITED: Duration = Duration::from_secs(3600);

/// How long before our own limit librdkafka is to give up on the leaders of partitions. It then still
/// gives what the others answered, a moment later, where our limit would throw that away.
const BEFORE: Duration = Duration::from_millis(500);

/// Partitions asked for in one call: librdkafka puts the answers of the leaders together in time that
/// grows with the square of it.
const AT_ONCE: usize = 2000;

/// Makes admin calls on a client. Once it is dropped, its thread ends and with it the client: that can
/// take time, which is not to be the caller's.
pub(super) struct Admin {
    shared: Arc<Shared>,
    /// Number of the token that the client has; 0: none.
    token: AtomicU64,
}

impl Admin {
    /// Takes over a client and starts the thread that takes in its answers.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(client: BaseConsumer<Context>) -> std::io::Result<Self> {
        // SAFETY: the client is alive, and outlives the queue: both are in `Shared`, which drops
        // the queue first, and only after the thread has let go of it.
        let queue = Queue(unsafe { c::rd_kafka_queue_new(client.client().native_ptr()) });
        let shared = Arc::new(Shared { queue, client, waiting: Mutex::default() });
        let polled = shared.clone();
        std::thread::Builder::new().name("kafka-admin".into()).spawn(move || poll(&polled))?;
        Ok(Self { shared, token: AtomicU64::new(0) })
    }

    /// Gives the client a token to log in with, unless it has this one.
    ///
    /// # Errors
    /// What librdkafka has against it.
    pub fn give_token(&self, token: &Token) -> Result<(), String> {
        if self.token.load(Ordering::Relaxed) != token.number {
            give_token(self.client(), token)?;
            self.token.store(token.number, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The client.
    pub fn client(&self) -> &Client<Context> {
        self.shared.client.client()
    }

    /// The cluster's own id, where it is known within the limit. Blocks. The crate's call never frees it.
    pub fn cluster_id(&self, limit: Duration) -> Option<String> {
        let client = self.client().native_ptr();
        // SAFETY: the client is alive; the text is given to us, copied out, and freed once, the way it is
        // to be: by librdkafka.
        unsafe {
            let id = c::rd_kafka_clusterid(client, limit.as_millis().clamp(1, 3_600_000) as c_int);
            let copied = text(id);
            if !id.is_null() {
                c::rd_kafka_mem_free(client, id.cast());
            }
            (!copied.is_empty()).then_some(copied)
        }
    }

    /// Describes a group.
    pub async fn describe(&self, group: &str, limit: Duration) -> Result<Description, CallFailed> {
        let answer = {
            let name = name(group)?;
            let mut names = [name.as_ptr()];
            let options =
                self.options(c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, UNLIMITED)?;
            let answer = self.expect(&options);
            // SAFETY: all pointers live until the call returns; it copies what it needs.
            unsafe {
                c::rd_kafka_DescribeConsumerGroups(
                    self.client().native_ptr(),
                    names.as_mut_ptr(),
                    names.len(),
                    options.0,
                    self.shared.queue.0,
                );
            }
            answer
        };
        match wait(answer, limit).await? {
            Answer::Group(group) => Ok(group),
            Answer::Failed(error) => Err(error),
            Answer::Offsets(_) => Err(CallFailed::internal("an answer to another call")),
        }
    }

    /// Every offset a group has committed.
    pub async fn committed(&self, group: &str, limit: Duration) -> Result<Offsets, CallFailed> {
        let answer = {
            let name = name(group)?;
            let options =
                self.options(c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, UNLIMITED)?;
            // SAFETY: the name lives until the call returns, which copies it; NULL means all partitions.
            let request = GroupOffsets(unsafe {
                c::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), std::ptr::null())
            });
            let mut requests = [request.0];
            let answer = self.expect(&options);
            // SAFETY: one request, alive until the call returns; it is copied.
            unsafe {
                c::rd_kafka_ListConsumerGroupOffsets(
                    self.client().native_ptr(),
                    requests.as_mut_ptr(),
                    requests.len(),
                    options.0,
                    self.shared.queue.0,
                );
            }
            answer
        };
        offsets(wait(answer, limit).await?)
    }

    /// The earliest or latest offset of partitions: one request to each leader. Where a leader does not
    /// answer, its partitions have no offset ([`NO_OFFSET`]), and the others have theirs.
    pub async fn list_offsets(
        &self,
        partitions: &[(Arc<str>, i32)],
        which: Which,
        read_committed: bool,
        limit: Duration,
    ) -> Result<Offsets, CallFailed> {
        let calls = partitions.chunks(AT_ONCE).map(|some| self.list_some(some, which, read_committed, limit));
        let mut all = Offsets::with_capacity(partitions.len());
        for (answer, asked) in join_all(calls).await.into_iter().zip(partitions.chunks(AT_ONCE)) {
            match answer {
                Ok(offsets) => all.extend(offsets),
                // Alone it is the answer; else it is that of these partitions.
                Err(error) if partitions.len() <= AT_ONCE => return Err(error),
                Err(error) => all.extend(asked.iter().map(|key| (key.clone(), Err(error.clone())))),
            }
        }
        Ok(all)
    }

    async fn list_some(
        &self,
        partitions: &[(Arc<str>, i32)],
        which: Which,
        read_committed: bool,
        limit: Duration,
    ) -> Result<Offsets, CallFailed> {
        let answer = {
            let shorter = limit.saturating_sub(BEFORE).max(limit / 2);
            let options = self.options(c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, shorter)?;
            if read_committed {
                // SAFETY: the options are alive; an error would be ours to free, NULL is none.
                let error = unsafe {
                    c::rd_kafka_AdminOptions_set_isolation_level(
                        options.0,
                        c::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
                    )
                };
                if !error.is_null() {
                    // SAFETY: given to us, freed once.
                    unsafe { c::rd_kafka_error_destroy(error) };
                    return Err(CallFailed::internal("the isolation level was refused"));
                }
            }
            // SAFETY: an allocation; the size is a hint.
            let list = Partitions(unsafe { c::rd_kafka_topic_partition_list_new(partitions.len() as c_int) });
            for (topic, partition) in partitions {
                let Ok(name) = CString::new(topic.as_bytes()) else { continue };
                // SAFETY: the list is alive, the name is copied; the element returned belongs to the list.
                unsafe {
                    let element = c::rd_kafka_topic_partition_list_add(list.0, name.as_ptr(), *partition);
                    (*element).offset = match which {
                        Which::Latest => -1,
                        Which::Earliest => -2,
                    };
                }
            }
            let answer = self.expect(&options);
            // SAFETY: list and options are alive until the call returns; it copies them.
            unsafe {
                c::rd_kafka_ListOffsets(self.client().native_ptr(), list.0, options.0, self.shared.queue.0);
            }
            answer
        };
        offsets(wait(answer, limit).await?)
    }

    /// Options with a time limit.
    fn options(&self, call: c::rd_kafka_admin_op_t, limit: Duration) -> Result<Options, CallFailed> {
        // SAFETY: the client is alive.
        let options = Options(unsafe { c::rd_kafka_AdminOptions_new(self.client().native_ptr(), call) });
        let millis = limit.as_millis().clamp(1, 3_600_000) as c_int;
        let mut text = [0 as c_char; 256];
        // SAFETY: the options are alive, the buffer is as long as said.
        let refused = unsafe {
            c::rd_kafka_AdminOptions_set_request_timeout(options.0, millis, text.as_mut_ptr(), text.len())
        };
        if refused != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(CallFailed::internal("the time limit was refused"));
        }
        Ok(options)
    }

    /// Where the answer of the call will come that is made with these options.
    fn expect(&self, options: &Options) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // From 1: what belongs to no call has none.
        waiting.last += 1;
        let number = waiting.last;
        waiting.calls.insert(number, sender);
        // SAFETY: the options are alive. librdkafka brings the number back and never looks behind it.
        unsafe { c::rd_kafka_AdminOptions_set_opaque(options.0, std::ptr::without_provenance_mut(number)) };
        receiver
    }
}

/// Gives a client a token to log in with. The crate's own way has no extensions, and for clients that
/// make admin calls it does not exist.
///
/// # Errors
/// What librdkafka has against it.
pub(super) fn give_token(client: &Client<Context>, token: &Token) -> Result<(), String> {
    let text = |text: &str| CString::new(text).map_err(|_| "it holds a zero byte".to_owned());
    let (value, principal) = (text(&token.value)?, text(&token.principal)?);
    let extensions = token
        .extensions
        .iter()
        .flat_map(|(name, value)| [text(name), text(value)])
        .collect::<Result<Vec<CString>, String>>()?;
    let mut pointers: Vec<*const c_char> = extensions.iter().map(|text| text.as_ptr()).collect();
    let mut said = [0 as c_char; 512];
    // SAFETY: the client is alive; all texts and the list of them live until the call returns, which
    // copies them; the buffer is as long as said, and ends with a zero byte whatever is written to it.
    unsafe {
        let code = c::rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.ends,
            principal.as_ptr(),
            pointers.as_mut_ptr(),
            pointers.len(),
            said.as_mut_ptr(),
            said.len(),
        );
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            Ok(())
        } else {
            Err(CStr::from_ptr(said.as_ptr()).to_string_lossy().into_owned())
        }
    }
}

fn name(group: &str) -> Result<CString, CallFailed> {
    CString::new(group).map_err(|_| CallFailed::internal("a group name with a zero byte"))
}

async fn wait(answer: oneshot::Receiver<Answer>, limit: Duration) -> Result<Answer, CallFailed> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(CallFailed::internal("the client was closed")),
        Err(_) => Err(CallFailed::timed_out()),
    }
}

fn offsets(answer: Answer) -> Result<Offsets, CallFailed> {
    match answer {
        Answer::Offsets(offsets) => Ok(offsets),
        Answer::Failed(error) => Err(error),
        Answer::Group(_) => Err(CallFailed::internal("an answer to another call")),
    }
}

/// Takes in answers until nobody else is left who could make a call.
fn poll(shared: &Arc<Shared>) {
    while Arc::strong_count(shared) > 1 {
        // Errors that belong to no call (refused connections, failed logins) come here. With no time
        // at all it would take one of them a turn, and they come faster than that.
        let _ = shared.client.poll(Duration::from_millis(1));
        // Then every answer that is there: waiting for such errors between two of them would cost each
        // a millisecond.
        let mut patience = 100;
        while take_in(shared, patience) {
            patience = 0;
        }
    }
}

/// Takes in one answer, waiting so many milliseconds for it; `false` when there was none.
fn take_in(shared: &Shared, millis: c_int) -> bool {
    // SAFETY: the queue is alive; the event is ours from here.
    let event = unsafe { c::rd_kafka_queue_poll(shared.queue.0, millis) };
    if event.is_null() {
        return false;
    }
    let event = Event(event);
    // SAFETY: the event is alive; its opaque is a number that `expect` gave, or NULL.
    let number = unsafe { c::rd_kafka_event_opaque(event.0) }.addr();
    let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let sender = waiting.calls.remove(&number);
    drop(waiting);
    if let Some(sender) = sender {
        // SAFETY: the event is alive while it is decoded; everything is copied out.
        let _ = sender.send(unsafe { decode(&event) });
    }
    true
}

/// Copies an answer out of an event.
///
/// # Safety
/// The event must be one of the three calls of this file.
unsafe fn decode(event: &Event) -> Answer {
    // SAFETY: all objects reached belong to the event, which outlives this function; counts come
    // with their arrays; strings are NUL-terminated or NULL, which `text` checks.
    unsafe {
        let failed = CallFailed::of(event_error(event.0), text(c::rd_kafka_event_error_string(event.0)));
        if let Some(failed) = failed {
            return Answer::Failed(failed);
        }
        let mut names = HashMap::new();
        let mut count: usize = 0;
        match c::rd_kafka_event_type(event.0) {
            c::RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT => {
                let result = c::rd_kafka_event_DescribeConsumerGroups_result(event.0);
                let groups = c::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
                if count == 0 {
                    return Answer::Failed(CallFailed::internal("an empty answer"));
                }
                let group = *groups;
                match failure(c::rd_kafka_ConsumerGroupDescription_error(group)) {
                    Some(error) => Answer::Failed(error),
                    None => Answer::Group(description(group, &mut names)),
                }
            }
            c::RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT => {
                let result = c::rd_kafka_event_ListConsumerGroupOffsets_result(event.0);
                let groups = c::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
                if count == 0 {
                    return Answer::Failed(CallFailed::internal("an empty answer"));
                }
                let group = *groups;
                if let Some(error) = failure(c::rd_kafka_group_result_error(group)) {
                    return Answer::Failed(error);
                }
                Answer::Offsets(copied(c::rd_kafka_group_result_partitions(group), &mut names))
            }
            c::RD_KAFKA_EVENT_LISTOFFSETS_RESULT => {
                let result = c::rd_kafka_event_ListOffsets_result(event.0);
                let infos = c::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
                let mut offsets = Offsets::with_capacity(count);
                for i in 0..count {
                    let partition = c::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(i));
                    let (key, offset) = element(partition, &mut names);
                    offsets.insert(key, offset);
                }
                Answer::Offsets(offsets)
            }
            _ => Answer::Failed(CallFailed::internal("an event that no call asked for")),
        }
    }
}

type Names = HashMap<String, Arc<str>>;

/// # Safety
/// The description must be alive.
unsafe fn description(of: *const c::rd_kafka_ConsumerGroupDescription_t, names: &mut Names) -> Description {
    use c::rd_kafka_consumer_group_state_t as State;
    // SAFETY: the description and all it holds are alive.
    unsafe {
        let members = (0..c::rd_kafka_ConsumerGroupDescription_member_count(of))
            .map(|i| {
                let member = c::rd_kafka_ConsumerGroupDescription_member(of, i);
                let target = c::rd_kafka_MemberDescription_target_assignment(member);
                MemberDescription {
                    id: text(c::rd_kafka_MemberDescription_consumer_id(member)),
                    host: text(c::rd_kafka_MemberDescription_host(member)),
                    client: text(c::rd_kafka_MemberDescription_client_id(member)),
                    assignment: assignment(c::rd_kafka_MemberDescription_assignment(member), names),
                    target: (!target.is_null()).then(|| assignment(target, names)),
                }
            })
            .collect();
        Description {
            phase: match c::rd_kafka_ConsumerGroupDescription_state(of) {
                State::RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE
                | State::RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE => Phase::Rebalancing,
                State::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE => Phase::Stable,
                State::RD_KAFKA_CONSUMER_GROUP_STATE_DEAD => Phase::Dead,
                State::RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY => Phase::Empty,
                _ => Phase::Unknown,
            },
            new_protocol: matches!(
                c::rd_kafka_ConsumerGroupDescription_type(of),
                c::rd_kafka_consumer_group_type_t::RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER
            ),
            members,
            coordinator: address(c::rd_kafka_ConsumerGroupDescription_coordinator(of)),
        }
    }
}

/// # Safety
/// The node must be alive or NULL.
unsafe fn address(of: *const c::rd_kafka_Node_t) -> Option<String> {
    if of.is_null() {
        return None;
    }
    // SAFETY: alive, so is the name that it holds.
    let (host, port) = unsafe { (text(c::rd_kafka_Node_host(of)), c::rd_kafka_Node_port(of)) };
    (!host.is_empty()).then(|| quoted(&format!("{host}:{port}")))
}

/// # Safety
/// The assignment must be alive or NULL.
unsafe fn assignment(of: *const c::rd_kafka_MemberAssignment_t, names: &mut Names) -> Vec<(Arc<str>, i32)> {
    if of.is_null() {
        return Vec::new();
    }
    // SAFETY: alive, so is the list it holds.
    let mut all: Vec<_> =
        unsafe { copied(c::rd_kafka_MemberAssignment_partitions(of), names) }.into_keys().collect();
    all.sort();
    all
}

/// # Safety
/// The list must be alive or NULL.
unsafe fn copied(list: *const c::rd_kafka_topic_partition_list_t, names: &mut Names) -> Offsets {
    if list.is_null() {
        return Offsets::new();
    }
    // SAFETY: the list holds `cnt` elements.
    unsafe { (0..(*list).cnt as usize).map(|i| element((*list).elems.add(i), names)).collect() }
}

/// # Safety
/// The element must be alive, and its topic a string that lives.
unsafe fn element(
    of: *const c::rd_kafka_topic_partition_t,
    names: &mut Names,
) -> ((Arc<str>, i32), Result<i64, CallFailed>) {
    // SAFETY: as promised by the caller. The error is the broker's number, and a newer one may have more
    // of them than the enum: it is read as what it is.
    let (topic, partition, offset, code) = unsafe {
        (text((*of).topic), (*of).partition, (*of).offset, (&raw const (*of).err).cast::<i32>().read())
    };
    let topic = names.entry(topic).or_insert_with_key(|t| Arc::from(t.as_str())).clone();
    ((topic, partition), CallFailed::of(code, String::new()).map_or(Ok(offset), Err))
}

/// # Safety
/// The error must be alive or NULL.
unsafe fn failure(error: *const c::rd_kafka_error_t) -> Option<CallFailed> {
    if error.is_null() {
        return None;
    }
    // SAFETY: alive.
    unsafe { CallFailed::of(error_code(error), text(c::rd_kafka_error_string(error))) }
}

/// # Safety
/// The string must be NUL-terminated and alive, or NULL.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
