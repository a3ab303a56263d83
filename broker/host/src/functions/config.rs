//! `config`: the configuration from the operator. No capability needed: it was given to this
//! definition.

use crate::{Grants, state::RunState};
use wasmtime::{StoreContextMut, component::Linker};

/// Configuration of a definition that has none.
const NONE: &str = "{}";

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("config"))?;
    interface.func_wrap("get", |store: StoreContextMut<'_, RunState>, (): ()| {
        Ok((configuration(&store.data().grants),))
    })
}

/// Returns the configuration that a definition with these grants sees.
pub(crate) fn configuration(grants: &Grants) -> String {
    grants.config.as_deref().unwrap_or(NONE).to_owned()
}
