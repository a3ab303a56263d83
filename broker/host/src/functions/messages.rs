//! `messages`: writing. Capability: [`Grants::write`](crate::Grants). Bounds: writes and bytes per
//! run.

use crate::{
    BorrowedMessage, Grants, Qos, RunContext, Services, grants::is_system, output::LimitReached,
    properties::MessageProperties, state::RunState,
};
use lotmq_router::{parse_delayed, topic_name_valid};
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
    #[component(name = "invalid-properties")]
    InvalidProperties,
}

impl From<LimitReached> for WriteError {
    fn from(_: LimitReached) -> Self {
        WriteError::LimitReached
    }
}

/// Parameters of `publish-with`.
type Publishing = (WasmStr, WasmList<u8>, Qos, bool, MessageProperties);

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("messages"))?;
    interface.func_wrap(
        "publish",
        |store, (topic, payload, qos, retain): (WasmStr, WasmList<u8>, Qos, bool)| {
            let topic = topic.to_str(&store)?;
            let payload = payload.as_le_slice(&store);
            let state = store.data();
            let message = BorrowedMessage { qos, retain, ..BorrowedMessage::new(&topic, payload) };
            Ok((checked(state, &message).and_then(|()| {
                let mut output = state.output.borrow_mut();
                Ok(output.publish(state.writer(), &topic, payload, (qos, retain))?)
            }),))
        },
    )?;
    interface.func_wrap("publish-with", |store, parameters: Publishing| {
        let (topic, payload, qos, retain, properties) = parameters;
        let topic = topic.to_str(&store)?;
        let payload = payload.as_le_slice(&store);
        let state = store.data();
        let Some(list) = properties.encoded(&state.services.message_bounds()) else {
            return Ok((Err(WriteError::InvalidProperties),));
        };
        let list = list.properties().raw();
        let expires_after = |seconds| state.services.lifetime_ms() + u64::from(seconds) * 1000;
        let expires_at_ms = properties.expiry_seconds.map(expires_after);
        let message = BorrowedMessage {
            qos,
            retain,
            properties: list,
            expires_at_ms,
            ..BorrowedMessage::new(&topic, payload)
        };
        Ok((checked(state, &message).and_then(|()| {
            let with = (list, properties.expiry_seconds);
            let mut output = state.output.borrow_mut();
            Ok(output.publish_with(state.writer(), &topic, payload, (qos, retain), with)?)
        }),))
    })?;
    interface.func_wrap("keep", |store, (topic, payload): (WasmStr, WasmList<u8>)| {
        let topic = topic.to_str(&store)?;
        let payload = payload.as_le_slice(&store);
        let state = store.data();
        Ok((note_refusal(
            state,
            &topic,
            may_keep(&state.grants, &*state.services, &state.run, &kept(&topic, payload)),
        )
        .and_then(|()| Ok(state.output.borrow_mut().keep(state.writer(), &topic, payload)?)),))
    })?;
    interface.func_wrap("forget", |store, (topic,): (WasmStr,)| {
        let topic = topic.to_str(&store)?;
        let state = store.data();
        Ok((note_refusal(
            state,
            &topic,
            may_keep(&state.grants, &*state.services, &state.run, &kept(&topic, &[])),
        )
        .and_then(|()| Ok(state.output.borrow_mut().forget(state.writer(), &topic)?)),))
    })
}

pub(super) fn checked(state: &RunState, message: &BorrowedMessage<'_>) -> Result<(), WriteError> {
    note_refusal(state, message.topic, may_write(&state.grants, &*state.services, &state.run, message))
}

/// Notes a refused write for the report of the run.
fn note_refusal(state: &RunState, topic: &str, written: Result<(), WriteError>) -> Result<(), WriteError> {
    match &written {
        Err(WriteError::NotAllowed) => state.note_refused(topic),
        Err(WriteError::InvalidTopic) => state.note_invalid(topic),
        Err(WriteError::LimitReached | WriteError::InvalidProperties) | Ok(()) => {}
    }
    written
}

/// A value that is kept, as it is asked about.
pub(crate) fn kept<'a>(topic: &'a str, value: &'a [u8]) -> BorrowedMessage<'a> {
    BorrowedMessage { retain: true, ..BorrowedMessage::new(topic, value) }
}

/// Whether a run may keep a value, or forget it. Nothing is kept for later, so a topic with a delay
/// is invalid.
pub(crate) fn may_keep(
    grants: &Grants,
    services: &dyn Services,
    run: &RunContext,
    value: &BorrowedMessage<'_>,
) -> Result<(), WriteError> {
    if parse_delayed(value.topic).is_some() {
        return Err(WriteError::InvalidTopic);
    }
    may_write(grants, services, run, value)
}

/// Whether a run may write to a topic.
pub(crate) fn may_write(
    grants: &Grants,
    services: &dyn Services,
    run: &RunContext,
    message: &BorrowedMessage<'_>,
) -> Result<(), WriteError> {
    let topic = message.topic;
    if topic_name_valid(topic).is_err() || !services.message_bounds().include_topic(topic) {
        return Err(WriteError::InvalidTopic);
    }
    let may = grants.write.reaches(topic)
        && match is_system(topic) {
            true => services.may_publish_system(run, topic),
            false => services.may_write(run, message),
        };
    if may { Ok(()) } else { Err(WriteError::NotAllowed) }
}
