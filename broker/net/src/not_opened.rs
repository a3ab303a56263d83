//! Listeners that could not be opened at start: which keep the broker from starting, and which make
//! it unhealthy.
//!
//! A plant must not stop because of the port of a dashboard; but a broker that answers "ready"
//! while its clients reach another program, or nobody, only hides the mistake.

use std::io;

use lotmq_config::{Config, ValueOrigin};

/// Listener, or one of its addresses, that could not be opened at start.
#[derive(Debug)]
pub struct NotOpened {
    /// Name of the listener.
    pub listener: &'static str,
    /// Reason, for people.
    pub reason: String,
    /// Whether clients would come there, and would have come: not the health port, and not an
    /// address that this machine does not have.
    pub is_missed: bool,
}

impl NotOpened {
    /// Failure of a listener for clients.
    pub fn for_clients(listener: &'static str, reason: String, kind: io::ErrorKind) -> Self {
        Self { listener, reason, is_missed: kind != io::ErrorKind::AddrNotAvailable }
    }
}

/// Reasons that keep the broker from starting: the MQTT listener that a flag names, or all where
/// clients look first. `opened` are the names of the listeners with an address.
pub fn fatal(config: &Config, opened: &[&str], not_opened: &[NotOpened]) -> Option<String> {
    let is_named = matches!(config.origin("listener.mqtt.port"), ValueOrigin::Flag(_));
    let is_named_missing = is_named && not_opened.iter().any(|refused| refused.listener == "mqtt");
    // Devices and tools look for a broker elsewhere than at WebSocket first.
    let plans = config.listeners();
    let is_for_devices = |name: &str| !plans.iter().any(|plan| plan.name == name && plan.websocket.is_some());
    let is_served = opened.iter().any(|name| is_for_devices(name));
    let is_wanted = not_opened.iter().any(|refused| is_for_devices(refused.listener));
    let is_nobody_served = opened.is_empty() || (is_wanted && !is_served);
    (is_named_missing || is_nobody_served).then(|| {
        let reasons: Vec<&str> = not_opened.iter().map(|refused| &*refused.reason).collect();
        reasons.join("; ")
    })
}

/// Reason why a running broker does not serve all clients: the first listener that they miss.
pub fn failure(not_opened: &[NotOpened]) -> Option<String> {
    let missed = not_opened.iter().find(|refused| refused.is_missed)?;
    let NotOpened { listener, reason, .. } = missed;
    Some(format!(
        "listener {listener} could not be opened: {reason}; listener.{listener}.port gives it another"
    ))
}
