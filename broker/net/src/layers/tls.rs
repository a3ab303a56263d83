//! TLS of one connection: rustls between the socket's bytes and ours, without waiting.
//!
//! Invariants: plain bytes are given to rustls only when what it encrypted before has left, so that
//! it keeps little; an alert leaves before the connection ends if the socket takes it. Not here:
//! certificates (`certificates`), who calls when (`layers`).

use std::io::{self, IoSlice, Read as _, Write};
use std::sync::Arc;

use rustls::{HandshakeKind, InvalidMessage, ServerConfig, ServerConnection};
use tracing::debug;

use super::super::certificates::{ClientChain, ListenerTls};
use lotmq_chain::report::{Side, describe};
use lotmq_core::counters::Counters;
use lotmq_core::reason::close::{CloseReason, TransportFailure};

/// Server side of TLS.
pub(crate) struct Tls {
    connection: ServerConnection,
    /// Generation of the listener's authorities when the handshake began.
    generation: u64,
    is_open: bool,
    /// Reason why it failed.
    failure: Option<rustls::Error>,
    /// Bytes of the handshake so far; how many of them are kept only the library knows.
    handshake_bytes: usize,
    /// Whether the peer has said that nothing more will come.
    is_ended: bool,
}

/// Result of [`Tls::decrypt`].
pub(crate) struct Decrypted {
    /// Bytes taken from the input.
    pub(crate) taken: usize,
    /// Plain bytes written.
    pub(crate) plain: usize,
}

impl Tls {
    /// Begins a handshake at a listener.
    ///
    /// # Errors
    /// When the library has no connection for it.
    pub(crate) fn new(listener: &ListenerTls) -> Result<Self, CloseReason> {
        // First, so that a certificate which was judged by former authorities is never taken for
        // one that later ones have signed.
        let generation = listener.authorities_generation();
        Self::with_config(listener.current(), generation)
    }

    fn with_config(config: Arc<ServerConfig>, generation: u64) -> Result<Self, CloseReason> {
        let mut connection = ServerConnection::new(config).map_err(|error| {
            debug!(%error, "tls not started");
            CloseReason::Transport(TransportFailure::Tls)
        })?;
        // The caller bounds what it gives; a limit here would make it keep parts.
        connection.set_buffer_limit(None);
        Ok(Self {
            connection,
            generation,
            is_open: false,
            failure: None,
            handshake_bytes: 0,
            is_ended: false,
        })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Bytes that are kept of a handshake under way.
    pub(crate) fn held_bytes(&self) -> usize {
        if self.is_handshaking() { self.handshake_bytes } else { 0 }
    }

    /// Whether the peer has said that nothing more will come; the next [`Tls::decrypt`] without
    /// plain bytes says so, too.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The certificate that the client has shown.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.connection.peer_certificates()?.first().map(|certificate| &**certificate)
    }

