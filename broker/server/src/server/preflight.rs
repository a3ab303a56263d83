//! Checks before a start: errors such as unusable certificates and ports used twice, and warnings
//! such as expired certificates and missing folders of routes.
//!
//! `lotmq config check` asks for it, and [`super::Server`] uses the same for its own listeners. Not
//! here: ports that other programs have.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use lotmq_config::{Carrier, Config, ListenerPlan, ValueOrigin};

use super::{HEALTH, StartError, tokens, unusable};
use lotmq_net::certificates::{CertificateError, ListenerTls};
use lotmq_net::listening_socket;
use lotmq_process::clock::wall_ms;

/// Something that a start would refuse.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusedAtStart {
    /// The key of the configuration that says it: `tls.certificate`.
    pub key: String,
    /// Why, as a start says it.
    pub reason: String,
}

/// Key in messages about the end of a certificate: all listeners have the same one.
const CERTIFICATE: &str = "tls.certificate";

/// All that is wrong with what `config` names: each file of certificates once, then files with keys
/// of tokens, then each port that two listeners want.
#[must_use]
pub fn refused(config: &Config) -> Vec<RefusedAtStart> {
    let mut refused: Vec<RefusedAtStart> = Vec::new();
    for plan in config.listeners() {
        if let Err(error) = certificates(config, &plan) {
            let reason = error.to_string();
            if refused.iter().all(|other| other.reason != reason) {
                refused.push(RefusedAtStart { key: key_of(config, &error).to_owned(), reason });
            }
        }
    }
    if let Some((until, true)) = certificate_near_end(config) {
        let reason = format!("the certificate was good until {until} and has expired; clients refuse it");
        refused.push(RefusedAtStart { key: CERTIFICATE.to_owned(), reason });
    }
    let of_tokens = tokens::refused(config);
    refused.extend(of_tokens.map(|(key, reason)| RefusedAtStart { key: key.to_owned(), reason }));
    refused.extend(twice(config));
    refused
}

/// Returns the warnings of a start: a certificate that expires soon, a key that is open to others,
/// missing folders for routes.
#[must_use]
pub fn warned(config: &Config) -> Vec<RefusedAtStart> {
    let end = certificate_near_end(config).filter(|(_, is_over)| !is_over).map(|(until, _)| {
        let reason = format!("the certificate expires soon; it is good until {until}");
        RefusedAtStart { key: CERTIFICATE.to_owned(), reason }
    });
    let loaded = config.listeners().iter().find_map(|plan| certificates(config, plan).ok().flatten());
    let open = loaded.as_ref().and_then(|tls| tls.open_key()).map(|(path, mode)| {
        let key = if config.tls.key.is_some() { "tls.key" } else { CERTIFICATE };
        let reason = format!(
            "everybody on this machine can read the private key in '{}' (mode {mode:o}); chmod 640 it, or 600",
            path.display()
        );
        RefusedAtStart { key: key.to_owned(), reason }
    });
    end.into_iter().chain(open).chain(missing_folders(config)).collect()
}

/// Until when the certificate of the listeners is good, if that is over or soon will be; and
/// whether it is over.
fn certificate_near_end(config: &Config) -> Option<(String, bool)> {
    let loaded = config.listeners().iter().find_map(|plan| certificates(config, plan).ok().flatten())?;
    loaded.near_end(wall_ms())
}

/// The roots of folders of routes that are none.
pub(super) fn missing_folders(config: &Config) -> impl Iterator<Item = RefusedAtStart> {
    config.routes.file_roots.iter().filter_map(|root| {
        let reason = match std::fs::metadata(root) {
            Ok(found) if found.is_dir() => return None,
            Ok(_) => "is no folder".to_owned(),
            Err(error) => format!("cannot be used: {error}"),
        };
        let reason = format!("'{}' {reason}; no route gets a folder below it", root.display());
        Some(RefusedAtStart { key: "routes.file_roots".to_owned(), reason })
    })
}

