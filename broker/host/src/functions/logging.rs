//! `logging`: lines for the broker's log. No capability needed. Bounds: lines per run, length of
//! texts.

use crate::{LogLevel, state::RunState};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, WasmStr};

#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "made by lifting only")]
enum Lifted {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("logging"))?;
    interface.func_wrap("log", |store, (level, text): (Lifted, WasmStr)| {
        let text = text.to_str(&store)?;
        let state = store.data();
        let level = match level {
            Lifted::Trace => LogLevel::Trace,
            Lifted::Debug => LogLevel::Debug,
            Lifted::Info => LogLevel::Info,
            Lifted::Warn => LogLevel::Warn,
            Lifted::Error => LogLevel::Error,
        };
        state.output.borrow_mut().log(state.writer(), level, &text);
        Ok(())
    })
}
