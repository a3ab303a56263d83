//! Order, grouping, the watermark and the bound of what waits.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use lotmq_store::*;
use redb::backends::InMemoryBackend;

use crate::support::*;

/// Lets syncs through while it is open.
#[derive(Debug, Default)]
struct Gate {
    is_closed: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set_closed(&self, is_closed: bool) {
        *self.is_closed.lock().unwrap() = is_closed;
        self.changed.notify_all();
    }

    /// Closes the gate until the guard is dropped; a failed assertion must not leave the writer at it.
    fn close(self: &Arc<Self>) -> Closed {
        self.set_closed(true);
        Closed(Arc::clone(self))
    }

    fn pass(&self) {
        let closed = self.is_closed.lock().unwrap();
        drop(self.changed.wait_while(closed, |closed| *closed).unwrap());
    }
}

struct Closed(Arc<Gate>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.set_closed(false);
    }
}

/// Memory whose syncs wait at a gate.
#[derive(Debug)]
struct Gated(InMemoryBackend, Arc<Gate>);

impl StorageBackend for Gated {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn gated(gate: &Arc<Gate>, limits: Limits, on_commit: OnCommit) -> Store {
    let gate = Arc::clone(gate);
    let factory: BackendFactory =
        Box::new(move || Ok(Box::new(Gated(InMemoryBackend::new(), Arc::clone(&gate)))));
    let options = StoreOptions { limits, ..options("unused".as_ref()) };
    Store::open_on(options, factory, on_commit).unwrap().0
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
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&reports);
    let on_commit: OnCommit = Box::new(move |report| match report {
        Committed::Through(ticket) => sink.lock().unwrap().push(ticket.number()),
        Committed::Failed { .. } => panic!("nothing fails here"),
    });
    let store = gated(&gate, Limits::default(), on_commit);
    let closed = gate.close();
    let first = store.append(batch_of(1)).unwrap();
    // The first batch is taken as soon as the writer is up; the others wait behind its sync.
    while store.metrics().waiting_bytes == 0 {
        std::thread::yield_now();
    }
    let rest: Vec<_> = (0..20).map(|_| store.append(batch_of(1)).unwrap()).collect();
    assert!(rest.is_sorted() && first < rest[0]);
    drop(closed);
    store.wait(rest[19]).unwrap();
    store.wait(first).unwrap();
    store.close();
    let reports = reports.lock().unwrap().clone();
    assert!(reports.is_sorted() && reports.len() <= 3, "{reports:?}");
    assert_eq!(reports.last(), Some(&rest[19].number()));
    assert_eq!(store.metrics().rows, 21);
    assert!(store.metrics().group_max >= 19);
}

#[test]
fn a_group_keeps_its_bounds_and_an_oversized_batch_goes_alone() {
    let gate = Arc::new(Gate::default());
    let limits = Limits { group_records_max: 4, group_bytes_max: 2_000, ..Limits::default() };
    let store = gated(&gate, limits, Box::new(|_| {}));
    let closed = gate.close();
    store.append(batch_of(1)).unwrap();
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
        match store.append(batch_of(1_000)) {
            Ok(ticket) => accepted.push(ticket),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full { limit_bytes: 10_000, .. }), "{refused}");
    assert_eq!(accepted.len(), 9);
    assert!(store.is_congested());
    drop(closed);
    store.wait(accepted[8]).unwrap();
    store.commit(batch_of(1_000)).unwrap();
    assert!(!store.is_congested());
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
