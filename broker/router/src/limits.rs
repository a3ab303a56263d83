//! The bounds of this crate: name, unit, range and why this number.

/// Longest Topic Name or Topic Filter, in bytes: what a two-byte length can announce
/// \[MQTT-4.7.3-3\].
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Most levels of a Topic Filter that is subscribed to.
///
/// Each level of a filter may cost one node of the subscription index (about 32 bytes), so a filter
/// of slashes alone would take 2 MiB; with this bound it takes 8 KiB. The standard leaves the depth
/// to the server (§4.7.3); real topics have fewer than 20 levels. Topic Names are not bounded:
/// publishing creates no nodes.
pub const FILTER_LEVELS_MAX: usize = 256;

/// From this many subscribers of one filter on, they are found by a hash instead of by a walk over
/// the list.
///
/// Below it the walk touches at most a few cache lines and the hash table's memory is saved.
pub const MEMBERS_INDEXED_FROM: usize = 32;

/// How many stored topics a retained scan looks at for each one it may return.
///
/// A filter such as `+/+/nobody` matches nothing but must look at much; this bounds how long one
/// slice holds the caller's lock (a step costs 50–300 ns).
pub const RETAINED_STEPS_PER_ENTRY: usize = 8;
