use std::collections::BTreeMap;
use std::time::Duration;

use lot_facts::{RouteBlock, RouteFacts, RouteValue, TemplatePart};
use lotmq_host::{Engine, EngineOptions};
use proptest::prelude::*;

use super::*;
use crate::limits::{ROUTE_BATCH_BYTES_MAX, ROUTE_BATCH_MAX};

fn message(payload: &[u8]) -> Arc<OwnedMessage> {
    Arc::new(OwnedMessage::new("t", payload.to_vec()))
}

fn event() -> Addressee {
    Addressee::Event("e".into())
}

fn post(mailbox: &mut Mailbox, topic: &str) -> usize {
    mailbox.post(event(), (Arc::new(OwnedMessage::new(topic, b"x".to_vec())), 0), 0)
}

fn posts(mailbox: &mut Mailbox, count: usize) {
    for _ in 0..count {
        post(mailbox, "t");
    }
}

fn sequences(batch: &[RouteMessage]) -> Vec<u64> {
    batch.iter().map(|post| post.sequence).collect()
}

/// Takes a batch, all of which passes.
fn pass(mailbox: &mut Mailbox, lane: usize) -> Vec<u64> {
    pass_before(mailbox, lane, u64::MAX)
}

fn pass_before(mailbox: &mut Mailbox, lane: usize, before: u64) -> Vec<u64> {
    let batch = mailbox.take(lane, before);
    mailbox.done(lane, &batch);
    sequences(&batch)
}

#[test]
fn rejected_message_is_found_by_bisection_and_order_is_kept() {
    for bad in [0, 1, 63, 500, 998, 999] {
        let mut mailbox = Mailbox::new();
        posts(&mut mailbox, 1000);
        let (mut passed, mut rejected, mut calls) = (Vec::new(), Vec::new(), 0);
        loop {
            let batch = mailbox.take(0, u64::MAX);
            if batch.is_empty() {
                break;
            }
            calls += 1;
            match &batch[..] {
                [post] if post.sequence == bad + 1 => rejected.push(post.sequence),
                _ if batch.iter().any(|post| post.sequence == bad + 1) => {
                    mailbox.put_back(0, batch.into(), PutBack::Halved);
                    continue;
                }
                _ => passed.extend(sequences(&batch)),
            }
            mailbox.done(0, &batch);
        }
        assert_eq!((rejected, passed.len()), (vec![bad + 1], 999));
        assert!(passed.is_sorted());
        assert!(calls <= 1 + 2 * 10 + 1000 / ROUTE_BATCH_MAX, "{bad}: {calls} calls");
    }
}

#[test]
fn message_crashing_the_guest_is_found_and_others_run_at_most_twice() {
    for bad in [1, 2, 40, 100] {
        let mut mailbox = Mailbox::new();
        posts(&mut mailbox, 100);
        let (mut done, mut rejected, mut breaks) = (Vec::new(), Vec::new(), 0);
        loop {
            let batch = mailbox.take(0, u64::MAX);
            if batch.is_empty() {
                break;
            }
            done.extend(sequences(&batch).into_iter().take_while(|sequence| *sequence != bad));
            if batch.iter().any(|post| post.sequence == bad) {
                breaks += 1;
                if batch.len() > 1 {
                    mailbox.put_back(0, batch.into(), PutBack::Singly);
                    continue;
                }
                rejected.push(bad);
            }
            mailbox.done(0, &batch);
        }
        assert_eq!((rejected, breaks), (vec![bad], 2));
        let times = |sequence| done.iter().filter(|it| **it == sequence).count();
        for sequence in 1..=100 {
            let expected = match sequence {
                _ if sequence < bad => 2,
                _ if sequence == bad => 0,
                _ => 1,
            };
            assert_eq!(times(sequence), expected, "{bad}: {sequence}");
        }
    }
}

