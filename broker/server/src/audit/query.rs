//! Reading the audit: what it amounts to, records of a day, all of it. Runs on threads of commands; each record is looked at.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lotmq_store::{AuditRecord, Store, StoreError};
use serde_json::{Map, Value, json};

use super::Audit;
use super::chain::{self, Digest};
use crate::modules::hex;

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Day in UTC; all days if there is none.
    pub(crate) day: Option<Date>,
    /// A text that the record has, whatever the case of its letters.
    pub(crate) filter: Option<String>,
}

/// The newest records of a selection.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Oldest first.
    pub(crate) records: Vec<Value>,
    /// How many there are in all.
    pub(crate) total: usize,
    pub(crate) damaged: u64,
}

/// What the audit amounts to.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) days: usize,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Records that another key has encrypted.
    pub(crate) locked: u64,
    pub(crate) damaged: u64,
    /// Number of the first record that does not follow from the one before.
    pub(crate) broken_at: Option<u64>,
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

/// A record as it is shown: what it says, its number and its digest.
pub(crate) fn shown(record: &AuditRecord) -> Value {
    let text = record.text.as_deref().and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let mut shown = text.unwrap_or_else(|| Map::from_iter([("locked".to_owned(), json!(true))]));
    shown.insert("number".to_owned(), json!(record.number));
    shown.insert("hash".to_owned(), json!(hex(&record.digest)));
    Value::Object(shown)
}

impl Audit {
    /// The newest `records_max` records of a selection.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn find(
        &self,
        store: &Store,
        selection: &Selection,
        records_max: usize,
    ) -> Result<Found, StoreError> {
        let (mut newest, mut total) = (VecDeque::new(), 0);
        let damaged = store.audit(self.tenant, 0, |record| {
            if selection.has(&record) {
                total += 1;
                newest.push_back(record);
                if newest.len() > records_max {
                    newest.pop_front();
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(Found { records: newest.iter().map(shown).collect(), total, damaged })
    }

    /// Calls `write` with the line of each record of a selection, oldest first, until it fails.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn each_line<E>(
        &self,
        store: &Store,
        selection: &Selection,
        mut write: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<Result<u64, E>, StoreError> {
        let (mut count, mut failure) = (0, None);
        store.audit(self.tenant, 0, |record| {
            if !selection.has(&record) {
                return ControlFlow::Continue(());
            }
            match write(&shown(&record).to_string()) {
                Ok(()) => count += 1,
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(failure.map_or(Ok(count), Err))
    }

    /// Reads everything and checks the chain.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn status(&self, store: &Store) -> Result<Status, StoreError> {
        let mut status = Status::default();
        let mut days = BTreeSet::new();
        let mut before: Option<(u64, Digest)> = None;
        status.damaged = store.audit(self.tenant, 0, |record| {
            status.records += 1;
            days.extend(day_of(&record));
            match &record.text {
                None => status.locked += 1,
                Some(text) => {
                    status.bytes += text.len() as u64;
                    let follows = before.is_none_or(|(number, digest)| {
                        record.number == number + 1
                            && record.digest
                                == chain::digest(&digest, record.number, record.at_ms, text.as_bytes())
                    });
                    if !follows && status.broken_at.is_none() {
                        status.broken_at = Some(record.number);
                    }
                }
            }
            before = Some((record.number, record.digest));
            ControlFlow::Continue(())
        })?;
        status.days = days.len();
        Ok(status)
    }
}
