//! The log against a naive model: random operations, reopened at random points, with cleaning after
//! every group.
//!
//! The books of the index are checked after every commit (`Committer::commit`).

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use lotmq_changes::{
    Batch, Delivery, MembershipId, MessageId, MessageRef, Op, PeerRow, Recovered, RecoveredSession,
    SessionId, SessionRow, TenantId,
};
use proptest::prelude::*;

use crate::backend::shared_memory;
use crate::log::relocate::LIST_BYTES_MAX;
use crate::{KeySource, Limits, Store, StoreOptions};

#[derive(Debug, Clone)]
enum Step {
    PutSession,
    DeleteSession(usize),
    Enqueue { payload: usize, sessions: u8, sent: bool, early: Early },
    Dequeue { session: usize, message: usize },
    Inflight { session: usize, message: usize },
    Pubrec { session: usize, message: usize },
    Pubcomp { session: usize },
    Received { session: usize, packet_id: u16 },
    Released { session: usize, packet_id: u16 },
    Commit,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let payload = prop_oneof![8 => 0..200usize, 4 => 1_000..9_000usize, 1 => 32_000..200_000usize];
    let message = 0..1_000usize;
    let early = prop_oneof![
        9 => Just(Early::Nothing),
        1 => Just(Early::Sent),
        1 => Just(Early::Done),
        1 => Just(Early::Received),
    ];
    prop_oneof![
        1 => Just(Step::PutSession),
        1 => (0..8usize).prop_map(Step::DeleteSession),
        20 => (payload, any::<u8>(), any::<bool>(), early)
            .prop_map(|(payload, sessions, sent, early)| Step::Enqueue { payload, sessions, sent, early }),
        20 => (0..8usize, message.clone()).prop_map(|(session, message)| Step::Dequeue { session, message }),
        8 => (0..8usize, message.clone()).prop_map(|(session, message)| Step::Inflight { session, message }),
        6 => (0..8usize, message).prop_map(|(session, message)| Step::Pubrec { session, message }),
        4 => (0..8usize).prop_map(|session| Step::Pubcomp { session }),
        6 => (0..8usize, 1..20u16).prop_map(|(session, packet_id)| Step::Received { session, packet_id }),
        6 => (0..8usize, 1..20u16).prop_map(|(session, packet_id)| Step::Released { session, packet_id }),
        10 => Just(Step::Commit),
        2 => Just(Step::Reopen),
    ]
}

/// Record about a message for the first session that gets it, written before the message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Early {
    Nothing,
    Sent,
    Done,
    Received,
}

/// Expected state of a session.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct SessionModel {
    queue: BTreeMap<u64, (usize, Option<u16>)>,
    pubrel: BTreeMap<u16, u64>,
    received: BTreeMap<u16, ()>,
}

/// The simplest thing that could be right.
#[derive(Debug, Default)]
struct Model {
    sessions: BTreeMap<SessionId, SessionModel>,
    next_packet_id: u16,
}

impl Model {
    fn pick(&self, number: usize) -> Option<SessionId> {
        let count = self.sessions.len().max(1);
        self.sessions.keys().nth(number % count).copied()
    }

    fn pick_message(&self, session: SessionId, number: usize) -> Option<u64> {
        let queue = &self.sessions[&session].queue;
        queue.keys().nth(number % queue.len().max(1)).copied()
    }

    fn packet_id(&mut self) -> NonZeroU16 {
        self.next_packet_id = self.next_packet_id % 60_000 + 1;
        NonZeroU16::new(self.next_packet_id).unwrap()
    }
}

fn limits() -> Limits {
    Limits {
        log_slack_bytes: 8 * 1024,
        relocate_bytes_per_group: 64 * 1024,
        entries_in_memory_max: 12,
        replay_bytes_max: 4 * 1024,
        ..Limits::default()
    }
}

fn options() -> StoreOptions {
    StoreOptions {
        secret_key: KeySource::Key([1; 32]),
        limits: limits(),
        ..StoreOptions::new("/nonexistent")
    }
}

