//! `-listDeadLetters`, `-replayDeadLetters`, `-removeDeadLetters`: messages that routes have given up. Routes reference §3.3.

use std::sync::Arc;

use lotmq_auth::Scope;
use lotmq_definitions::DefinitionKind;
use lotmq_store::{MessageId, QueueSlice, SessionId};
use serde_json::{Value, json};

use super::ownership::Removal;
use super::reply::{Done, EntityType, Refusal, problem};
use super::shown::Shown;
use super::verb::{Call, Effect, Permission, Verb};
use crate::guests::HasPrograms as _;
use crate::guests::dead_letter_queue::{Chosen, LetterTaking, LettersBusy, LettersTaken};
use crate::guests::routes::RouteRunner;
use crate::guests::routes::dead_letters::DeadLetter;
use crate::limits::{
    DEAD_LETTERS_LISTED, DEAD_LETTERS_LISTED_BYTES, ROUTE_SLICE_BYTES, ROUTE_SLICE_MESSAGES,
};

pub(super) static LIST: Verb = Verb {
    name: "listDeadLetters",
    usage: "<route> [cursor]",
    shown: Shown::All,
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::TellsWhatIsStored,
    summary: "Lists messages that a route has given up, oldest first, with the reason and the time, at most 100; the reply's next is the cursor of the next page.",
    example: "-listDeadLetters Up",
    execute: list,
};

pub(super) static REPLAY: Verb = Verb {
    name: "replayDeadLetters",
    usage: "<route> [number]… [-force]",
    shown: Shown::All,
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    summary: "Hands messages that a route has given up to it once more, those of these numbers or all of them.",
    example: "-replayDeadLetters Up",
    execute: replay,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeDeadLetters",
    usage: "<route> [number]… [-force]",
    shown: Shown::All,
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::MakesRoom,
    summary: "Deletes messages that a route has given up, those of these numbers or all of them.",
    example: "-removeDeadLetters Up",
    execute: remove,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let arguments = call.arguments(&["route"], 1)?;
    let route = route(call, &arguments[0])?;
    let after = arguments.get(1).map_or(Ok(0), |text| number(text))?;
    let figures = route.dead_letters.figures();
    let mut data = figures.to_json(false);
    let Some(session) = route.dead_letters.session() else {
        data["letters"] = json!([]);
        return Ok(Done::new("No dead letters.".to_owned()).with_data(data));
    };
    let place = (session, MessageId(after));
    let slice = read(call, place, (DEAD_LETTERS_LISTED, DEAD_LETTERS_LISTED_BYTES))?;
    let letters = slice.deliveries.iter().filter_map(|delivery| DeadLetter::read(delivery, session));
    let rows: Vec<Value> = letters.map(|letter| letter.to_json()).collect();
    let (shown, count) = (rows.len(), figures.waiting.messages);
    data["letters"] = rows.into();
    data["next"] = slice.last.filter(|_| !slice.is_last).map(|last| last.0).into();
    Ok(Done::new(format!("{shown} of {count} dead letter(s).")).with_data(data))
}

fn replay(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let Some(taken) = take(call, true)? else { return Ok(none()) };
    let (count, data) = (taken.letters, data(&taken));
    match &taken.stopped {
        None => Ok(Done::new(format!("{count} dead letter(s) handed to the route again.")).with_data(data)),
        Some(reason) => {
            let message = format!("{count} dead letter(s) handed to the route again, and no more: {reason}.");
            let errors = vec![problem("REPLAY_STOPPED", &message)];
            Err(Refusal { message, errors, data: Some(data) })
        }
    }
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let Some(taken) = take(call, false)? else { return Ok(none()) };
    Ok(Done::new(format!("{} dead letter(s) removed.", taken.letters)).with_data(data(&taken)))
}

fn none() -> Done {
    Done::new("No dead letters.".to_owned()).with_data(data(&LettersTaken::default()))
}

fn data(taken: &LettersTaken) -> Value {
    json!({ "count": taken.letters, "damaged": taken.damaged })
}

/// Takes the letters that the command means out of the queue; `None` where there never were any.
fn take(call: &mut Call<'_>, are_replayed: bool) -> Result<Option<LettersTaken>, Refusal> {
    let removal = Removal::of(call.all_arguments()?);
    let [name, numbers @ ..] = &*removal.arguments else {
        return Err(super::reply::missing_argument(call.verb, "route"));
    };
    let route = route(call, name)?;
    removal.check_definitions(call, DefinitionKind::Route, [&**name])?;
    let chosen = match numbers {
        [] => Chosen::All,
        some => Chosen::These(some.iter().map(|text| number(text)).collect::<Result<_, _>>()?),
    };
    let begun = LetterTaking::begin(&call.broker.hosting, &route, chosen);
    let begun = begun.map_err(|LettersBusy| {
        Refusal::new("DEAD_LETTERS_BUSY", "Another command takes dead letters of this route out.")
    })?;
    let Some(mut taking) = begun else { return Ok(None) };
    loop {
        let slice = read(call, taking.next(), (ROUTE_SLICE_MESSAGES, ROUTE_SLICE_BYTES))?;
        if taking.take(&slice, are_replayed.then_some(&**call.tenant)) {
            return Ok(Some(taking.end()));
        }
    }
}

fn route(call: &mut Call<'_>, name: &str) -> Result<Arc<RouteRunner>, Refusal> {
    call.about(EntityType::Route, name);
    let route = call.tenant.programs().guests.route(name);
    route.ok_or_else(|| Refusal::not_found(format!("Route '{name}' not found.")))
}

fn number(text: &str) -> Result<u64, Refusal> {
    let wrong = || Refusal::new("ARGUMENT_INVALID", format!("'{text}' is no number of a dead letter."));
    text.parse().map_err(|_| wrong())
}

/// Reads letters behind a number, on a thread of its own.
fn read(
    call: &Call<'_>,
    (session, after): (SessionId, MessageId),
    (messages, bytes): (usize, u64),
) -> Result<QueueSlice, Refusal> {
    let store = Arc::clone(&call.broker.store);
    Ok(call.aside(move || store.queue_slice(session, after, messages, bytes))??)
}
