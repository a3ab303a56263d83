//! Table `keeps`: values written by `KEEP TOPIC` in LoT. Key: tenant, topic.

use bytes::Bytes;

use super::{Row, Table, named_key};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// A kept value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// The topic under which it is kept.
    pub topic: String,
    /// The value's bytes.
    pub payload: Bytes,
    /// When it was kept, in milliseconds since 1970.
    pub kept_at_ms: u64,
    /// User whose definition has kept it, by name and account number; `None` if there is none.
    pub user: Option<String>,
}

impl Row for KeepRow {
    const TABLE: Table = Table::Keeps;

    fn key(&self) -> Vec<u8> {
        named_key(self.tenant, &self.topic)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.kept_at_ms);
        out.put_bytes(&self.payload);
        out.push(u8::from(self.user.is_some()));
        if let Some(user) = &self.user {
            out.put_text(user);
        }
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            topic: key.rest_string()?,
            kept_at_ms: body.varint()?,
            payload: Bytes::copy_from_slice(body.bytes()?),
            user: if body.flag()? { Some(body.string()?) } else { None },
        })
    }
}
