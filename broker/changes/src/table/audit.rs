//! Table `audit`: what was done to the broker and by whom, a row a record, encrypted. Key: tenant,
//! number.

use super::{Row, Table};
use crate::TenantId;
use crate::encoding::{Decoder, Malformed, Put};

/// A record as it lies in the file; the store has the cipher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its place in the order of its tenant's records.
    pub number: u64,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: u64,
    /// Digest of the record where it is not encrypted, as layout 1 had it. It lets an
    /// attacker with the file guess the text, which is short.
    pub digest: Option<[u8; 32]>,
    /// Nonce of the encryption.
    pub nonce: [u8; 12],
    /// Ciphertext and tag: of the digest, if that is not told beside it, and the text.
    pub ciphertext: Vec<u8>,
}

impl Row for AuditRow {
    const TABLE: Table = Table::Audit;

    fn key(&self) -> Vec<u8> {
        audit_key(self.tenant, self.number)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.at_ms);
        out.put_bytes(self.digest.as_ref().map_or(&[], |digest| digest));
        out.extend_from_slice(&self.nonce);
        out.put_bytes(&self.ciphertext);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let at_ms = body.u64()?;
        let digest = body.bytes()?;
        let digest = match digest {
            [] => None,
            digest => Some(digest.try_into().map_err(|_| body.malformed())?),
        };
        Ok(Self {
            tenant: TenantId(key.u32()?),
            number: key.u64()?,
            at_ms,
            digest,
            nonce: body.take(12)?.try_into().map_err(|_| body.malformed())?,
            ciphertext: body.bytes()?.to_vec(),
        })
    }
}

/// Key of a record: numbers sort as they were given.
pub fn audit_key(tenant: TenantId, number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(12);
    key.put_u32(tenant.0);
    key.put_u64(number);
    key
}
