//! Record batches of a partition's log, in version 2: encoded for a producer, and decoded from a
//! broker.
//!
//! This code replaces that of the crate `kafka-protocol`. The crate allocates memory for as many
//! records as a batch claims, and loses repeated headers. It also hides the end of a batch whose
//! last records were compacted away.

use bytes::{Buf, Bytes};

use crate::compression::Codec;
use crate::limits::HEADERS_MAX;

/// A record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Record {
    /// Its place in the partition; counted from 0 in a batch that is written.
    pub(crate) offset: i64,
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(String, Option<Bytes>)>,
}

/// Producer of a batch, and the number of its first record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Writer {
    /// -1 for none.
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) base_sequence: i32,
}

/// Bytes of a batch in front of its records, behind its offset and length.
const HEADER_BYTES: usize = 49;

/// Bytes of those that the checksum is not over: epoch of the leader, version, and itself.
const UNCHECKED_BYTES: usize = 9;

/// Bits of the attributes of a batch.
const LOG_APPEND_TIME: i16 = 1 << 3;
const CONTROL: i16 = 1 << 5;

/// A batch of at least one record, as it is produced.
pub(crate) fn written(records: &[Record], codec: Codec, writer: Writer) -> Result<Bytes, String> {
    let first = records.first().map_or(0, |record| record.timestamp);
    let last = records.iter().map(|record| record.timestamp).max().unwrap_or(first);
    let mut plain = Vec::new();
    for (delta, record) in records.iter().enumerate() {
        write_record(
            &mut plain,
            record,
            i64::try_from(delta).unwrap_or(0),
            record.timestamp.wrapping_sub(first),
        );
    }
    let count = i32::try_from(records.len()).map_err(|_| "too many records")?;
    let mut checked = Vec::with_capacity(plain.len() / 2 + HEADER_BYTES);
    checked.extend((codec as i16).to_be_bytes());
    checked.extend((count - 1).to_be_bytes());
    checked.extend(first.to_be_bytes());
    checked.extend(last.to_be_bytes());
    checked.extend(writer.producer_id.to_be_bytes());
    checked.extend(writer.epoch.to_be_bytes());
    checked.extend(writer.base_sequence.to_be_bytes());
    checked.extend(count.to_be_bytes());
    checked.extend(codec.compressed(&plain)?);
    let length = i32::try_from(checked.len() + UNCHECKED_BYTES).map_err(|_| "a batch that is too large")?;
    let mut batch = Vec::with_capacity(checked.len() + UNCHECKED_BYTES + 12);
    batch.extend(0i64.to_be_bytes());
    batch.extend(length.to_be_bytes());
    // The leader's epoch, which is its own matter, and the version.
    batch.extend((-1i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c::crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    Ok(batch.into())
}

/// Bytes that a record takes in a batch, about.
pub(crate) fn bytes_of(record: &Record) -> usize {
    let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers = record.headers.iter().map(|(name, value)| name.len() + of(value) + 8);
    of(&record.key) + of(&record.value) + headers.sum::<usize>() + 24
}

fn write_record(into: &mut Vec<u8>, record: &Record, offset_delta: i64, timestamp_delta: i64) {
    let mut body = vec![0];
    write_number(&mut body, timestamp_delta);
    write_number(&mut body, offset_delta);
    write_bytes(&mut body, record.key.as_deref());
    write_bytes(&mut body, record.value.as_deref());
    write_number(&mut body, i64::try_from(record.headers.len()).unwrap_or(0));
    for (name, value) in &record.headers {
        write_bytes(&mut body, Some(name.as_bytes()));
        write_bytes(&mut body, value.as_deref());
    }
    write_number(into, i64::try_from(body.len()).unwrap_or(0));
    into.extend(body);
}

fn write_bytes(into: &mut Vec<u8>, bytes: Option<&[u8]>) {
    write_number(into, bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(-1)));
    into.extend(bytes.unwrap_or_default());
}

/// A number of variable length, zigzag.
fn write_number(into: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        into.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    into.push(left as u8);
}

/// A batch that was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Batch {
    /// Offset of what comes behind it.
    pub(crate) end: i64,
    /// None of a batch that is not for consumers.
    pub(crate) records: Vec<Record>,
}

/// Takes the next batch; `None` behind the last whole one, for a broker may cut the last one off.
pub(crate) fn next(bytes: &mut Bytes) -> Result<Option<Batch>, String> {
    let Some(length) = bytes.get(8..12).and_then(|length| length.try_into().ok()) else { return Ok(None) };
    let length =
        usize::try_from(i32::from_be_bytes(length)).map_err(|_| malformed("its length is negative"))?;
    if let Some(version) = bytes.get(16)
        && *version != 2
    {
        return Err(format!("a batch of version {version} came, which is older than Kafka 0.11"));
    }
    if length < HEADER_BYTES {
        return Err(malformed("it is shorter than its header"));
    }
    if bytes.len() < length + 12 {
        return Ok(None);
    }
    let mut batch = bytes.split_to(length + 12);
    let base = batch.get_i64();
    // Length, epoch of the leader, version.
    batch.advance(4 + 4 + 1);
    if batch.get_u32() != crc32c::crc32c(&batch) {
        return Err(malformed("its checksum is wrong"));
    }
    let attributes = batch.get_i16();
    let end = base.saturating_add(batch.get_i32().into()).saturating_add(1);
    let (first, last) = (batch.get_i64(), batch.get_i64());
    // Producer, its epoch and its sequence.
    batch.advance(8 + 2 + 4);
    let count = batch.get_i32();
    if attributes & CONTROL != 0 {
        return Ok(Some(Batch { end, records: Vec::new() }));
    }
    let codec = Codec::of(attributes).ok_or_else(|| malformed("its compression is not known"))?;
    let mut plain = codec.decompressed(batch)?;
    let mut records = Vec::new();
    for _ in 0..count {
        let mut record = read_record(&mut plain).ok_or_else(|| malformed("a record is cut off"))?;
        record.offset = base.saturating_add(record.offset);
        let is_of_log = attributes & LOG_APPEND_TIME != 0;
        record.timestamp = if is_of_log { last } else { first.saturating_add(record.timestamp) };
        records.push(record);
    }
    Ok(Some(Batch { end, records }))
}

