//! Stands for the crate `gethostname` in a guest, which runs on no machine of its own: the published one does not compile for it.

use std::ffi::OsString;

/// Name of the machine.
pub fn gethostname() -> OsString {
    OsString::from("localhost")
}
