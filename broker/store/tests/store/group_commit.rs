//! Order, grouping, the watermark and the bound of what waits.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use lotmq_changes::*;
use lotmq_store::*;
use redb::backends::InMemoryBackend;

use crate::support::*;

/// Lets syncs through while it is open.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    is_closed: bool,
    /// Somebody stands before the closed gate.
    is_waited_for: bool,
    /// The next sync that gets through fails.
    fails_next: bool,
}

impl Gate {
    /// Closes the gate until the guard is dropped; a failed assertion must not leave the writer at
    /// it.
    fn close(self: &Arc<Self>) -> Closed {
        self.state.lock().unwrap().is_closed = true;
        Closed(Arc::clone(self))
    }

    /// Returns when the writer stands before the gate, in the middle of a commit.
    fn await_arrival(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.is_waited_for).unwrap());
    }

    fn fail_next(&self) {
        self.state.lock().unwrap().fails_next = true;
    }

    fn pass(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.is_waited_for = state.is_closed;
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| state.is_closed).unwrap();
        state.is_waited_for = false;
        if std::mem::take(&mut state.fails_next) { Err(io::Error::other("injected")) } else { Ok(()) }
    }
}

struct Closed(Arc<Gate>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().is_closed = false;
        self.0.changed.notify_all();
    }
}

/// A store in memory whose syncs wait at a gate.
fn gated(gate: &Arc<Gate>, limits: Limits, on_commit: OnCommit) -> Store {
    let gate = Arc::clone(gate);
    let memory = Arc::new(InMemoryBackend::new());
    let factory: BackendFactory = Box::new(move || {
        let gate = Arc::clone(&gate);
        let at_gate = move |call, _| if call == Call::Sync { gate.pass() } else { Ok(()) };
        Ok(Box::new(Watched::new(&memory, at_gate)))
    });
    let options = StoreOptions { limits, ..options("unused".as_ref()) };
    Store::open_on(options, factory, on_commit).unwrap().0
}

/// Reports, each as the last ticket and whether it is durable.
type Reports = Arc<Mutex<Vec<(u64, bool)>>>;

fn collect(reports: &Reports) -> OnCommit {
    let reports = Arc::clone(reports);
    Box::new(move |report| {
        let report = match report {
            Committed::Through(ticket) => (ticket.number(), true),
            Committed::Failed { through, .. } => (through.number(), false),
        };
        reports.lock().unwrap().push(report);
    })
}

fn batch_of(bytes: usize) -> Batch {
    let mut batch = Batch::new();
    let row = SettingRow { tenant: TenantId::DEFAULT, name: "n".into(), value: "v".repeat(bytes) };
    batch.push(Op::PutSetting(&row));
    batch
}

#[test]
fn batches_that_arrive_during_a_commit_form_one_group() {
    let gate = Arc::new(Gate::default());
    let reports = Reports::default();
    let store = gated(&gate, Limits::default(), collect(&reports));
    let closed = gate.close();
    let first = store.append(batch_of(1)).unwrap();
    gate.await_arrival();
    let rest: Vec<_> = (0..20).map(|_| store.append(batch_of(1)).unwrap()).collect();
    assert!(rest.is_sorted() && first < rest[0]);
    drop(closed);
    store.wait(rest[19]).unwrap();
    store.wait(first).unwrap();
    store.close();
    assert_eq!(*reports.lock().unwrap(), [(first.number(), true), (rest[19].number(), true)]);
    let metrics = store.metrics();
    assert_eq!((metrics.rows, metrics.commits, metrics.group_last), (21, 2, 20));
}

#[test]
fn a_failed_commit_fails_its_group_and_not_those_behind_it() {
    let gate = Arc::new(Gate::default());
    let reports = Reports::default();
    let store = gated(&gate, Limits::default(), collect(&reports));
    let before = store.append(batch_of(1)).unwrap();
    store.wait(before).unwrap();
    let closed = gate.close();
    let failing = store.append(batch_of(2)).unwrap();
    gate.await_arrival();
    let behind = [3, 4].map(|bytes| store.append(batch_of(bytes)).unwrap());
    gate.fail_next();
    drop(closed);
    assert!(matches!(store.wait(failing), Err(StoreError::CommitFailed(_))));
    behind.iter().for_each(|ticket| store.wait(*ticket).unwrap());
    store.wait(before).unwrap();
    store.close();
    let expected = [(before.number(), true), (failing.number(), false), (behind[1].number(), true)];
    assert_eq!(*reports.lock().unwrap(), expected);
    assert_eq!((store.metrics().commit_failures, store.metrics().reopens), (1, 1));
}

