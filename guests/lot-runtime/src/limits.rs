//! Bounds of the runtime.

/// Nesting limit of JSON texts, 1 to 200 levels; deeper ones count as unparsable. The check takes a
/// bit per level. The search for leaves (`json::leaves_of`) recurses, on the 64 KiB stack.
pub const JSON_DEPTH_MAX: u32 = 128;

/// Most separate chunks of memory for runs. A new chunk arises only if a regular expression
/// allocates memory between two growths of a run's memory. That ends when the expression's search
/// state has reached its size.
pub const RUN_CHUNKS_MAX: usize = 16;

/// Bytes by which the memory of runs grows at least: one page of WebAssembly.
pub const GROWTH_BYTES_MIN: usize = 64 * 1024;
