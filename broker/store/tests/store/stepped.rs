//! Stores without threads: what happens does so in steps, by a clock that is given, and the same
//! each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use lotmq_changes::*;
use lotmq_disk::{Call, Disk, PerCall};
use lotmq_store::*;
use parking_lot::Mutex;

use crate::fixture;
use crate::support::*;

const PAUSE: Duration = Duration::from_secs(60);

/// A machine without threads: its disk, its clock, and what its store has said.
struct Machine {
    disk: Disk,
    now_ms: Arc<AtomicU64>,
    random: Arc<AtomicU64>,
    reports: Arc<Mutex<Vec<String>>>,
}

impl Machine {
    fn new() -> Self {
        let (now_ms, random, reports) = Default::default();
        Self { disk: Disk::new(0), now_ms, random, reports }
    }

    /// Calls of the disk that change something.
    fn changes(&self) -> u64 {
        [Call::Write, Call::SetLen, Call::Sync].iter().map(|call| self.disk.calls(*call)).sum()
    }

    /// Says whether writing fails.
    fn set_broken(&self, is_broken: bool) {
        let write = if is_broken { 1_000_000 } else { 0 };
        self.disk.set_faults(|faults| faults.errors_per_million = PerCall { write, ..PerCall::default() });
    }

    fn open(&self) -> (Store, Stepper, Recovered) {
        // Little of everything, so that the log is cleaned and queues are written out.
        let limits = Limits {
            log_slack_bytes: 0,
            entries_in_memory_max: 20,
            reopen_pause: PAUSE,
            group_records_max: 100,
            ..Limits::default()
        };
        let options = StoreOptions { cache_bytes: 64 * 1024, limits, ..options("unused".as_ref()) };
        let (now_ms, random) = (Arc::clone(&self.now_ms), Arc::clone(&self.random));
        let surroundings = Surroundings {
            now: Arc::new(move || Duration::from_millis(now_ms.load(SeqCst))),
            random: Box::new(move |bytes| {
                let number = random.fetch_add(1, SeqCst).to_be_bytes();
                bytes.fill(0);
                bytes[..8].copy_from_slice(&number);
            }),
            note: Box::new(NoteOn(self.disk.clone())),
        };
        let reports = Arc::clone(&self.reports);
        let on_commit: OnCommit = Box::new(move |report| reports.lock().push(said(&report)));
        Store::open_stepped(options, Box::new(self.disk.opener()), on_commit, surroundings).unwrap()
    }

    fn reports(&self) -> Vec<String> {
        std::mem::take(&mut self.reports.lock())
    }
}

fn said(report: &Committed) -> String {
    match report {
        Committed::Through(ticket) => format!("through {}", ticket.number()),
        Committed::Failed { through, error } => format!("failed {} {:?}", through.number(), error.kind),
    }
}

fn set(value: u64) -> Batch {
    let row = SettingRow { tenant: TenantId::DEFAULT, name: "n".into(), value: value.to_string() };
    let mut batch = Batch::new();
    batch.push(Op::PutSetting(&row));
    batch
}

