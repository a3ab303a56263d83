//! Ports of a route that serves HTTP, when it is asked whether it is reachable: who probes it
//! leaves them to the instance that works, so it is looked whether that has them.

use std::time::Duration;

use lotmq_host::fiber::{Endpoint, listening_refused};

use crate::routes::runner::RouteRunner;
use crate::routes::status::Connection;
use crate::services::TenantServices;

/// Looks within which an instance that has taken its port counts as connected: a second.
const LOOKS_MAX: u32 = 50;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Checks that the ports of a serving route are its own, or free. The broker knows the instance
/// that has a port only a moment later.
pub(super) async fn may_listen(
    route: &RouteRunner,
    served: &[Endpoint],
    services: &TenantServices,
) -> Result<(), String> {
    let is_open = || {
        let status = route.status();
        status.connection() == Connection::Connected || status.unproven() > 0
    };
    let mut looks = LOOKS_MAX;
    while !is_open() {
        let refused = served.iter().find_map(|endpoint| listening_refused(endpoint, services));
        let Some(reason) = refused else { break };
        if looks == 0 || route.status().connection() == Connection::Reconnecting {
            return Err(reason);
        }
        looks -= 1;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
