use std::collections::BTreeSet;

use lotmq_host::OwnedMessage;
use proptest::prelude::*;

use super::super::mailbox::Addressee;
use super::*;

fn opened(messages: u32) -> RouteOutbox {
    let mut outbox = RouteOutbox::default();
    outbox.open(SessionId(1), Waiting { messages, bytes: u64::from(messages) * 10 }, MessageId(100));
    outbox
}

fn post(sequence: u64) -> BufferedMessage {
    BufferedMessage {
        to: Addressee::Event("e".into()),
        message: OwnedMessage::new("t", b"x".to_vec()),
        waits_since_ms: 0,
        hops: 0,
        sequence,
        stored_bytes: 10,
    }
}

/// A message enters, and finds no room in memory.
fn enters(outbox: &mut RouteOutbox, id: u64) {
    outbox.enters((MessageId(id), 10), false, |_| post(id));
}

fn stretch(after: u64, before: u64) -> OutboxStretch {
    OutboxStretch { session: SessionId(1), after: MessageId(after), before: MessageId(before) }
}

fn amount(messages: u64) -> Amount {
    Amount { messages, bytes: messages * 10 }
}

#[test]
fn stored_messages_are_read_once_in_slices() {
    let mut outbox = opened(3);
    let first = outbox.begin_reading().unwrap();
    assert_eq!(first, stretch(0, 100));
    assert_eq!(outbox.begin_reading(), None, "one at a time");
    outbox.has_read(first, amount(2), (Some(MessageId(40)), false));
    assert_eq!((outbox.unread(), outbox.waiting()), (amount(1), amount(3)));
    let second = outbox.begin_reading().unwrap();
    assert_eq!(second.after, MessageId(40));
    outbox.has_read(second, amount(1), (Some(MessageId(70)), true));
    assert_eq!((outbox.begin_reading(), outbox.unread()), (None, amount(0)));
    for message in [10, 40, 70] {
        outbox.is_done(MessageId(message), 10);
    }
    assert_eq!(outbox.waiting(), amount(0));
    assert_eq!(outbox.done, [10, 40, 70].map(MessageId));
}

#[test]
fn nothing_is_read_beyond_a_batch_that_is_not_on_the_disk() {
    let mut outbox = opened(0);
    // Two threads: the one with the lower numbers is slower.
    outbox.batch_begins(MessageId(101));
    enters(&mut outbox, 102);
    outbox.batch_begins(MessageId(103));
    enters(&mut outbox, 104);
    outbox.batch_ended(MessageId(103), MessageId(104), true);
    let wanted = outbox.begin_reading().unwrap();
    assert_eq!(wanted.before, MessageId(101));
    outbox.has_read(wanted, amount(0), (Some(MessageId(104)), true));
    assert_eq!(outbox.begin_reading(), None, "there is nothing below it");
    outbox.batch_ended(MessageId(101), MessageId(102), true);
    assert_eq!(outbox.begin_reading().unwrap().after, MessageId(100));
}

#[test]
fn message_that_arrives_during_the_last_read_is_read_next() {
    let mut outbox = opened(1);
    let wanted = outbox.begin_reading().unwrap();
    outbox.batch_begins(MessageId(101));
    enters(&mut outbox, 102);
    outbox.has_read(wanted, amount(1), (Some(MessageId(99)), true));
    outbox.batch_ended(MessageId(101), MessageId(102), true);
    let next = outbox.begin_reading().unwrap();
    assert_eq!((next.after, outbox.unread()), (MessageId(99), amount(1)));
}

#[test]
fn a_failed_batch_holds_the_reading_until_the_store_works() {
    let mut outbox = opened(0);
    outbox.batch_begins(MessageId(101));
    enters(&mut outbox, 102);
    outbox.batch_ended(MessageId(101), MessageId(102), false);
    assert!(outbox.is_in_doubt());
    assert_eq!(outbox.begin_reading(), None);
    outbox.settle_doubts();
    let wanted = outbox.begin_reading().unwrap();
    // It was lost: it does not count for ever.
    outbox.has_read(wanted, amount(0), (None, true));
    assert_eq!(outbox.waiting(), amount(0));
}

#[test]
fn dead_letter_is_not_in_the_removal_list_of_the_outbox() {
    let mut outbox = opened(3);
    let stretch = outbox.begin_reading().unwrap();
    outbox.has_read(stretch, Amount { messages: 3, bytes: 30 }, (Some(MessageId(3)), true));
    outbox.is_buried(MessageId(2));
    (1..=3).for_each(|id| outbox.is_done(MessageId(id), 10));
    assert_eq!(outbox.done, [MessageId(1), MessageId(3)]);
    assert_eq!((outbox.waiting(), outbox.buried.len()), (Amount::default(), 0));
}

