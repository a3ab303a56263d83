//! Download of a backup or a module to the caller of the command: chunks on a topic of its own, to
//! this Client alone, or over the channel of a caller in this process, as fast as it takes them.
//!
//! Invariant: at most [`CHUNKS_ON_THE_WAY_MAX`] chunks are in memory, however slow the Client is.
//! Not here: who may ask.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lotmq_codec::QoS;
use lotmq_pulse::goes_on;
use sha2::{Digest as _, Sha256};

use crate::command_queue::job::AnswerPart;
use crate::limits::{BACKUP_CHUNK_BYTES_MAX, BACKUP_CHUNK_BYTES_MIN, BACKUP_PATIENCE, BACKUP_RATE_MIN};
use lotmq_core::tenant::client::Client;
use lotmq_core::turn::internal;
use lotmq_process::this_turn;

/// Most chunks that are sent and not acknowledged.
const CHUNKS_ON_THE_WAY_MAX: usize = 4;

/// Pause between two checks whether the Client takes more.
const PAUSE: Duration = Duration::from_millis(1);

/// Bytes of a packet besides its topic and its data: head, properties, and the JSON with the
/// largest numbers.
const CHUNK_OVERHEAD_BYTES: usize = 256;

/// DownloadReceiver of a download.
pub(crate) enum DownloadReceiver {
    /// Client that gave the command.
    Client(Arc<Client>),
    /// Caller without MQTT.
    Caller(SyncSender<AnswerPart>),
}

impl DownloadReceiver {
    /// Largest packet that the receiver takes, in bytes.
    pub(crate) fn packet_bytes_max(&self) -> usize {
        match self {
            Self::Client(client) => client.wire().packet_bytes_max as usize,
            Self::Caller(_) => usize::MAX,
        }
    }
}

/// Reason why a download did not reach its receiver.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("the client is gone, or is not subscribed any more")]
    Gone,
    #[error("the client has taken nothing for {} s", BACKUP_PATIENCE.as_secs())]
    Stuck,
    #[error("the client has taken less than {BACKUP_RATE_MIN} bytes a second")]
    Slow,
    #[error("the broker stops")]
    Stopping,
}

/// Summary of a download.
pub(crate) struct Sent {
    pub(crate) bytes: u64,
    pub(crate) chunks: u64,
    /// Digest of all bytes, in hexadecimal.
    pub(crate) sha256: String,
}

/// Bytes of the zip in a chunk for this receiver; `None` when its largest packet is too small.
pub(crate) fn chunk_bytes(receiver: &DownloadReceiver, topic: &str) -> Option<usize> {
    let room = receiver.packet_bytes_max().checked_sub(topic.len() + CHUNK_OVERHEAD_BYTES)?;
    let bytes = (room / 4 * 3).min(BACKUP_CHUNK_BYTES_MAX);
    (bytes >= BACKUP_CHUNK_BYTES_MIN).then_some(bytes)
}

/// Sends a backup of so many bytes, in chunks of `chunk_bytes`, which `read` brings one behind the
/// other, until the broker `is_stopping`.
///
/// # Errors
/// Those of `read`, and when the Client takes no more.
pub(crate) fn send<E: From<DownloadError>>(
    is_stopping: &dyn Fn() -> bool,
    receiver: &DownloadReceiver,
    topic: &str,
    (bytes, chunk_bytes): (u64, usize),
    mut read: impl FnMut(usize) -> Result<Vec<u8>, E>,
) -> Result<Sent, E> {
    let total = bytes.div_ceil(chunk_bytes as u64);
    let (mut all, mut download) = (Sha256::new(), Download::new(is_stopping, receiver));
    for seq in 1..=total {
        let left = bytes - (seq - 1) * chunk_bytes as u64;
        let chunk = read(usize::try_from(left).unwrap_or(chunk_bytes).min(chunk_bytes))?;
        all.update(&chunk);
        match receiver {
            DownloadReceiver::Caller(_) => download.send(topic, &chunk)?,
            DownloadReceiver::Client(_) => {
                let payload = format!(
                    r#"{{"seq":{seq},"total":{total},"sha256":"{}","data":"{}"}}"#,
                    data_encoding::HEXLOWER.encode(&Sha256::digest(&chunk)),
                    STANDARD.encode(&chunk)
                );
                download.send(topic, payload.as_bytes())?;
            }
        }
    }
    download.finish()?;
    Ok(Sent { bytes, chunks: total, sha256: data_encoding::HEXLOWER.encode(&all.finalize()) })
}

