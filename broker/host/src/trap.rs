//! From the engine's errors to [`Trap`]s that people understand.

use crate::{
    Trap, TrapKind,
    deadline::Stopped,
    memory::{NoPoolPlace, Refusal},
    texts::{GAVE_UP, cut},
};
use lotmq_shares::NoShare;
use wasmtime::{PoolConcurrencyLimitError, Trap as WasmTrap, WasmBacktrace};

/// How the engine begins a backtrace.
const BACKTRACE: &str = "error while executing at wasm backtrace";

/// Longest text of an engine error that is passed on.
const TEXT_BYTES_MAX: usize = 500;

/// Texts of the standard library of Rust about unsupported functions, each with a replacement in a
/// guest. The first match counts.
const NOT_IN_A_GUEST: [(&str, &str); 6] = [
    (
        "time not implemented on this platform",
        "std::time has no clock in a guest; `ambient::now_ms` and `ambient::monotonic_ms` of lotmq_guest tell the time (docs/sdk/host.md)",
    ),
    (
        "can't sleep",
        "a guest does not sleep by std::thread; a route waits by `executor::sleep` of lotmq_guest, or returns from `run` when it wants to be called again (docs/sdk/network.md)",
    ),
    (
        "failed to spawn thread",
        "a guest has one thread; `executor::spawn` of lotmq_guest runs tasks of a route beside each other (docs/sdk/network.md)",
    ),
    (
        "operation not supported on this platform",
        "std::fs, std::net and std::process do nothing in a guest; a route has `files`, `Connection` and `http` of lotmq_guest (docs/sdk/network.md)",
    ),
    (
        "no filesystem on this platform",
        "std::fs does nothing in a guest; a route has `files` of lotmq_guest (docs/sdk/modules.md)",
    ),
    (
        "not supported on this platform",
        "a guest has nothing of std::env; `config` and `environment` of lotmq_guest are its settings (docs/sdk/host.md)",
    ),
];

/// Returns the replacement for an unsupported function of the Rust standard library that made a
/// guest panic.
fn instead_of_std(words: &str) -> Option<&'static str> {
    NOT_IN_A_GUEST.iter().find(|(text, _)| words.contains(text)).map(|(_, instead)| *instead)
}

/// Facts about a stopped run, for its error message.
pub(crate) struct StoppedRun<'a> {
    /// Why it was refused memory.
    pub(crate) memory_refused: Option<Refusal>,
    /// Bytes of memory that it may have.
    pub(crate) memory_bytes_max: usize,
    /// The line of level error that it wrote last of all: where it gave up, the text of a panic.
    pub(crate) last_words: Option<&'a str>,
}

/// Says why a guest was stopped.
pub(crate) fn explain(error: &wasmtime::Error, run: &StoppedRun<'_>) -> Trap {
    let StoppedRun { memory_refused, memory_bytes_max, last_words } = *run;
    let function = error.downcast_ref::<WasmBacktrace>().and_then(|trace| {
        trace.frames().iter().find_map(|frame| frame.func_name()).map(|name| cut(name, 200).to_owned())
    });
    let (kind, message) = kind_and_message(error);
    let by_itself = matches!(kind, TrapKind::Unreachable | TrapKind::OutOfBounds);
    match memory_refused {
        Some(Refusal::Own) if by_itself => {
            let message = format!("the guest needs more than its {} KiB of memory", memory_bytes_max / 1024);
            return Trap { kind: TrapKind::Memory, message, function };
        }
        // An instance that is not made says so with an error of the engine's own.
        Some(Refusal::Owner { max }) if by_itself || kind == TrapKind::HostCall => {
            let message = format!(
                "the guests of its owner need more than {} KiB of memory, their part of what all guests have",
                max / 1024
            );
            return Trap { kind: TrapKind::Memory, message, function };
        }
        Some(Refusal::All { max }) if by_itself || kind == TrapKind::HostCall => {
            let message = format!("all guests together need more than {} KiB of memory", max / 1024);
            return Trap { kind: TrapKind::Memory, message, function };
        }
        Some(_) | None => {}
    }
    let message = match last_words {
        // Unchanged, with its line breaks: the report masks secrets in it.
        Some(words) if kind == TrapKind::Unreachable => {
            let instead = instead_of_std(words).map(|instead| format!("; {instead}")).unwrap_or_default();
            format!("{message}: {}{instead}", cut(words, TEXT_BYTES_MAX))
        }
        Some(_) | None => message,
    };
    Trap { kind, message, function }
}

