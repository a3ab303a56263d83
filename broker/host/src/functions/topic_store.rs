//! `topic-store`: reading last values. Capability: [`Grants::read`](crate::Grants). Never waits.

use crate::{
    Writer,
    grants::Capability,
    limits::{LISTED_TOPICS_BYTES_MAX, LISTED_TOPICS_MAX},
    services::TooManyTopics,
    services::question::Read,
    state::RunState,
};
use lotmq_router::{filter_matches, topic_filter_valid};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower, WasmStr},
};

/// Why topics are not listed.
#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum TopicsError {
    #[component(name = "invalid-filter")]
    InvalidFilter,
    #[component(name = "too-many")]
    TooMany,
}

impl From<TooManyTopics> for TopicsError {
    fn from(_: TooManyTopics) -> Self {
        TopicsError::TooMany
    }
}

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
    interface.func_wrap("topics", |store: StoreContextMut<'_, RunState>, (filter,): (WasmStr,)| {
        let filter = filter.to_str(&store)?;
        let state = store.data();
        state.note_read(|| Read::State);
        Ok((topics(state, &filter),))
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

/// Returns the topics with a value that match a filter: those of the broker, the writes of the run,
/// and its trigger. Checks the read permission for writes of other definitions.
fn topics(state: &RunState, filter: &str) -> Result<Vec<String>, TopicsError> {
    if topic_filter_valid(filter).is_err() {
        return Err(TopicsError::InvalidFilter);
    }
    let is_granted = |topic: &str| state.grants.cover(Capability::ReadTopic, topic);
    let matches = |topic: &str| filter_matches(filter, topic) && is_granted(topic);
    let mut found = state.services.topics(&state.run, filter, &is_granted)?;
    found.extend(
        state.trigger().map(|trigger| trigger.topic).filter(|topic| matches(topic)).map(str::to_owned),
    );
    for (writer, topic, is_there) in state.output.borrow().written_topics() {
        if !is_there {
            found.remove(topic);
        } else if matches(topic) && may_read(state, writer, topic) {
            found.insert(topic.to_owned());
        }
    }
    // A rule would take it for the whole list; and that nothing may be seen looks as if there were
    // nothing.
    if (state.is_of_rule() || found.is_empty()) && !state.grants.read.includes(filter) {
        state.note_missing(Capability::ReadTopic, filter);
    }
    let bytes: usize = found.iter().map(String::len).sum();
    if found.len() > LISTED_TOPICS_MAX || bytes > LISTED_TOPICS_BYTES_MAX {
        return Err(TopicsError::TooMany);
    }
    Ok(found.into_iter().collect())
}

/// Whether an effect of this run may be read: an own one, or a foreign one that the owner may read.
fn may_read(state: &RunState, writer: Writer, topic: &str) -> bool {
    state.is_own(writer) || state.services.may_read(&state.run, topic)
}

/// Looks up a value in the order of the language reference §6: writes of this run, the trigger,
/// then the broker's values. A call hands the trigger on.
fn last_value(state: &RunState, topic: &str, value: &mut Vec<u8>) -> bool {
    if let Some((writer, written)) = state.output.borrow().last_written(topic) {
        if !may_read(state, writer, topic) {
            return false;
        }
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
