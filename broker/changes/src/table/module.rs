//! Table `modules`: what is known of uploaded WebAssembly components beside their bytes. Key:
//! tenant, name, and a NUL behind the name of a version before.
//!
//! The bytes are in table [`components`](super::component).

use super::{Row, Table, named_key};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// An uploaded component, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Whether it is the version before the one of that name, kept to go back to.
    pub is_former: bool,
    /// The world that it implements: `action`, `model`, `rule`, `route`, `auth`.
    pub world: String,
    /// Options given with the upload (grants, configuration, limits), in the form that the owning
    /// crate chose.
    pub options: String,
    /// SHA-256 of the component, by which its bytes are found
    /// (`Snapshot::component` of the store).
    pub hash: [u8; 32],
    /// Bytes of the component.
    pub component_bytes: u64,
    /// User who added it.
    pub owner: String,
    /// How it came.
    pub origin: String,
    /// Place in the load order within the tenant.
    pub order: u64,
    /// When it was added or replaced, in milliseconds since 1970.
    pub changed_at_ms: u64,
}

/// Character behind the name of a version before; no name of a module has it.
const FORMER: char = '\0';

/// Key of a module, or of the version before it.
pub(crate) fn module_key(tenant: TenantId, name: &str, is_former: bool) -> Vec<u8> {
    let mut key = named_key(tenant, name);
    if is_former {
        key.push(FORMER as u8);
    }
    key
}

impl Row for ModuleRow {
    const TABLE: Table = Table::Modules;

    fn key(&self) -> Vec<u8> {
        module_key(self.tenant, &self.name, self.is_former)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.world);
        out.put_text(&self.options);
        out.extend_from_slice(&self.hash);
        out.put_text(&self.owner);
        out.put_text(&self.origin);
        out.put_varint(self.order);
        out.put_varint(self.changed_at_ms);
        out.put_varint(self.component_bytes);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let tenant = TenantId(key.u32()?);
        let mut name = key.rest_string()?;
        let is_former = name.ends_with(FORMER);
        if is_former {
            name.pop();
        }
        Ok(Self {
            tenant,
            name,
            is_former,
            world: body.string()?,
            options: body.string()?,
            hash: body.take(32)?.try_into().map_err(|_| body.malformed())?,
            owner: body.string()?,
            origin: body.string()?,
            order: body.varint()?,
            changed_at_ms: body.varint()?,
            component_bytes: body.varint()?,
        })
    }
}
