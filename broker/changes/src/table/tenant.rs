//! Table `tenants`: the names of tenants. `default` (0) is there from the first start.

use super::{Row, Table};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    /// Its number; never given to another tenant.
    pub id: TenantId,
    /// Its name.
    pub name: String,
}

impl Row for TenantRow {
    const TABLE: Table = Table::Tenants;

    fn key(&self) -> Vec<u8> {
        self.id.0.to_be_bytes().to_vec()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.name);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self { id: TenantId(key.u32()?), name: body.string()? })
    }
}
