//! A client's certificate in a case, as the guest sees it: none is checked here.

use data_encoding::HEXLOWER_PERMISSIVE;
use jiff::Timestamp;
use lotmq_host::auth::{AlternativeName, Certificate};

use crate::keys::Keys;

const KEYS: [&str; 7] =
    ["subject", "issuer", "alternative_names", "serial", "not_after", "fingerprint", "pem"];

/// Default issuer.
const ISSUER: &str = "CN=Test";

/// Default end of the validity: 2100-01-01.
const NOT_AFTER: Timestamp = Timestamp::constant(4_102_444_800, 0);

/// Bytes of a SHA-256.
const FINGERPRINT_BYTES: usize = 32;

/// Reads the certificate of a client with this identifier.
pub(super) fn read(mut keys: Keys, client_id: &str) -> Result<Certificate, String> {
    let hex = |keys: &mut Keys, key: &str| {
        let Some(text) = keys.optional_text(key)? else { return Ok(None) };
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
        bytes.map(Some).map_err(|_| format!("`{key}` is bytes in hexadecimal digits, found `{text}`"))
    };
    let fingerprint = hex(&mut keys, "fingerprint")?.unwrap_or_else(|| vec![0; FINGERPRINT_BYTES]);
    if fingerprint.len() != FINGERPRINT_BYTES {
        return Err(format!("`fingerprint` is the SHA-256, of 32 bytes, found {}", fingerprint.len()));
    }
    let not_after = keys.optional_text("not_after")?.map(|text| {
        text.parse().map_err(|_| format!("`not_after` is a time as {NOT_AFTER}, found `{text}`"))
    });
    let certificate = Certificate {
        subject: keys.optional_text("subject")?.unwrap_or_else(|| format!("CN={client_id}")),
        issuer: keys.optional_text("issuer")?.unwrap_or_else(|| ISSUER.to_owned()),
        alternative_names: alternative_names(&mut keys)?,
        serial: hex(&mut keys, "serial")?.unwrap_or_else(|| vec![1]),
        not_after_ms: not_after.transpose()?.unwrap_or(NOT_AFTER).as_millisecond(),
        fingerprint,
        pem: keys.optional_text("pem")?.unwrap_or_default(),
    };
    keys.finish(&[&KEYS])?;
    Ok(certificate)
}

fn alternative_names(keys: &mut Keys) -> Result<Vec<AlternativeName>, String> {
    let tables = keys.tables("alternative_names", "an alternative name")?;
    let names = tables.into_iter().map(|mut keys| {
        let kind = keys.first_of(&["dns", "email", "uri", "address"])?;
        let name = keys.text(kind)?;
        keys.finish(&[&[kind]])?;
        Ok(match kind {
            "dns" => AlternativeName::Dns(name),
            "email" => AlternativeName::Email(name),
            "uri" => AlternativeName::Uri(name),
            _ => AlternativeName::Address(name),
        })
    });
    names.collect()
}
