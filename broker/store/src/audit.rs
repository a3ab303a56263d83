//! Reads the audit: decrypted records in the order of their numbers.
//!
//! The server decides the text, number and digest of a record. This module keeps records in order
//! and removes the oldest first. It also finds the first and last numbers of each stretch.

use std::ops::{ControlFlow, RangeInclusive};

use lotmq_changes::table::{AuditRow, Table, audit_key, read};
use lotmq_changes::{
    AuditEnds, AuditRecord, CommitError, CommitErrorKind, SnapshotError, StoreError, TenantId,
};
use redb::ReadTransaction;

use crate::load;
use crate::load_error::LoadError;
use crate::secret::SecretCipher;
use crate::snapshot::Snapshot;
use crate::store::Store;

impl Store {
    /// Reads the records of a tenant with these numbers, oldest first, until `visit` has enough.
    /// Returns how many are damaged and were left out. Everything is there that was appended
    /// before; what is appended meanwhile only where the store fails and is opened again.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::CommitFailed`] when the file cannot be read.
    pub fn audit(
        &self,
        tenant: TenantId,
        numbers: RangeInclusive<u64>,
        mut visit: impl FnMut(AuditRecord) -> ControlFlow<()>,
    ) -> Result<u64, StoreError> {
        // `from` is the number at which the next snapshot continues if this one is lost.
        let (mut from, mut damaged) = (Some(*numbers.start()), 0);
        let visited = self.in_snapshot(SnapshotError::is_lost, |snapshot| {
            let Some(first) = from.filter(|first| numbers.contains(first)) else { return Ok(()) };
            each(&snapshot, tenant, first..=*numbers.end(), |number, row| {
                let Some(row) = row else {
                    damaged += 1;
                    from = number.checked_add(1);
                    return ControlFlow::Continue(());
                };
                let flow = visit(opened(&self.cipher, row));
                from = number.checked_add(1).filter(|_| flow.is_continue());
                flow
            })
        });
        visited?.map_err(unreadable)?;
        Ok(damaged)
    }

    /// The first and the last record of a tenant with these numbers; `None` when it has none. Costs
    /// no more than looking them up.
    ///
    /// # Errors
    /// As [`Store::audit`].
    pub fn audit_ends(
        &self,
        tenant: TenantId,
        numbers: RangeInclusive<u64>,
    ) -> Result<Option<AuditEnds>, StoreError> {
        let (first, last) = (audit_key(tenant, *numbers.start()), audit_key(tenant, *numbers.end()));
        let ends_of = |transaction: &ReadTransaction| {
            let table = load::open(transaction, Table::Audit)?;
            let rows = || table.range(first.as_slice()..=last.as_slice());
            let Some((oldest, _)) = rows()?.next().transpose()? else { return Ok(None) };
            let first = number(oldest.value());
            let mut next = None;
            for row in rows()?.rev() {
                let (key, value) = row?;
                next.get_or_insert(number(key.value()).saturating_add(1));
                if let Ok(row) = read::<AuditRow>(key.value(), value.value()) {
                    return Ok(Some((first, next, Some(row))));
                }
            }
            Ok(Some((first, next, None)))
        };
        let ends = self.in_snapshot(SnapshotError::is_lost, |snapshot| snapshot.read(ends_of))?;
        let Some((first, next, last)) = ends.map_err(unreadable)? else { return Ok(None) };
        let last = last.map(|row| opened(&self.cipher, row));
        Ok(Some(AuditEnds { first, next: next.unwrap_or(first), last }))
    }
}

/// The number in a key, which was written here; 0 in one that is too short.
fn number(key: &[u8]) -> u64 {
    key.get(4..12).and_then(|number| number.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// Visits the rows of a tenant, each with its number; `None` stands for one that is damaged.
fn each(
    snapshot: &Snapshot,
    tenant: TenantId,
    numbers: RangeInclusive<u64>,
    mut visit: impl FnMut(u64, Option<AuditRow>) -> ControlFlow<()>,
) -> Result<(), SnapshotError> {
    let (first, last) = (audit_key(tenant, *numbers.start()), audit_key(tenant, *numbers.end()));
    snapshot.read(|transaction| -> Result<(), LoadError> {
        for row in load::open(transaction, Table::Audit)?.range(first.as_slice()..=last.as_slice())? {
            let (key, value) = row?;
            let (number, row) = (number(key.value()), read(key.value(), value.value()).ok());
            // Rows that were read after the loss of the snapshot may be garbage.
            if snapshot.is_lost() || visit(number, row).is_break() {
                break;
            }
        }
        Ok(())
    })
}

fn opened(cipher: &SecretCipher, row: AuditRow) -> AuditRecord {
    let (digest, text) = cipher.open_audit(&row).unzip();
    let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
    AuditRecord { number: row.number, at_ms: row.at_ms, digest: digest.or(row.digest), text }
}

fn unreadable(error: SnapshotError) -> StoreError {
    StoreError::CommitFailed(CommitError { kind: CommitErrorKind::Io, detail: error.to_string().into() })
}
