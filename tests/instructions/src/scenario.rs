//! The scenarios that are counted: the rows of the performance page, each with a fixed number of
//! messages.

use anyhow::{Result, ensure};
use lotmq_codec::QoS;

use crate::broker::Broker;
use crate::client::{self, Client};
use crate::rules::Judge;

/// Packets that a publisher sends in one write, unless a scenario says otherwise.
const BATCH: u64 = 20;

/// Writes of each publisher that are counted.
const ROUNDS: u64 = 50;

/// Writes of each publisher before the counted ones: caches are filled and buffers have grown.
const WARM_UP: u64 = 5;

/// Clients on each side of the scenarios with many of them.
const MANY: u64 = 20;

/// A row of the table of figures.
pub(crate) struct Scenario {
    /// Name as in the file of figures.
    pub(crate) name: &'static str,
    /// Runs it; returns the messages that were delivered (or connections that were made) while
    /// instructions were counted.
    pub(crate) run: fn() -> Result<u64>,
}

/// All scenarios, in the order of the file of figures.
pub(crate) const SCENARIOS: [Scenario; 11] = [
    Scenario { name: "connect", run: connects },
    Scenario { name: "pair-q0", run: || pair(QoS::AtMostOnce) },
    Scenario { name: "pair-q1", run: || pair(QoS::AtLeastOnce) },
    Scenario { name: "pair-q2", run: || pair(QoS::ExactlyOnce) },
    Scenario { name: "fan-in-q0", run: fan_in },
    Scenario { name: "fan-out-q0", run: fan_out },
    Scenario { name: "single-q0", run: || single(QoS::AtMostOnce) },
    Scenario { name: "single-q1", run: || single(QoS::AtLeastOnce) },
    Scenario { name: "wildcard-q0", run: wildcard },
    Scenario { name: "rule-each-message", run: rule },
    Scenario { name: "other-subscriptions", run: other_subscriptions },
];

/// Publishers with their topics, and subscribers.
struct Traffic {
    publishers: Vec<(Client, Vec<String>)>,
    subscribers: Vec<Client>,
    qos: QoS,
    batch: u64,
}

impl Traffic {
    /// Sends the rounds; returns the messages that were delivered in the counted ones.
    fn run(mut self, broker: &mut Broker) -> Result<u64> {
        (0..WARM_UP).try_for_each(|_| self.round(broker, Broker::settle))?;
        let before = self.received();
        (0..ROUNDS).try_for_each(|_| self.round(broker, Broker::counted_turns))?;
        Ok(self.received() - before)
    }

    fn received(&self) -> u64 {
        self.subscribers.iter().map(|client| client.received).sum()
    }

    /// Lets each publisher send one batch, and exchanges acknowledgements until none is owed.
    fn round(&mut self, broker: &mut Broker, turns: fn(&mut Broker)) -> Result<()> {
        for (publisher, topics) in &mut self.publishers {
            let mut packets = Vec::new();
            for number in 0..self.batch {
                let topic = &topics[usize::try_from(number)? % topics.len()];
                publisher.publish(&mut packets, topic, self.qos)?;
            }
            broker.arrive(publisher.place, &packets);
        }
        loop {
            turns(broker);
            let mut is_owed = false;
            let publishers = self.publishers.iter_mut().map(|(client, _)| client);
            for client in publishers.chain(&mut self.subscribers) {
                is_owed |= client.answer(broker)?;
            }
            if !is_owed {
                return Ok(());
            }
        }
    }
}

/// Clients connect and leave.
fn connects() -> Result<u64> {
    let mut broker = Broker::start(Judge::Once)?;
    let mut connects = |number: u64, turns: fn(&mut Broker)| -> Result<()> {
        let place = broker.accept();
        broker.arrive(place, &client::connect(&format!("client-{number:05}"))?);
        turns(&mut broker);
        ensure!(!broker.take(place).is_empty(), "no CONNACK came");
        broker.arrive(place, &client::disconnect()?);
        turns(&mut broker);
        ensure!(broker.is_closed(place), "the connection is still open");
        broker.forget_last();
        Ok(())
    };
    (0..50).try_for_each(|number| connects(number, Broker::settle))?;
    let counted = 200;
    (50..50 + counted).try_for_each(|number| connects(number, Broker::counted_turns))?;
    Ok(counted)
}

