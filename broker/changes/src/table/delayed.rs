//! Table `delayed`: messages that are published with a delay. Key: tenant, number of the message.

use bytes::Bytes;

use super::session::PeerRow;
use super::{Row, Table, delayed_key};
use crate::encoding::{Decoder, Malformed, Put};
use crate::{MessageId, TenantId};

/// Message of QoS 1 or 2 that waits until it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its number, from [`Ids::next_message`](crate::Ids::next_message).
    pub id: MessageId,
    /// When it is published, in milliseconds since 1970.
    pub due_at_ms: u64,
    /// Topic Name to which it is published.
    pub topic: String,
    /// Properties of the PUBLISH as received.
    pub properties: Bytes,
    /// Payload.
    pub payload: Bytes,
    /// QoS of the PUBLISH, 1 or 2.
    pub qos: u8,
    /// RETAIN flag of the PUBLISH.
    pub retain: bool,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// User who has published it, by name and account number; `None` for a Client without a user,
    /// and for a program without an owner.
    pub user: Option<String>,
    /// Client that has published it; `None` for a program.
    pub client: Option<DelayedClientRow>,
}

/// Client that has published a message with a delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedClientRow {
    /// Its Client Identifier.
    pub client_id: String,
    /// From where its connection came.
    pub peer: PeerRow,
    /// Protocol level of its connection: 3, 4 or 5.
    pub protocol_level: u8,
    /// Principal of a user without an account, as in
    /// [`SessionRow::principal`](super::SessionRow::principal).
    pub principal: Option<Bytes>,
}

impl Row for DelayedRow {
    const TABLE: Table = Table::Delayed;

    fn key(&self) -> Vec<u8> {
        delayed_key(self.tenant, self.id)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.due_at_ms);
        out.put_text(&self.topic);
        out.put_bytes(&self.properties);
        out.put_bytes(&self.payload);
        out.push(self.qos);
        out.push(u8::from(self.retain));
        out.put_option(self.expires_at_ms);
        out.push(u8::from(self.user.is_some()));
        if let Some(user) = &self.user {
            out.put_text(user);
        }
        out.push(u8::from(self.client.is_some()));
        if let Some(client) = &self.client {
            out.put_text(&client.client_id);
            client.peer.encode(out);
            out.push(client.protocol_level);
            if let Some(principal) = &client.principal {
                out.put_bytes(principal);
            }
        }
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            id: MessageId(key.number()?),
            due_at_ms: body.varint()?,
            topic: body.string()?,
            properties: Bytes::copy_from_slice(body.bytes()?),
            payload: Bytes::copy_from_slice(body.bytes()?),
            qos: body.u8()?,
            retain: body.flag()?,
            expires_at_ms: body.option()?,
            user: if body.flag()? { Some(body.string()?) } else { None },
            client: if body.flag()? { Some(DelayedClientRow::decode(body)?) } else { None },
        })
    }
}

impl DelayedClientRow {
    fn decode(body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            client_id: body.string()?,
            peer: PeerRow::decode(body)?,
            protocol_level: body.u8()?,
            principal: body.optional_bytes()?,
        })
    }
}
