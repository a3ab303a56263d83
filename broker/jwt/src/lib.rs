//! Logins by JSON Web Tokens (RFC 7519): keys, signatures, and what claims mean for the broker.
//!
//! Path of a login: [`JwtMember`] takes the token from the password, `TokenPolicy::verify` checks
//! it with the keys of the `KeyStore`, and its claims become the principal. `jsonwebtoken` parses
//! and verifies, with `ring` as its cryptography.
//!
//! Invariants, with the tests that guard them:
//!
//! - The type of a key decides about the algorithm. A public key is never a secret of HMAC, and
//!   `none` is no algorithm. Test `algorithm_is_bound_to_the_type_of_the_key`.
//! - No error contains a token or a key. Test `refusals_show_nothing_of_the_token`.
//! - A source of keys that fails adds no key and opens nothing: former keys stay for a bounded
//!   time, then every token is refused. Test `keys_of_a_failed_source_end_after_the_outage_time`.
//! - A login never waits for the network. The thread of the `KeyStore` fetches keys.
//!
//! Not here: the order of the members of a chain and the names that belong to accounts
//! (`lotmq_auth`), the configuration (`lotmq_config`).

mod acl;
mod claims;
mod fetch;
mod fuzz;
mod key;
mod key_error;
mod key_set;
mod key_source;
mod key_store;
pub mod limits;
mod member;
mod policy;
mod read_file;
mod refusal;
mod ring_provider;
mod token;

#[doc(hidden)]
pub use fuzz::fuzz_token;
pub use key_error::KeyError;
pub use key_store::{KeyStoreError, check_key_files};
pub use member::JwtMember;
