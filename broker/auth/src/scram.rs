//! SCRAM-SHA-256 (RFC 5802, RFC 7677): the stored verifier of a password, and the server's side of
//! one exchange as a value.
//!
//! Client first → [`Challenge::new`] → server first; client final → [`Challenge::answer`] → server
//! final. No channel binding: the transport below MQTT is unknown here.
//!
//! Invariants: a [`Verifier`] proves nothing to a server. But an attacker who has it can guess
//! passwords offline at the cost of one PBKDF2 each, which is cheaper than Argon2id. So it exists
//! only where the operator wants it. Not here: the owners of verifiers (`directory`).

mod message;
mod verifier;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use message::ClientFinal;
pub(crate) use message::ClientFirst;
pub use verifier::{ScramSecret, ScramVerifier};

/// Random bytes of the server's part of the nonce.
pub(crate) const NONCE_BYTES: usize = 18;

/// The middle of an exchange: the server's first message is out.
pub(crate) struct Challenge {
    /// The first two messages as both sides sign them: without the header, with a comma behind
    /// each.
    signed: String,
    /// Header of the client's first message, which the final message must repeat.
    header: String,
    /// Of both sides.
    nonce: String,
    verifier: ScramVerifier,
}

impl Challenge {
    /// Answers a client's first message: the server's first message.
    pub(crate) fn new(first: &ClientFirst<'_>, random: &[u8], verifier: ScramVerifier) -> (Self, Vec<u8>) {
        let nonce = format!("{}{}", first.nonce, STANDARD.encode(random));
        let message =
            format!("r={nonce},s={},i={}", STANDARD.encode(verifier.salt), verifier.iterations.get());
        let signed = format!("{},{message},", first.bare);
        (Self { signed, header: first.header.to_owned(), nonce, verifier }, message.into_bytes())
    }

    /// Judges a client's final message: the server's final message when it proves the password.
    pub(crate) fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let last = ClientFinal::parse(message)?;
        if STANDARD.decode(last.binding).ok()? != self.header.as_bytes() || last.nonce != self.nonce {
            return None;
        }
        let proof: [u8; 32] = STANDARD.decode(last.proof).ok()?.try_into().ok()?;
        let signed = format!("{}{}", self.signed, last.without_proof);
        let signature = sign(&self.verifier.stored_key, signed.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
        let is_right = Sha256::digest(client_key).ct_eq(&self.verifier.stored_key);
        let server_signature = sign(&self.verifier.server_key, signed.as_bytes());
        bool::from(is_right).then(|| format!("v={}", STANDARD.encode(server_signature)).into_bytes())
    }
}

fn sign(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Fuzz entry point: a client's first message, a line end, and its final one. No input is accepted,
/// because the keys are unknown.
#[doc(hidden)]
pub fn fuzz_scram(bytes: &[u8]) {
    let line_end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (first, last) = bytes.split_at(line_end);
    if let Some(parsed) = ClientFirst::parse(first) {
        assert_eq!(format!("{}{}", parsed.header, parsed.bare).as_bytes(), first, "nothing is lost");
        assert!(!parsed.user.is_empty() && !parsed.nonce.is_empty());
        let (challenge, message) =
            Challenge::new(&parsed, &[7; NONCE_BYTES], ScramVerifier::unknown([1; 16]));
        assert!(message.starts_with(format!("r={}", parsed.nonce).as_bytes()));
        assert_eq!(challenge.answer(last.get(1..).unwrap_or_default()), None);
    }
    if let Some(parsed) = ClientFinal::parse(bytes) {
        assert_eq!(
            format!("{},p={}", parsed.without_proof, parsed.proof).as_bytes(),
            bytes,
            "nothing is lost"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// The exchange of RFC 7677 §3, whose server nonce is text and not base64.
    #[test]
    fn the_example_of_the_rfc_comes_out() {
        let salt: [u8; 16] = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
        let verifier = ScramVerifier::with_iterations(b"pencil", salt, NonZeroU32::new(4096).unwrap());
        let first = ClientFirst::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!((&*first.user, first.nonce), ("user", "rOprNGfwEbeRWgbNEkqO"));
        let (mut challenge, _) = Challenge::new(&first, &[], verifier);
        challenge.nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
        challenge.signed =
            format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,", challenge.nonce);
        let last = |proof: &str| format!("c=biws,r={},p={proof}", challenge.nonce).into_bytes();
        assert_eq!(
            challenge.answer(&last("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")).as_deref(),
            Some(&b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="[..])
        );
        for wrong in [
            last("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVA="),
            last("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndQ=="),
            last(""),
            // Another header than the one that came first, and another nonce.
            format!("c=eSws,r={},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", challenge.nonce)
                .into_bytes(),
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".to_vec(),
        ] {
            assert_eq!(challenge.answer(&wrong), None, "{}", String::from_utf8_lossy(&wrong));
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
    fn corpus_of_scram_replays() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/scram");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            fuzz_scram(&bytes);
            (0..bytes.len()).for_each(|end| fuzz_scram(&bytes[..end]));
            for index in 0..bytes.len() {
                let mut changed = bytes.clone();
                for value in [b',', b'=', b'n', b'\n', 0, 0xff] {
                    changed[index] = value;
                    fuzz_scram(&changed);
                }
            }
        }
    }
}