fn apply(store: &Store, model: &mut Model, batch: &mut Batch, step: &Step) -> Option<()> {
    match *step {
        Step::PutSession => put_session(store, model, batch),
        Step::DeleteSession(session) => {
            let session = model.pick(session)?;
            model.sessions.remove(&session);
            batch.push(Op::DeleteSession { tenant: TenantId::DEFAULT, session });
        }
        Step::Enqueue { payload, sessions, sent, early } => {
            enqueue(store, model, batch, payload, sessions, sent, early);
        }
        Step::Dequeue { session, message } => {
            let session = model.pick(session)?;
            let message = model.pick_message(session, message)?;
            model.sessions.get_mut(&session)?.queue.remove(&message);
            batch.push(Op::Dequeue { session, message: MessageId(message) });
        }
        Step::Inflight { session, message } => {
            let session = model.pick(session)?;
            let message = model.pick_message(session, message)?;
            let packet_id = model.packet_id();
            model.sessions.get_mut(&session)?.queue.get_mut(&message)?.1 = Some(packet_id.get());
            batch.push(Op::Inflight { session, message: MessageId(message), packet_id });
        }
        Step::Pubrec { session, message } => {
            let session = model.pick(session)?;
            let message = model.pick_message(session, message)?;
            let packet_id = model.packet_id();
            let state = model.sessions.get_mut(&session)?;
            state.queue.remove(&message);
            state.pubrel.insert(packet_id.get(), message);
            batch.push(Op::PubrecReceived { session, message: MessageId(message), packet_id });
        }
        Step::Pubcomp { session } => {
            let session = model.pick(session)?;
            let (packet_id, _) = model.sessions.get_mut(&session)?.pubrel.pop_first()?;
            batch.push(Op::PubcompReceived { session, packet_id: NonZeroU16::new(packet_id)? });
        }
        Step::Received { session, packet_id } => {
            let session = model.pick(session)?;
            model.sessions.get_mut(&session)?.received.insert(packet_id, ());
            batch.push(Op::Qos2Received { session, packet_id: NonZeroU16::new(packet_id)? });
        }
        Step::Released { session, packet_id } => {
            let session = model.pick(session)?;
            model.sessions.get_mut(&session)?.received.remove(&packet_id);
            batch.push(Op::Qos2Released { session, packet_id: NonZeroU16::new(packet_id)? });
        }
        Step::Commit | Step::Reopen => {}
    }
    Some(())
}

fn put_session(store: &Store, model: &mut Model, batch: &mut Batch) {
    let id = store.next_session_id();
    model.sessions.insert(id, SessionModel::default());
    batch.push(Op::PutSession(&SessionRow {
        tenant: TenantId::DEFAULT,
        id,
        client_id: id.0.to_string(),
        user: None,
        protocol_level: 4,
        expiry_interval_s: None,
        disconnected_at_ms: None,
        will: None,
        peer: PeerRow::Unknown,
        principal: None,
    }));
}

fn enqueue(
    store: &Store,
    model: &mut Model,
    batch: &mut Batch,
    payload: usize,
    sessions: u8,
    sent: bool,
    early: Early,
) {
    let id = store.next_message_id();
    let chosen: Vec<_> = model
        .sessions
        .keys()
        .copied()
        .enumerate()
        .filter(|(place, _)| sessions >> (place % 8) & 1 == 1)
        .map(|(_, id)| id)
        .collect();
    let deliveries: Vec<_> = chosen
        .iter()
        .map(|session| Delivery {
            session: *session,
            qos: 1,
            retain: false,
            published_retain: payload.is_multiple_of(5),
            packet_id: sent.then(|| model.packet_id()),
            subscription_ids: if payload.is_multiple_of(2) { &[] } else { &[3, 300] },
            membership: payload.is_multiple_of(3).then(|| MembershipId::numbered(id)),
        })
        .collect();
    for delivery in &deliveries {
        let state = model.sessions.get_mut(&delivery.session).unwrap();
        state.queue.insert(id.0, (payload, delivery.packet_id.map(NonZeroU16::get)));
    }
    if let Some(first) = chosen.first() {
        tell_early(model, batch, *first, id, early);
        if early != Early::Nothing && id.0.is_multiple_of(3) {
            store.commit(batch.take()).unwrap();
        }
    }
    let message = MessageRef {
        id,
        tenant: TenantId::DEFAULT,
        topic: "t",
        properties: &[],
        payload: &vec![id.0 as u8; payload],
        qos: 1,
        published_at_ms: 0,
        expires_at_ms: None,
    };
    batch.push(Op::Enqueue { message, deliveries: &deliveries });
}

fn tell_early(model: &mut Model, batch: &mut Batch, session: SessionId, message: MessageId, early: Early) {
    let packet_id = model.packet_id();
    let state = model.sessions.get_mut(&session).unwrap();
    match early {
        Early::Nothing => {}
        Early::Sent => {
            state.queue.get_mut(&message.0).unwrap().1 = Some(packet_id.get());
            batch.push(Op::Inflight { session, message, packet_id });
        }
        Early::Done => {
            state.queue.remove(&message.0);
            batch.push(Op::Dequeue { session, message });
        }
        Early::Received => {
            state.queue.remove(&message.0);
            state.pubrel.insert(packet_id.get(), message.0);
            batch.push(Op::PubrecReceived { session, message, packet_id });
        }
    }
}

