//! The keys of row tables: the tenant first, then what is unique within it.

use crate::encoding::Put;
use crate::{MessageId, SessionId, TenantId};

/// Key of a thing that has a name within its tenant.
pub fn named_key(tenant: TenantId, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + name.len());
    key.put_u32(tenant.0);
    key.extend_from_slice(name.as_bytes());
    key
}

/// Key of a session, and the first part of its subscriptions' keys.
pub(crate) fn session_key(tenant: TenantId, session: SessionId) -> Vec<u8> {
    let mut key = Vec::with_capacity(12);
    key.put_u32(tenant.0);
    key.put_u64(session.0);
    key
}

/// Key of a message with a delay.
pub(crate) fn delayed_key(tenant: TenantId, id: MessageId) -> Vec<u8> {
    let mut key = Vec::with_capacity(12);
    key.put_u32(tenant.0);
    key.put_u64(id.0);
    key
}

/// Key of a subscription.
pub(crate) fn subscription_key(tenant: TenantId, session: SessionId, filter: &str) -> Vec<u8> {
    let mut key = session_key(tenant, session);
    key.extend_from_slice(filter.as_bytes());
    key
}

/// Key of a definition.
pub(crate) fn definition_key(tenant: TenantId, kind: &str, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(6 + kind.len() + name.len());
    key.put_u32(tenant.0);
    key.put_text(kind);
    key.extend_from_slice(name.as_bytes());
    key
}
