//! Names of a client's certificate: the subject as a user name, and the certificate for members of
//! the login chain.
//!
//! Read only behind a handshake, from a certificate that an authority of ours has signed; yet its
//! contents are foreign bytes.
//!
//! Invariants: what is not DER, has characters that could end a name early, or has several common
//! names, names nobody. Not here: whether the certificate is good (`certificates`), and
//! who may log in by it (`lotmq_auth`).

use std::fmt::Write as _;

use lotmq_auth::{AlternativeKind, ClientCertificate};
use lotmq_chain::der::Reader;
use lotmq_config::{UserFromCertificate, UserPattern};

use lotmq_core::connection::peer::Certified;

use crate::alternative_names::{self, AlternativeName};

/// User that the certificate `der` names, where the listener asks for it.
pub(super) fn read(
    wanted: UserFromCertificate,
    pattern: Option<&UserPattern>,
    der: &[u8],
) -> Option<Certified> {
    let names = match wanted {
        UserFromCertificate::Off => return None,
        UserFromCertificate::CommonName => common_name(der).into_iter().collect(),
        UserFromCertificate::Subject => whole(der).into_iter().collect(),
        UserFromCertificate::DnsName => alternative_names::names(AlternativeName::Dns, der),
        UserFromCertificate::Email => alternative_names::names(AlternativeName::Email, der),
        UserFromCertificate::Uri => alternative_names::names(AlternativeName::Uri, der),
    };
    let user_in = |name| pattern.map_or(Some(name), |pattern| pattern.user_in(name));
    let mut users = names.iter().map(String::as_str).filter_map(user_in);
    // With several, other programs may take another one.
    let user = users.next().filter(|user| !user.is_empty() && users.next().is_none());
    Some(user.map_or(Certified::Nobody, |user| Certified::User(user.into())))
}

/// Tags of DER within names.
mod tag {
    pub(super) use lotmq_chain::der::tag::{SEQUENCE, VERSION};

    pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(super) const UTF8: u8 = 0x0C;
    pub(super) const PRINTABLE: u8 = 0x13;
    pub(super) const TELETEX: u8 = 0x14;
    pub(super) const IA5: u8 = 0x16;
    pub(super) const BMP: u8 = 0x1E;
    pub(super) const SET: u8 = 0x31;
}

/// Object identifier of the common name: 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// Short names of RFC 4514 §3, and two that OpenSSL has besides.
const SHORT_NAMES: [(&[u8], &str); 11] = [
    (COMMON_NAME, "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1], "emailAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 25], "DC"),
];

/// Attribute: its type and its text.
type Attribute<'a> = (&'a [u8], String);

/// Fields of a certificate that are read here.
struct Fields<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
}

/// The fields of a certificate. `None` when it is damaged.
fn fields(der: &[u8]) -> Option<Fields<'_>> {
    let certificate = Reader(der).expect(tag::SEQUENCE)?;
    let mut fields = Reader(Reader(certificate).expect(tag::SEQUENCE)?);
    let (first, value) = fields.next()?;
    // The version may be left out.
    let serial = if first == tag::VERSION { fields.next()?.1 } else { value };
    let _algorithm = fields.next()?;
    let issuer = fields.expect(tag::SEQUENCE)?;
    let _validity = fields.next()?;
    Some(Fields { serial, issuer, subject: fields.expect(tag::SEQUENCE)? })
}

/// The certificate `der`, which ends at this time, for members of the login chain.
pub(super) fn client_certificate(der: &[u8], ends_ms: u64) -> ClientCertificate {
    let fields = fields(der);
    let named = |name: Option<&[u8]>| {
        let written = name.and_then(attributes).and_then(|attributes| written(&attributes));
        written.unwrap_or_default()
    };
    let alternatives = [
        (AlternativeKind::Dns, AlternativeName::Dns),
        (AlternativeKind::Email, AlternativeName::Email),
        (AlternativeKind::Uri, AlternativeName::Uri),
    ];
    let alternatives = alternatives.into_iter().flat_map(|(kind, name)| {
        alternative_names::names(name, der).into_iter().map(move |name| (kind, name))
    });
    ClientCertificate {
        subject: named(fields.as_ref().map(|fields| fields.subject)),
        issuer: named(fields.as_ref().map(|fields| fields.issuer)),
        alternative_names: alternatives.collect(),
        serial: fields.as_ref().map(|fields| fields.serial.to_vec()).unwrap_or_default(),
        ends_ms,
        der: der.to_vec(),
    }
}

