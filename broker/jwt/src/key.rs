//! One key that verifies signatures: from a secret, from PEM, or from a JSON Web Key.
//!
//! Invariant: a key has the algorithms of its type alone.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use lotmq_chain::der::{Reader, tag};
use serde::Deserialize as _;
use serde_json::Value;

use crate::key_error::KeyError;
use crate::limits::{RSA_MODULUS_BYTES_MAX, RSA_MODULUS_BYTES_MIN, SECRET_BYTES_MIN};
use crate::ring_provider::{self, algorithms_of};

/// Key that verifies signatures.
#[derive(Debug)]
pub(crate) struct VerificationKey {
    /// Identifier that tokens name as `kid`.
    id: Option<Box<str>>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Whether a key set may hold secrets for HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretKeys {
    Allowed,
    /// A server that shows a secret shows it to everybody who asks.
    Ignored,
}

impl VerificationKey {
    /// Makes a key of a secret for HMAC.
    pub(crate) fn of_secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN) {
            return Err(KeyError::SecretIsPem);
        }
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::SecretTooShort { bytes: secret.len() });
        }
        let key = DecodingKey::from_secret(secret).map_err(|_| KeyError::KeyUnsupported)?;
        Self::new(None, key)
    }

    /// Makes a key of a SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7).
    pub(crate) fn of_public_key(der: &[u8]) -> Result<Self, KeyError> {
        public_key(der).ok_or(KeyError::KeyUnsupported).and_then(|key| Self::new(None, key))
    }

    /// Makes a key of a JSON Web Key; `None` if it has another use or is not supported, so that it
    /// is ignored as RFC 7517 §5 demands.
    pub(crate) fn of_jwk(value: &Value, secrets: SecretKeys) -> Option<Self> {
        let jwk = Jwk::deserialize(value).ok()?;
        let is_secret = matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
        if is_secret && secrets == SecretKeys::Ignored {
            return None;
        }
        let common = &jwk.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
        let operations = common.key_operations.as_ref();
        if !is_for_signatures || operations.is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
            return None;
        }
        let mut key =
            Self::new(common.key_id.as_deref().map(Box::from), DecodingKey::from_jwk(&jwk).ok()?).ok()?;
        if let Some(algorithm) = common.key_algorithm {
            let only = Algorithm::try_from(algorithm).ok()?;
            key.algorithms.retain(|fits| *fits == only);
        }
        (!key.algorithms.is_empty()).then_some(key)
    }

    fn new(id: Option<Box<str>>, key: DecodingKey) -> Result<Self, KeyError> {
        let (point_bytes, is_sized) = match key.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => (bytes.len(), true),
            DecodingKeyKind::RsaModulusExponent { n, .. } => (0, is_modulus(n)),
        };
        let algorithms = algorithms_of(key.family(), point_bytes);
        if !is_sized || algorithms.is_empty() {
            return Err(KeyError::KeyUnsupported);
        }
        if key.family() == jsonwebtoken::AlgorithmFamily::Hmac && point_bytes < SECRET_BYTES_MIN {
            return Err(KeyError::SecretTooShort { bytes: point_bytes });
        }
        // Before a key is used.
        ring_provider::install();
        Ok(Self { id, algorithms: algorithms.to_vec(), key })
    }

    /// Identifier of the key, if it has one.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether it verifies signatures of this algorithm.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// The key as the library takes it.
    pub(crate) fn decoding_key(&self) -> &DecodingKey {
        &self.key
    }
}

const PEM_BEGIN: &[u8] = b"-----BEGIN";

/// `rsaEncryption`, RFC 8017 §A.1.
const OID_RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];

/// `id-ecPublicKey`, RFC 5480 §2.1.1.
const OID_EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];

/// `id-Ed25519`, RFC 8410 §3.
const OID_ED25519: &[u8] = &[0x2B, 0x65, 0x70];

const TAG_OID: u8 = 0x06;

const TAG_BIT_STRING: u8 = 0x03;

const TAG_INTEGER: u8 = 0x02;

