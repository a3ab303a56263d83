//! `environment`: values and secrets. Capabilities: [`Grants::environment`](crate::Grants) and
//! `secrets`. Bounds: length of names and values.

use crate::{
    grants::Capability,
    limits::{ENVIRONMENT_VALUE_BYTES_MAX, NAME_BYTES_MAX},
    state::RunState,
};
use wasmtime::component::{Linker, WasmStr};

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("environment"))?;
    interface.func_wrap("get", |store, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let state = store.data();
        let may = granted(state, Capability::ReadEnvironment, &name);
        Ok((may.then(|| state.services.environment(&state.run, &name)).flatten(),))
    })?;
    interface.func_wrap("set", |store, (name, value): (WasmStr, WasmStr)| {
        let (name, value) = (name.to_str(&store)?, value.to_str(&store)?);
        let state = store.data();
        let may = granted(state, Capability::WriteEnvironment, &name) && fits(&value);
        Ok((may && acting(state).services.set_environment(&state.run, &name, Some(&value)),))
    })?;
    interface.func_wrap("remove", |store, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let state = store.data();
        let may = granted(state, Capability::WriteEnvironment, &name);
        Ok((may && acting(state).services.set_environment(&state.run, &name, None),))
    })?;
    interface.func_wrap("get-secret", |store, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let state = store.data();
        let may = granted(state, Capability::ReadSecret, &name);
        Ok((may.then(|| state.services.secret(&state.run, &name)).flatten(),))
    })?;
    interface.func_wrap("set-secret", |store, (name, value): (WasmStr, WasmStr)| {
        let (name, value) = (name.to_str(&store)?, value.to_str(&store)?);
        let state = store.data();
        let may = granted(state, Capability::WriteSecret, &name) && fits(&value);
        Ok((may && acting(state).services.set_secret(&state.run, &name, Some(&value)),))
    })?;
    interface.func_wrap("remove-secret", |store, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let state = store.data();
        let may = granted(state, Capability::WriteSecret, &name);
        Ok((may && acting(state).services.set_secret(&state.run, &name, None),))
    })
}

fn granted(state: &RunState, capability: Capability, name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && state.may(capability, name)
}

fn fits(value: &str) -> bool {
    value.len() <= ENVIRONMENT_VALUE_BYTES_MAX
}

/// Marks the run as one that cannot be started anew: values change at once.
fn acting(state: &RunState) -> &RunState {
    state.act();
    state
}
