//! Download of a backup to the Client that asked for it: chunks on a topic of its own, to this Client alone, as fast as it takes them.
//!
//! Invariant: at most [`CHUNKS_ON_THE_WAY_MAX`] chunks are in memory, however slow the Client is. Not here: who may ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_codec::QoS;
use sha2::{Digest as _, Sha256};

use crate::limits::{BACKUP_CHUNK_BYTES_MAX, BACKUP_CHUNK_BYTES_MIN, BACKUP_PATIENCE};
use crate::process::this_turn;
use lotmq_core::tenant::client::Client;
use lotmq_core::turn::internal;

/// Most chunks that are sent and not acknowledged.
const CHUNKS_ON_THE_WAY_MAX: usize = 4;

/// Pause between two checks whether the Client takes more.
const PAUSE: Duration = Duration::from_millis(1);

/// Bytes of a packet besides its topic and its data: head, properties, and the JSON with the largest numbers.
const CHUNK_OVERHEAD_BYTES: usize = 256;

/// Reason why a backup did not reach its Client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("the client is gone, or is not subscribed any more")]
    Gone,
    #[error("the client has taken nothing for {} s", BACKUP_PATIENCE.as_secs())]
    Stuck,
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

/// Sends a backup of so many bytes, in chunks of `chunk_bytes`, which `read` brings one behind the other, until the broker
/// `is_stopping`.
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
    let mut all = Sha256::new();
    for seq in 1..=total {
        let left = bytes - (seq - 1) * chunk_bytes as u64;
        let chunk = read(usize::try_from(left).unwrap_or(chunk_bytes).min(chunk_bytes))?;
        all.update(&chunk);
        let payload = format!(
            r#"{{"seq":{seq},"total":{total},"sha256":"{}","data":"{}"}}"#,
            data_encoding::HEXLOWER.encode(&Sha256::digest(&chunk)),
            STANDARD.encode(&chunk)
        );
        send_one(is_stopping, client, topic, payload.as_bytes())?;
    }
    Ok(Sent { bytes, chunks: total, sha256: data_encoding::HEXLOWER.encode(&all.finalize()) })
}

/// Sends one chunk once the Client has taken others, until the broker `is_stopping`.
///
/// # Errors
/// When the Client takes no more.
pub(crate) fn send_one(
    is_stopping: &dyn Fn() -> bool,
    client: &Arc<Client>,
    topic: &str,
    payload: &[u8],
) -> Result<(), DownloadError> {
    await_room(is_stopping, client)?;
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

/// Waits until the Client has taken the chunks that it was sent.
fn await_room(is_stopping: &dyn Fn() -> bool, client: &Client) -> Result<(), DownloadError> {
    let start = Instant::now();
    loop {
        if client.takes_more(CHUNKS_ON_THE_WAY_MAX).ok_or(DownloadError::Gone)? {
            return Ok(());
        }
        if is_stopping() {
            return Err(DownloadError::Stopping);
        }
        if start.elapsed() > BACKUP_PATIENCE {
            return Err(DownloadError::Stuck);
        }
        std::thread::sleep(PAUSE);
    }
}
