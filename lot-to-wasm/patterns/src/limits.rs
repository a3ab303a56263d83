//! Bounds of regular expressions that need backtracking.

/// Longest regular expression in bytes; the longest public one has 180.
pub const PATTERN_BYTES_MAX: usize = 4096;

/// Most that a regular expression with look-around may cost, in tenths of a microsecond of
/// compiling, about; compiled it has some 20 bytes for each. A letter costs 18, `.` 68, `\w` 3,428,
/// a repetition the cost of its part times its upper bound. `\w{1,32}` between two look-arounds
/// fits.
pub const PATTERN_COST_MAX: u64 = 160_000;

/// Cost of each machine of its own that a pattern is compiled to: one for a look-around, an atomic
/// group, a branch that cannot be one with others. There are at most 78 of them, each with memory
/// for its searches.
pub const PATTERN_MACHINE_COST: u64 = 2_048;

/// Bytes for the cache of a search in a machine of a pattern; when the cache is full, it is
/// cleared.
pub const PATTERN_SEARCH_BYTES_MAX: usize = 65_536;
