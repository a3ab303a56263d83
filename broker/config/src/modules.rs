//! Section `[modules]`: which uploaded components are taken.

use super::key::section;

section! {
    /// Which uploaded WebAssembly components are taken.
    Modules at "modules", |config| config.modules => {
        /// Whether modules of worlds are taken whose contract may still change: today `route`. A later version of the broker may refuse them until they are
        /// built anew. Those that are installed stay when it is switched off.
        allow_unstable: bool = false;
    }
}
