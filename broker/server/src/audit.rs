//! The audit of a tenant: who did what to the broker, when, from where, and what came of it. Commands reference §11.1.
//!
//! ```text
//! commands, logins, denials -> note: a numbered record, chained to the one before -> batch in memory -> flush: the store
//! ```
//!
//! A command that changed something is flushed, and waited for, before its reply; everything else within [`AUDIT_DELAY`].
//!
//! Invariants: numbers are given without a gap and records are stored in their order; no record holds a password, a secret or a payload, because only
//! what a verb allows of its arguments gets into one ([`Shown`](crate::command::Shown)); what is noted for a message that was denied, or a login, is
//! bounded per second. Not here: reading it (`query`), encryption (`store`).

mod chain;
mod query;
mod record;
mod sampler;
mod start;

use std::fmt::Display;
use std::ops::ControlFlow;
use std::time::Duration;

use lotmq_auth::Identity;
use lotmq_store::{Batch, Op, Store, StoreError, TenantId, Ticket};
use parking_lot::Mutex;
use tracing::error;

use crate::config;
use crate::counters::Counters;
use crate::limits::{
    AUDIT_DENIALS_PER_SECOND, AUDIT_LOGINS_PER_SECOND, AUDIT_REFUSALS_PER_SECOND, AUDIT_WAITING_MAX,
};
use chain::Digest;
pub(crate) use query::Selection;
pub(crate) use record::{Event, Record};
use sampler::Sampler;
pub(crate) use start::started;

/// How long a record may wait in memory before somebody looks, twice a second.
pub(crate) const AUDIT_DELAY: Duration = Duration::from_millis(500);

/// See the module's documentation.
pub(crate) struct Audit {
    tenant: TenantId,
    settings: config::Audit,
    state: Mutex<State>,
    logins: Sampler,
    refusals: Sampler,
    denials: Sampler,
}

#[derive(Debug)]
struct State {
    /// Number of the oldest record.
    first: u64,
    /// Number of the next record, and the digest of the one before.
    next: u64,
    digest: Digest,
    batch: Batch,
    /// Records in the batch.
    waiting: usize,
    /// Records that found no room since the last flush.
    lost: u64,
}

