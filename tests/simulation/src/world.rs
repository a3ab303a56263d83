//! Clients, links, the broker and its model, and the steps that a run is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lotmq_codec::{QoS, ReasonCode};
use lotmq_session::Time;

use crate::broker::{Broker, ConnectionId, Note, Turn};
use crate::choices::Choices;
use crate::client::{Client, Got, Hello, Method, Outgoing};
use crate::hostile::{self, FILTERS, QOS, TOPICS};
use crate::link::Link;
use crate::model::{Checked, Expected, Model, ensure};
use crate::{Fault, Settings, Watch};

/// Rounds after which everything under way must have arrived.
const ROUNDS_MAX: usize = 20_000;

/// See the module's documentation.
pub(crate) struct World {
    choices: Choices,
    watch: Watch,
    now: Time,
    broker: Broker,
    model: Model,
    clients: Vec<Client>,
    /// The last Client sends what it likes.
    rude: Option<Rude>,
    links: BTreeMap<ConnectionId, Link>,
    next_connection: ConnectionId,
    /// What happened, if it is wanted.
    trace: Option<Vec<String>>,
    counts: BTreeMap<&'static str, usize>,
}

struct Rude {
    connection: Option<ConnectionId>,
    hello: Option<Hello>,
    serial: u32,
}

