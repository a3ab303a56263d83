//! Acts of Clients, links, disk and time.

use std::time::Duration;

use lotmq_codec::{ProtocolVersion, QoS, ReasonCode};
use lotmq_disk::Random;

use super::{Silences, Trouble, World};
use crate::checked::Checked;
use crate::choices::Choices;
use crate::client::{Client, Hello, MessageId, Method, Outgoing, Tag, WillOf, encode_hello};
use crate::guests::{self, Guests, Relay};
use crate::hostile::{self, QOS, TOPICS};
use crate::link::Link;
use crate::machine::{ConnectionId, Machine, Task, shard_of};
use crate::promises::{Ends, Kind, Published};

/// One power cut in so many is a change of owners instead.
const HANDOVER_EVERY: usize = 4;

/// Stretches of time in which the broker is watched while much time passes.
const WATCHED_STRETCHES: usize = 15;
/// Bytes of long messages: some are stored outside of the log, some are written in parts, some take
/// several reads and turns.
const LONG: [usize; 5] = [3_000, 20_000, 40_000, 300_000, 3_000_000];

/// Topics of messages with a delay, and the topics to which they are published then.
const DELAYED_TOPICS: [(&str, &str); 4] =
    [("$delayed/1/a", "a"), ("$delayed/2/a/b", "a/b"), ("$delayed/5/b/c", "b/c"), ("$delayed/5/a", "a")];

/// Time after which no message with a delay waits.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(6);

/// One message in so many has a delay, in runs with such messages.
const DELAYED_EVERY: usize = 5;

/// Rounds in which much is done while a thread stands still, fewer than this.
const HURRIED_ROUNDS: usize = 8;

const STRETCH: Duration = Duration::from_secs(20);

impl World {
    pub(super) fn connect(&mut self, who: usize, hello: Option<Hello>) -> Checked {
        if self.machine.is_none() {
            return Ok(());
        }
        let hello = hello.unwrap_or_else(|| self.hello(who));
        let id = self.open_connection();
        self.tell(|| format!("c{who} connects as {id}: {hello:?}"));
        if let Some(will) = &hello.will {
            let message = self.promises.message(who as u8, Some(will.tag), will.topic, will.qos);
            self.promises.publish(Published { retain: will.retain, kind: Kind::Will, ..message });
        }
        let presence = self.promises.presence(who);
        self.tell(|| format!("  its session: must be there, must not be: {presence:?}"));
        let peer = &mut self.clients[who];
        peer.presence = presence;
        if let Some(will) = &hello.will {
            let is_delayed = hello.version.has_properties() && will.delay > 0;
            self.wills.insert(id, (will.tag, is_delayed));
        }
        peer.is_alone = peer.connections.is_empty();
        peer.closed_ms = None;
        peer.connections.insert(id);
        let packet = peer.client.connect(id, hello);
        if let Some(hello) = &peer.client.hello {
            (peer.is_clean, peer.ends) = (hello.clean, ends_of(hello));
        }
        let (is_clean, ends) = (peer.is_clean, peer.ends);
        self.clients[who].client.is_in_doubt = self.promises.connects(who, is_clean, ends);
        self.put_up(id, &packet);
        Ok(())
    }

    fn hello(&mut self, who: usize) -> Hello {
        let mut hello = hello_of(&mut self.choices, &mut self.clients[who].client, self.odds.wills_percent);
        self.odds.apply(&mut hello);
        hello
    }

    pub(super) fn open_connection(&mut self) -> ConnectionId {
        let id = self.next_connection;
        self.next_connection += 1;
        self.links.insert(id, Link::new(self.link_bytes));
        self.machine.as_mut().into_iter().for_each(|machine| machine.accept(id));
        id
    }

    /// Sends a packet of an open Client.
    fn send(&mut self, who: usize, packet: impl FnOnce(&mut Client) -> Vec<u8>) {
        let client = &mut self.clients[who].client;
        let Some(id) = client.connection.filter(|_| client.is_open) else { return };
        let packet = packet(client);
        self.put_up(id, &packet);
    }

