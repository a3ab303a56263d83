//! Bounds of the description that a module has.

/// Longest description in a component, in bytes of its JSON. The longest of ours has 12,000.
pub const DESCRIPTION_BYTES_MAX: usize = 65_536;

/// Longest name of a type, section or key in the description of a module, in bytes.
pub const DESCRIBED_NAME_BYTES_MAX: usize = 64;

/// Longest text in the description of a module, in bytes: a hint, a reason, a word or a default.
pub const DESCRIBED_TEXT_BYTES_MAX: usize = 512;

/// Sections in the description of a module.
pub const DESCRIBED_SECTIONS_MAX: usize = 16;

/// Keys in a block of the description of a module, with those that it includes. The longest block
/// of ours has 40.
pub const DESCRIBED_KEYS_MAX: usize = 128;

/// Further names of a key, words, or refused values in the description of a module.
pub const DESCRIBED_WORDS_MAX: usize = 64;

/// Longest error about a description that is shown, in bytes.
pub const DESCRIPTION_ERROR_BYTES_MAX: usize = 512;
