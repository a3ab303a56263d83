//! Stories of a broker whose threads are run in an order that a seed would seldom choose.

use lotmq_codec::{PacketId, ProtocolVersion, QoS, ReasonCode, RetainHandling, SubscriptionOptions};

use lotmq_changes::rare;
use lotmq_core::message::MessageParts;
use lotmq_core::tenant::publication::Publication;

use super::*;
use crate::client::{Client, Event, Got, Hello, Method, Outgoing, Tag, WillOf, encode_message};
use crate::hostile::TOPICS;

/// A broker, and Clients whose bytes arrive at once.
struct Stage {
    machine: Machine,
    disk: Disk,
    time: Arc<WorldTime>,
    clients: Vec<Client>,
    /// Messages that the application of each has received.
    got: Vec<Vec<Got>>,
    /// Session Present of the CONNACK packets, in their order.
    present: Vec<bool>,
    /// Receive Maximum of those who connect.
    receive_maximum: u16,
}

/// Settings of a broker without guests.
fn settings() -> MachineSettings {
    MachineSettings { config: Config::default(), guests: Guests::None, mailbox_max: 1 }
}

impl Stage {
    fn new(clients: u8) -> Self {
        let time = Arc::new(WorldTime::default());
        time.pass(Duration::from_secs(1_000));
        let disk = Disk::new(1);
        Self {
            machine: Machine::start(&time, &disk, &settings()).unwrap(),
            disk,
            time,
            clients: (0..clients).map(|number| Client::new(number, Method::AtPublish)).collect(),
            got: (0..clients).map(|_| Vec::new()).collect(),
            present: Vec::new(),
            receive_maximum: 1,
        }
    }

    /// The process is killed, and the broker starts anew.
    fn crash(&mut self) {
        self.disk = self.disk.after_kill();
        self.machine = Machine::start(&self.time, &self.disk, &settings()).unwrap();
        self.clients.iter_mut().for_each(Client::leave);
    }

    /// Bytes of a Client arrive; nobody has read them yet.
    fn send(&self, who: usize, bytes: &[u8]) {
        let connection = self.clients[who].connection.unwrap();
        self.machine.wire(connection).unwrap().lock().arrive(bytes);
    }

    /// A Client's CONNECT arrives on this connection.
    fn connects(&mut self, who: usize, connection: ConnectionId, clean: bool, expiry: u32) {
        let hello = Hello {
            version: ProtocolVersion::V5,
            clean,
            expiry,
            keep_alive: 0,
            receive_maximum: self.receive_maximum,
            will: None,
        };
        self.machine.accept(connection);
        let packet = self.clients[who].connect(connection, hello);
        self.send(who, &packet);
    }

    fn subscribes(&mut self, who: usize, filter: &'static str, qos: QoS) {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let packet = self.clients[who].subscribe(&[(filter, options)], None);
        self.send(who, &packet);
    }

    fn unsubscribes(&mut self, who: usize, filter: &'static str) {
        let packet = self.clients[who].unsubscribe(&[filter]);
        self.send(who, &packet);
    }

    fn disconnects(&mut self, who: usize) {
        let connection = self.clients[who].connection.unwrap();
        let packet = self.clients[who].disconnect(ReasonCode::Success, None);
        self.machine.wire(connection).unwrap().lock().arrive(&packet);
        self.comes_to_rest();
    }

    /// A Client's connection ends behind what has arrived.
    fn vanishes(&mut self, who: usize) {
        let connection = self.clients[who].connection.unwrap();
        self.clients[who].leave();
        self.machine.wire(connection).unwrap().lock().end();
        self.comes_to_rest();
    }

    fn publishes(&mut self, who: usize, topic: &'static str, qos: QoS) -> Tag {
        self.sends_message(who, topic, (qos, false))
    }

    fn retains(&mut self, who: usize, topic: &'static str, qos: QoS) -> Tag {
        self.sends_message(who, topic, (qos, true))
    }

    fn sends_message(&mut self, who: usize, topic: &'static str, (qos, retain): (QoS, bool)) -> Tag {
        let tag = self.clients[who].tag(qos);
        let message = Outgoing { id: 0, topic, qos, retain, expiry: None, payload: tag.payload(0) };
        let packet = self.clients[who].publish(&message).unwrap();
        self.send(who, &packet);
        tag
    }