    pub(super) fn publish(&mut self, who: usize) -> Checked {
        if !self.clients[who].client.is_open {
            return Ok(());
        }
        for _ in 0..=self.choices.below(3) {
            if self.delays.as_mut().is_some_and(|delays| delays.below(DELAYED_EVERY) == 0) {
                self.publish_later(who);
                continue;
            }
            let qos = self.choices.pick(&self.odds.qos);
            let client = &mut self.clients[who].client;
            let is_v5 = client.version().has_properties();
            let topic = self.choices.pick(&TOPICS);
            let is_empty = self.choices.chance(if self.odds.retained_percent > 50 { 1 } else { 6 });
            let tag = (!is_empty).then(|| client.tag(qos));
            let is_long = self.has_long_messages && self.choices.chance(5);
            let filler = if is_long { self.choices.pick(&LONG) } else { self.choices.below(60) };
            self.count("long messages", usize::from(is_long));
            let payload = tag.map(|tag| tag.payload(filler)).unwrap_or_default();
            let retain = self.choices.chance(if is_empty { 80 } else { self.odds.retained_percent });
            let expiry = (is_v5 && self.choices.chance(self.odds.expiring_percent))
                .then(|| self.choices.pick(&[2, 30, 600]));
            let expiry_ms = expiry.map(|seconds: u32| u64::from(seconds) * 1_000);
            let id = self.promises.next_message();
            let outgoing = Outgoing { id, topic, qos, retain, expiry, payload };
            let Some(packet) = self.clients[who].client.publish(&outgoing) else { return Ok(()) };
            let message = self.promises.message(who as u8, tag, topic, qos);
            let connection = self.clients[who].client.connection.unwrap_or_default();
            self.promises.publish(Published { retain, expiry_ms, connection, ..message });
            self.note_effects(id, topic, tag);
            self.tell(|| format!("c{who} publishes {outgoing:?}"));
            self.send(who, |_| packet);
        }
        Ok(())
    }

    /// Publishes a message with a delay.
    fn publish_later(&mut self, who: usize) {
        let qos = self.choices.pick(&self.odds.qos);
        let (topic, target) = self.choices.pick(&DELAYED_TOPICS);
        let tag = self.clients[who].client.delayed_tag(qos);
        let id = self.promises.next_message();
        let outgoing = Outgoing { id, topic, qos, retain: false, expiry: None, payload: tag.payload(0) };
        let Some(packet) = self.clients[who].client.publish(&outgoing) else { return };
        let message = self.promises.message(who as u8, Some(tag), target, qos);
        let connection = self.clients[who].client.connection.unwrap_or_default();
        self.promises.publish(Published { kind: Kind::Delayed, connection, ..message });
        self.count("messages with a delay", 1);
        self.tell(|| format!("c{who} publishes {outgoing:?}"));
        self.send(who, |_| packet);
    }

    /// Notes what definitions may make of a message.
    fn note_effects(&mut self, cause: MessageId, topic: &str, tag: Option<Tag>) {
        let Some(tag) = tag.filter(|_| self.guests != Guests::None) else { return };
        for (effect, Relay { output, qos, retain, .. }) in guests::made_of(topic, tag, 0) {
            let message = self.promises.message(effect.publisher, Some(effect), output, *qos);
            self.promises.publish(Published { retain: *retain, kind: Kind::Effect(cause), ..message });
            self.count("effects of guests", 1);
        }
    }

    pub(super) fn subscribe(&mut self, who: usize) -> Checked {
        if !self.clients[who].client.is_open {
            return Ok(());
        }
        let version = self.clients[who].client.version();
        let mut wanted = Vec::new();
        for _ in 0..=self.choices.below(3) {
            let filter = self.choices.pick(&self.clients[who].filters);
            if wanted.iter().all(|(other, _)| *other != filter) {
                wanted.push((filter, hostile::options(&mut self.choices, &self.odds.qos, (filter, version))));
            }
        }
        let identifier = self.choices.chance(30).then(|| 1 + self.choices.below(200) as u32);
        self.tell(|| format!("c{who} subscribes to {wanted:?} {identifier:?}"));
        self.promises.subscribe(who, &wanted);
        self.send(who, |client| client.subscribe(&wanted, identifier));
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, who: usize) -> Checked {
        if !self.clients[who].client.is_open {
            return Ok(());
        }
        let filter = self.choices.pick(&self.clients[who].filters);
        // Often asked once more before the answer has come.
        for _ in 0..=self.choices.below(2) {
            self.tell(|| format!("c{who} unsubscribes from {filter}"));
            self.promises.unsubscribe(who, &[filter]);
            self.send(who, |client| client.unsubscribe(&[filter]));
        }
        Ok(())
    }