/// The attributes of a name: type and text, in the order of the certificate. `None` when the name
/// is damaged or a text is not fit to be one.
fn attributes(name: &[u8]) -> Option<Vec<Vec<Attribute<'_>>>> {
    let mut names = Reader(name);
    let mut all = Vec::new();
    while !names.0.is_empty() {
        let mut set = Reader(names.expect(tag::SET)?);
        let mut together = Vec::new();
        while !set.0.is_empty() {
            let mut attribute = Reader(set.expect(tag::SEQUENCE)?);
            let kind = attribute.expect(tag::OBJECT_IDENTIFIER)?;
            let (tag, value) = attribute.next()?;
            together.push((kind, text(tag, value)?));
        }
        all.push(together);
    }
    Some(all)
}

/// Decodes a text of one of the kinds that names have. `None` with invisible characters: a NUL
/// would end the name in other programs.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    let text = match tag {
        tag::UTF8 | tag::PRINTABLE | tag::IA5 => std::str::from_utf8(value).ok()?.to_owned(),
        tag::TELETEX => value.iter().map(|byte| char::from(*byte)).collect(),
        tag::BMP => {
            let (units, rest) = value.as_chunks::<2>();
            let text =
                String::from_utf16(&units.iter().map(|unit| u16::from_be_bytes(*unit)).collect::<Vec<_>>());
            text.ok().filter(|_| rest.is_empty())?
        }
        _ => return None,
    };
    (!text.chars().any(char::is_control)).then_some(text)
}

/// The common name of the subject. `None` with several, of which other programs may take another
/// one.
fn common_name(der: &[u8]) -> Option<String> {
    let mut names =
        attributes(fields(der)?.subject)?.into_iter().flatten().filter(|(kind, _)| *kind == COMMON_NAME);
    let (_, name) = names.next()?;
    names.next().is_none().then_some(name)
}

/// Whole subject as in RFC 4514, the last attribute first: `CN=device-1,OU=plant,O=Example`. `None`
/// with an attribute whose type has no short name.
fn whole(der: &[u8]) -> Option<String> {
    written(&attributes(fields(der)?.subject)?)
}