fn found(recovered: &Recovered) -> BTreeMap<SessionId, SessionModel> {
    let session = |found: &RecoveredSession| {
        let mut model = SessionModel::default();
        assert!(found.queue.is_sorted_by_key(|delivery| delivery.message.id));
        for delivery in &found.queue {
            let message = &delivery.message;
            assert!(message.payload.iter().all(|byte| *byte == message.id.0 as u8));
            assert_eq!(delivery.subscription_ids.is_empty(), message.payload.len().is_multiple_of(2));
            let membership =
                message.payload.len().is_multiple_of(3).then(|| MembershipId::numbered(message.id));
            assert_eq!(delivery.membership, membership);
            model
                .queue
                .insert(message.id.0, (message.payload.len(), delivery.packet_id.map(NonZeroU16::get)));
        }
        let waiting = found.queue.iter().filter(|delivery| delivery.packet_id.is_none());
        assert_eq!(found.waiting.messages as usize, waiting.count());
        model.pubrel = found.pubrel.iter().map(|(id, message)| (id.get(), message.0)).collect();
        model.received = found.qos2_received.iter().map(|id| (id.get(), ())).collect();
        (found.session.id, model)
    };
    recovered.sessions.iter().map(session).collect()
}

/// Checks that waiting messages can be read slice by slice.
fn check_slices(store: &Store, model: &Model) {
    for (session, expected) in &model.sessions {
        let mut found = Vec::new();
        let mut after = MessageId(0);
        loop {
            let slice = store.queue_slice(*session, after, 3, u64::MAX).unwrap();
            assert!(slice.deliveries.len() <= 3);
            found.extend(slice.deliveries.iter().map(|it| (it.message.id.0, it.message.payload.len())));
            let Some(last) = slice.last.filter(|_| !slice.is_last) else { break };
            after = last;
        }
        let waiting = expected.queue.iter().filter(|(_, (_, packet_id))| packet_id.is_none());
        assert_eq!(found, waiting.map(|(id, (payload, _))| (*id, *payload)).collect::<Vec<_>>());
    }
}

fn run(steps: &[Step]) {
    let memory = shared_memory();
    let open = || Store::open_on(options(), memory(), Box::new(|_| {})).unwrap();
    let (mut store, _) = open();
    let mut model = Model::default();
    let mut batch = Batch::with_lists_of(LIST_BYTES_MAX);
    put_session(&store, &mut model, &mut batch);
    for step in steps {
        apply(&store, &mut model, &mut batch, step);
        if matches!(step, Step::Commit | Step::Reopen) {
            store.commit(batch.take()).unwrap();
            let count = store.metrics().entries_in_memory;
            assert!(count <= limits().entries_in_memory_max as u64, "{count} entries in memory");
            check_slices(&store, &model);
        }
        if matches!(step, Step::Reopen) {
            let next = store.next_message_id();
            drop(store);
            let recovered;
            (store, recovered) = open();
            assert_eq!(found(&recovered), model.sessions);
            let has_messages = model.sessions.values().any(|session| !session.queue.is_empty());
            assert!(!has_messages || store.next_message_id() <= next);
        }
    }
    store.commit(batch.take()).unwrap();
    // The bound of one group's cleaning may have been reached; a few more groups finish it.
    for _ in 0..100 {
        store.commit(Batch::new()).unwrap();
    }
    let metrics = store.metrics();
    let newest_chunk = 65_536;
    assert!(
        metrics.log_bytes <= 2 * metrics.log_live_bytes + limits().log_slack_bytes + newest_chunk,
        "{metrics:?}"
    );
    drop(store);
    let (_store, recovered) = open();
    assert_eq!(found(&recovered), model.sessions);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_log_keeps_exactly_what_is_alive(steps in prop::collection::vec(step(), 1..300)) {
        run(&steps);
    }
}

#[test]
fn a_cold_session_does_not_keep_the_log_growing() {
    let memory = shared_memory();
    let (store, _) = Store::open_on(options(), memory(), Box::new(|_| {})).unwrap();
    let (cold, hot) = (store.next_session_id(), store.next_session_id());
    let delivery = |session| Delivery {
        session,
        qos: 1,
        retain: false,
        published_retain: false,
        packet_id: None,
        subscription_ids: &[],
        membership: None,
    };
    let (mut largest, mut sent) = (0, None);
    for round in 0..3_000u32 {
        let mut batch = Batch::new();
        // In a later group than the message, so that both are written.
        if let Some(message) = sent.take() {
            batch.push(Op::Dequeue { session: hot, message });
        }
        let id = store.next_message_id();
        let message = MessageRef {
            id,
            tenant: TenantId::DEFAULT,
            topic: "t",
            properties: &[],
            payload: &[1; 1_000],
            qos: 1,
            published_at_ms: 0,
            expires_at_ms: None,
        };
        let session = if round % 300 == 0 { cold } else { hot };
        batch.push(Op::Enqueue { message, deliveries: &[delivery(session)] });
        sent = (session == hot).then_some(id);
        store.commit(batch).unwrap();
        largest = largest.max(store.metrics().log_bytes);
    }
    assert!(largest < 64 * 1024, "the log grew to {largest} bytes for 10 living messages of 1,000 bytes");
    assert!(store.metrics().relocated_bytes > 0);
}