    /// The link breaks at any byte in both directions, and both ends notice.
    pub(super) fn break_link(&mut self, who: usize) -> Checked {
        let Some(id) = self.clients[who].client.connection else { return Ok(()) };
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let up = link.up.break_off(&mut self.choices);
        let down = link.down.break_off(&mut self.choices);
        self.count("links broken", 1);
        self.tell(|| format!("link {id} of c{who} breaks"));
        self.broker_gets(id, &up);
        self.client_gets(id, &down)
    }

    /// The Client goes, and the broker is not told.
    pub(super) fn vanish(&mut self, who: usize) -> Checked {
        let Some(id) = self.clients[who].client.connection else { return Ok(()) };
        self.count("links given up by one side", 1);
        self.tell(|| format!("c{who} vanishes from {id}"));
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let up = link.up.break_off(&mut self.choices);
        // The broker does not know.
        (link.up.is_ended, link.up.is_deaf) = (false, true);
        link.down.arrive_all();
        link.down.is_deaf = true;
        let client = &self.clients[who].client;
        let keep_alive = client.hello.as_ref().map(|hello| hello.keep_alive).filter(|_| client.is_open);
        self.leave(who);
        if self.choices.chance(50) {
            self.clients[who].away = self.choices.below(150);
        }
        if let Some(seconds) = keep_alive.filter(|seconds| *seconds > 0) {
            // It finds out after one and a half times that.
            self.promises.is_missed(who, u64::from(seconds) * 1_500 + 1_000);
        }
        self.broker_gets(id, &up);
        Ok(())
    }

    pub(super) fn disconnect(&mut self, who: usize) -> Checked {
        let client = &self.clients[who].client;
        let Some(id) = client.connection.filter(|_| client.is_open) else { return Ok(()) };
        let ends = client.hello.as_ref().is_none_or(|hello| hello.expiry == 0);
        let is_v5 = client.version().has_properties();
        let expiry = (is_v5 && !ends && self.choices.chance(30)).then(|| self.choices.pick(&[0, 5, 7200]));
        let is_normal = !is_v5 || self.choices.chance(70);
        let reason = if is_normal { ReasonCode::Success } else { ReasonCode::DisconnectWithWillMessage };
        self.count("disconnects", 1);
        self.tell(|| format!("c{who} disconnects from {id} with {reason:?} {expiry:?}"));
        let packet = self.clients[who].client.disconnect(reason, expiry);
        self.promises.disconnects(who, expiry.map(Ends::after_seconds));
        self.leave(who);
        self.put_up(id, &packet);
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        link.up.is_ended = true;
        link.down.arrive_all();
        link.down.is_deaf = true;
        Ok(())
    }

    /// The Client connects anew though its old connection lives.
    pub(super) fn take_over(&mut self, who: usize) -> Checked {
        self.count("sessions taken over", 1);
        self.vanish(who)?;
        self.connect(who, None)
    }

    /// A Client before 5.0 sends again what has no answer yet.
    pub(super) fn repeat(&mut self, who: usize) -> Checked {
        if self.clients[who].client.version().has_properties() || !self.clients[who].client.is_open {
            return Ok(());
        }
        if self.choices.chance(50) {
            self.publish(who)?;
        }
        self.tell(|| format!("c{who} sends again"));
        let Some(id) = self.clients[who].client.connection else { return Ok(()) };
        let packets = self.clients[who].client.repeat();
        self.count("messages sent again without need", usize::from(!packets.is_empty()));
        self.put_up(id, &packets);
        Ok(())
    }

