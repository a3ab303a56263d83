//! Reads a file with keys or certificates, up to a bound.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::key_error::KeyError;
use crate::limits::KEY_SET_BYTES_MAX;

/// Reads a file. The bytes are wiped when they are dropped.
///
/// # Errors
/// [`KeyError::Unreadable`], [`KeyError::TooLarge`].
pub(crate) fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let bound = KEY_SET_BYTES_MAX + 1;
    // A buffer that grows would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(bound));
    File::open(path)?.take(bound as u64).read_to_end(&mut bytes)?;
    if bytes.len() == bound { Err(KeyError::TooLarge) } else { Ok(bytes) }
}
