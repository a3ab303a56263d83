//! Logins of a case: requests of clients to a guest of world `auth`, their outcome, and the
//! expected answers and actions of the guest.
//!
//! Names are those of the contract, in the spelling of the file. A key that a step leaves out has
//! the value that a plain client's CONNECT would have.

mod certificate;
mod deed;
mod expected;
mod step;

pub(crate) use deed::SeenDeed;
pub(crate) use expected::ExpectedDeed;
pub(crate) use step::ClientLoginStep;

/// Keys that determine the kind of a step about logins.
pub(crate) const STEP_KINDS: [&str; 5] = ["login", "step", "forget", "subscribed", "disconnected"];

/// Keys that determine the expected action of the guest.
pub(crate) const DEED_KINDS: [&str; 3] = ["answer", "revoke", "update"];
