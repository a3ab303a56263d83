//! Kept values on their way to the log: those that have changed, of each topic the newest, in one
//! batch.
//!
//! Nobody waits for them: they are written some time after they change, and what the log does not
//! take stays with the others that have changed.

use lotmq_auth::AccountReference;
use lotmq_changes::{Batch, KeepRow, Log, Op, StoreError, TenantId, Ticket};
use lotmq_definitions::{LastValues, Owner};

/// Offers at most `topics_max` kept values that have changed to the log; `None` when nothing has.
/// One caller at a time for each tenant, or an older value may come behind a newer one.
///
/// # Errors
/// When the log takes nothing.
pub fn save(
    values: &LastValues,
    log: &dyn Log,
    (tenant, wall_ms): (TenantId, u64),
    topics_max: usize,
) -> Result<Option<Ticket>, StoreError> {
    let (mut batch, mut topics) = (Batch::new(), Vec::new());
    values.take_unsaved(topics_max, |topic, value| {
        topics.push(topic.to_owned());
        match value {
            Some(kept) => batch.push(Op::PutKeep(&KeepRow {
                tenant,
                topic: topic.to_owned(),
                payload: bytes::Bytes::copy_from_slice(kept.payload),
                kept_at_ms: wall_ms,
                user: kept
                    .keeper
                    .user
                    .map(|Owner { name, account }| AccountReference { name, number: *account }.stored()),
            })),
            None => batch.push(Op::DeleteKeep { tenant, topic }),
        }
    });
    if topics.is_empty() {
        return Ok(None);
    }
    log.offer(batch).map(Some).map_err(|(error, _)| {
        values.save_again(topics);
        error
    })
}

#[cfg(test)]
mod tests {
    use lotmq_definitions::{CacheLimits, ValueKeeper};
    use lotmq_store::{Durability, Store, StoreOptions};

    use super::*;

    #[test]
    fn value_rejected_by_the_store_is_saved_later() {
        let options = StoreOptions { durability: Durability::None, ..StoreOptions::new("unused") };
        let store = Store::open(options, Box::new(|_| {})).unwrap().0;
        let values = LastValues::new(CacheLimits::default());
        values.keep(ValueKeeper::NOBODY, "a", b"1").unwrap();
        values.keep(ValueKeeper::NOBODY, "b", b"2").unwrap();
        let save_one = || save(&values, &store, (TenantId::DEFAULT, 0), 1);
        assert!(matches!(save_one(), Ok(Some(_))));
        store.close();
        assert!(matches!(save_one(), Err(StoreError::Closed)));
        let mut unsaved = Vec::new();
        values.take_unsaved(usize::MAX, |topic, value| {
            unsaved.push((topic.to_owned(), value.map(|kept| kept.payload.to_vec())));
        });
        assert_eq!(unsaved, [("b".to_owned(), Some(b"2".to_vec()))]);
    }
}