impl Audit {
    /// Goes on where the stored records end.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn open(store: &Store, tenant: TenantId, settings: config::Audit) -> Result<Self, StoreError> {
        let ends = store.audit_ends(tenant)?;
        let (first, next, last) = ends.map_or((1, 1, None), |ends| (ends.first, ends.next, ends.last));
        let digest = last.map_or(chain::BEGIN, |last| last.digest);
        let state = State { first, next, digest, batch: Batch::new(), waiting: 0, lost: 0 };
        Ok(Self {
            tenant,
            settings,
            state: Mutex::new(state),
            logins: Sampler::new(AUDIT_LOGINS_PER_SECOND),
            refusals: Sampler::new(AUDIT_REFUSALS_PER_SECOND),
            denials: Sampler::new(AUDIT_DENIALS_PER_SECOND),
        })
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.settings.enabled
    }

    /// Adds a record.
    pub(crate) fn note(&self, counters: &Counters, now_ms: u64, record: &Record<'_>) {
        if self.settings.enabled {
            self.state.lock().push(self.tenant, counters, now_ms, record);
        }
    }

    /// A Client was accepted.
    pub(crate) fn accepted(
        &self,
        counters: &Counters,
        now_ms: u64,
        identity: &Identity,
        endpoint: &dyn Display,
    ) {
        if !self.admits(&self.logins, counters, now_ms) {
            return;
        }
        let endpoint = endpoint.to_string();
        let record = Record { endpoint: Some(&endpoint), ..Record::of(Event::Login, identity) };
        self.note(counters, now_ms, &Record { result: Some("success"), ..record });
    }

    /// A login was refused: of whom it said it was, and why.
    pub(crate) fn refused(
        &self,
        counters: &Counters,
        now_ms: u64,
        (user, client_id): (Option<&str>, &str),
        endpoint: &dyn Display,
        reason: &dyn Display,
    ) {
        if !self.admits(&self.refusals, counters, now_ms) {
            return;
        }
        let (endpoint, reason) = (endpoint.to_string(), reason.to_string());
        let record = Record {
            user,
            client_id: Some(client_id),
            endpoint: Some(&endpoint),
            result: Some(&reason),
            ..Record::new(Event::Login)
        };
        self.note(counters, now_ms, &record);
    }

    /// A rule denied what somebody wanted to do with a topic.
    pub(crate) fn denied(
        &self,
        counters: &Counters,
        now_ms: u64,
        identity: &Identity,
        (scope, topic): (&str, &str),
    ) {
        if !self.admits(&self.denials, counters, now_ms) {
            return;
        }
        let record = Record {
            scope: Some(scope),
            target: Some(topic),
            result: Some("DENIED"),
            ..Record::of(Event::Denial, identity)
        };
        self.note(counters, now_ms, &record);
    }

    /// Whether one more of a sort is recorded; counts it if not.
    fn admits(&self, sampler: &Sampler, counters: &Counters, now_ms: u64) -> bool {
        if !self.settings.enabled {
            return false;
        }
        let admits = sampler.admits(now_ms);
        if !admits {
            counters.audit_left_out.add(1);
        }
        admits
    }

    /// Hands what waits to the store; the ticket of it, if there is something.
    pub(crate) fn flush(&self, store: &Store, counters: &Counters, now_ms: u64) -> Option<Ticket> {
        if !self.settings.enabled {
            return None;
        }
        let left_out = [
            (Event::Login, "success", self.logins.take_left_out(now_ms)),
            (Event::Login, "refused", self.refusals.take_left_out(now_ms)),
            (Event::Denial, "DENIED", self.denials.take_left_out(now_ms)),
        ];
        let mut state = self.state.lock();
        for (event, result, count) in left_out.into_iter().filter(|(.., count)| *count > 0) {
            let record = Record { result: Some(result), left_out: Some(count), ..Record::new(event) };
            state.push(self.tenant, counters, now_ms, &record);
        }
        state.flush(self.tenant, self.settings.records, store, counters, now_ms)
    }

    /// Removes what is too old, from the oldest record on to the first that is not.
    pub(crate) fn expire(&self, store: &Store, now_ms: u64) {
        const DAY_MS: u64 = 86_400_000;
        let before_ms = now_ms.saturating_sub(u64::from(self.settings.days) * DAY_MS);
        let mut below = None;
        let read = store.audit(self.tenant, 0, |record| {
            if record.at_ms >= before_ms {
                return ControlFlow::Break(());
            }
            below = Some(record.number + 1);
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            return error!(%error, "the audit cannot be read");
        }
        if let Some(below) = below {
            let mut state = self.state.lock();
            state.batch.push(Op::DeleteAudit { tenant: self.tenant, below });
            state.first = state.first.max(below);
        }
    }
}

impl State {
    fn push(&mut self, tenant: TenantId, counters: &Counters, now_ms: u64, record: &Record<'_>) {
        if self.waiting >= AUDIT_WAITING_MAX {
            self.lost += 1;
            counters.audit_lost.add(1);
            return;
        }
        let text = record.to_json(now_ms);
        self.digest = chain::digest(&self.digest, self.next, now_ms, text.as_bytes());
        let (number, digest) = (self.next, self.digest);
        self.batch.push(Op::PutAudit { tenant, number, at_ms: now_ms, digest, text: &text });
        self.next += 1;
        self.waiting += 1;
        counters.audit_records.add(1);
    }

    fn flush(
        &mut self,
        tenant: TenantId,
        records_max: u32,
        store: &Store,
        counters: &Counters,
        now_ms: u64,
    ) -> Option<Ticket> {
        if self.batch.is_empty() {
            return None;
        }
        let records_max = u64::from(records_max);
        if self.next - self.first > records_max {
            // A hundredth more than must go, so that most commits touch the newest rows only.
            self.first = self.next - records_max + records_max / 100;
            self.batch.push(Op::DeleteAudit { tenant, below: self.first });
        }
        match store.offer(std::mem::take(&mut self.batch)) {
            Ok(ticket) => {
                self.waiting = 0;
                let lost = std::mem::take(&mut self.lost);
                if lost > 0 {
                    let record = Record { left_out: Some(lost), ..Record::new(Event::Lost) };
                    self.push(tenant, counters, now_ms, &record);
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
}

#[cfg(test)]
mod tests;
