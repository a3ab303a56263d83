//! Compression of the records of a batch, in pure Rust. Decompressed data of a broker never exceeds
//! [`RECORDS_BYTES_MAX`].

use std::io::{Read, Write};

use bytes::Bytes;

use crate::limits::RECORDS_BYTES_MAX;

/// A compression, by its number in the attributes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    /// Read only: the encoder is a library in C.
    Zstd = 4,
}

/// Header of Kafka's clients before snappy data: blocks with their lengths follow.
const SNAPPY_HEADER: &[u8; 16] = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";

impl Codec {
    pub(crate) fn of(attributes: i16) -> Option<Codec> {
        [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]
            .into_iter()
            .find(|codec| *codec as i16 == attributes & 7)
    }

    pub(crate) fn compressed(self, records: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot compress: {error}");
        match self {
            Codec::None => Ok(records.to_vec()),
            Codec::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(records).map_err(|error| failed(&error))?;
                encoder.finish().map_err(|error| failed(&error))
            }
            Codec::Snappy => snap::raw::Encoder::new().compress_vec(records).map_err(|error| failed(&error)),
            Codec::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(records).map_err(|error| failed(&error))?;
                encoder.finish().map_err(|error| failed(&error))
            }
            Codec::Zstd => Err("cannot compress with zstd".to_owned()),
        }
    }

    pub(crate) fn decompressed(self, records: Bytes) -> Result<Bytes, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot decompress: {error}");
        match self {
            Codec::None => Ok(records),
            Codec::Gzip => bounded(flate2::read::MultiGzDecoder::new(&*records)),
            Codec::Snappy => unsnapped(&records),
            Codec::Lz4 => bounded(lz4_flex::frame::FrameDecoder::new(&*records)),
            Codec::Zstd => {
                let decoder =
                    ruzstd::decoding::StreamingDecoder::new(&*records).map_err(|error| failed(&error))?;
                bounded(decoder)
            }
        }
    }
}

fn bounded(reader: impl Read) -> Result<Bytes, String> {
    let mut whole = Vec::new();
    let read = reader.take(RECORDS_BYTES_MAX as u64 + 1).read_to_end(&mut whole);
    read.map_err(|error| format!("cannot decompress: {error}"))?;
    if whole.len() > RECORDS_BYTES_MAX {
        return Err(too_large(whole.len()));
    }
    Ok(whole.into())
}

fn too_large(bytes: usize) -> String {
    format!("a batch of {bytes} bytes or more came, the limit is {RECORDS_BYTES_MAX}")
}

/// Snappy in blocks, or as one where the header is missing.
fn unsnapped(records: &[u8]) -> Result<Bytes, String> {
    let mut whole = Vec::new();
    let Some(mut rest) = records.strip_prefix(SNAPPY_HEADER) else {
        unsnapped_block(records, &mut whole)?;
        return Ok(whole.into());
    };
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let block = behind.get(..length).ok_or("cannot decompress: a block of snappy is cut off")?;
        unsnapped_block(block, &mut whole)?;
        rest = &behind[length..];
    }
    Ok(whole.into())
}

fn unsnapped_block(block: &[u8], whole: &mut Vec<u8>) -> Result<(), String> {
    let failed = |error| format!("cannot decompress: {error}");
    let bytes = snap::raw::decompress_len(block).map_err(failed)?;
    if bytes.saturating_add(whole.len()) > RECORDS_BYTES_MAX {
        return Err(too_large(bytes));
    }
    whole.extend(snap::raw::Decoder::new().decompress_vec(block).map_err(failed)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_the_same_behind_it() {
        let records = b"measured ".repeat(1000);
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4] {
            let compressed = codec.compressed(&records).unwrap();
            assert!(codec == Codec::None || compressed.len() < records.len() / 10, "{codec:?}");
            assert_eq!(codec.decompressed(compressed.into()).unwrap(), records, "{codec:?}");
            assert_eq!(Codec::of(codec as i16 | 0x10), Some(codec));
        }
        assert_eq!(Codec::of(5), None);
    }

    #[test]
    fn snappy_in_blocks_is_read() {
        let mut blocks = SNAPPY_HEADER.to_vec();
        for part in ["one ", "two"] {
            let block = snap::raw::Encoder::new().compress_vec(part.as_bytes()).unwrap();
            blocks.extend((block.len() as u32).to_be_bytes());
            blocks.extend(block);
        }
        assert_eq!(Codec::Snappy.decompressed(blocks.into()).unwrap(), "one two");
    }

    #[test]
    fn bombs_and_nonsense_are_refused() {
        let bomb = vec![0; RECORDS_BYTES_MAX + 1];
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4] {
            let refused = codec.decompressed(codec.compressed(&bomb).unwrap().into()).unwrap_err();
            assert!(refused.contains("the limit is"), "{codec:?}: {refused}");
        }
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            assert!(codec.decompressed(Bytes::from_static(b"\x01nonsense")).is_err(), "{codec:?}");
        }
    }
}
