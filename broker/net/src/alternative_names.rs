//! Subject Alternative Names of a client's certificate (RFC 5280 §4.2.1.6).
//!
//! Read only behind a handshake; yet the contents are foreign bytes.
//!
//! Invariant: a damaged certificate, and one with invisible characters in a name, has no names. Not
//! here: which name is the user (`subject`).

use lotmq_chain::der::{Reader, tag};

/// Kind of a name, by its tag of DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AlternativeName {
    /// `rfc822Name`.
    Email = 0x81,
    /// `dNSName`.
    Dns = 0x82,
    /// `uniformResourceIdentifier`.
    Uri = 0x86,
}

/// Extensions of a certificate of version 3.
const TAG_EXTENSIONS: u8 = 0xA3;

const TAG_BOOLEAN: u8 = 0x01;

const TAG_OCTET_STRING: u8 = 0x04;

const TAG_OBJECT_IDENTIFIER: u8 = 0x06;

/// Object identifier of the extension: 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1D, 0x11];

/// The names of a kind, in the order of the certificate.
pub(super) fn names(kind: AlternativeName, der: &[u8]) -> Vec<String> {
    read(kind as u8, der).unwrap_or_default()
}

fn read(kind: u8, der: &[u8]) -> Option<Vec<String>> {
    let mut names = Reader(Reader(extension(der)?).expect(tag::SEQUENCE)?);
    let mut found = Vec::new();
    while !names.0.is_empty() {
        let (tag, value) = names.next()?;
        if tag == kind {
            let name = std::str::from_utf8(value).ok().filter(|name| name.is_ascii())?;
            // Other programs would end the name at a NUL.
            if name.chars().any(char::is_control) {
                return None;
            }
            found.push(name.to_owned());
        }
    }
    Some(found)
}

/// Value of the extension.
fn extension(der: &[u8]) -> Option<&[u8]> {
    let certificate = Reader(der).expect(tag::SEQUENCE)?;
    let mut fields = Reader(Reader(certificate).expect(tag::SEQUENCE)?);
    let extensions = loop {
        let (tag, value) = fields.next()?;
        if tag == TAG_EXTENSIONS {
            break value;
        }
    };
    let mut extensions = Reader(Reader(extensions).expect(tag::SEQUENCE)?);
    loop {
        let mut extension = Reader(extensions.expect(tag::SEQUENCE)?);
        if extension.expect(TAG_OBJECT_IDENTIFIER)? == ALTERNATIVE_NAMES {
            let (tag, value) = extension.next()?;
            return if tag == TAG_BOOLEAN {
                extension.expect(TAG_OCTET_STRING)
            } else {
                Some(value).filter(|_| tag == TAG_OCTET_STRING)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_read_by_kind() {
        let text = |text: &str| text.try_into().unwrap();
        let der = certificate(vec![
            SanType::DnsName(text("press-7.plant.example")),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::Rfc822Name(text("ann@plant.example")),
            SanType::URI(text("urn:device:7")),
            SanType::DnsName(text("press-7")),
        ]);
        assert_eq!(names(AlternativeName::Dns, &der), ["press-7.plant.example", "press-7"]);
        assert_eq!(names(AlternativeName::Email, &der), ["ann@plant.example"]);
        assert_eq!(names(AlternativeName::Uri, &der), ["urn:device:7"]);
        assert!(names(AlternativeName::Dns, &certificate(Vec::new())).is_empty());
        for end in 0..der.len() {
            assert!(names(AlternativeName::Dns, &der[..end]).is_empty(), "{end}");
        }
        for at in 0..der.len() {
            let mut changed = der.clone();
            changed[at] ^= 0xFF;
            let _ = names(AlternativeName::Uri, &changed);
        }
        let invisible = certificate(vec![SanType::DnsName(text("root\0.example"))]);
        assert!(names(AlternativeName::Dns, &invisible).is_empty());
    }
}
