//! From authenticated bytes to code that runs: the one place that trusts bytes.
#![allow(
    unsafe_code,
    reason = "native code cannot be checked, only authenticated; compiling each time costs 400 times as much"
)]

use wasmtime::{Engine, Module, component::Component};

/// Bytes that this machine's own compiler wrote: their authentication code was checked.
pub(super) struct Authentic(Vec<u8>);

impl Authentic {
    /// Only for bytes whose authentication code was just checked, in memory of this process.
    pub(super) fn checked(bytes: Vec<u8>) -> Self {
        Authentic(bytes)
    }
}

/// Loads a component; `None` when the engine says that it was made by another one.
pub(super) fn component(engine: &Engine, native: &Authentic) -> Option<Component> {
    // SAFETY: the bytes were made by `Component::serialize` of this engine's version and configuration, because only this process and its
    // predecessors know the key of the authentication code that covers them and the engine's fingerprint.
    unsafe { Component::deserialize(engine, &native.0) }.ok()
}

/// Loads a core module; `None` when the engine says that it was made by another one.
pub(super) fn module(engine: &Engine, native: &Authentic) -> Option<Module> {
    // SAFETY: as in `component`, with `Module::serialize`.
    unsafe { Module::deserialize(engine, &native.0) }.ok()
}
