//! File descriptors of the process: how many are for connections, and how many are kept for other
//! uses.
//!
//! The descriptors that are open when all listeners are count as the broker's own need. Of the
//! rest, a part stays free for files, the health port and administrators on this machine. So a
//! broker that strangers have filled still reports its health, and admits those who can remove
//! them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

use lotmq_host::fiber::bound_http_callers;
use lotmq_host::limits::{HTTP_SERVER_CONNECTIONS_ALL_MAX, OPENED_SOCKETS_MAX};

use crate::limits::{DESCRIPTORS_KEPT_MAX, FEW_CONNECTIONS, HTTP_CONNECTIONS_MAX, SPARE_CONNECTIONS_MAX};

/// Number of open descriptors that is assumed where the system does not tell.
const OPEN_GUESSED: u32 = 128;

/// Shares of the file descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Connections of clients.
    pub connections: u32,
    /// Connections beside those, for administrators.
    pub spare_connections: u32,
    /// Connections to one socket of the health port.
    pub http_connections: u32,
    /// Connections that modules accept by listeners of their own.
    pub accepted_connections: u32,
    /// Sockets that routes and modules open themselves.
    pub opened_sockets: u32,
    /// Connections to the HTTP servers of routes.
    route_connections: u32,
}

impl Descriptors {
    /// Raises the limit of descriptors as far as the system allows, and shares them out. Call when
    /// everything is open. A connection of clients takes `per_connection` of them.
    pub fn share_out(per_connection: u32) -> Self {
        let (limit, open) = (raise_limit(), open_now());
        let shared = Self::of(limit, open, per_connection);
        let Self { connections, route_connections, .. } = shared;
        bound_http_callers(route_connections as usize);
        if connections < FEW_CONNECTIONS {
            warn!(
                limit,
                open,
                connections,
                "few connections fit the limit of open files, raise it: ulimit -n, LimitNOFILE of the service"
            );
        } else {
            info!(limit, open, connections, "file descriptors");
        }
        shared
    }

    fn of(limit: u32, open: u32, per_connection: u32) -> Self {
        let free = limit.saturating_sub(open);
        let kept = (free / 4).min(DESCRIPTORS_KEPT_MAX);
        let for_clients = free - kept;
        let of_all_routes = u32::try_from(HTTP_SERVER_CONNECTIONS_ALL_MAX).unwrap_or(u32::MAX);
        let route_connections = (for_clients / 8).clamp(1, of_all_routes);
        let opened_sockets =
            (for_clients / 8).clamp(1, u32::try_from(OPENED_SOCKETS_MAX).unwrap_or(u32::MAX));
        let for_guests = 2 * route_connections + opened_sockets;
        Self {
            connections: (for_clients.saturating_sub(for_guests) / per_connection).max(1),
            opened_sockets,
            accepted_connections: route_connections,
            route_connections,
            spare_connections: (kept / 4).clamp(1, SPARE_CONNECTIONS_MAX),
            http_connections: (kept / 2).clamp(1, u32::try_from(HTTP_CONNECTIONS_MAX).unwrap_or(u32::MAX)),
        }
    }
}

/// Raises the limit of descriptors as far as possible, and returns it.
fn raise_limit() -> u32 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = maximum.filter(|_| current != maximum).is_some_and(|_| {
        let wanted = Rlimit { current: maximum, maximum };
        setrlimit(Resource::Nofile, wanted)
            .inspect_err(|error| warn!(%error, "limit of open files not raised"))
            .is_ok()
    });
    let limit = if raised { maximum } else { current };
    limit.map_or(u32::MAX, |limit| u32::try_from(limit).unwrap_or(u32::MAX))
}

/// Descriptors that may be open.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Descriptors that are open.
pub fn open_now() -> u32 {
    let listed = std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    listed.map_or(OPEN_GUESSED, |count| u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_kept_for_health_and_administrators() {
        for (limit, open, per_connection, expected) in [
            (90, 46, 1, ((21, 2, 5), (4, 4, 4))),
            (1024, 64, 1, ((450, 16, 120), (90, 90, 90))),
            (1024, 64, 2, ((225, 16, 120), (90, 90, 90))),
            (1_048_576, 76, 1, ((1_029_556, 16, 256), (1024, 1024, 16_384))),
            (40, 46, 1, ((1, 1, 1), (1, 1, 1))),
        ] {
            let of = Descriptors::of(limit, open, per_connection);
            let for_clients = (of.connections, of.spare_connections, of.http_connections);
            let for_routes = (of.route_connections, of.accepted_connections, of.opened_sockets);
            assert_eq!((for_clients, for_routes), expected, "{limit} {open}");
        }
    }
}