    /// The broker publishes in its own tree, on the thread that keeps house.
    fn broker_publishes(&mut self, topic: &str) {
        let parts = MessageParts {
            topic,
            properties: &[],
            payload: b"told",
            qos: QoS::ExactlyOnce,
            retain: false,
            expires_at_ms: None,
        };
        let Machine { keeper, tenant, .. } = &mut self.machine;
        let publication = Publication::copied(&mut keeper.arena, parts, None);
        keeper.publish(tenant, &publication);
        keeper.flush();
    }

    fn run(&mut self, tasks: &[Task]) {
        for task in tasks {
            for id in self.machine.open() {
                self.machine.wire(id).unwrap().lock().has_room(usize::MAX);
            }
            self.machine.run(*task);
        }
    }

    /// Everybody does what there is to do, Clients too, until nobody has anything.
    fn comes_to_rest(&mut self) {
        for _ in 0..200 {
            let tasks = self.machine.tasks();
            self.run(&tasks);
            let heard = (0..self.clients.len()).filter(|who| self.hears(*who)).count();
            if tasks.is_empty() && heard == 0 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn hears(&mut self, who: usize) -> bool {
        let connection = self.clients[who].connection;
        let Some(wire) = connection.and_then(|connection| self.machine.wire(connection)) else {
            return false;
        };
        let written = std::mem::take(&mut wire.lock().written);
        let heard = self.clients[who].receive(&written).unwrap();
        for event in heard.events {
            if let Event::Got { got, .. } = event {
                self.got[who].push(got);
            } else if let Event::Opened { is_present } = event {
                self.present.push(is_present);
            }
        }
        if !heard.answers.is_empty() {
            self.send(who, &heard.answers);
        }
        !written.is_empty()
    }

    fn got(&self, who: usize) -> Vec<Tag> {
        self.got[who].iter().filter_map(|got| Tag::read(&got.payload)).collect()
    }
}

/// Shard 1 has routed a message to a session that outlives its connection, and stores it. Meanwhile
/// shard 0 resumes the session for a connection with which it ends. Earlier messages rest in the
/// store, and the broker reads all from there, the new one too.
#[test]
fn a_message_under_way_comes_once_to_a_session_that_is_resumed_to_end() {
    let mut stage = Stage::new(2);
    stage.connects(0, 2, true, 60);
    stage.comes_to_rest();
    stage.subscribes(0, "#", QoS::ExactlyOnce);
    stage.comes_to_rest();
    stage.disconnects(0);
    stage.connects(1, 1, true, 0);
    stage.comes_to_rest();
    let mut sent = vec![stage.publishes(1, "a", QoS::ExactlyOnce), stage.publishes(1, "a", QoS::ExactlyOnce)];
    stage.comes_to_rest();
    sent.push(stage.publishes(1, "a", QoS::ExactlyOnce));
    stage.run(&[Task::Connection(1)]);
    stage.connects(0, 4, false, 0);
    stage.run(&[Task::Connection(4), Task::Flush(1), Task::Store]);
    stage.comes_to_rest();
    assert_eq!(stage.got(0), sent);
}

/// Messages that waited for a session which is resumed to end with its connection get identifiers
/// that go to the disk; one that comes by another shard meanwhile is not stored, and stays behind
/// them all the same \[MQTT-4.6.0-6\].
#[test]
fn unstored_message_does_not_overtake_messages_waiting_for_the_disk() {
    let mut stage = Stage::new(2);
    stage.receive_maximum = 8;
    stage.connects(0, 2, true, 60);
    stage.comes_to_rest();
    stage.subscribes(0, "#", QoS::ExactlyOnce);
    stage.comes_to_rest();
    stage.disconnects(0);
    stage.connects(1, 1, true, 0);
    stage.comes_to_rest();
    let mut sent = vec![stage.publishes(1, "a", QoS::ExactlyOnce), stage.publishes(1, "a", QoS::ExactlyOnce)];
    stage.comes_to_rest();
    stage.connects(0, 4, false, 0);
    // Up to CONNACK, and no further.
    while !stage.hears(0) {
        let next = *stage.machine.tasks().first().expect("CONNACK will come");
        stage.run(&[next]);
    }
    sent.push(stage.publishes(1, "a", QoS::ExactlyOnce));
    stage.run(&[Task::Connection(1), Task::Flush(1)]);
    stage.comes_to_rest();
    assert_eq!(stage.got(0), sent);
}

/// A message of the broker for a Client that is away at QoS 2 waits in memory. The broker stores it
/// when it sends it, so that the identifier stays in use after a crash.
#[test]
fn a_message_of_the_tree_that_waited_keeps_its_identifier() {
    let mut stage = Stage::new(2);
    stage.connects(0, 2, true, 60);
    stage.comes_to_rest();
    stage.subscribes(0, "#", QoS::ExactlyOnce);
    stage.subscribes(0, "$SYS/told/#", QoS::ExactlyOnce);
    stage.comes_to_rest();
    stage.disconnects(0);
    stage.broker_publishes("$SYS/told/one");
    stage.connects(0, 4, false, 60);
    while stage.got[0].is_empty() {
        let tasks = stage.machine.tasks();
        stage.run(&tasks);
        stage.hears(0);
    }
    // PUBREC is on its way.
    stage.crash();
    stage.connects(0, 2, false, 60);
    stage.connects(1, 1, true, 0);
    stage.comes_to_rest();
    let sent = stage.publishes(1, "a", QoS::ExactlyOnce);
    stage.comes_to_rest();
    assert_eq!(stage.got(0), [sent]);
    assert_eq!(stage.got[0].len(), 2);
}

/// Retained messages that a connection has not brought come on the next one, each once.
#[test]
fn remaining_retained_messages_are_sent_on_the_next_connection() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut stage = Stage::new(2);
        stage.connects(1, 1, true, 0);
        stage.comes_to_rest();
        let mut kept: Vec<_> = TOPICS.map(|topic| stage.retains(1, topic, qos)).into();
        stage.comes_to_rest();
        stage.connects(0, 2, true, 60);
        stage.comes_to_rest();
        stage.subscribes(0, "#", qos);
        for connection in (4..).step_by(2).take(TOPICS.len() + 3) {
            let before = stage.got[0].len();
            while stage.got[0].len() == before && !stage.machine.tasks().is_empty() {
                let tasks = stage.machine.tasks();
                stage.run(&tasks);
                stage.hears(0);
            }
            // Every other time it is taken over instead.
            if connection % 4 == 0 {
                stage.vanishes(0);
            }
            stage.connects(0, connection, false, 60);
        }
        stage.comes_to_rest();
        let mut got = stage.got(0);
        got.sort_by_key(|tag| tag.sequence);
        // At QoS 1 any of them may come again.
        got.dedup();
        kept.sort_by_key(|tag| tag.sequence);
        assert_eq!(got, kept, "{qos:?}");
        if qos == QoS::ExactlyOnce {
            assert_eq!(stage.got[0].len(), kept.len());
        }
    }
}

