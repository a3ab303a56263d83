//! Tests of the producer with answers of a cluster.

use super::*;
use lotmq_guest::route::testing::delivery;

fn item(index: usize, payload: &str) -> Item {
    let record =
        Record { value: Some(bytes::Bytes::copy_from_slice(payload.as_bytes())), ..Record::default() };
    Item { index, digest: index as u64, record }
}

fn call(count: usize) -> Call {
    let queue = (0..count).map(|index| item(index, "x")).collect();
    Call {
        outcomes: vec![None; count],
        queues: BTreeMap::from([(place(), queue)]),
        most: BTreeMap::new(),
        homeless: None,
    }
}

fn place() -> Place {
    ("t".to_owned(), 0)
}

fn producer() -> Producer {
    Producer { identity: Some((7, 0)), next: BTreeMap::new(), kept: Kept::default() }
}

fn pending(call: &Call, count: usize) -> Pending {
    let digest = digest_of(&call.queues[&place()], count);
    Pending { producer_id: 7, epoch: 0, base_sequence: 5, count: count as u32, digest }
}

fn answer(code: i16) -> PartitionProduceResponse {
    PartitionProduceResponse::default().with_error_code(code)
}

#[test]
fn what_is_written_is_done_and_counted() {
    for code in [0, 46] {
        let (mut producer, mut call, mut waits) = (producer(), call(3), None);
        let pending = pending(&call, 2);
        assert!(producer.answered_of(&mut call, &place(), pending, &answer(code), &mut waits).is_none());
        assert_eq!(call.outcomes, [Some(Outcome::Written), Some(Outcome::Written), None]);
        assert_eq!((producer.next[&place()], waits), (7, None));
    }
}

#[test]
fn what_waits_is_sent_again_as_it_was() {
    for code in [6, 7, 19] {
        let (mut producer, mut call, mut waits) = (producer(), call(3), None);
        let pending = pending(&call, 2);
        producer.kept.pending.insert(place(), pending);
        assert!(producer.answered_of(&mut call, &place(), pending, &answer(code), &mut waits).is_none());
        assert_eq!(
            waits.unwrap(),
            format!("topic 't', partition 0: {}", failures::described(Code::try_from_code(code).unwrap()))
        );
        producer.heed_kept(&call);
        assert_eq!(producer.kept.pending[&place()], pending);
    }
}

#[test]
fn numbers_of_a_batch_that_does_not_come_again_are_not_used_for_others() {
    let (mut producer, call) = (producer(), call(3));
    let other = Pending { digest: 1, ..pending(&call, 2) };
    producer.kept.pending.insert(place(), other);
    producer.heed_kept(&call);
    assert_eq!((producer.identity, producer.kept.pending.len()), (None, 0));
    // Those of a former identity are of no use to others anyhow.
    let mut producer = Producer { identity: Some((8, 0)), ..producer };
    producer.kept.pending.insert(place(), other);
    producer.heed_kept(&call);
    assert_eq!((producer.identity, producer.kept.pending.len()), (Some((8, 0)), 0));
}

#[test]
fn a_record_that_can_never_pass_costs_only_itself() {
    // Named by the broker.
    let (mut producer, mut waits) = (producer(), None);
    let mut named = call(3);
    let error =
        kafka_protocol::messages::produce_response::BatchIndexAndErrorMessage::default().with_batch_index(1);
    let refused = answer(87).with_record_errors(vec![error]);
    let of_three = pending(&named, 3);
    producer.answered_of(&mut named, &place(), of_three, &refused, &mut waits);
    let rejected = |reason: &str| Some(Outcome::Rejected(format!("topic 't', partition 0: {reason}")));
    assert_eq!(named.outcomes, [None, rejected("INVALID_RECORD (87)"), None]);
    assert_eq!(named.queues[&place()].iter().map(|item| item.index).collect::<Vec<_>>(), [0, 2]);
    // Found by halves.
    let mut halved = call(3);
    let of_three = pending(&halved, 3);
    producer.answered_of(&mut halved, &place(), of_three, &answer(10), &mut waits);
    assert_eq!((halved.most[&place()], count_of(&halved.queues[&place()], halved.most[&place()])), (1, 1));
    let of_one = pending(&halved, 1);
    producer.answered_of(&mut halved, &place(), of_one, &answer(10), &mut waits);
    assert_eq!(halved.outcomes, [rejected("MESSAGE_TOO_LARGE (10)"), None, None]);
    assert!(producer.next.is_empty() && waits.is_none());
}

#[test]
fn a_broker_that_has_lost_count_is_written_to_under_a_new_number() {
    let (mut producer, mut call, mut waits) = (producer(), call(1), None);
    let pending = pending(&call, 1);
    producer.kept.pending.insert(place(), pending);
    producer.answered_of(&mut call, &place(), pending, &answer(45), &mut waits);
    assert_eq!((producer.identity, producer.kept.pending.len()), (None, 0));
    let failure = producer.answered_of(&mut call, &place(), pending, &answer(29), &mut waits);
    assert!(matches!(failure, Some(Failure::Fatal(reason)) if reason.contains("TOPIC_AUTHORIZATION_FAILED")));
}

#[test]
fn the_host_is_told_from_the_first_on_and_the_rest_is_kept() {
    let deliveries: Vec<Delivery> =
        (1..=4).map(|sequence| Delivery { sequence, ..delivery("a", sequence.to_string()) }).collect();
    let mut producer = producer();
    let mut call = call(4);
    call.outcomes =
        vec![Some(Outcome::Written), Some(Outcome::Rejected("so".to_owned())), None, Some(Outcome::Written)];
    let receipt = producer.told(call, &deliveries, Some(Failure::Retry("busy".to_owned()))).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected[0].index, &*receipt.rejected[0].reason), (2, 1, "so"));
    assert_eq!(Kept::load().written, BTreeMap::from([(4, kept::fingerprint(&deliveries[3]))]));
}

#[test]
fn batches_have_a_size_and_numbers_an_end() {
    let large = "x".repeat(BATCH_BYTES_MAX / 2);
    let queue: VecDeque<Item> = (0..3).map(|index| item(index, &large)).collect();
    assert_eq!(count_of(&queue, usize::MAX), 1);
    assert_eq!(count_of(&(0..9).map(|index| item(index, "x")).collect(), usize::MAX), 9);
    assert_eq!(count_of(&VecDeque::from([item(0, &"x".repeat(BATCH_BYTES_MAX + 1))]), 5), 1);
    assert_eq!((following(5, 2), following(i32::MAX, 1), following(i32::MAX - 1, 4)), (7, 0, 2));
}
