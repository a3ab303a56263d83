//! Bounds of this crate: name, unit, default and why this number.

/// Longest user or group name, in characters. Commands reference §7.1.
pub const NAME_CHARS_MAX: usize = 64;

/// Most accounts in one tenant. At about 500 bytes each that is some 50 MB; a directory beyond this
/// size belongs into an auth guest.
pub const ACCOUNTS_MAX: usize = 100_000;

/// Most bytes of all properties and groups of the accounts in one tenant, names and values: each
/// change of a user publishes all of them. A thousand users with ten properties have a tenth of it.
pub const ACCOUNT_DETAILS_BYTES_MAX: usize = 8 << 20;

/// Part of the accounts and of their details, numerator and denominator, that those who are no
/// administrators can fill.
pub const OF_OTHERS_PART: (usize, usize) = (3, 4);

/// Most groups of one account.
pub const GROUPS_PER_ACCOUNT_MAX: usize = 256;

/// Most free properties of one account, beside the four flags.
pub const PROPERTIES_PER_ACCOUNT_MAX: usize = 256;

/// Most bytes of the groups, properties and grants of one user of a member of the login chain. They
/// are stored with each of the user's sessions. A token of 16 KiB holds less.
pub const CLAIMS_BYTES_MAX: usize = 64 << 10;

/// Most grants of one principal. All of them may be asked for a topic, 20 ns each.
pub const GRANTS_PER_PRINCIPAL_MAX: usize = 256;

/// Longest Topic Filter of a grant, in bytes.
pub const GRANT_FILTER_BYTES_MAX: usize = 1024;

/// Longest name of a setting, in bytes.
pub const SETTING_NAME_BYTES_MAX: usize = 128;

/// Longest value of a setting, in bytes.
pub const SETTING_VALUE_BYTES_MAX: usize = 4096;

/// Most remembered verifications of one tenant; about 120 bytes each. Beyond it the ones longest
/// unused are forgotten, which costs their users one Argon2id at the next login.
pub const REMEMBERED_MAX: usize = 65_536;

/// Most pairs of address and user whose failed logins are known; 64 bytes each. Beyond it those
/// that failed longest ago are forgotten, and may try as often as at first.
pub const ATTEMPTS_MAX: usize = 65_536;

/// Logins that may fail as one user from one address before the next one has to wait: people
/// mistype, devices are set up by trial.
pub const ATTEMPTS_FREE: u32 = 5;

/// Default of the longest wait after failed logins, in milliseconds: 1,440 guesses a day.
pub const WAIT_MAX_MS: u64 = 60_000;

/// How long after a wait failed logins are forgotten, in milliseconds.
pub const FORGET_FAILURES_MS: u64 = 600_000;

/// How often a remembered password lets somebody in who comes from where others fail as the same
/// user, in milliseconds.
pub const GLANCE_PERIOD_MS: u64 = 1_000;

/// Most known login places of one user, 8 bytes each. Beyond it, the oldest places are unknown
/// again, for users who move often or share an account.
pub const PLACES_PER_USER_MAX: usize = 8;

/// Argon2id memory in KiB: OWASP's first recommendation (19 MiB, 2 passes, 1 lane), about 20 ms on
/// one core.
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;

/// Argon2id passes, with [`ARGON2_MEMORY_KIB`].
pub const ARGON2_PASSES: u32 = 2;

/// Most iterations of PBKDF2 in an imported hash, about 0.1 s on one core. mosquitto writes 101,
/// and its users raise that to some ten thousand.
pub const IMPORTED_ITERATIONS_MAX: u64 = 100_000;

/// Longest salt of an imported hash, in bytes. mosquitto writes 12.
pub const IMPORTED_SALT_BYTES_MAX: usize = 64;

/// Longest message of a client in SCRAM, in bytes: a name of 64 characters and a nonce have some
/// 400 at most, libraries send below 200.
pub const SCRAM_MESSAGE_BYTES_MAX: usize = 2048;

/// PBKDF2 rounds of SCRAM. RFC 7677 asks for at least 4096 and names 15,000 for 0.1 s of a machine
/// of its day; the client pays them at each login, and so does who guesses passwords from a stolen
/// verifier.
pub const SCRAM_ITERATIONS: std::num::NonZeroU32 = std::num::NonZeroU32::new(15_000).expect("it is not 0");

/// Most answers of rules that one tenant remembers; about 150 bytes each, 36 MB when all have the
/// longest keys. Beyond it the ones longest unused are forgotten, and cost a call when they are
/// needed again.
pub const VERDICTS_MAX: usize = 32_768;

/// Longest key of a remembered answer in bytes: names, properties and the topic that the rule looks
/// at. Longer ones are asked each time.
pub const VERDICT_KEY_BYTES_MAX: usize = 1024;

/// Most bans of operators in one tenant, about 100 bytes each.
pub const BANS_MAX: usize = 10_000;

/// Most addresses, and most clients, whose failed logins or connects one tenant counts; about 100
/// bytes each. Beyond it, those that are not banned are forgotten.
pub const COUNTED_MAX: usize = 20_000;

/// Period in milliseconds in which the connects of a client are counted.
pub const FLAPPING_PERIOD_MS: u64 = 60_000;

/// Time in milliseconds after an automatic ban until the next one is short again: a day.
pub const BAN_FORGET_MS: u64 = 86_400_000;

/// Characters of a Client Identifier that the list of bans shows.
pub const CLIENT_ID_CHARS_SHOWN: usize = 64;

/// Log lines in a second about failures of one member of the login chain, and as many about rights
/// that it may not give. They differ in the Client alone, so a few are enough.
pub(crate) const FAILED_LINES_PER_SECOND: u64 = 10;

/// Log lines in a second about logins that one member of the chain denied: as many as the broker
/// writes about all refused logins.
pub(crate) const DENIED_LINES_PER_SECOND: u64 = 100;
