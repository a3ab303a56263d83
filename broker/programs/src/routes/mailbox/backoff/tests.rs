use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lotmq_host::OwnedMessage;
use proptest::prelude::*;

use super::super::{BatchDue, Mailbox, PutBack};
use super::*;

fn post(mailbox: &mut Mailbox, event: &str, topic: &str) {
    let message = Arc::new(OwnedMessage::new(topic, b"x".to_vec()));
    mailbox.post(Addressee::Event(event.into()), (message, 0), 0);
}

fn take(mailbox: &mut Mailbox) -> Vec<u64> {
    mailbox.take(0, u64::MAX).iter().map(|post| post.sequence).collect()
}

fn is_of_one(batch: &[RouteMessage]) -> bool {
    batch.iter().all(|post| post.to == batch[0].to)
}

#[test]
fn others_pass_what_rests_but_for_messages_of_its_topics() {
    let mut mailbox = Mailbox::new();
    for (event, topic) in [("bad", "a"), ("good", "b"), ("bad", "c"), ("good", "a"), ("good", "d")] {
        post(&mut mailbox, event, topic);
    }
    let all = mailbox.take(0, u64::MAX);
    assert_eq!(all.len(), 5);
    // Nobody knows yet whose fault it was.
    let all: VecDeque<RouteMessage> = all.into();
    mailbox.separate(0, &all);
    mailbox.put_back(0, all, PutBack::InOrder);
    let bad = mailbox.take(0, u64::MAX);
    assert_eq!(bad.iter().map(|post| post.sequence).collect::<Vec<_>>(), [1, 3]);
    assert!(mailbox.put_back(0, bad.into(), PutBack::Resting(Pause::from_ms(60_000))));
    assert_eq!((mailbox.waiting().0, mailbox.ready().0, mailbox.oldest()), (5, 2, Some(1)));
    let good = mailbox.take(0, u64::MAX);
    assert_eq!(good.iter().map(|post| post.sequence).collect::<Vec<_>>(), [2, 5]);
    mailbox.done(0, &good);
    // Messages that arrive meanwhile queue in their own place.
    post(&mut mailbox, "good", "a");
    post(&mut mailbox, "good", "b");
    post(&mut mailbox, "bad", "b");
    assert_eq!(take(&mut mailbox), [7]);
    assert!(matches!(mailbox.due(0), BatchDue::At(_)), "{:?}", mailbox.due(0));
    // Another version may do better.
    let (messages, _) = mailbox.unfinished();
    mailbox.begin_anew();
    assert_eq!((mailbox.unfinished().0, mailbox.due(0)), (messages, BatchDue::Now));
}

#[test]
fn paused_messages_are_retried_in_halved_batches_until_one_passes() {
    let mut mailbox = Mailbox::new();
    (0..8).for_each(|_| post(&mut mailbox, "bad", "a"));
    for expected in [8, 4, 2, 1, 1] {
        let batch = mailbox.take(0, u64::MAX);
        assert_eq!(batch.len(), expected);
        mailbox.put_back(0, batch.into(), PutBack::Resting(Pause::from_ms(0)));
    }
    let batch = mailbox.take(0, u64::MAX);
    mailbox.have_passed(0, [&batch[0].to].into_iter());
    mailbox.done(0, &batch);
    assert_eq!(take(&mut mailbox), [2, 3, 4, 5, 6, 7, 8]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each message passes once, and those of a topic in their order, however often takers fail.
    #[test]
    fn each_message_passes_once_and_topics_keep_their_order(
        posts in prop::collection::vec((0_usize..4, 0_usize..5), 1..60),
        fails in prop::collection::vec(0_usize..4, 4),
        late in 0_usize..60,
    ) {
        let mut mailbox = Mailbox::new();
        let name = |number: usize| ["a", "b", "c", "d", "e"][number];
        let (early, late) = posts.split_at(late.min(posts.len()));
        early.iter().for_each(|(event, topic)| post(&mut mailbox, name(*event), name(*topic)));
        let mut late = late.iter();
        let mut fails: BTreeMap<Addressee, usize> =
            fails.iter().enumerate().map(|(event, times)| (Addressee::Event(name(event).into()), *times)).collect();
        let mut passed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut count = 0;
        while count < posts.len() {
            if let Some((event, topic)) = late.next() {
                post(&mut mailbox, name(*event), name(*topic));
            }
            let batch = mailbox.take(0, u64::MAX);
            if batch.is_empty() {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let bad = batch.iter().find(|post| fails.get(&post.to).is_some_and(|left| *left > 0));
            let Some(bad) = bad.map(|post| post.to.clone()) else {
                for post in &batch {
                    passed.entry(post.message.topic.to_string()).or_default().push(post.sequence);
                    mailbox.have_passed(0, [&post.to].into_iter());
                }
                count += batch.len();
                mailbox.done(0, &batch);
                continue;
            };
            let is_of_one = is_of_one(&batch);
            let batch: VecDeque<RouteMessage> = batch.into();
            if is_of_one {
                fails.entry(bad).and_modify(|left| *left -= 1);
                mailbox.put_back(0, batch, PutBack::Resting(Pause::from_ms(1)));
            } else {
                mailbox.separate(0, &batch);
                mailbox.put_back(0, batch, PutBack::InOrder);
            }
        }
        prop_assert_eq!((mailbox.unfinished(), count), ((0, 0), posts.len()));
        prop_assert!(passed.values().all(|of_topic| of_topic.is_sorted()), "{:?}", passed);
    }
}