#[test]
fn a_batch_is_bounded_in_bytes_and_one_message_always_fits() {
    let mut mailbox = Mailbox::new();
    let large = message(&vec![0; ROUTE_BATCH_BYTES_MAX + 1]);
    for message in [&message(b"x"), &large, &message(b"y"), &message(b"z")] {
        mailbox.post(event(), (Arc::clone(message), 0), 0);
    }
    let taken: Vec<_> =
        std::iter::from_fn(|| Some(pass(&mut mailbox, 0)).filter(|it| !it.is_empty())).collect();
    assert_eq!(taken, [vec![1], vec![2], vec![3, 4]]);
}

#[test]
fn returned_messages_keep_their_order_and_can_be_retried_singly() {
    let mut mailbox = Mailbox::new();
    posts(&mut mailbox, ROUTE_BATCH_MAX + 1);
    let batch = mailbox.take(0, u64::MAX);
    assert_eq!(batch.len(), ROUTE_BATCH_MAX);
    mailbox.put_back(0, batch[3..].to_vec().into(), PutBack::InOrder);
    mailbox.done(0, &batch[..1]);
    mailbox.put_back(0, batch[1..3].to_vec().into(), PutBack::Halved);
    assert_eq!(pass(&mut mailbox, 0), [2]);
    assert_eq!(pass(&mut mailbox, 0), [3]);
    assert_eq!(pass(&mut mailbox, 0).len(), ROUTE_BATCH_MAX - 2);
    assert_eq!((pass(&mut mailbox, 0), mailbox.waiting(), mailbox.oldest()), (vec![], (0, 0), None));

    let next = mailbox.next_sequence();
    posts(&mut mailbox, 2);
    assert_eq!(mailbox.oldest(), Some(next));
    assert_eq!(pass_before(&mut mailbox, 0, next + 1), [next]);
    assert_eq!(mailbox.oldest(), Some(next + 1));
    assert!(mailbox.take(0, next + 1).is_empty());
}

#[test]
fn batches_are_as_large_as_the_route_says_and_wait_for_that() {
    let mut mailbox = Mailbox::new();
    mailbox.batch_by(Batches { messages: 3, bytes: 150, linger: Duration::from_secs(3600) });
    assert_eq!(mailbox.due(0), BatchDue::Never);
    posts(&mut mailbox, 2);
    assert!(matches!(mailbox.due(0), BatchDue::At(_)), "two are not three");
    posts(&mut mailbox, 1);
    assert_eq!(mailbox.due(0), BatchDue::Now, "it is full");
    mailbox.post(event(), (message(&[0; 200]), 0), 0);
    let batch = mailbox.take(0, u64::MAX);
    assert_eq!((sequences(&batch), mailbox.due(0)), (vec![1, 2], BatchDue::Now), "the large one fills it");
    mailbox.done(0, &batch[..1]);
    mailbox.put_back(0, batch[1..].to_vec().into(), PutBack::InOrder);
    assert_eq!((pass(&mut mailbox, 0), mailbox.due(0)), (vec![2, 3], BatchDue::Now));
    assert_eq!(pass(&mut mailbox, 0), [4]);
    posts(&mut mailbox, 1);
    assert!(matches!(mailbox.due(0), BatchDue::At(_)));
    mailbox.batch_by(Batches::default());
    assert_eq!(mailbox.due(0), BatchDue::Now, "the replacement does not wait");
}

#[test]
fn a_part_that_is_tried_again_stays_that_part() {
    let mut mailbox = Mailbox::new();
    posts(&mut mailbox, 8);
    let batch = mailbox.take(0, u64::MAX);
    mailbox.put_back(0, batch.into(), PutBack::Halved);
    for _ in 0..3 {
        let batch = mailbox.take(0, u64::MAX);
        assert_eq!(sequences(&batch), [1, 2, 3, 4]);
        mailbox.put_back(0, batch.into(), PutBack::InOrder);
    }
    // The first two pass; what is left of the part comes without the other half.
    let batch = mailbox.take(0, u64::MAX);
    mailbox.done(0, &batch[..2]);
    mailbox.put_back(0, batch[2..].to_vec().into(), PutBack::InOrder);
    assert_eq!(pass(&mut mailbox, 0), [3, 4]);
    let batch = mailbox.take(0, u64::MAX);
    mailbox.put_back(0, batch.into(), PutBack::Halved);
    assert_eq!(pass(&mut mailbox, 0), [5, 6]);
    assert_eq!(pass(&mut mailbox, 0), [7, 8]);
    posts(&mut mailbox, 2);
    assert_eq!(pass(&mut mailbox, 0), [9, 10]);
    assert!(mailbox.lanes[0].cuts.is_empty());
}

