//! The host with real WebAssembly: hand-made components for every way in which a guest can behave.

mod capabilities;
mod containment;
mod support;
