//! State shared by a shard and the thread that relays a connection to it. Only connections of QUIC are relayed.

use rustls::pki_types::CertificateDer;

use super::certificates::ClientChain;
use lotmq_core::connection::peer::Certified;

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// State of a relayed connection.
#[derive(Debug)]
#[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "nothing is relayed then"))]
pub(crate) struct Relayed {
    close_code: AtomicU8,
    certified: Option<Certified>,
    certificate_ends_ms: Option<u64>,
    /// The client's certificate and those of its issuers, with the generation of the authorities that have judged them.
    client_chain: Option<(Vec<CertificateDer<'static>>, u64)>,
    /// Told when the shard's side has ended.
    ended: Notify,
}

impl Relayed {
    /// State of a connection whose client has shown no certificate.
    #[cfg(feature = "quic")]
    pub(crate) fn new() -> Self {
        let (certified, certificate_ends_ms, client_chain) = (None, None, None);
        let (close_code, ended) = (AtomicU8::new(0), Notify::new());
        Self { close_code, certified, certificate_ends_ms, client_chain, ended }
    }

    /// State of a connection whose client has shown a certificate that names `certified` and ends at this time, with its issuers.
    #[cfg(feature = "quic")]
    pub(crate) fn with_certificate(
        certified: Option<Certified>,
        ends_ms: u64,
        client_chain: (Vec<CertificateDer<'static>>, u64),
    ) -> Self {
        let client_chain = Some(client_chain);
        Self { certified, certificate_ends_ms: Some(ends_ms), client_chain, ..Self::new() }
    }

    /// The client's certificate and those of its issuers; `None` where none was shown.
    pub(crate) fn client_chain(&self) -> Option<ClientChain<'_>> {
        let (certificates, generation) = self.client_chain.as_ref()?;
        Some(ClientChain { certificates, generation: *generation })
    }

    /// User named by the client's certificate, where that is asked for and one was shown.
    pub(crate) fn certified(&self) -> Option<&Certified> {
        self.certified.as_ref()
    }

    /// End of the client certificate's validity, in milliseconds since 1970; `None` where none was shown.
    pub(crate) fn certificate_ends_ms(&self) -> Option<u64> {
        self.certificate_ends_ms
    }

    /// Sets the code with which the connection ends. Call before its socket is shut down.
    pub(crate) fn end(&self, code: u8) {
        self.close_code.store(code, Ordering::Release);
    }

    /// Code that was set last; 0 at the beginning.
    #[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "nothing is relayed then"))]
    pub(crate) fn close_code(&self) -> u8 {
        self.close_code.load(Ordering::Acquire)
    }

    /// Tells that the shard's side has ended; what was read of it may not have reached the client.
    pub(crate) fn shard_has_ended(&self) {
        self.ended.notify_one();
    }

    /// Waits until the shard's side has ended. For one task.
    #[cfg(feature = "quic")]
    pub(crate) async fn until_shard_has_ended(&self) {
        self.ended.notified().await;
    }
}
