//! Queries of the audit: its status, records of a day, all of it. Runs on threads of commands; each
//! record is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Instant;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lotmq_changes::{AuditRecord, Log, StoreError};
use lotmq_pulse::goes_on;
use serde_json::{Map, Value, json};

use super::chain::{self, Digest};
use super::{Audit, Head, Kind};

/// Selection of records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Day in UTC; all days if there is none.
    pub(crate) day: Option<Date>,
    /// Text that the record contains, whatever the case of its letters.
    pub(crate) filter: Option<String>,
}

/// Newest records of a selection.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Records, oldest first.
    pub(crate) records: Vec<Value>,
    /// Number of all records of the selection.
    pub(crate) total: usize,
    pub(crate) damaged: u64,
}

/// Status of the audit.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) days: usize,
    pub(crate) trails: Vec<TrailStatus>,
}

/// Status of a sequence of records.
#[derive(Debug)]
pub(crate) struct TrailStatus {
    /// Newest record.
    pub(crate) head: Head,
    /// Number of the oldest record; 0 when there is none.
    pub(crate) first: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Number of records that another key has encrypted.
    pub(crate) locked: u64,
    pub(crate) damaged: u64,
    /// Number of the first record that does not follow from the one before, or of the first of the
    /// newest that are gone.
    pub(crate) broken_at: Option<u64>,
}

impl Status {
    pub(crate) fn sum(&self, of: impl Fn(&TrailStatus) -> u64) -> u64 {
        self.trails.iter().map(of).sum()
    }

    pub(crate) fn is_intact(&self) -> bool {
        self.trails.iter().all(|trail| trail.broken_at.is_none() && trail.damaged == 0)
    }

    /// JSON with the sequences by name.
    pub(crate) fn to_json(&self) -> Value {
        let trail = |trail: &TrailStatus| {
            json!({
                "records": trail.records,
                "first": trail.first,
                "head": { "number": trail.head.number, "hash": data_encoding::HEXLOWER.encode(&trail.head.digest) },
                "brokenAt": trail.broken_at,
                "damaged": trail.damaged,
                "locked": trail.locked,
            })
        };
        let named: BTreeMap<&str, Value> =
            self.trails.iter().map(|of| (of.head.kind.name(), trail(of))).collect();
        json!(named)
    }
}

impl Selection {
    fn has(&self, record: &AuditRecord) -> bool {
        self.day.is_none_or(|day| day_of(record) == Some(day))
            && self.filter.as_ref().is_none_or(|filter| {
                let text = record.text.as_deref().unwrap_or_default();
                text.to_lowercase().contains(&filter.to_lowercase())
            })
    }
}

fn day_of(record: &AuditRecord) -> Option<Date> {
    let at = Timestamp::from_millisecond(i64::try_from(record.at_ms).ok()?).ok()?;
    Some(at.to_zoned(TimeZone::UTC).date())
}

/// Form of a record for people: its contents, its number and its digest.
pub(crate) fn render_record(record: &AuditRecord) -> Value {
    let text = record.text.as_deref().and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let mut shown = text.unwrap_or_else(|| Map::from_iter([("locked".to_owned(), json!(true))]));
    let kind = Kind::of(record.number);
    shown.insert("number".to_owned(), json!(kind.display_number(record.number)));
    shown.insert(
        "hash".to_owned(),
        json!(record.digest.map(|digest| data_encoding::HEXLOWER.encode(&digest))),
    );
    shown.insert("trail".to_owned(), json!(kind.name()));
    Value::Object(shown)
}

impl Audit {
    /// Finds the newest `records_max` records of a selection.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn find(
        &self,
        log: &dyn Log,
        selection: &Selection,
        records_max: usize,
    ) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let mut all = Vec::new();
        for kind in Kind::ALL {
            // By time: some were noted anew.
            let mut newest = BTreeMap::new();
            found.damaged += self.each_record(log, kind, |record| {
                if selection.has(&record) {
                    found.total += 1;
                    newest.insert((record.at_ms, record.number), record);
                    if newest.len() > records_max {
                        newest.pop_first();
                    }
                }
                ControlFlow::Continue(())
            })?;
            all.extend(newest.into_values());
        }
        all.sort_by_key(|record| record.at_ms);
        let surplus = all.len().saturating_sub(records_max);
        found.records = all[surplus..].iter().map(render_record).collect();
        Ok(found)
    }

    /// Calls `write` with the line of each record of a selection until it fails: first those of
    /// what administrators did, oldest first, then the others.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn each_line<E>(
        &self,
        log: &dyn Log,
        selection: &Selection,
        mut write: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<Result<u64, E>, StoreError> {
        let (mut count, mut failure) = (0, None);
        for kind in Kind::ALL {
            self.each_record(log, kind, |record| {
                if !selection.has(&record) {
                    return ControlFlow::Continue(());
                }
                match write(&render_record(&record).to_string()) {
                    Ok(()) => count += 1,
                    Err(error) => {
                        failure = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            })?;
            if failure.is_some() {
                break;
            }
        }
        Ok(failure.map_or(Ok(count), Err))
    }

    /// Looks at the records of one sequence; how many of them are damaged. With each the thread
    /// goes on.
    fn each_record(
        &self,
        log: &dyn Log,
        kind: Kind,
        mut visit: impl FnMut(AuditRecord) -> ControlFlow<()>,
    ) -> Result<u64, StoreError> {
        log.read_audit(self.tenant, kind.records(), &mut |record| {
            goes_on(Instant::now());
            visit(record)
        })
    }

    /// Reads everything and checks the chains to their heads.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn status(&self, log: &dyn Log) -> Result<Status, StoreError> {
        let mut days = BTreeSet::new();
        let trails = Kind::ALL.into_iter().map(|kind| self.trail_status(kind, log, &mut days));
        let trails = trails.collect::<Result<Vec<_>, _>>()?;
        Ok(Status { days: days.len(), trails })
    }

    fn trail_status(
        &self,
        kind: Kind,
        log: &dyn Log,
        days: &mut BTreeSet<Date>,
    ) -> Result<TrailStatus, StoreError> {
        let (head, is_flushed) = {
            let trail = self.trail(kind).lock();
            (trail.head(), trail.is_flushed())
        };
        let (first, records, bytes, locked, damaged) = (0, 0, 0, 0, 0);
        let mut status = TrailStatus { head, first, records, bytes, locked, damaged, broken_at: None };
        let mut before: Option<(u64, Option<Digest>)> = None;
        status.damaged = self.each_record(log, kind, |record| {
            status.records += 1;
            days.extend(day_of(&record));
            let number = kind.display_number(record.number);
            match &record.text {
                None => status.locked += 1,
                Some(text) => {
                    status.bytes += text.len() as u64;
                    let follows = before.is_none_or(|(before, digest)| {
                        let is_behind = |digest| {
                            let own = chain::digest(&digest, record.number, record.at_ms, text.as_bytes());
                            record.digest == Some(own)
                        };
                        // After a locked record the chain cannot be checked.
                        number == before + 1 && digest.is_none_or(is_behind)
                    });
                    if !follows && status.broken_at.is_none() {
                        status.broken_at = Some(number);
                    }
                }
            }
            if before.is_none() {
                status.first = number;
            }
            before = Some((number, record.digest));
            ControlFlow::Continue(())
        })?;
        // Later records may be stored already. Earlier ones must be, once they were handed over.
        let end = before.map_or(0, |(number, _)| number);
        if is_flushed && end < head.number && status.broken_at.is_none() && status.damaged == 0 {
            status.broken_at = Some(end + 1);
        }
        Ok(status)
    }
}
