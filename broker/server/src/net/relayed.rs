//! What a shard and the thread that relays a connection to it know of each other. Only connections of QUIC are relayed.

use lotmq_core::protocol::Certified;

use std::sync::atomic::{AtomicU8, Ordering};

/// See the module's documentation.
#[derive(Debug)]
#[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "nothing is relayed then"))]
pub(crate) struct Relayed {
    close_code: AtomicU8,
    certified: Option<Certified>,
    certificate_ends_ms: Option<u64>,
}

impl Relayed {
    /// A connection whose client is `certified` as somebody, by a certificate that ends then.
    #[cfg(feature = "quic")]
    pub(crate) fn new(certified: Option<Certified>, certificate_ends_ms: Option<u64>) -> Self {
        Self { close_code: AtomicU8::new(0), certified, certificate_ends_ms }
    }

    /// Who the client is by its certificate, where that is asked for and it has shown one.
    pub(crate) fn certified(&self) -> Option<&Certified> {
        self.certified.as_ref()
    }

    /// When the client's certificate ends, in milliseconds since 1970; `None` where it has shown none.
    pub(crate) fn certificate_ends_ms(&self) -> Option<u64> {
        self.certificate_ends_ms
    }

    /// Says with which code the connection ends. Call before its socket is shut down.
    pub(crate) fn end(&self, code: u8) {
        self.close_code.store(code, Ordering::Release);
    }

    /// The code that was said last; 0 at the beginning.
    #[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "nothing is relayed then"))]
    pub(crate) fn close_code(&self) -> u8 {
        self.close_code.load(Ordering::Acquire)
    }
}
