//! `-listKept`, `-removeKept`: what programs keep with `KEEP TOPIC`, for people. Not in the
//! commands reference: without them nobody could see or free what a program that was removed has
//! left behind.

use lotmq_auth::Scope;
use lotmq_router::filter_matches;
use serde_json::json;

use super::argument::topic_filter;
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::limits::{KEPT_CHARACTERS_SHOWN, KEPT_LISTED_MAX};
use lotmq_programs::HasPrograms as _;

pub(super) static LIST: Verb = Verb {
    name: "listKept",
    arguments: &[topic_filter("topic filter").optional()],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists topics with a value written by KEEP, at most 1,000 of them, the beginning of the value, and in whose share they count; without a filter also the states of definitions, below $LOT/.",
    example: "-listKept plant/#",
    execute: list,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeKept",
    arguments: &[topic_filter("topic filter")],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes values written by KEEP, as DELETE TOPIC does.",
    example: "-removeKept plant/old/#",
    execute: remove,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let filter = call.topic_filter("topic filter")?;
    let mut rows = Vec::new();
    let mut count = 0_usize;
    call.tenant.programs().guests.values.each_kept(|topic, kept| {
        if filter.is_none_or(|filter| filter_matches(filter, topic)) {
            count += 1;
            if rows.len() < KEPT_LISTED_MAX {
                // Of a state, the key stands behind a NUL, and the value is in its definition's own
                // form.
                let value = (!topic.contains('\0')).then(|| beginning(kept.payload));
                let (topic, user) = (topic.replace('\0', ""), kept.keeper.user.map(|user| &*user.name));
                let value =
                    value.map(|value| call.tenant.programs().variables.masked_text(&value).into_owned());
                rows.push(
                    json!({ "topic": topic, "value": value, "bytes": kept.payload.len(), "user": user }),
                );
            }
        }
    });
    Ok(Done::new(format!("{count} kept value(s).")).with_data(rows))
}

/// The first characters of a value, of which an ellipsis says that there are more.
fn beginning(payload: &[u8]) -> String {
    // A character has 4 bytes at most.
    let text = String::from_utf8_lossy(&payload[..payload.len().min(4 * KEPT_CHARACTERS_SHOWN)]);
    let mut shown: String = text.chars().take(KEPT_CHARACTERS_SHOWN).collect();
    if shown.len() < payload.len() && text.chars().count() >= KEPT_CHARACTERS_SHOWN {
        shown.push('…');
    }
    shown
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let filter = call.topic_filter("topic filter")?.unwrap_or_default();
    let guests = &call.tenant.programs().guests;
    let count = guests.values.forget_all(|topic| filter_matches(filter, topic));
    guests.states.look_again();
    // Values are stored now and then; what is answered is stored before, also that there was
    // nothing to remove.
    let ticket = lotmq_programs::save_all_kept(call.hosting, call.tenant)?;
    call.await_stored(ticket.unwrap_or_else(|| call.core.log.last_ticket()))?;
    Ok(Done::new(format!("{count} kept value(s) removed.")))
}