#[test]
fn closed_outbox_reports_and_forgets_its_waiting_messages() {
    let mut outbox = opened(4);
    assert_eq!(outbox.close(), 4);
    assert_eq!((outbox.session(), outbox.begin_reading()), (None, None));
}

#[test]
fn fresh_messages_are_not_read_back_from_disk() {
    let mut outbox = opened(0);
    outbox.batch_begins(MessageId(101));
    for id in [102, 103] {
        outbox.enters((MessageId(id), 10), true, |_| post(id));
    }
    assert!(outbox.take_fresh().is_empty(), "it is not on the disk");
    outbox.batch_ended(MessageId(101), MessageId(103), true);
    let sequences: Vec<_> = outbox.take_fresh().iter().map(|post| post.sequence).collect();
    assert_eq!(sequences, [102, 103]);
    assert_eq!((outbox.begin_reading(), outbox.unread(), outbox.waiting()), (None, amount(0), amount(2)));
}

#[test]
fn message_without_room_is_read_from_disk_and_not_overtaken() {
    let mut outbox = opened(0);
    outbox.batch_begins(MessageId(101));
    for (id, has_room) in [(102, true), (105, true), (103, false), (104, true)] {
        outbox.enters((MessageId(id), 10), has_room, |_| post(id));
    }
    outbox.batch_ended(MessageId(101), MessageId(105), true);
    assert_eq!(outbox.take_fresh().len(), 1);
    let wanted = outbox.begin_reading().unwrap();
    assert_eq!(wanted, stretch(102, 106));
    outbox.has_read(wanted, amount(3), (Some(MessageId(105)), true));
    assert_eq!((outbox.unread(), outbox.waiting()), (amount(0), amount(4)));
}

#[test]
fn a_route_that_was_behind_keeps_up_again_while_messages_come() {
    let mut outbox = opened(3);
    outbox.batch_begins(MessageId(101));
    for id in [102, 103] {
        outbox.enters((MessageId(id), 10), true, |_| post(id));
    }
    outbox.batch_ended(MessageId(101), MessageId(103), true);
    assert!(outbox.take_fresh().is_empty(), "they would overtake what was left");
    let wanted = outbox.begin_reading().unwrap();
    assert_eq!(wanted, stretch(0, 102), "what is in memory is not read");
    outbox.batch_begins(MessageId(104));
    outbox.enters((MessageId(105), 10), true, |_| post(105));
    outbox.has_read(wanted, amount(3), (Some(MessageId(103)), true));
    let sequences = |posts: Vec<RouteMessage>| posts.iter().map(|post| post.sequence).collect::<Vec<_>>();
    assert_eq!(sequences(outbox.take_fresh()), [102, 103]);
    assert_eq!(outbox.begin_reading(), None);
    outbox.batch_ended(MessageId(104), MessageId(105), true);
    assert_eq!(sequences(outbox.take_fresh()), [105]);
    assert_eq!((outbox.unread(), outbox.waiting()), (amount(0), amount(6)));
}

#[test]
fn outbox_far_behind_keeps_no_fresh_messages_in_memory() {
    let mut outbox = opened(ROUTE_FRESH_MESSAGES as u32 + 1);
    outbox.enters((MessageId(102), 10), true, |_| post(102));
    assert_eq!(outbox.fresh(), amount(0));
}

#[test]
fn fresh_message_is_delivered_after_a_lost_batch() {
    let mut outbox = opened(0);
    outbox.batch_begins(MessageId(101));
    enters(&mut outbox, 102);
    outbox.batch_ended(MessageId(101), MessageId(102), false);
    outbox.settle_doubts();
    outbox.batch_begins(MessageId(103));
    outbox.enters((MessageId(104), 10), true, |_| post(104));
    outbox.batch_ended(MessageId(103), MessageId(104), true);
    let wanted = outbox.begin_reading().unwrap();
    outbox.has_read(wanted, amount(0), (Some(MessageId(104)), true));
    assert_eq!((outbox.take_fresh().len(), outbox.unread(), outbox.waiting()), (1, amount(0), amount(1)));
}

/// Something that happens to an outbox which several threads write.
#[derive(Clone, Debug)]
enum Step {
    BatchBegins(usize),
    /// A message gets its number.
    Number(usize),
    /// It enters.
    Enters(usize, bool),
    BatchEnds(usize),
    /// The store fails with a batch, which is on the disk all the same, or is lost.
    BatchFails(usize, bool),
    Settle,
    BeginReading(usize),
    HasRead,
    HasNotRead,
}

