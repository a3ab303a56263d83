//! Clients that abuse the broker: its memory stays where it was, and others are served, soon.
//!
//! Each abuse goes on for `LOTMQ_ABUSE_SECONDS`, a few in an ordinary run; the memory at the end is
//! compared with that after a fifth of the time. `LOTMQ_ABUSE_SECONDS=300 cargo test --release
//! --package lotmq --test abuse -- --test-threads=1` compares minute five with minute one.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code: a failure is a panic with its place"
)]

mod absences;
mod copies;
mod flood;
mod floods;
mod handshakes;
mod large;
mod masses;
mod patterns;
mod retained;
mod rounds;
mod rules;
mod sessions;
mod sockets;
mod turns;
mod watch;

use std::time::Duration;

/// How long each abuse goes on.
fn duration() -> Duration {
    let seconds = std::env::var("LOTMQ_ABUSE_SECONDS").ok().map_or(5, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Whether this is a long run, in which everything has settled after a fifth.
fn is_long() -> bool {
    duration() >= Duration::from_secs(120)
}