/// Loads the certificates of a listener with TLS.
///
/// # Errors
/// See [`CertificateError`].
pub(super) fn certificates(
    config: &Config,
    plan: &ListenerPlan,
) -> Result<Option<ListenerTls>, CertificateError> {
    let (Some(certificate), Some(client_certificate)) = (&config.tls.certificate, plan.tls) else {
        return Ok(None);
    };
    ListenerTls::load(plan.name, &config.tls, certificate, client_certificate, &[b"mqtt"]).map(Some)
}

/// Refuses certificates that no listener can use, and ports that two listeners were given, before a
/// start has made anything on the disk. A port that nobody has set is no reason: its listener alone
/// is not opened.
///
/// # Errors
/// [`StartError::Certificate`], [`StartError::Tokens`], [`StartError::PortTwice`].
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    for plan in &config.listeners() {
        certificates(config, plan).map_err(|error| unusable(plan, &error))?;
    }
    tokens::check(config)?;
    port_given_twice(config).map_or(Ok(()), |told| Err(StartError::PortTwice(told)))
}

/// Returns the port that two listeners share, with the places of both settings. `None` if there is
/// none, or if the second one is a default.
#[must_use]
pub fn port_given_twice(config: &Config) -> Option<String> {
    let is_set = |refused: &RefusedAtStart| config.origin(&refused.key) != &ValueOrigin::Default;
    let RefusedAtStart { key, reason } = twice(config).into_iter().find(is_set)?;
    Some(format!("`{key}` ({}): {reason}", config.origin(&key)))
}

/// Why the address is not free for listener `name`: another one of this configuration, which comes
/// before it, has it.
fn taken(config: &Config, name: &str, address: SocketAddr) -> Option<String> {
    let places = places(config);
    let own = places.iter().position(|place| place.0 == name)?;
    let is_udp = places[own].2;
    let is_taken = |place: &&(_, SocketAddr, bool)| place.2 == is_udp && overlap(place.1, address);
    let (other, there, _) = places[..own].iter().find(is_taken)?;
    let key = key_of_port(other);
    Some(format!("{address} is that of `{key}` ({}), which is {there}", config.origin(&key)))
}

/// Why an address could not be opened: another listener of this configuration has it, or what the
/// system says.
pub(super) fn refusal(config: &Config, name: &str, address: SocketAddr, error: &io::Error) -> String {
    let taken = taken(config, name, address).filter(|_| error.kind() == io::ErrorKind::AddrInUse);
    taken.unwrap_or_else(|| listening_socket::refusal(address, error))
}

fn key_of_port(name: &str) -> String {
    if name == HEALTH { "admin.health_port".to_owned() } else { format!("listener.{name}.port") }
}

fn twice(config: &Config) -> Vec<RefusedAtStart> {
    let mut found: Vec<RefusedAtStart> = Vec::new();
    for (name, address, _) in places(config) {
        let key = key_of_port(name);
        if let Some(reason) = taken(config, name, address)
            && found.iter().all(|other| other.key != key)
        {
            found.push(RefusedAtStart { key, reason });
        }
    }
    found
}

/// Name and address of each listener in the order in which they are opened, and whether it is of
/// UDP.
fn places(config: &Config) -> Vec<(&'static str, SocketAddr, bool)> {
    let of_plan = |plan: ListenerPlan| {
        let is_udp = matches!(plan.carrier, Carrier::Quic { .. });
        plan.addresses.into_iter().map(move |address| (plan.name, address, is_udp)).collect::<Vec<_>>()
    };
    let health = config.health_addresses().into_iter().map(|address| (HEALTH, address, false));
    config.listeners().into_iter().flat_map(of_plan).chain(health).collect()
}

/// Whether only one socket can have both. Each family of addresses has its own.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    let is_same_place = a == b || a.is_unspecified() || b.is_unspecified();
    one.port() != 0 && one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && is_same_place
}

