//! Long queues beside a store, in random order of everything: nothing is lost, twice, or out of a
//! publisher's order.

use std::collections::{BTreeMap, VecDeque};

use lotmq_codec::{ProtocolVersion, QoS};
use proptest::prelude::*;

use crate::{Offer, Outbound, QueuedMessage, Session, SessionOptions, WantedSlice};

const PUBLISHERS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A publisher's thread gives messages their numbers.
    Number {
        publisher: usize,
        count: u8,
    },
    /// It hands the oldest of them to the session, and then to the store.
    Deliver {
        publisher: usize,
        count: u8,
    },
    /// The store commits what it was given, and later says so.
    Commit {
        publisher: usize,
    },
    Notify {
        publisher: usize,
    },
    /// A commit fails: what was published is not promised.
    Fail {
        publisher: usize,
    },
    Connect,
    Disconnect,
    /// The Client takes as many messages.
    Drain(u8),
    /// So many bytes may be in memory. A message has 10.
    Bound(u64),
    /// A slice is read, and brought.
    Read,
    Bring,
}

fn step() -> impl Strategy<Value = Step> {
    let publisher = 0..PUBLISHERS;
    prop_oneof![
        8 => (publisher.clone(), 1..40u8).prop_map(|(publisher, count)| Step::Number { publisher, count }),
        8 => (publisher.clone(), 1..40u8).prop_map(|(publisher, count)| Step::Deliver { publisher, count }),
        6 => publisher.clone().prop_map(|publisher| Step::Commit { publisher }),
        6 => publisher.clone().prop_map(|publisher| Step::Notify { publisher }),
        1 => publisher.prop_map(|publisher| Step::Fail { publisher }),
        2 => Just(Step::Connect),
        1 => Just(Step::Disconnect),
        6 => (1..200u8).prop_map(Step::Drain),
        1 => prop_oneof![Just(5), Just(25), Just(u64::MAX)].prop_map(Step::Bound),
        6 => Just(Step::Read),
        6 => Just(Step::Bring),
    ]
}

/// Messages are their numbers; `publisher_of` says whose each is.
#[derive(Default)]
struct World {
    next: u64,
    publisher_of: BTreeMap<u64, usize>,
    numbered: [VecDeque<u64>; PUBLISHERS],
    delivered: [Vec<u64>; PUBLISHERS],
    committed: [Vec<u64>; PUBLISHERS],
    /// Unsent messages of the session in the store.
    store: BTreeMap<u64, ()>,
    /// Whether those in flight are known to the store does not matter: slices begin behind them.
    asked: Option<WantedSlice>,
    read: Option<(Vec<u64>, Option<u64>)>,
    received: Vec<u64>,
    promised: Vec<u64>,
}

impl World {
    fn apply(&mut self, session: &mut Session<u64>, step: &Step) {
        match *step {
            Step::Number { publisher, count } => {
                for _ in 0..count {
                    self.next += 1;
                    self.publisher_of.insert(self.next, publisher);
                    self.numbered[publisher].push_back(self.next);
                }
            }
            Step::Deliver { publisher, count } => {
                for _ in 0..count {
                    let Some(number) = self.numbered[publisher].pop_front() else { break };
                    let stored = Some(number);
                    match session.offer_stored(QoS::AtLeastOnce, 10, stored, || number) {
                        Offer::Send(packet_id) => {
                            self.received.push(number);
                            session.handle_puback(packet_id).unwrap();
                        }
                        Offer::Queued | Offer::QueuedUntilStored => {}
                        other @ (Offer::SendUnacknowledged | Offer::Offline | Offer::Refused(_)) => {
                            panic!("{other:?}")
                        }
                    }
                    self.delivered[publisher].push(number);
                }
            }
            Step::Commit { publisher } => {
                let delivered = std::mem::take(&mut self.delivered[publisher]);
                self.store.extend(delivered.iter().map(|number| (*number, ())));
                self.promised.extend(&delivered);
                self.committed[publisher].extend(delivered);
            }
            Step::Notify { publisher } => {
                session.handle_stored(&std::mem::take(&mut self.committed[publisher]));
            }
            Step::Fail { publisher } => self.delivered[publisher].clear(),
            Step::Connect => session.resume(options()),
            Step::Disconnect => session.disconnect(),
            Step::Bound(bytes) => {
                session.set_window_bytes(bytes);
            }
            Step::Drain(count) => self.drain(session, count.into()),
            Step::Read => self.read(),
            Step::Bring => self.bring(session),
        }
        session.check_invariants().unwrap();
    }

    fn drain(&mut self, session: &mut Session<u64>, count: usize) {
        for _ in 0..count {
            let Some(Outbound::Publish { packet_id, message, .. }) = session.next_outbound() else { break };
            self.received.push(message);
            session.handle_puback(packet_id).unwrap();
        }
        if let Some(wanted) = session.next_slice() {
            assert_eq!(self.asked, None, "one slice at a time");
            self.asked = Some(wanted);
        }
    }

