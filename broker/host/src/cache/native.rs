//! From trusted bytes to code that runs: the one place that trusts bytes.
//!
//! Two kinds of bytes are trusted. Files of the code cache are [authentic](Authentic): nobody
//! without the key of this machine has written them. An [`Artifact`] was made by the compiler in
//! this process, or in a worker process that is our own program and wrote it to a pipe that nobody
//! else has. A worker runs with our rights and compiles one binary. So hostile WebAssembly reaches
//! this place only if it exploits the compiler itself, and the same bug would have had it in this
//! process before.
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

/// Native code that a worker process, or this process, has just made for an engine.
pub struct Artifact(Vec<u8>);

impl Artifact {
    /// Only for the answer of a worker process of ours, read from its pipe.
    pub(crate) fn of_worker(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Only for code that the compiler in this process has just made.
    pub(crate) fn of_this_process(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Artifact({} bytes)", self.0.len())
    }
}

/// Native code that may be loaded.
pub(crate) struct Native<'a>(&'a [u8]);

impl Native<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0
    }
}

impl<'a> From<&'a Authentic> for Native<'a> {
    fn from(authentic: &'a Authentic) -> Self {
        Native(&authentic.0)
    }
}

impl<'a> From<&'a Artifact> for Native<'a> {
    fn from(artifact: &'a Artifact) -> Self {
        Native(artifact.bytes())
    }
}

/// Loads a component.
///
/// # Errors
/// When it was made by an engine of another version or configuration, or its memories do not fit
/// the pool.
pub(crate) fn component(engine: &Engine, native: Native<'_>) -> wasmtime::Result<Component> {
    // SAFETY: the bytes were made by `Component::serialize` or `Engine::precompile_component`. Of a
    // file only this process and its predecessors know the key of the authentication code, which
    // covers version and configuration of the engine. An artifact has never left our processes.
    unsafe { Component::deserialize(engine, native.0) }
}

/// Loads a core module.
///
/// # Errors
/// As [`component`].
pub(crate) fn module(engine: &Engine, native: Native<'_>) -> wasmtime::Result<Module> {
    // SAFETY: as in `component`, with `Module::serialize` and `Engine::precompile_module`.
    unsafe { Module::deserialize(engine, native.0) }
}
