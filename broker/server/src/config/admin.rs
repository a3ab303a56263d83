//! Section `[admin]`: the HTTP port for health checks and metrics.

use super::key::section;
use super::setting::BindAddresses;

section! {
    /// The HTTP port for health checks and metrics.
    Admin at "admin", |config| config.admin => {
        /// TCP port of `GET /health` and `GET /metrics`. 0 takes any free one, which `lotmq serve` prints.
        health_port: u16 = 9100, json "HealthPort", range 0..=65_535;
        /// Addresses to listen on: one, or a list. Until it is set, those of the MQTT listener.
        bind: Option<BindAddresses> = None, json "BindIPForHealth";
    }
}