fn malformed(why: &str) -> String {
    format!("a malformed batch came: {why}")
}

/// A record with offset and time as they are counted in its batch.
fn read_record(bytes: &mut Bytes) -> Option<Record> {
    let length = usize::try_from(read_number(bytes)?).ok()?;
    if bytes.len() < length {
        return None;
    }
    let mut body = bytes.split_to(length);
    body.try_get_u8().ok()?;
    let (timestamp, offset) = (read_number(&mut body)?, read_number(&mut body)?);
    let (key, value) = (read_bytes(&mut body)?, read_bytes(&mut body)?);
    let count = read_number(&mut body)?;
    let mut headers = Vec::new();
    for number in 0..count {
        let name = read_bytes(&mut body)??;
        let header = read_bytes(&mut body)?;
        if number < HEADERS_MAX as i64
            && let Ok(name) = std::str::from_utf8(&name)
        {
            headers.push((name.to_owned(), header));
        }
    }
    Some(Record { offset, timestamp, key, value, headers })
}

/// Bytes with their length, or none.
fn read_bytes(from: &mut Bytes) -> Option<Option<Bytes>> {
    let length = read_number(from)?;
    if length < 0 {
        return Some(None);
    }
    let length = usize::try_from(length).ok()?;
    (from.len() >= length).then(|| Some(from.split_to(length)))
}

fn read_number(from: &mut Bytes) -> Option<i64> {
    let mut number = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let record = |offset, key: Option<&'static str>, value: Option<&'static str>| Record {
            offset,
            timestamp: 1_700_000_000_000 - offset * 7,
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            headers: vec![("h".to_owned(), Some(Bytes::from("1"))), ("h".to_owned(), None)],
        };
        vec![record(0, Some("k"), Some("v")), record(1, None, Some("")), record(2, Some(""), None)]
    }

    const WRITER: Writer = Writer { producer_id: 7, epoch: 1, base_sequence: 300 };

    #[test]
    fn records_are_the_same_behind_a_batch() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4] {
            let batch = written(&records(), codec, WRITER).unwrap();
            let mut two = Bytes::from([&batch[..], &batch[..20]].concat());
            let read = next(&mut two).unwrap().unwrap();
            assert_eq!((read.end, read.records), (3, records()), "{codec:?}");
            // The broker sends a cut batch again.
            assert_eq!(next(&mut two), Ok(None));
        }
    }

    #[test]
    fn the_crate_of_the_protocol_reads_the_same() {
        use kafka_protocol::records::{RecordBatchDecoder, TimestampType};
        let mut batch = written(&records(), Codec::None, WRITER).unwrap();
        let set = RecordBatchDecoder::decode(&mut batch).unwrap();
        let first = &set.records[0];
        assert_eq!((first.producer_id, first.producer_epoch, first.sequence), (7, 1, 300));
        assert_eq!((first.timestamp, first.timestamp_type), (1_700_000_000_000, TimestampType::Creation));
        let keys: Vec<_> =
            set.records.iter().map(|record| (record.key.clone(), record.value.clone())).collect();
        let expected: Vec<_> = records().into_iter().map(|record| (record.key, record.value)).collect();
        assert_eq!(keys, expected);
    }

    #[test]
    fn what_is_malformed_is_told_and_costs_no_memory() {
        let batch = written(&records(), Codec::None, WRITER).unwrap();
        let changed = |place: usize, byte: u8, is_checked: bool| {
            let mut bytes = batch.to_vec();
            bytes[place] = byte;
            if is_checked {
                let checksum = crc32c::crc32c(&bytes[21..]);
                bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
            }
            next(&mut bytes.into()).unwrap_err()
        };
        assert_eq!(changed(16, 1, false), "a batch of version 1 came, which is older than Kafka 0.11");
        assert_eq!(changed(8, 0x80, false), "a malformed batch came: its length is negative");
        assert_eq!(changed(11, 10, false), "a malformed batch came: it is shorter than its header");
        assert_eq!(changed(70, 0xff, false), "a malformed batch came: its checksum is wrong");
        assert_eq!(changed(22, 5, true), "a malformed batch came: its compression is not known");
        // More records than there are.
        assert_eq!(changed(57, 0x7f, true), "a malformed batch came: a record is cut off");
    }

    #[test]
    fn numbers_are_of_variable_length() {
        for number in [0, -1, 1, 63, -64, 64, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            assert_eq!(read_number(&mut bytes.into()), Some(number));
        }
        assert_eq!(read_number(&mut Bytes::from_static(&[0xff; 12])), None);
    }
}
