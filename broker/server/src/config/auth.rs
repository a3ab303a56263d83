//! Section `[auth]`: who may connect.

use super::key::section;

section! {
    /// Who may connect.
    Auth at "auth", |config| config.auth => {
        /// Whether clients without user name may connect. Until this is set explicitly, `true` holds for loopback only.
        anonymous: bool = true, json "AnonymousLogin", variable "LOTMQ_ANONYMOUS";
        /// Whether 5.0 clients may log in by `SCRAM-SHA-256` as Authentication Method, which never shows the password to the broker. What it verifies
        /// against is cheaper to guess passwords from than the hash that is stored anyway, so it is stored, encrypted, only while this is on: for a
        /// user whose password is set or used for a plain login then.
        scram_sha_256: bool = false;
    }
}

/// Where a connection without user name may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousLogin {
    /// Nowhere.
    Off,
    /// This machine.
    LoopbackOnly,
    /// Anywhere.
    Everywhere,
}
