//! `subject`: who asks a rule. No capability needed: nobody but rules can import it. Never waits.

use crate::state::RunState;
use wasmtime::component::{Linker, WasmStr};

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("lotmq:guest/subject@0.1.0")?;
    interface.func_wrap("property", |store, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let subject = store.data().subject.as_ref();
        Ok((subject.and_then(|subject| subject.property(&name)),))
    })?;
    interface.func_wrap("in-group", |store, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let subject = store.data().subject.as_ref();
        Ok((subject.is_some_and(|subject| subject.in_group(&name)),))
    })
}
