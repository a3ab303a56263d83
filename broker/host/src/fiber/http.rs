//! HTTP exchanges of guests with servers.
//!
//! The host checks a request ([`request`]). A task sends it over a pooled or a new connection
//! ([`pool`], [`stream`]). The [`exchange`] reads the response as the guest wants it. `hyper`
//! parses the bytes of the server.
//!
//! Invariants: everything that an instance has open ends with it; each request asks whether its
//! address is allowed, also over an open connection. Not here: the functions of the guest
//! (`functions`).

mod error;
mod exchange;
mod pool;
mod request;
mod stream;
mod strict;

pub(super) use exchange::{GuestExchange, Reporter};
pub(super) use pool::{HttpJob, HttpPool};
pub(super) use request::{Prepared, checked_headers, prepared};
use std::sync::Arc;
pub(super) use stream::HttpStream;

/// HTTP state of an instance.
#[derive(Default)]
pub(super) struct InstanceHttp {
    pub(super) pool: Arc<HttpPool>,
    /// Exchanges that it has.
    pub(super) exchanges: u32,
}
