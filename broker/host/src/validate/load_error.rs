//! Errors of binaries that are not taken.

use super::World;
use crate::complexity::TooComplex;
use crate::limits::MAPPINGS_PER_PROGRAM;
use crate::{Trap, texts::cut};

/// Reason why a binary was rejected. All but [`CompileFailed`](LoadError::CompileFailed) are the
/// sender's fault; [`LoadError::code`] is the code of the reply.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is a core module.
    #[error("The binary is a core module, a component is required.")]
    NotAComponent,
    /// It is larger than [`COMPONENT_BYTES_MAX`](crate::limits::COMPONENT_BYTES_MAX).
    #[error("Module has {bytes} bytes, limit {limit}.")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It does not have the exports of its world, or one of another type, or imports one of another
    /// type.
    #[error("Module does not fit world '{world}': {reason}.")]
    WorldMismatch {
        /// The world that was asked for.
        world: &'static str,
        /// The missing or different part.
        reason: String,
    },
    /// The world exists, but guests of it cannot be loaded.
    #[error("Module does not fit world '{world}': {reason}.")]
    WorldUnavailable {
        /// The world that was asked for.
        world: &'static str,
        /// Why, and what to use instead.
        reason: String,
    },
    /// It imports something that neither its world nor the inert WASI set has.
    #[error("Import '{import}' is not allowed in world '{world}'.")]
    ImportForbidden {
        /// The import.
        import: String,
        /// The world that was asked for.
        world: &'static str,
    },
    /// It imports an interface of the contract at a version that this host does not have.
    #[error("Import '{import}' is of another version of the contract; this one is {track}: {cure}.", cure = other_contract(*is_newer))]
    OtherContract {
        /// The import.
        import: String,
        /// Version of the contract, without its last number.
        track: &'static str,
        /// Whether the import is of a later version.
        is_newer: bool,
    },
    /// It is in our compiler's cache format, which is not self-contained.
    #[error("The component needs core module '{module}'. Compile it without --linked.")]
    Linked {
        /// The core module that it imports.
        module: String,
    },
    /// Compiling it would take too much memory and time.
    #[error("{0}")]
    TooComplex(TooComplex),
    /// Compiled code has as many memory mappings as there may be: that of the owner, or that of
    /// all.
    #[error("{}", no_code_mappings(*used, *max, *is_of_owner))]
    NoCodeMappings {
        /// How many it has.
        used: u64,
        /// How many it may have.
        max: u64,
        /// Whether these are the owner's.
        is_of_owner: bool,
    },
    /// Compiled code has as much memory as there may be: that of the owner, or that of all.
    #[error("{}", no_code_memory(*needed, (*used, *max), *is_of_owner))]
    NoCodeMemory {
        /// Bytes of the code that was refused.
        needed: u64,
        /// Bytes that it has.
        used: u64,
        /// Bytes that it may have.
        max: u64,
        /// Whether these are the owner's.
        is_of_owner: bool,
    },
    /// It is not valid, or the compiler refused it.
    #[error("{message}")]
    CompileFailed {
        /// The compiler's text, at most 1 KiB.
        message: String,
    },
    /// The worker process that compiled it was ended from outside, or did not start. This says
    /// nothing about the component.
    #[error("{message}")]
    CompilerEnded {
        /// Report of the failure, with advice.
        message: String,
    },
    /// Others kept the machine or the places for compilers busy for too long. This says nothing
    /// about the component.
    #[error("{message}")]
    CompileDelayed {
        /// The bound, and what helps.
        message: String,
    },
    /// Compiling it took longer than it may.
    #[error("{message}")]
    CompileTimeout {
        /// The bound, and what helps.
        message: String,
    },
    /// Compiling it took more memory than it may.
    #[error(
        "Compilation needs more than {mebibytes} MiB of memory. Make the component smaller, or divide its largest functions."
    )]
    CompileMemory {
        /// The bound in MiB.
        mebibytes: u64,
    },
    /// The compiler took more memory than its owner may have beside that of guests.
    #[error("{}", no_compile_memory(*mebibytes, *is_of_owner))]
    CompileQuota {
        /// Memory of the compiler in MiB.
        mebibytes: u64,
        /// Whether the share of the owner is used up, and not that of all.
        is_of_owner: bool,
    },
    /// Nobody waits for the result any more: its user was removed, the upload was cancelled, or the
    /// broker stops.
    #[error("Compilation was given up: nobody waits for the module any more.")]
    CompileGivenUp,
    /// It was stopped while it was instantiated for the first time.
    #[error("The module does not start: {0}.")]
    StartFailed(Trap),
    /// It was stopped during its `describe` call.
    #[error("The module does not say what it is: its `describe` was stopped: {0}.")]
    DescribeFailed(Trap),
    /// Its settings have no schema by which they can be checked.
    #[error("The settings of the module cannot be checked: {reason}.")]
    SettingsSchema {
        /// Error in the schema, with its place.
        reason: String,
    },
}

