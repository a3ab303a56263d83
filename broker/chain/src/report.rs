//! Why a handshake of TLS failed, in words for whoever operates a side of it: what is wrong, and
//! what to do there.

use rustls::{AlertDescription, CertificateError, Error};

use crate::validity;

/// Kinds of keys that certificates of ours may have.
pub const KEYS: &str = "keys are RSA of 2048 to 4096 bits, EC on P-256 or P-384 (`openssl ecparam -name prime256v1 -genkey -noout`), or Ed25519";

/// Side that tells of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Side that was connected to: it may ask for a certificate.
    Server,
    /// Side that connected.
    Client,
}

/// The failure in words, for who operates this side.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "the library's list grows")]
pub fn describe(error: &Error, side: Side) -> String {
    if let Some(hint) = alert(error, side) {
        return format!("{error}; {hint}");
    }
    if matches!(error, Error::NoCertificatesPresented) {
        return format!("{error}; this listener asks for one (`client_certificate = \"required\"`)");
    }
    let Error::InvalidCertificate(fault) = error else { return error.to_string() };
    let owner = match side {
        Side::Server => "client",
        Side::Client => "server",
    };
    let at = |seconds: u64| validity::text(seconds);
    match fault {
        CertificateError::Expired => format!("certificate expired: that of the {owner}; renew it"),
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "certificate expired: that of the {owner} was valid until {}; renew it, or set the clock of this machine if that is wrong",
            at(not_after.as_secs())
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the certificate of the {owner} is valid from {} on: by the clock of this machine it is {}",
            at(not_before.as_secs()),
            at(time.as_secs())
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "{error}; connect to a name that it has, or make one with this name in its subjectAltName (DNS:… or IP:…)"
        ),
        CertificateError::UnknownIssuer => {
            format!(
                "{error}; the authority of the {owner}'s certificate is not among those that are trusted here"
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!(
                "{error}; a {owner}'s certificate has `extendedKeyUsage={owner}Auth`, or no such extension"
            )
        }
        CertificateError::Revoked => {
            format!(
                "{error}; its authority has revoked the certificate of the {owner}, by a list in `tls.client_crl`"
            )
        }
        CertificateError::UnknownRevocationStatus => format!(
            "{error}; `tls.client_crl` has no list of the authority that signed the certificate of the {owner}: add it"
        ),
        _ if crate::is_of_authority(error) => format!(
            "{error}; it is the certificate of an authority (CA:TRUE), which is no {owner}'s: make one with basicConstraints=CA:FALSE{}",
            match side {
                Side::Server => "",
                Side::Client => ", or trust this one by naming its file",
            }
        ),
        _ => error.to_string(),
    }
}

/// Returns the meaning of an alert that the peer sent.
fn alert(error: &Error, side: Side) -> Option<&'static str> {
    let Error::AlertReceived(alert) = error else { return None };
    use AlertDescription as Alert;
    Some(match (alert, side) {
        (Alert::CertificateRequired, Side::Client) => {
            "it wants a certificate of this client: name one and its key"
        }
        (Alert::UnknownCA, Side::Client) => {
            "it does not trust the authority of this client's certificate, which has to be in its `tls.client_ca`"
        }
        (Alert::CertificateExpired, Side::Client) => {
            "the certificate of this client has expired or is not valid yet, by the clock over there"
        }
        (Alert::UnsupportedCertificate, Side::Client) => {
            "the certificate of this client is not one for clients: make it with `extendedKeyUsage=clientAuth`, or without such an extension"
        }
        (Alert::CertificateRevoked, Side::Client) => "the certificate of this client was revoked",
        (Alert::BadCertificate | Alert::CertificateUnknown, Side::Client) => {
            "it does not take the certificate of this client; its log says why"
        }
        (Alert::UnknownCA, Side::Server) => {
            "it does not trust the authority of this certificate (`tls.certificate`): give it the authority's certificate"
        }
        (Alert::CertificateExpired, Side::Server) => {
            "by its clock the certificate of this listener (`tls.certificate`) has expired or is not valid yet"
        }
        (Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate, Side::Server) => {
            "it does not take the certificate of this listener (`tls.certificate`), which may not have the name to which it connected"
        }
        (Alert::ProtocolVersion, _) => {
            "the sides have no version of TLS in common: 1.2 and 1.3 are spoken here"
        }
        (Alert::HandshakeFailure, _) => "the sides have no cipher suite or kind of key in common",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::UnixTime;

    use super::*;

    #[test]
    fn tls_errors_describe_the_cause_and_the_fix() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired =
            CertificateError::ExpiredContext { time: at(1_800_000_000), not_after: at(1_794_355_200) };
        let early =
            CertificateError::NotValidYetContext { time: at(1_700_000_000), not_before: at(1_794_355_200) };
        for (error, side, expected) in [
            (
                expired.clone().into(),
                Side::Client,
                "that of the server was valid until 2026-11-11 00:00:00 UTC; renew it",
            ),
            (
                expired.into(),
                Side::Server,
                "that of the client was valid until 2026-11-11 00:00:00 UTC; renew it",
            ),
            (
                early.into(),
                Side::Client,
                "is valid from 2026-11-11 00:00:00 UTC on: by the clock of this machine it is 2023-11-14 22:13:20 UTC",
            ),
            (
                CertificateError::UnknownIssuer.into(),
                Side::Server,
                "the authority of the client's certificate is not among those",
            ),
            (CertificateError::NotValidForName.into(), Side::Client, "subjectAltName"),
            (CertificateError::InvalidPurpose.into(), Side::Server, "`extendedKeyUsage=clientAuth`"),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                Side::Server,
                "(`tls.certificate`): give it the authority's",
            ),
            (Error::AlertReceived(AlertDescription::UnknownCA), Side::Client, "`tls.client_ca`"),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                Side::Client,
                "name one and its key",
            ),
            (Error::NoCertificatesPresented, Side::Server, "client_certificate"),
            (Error::DecryptError, Side::Server, "cannot decrypt peer's message"),
        ] {
            let text = describe(&error, side);
            assert!(text.contains(expected), "{error:?} on {side:?}: {text}");
        }
    }
}