fn step() -> impl Strategy<Value = Step> {
    let thread = 0..3_usize;
    prop_oneof![
        4 => thread.clone().prop_map(Step::BatchBegins),
        8 => thread.clone().prop_map(Step::Number),
        8 => (thread.clone(), any::<bool>()).prop_map(|(thread, room)| Step::Enters(thread, room)),
        4 => thread.clone().prop_map(Step::BatchEnds),
        1 => (thread, any::<bool>()).prop_map(|(thread, is_stored)| Step::BatchFails(thread, is_stored)),
        2 => Just(Step::Settle),
        4 => (1..5_usize).prop_map(Step::BeginReading),
        4 => Just(Step::HasRead),
        1 => Just(Step::HasNotRead),
    ]
}

/// Batch of a thread.
#[derive(Default)]
struct ThreadBatch {
    floor: u64,
    numbered: Option<u64>,
    entered: Vec<u64>,
}

/// Result of a read: the range, the messages, and whether nothing is behind them.
type Found = (OutboxStretch, Vec<u64>, bool);

struct Model {
    outbox: RouteOutbox,
    next: u64,
    threads: [Option<ThreadBatch>; 3],
    disk: BTreeSet<u64>,
    reading: Option<Found>,
    read: Vec<u64>,
}

impl Model {
    fn new() -> Self {
        let threads = [None, None, None];
        Self { outbox: opened(0), next: 101, threads, disk: BTreeSet::new(), reading: None, read: vec![] }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::BatchBegins(thread) if self.threads[thread].is_none() => {
                let floor = self.number();
                self.outbox.batch_begins(MessageId(floor));
                self.threads[thread] = Some(ThreadBatch { floor, ..ThreadBatch::default() });
            }
            Step::Number(thread) => {
                let number = self.number();
                if let Some(batch) = self.threads[thread].as_mut().filter(|batch| batch.numbered.is_none()) {
                    batch.numbered = Some(number);
                }
            }
            Step::Enters(thread, has_room) => {
                let Some(batch) = &mut self.threads[thread] else { return };
                let Some(id) = batch.numbered.take() else { return };
                self.outbox.enters((MessageId(id), 10), has_room, |_| post(id));
                batch.entered.push(id);
            }
            Step::BatchEnds(thread) => self.batch_ends(thread, true, true),
            Step::BatchFails(thread, is_stored) => self.batch_ends(thread, false, is_stored),
            Step::Settle => self.outbox.settle_doubts(),
            Step::BeginReading(most) => {
                let Some(stretch) = self.outbox.begin_reading() else { return };
                let behind: Vec<u64> = self.disk.range(stretch.after.0 + 1..).copied().collect();
                let found: Vec<u64> = behind.iter().copied().take(most).collect();
                let is_last = found.len() == behind.len();
                self.reading = Some((stretch, found, is_last));
            }
            Step::HasRead => {
                let Some((stretch, found, is_last)) = self.reading.take() else { return };
                let below: Vec<u64> = found.iter().copied().filter(|id| *id < stretch.before.0).collect();
                let last = found.last().map(|id| MessageId(*id));
                self.outbox.has_read(stretch, amount(below.len() as u64), (last, is_last));
                self.read.extend(below);
            }
            Step::HasNotRead => {
                if self.reading.take().is_some() {
                    self.outbox.has_not_read(Instant::now());
                }
            }
            Step::BatchBegins(_) => {}
        }
        self.read.extend(self.outbox.take_fresh().iter().map(|post| post.sequence));
        assert!(self.read.is_sorted_by(|one, next| one < next), "{:?}", self.read);
    }

    fn batch_ends(&mut self, thread: usize, is_told: bool, is_stored: bool) {
        let Some(batch) = self.threads[thread].take() else { return };
        if is_stored {
            self.disk.extend(&batch.entered);
        }
        let last = batch.entered.last().copied().unwrap_or(batch.floor);
        self.outbox.batch_ended(MessageId(batch.floor), MessageId(last), is_told);
    }

    /// Everything comes to an end.
    fn finish(&mut self) {
        self.step(&Step::HasRead);
        (0..3).for_each(|thread| self.step(&Step::BatchEnds(thread)));
        self.step(&Step::Settle);
        loop {
            self.step(&Step::BeginReading(2));
            if self.reading.is_none() {
                break;
            }
            self.step(&Step::HasRead);
        }
    }
}

proptest! {
    #[test]
    fn messages_on_disk_are_read_once_and_in_order(steps in prop::collection::vec(step(), 0..80)) {
        let mut model = Model::new();
        steps.iter().for_each(|step| model.step(step));
        model.finish();
        prop_assert_eq!(&model.read, &model.disk.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(model.outbox.waiting(), amount(model.read.len() as u64));
    }
}
