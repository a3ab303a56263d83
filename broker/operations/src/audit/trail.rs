//! Trails: the three sequences of records of a tenant, each with its own numbers, chain and
//! retention.
//!
//! ```text
//! push: a numbered record, chained to the one before -> batch in memory
//!     -> flush: the store, with the head in the same batch
//! ```
//!
//! The head holds the number of records and the digest of the newest, encrypted as they are. So a
//! loss of the newest is noticed. Only an outside observer can see that file and head were both put
//! back to an earlier state. So heads are published ([`Trail::head_to_tell`]).
//!
//! Invariants: numbers are given without a gap; a published head is on the disk.

use std::ops::RangeInclusive;

use lotmq_changes::{AuditRecord, Batch, Log, Op, StoreError, TenantId, Ticket};
use tracing::error;

use super::chain::{self, Digest};
use super::record::{Event, Record};
use super::shares::Actors;
use crate::limits::{AUDIT_HEAD_RECORDS, AUDIT_WAITING_MAX};
use lotmq_core::counters::Counters;

/// Kind of a sequence of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Changes by administrators; starts and changes of the configuration.
    Administration,
    /// Changes by others, who have the right or set their own password: they must not push out
    /// those of administrators.
    Changes,
    /// Logins, denials, and queries and refused commands of others.
    Access,
}

/// Numbers of a kind of records in the store begin at a multiple of this.
const NUMBERS: u64 = 1 << 62;

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Self; 3] = [Self::Administration, Self::Access, Self::Changes];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Administration => "administration",
            Self::Access => "access",
            Self::Changes => "changes",
        }
    }

    /// Kind of a record by its number in the store.
    pub(super) fn of(stored: u64) -> Self {
        match stored / NUMBERS {
            0 => Self::Administration,
            1 => Self::Access,
            _ => Self::Changes,
        }
    }

    /// Number for people: from 1.
    pub(super) fn display_number(self, stored: u64) -> u64 {
        stored - self.base()
    }

    fn base(self) -> u64 {
        match self {
            Self::Administration => 0,
            Self::Access => NUMBERS,
            Self::Changes => 2 * NUMBERS,
        }
    }

    /// Numbers of its records in the store.
    pub(super) fn records(self) -> RangeInclusive<u64> {
        self.base() + 1..=self.head() - 1
    }

    /// Number of its head in the store.
    fn head(self) -> u64 {
        self.base() + (NUMBERS - 1)
    }
}

/// Head of a sequence: its newest record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub(crate) kind: Kind,
    /// Number for people; 0 before the first record.
    pub(crate) number: u64,
    pub(crate) digest: Digest,
}

impl Head {
    fn text(&self) -> String {
        format!("{} {}", self.number, data_encoding::HEXLOWER.encode(&self.digest))
    }

    fn read(kind: Kind, text: &str) -> Option<Self> {
        let (number, digest) = text.split_once(' ')?;
        let digest = data_encoding::HEXLOWER.decode(digest.as_bytes()).ok()?.try_into().ok()?;
        let number = number.parse().ok().filter(|number| *number < NUMBERS / 2)?;
        Some(Self { kind, number, digest })
    }
}

/// Urgency of records on their way to the store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Urgency {
    /// An answer waits for them: the store takes them however much waits for the disk.
    Awaited,
    /// Nobody waits for them: while the store is full they stay where they are.
    Whenever,
}

/// Sequence of records.
#[derive(Debug)]
pub(super) struct Trail {
    pub(super) tenant: TenantId,
    pub(super) kind: Kind,
    /// Most records; beyond it the oldest are removed.
    pub(super) records_max: u64,
    /// Number of the oldest record in the store.
    pub(super) first: u64,
    /// Number of the next record in the store.
    pub(super) next: u64,
    digest: Digest,
    batch: Batch,
    /// Number of records in the batch.
    waiting: usize,
    /// Number of records that found no room since the last flush.
    lost: u64,
    /// Head that was handed to the store last, with its ticket.
    flushed: Option<(Head, Ticket)>,
    /// Number and time of the head that was reported last.
    told: (u64, u64),
    /// Number of records of each actor, where that was counted.
    pub(super) actors: Option<Actors>,
    /// Records that the head knew at the start and the store did not have any more: the first and
    /// the last, as people see them.
    missing: Option<(u64, u64)>,
}