/// Messages for some of many sessions, which acknowledge some of them, by a seed; many more than
/// are kept in memory.
fn traffic(store: &Store, seed: &mut u64) {
    let sessions: Vec<SessionId> = (0..40).map(|_| store.next_session_id()).collect();
    for id in &sessions {
        let row = session(0, *id, &format!("c{}", id.0));
        assert!(
            store
                .append({
                    let mut batch = Batch::new();
                    batch.push(Op::PutSession(&row));
                    batch
                })
                .is_ok()
        );
    }
    let mut sent = Vec::new();
    for _ in 0..300 {
        let mut batch = Batch::new();
        let id = store.next_message_id();
        let receivers = sessions.iter().filter(|_| random(seed).is_multiple_of(5));
        let deliveries: Vec<_> = receivers.map(|session| delivery(*session)).collect();
        sent.extend(deliveries.iter().map(|delivery| (delivery.session, id)));
        let payload = vec![id.0 as u8; if random(seed).is_multiple_of(40) { 50_000 } else { 200 }];
        batch.push(Op::Enqueue { message: message(id, "t", &payload), deliveries: &deliveries });
        for _ in 0..random(seed) % 12 {
            let (session, message) = sent.swap_remove(random(seed) as usize % sent.len().max(1));
            match random(seed) % 3 {
                0 => batch.push(Op::Inflight { session, message, packet_id: packet_id(id.0 as u16) }),
                1 => batch.push(Op::PubrecReceived { session, message, packet_id: packet_id(id.0 as u16) }),
                _ => batch.push(Op::Dequeue { session, message }),
            }
        }
        if random(seed).is_multiple_of(50) {
            let session = sessions[random(seed) as usize % sessions.len()];
            batch.push(Op::DeleteSession { tenant: TenantId::DEFAULT, session });
        }
        store.append(batch).unwrap();
    }
}

#[test]
fn the_same_batches_give_the_same_bytes() {
    let run = || {
        let machine = Machine::new();
        let mut seed = 0x5eed;
        let mut steps = Vec::new();
        for is_closed in [false, true, false] {
            let (store, stepper, recovered) = machine.open();
            fixture::fill(&store);
            traffic(&store, &mut seed);
            while stepper.step() {
                steps.push(machine.disk.fingerprint());
            }
            let slices = Arc::new(Mutex::new(Vec::new()));
            for session in 1..60 {
                let told = Arc::clone(&slices);
                let reply: OnSlice = Box::new(move |slice| told.lock().push(format!("{:?}", slice.unwrap())));
                store
                    .read_queue(SessionId(session), MessageId(0), SliceBounds::new(10, 10_000), reply)
                    .unwrap();
            }
            assert!(stepper.step());
            if is_closed {
                store.close();
            }
            drop(stepper);
            steps.push(machine.disk.fingerprint());
            machine.reports.lock().push(format!("{recovered:?} {:?}", slices.lock()));
        }
        (steps, machine.reports(), machine.disk.bytes())
    };
    let (first, second) = (run(), run());
    assert!(first.0.len() > 20, "too few steps to prove anything");
    assert_eq!(first.1, second.1, "what was said and read");
    assert_eq!(first.0, second.0, "what was written in each step");
    assert!(first.2 == second.2, "what is on the disk");
}

#[test]
fn nothing_happens_between_steps() {
    let machine = Machine::new();
    let (store, stepper, _) = machine.open();
    assert!(!stepper.has_work() && !stepper.step());
    let changes = machine.changes();
    let tickets = [1, 2].map(|value| store.append(set(value)).unwrap());
    assert!(stepper.has_work() && store.settled(tickets[0]).is_none());
    assert_eq!((machine.changes(), machine.reports()), (changes, vec![]));
    assert!(stepper.step());
    assert_eq!(machine.reports(), ["through 2"], "one group");
    assert!(store.settled(tickets[1]).unwrap().is_ok());
    assert!(!stepper.step());
    let is_read = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_read);
    let reply: OnSlice = Box::new(move |slice| told.store(slice.unwrap().is_last, SeqCst));
    store.read_queue(SessionId(1), MessageId(0), SliceBounds::new(1, 1), reply).unwrap();
    assert!(!is_read.load(SeqCst));
    assert!(stepper.step() && is_read.load(SeqCst));
}

