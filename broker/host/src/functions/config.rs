//! `config`: what the operator has set. No capability needed: it was given to this definition.

use crate::state::RunState;
use wasmtime::{StoreContextMut, component::Linker};

/// What a definition without a configuration is told.
const NONE: &str = "{}";

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("config"))?;
    interface.func_wrap("get", |store: StoreContextMut<'_, RunState>, (): ()| {
        let config = store.data().grants.config.as_deref();
        Ok((config.unwrap_or(NONE).to_owned(),))
    })
}
