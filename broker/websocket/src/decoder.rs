//! Frames on their way in: payload comes out as a stream, control frames as events.

use crate::deflate::Incoming;
use crate::encoder::mask;
use crate::frame::{Header, Opcode, PartialHeader, Role};
use crate::limits::CONTROL_BYTES_MAX;
use crate::violation::Violation;

/// Bytes that are unmasked at once for the decompressor.
const UNMASKED_BYTES: usize = 4096;

/// Action that a control frame asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pong with this payload is to be sent; of several in a row it is enough to answer the last.
    Ping(Vec<u8>),
    /// The peer wants to end the connection, with this code if it gave one; the same is to be
    /// answered. Nothing comes behind it.
    Close(Option<u16>),
}

/// How far a call came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Bytes of the output that were written.
    pub produced: usize,
    /// Action that a control frame asked for. The call ends with it.
    pub event: Option<Event>,
}

/// Decodes what one side of a connection receives.
///
/// Call [`Decoder::decode`] until the input is consumed and the output is not full: then nothing is
/// left inside.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    partial: PartialHeader,
    frame: Option<Frame>,
    /// Whether a message is under way, and if it is compressed.
    message: Option<bool>,
    /// Payload of the control frame under way.
    control: Vec<u8>,
    incoming: Option<Incoming>,
    is_closed: bool,
}

/// The frame whose payload comes.
#[derive(Clone, Copy, Debug)]
struct Frame {
    header: Header,
    done: u64,
}

impl Frame {
    fn left(&self) -> usize {
        usize::try_from(self.header.len - self.done).unwrap_or(usize::MAX)
    }

    /// Unmasks bytes that are next in the payload, and goes on by as many.
    fn unmask(&mut self, bytes: &mut [u8]) {
        mask(bytes, self.header.mask, usize::try_from(self.done % 4).unwrap_or_default());
        self.done += bytes.len() as u64;
    }
}

impl Decoder {
    /// A decoder behind the opening handshake; `deflate`: whether and how the peer may compress.
    #[must_use]
    pub fn new(role: Role, deflate: Option<&crate::DeflateParams>) -> Self {
        Self {
            role,
            partial: PartialHeader::default(),
            frame: None,
            message: None,
            control: Vec::new(),
            incoming: deflate.map(|params| Incoming::new(params, role)),
            is_closed: false,
        }
    }

    /// Takes from `input` and puts payload into `output` until the input is used up, the output
    /// full or a control frame complete.
    ///
    /// # Errors
    /// [`Violation`]; the connection is of no more use then.
    pub fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, Violation> {
        let mut progress = Progress::default();
        loop {
            let rest = input.get(progress.consumed..).unwrap_or_default();
            if self.is_closed {
                // RFC 6455 §1.4: what comes behind a close frame is discarded.
                progress.consumed = input.len();
                return Ok(progress);
            }
            let Some(frame) = self.frame else {
                let (taken, header) = self.partial.take(self.role, rest)?;
                progress.consumed += taken;
                match header {
                    Some(header) => self.begin(header)?,
                    None => return Ok(progress),
                }
                continue;
            };
            if frame.header.opcode.is_control() {
                progress.consumed += self.take_control(frame, rest);
                if self.frame.is_some_and(|frame| frame.left() > 0) {
                    return Ok(progress);
                }
                progress.event = self.end_control(frame.header.opcode)?;
                if progress.event.is_some() {
                    return Ok(progress);
                }
                continue;
            }
            let space = output.get_mut(progress.produced..).unwrap_or_default();
            let step = self.take_payload(frame, rest, space)?;
            progress.consumed += step.consumed;
            progress.produced += step.produced;
            if self.frame.is_some() && (step.consumed == rest.len() || progress.produced == output.len()) {
                return Ok(progress);
            }
        }
    }

    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        if !header.opcode.is_control() {
            let is_continuation = header.opcode == Opcode::Continuation;
            if is_continuation != self.message.is_some() || (header.is_compressed && self.incoming.is_none())
            {
                return Err(Violation::Protocol);
            }
            self.message.get_or_insert(header.is_compressed);
        }
        self.frame = Some(Frame { header, done: 0 });
        Ok(())
    }

    fn take_control(&mut self, mut frame: Frame, input: &[u8]) -> usize {
        let len = frame.left().min(input.len());
        let start = self.control.len();
        debug_assert!(start + len <= CONTROL_BYTES_MAX, "longer ones were refused at their header");
        self.control.extend_from_slice(input.get(..len).unwrap_or_default());
        frame.unmask(self.control.get_mut(start..).unwrap_or_default());
        self.frame = Some(frame);
        len
    }

    fn end_control(&mut self, opcode: Opcode) -> Result<Option<Event>, Violation> {
        self.frame = None;
        let payload = std::mem::take(&mut self.control);
        match opcode {
            Opcode::Ping => Ok(Some(Event::Ping(payload))),
            Opcode::Close => {
                self.is_closed = true;
                close_code(&payload).map(|code| Some(Event::Close(code)))
            }
            Opcode::Pong | Opcode::Binary | Opcode::Continuation => Ok(None),
        }
    }

    /// Passes payload on. The frame is over when it is gone from `self`.
    fn take_payload(
        &mut self,
        mut frame: Frame,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Progress, Violation> {
        let is_compressed = self.message == Some(true);
        let mut step = Progress::default();
        match self.incoming.as_mut().filter(|_| is_compressed) {
            None => {
                let len = frame.left().min(input.len()).min(output.len());
                let (Some(from), Some(to)) = (input.get(..len), output.get_mut(..len)) else {
                    return Ok(step);
                };
                to.copy_from_slice(from);
                frame.unmask(to);
                (step.consumed, step.produced) = (len, len);
                if frame.left() == 0 {
                    self.end_frame(frame);
                    return Ok(step);
                }
            }
            Some(incoming) => {
                let mut buffer = [0; UNMASKED_BYTES];
                let len = frame.left().min(input.len()).min(UNMASKED_BYTES);
                let (Some(from), Some(plain)) = (input.get(..len), buffer.get_mut(..len)) else {
                    return Ok(step);
                };
                plain.copy_from_slice(from);
                let mut ahead = frame;
                ahead.unmask(plain);
                let ends_message = frame.header.is_final && ahead.left() == 0;
                let (taken, written, is_done) = incoming.inflate(plain, output, ends_message)?;
                frame.done += taken as u64;
                (step.consumed, step.produced) = (taken, written);
                if frame.left() == 0 && is_done {
                    self.end_frame(frame);
                    return Ok(step);
                }
            }
        }
        self.frame = Some(frame);
        Ok(step)
    }

    fn end_frame(&mut self, frame: Frame) {
        self.frame = None;
        if frame.header.is_final {
            self.message = None;
        }
    }
}

