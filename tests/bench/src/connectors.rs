//! Connectors beside programs that do the same without a sandbox: `lotmq-bench connectors
//! [target/release/lotmq] [rounds] [word of a case]`.
//!
//! The cases of a group take turns, each with brokers and servers of its own, so that what else the
//! machine does meets all of them; printed are medians, and the ratio to the first case of the
//! group. CPU time is that of the broker and, where there is one, of the program that does the
//! connector's work. The programs are this one, with `native-…` as its first word. Groups whose
//! server is not installed (PostgreSQL, mosquitto) are left out.

mod bridge;
mod modbus;
pub(crate) mod native;
mod outbox;
mod postgres;
mod publishers;
mod rest;
mod sink;

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lotmq_test_support::{Broker, BrokerOptions};

use crate::load::cpu_time_of;
use crate::median;

pub(crate) use self::modbus::device;

/// Figures of a run.
pub(crate) struct Figures {
    per_second: f64,
    per_cpu_second: f64,
}

/// A case: what it is called, and how it is run once.
type Case<'a> = (&'a str, Box<dyn Fn() -> Figures + 'a>);

/// Cases that are compared with each other, run for a binary so many times.
type Group = fn(&str, usize);

pub(crate) fn compare(binary: &str, rounds: usize, only: &str) {
    let groups: [(&str, Group); 6] = [
        ("postgres", postgres::group),
        ("bridge", bridge::group),
        ("rest-client", rest::asking),
        ("rest-server", rest::serving),
        ("modbus", modbus::group),
        ("outbox", outbox::figures),
    ];
    for (name, group) in groups {
        if name.contains(only) {
            println!("{name}");
            group(binary, rounds);
        }
    }
}

/// Runs the cases in turn, so many times, and prints medians.
fn rounds(unit: &str, rounds: usize, cases: &[Case<'_>]) {
    let mut figures: Vec<Vec<Figures>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((_, run), figures) in cases.iter().zip(&mut figures) {
            figures.push(run());
        }
    }
    let medians: Vec<(f64, f64)> = figures
        .iter()
        .map(|runs| {
            let rate = median(runs.iter().map(|run| run.per_second).collect());
            (rate, median(runs.iter().map(|run| run.per_cpu_second).collect()))
        })
        .collect();
    println!("  {:44} {:>10} {:>6} {:>14} {:>6}", "", format!("{unit}/s"), "", format!("{unit}/CPU-s"), "");
    for ((name, _), (rate, per_cpu)) in cases.iter().zip(&medians) {
        let (of_rate, of_cpu) = (rate / medians[0].0, per_cpu / medians[0].1);
        println!("  {name:44} {rate:>10.0} {of_rate:>6.2} {per_cpu:>14.0} {of_cpu:>6.2}");
    }
}

/// A server at a port of its own that answers each connection on a thread.
fn served(answer: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        listener.incoming().for_each(|stream| drop(thread::spawn(move || answer(stream.unwrap()))))
    });
    address
}

/// A broker whose routes may connect to this machine, and listen there.
fn broker(binary: &str) -> Broker {
    BrokerOptions::new(binary)
        .prepared()
        .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true")
        .variable("LOTMQ_ROUTES_LISTEN_NETWORKS", "127.0.0.0/8")
        .start()
}

/// Adds a route, and waits until it is connected.
fn add_route(broker: &Broker, text: &str) {
    broker.command_ok(&format!("-addRoute {text}"));
    wait_for(|| has_connected(broker));
}

/// Whether the route of a broker is connected.
fn has_connected(broker: &Broker) -> bool {
    let text = broker.http("/metrics").body;
    text.lines().any(|line| line.starts_with("lotmq_route_state{") && line.contains("state=\"Connected\""))
}

/// Figure of the only route of a broker.
fn route_figure(broker: &Broker, name: &str) -> f64 {
    broker.metric(&format!("lotmq_route_{name}")).unwrap_or_default()
}

/// Waits, with looks that are rare enough to cost nothing.
fn wait_for(mut is_done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while !is_done() {
        assert!(Instant::now() < deadline, "ten minutes are over");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Processes whose time counts, and what it was when the measurement began.
struct Meter {
    processes: Vec<u32>,
    began: Instant,
    cpu: Duration,
}

impl Meter {
    fn start(processes: Vec<u32>) -> Self {
        let cpu = processes.iter().map(|process| cpu_time_of(*process)).sum();
        Self { processes, began: Instant::now(), cpu }
    }

    /// Wall-clock and processor time since the start.
    fn elapsed(&self) -> (Duration, Duration) {
        let wall = self.began.elapsed();
        let cpu: Duration = self.processes.iter().map(|process| cpu_time_of(*process)).sum();
        (wall, cpu - self.cpu)
    }

    /// Figures of so many things since the start.
    fn figures(&self, count: usize) -> Figures {
        let (wall, cpu) = self.elapsed();
        Figures {
            per_second: count as f64 / wall.as_secs_f64(),
            per_cpu_second: count as f64 / cpu.as_secs_f64(),
        }
    }
}

/// This program with other words, which does by itself what a connector does; ended when it is
/// dropped.
struct Native {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Native {
    /// Starts it, and waits until it says that it is ready.
    fn start(words: &[&str]) -> Native {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.args(words).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut native = Native { child, stdout };
        native.wait_ready();
        native
    }

    /// Waits until it says that it is ready, with its start or with its work.
    fn wait_ready(&mut self) {
        assert_eq!(self.line(), native::READY);
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