impl World {
    pub(crate) fn new(mut choices: Choices, settings: &Settings, fault: Option<Fault>) -> Self {
        let start = Time::from_millis(1_000_000);
        let count = settings.clients_min + choices.below(settings.clients_max - settings.clients_min + 1);
        let methods = [Method::AtPublish, Method::AtPubrel];
        let clients = (0..count).map(|number| Client::new(number as u8, methods[number % 2])).collect();
        Self {
            rude: choices.chance(50).then_some(Rude { connection: None, hello: None, serial: 0 }),
            choices,
            watch: settings.watch,
            now: start,
            broker: Broker::new(start, fault),
            model: Model::new(start),
            clients,
            links: BTreeMap::new(),
            next_connection: 1,
            trace: settings.trace.then(Vec::new),
            counts: BTreeMap::new(),
        }
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.choices.is_exhausted()
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    fn count(&mut self, what: &'static str, times: usize) {
        *self.counts.entry(what).or_default() += times;
    }

    /// How often what happened.
    pub(crate) fn take_counts(&mut self) -> BTreeMap<&'static str, usize> {
        for seen in self.clients.iter().map(|client| client.seen).collect::<Vec<_>>() {
            self.count("sessions resumed", seen.resumed);
            self.count("messages sent again", seen.repeated);
            self.count("messages with RETAIN", seen.retained);
            for (what, times) in
                ["QoS 0 delivered", "QoS 1 delivered", "QoS 2 delivered"].iter().zip(seen.handed_over)
            {
                self.count(what, times);
            }
        }
        std::mem::take(&mut self.counts)
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9} {}", self.now.as_millis(), line()));
        }
    }

    /// Does one random thing.
    pub(crate) fn step(&mut self) -> Checked {
        let who = self.choices.below(self.clients.len());
        match self.choices.weighted(&[56, 56, 44, 14, 3, 3, 1, 1, 1, 7, 1, 8]) {
            0 => self.arrive_up(),
            1 => self.arrive_down(),
            2 => self.publish(who),
            3 => self.subscribe(who),
            4 => self.unsubscribe(who),
            5 => self.break_link(who),
            6 => self.vanish(who),
            7 => self.disconnect(who),
            8 => self.take_over(who),
            9 => self.pass_time(),
            10 if self.choices.chance(20) => self.restart(),
            10 => self.send(who, |_| vec![0xC0, 0]),
            _ => self.be_rude(),
        }?;
        if self.clients[who].connection.is_none() {
            self.connect(who, None)?;
        }
        Ok(())
    }

    fn connect(&mut self, who: usize, hello: Option<Hello>) -> Checked {
        let hello = hello.unwrap_or_else(|| hostile::hello(&mut self.choices));
        let id = self.open_connection();
        self.tell(|| format!("c{who} connects as {id}: {hello:?}"));
        let packet = self.clients[who].connect(id, hello);
        self.put_up(id, &packet);
        Ok(())
    }

    fn open_connection(&mut self) -> ConnectionId {
        let id = self.next_connection;
        self.next_connection += 1;
        self.links.insert(id, Link::default());
        self.broker.accept(id);
        self.model.accept(id);
        id
    }

    fn put_up(&mut self, id: ConnectionId, packet: &[u8]) {
        if let Some(link) = self.links.get_mut(&id) {
            link.up.send(packet);
        }
    }

    /// Sends a packet of an open Client.
    fn send(&mut self, who: usize, packet: impl FnOnce(&mut Client) -> Vec<u8>) -> Checked {
        let client = &mut self.clients[who];
        let Some(id) = client.connection.filter(|_| client.is_open) else { return Ok(()) };
        let packet = packet(client);
        self.put_up(id, &packet);
        Ok(())
    }

    fn publish(&mut self, who: usize) -> Checked {
        if !self.clients[who].is_open {
            return Ok(());
        }
        for _ in 0..=self.choices.below(3) {
            let qos = self.choices.pick(&QOS);
            let is_v5 = self.clients[who].version().has_properties();
            let payload = match self.choices.chance(6) {
                true => Vec::new(),
                false => self.clients[who].tag(qos).payload(self.choices.below(60)),
            };
            let topic = self.choices.pick(&TOPICS);
            let retain = self.choices.chance(if payload.is_empty() { 80 } else { 15 });
            let expiry = (is_v5 && self.choices.chance(20)).then(|| self.choices.pick(&[2, 30, 600]));
            let message = Outgoing { topic, qos, retain, expiry, payload };
            self.tell(|| format!("c{who} publishes {message:?}"));
            if let Some(packet) = self.clients[who].publish(message) {
                self.send(who, |_| packet)?;
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, who: usize) -> Checked {
        if !self.clients[who].is_open {
            return Ok(());
        }
        let filter = self.choices.pick(&FILTERS);
        let options = hostile::options(&mut self.choices, filter, self.clients[who].version());
        let identifier = self.choices.chance(30).then(|| 1 + self.choices.below(200) as u32);
        self.tell(|| format!("c{who} subscribes to {filter} {options:?} {identifier:?}"));
        self.send(who, |client| client.subscribe(filter, options, identifier))
    }

    fn unsubscribe(&mut self, who: usize) -> Checked {
        let filter = self.choices.pick(&FILTERS);
        self.tell(|| format!("c{who} unsubscribes from {filter}"));
        self.send(who, |client| client.unsubscribe(filter))
    }

    /// Some bytes arrive at the broker.
    fn arrive_up(&mut self) -> Checked {
        let busy = self.busy(|link| link.up.len() > 0);
        let Some(id) = self.pick_of(&busy) else { return Ok(()) };
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let bytes = link.up.arrive(&mut self.choices);
        self.broker_reads(id, &bytes)
    }

    fn busy(&self, is_busy: impl Fn(&Link) -> bool) -> Vec<ConnectionId> {
        self.links.iter().filter(|(_, link)| is_busy(link)).map(|(id, _)| *id).collect()
    }

    fn pick_of(&mut self, of: &[ConnectionId]) -> Option<ConnectionId> {
        (!of.is_empty()).then(|| self.choices.pick(of))
    }

    fn broker_reads(&mut self, id: ConnectionId, bytes: &[u8]) -> Checked {
        self.tell(|| format!("broker reads on {id} {bytes:02X?}"));
        self.turn(|broker| broker.receive(id, bytes), |model| model.receive(id, bytes))
    }

    /// A turn of the broker, judged by the model.
    fn turn(
        &mut self,
        act: impl FnOnce(&mut Broker) -> Turn,
        expect: impl FnOnce(&mut Model) -> Checked,
    ) -> Checked {
        for (id, link) in &self.links {
            self.broker.set_room(*id, link.down.room());
        }
        let Turn { notes, outputs } = act(&mut self.broker);
        for note in &notes {
            self.tell(|| format!("  {note:?}"));
            let what = match note {
                Note::Chose { .. } => "members chosen",
                Note::Refused { .. } => "messages that found the queue full",
                Note::Expired { .. } => "messages expired",
                Note::Silent { .. } => "silent connections closed",
            };
            self.count(what, 1);
        }
        self.model.begin_turn(notes);
        let mut judged = expect(&mut self.model).and_then(|()| self.model.drop_noted());
        for (id, bytes) in &outputs {
            self.tell(|| format!("  broker writes on {id} {bytes:02X?}"));
            judged = judged.and(self.model.sent(*id, bytes));
            if let Some(link) = self.links.get_mut(id) {
                link.down.send(bytes);
            }
        }
        for (id, link) in &mut self.links {
            if !self.broker.is_open(*id) {
                // What the broker wrote before it closed still arrives.
                link.down.is_ended = true;
                link.up.is_deaf = true;
                link.up.arrive_all();
            }
        }
        let links = &self.links;
        // Nothing is owed to who does not listen any more.
        let room = |id| links.get(&id).filter(|link| !link.down.is_deaf).map_or(0, |link| link.down.room());
        let judged =
            judged.and_then(|()| self.model.end_turn(room)).and_then(|()| self.model.compare(&self.broker));
        if self.watch == Watch::Everything { judged } else { Ok(()) }
    }

    /// Some bytes arrive at a Client.
    fn arrive_down(&mut self) -> Checked {
        let busy = self.busy(|link| link.down.len() > 0 || link.down.is_ended);
        let Some(id) = self.pick_of(&busy) else { return Ok(()) };
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let bytes = link.down.arrive(&mut self.choices);
        self.client_reads(id, &bytes)
    }

    fn client_reads(&mut self, id: ConnectionId, bytes: &[u8]) -> Checked {
        let who = self.clients.iter().position(|client| client.connection == Some(id));
        if let Some(who) = who {
            self.tell(|| format!("c{who} reads on {id} {bytes:02X?}"));
            let generation = self.model.generations.get(&id).copied();
            let before = self.clients[who].generation;
            let known = self.clients[who].got.clone();
            let answers = self.clients[who].receive(bytes, generation)?;
            if self.clients[who].generation != before {
                self.check_ended(before, &known)?;
            }
            self.put_up(id, &answers);
        }
        let link = &self.links[&id];
        if link.down.is_ended && link.down.len() == 0 {
            self.tell(|| format!("end of {id}"));
            self.links.remove(&id);
            if let Some(who) = who {
                self.clients[who].leave();
            } else if let Some(rude) = self.rude.as_mut().filter(|rude| rude.connection == Some(id)) {
                rude.connection = None;
            }
            return match self.broker.is_open(id) {
                true => self.turn(|broker| broker.lose(id), |model| model.close(id, false)),
                false => Ok(()),
            };
        }
        self.turn(|broker| broker.writable(id), |_| Ok(()))
    }

    /// The link breaks at any byte in both directions, and both ends notice.
    fn break_link(&mut self, who: usize) -> Checked {
        let Some(id) = self.clients[who].connection else { return Ok(()) };
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let up = link.up.break_off(&mut self.choices);
        let down = link.down.break_off(&mut self.choices);
        link.down.is_deaf = true;
        self.count("links broken", 1);
        self.tell(|| format!("link {id} of c{who} breaks"));
        if !up.is_empty() {
            self.broker_reads(id, &up)?;
        }
        self.client_reads(id, &down)?;
        self.links.remove(&id);
        self.clients[who].leave();
        self.turn(|broker| broker.lose(id), |model| model.close(id, false))
    }

    /// The Client goes, and the broker is not told.
    fn vanish(&mut self, who: usize) -> Checked {
        let Some(id) = self.clients[who].connection else { return Ok(()) };
        self.count("links given up by one side", 1);
        self.tell(|| format!("c{who} vanishes from {id}"));
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let up = link.up.break_off(&mut self.choices);
        link.down.arrive_all();
        link.down.is_deaf = true;
        self.clients[who].leave();
        if up.is_empty() { Ok(()) } else { self.broker_reads(id, &up) }
    }

    fn disconnect(&mut self, who: usize) -> Checked {
        let Some(id) = self.clients[who].connection.filter(|_| self.clients[who].is_open) else {
            return Ok(());
        };
        let ends = self.clients[who].hello.as_ref().is_none_or(|hello| hello.expiry == 0);
        let expiry = (!ends && self.choices.chance(30)).then(|| self.choices.pick(&[0, 5, 7200]));
        let is_normal = !self.clients[who].version().has_properties() || self.choices.chance(70);
        let reason = if is_normal { ReasonCode::Success } else { ReasonCode::DisconnectWithWillMessage };
        self.count("disconnects", 1);
        self.tell(|| format!("c{who} disconnects from {id} with {reason:?} {expiry:?}"));
        let packet = self.clients[who].disconnect(reason, expiry);
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        link.up.send(&packet);
        link.up.is_ended = true;
        link.down.arrive_all();
        link.down.is_deaf = true;
        Ok(())
    }

    /// The Client connects anew though its old connection lives.
    fn take_over(&mut self, who: usize) -> Checked {
        self.count("sessions taken over", 1);
        self.vanish(who)?;
        self.connect(who, None)
    }

    fn pass_time(&mut self) -> Checked {
        let millis = match self.choices.below(8) {
            0 => self.choices.pick(&[60_000, 200_000, 4_000_000, 90_000_000]),
            1 | 2 => self.choices.below(20_000),
            _ => self.choices.below(700),
        };
        self.now = self.now.plus(Duration::from_millis(millis as u64));
        let now = self.now;
        self.tell(|| format!("{millis} ms pass"));
        self.turn(|broker| broker.advance(now), |model| model.advance(now))
    }

    fn restart(&mut self) -> Checked {
        self.count("restarts", 1);
        self.tell(|| "the broker is killed and begins anew".to_owned());
        self.links.clear();
        self.clients.iter_mut().for_each(Client::leave);
        if let Some(rude) = &mut self.rude {
            rude.connection = None;
        }
        self.turn(Broker::restart, Model::restart)
    }

    fn be_rude(&mut self) -> Checked {
        let Some(rude) = &mut self.rude else { return Ok(()) };
        let number = self.clients.len() as u8;
        if let (Some(id), Some(hello)) = (rude.connection, &rude.hello) {
            let packet = hostile::packet(&mut self.choices, number, hello.version, &mut rude.serial);
            self.put_up(id, &packet);
            self.count("rude packets", 1);
            return Ok(());
        }
        let hello = hostile::hello(&mut self.choices);
        let id = self.open_connection();
        self.tell(|| format!("the rude one connects as {id}: {hello:?}"));
        self.put_up(id, &crate::client::encode_hello("rude", number, &hello));
        if let Some(rude) = &mut self.rude {
            (rude.connection, rude.hello) = (Some(id), Some(hello));
        }
        Ok(())
    }

    /// Lets everything arrive, brings back whoever is away, and checks what all have got.
    pub(crate) fn settle(&mut self) -> Checked {
        self.tell(|| "settling".to_owned());
        for _ in 0..ROUNDS_MAX {
            for who in 0..self.clients.len() {
                if self.clients[who].connection.is_none() {
                    let mut hello = hostile::hello(&mut self.choices);
                    (hello.clean, hello.keep_alive, hello.expiry) = (false, 0, u32::MAX);
                    self.connect(who, Some(hello))?;
                }
            }
            let busy = self.busy(|link| link.up.len() + link.down.len() > 0 || link.down.is_ended);
            if busy.is_empty() {
                return self.check_settled();
            }
            for id in busy {
                if let Some(bytes) =
                    self.links.get_mut(&id).map(|link| link.up.arrive_all()).filter(|b| !b.is_empty())
                {
                    self.broker_reads(id, &bytes)?;
                }
                if let Some(bytes) = self.links.get_mut(&id).map(|link| link.down.arrive_all()) {
                    self.client_reads(id, &bytes)?;
                }
            }
        }
        Err("it does not settle".to_owned())
    }

    fn check_settled(&self) -> Checked {
        for client in &self.clients {
            let Some(generation) = client.generation else {
                return Err(format!("{} has no session", client.id));
            };
            ensure!(client.is_idle(), "{} is not done: {client:?}", client.id);
            ensure!(
                !self.model.has_pending(generation) || self.watch == Watch::EndToEnd,
                "{} lacks something",
                client.id
            );
            let expected = self.model.expected(generation);
            let due: Vec<Got> = due(expected, QoS::ExactlyOnce);
            ensure!(
                of(&client.got, QoS::ExactlyOnce) == due,
                "{} at QoS 2: {}",
                client.id,
                difference(&of(&client.got, QoS::ExactlyOnce), &due)
            );
            let (got, due) =
                (first(of(&client.got, QoS::AtLeastOnce)), first(self::due(expected, QoS::AtLeastOnce)));
            ensure!(got == due, "{} at QoS 1: {}", client.id, difference(&got, &due));
        }
        Ok(())
    }

    /// A session that is over may lack what was under way, but nothing came twice at QoS 2, and in no other order.
    fn check_ended(&self, generation: Option<u64>, got: &[Got]) -> Checked {
        let Some(generation) = generation else { return Ok(()) };
        let due = due(self.model.expected(generation), QoS::ExactlyOnce);
        let mut rest = due.iter();
        let got = of(got, QoS::ExactlyOnce);
        let is_part = got.iter().all(|got| rest.any(|due| due == got));
        ensure!(is_part, "session {generation} at QoS 2: {}", difference(&got, &due));
        Ok(())
    }
}

fn of(got: &[Got], qos: QoS) -> Vec<Got> {
    got.iter().filter(|got| got.qos == qos).cloned().collect()
}

fn due(expected: &[Expected], qos: QoS) -> Vec<Got> {
    let of_qos = expected.iter().filter(|expected| expected.qos == qos && !expected.is_void);
    of_qos
        .map(|Expected { content, qos, .. }| Got {
            qos: *qos,
            topic: content.topic.clone(),
            payload: content.payload.clone(),
        })
        .collect()
}

/// The first appearance of each message; those without content cannot be told apart.
fn first(got: Vec<Got>) -> Vec<Got> {
    let mut seen = BTreeSet::new();
    got.into_iter().filter(|got| !got.payload.is_empty() && seen.insert(got.clone())).collect()
}

fn difference(got: &[Got], due: &[Got]) -> String {
    let at = got.iter().zip(due).position(|(got, due)| got != due).unwrap_or(got.len().min(due.len()));
    format!(
        "{} of {} messages; at {at} got {:?}, due was {:?}",
        got.len(),
        due.len(),
        got.get(at),
        due.get(at)
    )
}