    /// A thread stands still behind what it has read of a Client, which comes back to another
    /// thread.
    pub(super) fn hurry(&mut self, who: usize) -> Checked {
        match self.choices.below(4) {
            0 | 1 => self.publish(who),
            2 => self.subscribe(who),
            _ => self.unsubscribe(who),
        }?;
        let Some(id) = self.clients[who].client.connection else { return Ok(()) };
        let Some(link) = self.links.get_mut(&id).filter(|_| self.machine.is_some()) else { return Ok(()) };
        let bytes = link.up.arrive_all();
        self.count("threads that stand still", 1);
        self.tell(|| format!("the thread of c{who} stands still"));
        self.broker_gets(id, &bytes);
        self.run(Task::Connection(id))?;
        let still = shard_of(id);
        self.still_shard = Some(still);
        self.vanish(who)?;
        if shard_of(self.next_connection) == shard_of(id) {
            self.next_connection += 1;
        }
        let mut hello = self.hello(who);
        hello.clean = hello.version == ProtocolVersion::V3_1 || self.choices.chance(20);
        self.connect(who, Some(hello))?;
        self.goes_on_quickly(who, still)
    }

    /// A Client, its link, the store and the other thread do much while one thread stands still.
    fn goes_on_quickly(&mut self, who: usize, still: u16) -> Checked {
        for _ in 0..self.choices.below(HURRIED_ROUNDS) {
            let Some(id) = self.clients[who].client.connection else { return Ok(()) };
            let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
            let bytes = link.up.arrive_all();
            self.broker_gets(id, &bytes);
            let is_hurried = |task: &Task| match task {
                Task::Connection(other) => *other == id,
                Task::Flush(shard) | Task::Look(shard) | Task::Commits(shard) => *shard != still,
                Task::Store => true,
                Task::Releases | Task::Tick(_) | Task::Guests | Task::Housekeeping => false,
            };
            self.tasks().into_iter().filter(is_hurried).try_for_each(|task| self.run(task))?;
            let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
            let bytes = link.down.arrive_all();
            self.client_gets(id, &bytes)?;
        }
        Ok(())
    }

    pub(super) fn pass_time(&mut self) -> Checked {
        let millis = match self.choices.below(16) {
            0 | 1 => self.choices.pick(&[60_000, 60_000, 200_000, 4_000_000, 90_000_000]),
            2..=4 => self.choices.below(20_000),
            _ => self.choices.below(700),
        };
        self.tell(|| format!("{millis} ms pass"));
        // A thread that works stands still for moments only.
        self.still_shard = None;
        let mut left = Duration::from_millis(millis as u64);
        // Silence is noticed when it is due, and not at the end of a night.
        for _ in 0..WATCHED_STRETCHES {
            if left <= STRETCH {
                break;
            }
            self.comes_to_rest()?;
            self.check_silences()?;
            self.passes(STRETCH)?;
            left -= STRETCH;
        }
        if left >= Duration::from_secs(1) {
            // No thread has nothing but work for so long, and no disk takes it for a write.
            self.comes_to_rest()?;
            self.check_silences()?;
        }
        self.passes(left)
    }

    fn passes(&mut self, time: Duration) -> Checked {
        self.time.pass(time);
        self.promises.step(self.time.now_ms());
        // A thread that was asleep reads its clock before anything else.
        let ticks = self.machine.as_ref().map(Machine::ticks).unwrap_or_default();
        ticks.into_iter().try_for_each(|tick| self.run(tick))
    }

    /// The power goes, and comes back: what the disk has not promised is there, or not, or in part.
    /// Or another owner takes the sessions over, with the same consequences for Clients.
    pub(super) fn cut_power(&mut self) -> Checked {
        let Some(machine) = self.machine.take() else { return Ok(()) };
        self.former = None;
        let may_change_owner = !self.disk.is_off() && !self.has_failed && !machine.has_failed();
        let changes_owner = |handovers: &mut Random| handovers.below(HANDOVER_EVERY) == 0;
        if may_change_owner && self.handovers.as_mut().is_some_and(changes_owner) {
            return self.hand_over(machine);
        }
        self.count("power cuts", 1);
        self.tell(|| "the power goes".to_owned());
        drop(machine);
        self.disk = self.disk.power_cut(&mut self.cuts);
        self.disk_fails(None);
        self.has_failed = false;
        self.everybody_is_cut_off();
        Ok(())
    }

