//! Download of a backup to the Client that asked for it: chunks on a topic of its own, to this
//! Client alone, as fast as it takes them.
//!
//! Invariant: at most [`CHUNKS_ON_THE_WAY_MAX`] chunks are in memory, however slow the Client is.
//! Not here: who may ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_codec::QoS;
use lotmq_pulse::goes_on;
use sha2::{Digest as _, Sha256};

use crate::management::limits::{
    BACKUP_CHUNK_BYTES_MAX, BACKUP_CHUNK_BYTES_MIN, BACKUP_PATIENCE, BACKUP_RATE_MIN,
};
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

/// Reason why a backup did not reach its Client.
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

/// Bytes of the zip in a chunk for this Client; `None` when its largest packet is too small.
pub(crate) fn chunk_bytes(client: &Client, topic: &str) -> Option<usize> {
    let room = (client.wire().packet_bytes_max as usize).checked_sub(topic.len() + CHUNK_OVERHEAD_BYTES)?;
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
    client: &Arc<Client>,
    topic: &str,
    (bytes, chunk_bytes): (u64, usize),
    mut read: impl FnMut(usize) -> Result<Vec<u8>, E>,
) -> Result<Sent, E> {
    let total = bytes.div_ceil(chunk_bytes as u64);
    let (mut all, mut download) = (Sha256::new(), Download::new(is_stopping, client));
    for seq in 1..=total {
        let left = bytes - (seq - 1) * chunk_bytes as u64;
        let chunk = read(usize::try_from(left).unwrap_or(chunk_bytes).min(chunk_bytes))?;
        all.update(&chunk);
        let payload = format!(
            r#"{{"seq":{seq},"total":{total},"sha256":"{}","data":"{}"}}"#,
            data_encoding::HEXLOWER.encode(&Sha256::digest(&chunk)),
            STANDARD.encode(&chunk)
        );
        download.send(topic, payload.as_bytes())?;
    }
    download.finish()?;
    Ok(Sent { bytes, chunks: total, sha256: data_encoding::HEXLOWER.encode(&all.finalize()) })
}

/// Messages of one download, each of which is sent once the Client has taken others.
pub(crate) struct Download<'a> {
    is_stopping: &'a dyn Fn() -> bool,
    client: &'a Arc<Client>,
    began: Instant,
    bytes: u64,
}

impl<'a> Download<'a> {
    /// Of a download that begins now, until the broker `is_stopping`.
    pub(crate) fn new(is_stopping: &'a dyn Fn() -> bool, client: &'a Arc<Client>) -> Self {
        Self { is_stopping, client, began: Instant::now(), bytes: 0 }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the Client takes no more, or too slowly.
    pub(crate) fn send(&mut self, topic: &str, payload: &[u8]) -> Result<(), DownloadError> {
        self.await_room()?;
        let client = self.client;
        let is_sent = this_turn::with(|turn| {
            turn.tick();
            let publication = internal::encoded(turn, topic, payload, QoS::ExactlyOnce, false, 0);
            let is_sent = publication
                .is_some_and(|publication| turn.publish_to_client(&client.tenant, &publication, client));
            turn.flush();
            is_sent
        });
        self.bytes += payload.len() as u64;
        if is_sent { Ok(()) } else { Err(DownloadError::Gone) }
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
        let start = Instant::now();
        while !self.client.takes_more(CHUNKS_ON_THE_WAY_MAX).ok_or(DownloadError::Gone)? {
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
