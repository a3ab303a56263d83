//! Logins of MongoDB.
//!
//! SHA-1 proves the MD5 of user and password, which MongoDB stored before. SHA-256 proves the
//! password after SASLprep.

use std::borrow::Cow;

use md5::{Digest as _, Md5};
use route_scram::Hash;

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

    pub(crate) fn hash(self) -> Hash {
        match self {
            Mechanism::Sha1 => Hash::SHA_1,
            Mechanism::Sha256 => Hash::SHA_256,
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
    /// Mechanism; `None` selects the best one that the server has for the user.
    pub(crate) mechanism: Option<Mechanism>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Login").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl Login {
    /// Returns the secret that is proved for the password.
    ///
    /// # Errors
    /// The password is invalid for this mechanism.
    pub(crate) fn prepared(&self, mechanism: Mechanism) -> Result<Cow<'_, str>, String> {
        match mechanism {
            Mechanism::Sha1 => {
                let digest = Md5::digest(format!("{}:mongo:{}", self.user, self.password));
                Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            Mechanism::Sha256 => stringprep::saslprep(&self.password)
                .map_err(|_| "the password has characters that SASLprep prohibits".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest is that of MongoDB's specification of logins.
    #[test]
    fn passwords_are_prepared_and_not_shown() {
        let (user, password) = ("user".to_owned(), "pencil".to_owned());
        let login = Login { user, password, source: "admin".to_owned(), mechanism: None };
        assert_eq!(login.prepared(Mechanism::Sha1).unwrap(), "1c33006ec1ffd90f9cadcbcc0e118200");
        assert_eq!(login.prepared(Mechanism::Sha256).unwrap(), "pencil");
        let soft = Login { password: "pen\u{ad}cil".to_owned(), ..login.clone() };
        assert_eq!(soft.prepared(Mechanism::Sha256).unwrap(), "pencil");
        let wrong = Login { password: "\u{7}".to_owned(), ..login.clone() };
        assert!(wrong.prepared(Mechanism::Sha256).unwrap_err().contains("SASLprep"));
        assert!(!format!("{login:?}").contains("pencil"));
    }
}
