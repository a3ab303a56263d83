//! The source of random numbers behind the crate `getrandom`, which has none of its own for `wasm32-unknown-unknown`: the broker's.
//!
//! Versions from 0.3 on call a function by its name, where they are built with the cfg `getrandom_backend="custom"`, as `lotmq guest build` sets it; 0.2 has it
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

/// What `getrandom` 0.3 and 0.4 call.
///
/// # Safety
/// `dest` is valid for writes of `len` bytes, which need not be initialized.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), getrandom::Error> {
    // SAFETY: the caller says that these bytes may be written; zeroed they may be referred to.
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
