//! Recovery of tenants at a start, with everything that is managed of them, and of values that LoT
//! kept. Sessions and retained messages are the core's ([`lotmq_core::recover`]).

mod deployed;
mod tenants;

pub(crate) use deployed::deployed;
pub(crate) use tenants::{keeps, tenants};

use lotmq_changes::{DelayedRow, RetainedRow};

use crate::management::broker::Broker;

/// Restores the messages that no session has: retained ones, and those that wait until their delay
/// is over.
pub(crate) fn messages(broker: &Broker, (retained, delayed): (Vec<RetainedRow>, Vec<DelayedRow>)) {
    let tenants = broker.tenants.all();
    lotmq_core::recover::retained(broker, &tenants, retained);
    lotmq_core::recover::delayed(&broker.context, &tenants, delayed);
}

#[cfg(test)]
mod tests {
    use lotmq_changes::{Batch, Op, SessionRow, TenantId};

    use crate::testing::Running;

    /// A crash may come between the removal of a user and the end of their sessions.
    #[test]
    fn sessions_come_back_by_user_and_identifier_and_none_of_a_user_who_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::start_in(dir.path(), "os");
        let store = &running.server.broker.store;
        // Of two of one user and identifier the later counts.
        let users = [None, Some("root"), Some("ghost"), Some("root")];
        let ids = users.map(|user| {
            let row = SessionRow {
                user: user.map(str::to_owned),
                ..SessionRow::new(TenantId::DEFAULT, store.next_session_id(), "same")
            };
            let mut batch = Batch::new();
            batch.push(Op::PutSession(&row));
            store.commit(batch).unwrap();
            row.id
        });
        running.server.stop();
        for _ in 0..2 {
            let running = Running::start_in(dir.path(), "os");
            let tenant = running.server.broker.tenants.default_tenant();
            let mut found: Vec<_> = tenant
                .all_sessions()
                .iter()
                .map(|client| (client.user.clone(), client.stored_id()))
                .collect();
            found.sort();
            assert_eq!(found, [(None, ids[0]), (Some("root".into()), ids[3])]);
            running.server.stop();
        }
    }
}
