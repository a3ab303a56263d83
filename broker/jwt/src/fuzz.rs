//! Entry point of the fuzzer: foreign bytes as a token, as claims that are signed well, as keys.
//!
//! The fuzz target and the replay of its corpus are thin wrappers round [`fuzz_token`]. Not for
//! production use.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lotmq_config::Jwt;
use ring::hmac;

use crate::key::SecretKeys;
use crate::key_set::KeySet;
use crate::policy::TokenPolicy;
use crate::refusal::TokenRefusal;

const SECRET: [u8; 32] = [7; 32];

/// Verifies `bytes` as a token, and as the claims of a token that is signed well. Reads them as
/// keys. Every refusal has a text.
pub fn fuzz_token(bytes: &[u8]) {
    let own = KeySet::of_secret(&SECRET).expect("the secret is long enough");
    let found =
        [KeySet::of_jwks(bytes, SecretKeys::Allowed), KeySet::of_pem(bytes), KeySet::of_secret(bytes)];
    let mut keys = vec![Arc::new(own)];
    for set in found {
        match set {
            Ok(set) => keys.push(Arc::new(set)),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let policy = TokenPolicy::new(Jwt::default());
    for token in [bytes, signed(bytes).as_bytes()] {
        let verified = policy.verify(token, &keys, 1);
        let checked = verified.and_then(|token| policy.check_client(&token, None, "c"));
        assert!(checked.map_err(|refusal: TokenRefusal| refusal.to_string()) != Err(String::new()));
    }
}

fn signed(claims: &[u8]) -> String {
    let message = format!("eyJhbGciOiJIUzI1NiJ9.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpus_of_tokens_replays() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/token");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            fuzz_token(&bytes);
            (0..bytes.len()).for_each(|end| fuzz_token(&bytes[..end]));
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                fuzz_token(&changed);
            }
        }
    }
}
