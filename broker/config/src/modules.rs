//! Section `[modules]`: which uploaded components are taken.

use super::key::section;
use super::public_keys::PublicKeys;

section! {
    /// Requirements for uploaded WebAssembly components.
    Modules at "modules", |config| config.modules => {
        /// Whether the broker accepts modules of worlds whose contract may still change: today
        /// `route`. A later version of the broker may refuse them until they are built
        /// anew. Installed ones stay when it is switched off.
        allow_unstable: bool = false;
        /// Whether modules have to be signed by one of `keys`. Those that are installed stay when
        /// it is switched on.
        require_signature: bool = false, json "RequireSignedModules";
        /// Public keys of signers of modules. The owner of a private key decides which code runs
        /// here, within the grants of the module's command.
        keys: PublicKeys = PublicKeys::default();
        /// Processor time in seconds for which the native code of one module may be compiled. A
        /// slow machine with large modules needs more.
        compile_time_sec: u32 = 300, range 1..=86_400;
        /// Memory in bytes of a process that compiles. 0 takes an eighth of the machine's, at least
        /// 512 MiB and at most 2 GiB. At most six such processes run at once.
        compile_memory: u64 = 0, range 0..=1_099_511_627_776;
    }
}
