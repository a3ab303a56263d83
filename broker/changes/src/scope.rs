//! Scopes: parts of the contents of a log that a broker restores at once.
//!
//! A start restores [`RestoreScope::Everything`]. A broker that is running restores a tenant or a
//! shard that it takes over from another process. [`Recovered::take`](crate::Recovered::take)
//! selects the rows.

use std::num::NonZeroU16;

use crate::TenantId;
use crate::table::SessionRow;

/// Part of the contents of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreScope {
    /// All contents.
    Everything,
    /// All contents of one tenant.
    Tenant(TenantId),
    /// Client sessions and retained messages of one shard, of all tenants.
    Shard(LogShard),
}

impl RestoreScope {
    /// Whether definitions, accounts and other rows of the tenant as a whole are in this scope.
    pub fn has_managed(self, tenant: TenantId) -> bool {
        match self {
            Self::Everything => true,
            Self::Tenant(id) => id == tenant,
            Self::Shard(_) => false,
        }
    }

    /// Whether a session is in this scope. Queues of the broker itself belong to no shard.
    pub fn has_session(self, row: &SessionRow) -> bool {
        match self {
            Self::Shard(shard) => !row.is_of_broker() && shard.has_client(row.tenant, &row.client_id),
            Self::Everything | Self::Tenant(_) => self.has_managed(row.tenant),
        }
    }

    /// Whether the messages that are kept for a topic are in this scope: the retained one, and
    /// those that wait until their delay is over.
    pub fn has_topic(self, tenant: TenantId, topic: &str) -> bool {
        match self {
            Self::Shard(shard) => shard.has_topic(tenant, topic),
            Self::Everything | Self::Tenant(_) => self.has_managed(tenant),
        }
    }
}

/// One of several equal parts into which clients and topics are divided.
///
/// The shard of a session follows from tenant and Client Identifier, that of a retained message
/// from tenant and topic. So each node finds the shard before it knows the session, and all nodes
/// agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogShard {
    number: u16,
    count: NonZeroU16,
}

impl LogShard {
    /// All shards of a log that is divided into so many.
    pub fn all(count: NonZeroU16) -> impl Iterator<Item = Self> {
        (0..count.get()).map(move |number| Self { number, count })
    }

    /// Whether the sessions of a Client Identifier are in this shard, whoever their users are.
    pub fn has_client(self, tenant: TenantId, client_id: &str) -> bool {
        self.has(tenant, client_id)
    }

    /// Whether the retained message of a topic is in this shard, and those that are delayed for it.
    pub fn has_topic(self, tenant: TenantId, topic: &str) -> bool {
        self.has(tenant, topic)
    }

    fn has(self, tenant: TenantId, name: &str) -> bool {
        let hash = crc32c::crc32c_append(crc32c::crc32c(&tenant.0.to_be_bytes()), name.as_bytes());
        hash % u32::from(self.count.get()) == u32::from(self.number)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        DefinitionRow, KeeperRow, MessageId, ROUTE_CLIENT_IDS, Recovered, RecoveredSession, RetainedRow,
        SessionId, TenantRow, UserRow, Waiting,
    };

    fn session(tenant: u32, id: u64, client_id: &str) -> RecoveredSession {
        RecoveredSession {
            session: SessionRow::new(TenantId(tenant), SessionId(id), client_id),
            subscriptions: Vec::new(),
            queue: Vec::new(),
            waiting: Waiting::default(),
            pubrel: Vec::new(),
            qos2_received: Vec::new(),
        }
    }

    fn retained(tenant: u32, topic: &str) -> RetainedRow {
        RetainedRow {
            tenant: TenantId(tenant),
            topic: topic.into(),
            version: MessageId(1),
            payload: Bytes::new(),
            properties: Bytes::new(),
            qos: 1,
            published_at_ms: 0,
            expires_at_ms: None,
            keeper: KeeperRow::Broker,
        }
    }

    fn rows() -> Recovered {
        let tenant = |id| TenantRow { id: TenantId(id), name: format!("tenant {id}") };
        let mut rows = Recovered {
            tenants: vec![tenant(0), tenant(1)],
            next_message: MessageId(9),
            ..Recovered::default()
        };
        for number in 0..40 {
            rows.sessions.push(session(number % 2, number.into(), &format!("client {number}")));
            rows.retained.push(retained(number % 2, &format!("topic/{number}")));
        }
        rows.sessions.push(session(0, 40, ""));
        rows.sessions.push(session(1, 41, &format!("{ROUTE_CLIENT_IDS}Line")));
        rows
    }

    #[test]
    fn shards_divide_sessions_and_retained_messages() {
        let mut rows = rows();
        for shard in LogShard::all(NonZeroU16::new(3).unwrap()) {
            let part = rows.take(RestoreScope::Shard(shard));
            assert!(part.sessions.len() > 5 && part.retained.len() > 5, "{shard:?}");
            assert_eq!(part.next_message, MessageId(9), "numbers go on behind all contents");
        }
        let left: Vec<_> = rows.sessions.iter().map(|it| it.session.id.0).collect();
        assert_eq!(left, [40, 41], "queues of the broker belong to no shard");
        assert!(rows.retained.is_empty());
        assert_eq!(rows.tenants.len(), 2);
    }

    #[test]
    fn tenant_has_all_of_its_rows_and_no_others() {
        let mut rows = rows();
        let user = |tenant| UserRow {
            tenant: TenantId(tenant),
            name: "ann".into(),
            credential: String::new(),
            credential_version: 0,
            is_default_credential: false,
            groups: Vec::new(),
            settings: Vec::new(),
            created_at_ms: 0,
        };
        rows.users = vec![user(0), user(1)];
        let part = rows.take(RestoreScope::Tenant(TenantId(1)));
        assert!(part.sessions.iter().all(|it| it.session.tenant == TenantId(1)));
        assert_eq!((part.sessions.len(), part.retained.len(), part.users.len()), (21, 20, 1));
        assert_eq!((rows.sessions.len(), rows.retained.len(), rows.users.len()), (21, 20, 1));
        assert_eq!(part.definitions, Vec::<DefinitionRow>::new());
        let rest = rows.take(RestoreScope::Everything);
        assert_eq!((rest.sessions.len(), rest.users.len(), rows.sessions.len()), (21, 1, 0));
    }
}