    fn read(&mut self) {
        let Some(wanted) = self.asked.filter(|_| self.read.is_none()) else { return };
        let most = wanted.bytes_max.map_or(100, |bytes| bytes / 10);
        let behind = self.store.range(wanted.after + 1..);
        let numbers: Vec<u64> = behind.map(|(number, ())| *number).take(most as usize).collect();
        let last = numbers.last().copied();
        self.read = Some((numbers, last));
    }

    fn bring(&mut self, session: &mut Session<u64>) {
        let Some((numbers, last)) = self.read.take() else { return };
        let Some(wanted) = self.asked.take() else { return };
        if numbers.is_empty() && self.store.range(wanted.after + 1..).next().is_some() {
            session.handle_slice_too_long();
            return;
        }
        let queued =
            |number: u64| QueuedMessage { message: number, qos: QoS::AtLeastOnce, bytes: 10, number };
        session.handle_slice(numbers.into_iter().map(queued).collect(), last);
    }
}

fn options() -> SessionOptions {
    SessionOptions { send_maximum: 10, ..SessionOptions::new(ProtocolVersion::V5) }
}

fn run(steps: &[Step]) {
    let mut session = Session::new(options());
    let mut world = World::default();
    for step in steps {
        world.apply(&mut session, step);
    }
    // Everything that is under way comes to its end.
    for publisher in 0..PUBLISHERS {
        world.apply(&mut session, &Step::Deliver { publisher, count: u8::MAX });
        world.apply(&mut session, &Step::Commit { publisher });
        world.apply(&mut session, &Step::Notify { publisher });
    }
    world.apply(&mut session, &Step::Connect);
    world.apply(&mut session, &Step::Bound(u64::MAX));
    for _ in 0..10_000 {
        for step in [Step::Drain(u8::MAX), Step::Read, Step::Bring] {
            world.apply(&mut session, &step);
        }
        if session.counts().queued == 0 && world.asked.is_none() {
            break;
        }
    }
    assert_eq!(session.counts().queued, 0);
    assert_eq!(session.counts().queued_bytes, 0);
    let mut sorted = world.received.clone();
    sorted.sort_unstable();
    assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]), "a message came twice");
    for number in &world.promised {
        assert!(sorted.binary_search(number).is_ok(), "message {number} is lost");
    }
    for publisher in 0..PUBLISHERS {
        let of_publisher = world.received.iter().filter(|number| world.publisher_of[number] == publisher);
        assert!(of_publisher.is_sorted(), "messages of a publisher are out of order");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn long_stored_queue_loses_no_message_and_keeps_the_order(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        run(&steps);
    }
}

#[test]
fn a_client_that_is_away_has_nothing_in_memory_once_it_is_stored() {
    let mut session: Session<u64> = Session::new(options());
    session.disconnect();
    for number in 1..=1000 {
        let stored = Some(number);
        assert_eq!(session.enqueue_stored(QoS::AtLeastOnce, 10, stored, || number), Offer::QueuedUntilStored);
    }
    session.handle_stored(&(1..=1000).collect::<Vec<_>>());
    let counts = session.counts();
    assert_eq!((counts.queued, counts.queued_bytes, counts.queued_in_memory), (1000, 10_000, 0));
    assert_eq!(session.next_slice(), None);
    session.resume(options());
    assert_eq!(session.next_outbound(), None);
    assert_eq!(session.next_slice(), Some(WantedSlice { after: 0, messages_max: 512, bytes_max: None }));
    assert_eq!(session.next_slice(), None, "one slice at a time");
}

#[test]
fn slices_grow_for_a_client_that_waits_for_them_and_shrink_for_one_that_does_not() {
    let mut session: Session<u64> = Session::new(options());
    session.disconnect();
    for number in 1..=20_000 {
        let stored = Some(number);
        assert_eq!(session.enqueue_stored(QoS::AtLeastOnce, 10, stored, || number), Offer::QueuedUntilStored);
    }
    session.handle_stored(&(1..=20_000).collect::<Vec<_>>());
    session.resume(options());
    let mut last = 0;
    // For each slice, how many of its messages are left when the next one is asked for, and how
    // many that one has.
    for (left, expected) in
        [(0, 512), (0, 1024), (0, 2048), (0, 2048), (1024, 1024), (512, 512), (256, 512), (0, 1024)]
    {
        while session.counts().queued_in_memory > left {
            let Some(Outbound::Publish { packet_id, .. }) = session.next_outbound() else {
                panic!("no more")
            };
            session.handle_puback(packet_id).unwrap();
        }
        assert_eq!(
            session.next_slice(),
            Some(WantedSlice { after: last, messages_max: expected, bytes_max: None })
        );
        let first = last + 1;
        last += expected as u64;
        let queued =
            |number: u64| QueuedMessage { message: number, qos: QoS::AtLeastOnce, bytes: 10, number };
        session.handle_slice((first..=last).map(queued).collect(), Some(last));
        assert_eq!(session.next_slice(), None, "more than half is left");
    }
}
