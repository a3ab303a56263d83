//! Bound on large programs that are compiled to native code at once: each may take some hundred MiB meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lotmq_pulse::while_away;
use parking_lot::{Condvar, Mutex};

use crate::limits::{LARGE_COMPILES_MAX, LARGE_COMPONENT_BYTES};

/// Period at which whoever waits looks whether it is still wanted.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Permits to compile large programs; small ones need none.
#[derive(Debug, Default)]
pub(crate) struct CompilePermits {
    /// Number of large programs that are being compiled.
    large: Mutex<usize>,
    ended: Condvar,
}

/// Permit to compile one large program; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Permit<'a>(&'a CompilePermits);

/// Error: nobody wants the program any more.
#[derive(Debug)]
pub(crate) struct Unwanted;

impl CompilePermits {
    /// Waits as [`permit`](Self::permit) does, while the program is wanted.
    ///
    /// # Errors
    /// [`Unwanted`].
    pub(crate) fn permit_unless(
        &self,
        is_given_up: &AtomicBool,
        bytes: usize,
    ) -> Result<Option<Permit<'_>>, Unwanted> {
        let mut large = self.large.lock();
        loop {
            if is_given_up.load(Ordering::Acquire) {
                // What woke it may have been meant for another one.
                self.ended.notify_one();
                return Err(Unwanted);
            }
            if bytes < LARGE_COMPONENT_BYTES {
                return Ok(None);
            }
            if *large < LARGE_COMPILES_MAX {
                *large += 1;
                return Ok(Some(Permit(self)));
            }
            self.ended.wait_for(&mut large, LOOK_PAUSE);
        }
    }

    /// Waits until a program of so many bytes may be compiled; `None` for a small one, which may at once.
    pub(crate) fn permit(&self, bytes: usize) -> Option<Permit<'_>> {
        if bytes < LARGE_COMPONENT_BYTES {
            return None;
        }
        let mut large = self.large.lock();
        // Those who compile are watched, not those who wait for them.
        while_away(Instant::now, || {
            self.ended.wait_while(&mut large, |large| *large >= LARGE_COMPILES_MAX);
        });
        *large += 1;
        Some(Permit(self))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.large.lock() -= 1;
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_is_given_up_while_it_waits_is_not_compiled() {
        let (permits, is_given_up) = (CompilePermits::default(), AtomicBool::new(false));
        let held: Vec<_> = (0..LARGE_COMPILES_MAX).map(|_| permits.permit(LARGE_COMPONENT_BYTES)).collect();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| permits.permit_unless(&is_given_up, LARGE_COMPONENT_BYTES).is_err());
            is_given_up.store(true, Ordering::Release);
            assert!(waiting.join().unwrap());
        });
        assert!(permits.permit_unless(&is_given_up, 1).is_err());
        drop(held);
        is_given_up.store(false, Ordering::Release);
        assert!(permits.permit_unless(&is_given_up, LARGE_COMPONENT_BYTES).unwrap().is_some());
        assert_eq!(*permits.large.lock(), 0);
    }

    #[test]
    fn large_ones_wait_and_small_ones_do_not() {
        let permits = CompilePermits::default();
        let held: Vec<_> = (0..LARGE_COMPILES_MAX).map(|_| permits.permit(LARGE_COMPONENT_BYTES)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(permits.permit(LARGE_COMPONENT_BYTES - 1).is_none(), "a small one passes");
        let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _permit = permits.permit(usize::MAX);
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    at_once.fetch_sub(1, Ordering::SeqCst);
                });
            }
            assert_eq!(most.load(Ordering::SeqCst), 0, "all of them wait");
            drop(held);
        });
        assert!((1..=LARGE_COMPILES_MAX).contains(&most.into_inner()));
        assert_eq!(*permits.large.lock(), 0);
    }

    /// However long others compile before it: those are watched.
    #[test]
    fn who_waits_for_a_permit_is_not_taken_for_dead() {
        const PATIENCE: Duration = Duration::from_secs(1);
        let (permits, pulses) = (CompilePermits::default(), lotmq_pulse::Pulses::default());
        let held: Vec<_> = (0..LARGE_COMPILES_MAX).map(|_| permits.permit(LARGE_COMPONENT_BYTES)).collect();
        let pulse = pulses.add("who waits", PATIENCE);
        let later = || Instant::now() + 100 * PATIENCE;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pulse.install();
                pulse.begins(Instant::now());
                drop(permits.permit(LARGE_COMPONENT_BYTES));
            });
            // Until it waits.
            while permits.ended.notify_all() == 0 {
                std::thread::yield_now();
            }
            assert!(pulses.silent(later()).is_empty());
            drop(held);
        });
        assert_eq!(pulses.silent(later()).len(), 1, "it works again");
    }
}
