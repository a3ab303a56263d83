//! Components that are kept packed, by zstd, inside the binary or beside it.

use crate::LoadError;
use crate::limits::COMPONENT_BYTES_MAX;

/// Unpacks a component, of at most [`COMPONENT_BYTES_MAX`] bytes.
///
/// # Errors
/// When it is not packed, or is longer.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, LoadError> {
    let said = zstd_safe::get_frame_content_size(packed).ok().flatten();
    let bytes = said.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(COMPONENT_BYTES_MAX);
    let mut component = Vec::with_capacity(bytes.min(COMPONENT_BYTES_MAX));
    match zstd_safe::decompress(&mut component, packed) {
        Ok(_) => Ok(component),
        Err(code) => Err(LoadError::compile_failed(zstd_safe::get_error_name(code))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_accepts_packed_components_and_rejects_invalid_or_oversized_data() {
        let pack = |bytes: &[u8]| {
            let mut packed = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
            zstd_safe::compress(&mut packed, bytes, 1).unwrap();
            packed
        };
        for bytes in [&b""[..], b"component", &[7; 100_000]] {
            assert_eq!(unpack(&pack(bytes)).unwrap(), bytes);
        }
        let truncated = pack(&[7; 100_000]);
        for wrong in [&b""[..], b"component", &truncated[..truncated.len() - 1]] {
            assert_eq!(unpack(wrong).unwrap_or_default(), b"", "{wrong:?}");
        }
        assert!(unpack(b"component").is_err());
        assert!(unpack(&pack(&vec![0; COMPONENT_BYTES_MAX + 1])).is_err());
    }
}
