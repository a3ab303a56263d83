//! The receiving end of a direction.

use std::fmt;

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use crate::OutOfMemory;
use crate::limits::WINDOW_LOG;

/// Error of the stream: it is not zstd, or asks for a larger window than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the zstd stream is damaged: {0}")]
pub struct Violation(&'static str);

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Bytes written to the output. If they fill it, more may follow without any input.
    pub produced: usize,
}

/// Decompresses what one connection receives; at most
/// [`DECODER_BYTES_MAX`](crate::limits::DECODER_BYTES_MAX), whatever comes.
pub struct Decoder {
    context: DCtx<'static>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Decoder")
    }
}

impl Decoder {
    /// The beginning of a stream.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn new() -> Result<Self, OutOfMemory> {
        let mut context = DCtx::try_create().ok_or(OutOfMemory)?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|_| OutOfMemory)?;
        Ok(Self { context })
    }

    /// Decompresses until the input is used up or the output full.
    ///
    /// # Errors
    /// [`Violation`]; the stream is of no more use. Output of earlier calls is lost.
    pub fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, Violation> {
        let room = output.len();
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(output);
        loop {
            let before = (input.pos(), output.pos());
            if output.pos() < room {
                let done = self.context.decompress_stream(&mut output, &mut input);
                done.map_err(|code| Violation(get_error_name(code)))?;
            }
            if (input.pos(), output.pos()) == before {
                return Ok(Progress { consumed: input.pos(), produced: output.pos() });
            }
        }
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.context.sizeof()
    }
}

#[cfg(test)]
mod tests {
    use zstd_safe::zstd_sys::ZSTD_EndDirective;
    use zstd_safe::{CCtx, CParameter};

    use super::*;
    use crate::Encoder;
    use crate::limits::{DECODER_BYTES_MAX, ENCODER_BYTES_MAX};

    /// Decodes all of it through an output of `room` bytes.
    fn decode_all(decoder: &mut Decoder, mut input: &[u8], room: usize) -> Result<Vec<u8>, Violation> {
        let (mut all, mut output) = (Vec::new(), vec![0; room]);
        loop {
            let progress = decoder.decode(input, &mut output)?;
            all.extend_from_slice(&output[..progress.produced]);
            input = &input[progress.consumed..];
            if progress.produced < room {
                assert!(input.is_empty(), "with room left everything is taken");
                return Ok(all);
            }
        }
    }

    #[test]
    fn flushed_messages_are_readable_immediately_and_repeats_compress_well() {
        let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
        let mut last = 0;
        for round in 0..300 {
            let message =
                format!("plant/line-{}/press/temperature {{\"value\":{}.5}}", round % 7, round % 50);
            let (head, tail) = message.as_bytes().split_at(10);
            let mut wire = Vec::new();
            encoder.encode([head, tail], &mut wire).unwrap();
            assert_eq!(decode_all(&mut decoder, &wire, 1 << 16).unwrap(), message.as_bytes());
            last = wire.len();
        }
        assert!(last < 20, "{last} bytes for the last one");
    }

    #[test]
    fn a_bomb_is_given_out_in_the_pieces_that_are_asked_for() {
        let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
        let zeros = vec![0; 1 << 20];
        let mut wire = Vec::new();
        encoder.encode([&zeros[..]; 64], &mut wire).unwrap();
        assert!(wire.len() < 1 << 14, "{} bytes make 64 MiB", wire.len());
        let (mut output, mut input, mut total) = (vec![1; 1 << 16], &wire[..], 0);
        while total < 64 << 20 {
            let progress = decoder.decode(input, &mut output).unwrap();
            assert!(progress.produced > 0 && output[..progress.produced].iter().all(|byte| *byte == 0));
            input = &input[progress.consumed..];
            total += progress.produced;
        }
        assert!(decoder.memory() <= DECODER_BYTES_MAX, "{} bytes", decoder.memory());
        assert!(encoder.memory() <= ENCODER_BYTES_MAX, "{} bytes", encoder.memory());
    }

    #[test]
    fn windows_are_bounded_and_frames_may_follow_each_other() {
        let frame = |window_log: u32| {
            let mut context = CCtx::create();
            context.set_parameter(CParameter::WindowLog(window_log)).unwrap();
            let mut out = Vec::with_capacity(1 << 10);
            let mut target = OutBuffer::around(&mut out);
            // At the first call the end is not known, or the window would be as small as what
            // comes.
            for (bytes, directive) in
                [(&b"content"[..], ZSTD_EndDirective::ZSTD_e_flush), (b"", ZSTD_EndDirective::ZSTD_e_end)]
            {
                let mut source = InBuffer::around(bytes);
                assert_eq!(context.compress_stream2(&mut target, &mut source, directive), Ok(0));
            }
            out
        };
        for (window_log, is_allowed) in [(10, true), (WINDOW_LOG, true), (WINDOW_LOG + 1, false), (27, false)]
        {
            let mut decoder = Decoder::new().unwrap();
            let wire = [frame(10), frame(window_log)].concat();
            // Byte by byte, so that no whole frame is at hand.
            let decoded: Result<Vec<Vec<u8>>, Violation> =
                wire.chunks(1).map(|byte| decode_all(&mut decoder, byte, 100)).collect();
            assert_eq!(
                decoded.map(|parts| parts.concat()).ok(),
                is_allowed.then(|| b"contentcontent".to_vec())
            );
            assert!(decoder.memory() <= DECODER_BYTES_MAX);
        }
    }

    #[test]
    fn other_bytes_are_a_violation() {
        for bytes in [&b"\x30\x05\x00\x01thello"[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 40]] {
            assert!(Decoder::new().unwrap().decode(bytes, &mut [0; 100]).is_err());
        }
    }
}