#[test]
fn batch_that_ends_the_connection_is_retried_whole_then_halved() {
    let mut mailbox = Mailbox::new();
    posts(&mut mailbox, 8);
    let mut sizes = Vec::new();
    loop {
        let batch = mailbox.take(0, u64::MAX);
        sizes.push(batch.len());
        if batch.len() == 1 {
            break;
        }
        mailbox.put_back(0, batch.into(), PutBack::Lost);
    }
    assert_eq!(sizes, [8, 8, 4, 2, 1]);
    let mut mailbox = Mailbox::new();
    posts(&mut mailbox, 8);
    for _ in 0..9 {
        let batch = mailbox.take(0, u64::MAX);
        assert_eq!(batch.len(), mailbox.unfinished().0, "another one in front each time");
        mailbox.put_back(0, batch.into(), PutBack::Lost);
        let batch = mailbox.take(0, u64::MAX);
        if batch.is_empty() {
            break;
        }
        mailbox.done(0, &batch[..1]);
        mailbox.put_back(0, batch[1..].to_vec().into(), PutBack::InOrder);
    }
}

#[test]
fn message_that_ends_the_connection_is_sometimes_retried_with_following_ones() {
    let mut mailbox = Mailbox::new();
    mailbox.post(event(), (message(&vec![0; ROUTE_BATCH_BYTES_MAX]), 0), 0);
    let mut sizes = Vec::new();
    for _ in 0..6 {
        let batch = mailbox.take(0, u64::MAX);
        sizes.push(batch.len());
        mailbox.put_back(0, batch.into(), PutBack::Lost);
    }
    assert_eq!(sizes, [1; 6], "nothing is behind it");
    posts(&mut mailbox, 100);
    sizes.clear();
    let batch = loop {
        let batch = mailbox.take(0, u64::MAX);
        sizes.push(batch.len());
        if sizes.len() == 13 {
            break batch;
        }
        mailbox.put_back(0, batch.into(), PutBack::Lost);
    };
    assert_eq!(sizes, [1, 65, 1, 1, 1, 1, 1, 65, 1, 1, 1, 1, 1]);
    mailbox.put_back(0, batch.into(), PutBack::Lost);
    let batch = mailbox.take(0, u64::MAX);
    mailbox.done(0, &batch[..1]);
    mailbox.put_back(0, batch[1..].to_vec().into(), PutBack::InOrder);
    assert_eq!((mailbox.take(0, u64::MAX).len(), mailbox.take(0, u64::MAX).len()), (64, 36));
}

#[test]
fn mailbox_has_room_until_the_message_that_fills_it() {
    let mut mailbox = Mailbox::new();
    mailbox.bound(2, ROUTE_MAILBOX_BYTES_MAX);
    mailbox.lanes_are(2);
    post(&mut mailbox, "a");
    post(&mut mailbox, "b");
    assert!(!mailbox.has_room(), "of all lanes together");
    assert_eq!(mailbox.filled(), Some(Filled { count: 2, most: 2, of: "messages" }));
    assert_eq!(mailbox.admit(1), None);
    mailbox.bound(ROUTE_MAILBOX_MESSAGES_MAX, 1000);
    assert_eq!(mailbox.admit(2000), Some(2064), "the message that fills it is taken whole");
    assert_eq!(mailbox.filled(), Some(Filled { count: 2 * 66 + 2064, most: 1000, of: "bytes" }));
    assert_eq!(mailbox.admit(1), None, "another turn's");
    mailbox.is_not_admitted(2064);
    assert_eq!(mailbox.filled(), None);
    mailbox.post(event(), (message(&[0; 1000]), 0), 0);
    assert!(!mailbox.has_room());
}

