//! Benchmarks for the cost of one message in the session alone.
//!
//! `cargo bench -p lotmq-session`

use divan::{Bencher, black_box};
use lotmq_codec::{PacketId, ProtocolVersion, QoS, ReasonCode};
use lotmq_session::{Offer, Session, SessionOptions, Time, TimerWheel};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

fn main() {
    divan::main();
}

/// A connected session with `inflight` QoS 1 messages, and their identifiers in order.
fn session(inflight: usize) -> (Session<Arc<str>>, VecDeque<PacketId>) {
    let mut session = Session::new(SessionOptions::new(ProtocolVersion::V5));
    let message: Arc<str> = Arc::from("message");
    let send = |_| match session.offer(QoS::AtLeastOnce, 100, || Arc::clone(&message)) {
        Offer::Send(packet_id) => Some(packet_id),
        Offer::SendUnacknowledged
        | Offer::Queued
        | Offer::QueuedUntilStored
        | Offer::Offline
        | Offer::Refused(_) => None,
    };
    let ids = (0..inflight).filter_map(send).collect();
    (session, ids)
}

/// One message sent and the oldest of the window acknowledged.
#[divan::bench(args = [1, 20, 1000, 30_000])]
fn qos_1_out(bencher: Bencher<'_, '_>, inflight: usize) {
    let (mut session, mut ids) = session(inflight);
    let message: Arc<str> = Arc::from("message");
    bencher.bench_local(|| {
        if let Offer::Send(packet_id) = session.offer(QoS::AtLeastOnce, 100, || Arc::clone(&message)) {
            ids.push_back(packet_id);
        }
        ids.pop_front().map(|packet_id| session.handle_puback(black_box(packet_id)))
    });
}

/// One message through all four packets.
#[divan::bench]
fn qos_2_out(bencher: Bencher<'_, '_>) {
    let (mut session, _) = session(20);
    let message: Arc<str> = Arc::from("message");
    bencher.bench_local(|| {
        let Offer::Send(packet_id) = session.offer(QoS::ExactlyOnce, 100, || Arc::clone(&message)) else {
            return;
        };
        let _ = black_box(session.handle_pubrec(packet_id, ReasonCode::Success));
        let _ = black_box(session.handle_pubcomp(packet_id));
    });
}

/// One message judged beside an exchange that is open.
#[divan::bench]
fn qos_1_in(bencher: Bencher<'_, '_>) {
    let (mut session, _) = session(0);
    let _ = session.receive_exactly_once(PacketId::MIN.next(), 0);
    bencher.bench_local(|| session.judge_at_least_once(black_box(PacketId::MIN), 0));
}

/// One exchange opened and released.
#[divan::bench]
fn qos_2_in(bencher: Bencher<'_, '_>) {
    let (mut session, _) = session(0);
    let mut packet_id = PacketId::MIN;
    bencher.bench_local(|| {
        packet_id = packet_id.next();
        let outcome = session.receive_exactly_once(black_box(packet_id), 0);
        (outcome, session.handle_pubrel(packet_id))
    });
}

/// A timer set and cancelled among 100,000.
#[divan::bench]
fn timer_set_and_cancelled(bencher: Bencher<'_, '_>) {
    let mut wheel = TimerWheel::new(Duration::from_millis(100), Time::default());
    (0..100_000_u32).for_each(|n| {
        wheel.insert(Time::from_millis(u64::from(n) * 7), n);
    });
    bencher.bench_local(|| {
        let timer = wheel.insert(black_box(Time::from_millis(90_000)), 1);
        wheel.cancel(timer)
    });
}
