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
        /// Addresses to listen on: one, or a list. By default those of the MQTT listener. `GET
        /// /health` then answers everybody. `GET /metrics` answers this machine only, and no proxy
        /// on it that asks for others.
        bind: Option<BindAddresses> = None, json "BindIPForHealth";
        /// Host names that requests may use besides `localhost` and IP addresses, such as `lotmq`
        /// in `http://lotmq:9100/metrics`. The answer to other names is status 421, because a web
        /// page can point a name of its own to this port.
        hosts: HostNames = HostNames::default();
    }
}
