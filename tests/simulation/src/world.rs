//! Clients, links, the broker on its disk, the book of promises, and the steps that a run is made
//! of.

mod acts;
mod odds;
mod settle;
mod silence;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lotmq_changes::rare::{self, Rare};
use lotmq_codec::{ProtocolVersion, QoS, ReasonCode};
use lotmq_config::Config;
use lotmq_disk::{Disk, PerCall, Random};

use crate::checked::{Checked, ensure, shown};
use crate::choices::Choices;
use crate::client::{Client, Event, Heard, Method, Tag};
use crate::clock::WorldTime;
use crate::guests::{self, Guests, Told};
use crate::link::Link;
use crate::machine::{ConnectionId, Machine, MachineSettings, Task};
use crate::promises::{Ends, Kind, Promises};
use crate::{Fault, Settings};
use odds::Odds;
use silence::Silences;

/// Time of the world's clock when a run begins.
const BEGINNING: Duration = Duration::from_secs(1_000);

/// Messages have delays in one run of so many without definitions.
const DELAYS_EVERY: usize = 3;

/// Rounds of tasks after which a broker is at rest, unless its disk fails.
const ROUNDS_TO_REST: usize = 50;

/// Calls of the disk within which the power goes when it goes within a commit.
const CALLS_OF_A_COMMIT: usize = 40;

/// See the module's documentation.
pub(crate) struct World {
    choices: Choices,
    time: Arc<WorldTime>,
    guests: Guests,
    settings: MachineSettings,
    disk: Disk,
    /// Decides what power cuts leave.
    cuts: Random,
    /// None while the power is off.
    machine: Option<Machine>,
    /// Former owner of the sessions, which has not noticed yet that it is none.
    former: Option<Machine>,
    /// Decides which power cuts are changes of owners instead; `None` where none is.
    handovers: Option<Random>,
    /// Decides which messages have a delay; `None` in most runs.
    delays: Option<Random>,
    /// Number of the node that owned the sessions last.
    node: u16,
    promises: Promises,
    clients: Vec<Peer>,
    /// Sends what it likes.
    rude: Option<Rude>,
    links: BTreeMap<ConnectionId, Link>,
    /// How long Clients may be silent.
    silences: Silences,
    /// Wills of connections, and whether they have a delay, in which they may be cancelled.
    wills: BTreeMap<ConnectionId, (Tag, bool)>,
    /// Acts and disturbances of the run, and how often they come.
    odds: Odds,
    /// A thread that stands still at the end of its turn.
    still_shard: Option<u16>,
    /// The power may go when something was answered.
    may_power_go: bool,
    /// Bytes that each direction of a link takes.
    link_bytes: usize,
    /// Whether some messages are long.
    has_long_messages: bool,
    /// The power goes at the end of this step.
    power_goes: bool,
    next_connection: ConnectionId,
    /// Whether the disk may fail at any call.
    is_disk_failing: bool,
    /// It has failed in this life of the broker, or may have.
    has_failed: bool,
    /// The broker has given up changes that it could not make, which it counts. A crash may then
    /// undo a refused change that was done, so the run ends.
    has_lost: bool,
    /// Events of the run, if they are wanted.
    trace: Option<Vec<String>>,
    counts: BTreeMap<&'static str, usize>,
}

/// Fault of the disk.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// So many of a hundred calls fail.
    Errors(u32),
    /// It has room for so many bytes.
    Full(usize),
}

/// A Client with what the world knows of its connection.
pub(crate) struct Peer {
    client: Client,
    /// Whether its session had to be there, or had to be gone, when it sent CONNECT.
    presence: (bool, bool),
    ends: Ends,
    is_clean: bool,
    /// Its connections that the broker has not closed: what was sent on an older one may be read
    /// late.
    connections: BTreeSet<ConnectionId>,
    /// There was no other one when it sent CONNECT last.
    is_alone: bool,
    /// When the broker closed its newest connection, in milliseconds.
    closed_ms: Option<u64>,
    /// Filters that it subscribes to, now and then.
    filters: Vec<&'static str>,
    /// Steps for which it stays away.
    away: usize,
    /// It takes what has come for it now and then.
    reads_slowly: bool,
}

