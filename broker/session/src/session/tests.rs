//! Short stories of one session, each with the clause that it comes from; the random stories are in
//! `tests/`.

use super::*;
use crate::{ImportError, InflightMessage, InflightStep};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use std::sync::Arc;

fn options(send_maximum: u16) -> SessionOptions {
    SessionOptions { send_maximum, ..SessionOptions::new(ProtocolVersion::V5) }
}

fn session(send_maximum: u16) -> Session<u32> {
    Session::new(options(send_maximum))
}

fn pid(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

fn publish(id: u16, qos: QoS, message: u32, dup: bool) -> Outbound<u32> {
    Outbound::Publish { packet_id: pid(id), qos, message, dup }
}

fn drain(session: &mut Session<u32>) -> Vec<Outbound<u32>> {
    let drained = std::iter::from_fn(|| session.next_outbound()).collect();
    session.check_invariants().unwrap();
    drained
}

#[test]
fn idle_session_is_small() {
    assert!(size_of::<Session<Arc<str>>>() <= 64, "{}", size_of::<Session<Arc<str>>>());
}

#[test]
fn publisher_of_qos_1_needs_no_allocation() {
    let mut session = session(1);
    session.judge_at_least_once(pid(1), 0).unwrap();
    session.refuse_exactly_once(pid(1));
    assert!(session.flows.is_none());
}

#[test]
fn repeated_qos_2_publish_is_not_delivered_again() {
    let mut session = session(1);
    let mut receive = |_dup: bool| session.receive_exactly_once(pid(7), 0);
    assert_eq!(receive(false), Ok(InboundPublish::Deliver));
    assert_eq!(receive(true), Ok(InboundPublish::Duplicate)); // [MQTT-4.3.3-10]
    assert_eq!(receive(false), Ok(InboundPublish::Duplicate));
    session.resume(options(1));
    assert_eq!(session.receive_exactly_once(pid(7), 0), Ok(InboundPublish::Duplicate));
    assert_eq!(session.handle_pubrel(pid(7)), PubrelOutcome::Released);
    assert_eq!(session.handle_pubrel(pid(7)), PubrelOutcome::Unknown);
    // [MQTT-4.3.3-12]: after PUBCOMP the identifier is new.
    assert_eq!(session.receive_exactly_once(pid(7), 0), Ok(InboundPublish::Deliver));
}

#[test]
fn receive_maximum_exceeded_is_refused_in_5_0_alone() {
    for (version, is_refused) in [(ProtocolVersion::V5, true), (ProtocolVersion::V3_1_1, false)] {
        let mut session =
            Session::<u32>::new(SessionOptions { receive_maximum: 2, ..SessionOptions::new(version) });
        session.receive_exactly_once(pid(2), 1).unwrap();
        assert_eq!(session.receive_exactly_once(pid(2), 1), Ok(InboundPublish::Duplicate));
        let refusal = PublishRefusal::ReceiveMaximumExceeded { inflight: 2, receive_maximum: 2 };
        let results =
            [session.judge_at_least_once(pid(3), 1), session.receive_exactly_once(pid(3), 1).map(drop)];
        assert_eq!(results.map(Result::err), [is_refused.then_some(refusal); 2], "{version:?}"); // [MQTT-3.3.4-7]
        session.check_invariants().unwrap();
    }
}

#[test]
fn messages_that_the_caller_counts_share_the_receive_maximum() {
    let options = SessionOptions { receive_maximum: 2, ..SessionOptions::new(ProtocolVersion::V5) };
    let mut session = Session::<u32>::new(options);
    let full = PublishRefusal::ReceiveMaximumExceeded { inflight: 2, receive_maximum: 2 };
    assert_eq!(session.receive_exactly_once(pid(1), 1), Ok(InboundPublish::Deliver));
    assert_eq!(session.receive_exactly_once(pid(2), 1), Err(full)); // [MQTT-3.3.4-7]
    assert_eq!(session.receive_exactly_once(pid(1), 1), Ok(InboundPublish::Duplicate));
    assert_eq!(session.judge_at_least_once(pid(2), 0), Ok(()));
    assert_eq!(session.judge_at_least_once(pid(2), 1), Err(full));
    let in_use = PublishRefusal::PacketIdInUse { packet_id: pid(1) };
    assert_eq!(session.judge_at_least_once(pid(1), 0), Err(in_use)); // [MQTT-2.2.1-3]
}

#[test]
fn place_in_the_receive_maximum_is_free_after_the_last_answer() {
    let mut session = Session::<u32>::new(SessionOptions {
        receive_maximum: 1,
        ..SessionOptions::new(ProtocolVersion::V5)
    });
    session.receive_exactly_once(pid(1), 0).unwrap();
    session.handle_pubrel(pid(1));
    session.receive_exactly_once(pid(2), 0).unwrap();
    assert!(session.judge_at_least_once(pid(3), 0).is_err());
    session.refuse_exactly_once(pid(2)); // [MQTT-4.3.3-9]
    assert_eq!(session.handle_pubrel(pid(2)), PubrelOutcome::Unknown);
    session.judge_at_least_once(pid(3), 0).unwrap();
}

#[test]
fn exchanges_of_an_earlier_connection_do_not_count_until_repeated() {
    let options = SessionOptions { receive_maximum: 1, ..options(1) };
    let mut session = Session::<u32>::new(options);
    session.receive_exactly_once(pid(1), 0).unwrap();
    session.resume(options);
    assert_eq!(session.receive_exactly_once(pid(2), 0), Ok(InboundPublish::Deliver));
    assert!(session.receive_exactly_once(pid(1), 0).is_err());
    session.handle_pubrel(pid(2));
    assert_eq!(session.receive_exactly_once(pid(1), 0), Ok(InboundPublish::Duplicate));
    assert!(session.judge_at_least_once(pid(3), 0).is_err());
}

#[test]
fn publish_with_a_wrong_identifier_is_refused() {
    let mut session = session(1);
    session.receive_exactly_once(pid(1), 0).unwrap();
    let in_use = PublishRefusal::PacketIdInUse { packet_id: pid(1) };
    assert_eq!(session.judge_at_least_once(pid(1), 0), Err(in_use)); // [MQTT-2.2.1-3]
}

#[test]
fn window_is_never_larger_than_the_receive_maximum() {
    let mut session = session(2);
    assert_eq!(session.offer(AtLeastOnce, 1, || 1), Offer::Send(pid(1)));
    assert_eq!(session.offer(ExactlyOnce, 1, || 2), Offer::Send(pid(2)));
    assert_eq!(session.offer(AtLeastOnce, 1, || 3), Offer::Queued); // [MQTT-3.3.4-9]
    assert_eq!(session.offer(AtMostOnce, 1, || 4), Offer::SendUnacknowledged);
    let pubrec = session.handle_pubrec(pid(2), ReasonCode::Success);
    assert_eq!(pubrec, Ok(PubrecOutcome::SendPubrel { message: Some(2) }));
    assert_eq!(drain(&mut session), []); // the place of a QoS 2 message is free at PUBCOMP
    assert_eq!(session.handle_pubcomp(pid(2)), Ok(Acked { message: None, qos: ExactlyOnce }));
    assert_eq!(drain(&mut session), [publish(3, AtLeastOnce, 3, false)]);
    assert_eq!(session.handle_puback(pid(1)), Ok(Acked { message: Some(1), qos: AtLeastOnce }));
}

#[test]
fn nothing_new_overtakes_what_waits() {
    let mut session = session(1);
    let _ = session.offer(AtLeastOnce, 1, || 1);
    let _ = session.offer(AtLeastOnce, 1, || 2);
    session.handle_puback(pid(1)).unwrap();
    assert_eq!(session.offer(AtLeastOnce, 1, || 3), Offer::Queued); // [MQTT-4.6.0-5]
    assert_eq!(drain(&mut session), [publish(2, AtLeastOnce, 2, false)]);
    session.handle_puback(pid(2)).unwrap();
    assert_eq!(drain(&mut session), [publish(3, AtLeastOnce, 3, false)]);
}

#[test]
fn message_for_a_blocked_connection_waits_although_the_window_has_room() {
    let mut session = session(9);
    assert!(session.can_send());
    assert_eq!(session.enqueue(AtLeastOnce, 1, || 1), Offer::Queued);
    assert!(!session.can_send(), "the next one would overtake it, [MQTT-4.6.0-5]");
    assert_eq!(session.offer(AtLeastOnce, 1, || 2), Offer::Queued);
    assert_eq!(drain(&mut session), [publish(1, AtLeastOnce, 1, false), publish(2, AtLeastOnce, 2, false)]);
    assert!(session.can_send());
    session.disconnect();
    assert!(!session.can_send());
}

#[test]
fn acknowledgements_that_do_not_fit_change_nothing() {
    let mut session = session(9);
    let _ = session.offer(AtLeastOnce, 1, || 1);
    let _ = session.offer(ExactlyOnce, 1, || 2);
    let before = session.counts();
    let unexpected = |id| AckRefusal::Unexpected { packet_id: pid(id) };
    let not_found = |id| AckRefusal::PacketIdNotFound { packet_id: pid(id) };
    assert_eq!(session.handle_puback(pid(2)), Err(unexpected(2)));
    assert_eq!(session.handle_pubrec(pid(1), ReasonCode::Success), Err(unexpected(1)));
    assert_eq!(session.handle_pubcomp(pid(2)), Err(unexpected(2)));
    assert_eq!(session.handle_puback(pid(3)), Err(not_found(3)));
    assert_eq!(session.handle_puback(pid(9)), Err(not_found(9)), "shares the slot of 1");
    assert_eq!(session.handle_pubrec(pid(10), ReasonCode::Success), Err(not_found(10)));
    assert_eq!(session.handle_pubcomp(pid(3)), Err(not_found(3)));
    assert_eq!(session.counts(), before);
}

#[test]
fn repeated_pubrec_gets_pubrel_again() {
    let mut session = session(9);
    let _ = session.offer(ExactlyOnce, 1, || 1);
    session.handle_pubrec(pid(1), ReasonCode::Success).unwrap();
    let again = session.handle_pubrec(pid(1), ReasonCode::Success);
    assert_eq!(again, Ok(PubrecOutcome::SendPubrel { message: None }));
}

#[test]
fn pubrec_that_refuses_ends_the_exchange() {
    let mut session = session(1);
    let _ = session.offer(ExactlyOnce, 1, || 1);
    let refused = session.handle_pubrec(pid(1), ReasonCode::NotAuthorized); // [MQTT-4.3.3-4]
    assert_eq!(refused, Ok(PubrecOutcome::Finished(Acked { message: Some(1), qos: ExactlyOnce })));
    assert_eq!(session.counts().inflight, 0);
    session.resume(options(1));
    assert_eq!(drain(&mut session), []); // [MQTT-4.4.0-2]
}

#[test]
fn resuming_sends_again_with_the_same_identifiers_in_order() {
    let mut session = session(9);
    for (message, qos) in
        [(1, AtLeastOnce), (2, ExactlyOnce), (3, ExactlyOnce), (4, AtLeastOnce), (5, AtLeastOnce)]
    {
        let _ = session.offer(qos, 1, || message);
    }
    session.handle_puback(pid(4)).unwrap();
    session.handle_pubrec(pid(2), ReasonCode::Success).unwrap();
    session.disconnect();
    assert_eq!(session.offer(AtLeastOnce, 1, || 6), Offer::Queued);
    assert_eq!(session.offer(AtMostOnce, 1, || 7), Offer::Offline);
    assert_eq!(drain(&mut session), []);
    session.resume(options(9));
    assert_eq!(session.offer(AtLeastOnce, 1, || 8), Offer::Queued);
    let expected = [
        Outbound::Pubrel { packet_id: pid(2) }, // [MQTT-4.4.0-1]
        publish(1, AtLeastOnce, 1, true),
        publish(3, ExactlyOnce, 3, true),
        publish(5, AtLeastOnce, 5, true),
        publish(6, AtLeastOnce, 6, false),
        publish(7, AtLeastOnce, 8, false),
    ];
    assert_eq!(drain(&mut session), expected);
}

#[test]
fn smaller_receive_maximum_holds_for_what_is_sent_again() {
    let mut session = session(9);
    (1..=3).for_each(|message| {
        let _ = session.offer(AtLeastOnce, 1, || message);
    });
    session.resume(options(1)); // [MQTT-4.9.0-2]
    assert_eq!(drain(&mut session), [publish(1, AtLeastOnce, 1, true)]);
    assert_eq!(session.offer(AtLeastOnce, 1, || 4), Offer::Queued);
    session.handle_puback(pid(1)).unwrap();
    assert_eq!(drain(&mut session), [publish(2, AtLeastOnce, 2, true)]);
    session.resume(options(2));
    assert_eq!(drain(&mut session), [publish(2, AtLeastOnce, 2, true), publish(3, AtLeastOnce, 3, true)]);
    session.handle_puback(pid(3)).unwrap();
    assert_eq!(drain(&mut session), [publish(4, AtLeastOnce, 4, false)]);
}

#[test]
fn early_acknowledgement_is_not_answered_by_sending_again() {
    let mut session = session(9);
    let _ = session.offer(ExactlyOnce, 1, || 1);
    let _ = session.offer(AtLeastOnce, 1, || 2);
    session.resume(options(9));
    session.handle_pubrec(pid(1), ReasonCode::Success).unwrap();
    session.handle_puback(pid(2)).unwrap();
    assert_eq!(drain(&mut session), []);
    session.handle_pubcomp(pid(1)).unwrap();
}

#[test]
fn full_queue_refuses_and_counts() {
    for (messages, bytes) in [(2, 100), (10, 21)] {
        let bounds = SessionOptions { queue_messages_max: messages, queue_bytes_max: bytes, ..options(1) };
        let mut session = Session::new(bounds);
        session.disconnect();
        assert_eq!(session.offer(AtLeastOnce, 10, || 1), Offer::Queued);
        assert_eq!(session.offer(AtLeastOnce, 10, || 2), Offer::Queued);
        let full = QueueFull { messages: 2, bytes: 20 };
        assert_eq!(session.offer(AtLeastOnce, 10, || unreachable!("is not kept")), Offer::Refused(full));
        assert_eq!(session.counts().queue_full_dropped, 1);
        session.check_invariants().unwrap();
    }
}

#[test]
fn dropped_outbound_message_does_not_block_the_queue() {
    let mut session = session(1);
    (1..=3).for_each(|message| {
        let _ = session.offer(AtLeastOnce, 1, || message);
    });
    session.handle_puback(pid(1)).unwrap();
    assert_eq!(drain(&mut session), [publish(2, AtLeastOnce, 2, false)]);
    assert_eq!(session.drop_outbound(pid(2)).unwrap().message, Some(2)); // [MQTT-3.1.2-25]
    assert_eq!(drain(&mut session), [publish(3, AtLeastOnce, 3, false)]);
}

#[test]
fn dropping_a_message_that_waits_to_be_sent_again_frees_its_place() {
    let mut session = session(9);
    (1..=2).for_each(|message| {
        let _ = session.offer(ExactlyOnce, 1, || message);
    });
    session.resume(options(1));
    session.drop_outbound(pid(1)).unwrap();
    assert_eq!(drain(&mut session), [publish(2, ExactlyOnce, 2, true)]);
}

#[test]
fn session_that_ends_with_its_connection_keeps_no_copy() {
    let mut session = Session::<u32>::new(SessionOptions { keep_inflight: false, ..options(1) });
    assert_eq!(session.offer(AtLeastOnce, 1, || unreachable!("is sent at once")), Offer::Send(pid(1)));
    assert_eq!(session.offer(AtLeastOnce, 1, || 2), Offer::Queued);
    assert_eq!(session.handle_puback(pid(1)), Ok(Acked { message: None, qos: AtLeastOnce }));
    assert_eq!(drain(&mut session), [publish(2, AtLeastOnce, 2, false)]);
    session.disconnect();
    assert_eq!(session.counts().inflight, 0);
}

/// [MQTT-2.2.1-4], [MQTT-4.3.2-1], [MQTT-4.3.3-1],
/// [3.1.1: MQTT-2.3.1-4, MQTT-4.3.2-1, MQTT-4.3.3-1]
#[test]
fn identifiers_wrap_and_skip_those_in_use() {
    let mut session = session(3);
    assert_eq!(session.offer(ExactlyOnce, 1, || 0), Offer::Send(pid(1)));
    let mut previous = 1;
    for message in 1..150_000_u32 {
        let Offer::Send(packet_id) = session.offer(AtLeastOnce, 1, || message) else {
            panic!("window has room")
        };
        assert_ne!(packet_id, pid(1), "in use, [MQTT-2.2.1-4]");
        assert_ne!(packet_id.get(), previous);
        previous = packet_id.get();
        session.handle_puback(packet_id).unwrap();
    }
    session.resume(options(3));
    assert_eq!(drain(&mut session), [publish(1, ExactlyOnce, 0, true)]);
}

#[test]
fn largest_window_is_used_and_acknowledged_backwards() {
    let mut session = session(u16::MAX);
    let sent =
        (0..70_000).filter(|message| matches!(session.offer(AtLeastOnce, 1, || *message), Offer::Send(_)));
    let sent = u16::try_from(sent.count()).unwrap();
    assert_eq!(sent, crate::limits::SEND_MAXIMUM_MAX);
    for id in (1..=sent).rev() {
        session.handle_puback(pid(id)).unwrap();
    }
    assert_eq!(drain(&mut session).len(), usize::from(sent));
}

#[test]
fn state_survives_export_and_import() {
    let mut session = session(3);
    (1..=5).for_each(|message| {
        let _ = session.offer(ExactlyOnce, message as usize, || message);
    });
    session.handle_pubrec(pid(2), ReasonCode::Success).unwrap();
    session.receive_exactly_once(pid(9), 0).unwrap();
    let state = session.export();
    let steps: Vec<_> = state.inflight.iter().map(|m| (m.packet_id.get(), m.step, m.message)).collect();
    let (rec, comp) = (InflightStep::AwaitsPubrec, InflightStep::AwaitsPubcomp);
    assert_eq!(steps, [(1, rec, Some(1)), (2, comp, None), (3, rec, Some(3))]);
    let mut restored = Session::import(options(3), state.clone()).unwrap();
    assert!(!restored.is_connected());
    assert_eq!(restored.export(), state);
    assert_eq!(restored.counts(), session.counts());
    restored.resume(SessionOptions { version: ProtocolVersion::V3_1_1, ..options(3) });
    let pubrel = Outbound::Pubrel { packet_id: pid(2) };
    assert_eq!(
        drain(&mut restored),
        [pubrel, publish(1, ExactlyOnce, 1, true), publish(3, ExactlyOnce, 3, true)]
    );
    assert_eq!(restored.receive_exactly_once(pid(9), 0), Ok(InboundPublish::Duplicate));
}

#[test]
fn message_that_never_left_is_not_marked_as_duplicate() {
    let mut session = Session::new(options(10));
    for number in 1..=3 {
        assert_eq!(
            session.offer(ExactlyOnce, 1, || number),
            Offer::Send(pid(u16::try_from(number).unwrap()))
        );
    }
    for held in [2, 3, 4] {
        session.has_not_left(pid(held));
    }
    session.disconnect();
    let left = |session: &Session<u32>| -> Vec<bool> {
        session.export().inflight.iter().map(|message| message.has_left).collect()
    };
    assert_eq!(left(&session), [true, false, false]);
    session.resume(options(10));
    assert_eq!(session.next_outbound(), Some(publish(1, ExactlyOnce, 1, true)));
    assert_eq!(session.next_outbound(), Some(publish(2, ExactlyOnce, 2, false)));
    assert_eq!(left(&session), [true, true, false]);
    session.disconnect();
    session.resume(options(10));
    let again = [
        publish(1, ExactlyOnce, 1, true),
        publish(2, ExactlyOnce, 2, true),
        publish(3, ExactlyOnce, 3, false),
    ];
    assert_eq!(drain(&mut session), again);
}

#[test]
fn damaged_state_is_refused() {
    let record = |id, message| InflightMessage {
        packet_id: pid(id),
        step: InflightStep::AwaitsPuback,
        bytes: 1,
        message,
        has_left: true,
    };
    for (inflight, expected) in [
        (vec![record(1, Some(1)), record(1, Some(2))], ImportError::PacketIdRepeated { packet_id: pid(1) }),
        (vec![record(4, None)], ImportError::MessageMissing { packet_id: pid(4) }),
    ] {
        let state = DurableState { inflight, ..DurableState::default() };
        assert_eq!(Session::<u32>::import(options(1), state).err(), Some(expected));
    }
    let far_apart = vec![record(1, Some(1)), record(65_535, Some(2)), record(32_769, Some(3))];
    let state = DurableState { inflight: far_apart, ..DurableState::default() };
    let session = Session::<u32>::import(options(1), state).unwrap();
    session.check_invariants().unwrap();
    assert_eq!(session.counts().inflight, 3);
}

#[test]
fn idle_session_gives_its_memory_back_and_goes_on_counting() {
    let mut session = session(1);
    let _ = session.offer(AtLeastOnce, 1, || 1);
    session.handle_puback(pid(1)).unwrap();
    session.release_idle();
    assert!(session.flows.is_none());
    assert_eq!(session.offer(AtLeastOnce, 1, || 2), Offer::Send(pid(2)));
}

#[test]
fn throttled_session_limits_in_flight_bytes_and_defers_long_messages() {
    let mut session = session(100);
    session.resume(SessionOptions { send_maximum: 100, ..SessionOptions::new(ProtocolVersion::V5) });
    assert!(!session.set_window_bytes(100), "nothing waits");
    assert_eq!(session.offer_stored(AtLeastOnce, 60, Some(1), || 1), Offer::Send(pid(1)));
    // It would be too much beside the first one, and so does what comes behind it.
    assert_eq!(session.offer_stored(AtLeastOnce, 60, Some(2), || 2), Offer::QueuedUntilStored);
    assert_eq!(session.offer_stored(AtLeastOnce, 101, Some(3), || 3), Offer::QueuedUntilStored);
    session.handle_stored(&[2, 3]);
    assert_eq!((session.counts().queued, session.counts().queued_in_memory), (2, 0));
    assert_eq!(session.bytes_in_memory(), 60);
    session.handle_puback(pid(1)).unwrap();
    assert_eq!(drain(&mut session), []);
    let wanted = session.next_slice().unwrap();
    assert_eq!((wanted.after, wanted.bytes_max), (1, Some(100)));
    let queued = |number, bytes| QueuedMessage { message: number as u32, qos: AtLeastOnce, bytes, number };
    session.handle_slice(vec![queued(2, 60)], Some(2));
    assert_eq!(drain(&mut session), [publish(2, AtLeastOnce, 2, false)]);
    assert_eq!(session.next_slice().map(|wanted| wanted.after), Some(2));
    session.handle_slice_too_long();
    session.handle_puback(pid(2)).unwrap();
    assert_eq!((drain(&mut session), session.next_slice()), (vec![], None));
    assert!(session.set_window_bytes(u64::MAX));
    assert_eq!(session.next_slice().map(|wanted| wanted.bytes_max), Some(None));
    session.handle_slice(vec![queued(3, 101)], Some(3));
    assert_eq!(drain(&mut session), [publish(3, AtLeastOnce, 3, false)]);
    session.check_invariants().unwrap();
}
