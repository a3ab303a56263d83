//! `messages`: writing. Capability: [`Grants::write`](crate::Grants). Bounds: writes and bytes per run.

use crate::{
    Grants, Qos, RunContext, Services,
    grants::{TopicGrant, is_system},
    output::LimitReached,
    state::RunState,
};
use lotmq_router::topic_name_valid;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, WasmList, WasmStr};

/// Why a write was refused.
#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum WriteError {
    #[component(name = "invalid-topic")]
    InvalidTopic,
    #[component(name = "not-allowed")]
    NotAllowed,
    #[component(name = "limit-reached")]
    LimitReached,
}

impl From<LimitReached> for WriteError {
    fn from(_: LimitReached) -> Self {
        WriteError::LimitReached
    }
}

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("lotmq:guest/messages@0.1.0")?;
    interface.func_wrap(
        "publish",
        |store, (topic, payload, qos, retain): (WasmStr, WasmList<u8>, Qos, bool)| {
            let topic = topic.to_str(&store)?;
            let payload = payload.as_le_slice(&store);
            let state = store.data();
            Ok((checked(state, &topic, payload).and_then(|()| {
                let mut output = state.output.borrow_mut();
                Ok(output.publish(state.writer(), &topic, payload, (qos, retain))?)
            }),))
        },
    )?;
    interface.func_wrap("keep", |store, (topic, payload): (WasmStr, WasmList<u8>)| {
        let topic = topic.to_str(&store)?;
        let payload = payload.as_le_slice(&store);
        let state = store.data();
        Ok((checked(state, &topic, payload)
            .and_then(|()| Ok(state.output.borrow_mut().keep(state.writer(), &topic, payload)?)),))
    })?;
    interface.func_wrap("forget", |store, (topic,): (WasmStr,)| {
        let topic = topic.to_str(&store)?;
        let state = store.data();
        Ok((checked(state, &topic, &[])
            .and_then(|()| Ok(state.output.borrow_mut().forget(state.writer(), &topic)?)),))
    })
}

pub(super) fn checked(state: &RunState, topic: &str, payload: &[u8]) -> Result<(), WriteError> {
    may_write(&state.grants, &*state.services, &state.run, (topic, payload))
}

/// Whether a run may write to a topic.
pub(crate) fn may_write(
    grants: &Grants,
    services: &dyn Services,
    run: &RunContext,
    (topic, payload): (&str, &[u8]),
) -> Result<(), WriteError> {
    topic_name_valid(topic).map_err(|_| WriteError::InvalidTopic)?;
    let grant = &grants.write;
    let may = if grant.covers(topic) {
        services.may_write(run, topic, payload)
    } else {
        *grant == TopicGrant::NotSystem && is_system(topic) && services.may_publish_system(run, topic)
    };
    if may { Ok(()) } else { Err(WriteError::NotAllowed) }
}
