//! Stored password hashes. A password in clear is none, and verifies nothing.

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pbkdf2::pbkdf2_hmac;
use sha_crypt::ShaCrypt;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use crate::limits::{
    ARGON2_KIB_MAX, ARGON2_WORK_KIB_MAX, BCRYPT_COST, HASH_BYTES_MAX, PASSWORD_BYTES_MAX,
    PBKDF2_KEY_BYTES_MIN, PBKDF2_ROUNDS, SHA_CRYPT_ROUNDS,
};

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Hash that nobody's password has: for the time of a check before the first user was found.
const USUAL: &str = "$2b$10$LfO2VkJ7rRQkBqR0pVZ6nOa3W2kJGm3zS46jyaYJh4M3lDzj6YHv6";

/// Hash of a password.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Hash {
    /// `$2a$…`, `$2b$…` or `$2y$…`.
    Bcrypt(Box<str>),
    /// `$argon2id$…`, `$argon2i$…` or `$argon2d$…`.
    Argon2(Box<str>),
    /// `$6$…`.
    ShaCrypt(Box<str>),
    Pbkdf2(Box<Pbkdf2>),
}

/// Key of PBKDF2 (RFC 8018).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pbkdf2 {
    digest: Digest,
    rounds: u32,
    salt: Vec<u8>,
    key: Vec<u8>,
}

/// Hash function of PBKDF2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Digest {
    Sha256,
    Sha512,
}

/// Form of a hash whose salt is in a column of its own, as in EMQX: PBKDF2, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SaltedForm {
    pub(crate) digest: Digest,
    pub(crate) rounds: u32,
}

/// Reason why a stored text verifies nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unusable {
    Unknown,
    Long,
    Malformed(&'static str),
    Cost(&'static str),
    Salt,
}

impl Unusable {
    /// Reason in words, without the stored text.
    pub(crate) fn text(self) -> String {
        match self {
            Unusable::Unknown => "it is no hash of bcrypt, argon2, PBKDF2 or sha512-crypt ($6$)".to_owned(),
            Unusable::Long => format!("it has more than {HASH_BYTES_MAX} bytes"),
            Unusable::Malformed(kind) => format!("it is no whole hash of {kind}"),
            Unusable::Salt => {
                "it has a salt in a column of its own, for which pbkdf2_iterations is not set".to_owned()
            }
            Unusable::Cost("argon2") => format!(
                "its argon2 cost is above {} MiB of memory or {} MiB times passes",
                ARGON2_KIB_MAX / 1_024,
                ARGON2_WORK_KIB_MAX / 1_024
            ),
            Unusable::Cost("bcrypt") => {
                format!("its bcrypt cost is not {} to {}", BCRYPT_COST.start(), BCRYPT_COST.end())
            }
            Unusable::Cost("PBKDF2") => {
                format!("its PBKDF2 iterations are not {} to {}", PBKDF2_ROUNDS.start(), PBKDF2_ROUNDS.end())
            }
            Unusable::Cost(kind) => {
                format!(
                    "its {kind} rounds are not {} to {}",
                    SHA_CRYPT_ROUNDS.start(),
                    SHA_CRYPT_ROUNDS.end()
                )
            }
        }
    }
}

impl Hash {
    /// The hash whose time an unknown user costs at first.
    pub(crate) fn usual() -> Hash {
        Hash::Bcrypt(USUAL.into())
    }

    /// Reads a stored hash, with its salt if that is apart.
    ///
    /// # Errors
    /// The reason why it verifies nothing.
    pub(crate) fn read(text: &str, salt: Option<&str>, form: Option<SaltedForm>) -> Result<Hash, Unusable> {
        if text.len() > HASH_BYTES_MAX || salt.is_some_and(|salt| salt.len() > HASH_BYTES_MAX) {
            return Err(Unusable::Long);
        }
        if text.starts_with("$argon2") {
            return check_argon2(text).map(|()| Hash::Argon2(text.into()));
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|begin| text.starts_with(begin)) {
            return check_bcrypt(text).map(|()| Hash::Bcrypt(text.into()));
        }
        if text.starts_with("$6$") {
            return check_sha_crypt(text).map(|()| Hash::ShaCrypt(text.into()));
        }
        for (begin, digest) in [("$pbkdf2-sha256$", Digest::Sha256), ("$pbkdf2-sha512$", Digest::Sha512)] {
            if let Some(rest) = text.strip_prefix(begin) {
                return Pbkdf2::read_phc(rest, digest).map(|read| Hash::Pbkdf2(Box::new(read)));
            }
        }
        if let Some(rest) = text.strip_prefix("pbkdf2_sha256$") {
            return Pbkdf2::read_django(rest).map(|read| Hash::Pbkdf2(Box::new(read)));
        }
        match (salt.filter(|salt| !salt.is_empty()), form) {
            (Some(salt), Some(form)) => {
                Pbkdf2::read_salted(text, salt, form).map(|read| Hash::Pbkdf2(Box::new(read)))
            }
            (Some(_), None) => Err(Unusable::Salt),
            (None, _) => Err(Unusable::Unknown),
        }
    }

    /// Whether this is the password. Compares in constant time. A password with NUL is none: some
    /// hash functions end there.
    pub(crate) fn verifies(&self, password: &[u8]) -> bool {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX || password.contains(&0) {
            return false;
        }
        match self {
            Hash::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false),
            Hash::Argon2(text) => PasswordHash::new(text)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
            Hash::ShaCrypt(text) => ShaCrypt::default().verify_password(password, &**text).is_ok(),
            Hash::Pbkdf2(stored) => stored.verifies(password),
        }
    }
}

