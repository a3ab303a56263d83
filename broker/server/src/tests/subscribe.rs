//! Subscriptions that the store refuses.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lotmq_client::{ConnectOptions, Connection as Peer};
use lotmq_codec::{
    PacketId, PacketType, Properties, ProtocolVersion, QoS, ReasonCode, SubscribeFilter, SubscriptionOptions,
    encode_subscribe,
};

use crate::testing::{PATIENCE, Running};
use lotmq_core::durable::store_failure::StoreFailure;
use lotmq_core::tenant::replay::Replays;
use lotmq_core::tenant::subscription::Options;
use lotmq_core::turn::release::Release;
use lotmq_core::turn::suback::{Added, Granted};
use lotmq_process::this_turn;

/// So many that no share of time suffices to take all of them back.
const FILTERS: usize = 5_000;

fn packet(peer: &mut Peer) -> (PacketType, Vec<u8>) {
    let packet = peer.receive(PATIENCE).unwrap().expect("the broker answers");
    (packet.packet_type(), packet.body().to_vec())
}

#[test]
fn subscriptions_rejected_by_the_store_are_rolled_back_before_the_suback() {
    let running = Running::start("os");
    let broker = Arc::clone(&running.server.broker);
    let (version, tenant) = (ProtocolVersion::V5, broker.hosting.tenants.default_tenant());
    let [first, second] = [1, 2].map(|id| PacketId::new(id).expect("not 0"));
    let filters: Vec<String> = (0..FILTERS).map(|number| format!("many/{number}")).collect();
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let asked: Vec<_> =
        filters.iter().map(|filter| SubscribeFilter { filter: filter.as_str(), options }).collect();
    let mut peer = Peer::open(running.address(), version, PATIENCE).unwrap();
    let mut bytes = Vec::new();
    ConnectOptions::v5("c").session_expiry(600).encode(&mut bytes).unwrap();
    encode_subscribe(&mut bytes, version, first, Properties::EMPTY, &asked).unwrap();
    peer.send(&bytes).unwrap();
    assert_eq!([packet(&mut peer).0, packet(&mut peer).0], [PacketType::Connack, PacketType::Suback]);
    assert_eq!(tenant.subscriptions(), FILTERS);

    // As if the store had failed for a second packet that asked for them all: the first one there
    // was before.
    let client = tenant.all_sessions().remove(0);
    let connection = client.state.lock().link.as_ref().map(|link| Arc::clone(&link.connection)).unwrap();
    connection.changes_waiting.fetch_add(1, Ordering::Relaxed);
    let added = filters.iter().enumerate().map(|(at, filter)| {
        let options = client.state.lock().subscriptions.get(filter).unwrap();
        let former = (at == 0).then_some(Options { qos: QoS::AtMostOnce, ..options });
        Added { filter: filter.as_str().into(), options, former, at }
    });
    let granted = Granted {
        packet_id: second,
        codes: vec![ReasonCode::GrantedQos1; FILTERS],
        refusals: Vec::new(),
        added: added.collect(),
        replays: Replays::default(),
    };
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    this_turn::with(|turn| {
        let (client, connection) = (Arc::clone(&client), Arc::clone(&connection));
        let release = Release::Subscribe { client, connection, granted: Box::new(granted) };
        release.refused(turn, StoreFailure::Failing);
        let left = tenant.subscriptions();
        assert!((2..FILTERS).contains(&left), "{left} are left for later turns");
        turn.flush();
    });
    let (packet_type, body) = packet(&mut peer);
    assert_eq!((packet_type, &body[..2]), (PacketType::Suback, &[0, 2][..]));
    let code = StoreFailure::Failing.reason_code() as u8;
    assert!(
        body[body.len() - FILTERS..].iter().all(|told| *told == code),
        "each is told that it is not there"
    );
    assert_eq!(tenant.subscriptions(), 1);
    let kept = client.state.lock().subscriptions.get(&filters[0]).unwrap();
    assert_eq!(kept.qos, QoS::AtMostOnce, "it is what it was before");
    assert_eq!(connection.changes_waiting.load(Ordering::Relaxed), 0);
    this_turn::uninstall();
    running.server.stop();
}