/// Code of a close frame; `None` when it has none.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        [_] => return Err(Violation::Protocol),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::Protocol);
    }
    std::str::from_utf8(reason).map_err(|_| Violation::Payload)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put_header;

    const KEY: [u8; 4] = [9, 8, 7, 6];

    /// A frame of a client; `first` is its first byte.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(&mut out, Opcode::Binary, false, payload.len(), Some(KEY));
        out[0] = first;
        let start = out.len();
        out.extend_from_slice(payload);
        mask(&mut out[start..], KEY, 0);
        out
    }

    fn decode(bytes: &[u8]) -> Result<(Vec<u8>, Vec<Event>), Violation> {
        let mut decoder = Decoder::new(Role::Server, None);
        let (mut payload, mut events, mut rest) = (Vec::new(), Vec::new(), bytes);
        while !rest.is_empty() {
            let mut output = [0; 8];
            let progress = decoder.decode(rest, &mut output)?;
            payload.extend_from_slice(&output[..progress.produced]);
            events.extend(progress.event);
            rest = &rest[progress.consumed..];
        }
        Ok((payload, events))
    }

    #[test]
    fn payload_is_one_stream_whatever_the_frames() {
        let fragments =
            [frame(0x02, b"ab"), frame(0x89, b"?"), frame(0x00, b""), frame(0x80, b"cdefghijklmn")].concat();
        let expected = (b"abcdefghijklmn".to_vec(), vec![Event::Ping(b"?".to_vec())]);
        assert_eq!(decode(&fragments), Ok(expected));
        let several = [frame(0x82, b"one"), frame(0x8a, b"unasked"), frame(0x82, b"two")].concat();
        assert_eq!(decode(&several), Ok((b"onetwo".to_vec(), vec![])));
        for len in [125, 126, 65_535, 65_536] {
            let payload = vec![7; len];
            assert_eq!(decode(&frame(0x82, &payload)), Ok((payload, vec![])), "{len}");
        }
    }

    #[test]
    fn data_after_a_close_frame_is_discarded() {
        for (payload, code) in [(&b""[..], None), (b"\x03\xe8", Some(1000)), (b"\x0b\xb8why", Some(3000))] {
            let bytes = [frame(0x88, payload), frame(0x82, b"late"), vec![0xff; 9]].concat();
            assert_eq!(decode(&bytes), Ok((vec![], vec![Event::Close(code)])));
        }
    }

    #[test]
    fn violations_have_their_codes() {
        let unmasked = vec![0x82, 1, b'x'];
        let not_shortest_16 = [&[0x82, 0xfe, 0, 5][..], &KEY, b"hello"].concat();
        let not_shortest_64 = [&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 1, 0][..], &KEY].concat();
        let negative = [&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0][..], &KEY].concat();
        for (bytes, code) in [
            (frame(0x81, b"text"), 1003),                            // [MQTT-6.0.0-1]
            (unmasked, 1002),                                        // RFC 6455 §5.1
            (frame(0xc2, b"compressed"), 1002),                      // not agreed on
            (frame(0xa2, b"reserved"), 1002),                        // §5.2
            (frame(0x83, b"reserved"), 1002),                        // opcode 3
            (frame(0x8b, b"reserved"), 1002),                        // opcode 11
            (frame(0x80, b"continues nothing"), 1002),               // §5.4
            ([frame(0x02, b"a"), frame(0x82, b"b")].concat(), 1002), // a message in a message
            (frame(0x09, b"fragmented ping"), 1002),                 // §5.5
            (frame(0x89, &[0; 126]), 1002),                          // §5.5
            (frame(0x88, b"x"), 1002),                               // half a code
            (frame(0x88, &1005_u16.to_be_bytes()), 1002),            // §7.4.1
            (frame(0x88, &999_u16.to_be_bytes()), 1002),
            (frame(0x88, b"\x03\xe8\xff"), 1007), // a reason that is no text
            (not_shortest_16, 1002),
            (not_shortest_64, 1002),
            (negative, 1002),
        ] {
            assert_eq!(decode(&bytes).unwrap_err().code(), code, "{bytes:x?}");
        }
    }
}
