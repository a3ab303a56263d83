//! `lotmq demo`: the main job in a minute. Starts a broker, uploads actions, a model, a rule and a
//! Python script, plays the sensors, prints what comes out, and leaves the broker running.

mod plc;
mod sensors;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_config::{Config, DataDirectory, LogFormat, Surroundings, ValueOrigin};
use lotmq_server::{Server, Signals};
use lotmq_terminal::{Exit, output};

use crate::cmd;
use crate::config_show::PlaceArgs;
use crate::log;
use crate::serve::ServeArgs;

/// Programs that the demo uploads, each with its command.
const UPLOADS: [(&str, &str); 5] = [
    ("-addAction", include_str!("demo/program.lot")),
    ("-addModel", include_str!("demo/line.lot")),
    ("-addRule", include_str!("demo/rule.lot")),
    ("-addPython", include_str!("demo/trend.py")),
    ("-addAction", include_str!("demo/trend.lot")),
];

/// Topic Filters of the messages that the demo shows.
const SHOWN: [&str; 5] = ["plant/#", "alarms/#", "readings/#", "trends/#", "$SYS/Coreflux/Actions/+/Error"];

/// Time for the upload: the first compilation of a process starts the engine, too.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// Time for the machine code of Python in a development build on a busy machine; the broker waits
/// some seconds before it says that it is not ready.
const PREPARING_MAX: Duration = Duration::from_secs(300);

/// Show what lotmq does: broker, programs, sensors, results. Leaves the broker running.
///
/// As in: lotmq demo. Ctrl-C ends it; what it stored stays in its own data directory, which another
/// lotmq demo takes up.
///
/// Exit codes: 0 ended by a signal, 1 it could not start or something of it failed, 2 wrong usage.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DemoArgs {
    #[command(subcommand)]
    part: Option<DemoPart>,
    /// Data directory of the demo [default: lotmq-demo beside that of `lotmq serve`]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port of the MQTT listener [default: as configured, else 127.0.0.1:1883, or any
    /// free port if that is taken]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Address and port of GET /health and GET /metrics [default: as configured, else
    /// 127.0.0.1:9100, or any free port if that is taken]
    #[arg(long, value_name = "ADDR:PORT")]
    health: Option<SocketAddr>,
    /// Rounds of sensor readings to play
    #[arg(long, default_value_t = 6)]
    rounds: u32,
    /// Stop the broker when the readings are over
    #[arg(long)]
    exit: bool,
}

/// Part of a demonstration, by itself.
#[derive(Debug, clap::Subcommand)]
enum DemoPart {
    Plc(plc::PlcArgs),
}

pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<Exit> {
    if let Some(DemoPart::Plc(args)) = &args.part {
        return plc::plc(args);
    }
    // Warnings, as that of the default password, belong to a broker that is there to stay.
    let _log = log::start("error", LogFormat::Text)?;
    let config = args.config()?;
    let password =
        config.initial_root_password.as_ref().map_or("coreflux", |secret| secret.reveal()).to_owned();
    let data = config.data.path.clone();
    let server = Server::start(&config)?;
    let signals = Signals::catch()?;
    for (name, address) in server.addresses() {
        output::line(&format!("listening {name} {address}"))?;
    }
    output::line(&format!("data in {}\n", data.display()))?;
    let mqtt = server.addresses().iter().find(|(name, _)| *name == "mqtt");
    let address = mqtt.and_then(|(_, address)| address.network());
    let Some(address) = address else { bail!("the MQTT listener did not start") };
    play(address, &password, args.rounds)?;
    if args.exit {
        server.stop();
        return Ok(Exit::Success);
    }
    output::line(&hints(address))?;
    server.wait(signals, &|| {})?;
    Ok(Exit::Success)
}

impl DemoArgs {
    fn config(&self) -> anyhow::Result<Config> {
        let data = self.data.clone().unwrap_or_else(|| {
            DataDirectory::find(None, &Surroundings::of_process()).path.with_file_name("lotmq-demo")
        });
        let place = PlaceArgs { config: None, data: Some(data) };
        let configured = place.read(Vec::new())?;
        // The demo's own addresses are defaults: what the environment or a file says stands above
        // them.
        let or_free = |given: Option<SocketAddr>, keys: [&str; 2], port| {
            let is_open = keys.iter().all(|key| *configured.origin(key) == ValueOrigin::Default);
            given.or_else(|| is_open.then(|| free_or_any(port)))
        };
        let listen = or_free(self.listen, ["listener.mqtt.bind", "listener.mqtt.port"], 1883);
        let health = or_free(self.health, ["admin.bind", "admin.health_port"], 9100);
        ServeArgs { place, listen, health, is_demo: true, ..ServeArgs::default() }.config()
    }
}

