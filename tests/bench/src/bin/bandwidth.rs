//! Bytes on the wire: plays 200 devices or their subscriber, and counts what crosses the network
//! meanwhile. `scripts/bandwidth` runs it.
//!
//! `bandwidth <devices|gateway|subscriber> <address> <port> <kind> <flush ms> <seconds>`; `kind` is
//! `v311`, `v5`, `alias`, `ws`, `deflate` or `zstd`. Each device sends a message of QoS 1 every
//! second, at its own time: a topic of seven levels and JSON with changing numbers, a random
//! identifier, a serial number and a timestamp. `gateway` sends all of them on one connection.
//! Counted are the bytes of IP both ways as the kernel has them for the interfaces of this network
//! namespace, which must be ours alone: headers of IP and TCP and packets without content too,
//! those of Ethernet not.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people: a failure is a panic with its place"
)]

use std::num::NonZeroU16;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lotmq_client::{
    ConnectOptions, Connection, Endpoint, PacketId, PropertyId, PropertyValue, QoS, SubscriptionOptions,
};
use lotmq_codec::{
    Ack, AckType, ForwardProperties, Properties, PublishHead, ReasonCode, ServerPacket, SubscribeFilter,
    encode_ack, encode_publish, encode_subscribe,
};

const DEVICES: usize = 200;
/// Time to connect and to get going before anything is counted.
const WARM_UP: Duration = Duration::from_secs(6);
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Length of an Ethernet header, which the kernel counts and we do not.
const ETHERNET_BYTES: u64 = 14;
/// Aliases that a subscriber allows, and the most that a publisher sets.
const ALIASES: u16 = 256;

struct Case {
    endpoint: Endpoint,
    options: ConnectOptions,
    has_aliases: bool,
    seconds: u64,
    start: Instant,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, address, port, kind, flush_ms, seconds] = &arguments[..] else {
        panic!("bandwidth <devices|gateway|subscriber> <address> <port> <kind> <flush ms> <seconds>")
    };
    let endpoint = Endpoint::tcp(address, port.parse().unwrap());
    let endpoint = match kind.as_str() {
        "ws" => endpoint.websocket("/mqtt"),
        "deflate" => endpoint.compressed_websocket("/mqtt"),
        _ => endpoint,
    };
    let mut options = match kind.as_str() {
        "v311" | "ws" | "deflate" => ConnectOptions::new(role),
        _ => ConnectOptions::v5(role),
    };
    options.keep_alive = 60;
    options.zstd = kind == "zstd";
    options.flush_ms = flush_ms.parse().unwrap();
    let has_aliases = kind == "alias";
    if has_aliases && role == "subscriber" {
        options = options.property(PropertyId::TopicAliasMaximum, PropertyValue::TwoByte(ALIASES));
    }
    let seconds = seconds.parse().unwrap();
    let case = Case { endpoint, options, has_aliases, seconds, start: Instant::now() };
    let (tell, told) = channel();
    match role.as_str() {
        "devices" => {
            for device in 0..DEVICES {
                let (case, tell) = (case.of(device), tell.clone());
                thread::spawn(move || publish(&case, &[device], &tell));
            }
        }
        "gateway" => {
            let case = case.of(DEVICES);
            thread::spawn(move || publish(&case, &(0..DEVICES).collect::<Vec<_>>(), &tell));
        }
        _ => {
            let case = case.of(DEVICES);
            thread::spawn(move || subscribe(&case, &tell));
        }
    }
    let window = case.start + WARM_UP;
    thread::sleep(window.saturating_duration_since(Instant::now()));
    let before = Traffic::now();
    thread::sleep((window + Duration::from_secs(case.seconds)).saturating_duration_since(Instant::now()));
    let traffic = Traffic::now().since(&before);
    let mut latencies: Vec<u64> = told.try_iter().filter(|(at, _)| *at >= window).map(|(_, ms)| ms).collect();
    latencies.sort_unstable();
    let messages = latencies.len() as u64;
    assert!(messages > 0, "messages were counted");
    println!(
        "{role}\t{kind}\t{flush_ms}\t{messages}\t{:.1}\t{:.2}\t{}\t{}",
        traffic.ip_bytes() as f64 / messages as f64,
        traffic.packets as f64 / messages as f64,
        latencies[latencies.len() / 2],
        latencies[latencies.len() * 99 / 100],
    );
    std::process::exit(0);
}

