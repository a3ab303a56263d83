//! `lotmq demo`: the main job in a minute. Starts a broker, uploads a LoT program, plays the sensors, prints what comes out, and
//! leaves the broker running.

mod sensors;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_server::config::{Config, DataDirectory, Surroundings};
use lotmq_server::{Server, Signals};

use crate::cmd;
use crate::config_show::PlaceArgs;
use crate::exit::Exit;
use crate::serve::ServeArgs;
use crate::{log, output};

const PROGRAM: &str = include_str!("demo/program.lot");

/// What the demo shows of the broker's messages.
const SHOWN: [&str; 4] = ["plant/#", "alarms/#", "readings/#", "$SYS/Coreflux/Actions/+/Error"];

/// Time for the upload: the first compilation of a process starts the engine, too.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Show what lotmq does: broker, LoT program, sensors, results. Leaves the broker running.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Data directory of the demo [default: lotmq-demo beside that of `lotmq serve`]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port of the MQTT listener [default: 127.0.0.1:1883, or any free port if that is taken]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Address and port of GET /health and GET /metrics [default: 127.0.0.1:9100, or any free port if that is taken]
    #[arg(long, value_name = "ADDR:PORT")]
    health: Option<SocketAddr>,
    /// Rounds of sensor readings to play
    #[arg(long, default_value_t = 6)]
    rounds: u32,
    /// Stop the broker when the readings are over
    #[arg(long)]
    exit: bool,
}

pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<Exit> {
    // Warnings, as that of the default password, belong to a broker that is there to stay.
    let _log = log::start("error")?;
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
    server.wait(signals)?;
    Ok(Exit::Success)
}

impl DemoArgs {
    fn config(&self) -> anyhow::Result<Config> {
        let data = self.data.clone().unwrap_or_else(|| {
            DataDirectory::find(None, &Surroundings::of_process()).path.with_file_name("lotmq-demo")
        });
        let serve = ServeArgs {
            place: PlaceArgs { config: None, data: Some(data) },
            listen: Some(self.listen.unwrap_or_else(|| free_or_any(1883))),
            health: Some(self.health.unwrap_or_else(|| free_or_any(9100))),
            secure: false,
            is_demo: true,
        };
        serve.config()
    }
}

/// The port on loopback, or port 0, which takes any free one, if something listens there already.
fn free_or_any(port: u16) -> SocketAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let wanted = SocketAddr::new(loopback, port);
    if TcpListener::bind(wanted).is_ok() { wanted } else { SocketAddr::new(loopback, 0) }
}

fn play(address: SocketAddr, password: &str, rounds: u32) -> anyhow::Result<()> {
    upload(address, password)?;
    let mut watcher = Client::connect(address, &ConnectOptions::new("demo-watcher").user("root", password))?;
    for filter in SHOWN {
        watcher.subscribe_to(filter, QoS::AtLeastOnce)?;
    }
    let mut sensors = Client::connect(address, &ConnectOptions::new("demo-sensors"))?;
    for round in 0..rounds {
        for (topic, payload) in sensors::readings(round) {
            output::line(&format!("  sensor   {topic} {payload}"))?;
            sensors.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce))?;
        }
        show_results(&mut watcher, sensors::PERIOD)?;
    }
    sensors.disconnect()?;
    watcher.disconnect()?;
    Ok(())
}

/// Sends the program as one `-addAction` command and shows what became of it.
fn upload(address: SocketAddr, password: &str) -> anyhow::Result<()> {
    output::line("The program, sent to $SYS/Coreflux/Command as `-addAction …`:\n")?;
    output::line(&PROGRAM.lines().map(|line| format!("    {line}\n")).collect::<String>())?;
    let mut root = Client::connect(address, &ConnectOptions::new("demo-root").user("root", password))
        .context("root cannot log in to the demo's broker")?;
    let start = Instant::now();
    let reply = cmd::exchange(&mut root, &format!("-addAction {PROGRAM}"), "demo", UPLOAD_TIMEOUT)?;
    let reply = reply.context("no reply to -addAction")?;
    output::line(&cmd::render_reply(&reply))?;
    if reply["success"] != true {
        bail!("the program was not accepted");
    }
    output::line(&format!(
        "Compiled to WebAssembly and running after {} ms.\n",
        start.elapsed().as_millis()
    ))?;
    root.disconnect()?;
    Ok(())
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

    mosquitto_sub -h {host} -p {port} -v -t 'alarms/#' -t 'readings/#'
    mosquitto_pub -h {host} -p {port} -t plant/press3/temperature -m 99

or the same with lotmq itself:

    lotmq sub -p {port} -v -t 'alarms/#' -t 'readings/#'
    lotmq pub -p {port} -t plant/press3/temperature -m 99
    lotmq cmd -p {port} -listEntities

Kill it with `kill -9` and start it again: actions, counts and retained messages are still there."
    )
}