/// Messages of one download, each of which is sent once the receiver has taken others.
pub(crate) struct Download<'a> {
    is_stopping: &'a dyn Fn() -> bool,
    receiver: &'a DownloadReceiver,
    began: Instant,
    bytes: u64,
}

impl<'a> Download<'a> {
    /// Of a download that begins now, until the broker `is_stopping`.
    pub(crate) fn new(is_stopping: &'a dyn Fn() -> bool, receiver: &'a DownloadReceiver) -> Self {
        Self { is_stopping, receiver, began: Instant::now(), bytes: 0 }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the receiver takes no more, or too slowly.
    pub(crate) fn send(&mut self, topic: &str, payload: &[u8]) -> Result<(), DownloadError> {
        self.await_room()?;
        self.bytes += payload.len() as u64;
        let client = match self.receiver {
            DownloadReceiver::Client(client) => client,
            DownloadReceiver::Caller(_) => {
                return self.send_part(AnswerPart::Bytes(Bytes::copy_from_slice(payload)));
            }
        };
        let is_sent = this_turn::with(|turn| {
            turn.tick();
            let publication = internal::encoded(turn, topic, payload, QoS::ExactlyOnce, false, 0);
            let is_sent = publication
                .is_some_and(|publication| turn.publish_to_client(&client.tenant, &publication, client));
            turn.flush();
            is_sent
        });
        if is_sent { Ok(()) } else { Err(DownloadError::Gone) }
    }

    /// Sends one part of an answer to a caller in this process, whose channel holds one part. A
    /// Client gets no parts.
    ///
    /// # Errors
    /// When the caller takes no more, or too slowly.
    pub(crate) fn send_part(&self, part: AnswerPart) -> Result<(), DownloadError> {
        let DownloadReceiver::Caller(caller) = self.receiver else { return Ok(()) };
        let mut unsent = Some(part);
        self.wait_until(|| match unsent.take().map(|part| caller.try_send(part)) {
            None | Some(Ok(())) => Ok(true),
            Some(Err(TrySendError::Disconnected(_))) => Err(DownloadError::Gone),
            Some(Err(TrySendError::Full(part))) => {
                unsent = Some(part);
                Ok(false)
            }
        })
    }

    /// Waits until the Client has taken the last message, so that the reply behind it finds room.
    ///
    /// # Errors
    /// When the Client takes no more, or too slowly.
    pub(crate) fn finish(self) -> Result<(), DownloadError> {
        self.await_room()
    }

    /// Waits until the Client has taken what it was sent.
    fn await_room(&self) -> Result<(), DownloadError> {
        match self.receiver {
            DownloadReceiver::Caller(_) => Ok(()),
            DownloadReceiver::Client(client) => {
                self.wait_until(|| client.takes_more(CHUNKS_ON_THE_WAY_MAX).ok_or(DownloadError::Gone))
            }
        }
    }

    fn wait_until(
        &self,
        mut is_ready: impl FnMut() -> Result<bool, DownloadError>,
    ) -> Result<(), DownloadError> {
        let start = Instant::now();
        while !is_ready()? {
            if (self.is_stopping)() {
                return Err(DownloadError::Stopping);
            }
            if start.elapsed() > BACKUP_PATIENCE {
                return Err(DownloadError::Stuck);
            }
            // It waits for somebody, and does not stand still.
            goes_on(Instant::now());
            std::thread::sleep(PAUSE);
        }
        let passed = self.began.elapsed();
        let is_slow = passed > BACKUP_PATIENCE && self.bytes < passed.as_secs() * BACKUP_RATE_MIN;
        if is_slow { Err(DownloadError::Slow) } else { Ok(()) }
    }
}
