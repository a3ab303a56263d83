//! The zstd stream of one connection: between the guest's plain bytes and TLS or the socket,
//! without waiting.
//!
//! Invariants: unsent bytes are those of one write, because the next is accepted when all of it is
//! sent. Compressed and decompressed input are one piece each. Input that decompresses to nothing
//! does not block a thread.

use crate::fiber::maybe_tls::MaybeTlsStream;
use lotmq_zstd::{Decoder, Encoder, OutOfMemory};
use std::{
    io,
    task::{Context, Poll, ready},
};

/// Bytes that are unpacked, or read to be unpacked, at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Reads from the socket before others have their turn.
const READS_MAX: usize = 16;

/// Both directions of a connection.
pub(super) struct ZstdStream {
    encoder: Encoder,
    /// Compressed bytes that the socket has not taken, from `sent`.
    packed: Vec<u8>,
    sent: usize,
    decoder: Decoder,
    /// Received bytes that are still compressed, from `taken`.
    received: Vec<u8>,
    taken: usize,
    /// Decompressed bytes that the guest has not read, from `read`.
    plain: Vec<u8>,
    read: usize,
    /// The last piece was a whole one: more may be in the decoder.
    is_full: bool,
    /// The other side has ended its direction.
    is_ended: bool,
}

/// How reading from below has gone.
enum Filled {
    /// Something can be read, or the end.
    Yes,
    /// As much has come as one turn takes, and nothing was in it.
    NotYet,
}

impl ZstdStream {
    /// Begins with bytes that came already.
    pub(super) fn new(received: Vec<u8>) -> Result<ZstdStream, OutOfMemory> {
        Ok(ZstdStream {
            encoder: Encoder::new()?,
            packed: Vec::new(),
            sent: 0,
            decoder: Decoder::new()?,
            received,
            taken: 0,
            plain: Vec::new(),
            read: 0,
            is_full: false,
            is_ended: false,
        })
    }

    /// Reads available bytes; `WouldBlock` when there are none.
    pub(super) fn read(&mut self, stream: &mut MaybeTlsStream, bytes: &mut [u8]) -> io::Result<usize> {
        self.try_send(stream)?;
        let Filled::Yes = self.fill(stream)? else { return Err(io::ErrorKind::WouldBlock.into()) };
        let waiting = self.plain.get(self.read..).unwrap_or_default();
        let count = waiting.len().min(bytes.len());
        bytes[..count].copy_from_slice(&waiting[..count]);
        self.read += count;
        Ok(count)
    }

    /// Takes all of it, so that the other side can read it when it has come; `WouldBlock` while the
    /// last write is on its way.
    pub(super) fn write(&mut self, stream: &mut MaybeTlsStream, bytes: &[u8]) -> io::Result<usize> {
        self.send(stream)?;
        self.packed.clear();
        self.sent = 0;
        self.encoder.encode([bytes], &mut self.packed).map_err(io::Error::other)?;
        self.try_send(stream)?;
        Ok(bytes.len())
    }

    /// Sends the written bytes; `WouldBlock` when some are left.
    pub(super) fn send(&mut self, stream: &mut MaybeTlsStream) -> io::Result<()> {
        while let Some(rest) = self.packed.get(self.sent..)
            && !rest.is_empty()
        {
            self.sent += stream.try_write(&[io::IoSlice::new(rest)])?;
        }
        Ok(())
    }

