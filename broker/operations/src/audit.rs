//! Audit of a tenant: who did what to the broker, when, from where, with what result. Commands
//! reference §11.1.
//!
//! There are three sequences of records ([`trail`]): what administrators did, what others changed,
//! and logins, denials and what others asked for, so that nobody pushes the first out by doing much
//! of the others. The last is summed up by address and user ([`sums`]). A command that changed
//! something is flushed, and waited for, before its reply; everything else within [`AUDIT_DELAY`].
//!
//! Invariants: records are stored in the order of their numbers; no record holds a password, a
//! secret or a payload, because only what a verb allows of its arguments gets into one
//! (`redacted` of `command::verb::redaction`); what is noted for a message that was
//! denied, a login, or a command of access is bounded per second. Not here: reading it (`query`),
//! encryption (`store`).

mod chain;
mod query;
mod record;
mod shares;
mod start;
mod sums;
mod trail;

use std::fmt::Display;
use std::ops::ControlFlow;
use std::time::Duration;

use lotmq_auth::Identity;
use lotmq_changes::{Log, StoreError, TenantId, Ticket};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing::{debug, error, info};

use crate::limits::AUDIT_HEAD_INTERVAL;
use lotmq_core::connection::peer::Peer;
use lotmq_core::counters::Counters;
pub(crate) use query::Selection;
pub use record::{Event, Record};
pub use start::started;
use sums::{Sort, Sum, SummedCommand, Sums};
pub use trail::{Head, Kind};
use trail::{Trail, Urgency};

/// Time that a record may wait in memory; it is checked twice a second.
pub(crate) const AUDIT_DELAY: Duration = Duration::from_millis(500);

/// Audit of one tenant.
pub struct Audit {
    tenant: TenantId,
    settings: lotmq_config::Audit,
    administration: Mutex<Trail>,
    changes: Mutex<Trail>,
    access: Mutex<Trail>,
    sums: Sums,
}

