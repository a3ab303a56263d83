//! Logins: PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677) as values, without a connection.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use crate::limits::{SCRAM_ROUNDS_MAX, SCRAM_ROUNDS_MIN};

/// Way in which a password is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A login.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) mechanism: Mechanism,
    pub(crate) username: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Login").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl Login {
    /// The one message of PLAIN.
    pub(crate) fn plain(&self) -> Vec<u8> {
        format!("\0{}\0{}", self.username, self.password).into_bytes()
    }
}

/// An exchange of SCRAM: `first`, then `last` with what the broker has answered, then `check`.
pub(crate) struct Scram<'a> {
    login: &'a Login,
    nonce: String,
    signature: Vec<u8>,
}

impl<'a> Scram<'a> {
    /// Begins with a nonce that nobody can predict.
    pub(crate) fn new(login: &'a Login, nonce: u64) -> Scram<'a> {
        Scram { login, nonce: format!("{nonce:016x}"), signature: Vec::new() }
    }

    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.first_bare())
    }

    fn first_bare(&self) -> String {
        let name = self.login.username.replace('=', "=3D").replace(',', "=2C");
        format!("n={name},r={}", self.nonce)
    }

    /// The proof, for the salt and the rounds that the broker has named.
    pub(crate) fn last(&mut self, challenge: &[u8]) -> Result<String, String> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| "its answer is not UTF-8")?;
        let member =
            |name: char| challenge.split(',').find_map(|member| member.strip_prefix(name)?.strip_prefix('='));
        let nonce =
            member('r').filter(|nonce| nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len());
        let nonce = nonce.ok_or("its answer has another nonce")?;
        let salt = member('s').and_then(|salt| BASE64.decode(salt).ok()).ok_or("its answer has no salt")?;
        let rounds: u32 =
            member('i').and_then(|rounds| rounds.parse().ok()).ok_or("its answer has no rounds")?;
        if !(SCRAM_ROUNDS_MIN..=SCRAM_ROUNDS_MAX).contains(&rounds) {
            return Err(format!(
                "it asks for {rounds} rounds, from {SCRAM_ROUNDS_MIN} to {SCRAM_ROUNDS_MAX} are taken"
            ));
        }
        // `biws` is the base64 of `n,,`.
        let without_proof = format!("c=biws,r={nonce}");
        let said = format!("{},{challenge},{without_proof}", self.first_bare());
        let proof = self.proof(&salt, rounds, said.as_bytes());
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    fn proof(&mut self, salt: &[u8], rounds: u32, said: &[u8]) -> Vec<u8> {
        let is_512 = self.login.mechanism == Mechanism::ScramSha512;
        let mac = |key: &[u8], text: &[u8]| if is_512 { mac512(key, text) } else { mac256(key, text) };
        let password = self.login.password.as_bytes();
        let mut last = mac(password, &[salt, &1u32.to_be_bytes()].concat());
        let mut salted = last.clone();
        for _ in 1..rounds {
            last = mac(password, &last);
            salted.iter_mut().zip(&last).for_each(|(byte, other)| *byte ^= other);
        }
        let client_key = mac(&salted, b"Client Key");
        let stored =
            if is_512 { Sha512::digest(&client_key).to_vec() } else { Sha256::digest(&client_key).to_vec() };
        self.signature = mac(&mac(&salted, b"Server Key"), said);
        client_key.iter().zip(mac(&stored, said)).map(|(byte, other)| byte ^ other).collect()
    }

    /// Whether the broker knows the password, too.
    pub(crate) fn check(&self, answer: &[u8]) -> Result<(), String> {
        let verifier = answer
            .strip_prefix(b"v=")
            .and_then(|text| BASE64.decode(text.split(|byte| *byte == b',').next()?).ok());
        match verifier {
            Some(verifier) if !self.signature.is_empty() && verifier == self.signature => Ok(()),
            _ => Err("it does not know the password itself".to_owned()),
        }
    }
}

fn mac256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of HMAC has any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn mac512(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("a key of HMAC has any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(username: &str, mechanism: Mechanism) -> Login {
        Login { mechanism, username: username.to_owned(), password: "pencil".to_owned() }
    }

    #[test]
    fn the_exchange_is_that_of_rfc_7677() {
        let login = login("user", Mechanism::ScramSha256);
        let mut scram =
            Scram { login: &login, nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(), signature: Vec::new() };
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge =
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(
            scram.last(challenge).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        scram.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
        assert!(scram.check(b"v=AAAA").is_err());
    }

    #[test]
    fn a_broker_that_is_none_is_found_out() {
        let login = login("a=b,c", Mechanism::ScramSha512);
        let mut scram = Scram::new(&login, 1);
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=0000000000000001");
        for (challenge, expected) in [
            ("r=other,s=AAAA,i=4096", "its answer has another nonce"),
            ("r=0000000000000001,s=AAAA,i=4096", "its answer has another nonce"),
            ("r=0000000000000001x,s=?,i=4096", "its answer has no salt"),
            ("r=0000000000000001x,s=AAAA", "its answer has no rounds"),
            ("r=0000000000000001x,s=AAAA,i=1", "it asks for 1 rounds, from 4096 to 500000 are taken"),
            (
                "r=0000000000000001x,s=AAAA,i=4000000000",
                "it asks for 4000000000 rounds, from 4096 to 500000 are taken",
            ),
        ] {
            assert_eq!(scram.last(challenge.as_bytes()).unwrap_err(), expected);
        }
        assert!(scram.check(b"v=").is_err());
        assert!(
            scram
                .last(b"r=0000000000000001x,s=AAAA,i=4096")
                .unwrap()
                .starts_with("c=biws,r=0000000000000001x,p=")
        );
    }

    #[test]
    fn logins_do_not_show_their_passwords() {
        let login = login("u", Mechanism::Plain);
        assert_eq!(login.plain(), b"\0u\0pencil");
        assert!(!format!("{login:?}").contains("pencil"));
    }
}
