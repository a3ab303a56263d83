//! `-listDeadLetters`, `-replayDeadLetters`, `-removeDeadLetters`: messages that routes have given
//! up; `-skipWaiting` makes some of what waits. Routes reference §3.3.

use std::sync::Arc;

use lotmq_auth::Scope;
use lotmq_changes::{MessageId, QueueSlice, RecoveredDelivery, SessionId};
use lotmq_definitions::DefinitionKind;
use serde_json::{Value, json};

use super::argument::{FORCE, number, word};
use super::ownership::Removal;
use super::reply::{Done, EntityType, Refusal, problem};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::limits::{DEAD_LETTERS_LISTED, DEAD_LETTERS_LISTED_BYTES};
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::dead_letter_queue::{Chosen, LetterTaking, LettersBusy, LettersTaken};
use lotmq_programs::limits::{DEAD_LETTERS_MAX, ROUTE_SLICE_BYTES, ROUTE_SLICE_MESSAGES};
use lotmq_programs::routes::RouteRunner;
use lotmq_programs::routes::dead_letters::DeadLetter;
use lotmq_programs::skipping::{self, SkipError, Skipped};

/// Numbers that a reply names which no dead letter has; its data has all of them.
const MISSING_SHOWN: usize = 10;

/// End of the message about a word that is no number of a dead letter.
const NOT_A_LETTER: &str = "is no number of a dead letter";

pub(super) static LIST: Verb = Verb {
    name: "listDeadLetters",
    arguments: &[word("route"), number("cursor", NOT_A_LETTER).optional()],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::TellsWhatIsStored,
    work: Work::Waits,
    summary: "Lists messages that a route has given up, oldest first, with the reason and the time, at most 100; the reply's next is the cursor of the next page.",
    example: "-listDeadLetters Up",
    execute: list,
};

pub(super) static REPLAY: Verb = Verb {
    name: "replayDeadLetters",
    arguments: &[word("route"), number("number", NOT_A_LETTER).optional().repeated(), FORCE],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Waits,
    summary: "Hands messages that a route has given up to it once more, those of these numbers or all of them.",
    example: "-replayDeadLetters Up",
    execute: replay,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeDeadLetters",
    arguments: &[word("route"), number("number", NOT_A_LETTER).optional().repeated(), FORCE],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::MakesRoom,
    work: Work::Waits,
    summary: "Deletes messages that a route has given up, those of these numbers or all of them.",
    example: "-removeDeadLetters Up",
    execute: remove,
};

pub(super) static SKIP: Verb = Verb {
    name: "skipWaiting",
    arguments: &[word("route"), word("count").optional(), FORCE],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Waits,
    summary: "Takes the oldest messages that wait for a route out, one or so many, and makes dead letters of them, whether the route runs or not.",
    example: "-skipWaiting Up",
    execute: skip,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let route = route(call, call.text("route"))?;
    let after = call.number("cursor")?.unwrap_or_default();
    let figures = route.dead_letters.figures();
    let mut data = figures.to_json(false);
    let Some(session) = route.dead_letters.session() else {
        data["letters"] = json!([]);
        return Ok(Done::new("No dead letters.".to_owned()).with_data(data));
    };
    let place = (session, MessageId(after));
    let slice = read(call, place, (DEAD_LETTERS_LISTED, DEAD_LETTERS_LISTED_BYTES))?;
    let stays = |delivery: &&RecoveredDelivery| !figures.is_leaving(delivery.message.id);
    let letters = slice.deliveries.iter().filter(stays);
    let letters = letters.filter_map(|delivery| DeadLetter::read(delivery, session));
    let rows: Vec<Value> = letters.map(|letter| letter.to_json()).collect();
    let (shown, count) = (rows.len(), figures.waiting.messages);
    data["letters"] = rows.into();
    data["next"] = slice.last.filter(|_| !slice.is_last).map(|last| last.0).into();
    Ok(Done::new(format!("{shown} of {count} dead letter(s).")).with_data(data))
}

fn replay(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let taken = take(call, true)?;
    let (count, data) = (taken.letters, data(&taken));
    if !taken.gone.is_empty() {
        let gone: Vec<String> = taken
            .gone
            .iter()
            .take(MISSING_SHOWN)
            .map(|(event, count)| format!("{event} ({count})"))
            .collect();
        let more = if taken.gone.len() > MISSING_SHOWN { ", …" } else { "" };
        let message = format!(
            "{count} dead letter(s) handed to the route again; others stay, as the route does not have what they are for: {}{more}. Add the route with it, or remove them.",
            gone.join(", ")
        );
        let errors = vec![problem(Code::EventGone, &message)];
        return Err(Refusal { message, errors, data: data.into(), ..Refusal::default() });
    }
    match &taken.stopped {
        None => report(&taken, "handed to the route again", data),
        Some(reason) => {
            let message = format!("{count} dead letter(s) handed to the route again, and no more: {reason}.");
            let errors = vec![problem(Code::ReplayStopped, &message)];
            Err(Refusal { message, errors, data: data.into(), ..Refusal::default() })
        }
    }
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let taken = take(call, false)?;
    report(&taken, "removed", data(&taken))
}

