//! Publishers and subscribers of a run, all on one thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use lotmq_client::{ConnectOptions, PropertyBuf, ProtocolVersion, QoS, RetainHandling, SubscriptionOptions};
use lotmq_codec::{
    Ack, AckType, ForwardProperties, PacketId, Properties, PublishHead, ServerPacket, SubscribeFilter,
    encode_publish, encode_subscribe,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::client::{Incoming, Outgoing, acknowledge, connect};
use super::figures::{Figures, processor_time};
use super::subscribers;
use super::target::Target;

/// Time before the figures count.
const WARM_UP: Duration = Duration::from_millis(500);
/// Longest wait for what is still under way at the end.
const DRAIN: Duration = Duration::from_secs(5);
/// How often publishers that keep a rate send.
const TICK: Duration = Duration::from_millis(1);

/// Plan of a measurement.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    /// Whether clients that come back resume their session of TLS.
    pub(crate) resumes_tls: bool,
    pub(crate) options: ConnectOptions,
    /// Part of topics and client identifiers, so that two runs do not meet.
    pub(crate) name: String,
    pub(crate) scenario: String,
    pub(crate) publishers: u32,
    pub(crate) subscribers: u32,
    /// Whether each message goes to another subscriber, each of which has a topic of its own,
    /// instead of to those of its publisher's topic.
    pub(crate) is_scattered: bool,
    pub(crate) qos: QoS,
    pub(crate) payload_bytes: usize,
    pub(crate) time: Duration,
    pub(crate) pace: Pace,
    pub(crate) process: Option<u32>,
}

impl Plan {
    /// Deliveries of each message.
    fn fan_out(&self) -> u64 {
        u64::from(if self.publishers == 1 && !self.is_scattered { self.subscribers } else { 1 })
    }
}

/// How fast messages are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As many as are delivered.
    Window {
        /// Messages under way for each publisher.
        messages: u32,
        /// Most of them in one write.
        batch: u32,
    },
    /// So many a second by all together, delivered or not; the time of a message counts from when
    /// it was due.
    Rate(u32),
}

/// State that the tasks share.
struct Shared {
    start: Instant,
    is_measuring: Cell<bool>,
    is_over: Cell<bool>,
    figures: RefCell<Figures>,
    publishers: Vec<Progress>,
}

/// How far a publisher is.
#[derive(Default)]
struct Progress {
    sent: Cell<u64>,
    /// Deliveries to all subscribers.
    delivered: Cell<u64>,
    acknowledged: Cell<u64>,
    has_room: Notify,
}

impl Shared {
    fn publisher(&self, index: usize) -> &Progress {
        &self.publishers[index]
    }
}

pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Figures> {
    let shared = Rc::new(Shared {
        start: Instant::now(),
        is_measuring: Cell::new(false),
        is_over: Cell::new(false),
        figures: RefCell::new(Figures::of_messages()),
        publishers: (0..plan.publishers).map(|_| Progress::default()).collect(),
    });
    let mut tasks = JoinSet::new();
    let subscribers = subscribers::open(plan).await?;
    shared.figures.borrow_mut().memory_each = subscribers.memory_each;
    for (incoming, write) in subscribers.clients {
        tasks.spawn_local(receive(Rc::clone(&shared), incoming, write, plan.options.version));
    }
    for index in 0..plan.publishers {
        let (incoming, write) = connect(&plan.target, &options(plan, "p", index), &[]).await?;
        let publisher = Publisher::new(plan, &shared, index as usize, write);
        let out = Rc::clone(&publisher.acknowledgements);
        tasks.spawn_local(acknowledged(
            Rc::clone(&shared),
            incoming,
            index as usize,
            out,
            plan.options.version,
        ));
        tasks.spawn_local(publisher.publish(plan.pace, plan.publishers));
    }
    tokio::select! {
        measured = measure(plan, &shared) => measured?,
        Some(ended) = tasks.join_next() => {
            ended??;
            bail!("the broker closed a connection");
        }
    }
    tasks.abort_all();
    Ok(shared.figures.replace(Figures::of_messages()))
}

/// Lets the run get going, then measures for the planned time. Answers how long that was, and the
/// broker's processor time within it.
pub(super) async fn measured(
    plan: &Plan,
    is_measuring: &Cell<bool>,
) -> anyhow::Result<(Duration, Option<Duration>)> {
    tokio::time::sleep(WARM_UP).await;
    let broker_time = || plan.process.map(processor_time).transpose();
    let (before, start) = (broker_time()?, Instant::now());
    is_measuring.set(true);
    tokio::time::sleep(plan.time).await;
    is_measuring.set(false);
    let (after, elapsed) = (broker_time()?, start.elapsed());
    Ok((elapsed, after.zip(before).map(|(after, before)| after.saturating_sub(before))))
}

