//! Table `quarantine`: rows that were damaged and were put aside, as they were found. Key: table,
//! when, key.

use std::fmt;

use super::{Row, Table};
use crate::encoding::{Decoder, Malformed, Put};

/// A row, a chunk of the log or a part of a message that could not be read and was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// Table that it came from.
    pub table: String,
    /// Its key there, as its table encodes it.
    pub key: Vec<u8>,
    /// Its value, damaged as it is.
    pub value: Vec<u8>,
    /// Its meaning and its fault.
    pub reason: String,
    /// When that was found, in milliseconds since 1970.
    pub found_at_ms: u64,
}

impl fmt::Display for QuarantineRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Row for QuarantineRow {
    const TABLE: Table = Table::Quarantine;

    fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(16 + self.table.len() + self.key.len());
        key.put_text(&self.table);
        key.put_u64(self.found_at_ms);
        key.extend_from_slice(&self.key);
        key
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.reason);
        out.put_bytes(&self.value);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            table: key.string()?,
            found_at_ms: key.u64()?,
            key: key.rest().to_vec(),
            reason: body.string()?,
            value: body.bytes()?.to_vec(),
        })
    }
}
