//! Table `definitions`: the LoT text of Actions, Models, Rules and Routes. Key: tenant, kind, name.

use super::{Row, Table, definition_key};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// A definition's source and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Kind of the definition, in lower case: `action`, `model`, `rule`, `route`. Opaque to the
    /// store.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// LoT text of this definition alone.
    pub source: String,
    /// User who added it.
    pub owner: String,
    /// How it came: `command`, a project's name, `first-start`. Opaque to the store.
    pub origin: String,
    /// Place in the load order within the tenant; survives a replacement.
    pub order: u64,
    /// When it was added or replaced, in milliseconds since 1970.
    pub changed_at_ms: u64,
    /// More of the owning crate's own, versioned by it.
    pub state: Vec<u8>,
}

impl Row for DefinitionRow {
    const TABLE: Table = Table::Definitions;

    fn key(&self) -> Vec<u8> {
        definition_key(self.tenant, &self.kind, &self.name)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.source);
        out.put_text(&self.owner);
        out.put_text(&self.origin);
        out.put_varint(self.order);
        out.put_varint(self.changed_at_ms);
        out.put_bytes(&self.state);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            kind: key.string()?,
            name: key.rest_string()?,
            source: body.string()?,
            owner: body.string()?,
            origin: body.string()?,
            order: body.varint()?,
            changed_at_ms: body.varint()?,
            state: body.bytes()?.to_vec(),
        })
    }
}