/// A name as in RFC 4514, the last attribute first.
fn written(name: &[Vec<Attribute<'_>>]) -> Option<String> {
    let mut out = String::new();
    for together in name.iter().rev() {
        for (number, (kind, text)) in together.iter().enumerate() {
            if !out.is_empty() {
                out.push(if number == 0 { ',' } else { '+' });
            }
            let (_, name) = SHORT_NAMES.iter().find(|(known, _)| known == kind)?;
            let _ = write!(out, "{name}=");
            escape(text, &mut out);
        }
    }
    Some(out)
}

/// Escapes a text as in RFC 4514 §2.4.
fn escape(text: &str, out: &mut String) {
    let last = text.chars().count().saturating_sub(1);
    for (at, char) in text.chars().enumerate() {
        let is_special = matches!(char, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || at == 0 && matches!(char, ' ' | '#')
            || at == last && char == ' ';
        if is_special {
            out.push('\\');
        }
        out.push(char);
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    fn certificate(attributes: &[(DnType, DnValue)]) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.to_owned())
    }

    #[test]
    fn names_are_read_as_other_brokers_read_them() {
        let printable = |text: &str| DnValue::PrintableString(text.try_into().unwrap());
        for (attributes, common_name, subject) in [
            (vec![(DnType::CommonName, utf8("device-1"))], Some("device-1"), Some("CN=device-1")),
            (
                vec![
                    (DnType::CountryName, printable("DE")),
                    (DnType::OrganizationName, utf8("Werk, Süd; \"1\"")),
                    (DnType::CommonName, utf8(" #7 ")),
                ],
                Some(" #7 "),
                Some("CN=\\ #7\\ ,O=Werk\\, Süd\\; \\\"1\\\",C=DE"),
            ),
            (
                vec![(DnType::CommonName, DnValue::BmpString("übel".try_into().unwrap()))],
                Some("übel"),
                Some("CN=übel"),
            ),
            (vec![(DnType::OrganizationName, utf8("o"))], None, Some("O=o")),
            (vec![(DnType::CommonName, utf8("root\0.example"))], None, None),
            (vec![(DnType::CommonName, utf8(""))], None, Some("CN=")),
            (
                vec![
                    (DnType::CommonName, utf8("device-1")),
                    (DnType::CustomDnType(vec![2, 5, 4, 3]), utf8("root")),
                ],
                None,
                Some("CN=root,CN=device-1"),
            ),
            (vec![], None, None),
        ] {
            let der = certificate(&attributes);
            let expected = |name: Option<&str>| {
                Some(name.map_or(Certified::Nobody, |name| Certified::User(name.into())))
            };
            let read = |wanted| read(wanted, None, &der);
            assert_eq!(read(UserFromCertificate::CommonName), expected(common_name), "{attributes:?}");
            assert_eq!(read(UserFromCertificate::Subject), expected(subject), "{attributes:?}");
            assert_eq!(read(UserFromCertificate::Off), None);
        }
    }

    #[test]
    fn certificate_has_both_names_and_its_serial_number_for_members_of_the_chain() {
        let der = certificate(&[(DnType::OrganizationName, utf8("o")), (DnType::CommonName, utf8("d-1"))]);
        let found = client_certificate(&der, 7);
        assert_eq!((&*found.subject, &*found.issuer, found.ends_ms), ("CN=d-1,O=o", "CN=d-1,O=o", 7));
        assert!(!found.serial.is_empty() && found.der == der && found.alternative_names.is_empty());
        let damaged = client_certificate(&der[..20], 7);
        assert_eq!((&*damaged.subject, damaged.serial.len()), ("", 0));
    }

    #[test]
    fn exactly_one_name_has_the_form_of_the_pattern() {
        use lotmq_config::{Config, ConfigFile, Sources};
        let pattern = |text: &str| {
            let text = format!(
                "[listener.mqtts]\nclient_certificate = 'required'\nuser_from_certificate = 'san-dns'\n\
                 certificate_user_pattern = '{text}'\n[tls]\ncertificate = 'a'\nclient_ca = 'b'"
            );
            let file = Some(ConfigFile { path: "lotmq.toml".into(), text });
            let config = Config::load(Sources { file, ..Sources::default() }).unwrap();
            config.listener.mqtts.certificate_user_pattern.unwrap()
        };
        let names = ["a.plant.example", "a.office.example", "b.office.example"];
        let params = CertificateParams::new(names.map(str::to_owned)).unwrap();
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        for (pattern, expected) in [
            (Some(pattern("*.plant.example")), Certified::User("a".into())),
            (Some(pattern("*.office.example")), Certified::Nobody),
            (Some(pattern("*.other.example")), Certified::Nobody),
            (None, Certified::Nobody),
        ] {
            let found = read(UserFromCertificate::DnsName, pattern.as_ref(), &der);
            assert_eq!(found, Some(expected), "{pattern:?}");
        }
        assert_eq!(read(UserFromCertificate::Uri, None, &der), Some(Certified::Nobody));
    }

    #[test]
    fn damaged_certificates_name_nobody_and_break_nothing() {
        let der =
            certificate(&[(DnType::CommonName, utf8("device-1")), (DnType::OrganizationName, utf8("o"))]);
        for end in 0..der.len() {
            let read = read(UserFromCertificate::CommonName, None, &der[..end]);
            assert_eq!(read, Some(Certified::Nobody));
        }
        for at in 0..der.len() {
            for mask in [0x01, 0x80, 0xFF] {
                let mut changed = der.clone();
                changed[at] ^= mask;
                let _ = whole(&changed);
            }
        }
    }
}