impl From<NoPoolPlace> for Trap {
    fn from(error: NoPoolPlace) -> Self {
        Trap { kind: TrapKind::Pool, message: error.to_string(), function: None }
    }
}

/// Why an instance on a fiber was not made: there is no stack for it.
pub(crate) fn no_stack(refusal: NoShare) -> Trap {
    let message = match refusal {
        NoShare::Owner { max } => {
            format!("no instance is free: the routes of its owner have {max}, their part of what all have")
        }
        NoShare::All { max } => format!("no instance is free: all routes together have {max}"),
    };
    Trap { kind: TrapKind::Pool, message, function: None }
}

fn kind_and_message(error: &wasmtime::Error) -> (TrapKind, String) {
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        return (TrapKind::Time, stopped.to_string());
    }
    if let Some(no_place) = error.downcast_ref::<NoPoolPlace>() {
        return (TrapKind::Pool, no_place.to_string());
    }
    if let Some(limit) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return (TrapKind::Pool, format!("no instance is free: {limit}"));
    }
    let Some(trap) = error.downcast_ref::<WasmTrap>() else {
        return (TrapKind::HostCall, cut(&without_backtrace(error), TEXT_BYTES_MAX).to_owned());
    };
    let kind = kind_of(*trap);
    let message = match kind {
        TrapKind::Stack => "the guest recursed too deep".to_owned(),
        TrapKind::Unreachable => GAVE_UP.to_owned(),
        TrapKind::Time => "the run was interrupted".to_owned(),
        TrapKind::Memory
        | TrapKind::OutOfBounds
        | TrapKind::Arithmetic
        | TrapKind::HostCall
        | TrapKind::Start
        | TrapKind::Pool
        | TrapKind::Other => trap.to_string(),
    };
    (kind, message)
}

/// Returns the error and its causes, without the frames of the guest. They mean nothing to authors
/// in other languages.
fn without_backtrace(error: &wasmtime::Error) -> String {
    let links = error.chain().map(ToString::to_string);
    links.filter(|text| !text.starts_with(BACKTRACE)).collect::<Vec<_>>().join(": ")
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the engine's list grows; what is new is `Other`")]
fn kind_of(trap: WasmTrap) -> TrapKind {
    match trap {
        WasmTrap::StackOverflow => TrapKind::Stack,
        WasmTrap::Interrupt => TrapKind::Time,
        WasmTrap::UnreachableCodeReached => TrapKind::Unreachable,
        WasmTrap::MemoryOutOfBounds
        | WasmTrap::TableOutOfBounds
        | WasmTrap::IndirectCallToNull
        | WasmTrap::BadSignature => TrapKind::OutOfBounds,
        WasmTrap::IntegerOverflow | WasmTrap::IntegerDivisionByZero | WasmTrap::BadConversionToInteger => {
            TrapKind::Arithmetic
        }
        // Violations of the canonical ABI: the guest's allocator calls the host, or texts and lists
        // lie outside of its memory.
        WasmTrap::CannotLeaveComponent
        | WasmTrap::CannotEnterComponent
        | WasmTrap::InvalidChar
        | WasmTrap::InvalidDiscriminant
        | WasmTrap::StringOutOfBounds
        | WasmTrap::ListOutOfBounds
        | WasmTrap::UnalignedPointer => TrapKind::HostCall,
        _ => TrapKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_of_unsupported_std_function_suggests_the_sdk_alternative() {
        for (words, expected) in [
            (
                "panicked at library/std/src/sys/pal/wasm/../unsupported/time.rs:13:9:\ntime not implemented on this platform",
                "`ambient::now_ms`",
            ),
            (
                "panicked at src/lib.rs:8:30:\nfailed to spawn thread: Error { kind: Unsupported, message: \"operation not supported on this platform\" }",
                "`executor::spawn`",
            ),
            (
                "called `Result::unwrap()` on an `Err` value: Error { kind: Unsupported, message: \"operation not supported on this platform\" }",
                "`files`",
            ),
            ("panicked at library/std/src/sys/env.rs:1:1:\nnot supported on this platform", "`config`"),
        ] {
            assert!(instead_of_std(words).is_some_and(|told| told.contains(expected)), "{words}");
        }
        assert_eq!(instead_of_std("panicked at src/lib.rs:3:5:\nno reading"), None);
    }
}
