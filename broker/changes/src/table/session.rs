//! Table `sessions`: the sessions that outlive their connection. Key: tenant, session number.
//!
//! All of them are read at start (about 100 bytes each), so there is no index by Client Identifier
//! in the file.

use std::net::IpAddr;

use bytes::Bytes;

use super::{Row, Table, session_key};
use crate::encoding::{Decoder, Malformed, Put};
use crate::{SessionId, TenantId};

/// Beginning of the Client Identifiers of queues of routes, which no Client can have.
pub const ROUTE_CLIENT_IDS: &str = "\u{1}route/";

/// A session that outlives its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its number, from [`Ids::next_session`](crate::Ids::next_session).
    pub id: SessionId,
    /// The Client's identifier; unique among the living sessions of its user, and among those of
    /// nobody.
    pub client_id: String,
    /// The name that the Client authenticated with; `None` for an anonymous one.
    pub user: Option<String>,
    /// Protocol level of its last connection: 3, 4 or 5.
    pub protocol_level: u8,
    /// Session Expiry Interval in seconds; `None` never expires (0xFFFFFFFF in 5.0, and
    /// `clean_session = 0` in 3.1.1).
    pub expiry_interval_s: Option<u32>,
    /// When the connection ended, in milliseconds since 1970; `None` while it is connected.
    ///
    /// After a crash a connected session has none: it is taken as disconnected at the time of the
    /// start.
    pub disconnected_at_ms: Option<u64>,
    /// The Will that is still to be published.
    pub will: Option<WillRow>,
    /// From where its last connection came.
    pub peer: PeerRow,
    /// Principal of a user without an account, with groups, properties and grants; `None` for an
    /// account and an anonymous Client. Opaque to the store.
    pub principal: Option<Bytes>,
}

impl SessionRow {
    /// Session of nobody that never expires and from which no Client has been away yet.
    #[must_use]
    pub fn new(tenant: TenantId, id: SessionId, client_id: &str) -> Self {
        Self {
            tenant,
            id,
            client_id: client_id.to_owned(),
            user: None,
            protocol_level: 5,
            expiry_interval_s: None,
            disconnected_at_ms: None,
            will: None,
            peer: PeerRow::Unknown,
            principal: None,
        }
    }

    /// Whether the broker keeps messages of its own here: no Client can have such an identifier.
    #[must_use]
    pub fn is_of_broker(&self) -> bool {
        self.client_id.is_empty() || self.client_id.starts_with(ROUTE_CLIENT_IDS)
    }
}

/// From where a connection came, as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerRow {
    /// Not known.
    Unknown,
    /// A Unix socket.
    Unix,
    /// The address of the connection itself.
    Tcp(IpAddr),
    /// The address that a proxy told.
    Proxied(IpAddr),
}

/// The Will Message of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WillRow {
    /// Topic Name.
    pub topic: String,
    /// Its PUBLISH properties as received, without the Will Delay Interval.
    pub properties: Bytes,
    /// Payload.
    pub payload: Bytes,
    /// QoS, 0 to 2.
    pub qos: u8,
    /// RETAIN flag.
    pub retain: bool,
    /// Will Delay Interval in seconds.
    pub delay_interval_s: u32,
}

impl Row for SessionRow {
    const TABLE: Table = Table::Sessions;

    fn key(&self) -> Vec<u8> {
        session_key(self.tenant, self.id)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.client_id);
        out.push(u8::from(self.user.is_some()));
        if let Some(user) = &self.user {
            out.put_text(user);
        }
        out.push(self.protocol_level);
        out.put_option(self.expiry_interval_s.map(u64::from));
        out.put_option(self.disconnected_at_ms);
        out.push(u8::from(self.will.is_some()));
        if let Some(will) = &self.will {
            will.encode(out);
        }
        self.peer.encode(out);
        // Last, and only if there is one: rows of older versions end before it.
        if let Some(principal) = &self.principal {
            out.put_bytes(principal);
        }
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            id: SessionId::from_number(key.u64()?).ok_or(key.malformed())?,
            client_id: body.string()?,
            user: if body.flag()? { Some(body.string()?) } else { None },
            protocol_level: body.u8()?,
            expiry_interval_s: match body.option()? {
                None => None,
                Some(seconds) => Some(u32::try_from(seconds).map_err(|_| body.malformed())?),
            },
            disconnected_at_ms: body.option()?,
            will: if body.flag()? { Some(WillRow::decode(body)?) } else { None },
            peer: PeerRow::decode(body)?,
            principal: body.optional_bytes()?,
        })
    }
}

impl PeerRow {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let (kind, address) = match self {
            Self::Unknown => (0, None),
            Self::Unix => (1, None),
            Self::Tcp(address) => (2, Some(address)),
            Self::Proxied(address) => (3, Some(address)),
        };
        out.push(kind);
        match address {
            None => {}
            Some(IpAddr::V4(address)) => out.put_bytes(&address.octets()),
            Some(IpAddr::V6(address)) => out.put_bytes(&address.octets()),
        }
    }

    pub(super) fn decode(body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let address = |body: &mut Decoder<'_>| -> Result<IpAddr, Malformed> {
            let octets = body.bytes()?;
            let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).map_err(|_| body.malformed())
        };
        match body.u8()? {
            0 => Ok(Self::Unknown),
            1 => Ok(Self::Unix),
            2 => Ok(Self::Tcp(address(body)?)),
            3 => Ok(Self::Proxied(address(body)?)),
            _ => Err(body.malformed()),
        }
    }
}

impl WillRow {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_text(&self.topic);
        out.put_bytes(&self.properties);
        out.put_bytes(&self.payload);
        out.push(self.qos);
        out.push(u8::from(self.retain));
        out.put_varint(u64::from(self.delay_interval_s));
    }

    fn decode(body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            topic: body.string()?,
            properties: Bytes::copy_from_slice(body.bytes()?),
            payload: Bytes::copy_from_slice(body.bytes()?),
            qos: body.u8()?,
            retain: body.flag()?,
            delay_interval_s: body.varint_u32()?,
        })
    }
}