#[test]
fn messages_in_memory_count_toward_the_sum_of_all_mailboxes() {
    let options = EngineOptions { all_memory_bytes_max: 4 << 20, ..EngineOptions::default() };
    let engine = Engine::new(&options).unwrap();
    let large = message(&vec![0; 100_000]);
    let full = |account| {
        let mut mailbox = Mailbox::new();
        mailbox.share(engine.mailbox_room(account));
        let has_room = |_: &i32| {
            let has_room = mailbox.has_room();
            if has_room {
                mailbox.post(event(), (Arc::clone(&large), 0), 0);
            }
            has_room
        };
        let taken = (0..20).filter(has_room).count();
        (mailbox, taken)
    };
    let (mut mailbox, taken) = full(1);
    assert_eq!(
        taken, 9,
        "three quarters of a MiB, which is a quarter of what guests have, and what fills it"
    );
    assert_eq!(mailbox.take(0, u64::MAX).len(), 9);
    assert_eq!(full(2).1, 9, "it was given back");
}

#[test]
fn stored_messages_are_loaded_while_the_account_has_memory() {
    let options = EngineOptions { all_memory_bytes_max: 4 << 20, ..EngineOptions::default() };
    let engine = Engine::new(&options).unwrap();
    let mailbox = |account| {
        let mut mailbox = Mailbox::new();
        mailbox.share(engine.mailbox_room(account));
        mailbox
    };
    let (mut first, mut second) = (mailbox(1), mailbox(1));
    assert!(first.holds_besides(600_000));
    assert!(!second.holds_besides(600_000), "the sum is that of the account");
    assert!(mailbox(2).holds_besides(100_000), "another has its part");
    post(&mut first, "a");
    first.take(0, u64::MAX);
    assert!(second.holds_besides(600_000), "it was given back when something was taken");
}

#[test]
fn messages_of_a_topic_follow_each_other_and_others_go_where_there_is_least() {
    let mut mailbox = Mailbox::new();
    mailbox.lanes_are(3);
    let lanes: Vec<_> = ["a", "b", "c", "b", "b", "d", "c"].map(|it| post(&mut mailbox, it)).into();
    assert_eq!(lanes, [0, 1, 2, 1, 1, 0, 2]);
    let batch = mailbox.take(1, u64::MAX);
    assert_eq!(sequences(&batch), [2, 4, 5]);
    assert_eq!(post(&mut mailbox, "b"), 1, "of what is taken as well");
    mailbox.done(1, &batch);
    assert_eq!(pass(&mut mailbox, 1), [8]);
    assert_eq!(pass(&mut mailbox, 0), [1, 6]);
    assert_eq!(post(&mut mailbox, "b"), 0, "nothing of it is left");
    let row = |table: &str| (Addressee::Table(table.into()), Arc::new(OwnedMessage::new("", b"{}".to_vec())));
    let ((rows, one), (others, other)) = (row("rows"), row("others"));
    assert_eq!(mailbox.post(rows.clone(), (Arc::clone(&one), 0), 0), 1);
    assert_eq!(mailbox.post(others, (other, 0), 0), 0);
    assert_eq!(mailbox.post(rows, (one, 0), 0), 1, "rows of a table as well");
}

#[test]
fn disconnected_lane_gets_no_new_topics_and_hands_over_waiting_messages() {
    let mut mailbox = Mailbox::new();
    mailbox.lanes_are(2);
    mailbox.lane_is(1, true);
    assert_eq!([post(&mut mailbox, "a"), post(&mut mailbox, "b")], [1, 1]);
    mailbox.lane_is(0, true);
    assert_eq!([post(&mut mailbox, "c"), post(&mut mailbox, "a")], [0, 1]);
    let batch = mailbox.take(1, u64::MAX);
    assert!(!mailbox.hand_over(1), "something of it is taken");
    mailbox.done(1, &batch[..1]);
    mailbox.put_back(1, batch[1..].to_vec().into(), PutBack::InOrder);
    assert!(mailbox.hand_over(1));
    assert!(!mailbox.hand_over(0), "nobody is left");
    assert_eq!((pass(&mut mailbox, 1), pass(&mut mailbox, 0)), (vec![], vec![2, 3, 4]));
}

