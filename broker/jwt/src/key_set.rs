//! Keys of one source.

use jsonwebtoken::Algorithm;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::key::{SecretKeys, VerificationKey};
use crate::key_error::KeyError;
use crate::limits::{KEY_SET_BYTES_MAX, KEYS_MAX};

/// Keys of one source, at least one and at most [`KEYS_MAX`].
#[derive(Debug)]
pub(crate) struct KeySet(Vec<VerificationKey>);

impl KeySet {
    /// Reads a secret; a line break at its end does not belong to it.
    pub(crate) fn of_secret(bytes: &[u8]) -> Result<Self, KeyError> {
        let secret = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
        Ok(Self(vec![VerificationKey::of_secret(secret)?]))
    }

    /// Reads public keys in PEM.
    pub(crate) fn of_pem(bytes: &[u8]) -> Result<Self, KeyError> {
        let found: Result<Vec<_>, _> = SubjectPublicKeyInfoDer::pem_slice_iter(bytes).collect();
        let found = found.map_err(|_| KeyError::NoPublicKey)?;
        if found.is_empty() {
            return Err(KeyError::NoPublicKey);
        }
        if found.len() > KEYS_MAX {
            return Err(KeyError::TooManyKeys { keys: found.len() });
        }
        let keys = found.iter().map(|der| VerificationKey::of_public_key(der));
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Reads a JSON Web Key Set, RFC 7517 §5.
    pub(crate) fn of_jwks(bytes: &[u8], secrets: SecretKeys) -> Result<Self, KeyError> {
        if bytes.len() > KEY_SET_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        // The error of the library would quote the file.
        let set: Value = serde_json::from_slice(bytes).map_err(|_| KeyError::NoKeySet)?;
        let jwks = set.get("keys").and_then(Value::as_array).ok_or(KeyError::NoKeySet)?;
        if jwks.len() > KEYS_MAX {
            return Err(KeyError::TooManyKeys { keys: jwks.len() });
        }
        let keys: Vec<_> = jwks.iter().filter_map(|jwk| VerificationKey::of_jwk(jwk, secrets)).collect();
        if keys.is_empty() { Err(KeyError::NoUsableKey { keys: jwks.len() }) } else { Ok(Self(keys)) }
    }

    /// Keys for an algorithm. A token with a `kid` gets the keys of this identifier, and those
    /// without any, which come of a secret or PEM.
    pub(crate) fn matching<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a VerificationKey> {
        let has_id = move |key: &&VerificationKey| id.is_none() || key.id().is_none() || key.id() == id;
        self.0.iter().filter(has_id).filter(move |key| key.fits(algorithm))
    }

    /// Identifiers of its keys.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(VerificationKey::id)
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_test_support::TokenSigner as Signer;
    use serde_json::json;

    fn of_jwks(keys: &[Value]) -> Result<KeySet, KeyError> {
        KeySet::of_jwks(json!({ "keys": keys }).to_string().as_bytes(), SecretKeys::Ignored)
    }

    #[test]
    fn unusable_keys_of_a_set_are_ignored_and_at_least_one_is_needed() {
        let good = Signer::p256().jwk("a");
        let others =
            [json!({"kty": "new"}), json!(7), json!({"kty": "EC", "crv": "P-256", "x": "", "y": ""})];
        let set = of_jwks(&[&others[..], &[good]].concat()).unwrap();
        assert_eq!(set.len(), 1);
        assert!(set.ids().eq(["a"]));
        assert!(matches!(of_jwks(&others), Err(KeyError::NoUsableKey { keys: 3 })));
        assert!(matches!(of_jwks(&[]), Err(KeyError::NoUsableKey { keys: 0 })));
        for text in ["", "{}", "[]", r#"{"keys": 1}"#, "<html>"] {
            let error = KeySet::of_jwks(text.as_bytes(), SecretKeys::Ignored).unwrap_err();
            assert!(matches!(error, KeyError::NoKeySet), "{text}: {error}");
        }
    }

    #[test]
    fn key_sets_are_bounded() {
        let keys = vec![Signer::p256().jwk("a"); KEYS_MAX + 1];
        assert_eq!(of_jwks(&keys[1..]).unwrap().len(), KEYS_MAX);
        assert!(matches!(of_jwks(&keys), Err(KeyError::TooManyKeys { keys: 101 })));
        let long = vec![b' '; KEY_SET_BYTES_MAX + 1];
        assert!(matches!(KeySet::of_jwks(&long, SecretKeys::Ignored), Err(KeyError::TooLarge)));
    }

    #[test]
    fn keys_in_pem_are_public_keys() {
        let (one, two) = (Signer::p256(), Signer::ed25519());
        let set = KeySet::of_pem((one.public_key_pem() + &two.public_key_pem()).as_bytes()).unwrap();
        assert_eq!(set.len(), 2);
        let fits = |algorithm| set.matching(None, algorithm).count();
        assert_eq!([Algorithm::ES256, Algorithm::EdDSA, Algorithm::HS256].map(fits), [1, 1, 0]);
        assert_eq!(set.ids().count(), 0);
        let certificate = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        for text in ["", "a text", &certificate.cert.pem(), &certificate.signing_key.serialize_pem()] {
            assert!(matches!(KeySet::of_pem(text.as_bytes()), Err(KeyError::NoPublicKey)), "{text}");
        }
    }

    #[test]
    fn a_line_break_at_the_end_is_no_part_of_a_secret() {
        let signer = Signer::hmac(vec![b'k'; 32]);
        for end in ["", "\n", "\r\n"] {
            let set = KeySet::of_secret(format!("{}{end}", "k".repeat(32)).as_bytes()).unwrap();
            let key = set.matching(None, Algorithm::HS256).next().unwrap();
            let token = signer.sign(&json!({"alg": "HS256"}), &json!({}));
            assert!(
                crate::token::CompactToken::parse(token.as_bytes()).unwrap().claims(key).is_ok(),
                "{end:?}"
            );
        }
        assert!(KeySet::of_secret(format!("{}\n", "k".repeat(31)).as_bytes()).is_err());
    }

    #[test]
    fn a_kid_selects_its_key_and_those_without_any() {
        let set = of_jwks(&[Signer::p256().jwk("a"), Signer::p256().jwk("b")]).unwrap();
        let count = |id| set.matching(id, Algorithm::ES256).count();
        assert_eq!([count(None), count(Some("a")), count(Some("c"))], [2, 1, 0]);
        let pem = KeySet::of_pem(Signer::p256().public_key_pem().as_bytes()).unwrap();
        assert_eq!(pem.matching(Some("a"), Algorithm::ES256).count(), 1);
        assert_eq!(pem.matching(Some("a"), Algorithm::ES384).count(), 0);
    }
}