/// A Client that keeps to no rule but the format.
#[derive(Default)]
pub(crate) struct Rude {
    connection: Option<ConnectionId>,
    version: Option<ProtocolVersion>,
    serial: u32,
}

impl World {
    pub(crate) fn new(mut choices: Choices, settings: &Settings) -> Self {
        rare::arrange(if choices.chance(50) { choices.seed() } else { 0 });
        let odds = Odds::draw(&mut choices);
        let count = settings.clients_min + choices.below(settings.clients_max - settings.clients_min + 1);
        let methods = [Method::AtPublish, Method::AtPubrel];
        let mut clients: Vec<Peer> = (0..count)
            .map(|number| Peer {
                client: Client::new(number as u8, methods[number % 2]),
                presence: (false, false),
                ends: Ends::WithConnection,
                is_clean: false,
                connections: BTreeSet::new(),
                is_alone: true,
                closed_ms: None,
                filters: (0..3 + choices.below(5)).map(|_| choices.pick(&odds.filters)).collect(),
                away: 0,
                reads_slowly: choices.chance(15),
            })
            .collect();
        let time = Arc::new(WorldTime::default());
        time.pass(BEGINNING);
        let looks = choices.pick(&[0, 1_000, 20_000, 200_000]);
        time.looks_take(Duration::from_nanos(looks));
        let disk = Disk::new(choices.seed());
        Machine::format(&time, &disk).expect("nothing is wrong with the disk yet");
        disk.set_faults(|faults| {
            (faults.lies, faults.takes) = (settings.fault == Some(Fault::LyingDisk), odds.disk_takes);
        });
        let passing = Arc::clone(&time);
        disk.on_wait(move |takes| passing.pass(takes));
        let cuts = Random::new(choices.seed());
        let has_long_messages = choices.chance(15);
        let guests = choices.pick(&[Guests::None, Guests::AtMostOnce, Guests::Promised]);
        if guests != Guests::None {
            // Only Clients that are subscribed all the time see the effects of messages.
            clients.iter_mut().for_each(|peer| peer.filters[0] = "g/#");
        }
        Self {
            clients,
            rude: choices.chance(30).then(Rude::default),
            promises: Promises::new(count, guests == Guests::Promised),
            time,
            guests,
            settings: MachineSettings {
                config: Config::default(),
                guests,
                mailbox_max: choices.pick(&[1, 1, 3, 1_000]),
            },
            disk,
            handovers: changes_owners(settings.fault).then(|| cuts.clone()),
            delays: delays(&cuts, guests),
            cuts,
            machine: None,
            former: None,
            node: 0,
            links: BTreeMap::new(),
            silences: Silences::default(),
            wills: BTreeMap::new(),
            odds,
            still_shard: None,
            may_power_go: true,
            link_bytes: if has_long_messages {
                choices.pick(&[20_000, 4_000_000])
            } else {
                choices.pick(&[600, 600, 5_000])
            },
            has_long_messages,
            power_goes: false,
            next_connection: 1,
            is_disk_failing: false,
            has_failed: false,
            has_lost: false,
            trace: settings.trace.then(Vec::new),
            counts: BTreeMap::new(),
            choices,
        }
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.choices.is_exhausted()
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// The disk begins to fail, or works again.
    fn disk_fails(&mut self, trouble: Option<Trouble>) {
        self.is_disk_failing = trouble.is_some();
        self.has_failed |= self.is_disk_failing;
        if self.is_disk_failing {
            self.promises.something_failed();
            self.clients.iter_mut().for_each(|peer| peer.client.may_be_refused = true);
        }
        let percent = if let Some(Trouble::Errors(percent)) = trouble { percent } else { 0 };
        let forgets = self.odds.may_disk_forget;
        self.disk.set_faults(|faults| {
            faults.errors_per_million = PerCall::all(percent * 10_000);
            faults.bytes_max =
                if let Some(Trouble::Full(bytes_max)) = trouble { Some(bytes_max) } else { None };
            faults.forgets = forgets;
        });
    }

    fn count(&mut self, what: &'static str, times: usize) {
        *self.counts.entry(what).or_default() += times;
    }

    /// How much time has passed in the run.
    pub(crate) fn simulated(&self) -> Duration {
        self.time.now() - BEGINNING
    }

    /// How often what happened.
    pub(crate) fn take_counts(&mut self) -> BTreeMap<&'static str, usize> {
        for seen in self.clients.iter().map(|peer| peer.client.seen).collect::<Vec<_>>() {
            self.count("sessions resumed", seen.resumed);
            self.count("messages sent again", seen.repeated);
            self.count("messages with RETAIN", seen.retained);
            self.count("connections refused", seen.refused);
            for (what, times) in
                ["QoS 0 delivered", "QoS 1 delivered", "QoS 2 delivered"].iter().zip(seen.handed_over)
            {
                self.count(what, times);
            }
        }
        for (rare, times) in rare::taken() {
            self.count(name_of(rare), times);
        }
        self.count("runs ended by changes that were given up", usize::from(self.has_lost));
        std::mem::take(&mut self.counts)
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10} {}", self.time.now_ms(), line()));
        }
    }

    /// Does one random thing, which is often something rude.
    pub(crate) fn step_with_rude(&mut self) -> Checked {
        if self.choices.chance(50) {
            self.rude.get_or_insert_default();
            self.promises.step(self.time.now_ms());
            self.be_rude()?;
        }
        self.step()
    }

    /// Does one random thing.
    pub(crate) fn step(&mut self) -> Checked {
        if self.has_lost {
            return Ok(());
        }
        self.promises.step(self.time.now_ms());
        let who = self.choices.below(self.clients.len());
        match self.choices.weighted(&self.odds.acts) {
            0 => self.work(),
            1 => self.arrive_up(),
            2 => self.arrive_down(),
            3 => self.publish(who),
            4 => self.subscribe(who),
            5 => self.unsubscribe(who),
            6 => self.break_link(who),
            7 => self.vanish(who),
            8 => self.disconnect(who),
            9 => self.take_over(who),
            10 => self.pass_time(),
            11 => self.cut_power(),
            12 if self.odds.may_disk_fail => self.disk_turns(),
            12 => Ok(()),
            13 => self.repeat(who),
            14 => self.hurry(who),
            _ => self.be_rude(),
        }?;
        if std::mem::take(&mut self.power_goes) {
            self.cut_power()?;
        }
        self.start_again()?;
        let peer = &mut self.clients[who];
        if peer.client.connection.is_none() {
            match peer.away {
                0 => self.connect(who, None)?,
                _ => peer.away -= 1,
            }
        }
        Ok(())
    }

    /// Starts the broker where there is none.
    fn start_again(&mut self) -> Checked {
        if self.machine.is_some() {
            return Ok(());
        }
        self.tell(|| "the broker starts".to_owned());
        match Machine::start(&self.time, &self.disk, &self.settings) {
            Ok(machine) => {
                self.count("starts", 1);
                self.serves(machine)
            }
            Err(error) if self.is_disk_failing => {
                self.tell(|| format!("the broker does not start: {error}"));
                self.time.pass(Duration::from_millis(100));
                Ok(())
            }
            Err(error) => Err(format!("the broker does not start: {error}")),
        }
    }

    /// A broker serves from now on.
    fn serves(&mut self, machine: Machine) -> Checked {
        self.promises.kept.found(machine.found())?;
        self.machine = Some(machine);
        let now_ms = self.time.now_ms();
        (0..self.clients.len()).for_each(|who| self.promises.broker_is_back(who, now_ms));
        self.hear_of_guests();
        Ok(())
    }

    /// Returns the tasks of the broker, with the room that links have now.
    fn tasks(&self) -> Vec<Task> {
        let Some(machine) = &self.machine else { return Vec::new() };
        for id in machine.open() {
            let room = self.links.get(&id).map_or(usize::MAX, |link| link.down.room());
            machine.wire(id).into_iter().for_each(|wire| wire.lock().has_room(room));
        }
        machine.tasks()
    }

    /// The broker does one of the things that it has to.
    fn work(&mut self) -> Checked {
        let tasks = self.tasks();
        if tasks.is_empty() {
            return Ok(());
        }
        let task = self.choices.pick(&tasks);
        let store_rests = if task == Task::Store { self.odds.store_rests_percent } else { 0 };
        let is_guests = task == Task::Guests && self.odds.are_guests_slow;
        let is_late = self.odds.slow_shard.is_some_and(|shard| task == Task::Flush(shard));
        let is_still = self.still_shard.is_some_and(|shard| task == Task::Flush(shard));
        if (store_rests > 0 && self.choices.chance(store_rests))
            || (is_late && self.choices.chance(80))
            || ((is_guests || is_still) && self.choices.chance(95))
        {
            return Ok(());
        }
        if is_still {
            self.still_shard = None;
        }
        self.run(task)
    }

    /// Hears what has happened to definitions.
    fn hear_of_guests(&mut self) {
        for told in guests::take_told() {
            self.tell(|| format!("  {told:?}"));
            match told {
                Told::Refused(effects) => {
                    self.count("runs refused by full mailboxes", 1);
                    self.promises.refused(&effects);
                }
                Told::HopLimit => self.count("hop limits reached", 1),
                Told::Kept(topic, kept) => {
                    self.count("values kept", 1);
                    self.promises.kept.changed(topic, kept);
                }
                Told::Saved(topic, kept) => {
                    self.count("values on the disk", 1);
                    self.promises.kept.saved(topic, kept);
                }
            }
        }
    }

    /// The broker does all that it has to, as far as that ends.
    fn comes_to_rest(&mut self) -> Checked {
        for _ in 0..ROUNDS_TO_REST {
            let tasks = self.tasks();
            if tasks.is_empty() {
                break;
            }
            tasks.into_iter().try_for_each(|task| self.run(task))?;
        }
        Ok(())
    }

    fn run(&mut self, task: Task) -> Checked {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        for id in machine.open() {
            let room = self.links.get(&id).map_or(usize::MAX, |link| link.down.room());
            machine.wire(id).into_iter().for_each(|wire| wire.lock().has_room(room));
        }
        if let Task::Connection(id) = task
            && machine.wire(id).is_some_and(|wire| !wire.lock().is_read())
        {
            self.silences.heard(id, self.time.now_ms(), self.has_long_messages);
        }
        if task == Task::Store && self.may_power_go && one_in(&mut self.choices, self.odds.cuts.commit) {
            self.disk.power_off_after(self.choices.below(CALLS_OF_A_COMMIT) as u64);
        }
        machine.run(task);
        if self.disk.is_off() {
            // Nobody hears what it has done since.
            self.tell(|| format!("the power goes in the midst of {task:?}"));
            self.count("power cuts within commits", 1);
            return self.cut_power();
        }
        self.disk.power_off_after(u64::MAX);
        self.has_lost |= machine.has_lost();
        self.tell(|| format!("broker: {task:?}"));
        self.former_works();
        self.hear_of_guests();
        self.take_output()
    }

    /// The former owner of the sessions does one of the things that it has to. Nobody hears of it.
    fn former_works(&mut self) {
        let Some(former) = &mut self.former else { return };
        match former.tasks_of_former().first().copied() {
            Some(task) => former.run(task),
            None => self.former = None,
        }
    }

    /// Takes what the broker has written, and hears whom it has closed.
    fn take_output(&mut self) -> Checked {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        let now_ms = self.time.now_ms();
        let (mut lines, mut closed) = (Vec::new(), Vec::new());
        lines
            .extend(machine.take_refused().into_iter().map(|cause| format!("  CONNECT is refused: {cause}")));
        for ended in machine.take_ended() {
            lines.push(format!("  {ended:?}"));
            let Some((tag, is_delayed)) = self.wills.remove(&ended.connection) else { continue };
            // A newer connection may have taken the session over before, and the Will has been
            // published then.
            let owner = self.clients.iter().find(|peer| peer.connections.contains(&ended.connection));
            let is_last = owner.is_some_and(|peer| peer.connections.len() == 1);
            let is_due = !is_delayed;
            self.promises.will(tag, |step| match (ended.discards_will, is_due) {
                (true, _) if is_last => Kind::DiscardedWill,
                (false, true) if is_last => Kind::DueWill(step),
                (true | false, _) => Kind::Will,
            });
        }
        for id in machine.open() {
            let Some(wire) = machine.wire(id) else { continue };
            let (written, is_closed) = {
                let mut wire = wire.lock();
                (std::mem::take(&mut wire.written), wire.is_closed)
            };
            if !written.is_empty() {
                self.power_goes |= self.may_power_go && one_in(&mut self.choices, self.odds.cuts.written);
                lines.push(format!("  broker writes on {id} {}", shown(&written)));
            }
            if let Some(link) = self.links.get_mut(&id) {
                link.down.send(&written, now_ms);
                if is_closed {
                    // Bytes that the broker wrote before it closed still arrive.
                    link.down.is_ended = true;
                    link.up.is_deaf = true;
                    link.up.arrive_all();
                }
            }
            if is_closed {
                self.silences.ends(id);
                lines.push(format!("  broker closes {id}"));
                machine.forget(id);
                closed.push(id);
                for peer in &mut self.clients {
                    peer.connections.remove(&id);
                }
                let who = self.clients.iter().position(|peer| peer.client.last_connection == Some(id));
                if let Some(who) = who {
                    self.clients[who].closed_ms = Some(now_ms);
                    self.promises.gone(who, true);
                }
            }
        }
        lines.into_iter().for_each(|line| self.tell(|| line));
        closed.into_iter().for_each(|id| self.is_unread(id));
        Ok(())
    }

    /// Some bytes arrive at the broker.
    fn arrive_up(&mut self) -> Checked {
        let busy = self.busy(|link| link.up.len() > 0 || link.up.is_ended);
        let Some(id) = self.pick_of(&busy) else { return Ok(()) };
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let bytes = link.up.arrive(&mut self.choices);
        self.broker_gets(id, &bytes);
        Ok(())
    }

    fn broker_gets(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.tell(|| format!("to the broker on {id} {}", shown(bytes)));
        let Some(wire) = self.machine.as_ref().and_then(|machine| machine.wire(id)) else { return };
        if !bytes.is_empty() {
            wire.lock().arrive(bytes);
        }
        if self.links.get(&id).is_none_or(|link| link.up.is_ended && link.up.len() == 0) {
            wire.lock().end();
        }
    }

    fn busy(&self, is_busy: impl Fn(&Link) -> bool) -> Vec<ConnectionId> {
        self.links.iter().filter(|(_, link)| is_busy(link)).map(|(id, _)| *id).collect()
    }

    fn pick_of(&mut self, of: &[ConnectionId]) -> Option<ConnectionId> {
        (!of.is_empty()).then(|| self.choices.pick(of))
    }

    /// Some bytes arrive at a Client.
    fn arrive_down(&mut self) -> Checked {
        let busy = self.busy(|link| link.down.len() > 0 || link.down.is_ended);
        let Some(id) = self.pick_of(&busy) else { return Ok(()) };
        let reader = self.clients.iter().find(|peer| peer.client.connection == Some(id));
        if reader.is_some_and(|peer| peer.reads_slowly) && self.choices.chance(90) {
            return Ok(());
        }
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        let bytes = link.down.arrive(&mut self.choices);
        self.client_gets(id, &bytes)
    }

    fn client_gets(&mut self, id: ConnectionId, bytes: &[u8]) -> Checked {
        let who = self.clients.iter().position(|peer| peer.client.connection == Some(id));
        if let Some(who) = who {
            self.tell(|| format!("c{who} gets on {id} {}", shown(bytes)));
            let was_open = self.clients[who].client.is_open;
            let Heard { answers, events } = self.clients[who].client.receive(bytes)?;
            let is_whole = self.clients[who].client.has_whole_packets();
            // A message that waited for CONNACK, which waits for the disk, was made before.
            let made = self.links.get_mut(&id).and_then(|link| link.down.made(is_whole)).filter(|_| was_open);
            self.put_up(id, &answers);
            for event in events {
                self.tell(|| format!("  {event:?}"));
                self.happens(who, event, made)?;
            }
        }
        let is_over = self.links.get(&id).is_some_and(|link| link.down.is_ended && link.down.len() == 0);
        if is_over {
            self.tell(|| format!("end of {id}"));
            self.links.remove(&id);
            self.broker_gets(id, &[]);
            if let Some(who) = who {
                self.leave(who);
            } else if let Some(rude) = self.rude.as_mut().filter(|rude| rude.connection == Some(id)) {
                rude.connection = None;
            }
            return Ok(());
        }
        Ok(())
    }

    /// How rarely the power goes when something has happened that a power cut might take back;
    /// `None` where it does not go for that.
    fn rests_on_the_disk(&self, event: &Event) -> Option<usize> {
        let is_behind = self.machine.as_ref().is_some_and(Machine::is_storing);
        let has_promised = self.guests == Guests::Promised && guests::are_posted();
        match event {
            // Its identifier is in use, also after a crash.
            Event::Got { got, has_just_come: true, retain, .. } if got.qos == QoS::ExactlyOnce => {
                if *retain {
                    Some(4)
                } else {
                    is_behind.then_some(20)
                }
            }
            Event::Got { .. } => None,
            Event::Released => self.odds.cuts.released,
            // A broker that can store nothing promises nothing.
            Event::Acknowledged { refusal: None, .. } if self.is_disk_failing => Some(4),
            // The first answer may still wait.
            Event::Acknowledged { is_repeated: true, .. } if is_behind => Some(4),
            Event::Acknowledged { .. } if has_promised => Some(20),
            Event::Acknowledged { .. }
            | Event::Opened { .. }
            | Event::Refused(_)
            | Event::Dismissed(_)
            | Event::Subscribed(_)
            | Event::Unsubscribed(_) => self.odds.cuts.answer,
        }
    }

    fn happens(&mut self, who: usize, event: Event, made: Option<u64>) -> Checked {
        let rarely = self.rests_on_the_disk(&event);
        self.power_goes |= self.may_power_go && one_in(&mut self.choices, rarely);
        match event {
            Event::Released => Ok(()),
            Event::Opened { is_present } => {
                let Peer { presence, ends, is_clean, is_alone, .. } = self.clients[who];
                if !self.clients[who].client.version().has_properties() {
                    self.clients[who].client.under_way().for_each(|id| self.promises.does_not_expire(id));
                }
                if !is_present || self.clients[who].client.is_in_doubt {
                    self.begins_anew(who);
                }
                self.promises.opened(who, is_present, (is_clean, ends), presence)?;
                if !is_alone {
                    self.promises.may_be_taken_over(who);
                }
                if let Some(closed_ms) = self.clients[who].closed_ms {
                    // The answer was on its way for long.
                    self.promises.was_gone(who, closed_ms);
                }
                self.may_be_silent(who);
                if self.odds.subscribes_at_once && !is_present { self.subscribe(who) } else { Ok(()) }
            }
            Event::Refused(reason) => {
                ensure!(self.has_failed, "c{who} is refused with {reason:?}");
                Ok(())
            }
            Event::Dismissed(reason) => {
                let is_usual = matches!(reason, ReasonCode::KeepAliveTimeout | ReasonCode::SessionTakenOver);
                ensure!(is_usual || self.has_failed, "c{who} is dismissed with {reason:?}");
                self.count("dismissals", 1);
                Ok(())
            }
            Event::Acknowledged { message, refusal, .. } => {
                let is_foreign = refusal == Some(ReasonCode::PacketIdentifierInUse)
                    && self.clients[who].client.has_foreign_state;
                let is_fair = refusal.is_none() || is_foreign || self.has_failed;
                ensure!(is_fair, "a message of c{who} was refused: {refusal:?}");
                // With an identifier that was in use it may have been taken for a repetition.
                let is_taken = refusal.is_none() && !self.clients[who].client.has_foreign_state;
                self.promises.acknowledged(message, is_taken);
                Ok(())
            }
            Event::Subscribed(answers) => {
                let is_granted = answers.iter().all(|(_, is_done)| *is_done);
                ensure!(is_granted || self.has_failed, "c{who} may not subscribe to {answers:?}");
                self.promises.subscribed(who, &answers);
                Ok(())
            }
            Event::Unsubscribed(answers) => {
                self.promises.unsubscribed(who, &answers);
                Ok(())
            }
            Event::Got { got, retain, dup, has_just_come } => {
                self.promises.got(who, &got, (retain, dup), made.filter(|_| has_just_come))
            }
        }
    }

    fn put_up(&mut self, id: ConnectionId, packet: &[u8]) {
        let now_ms = self.time.now_ms();
        if let Some(link) = self.links.get_mut(&id) {
            link.up.send(packet, now_ms);
        }
    }

    /// The Client's connection is gone, as it sees it.
    fn leave(&mut self, who: usize) {
        self.clients[who].client.leave();
        self.clients[who].away = if self.choices.chance(20) { self.choices.below(40) } else { 0 };
        self.promises.left(who);
        self.promises.gone(who, false);
    }

    /// Nobody reads what was sent on a connection any more.
    fn is_unread(&mut self, id: ConnectionId) {
        let clients = &self.clients;
        self.promises.given_up(|message, published| {
            let publisher = usize::from(published.publisher);
            let sends_again = || clients.get(publisher).is_some_and(|peer| peer.client.sends_again(message));
            published.connection == id && !sends_again()
        });
    }

    /// A Client's session has begun anew: it sends nothing again of what it sent before, and the
    /// broker reads nothing of it.
    fn begins_anew(&mut self, who: usize) {
        let number = self.clients[who].client.number;
        let connection = self.clients[who].client.connection;
        self.promises.given_up(|_, published| {
            published.publisher == number && Some(published.connection) != connection
        });
    }
}

