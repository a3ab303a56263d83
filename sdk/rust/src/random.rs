//! Random numbers from the broker, for the crate `getrandom`, which has no source for
//! `wasm32-unknown-unknown`.
//!
//! Versions from 0.3 call a function by its name if built with the cfg
//! `getrandom_backend="custom"`, which `lotmq guest build` sets. For 0.2 the function is
//! registered.

#[cfg(feature = "action")]
use crate::action::ambient;
#[cfg(all(feature = "auth", not(any(feature = "action", feature = "route", feature = "rule"))))]
use crate::auth::ambient;
#[cfg(all(feature = "route", not(any(feature = "action", feature = "rule"))))]
use crate::route::ambient;
#[cfg(all(feature = "rule", not(feature = "action")))]
use crate::rule::ambient;

/// Fills bytes with random ones.
fn fill(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&ambient::random().to_le_bytes()[..part.len()]);
    }
}

/// Random source that `getrandom` 0.3 and 0.4 call.
///
/// # Safety
/// `dest` must be valid for writes of `len` bytes, which may be uninitialized.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), getrandom::Error> {
    // SAFETY: the caller guarantees that these bytes may be written. After zeroing they are
    // initialized.
    let bytes = unsafe {
        dest.write_bytes(0, len);
        core::slice::from_raw_parts_mut(dest, len)
    };
    fill(bytes);
    Ok(())
}

getrandom_02::register_custom_getrandom!(fill_02);

#[allow(clippy::unnecessary_wraps, reason = "getrandom asks for this signature")]
fn fill_02(bytes: &mut [u8]) -> Result<(), getrandom_02::Error> {
    fill(bytes);
    Ok(())
}
