//! `config`: what the operator has set. No capability needed: it was given to this definition.

use crate::{Grants, state::RunState};
use wasmtime::{StoreContextMut, component::Linker};

/// What a definition without a configuration is told.
const NONE: &str = "{}";

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("config"))?;
    interface.func_wrap("get", |store: StoreContextMut<'_, RunState>, (): ()| {
        Ok((configuration(&store.data().grants),))
    })
}

/// What a definition with these grants is told.
pub(crate) fn configuration(grants: &Grants) -> String {
    grants.config.as_deref().unwrap_or(NONE).to_owned()
}