/// Traffic of the interfaces of this namespace, but for the loopback.
struct Traffic {
    bytes: u64,
    packets: u64,
}

impl Traffic {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/self/net/dev").unwrap();
        let mut all = Self { bytes: 0, packets: 0 };
        for line in text.lines().skip(2) {
            let (name, numbers) = line.split_once(':').unwrap();
            let numbers: Vec<u64> =
                numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
            if name.trim() != "lo" {
                all.bytes += numbers[0] + numbers[8];
                all.packets += numbers[1] + numbers[9];
            }
        }
        all
    }

    fn since(&self, before: &Self) -> Self {
        Self { bytes: self.bytes - before.bytes, packets: self.packets - before.packets }
    }

    fn ip_bytes(&self) -> u64 {
        self.bytes - ETHERNET_BYTES * self.packets
    }
}

impl Case {
    /// The same for one of the connections.
    fn of(&self, number: usize) -> Self {
        let mut options = self.options.clone();
        options.client_id = format!("{}-{number:03}", options.client_id);
        Self { endpoint: self.endpoint.clone(), options, ..*self }
    }

    fn connect(&self) -> Connection {
        let version = self.options.version;
        let mut connection = Connection::open_at(&self.endpoint, version, ANSWER_TIME).unwrap();
        let mut packet = Vec::new();
        self.options.encode(&mut packet).unwrap();
        connection.send(&packet).unwrap();
        let answer = connection.receive(ANSWER_TIME).unwrap().expect("CONNACK comes");
        let ServerPacket::Connack(connack) = answer.decode().unwrap() else { panic!("{answer:?}") };
        assert_eq!(connack.reason, ReasonCode::Success);
        if self.options.zstd {
            let granted = connack.properties.user_properties().any(|pair| pair == ("lotmq-zstd", "1"));
            assert!(granted, "the broker grants the zstd stream");
            connection.start_zstd().unwrap();
        }
        connection.collect_for(Duration::from_millis(self.options.flush_ms.into()));
        connection
    }
}

/// Publishes for these devices, a message of each in every second; tells of each acknowledgement.
fn publish(case: &Case, devices: &[usize], tell: &Sender<(Instant, u64)>) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (devices[0] as u64 + 1) << 20);
    let mut machines: Vec<Machine> =
        devices.iter().map(|&number| Machine::new(number, &mut random)).collect();
    let mut connection = case.connect();
    let version = case.options.version;
    let begin = case.start + Duration::from_secs(3);
    let mut sent: Vec<Option<Instant>> = vec![None; 1 << 16];
    let mut packet_id: u16 = 0;
    for second in 0.. {
        // Neighbours do not send one after the other.
        for slot in 0..DEVICES {
            let number = slot * 7 % DEVICES;
            let Some(machine) = machines.iter_mut().find(|machine| machine.number == number) else {
                continue;
            };
            let due = begin + Duration::from_micros(second * 1_000_000 + slot as u64 * 5_000);
            wait(&mut connection, due, &mut sent, tell);
            let payload = machine.payload(&mut random);
            packet_id = packet_id.checked_add(1).unwrap_or(1);
            sent[usize::from(packet_id)] = Some(due);
            let alias =
                Some(machines_alias(number, devices)).filter(|alias| case.has_aliases && *alias <= 32);
            let topic = topic(number);
            let head = PublishHead {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: if alias.is_some() && second > 0 { "" } else { &topic },
                packet_id: PacketId::new(packet_id),
                properties: ForwardProperties {
                    topic_alias: alias.and_then(NonZeroU16::new),
                    ..ForwardProperties::default()
                },
                payload_len: payload.len(),
            };
            let mut packet = Vec::new();
            encode_publish(&mut packet, version, &head, payload.as_bytes()).unwrap();
            connection.send(&packet).unwrap();
        }
    }
}

/// The alias of a device's topic on its connection, from 1 on.
fn machines_alias(number: usize, devices: &[usize]) -> u16 {
    let place = devices.iter().position(|device| *device == number).unwrap();
    u16::try_from(place).unwrap() + 1
}