/// A subscription is made anew with a lower QoS while retained messages of the former one are still
/// to be sent: they come at that of the new one \[MQTT-3.8.4-8\].
#[test]
fn remaining_retained_messages_use_the_last_granted_qos() {
    let mut stage = Stage::new(2);
    stage.connects(1, 1, true, 0);
    stage.comes_to_rest();
    for topic in ["a", "b", "x/y"] {
        stage.retains(1, topic, QoS::ExactlyOnce);
    }
    stage.comes_to_rest();
    stage.connects(0, 2, true, 60);
    stage.comes_to_rest();
    stage.subscribes(0, "#", QoS::ExactlyOnce);
    // It takes nothing, so that there is one on its way, and no room for the others.
    for _ in 0..20 {
        let tasks = stage.machine.tasks();
        stage.run(&tasks);
    }
    let options = SubscriptionOptions {
        qos: QoS::AtMostOnce,
        retain_handling: RetainHandling::SendIfNew,
        ..SubscriptionOptions::default()
    };
    let packet = stage.clients[0].subscribe(&[("#", options)], None);
    stage.send(0, &packet);
    stage.comes_to_rest();
    let got: Vec<QoS> = stage.got[0].iter().map(|got| got.qos).collect();
    assert_eq!(got, [QoS::ExactlyOnce, QoS::AtMostOnce, QoS::AtMostOnce]);
}

