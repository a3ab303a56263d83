//! Black-box tests of the codec: packets by clause, round trips, two independent oracles, and the
//! fuzz corpus.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only functions marked #[test] as such")]

mod corpus;
mod fields;
mod fit;
mod hex;
mod legal;
mod oracle_v3;
mod oracle_v5;
mod refused;
mod round_trip;
mod strategies;
