//! Tests of the store through its public face, on real redb files.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod round_trip;
mod support;
