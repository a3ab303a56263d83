//! A token in its compact form (RFC 7515 §7.1) before its signature is verified.

use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use crate::claims::TokenClaims;
use crate::key::VerificationKey;
use crate::limits::TOKEN_BYTES_MAX;
use crate::refusal::{ForeignText, TokenRefusal};

/// Members of the header that choose a key. The library checks the rest.
#[derive(Deserialize)]
struct TokenHeader {
    alg: String,
    kid: Option<String>,
}

/// Token whose header was read. Nothing of it is verified.
pub(crate) struct CompactToken<'a> {
    bytes: &'a [u8],
    pub(crate) algorithm: Algorithm,
    /// Algorithm as the header names it, for errors.
    pub(crate) algorithm_text: ForeignText,
    pub(crate) kid: Option<String>,
}

/// Whether bytes have the form of a token, valid or not. Other bytes may be a password.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    header(bytes).is_some()
}

/// Reads the header of bytes in three parts; `None` if they are no token.
fn header(bytes: &[u8]) -> Option<TokenHeader> {
    let mut parts = bytes.split(|byte| *byte == b'.');
    let header = parts.next()?;
    let is_text = |part: &[u8]| part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
    let has_two_others = parts.next().is_some_and(is_text) && parts.next().is_some_and(is_text);
    if !has_two_others || parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()
}

impl<'a> CompactToken<'a> {
    /// Reads the header.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, TokenRefusal> {
        if bytes.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefusal::TooLong { bytes: bytes.len() });
        }
        let TokenHeader { alg, kid } = header(bytes).ok_or(TokenRefusal::Malformed)?;
        let algorithm_text = ForeignText::of(&alg);
        match Algorithm::from_str(&alg) {
            Ok(algorithm) => Ok(Self { bytes, algorithm, algorithm_text, kid }),
            Err(_) => Err(TokenRefusal::AlgorithmUnknown { name: algorithm_text }),
        }
    }

    /// Verifies the signature with a key that fits, and reads the claims.
    ///
    /// # Errors
    /// [`TokenRefusal::Signature`] if the key has not made it, [`TokenRefusal::Malformed`] for
    /// claims that are no JSON object, and for extensions that are unknown and critical.
    pub(crate) fn claims(&self, key: &VerificationKey) -> Result<TokenClaims, TokenRefusal> {
        let mut signature_alone = Validation::new(self.algorithm);
        signature_alone.required_spec_claims.clear();
        // The policy checks these by the clock of the broker, with errors that say by how much.
        signature_alone.validate_exp = false;
        signature_alone.validate_nbf = false;
        signature_alone.validate_aud = false;
        let decoded = jsonwebtoken::decode(self.bytes, key.decoding_key(), &signature_alone);
        decoded.map(|data| TokenClaims(data.claims)).map_err(|error| refusal(&error))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's list grows")]
fn refusal(error: &jsonwebtoken::errors::Error) -> TokenRefusal {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature | ErrorKind::InvalidKeyFormat | ErrorKind::InvalidAlgorithm => {
            TokenRefusal::Signature
        }
        _ => TokenRefusal::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_test_support::TokenSigner;
    use serde_json::json;

    fn encoded(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn passwords_are_no_tokens() {
        let header = encoded(r#"{"alg":"none"}"#);
        for (text, expected) in [
            (format!("{header}.e30."), true),
            (format!("{header}.e30.AA"), true),
            (format!("{header}.e30"), false),
            (format!("{header}.e30.AA.AA"), false),
            (format!("{header}.e30.A A"), false),
            (format!("{header}=.e30.AA"), false),
            ("a.b.c".to_owned(), false),
            ("secret".to_owned(), false),
            (String::new(), false),
            ("..".to_owned(), false),
            (format!("{}.e30.AA", encoded(r#"{"typ":"JWT"}"#)), false),
        ] {
            assert_eq!(is_token(text.as_bytes()), expected, "{text}");
        }
        assert!(!is_token(&[0xFF, b'.', b'.']));
    }

    #[test]
    fn headers_name_an_algorithm_that_is_supported() {
        for name in ["none", "None", "NONE", "HS1", "ES256K", "ES512", "RSA-OAEP", ""] {
            let token = format!("{}.e30.", encoded(&json!({ "alg": name }).to_string()));
            let refusal = CompactToken::parse(token.as_bytes()).err();
            let name = ForeignText::of(name);
            assert_eq!(refusal, Some(TokenRefusal::AlgorithmUnknown { name }));
        }
        let long = format!("{}.e30.AA", encoded(&json!({"alg": "x".repeat(9_000)}).to_string()));
        let refusal = CompactToken::parse(long.as_bytes()).err().unwrap().to_string();
        assert!(refusal.len() < 300, "{refusal}");
        let bytes = vec![b'a'; TOKEN_BYTES_MAX + 1];
        assert_eq!(
            CompactToken::parse(&bytes).err(),
            Some(TokenRefusal::TooLong { bytes: TOKEN_BYTES_MAX + 1 })
        );
    }

    #[test]
    fn critical_extensions_that_are_unknown_are_refused() {
        let signer = TokenSigner::hmac([7; 32]);
        let key = VerificationKey::of_secret(&[7; 32]).unwrap();
        for (header, expected) in [
            (json!({"alg": "HS256", "typ": "JWT"}), None),
            (json!({"alg": "HS256", "x": 1}), None),
            (json!({"alg": "HS256", "x": 1, "crit": ["x"]}), Some(TokenRefusal::Malformed)),
            (json!({"alg": "HS256", "b64": false, "crit": ["b64"]}), Some(TokenRefusal::Malformed)),
        ] {
            let token = signer.sign(&header, &json!({"sub": "ann"}));
            assert_eq!(
                CompactToken::parse(token.as_bytes()).unwrap().claims(&key).err(),
                expected,
                "{header}"
            );
        }
    }

    #[test]
    fn claims_are_an_object() {
        let signer = TokenSigner::hmac([7; 32]);
        let key = VerificationKey::of_secret(&[7; 32]).unwrap();
        for claims in [json!([]), json!("sub"), json!(1), json!(null)] {
            let token = signer.sign(&json!({"alg": "HS256"}), &claims);
            let refusal = CompactToken::parse(token.as_bytes()).unwrap().claims(&key).err();
            assert_eq!(refusal, Some(TokenRefusal::Malformed), "{claims}");
        }
    }

    /// The examples of RFC 7515 §A.1, §A.2 and §A.3.
    #[test]
    fn examples_of_the_standard_are_verified() {
        const CLAIMS: &str =
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        for (header, signature, jwk) in [
            (
                "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
                "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
            ),
            (
                "eyJhbGciOiJSUzI1NiJ9",
                "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
                json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}),
            ),
            (
                "eyJhbGciOiJFUzI1NiJ9",
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
                json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
            ),
        ] {
            let key = VerificationKey::of_jwk(&jwk, crate::key::SecretKeys::Allowed).unwrap();
            let token = format!("{header}.{CLAIMS}.{signature}");
            let claims = CompactToken::parse(token.as_bytes()).unwrap().claims(&key).unwrap();
            assert_eq!(claims.text("iss"), Ok("joe"), "{header}");
            let changed = token.replace(".eyJ", ".eyK");
            let refusal = CompactToken::parse(changed.as_bytes()).unwrap().claims(&key).err();
            assert_eq!(refusal, Some(TokenRefusal::Signature), "{header}");
        }
    }
}