/// Each publisher has one subscriber.
fn pair(qos: QoS) -> Result<u64> {
    let mut broker = Broker::start(Judge::Once)?;
    pairs(&mut broker, qos, BATCH)?.run(&mut broker)
}

fn pairs(broker: &mut Broker, qos: QoS, batch: u64) -> Result<Traffic> {
    let (mut publishers, mut subscribers) = (Vec::new(), Vec::new());
    for number in 0..MANY {
        let topic = format!("pair/{number}");
        let mut subscriber = Client::connect(broker, &format!("subscriber-{number}"))?;
        subscriber.subscribe(broker, &topic, qos)?;
        subscribers.push(subscriber);
        publishers.push((Client::connect(broker, &format!("publisher-{number}"))?, vec![topic]));
    }
    Ok(Traffic { publishers, subscribers, qos, batch })
}

/// All publishers have one subscriber.
fn fan_in() -> Result<u64> {
    let mut broker = Broker::start(Judge::Once)?;
    let mut subscriber = Client::connect(&mut broker, "subscriber")?;
    subscriber.subscribe(&mut broker, "in/#", QoS::AtMostOnce)?;
    let publishers = (0..MANY).map(|number| {
        let publisher = Client::connect(&mut broker, &format!("publisher-{number}"))?;
        Ok((publisher, vec![format!("in/{number}")]))
    });
    let publishers = publishers.collect::<Result<_>>()?;
    let traffic = Traffic { publishers, subscribers: vec![subscriber], qos: QoS::AtMostOnce, batch: BATCH };
    traffic.run(&mut broker)
}

/// One publisher has many subscribers.
fn fan_out() -> Result<u64> {
    let mut broker = Broker::start(Judge::Once)?;
    let subscribers = (0..5 * MANY).map(|number| {
        let mut subscriber = Client::connect(&mut broker, &format!("subscriber-{number}"))?;
        subscriber.subscribe(&mut broker, "out", QoS::AtMostOnce)?;
        Ok(subscriber)
    });
    let subscribers = subscribers.collect::<Result<_>>()?;
    let publisher = Client::connect(&mut broker, "publisher")?;
    let publishers = vec![(publisher, vec!["out".to_owned()])];
    Traffic { publishers, subscribers, qos: QoS::AtMostOnce, batch: BATCH }.run(&mut broker)
}

/// One packet is sent in each write, and each turn has one.
fn single(qos: QoS) -> Result<u64> {
    let mut broker = Broker::start(Judge::Once)?;
    let mut traffic = pairs(&mut broker, qos, 1)?;
    traffic.publishers.truncate(1);
    traffic.run(&mut broker)
}

/// A subscriber with wildcards receives topics that change with each message.
fn wildcard() -> Result<u64> {
    let mut broker = Broker::start(Judge::Once)?;
    let mut subscriber = Client::connect(&mut broker, "subscriber")?;
    for area in 0..MANY {
        subscriber.subscribe(&mut broker, &format!("plant/{area}/+/state"), QoS::AtMostOnce)?;
    }
    let publishers = (0..MANY).map(|area| {
        let publisher = Client::connect(&mut broker, &format!("publisher-{area}"))?;
        let topics = (0..BATCH).map(|machine| format!("plant/{area}/{machine}/state")).collect();
        Ok((publisher, topics))
    });
    let publishers = publishers.collect::<Result<_>>()?;
    let traffic = Traffic { publishers, subscribers: vec![subscriber], qos: QoS::AtMostOnce, batch: BATCH };
    traffic.run(&mut broker)
}

/// Rules are asked for each message.
fn rule() -> Result<u64> {
    let mut broker = Broker::start(Judge::EachTime)?;
    pairs(&mut broker, QoS::AtMostOnce, BATCH)?.run(&mut broker)
}

/// Pairs among many subscriptions that match nothing.
fn other_subscriptions() -> Result<u64> {
    let mut broker = Broker::start(Judge::Once)?;
    let mut idle = Client::connect(&mut broker, "idle")?;
    for number in 0..500 {
        idle.subscribe(&mut broker, &format!("idle/{number}/+"), QoS::AtMostOnce)?;
    }
    let mut traffic = pairs(&mut broker, QoS::AtMostOnce, BATCH)?;
    traffic.subscribers.push(idle);
    traffic.run(&mut broker)
}
