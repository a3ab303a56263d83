//! TLS profiles of a route: which servers a section of its settings trusts, and what certificate is shown to them.
//!
//! Files lie where those of [folders](super::folders) do. They are read whenever the route opens its guest, so that renewed ones are taken with the next
//! connection that is made anew. A private key comes from a file or a secret; the guest sees neither.

use std::collections::HashMap;

use lot_facts::{RouteBlock, RouteFacts, RoutePart, RouteValue};
use lotmq_host::fiber::{ClientTls, ShownCertificate, TrustedServers};
use rustls::RootCertStore;

use super::endpoints::setting;
use super::folders::{self, Site};
use super::template::Names;
use crate::process::pem::{Pem, PemError};

/// Settings that ask for TLS: from the first byte, by two names, and when the guest begins with it.
pub(super) const TLS_FLAGS: [&str; 3] = ["USE_TLS", "USE_SSL", "USE_STARTTLS"];

/// Settings by which whoever answers is trusted, as types name them.
const UNVERIFIED_FLAGS: [&str; 3] =
    ["ALLOW_UNTRUSTED_CERTS", "TRUST_SERVER_CERTIFICATE", "IGNORE_CERT_ERRORS"];

/// File and text of the authorities that certify the server.
const AUTHORITIES: [&str; 2] = ["SERVER_CA_CERT_PATH", "SERVER_CA_CERT"];

/// File and text of the certificate that is shown, with its key.
const IDENTITY: [&str; 2] = ["CLIENT_CERT_PATH", "CLIENT_CERT"];

/// Password of what is not read.
const PASSWORD: &str = "CLIENT_CERT_PASS";