async fn measure(plan: &Plan, shared: &Shared) -> anyhow::Result<()> {
    let (elapsed, broker_time) = measured(plan, &shared.is_measuring).await?;
    shared.is_over.set(true);
    let fan_out = plan.fan_out();
    let missing = || {
        let missing =
            |progress: &Progress| (progress.sent.get() * fan_out).saturating_sub(progress.delivered.get());
        shared.publishers.iter().map(missing).sum::<u64>()
    };
    let deadline = Instant::now() + DRAIN;
    while missing() > 0 && Instant::now() < deadline {
        tokio::time::sleep(TICK).await;
    }
    let mut figures = shared.figures.borrow_mut();
    figures.lost = missing();
    figures.elapsed = elapsed;
    figures.broker_time = broker_time;
    Ok(())
}

pub(super) fn options(plan: &Plan, role: &str, index: u32) -> ConnectOptions {
    let mut options = plan.options.clone();
    options.client_id = format!("bench-{}-{role}{index}", plan.name);
    options.keep_alive = 0;
    options
}

fn topic(plan: &Plan, index: usize) -> String {
    topic_of(&plan.name, index)
}

fn topic_of(name: &str, index: usize) -> String {
    format!("bench/{name}/{index}")
}

/// The SUBSCRIBE packet of a subscriber.
pub(super) fn subscribe(plan: &Plan, index: u32) -> anyhow::Result<Vec<u8>> {
    let filter = match (plan.publishers, plan.subscribers) {
        _ if plan.is_scattered => topic(plan, index as usize),
        (1, _) => topic(plan, 0),
        (_, 1) => format!("bench/{}/+", plan.name),
        _ => topic(plan, index as usize),
    };
    let options = SubscriptionOptions {
        qos: plan.qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let filters = [SubscribeFilter { filter: &filter, options }];
    let packet_id = PacketId::new(1).context("1 is not 0")?;
    let mut packet = Vec::new();
    encode_subscribe(
        &mut packet,
        plan.options.version,
        packet_id,
        PropertyBuf::new().properties(),
        &filters,
    )?;
    Ok(packet)
}

/// Takes deliveries and acknowledges them, all of one read in one write.
async fn receive(
    shared: Rc<Shared>,
    mut incoming: Incoming,
    mut write: Outgoing,
    version: ProtocolVersion,
) -> anyhow::Result<()> {
    let mut out = Vec::new();
    loop {
        let is_open = incoming.read(|packet| take(&shared, packet, &mut out, version)).await?;
        if !is_open {
            return Ok(());
        }
        write.write(&out).await?;
        out.clear();
    }
}

fn take(
    shared: &Shared,
    packet: &ServerPacket<'_>,
    out: &mut Vec<u8>,
    version: ProtocolVersion,
) -> anyhow::Result<()> {
    if let ServerPacket::Publish(publish) = packet {
        arrived(shared, publish.payload)?;
        let ack = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(AckType::Puback),
            QoS::ExactlyOnce => Some(AckType::Pubrec),
        };
        if let (Some(ack), Some(packet_id)) = (ack, publish.packet_id) {
            acknowledge(out, version, ack, packet_id);
        }
        return Ok(());
    }
    let ServerPacket::Ack(Ack { ack_type: AckType::Pubrel, packet_id, .. }) = packet else {
        bail!("unexpected packet {packet:?}");
    };
    acknowledge(out, version, AckType::Pubcomp, *packet_id);
    Ok(())
}

fn arrived(shared: &Shared, payload: &[u8]) -> anyhow::Result<()> {
    let (at, rest) = payload.split_first_chunk().context("a message of somebody else")?;
    let (index, _) = rest.split_first_chunk().context("a message of somebody else")?;
    let due = Duration::from_nanos(u64::from_be_bytes(*at));
    let progress = shared.publishers.get(u32::from_be_bytes(*index) as usize);
    let progress = progress.context("a message of somebody else")?;
    progress.delivered.set(progress.delivered.get() + 1);
    progress.has_room.notify_one();
    if shared.is_measuring.get() {
        shared.figures.borrow_mut().arrived(shared.start.elapsed().saturating_sub(due));
    }
    Ok(())
}

/// Counts what the broker acknowledges, and leaves PUBREL to the publisher's next write.
async fn acknowledged(
    shared: Rc<Shared>,
    mut incoming: Incoming,
    index: usize,
    out: Rc<RefCell<Vec<u8>>>,
    version: ProtocolVersion,
) -> anyhow::Result<()> {
    let progress = shared.publisher(index);
    let take = |packet: &ServerPacket<'_>| {
        let ServerPacket::Ack(ack) = packet else { bail!("unexpected packet {packet:?}") };
        if ack.reason.is_failure() {
            bail!("the broker refuses a message: {}", ack.reason);
        }
        if ack.ack_type == AckType::Pubrec {
            acknowledge(&mut out.borrow_mut(), version, AckType::Pubrel, ack.packet_id);
        } else {
            progress.acknowledged.set(progress.acknowledged.get() + 1);
        }
        progress.has_room.notify_one();
        Ok(())
    };
    while incoming.read(take).await? {}
    Ok(())
}