impl Trail {
    /// Opens the sequence, which continues the stored records.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn open(
        log: &dyn Log,
        tenant: TenantId,
        kind: Kind,
        records_max: u32,
    ) -> Result<Self, StoreError> {
        let ends = log.audit_ends(tenant, kind.records())?;
        let begin = *kind.records().start();
        let (first, mut next, last) =
            ends.map_or((begin, begin, None), |ends| (ends.first, ends.next, ends.last));
        let mut digest = last.and_then(|last| last.digest).unwrap_or(chain::BEGIN);
        let mut missing = None;
        if let Some(head) = stored_head(log, tenant, kind)? {
            let known = kind.base() + head.number + 1;
            if known > next {
                missing = Some((kind.display_number(next), head.number));
                error!(
                    trail = kind.name(),
                    first = kind.display_number(next),
                    last = head.number,
                    "records of the audit are gone that were there: the newest ones"
                );
                // The gap stays visible in the chain.
                next = known;
                digest = head.digest;
            }
        }
        let records_max = u64::from(records_max);
        Ok(Self {
            tenant,
            kind,
            records_max,
            first,
            next,
            digest,
            batch: Batch::new(),
            waiting: 0,
            lost: 0,
            flushed: None,
            told: (0, 0),
            actors: None,
            missing,
        })
    }

    /// Newest record, stored or not.
    pub(super) fn head(&self) -> Head {
        Head { kind: self.kind, number: self.kind.display_number(self.next) - 1, digest: self.digest }
    }

    /// Whether everything was handed to the store.
    pub(super) fn is_flushed(&self) -> bool {
        self.waiting == 0
    }

    /// Ticket with which records were handed to the store last.
    pub(super) fn last_ticket(&self) -> Option<Ticket> {
        self.flushed.map(|(_, ticket)| ticket)
    }

    pub(super) fn missing(&self) -> Option<(u64, u64)> {
        self.missing
    }

    pub(super) fn push(&mut self, counters: &Counters, now_ms: u64, record: &Record<'_>) {
        if self.waiting >= AUDIT_WAITING_MAX {
            self.lost += 1;
            counters.audit_lost.add(1);
            return;
        }
        if let Some(actors) = &mut self.actors {
            actors.add(record.counts_for.or(record.user).unwrap_or_default());
        }
        self.append(counters, now_ms, &record.to_json(now_ms));
    }

    /// Adds a record with these contents.
    pub(super) fn append(&mut self, counters: &Counters, at_ms: u64, text: &str) {
        self.digest = chain::digest(&self.digest, self.next, at_ms, text.as_bytes());
        let (tenant, number, digest) = (self.tenant, self.next, self.digest);
        self.batch.push(Op::PutAudit { tenant, number, at_ms, digest, text });
        self.next += 1;
        self.waiting += 1;
        counters.audit_records.add(1);
    }

    /// Numbers of its records in the store.
    pub(super) fn stored(&self) -> RangeInclusive<u64> {
        self.first..=self.kind.head() - 1
    }

    /// Whether there are more records than there should be.
    pub(super) fn is_too_long(&self) -> bool {
        self.next - self.first > self.records_max
    }

    /// Removes records older than the one with this number in the store.
    pub(super) fn remove_below(&mut self, below: u64) {
        if below > self.first {
            self.actors = None;
            self.batch.push(Op::DeleteAudit { tenant: self.tenant, from: self.kind.base(), below });
            self.first = below;
        }
    }

    /// Hands waiting records to the store; returns their ticket, if there were any and it took
    /// them.
    pub(super) fn flush(
        &mut self,
        urgency: Urgency,
        log: &dyn Log,
        counters: &Counters,
        now_ms: u64,
    ) -> Option<Ticket> {
        if self.batch.is_empty() {
            return None;
        }
        // A sequence with shares of actors makes room by them (`shares`), unless that fails for
        // long.
        let spare = if self.kind == Kind::Changes { self.records_max / 4 } else { 0 };
        if self.next - self.first > self.records_max + spare {
            // A hundredth more than must go, so that most commits touch the newest rows only.
            self.remove_below(self.next - self.records_max + self.records_max / 100);
        }
        let (tenant, number, head) = (self.tenant, self.kind.head(), self.head());
        self.batch.push(Op::PutAudit { tenant, number, at_ms: now_ms, digest: [0; 32], text: &head.text() });
        let batch = std::mem::take(&mut self.batch);
        let taken = match urgency {
            Urgency::Awaited => log.append(batch).map_err(|error| (error, Batch::new())),
            Urgency::Whenever => log.offer(batch),
        };
        match taken {
            Ok(ticket) => {
                self.waiting = 0;
                self.flushed = Some((head, ticket));
                let lost = std::mem::take(&mut self.lost);
                if lost > 0 {
                    let record = Record { left_out: Some(lost), ..Record::new(Event::Lost) };
                    self.push(counters, now_ms, &record);
                }
                Some(ticket)
            }
            Err((error, batch)) => {
                if !matches!(error, StoreError::Closed) {
                    self.batch = batch;
                }
                None
            }
        }
    }

    /// Head, if it is to be reported now: so many records or `interval_ms` after the last report,
    /// and once `is_stored` says that the disk has it.
    pub(super) fn head_to_tell(
        &mut self,
        now_ms: u64,
        interval_ms: u64,
        is_stored: impl FnOnce(Ticket) -> bool,
    ) -> Option<Head> {
        let (head, ticket) = self.flushed?;
        let (told, at_ms) = self.told;
        let is_due = head.number >= told + AUDIT_HEAD_RECORDS || now_ms >= at_ms.saturating_add(interval_ms);
        if head.number == told || !is_due || !is_stored(ticket) {
            return None;
        }
        self.told = (head.number, now_ms);
        Some(head)
    }
}

fn stored_head(log: &dyn Log, tenant: TenantId, kind: Kind) -> Result<Option<Head>, StoreError> {
    let mut found: Option<AuditRecord> = None;
    log.read_audit(tenant, kind.head()..=kind.head(), &mut |record| {
        found = Some(record);
        std::ops::ControlFlow::Break(())
    })?;
    Ok(found.and_then(|record| Head::read(kind, &record.text?)))
}
