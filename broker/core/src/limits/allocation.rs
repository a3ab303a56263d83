//! Allocations whose size a client decides: they fail without ending the process.
//!
//! Rust ends the process when an allocation fails. So the memory for a large packet is asked for
//! before the packet is handled, and the connection ends if the system has none.

use std::collections::TryReserveError;
use std::hint::black_box;

use crate::limits::READ_BYTES_MAX;

/// Copies of a large packet that the broker may make at once: one that is kept, one for the store,
/// and two while the store writes it.
const COPIES_MAX: usize = 4;

/// Makes room for `more` bytes in a buffer that collects a packet. The buffer grows by doubling,
/// but never beyond `bytes_max`, the length of the packet.
///
/// # Errors
/// When the system has no memory for it; the buffer stays as it was.
pub(crate) fn grow(buffer: &mut Vec<u8>, more: usize, bytes_max: usize) -> Result<(), TryReserveError> {
    let (len, capacity) = (buffer.len(), buffer.capacity());
    if capacity - len >= more {
        return Ok(());
    }
    let wanted = capacity.saturating_mul(2).min(bytes_max).max(len.saturating_add(more));
    buffer.try_reserve_exact(wanted - len)
}

/// Checks that the broker can make the copies that a packet of `bytes` needs. The memory is given
/// back at once, so that nothing but the packet itself uses it.
///
/// # Errors
/// When the system has no memory for them.
pub(crate) fn check_room(bytes: usize) -> Result<(), TryReserveError> {
    if bytes <= READ_BYTES_MAX {
        return Ok(());
    }
    let mut copies = Vec::<u8>::new();
    let reserved = copies.try_reserve_exact(bytes.saturating_mul(COPIES_MAX));
    // The compiler may leave out an allocation that nobody looks at.
    black_box(&copies);
    reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_by_doubling_up_to_its_packet() {
        let mut buffer = vec![0; 100];
        buffer.shrink_to_fit();
        grow(&mut buffer, 1, 1000).unwrap();
        assert_eq!(buffer.capacity(), 200);
        buffer.resize(200, 0);
        grow(&mut buffer, 50, 260).unwrap();
        assert_eq!(buffer.capacity(), 260);
        grow(&mut buffer, 60, 260).unwrap();
        assert_eq!(buffer.capacity(), 260);
    }

    #[test]
    fn memory_that_nobody_has_is_an_error() {
        let mut buffer = vec![0; 8];
        assert!(grow(&mut buffer, isize::MAX as usize, usize::MAX).is_err());
        assert_eq!(buffer.len(), 8);
        assert!(check_room(isize::MAX as usize / 2).is_err());
        assert!(check_room(READ_BYTES_MAX + 1).is_ok());
    }
}
