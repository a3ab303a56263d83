//! `state`: values of the definition's own. Capability: [`Grants::state`](crate::Grants); without
//! it there is room for none. Bounds: length of keys and values here, their number and sum behind
//! [`Services`](crate::Services).

use crate::{
    grants::Capability,
    limits::{STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX},
    services::StateRefused,
    services::question::Read,
    state::RunState,
};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower, WasmList, WasmStr},
};

/// Why a value was not taken.
#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum StateError {
    #[component(name = "invalid-key")]
    InvalidKey,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "full")]
    Full,
}

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("state"))?;
    interface.func_wrap("get", |store, (key,): (WasmStr,)| {
        let key = key.to_str(&store)?;
        let state = store.data();
        let may = is_key(&key) && granted(state);
        Ok((may.then(|| state.services.state(&state.run, &key)).flatten(),))
    })?;
    interface.func_wrap("set", |store, (key, value): (WasmStr, WasmList<u8>)| {
        let (key, value) = (key.to_str(&store)?, value.as_le_slice(&store));
        Ok((set(store.data(), &key, value),))
    })?;
    interface.func_wrap("remove", |store, (key,): (WasmStr,)| {
        let key = key.to_str(&store)?;
        let state = store.data();
        if is_key(&key) && granted(state) {
            state.act();
            // A removal needs no room.
            let _ = state.services.set_state(&state.run, &key, None);
        }
        Ok(())
    })?;
    interface.func_wrap("keys", |store: StoreContextMut<'_, RunState>, (): ()| {
        let state = store.data();
        Ok((if granted(state) { state.services.state_keys(&state.run) } else { Vec::new() },))
    })
}

fn granted(state: &RunState) -> bool {
    state.note_read(|| Read::State);
    state.may(Capability::KeepState, "")
}

fn set(state: &RunState, key: &str, value: &[u8]) -> Result<(), StateError> {
    if !is_key(key) {
        return Err(StateError::InvalidKey);
    }
    if value.len() > STATE_VALUE_BYTES_MAX {
        return Err(StateError::TooLarge);
    }
    if !granted(state) {
        return Err(StateError::Full);
    }
    state.act();
    match state.services.set_state(&state.run, key, Some(value)) {
        Ok(()) => Ok(()),
        Err(StateRefused::Full) => Err(StateError::Full),
    }
}

/// Whether a key may be used.
pub(crate) fn is_key(key: &str) -> bool {
    (1..=STATE_KEY_BYTES_MAX).contains(&key.len()) && !key.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_text_of_bounded_length_without_nul() {
        let long = "k".repeat(STATE_KEY_BYTES_MAX);
        for (key, expected) in [
            ("", false),
            ("k", true),
            ("a/+/#", true),
            ("a\0b", false),
            (&*long, true),
            (&*(long.clone() + "k"), false),
        ] {
            assert_eq!(is_key(key), expected, "{key:?}");
        }
    }
}
