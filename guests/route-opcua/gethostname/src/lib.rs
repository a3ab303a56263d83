//! Replaces the crate `gethostname` in a guest, which has no host name; the published crate does
//! not compile for it.

use std::ffi::OsString;

/// Name of the machine.
pub fn gethostname() -> OsString {
    OsString::from("localhost")
}
