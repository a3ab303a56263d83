//! Relay between the stream of a QUIC connection and the socket of its shard.
//!
//! Invariants: nothing is held while nothing comes; what one side does not take, the other one is
//! not asked for; what the shard has said last reaches the client before the connection is closed,
//! if it comes for it within [`LAST_WORDS_TIME_MAX`]. The place of a connection ends with its
//! shard's side, so whoever is still to fetch its last words counts among [`QUIC_LAST_WORDS_MAX`];
//! beyond them none waits.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::super::limits::{QUIC_LAST_WORDS_MAX, RELAY_BYTES_MAX};
use super::super::listener::Listener;
use super::super::relayed::Relayed;
use super::overhead;

/// Time that a client may take to fetch the last bytes.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(2);

/// Connections whose shard's side has ended.
static LAST_WORDS: Semaphore = Semaphore::const_new(QUIC_LAST_WORDS_MAX);

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; RELAY_BYTES_MAX].into_boxed_slice());
}

/// ListenerRates that a connection has to keep, with whom they are told of.
pub(super) struct ListenerRates<'a> {
    pub(super) listener: &'a Listener,
    pub(super) peer: &'a SocketAddr,
}

/// Moves bytes until one side ends, then ends the other one.
pub(super) async fn relay(
    connection: Connection,
    (mut send, mut receive): (SendStream, RecvStream),
    mut socket: UnixStream,
    (relayed, rates): (&Relayed, ListenerRates<'_>),
) {
    let (mut from_shard, mut to_shard) = socket.split();
    let data = AtomicU64::new(0);
    let taken = async {
        if outbound(&mut from_shard, &mut send).await {
            let _ = send.finish();
            let _ = send.stopped().await;
        }
    };
    tokio::select! {
        // A message that was half moved when the other side ended has nobody who waits for it.
        () = inbound(&mut receive, &mut to_shard, &data) => {}
        () = taken => {}
        () = last_words(relayed) => {}
        limit = overhead::exceeded(&connection, &data, &rates.listener.terms.limits, relayed) => {
            rates.listener.terms.limit_reached(limit, rates.peer);
            relayed.end(limit.reason() as u8);
        }
    }
    connection.close(VarInt::from_u32(relayed.close_code().into()), b"");
}

/// Waits until the shard's side has ended, and the client has had its time to fetch what was said
/// last, taken or not.
async fn last_words(relayed: &Relayed) {
    relayed.until_shard_has_ended().await;
    if let Ok(_place) = LAST_WORDS.try_acquire() {
        sleep(LAST_WORDS_TIME_MAX).await;
    }
}

/// Relays from the client to the shard. Ends when the connection is lost; the end of the client's
/// stream is told to the shard, which closes then.
async fn inbound(receive: &mut RecvStream, to_shard: &mut WriteHalf<'_>, data: &AtomicU64) {
    loop {
        match receive.read_chunk(RELAY_BYTES_MAX, true).await {
            Ok(Some(chunk)) => {
                data.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
                if to_shard.write_all(&chunk.bytes).await.is_err() {
                    break;
                }
            }
            Ok(None) => {
                let _ = to_shard.shutdown().await;
                break;
            }
            // Dropping the socket tells the shard.
            Err(_) => return,
        }
    }
    std::future::pending().await
}

/// Relays from the shard to the client. True when the shard has closed its side, false when the
/// client takes nothing any more.
async fn outbound(from_shard: &mut ReadHalf<'_>, send: &mut SendStream) -> bool {
    loop {
        if from_shard.readable().await.is_err() {
            return true;
        }
        let read = BUFFER.with_borrow_mut(|buffer| {
            from_shard.try_read(buffer).map(|len| Bytes::copy_from_slice(&buffer[..len]))
        });
        match read {
            Ok(bytes) if bytes.is_empty() => return true,
            Ok(bytes) => {
                if send.write_chunk(bytes).await.is_err() {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return true,
        }
    }
}
