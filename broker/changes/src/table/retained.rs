//! Table `retained`: the retained message of a topic. Key: tenant, Topic Name. The body starts with
//! the version, 8 bytes.
//!
//! Last writer wins by version, not by order of arrival: an older write never replaces a newer one.

use bytes::Bytes;

use super::{Row, Table, named_key};
use crate::encoding::{Decoder, Malformed, Put};
use crate::{MessageId, TenantId};

/// Account that a retained message is charged to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeeperRow {
    /// The broker's own, its programs', and those of which it was not written down.
    #[default]
    Broker,
    /// Those of Clients without a user.
    Nobody,
    /// Those of a user, by name and account number.
    User(String),
}

/// A retained message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Topic Name.
    pub topic: String,
    /// Its place in the order of writers: taken from
    /// [`Ids::next_message`](crate::Ids::next_message) under the lock that guards the
    /// topic in memory.
    pub version: MessageId,
    /// QoS of the PUBLISH, 0 to 2. A QoS 0 message is stored without a promise: do not wait for its
    /// ticket.
    pub qos: u8,
    /// Properties of the PUBLISH as received.
    pub properties: Bytes,
    /// Payload; never empty (an empty one deletes).
    pub payload: Bytes,
    /// When it was received, in milliseconds since 1970.
    pub published_at_ms: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// Publisher of the message.
    pub keeper: KeeperRow,
}

impl KeeperRow {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Broker => out.push(0),
            Self::Nobody => out.push(1),
            Self::User(name) => {
                out.push(2);
                out.put_bytes(name.as_bytes());
            }
        }
    }

    fn decode(body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match body.u8()? {
            0 => Ok(Self::Broker),
            1 => Ok(Self::Nobody),
            2 => Ok(Self::User(body.string()?)),
            _ => Err(body.malformed()),
        }
    }
}

impl RetainedRow {
    /// The version in a row's body.
    pub fn version_of(body: &[u8]) -> Option<u64> {
        Decoder::new(body, "retained version").u64().ok()
    }
}

impl Row for RetainedRow {
    const TABLE: Table = Table::Retained;

    fn key(&self) -> Vec<u8> {
        named_key(self.tenant, &self.topic)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.version.0);
        out.push(self.qos);
        out.put_varint(self.published_at_ms);
        out.put_option(self.expires_at_ms);
        out.put_bytes(&self.properties);
        out.put_bytes(&self.payload);
        self.keeper.encode(out);
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            topic: key.rest_string()?,
            version: MessageId(body.number()?),
            qos: body.u8()?,
            published_at_ms: body.varint()?,
            expires_at_ms: body.option()?,
            properties: Bytes::copy_from_slice(body.bytes()?),
            payload: Bytes::copy_from_slice(body.bytes()?),
            keeper: KeeperRow::decode(body)?,
        })
    }
}
