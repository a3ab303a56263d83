//! Probes of one route: whoever asks while one is under way gets its answer, so that however many
//! ask, one instance at a time is opened for them.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::Probe;

/// Probe of a route that is under way.
#[derive(Default)]
pub(super) struct Probing(Mutex<Option<Arc<OnceLock<Probe>>>>);

impl Probing {
    /// Answer of the probe that is under way, or of one that is made now.
    pub(super) fn shared(&self, probe: impl FnOnce() -> Probe) -> Probe {
        let answer = Arc::clone(self.0.lock().get_or_insert_default());
        let probed = answer.get_or_init(probe).clone();
        // It is no news for whoever asks from now on.
        self.0.lock().take_if(|current| Arc::ptr_eq(current, &answer));
        probed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn concurrent_probes_share_one_result_and_later_probes_run_again() {
        let (probing, probes) = (Probing::default(), AtomicU64::new(0));
        let probe = || Probe {
            latency: Duration::from_secs(probes.fetch_add(1, Ordering::SeqCst)),
            found: Err("away".to_owned()),
            is_new: true,
        };
        let slow = || {
            // Until all others wait with it.
            while Arc::strong_count(probing.0.lock().as_ref().expect("it is under way")) < 9 {
                std::thread::yield_now();
            }
            probe()
        };
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| probing.shared(slow))).collect();
            for asked in asking {
                assert_eq!(asked.join().unwrap().latency, Duration::ZERO);
            }
        });
        assert_eq!(probes.load(Ordering::SeqCst), 1);
        assert_eq!(probing.shared(probe).latency, Duration::from_secs(1));
        assert!(probing.0.lock().is_none());
    }
}
