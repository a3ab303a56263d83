//! Certificates of listeners with TLS: whether they can be used, until when, and for which names.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use lotmq_chain::{pem, validity};
use lotmq_config::Config;
use lotmq_server::preflight;
use rustls::pki_types::CertificateDer;

use super::finding::Finding;
use crate::serve::{Reachable, is_for};

const CHECK: &str = "certificate";

/// Findings about the certificate of the listeners and the authorities of clients.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let Some(path) = &config.tls.certificate else { return Vec::new() };
    let mut findings = Vec::new();
    let of_tls = |key: &str| key.starts_with("tls.");
    for refused in preflight::refused(config).iter().filter(|refused| of_tls(&refused.key)) {
        let remedy =
            format!("correct the file of `{}` ({}); docs/tls.md", refused.key, config.origin(&refused.key));
        findings.push(Finding::error(CHECK, refused.reason.clone(), remedy));
    }
    for warned in preflight::warned(config).iter().filter(|warned| of_tls(&warned.key)) {
        let remedy =
            format!("renew or protect the file of `{}` ({})", warned.key, config.origin(&warned.key));
        findings.push(Finding::warning(CHECK, warned.reason.clone(), remedy));
    }
    let Some(certificate) = first_certificate(path) else {
        if findings.is_empty() {
            let message = format!("{} cannot be read, and no listener uses it", path.display());
            findings.push(Finding::warning(CHECK, message, "remove `tls.certificate`, or correct the file"));
        }
        return findings;
    };
    findings.extend(names(config, &certificate));
    if findings.is_empty() {
        let seconds = (validity::ends_at_ms(&certificate) / 1000).saturating_sub(1);
        findings.push(Finding::ok(
            CHECK,
            format!("{} is good until {}", path.display(), validity::text(seconds)),
        ));
    }
    findings
}

fn first_certificate(path: &Path) -> Option<CertificateDer<'static>> {
    let found = pem::certificates(&std::fs::read(path).ok()?).ok()?;
    found.into_iter().next()
}

/// Warns of a certificate that is for none of the names and addresses at which other machines reach
/// a listener with TLS.
fn names(config: &Config, certificate: &CertificateDer<'_>) -> Option<Finding> {
    let plans = config.listeners();
    let with_tls = plans.iter().filter(|plan| plan.tls.is_some());
    let is_public = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
    let bound: Vec<IpAddr> =
        with_tls.flat_map(|plan| plan.addresses.iter().filter(is_public).map(SocketAddr::ip)).collect();
    if bound.is_empty() {
        return None;
    }
    let machine = Reachable::of_machine();
    let is_all = bound.iter().any(IpAddr::is_unspecified);
    let addresses = if is_all { &machine.addresses } else { &bound };
    let known: Vec<String> =
        machine.names.iter().cloned().chain(addresses.iter().map(ToString::to_string)).collect();
    if known.iter().any(|name| is_for(certificate, name)) {
        return None;
    }
    let listed = if known.is_empty() { "this machine".to_owned() } else { known.join(", ") };
    Some(Finding::warning(
        CHECK,
        format!("it is for none of {listed}; clients that use these names refuse it"),
        "if clients use another name, ignore this; else sign one with a subjectAltName for them (docs/tls.md)",
    ))
}