/// Two copies of each message wait for a member of a group, one by the group and one by another
/// subscription, which it ends before its session ends: the others of the group get what came by
/// the group, once, after a restart of the broker too.
#[test]
fn copy_from_another_subscription_is_not_handed_to_the_group() {
    for (other_filter, restarts) in [("a", false), ("a", true), ("$share/h/a", false), ("$share/h/a", true)] {
        let mut stage = Stage::new(4);
        stage.connects(0, 2, true, 60);
        stage.comes_to_rest();
        for filter in [other_filter, "$share/g/a"] {
            stage.subscribes(0, filter, QoS::ExactlyOnce);
        }
        stage.comes_to_rest();
        stage.disconnects(0);
        stage.connects(1, 1, true, 0);
        stage.comes_to_rest();
        let sent = [stage.publishes(1, "a", QoS::ExactlyOnce), stage.publishes(1, "a", QoS::ExactlyOnce)];
        stage.comes_to_rest();
        if restarts {
            stage.crash();
        }
        for (who, filter) in [(2, "$share/g/a"), (3, "$share/h/a")] {
            stage.connects(who, 4 + who as ConnectionId, true, 0);
            stage.comes_to_rest();
            stage.subscribes(who, filter, QoS::ExactlyOnce);
        }
        stage.comes_to_rest();
        // It takes nothing: all that it sends arrives at once.
        stage.connects(0, 2, false, 60);
        stage.unsubscribes(0, other_filter);
        let packet = stage.clients[0].disconnect(ReasonCode::Success, Some(0));
        stage.machine.wire(2).unwrap().lock().arrive(&packet);
        stage.comes_to_rest();
        assert_eq!(stage.got(2), sent, "{other_filter}, restarted: {restarts}");
        assert_eq!(stage.got(3), [], "{other_filter}, restarted: {restarts}");
    }
}

/// So much is encoded for the receivers of a read that the turn writes everything out in its midst:
/// what has gone to the store with that is not acknowledged before it is there.
#[test]
fn a_turn_that_is_relieved_acknowledges_nothing_before_its_commit() {
    // With one of these counts it is the last message that fills the turn's memory, with four
    // megabytes.
    (57..=61).for_each(nothing_is_acknowledged_early);
}

