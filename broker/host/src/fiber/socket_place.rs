//! Places of the sockets of guests, in two sums: connections that they have accepted by listeners
//! of their own, and sockets that they open themselves (connections, also those of HTTP, UDP
//! sockets and listeners). The file descriptors of the broker bound each sum. One owner has at most
//! a part of the rest that others leave. Administrators may exceed it.

use super::{bindings::lotmq::guest::net::IoError, services::FiberServices};
use lotmq_shares::{AccountShares, HeldShare, NoShare};
use parking_lot::Mutex;
use std::{collections::HashSet, net::SocketAddr, sync::Arc};

/// Local addresses from which bridges of this process are connected. A connection from one of them
/// comes from this broker itself.
static OF_BRIDGES: Mutex<Option<HashSet<SocketAddr>>> = Mutex::new(None);

/// Whether a connection from this address is one that a bridge of this process has made.
pub fn is_of_own_bridge(peer: SocketAddr) -> bool {
    let of_bridges = OF_BRIDGES.lock();
    of_bridges.as_ref().is_some_and(|of_bridges| of_bridges.contains(&canonical(peer)))
}

/// Returns an IPv4 address for an IPv4-mapped IPv6 address.
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

/// Returns the text that reports a rejected connection.
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
