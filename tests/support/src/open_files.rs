//! How many files, sockets among them, a test and the brokers that it starts may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit of this process, which its children inherit, so that `count` files can be open.
///
/// # Panics
/// When the system's hard limit is lower.
pub fn allow_open_files(count: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        limit.current = Some(count);
        setrlimit(Resource::Nofile, limit).unwrap();
    }
}
