//! Reading what waits in the queues of sessions, a slice at a time, beside the writer.
//!
//! The writer knows where messages are and gives a read transaction; the thread here reads them in
//! it, so that neither a commit nor a shard waits for the disk. A store without threads reads them
//! when its writer has done its step.
//!
//! Invariant: nothing is handed on that was read after the file was closed.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use lotmq_changes::{CommitError, CommitErrorKind, QueueSlice, RecoveredDelivery, SessionId, StoreError};
use lotmq_pulse::Pulse;
use lotmq_pulse::limits::BEAT_PERIOD;
use redb::ReadTransaction;

use crate::load_error::{LoadError, contained};
use crate::log::contents::{Reader, Wanted};
use crate::log::index::Slice;
use crate::metrics;
use crate::request::{Damage, Request};
use crate::shared::Shared;

/// A request, and where its messages are.
pub(crate) struct Work {
    pub(crate) transaction: Arc<ReadTransaction>,
    /// [`Shared::closings`] when the transaction began.
    pub(crate) closings: u64,
    pub(crate) slice: Slice,
    pub(crate) request: Request,
}

/// Works until nobody can ask any more.
pub(crate) fn run(work: &Receiver<Work>, shared: &Shared, pulse: &Pulse) {
    loop {
        pulse.waits_one_beat(Instant::now());
        match work.recv_timeout(BEAT_PERIOD) {
            Ok(work) => {
                pulse.begins(Instant::now());
                work.serve(shared);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return pulse.waits(),
        }
    }
}

impl Work {
    /// Reads what is wanted, and hands it on.
    pub(crate) fn serve(self, shared: &Shared) {
        let Self { transaction, closings, slice, request } = self;
        let read = contained(|| read(&transaction, &slice, request.session));
        drop(transaction);
        let lost =
            || CommitError { kind: CommitErrorKind::Unavailable, detail: "the store was closed".into() };
        let result = match read {
            _ if shared.closings.load(SeqCst) != closings => Err(StoreError::CommitFailed(lost())),
            Ok(slice) => {
                metrics::add(&shared.counters.damaged_deliveries, slice.damaged.into());
                metrics::add(&shared.counters.slices, 1);
                Ok(slice)
            }
            Err(LoadError::Corrupted(corruption)) => {
                let error = CommitError::corrupted(corruption);
                // Before anybody is told who could see the store work.
                shared.queue.report(Damage { closings, error: error.clone() });
                Err(StoreError::CommitFailed(error))
            }
            Err(error) => Err(StoreError::CommitFailed(CommitError {
                kind: CommitErrorKind::Io,
                detail: error.to_string().into(),
            })),
        };
        (request.reply)(result);
    }
}

fn read(transaction: &ReadTransaction, slice: &Slice, session: SessionId) -> Result<QueueSlice, LoadError> {
    let wanted: Vec<Wanted> = slice
        .entries
        .iter()
        .map(|(message, entry)| Wanted { session, message: *message, entry: *entry })
        .collect();
    let mut found: Vec<Option<RecoveredDelivery>> = vec![None; wanted.len()];
    let (mut damaged, mut first_damage) = (0, None);
    let keep = |place: usize, delivery| found[place] = Some(delivery);
    Reader::new(transaction)?.read(&wanted, keep, |places, corruption| {
        if corruption.is_of_tree() {
            return Err(corruption.into());
        }
        damaged += u32::try_from(places.len()).unwrap_or(u32::MAX);
        first_damage.get_or_insert(corruption);
        Ok(())
    })?;
    Ok(QueueSlice {
        deliveries: found.into_iter().flatten().collect(),
        last: slice.entries.last().map(|(message, _)| *message),
        is_last: slice.is_last,
        damaged,
        first_damage,
    })
}
