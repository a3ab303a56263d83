//! `diagnostics`: telling people what happened. No capability needed. Bounds: reports per run,
//! length of texts.

use crate::{Severity, SourcePlace, state::RunState};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, WasmStr};

/// Code of LoT about a write that was not allowed.
const NOT_ALLOWED: &str = "LOT611";

/// LoT code for a write to an invalid topic.
const INVALID_TOPIC: &str = "LOT604";

#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "made by lifting only")]
enum ReportSeverity {
    #[component(name = "warning")]
    Warning,
    #[component(name = "error")]
    Error,
}

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("diagnostics"))?;
    interface.func_wrap(
        "report",
        |store, (severity, code, message, line, column): (ReportSeverity, WasmStr, WasmStr, u32, u32)| {
            let (code, message) = (code.to_str(&store)?, message.to_str(&store)?);
            let state = store.data();
            let severity = match severity {
                ReportSeverity::Warning => Severity::Warning,
                ReportSeverity::Error => Severity::Error,
            };
            let known = match &*code {
                NOT_ALLOWED => state.denial(),
                INVALID_TOPIC => state.invalid_topic(),
                _ => None,
            };
            let (code, message) = state.said(&code, known.as_deref().unwrap_or(&message));
            let mut output = state.output.borrow_mut();
            output.report(state.writer(), severity, code, &message, SourcePlace { line, column });
            Ok(())
        },
    )
}