impl Digest {
    fn bytes(self) -> usize {
        match self {
            Digest::Sha256 => 32,
            Digest::Sha512 => 64,
        }
    }
}

impl Pbkdf2 {
    fn checked(digest: Digest, rounds: u32, salt: Vec<u8>, key: Vec<u8>) -> Result<Pbkdf2, Unusable> {
        if !PBKDF2_ROUNDS.contains(&rounds) {
            return Err(Unusable::Cost("PBKDF2"));
        }
        if salt.is_empty() || !(PBKDF2_KEY_BYTES_MIN..=digest.bytes()).contains(&key.len()) {
            return Err(Unusable::Malformed("PBKDF2"));
        }
        Ok(Pbkdf2 { digest, rounds, salt, key })
    }

    /// Reads `i=ROUNDS[,l=BYTES]$SALT$KEY`, and `ROUNDS$SALT$KEY` of passlib, which has `.` for
    /// `+`.
    fn read_phc(text: &str, digest: Digest) -> Result<Pbkdf2, Unusable> {
        let malformed = Unusable::Malformed("PBKDF2");
        let [parameters, salt, key] = *text.split('$').collect::<Vec<_>>() else { return Err(malformed) };
        let is_named = parameters.contains('=');
        let mut rounds = if is_named { None } else { parameters.parse().ok() };
        for parameter in parameters.split(',').filter(|_| is_named) {
            match parameter.split_once('=') {
                Some(("i", number)) => rounds = number.parse().ok(),
                // The length of the key, which follows.
                Some(("l", _)) => {}
                _ => return Err(malformed),
            }
        }
        let decoded = |text: &str| BASE64.decode(text.replace('.', "+")).map_err(|_| malformed);
        Pbkdf2::checked(digest, rounds.ok_or(malformed)?, decoded(salt)?, decoded(key)?)
    }

    /// Reads `ROUNDS$SALT$KEY`, whose salt is text.
    fn read_django(text: &str) -> Result<Pbkdf2, Unusable> {
        let malformed = Unusable::Malformed("PBKDF2");
        let [rounds, salt, key] = *text.split('$').collect::<Vec<_>>() else { return Err(malformed) };
        let (rounds, key) =
            (rounds.parse().map_err(|_| malformed)?, BASE64.decode(key).map_err(|_| malformed)?);
        Pbkdf2::checked(Digest::Sha256, rounds, salt.as_bytes().to_vec(), key)
    }