    /// Another core takes over the sessions, on the same log. The former one goes on for a while.
    fn hand_over(&mut self, mut former: Machine) -> Checked {
        self.count("changes of owners", 1);
        self.tell(|| "the sessions get another owner".to_owned());
        self.node += 1;
        let next = former.hand_over(self.node)?;
        self.everybody_is_cut_off();
        self.former = Some(former);
        self.serves(next)
    }

    /// All connections are gone, and what was under way on them.
    fn everybody_is_cut_off(&mut self) {
        for id in std::mem::take(&mut self.links).into_keys() {
            self.is_unread(id);
        }
        for who in 0..self.clients.len() {
            if self.clients[who].client.connection.is_some() {
                self.leave(who);
            }
            self.promises.power_goes(who);
            self.clients[who].connections.clear();
        }
        self.wills.clear();
        self.silences = Silences::default();
        self.promises.wills_may_be_lost();
        if let Some(rude) = &mut self.rude {
            rude.connection = None;
        }
    }

    /// The disk begins to fail, or ends to.
    pub(super) fn disk_turns(&mut self) -> Checked {
        let fails = !self.is_disk_failing && self.choices.chance(50);
        if !fails {
            self.tell(|| "the disk works".to_owned());
            self.disk_fails(None);
        } else if self.choices.chance(25) {
            let bytes_max = self.disk.written_bytes() + self.choices.pick(&[0, 16 * 1024, 256 * 1024]);
            self.tell(|| format!("the disk is full at {bytes_max} bytes"));
            self.count("disks that are full", 1);
            self.disk_fails(Some(Trouble::Full(bytes_max)));
        } else {
            let percent = self.choices.pick(&[1, 20, 100]);
            self.tell(|| format!("{percent} of a hundred calls of the disk fail"));
            self.count("disk failures", 1);
            self.disk_fails(Some(Trouble::Errors(percent)));
        }
        Ok(())
    }

    pub(super) fn be_rude(&mut self) -> Checked {
        if self.machine.is_none() {
            return Ok(());
        }
        let number = self.clients.len() as u8;
        let Some(rude) = &mut self.rude else { return Ok(()) };
        self.promises.somebody_else_is_there();
        if let Some(id) = rude.connection {
            let version = rude.version.unwrap_or(ProtocolVersion::V5);
            let packet = hostile::packet(&mut self.choices, number, version, &mut rude.serial);
            self.put_up(id, &packet);
            self.count("rude packets", 1);
            return Ok(());
        }
        let mut stranger = Client::new(number, Method::AtPublish);
        let hello = hello_of(&mut self.choices, &mut stranger, 0);
        let id = self.open_connection();
        self.tell(|| format!("the rude one connects as {id}: {hello:?}"));
        self.put_up(id, &encode_hello("rude", &hello));
        if let Some(rude) = &mut self.rude {
            (rude.connection, rude.version) = (Some(id), Some(hello.version));
        }
        Ok(())
    }
}

fn ends_of(hello: &Hello) -> Ends {
    match hello.version {
        ProtocolVersion::V5 => Ends::after_seconds(hello.expiry),
        ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 if hello.clean => Ends::WithConnection,
        ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => Ends::Never,
    }
}

pub(super) fn hello_of(choices: &mut Choices, client: &mut Client, wills_percent: usize) -> Hello {
    let version = choices.pick(&[
        ProtocolVersion::V5,
        ProtocolVersion::V3_1_1,
        ProtocolVersion::V5,
        ProtocolVersion::V3_1,
    ]);
    let will = choices.chance(wills_percent).then(|| {
        let qos: QoS = choices.pick(&QOS);
        WillOf {
            tag: client.will_tag(qos),
            topic: choices.pick(&TOPICS),
            qos,
            retain: choices.chance(30),
            delay: choices.pick(&[0, 0, 5, 60, 4000]),
        }
    });
    Hello {
        version,
        // 3.1 cannot say that a session is there.
        clean: choices.chance(15) || version == ProtocolVersion::V3_1,
        expiry: choices.pick(&[u32::MAX, u32::MAX, 3600, 60, 0]),
        keep_alive: choices.pick(&[0, 0, 30, 120]),
        receive_maximum: choices.pick(&[1, 2, 3, 8]),
        will,
    }
}