#[test]
fn the_number_of_lanes_changes_when_nothing_is_taken() {
    let mut mailbox = Mailbox::new();
    mailbox.lanes_are(2);
    for topic in ["a", "b", "a", "b"] {
        post(&mut mailbox, topic);
    }
    let batch = mailbox.take(0, u64::MAX);
    mailbox.lanes_are(1);
    assert_eq!(post(&mut mailbox, "a"), 0);
    assert_eq!((mailbox.take(1, u64::MAX).len(), mailbox.due(1)), (0, BatchDue::Never));
    mailbox.done(0, &batch[..1]);
    mailbox.put_back(0, batch[1..].to_vec().into(), PutBack::InOrder);
    assert_eq!(pass(&mut mailbox, 0), [2, 3, 4, 5]);
}

/// Something that happens to a mailbox.
#[derive(Clone, Debug)]
enum Step {
    /// A message comes, of the topic of this number.
    Post(usize),
    /// A lane takes a batch, unless it has one.
    Take(usize),
    /// So much of what a lane has taken is done, and the rest comes back, perhaps to be halved.
    Answer {
        lane: usize,
        done: usize,
        is_halved: bool,
    },
    LaneIs(usize, bool),
    HandOver(usize),
    LanesAre(usize),
    BatchBy(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let lane = 0..4_usize;
    prop_oneof![
        8 => (0..6_usize).prop_map(Step::Post),
        4 => lane.clone().prop_map(Step::Take),
        4 => (lane.clone(), 0..8_usize, any::<bool>())
            .prop_map(|(lane, done, is_halved)| Step::Answer { lane, done, is_halved }),
        1 => (lane.clone(), any::<bool>()).prop_map(|(lane, is_open)| Step::LaneIs(lane, is_open)),
        1 => lane.prop_map(Step::HandOver),
        1 => (1..5_usize).prop_map(Step::LanesAre),
        1 => (1..6_usize).prop_map(Step::BatchBy),
    ]
}

/// Naive model: what waits of each topic, in its order, and what each lane has taken.
#[derive(Default)]
struct Model {
    /// Sequence numbers that are not done, by topic.
    left: BTreeMap<String, VecDeque<u64>>,
    taken: BTreeMap<usize, Vec<RouteMessage>>,
}

impl Model {
    fn step(&mut self, mailbox: &mut Mailbox, step: &Step) {
        match *step {
            Step::Post(topic) => {
                let topic = topic.to_string();
                let sequence = mailbox.next_sequence();
                post(mailbox, &topic);
                self.left.entry(topic).or_default().push_back(sequence);
            }
            Step::Take(lane) => self.take(mailbox, lane),
            Step::Answer { lane, done, is_halved } => self.answer(mailbox, (lane, done), is_halved),
            Step::LaneIs(lane, is_open) => mailbox.lane_is(lane, is_open),
            Step::HandOver(lane) => drop(mailbox.hand_over(lane)),
            Step::LanesAre(lanes) => mailbox.lanes_are(lanes),
            Step::BatchBy(messages) => mailbox.batch_by(Batches { messages, ..Batches::default() }),
        }
        let left: usize = self.left.values().map(VecDeque::len).sum();
        let taken: usize = self.taken.values().map(Vec::len).sum();
        assert_eq!(mailbox.waiting().0, left - taken);
        assert_eq!(mailbox.oldest(), self.left.values().filter_map(|left| left.front().copied()).min());
    }