impl Audit {
    /// Opens the audit, which continues the stored records.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(log: &dyn Log, tenant: TenantId, settings: lotmq_config::Audit) -> Result<Self, StoreError> {
        let open = |kind, records| Trail::open(log, tenant, kind, records).map(Mutex::new);
        Ok(Self {
            tenant,
            administration: open(Kind::Administration, settings.records)?,
            changes: open(Kind::Changes, settings.records)?,
            access: open(Kind::Access, settings.access_records)?,
            settings,
            sums: Sums::default(),
        })
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.settings.enabled
    }

    fn trail(&self, kind: Kind) -> &Mutex<Trail> {
        match kind {
            Kind::Administration => &self.administration,
            Kind::Changes => &self.changes,
            Kind::Access => &self.access,
        }
    }

    /// Adds a record.
    pub fn note(&self, kind: Kind, counters: &Counters, now_ms: u64, record: &Record<'_>) {
        if self.settings.enabled {
            self.trail(kind).lock().push(counters, now_ms, record);
        }
    }

    /// Records that a Client was accepted.
    pub(crate) fn accepted(&self, counters: &Counters, now_ms: u64, identity: &Identity, from: Peer) {
        if !self.admits(Sort::Accepted, counters, (from.for_login(), identity.user_name()), now_ms) {
            return;
        }
        let endpoint = from.to_string();
        let record = Record { endpoint: Some(&endpoint), ..Record::of(Event::Login, identity) };
        self.note(Kind::Access, counters, now_ms, &Record { result: Some("success"), ..record });
    }

    /// Records a refused login: the claimed user, and the reason.
    pub(crate) fn refused(
        &self,
        counters: &Counters,
        now_ms: u64,
        (user, client_id): (Option<&str>, &str),
        from: Peer,
        reason: &dyn Display,
    ) {
        if !self.admits(Sort::Refused, counters, (from.for_login(), user), now_ms) {
            return;
        }
        let (endpoint, reason) = (from.to_string(), reason.to_string());
        let record = Record {
            user,
            client_id: Some(client_id),
            endpoint: Some(&endpoint),
            result: Some(&reason),
            ..Record::new(Event::Login)
        };
        self.note(Kind::Access, counters, now_ms, &record);
    }

    /// Records that a rule denied somebody a topic.
    pub(crate) fn denied(
        &self,
        counters: &Counters,
        now_ms: u64,
        identity: &Identity,
        (scope, topic): (&str, &str),
    ) {
        if !self.admits(Sort::Denied, counters, (identity.peer, identity.user_name()), now_ms) {
            return;
        }
        let record = Record {
            scope: Some(scope),
            target: Some(topic),
            result: Some("DENIED"),
            ..Record::of(Event::Denial, identity)
        };
        self.note(Kind::Access, counters, now_ms, &record);
    }

    /// Records a command, in the sequence of this kind.
    pub(crate) fn command(
        &self,
        kind: Kind,
        counters: &Counters,
        now_ms: u64,
        identity: &Identity,
        record: &Record<'_>,
    ) {
        let from = (identity.peer, identity.user_name());
        let command = (record.verb, record.result.unwrap_or_default());
        if kind == Kind::Access && self.is_enabled() && !self.sums.admits_command(from, command, now_ms) {
            counters.audit_left_out.add(1);
            return;
        }
        self.note(kind, counters, now_ms, record);
    }

    /// Whether one more event of a sort is recorded; counts it if not.
    fn admits(
        &self,
        sort: Sort,
        counters: &Counters,
        (from, user): (lotmq_auth::Peer, Option<&str>),
        now_ms: u64,
    ) -> bool {
        if !self.settings.enabled {
            return false;
        }
        let admits = self.sums.admits(sort, from, user, now_ms);
        if !admits {
            counters.audit_left_out.add(1);
        }
        admits
    }

    /// Hands waiting records to the store; returns their ticket, if there were any.
    pub(crate) fn flush(&self, log: &dyn Log, counters: &Counters, now_ms: u64) -> Option<Ticket> {
        self.flush_with((self.sums.take(now_ms, false), Urgency::Whenever), log, counters, now_ms)
    }

    /// Hands waiting records to the store, as [`Audit::flush`]; where another thread has just done
    /// so, returns that ticket. For answers that wait until the record is stored.
    pub(crate) fn settle(&self, log: &dyn Log, counters: &Counters, now_ms: u64) -> Option<Ticket> {
        let sums = self.sums.take(now_ms, false);
        let _ = self.flush_with((sums, Urgency::Awaited), log, counters, now_ms);
        // Tickets are settled in their order, so that who waits for the later one has waited for
        // both.
        let of_changes = self.changes.lock().last_ticket();
        self.administration.lock().last_ticket().max(of_changes)
    }

    /// Hands all records to the store and reports the heads, because the broker stops.
    pub fn close(&self, log: &dyn Log, counters: &Counters, now_ms: u64, tenant: &str) {
        let sums = self.sums.take(now_ms, true);
        let ticket = self.flush_with((sums, Urgency::Awaited), log, counters, now_ms);
        let ticket = ticket.max(self.access.lock().flush(Urgency::Awaited, log, counters, now_ms));
        let is_stored = ticket.is_none_or(|ticket| log.wait(ticket).is_ok());
        for kind in Kind::ALL {
            if let Some(head) = self.trail(kind).lock().head_to_tell(now_ms, 0, |_| is_stored) {
                head.log(tenant);
            }
        }
    }

    fn flush_with(
        &self,
        (sums, urgency): (Vec<Sum>, Urgency),
        log: &dyn Log,
        counters: &Counters,
        now_ms: u64,
    ) -> Option<Ticket> {
        if !self.settings.enabled {
            return None;
        }
        let mut access = self.access.lock();
        for sum in &sums {
            note_sum(&mut access, counters, now_ms, sum);
        }
        // No command is answered behind these.
        let ticket = access.flush(Urgency::Whenever, log, counters, now_ms);
        drop(access);
        let of_administration = self.administration.lock().flush(urgency, log, counters, now_ms);
        ticket.max(self.flush_changes(urgency, log, counters, now_ms)).max(of_administration)
    }

    fn flush_changes(
        &self,
        urgency: Urgency,
        log: &dyn Log,
        counters: &Counters,
        now_ms: u64,
    ) -> Option<Ticket> {
        let mut changes = self.changes.lock();
        let ticket = changes.flush(urgency, log, counters, now_ms);
        if !changes.is_too_long() || !changes.is_flushed() {
            return ticket;
        }
        if let Err(error) = changes.make_room(log, counters) {
            debug!(%error, "no room is made in the audit yet");
        }
        ticket.max(changes.flush(urgency, log, counters, now_ms))
    }

    /// Heads that are to be reported now; `is_stored` says whether the disk has the batch of a
    /// ticket.
    pub(crate) fn heads_to_tell(&self, now_ms: u64, is_stored: impl Fn(Ticket) -> bool) -> Vec<Head> {
        let interval_ms = u64::try_from(AUDIT_HEAD_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        let due = |kind| self.trail(kind).lock().head_to_tell(now_ms, interval_ms, &is_stored);
        Kind::ALL.into_iter().filter_map(due).collect()
    }

    /// Ranges of records that were missing at the end of a sequence when the broker started: kind,
    /// first and last.
    pub(crate) fn missing(&self) -> Vec<(Kind, u64, u64)> {
        let missing = |kind| self.trail(kind).lock().missing().map(|(first, last)| (kind, first, last));
        Kind::ALL.into_iter().filter_map(missing).collect()
    }

    /// Removes records that are too old, from the oldest to the first that is not.
    pub(crate) fn expire(&self, log: &dyn Log, now_ms: u64) {
        for kind in Kind::ALL {
            let days = match kind {
                Kind::Administration | Kind::Changes => self.settings.days,
                Kind::Access => self.settings.access_days,
            };
            self.expire_kind(kind, days, log, now_ms);
        }
    }

    fn expire_kind(&self, kind: Kind, days: u32, log: &dyn Log, now_ms: u64) {
        const DAY_MS: u64 = 86_400_000;
        let before_ms = now_ms.saturating_sub(u64::from(days) * DAY_MS);
        let mut below = None;
        let read = log.read_audit(self.tenant, kind.records(), &mut |record| {
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
            self.trail(kind).lock().remove_below(below);
        }
    }
}

fn note_sum(trail: &mut Trail, counters: &Counters, now_ms: u64, sum: &Sum) {
    let is_of_commands = sum.sort == Sort::Command;
    let details = match is_of_commands {
        true if !sum.commands.is_empty() => Some(commands_of(sum)),
        false if !sum.users.is_empty() => Some(json!({ "users": sum.users.to_vec() })),
        _ => None,
    };
    let record = Record {
        user: sum.users.first().filter(|_| is_of_commands).map(|user| &**user),
        endpoint: sum.address.as_deref(),
        result: sum.sort.result(),
        details: details.as_ref(),
        left_out: Some(sum.count),
        ..Record::new(sum.sort.event())
    };
    trail.push(counters, now_ms, &record);
}

fn commands_of(sum: &Sum) -> Value {
    let of = |(deed, count): &(SummedCommand, u64)| json!({ "verb": deed.verb, "result": deed.result, "count": count });
    json!({ "commands": sum.commands.iter().map(of).collect::<Vec<_>>() })
}

impl Head {
    /// Logs the head: what is written there the broker cannot take back.
    pub(crate) fn log(&self, tenant: &str) {
        let (trail, number, hash) =
            (self.kind.name(), self.number, data_encoding::HEXLOWER.encode(&self.digest));
        info!(target: "audit", tenant, trail, number, hash, "audit head");
    }
}

#[cfg(test)]
mod tests;
