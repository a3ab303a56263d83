//! Shares of actors in a sequence of records: however many changes one actor makes, the newest of
//! all others stay.
//!
//! Half of the sequence is shared out evenly. A user manager has one share with all users that they
//! make, so that the shares of others do not shrink. If records must go, the oldest do, except
//! records of actors within their share. These are written again behind all others, with their
//! first number and digest. So numbers stay without a gap, and the chain whole.
//!
//! Not `lotmq_shares::AccountShares`: nothing is refused. Old records leave, and shares are even.
//!
//! A share is at most half an even one, so at most half of the examined records are written again.
//! A new record causes at most one more.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use lotmq_changes::{AuditRecord, Log, StoreError};
use serde_json::{Map, Value, json};

use super::trail::Trail;
use crate::limits::AUDIT_NOTED_ANEW_MAX;
use lotmq_core::counters::Counters;

/// Number of records of each actor.
#[derive(Debug, Default)]
pub(super) struct Actors(HashMap<String, u64>);

impl Actors {
    pub(super) fn add(&mut self, actor: &str) {
        *self.0.entry_ref(actor).or_default() += 1;
    }

    /// Whether the oldest record of an actor may be removed; it is no longer counted then.
    fn gives_up(&mut self, actor: &str, records_max: u64) -> bool {
        let share = records_max / 2 / (self.0.len() as u64).max(1);
        let Some(count) = self.0.get_mut(actor).filter(|count| **count > share) else { return false };
        *count -= 1;
        if *count == 0 {
            self.0.remove(actor);
        }
        true
    }
}

/// Contents of a record, if it can be read.
fn said(record: &AuditRecord) -> Option<Map<String, Value>> {
    serde_json::from_str(record.text.as_deref()?).ok()
}

fn actor(said: &Map<String, Value>) -> &str {
    said.get("countsFor").or_else(|| said.get("user")).and_then(Value::as_str).unwrap_or_default()
}

impl Trail {
    /// Makes room where there are too many records: looks at some of the oldest, which are removed
    /// or noted anew. To be called when everything was handed to the store; what comes of it is
    /// handed over next.
    ///
    /// # Errors
    /// When they cannot be read; nothing has changed then.
    pub(super) fn make_room(&mut self, log: &dyn Log, counters: &Counters) -> Result<(), StoreError> {
        let mut actors = match self.actors.take() {
            Some(actors) => actors,
            None => self.count(log)?,
        };
        let mut anew = Vec::new();
        let mut below = self.first;
        let (records_max, begin) = (self.records_max, self.first);
        let stays_max = records_max - records_max / 100;
        log.read_audit(self.tenant, self.stored(), &mut |record| {
            if record.number - begin >= AUDIT_NOTED_ANEW_MAX
                || self.next + anew.len() as u64 - below <= stays_max
            {
                return ControlFlow::Break(());
            }
            below = record.number + 1;
            if let Some(said) = said(&record)
                && !actors.gives_up(actor(&said), records_max)
            {
                anew.push((record, said));
            }
            ControlFlow::Continue(())
        })?;
        for (record, mut said) in anew {
            if !said.contains_key("first") {
                let digest = record.digest.map(|digest| data_encoding::HEXLOWER.encode(&digest));
                let first = json!({ "number": self.kind.display_number(record.number), "hash": digest });
                said.insert("first".to_owned(), first);
            }
            self.append(counters, record.at_ms, &Value::Object(said).to_string());
        }
        self.remove_below(below);
        self.actors = Some(actors);
        Ok(())
    }

    /// Counts the records of each actor by reading all of them.
    fn count(&self, log: &dyn Log) -> Result<Actors, StoreError> {
        let mut actors = Actors::default();
        log.read_audit(self.tenant, self.stored(), &mut |record| {
            if let Some(said) = said(&record) {
                actors.add(actor(&said));
            }
            ControlFlow::Continue(())
        })?;
        Ok(actors)
    }
}