    fn read_salted(text: &str, salt: &str, form: SaltedForm) -> Result<Pbkdf2, Unusable> {
        let malformed = Unusable::Malformed("PBKDF2 in hexadecimal");
        let digits: Option<Vec<u8>> = text
            .bytes()
            .map(|digit| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or(malformed)?;
        let key = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        Pbkdf2::checked(form.digest, form.rounds, salt.as_bytes().to_vec(), key)
    }

    fn verifies(&self, password: &[u8]) -> bool {
        let mut derived = vec![0; self.key.len()];
        match self.digest {
            Digest::Sha256 => pbkdf2_hmac::<Sha256>(password, &self.salt, self.rounds, &mut derived),
            Digest::Sha512 => pbkdf2_hmac::<Sha512>(password, &self.salt, self.rounds, &mut derived),
        }
        derived.ct_eq(&self.key).into()
    }
}

fn check_argon2(text: &str) -> Result<(), Unusable> {
    let malformed = Unusable::Malformed("argon2");
    let hash = PasswordHash::new(text).map_err(|_| malformed)?;
    let params = Params::try_from(&hash).map_err(|_| malformed)?;
    if hash.hash.is_none() || hash.salt.is_none() {
        return Err(malformed);
    }
    let work = params.m_cost().saturating_mul(params.t_cost());
    if params.m_cost() > ARGON2_KIB_MAX || work > ARGON2_WORK_KIB_MAX {
        return Err(Unusable::Cost("argon2"));
    }
    Ok(())
}

fn check_bcrypt(text: &str) -> Result<(), Unusable> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| Unusable::Malformed("bcrypt"))?;
    if BCRYPT_COST.contains(&parts.get_cost()) { Ok(()) } else { Err(Unusable::Cost("bcrypt")) }
}

