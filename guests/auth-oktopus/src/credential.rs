//! Values of the bucket: passwords in clear, argon2 hashes and SCRAM verifiers.

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pbkdf2::pbkdf2_hmac_array;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::limits::{ARGON2_KIB_MAX, ARGON2_WORK_KIB_MAX, PASSWORD_BYTES_MAX, SCRAM_ROUNDS, VALUE_BYTES_MAX};

/// Key by which passwords in clear are stored: random for each instance.
pub(crate) type HashKey = [u8; 32];

/// Verifier of a password.
#[derive(Clone, PartialEq)]
pub(crate) enum Credential {
    /// A password in clear, as its HMAC. So memory has no password, and each comparison takes the
    /// same time.
    Clear([u8; 32]),
    /// `$argon2id$…`, `$argon2i$…` or `$argon2d$…`.
    Argon2(Box<str>),
    /// `SCRAM-SHA-256$…`.
    Scram(Box<Scram>),
    /// A value that verifies nothing, and why.
    Unusable(Unusable),
}

/// Reason why a value verifies nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unusable {
    Empty,
    Long,
    Hash,
    Cost,
    Scram,
}

/// SCRAM verifier (RFC 5803).
#[derive(Clone, PartialEq)]
pub(crate) struct Scram {
    rounds: u32,
    salt: Vec<u8>,
    stored_key: [u8; 32],
}

impl Unusable {
    /// Reason in words, for the log.
    pub(crate) fn text(self) -> String {
        match self {
            Unusable::Empty => "it is empty".to_owned(),
            Unusable::Long => format!("it has more than {VALUE_BYTES_MAX} bytes"),
            Unusable::Hash => "it is no hash in PHC form".to_owned(),
            Unusable::Cost => format!(
                "its argon2 cost is above {} MiB of memory or {} MiB times passes",
                ARGON2_KIB_MAX / 1024,
                ARGON2_WORK_KIB_MAX / 1024
            ),
            Unusable::Scram => format!(
                "it is no SCRAM-SHA-256 verifier with {} to {} rounds",
                SCRAM_ROUNDS.start(),
                SCRAM_ROUNDS.end()
            ),
        }
    }
}

impl Credential {
    /// Reads a value.
    pub(crate) fn read(value: &[u8], key: &HashKey) -> Credential {
        if value.is_empty() {
            return Credential::Unusable(Unusable::Empty);
        }
        if value.len() > VALUE_BYTES_MAX {
            return Credential::Unusable(Unusable::Long);
        }
        let text = std::str::from_utf8(value).unwrap_or_default();
        if text.starts_with("$argon2") {
            return argon2_hash(text).map_or_else(Credential::Unusable, |()| Credential::Argon2(text.into()));
        }
        match text.strip_prefix("SCRAM-SHA-256$") {
            Some(rest) => Scram::read(rest)
                .map_or(Credential::Unusable(Unusable::Scram), |scram| Credential::Scram(Box::new(scram))),
            None => Credential::Clear(mac(key, value)),
        }
    }

    /// Whether this is the password. Compares in constant time.
    pub(crate) fn verifies(&self, password: &[u8], key: &HashKey) -> bool {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        match self {
            Credential::Clear(stored) => mac(key, password).ct_eq(stored).into(),
            Credential::Argon2(text) => PasswordHash::new(text)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
            Credential::Scram(scram) => scram.verifies(password),
            Credential::Unusable(_) => false,
        }
    }

    /// Bytes of the heap.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Credential::Argon2(text) => text.len(),
            Credential::Scram(scram) => size_of::<Scram>() + scram.salt.len(),
            Credential::Clear(_) | Credential::Unusable(_) => 0,
        }
    }
}

fn argon2_hash(text: &str) -> Result<(), Unusable> {
    let hash = PasswordHash::new(text).map_err(|_| Unusable::Hash)?;
    let params = Params::try_from(&hash).map_err(|_| Unusable::Hash)?;
    if hash.hash.is_none() || hash.salt.is_none() {
        return Err(Unusable::Hash);
    }
    let work = params.m_cost().saturating_mul(params.t_cost());
    if params.m_cost() > ARGON2_KIB_MAX || work > ARGON2_WORK_KIB_MAX {
        return Err(Unusable::Cost);
    }
    Ok(())
}

impl Scram {
    /// Reads `ROUNDS:SALT$STORED_KEY:SERVER_KEY`.
    fn read(text: &str) -> Option<Scram> {
        let (head, keys) = text.split_once('$')?;
        let ((rounds, salt), (stored, _)) = (head.split_once(':')?, keys.split_once(':')?);
        let rounds = rounds.parse().ok().filter(|rounds| SCRAM_ROUNDS.contains(rounds))?;
        let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty())?;
        let stored_key = BASE64.decode(stored).ok()?.try_into().ok()?;
        Some(Scram { rounds, salt, stored_key })
    }

    fn verifies(&self, password: &[u8]) -> bool {
        let salted: [u8; 32] = pbkdf2_hmac_array::<Sha256, 32>(password, &self.salt, self.rounds);
        let stored_key = Sha256::digest(mac(&salted, b"Client Key"));
        stored_key[..].ct_eq(&self.stored_key).into()
    }
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let keyed = Hmac::<Sha256>::new_from_slice(key).expect("a key of HMAC has any length");
    keyed.chain_update(text).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey = [7; 32];

    /// Of the password `pencil`, made by other programs: argon2 (m=8 MiB, t=1) and RFC 7677 §3.
    const SCRAM: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn values_verify_their_password_and_no_other() {
        let params = Params::new(1024, 1, 1, None).unwrap();
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        use argon2::password_hash::PasswordHasher as _;
        let hash: PasswordHash = argon2.hash_password_with_salt(b"pencil", b"0123456789abcdef").unwrap();
        let hash = hash.to_string();
        assert!(hash.starts_with("$argon2id$v=19$m=1024,t=1,p=1$"), "{hash}");
        for value in ["pencil", hash.as_str(), SCRAM] {
            let credential = Credential::read(value.as_bytes(), &KEY);
            assert!(credential.verifies(b"pencil", &KEY), "{value}");
            for wrong in [&b"pencils"[..], b"penci", b"", value.as_bytes()] {
                assert!(wrong == b"pencil" || !credential.verifies(wrong, &KEY), "{value} {wrong:?}");
            }
        }
    }

    #[test]
    fn unusable_values_verify_nothing() {
        let salt = "MDEyMzQ1Njc4OWFiY2RlZg";
        let hash = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
        for (value, reason) in [
            (String::new(), Unusable::Empty),
            ("x".repeat(VALUE_BYTES_MAX + 1), Unusable::Long),
            ("$argon2id$nonsense".to_owned(), Unusable::Hash),
            (format!("$argon2id$v=19$m=65536,t=1,p=1${salt}${hash}"), Unusable::Cost),
            (format!("$argon2id$v=19$m=16384,t=9,p=1${salt}${hash}"), Unusable::Cost),
            ("SCRAM-SHA-256$1:c2FsdA==$a:b".to_owned(), Unusable::Scram),
            ("SCRAM-SHA-256$".to_owned(), Unusable::Scram),
        ] {
            let credential = Credential::read(value.as_bytes(), &KEY);
            assert!(credential == Credential::Unusable(reason), "{value}");
            assert!(!credential.verifies(value.as_bytes(), &KEY) && !credential.verifies(b"", &KEY));
        }
    }
}
