//! Source of a simulation's decisions: a seed, or the bytes of a fuzzer.
//!
//! Everything random goes through here, so equal sources give equal runs.

/// A source of decisions.
pub(crate) struct Choices(Source);

enum Source {
    Seed(u64),
    Bytes { bytes: Vec<u8>, at: usize },
}

impl Choices {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(Source::Bytes { bytes: bytes.to_vec(), at: 0 })
    }

    /// A seed for something that draws its own decisions.
    pub(crate) fn seed(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => split_mix(state),
            Source::Bytes { .. } => 0,
        }
    }

    /// Whether the fuzzer's bytes are used up. A seed never is.
    pub(crate) fn is_exhausted(&self) -> bool {
        matches!(&self.0, Source::Bytes { bytes, at } if *at >= bytes.len())
    }

    /// A number below `bound`; 0 when the bytes are used up.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1);
        match &mut self.0 {
            Source::Seed(state) => (split_mix(state) % bound as u64) as usize,
            Source::Bytes { bytes, at } => {
                let taken = if bound > 256 { 2 } else { 1 };
                let value =
                    bytes.iter().skip(*at).take(taken).fold(0, |value, byte| value << 8 | usize::from(*byte));
                *at += taken;
                value % bound
            }
        }
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        // Turned round, so that used-up bytes mean no.
        99 - self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// An index of `weights`, each as likely as its weight.
    pub(crate) fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        0
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): any seed is good, neighbouring ones too.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}
