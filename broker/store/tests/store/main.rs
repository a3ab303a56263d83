//! Tests of the store through its public face, on real redb files.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod audit;
mod damage;
mod export;
mod faults;
mod fixture;
mod group_commit;
mod kill;
mod met;
mod modes;
mod open_errors;
mod power;
mod pulse;
mod restore;
mod round_trip;
mod rounds;
mod secrets;
mod snapshot;
mod stepped;
mod support;