fn nothing_is_acknowledged_early(messages: u16) {
    const RECEIVERS: u8 = 70;
    let mut stage = Stage::new(RECEIVERS + 2);
    let (keeper, publisher) = (usize::from(RECEIVERS), usize::from(RECEIVERS) + 1);
    for who in 0..=publisher {
        stage.connects(who, 2 * who as ConnectionId, true, if who == keeper { 60 } else { 0 });
        stage.comes_to_rest();
        let qos = if who == keeper { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        if who < publisher {
            // With an identifier each of them gets a packet of its own.
            let packet = stage.clients[who].subscribe(&[("a", options)], Some(1 + who as u32));
            stage.send(who, &packet);
        }
    }
    stage.comes_to_rest();
    for packet_id in 1..=messages {
        let tag = stage.clients[publisher].tag(QoS::AtLeastOnce);
        let payload = tag.payload(1_000);
        let message =
            Outgoing { id: 0, topic: "a", qos: QoS::AtLeastOnce, retain: false, expiry: None, payload };
        let packet = encode_message(ProtocolVersion::V5, &message, PacketId::new(packet_id), false);
        stage.send(publisher, &packet);
    }
    let connection = 2 * publisher as ConnectionId;
    stage.run(&[Task::Connection(connection); 20]);
    stage.run(&[Task::Flush(0)]);
    let written = |stage: &Stage| stage.machine.wire(connection).unwrap().lock().written.clone();
    assert!(written(&stage).is_empty(), "{messages}: {:02X?}", written(&stage));
    stage.run(&[Task::Store, Task::Commits(0), Task::Flush(0)]);
    assert!(!written(&stage).is_empty(), "they are acknowledged when they are stored");
}

/// Packets that there was no time for wait because of the broker only as long as the Client reads
/// its own output: else it is closed as silent \[MQTT-3.1.2-22\].
#[test]
fn silent_client_that_reads_nothing_is_closed_despite_pending_packets() {
    const KEEP_ALIVE: u16 = 30;
    const PINGREQ: [u8; 2] = [0xC0, 0];
    let mut stage = Stage::new(2);
    stage.machine.accept(2);
    let hello = Hello {
        version: ProtocolVersion::V5,
        clean: true,
        expiry: 0,
        keep_alive: KEEP_ALIVE,
        receive_maximum: 1,
        will: None,
    };
    let connect = stage.clients[0].connect(2, hello);
    stage.send(0, &connect);
    stage.comes_to_rest();
    stage.subscribes(0, "a", QoS::AtMostOnce);
    stage.connects(1, 1, true, 0);
    stage.comes_to_rest();
    let tag = stage.clients[1].tag(QoS::AtMostOnce);
    let message = Outgoing {
        id: 0,
        topic: "a",
        qos: tag.qos,
        retain: false,
        expiry: None,
        payload: tag.payload(3_000_000),
    };
    let packet = stage.clients[1].publish(&message).unwrap();
    stage.send(1, &packet);
    while !stage.machine.tasks().contains(&Task::Flush(1)) {
        stage.run(&[Task::Connection(1)]);
    }
    stage.machine.wire(2).unwrap().lock().has_room(0);
    // Its turn ends in the midst of them, and the large message comes behind that.
    stage.send(0, &PINGREQ.repeat(1_000));
    stage.time.looks_take(Duration::from_secs(1));
    stage.machine.run(Task::Connection(2));
    stage.time.looks_take(Duration::ZERO);
    stage.machine.run(Task::Flush(1));
    for _ in 0..4 {
        for _ in 0..100 {
            stage.machine.tasks().into_iter().for_each(|task| stage.machine.run(task));
        }
        stage.time.pass(Duration::from_secs(u64::from(KEEP_ALIVE) * 2));
    }
    let is_closed = stage.machine.wire(2).is_none_or(|wire| wire.lock().is_closed);
    assert!(is_closed, "it is open still");
}

/// A session that has expired is gone, also while the thread that keeps house has not come to it
/// \[MQTT-3.1.2-23\].
#[test]
fn a_session_that_has_expired_is_not_resumed() {
    let mut stage = Stage::new(1);
    for (connection, seconds_away) in [(2, 59), (4, 61), (6, 0)] {
        stage.connects(0, connection, false, 60);
        while !stage.hears(0) {
            let late = |task: &Task| *task == Task::Housekeeping;
            let next = stage.machine.tasks().into_iter().find(|task| !late(task)).expect("CONNACK will come");
            stage.run(&[next]);
        }
        stage.vanishes(0);
        stage.time.pass(Duration::from_secs(seconds_away));
        stage.run(&[Task::Tick(0), Task::Tick(1)]);
    }
    assert_eq!(stage.present, [false, true, false]);
}

/// A Will, and that its session has none any more, are one batch: the process is killed while the
/// turn that wrote them has got as far as it was relieved in its midst.
#[test]
fn a_will_comes_once_although_its_turn_was_relieved() {
    for seed in 1..=64 {
        rare::arrange(seed);
        let mut stage = Stage::new(2);
        stage.connects(0, 2, true, 60);
        stage.comes_to_rest();
        stage.subscribes(0, "a", QoS::ExactlyOnce);
        stage.comes_to_rest();
        stage.machine.accept(4);
        let tag = stage.clients[1].will_tag(QoS::ExactlyOnce);
        let will = WillOf { tag, topic: "a", qos: QoS::ExactlyOnce, retain: false, delay: 0 };
        let hello = Hello {
            version: ProtocolVersion::V5,
            clean: true,
            expiry: 60,
            keep_alive: 0,
            receive_maximum: 1,
            will: Some(will),
        };
        let connect = stage.clients[1].connect(4, hello);
        stage.send(1, &connect);
        stage.comes_to_rest();
        stage.machine.wire(4).unwrap().lock().end();
        stage.run(&[Task::Connection(4), Task::Store]);
        stage.crash();
        rare::arrange(0);
        stage.connects(0, 6, false, 60);
        stage.comes_to_rest();
        stage.time.pass(Duration::from_secs(1));
        stage.comes_to_rest();
        assert_eq!(stage.got(0), [tag], "{seed}");
    }
}

/// A message of QoS 0 is in the turn of a thread that stands still, and its Client comes back on
/// another one \[MQTT-4.6.0-6\].
#[test]
fn messages_of_a_new_connection_follow_those_of_the_old_one() {
    for has_ended in [false, true] {
        let mut stage = Stage::new(2);
        stage.connects(0, 2, true, 0);
        stage.connects(1, 1, true, 0);
        stage.comes_to_rest();
        stage.subscribes(0, TOPICS[0], QoS::AtMostOnce);
        stage.comes_to_rest();
        let first = stage.publishes(1, TOPICS[0], QoS::AtMostOnce);
        if has_ended {
            stage.machine.wire(1).unwrap().lock().end();
        }
        stage.run(&[Task::Connection(1), Task::Connection(1)]);
        stage.connects(1, 4, true, 0);
        let others = [Task::Connection(4), Task::Flush(0), Task::Store, Task::Commits(0), Task::Look(0)];
        for _ in 0..3 {
            stage.run(&others);
        }
        let second = stage.publishes(1, TOPICS[0], QoS::AtMostOnce);
        for _ in 0..3 {
            stage.run(&others);
        }
        stage.comes_to_rest();
        let got: Vec<Tag> = stage.got[0].iter().filter_map(|got| Tag::read(&got.payload)).collect();
        assert_eq!(got, [first, second], "has ended: {has_ended}");
    }
}

/// Whether messages of one publisher came in the order in which it sent them; one may come again.
fn are_in_order(got: &[Tag]) -> bool {
    got.is_sorted_by_key(|tag| tag.sequence)
}

/// A Client subscribes, and before the answer leaves messages that are retained are under way to
/// it, in the turn of its own thread or of another one: none of them comes behind a later one
/// \[MQTT-4.6.0-6\].
#[test]
fn no_retained_message_comes_before_older_ones_that_are_under_way() {
    for (publisher, qos) in
        [(1, QoS::AtMostOnce), (1, QoS::AtLeastOnce), (4, QoS::AtMostOnce), (4, QoS::ExactlyOnce)]
    {
        let mut stage = Stage::new(2);
        stage.receive_maximum = 8;
        stage.connects(0, 2, true, 0);
        stage.connects(1, publisher, true, 0);
        stage.comes_to_rest();
        stage.retains(1, "a", qos);
        stage.comes_to_rest();
        stage.subscribes(0, "#", qos);
        stage.run(&[Task::Connection(2)]);
        let sent = [stage.retains(1, "a", qos), stage.retains(1, "a", qos)];
        stage.run(&[Task::Connection(publisher), Task::Flush(0)]);
        stage.comes_to_rest();
        let got = stage.got(0);
        assert!(are_in_order(&got), "{publisher}, {qos:?}: {got:?}");
        assert_eq!(got.last(), sent.last(), "{publisher}, {qos:?}");
    }
}

/// Messages that are retained are under way to a Client when it subscribes once more, with the same
/// filter or with another one.
#[test]
fn no_retained_message_of_a_further_subscription_comes_before_older_ones() {
    for (publisher, filter) in [(1, "a"), (1, "#"), (4, "a"), (4, "#")] {
        let mut stage = Stage::new(2);
        stage.receive_maximum = 8;
        stage.connects(0, 2, true, 0);
        stage.connects(1, publisher, true, 0);
        stage.comes_to_rest();
        stage.subscribes(0, "a", QoS::AtLeastOnce);
        stage.comes_to_rest();
        let sent = [stage.retains(1, "a", QoS::AtLeastOnce), stage.retains(1, "a", QoS::AtLeastOnce)];
        stage.run(&[Task::Connection(publisher)]);
        stage.subscribes(0, filter, QoS::AtLeastOnce);
        stage.run(&[Task::Connection(2), Task::Flush(0)]);
        stage.comes_to_rest();
        let got = stage.got(0);
        assert!(are_in_order(&got), "{publisher}, {filter}: {got:?}");
        assert_eq!(got.last(), sent.last(), "{publisher}, {filter}");
    }
}

/// A message is routed before somebody subscribes and under way still: it comes as a retained one,
/// once.
#[test]
fn a_retained_message_that_was_routed_before_a_subscription_comes_with_it() {
    for publisher in [1, 4] {
        let mut stage = Stage::new(2);
        stage.connects(0, 2, true, 0);
        stage.connects(1, publisher, true, 0);
        stage.comes_to_rest();
        let sent = stage.retains(1, "a", QoS::AtLeastOnce);
        stage.run(&[Task::Connection(publisher)]);
        stage.subscribes(0, "a", QoS::AtLeastOnce);
        stage.run(&[Task::Connection(2), Task::Flush(0)]);
        stage.comes_to_rest();
        assert_eq!(stage.got(0), [sent], "{publisher}");
    }
}

/// Connects a Client with a Will on topic `a`.
fn connects_with_will(stage: &mut Stage, who: usize, connection: ConnectionId, expiry: u32) -> Tag {
    stage.machine.accept(connection);
    let tag = stage.clients[who].will_tag(QoS::AtLeastOnce);
    let will = WillOf { tag, topic: "a", qos: QoS::AtLeastOnce, retain: false, delay: 0 };
    let hello = Hello {
        version: ProtocolVersion::V5,
        clean: true,
        expiry,
        keep_alive: 0,
        receive_maximum: 1,
        will: Some(will),
    };
    let connect = stage.clients[who].connect(connection, hello);
    stage.send(who, &connect);
    stage.comes_to_rest();
    tag
}

/// A Client sends DISCONNECT, closes and connects anew, and the new connection is looked at first:
/// its Will is discarded \[MQTT-3.14.4-3\].
#[test]
fn a_disconnect_counts_though_the_next_connection_is_seen_before_it() {
    for (next, expiry, says_it) in
        [(5, 0, true), (6, 0, true), (5, 60, true), (6, 60, true), (5, 0, false), (6, 60, false)]
    {
        let mut stage = Stage::new(2);
        stage.connects(0, 2, true, 0);
        stage.comes_to_rest();
        stage.subscribes(0, "a", QoS::AtLeastOnce);
        stage.comes_to_rest();
        let will = connects_with_will(&mut stage, 1, 4, expiry);
        let packet = stage.clients[1].disconnect(ReasonCode::Success, None);
        let wire = stage.machine.wire(4).unwrap();
        if says_it {
            wire.lock().arrive(&packet);
        }
        wire.lock().end();
        stage.connects(1, next, true, expiry);
        stage.run(&[Task::Connection(next), Task::Connection(next)]);
        stage.comes_to_rest();
        let expected = if says_it { vec![] } else { vec![will] };
        assert_eq!(stage.got(0), expected, "{next}, {expiry}");
        assert_eq!(stage.present, [false; 3], "{next}, {expiry}");
    }
}

/// Packets on the connection that a Client leaves come before those on its next connection.
#[test]
fn packets_on_the_old_connection_are_read_before_takeover() {
    for next in [5, 6] {
        let mut stage = Stage::new(2);
        stage.connects(0, 2, true, 0);
        stage.connects(1, 4, true, 0);
        stage.comes_to_rest();
        stage.subscribes(0, "a", QoS::AtMostOnce);
        stage.comes_to_rest();
        let first = stage.publishes(1, "a", QoS::AtMostOnce);
        stage.connects(1, next, true, 0);
        stage.run(&[Task::Connection(next), Task::Connection(next)]);
        stage.comes_to_rest();
        let second = stage.publishes(1, "a", QoS::AtMostOnce);
        stage.comes_to_rest();
        assert_eq!(stage.got(0), [first, second], "{next}");
    }
}

/// The thread of the connection that is to be taken over stands still: the next one does not wait
/// for it without end.
#[test]
fn takeover_waits_for_the_old_connection_for_a_limited_time() {
    let mut stage = Stage::new(1);
    stage.connects(0, 4, true, 0);
    stage.comes_to_rest();
    stage.present.clear();
    stage.connects(0, 5, true, 0);
    let others = [Task::Connection(5), Task::Flush(1), Task::Store, Task::Commits(1), Task::Look(1)];
    for _ in 0..16 {
        stage.run(&others);
        stage.hears(0);
        stage.time.pass(Duration::from_millis(250));
        stage.run(&[Task::Tick(1)]);
    }
    assert_eq!(stage.present, [false]);
}
