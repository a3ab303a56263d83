//! Logins: PLAIN (RFC 4616) and SCRAM as values, without a connection.

use route_scram::Hash;

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

    /// The hash of SCRAM; `None` of PLAIN.
    pub(crate) fn hash(self) -> Option<Hash> {
        match self {
            Mechanism::Plain => None,
            Mechanism::ScramSha256 => Some(Hash::SHA_256),
            Mechanism::ScramSha512 => Some(Hash::SHA_512),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_do_not_show_their_passwords() {
        let (username, password) = ("u".to_owned(), "pencil".to_owned());
        let login = Login { mechanism: Mechanism::Plain, username, password };
        assert_eq!(login.plain(), b"\0u\0pencil");
        assert!(!format!("{login:?}").contains("pencil"));
    }
}
