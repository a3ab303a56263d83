//! Section `[admin]`: the HTTP port for health checks and metrics.

use super::key::section;
use super::setting::BindAddresses;
use super::web::HostNames;

section! {
    /// The HTTP port for health checks and metrics.
    Admin at "admin", |config| config.admin => {
        /// TCP port of `GET /health` and `GET /metrics`. 0 takes any free one, which `lotmq serve`
        /// prints.
        health_port: u16 = 9100, json "HealthPort", range 0..=65_535;
        /// Addresses to listen on: one, or a list. Until it is set, those of the MQTT listener,
        /// where `GET /health` answers everybody and `GET /metrics` this machine only, but no proxy
        /// on it that asks for others.
        bind: Option<BindAddresses> = None, json "BindIPForHealth";
        /// Names under which it may be asked besides `localhost` and IP addresses, as `lotmq` in
        /// `http://lotmq:9100/metrics`. For others it answers with status 421, because a web page
        /// can make any name of its own lead here.
        hosts: HostNames = HostNames::default();
    }
}
