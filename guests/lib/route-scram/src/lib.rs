//! SCRAM (RFC 5802, RFC 7677): proves a password to a server without sending it. Values only,
//! without a connection.
//!
//! Call [`Scram::first`], then [`Scram::last`] with the server's answer, then [`Scram::check`] with
//! its final message. The password is used unchanged; the caller prepares it if the protocol
//! requires that.

mod hash;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

pub use hash::Hash;

/// Most rounds of the hash. Servers ask for 4,096 to some 100,000; a malicious one could ask for
/// any number.
pub const ROUNDS_MAX: u32 = 500_000;

/// Rounds of the hash at least. From RFC 7677 §4.
pub const ROUNDS_MIN: u32 = 4_096;

/// An exchange.
pub struct Scram<'a> {
    hash: Hash,
    user: &'a str,
    nonce: String,
    signature: Vec<u8>,
}

impl<'a> Scram<'a> {
    /// Starts with an unpredictable nonce.
    pub fn new(hash: Hash, user: &'a str, nonce: [u64; 2]) -> Scram<'a> {
        let nonce = format!("{:016x}{:016x}", nonce[0], nonce[1]);
        Scram { hash, user, nonce, signature: Vec::new() }
    }

    /// The first message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare())
    }

    fn first_bare(&self) -> String {
        let name = self.user.replace('=', "=3D").replace(',', "=2C");
        format!("n={name},r={}", self.nonce)
    }

    /// The proof that the password is known, for the salt and the rounds that the server has named.
    ///
    /// # Errors
    /// Says what is wrong with the server's answer, behind which the server is meant with "it".
    pub fn last(&mut self, challenge: &[u8], password: &str) -> Result<String, String> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| "its answer is not UTF-8")?;
        let member =
            |name: char| challenge.split(',').find_map(|member| member.strip_prefix(name)?.strip_prefix('='));
        let nonce =
            member('r').filter(|nonce| nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len());
        let nonce = nonce.ok_or("its answer has another nonce")?;
        let salt = member('s').and_then(|salt| BASE64.decode(salt).ok()).ok_or("its answer has no salt")?;
        let rounds: u32 =
            member('i').and_then(|rounds| rounds.parse().ok()).ok_or("its answer has no rounds")?;
        if !(ROUNDS_MIN..=ROUNDS_MAX).contains(&rounds) {
            return Err(format!("it asks for {rounds} rounds, from {ROUNDS_MIN} to {ROUNDS_MAX} are taken"));
        }
        // `biws` is the base64 of `n,,`.
        let without_proof = format!("c=biws,r={nonce}");
        let said = format!("{},{challenge},{without_proof}", self.first_bare());
        let proof = self.proof(&self.hash.salted(password.as_bytes(), &salt, rounds), said.as_bytes());
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    fn proof(&mut self, salted: &[u8], said: &[u8]) -> Vec<u8> {
        let hash = self.hash;
        let client_key = hash.mac(salted, b"Client Key");
        self.signature = hash.mac(&hash.mac(salted, b"Server Key"), said);
        let signature = hash.mac(&hash.digest(&client_key), said);
        client_key.iter().zip(signature).map(|(byte, other)| byte ^ other).collect()
    }

    /// Whether the server knows the password, too.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self, answer: &[u8]) -> Result<(), String> {
        let verifier = answer
            .strip_prefix(b"v=")
            .and_then(|text| BASE64.decode(text.split(|byte| *byte == b',').next()?).ok());
        match verifier {
            Some(verifier) if !self.signature.is_empty() && verifier == self.signature => Ok(()),
            _ => Err("it does not know the password itself".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_nonce(hash: Hash, nonce: &str) -> Scram<'static> {
        Scram { hash, user: "user", nonce: nonce.to_owned(), signature: Vec::new() }
    }

    #[test]
    fn the_exchange_with_sha_256_is_that_of_rfc_7677() {
        let mut scram = with_nonce(Hash::SHA_256, "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge =
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(
            scram.last(challenge, "pencil").unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        scram.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
        assert!(scram.check(b"v=AAAA").is_err());
    }

    #[test]
    fn the_exchange_with_sha_1_is_that_of_rfc_5802() {
        let mut scram = with_nonce(Hash::SHA_1, "fyko+d2lbbFgONRv9qkxdawL");
        let challenge = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        assert_eq!(
            scram.last(challenge, "pencil").unwrap(),
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
        );
        scram.check(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").unwrap();
    }

    #[test]
    fn a_server_that_is_none_is_found_out() {
        let mut scram = Scram::new(Hash::SHA_512, "a=b,c", [1, 2]);
        let own = "00000000000000010000000000000002";
        assert_eq!(scram.first(), format!("n,,n=a=3Db=2Cc,r={own}"));
        for (challenge, expected) in [
            ("r=other,s=AAAA,i=4096".to_owned(), "its answer has another nonce"),
            (format!("r={own},s=AAAA,i=4096"), "its answer has another nonce"),
            (format!("r={own}x,s=?,i=4096"), "its answer has no salt"),
            (format!("r={own}x,s=AAAA"), "its answer has no rounds"),
            (format!("r={own}x,s=AAAA,i=1"), "it asks for 1 rounds, from 4096 to 500000 are taken"),
            (
                format!("r={own}x,s=AAAA,i=4000000000"),
                "it asks for 4000000000 rounds, from 4096 to 500000 are taken",
            ),
        ] {
            assert_eq!(scram.last(challenge.as_bytes(), "pencil").unwrap_err(), expected);
        }
        assert!(scram.check(b"v=").is_err());
        let last = scram.last(format!("r={own}x,s=AAAA,i=4096").as_bytes(), "pencil").unwrap();
        assert!(last.starts_with(&format!("c=biws,r={own}x,p=")));
    }
}