#[test]
fn a_group_keeps_its_bounds_and_an_oversized_batch_goes_alone() {
    let gate = Arc::new(Gate::default());
    let limits = Limits { group_records_max: 4, group_bytes_max: 2_000, ..Limits::default() };
    let store = gated(&gate, limits, Box::new(|_| {}));
    let closed = gate.close();
    store.append(batch_of(1)).unwrap();
    gate.await_arrival();
    for _ in 0..9 {
        store.append(batch_of(1)).unwrap();
    }
    let last = store.append(batch_of(50_000)).unwrap();
    drop(closed);
    store.wait(last).unwrap();
    let metrics = store.metrics();
    assert!(metrics.group_max <= 4, "{metrics:?}");
    assert_eq!(metrics.group_last, 1);
}

#[test]
fn too_much_waiting_is_refused_until_it_is_committed() {
    let gate = Arc::new(Gate::default());
    let limits = Limits { waiting_bytes_max: 10_000, ..Limits::default() };
    let store = gated(&gate, limits, Box::new(|_| {}));
    // Alone, a batch may be larger than the bound.
    store.commit(batch_of(50_000)).unwrap();
    let closed = gate.close();
    let mut accepted = Vec::new();
    let refused = loop {
        match store.offer(batch_of(1_000)) {
            Ok(ticket) => accepted.push(ticket),
            Err((error, _)) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full { limit_bytes: 10_000, .. }), "{refused}");
    assert_eq!(accepted.len(), 9);
    assert!(store.is_congested(0));
    drop(closed);
    store.wait(accepted[8]).unwrap();
    store.commit(batch_of(1_000)).unwrap();
    assert!(!store.is_congested(0));
}

#[test]
fn append_is_accepted_even_if_the_store_queue_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let limits =
        Limits { waiting_bytes_max: 10_000, linger: Duration::from_secs(3_600), ..Limits::default() };
    let options = StoreOptions { limits, ..options(directory.path()) };
    let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
    let env = |value: &str| {
        let row = EnvironmentRow { tenant: TenantId::DEFAULT, name: "SITE".into(), value: value.into() };
        let mut batch = Batch::new();
        batch.push(Op::PutEnv(&row));
        batch
    };
    while store.offer(batch_of(1_000)).is_ok() {}
    while store.offer(env("before")).is_ok() {}
    let changed = store.append(env("changed")).unwrap();
    // It is in its place among the others: behind it they are refused until there is room.
    assert!(matches!(store.offer(env("refused")), Err((StoreError::Full { .. }, _))));
    assert_eq!(store.last_ticket(), changed);
    store.close();
    assert!(matches!(store.append(env("closed")), Err(StoreError::Closed)));
    drop(store);
    let (_, recovered) = open(directory.path());
    assert_eq!(recovered.environment.iter().map(|row| &*row.value).collect::<Vec<_>>(), ["changed"]);
}

#[test]
fn batches_of_many_threads_are_committed_in_ticket_order() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let last = Mutex::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, last) = (&store, &last);
            scope.spawn(move || {
                for round in 0..50 {
                    let value = format!("{thread} {round}");
                    let mut batch = Batch::new();
                    let row = SettingRow { tenant: TenantId::DEFAULT, name: "last".into(), value };
                    batch.push(Op::PutSetting(&row));
                    let own = SettingRow { name: thread.to_string(), ..row.clone() };
                    batch.push(Op::PutSetting(&own));
                    let ticket = store.append(batch).unwrap();
                    let mut last = last.lock().unwrap();
                    *last = ticket.number().max(*last);
                    drop(last);
                    store.wait(ticket).unwrap();
                }
            });
        }
    });
    assert_eq!(*last.lock().unwrap(), 400);
    drop(store);
    let (_store, recovered) = open(directory.path());
    for thread in 0..8 {
        let row = recovered.settings.iter().find(|row| row.name == thread.to_string()).unwrap();
        assert_eq!(row.value, format!("{thread} 49"));
    }
}

#[test]
fn closing_commits_what_waits_and_refuses_what_comes() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let ticket = store.append(batch_of(3)).unwrap();
    store.close();
    store.wait(ticket).unwrap();
    assert!(matches!(store.append(batch_of(1)), Err(StoreError::Closed)));
    let (_store, recovered) = open(directory.path());
    assert_eq!(recovered.settings[0].value, "vvv");
}

