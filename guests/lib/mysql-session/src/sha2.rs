//! The login `caching_sha2_password`: a hash if the server has cached the password, else the
//! password itself, over TLS or encrypted with the server's key.
//!
//! The library does hash and encryption. This file parses the foreign key, so that a bad key cannot
//! end the guest.

use base64::Engine as _;
use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::crypto::rsa::{GetRandom, Pkcs1OaepPadding, PublicKey};
use num_bigint::BigUint;

use crate::fault::{Fault, broken};

const ASK_FOR_KEY: u8 = 0x02;
const IS_REMEMBERED: u8 = 0x03;
const SAY_IT: u8 = 0x04;

/// Bits of a key: less than these protect nothing, more than those take long.
const KEY_BITS: std::ops::RangeInclusive<u64> = 1_024..=16_384;

/// Bits of a key's exponent, which is 65537 nearly always.
const EXPONENT_BITS_MAX: u64 = 64;

/// Bytes of a message that encryption adds.
const PADDING_BYTES: usize = 42;

/// Password, and the bytes of the server that it is mixed with.
#[derive(Clone, Copy)]
pub(crate) struct Secret<'a> {
    pub(crate) nonce: &'a [u8],
    pub(crate) password: &'a str,
}

/// State of the login.
#[derive(Debug, Default)]
pub(crate) struct CachingSha2 {
    waits_for_key: bool,
}

impl CachingSha2 {
    /// Returns the first response.
    pub(crate) fn first(nonce: &[u8], password: &str) -> Result<Vec<u8>, Fault> {
        let nonce = nonce.try_into().map_err(|_| broken("a nonce of another length"))?;
        Ok(scramble_sha256(nonce, password.as_bytes()).map(|mix| mix.to_vec()).unwrap_or_default())
    }

    /// Returns the response to a message of the server.
    pub(crate) fn next(
        &mut self,
        challenge: &[u8],
        secret: &Secret<'_>,
        is_secure: bool,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let Secret { nonce, password } = secret;
        let ended = || [password.as_bytes(), &[0]].concat();
        if self.waits_for_key {
            self.waits_for_key = false;
            let mixed: Vec<u8> =
                ended().iter().zip(nonce.iter().cycle()).map(|(one, other)| one ^ other).collect();
            return encrypted(&mixed, challenge).map(Some);
        }
        match challenge {
            [IS_REMEMBERED] => Ok(None),
            [SAY_IT] if is_secure => Ok(Some(ended())),
            [SAY_IT] => {
                self.waits_for_key = true;
                Ok(Some(vec![ASK_FOR_KEY]))
            }
            _ => Err(broken("a login that is none")),
        }
    }
}

fn encrypted(message: &[u8], pem: &[u8]) -> Result<Vec<u8>, Fault> {
    let (modulus, exponent) = key(pem).ok_or_else(|| broken("a key that cannot be read"))?;
    let key = PublicKey::new(modulus, exponent);
    if message.len() + PADDING_BYTES > key.num_octets() {
        return Err(Fault::Rejected(
            "the password is too long for the server's key; USE_SSL needs none".to_owned(),
        ));
    }
    key.encrypt_block(message, Pkcs1OaepPadding::new(GetRandom)).map_err(broken)
}

/// Modulus and exponent of a key in PEM, in either of its forms.
fn key(pem: &[u8]) -> Option<(BigUint, BigUint)> {
    let pem = std::str::from_utf8(pem).ok()?;
    let lines = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let der = base64::engine::general_purpose::STANDARD.decode(lines.collect::<String>()).ok()?;
    let (mut fields, _) = element(&der, SEQUENCE)?;
    // The newer form has the algorithm first.
    if let Some((_, rest)) = element(fields, SEQUENCE) {
        let (bits, _) = element(rest, BIT_STRING)?;
        fields = element(bits.strip_prefix(&[0])?, SEQUENCE)?.0;
    }
    let (modulus, rest) = element(fields, INTEGER)?;
    let (exponent, _) = element(rest, INTEGER)?;
    let (modulus, exponent) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
    let is_fit = KEY_BITS.contains(&modulus.bits()) && (1..=EXPONENT_BITS_MAX).contains(&exponent.bits());
    is_fit.then_some((modulus, exponent))
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// Contents of an element of DER, and what stands behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match *length {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            if digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDHgSXdbd2tV5qZL8l6uz0iE1Fq\n-----END PUBLIC KEY-----";

    #[test]
    fn what_is_no_key_is_told() {
        for pem in ["", "-----BEGIN PUBLIC KEY-----\n", KEY, "MAA=", "MIQ=", "MIT/////"] {
            assert_eq!(key(pem.as_bytes()), None, "{pem}");
        }
        assert_eq!(element(&[0x02, 0x85, 1, 1, 1, 1, 1], INTEGER), None);
        assert_eq!(element(&[0x02, 0x81, 2, 7, 8, 9], INTEGER), Some((&[7, 8][..], &[9][..])));
    }

    #[test]
    fn a_password_is_mixed_said_or_encrypted() {
        let nonce: &[u8] = b"abcdefghijklmnopqrst";
        assert_eq!(CachingSha2::first(nonce, "secret").unwrap().len(), 32);
        assert!(CachingSha2::first(nonce, "").unwrap().is_empty());
        let who = &Secret { nonce, password: "secret" };
        let mut login = CachingSha2::default();
        assert_eq!(login.next(&[3], who, false), Ok(None));
        assert_eq!(login.next(&[4], who, true), Ok(Some(b"secret\0".to_vec())));
        assert_eq!(login.next(&[4], who, false), Ok(Some(vec![2])));
        assert!(matches!(login.next(b"no key", who, false), Err(Fault::Broken(_))));
        assert!(matches!(login.next(&[9], who, false), Err(Fault::Broken(_))));
    }
}
