//! What a shard and the thread that relays a connection to it know of each other. Only connections of QUIC are relayed.

use std::sync::atomic::{AtomicU8, Ordering};

/// See the module's documentation.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "nothing is relayed then"))]
pub(crate) struct Relayed {
    close_code: AtomicU8,
}

impl Relayed {
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