/// Takes acknowledgements until it is time.
fn wait(
    connection: &mut Connection,
    until: Instant,
    sent: &mut [Option<Instant>],
    tell: &Sender<(Instant, u64)>,
) {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let packet = if left.is_zero() { None } else { connection.receive(left).unwrap() };
        let Some(packet) = packet else {
            if left.is_zero() {
                return;
            }
            continue;
        };
        let ServerPacket::Ack(ack) = packet.decode().unwrap() else { panic!("{packet:?}") };
        let now = Instant::now();
        let due = sent[usize::from(ack.packet_id.get())].take().expect("it was sent");
        let _ = tell.send((now, now.saturating_duration_since(due).as_millis() as u64));
    }
}

/// Takes and acknowledges everything; tells how old each message is.
fn subscribe(case: &Case, tell: &Sender<(Instant, u64)>) {
    let mut connection = case.connect();
    let version = case.options.version;
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let filters = [SubscribeFilter { filter: "acme/#", options }];
    let mut packet = Vec::new();
    encode_subscribe(&mut packet, version, PacketId::MIN, Properties::EMPTY, &filters).unwrap();
    connection.send(&packet).unwrap();
    loop {
        let Some(packet) = connection.receive(ANSWER_TIME).unwrap() else { continue };
        match packet.decode().unwrap() {
            ServerPacket::Publish(publish) => {
                let text = std::str::from_utf8(publish.payload).unwrap();
                let (_, behind) = text.split_once("\"ts\":").unwrap();
                let sent: u64 = behind.split(',').next().unwrap().parse().unwrap();
                let mut ack = Vec::new();
                let properties = Properties::EMPTY;
                let packet_id = publish.packet_id.unwrap();
                let answer =
                    Ack { ack_type: AckType::Puback, packet_id, reason: ReasonCode::Success, properties };
                encode_ack(&mut ack, version, &answer).unwrap();
                connection.send(&ack).unwrap();
                let _ = tell.send((Instant::now(), now_ms().saturating_sub(sent)));
            }
            ServerPacket::Suback(suback) => assert!(suback.codes().all(|code| !code.is_failure())),
            other @ (ServerPacket::Connack(_)
            | ServerPacket::Ack(_)
            | ServerPacket::Unsuback(_)
            | ServerPacket::Pingresp
            | ServerPacket::Disconnect(_)
            | ServerPacket::Auth(_)) => panic!("{other:?}"),
        }
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Seven levels.
fn topic(number: usize) -> String {
    format!(
        "acme/eu-west/plant-{:02}/hall-{}/line-{:02}/press-{number:03}/telemetry",
        number / 50,
        number / 25 % 2,
        number / 5 % 5
    )
}

/// Measurements of a device.
struct Machine {
    number: usize,
    serial: u64,
    temperature: f64,
    pressure: f64,
    vibration: f64,
    speed: i64,
}

impl Machine {
    fn new(number: usize, random: &mut Random) -> Self {
        Self {
            number,
            serial: random.below(50_000),
            temperature: 20.0 + 60.0 * random.share(),
            pressure: 1.0 + 4.0 * random.share(),
            vibration: 0.02 + 0.08 * random.share(),
            speed: 1_480,
        }
    }

    /// JSON of some 160 bytes, 6 of which nobody can foresee: the identifier.
    fn payload(&mut self, random: &mut Random) -> String {
        self.serial += 1;
        self.temperature += random.share() - 0.5;
        self.pressure = (self.pressure + 0.05 * (random.share() - 0.5)).abs();
        self.vibration = (self.vibration + 0.003 * (random.share() - 0.5)).abs();
        self.speed += i64::try_from(random.below(7)).unwrap() - 3;
        format!(
            "{{\"device\":\"press-{:03}\",\"id\":\"{:012x}\",\"seq\":{},\"ts\":{},\"temperature\":{:.2},\"pressure\":{:.3},\
             \"vibration\":{:.4},\"speed\":{},\"state\":\"running\"}}",
            self.number,
            random.next() >> 16,
            self.serial,
            now_ms(),
            self.temperature,
            self.pressure,
            self.vibration,
            self.speed
        )
    }
}

/// xorshift64*: the same traffic in every run, but for the timestamps.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
