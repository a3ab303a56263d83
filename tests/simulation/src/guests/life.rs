//! State of definitions in the life of one broker: mailboxes of posted runs, and kept values.
//!
//! A mailbox takes so many messages, and refuses and reports the others. A refused run does not
//! happen, and messages behind it are not concerned. The housekeeping thread saves the kept values
//! of runs, as the broker does (`lotmq_core::durable::kept_values`). The next start restores them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lotmq_changes::{KeepRow, Log, TenantId, Ticket};
use lotmq_core::durable::kept_values;
use lotmq_core::turn::Turn;
use lotmq_definitions::{CacheLimits, LastValues, ValueKeeper};

use super::{Event, Promise, run};
use crate::client::Tag;
use crate::fault::{GuestFault, planted};
use crate::machine::{Task, Tasks};

/// Posted runs that one call of the thread of guests makes.
const RUNS_AT_ONCE: usize = 4;

/// A kept value, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Number of the change that has made it so.
    pub(crate) version: u32,
    pub(crate) is_there: bool,
}

/// Event that happened to definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// A mailbox was full: these effects do not come about.
    Refused(Vec<Tag>),
    /// A message had made too many hops to start anything.
    HopLimit,
    /// A run has changed the kept value of a topic.
    Kept(&'static str, Kept),
    /// The kept value of a topic is on the disk, or a newer one.
    Saved(&'static str, Kept),
}

/// State of the definitions while one broker lives.
struct Life {
    posted: VecDeque<Event>,
    /// Messages that one definition's mailbox takes.
    mailbox_max: usize,
    tasks: Tasks,
    told: Vec<Told>,
    values: LastValues,
    newest: BTreeMap<&'static str, Kept>,
    /// Values that are on their way to the disk.
    saving: VecDeque<(Ticket, BTreeMap<&'static str, Kept>)>,
    versions: u32,
    /// Promises that a fault has forgotten to let go of.
    forgotten: Vec<Arc<Promise>>,
}

thread_local! {
    static LIFE: RefCell<Option<Life>> = const { RefCell::new(None) };
}

fn with<R>(work: impl FnOnce(&mut Life) -> R) -> Option<R> {
    LIFE.with_borrow_mut(|life| life.as_mut().map(work))
}

/// A broker begins: nothing is posted, and nothing kept.
pub(crate) fn begin(tasks: &Tasks, mailbox_max: usize) {
    LIFE.set(Some(Life {
        posted: VecDeque::new(),
        mailbox_max,
        tasks: tasks.clone(),
        told: Vec::new(),
        values: LastValues::new(CacheLimits::default()),
        newest: BTreeMap::new(),
        saving: VecDeque::new(),
        versions: 0,
        forgotten: Vec::new(),
    }));
}

/// A broker has ended: what was posted is lost.
pub(crate) fn end() {
    LIFE.set(None);
}

pub(super) fn tell(what: Told) {
    with(|life| life.told.push(what));
}

/// Takes the events since the last call.
pub(crate) fn take_told() -> Vec<Told> {
    with(|life| std::mem::take(&mut life.told)).unwrap_or_default()
}

/// Puts an event into the mailbox of its definition, if there is room.
pub(super) fn post(event: Event) {
    with(|life| {
        let waiting = life.posted.iter().filter(|other| other.relay == event.relay).count();
        if waiting < life.mailbox_max {
            life.push(event);
        } else {
            life.refuse(event);
        }
    });
}

/// Puts an event into the mailbox of its definition that a former life of the broker has left: it
/// waits until there is room.
pub(super) fn start_again(event: Event) {
    with(|life| life.push(event));
}

impl Life {
    fn push(&mut self, event: Event) {
        self.posted.push_back(event);
        self.tasks.call(Task::Guests);
    }

    fn refuse(&mut self, event: Event) {
        let fault = planted();
        if fault != Some(GuestFault::RefusalUntold) {
            self.told.push(Told::Refused(event.effects()));
        }
        if fault == Some(GuestFault::RefusedKept) {
            self.forgotten.extend(event.promise);
        }
    }
}

/// Whether runs are posted.
pub(crate) fn are_posted() -> bool {
    with(|life| !life.posted.is_empty()).unwrap_or_default()
}

/// Makes some of the posted runs, on the thread of guests.
pub(crate) fn work(turn: &mut Turn) {
    for _ in 0..RUNS_AT_ONCE {
        let Some(event) = with(|life| life.posted.pop_front()).flatten() else { return };
        run(turn, event);
    }
    if are_posted() {
        with(|life| life.tasks.call(Task::Guests));
    }
}

/// Keeps another value for a topic, or none. Nothing changes where there is none already.
pub(super) fn keep(topic: &'static str, is_there: bool) {
    with(|life| {
        if !is_there && !life.values.is_kept(topic) {
            return;
        }
        life.versions += 1;
        let version = life.versions;
        if is_there {
            let kept = life.values.keep(ValueKeeper::NOBODY, topic, &version.to_be_bytes());
            kept.expect("a few short values have room");
        } else {
            life.values.forget(topic);
        }
        let kept = Kept { version, is_there };
        life.newest.insert(topic, kept);
        life.told.push(Told::Kept(topic, kept));
    });
}

/// Restores the values that a former life of the broker kept. Returns the version of each topic.
pub(crate) fn restore(rows: &[KeepRow]) -> BTreeMap<String, u32> {
    if planted() == Some(GuestFault::ValuesForgotten) {
        return BTreeMap::new();
    }
    with(|life| {
        for row in rows {
            life.values.restore_kept(ValueKeeper::NOBODY, &row.topic, &row.payload);
        }
        let version = |row: &KeepRow| {
            let bytes = life.values.get(&row.topic)?;
            Some((row.topic.clone(), u32::from_be_bytes(bytes.try_into().ok()?)))
        };
        let found: BTreeMap<String, u32> = rows.iter().filter_map(version).collect();
        life.versions = found.values().copied().max().unwrap_or_default();
        found
    })
    .unwrap_or_default()
}

/// Whether values were changed that were not handed to the log.
pub(crate) fn has_unsaved() -> bool {
    with(|life| life.values.has_unsaved()).unwrap_or_default()
}

/// Hands values that were changed to the log.
pub(crate) fn save(log: &dyn Log, wall_ms: u64) {
    if planted() == Some(GuestFault::ValuesUnsaved) {
        return;
    }
    with(|life| {
        let saved = kept_values::save(&life.values, log, (TenantId::DEFAULT, wall_ms), usize::MAX);
        // Values that the log has not taken come with the next ones.
        if let Ok(Some(ticket)) = saved {
            life.saving.push_back((ticket, life.newest.clone()));
        }
    });
}

/// Reports the values that are on the disk. The values of a failed save go first when the disk
/// works again.
pub(crate) fn saves_settled(log: &dyn Log) {
    with(|life| {
        while let Some((ticket, _)) = life.saving.front()
            && let Some(outcome) = log.settled(*ticket)
            && (outcome.is_ok() || (log.failure().is_none() && !log.has_lost()))
            && let Some((_, values)) = life.saving.pop_front()
        {
            life.told.extend(values.into_iter().map(|(topic, kept)| Told::Saved(topic, kept)));
        }
    });
}
