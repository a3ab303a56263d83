//! End of connections whose client certificates no authority of their listener has signed any more.
//!
//! Runs on the thread of `$SYS` figures, after a file of authorities was replaced. Not here: the
//! authorities (`net/certificates`), and logins, which are refused for the same reason
//! (`lotmq_core`).

use std::sync::Arc;

use lotmq_core::reason::close::CloseReason;
use lotmq_core::tenant::Tenant;
use tracing::info;

use crate::broker::Broker;

/// Watch over the authorities of all listeners.
#[derive(Debug, Default)]
pub(super) struct AuthorityWatch {
    /// Twice the generation of the authorities for which all connections were looked at, less one
    /// when they were looked at once.
    seen: u64,
}

impl AuthorityWatch {
    /// Closes connections after authorities were replaced. Looks twice, because a login that was
    /// under way may attach a moment later.
    pub(super) fn look(&mut self, broker: &Broker) {
        let generation = broker.net.certificates.authorities_generation() * 2;
        if self.seen >= generation {
            return;
        }
        for tenant in broker.hosting.tenants.all().iter() {
            close_untrusted(tenant);
        }
        self.seen = self.seen.max(generation.saturating_sub(2)) + 1;
    }
}

fn close_untrusted(tenant: &Tenant) {
    for client in tenant.all_sessions() {
        let connection = client.state.lock().link.as_ref().map(|link| Arc::clone(&link.connection));
        let Some(connection) = connection.filter(|it| !it.transport.is_certificate_trusted()) else {
            continue;
        };
        info!(target: "client", client_id = &*client.client_id, "session closed, the authority of its certificate is not trusted any more");
        connection.request_close(CloseReason::CertificateUntrusted);
    }
}
