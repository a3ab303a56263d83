//! Reports of a start or a stop about lost or quarantined data.

use lotmq_changes::QuarantineRow;
use tracing::{error, warn};

use crate::server::limits::QUARANTINED_LOGGED_MAX;
use lotmq_operations::broker::Broker;
use lotmq_programs::HasPrograms as _;

/// Logs what waits for routes in memory alone, which ends with the broker.
pub(super) fn tell_lost(broker: &Broker) {
    for tenant in broker.hosting.tenants.all().iter() {
        for route in tenant.programs().guests.routes_in_order() {
            let (count, version) = (route.in_memory_alone(), route.version());
            if count > 0 {
                let route = &**version.definition.name();
                warn!(target: "routes", tenant = &*tenant.name, route, count, "messages that wait for a route in memory alone are lost with the stop; BUFFER_MODE \"disk\" keeps them");
            }
        }
    }
}

/// Logs damaged rows at every start, until they are forgotten on purpose.
pub(super) fn tell_quarantined(rows: &[QuarantineRow]) {
    for row in rows.iter().take(QUARANTINED_LOGGED_MAX) {
        error!(table = row.table, reason = row.reason, "row is damaged and put aside");
    }
    if rows.len() > QUARANTINED_LOGGED_MAX {
        error!(count = rows.len(), "more rows are damaged and put aside; `lotmq store check` lists them");
    }
}