/// The port on loopback, or port 0, which takes any free one, if something listens there already.
fn free_or_any(port: u16) -> SocketAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let wanted = SocketAddr::new(loopback, port);
    if TcpListener::bind(wanted).is_ok() { wanted } else { SocketAddr::new(loopback, 0) }
}

fn play(address: SocketAddr, password: &str, rounds: u32) -> anyhow::Result<()> {
    let mut root = Client::connect(address, &ConnectOptions::new("demo-root").user("root", password))
        .context("root cannot log in to the demo's broker")?;
    for (verb, text) in UPLOADS {
        upload(&mut root, verb, text)?;
    }
    root.disconnect()?;
    let mut watcher = Client::connect(address, &ConnectOptions::new("demo-watcher").user("root", password))?;
    for filter in SHOWN {
        watcher.subscribe_to(filter, QoS::AtLeastOnce)?;
    }
    // With 5.0, so that it is told what a rule says.
    let mut sensors = Client::connect(address, &ConnectOptions::v5("demo-sensors"))?;
    for round in 0..rounds {
        for (topic, payload) in sensors::readings(round) {
            output::line(&format!("  sensor   {topic} {payload}"))?;
            sensors.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce))?;
        }
        show_results(&mut watcher, sensors::PERIOD)?;
    }
    let (topic, payload) = ("alarms/press2", "all is well");
    output::line(&format!("  sensor   {topic} {payload}"))?;
    let reason = sensors.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce))?;
    output::line(&format!("  rule     {reason}"))?;
    sensors.disconnect()?;
    watcher.disconnect()?;
    Ok(())
}

/// Sends a text as a command and shows what became of it.
fn upload(root: &mut Client, verb: &str, text: &str) -> anyhow::Result<()> {
    output::line(&format!("Sent to $SYS/Coreflux/Command as `{verb} …`:\n"))?;
    output::line(&text.lines().map(indented).collect::<String>())?;
    let (start, mut is_preparing) = (Instant::now(), false);
    let reply = loop {
        let reply = cmd::exchange(root, &format!("{verb} {text}"), "demo", UPLOAD_TIMEOUT)?;
        let reply = reply.with_context(|| format!("no reply to {verb}"))?;
        let waits = reply["errors"][0]["code"] == "PYTHON_PREPARING" && start.elapsed() < PREPARING_MAX;
        if !waits {
            break reply;
        }
        if !std::mem::replace(&mut is_preparing, true) {
            output::line("Machine code for Python is made, once; this takes some seconds.")?;
        }
    };
    // A rule, which is not replaced, is there when the demo has run on this data before.
    if reply["success"] != true && reply["errors"][0]["code"] == "EXISTS" {
        output::line("It is there from the time before, and stays as it is.\n")?;
        return Ok(());
    }
    output::line(&cmd::render_reply(&reply))?;
    if reply["success"] != true {
        bail!("the program was not accepted");
    }
    output::line(&format!("Running in its sandbox after {} ms.\n", start.elapsed().as_millis()))?;
    Ok(())
}

fn indented(line: &str) -> String {
    if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }
}

fn show_results(watcher: &mut Client, period: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + period;
    while let Some(message) = watcher.receive(end.saturating_duration_since(Instant::now()))? {
        // The sensors' own messages were shown when they were sent.
        if !message.topic.ends_with("/temperature") {
            output::line(&format!("  result   {} {}", message.topic, message.text()))?;
        }
    }
    Ok(())
}

fn hints(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!(
        "
The broker goes on running; Ctrl-C stops it. In another terminal, try:

    mosquitto_sub -h {host} -p {port} -v -t 'alarms/#' -t 'readings/#' -t 'trends/#'
    mosquitto_pub -h {host} -p {port} -t plant/press3/temperature -m 99

or the same with lotmq itself:

    lotmq sub -p {port} -v -t 'alarms/#' -t 'readings/#' -t 'trends/#'
    lotmq pub -p {port} -t plant/press3/temperature -m 99
    lotmq cmd -p {port} -listEntities

Kill it with `kill -9` and start it again: programs, counts and retained messages are still there."
    )
}
