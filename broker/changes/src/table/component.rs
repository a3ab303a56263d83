//! Table `components`: the bytes of uploaded WebAssembly components, in parts. Key: tenant, SHA-256
//! of the whole, offset of the part.
//!
//! Of modules of a tenant with the same bytes, versions before among them, it has one copy; tenants
//! share none, so that nobody learns what others have. A component is there as long as a row of
//! table `modules` names it. Apart, because a start reads all of that table, and these one at a
//! time.

use bytes::Bytes;

use super::{Row, Table};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// SHA-256 of a component.
pub type ComponentHash = [u8; 32];

/// Bytes of a key: tenant, digest, offset.
const KEY_BYTES: usize = 4 + 32 + 8;

/// A part of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// SHA-256 of the whole component.
    pub hash: ComponentHash,
    /// Place of its first byte in the component.
    pub offset: u64,
    /// Bytes of the whole component.
    pub total: u64,
    /// Bytes of the part.
    pub bytes: Bytes,
}

/// Key of the part of a component that begins at an offset.
pub fn component_key(tenant: TenantId, hash: &ComponentHash, offset: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(KEY_BYTES);
    key.put_u32(tenant.0);
    key.extend_from_slice(hash);
    key.put_u64(offset);
    key
}

/// Returns the component of a key; `None` if no component of ours has such a key.
pub fn component_of(key: &[u8]) -> Option<(TenantId, ComponentHash)> {
    let mut key = Some(Decoder::new(key, "key")).filter(|key| key.remaining() == KEY_BYTES)?;
    Some((TenantId(key.u32().ok()?), key.take(32).ok()?.try_into().ok()?))
}

impl Row for ComponentRow {
    const TABLE: Table = Table::Components;

    fn key(&self) -> Vec<u8> {
        component_key(self.tenant, &self.hash, self.offset)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.total);
        out.put_bytes(&self.bytes);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            hash: key.take(32)?.try_into().map_err(|_| key.malformed())?,
            offset: key.u64()?,
            total: body.varint()?,
            bytes: Bytes::copy_from_slice(body.bytes()?),
        })
    }
}