    /// Server name that the client asked for (RFC 6066).
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.connection.server_name()
    }

    /// The client's certificate and those of its issuers, with the generation of the authorities
    /// that have judged them.
    pub(crate) fn client_chain(&self) -> Option<ClientChain<'_>> {
        let certificates = self.connection.peer_certificates()?;
        Some(ClientChain { certificates, generation: self.generation })
    }

    /// Explanation of why the connection failed, for people.
    pub(crate) fn failure(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let is_foreign = matches!(failure, rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType));
        Some(match is_foreign {
            true => "this is not TLS, and the listener is encrypted".to_owned(),
            false => describe(failure, Side::Server),
        })
    }

    /// Whether encrypted bytes wait for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Decrypts until `input` is used up or `plain` is full.
    ///
    /// # Errors
    /// When the peer broke the protocol, has ended it, or offers nothing that we take. The alert
    /// for it waits to be written.
    pub(crate) fn decrypt(
        &mut self,
        mut input: &[u8],
        plain: &mut [u8],
        counters: &Counters,
    ) -> Result<Decrypted, CloseReason> {
        let all = input.len();
        let mut filled = self.read_plain(plain);
        while filled < plain.len() && !input.is_empty() {
            let taken = self.connection.read_tls(&mut input);
            if matches!(taken, Ok(0)) {
                // Behind close_notify nothing is taken, and must not be waited for (RFC 8446 §6.1).
                self.is_ended = true;
                input = &[];
                break;
            }
            self.handshake_bytes = self.handshake_bytes.saturating_add(*taken.as_ref().unwrap_or(&0));
            let processed = self.connection.process_new_packets();
            if taken.is_err() || processed.is_err() {
                self.failure = processed.err();
                return Err(CloseReason::Transport(TransportFailure::Tls));
            }
            self.note_opened(counters);
            filled += self.read_plain(&mut plain[filled..]);
        }
        if filled == 0 && self.is_ended {
            return Err(CloseReason::PeerClosed);
        }
        Ok(Decrypted { taken: all - input.len(), plain: filled })
    }

    fn note_opened(&mut self, counters: &Counters) {
        if self.is_open || self.connection.is_handshaking() {
            return;
        }
        self.is_open = true;
        counters.tls_handshakes.add(1);
        if self.connection.handshake_kind() == Some(HandshakeKind::Resumed) {
            counters.tls_handshakes_resumed.add(1);
        }
    }

    /// Takes decrypted bytes; 0 when there are none.
    fn read_plain(&mut self, plain: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < plain.len() {
            match self.connection.reader().read(&mut plain[filled..]) {
                Ok(0) => {
                    self.is_ended = true;
                    break;
                }
                Ok(len) => filled += len,
                Err(_nothing_there) => break,
            }
        }
        filled
    }

    /// Encrypts all of `plain`. Neighbours share records.
    pub(crate) fn encrypt(&mut self, plain: &[IoSlice<'_>]) -> io::Result<()> {
        let all: usize = plain.iter().map(|slice| slice.len()).sum();
        let written = self.connection.writer().write_vectored(plain)?;
        debug_assert_eq!(written, all, "without a limit everything is taken");
        Ok(())
    }

    /// Writes encrypted bytes to the socket until none are left or it takes no more.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(socket)?;
        }
        Ok(())
    }

    /// Sends the close alert.
    pub(crate) fn close(&mut self) {
        self.connection.send_close_notify();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    /// Both sides behind their handshake.
    fn pair() -> (Tls, ClientConnection) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tls = Tls::with_config(Arc::new(server), 0).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        while tls.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            tls.decrypt(&bytes, &mut [0; 100], &Counters::default()).unwrap();
            let mut answer = Vec::new();
            tls.flush(&mut answer).unwrap();
            let mut answer = answer.as_slice();
            while !answer.is_empty() {
                client.read_tls(&mut answer).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        (tls, client)
    }

    #[test]
    fn data_after_close_notify_is_discarded() {
        let (mut tls, mut client) = pair();
        client.writer().write_all(b"last words").unwrap();
        client.send_close_notify();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        // More than is read at once.
        bytes.resize(bytes.len() + 60_000, 0);
        let mut plain = [0; 100];
        let decrypted = tls.decrypt(&bytes, &mut plain, &Counters::default()).unwrap();
        assert_eq!((&plain[..decrypted.plain], decrypted.taken), (&b"last words"[..], bytes.len()));
        assert!(tls.is_ended());
        assert!(tls.decrypt(&bytes, &mut plain, &Counters::default()).is_err());
    }

    #[test]
    fn plain_bytes_wait_for_room() {
        let (mut tls, mut client) = pair();
        let sent: Vec<u8> = (0..=250).cycle().take(40_000).collect();
        client.set_buffer_limit(None);
        client.writer().write_all(&sent).unwrap();
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let (mut received, mut rest) = (Vec::new(), bytes.as_slice());
        while received.len() < sent.len() {
            let mut plain = [0; 1_000];
            let decrypted = tls.decrypt(rest, &mut plain, &Counters::default()).unwrap();
            assert!(decrypted.plain > 0, "more was there");
            received.extend_from_slice(&plain[..decrypted.plain]);
            rest = &rest[decrypted.taken..];
        }
        assert!(received == sent && rest.is_empty());
    }
}
