//! Tables `projects` and `archives`: uploaded projects, and their files as one archive each. Key of
//! both: tenant, name.
//!
//! Apart, because a start reads all of the first, and nothing of the second.

use bytes::Bytes;

use super::{Row, Table, named_key};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// Metadata of a project, without its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Source of the project. Opaque to the store.
    pub source: String,
    /// Contents of the archive, in a form that the owning crate chose.
    pub manifest: String,
    /// User who added it.
    pub owner: String,
    /// When it was added or replaced, in milliseconds since 1970.
    pub changed_at_ms: u64,
}

impl Row for ProjectRow {
    const TABLE: Table = Table::Projects;

    fn key(&self) -> Vec<u8> {
        named_key(self.tenant, &self.name)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.source);
        out.put_text(&self.manifest);
        out.put_text(&self.owner);
        out.put_varint(self.changed_at_ms);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            name: key.rest_string()?,
            source: body.string()?,
            manifest: body.string()?,
            owner: body.string()?,
            changed_at_ms: body.varint()?,
        })
    }
}

/// The files of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Name of the project.
    pub name: String,
    /// The archive.
    pub bytes: Bytes,
}

impl Row for ArchiveRow {
    const TABLE: Table = Table::Archives;

    fn key(&self) -> Vec<u8> {
        named_key(self.tenant, &self.name)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_bytes(&self.bytes);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (tenant, name) = (TenantId(key.u32()?), key.rest_string()?);
        Ok(Self { tenant, name, bytes: Bytes::copy_from_slice(body.bytes()?) })
    }
}
