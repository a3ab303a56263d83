//! `current-message`: further parts of the message of the run or question. No capability needed:
//! the guest gets the message and may see all of it. Never waits.

use crate::{
    BorrowedMessage,
    properties::{MessageProperties, decoded, payload_format, seconds_left, user_properties},
    services::question::Read,
    state::RunState,
};
use wasmtime::{
    StoreContextMut,
    component::{Linker, WasmStr},
};

/// Store in host functions without parameters.
type Store<'a> = StoreContextMut<'a, RunState>;

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("current-message"))?;
    interface
        .func_wrap("get-qos", |store: Store<'_>, (): ()| Ok((message(&store).map(|message| message.qos),)))?;
    interface.func_wrap("get-retain", |store: Store<'_>, (): ()| {
        Ok((message(&store).is_some_and(|message| message.retain),))
    })?;
    interface.func_wrap("get-received-ms", |store: Store<'_>, (): ()| {
        let received = message(&store).map(|message| i64::try_from(message.received_ms).unwrap_or(i64::MAX));
        Ok((received,))
    })?;
    interface.func_wrap("get-user", |store: Store<'_>, (): ()| {
        Ok((message(&store).and_then(|message| message.user.map(str::to_owned)),))
    })?;
    interface.func_wrap("get-properties", |store: Store<'_>, (): ()| {
        Ok((MessageProperties::of(list(&store), seconds(&store)),))
    })?;
    interface.func_wrap("get-user-properties", |store: Store<'_>, (): ()| {
        Ok((user_properties(decoded(list(&store))),))
    })?;
    interface.func_wrap("get-user-property", |store: Store<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let mut properties = decoded(list(&store)).user_properties();
        Ok((properties.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned()),))
    })?;
    interface.func_wrap("get-payload-format", |store: Store<'_>, (): ()| {
        Ok((payload_format(decoded(list(&store))),))
    })?;
    interface.func_wrap("get-expiry-seconds", |store: Store<'_>, (): ()| Ok((seconds(&store),)))?;
    interface.func_wrap("get-content-type", |store: Store<'_>, (): ()| {
        Ok((decoded(list(&store)).content_type().map(str::to_owned),))
    })?;
    interface.func_wrap("get-response-topic", |store: Store<'_>, (): ()| {
        Ok((decoded(list(&store)).response_topic().map(str::to_owned),))
    })?;
    interface.func_wrap("get-correlation-data", |store: Store<'_>, (): ()| {
        Ok((decoded(list(&store)).correlation_data().map(<[u8]>::to_vec),))
    })
}

/// The message, where there is one.
fn message<'a>(store: &'a Store<'_>) -> Option<BorrowedMessage<'a>> {
    let state = store.data();
    state.note_read(|| Read::Message);
    state.trigger()
}

fn list<'a>(store: &'a Store<'_>) -> &'a [u8] {
    message(store).map(|message| message.properties).unwrap_or_default()
}

fn seconds(store: &Store<'_>) -> Option<u32> {
    let expires_at_ms = message(store)?.expires_at_ms?;
    seconds_left(Some(expires_at_ms), store.data().services.lifetime_ms())
}
