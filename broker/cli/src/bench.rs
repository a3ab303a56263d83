//! `lotmq bench`: how many messages a broker carries, and how long they take.
//!
//! One thread plays all clients and keeps a bounded number of messages under way, so no broker is
//! flooded into dropping.

mod client;
mod connects;
mod figures;
mod subscribers;
mod target;
mod traffic;

use std::time::Duration;

use clap::{Args, ValueEnum};
use lotmq_client::{Endpoint, ProtocolVersion};
use lotmq_connect::{ConnectArgs, Quality, qos, random_text};
use lotmq_terminal::{Exit, Misuse, output, seconds};

use crate::open_files;
use target::Target;
use traffic::{Pace, Plan};

/// Measure a broker.
///
/// As in: lotmq bench pair, or of one that runs here: lotmq bench pair --pid 4711.
///
/// Sends messages as fast as the broker delivers them, or at a given rate, and prints deliveries
/// per second and the time from publisher to subscriber. With --pid also deliveries per second of
/// the broker's processor time, the figure that depends least on what else the machine does.
/// `connect` counts answers to CONNECT instead, and the time from opening the connection to them,
/// TLS and WebSocket handshakes included. WebSocket messages are not compressed.
///
/// Exit codes: 0 done, 1 messages were lost or it failed, 2 wrong usage, 3 no broker.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct BenchArgs {
    /// Pattern of publishers and subscribers
    #[arg(value_enum, default_value_t = Scenario::Pair)]
    scenario: Scenario,
    /// Clients on the side that has many; 10000 at most, with connections 1000000
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// QoS of the messages and subscriptions
    #[arg(short = 'q', long, value_parser = qos, default_value = "0")]
    qos: Quality,
    /// Payload in bytes
    #[arg(short = 's', long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    size: u32,
    /// Seconds to measure, after half a second to get going
    #[arg(short = 't', long, default_value_t = 5.0, value_parser = some_seconds)]
    time: f64,
    /// Messages per second of all publishers together; without it as many as are delivered, with
    /// connections 10000
    #[arg(short = 'r', long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Messages that may be under way for each publisher
    #[arg(short = 'w', long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=900))]
    window: u32,
    /// Most messages in one write
    #[arg(short = 'b', long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=900))]
    batch: u32,
    /// Process of the broker on this machine, whose processor time is counted
    #[arg(long)]
    pid: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// With connect: clients that come back resume their last session of TLS; without it all
    /// handshakes are full ones
    #[arg(long)]
    tls_resume: bool,
    #[command(flatten)]
    connection: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// As many publishers as subscribers, each pair with a topic of its own
    Pair,
    /// Many publishers, one subscriber
    FanIn,
    /// One publisher, many subscribers
    FanOut,
    /// Pairs with one message in each write and little under way
    Single,
    /// Clients that connect and leave, over and over; -r is connections per second then, and
    /// refusals are counted
    Connect,
    /// Many subscribers, each with a topic of its own, and one publisher whose messages go to one
    /// of them each, at a rate; with --pid also the memory of the broker for each connection. To an
    /// address of loopback each 10,000 of them come from another one, so that the ports suffice
    Connections,
}

/// Most clients of scenarios in which all of them are busy.
const BUSY_CLIENTS_MAX: u32 = 10_000;
/// Messages per second among many connections, unless another rate is given.
const SCATTERED_RATE: u32 = 10_000;

/// Reads a time in which something can be measured.
fn some_seconds(text: &str) -> Result<f64, String> {
    let value = seconds(text)?;
    if value < 0.1 { Err("expected 0.1 seconds or more".to_owned()) } else { Ok(value) }
}

pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<Exit> {
    let endpoint = args.checked()?;
    // If the limit cannot be raised and is too low, the socket that fails to open reports it.
    let _ = open_files::raise();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (plan, figures) = tokio::task::LocalSet::new().block_on(&runtime, async {
        let plan = args.plan(Target::look_up(endpoint).await?)?;
        let figures = match args.scenario {
            Scenario::Connect => connects::run(&plan).await?,
            Scenario::Pair
            | Scenario::FanIn
            | Scenario::FanOut
            | Scenario::Single
            | Scenario::Connections => traffic::run(&plan).await?,
        };
        anyhow::Ok((plan, figures))
    })?;
    output::line(&if args.json { figures.to_json(&plan).to_string() } else { figures.to_text() })?;
    if figures.lost > 0 {
        output::error(&format!("{} messages did not arrive", figures.lost));
        return Ok(Exit::Failure);
    }
    Ok(Exit::Success)
}

impl BenchArgs {
    /// Returns the address of the broker if the options fit together.
    fn checked(&self) -> anyhow::Result<Endpoint> {
        let ConnectArgs { login, transport, patience: _, used_context: _, packet_bytes_max: _ } =
            &self.connection;
        if login.version_or(ProtocolVersion::V3_1_1) == ProtocolVersion::V3_1 {
            return Err(Misuse("version 3.1 is not measured; use 311 or 5".to_owned()).into());
        }
        if transport.zstd.flush_ms > 0 && !transport.zstd.zstd {
            return Err(Misuse(
                "messages are collected by their number here, see -b; --flush-ms is for --zstd".to_owned(),
            )
            .into());
        }
        if self.clients > BUSY_CLIENTS_MAX && self.scenario != Scenario::Connections {
            return Err(Misuse(format!("-n is at most {BUSY_CLIENTS_MAX}, but for connections")).into());
        }
        let endpoint = self.connection.endpoint()?;
        if self.tls_resume && self.scenario != Scenario::Connect {
            return Err(
                Misuse("--tls-resume is for connect; other clients do not come back".to_owned()).into()
            );
        }
        if self.tls_resume && !endpoint.has_tls() {
            return Err(Misuse("--tls-resume is about TLS, which nothing here asks for".to_owned()).into());
        }
        // A payload of dots would be compressed to next to nothing.
        Ok(endpoint.uncompressed().without_tls_sessions())
    }

    fn plan(&self, target: Target) -> anyhow::Result<Plan> {
        let (publishers, subscribers) = match self.scenario {
            Scenario::Pair | Scenario::Single => (self.clients, self.clients),
            Scenario::Connect => (self.clients, 0),
            Scenario::FanIn => (self.clients, 1),
            Scenario::FanOut | Scenario::Connections => (1, self.clients),
        };
        let (window, batch) = match self.scenario {
            Scenario::Single => (4, 1),
            Scenario::Pair
            | Scenario::FanIn
            | Scenario::FanOut
            | Scenario::Connect
            | Scenario::Connections => (self.window, self.batch),
        };
        let ConnectArgs { login, transport, patience: _, used_context: _, packet_bytes_max: _ } =
            &self.connection;
        Ok(Plan {
            target,
            resumes_tls: self.tls_resume,
            options: login.clone().options(transport.zstd, ProtocolVersion::V3_1_1)?,
            name: random_text(8)?,
            scenario: self
                .scenario
                .to_possible_value()
                .map_or_else(String::new, |value| value.get_name().to_owned()),
            publishers,
            subscribers,
            is_scattered: self.scenario == Scenario::Connections,
            qos: self.qos,
            payload_bytes: self.size as usize,
            time: Duration::from_secs_f64(self.time),
            pace: match self.rate.or((self.scenario == Scenario::Connections).then_some(SCATTERED_RATE)) {
                Some(rate) => Pace::Rate(rate),
                None => Pace::Window { messages: window, batch },
            },
            process: self.pid,
        })
    }
}
