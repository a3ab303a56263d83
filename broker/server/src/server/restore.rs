//! Restoring from the rows of a log: everything at a start, or a tenant or a shard that a running
//! broker takes over.
//!
//! [`tenants`] makes the tenants with their accounts, environment and secrets. [`restore`] fills
//! them. Sessions, retained messages and messages with a delay are the core's
//! ([`lotmq_core::restore`]).

mod deployed;
mod tenants;

use std::sync::Arc;

use lotmq_changes::{Recovered, RestoreScope, StoreError};

use lotmq_core::tenant::Tenant;
use lotmq_operations::assets;
use lotmq_operations::broker::Broker;
use lotmq_programs::interrupted_runs::{self, Unfinished};
use lotmq_programs::outboxes;

pub(crate) use deployed::deployed;
use tenants::keeps;
pub(crate) use tenants::tenants;

/// Restores what `rows` have of a scope, and takes it out of them. Returns the runs that are to be
/// started again.
///
/// The tenants of the scope have been made, and the executor runs. `ON START` has not run.
///
/// # Errors
/// When the log takes nothing.
pub(crate) fn restore(
    broker: &Broker,
    scope: RestoreScope,
    rows: &mut Recovered,
) -> Result<Vec<Unfinished>, StoreError> {
    let mut rows = rows.take(scope);
    let all = broker.hosting.tenants.all();
    let tenants: Vec<Arc<Tenant>> = all.iter().filter(|it| scope.has_managed(it.id)).cloned().collect();
    let unfinished = interrupted_runs::recover(&broker.hosting, &tenants, &mut rows.sessions)?;
    outboxes::recover(&broker.hosting, &mut rows.sessions);
    // Quarantined rows may come back, and then need the values that belong to them.
    let are_all_known = broker.quarantined.is_empty();
    keeps(&tenants, &mut rows, are_all_known);
    lotmq_core::restore::restore(&broker.hosting.context, &all, &mut rows);
    if !tenants.is_empty() {
        deployed(broker, &tenants, &mut rows);
        assets::restore(&broker.hosting, &tenants);
        assets::tell_lost(&tenants);
    }
    Ok(unfinished)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::path::Path;
    use std::sync::Arc;

    use lotmq_changes::{
        Batch, DefinitionRow, LogShard, Op, RecoveredQueues, RestoreScope, SessionRow, TenantId, TenantRow,
    };
    use lotmq_core::tenant::client::Client;
    use lotmq_definitions::DefinitionKind;

    use super::restore;
    use crate::testing::Running;
    use lotmq_operations::broker::Broker;
    use lotmq_programs::HasPrograms as _;

    const ACME: TenantId = TenantId(1);
    const CLIENTS: usize = 10;

    /// Starts a broker with a second tenant.
    fn start(dir: &Path) -> Running {
        let running = Running::start_in(dir, "os");
        let mut batch = Batch::new();
        batch.push(Op::PutTenant(&TenantRow { id: ACME, name: "acme".into() }));
        running.server.broker.core.log.commit(batch).unwrap();
        running.server.stop();
        Running::start_in(dir, "os")
    }

    /// Stores sessions of both tenants, and a definition of the second one.
    fn fill(broker: &Broker) {
        let mut batch = Batch::new();
        for number in 0..CLIENTS {
            for tenant in [TenantId::DEFAULT, ACME] {
                let id = broker.core.ids.next_session();
                batch.push(Op::PutSession(&SessionRow::new(tenant, id, &format!("client {number}"))));
            }
        }
        batch.push(Op::PutDefinition(&DefinitionRow {
            tenant: ACME,
            kind: DefinitionKind::Action.key().into(),
            name: "Relay".into(),
            source: "DEFINE ACTION Relay ON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n".into(),
            owner: "root".into(),
            origin: String::new(),
            order: 1,
            changed_at_ms: 1,
            state: Vec::new(),
        }));
        broker.core.log.commit(batch).unwrap();
    }

    /// Sessions of the tenants of a broker.
    fn sessions(broker: &Broker) -> [usize; 2] {
        [0, 1].map(|tenant| broker.hosting.tenants.all()[tenant].sessions.lock().len())
    }

    #[test]
    fn running_broker_takes_over_a_tenant_and_shards() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [former, owner] = [start(dirs[0].path()), start(dirs[1].path())];
        fill(&former.server.broker);
        let contents = || {
            let snapshot = former.server.broker.hosting.archive.snapshot().unwrap();
            snapshot.contents(RecoveredQueues::Sent).unwrap()
        };
        let (mut rows, broker) = (contents(), &owner.server.broker);
        restore(broker, RestoreScope::Tenant(ACME), &mut rows).unwrap();
        assert_eq!(sessions(broker), [0, CLIENTS]);
        let acme = &broker.hosting.tenants.all()[1];
        let guests = &acme.programs().guests;
        let relay =
            guests.registry.read().get(DefinitionKind::Action, "Relay").cloned().expect("it is there");
        assert!(guests.runner(relay.id).is_some());

        let mut found = 0;
        for shard in LogShard::all(NonZeroU16::new(2).unwrap()) {
            restore(broker, RestoreScope::Shard(shard), &mut rows).unwrap();
            let [of_default, of_acme] = sessions(broker);
            let is_in = |number: &usize| shard.has_client(TenantId::DEFAULT, &format!("client {number}"));
            found += (0..CLIENTS).filter(is_in).count();
            assert_eq!((of_default, of_acme), (found, CLIENTS));
        }
        assert_eq!(found, CLIENTS);
        assert!(broker.core.ids.next_message() >= rows.next_message);

        // Sessions that are in memory already stay as they are.
        let sessions_of_default = || {
            let mut all = broker.hosting.tenants.all()[0].all_sessions();
            all.sort_by_key(|client| client.stored_id());
            all
        };
        let before = sessions_of_default();
        for shard in LogShard::all(NonZeroU16::MIN) {
            restore(broker, RestoreScope::Shard(shard), &mut contents()).unwrap();
        }
        let is_same = |(now, before): (Arc<Client>, &Arc<Client>)| Arc::ptr_eq(&now, before);
        assert!(sessions_of_default().into_iter().zip(&before).all(is_same));
        assert_eq!(sessions(broker), [CLIENTS; 2]);
        former.server.stop();
        owner.server.stop();
    }

    /// A crash may come between the removal of a user and the end of their sessions.
    #[test]
    fn sessions_come_back_by_user_and_identifier_and_none_of_a_user_who_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::start_in(dir.path(), "os");
        let broker = &running.server.broker;
        // Of two of one user and identifier the later counts.
        let users = [None, Some("root"), Some("ghost"), Some("root")];
        let ids = users.map(|user| {
            let row = SessionRow {
                user: user.map(str::to_owned),
                ..SessionRow::new(TenantId::DEFAULT, broker.core.ids.next_session(), "same")
            };
            let mut batch = Batch::new();
            batch.push(Op::PutSession(&row));
            broker.core.log.commit(batch).unwrap();
            row.id
        });
        running.server.stop();
        for _ in 0..2 {
            let running = Running::start_in(dir.path(), "os");
            let tenant = running.server.broker.hosting.tenants.default_tenant();
            let mut found: Vec<_> = tenant
                .all_sessions()
                .iter()
                .map(|client| (client.user().cloned(), client.stored_id()))
                .collect();
            found.sort();
            assert_eq!(found, [(None, ids[0]), (Some("root".into()), ids[3])]);
            running.server.stop();
        }
    }
}
