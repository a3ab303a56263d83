//! The broker as the port for health and metrics sees it.

use std::sync::Arc;

use lotmq_admin::{Health, ObservedBroker};
use serde_json::{Map, Value, json};

use super::metrics;
use lotmq_operations::broker::Broker;
use lotmq_operations::exposure::readable_logins;
use lotmq_operations::sys::{certificates_not_read, failures, state};
use lotmq_programs::late_code::Compiling;

/// Broker whose health and figures the port shows.
pub(super) struct AdminView(pub(super) Arc<Broker>);

impl ObservedBroker for AdminView {
    /// Not well while nothing can be stored, when a part of the broker has ended or stands still,
    /// when a listener for clients could not be opened, and while definitions of the start are
    /// still being compiled.
    fn health(&self, silent: Option<String>) -> Health {
        let failures = failures(&self.0, silent);
        let compiling = Compiling::now(&self.0.hosting);
        let is_well = failures.is_empty() && compiling.is_none();
        let mut members = Map::new();
        members.insert("status".to_owned(), state(&failures, compiling.is_some()).into());
        let told = compiling.as_ref().map(ToString::to_string);
        if let Some(reason) = failures.into_iter().next().or(told) {
            members.insert("reason".to_owned(), reason.into());
        }
        if let Some(compiling) = compiling {
            members.insert("compiling".to_owned(), compiling.to_json());
        }
        if !self.0.quarantined.is_empty() {
            members.insert("quarantined_rows".to_owned(), self.0.quarantined.len().into());
        }
        let damaged = self.0.core.log.metrics().damaged();
        if damaged > 0 {
            members.insert("damaged_found".to_owned(), damaged.into());
        }
        let not_opened = self.0.net.not_opened.lock();
        if !not_opened.is_empty() {
            let listeners =
                not_opened.iter().map(|it| json!({ "listener": it.listener, "reason": it.reason })).collect();
            members.insert("listeners_not_opened".to_owned(), Value::Array(listeners));
        }
        let unread = certificates_not_read(&self.0);
        if !unread.is_empty() {
            members.insert("certificates_not_read".to_owned(), Value::Array(unread));
        }
        let readable = readable_logins(&self.0.hosting.config);
        if !readable.is_empty() {
            members.insert("passwords_without_tls".to_owned(), readable.into());
        }
        Health { is_well, members }
    }

    fn figures(&self) -> String {
        metrics::text(&self.0)
    }
}
