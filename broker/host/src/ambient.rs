//! Clocks and random numbers that guests see through WASI and `ambient`.
//!
//! [`Machine`] uses the clocks and the random numbers of this machine. A host with a clock of its
//! own implements [`Ambient`], so that guests see nothing of the machine.

use std::{
    cell::RefCell,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

/// Clocks and chance, as guests see them.
pub trait Ambient: Send + Sync {
    /// The wall clock, since 1970-01-01 UTC.
    fn wall(&self) -> Duration;

    /// Time since a moment that stays the same; never goes back.
    fn monotonic(&self) -> Duration;

    /// 64 random bits.
    fn random(&self) -> u64;

    /// Blocks the calling thread, as a script asks for. If the clocks stand still meanwhile, only
    /// the script's own clocks advance.
    fn sleep(&self, time: Duration);

    /// Reports that a guest waited on its fiber for this time and nothing arrived. A clock that
    /// otherwise stands still advances by it, so that waits until a point in time end.
    fn waited(&self, _time: Duration) {}
}

/// Clocks and random numbers of this machine.
#[derive(Debug)]
pub struct Machine {
    start: Instant,
}

impl Machine {
    /// Returns the clocks and random numbers of this process.
    #[must_use]
    pub fn here() -> &'static Self {
        static HERE: OnceLock<Machine> = OnceLock::new();
        HERE.get_or_init(Machine::start)
    }

    /// Returns the same with a monotonic clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Ambient for Machine {
    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    /// Not predictable from outside.
    fn random(&self) -> u64 {
        random()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// State of an instance that sees clocks and chance.
pub(crate) trait Perceives {
    /// The wall clock, since 1970-01-01 UTC.
    fn wall(&self) -> Duration;

    /// Time since a moment that stays the same.
    fn monotonic(&self) -> Duration;

    /// 64 random bits.
    fn random(&self) -> u64;
}

/// Random bytes of the operating system, fetched for this thread in portions: one system call per
/// 64 numbers.
struct Reserve {
    bytes: [u8; 512],
    used: usize,
}

thread_local! {
    static RESERVE: RefCell<Reserve> = const { RefCell::new(Reserve { bytes: [0; 512], used: 512 }) };
}

/// 64 random bits of the operating system.
fn random() -> u64 {
    RESERVE.with_borrow_mut(|reserve| {
        if reserve.used >= reserve.bytes.len() {
            getrandom::fill(&mut reserve.bytes).expect("the operating system has random numbers");
            reserve.used = 0;
        }
        let number =
            reserve.bytes[reserve.used..].first_chunk::<8>().map_or(0, |chunk| u64::from_le_bytes(*chunk));
        reserve.bytes[reserve.used..reserve.used + 8].fill(0);
        reserve.used += 8;
        number
    })
}
