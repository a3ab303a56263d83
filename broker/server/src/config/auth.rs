//! Section `[auth]`: who may connect.

use super::key::section;

section! {
    /// Who may connect.
    Auth at "auth", |config| config.auth => {
        /// Whether clients without user name may connect. Until this is set explicitly, `true` holds for loopback only.
        anonymous: bool = true, json "AnonymousLogin", variable "LOTMQ_ANONYMOUS";
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