/// Whether sessions change their owner in a run with this fault. Runs with other faults have one
/// owner.
fn changes_owners(fault: Option<Fault>) -> bool {
    matches!(fault, None | Some(Fault::Handover(_)))
}

/// Decides which messages of a run have a delay, where some have. Definitions would make effects of
/// such messages at times that nobody knows.
fn delays(cuts: &Random, guests: Guests) -> Option<Random> {
    let mut delays = cuts.clone();
    (guests == Guests::None && delays.below(DELAYS_EVERY) == 0).then_some(delays)
}

/// Whether what happens once in so many times, or never, happens now.
fn one_in(choices: &mut Choices, times: Option<usize>) -> bool {
    times.is_some_and(|times| choices.below(times) == 0)
}

/// A rare branch as reports count it.
fn name_of(rare: Rare) -> &'static str {
    match rare {
        Rare::StoreFull => "rare: store full",
        Rare::StoreBehind => "rare: store behind",
        Rare::SmallGroup => "rare: small group",
        Rare::ShortSlice => "rare: short slice",
        Rare::TimeIsOver => "rare: time over",
        Rare::PacketsWait => "rare: packets wait",
        Rare::TurnIsRelieved => "rare: turn relieved",
        Rare::WrittenEnough => "rare: written enough",
        Rare::QueueGoesOn => "rare: queue goes on",
    }
}
