//! Table `modules`: uploaded WebAssembly components. Key: tenant, name.

use bytes::Bytes;

use super::{Row, Table, named_key};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// An uploaded component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The world that it implements: `action`, `model`, `rule`, `route`, `auth`.
    pub world: String,
    /// Options given with the upload (grants, configuration, limits), in the form that the owning crate chose.
    pub options: String,
    /// SHA-256 of `bytes`.
    pub hash: [u8; 32],
    /// The component's bytes, never native code.
    pub bytes: Bytes,
    /// User who added it.
    pub owner: String,
    /// How it came.
    pub origin: String,
    /// Place in the load order within the tenant.
    pub order: u64,
    /// When it was added or replaced, in milliseconds since 1970.
    pub changed_at_ms: u64,
}

impl Row for ModuleRow {
    const TABLE: Table = Table::Modules;

    fn key(&self) -> Vec<u8> {
        named_key(self.tenant, &self.name)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.world);
        out.put_text(&self.options);
        out.extend_from_slice(&self.hash);
        out.put_text(&self.owner);
        out.put_text(&self.origin);
        out.put_varint(self.order);
        out.put_varint(self.changed_at_ms);
        out.put_bytes(&self.bytes);
    }

    fn decode(key: &mut Decoder<'_>, _version: u8, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            name: key.rest_string()?,
            world: body.string()?,
            options: body.string()?,
            hash: body.take(32)?.try_into().map_err(|_| body.malformed())?,
            owner: body.string()?,
            origin: body.string()?,
            order: body.varint()?,
            changed_at_ms: body.varint()?,
            bytes: Bytes::copy_from_slice(body.bytes()?),
        })
    }
}