impl From<TooComplex> for LoadError {
    fn from(error: TooComplex) -> Self {
        match error {
            TooComplex::Malformed(error) => LoadError::compile_failed(&error),
            TooComplex::Long { .. }
            | TooComplex::Function { .. }
            | TooComplex::Module { .. }
            | TooComplex::Flow { .. } => LoadError::TooComplex(error),
        }
    }
}

impl LoadError {
    pub(crate) fn compile_failed(text: &str) -> Self {
        LoadError::CompileFailed { message: cut(text, 1024).to_owned() }
    }

    pub(crate) fn world_mismatch(world: World, error: &wasmtime::Error) -> Self {
        LoadError::WorldMismatch { world: world.name(), reason: short(error) }
    }

    /// Whether the same component may compile at another attempt: the failure is that of the
    /// machine.
    pub fn is_passing(&self) -> bool {
        matches!(self, LoadError::CompilerEnded { .. } | LoadError::CompileDelayed { .. })
    }

    /// The code of the commands reference §14.6.
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::NotAComponent => "NOT_A_COMPONENT",
            LoadError::TooLarge { .. } | LoadError::TooComplex(_) => "TOO_LARGE",
            LoadError::WorldMismatch { .. } => "WORLD_MISMATCH",
            LoadError::WorldUnavailable { .. } => "WORLD_UNKNOWN",
            LoadError::ImportForbidden { .. } => "IMPORT_FORBIDDEN",
            LoadError::OtherContract { .. } => "CONTRACT_VERSION",
            LoadError::Linked { .. } => "LINKED_COMPONENT",
            LoadError::CompileTimeout { .. } | LoadError::CompileDelayed { .. } => "COMPILE_TIMEOUT",
            LoadError::CompileMemory { .. } => "COMPILE_MEMORY",
            LoadError::NoCodeMappings { .. }
            | LoadError::NoCodeMemory { .. }
            | LoadError::CompileQuota { .. } => "QUOTA_EXCEEDED",
            LoadError::CompileFailed { .. }
            | LoadError::CompilerEnded { .. }
            | LoadError::CompileGivenUp
            | LoadError::StartFailed(_)
            | LoadError::DescribeFailed(_)
            | LoadError::SettingsSchema { .. } => "COMPILE_FAILED",
        }
    }
}

/// Says that there are no memory mappings left for code, and what to do.
fn no_code_mappings(used: u64, max: u64, is_of_owner: bool) -> String {
    let whose = match is_of_owner {
        true => "The compiled programs of this owner have",
        false => "All compiled programs have",
    };
    let more = MAPPINGS_PER_PROGRAM;
    format!(
        "{whose} {used} of {max} memory mappings, and another one needs {more}. Remove definitions, or raise vm.max_map_count of the machine."
    )
}

/// Says that the compiler may not take so much memory, and what to do.
fn no_compile_memory(mebibytes: u64, is_of_owner: bool) -> String {
    let whose = match is_of_owner {
        true => "the guests of this owner",
        false => "all guests",
    };
    format!(
        "Compilation takes {mebibytes} MiB of memory, and {whose} leave less. Remove definitions, make the component smaller, or raise limits.guests_memory."
    )
}

/// Says that there is no memory left for code, and what to do.
fn no_code_memory(needed: u64, (used, max): (u64, u64), is_of_owner: bool) -> String {
    let whose = match is_of_owner {
        true => "The compiled programs of this owner have",
        false => "All compiled programs have",
    };
    format!(
        "{whose} {used} of {max} bytes of native code, and this one needs {needed} more. Remove definitions, or raise limits.code_memory."
    )
}

/// Returns the advice for a component with another version of the contract.
fn other_contract(is_newer: bool) -> &'static str {
    match is_newer {
        true => "the module needs a newer lotmq, or is to be made again with the SDK of this one",
        false => "make the module again with its SDK",
    }
}

fn short(error: &wasmtime::Error) -> String {
    cut(&format!("{error:#}"), 500).to_owned()
}
