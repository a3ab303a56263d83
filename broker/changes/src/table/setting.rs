//! Table `settings`: small texts of a tenant, among them what `Config/New` is to store, which
//! nothing does yet. Key: tenant, name.

use super::{Row, Table, named_key};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// A stored setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name, as in the configuration reference.
    pub name: String,
    /// Its value; opaque to the store.
    pub value: String,
}

impl Row for SettingRow {
    const TABLE: Table = Table::Settings;

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