    /// A batch has the oldest messages of its topics, of none of which another lane has any.
    fn take(&mut self, mailbox: &mut Mailbox, lane: usize) {
        if self.taken.contains_key(&lane) {
            return;
        }
        let batch = mailbox.take(lane, u64::MAX);
        assert!(sequences(&batch).is_sorted());
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for post in &batch {
            let topic = &*post.message.topic;
            let others = self.taken.values().flatten();
            assert!(others.clone().all(|other| *other.message.topic != *topic), "{topic} is taken twice");
            let position = seen.entry(topic).or_default();
            assert_eq!(self.left[topic][*position], post.sequence, "{topic} is overtaken");
            *position += 1;
        }
        if !batch.is_empty() {
            self.taken.insert(lane, batch);
        }
    }

    fn answer(&mut self, mailbox: &mut Mailbox, (lane, done): (usize, usize), is_halved: bool) {
        let Some(batch) = self.taken.remove(&lane) else { return };
        let (done, back) = batch.split_at(done.min(batch.len()));
        for post in done {
            let first = self.left.get_mut(&*post.message.topic).and_then(VecDeque::pop_front);
            assert_eq!(first, Some(post.sequence));
        }
        mailbox.done(lane, done);
        match is_halved {
            true => mailbox.put_back(lane, back.to_vec().into(), PutBack::Halved),
            false => mailbox.put_back(lane, back.to_vec().into(), PutBack::InOrder),
        };
    }

    /// In the end everything passes.
    fn finish(&mut self, mailbox: &mut Mailbox) {
        for lane in 0..4 {
            self.answer(mailbox, (lane, usize::MAX), false);
        }
        while mailbox.oldest().is_some() {
            for lane in 0..4 {
                self.take(mailbox, lane);
                self.answer(mailbox, (lane, usize::MAX), false);
            }
        }
        assert!(self.left.values().all(VecDeque::is_empty), "{:?}", self.left);
        assert_eq!((mailbox.waiting(), mailbox.keys.len()), ((0, 0), 0));
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_doubled_and_each_topic_keeps_its_order(steps in proptest::collection::vec(step(), 1..200)) {
        let (mut mailbox, mut model) = (Mailbox::new(), Model::default());
        for step in &steps {
            model.step(&mut mailbox, step);
        }
        model.finish(&mut mailbox);
    }
}

#[test]
fn messages_with_one_order_key_use_one_lane() {
    let by = |parts: &[TemplatePart]| {
        let said = RouteFacts {
            kind: "T".into(),
            sections: vec![RouteBlock {
                name: "ROUTE_CONFIG".into(),
                settings: [("ORDER_KEY".to_owned(), RouteValue::Template(parts.to_vec()))].into(),
                ..RouteBlock::default()
            }],
            events: Vec::new(),
            mappings: Vec::new(),
            stores: Vec::new(),
        };
        OrderKey::of(&said).unwrap()
    };
    let mut mailbox = Mailbox::new();
    mailbox.lanes_are(2);
    let device = by(&[TemplatePart::TopicLevel(2)]);
    mailbox.order_by(Some(device));
    let first = post(&mut mailbox, "p/a/t");
    let other = post(&mut mailbox, "p/b/t");
    assert_ne!(first, other);
    for topic in ["p/a/u", "q/a", "p/a/t"] {
        assert_eq!(post(&mut mailbox, topic), first, "{topic}");
    }
    assert_eq!(post(&mut mailbox, "q/b/x/y"), other);

    // A batch is out: the key stays what it was, and nothing more is taken.
    let batch = mailbox.take(first, u64::MAX);
    assert_eq!(sequences(&batch), [1, 3, 4, 5]);
    mailbox.order_by(None);
    assert!(mailbox.take(other, u64::MAX).is_empty());
    assert_eq!(post(&mut mailbox, "p/a/v"), first);
    mailbox.done(first, &batch);
    // Then what waits is dealt out by topic.
    assert_ne!(post(&mut mailbox, "p/b/t"), post(&mut mailbox, "q/b/x/y"));
    mailbox.order_by(Some(by(&[TemplatePart::Text("all".into())])));
    let (one, two) = (mailbox.take(0, u64::MAX), mailbox.take(1, u64::MAX));
    assert!(one.is_empty() || two.is_empty());
    assert_eq!(sequences(&one).len() + sequences(&two).len(), 5);
}
