//! Hashes of tables in which a hash decides more than the place of an entry: which topics are
//! remembered, and which get an alias.
//!
//! The creator of the [`Core`](crate::Core) chooses their source. In a broker nobody outside can
//! predict collisions of keys; in a simulation the same happens each time. Tables that only look up
//! keys have hashers of their own, and nothing is done in the order of such a table
//! (`docs/decisions/code.md`).

use std::hash::BuildHasher;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

/// Hash function of such tables.
#[derive(Clone, Debug)]
pub struct Hashing(SeedableRandomState);

impl Hashing {
    /// Hash function of this process, from the machine's entropy and from the addresses of its
    /// memory.
    pub fn random(entropy: u64) -> Self {
        Self(SeedableRandomState::with_seed(entropy, SharedSeed::global_random()))
    }

    /// Hash function that is the same in each process; who knows it can provoke collisions.
    pub fn fixed(seed: u64) -> Self {
        Self(SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()))
    }
}

impl BuildHasher for Hashing {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> FoldHasher<'static> {
        self.0.build_hasher()
    }
}
