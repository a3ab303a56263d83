//! Table `users`: accounts. Key: tenant, name.

use super::{Row, Table, named_key};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// An account.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The password's hash in PHC text form (Argon2id), never a password.
    pub credential: String,
    /// Grows with every change of the credential; remembered verifications of older ones are void.
    pub credential_version: u64,
    /// Whether the credential is the one that every new broker has.
    pub is_default_credential: bool,
    /// Groups, by name.
    pub groups: Vec<String>,
    /// Settings and free properties, name and value.
    pub settings: Vec<(String, String)>,
    /// When it was created, in milliseconds since 1970.
    pub created_at_ms: u64,
}

impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow")
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Row for UserRow {
    const TABLE: Table = Table::Users;

    fn key(&self) -> Vec<u8> {
        named_key(self.tenant, &self.name)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.credential);
        out.put_varint(self.credential_version);
        out.push(u8::from(self.is_default_credential));
        out.put_varint(self.created_at_ms);
        out.put_varint(self.groups.len() as u64);
        for group in &self.groups {
            out.put_text(group);
        }
        out.put_varint(self.settings.len() as u64);
        for (name, value) in &self.settings {
            out.put_text(name);
            out.put_text(value);
        }
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            name: key.rest_string()?,
            credential: body.string()?,
            credential_version: body.varint_number()?,
            is_default_credential: body.flag()?,
            created_at_ms: body.varint()?,
            groups: (0..body.count()?).map(|_| body.string()).collect::<Result<_, _>>()?,
            settings: (0..body.count()?)
                .map(|_| Ok((body.string()?, body.string()?)))
                .collect::<Result<_, Malformed>>()?,
        })
    }
}
