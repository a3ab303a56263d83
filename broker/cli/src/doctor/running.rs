//! The broker that uses the data directory, if one runs.
//!
//! Invariant: looking takes a shared lock for a moment and changes nothing. A broker that starts at
//! that moment waits for the lock.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use lotmq_config::Config;
use serde_json::Value;

use super::finding::Finding;

/// Lock file in the data directory; it holds the number of the process.
const LOCK_FILE: &str = "lotmq.lock";

/// Time to wait for each part of an answer of the health port.
const HEALTH_PATIENCE: Duration = Duration::from_secs(3);

/// Most bytes of an answer of the health port that are read.
const HEALTH_BYTES_MAX: u64 = 1 << 20;

/// Whether a broker runs on a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunningBroker {
    /// None does.
    No,
    /// One does; its process, if that is known.
    Yes(Option<u32>),
    /// The lock file cannot be read.
    Unknown(String),
}

impl RunningBroker {
    /// Looks at the lock of a data directory.
    pub(super) fn of(data: &Path) -> Self {
        let path = data.join(LOCK_FILE);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::No,
            Err(error) => return Self::Unknown(format!("{}: {error}", path.display())),
        };
        match file.try_lock_shared() {
            Ok(()) => Self::No,
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let is_read = (&mut file).take(32).read_to_string(&mut text).is_ok();
                Self::Yes(text.trim().parse().ok().filter(|_| is_read))
            }
            Err(TryLockError::Error(error)) => Self::Unknown(format!("{}: {error}", path.display())),
        }
    }

    /// Whether one runs.
    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Yes(_))
    }

    /// Its process, if one runs and the process is known.
    pub(super) fn process(&self) -> Option<u32> {
        if let Self::Yes(process) = self { *process } else { None }
    }

    /// Says whether one runs.
    pub(super) fn finding(&self, data: &Path) -> Finding {
        let data = data.display();
        match self {
            Self::No => Finding::ok("broker", format!("none runs on {data}")),
            Self::Yes(Some(process)) => Finding::ok("broker", format!("process {process} runs on {data}")),
            Self::Yes(None) => Finding::ok("broker", format!("one runs on {data}")),
            Self::Unknown(reason) => Finding::warning(
                "broker",
                format!("whether one runs cannot be seen: {reason}"),
                "run lotmq doctor as the user of the broker, such as: sudo -u lotmq lotmq doctor",
            ),
        }
    }

    /// Health of the running broker, as its health port says.
    pub(super) fn health(&self, config: &Config) -> Option<Finding> {
        let address = config.health_addresses().into_iter().find(|address| address.port() != 0)?;
        if !self.is_running() {
            return None;
        }
        Some(match answer(address) {
            Ok(Value::Object(answer)) if answer.get("status").is_some_and(|status| status == "healthy") => {
                Finding::ok("health", "healthy")
            }
            Ok(answer) => {
                let reason = answer["reason"].as_str().unwrap_or("no reason is given").to_owned();
                Finding::error("health", reason, "lotmq status shows more; the log has the details")
            }
            Err(reason) => Finding::warning(
                "health",
                format!("the health port {address} does not answer: {reason}"),
                "look at the listener health below, and at admin.health_port",
            ),
        })
    }
}

/// Body of `GET /health`.
fn answer(address: SocketAddr) -> Result<Value, String> {
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&reached(address), HEALTH_PATIENCE)?;
        stream.set_read_timeout(Some(HEALTH_PATIENCE))?;
        stream.set_write_timeout(Some(HEALTH_PATIENCE))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.take(HEALTH_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = exchange().map_err(|error| error.to_string())?;
    let (_, body) = text.split_once("\r\n\r\n").ok_or("it is not HTTP")?;
    serde_json::from_str(body.trim()).map_err(|_| "its answer is not that of lotmq".to_owned())
}

/// Address at which this machine reaches a listener: loopback for all addresses.
fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip(),
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_data_directory_has_a_running_broker() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(RunningBroker::of(folder.path()), RunningBroker::No);
        let path = folder.path().join(LOCK_FILE);
        std::fs::write(&path, "4711\n").unwrap();
        assert_eq!(RunningBroker::of(folder.path()), RunningBroker::No, "only the lock counts");
        let held = File::open(&path).unwrap();
        held.lock().unwrap();
        assert_eq!(RunningBroker::of(folder.path()), RunningBroker::Yes(Some(4711)));
        assert_eq!(RunningBroker::of(folder.path()).process(), Some(4711));
    }
}