/// Commits several batches in one group: the writer is held by the report of the one before until
/// all are there.
fn commit_as_one_group(fill: impl FnOnce(&Store, SessionId) -> Vec<Batch>) -> (LogMetrics, Recovered) {
    let directory = tempfile::tempdir().unwrap();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let on_commit: OnCommit = Box::new(move |_| {
        let _ = wait.recv();
    });
    let (store, _) = Store::open(options(directory.path()), on_commit).unwrap();
    let session = store.next_session_id();
    let mut first = Batch::new();
    first.push(Op::PutSession(&self::session(0, session, "c")));
    let first = store.append(first).unwrap();
    store.wait(first).unwrap();
    // The writer tells of the first group, and goes on only when it may.
    let tickets: Vec<_> =
        fill(&store, session).into_iter().map(|batch| store.append(batch).unwrap()).collect();
    drop(go_on);
    tickets.into_iter().for_each(|ticket| store.wait(ticket).unwrap());
    let metrics = store.metrics();
    drop(store);
    (metrics, open(directory.path()).1)
}

#[test]
fn message_acknowledged_in_its_own_commit_group_is_never_written() {
    let (metrics, recovered) = commit_as_one_group(|store, session| {
        (0..10)
            .flat_map(|_| {
                let id = store.next_message_id();
                let mut put = Batch::new();
                let sent = Delivery { packet_id: Some(packet_id(1)), ..delivery(session) };
                put.push(Op::Enqueue { message: message(id, "t", &[7; 500]), deliveries: &[sent] });
                let mut acknowledged = Batch::new();
                acknowledged.push(Op::Dequeue { session, message: id });
                [put, acknowledged]
            })
            .collect()
    });
    assert_eq!((metrics.cancelled, metrics.deliveries), (10, 0));
    assert_eq!(metrics.log_bytes, 0);
    assert_eq!(recovered.sessions[0].queue.len(), 0);
}

#[test]
fn partly_acknowledged_message_is_written_for_the_remaining_sessions() {
    let mut expected = 0;
    let (metrics, recovered) = commit_as_one_group(|store, session| {
        let (id, again) = (store.next_message_id(), store.next_message_id());
        expected = id.0;
        let other = store.next_session_id();
        let mut batch = Batch::new();
        batch.push(Op::PutSession(&self::session(0, other, "other")));
        let both = [delivery(session), delivery(other)];
        batch.push(Op::Enqueue { message: message(id, "t", b"for two"), deliveries: &both });
        batch.push(Op::Dequeue { session, message: id });
        // One that comes back behind its acknowledgement.
        for _ in 0..2 {
            batch.push(Op::Enqueue {
                message: message(again, "t", b"twice"),
                deliveries: &[delivery(session)],
            });
            batch.push(Op::Dequeue { session, message: id });
        }
        vec![batch]
    });
    assert_eq!(metrics.cancelled, 0);
    let queues: Vec<_> = recovered.sessions.iter().map(|found| queue(&recovered, found.session.id)).collect();
    assert_eq!(queues, [[expected + 1], [expected]]);
}

#[test]
fn a_group_waits_for_more_until_it_is_full_or_somebody_wants_it() {
    let directory = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3_600);
    let limits = Limits { linger: hour, group_records_max: 8, ..Limits::default() };
    let options = StoreOptions { limits, ..options(directory.path()) };
    let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
    // Full.
    let tickets: Vec<_> = (0..8).map(|_| store.append(batch_of(1)).unwrap()).collect();
    store.wait(tickets[7]).unwrap();
    assert_eq!(store.metrics().commits, 1);
    // A queue is read beside it: what is in it is stored.
    let waiting = store.append(batch_of(1)).unwrap();
    assert_eq!(store.queue_slice(SessionId(1), MessageId(0), 10, u64::MAX).unwrap().last, None);
    assert_eq!(store.metrics().commits, 1);
    // A snapshot has everything that came before it.
    drop(store.snapshot().unwrap());
    store.wait(waiting).unwrap();
    assert_eq!((store.metrics().commits, store.metrics().group_last), (2, 1));
    // The end.
    for _ in 0..3 {
        store.append(batch_of(1)).unwrap();
    }
    store.close();
    assert_eq!((store.metrics().commits, store.metrics().group_last), (3, 3));
}
