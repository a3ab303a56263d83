//! Work with the store and other files that a command waits for, on threads of its own: a disk that
//! hangs keeps such a thread until it answers, and not the command's.
//!
//! Bounds: so many threads at once ([`READS_ASIDE_MAX`]), of which one user has half at most; work
//! that shows no progress for [`READ_PATIENCE`] is given up by the command.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use lotmq_pulse::{Heartbeats, goes_on};
use lotmq_shares::{OwnerKey, QuotaLevels};

use super::user_places::UserPlaces;
use crate::limits::{READ_PATIENCE, READS_ASIDE_MAX, READS_ASIDE_PER_TENANT_MAX, READS_ASIDE_PER_USER_MAX};
use lotmq_process::limits::ROUND_SILENCE_MAX;

/// Period at which the progress of a read is checked.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Error: the data directory cannot be used; with the reason.
#[derive(Debug, thiserror::Error)]
#[error("The data directory cannot be used: {0}.")]
pub(crate) struct BlockingReadError(String);

/// Reads that are under way, whether somebody still waits for them or not.
#[derive(Debug)]
pub(crate) struct BlockingPool(Arc<UserPlaces>);

impl Default for BlockingPool {
    fn default() -> Self {
        let (tenant, owner) = (READS_ASIDE_PER_TENANT_MAX, READS_ASIDE_PER_USER_MAX);
        Self(UserPlaces::new(QuotaLevels { all: READS_ASIDE_MAX, tenant, owner }))
    }
}

impl BlockingPool {
    /// Does work of somebody that reads or writes files on another thread, and waits for that as
    /// long as it goes on.
    ///
    /// # Errors
    /// When it stands still, when too many do, and when there is no thread for it.
    pub(super) fn read<T: Send + 'static>(
        &self,
        owner: OwnerKey,
        pulses: &Heartbeats,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingReadError> {
        self.read_within((owner, READ_PATIENCE), pulses, read)
    }

    fn read_within<T: Send + 'static>(
        &self,
        (owner, patience): (OwnerKey, Duration),
        pulses: &Heartbeats,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingReadError> {
        let place = self.0.begin(owner).map_err(|others| failed(&format!("{others} wait for the disk")))?;
        let pulse = pulses.add("a thread that reads for a command", ROUND_SILENCE_MAX);
        pulse.begins(Instant::now());
        let (sender, answer) = sync_channel(1);
        let of_thread = Arc::clone(&pulse);
        let work = move || {
            let place = place;
            of_thread.install();
            let read = read();
            // A caller with the answer may ask again at once.
            drop(place);
            // The caller may have given up.
            let _ = sender.send(read);
        };
        std::thread::Builder::new()
            .name("read-aside".to_owned())
            .spawn(work)
            .map_err(|error| failed(&error))?;
        loop {
            match answer.recv_timeout(LOOK_PAUSE.min(patience)) {
                Ok(read) => return Ok(read),
                Err(RecvTimeoutError::Disconnected) => return Err(failed(&"the work ended by a panic")),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if pulse.time(now) >= patience {
                let seconds = patience.as_secs();
                return Err(failed(&format!("the disk has not answered for {seconds} s")));
            }
            goes_on(now);
        }
    }
}

fn failed(reason: &dyn std::fmt::Display) -> BlockingReadError {
    BlockingReadError(reason.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn reads_from_a_hanging_disk_time_out_and_are_bounded() {
        let (pool, pulses) = (BlockingPool::default(), Heartbeats::default());
        let user = |quota_key| OwnerKey { tenant: 0, quota_key };
        let stranger = OwnerKey { tenant: 1, quota_key: 1 };
        assert_eq!(pool.read(user(1), &pulses, || 7).unwrap(), 7);
        let hang = |owner: OwnerKey| {
            let (heals, hangs) = channel::<()>();
            let refused = pool.read_within((owner, Duration::ZERO), &pulses, move || hangs.recv().is_err());
            (heals, refused.unwrap_err())
        };
        let whose = [user(1), user(1), user(2), stranger];
        assert_eq!(whose.len(), READS_ASIDE_MAX);
        let disks: Vec<_> = whose
            .into_iter()
            .map(|owner| {
                let (heals, refused) = hang(owner);
                assert_eq!(
                    refused.to_string(),
                    "The data directory cannot be used: the disk has not answered for 0 s."
                );
                heals
            })
            .collect();
        for (owner, others) in
            [(user(1), "2 others of this user"), (user(2), "3 others of this tenant"), (stranger, "4 others")]
        {
            let refused = pool.read(owner, &pulses, || ()).unwrap_err();
            let expected = format!("The data directory cannot be used: {others} wait for the disk.");
            assert_eq!(refused.to_string(), expected);
        }
        // The thread of a read that is over may be told a little later.
        while pulses.silent(Instant::now() + ROUND_SILENCE_MAX).len() != READS_ASIDE_MAX {
            std::thread::yield_now();
        }
        drop(disks);
        // All of them, not only as many as one more needs.
        while pool.0.taken() > 0 {
            std::thread::yield_now();
        }
        // A read that has answered is none that is under way.
        for round in 0..1_000 {
            assert_eq!(pool.read(user(1), &pulses, move || round).ok(), Some(round));
            assert_eq!(pool.0.taken(), 0, "in round {round}");
        }
        let refused = pool.read(user(1), &pulses, || panic!("on purpose")).unwrap_err();
        assert_eq!(refused.to_string(), "The data directory cannot be used: the work ended by a panic.");
    }

    #[test]
    fn a_read_that_goes_on_may_take_long() {
        let patience = 5 * LOOK_PAUSE;
        let (pool, pulses) = (BlockingPool::default(), Heartbeats::default());
        let parts = pool.read_within((OwnerKey::default(), patience), &pulses, || {
            for _ in 0..20 {
                std::thread::sleep(LOOK_PAUSE);
                goes_on(Instant::now());
            }
            "all of it"
        });
        assert_eq!(parts.unwrap(), "all of it");
    }
}
