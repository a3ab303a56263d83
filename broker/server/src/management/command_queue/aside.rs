//! Work with the store and other files that a command waits for, on threads of its own: a disk that hangs keeps such a thread until it answers, and not the command's.
//!
//! Bounds: so many threads at once ([`READS_ASIDE_MAX`]); work that shows no progress for [`READ_PATIENCE`] is given up by the command.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use lotmq_pulse::{Pulses, goes_on};

use crate::limits::{READ_PATIENCE, READS_ASIDE_MAX, ROUND_SILENCE_MAX};

/// Period at which the progress of a read is checked.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Error: the data directory cannot be used; with the reason.
#[derive(Debug, thiserror::Error)]
#[error("The data directory cannot be used: {0}.")]
pub(crate) struct ReadAsideError(String);

/// Number of reads that are under way.
#[derive(Debug, Default)]
pub(crate) struct Aside(Arc<AtomicUsize>);

/// Permit of one read; given back when the read has ended, whether somebody still waits for it or not.
struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Aside {
    /// Does work that reads or writes files on another thread, and waits for that as long as it goes on.
    ///
    /// # Errors
    /// When it stands still, when too many do, and when there is no thread for it.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        pulses: &Pulses,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadAsideError> {
        self.read_within(READ_PATIENCE, pulses, read)
    }

    fn read_within<T: Send + 'static>(
        &self,
        patience: Duration,
        pulses: &Pulses,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadAsideError> {
        let place = Permit(Arc::clone(&self.0));
        if self.0.fetch_add(1, Ordering::Relaxed) >= READS_ASIDE_MAX {
            return Err(failed(&format!("{READS_ASIDE_MAX} others wait for the disk")));
        }
        let pulse = pulses.add("a thread that reads for a command", ROUND_SILENCE_MAX);
        pulse.begins(Instant::now());
        let (sender, answer) = sync_channel(1);
        let of_thread = Arc::clone(&pulse);
        let work = move || {
            let place = place;
            of_thread.install();
            let read = read();
            // Whoever has the answer may ask again at once.
            drop(place);
            // Who asked may have given up.
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

fn failed(reason: &dyn std::fmt::Display) -> ReadAsideError {
    ReadAsideError(reason.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn who_waits_for_a_disk_that_hangs_is_told_and_there_are_never_many_of_them() {
        let (aside, pulses) = (Aside::default(), Pulses::default());
        assert_eq!(aside.read(&pulses, || 7).unwrap(), 7);
        let disks: Vec<_> = (0..READS_ASIDE_MAX)
            .map(|_| {
                let (heals, hangs) = channel::<()>();
                let refused = aside.read_within(Duration::ZERO, &pulses, move || hangs.recv().is_err());
                let refused = refused.unwrap_err();
                assert_eq!(
                    refused.to_string(),
                    "The data directory cannot be used: the disk has not answered for 0 s."
                );
                heals
            })
            .collect();
        let refused = aside.read(&pulses, || ()).unwrap_err();
        assert_eq!(refused.to_string(), "The data directory cannot be used: 4 others wait for the disk.");
        // The thread of a read that is over may be told a little later.
        while pulses.silent(Instant::now() + ROUND_SILENCE_MAX).len() != READS_ASIDE_MAX {
            std::thread::yield_now();
        }
        drop(disks);
        // All of them, not only as many as one more needs.
        while aside.0.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
        // A read that has answered is none that is under way.
        for round in 0..1_000 {
            assert_eq!(aside.read(&pulses, move || round).ok(), Some(round));
            assert_eq!(aside.0.load(Ordering::Relaxed), 0, "in round {round}");
        }
        let refused = aside.read(&pulses, || panic!("on purpose")).unwrap_err();
        assert_eq!(refused.to_string(), "The data directory cannot be used: the work ended by a panic.");
    }

    #[test]
    fn a_read_that_goes_on_may_take_long() {
        let patience = 5 * LOOK_PAUSE;
        let (aside, pulses) = (Aside::default(), Pulses::default());
        let parts = aside.read_within(patience, &pulses, || {
            for _ in 0..20 {
                std::thread::sleep(LOOK_PAUSE);
                goes_on(Instant::now());
            }
            "all of it"
        });
        assert_eq!(parts.unwrap(), "all of it");
    }
}
