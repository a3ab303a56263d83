//! Table `meta`: facts about the whole store. Names that start with `store.` are its own.

use super::{Row, Table};
use crate::encoding::{Decoder, Malformed, Put};

/// A named value that belongs to no tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaRow {
    /// Its name; those that start with `store.` are refused by [`Batch::push`](crate::Batch::push).
    pub name: String,
    /// Its value, opaque to the store.
    pub value: Vec<u8>,
}

impl MetaRow {
    /// Version of the schema, u64.
    pub const SCHEMA: &str = "store.schema";
    /// Number of this node, u64 below 65,536; the top 16 bits of its session numbers.
    pub const NODE: &str = "store.node";
    /// Sessions numbered below this may exist, u64.
    pub const SESSIONS_RESERVED: &str = "store.sessions_reserved";
    /// Written to find out whether the disk takes it.
    pub const PROBE: &str = "store.probe";

    /// Row with a number as its value.
    pub fn number(name: &str, value: u64) -> Self {
        Self { name: name.to_owned(), value: value.to_be_bytes().to_vec() }
    }

    /// The value as a number; `None` if it has another length.
    pub fn as_number(&self) -> Option<u64> {
        Some(u64::from_be_bytes(self.value.as_slice().try_into().ok()?))
    }
}

impl Row for MetaRow {
    const TABLE: Table = Table::Meta;

    fn key(&self) -> Vec<u8> {
        self.name.as_bytes().to_vec()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_bytes(&self.value);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self { name: key.rest_string()?, value: body.bytes()?.to_vec() })
    }
}
