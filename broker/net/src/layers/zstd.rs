//! zstd stream of one connection: between the layer below and MQTT, from the byte behind CONNECT
//! and CONNACK on.
//!
//! Invariants: its contexts are this connection's alone; one read gives no more than its target
//! holds, whatever it expands to. Not here: the format and what the sides offer each other
//! (`lotmq_zstd`, `docs/zstd-transport.md`), who calls when (`layers`).

use std::future::Future as _;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lotmq_zstd::{Decoder, Encoder, Offer, OutOfMemory, Progress};
use tokio::time::Sleep;
use tracing::{debug, warn};

use super::super::listener::{CompressedPlace, Listener};
use lotmq_core::limits::WRAPPED_CHUNK_BYTES;
use lotmq_core::reason::close::{CloseReason, TransportFailure};

/// zstd stream in both directions.
pub(crate) struct Zstd {
    encoder: Encoder,
    decoder: Decoder,
    /// Parameters that were granted.
    offer: Offer,
    /// Bytes that still leave uncompressed: CONNACK. All bytes until its length is known.
    plain: usize,
    /// Timer that runs while bytes are collected.
    collecting: Option<Pin<Box<Sleep>>>,
    /// Whether the stream cannot go on.
    is_broken: bool,
    _place: CompressedPlace,
}

impl Zstd {
    /// Stream that a Client of `listener` asks for; `None` where it cannot have one.
    pub(crate) fn granted(offer: Offer, listener: &Arc<Listener>) -> Option<Box<Self>> {
        let place = CompressedPlace::take(listener).filter(|_| !listener.is_websocket)?;
        let zstd = Self::new(offer, place).inspect_err(|error| warn!(%error, "zstd not granted")).ok()?;
        listener.net.core.counters.zstd_connections.add(1);
        Some(Box::new(zstd))
    }

    /// A stream in each direction; nothing is compressed before [`Zstd::begin`].
    ///
    /// # Errors
    /// [`OutOfMemory`].
    fn new(offer: Offer, place: CompressedPlace) -> Result<Self, OutOfMemory> {
        Ok(Self {
            encoder: Encoder::new()?,
            decoder: Decoder::new()?,
            offer,
            plain: usize::MAX,
            collecting: None,
            is_broken: false,
            _place: place,
        })
    }

    /// Returns the granted parameters.
    pub(crate) fn offer(&self) -> Offer {
        self.offer
    }

    /// Compresses everything behind the next `connack_len` bytes. True when output may be
    /// collected.
    pub(crate) fn begin(&mut self, connack_len: usize) -> bool {
        self.plain = connack_len;
        self.offer.flush_ms > 0
    }

    /// Decompresses until the input is used up or the target full.
    ///
    /// # Errors
    /// When the stream is damaged.
    pub(crate) fn decode(&mut self, input: &[u8], target: &mut [u8]) -> Result<Progress, CloseReason> {
        let failed = CloseReason::Transport(TransportFailure::Zstd);
        if self.is_broken {
            return Err(failed);
        }
        self.decoder.decode(input, target).map_err(|violation| {
            debug!(%violation, "zstd failed");
            failed
        })
    }

    /// Compresses `plain`, flushed, and gives it to `send`.
    pub(crate) fn encode<R>(
        &mut self,
        plain: &[IoSlice<'_>],
        send: impl FnOnce(&[IoSlice<'_>]) -> R,
    ) -> Option<R> {
        let mut out = Vec::new();
        let mut rest: Vec<&[u8]> = Vec::with_capacity(plain.len());
        for slice in plain {
            let (uncompressed, compressed) = slice.split_at(self.plain.min(slice.len()));
            out.extend_from_slice(uncompressed);
            self.plain -= uncompressed.len();
            if !compressed.is_empty() {
                rest.push(compressed);
            }
        }
        if !rest.is_empty() && self.encoder.encode(rest, &mut out).is_err() {
            self.is_broken = true;
            return None;
        }
        Some(send(&[IoSlice::new(&out)]))
    }

    /// Whether it is time for the `waiting` bytes to leave; otherwise the owner, who asks, is
    /// called when it is.
    pub(crate) fn is_due(&mut self, waiting: usize, cx: &mut Context<'_>) -> bool {
        let is_collected =
            self.offer.flush_ms > 0 && self.plain == 0 && (1..WRAPPED_CHUNK_BYTES).contains(&waiting);
        if is_collected {
            let time = Duration::from_millis(self.offer.flush_ms.into());
            let timer = self.collecting.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
            if timer.as_mut().poll(cx) == Poll::Pending {
                return false;
            }
        }
        self.collecting = None;
        true
    }
}
