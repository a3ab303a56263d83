//! Places of the sockets of guests: connections that they have accepted by listeners of their own,
//! and, apart from those, what they open themselves: connections, also those of HTTP, UDP sockets
//! and listeners. Of each all guests together have as many as the broker has file descriptors for,
//! of which those of one owner have at most a part of what others leave. Those of an administrator
//! have one in any case.

use super::{FiberServices, bindings::lotmq::guest::net::IoError};
use lotmq_shares::{AccountShares, HeldShare, NoShare};
use parking_lot::Mutex;
use std::{collections::HashSet, net::SocketAddr, sync::Arc};

/// Addresses of this machine from which bridges of this process are connected: what a broker
/// accepts from one of them comes from itself.
static OF_BRIDGES: Mutex<Option<HashSet<SocketAddr>>> = Mutex::new(None);

/// Whether a connection from this address is one that a bridge of this process has made.
pub fn is_of_own_bridge(peer: SocketAddr) -> bool {
    let of_bridges = OF_BRIDGES.lock();
    of_bridges.as_ref().is_some_and(|of_bridges| of_bridges.contains(&canonical(peer)))
}

/// The address as it is of IPv4, where a socket of IPv6 tells it otherwise.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Place of one socket; dropping it gives it back.
#[derive(Debug)]
pub(super) struct SocketPlace {
    _place: HeldShare,
    /// Address of this machine from which a bridge is connected.
    of_bridge: Option<SocketAddr>,
}

impl SocketPlace {
    /// For a guest that acts for this account.
    pub(super) fn take(
        account: u64,
        all: &Arc<AccountShares>,
        services: &dyn FiberServices,
    ) -> Result<Self, NoShare> {
        let place = match all.hold(account, 1) {
            Err(_) if services.acts_for_administrator() => all.hold_anyway(account, 1),
            taken => taken?,
        };
        Ok(Self { _place: place, of_bridge: None })
    }

    /// Notes that the socket is a bridge's, with its own address.
    pub(super) fn is_of_bridge(&mut self, own: SocketAddr) {
        let own = canonical(own);
        OF_BRIDGES.lock().get_or_insert_default().insert(own);
        self.of_bridge = Some(own);
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        // Few sockets are bridges', and all others need no lock.
        if let Some(own) = &self.of_bridge
            && let Some(of_bridges) = &mut *OF_BRIDGES.lock()
        {
            of_bridges.remove(own);
        }
    }
}

/// What is told of a connection that was turned away.
pub(super) fn turned_away(reason: NoShare) -> String {
    let (whose, max) = match reason {
        NoShare::Owner { max } => ("those that the guests of this owner have accepted are", max),
        NoShare::All { max } => ("those that all guests have accepted are", max),
    };
    format!("a connection was closed as it came: {whose} the {max} that there may be")
}

/// The error of a guest that opens one socket too many. It may try again, as the far side may be
/// reached later.
pub(super) fn not_opened(reason: NoShare) -> IoError {
    IoError::Unreachable(match reason {
        NoShare::Owner { max } => {
            format!("the routes of this owner have the {max} sockets that others leave")
        }
        NoShare::All { max } => format!("all routes together have the {max} sockets that there may be"),
    })
}
