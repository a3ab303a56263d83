//! The sending end of a direction.

use std::fmt;

use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

use crate::OutOfMemory;
use crate::limits::{LEVEL, WINDOW_LOG};

/// Room that is made for compressed bytes at once.
const STEP_BYTES: usize = 4 << 10;

/// Compresses what one connection sends; at most
/// [`ENCODER_BYTES_MAX`](crate::limits::ENCODER_BYTES_MAX).
pub struct Encoder {
    context: CCtx<'static>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Encoder")
    }
}

impl Encoder {
    /// The beginning of a stream.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn new() -> Result<Self, OutOfMemory> {
        let mut context = CCtx::try_create().ok_or(OutOfMemory)?;
        for parameter in [CParameter::CompressionLevel(LEVEL), CParameter::WindowLog(WINDOW_LOG)] {
            context.set_parameter(parameter).map_err(|_| OutOfMemory)?;
        }
        Ok(Self { context })
    }

    /// Appends `parts` to `out` so that the receiver can read all of them when what was appended
    /// has come.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the stream is of no more use.
    pub fn encode<'a>(
        &mut self,
        parts: impl IntoIterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), OutOfMemory> {
        for part in parts {
            self.run(part, ZSTD_EndDirective::ZSTD_e_continue, out)?;
        }
        self.run(&[], ZSTD_EndDirective::ZSTD_e_flush, out)
    }

    fn run(
        &mut self,
        part: &[u8],
        directive: ZSTD_EndDirective,
        out: &mut Vec<u8>,
    ) -> Result<(), OutOfMemory> {
        let is_flush = directive == ZSTD_EndDirective::ZSTD_e_flush;
        let mut input = InBuffer::around(part);
        loop {
            if out.capacity() - out.len() < STEP_BYTES / 4 {
                out.reserve(STEP_BYTES);
            }
            let start = out.len();
            let mut output = OutBuffer::around_pos(out, start);
            let left = self.context.compress_stream2(&mut output, &mut input, directive);
            let left = left.map_err(|_| OutOfMemory)?;
            if if is_flush { left == 0 } else { input.pos() == part.len() } {
                return Ok(());
            }
        }
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.context.sizeof()
    }
}