    /// Sends as much as the connection takes; the rest waits.
    fn try_send(&mut self, stream: &mut MaybeTlsStream) -> io::Result<()> {
        match self.send(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    pub(super) fn poll_readable(
        &mut self,
        stream: &mut MaybeTlsStream,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let _ = self.poll_sent(stream, context);
            match self.fill(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_readable(context));
                }
                Ok(Filled::NotYet) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                // The next read returns the error.
                Ok(Filled::Yes) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    pub(super) fn poll_writable(
        &mut self,
        stream: &mut MaybeTlsStream,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        ready!(self.poll_sent(stream, context));
        stream.poll_writable(context)
    }

    /// Waits until the written bytes are sent, or cannot be sent any more.
    fn poll_sent(&mut self, stream: &mut MaybeTlsStream, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.send(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_writable(context));
                }
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Sees to it that something can be read, unless the other side has ended its direction.
    fn fill(&mut self, stream: &mut MaybeTlsStream) -> io::Result<Filled> {
        for _ in 0..READS_MAX {
            if self.read < self.plain.len() || self.unpack()? || self.is_ended {
                return Ok(Filled::Yes);
            }
            self.received.resize(PIECE_BYTES, 0);
            let came = stream.try_read(&mut self.received);
            self.received.truncate(came.as_ref().copied().unwrap_or_default());
            self.taken = 0;
            self.is_ended = came? == 0;
        }
        Ok(Filled::NotYet)
    }

    /// Decompresses a piece of the input. Returns whether there was something in it.
    fn unpack(&mut self) -> io::Result<bool> {
        self.read = 0;
        self.plain.clear();
        while self.is_full || self.taken < self.received.len() {
            self.plain.resize(PIECE_BYTES, 0);
            let waiting = self.received.get(self.taken..).unwrap_or_default();
            let unpacked = self.decoder.decode(waiting, &mut self.plain).map_err(io::Error::other);
            let produced = unpacked.as_ref().map_or(0, |progress| progress.produced);
            self.plain.truncate(produced);
            self.taken += unpacked?.consumed;
            self.is_full = produced == PIECE_BYTES;
            if produced > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiber::{endpoint::Endpoint, tcp::Tcp};
    use std::future::poll_fn;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    /// A connection with the stream, behind bytes that came before, and its other end without.
    async fn pair(received: &[u8]) -> (Tcp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut tcp = Tcp::plain(near, Endpoint::default()).unwrap();
        tcp.start_zstd(received.to_vec()).unwrap();
        (tcp, listener.accept().await.unwrap().0)
    }

    fn packed(encoder: &mut Encoder, bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        encoder.encode([bytes], &mut packed).unwrap();
        packed
    }

    async fn read(tcp: &mut Tcp, bytes: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while all.len() < bytes {
            let mut piece = vec![0; 64 * 1024];
            match tcp.try_read(&mut piece) {
                Ok(0) => break,
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll_fn(|context| tcp.poll_readable(context)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    #[tokio::test]
    async fn both_directions_are_packed_and_what_came_before_belongs_to_them() {
        let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
        let first = packed(&mut encoder, b"first, ");
        let (before, behind) = first.split_at(3);
        let (mut near, mut far) = pair(before).await;
        far.write_all(behind).await.unwrap();
        far.write_all(&packed(&mut encoder, b"then")).await.unwrap();
        assert_eq!(read(&mut near, 11).await.unwrap(), b"first, then");
        assert_eq!(near.write(b"and back").unwrap(), 8);
        let mut came = [0; 100];
        let count = far.read(&mut came).await.unwrap();
        let mut plain = [0; 100];
        let progress = decoder.decode(&came[..count], &mut plain).unwrap();
        assert_eq!(&plain[..progress.produced], b"and back");
        drop(far);
        assert_eq!(read(&mut near, 1).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn much_is_read_in_pieces_and_written_as_fast_as_it_is_taken() {
        let noise: Vec<u8> =
            (0_u32..3_000_000).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (mut near, mut far) = pair(&[]).await;
        let bytes = packed(&mut Encoder::new().unwrap(), &[&noise[..], &vec![0; 4 << 20]].concat());
        let sent = tokio::spawn(async move {
            far.write_all(&bytes).await.unwrap();
            far
        });
        let came = read(&mut near, noise.len() + (4 << 20)).await.unwrap();
        assert!(came.starts_with(&noise) && came.len() == noise.len() + (4 << 20));
        let mut far = sent.await.unwrap();
        let expected = noise.len();
        let reader = tokio::spawn(async move {
            let (mut decoder, mut plain) = (Decoder::new().unwrap(), vec![0; 1 << 16]);
            let (mut total, mut piece) = (0, vec![0; 1 << 16]);
            while total < expected {
                let count = far.read(&mut piece).await.unwrap();
                let mut rest = &piece[..count];
                loop {
                    let progress = decoder.decode(rest, &mut plain).unwrap();
                    (rest, total) = (&rest[progress.consumed..], total + progress.produced);
                    if progress.produced < plain.len() {
                        break;
                    }
                }
            }
            total
        });
        let mut left = &noise[..];
        while !left.is_empty() {
            match near.write(&left[..left.len().min(64 * 1024)]) {
                Ok(count) => left = &left[count..],
                Err(_) => poll_fn(|context| near.poll_writable(context)).await,
            }
        }
        poll_fn(|context| near.poll_writable(context)).await;
        assert_eq!(reader.await.unwrap(), noise.len());
    }

    #[tokio::test]
    async fn other_bytes_and_empty_frames_are_no_way_to_hold_it_up() {
        let (mut near, mut far) = pair(&[]).await;
        // Frames with nothing in them.
        far.write_all(&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(10_000)).await.unwrap();
        far.write_all(&packed(&mut Encoder::new().unwrap(), b"then")).await.unwrap();
        assert_eq!(read(&mut near, 4).await.unwrap(), b"then");
        let (mut near, mut far) = pair(&[]).await;
        far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let refused = read(&mut near, 1).await.unwrap_err().to_string();
        assert!(refused.starts_with("the zstd stream is damaged"), "{refused}");
    }
}
