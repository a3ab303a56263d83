//! Table `environment`: values set by `-setEnv` and `KEEP ENV`. Key: tenant, name.

use super::{Row, Table, named_key};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// An environment variable of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Row for EnvironmentRow {
    const TABLE: Table = Table::Environment;

    fn key(&self) -> Vec<u8> {
        named_key(self.tenant, &self.name)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.value);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self { tenant: TenantId(key.u32()?), name: key.rest_string()?, value: body.string()? })
    }
}