/// Reason why the settings of a section make no profile.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProfile {
    #[error("{key} is '{value}', which is neither true nor false")]
    Flag { key: &'static str, value: String },
    #[error("{0} and {1} are both set; one of them is meant")]
    Both(&'static str, &'static str),
    #[error("{key} is a private key in a definition that others read; it belongs into a secret: GET SECRET \"NAME\"", key = IDENTITY[1])]
    BareKey,
    #[error(
        "{PASSWORD} is set, but keys that are encrypted are not read; `openssl pkcs8 -in KEY -out PLAIN` converts them"
    )]
    Encrypted,
    #[error("{key}: {reason}")]
    Path { key: &'static str, reason: String },
    #[error("{key}: {reason}")]
    Pem { key: &'static str, reason: PemError },
    #[error("{key}: an authority in {name} cannot be used: {reason}")]
    Authority { key: &'static str, name: String, reason: rustls::Error },
    #[error("{key}: the key in {name} does not belong to the certificate in it")]
    Mismatch { key: &'static str, name: String },
    #[error("{key}: the certificate in {name} cannot be used: {reason}")]
    Identity { key: &'static str, name: String, reason: rustls::Error },
    #[error("{0}")]
    System(String),
}

/// What the settings of a section say of TLS.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TlsProfile {
    trusts_anybody: bool,
    authorities: Option<PemSource>,
    identity: Option<PemSource>,
}

/// Where something in PEM comes from, by the setting that says so.
#[derive(Debug, PartialEq)]
enum PemSource {
    File { key: &'static str, path: String },
    Text { key: &'static str, text: String },
}

/// Profiles of the sections that ask for TLS, by section.
pub(super) fn named(
    route: &RouteFacts,
    names: &impl Names,
) -> HashMap<String, Result<TlsProfile, NoProfile>> {
    let asks = |block: &&RouteBlock| TLS_FLAGS.iter().any(|flag| block.settings.contains_key(*flag));
    let of_section = |block: &RouteBlock| (block.name.clone(), profile(block, names));
    route.sections.iter().filter(asks).map(of_section).collect()
}

fn profile(block: &RouteBlock, names: &impl Names) -> Result<TlsProfile, NoProfile> {
    let text = |key| setting(block, names, key).filter(|text| !text.is_empty());
    let mut trusts_anybody = false;
    for key in UNVERIFIED_FLAGS {
        trusts_anybody |= match text(key) {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) => return Err(NoProfile::Flag { key, value }),
        };
    }
    let source = |[file, inline]: [&'static str; 2]| match (text(file), text(inline)) {
        (None, None) => Ok(None),
        (Some(path), None) => Ok(Some(PemSource::File { key: file, path })),
        (None, Some(text)) => Ok(Some(PemSource::Text { key: inline, text })),
        (Some(_), Some(_)) => Err(NoProfile::Both(file, inline)),
    };
    let (authorities, identity) = (source(AUTHORITIES)?, source(IDENTITY)?);
    if matches!(identity, Some(PemSource::Text { .. })) && !is_secret(&block.settings[IDENTITY[1]]) {
        return Err(NoProfile::BareKey);
    }
    if text(PASSWORD).is_some() {
        return Err(NoProfile::Encrypted);
    }
    Ok(TlsProfile { trusts_anybody, authorities, identity })
}

/// Whether a value is that of a secret, and nothing else.
fn is_secret(value: &RouteValue) -> bool {
    let RouteValue::Parts(parts) = value else { return false };
    parts.iter().all(|part| matches!(part, RoutePart::Secret(_)))
}

impl TlsProfile {
    /// Reads what it names.
    pub(super) fn load(&self, site: &Site) -> Result<ClientTls, NoProfile> {
        let identity = self.identity.as_ref().map(|source| source.identity(site)).transpose()?;
        let trusted = match &self.authorities {
            _ if self.trusts_anybody => TrustedServers::Anybody,
            Some(source) => TrustedServers::Certified(source.authorities(site)?),
            None => {
                let of_system = lotmq_chain::authorities::of_system().map_err(NoProfile::System)?;
                TrustedServers::Certified(of_system)
            }
        };
        let Some((name, identity)) = identity else {
            return ClientTls::new(trusted, None).map_err(|reason| NoProfile::System(reason.to_string()));
        };
        let key = self.identity.as_ref().map_or(IDENTITY[0], PemSource::key);
        ClientTls::new(trusted, Some(identity)).map_err(|reason| {
            if matches!(reason, rustls::Error::InconsistentKeys(_)) {
                NoProfile::Mismatch { key, name }
            } else {
                NoProfile::Identity { key, name, reason }
            }
        })
    }
}

impl PemSource {
    fn key(&self) -> &'static str {
        match self {
            Self::File { key, .. } | Self::Text { key, .. } => key,
        }
    }

    fn read(&self, site: &Site) -> Result<Pem, NoProfile> {
        match self {
            Self::Text { key, text } => Ok(Pem::of_text(key, text)),
            Self::File { key, path } => {
                let found = folders::file(path, site);
                let path = found.map_err(|reason| NoProfile::Path { key, reason: reason.to_string() })?;
                Pem::read(&path).map_err(|reason| NoProfile::Pem { key, reason })
            }
        }
    }

    fn authorities(&self, site: &Site) -> Result<RootCertStore, NoProfile> {
        let (key, pem) = (self.key(), self.read(site)?);
        let mut authorities = RootCertStore::empty();
        for authority in pem.certificates().map_err(|reason| NoProfile::Pem { key, reason })? {
            let name = || pem.name().to_owned();
            authorities.add(authority).map_err(|reason| NoProfile::Authority {
                key,
                name: name(),
                reason,
            })?;
        }
        Ok(authorities)
    }

    /// What is shown, and the name of what it was read from.
    fn identity(&self, site: &Site) -> Result<(String, ShownCertificate), NoProfile> {
        let (key, pem) = (self.key(), self.read(site)?);
        let wrong = |reason| NoProfile::Pem { key, reason };
        let identity = (pem.certificates().map_err(wrong)?, pem.key().map_err(wrong)?);
        Ok((pem.name().to_owned(), identity))
    }
}
