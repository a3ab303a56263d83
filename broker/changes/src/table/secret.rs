//! Table `secrets`: values set by `-setSecret` and `KEEP SECRET`, encrypted. Key: tenant, name.

use super::{Row, Table, named_key};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// A secret as it lies in the file; the store has the cipher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Nonce of the encryption.
    pub nonce: [u8; 12],
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

impl Row for SecretRow {
    const TABLE: Table = Table::Secrets;

    fn key(&self) -> Vec<u8> {
        named_key(self.tenant, &self.name)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.nonce);
        out.put_bytes(&self.ciphertext);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            name: key.rest_string()?,
            nonce: body.take(12)?.try_into().map_err(|_| body.malformed())?,
            ciphertext: body.bytes()?.to_vec(),
        })
    }
}
