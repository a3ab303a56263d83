//! Section `[auth]`: who may connect.

mod claim_path;
pub(crate) mod jwt;
mod key_address;
mod login_modules;
mod text_list;

use super::key::section;

pub use claim_path::{ClaimPath, ClaimPaths};
pub use jwt::Jwt;
pub use key_address::KeyAddress;
pub(crate) use login_modules::OWN_MODULES;
pub use login_modules::{BUILT_IN_MODULE, JWT_MODULE, LoginModules};
pub use text_list::TextList;

section! {
    /// Login rules: anonymous clients, authentication methods and passwords.
    Auth at "auth", |config| config.auth => {
        /// Whether clients without user name may connect. Until this is set explicitly, `true`
        /// holds for loopback only.
        anonymous: bool = true, json "AnonymousLogin", variable "LOTMQ_ANONYMOUS";
        /// Login modules that are asked about a login, in this order, until one decides. `builtin`
        /// is the user store of the broker: accounts, certificates and anonymous clients. A login
        /// that all modules pass on is refused. `root` of the tenant `default` always logs in by
        /// the user store. `jwt` is section `[auth.jwt]`. Every other name is that of a module of
        /// world `auth`, whose logins are refused while it is missing.
        modules: LoginModules = LoginModules::default();
        /// Whether 5.0 clients may log in by `SCRAM-SHA-256` as Authentication Method, which never
        /// shows the password to the broker. Its verifier is weaker against password guessing than
        /// the hash. The broker stores it encrypted, only while this is on, when a password is set
        /// or used in a plain login.
        scram_sha_256: bool = false;
        /// Whether the broker refuses a login that shows a password or a token on a connection
        /// without TLS. It refuses before it checks, with 0x87, before 5.0 with return code 5. This
        /// machine is exempt. A proxy that ends TLS is not: connect it by `mqtts`. While this is
        /// off, the broker warns of each listener that others reach without TLS, in its log and in
        /// `/health`.
        passwords_need_tls: bool = false;
        /// Shortest password that `-addUser` and `-changeUserPassword` take, in characters. It does
        /// not hold for the password that a new broker gives to `root`.
        password_chars_min: u32 = 8, range 1..=64;
        /// Memory in KiB that hashing a new password by Argon2id takes; each login with this
        /// password takes it again. Passwords that are stored keep the cost of their time. OWASP
        /// recommends at least 19,456 with 2 passes.
        password_hash_memory_kib: u32 = 19_456, range 8..=1_048_576;
        /// Passes of Argon2id over that memory.
        password_hash_passes: u32 = 2, range 1..=64;
        /// Days for which only `root` may reuse the name of a removed user. A new user of that name
        /// would get everything that rules and definitions grant to the name.
        removed_names_rest_days: u32 = 30, range 0..=3_650;
        /// Failed logins in a row from one address after which the broker bans that address. A
        /// successful login from there begins the count again. Networks of 64 bits of IPv6 count
        /// as one address. This machine is never banned. A value of 0 bans none.
        ban_failed_logins: u32 = 100, range 0..=1_000_000;
        /// Connects of one Client Identifier from one address within a minute after which the
        /// broker bans that client there. A value of 0 bans none.
        ban_connects_per_min: u32 = 120, range 0..=1_000_000;
        /// Length of the first automatic ban in seconds. Each further ban within a day takes twice
        /// as long.
        ban_sec: u32 = 60, range 1..=86_400;
        /// Longest automatic ban in seconds.
        ban_max_sec: u32 = 3_600, range 1..=2_592_000;
    }
}

/// Addresses from which clients may connect without a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousLogin {
    /// Nowhere.
    Off,
    /// This machine.
    LoopbackOnly,
    /// Anywhere.
    Everywhere,
}
