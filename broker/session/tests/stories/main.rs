//! Random stories of sessions: against a naive model, and against a Client over a link that breaks.

#![allow(clippy::unwrap_used, reason = "all of this is a test; the lint knows that of test functions only")]

mod link;
mod model;