#[test]
fn blocking_calls_run_the_steps_of_a_stepped_store() {
    let machine = Machine::new();
    let (store, stepper, _) = machine.open();
    store.commit(set(1)).unwrap();
    let session = put_session(&store, 0, "c");
    let mut batch = Batch::new();
    batch.push(Op::Enqueue { message: message(MessageId(1), "t", b"x"), deliveries: &[delivery(session)] });
    store.append(batch).unwrap();
    store.snapshot().unwrap();
    assert_eq!(store.queue_slice(session, MessageId(0), 9, 9).unwrap().deliveries.len(), 1);
    assert!(!stepper.has_work());
    store.append(set(2)).unwrap();
    store.close();
    store.close();
    assert_eq!(machine.reports().last().unwrap(), "through 4");
    assert!(!stepper.step() && stepper.next_due().is_none());
    assert!(matches!(store.append(set(3)), Err(StoreError::Closed)));
    drop((store, stepper));
    assert_eq!(machine.open().2.settings[0].value, "2");
}

#[test]
fn nothing_is_written_when_the_stepper_is_dropped() {
    let machine = Machine::new();
    let (store, stepper, _) = machine.open();
    store.commit(set(1)).unwrap();
    let snapshot = store.snapshot().unwrap();
    let lost = store.append(set(2)).unwrap();
    let (changes, bytes) = (machine.changes(), machine.disk.bytes());
    drop(stepper);
    assert_eq!((machine.changes(), machine.disk.bytes() == bytes), (changes, true));
    assert!(snapshot.export(&[], &mut Vec::new()).is_err(), "it ends with the machine");
    assert!(matches!(store.wait(lost), Err(StoreError::Closed)));
    assert!(matches!(store.commit(set(3)), Err(StoreError::Closed)));
    assert!(matches!(store.snapshot(), Err(StoreError::Closed)));
    drop(store);
    assert_eq!(machine.reports(), ["through 1"]);
    assert!(machine.disk.bytes() == bytes);
    let (_store, _stepper, recovered) = machine.open();
    assert_eq!(recovered.settings[0].value, "1");
}

#[test]
fn a_failed_store_is_opened_again_by_the_clock_it_was_given() {
    let machine = Machine::new();
    let (store, stepper, _) = machine.open();
    machine.set_broken(true);
    store.commit(set(1)).unwrap_err();
    assert_eq!(stepper.next_due(), Some(Duration::ZERO), "the second attempt comes at once");
    assert!(stepper.step() && !stepper.step());
    assert_eq!(stepper.next_due(), Some(PAUSE));
    machine.set_broken(false);
    let refused = store.append(set(2)).unwrap();
    assert!(stepper.step() && store.settled(refused).unwrap().is_err());
    machine.now_ms.store(59_999, SeqCst);
    assert!(!stepper.step() && store.failure().is_some());
    machine.now_ms.store(60_000, SeqCst);
    assert!(stepper.step() && store.failure().is_none());
    assert_eq!(stepper.next_due(), None);
    assert_eq!(machine.reports(), ["failed 1 Io", "failed 2 Io"]);
    drop(stepper);
    assert_eq!(machine.open().2.settings[0].value, "2", "it was kept meanwhile");
}

#[test]
fn calls_within_a_step_run_no_steps() {
    let machine = Machine::new();
    let inner: Arc<Mutex<Option<Arc<Store>>>> = Arc::default();
    let found = Arc::new(Mutex::new(None));
    let on_commit: OnCommit = Box::new({
        let (inner, found) = (Arc::clone(&inner), Arc::clone(&found));
        move |_| {
            let store = inner.lock().take();
            *found.lock() = store.map(|store| store.commit(set(2)).is_err());
        }
    });
    let surroundings =
        Surroundings { now: Arc::new(|| Duration::ZERO), random: Box::new(|_| {}), note: Box::new(NoNote) };
    let (store, stepper, _) = Store::open_stepped(
        options("unused".as_ref()),
        Box::new(machine.disk.opener()),
        on_commit,
        surroundings,
    )
    .unwrap();
    let store = Arc::new(store);
    *inner.lock() = Some(Arc::clone(&store));
    let first = store.append(set(1)).unwrap();
    assert!(stepper.step() && store.settled(first).unwrap().is_ok());
    assert_eq!(*found.lock(), Some(true), "refused, and nothing hangs");
    assert!(stepper.step(), "it was taken all the same");
}