/// The key whose file an error is about.
fn key_of(config: &Config, error: &CertificateError) -> &'static str {
    let of_path = |path: &Path| {
        if config.tls.key.as_deref() == Some(path) {
            "tls.key"
        } else if config.tls.client_ca.as_deref() == Some(path) {
            "tls.client_ca"
        } else if config.tls.client_crl.as_deref() == Some(path) {
            "tls.client_crl"
        } else {
            "tls.certificate"
        }
    };
    match error {
        CertificateError::Unreadable { path, .. }
        | CertificateError::TooLarge { path }
        | CertificateError::Pkcs12 { path }
        | CertificateError::NotPem { path, .. }
        | CertificateError::BadAuthority { path, .. }
        | CertificateError::BadRevocationList { path, .. } => of_path(path),
        CertificateError::KeyMismatch { key, .. } | CertificateError::BadKey { key, .. } => of_path(key),
        CertificateError::NoKey { certificate }
        | CertificateError::OldVersion { certificate }
        | CertificateError::Unusable { certificate, .. } => of_path(certificate),
        CertificateError::NoTickets => "tls.certificate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_used_twice_is_reported_for_the_second_listener() {
        for (keys, told) in [
            (&[("listener.mqtt.port", "1883"), ("listener.ws.port", "5000")][..], &[][..]),
            (&[("listener.mqtt.port", "1700"), ("listener.ws.port", "1700")], &["listener.ws.port"]),
            (&[("listener.mqtt.port", "0"), ("listener.ws.port", "0")], &[]),
            (
                &[
                    ("listener.mqtt.port", "1700"),
                    ("listener.ws.port", "1700"),
                    ("listener.ws.bind", "127.0.0.2"),
                ],
                &[],
            ),
            (
                &[("listener.mqtt.bind", "::"), ("listener.ws.port", "1883"), ("listener.ws.bind", "::1")],
                &["listener.ws.port"],
            ),
            (&[("listener.mqtt.port", "9100")], &["admin.health_port"]),
            (&[("listener.mqtt.port", "9100"), ("admin.bind", "127.0.0.2")], &[]),
            (
                &[
                    ("listener.mqtt.bind", "0.0.0.0"),
                    ("listener.mqtt.port", "9100"),
                    ("admin.bind", "127.0.0.2"),
                ],
                &["admin.health_port"],
            ),
        ] {
            let flags = keys.iter().map(|(key, value)| ("--test", *key, (*value).to_owned())).collect();
            let sources = lotmq_config::Sources { flags, ..lotmq_config::Sources::default() };
            let refused = refused(&Config::load(sources).unwrap());
            let found: Vec<&str> = refused.iter().map(|refused| &*refused.key).collect();
            assert_eq!(found, told, "{keys:?}");
        }
        // UDP is apart from TCP; its certificate is another matter.
        let keys =
            [("tls.certificate", "c.pem"), ("listener.quic.port", "1883"), ("listener.quic.bind", "0.0.0.0")];
        let flags = keys.iter().map(|(key, value)| ("--test", *key, (*value).to_owned())).collect();
        let sources = lotmq_config::Sources { flags, ..lotmq_config::Sources::default() };
        assert_eq!(twice(&Config::load(sources).unwrap()), []);
    }

    #[test]
    fn a_start_refuses_a_port_that_was_given_twice_and_names_both_places() {
        let config = |text: &str| {
            let file = lotmq_config::ConfigFile { path: "lotmq.toml".into(), text: text.to_owned() };
            Config::load(lotmq_config::Sources { file: Some(file), ..Default::default() }).unwrap()
        };
        let text = "[listener.mqtt]\nbind = \"0.0.0.0\"\nport = 1700\n[listener.ws]\nbind = \"127.0.0.1\"\nport = 1700\n";
        assert_eq!(
            check(&config(text)).unwrap_err().to_string(),
            "`listener.ws.port` (file lotmq.toml:6): 127.0.0.1:1700 is that of `listener.mqtt.port` (file lotmq.toml:3), which is 0.0.0.0:1700"
        );
        // Nobody has set the one of health, which alone is not opened.
        let by_default = config("[listener.mqtt]\nport = 9100\n");
        assert_eq!(refused(&by_default).len(), 1);
        check(&by_default).unwrap();
    }
}
