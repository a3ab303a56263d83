//! Logins: SCRAM (RFC 5802, RFC 7677) as MongoDB has it, as values without a connection.
//!
//! With SHA-1 the password that is proved is the MD5 of user and password, which MongoDB kept before; with SHA-256 it is prepared by SASLprep.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::limits::{SCRAM_ROUNDS_MAX, SCRAM_ROUNDS_MIN};

/// Way in which a password is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Sha1,
    Sha256,
}

impl Mechanism {
    /// That of a name.
    ///
    /// # Errors
    /// It is another one.
    pub(crate) fn of(name: &str) -> Result<Mechanism, String> {
        match name {
            "SCRAM-SHA-1" => Ok(Mechanism::Sha1),
            "SCRAM-SHA-256" => Ok(Mechanism::Sha256),
            _ => Err(format!("has authMechanism {name}: SCRAM-SHA-256 and SCRAM-SHA-1 are spoken here")),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mechanism::Sha1 => "SCRAM-SHA-1",
            Mechanism::Sha256 => "SCRAM-SHA-256",
        }
    }
}

/// A login.
#[derive(Clone, PartialEq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
    /// Database that has the user.
    pub(crate) source: String,
    /// Where it is not said, the best one that the server has for the user.
    pub(crate) mechanism: Option<Mechanism>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Login").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

/// An exchange: `first`, then `last` with what the server has answered, then `check`.
pub(crate) struct Scram<'a> {
    login: &'a Login,
    mechanism: Mechanism,
    nonce: String,
    signature: Vec<u8>,
}

impl<'a> Scram<'a> {
    /// Begins with a nonce that nobody can predict.
    pub(crate) fn new(login: &'a Login, mechanism: Mechanism, nonce: [u64; 2]) -> Scram<'a> {
        let nonce = format!("{:016x}{:016x}", nonce[0], nonce[1]);
        Scram { login, mechanism, nonce, signature: Vec::new() }
    }

    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.first_bare())
    }

    fn first_bare(&self) -> String {
        let name = self.login.user.replace('=', "=3D").replace(',', "=2C");
        format!("n={name},r={}", self.nonce)
    }

    /// The proof, for the salt and the rounds that the server has named.
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
        let proof = match self.mechanism {
            Mechanism::Sha1 => {
                let password = digest_of_password(self.login);
                let salted = salted::<Hmac<Sha1>>(password.as_bytes(), &salt, rounds);
                self.proof::<Hmac<Sha1>>(&salted, |bytes| Sha1::digest(bytes).to_vec(), said.as_bytes())
            }
            Mechanism::Sha256 => {
                let password = stringprep::saslprep(&self.login.password)
                    .map_err(|_| "the password has characters that SASLprep prohibits")?;
                let salted = salted::<Hmac<Sha256>>(password.as_bytes(), &salt, rounds);
                self.proof::<Hmac<Sha256>>(&salted, |bytes| Sha256::digest(bytes).to_vec(), said.as_bytes())
            }
        };
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    fn proof<H: Mac + KeyInit>(&mut self, salted: &[u8], hash: fn(&[u8]) -> Vec<u8>, said: &[u8]) -> Vec<u8> {
        let client_key = mac::<H>(salted, b"Client Key");
        self.signature = mac::<H>(&mac::<H>(salted, b"Server Key"), said);
        let signature = mac::<H>(&hash(&client_key), said);
        client_key.iter().zip(signature).map(|(byte, other)| byte ^ other).collect()
    }

    /// Whether the server knows the password, too.
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

fn keyed<H: KeyInit>(key: &[u8]) -> H {
    H::new_from_slice(key).expect("a key of HMAC has any length")
}

fn mac<H: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
    keyed::<H>(key).chain_update(text).finalize().into_bytes().to_vec()
}

/// `Hi` of RFC 5802 §2.2.
fn salted<H: Mac + KeyInit + Clone>(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let keyed = keyed::<H>(password);
    let first = keyed.clone().chain_update(salt).chain_update(1u32.to_be_bytes());
    let mut last = first.finalize().into_bytes();
    let mut salted = last.to_vec();
    for _ in 1..rounds {
        last = keyed.clone().chain_update(&last).finalize().into_bytes();
        salted.iter_mut().zip(last.iter()).for_each(|(byte, other)| *byte ^= other);
    }
    salted
}

/// What MongoDB takes for the password with SHA-1.
fn digest_of_password(login: &Login) -> String {
    let digest = Md5::digest(format!("{}:mongo:{}", login.user, login.password));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(user: &str, password: &str) -> Login {
        Login {
            user: user.to_owned(),
            password: password.to_owned(),
            source: "admin".to_owned(),
            mechanism: None,
        }
    }

    #[test]
    fn the_exchange_with_sha_256_is_that_of_rfc_7677() {
        let login = login("user", "pencil");
        let mut scram = Scram {
            login: &login,
            mechanism: Mechanism::Sha256,
            nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
            signature: Vec::new(),
        };
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

    /// The keys of RFC 5802 §5, whose password is not MongoDB's digest.
    #[test]
    fn salted_passwords_with_sha_1_are_those_of_rfc_5802() {
        let salt = BASE64.decode("QSXCR+Q6sek8bf92").unwrap();
        let salted = salted::<Hmac<Sha1>>(b"pencil", &salt, 4096);
        let login = login("user", "pencil");
        let mut scram =
            Scram { login: &login, mechanism: Mechanism::Sha1, nonce: String::new(), signature: Vec::new() };
        let said = b"n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j";
        let proof = scram.proof::<Hmac<Sha1>>(&salted, |bytes| Sha1::digest(bytes).to_vec(), said);
        assert_eq!(BASE64.encode(proof), "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
        scram.check(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").unwrap();
    }

    /// The exchange of MongoDB's specification of logins.
    #[test]
    fn the_exchange_with_sha_1_is_that_of_mongodb() {
        let login = login("user", "pencil");
        assert_eq!(digest_of_password(&login), "1c33006ec1ffd90f9cadcbcc0e118200");
        let mut scram = Scram {
            login: &login,
            mechanism: Mechanism::Sha1,
            nonce: "fyko+d2lbbFgONRv9qkxdawL".to_owned(),
            signature: Vec::new(),
        };
        let challenge =
            b"r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,s=rQ9ZY3MntBeuP3E1TDVC4w==,i=10000";
        assert_eq!(
            scram.last(challenge).unwrap(),
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,p=MC2T8BvbmWRckDw8oWl5IVghwCY="
        );
        scram.check(b"v=UMWeI25JD1yNYZRMpZ4VHvhZ9e0=").unwrap();
    }

    #[test]
    fn a_server_that_is_none_is_found_out() {
        let login = login("a=b,c", "pencil");
        let mut scram = Scram::new(&login, Mechanism::Sha256, [1, 2]);
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
            assert_eq!(scram.last(challenge.as_bytes()).unwrap_err(), expected);
        }
        assert!(scram.check(b"v=").is_err());
        assert!(!format!("{login:?}").contains("pencil"));
    }
}
