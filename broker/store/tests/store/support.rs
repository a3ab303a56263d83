//! Opening stores and making rows, shared by the tests.

mod watched;

use std::num::NonZeroU16;
use std::path::Path;

use lotmq_changes::*;
use lotmq_store::*;

pub(crate) use watched::{Call, Watched};

/// Options for tests: a fixed key, so that no environment variable interferes.
pub(crate) fn options(path: &Path) -> StoreOptions {
    StoreOptions { secret_key: KeySource::Key([7; 32]), ..StoreOptions::new(path) }
}

/// Opens a store whose reports nobody reads.
pub(crate) fn open(path: &Path) -> (Store, Recovered) {
    Store::open(options(path), Box::new(|_| {})).unwrap()
}

pub(crate) fn commit(store: &Store, ops: impl IntoIterator<Item = Op<'static>>) {
    let mut batch = Batch::new();
    for op in ops {
        batch.push(op);
    }
    store.commit(batch).unwrap();
}

/// Commits operations that borrow.
pub(crate) fn commit_with(store: &Store, fill: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    fill(&mut batch);
    store.commit(batch).unwrap();
}

pub(crate) fn packet_id(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

pub(crate) fn session(tenant: u32, id: SessionId, client_id: &str) -> SessionRow {
    SessionRow {
        expiry_interval_s: Some(3600),
        disconnected_at_ms: Some(1),
        ..SessionRow::new(TenantId(tenant), id, client_id)
    }
}

/// Puts a session and returns its number.
pub(crate) fn put_session(store: &Store, tenant: u32, client_id: &str) -> SessionId {
    let id = store.next_session_id();
    commit_with(store, |batch| batch.push(Op::PutSession(&session(tenant, id, client_id))));
    id
}

pub(crate) fn message<'a>(id: MessageId, topic: &'a str, payload: &'a [u8]) -> MessageRef<'a> {
    MessageRef {
        id,
        tenant: TenantId::DEFAULT,
        topic,
        properties: &[],
        payload,
        qos: 1,
        published_at_ms: 1_700_000_000_000,
        expires_at_ms: None,
    }
}

pub(crate) fn delivery(session: SessionId) -> Delivery<'static> {
    Delivery {
        session,
        qos: 1,
        retain: false,
        published_retain: false,
        packet_id: None,
        subscription_ids: &[],
        membership: None,
    }
}

/// Numbers of the messages in the queue of a session.
pub(crate) fn queue(recovered: &Recovered, session: SessionId) -> Vec<u64> {
    let found =
        recovered.sessions.iter().find(|found| found.session.id == session).expect("session is there");
    found.queue.iter().map(|delivery| delivery.message.id.0).collect()
}

pub(crate) fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// The note that the simulated disk keeps.
#[derive(Debug)]
pub(crate) struct NoteOn(pub(crate) lotmq_disk::Disk);

impl Note for NoteOn {
    fn is_there(&self) -> bool {
        self.0.has_note()
    }

    fn set(&self, is_there: bool) -> std::io::Result<()> {
        self.0.set_note(is_there);
        Ok(())
    }
}
