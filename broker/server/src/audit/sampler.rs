//! So many records a second of one sort, and how many were left out.

use parking_lot::Mutex;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Sampler {
    per_second: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    second: u64,
    admitted: u32,
    left_out: u64,
}

impl Sampler {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, window: Mutex::default() }
    }

    /// Whether one more is recorded; counts it if not.
    pub(super) fn admits(&self, now_ms: u64) -> bool {
        let mut window = self.window.lock();
        if window.second != now_ms / 1000 {
            window.second = now_ms / 1000;
            window.admitted = 0;
        }
        let admits = window.admitted < self.per_second;
        if admits {
            window.admitted += 1;
        } else {
            window.left_out += 1;
        }
        admits
    }

    /// How many were left out, once their second is over.
    pub(super) fn take_left_out(&self, now_ms: u64) -> u64 {
        let mut window = self.window.lock();
        if window.second == now_ms / 1000 { 0 } else { std::mem::take(&mut window.left_out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_and_the_others_are_counted() {
        let sampler = Sampler::new(2);
        let admitted = (0..5).filter(|_| sampler.admits(1000)).count();
        assert_eq!((admitted, sampler.take_left_out(1999), sampler.take_left_out(2000)), (2, 0, 3));
        assert!(sampler.admits(2000));
        assert_eq!(sampler.take_left_out(3000), 0);
    }
}
