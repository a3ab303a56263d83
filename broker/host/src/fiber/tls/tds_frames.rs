//! Packets of TDS around the records of a TLS handshake, as SQL Server wants it from TDS 7.0 to 7.4
//! (\[MS-TDS\] §2.2.6.5 and §3.2.5.3).
//!
//! Invariant: of the socket no byte is read that lies behind a packet that was begun, so that what
//! comes without packets stays there.

use std::io::{self, Read, Write};

/// Bytes of a packet's header: its type, its status, its length with the header, the number of the
/// session, its own, and one that says nothing.
const HEADER_BYTES: usize = 8;

/// Type of a packet before the login.
const PRELOGIN: u8 = 0x12;

/// Type of an answer, in which some servers wrap theirs.
const ANSWER: u8 = 0x04;

/// Status of the last packet of a message.
const END_OF_MESSAGE: u8 = 0x01;

/// Bytes of a packet before the login has agreed on others.
const PACKET_BYTES_MAX: usize = 4096;

/// TDS packet framing: the outgoing bytes, and the read position in the incoming packet.
#[derive(Default)]
pub(super) struct TdsFrames {
    outgoing: Vec<u8>,
    header: [u8; HEADER_BYTES],
    header_read: usize,
    /// Bytes of the packet that have not come yet.
    left: usize,
}

impl TdsFrames {
    /// Puts records into packets.
    pub(super) fn wrap(&mut self, records: &[u8]) {
        let mut parts = records.chunks(PACKET_BYTES_MAX - HEADER_BYTES).peekable();
        let mut number = 0_u8;
        while let Some(part) = parts.next() {
            let length = u16::try_from(part.len() + HEADER_BYTES).expect("a packet has 4096 bytes at most");
            let status = if parts.peek().is_none() { END_OF_MESSAGE } else { 0 };
            self.outgoing.extend([PRELOGIN, status]);
            self.outgoing.extend(length.to_be_bytes());
            self.outgoing.extend([0, 0, number, 0]);
            self.outgoing.extend(part);
            number = number.wrapping_add(1);
        }
    }

    /// Sends the queued packets; `WouldBlock` when some are left.
    pub(super) fn send(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match socket.write(&self.outgoing)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => self.outgoing.drain(..sent),
            };
        }
        Ok(())
    }

    /// Returns a reader of the contents of incoming packets.
    pub(super) fn reader<'a, S: Read>(&'a mut self, socket: &'a mut S) -> impl Read + 'a {
        Unwrapped { frames: self, socket }
    }

    /// Ends the packets. The rest of an incomplete packet would be taken for TLS.
    pub(super) fn end(&self) -> io::Result<()> {
        if self.left == 0 && self.header_read == 0 {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake ends within a packet of TDS"))
    }
}

struct Unwrapped<'a, S> {
    frames: &'a mut TdsFrames,
    socket: &'a mut S,
}

impl<S: Read> Read for Unwrapped<'_, S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Unwrapped { frames, socket } = self;
        while frames.left == 0 {
            let missing = frames.header.get_mut(frames.header_read..).unwrap_or_default();
            match socket.read(missing)? {
                0 => return Ok(0),
                read => frames.header_read += read,
            }
            if frames.header_read == HEADER_BYTES {
                frames.header_read = 0;
                frames.left = payload_of(frames.header)?;
            }
        }
        let length = bytes.len().min(frames.left);
        let read = socket.read(bytes.get_mut(..length).unwrap_or_default())?;
        frames.left -= read;
        Ok(read)
    }
}

/// Bytes behind a header.
fn payload_of(header: [u8; HEADER_BYTES]) -> io::Result<usize> {
    let wrong = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let [kind, _, high, low, ..] = header;
    if kind != PRELOGIN && kind != ANSWER {
        return Err(wrong(format!(
            "the other side answers a handshake with a packet of TDS of type {kind:#04x}"
        )));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    length.checked_sub(HEADER_BYTES).ok_or_else(|| wrong(format!("a packet of TDS of {length} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let length = bytes.len().min(1);
            self.0.read(bytes.get_mut(..length).unwrap())
        }
    }

    #[test]
    fn records_go_in_packets_and_come_out_of_them() {
        let records: Vec<u8> = (0..10_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut frames = TdsFrames::default();
        frames.wrap(&records);
        let mut sent = Vec::new();
        frames.send(&mut sent).unwrap();
        assert_eq!(sent.get(..8), Some(&[0x12, 0, 0x10, 0, 0, 0, 0, 0][..]));
        assert_eq!(sent.get(8192..8200), Some(&[0x12, 1, 0x07, 0x28, 0, 0, 2, 0][..]));
        // An empty packet yields nothing, and bytes behind the last packet stay.
        let whole = [&[0x12, 1, 0, 8, 0, 0, 0, 0], &sent[..], b"\x17\x03\x03"].concat();
        let (mut socket, mut frames, mut came) = (Slow(&whole), TdsFrames::default(), Vec::<u8>::new());
        while came.len() < records.len() {
            let mut piece = [0; 4096];
            let read = frames.reader(&mut socket).read(&mut piece).unwrap();
            came.extend(piece.get(..read).unwrap());
        }
        assert_eq!(came, records);
        frames.end().unwrap();
        assert_eq!(socket.0, b"\x17\x03\x03");
    }

    #[test]
    fn unexpected_packet_in_the_tds_handshake_is_reported() {
        for (bytes, expected) in [
            (&b"\x0f\x01\0\x09\0\0\0\0\xfd"[..], "a packet of TDS of type 0x0f"),
            (b"\x12\x01\0\x07\0\0\0\0", "a packet of TDS of 7 bytes"),
            (b"HTTP/1.1 400 Bad Request", "a packet of TDS of type 0x48"),
        ] {
            let (mut frames, mut socket) = (TdsFrames::default(), bytes);
            let error = frames.reader(&mut socket).read(&mut [0; 9]).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let (mut frames, mut socket) = (TdsFrames::default(), &b"\x12\x01\0\x0b\0\0\0\0ab"[..]);
        assert_eq!(frames.reader(&mut socket).read(&mut [0; 9]).unwrap(), 2);
        assert!(frames.end().is_err());
    }
}
