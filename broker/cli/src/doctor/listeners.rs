//! Ports of the listeners: whether they are free for a start, or open by the running broker.
//!
//! Invariant: a port that is free is opened for a moment, and closed at once.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;

use lotmq_config::{Carrier, Config, ListenerPlan};
use lotmq_net::listening_socket::{bind, refusal};

use super::finding::Finding;
use super::running::RunningBroker;

const CHECK: &str = "port";

/// State of a listening socket in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// A port that a listener needs.
struct WantedPort {
    /// As in the configuration: `mqtts`.
    listener: &'static str,
    address: SocketAddr,
    is_udp: bool,
}

impl WantedPort {
    fn key(&self) -> String {
        if self.listener == "health" {
            "admin.health_port".to_owned()
        } else {
            format!("listener.{}.port", self.listener)
        }
    }
}

/// Findings about the ports of all listeners.
pub(super) fn look(config: &Config, running: &RunningBroker) -> Vec<Finding> {
    let plans = config.listeners();
    let mut findings: Vec<Finding> =
        wanted(config, &plans).iter().map(|port| of_port(port, running)).collect();
    findings.extend(plans.iter().filter_map(|plan| of_unix(plan, running)));
    findings
}

fn wanted(config: &Config, plans: &[ListenerPlan]) -> Vec<WantedPort> {
    let of_plan = |plan: &ListenerPlan| {
        let (listener, is_udp) = (plan.name, matches!(plan.carrier, Carrier::Quic { .. }));
        let port = move |address: &SocketAddr| WantedPort { listener, address: *address, is_udp };
        plan.addresses.iter().map(port).collect::<Vec<_>>()
    };
    let health = config.health_addresses().into_iter();
    let health = health.map(|address| WantedPort { listener: "health", address, is_udp: false });
    plans.iter().flat_map(of_plan).chain(health).collect()
}

fn of_port(port: &WantedPort, running: &RunningBroker) -> Finding {
    let WantedPort { listener, address, is_udp } = port;
    let opened: io::Result<()> =
        if *is_udp { UdpSocket::bind(address).map(drop) } else { bind(*address).map(drop) };
    let Err(error) = opened else {
        if address.port() == 0 {
            return Finding::ok(CHECK, format!("{listener} at {address}: any free one"));
        }
        let message = format!("{listener} at {address}: free");
        if !running.is_running() {
            return Finding::ok(CHECK, message);
        }
        let remedy =
            "the broker runs with another configuration or could not open it; restart it, or look at its log";
        return Finding::warning(CHECK, format!("{message}, although the broker runs"), remedy);
    };
    if error.kind() == ErrorKind::AddrInUse {
        return in_use(port, running);
    }
    let reason = refusal(*address, &error);
    let remedy = if error.kind() == ErrorKind::PermissionDenied {
        format!(
            "set `{}` to a port above 1023, or allow it: AmbientCapabilities=CAP_NET_BIND_SERVICE in the service",
            port.key()
        )
    } else {
        format!("change the address: `listener.{listener}.bind`")
    };
    // The broker skips an address that the machine does not have.
    if error.kind() == ErrorKind::AddrNotAvailable {
        return Finding::warning(CHECK, format!("{listener}: {reason}"), remedy);
    }
    Finding::error(CHECK, format!("{listener}: {reason}"), remedy)
}

fn in_use(port: &WantedPort, running: &RunningBroker) -> Finding {
    let WantedPort { listener, address, .. } = port;
    let holder = if port.is_udp { None } else { holder(address.port()) };
    let is_own = match (holder, running.process()) {
        (Some(process), Some(own)) => process == own,
        // Processes of other users do not show their sockets.
        (None, _) | (_, None) => running.is_running(),
    };
    if is_own {
        return Finding::ok(CHECK, format!("{listener} at {address}: open"));
    }
    let program = holder.map_or_else(
        || "another program".to_owned(),
        |process| {
            let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            format!("process {process} ({})", name.trim())
        },
    );
    let remedy = format!("stop that program, or set another port with `{}`", port.key());
    Finding::error(CHECK, format!("{listener} at {address}: in use by {program}"), remedy)
}

/// Process that listens on a TCP port, if the system shows it to this user.
fn holder(port: u16) -> Option<u32> {
    let listings =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inodes: Vec<String> = listings
        .iter()
        .flat_map(|listing| inodes(listing, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let has_socket = |process: &u32| {
        let open = fs::read_dir(format!("/proc/{process}/fd")).ok();
        let links = open.into_iter().flatten().flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        let mut links = links.map(|link| link.to_string_lossy().into_owned());
        links.any(|link| inodes.contains(&link))
    };
    if inodes.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes.find(has_socket)
}

/// Inodes of the sockets that listen on a port, in a listing as `/proc/net/tcp` has it.
fn inodes(listing: &str, port: u16) -> Vec<&str> {
    let lines = listing.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, digits) = fields.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(digits, 16).ok()? == port && *fields.get(3)? == LISTENS;
        is_it.then(|| fields.get(9).copied()).flatten()
    });
    lines.collect()
}

fn of_unix(plan: &ListenerPlan, running: &RunningBroker) -> Option<Finding> {
    let Carrier::Unix(Some(socket)) = &plan.carrier else { return None };
    let path = socket.path.display();
    if UnixStream::connect(&socket.path).is_ok() && !running.is_running() {
        let remedy = format!("stop that program, or change `listener.{}.path`", plan.name);
        return Some(Finding::error(CHECK, format!("unix at {path}: in use by another program"), remedy));
    }
    let has_folder =
        socket.path.parent().is_some_and(|folder| folder.as_os_str().is_empty() || folder.is_dir());
    if !has_folder {
        let remedy = format!("make the folder, or change `listener.{}.path`", plan.name);
        return Some(Finding::error(CHECK, format!("unix at {path}: the folder does not exist"), remedy));
    }
    Some(Finding::ok(CHECK, format!("unix at {path}")))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::finding::FindingLevel::{Error, Ok, Warning};
    use super::*;

    #[test]
    fn the_process_of_a_port_is_found() {
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = own.local_addr().unwrap();
        assert_eq!(holder(address.port()), Some(std::process::id()));
        let port = WantedPort { listener: "mqtt", address, is_udp: false };
        for (running, level) in [
            (RunningBroker::No, Error),
            (RunningBroker::Yes(Some(std::process::id())), Ok),
            (RunningBroker::Yes(Some(1)), Error),
            (RunningBroker::Yes(None), Ok),
        ] {
            let finding = of_port(&port, &running);
            assert_eq!(finding.level, level, "{}", finding.text());
        }
        let in_use = of_port(&port, &RunningBroker::No);
        assert!(in_use.message.contains(&format!("in use by process {} (", std::process::id())));
        assert!(in_use.remedy.unwrap().contains("`listener.mqtt.port`"));
        drop(own);
        assert_eq!(of_port(&port, &RunningBroker::No).level, Ok);
        assert_eq!(of_port(&port, &RunningBroker::Yes(None)).level, Warning);
        let foreign = WantedPort { address: "192.0.2.1:1883".parse().unwrap(), ..port };
        assert_eq!(of_port(&foreign, &RunningBroker::No).level, Warning);
    }
}
