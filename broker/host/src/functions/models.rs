//! `models`: publishing instances of Models. Capabilities: [`Grants::calls`](crate::Grants) and
//! [`Grants::write`](crate::Grants). Bounds: those of a call and those of a write.

use super::messages::{WriteError, checked};
use crate::{
    Argument, BorrowedMessage, NestedCall, RunContext, RunError, Severity, SourcePlace,
    grants::Capability,
    limits::{CALL_DEPTH_MAX, NAME_BYTES_MAX, WRITE_BYTES_PER_RUN_MAX, WRITES_PER_RUN_MAX},
    services::ModelInstance,
    stack,
    state::RunState,
    texts::cut,
};
use wasmtime::component::{Linker, WasmStr};

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("models"))?;
    interface.func_wrap("publish", |store, (model, topic, assignments): (WasmStr, WasmStr, Vec<Argument>)| {
        let (model, topic) = (model.to_str(&store)?, topic.to_str(&store)?);
        let state = store.data();
        Ok((state.give(publish(state, &model, &topic, &assignments)),))
    })
}

fn publish(state: &RunState, model: &str, topic: &str, assignments: &[Argument]) -> Result<(), RunError> {
    if model.len() > NAME_BYTES_MAX || !state.may(Capability::PublishModel, model) {
        let message = format!("this definition may not publish model '{}'", cut(model, NAME_BYTES_MAX));
        return Err(RunError::new("CALL_NOT_ALLOWED", message));
    }
    let depth = state.run.depth + 1;
    if depth > CALL_DEPTH_MAX || !stack::has_room() {
        let message = format!("calls are nested deeper than {CALL_DEPTH_MAX}: model '{model}' was not asked");
        return Err(RunError::new("CALL_DEPTH", message));
    }
    state.act();
    let mut output = state.output.borrow_mut();
    let call = NestedCall {
        run: RunContext { depth, ..state.run },
        trigger: state.trigger(),
        output: &mut output,
        deadline: state.deadline.get().nested(),
    };
    let ModelInstance { payload, qos, retain } = state.services.build_model(call, model, assignments)?;
    let message = BorrowedMessage { qos, retain, ..BorrowedMessage::new(topic, &payload) };
    checked(state, &message).map_err(|error| refused(error, topic))?;
    if !state.services.may_publish_model(topic, &payload) {
        let message = format!(
            "rules deny publishing model '{model}' to '{}'; it was dropped",
            cut(topic, NAME_BYTES_MAX)
        );
        output.report(state.writer(), Severity::Error, "RULE_DENIED", &message, SourcePlace::default());
        return Ok(());
    }
    let written = output.publish(state.writer(), topic, &payload, (qos, retain));
    written.map_err(|error| refused(error.into(), topic))
}

fn refused(error: WriteError, topic: &str) -> RunError {
    let topic = cut(topic, NAME_BYTES_MAX);
    match error {
        WriteError::InvalidTopic | WriteError::InvalidProperties => {
            RunError::new("LOT604", format!("'{topic}' is no topic to publish to"))
        }
        WriteError::NotAllowed => {
            RunError::new("LOT611", format!("this definition may not publish to '{topic}'"))
        }
        WriteError::LimitReached => {
            let mib = WRITE_BYTES_PER_RUN_MAX >> 20;
            let message =
                format!("the run has written all that it may: {WRITES_PER_RUN_MAX} messages, or {mib} MiB");
            RunError::new("LOT609", message)
        }
    }
}
