//! What a fuzzer runs: its bytes are the decisions of two Clients, and the model judges the broker.

use lotmq_codec::ProtocolVersion;
use lotmq_session::Time;

use crate::broker::{Broker, ConnectionId};
use crate::choices::Choices;
use crate::model::{Checked, Model};
use crate::world::World;
use crate::{Settings, client, hostile};

/// Most steps of one input, so that a run stays short.
const STEPS_MAX: usize = 2_000;

/// Two Clients that keep to the standard, over links that break: `bytes` decide what happens when.
///
/// # Panics
/// When something is lost, repeated, out of order, or not as the model says.
pub fn fuzz_two_clients(bytes: &[u8]) {
    let settings = Settings { clients_min: 2, clients_max: 2, ..Settings::default() };
    let mut world = World::new(Choices::from_bytes(bytes), &settings, None);
    let mut steps = 0;
    let mut done = Ok(());
    while done.is_ok() && !world.is_exhausted() && steps < STEPS_MAX {
        done = world.step();
        steps += 1;
    }
    done.and_then(|()| world.settle()).expect("the broker does what the model says");
}

/// Two Clients that keep to no rule but the format: `bytes` are their packets.
///
/// # Panics
/// When the broker does not do what the model says.
pub fn fuzz_hostile_clients(bytes: &[u8]) {
    Hostile::new(bytes).run().expect("the broker does what the model says");
}

struct Hostile {
    choices: Choices,
    now: Time,
    broker: Broker,
    model: Model,
    clients: [Option<(ConnectionId, ProtocolVersion)>; 2],
    next_connection: ConnectionId,
    serial: u32,
}

impl Hostile {
    fn new(bytes: &[u8]) -> Self {
        let now = Time::from_millis(1_000_000);
        Self {
            choices: Choices::from_bytes(bytes),
            now,
            broker: Broker::new(now, None),
            model: Model::new(now),
            clients: [None, None],
            next_connection: 1,
            serial: 0,
        }
    }

    fn run(&mut self) -> Checked {
        for _ in 0..STEPS_MAX {
            if self.choices.is_exhausted() {
                return Ok(());
            }
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Checked {
        let who = self.choices.below(2);
        match self.choices.weighted(&[24, 1, 1, 2, 1]) {
            0 => self.send(who),
            1 => self.connect(who),
            2 => match self.clients[who].take() {
                Some((id, _)) => {
                    let turn = self.broker.lose(id);
                    self.judge(turn, |model| model.close(id, false))
                }
                None => Ok(()),
            },
            3 => {
                let millis = self.choices.pick(&[100, 1_000, 10_000, 100_000, 5_000_000]);
                self.now = self.now.plus(std::time::Duration::from_millis(millis));
                let (now, turn) = (self.now, self.broker.advance(self.now));
                self.judge(turn, |model| model.advance(now))
            }
            _ => {
                self.clients = [None, None];
                let turn = self.broker.restart();
                self.judge(turn, Model::restart)
            }
        }
    }

    fn connect(&mut self, who: usize) -> Checked {
        let hello = hostile::hello(&mut self.choices);
        let id = self.next_connection;
        self.next_connection += 1;
        self.broker.accept(id);
        self.model.accept(id);
        self.clients[who] = Some((id, hello.version));
        self.read(id, &client::encode_hello(["a", "b"][who], who as u8, &hello))
    }

    fn send(&mut self, who: usize) -> Checked {
        let Some((id, version)) = self.clients[who].filter(|(id, _)| self.broker.is_open(*id)) else {
            return self.connect(who);
        };
        // Several packets in one read make one turn.
        let mut bytes = Vec::new();
        for _ in 0..=self.choices.below(3) {
            bytes.extend(hostile::packet(&mut self.choices, who as u8, version, &mut self.serial));
        }
        let cut = if self.choices.chance(10) { self.choices.below(bytes.len()) } else { 0 };
        self.read(id, &bytes[..cut])?;
        self.read(id, &bytes[cut..])
    }

    fn read(&mut self, id: ConnectionId, bytes: &[u8]) -> Checked {
        let turn = self.broker.receive(id, bytes);
        self.judge(turn, |model| model.receive(id, bytes))
    }

    fn judge(&mut self, turn: crate::broker::Turn, expect: impl FnOnce(&mut Model) -> Checked) -> Checked {
        self.model.begin_turn(turn.notes);
        expect(&mut self.model)?;
        self.model.drop_noted()?;
        turn.outputs.iter().try_for_each(|(id, bytes)| self.model.sent(*id, bytes))?;
        self.model.end_turn(|_| usize::MAX)?;
        self.model.compare(&self.broker)
    }
}
