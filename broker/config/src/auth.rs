//! Section `[auth]`: who may connect.

use super::key::section;

section! {
    /// Who may connect.
    Auth at "auth", |config| config.auth => {
        /// Whether clients without user name may connect. Until this is set explicitly, `true`
        /// holds for loopback only.
        anonymous: bool = true, json "AnonymousLogin", variable "LOTMQ_ANONYMOUS";
        /// Whether 5.0 clients may log in by `SCRAM-SHA-256` as Authentication Method, which never
        /// shows the password to the broker. What it verifies against is cheaper to guess passwords
        /// from than the hash that is stored anyway, so it is stored, encrypted, only while this is
        /// on: for a user whose password is set or used for a plain login then.
        scram_sha_256: bool = false;
        /// Shortest password that `-addUser` and `-changeUserPassword` take, in characters. The one
        /// that a new broker gives to `root` is not asked.
        password_chars_min: u32 = 8, range 1..=64;
        /// Days for which the name of a removed user is given to nobody else, but by `root`. What
        /// rules and definitions give to a name they would give to the next one who has it.
        removed_names_rest_days: u32 = 30, range 0..=3_650;
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
