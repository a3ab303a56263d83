//! Bounds of the runtime.

/// Levels to which JSON texts may nest, 1 to 200: deeper ones count as unparsable. Checking a text takes a bit for each level; its leaves
/// (`json::leaves_of`) are found by recursion, on the 64 KiB stack.
pub const JSON_DEPTH_MAX: u32 = 128;

/// Separate pieces that the memory of runs may consist of. A new piece arises only when a regular expression takes new memory of
/// its own between two growths of a run's memory, which ends when its search state has reached its size.
pub const RUN_CHUNKS_MAX: usize = 16;

/// Bytes by which the memory of runs grows at least: one page of WebAssembly.
pub const GROWTH_BYTES_MIN: usize = 64 * 1024;
