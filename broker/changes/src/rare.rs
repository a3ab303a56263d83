//! Rare branches on purpose: places whose other way is hardly ever taken, and which a simulation
//! has taken now and then. Unlike at a fault point nothing is wrong: store and core may behave so
//! at any time, and every promise holds. Without the feature `fault-points` nobody can ask, and the
//! answer is constant.
//!
//! The store's own and those of `lotmq_core` are here, so that one seed arranges them all.

/// A branch that is taken though nothing asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rare {
    /// The store takes no more while anything waits.
    StoreFull,
    /// Clients rest because the store is behind, while anything waits.
    StoreBehind,
    /// A group is one batch.
    SmallGroup,
    /// A slice of a queue is one message.
    ShortSlice,
    /// Work that may take time is stopped where it looks at the clock.
    TimeIsOver,
    /// A turn ends between two packets of one read.
    PacketsWait,
    /// Everything is written out in the midst of a read.
    TurnIsRelieved,
    /// A turn has written as much as it has time for.
    WrittenEnough,
    /// A queue goes on in the next turn.
    QueueGoesOn,
}

impl Rare {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::StoreFull,
        Self::StoreBehind,
        Self::SmallGroup,
        Self::ShortSlice,
        Self::TimeIsOver,
        Self::PacketsWait,
        Self::TurnIsRelieved,
        Self::WrittenEnough,
        Self::QueueGoesOn,
    ];
}

#[cfg(feature = "fault-points")]
mod arranged {
    use std::cell::RefCell;

    use super::Rare;

    /// How often in a thousand times one is taken that is taken in a run.
    const PER_MILLE: [u16; 3] = [5, 50, 300];

    #[derive(Default)]
    struct Arranged {
        state: u64,
        per_mille: [u16; Rare::ALL.len()],
        taken: [usize; Rare::ALL.len()],
    }

    thread_local! {
        static ARRANGED: RefCell<Arranged> = RefCell::default();
    }

    impl Arranged {
        fn draw(&mut self) -> u64 {
            // Xorshift (Marsaglia 2003).
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            self.state
        }
    }

    /// From now on the calling thread takes some of the branches, as the seed says; none with 0.
    pub fn arrange(seed: u64) {
        let mut arranged = Arranged { state: seed, ..Arranged::default() };
        if seed > 0 {
            for at in 0..Rare::ALL.len() {
                let (is_on, which) = (arranged.draw().is_multiple_of(3), arranged.draw());
                arranged.per_mille[at] = if is_on { PER_MILLE[(which % 3) as usize] } else { 0 };
            }
        }
        ARRANGED.set(arranged);
    }

    /// How often each was taken since then.
    pub fn taken() -> impl Iterator<Item = (Rare, usize)> {
        let taken = ARRANGED.with_borrow(|arranged| arranged.taken);
        Rare::ALL.into_iter().zip(taken)
    }

    /// Whether a branch is to be taken.
    pub fn is_taken(rare: Rare) -> bool {
        ARRANGED.with_borrow_mut(|arranged| {
            let at = rare as usize;
            let is_taken =
                arranged.per_mille[at] > 0 && arranged.draw() % 1_000 < u64::from(arranged.per_mille[at]);
            arranged.taken[at] += usize::from(is_taken);
            is_taken
        })
    }
}

#[cfg(feature = "fault-points")]
pub use arranged::{arrange, is_taken, taken};

/// Whether a branch is to be taken.
#[cfg(not(feature = "fault-points"))]
pub const fn is_taken(_: Rare) -> bool {
    false
}
