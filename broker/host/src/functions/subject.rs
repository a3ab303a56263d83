//! `subject`: the user that asks a rule. No capability needed: only rules can import it. Never
//! waits.

use crate::{services::question::Read, state::RunState};
use wasmtime::{
    StoreContextMut,
    component::{Linker, WasmStr},
};

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("subject"))?;
    interface.func_wrap("property", |store, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let subject = store.data().subject.as_ref();
        Ok((subject.and_then(|subject| subject.property(&name)),))
    })?;
    interface.func_wrap("in-group", |store, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let subject = store.data().subject.as_ref();
        Ok((subject.is_some_and(|subject| subject.in_group(&name)),))
    })?;
    interface.func_wrap("protocol-version", |store: StoreContextMut<'_, RunState>, (): ()| {
        let state = store.data();
        state.note_read(|| Read::Connection);
        Ok((state.protocol_version,))
    })
}
