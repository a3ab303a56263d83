//! Services of the broker for guests that wait.

use super::http_event::HttpEvent;
use crate::{LogLevel, MetricChange, RunContext, Services, Severity};
use std::net::{IpAddr, SocketAddr};

/// Place where a guest listens.
#[derive(Clone, Copy, Debug)]
pub struct ListeningPlace<'a> {
    /// Name of its endpoint.
    pub endpoint: &'a str,
    /// Address of this machine.
    pub address: SocketAddr,
    /// Kind of traffic at that place.
    pub reception: Reception,
}

/// Traffic that a listening guest receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// Connections, which it accepts itself.
    Connections,
    /// Datagrams.
    Datagrams,
    /// Requests of HTTP, which the host reads.
    Http {
        /// Whether the host speaks TLS there.
        has_tls: bool,
    },
}

/// Services of the broker for guests that wait, besides [`Services`].
pub trait FiberServices: Services {
    /// Why guests reach nothing at all; `None` where that depends on the place. Asked before a name
    /// is looked up.
    fn refuses_network(&self) -> Option<String> {
        None
    }

    /// Returns the reason why the operator lets no guest connect to an address; `None` if it is
    /// allowed. The host asks for each connection, with the resolved address.
    fn refuses_address(&self, address: IpAddr) -> Option<String>;

    /// Why no guest may connect to a port of an address, for whatever reason.
    fn refuses_place(&self, place: SocketAddr) -> Option<String> {
        self.refuses_address(place.ip())
    }

    /// Returns the reason why the operator lets no guest listen at an address of this machine;
    /// `None` if it is allowed.
    fn refuses_listening(&self, address: IpAddr) -> Option<String>;

    /// Returns the address at which a guest listens instead of an address of this machine.
    fn listens_in_place_of(&self, address: SocketAddr) -> SocketAddr {
        address
    }

    /// A guest has begun to listen.
    fn listens(&self, _run: &RunContext, _listening: ListeningPlace<'_>) {}

    /// Returns the reason why the operator lets no guest open a serial port, by the path of its
    /// device; `None` if it is allowed.
    fn refuses_serial_port(&self, device: &str) -> Option<String>;

    /// Whether a guest is a bridge to other brokers, which may lead back to this one.
    fn is_bridge(&self, _run: &RunContext) -> bool {
        false
    }

    /// Whether guests act for an administrator, by the current rights. Administrators may exceed
    /// the bound of sockets. The host asks only when no sockets are left.
    fn acts_for_administrator(&self) -> bool {
        false
    }

    /// A guest says that something went wrong.
    fn report(&self, run: &RunContext, severity: Severity, code: &str, message: &str);

    /// A guest changes a counter or gauge, whose name was checked. False when the definition has
    /// too many.
    fn measure(&self, run: &RunContext, name: &str, change: MetricChange) -> bool;

    /// Something happened in the exchanges of a guest with HTTP servers.
    fn note_http(&self, run: &RunContext, event: HttpEvent);

    /// The system has dropped so many datagrams for a guest, because its socket had no room for
    /// them.
    fn lost_datagrams(&self, run: &RunContext, count: u64);

    /// A guest writes a line to the log.
    fn log(&self, run: &RunContext, level: LogLevel, text: &str);
}