/// Reports the result. Refuses if a number is that of no dead letter; the others are done.
fn report(taken: &LettersTaken, done: &str, data: Value) -> Result<Done, Refusal> {
    let (count, missing) = (taken.letters, &taken.missing);
    if missing.is_empty() {
        let text = match count {
            0 => "No dead letters.".to_owned(),
            _ => format!("{count} dead letter(s) {done}."),
        };
        return Ok(Done::new(text).with_data(data));
    }
    let shown: Vec<String> = missing.iter().take(MISSING_SHOWN).map(u64::to_string).collect();
    let more = match missing.len().saturating_sub(MISSING_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message =
        format!("{count} dead letter(s) {done}. No dead letter has the number {}{more}.", shown.join(", "));
    let errors = vec![problem(Code::NotFound, &message)];
    Err(Refusal { message, errors, data: data.into(), ..Refusal::default() })
}

fn skip(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (removal, name) = (Removal::of(call), call.text("route"));
    let count = call.values.get("count").map_or(Ok(1), count)?;
    let route = route(call, name)?;
    removal.check_definitions(call, DefinitionKind::Route, [name])?;
    let skipped = skipping::skip(call.hosting, call.tenant, &route, count);
    let Skipped { messages, waiting, is_in_call } = skipped.map_err(skip_refusal)?;
    let data = json!({ "count": messages, "waiting": waiting });
    if is_in_call {
        let message = format!(
            "{messages} message(s) taken out; the next is in a call of the route's guest, which may have delivered it: try again when the call has ended."
        );
        let errors = vec![problem(Code::InCall, &message)];
        return Err(Refusal { message, errors, data: data.into(), ..Refusal::default() });
    }
    let text = match messages {
        0 => "No messages wait.".to_owned(),
        _ => format!("{messages} message(s) made dead letters; {waiting} wait."),
    };
    Ok(Done::new(text).with_data(data))
}

fn count(text: &str) -> Result<u64, Refusal> {
    let found = text.parse().ok().filter(|count| (1..=DEAD_LETTERS_MAX).contains(count));
    found.ok_or_else(|| {
        let text = format!("'{text}' is no number of messages: write one from 1 to {DEAD_LETTERS_MAX}.");
        Refusal::new(Code::ArgumentInvalid, text)
    })
}

fn skip_refusal(error: SkipError) -> Refusal {
    match error {
        SkipError::NoPlace => Refusal::new(
            Code::NoSpace,
            "There is no room for dead letters: queues have all the space that they may. Nothing has changed.",
        ),
        SkipError::NotStored(failure) => {
            Refusal::not_stored(failure, "What was taken out comes back with the next start.")
        }
        SkipError::Hangs => Refusal::new(
            Code::StoreFailed,
            "The disk has not answered. What was taken out comes back with the next start if it is not stored.",
        ),
    }
}

fn data(taken: &LettersTaken) -> Value {
    let mut data = json!({ "count": taken.letters, "damaged": taken.damaged, "missing": taken.missing });
    if !taken.gone.is_empty() {
        data["gone"] = json!(taken.gone);
    }
    data
}

/// Takes the letters that the command means out of the queue.
fn take(call: &mut Call<'_>, are_replayed: bool) -> Result<LettersTaken, Refusal> {
    let (removal, name) = (Removal::of(call), call.text("route"));
    let route = route(call, name)?;
    removal.check_definitions(call, DefinitionKind::Route, [name])?;
    let numbers = call.numbers("number")?;
    let chosen = if numbers.is_empty() { Chosen::All } else { Chosen::These(numbers) };
    let missing = chosen.numbers();
    let begun = LetterTaking::begin(call.hosting, &route, chosen);
    let begun = begun.map_err(|LettersBusy| {
        Refusal::new(Code::DeadLettersBusy, "Another command takes dead letters of this route out.")
    })?;
    let Some(mut taking) = begun else {
        // There never were any.
        return Ok(LettersTaken { missing, ..LettersTaken::default() });
    };
    loop {
        let slice = read(call, taking.next(), (ROUTE_SLICE_MESSAGES, ROUTE_SLICE_BYTES))?;
        if taking.take(&slice, are_replayed.then_some(&**call.tenant)) {
            let taken = taking.end();
            // Of this command and of those before it: that there are none may rest on them.
            call.await_stored(call.core.log.last_ticket())?;
            return Ok(taken);
        }
    }
}

fn route(call: &mut Call<'_>, name: &str) -> Result<Arc<RouteRunner>, Refusal> {
    call.about(EntityType::Route, name);
    let route = call.tenant.programs().guests.route(name);
    route.ok_or_else(|| Refusal::not_found(format!("Route '{name}' not found.")))
}

/// Reads letters behind a number, on a thread of its own.
fn read(
    call: &Call<'_>,
    (session, after): (SessionId, MessageId),
    (messages, bytes): (usize, u64),
) -> Result<QueueSlice, Refusal> {
    let log = Arc::clone(&call.core.log);
    Ok(call.run_blocking(move || log.queue_slice(session, after, messages, bytes))??)
}