/// Checks `$6$[rounds=ROUNDS$]SALT$KEY`.
fn check_sha_crypt(text: &str) -> Result<(), Unusable> {
    let malformed = Unusable::Malformed("sha512-crypt");
    let fields: Vec<&str> = text.split('$').skip(2).collect();
    let (rounds, salt, key) = match *fields {
        [salt, key] => (5_000, salt, key),
        [rounds, salt, key] => {
            let rounds = rounds.strip_prefix("rounds=").and_then(|rounds| rounds.parse().ok());
            (rounds.ok_or(malformed)?, salt, key)
        }
        _ => return Err(malformed),
    };
    if !SHA_CRYPT_ROUNDS.contains(&rounds) {
        return Err(Unusable::Cost("sha512-crypt"));
    }
    // 64 bytes, 6 bits a character.
    if salt.is_empty() || salt.len() > 16 || key.len() != 86 { Err(malformed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the password `pencil`, made by libxcrypt, OpenSSL and Python's hashlib.
    const KNOWN: [&str; 8] = [
        "$2b$04$LfO2VkJ7rRQkBqR0pVZ6nOeILyDEzOWjnLACLSVfECkSUSvXEFmky",
        "$2a$06$LfO2VkJ7rRQkBqR0pVZ6nOH4w6tNOPm/W5jgksoZdNPxiOFYzj4Jy",
        "$2y$05$LfO2VkJ7rRQkBqR0pVZ6nOT4mD2Oy9ferN7fuA8.QDDmLAJLle8yC",
        "$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb0",
        "$6$rounds=1000$abcdefgh12345678$h34CgzOt.Kp5xenEmjo2WxSYQ/Yi9YtRQyza4bFdKR69XB/fmiPftBCbzd4djg72Rb428/LqwrOdt.2TN2OD31",
        "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$VRuDUcprPFMvV6rWrzYKLaodt+GxdaSoOzG2OSGwgNo",
        "$pbkdf2-sha512$1000$MDEyMzQ1Njc4OWFiY2RlZg$U6ezKvVc5bQpQwePCiDah4YKaK.tgitOpEos5J1jGU6vdgFzrQFE9PkV.CdL8w7yokz8Gypxo1t0xxxpnGl0Dg",
        "pbkdf2_sha256$1000$saltText$B8h0hw+MKfNOe/3KznyTvpZre42w2jQiIAihKMNvOjQ=",
    ];

    /// PBKDF2 with SHA-256, the salt `pepper` and 4,096 iterations, in hexadecimal.
    const SALTED: &str = "3aa4c6a4e30806b381075d48c01fecdfdf1b4f2f61a14da985e338c84c575aa0";

    fn salted(rounds: u32) -> Option<SaltedForm> {
        Some(SaltedForm { digest: Digest::Sha256, rounds })
    }

    #[test]
    fn hashes_of_other_programs_verify_their_password_and_no_other() {
        for text in KNOWN {
            let hash = Hash::read(text, None, None).unwrap();
            assert!(hash.verifies(b"pencil"), "{text}");
            for wrong in [&b"pencils"[..], b"penci", b"", b"pencil\0", text.as_bytes()] {
                assert!(!hash.verifies(wrong), "{text} {wrong:?}");
            }
        }
        let hash = Hash::read(SALTED, Some("pepper"), salted(4_096)).unwrap();
        assert!(hash.verifies(b"pencil") && !hash.verifies(b"pencils"));
        // Of the tests of the reference implementation of argon2.
        let text = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hash = Hash::read(text, None, None).unwrap();
        assert!(hash.verifies(b"password") && !hash.verifies(b"pencil"));
        assert!(!Hash::usual().verifies(b"pencil"));
    }

    #[test]
    fn text_that_is_no_usable_hash_verifies_nothing_and_says_why() {
        let sha = "x".repeat(86);
        for (text, salt, form, reason) in [
            ("pencil", None, None, Unusable::Unknown),
            ("", None, None, Unusable::Unknown),
            ("5f4dcc3b5aa765d61d8327deb882cf99", None, salted(1), Unusable::Unknown),
            ("5f4dcc3b5aa765d61d8327deb882cf99", Some("s"), None, Unusable::Salt),
            ("pencil", Some("s"), salted(1), Unusable::Malformed("PBKDF2 in hexadecimal")),
            ("ab", Some("s"), salted(1), Unusable::Malformed("PBKDF2")),
            ("$5$salt$x", None, None, Unusable::Unknown),
            ("$1$salt$x", None, None, Unusable::Unknown),
            ("$2b$10$short", None, None, Unusable::Malformed("bcrypt")),
            (&USUAL.replace("$10$", "$13$"), None, None, Unusable::Cost("bcrypt")),
            (&USUAL.replace("$10$", "$03$"), None, None, Unusable::Cost("bcrypt")),
            (&format!("$6$rounds=100001$salt${sha}"), None, None, Unusable::Cost("sha512-crypt")),
            (&format!("$6$rounds=999$salt${sha}"), None, None, Unusable::Cost("sha512-crypt")),
            ("$6$salt$short", None, None, Unusable::Malformed("sha512-crypt")),
            ("$argon2id$nonsense", None, None, Unusable::Malformed("argon2")),
            (
                "$argon2id$v=19$m=65536,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
                None,
                None,
                Unusable::Cost("argon2"),
            ),
            (
                "$pbkdf2-sha256$i=600001$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
                None,
                None,
                Unusable::Cost("PBKDF2"),
            ),
            ("$pbkdf2-sha256$i=0$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg", None, None, Unusable::Cost("PBKDF2")),
            ("$pbkdf2-sha256$1000$c2FsdA$c2hvcnQ", None, None, Unusable::Malformed("PBKDF2")),
            ("$pbkdf2-sha256$1000$$MDEyMzQ1Njc4OWFiY2RlZg", None, None, Unusable::Malformed("PBKDF2")),
            ("pbkdf2_sha256$x$salt$MDEyMzQ1Njc4OWFiY2RlZg", None, None, Unusable::Malformed("PBKDF2")),
        ] {
            let unusable = Hash::read(text, salt, form).unwrap_err();
            assert_eq!(unusable, reason, "{text}");
            assert!(!unusable.text().contains("pencil"));
        }
        assert_eq!(Hash::read(&"x".repeat(1_025), None, None), Err(Unusable::Long));
    }
}