/// Subscribers of whom each message goes to another.
struct Scattered {
    name: String,
    subscribers: u32,
}

impl Scattered {
    /// Topic of the message with this number. Neighbours in time are none in anybody's tables.
    fn topic(&self, number: u64) -> String {
        let hashed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        topic_of(&self.name, (hashed % u64::from(self.subscribers)) as usize)
    }
}

struct Publisher {
    shared: Rc<Shared>,
    index: usize,
    write: Outgoing,
    /// PUBREL packets that are due.
    acknowledgements: Rc<RefCell<Vec<u8>>>,
    topic: String,
    scattered: Option<Scattered>,
    qos: QoS,
    version: ProtocolVersion,
    payload: Vec<u8>,
    fan_out: u64,
    out: Vec<u8>,
}

impl Publisher {
    fn new(plan: &Plan, shared: &Rc<Shared>, index: usize, write: Outgoing) -> Self {
        Self {
            shared: Rc::clone(shared),
            index,
            write,
            acknowledgements: Rc::default(),
            topic: topic(plan, index),
            scattered: plan
                .is_scattered
                .then(|| Scattered { name: plan.name.clone(), subscribers: plan.subscribers }),
            qos: plan.qos,
            version: plan.options.version,
            payload: vec![b'.'; plan.payload_bytes],
            fan_out: plan.fan_out(),
            out: Vec::new(),
        }
    }

    async fn publish(mut self, pace: Pace, publishers: u32) -> anyhow::Result<()> {
        match pace {
            Pace::Window { messages, batch } => self.keep_window(messages.into(), batch.into()).await,
            Pace::Rate(rate) => self.keep_rate(f64::from(rate) / f64::from(publishers)).await,
        }
    }

    async fn keep_window(&mut self, window: u64, batch: u64) -> anyhow::Result<()> {
        let shared = Rc::clone(&self.shared);
        let progress = shared.publisher(self.index);
        loop {
            let room = window.saturating_sub(self.under_way());
            let count = if shared.is_over.get() { 0 } else { room.min(batch) };
            for _ in 0..count {
                self.add(shared.start.elapsed())?;
            }
            if !self.flush().await? {
                progress.has_room.notified().await;
            }
        }
    }

    /// Sends what was due since the last tick. When the broker does not keep up, writing waits, and
    /// the time of the messages counts all the same.
    async fn keep_rate(&mut self, rate: f64) -> anyhow::Result<()> {
        let shared = Rc::clone(&self.shared);
        let mut ticks = tokio::time::interval(TICK);
        // Publishers are spread over the time between two messages.
        let phase = self.index as f64 / shared.publishers.len() as f64;
        let start = shared.start.elapsed();
        let mut next = phase;
        loop {
            ticks.tick().await;
            while !shared.is_over.get() {
                let due = start + Duration::from_secs_f64(next / rate);
                if due > shared.start.elapsed() {
                    break;
                }
                self.add(due)?;
                next += 1.0;
            }
            self.flush().await?;
        }
    }

    fn under_way(&self) -> u64 {
        let progress = self.shared.publisher(self.index);
        let sent = progress.sent.get();
        let undelivered = sent.saturating_sub(progress.delivered.get() / self.fan_out);
        let unacknowledged = if self.qos == QoS::AtMostOnce { 0 } else { sent - progress.acknowledged.get() };
        undelivered.max(unacknowledged)
    }

    fn add(&mut self, due: Duration) -> anyhow::Result<()> {
        let progress = self.shared.publisher(self.index);
        let number = progress.sent.get();
        progress.sent.set(number + 1);
        if let Some(scattered) = &self.scattered {
            self.topic = scattered.topic(number);
        }
        let nanos = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        self.payload[..8].copy_from_slice(&nanos.to_be_bytes());
        self.payload[8..12].copy_from_slice(&u32::try_from(self.index)?.to_be_bytes());
        let packet_id = match self.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => PacketId::new(u16::try_from(number % 65_535)? + 1),
        };
        let head = PublishHead {
            dup: false,
            qos: self.qos,
            retain: false,
            topic: &self.topic,
            packet_id,
            properties: ForwardProperties::unaltered(Properties::EMPTY),
            payload_len: self.payload.len(),
        };
        encode_publish(&mut self.out, self.version, &head, &self.payload)?;
        Ok(())
    }

    /// Writes what was collected; whether there was anything.
    async fn flush(&mut self) -> anyhow::Result<bool> {
        self.out.append(&mut self.acknowledgements.borrow_mut());
        if self.out.is_empty() {
            return Ok(false);
        }
        self.write.write(&self.out).await?;
        self.out.clear();
        // So that the others have their turn, also when the socket always takes everything.
        tokio::task::yield_now().await;
        Ok(true)
    }
}
