//! Table `subscriptions`: key tenant, session number, Topic Filter.

use super::{Row, Table, subscription_key};
use crate::encoding::{Decoder, Malformed, Put};
use crate::{MembershipId, SessionId, TenantId};

/// A subscription of a session that outlives its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// The tenant of the session.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// Topic Filter as subscribed, with `$share/<name>/` where there is one.
    pub filter: String,
    /// Maximum QoS, 0 to 2.
    pub qos: u8,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling, 0 to 2.
    pub retain_handling: u8,
    /// Subscription Identifier, 1 to 268,435,455.
    pub subscription_id: Option<u32>,
    /// Number of the membership, where it is a shared subscription.
    pub membership: Option<MembershipId>,
}

impl Row for SubscriptionRow {
    const TABLE: Table = Table::Subscriptions;

    fn key(&self) -> Vec<u8> {
        subscription_key(self.tenant, self.session, &self.filter)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.qos);
        out.push(u8::from(self.no_local));
        out.push(u8::from(self.retain_as_published));
        out.push(self.retain_handling);
        out.put_option(self.subscription_id.map(u64::from));
        out.put_option(self.membership.map(MembershipId::number));
    }

    fn decode(key: &mut Decoder<'_>, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            tenant: TenantId(key.u32()?),
            session: SessionId(key.u64()?),
            filter: key.rest_string()?,
            qos: body.u8()?,
            no_local: body.flag()?,
            retain_as_published: body.flag()?,
            retain_handling: body.u8()?,
            subscription_id: match body.option()? {
                None => None,
                Some(id) => Some(u32::try_from(id).map_err(|_| body.malformed())?),
            },
            membership: match body.option()? {
                None => None,
                Some(number) => Some(MembershipId::from_number(number).ok_or(body.malformed())?),
            },
        })
    }
}
