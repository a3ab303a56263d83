//! `topic-store`: reading last values. Capability: [`Grants::read`](crate::Grants). Never waits.

use crate::{grants::Capability, services::question::Read, state::RunState};
use wasmtime::{
    StoreContextMut,
    component::{Linker, WasmStr},
};

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("topic-store"))?;
    interface.func_wrap("get", |store: StoreContextMut<'_, RunState>, (topic,): (WasmStr,)| {
        let topic = topic.to_str(&store)?;
        let state = store.data();
        if !state.may(Capability::ReadTopic, &topic) {
            return Ok((None,));
        }
        let found = state.share_value(|value| last_value(state, &topic, value));
        state.note_read(|| Read::value(&topic, found.as_deref().map(Vec::as_slice)));
        Ok((found,))
    })?;
    interface.func_wrap("retained-exists", |store, (topic,): (WasmStr,)| {
        let topic = topic.to_str(&store)?;
        let state = store.data();
        let may = state.may(Capability::ReadTopic, &topic);
        let exists = may && state.services.retained_exists(&state.run, &topic);
        state.note_read(|| Read::retained(&topic, exists));
        Ok((exists,))
    })
}

/// Looks in the order of the language reference §6: writes of this run, the trigger, then what the broker has.
fn last_value(state: &RunState, topic: &str, value: &mut Vec<u8>) -> bool {
    if let Some(written) = state.output.borrow().last_written(topic) {
        value.extend_from_slice(written.unwrap_or_default());
        return written.is_some();
    }
    if let Some(trigger) = state.trigger()
        && trigger.topic == topic
    {
        value.extend_from_slice(trigger.payload);
        return true;
    }
    state.services.topic_value(&state.run, topic, value)
}