fn public_key(der: &[u8]) -> Option<DecodingKey> {
    let mut info = Reader(Reader(der).expect(tag::SEQUENCE)?);
    let algorithm = Reader(info.expect(tag::SEQUENCE)?).expect(TAG_OID)?;
    // The first byte counts unused bits, which no key has.
    let (&unused_bits, key) = info.expect(TAG_BIT_STRING)?.split_first()?;
    if unused_bits != 0 {
        return None;
    }
    match algorithm {
        OID_RSA => {
            let mut numbers = Reader(Reader(key).expect(tag::SEQUENCE)?);
            let [modulus, exponent] = [numbers.expect(TAG_INTEGER)?, numbers.expect(TAG_INTEGER)?];
            Some(DecodingKey::from_rsa_raw_components(without_zeros(modulus), without_zeros(exponent)))
        }
        // The length of the point tells the curve.
        OID_EC => Some(DecodingKey::from_ec_der(key)),
        OID_ED25519 => Some(DecodingKey::from_ed_der(key)),
        _ => None,
    }
}

/// Returns a number without leading zeros, which `ring` does not take.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn is_modulus(number: &[u8]) -> bool {
    (RSA_MODULUS_BYTES_MIN..=RSA_MODULUS_BYTES_MAX).contains(&without_zeros(number).len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_test_support::TokenSigner as Signer;

    #[test]
    fn secrets_are_long_and_no_key_in_pem() {
        assert!(VerificationKey::of_secret(&[7; 32]).is_ok());
        let short = VerificationKey::of_secret(&[7; 31]).unwrap_err();
        assert!(matches!(short, KeyError::SecretTooShort { bytes: 31 }), "{short}");
        let pem = b"\n-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A";
        assert!(matches!(VerificationKey::of_secret(pem), Err(KeyError::SecretIsPem)));
    }

    #[test]
    fn public_keys_have_the_algorithms_of_their_type() {
        for (signer, fits, fits_not) in [
            (Signer::rsa(), Algorithm::PS512, Algorithm::ES256),
            (Signer::p256(), Algorithm::ES256, Algorithm::ES384),
            (Signer::p384(), Algorithm::ES384, Algorithm::ES256),
            (Signer::ed25519(), Algorithm::EdDSA, Algorithm::HS256),
        ] {
            let of_pem = VerificationKey::of_public_key(&signer.public_key_der()).unwrap();
            let of_jwk = VerificationKey::of_jwk(&signer.jwk("a"), SecretKeys::Ignored).unwrap();
            assert_eq!((of_pem.id(), of_jwk.id()), (None, Some("a")));
            for key in [of_pem, of_jwk] {
                assert!(key.fits(fits) && !key.fits(fits_not), "{fits:?}");
                assert!(!key.fits(Algorithm::HS256), "a public key is no secret");
            }
        }
    }

    #[test]
    fn keys_for_other_uses_are_ignored() {
        let jwk = |member: &str, value: Value| {
            let mut jwk = Signer::p256().jwk("a");
            jwk[member] = value;
            VerificationKey::of_jwk(&jwk, SecretKeys::Ignored)
        };
        for (member, value, is_used) in [
            ("use", "sig".into(), true),
            ("use", "enc".into(), false),
            ("key_ops", vec!["verify"].into(), true),
            ("key_ops", vec!["encrypt"].into(), false),
            ("alg", "ES256".into(), true),
            ("alg", "ES384".into(), false),
            ("alg", "HS256".into(), false),
            ("alg", "none".into(), false),
            ("crv", "secp256k1".into(), false),
            ("kty", "oct".into(), false),
            ("x", "!".into(), false),
            ("x", "AA".into(), false),
        ] {
            assert_eq!(jwk(member, Value::clone(&value)).is_some(), is_used, "{member} {value}");
        }
    }

    #[test]
    fn secrets_come_of_files_alone() {
        let jwk = |bytes| Signer::hmac(vec![7; bytes]).jwk("a");
        assert!(VerificationKey::of_jwk(&jwk(32), SecretKeys::Allowed).is_some());
        assert!(VerificationKey::of_jwk(&jwk(31), SecretKeys::Allowed).is_none());
        assert!(VerificationKey::of_jwk(&jwk(32), SecretKeys::Ignored).is_none());
    }

    #[test]
    fn damaged_public_keys_are_refused() {
        let der = Signer::rsa().public_key_der();
        for cut in 0..der.len() {
            assert!(VerificationKey::of_public_key(&der[..cut]).is_err(), "{cut}");
        }
        for signer in [Signer::p256(), Signer::ed25519()] {
            let der = signer.public_key_der();
            assert!(VerificationKey::of_public_key(&der[..der.len() - 1]).is_err());
        }
    }
}
