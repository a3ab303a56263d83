//! Service manager that started this process, such as systemd, and the reports to it: the broker is
//! ready, lives, stops.
//!
//! Datagrams to the Unix socket in `NOTIFY_SOCKET`, as in sd_notify(3). Without a receiver only the
//! reports are lost.
//!
//! Invariant: a sign of life is sent only when the [`Watchdog`] misses no thread. Not here: the
//! missed threads (`watchdog`), and the times of the checks (`server/signals`).

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{error, info, warn};

use crate::watchdog::Watchdog;

/// Longest pause between two looks at the threads: one at which a busy thread is missed does not
/// count for a whole period.
const LOOK_PERIOD_MAX: Duration = Duration::from_secs(5);

/// Time that the service manager is asked for while a backup is restored, within which nothing
/// tells of life.
const RESTORE_TIME_MAX: Duration = Duration::from_secs(3600);

/// Service manager of this process; one that is not there is told nothing.
#[derive(Default)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Time after which it takes the broker for dead without a sign of life.
    patience: Option<Duration>,
    /// Last report of a missed thread or task.
    missed: Mutex<Option<String>>,
}

impl ServiceManager {
    /// The one that the environment names: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn of_environment() -> Self {
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
        let patience = number("WATCHDOG_USEC").filter(|&time| is_ours && time > 0).map(Duration::from_micros);
        Self::at(&socket, patience).unwrap_or_else(|error| {
            warn!(%error, "the service manager cannot be told anything");
            Self::default()
        })
    }

    /// The one that listens at a path, or at an abstract address, which begins with `@`.
    fn at(socket: &OsStr, patience: Option<Duration>) -> std::io::Result<Self> {
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
        };
        let own = UnixDatagram::unbound()?;
        // The broker waits for nobody who does not read.
        own.set_nonblocking(true)?;
        Ok(Self { socket: Some((own, address)), patience, missed: Mutex::default() })
    }

    /// Period of looks at the threads; `None` when nobody wants signs of life.
    pub fn look_period(&self) -> Option<Duration> {
        self.patience.map(|patience| (patience / 8).min(LOOK_PERIOD_MAX))
    }

    /// Tells that Clients can connect.
    pub fn ready(&self) {
        let patience = self.patience.map(|time| format!("\nWATCHDOG_USEC={}", time.as_micros()));
        self.tell(&format!("READY=1\nSTATUS=running{}", patience.unwrap_or_default()));
    }

    /// Tells that the broker starts anew in this process, for so long as that takes.
    pub fn restores(&self) {
        let patience = self.patience.map(|_| format!("\nWATCHDOG_USEC={}", RESTORE_TIME_MAX.as_micros()));
        self.tell(&format!("STATUS=restoring a backup{}", patience.unwrap_or_default()));
    }

    /// Tells that the broker was asked to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping");
    }

    /// Gives a sign of life if no thread is missed; else says which one is, and the service
    /// manager's patience runs on.
    pub fn look(&self, watchdog: &Watchdog, now: Instant) {
        let found = watchdog.missed(now);
        let mut missed = self.missed.lock();
        match &found {
            None if missed.is_some() => {
                info!("all threads give signs of life again");
                self.tell("WATCHDOG=1\nSTATUS=running");
            }
            None => self.tell("WATCHDOG=1"),
            Some(reason) => {
                if missed.is_none() {
                    error!(reason, "the service manager gets no sign of life");
                }
                self.tell(&format!("STATUS={reason}"));
            }
        }
        *missed = found;
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // A service manager that no longer listens cannot be helped.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service manager that listens, and the broker's side of it.
    fn listening() -> (tempfile::TempDir, UnixDatagram, ServiceManager) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let manager = ServiceManager::at(path.as_os_str(), Some(Duration::from_secs(60))).unwrap();
        (folder, listener, manager)
    }

    fn heard(listener: &UnixDatagram) -> String {
        let mut bytes = [0; 1024];
        let length = listener.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn watchdog_notifications_stop_while_a_thread_stalls_and_status_names_it() {
        let (_folder, listener, manager) = listening();
        let watchdog = Watchdog::default();
        let pulse = watchdog.pulses.add("shard 0", Duration::from_secs(5));
        let began = Instant::now();
        pulse.begins(began);
        manager.look(&watchdog, began);
        assert_eq!(heard(&listener), "WATCHDOG=1");
        manager.look(&watchdog, began + Duration::from_secs(6));
        let status = heard(&listener);
        assert!(
            status.starts_with("STATUS=") && status.contains("shard 0 has given no sign of life"),
            "{status}"
        );
        pulse.waits();
        manager.look(&watchdog, began + Duration::from_secs(7));
        assert_eq!(heard(&listener), "WATCHDOG=1\nSTATUS=running");
    }

    #[test]
    fn watchdog_notifications_stop_after_a_panic_of_a_task() {
        let (_folder, listener, manager) = listening();
        let watchdog = std::sync::Arc::<Watchdog>::default();
        let watched = crate::watchdog::Watched::new(&watchdog, "a task");
        let thread = std::thread::spawn(move || {
            let _watched = watched;
            panic!("on purpose");
        });
        thread.join().unwrap_err();
        manager.look(&watchdog, Instant::now());
        assert_eq!(heard(&listener), "STATUS=a task has ended by a panic");
    }

    #[test]
    fn a_restore_has_its_time_and_afterwards_the_old_patience_holds() {
        let (_folder, listener, manager) = listening();
        assert_eq!(manager.look_period(), Some(LOOK_PERIOD_MAX));
        manager.restores();
        assert_eq!(heard(&listener), "STATUS=restoring a backup\nWATCHDOG_USEC=3600000000");
        manager.ready();
        assert_eq!(heard(&listener), "READY=1\nSTATUS=running\nWATCHDOG_USEC=60000000");
        manager.stopping();
        assert_eq!(heard(&listener), "STOPPING=1\nSTATUS=stopping");
    }

    #[test]
    fn notify_socket_may_be_abstract_or_absent() {
        let name = format!("lotmq-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let manager = ServiceManager::at(OsStr::new(&format!("@{name}")), None).unwrap();
        manager.ready();
        assert_eq!(heard(&listener), "READY=1\nSTATUS=running");
        assert_eq!(manager.look_period(), None);
        ServiceManager::default().ready();
    }
}
