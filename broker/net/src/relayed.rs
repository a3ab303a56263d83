//! State shared by a shard and the thread that relays a connection to it. Only connections of QUIC
//! are relayed.

use rustls::pki_types::CertificateDer;

use super::certificates::{ClientChain, ListenerTls};
use super::subject;
use lotmq_auth::ClientCertificate;
use lotmq_core::connection::peer::Certified;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::sync::Notify;

/// Certificates that a client has shown, with the listener's authorities.
#[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "nothing is relayed then"))]
pub(crate) struct JudgedChain {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) tls: Arc<ListenerTls>,
    /// Generation of the authorities that have judged them.
    pub(crate) generation: u64,
}

impl std::fmt::Debug for JudgedChain {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("JudgedChain").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// State of a relayed connection.
#[derive(Debug)]
#[cfg_attr(not(feature = "quic"), allow(dead_code, reason = "nothing is relayed then"))]
pub(crate) struct Relayed {
    close_code: AtomicU8,
    certified: Option<Certified>,
    certificate_ends_ms: Option<u64>,
    /// The client's certificate and those of its issuers.
    client_chain: Option<JudgedChain>,
    /// Bytes that came beside the data, of which the shard has not heard.
    overhead: AtomicU64,
    /// Told when the shard's side has ended.
    ended: Notify,
}

impl Relayed {
    /// State of a connection whose client has shown no certificate.
    #[cfg(feature = "quic")]
    pub(crate) fn new() -> Self {
        let (certified, certificate_ends_ms, client_chain) = (None, None, None);
        let (close_code, overhead, ended) = (AtomicU8::new(0), AtomicU64::new(0), Notify::new());
        Self { close_code, certified, certificate_ends_ms, client_chain, overhead, ended }
    }

    /// State of a connection whose client has shown a certificate that names `certified` and ends
    /// at this time, with its issuers.
    #[cfg(feature = "quic")]
    pub(crate) fn with_certificate(
        certified: Option<Certified>,
        ends_ms: u64,
        client_chain: JudgedChain,
    ) -> Self {
        let client_chain = Some(client_chain);
        Self { certified, certificate_ends_ms: Some(ends_ms), client_chain, ..Self::new() }
    }

    /// Whether the authorities that the listener trusts now have signed the client's certificate;
    /// true where none was shown.
    pub(crate) fn is_certificate_trusted(&self) -> bool {
        let Some(JudgedChain { certificates, tls, generation }) = &self.client_chain else { return true };
        tls.trusts(ClientChain { certificates, generation: *generation })
    }

    /// User named by the client's certificate, where that is asked for and one was shown.
    pub(crate) fn certified(&self) -> Option<&Certified> {
        self.certified.as_ref()
    }

    /// The client's certificate; `None` where none was shown.
    pub(crate) fn client_certificate(&self) -> Option<ClientCertificate> {
        let der = self.client_chain.as_ref()?.certificates.first()?;
        Some(subject::client_certificate(der, self.certificate_ends_ms?))
    }

    /// End of the client certificate's validity, in milliseconds since 1970; `None` where none was
    /// shown.
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

    /// Adds bytes that came beside the data of the stream.
    #[cfg(feature = "quic")]
    pub(crate) fn add_overhead(&self, bytes: u64) {
        self.overhead.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes the bytes that came beside the data since this was asked last.
    pub(crate) fn take_overhead(&self) -> u64 {
        match self.overhead.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.overhead.swap(0, Ordering::Relaxed),
        }
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
