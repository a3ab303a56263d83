//! Write commands: one command for neighbouring documents, changes or removals of one collection.
//! Each has its own outcome.
//!
//! Inserts are unordered, so that a bad document fails alone. Changes and removals are ordered,
//! because a later one may depend on an earlier one.

use bson::oid::ObjectId;
use bson::{RawBson, RawDocument, RawDocumentBuf};
use lotmq_guest::route::Failure;

use crate::bson_value::{append, whole};
use crate::failures::{Class, DUPLICATE_KEY, ServerError};
use crate::limits::{COMMAND_BYTES_MAX, COMMAND_ROOM_BYTES};
use crate::link::{Link, documents, error_of};
use crate::wire::Sequence;

/// Kind of a command that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Insert,
    Update,
    Delete,
}

/// One document of such a command.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) document: RawDocumentBuf,
    /// The `_id` that the route itself has given it.
    pub(crate) own_id: Option<ObjectId>,
}

/// Result of an item.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    Rejected(String),
    Failed(Failure),
    /// It is behind one that failed.
    Untried,
}

/// Result of a command.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) outcomes: Vec<Outcome>,
    /// Documents that were stored, changed or removed.
    pub(crate) affected: i64,
}

/// Target of write commands, and their write concern.
pub(crate) struct Place<'a> {
    pub(crate) database: &'a str,
    pub(crate) collection: &'a str,
    pub(crate) concern: &'a RawDocument,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Verb::Insert => "insert",
            Verb::Update => "update",
            Verb::Delete => "delete",
        }
    }

    /// Member of the command with its documents.
    fn documents(self) -> &'static str {
        match self {
            Verb::Insert => "documents",
            Verb::Update => "updates",
            Verb::Delete => "deletes",
        }
    }

    fn is_ordered(self) -> bool {
        match self {
            Verb::Insert => false,
            Verb::Update | Verb::Delete => true,
        }
    }
}

/// How many items from the first go with one command: at least one.
pub(crate) fn fitting(link: &Link, items: &[Item]) -> usize {
    let most = COMMAND_BYTES_MAX.min(link.bounds.message_bytes.saturating_sub(COMMAND_ROOM_BYTES));
    let mut bytes = 0;
    let fits = |item: &&Item| {
        bytes += item.document.as_bytes().len();
        bytes <= most
    };
    items.iter().take(link.bounds.items).take_while(fits).count().max(1)
}

/// Why an item can never go; `None` of one that can.
pub(crate) fn too_large(link: &Link, item: &Item) -> Option<String> {
    let (bytes, most) = (item.document.as_bytes().len(), link.bounds.document_bytes);
    (bytes > most).then(|| format!("the document has {bytes} bytes, and the server takes {most}"))
}

/// Carries out one command.
pub(crate) fn write(
    link: &mut Link,
    verb: Verb,
    place: &Place<'_>,
    items: &[Item],
) -> Result<Written, Failure> {
    let command = command(verb, place).map_err(Failure::Reject)?;
    let documents = items.iter().map(|item| &*item.document).collect();
    let reply = link.ask(&command, Some(&Sequence { name: verb.documents(), documents }))?;
    if let Some(error) = error_of(&reply) {
        return Err(link.told(error.into_failure()));
    }
    written(verb, items, &reply).map_err(|reason| link.broken(&reason))
}

fn command(verb: Verb, place: &Place<'_>) -> Result<RawDocumentBuf, String> {
    let mut command = RawDocumentBuf::new();
    append(&mut command, verb.name(), RawBson::String(place.collection.to_owned()))?;
    append(&mut command, "ordered", RawBson::Boolean(verb.is_ordered()))?;
    append(&mut command, "writeConcern", RawBson::Document(place.concern.to_owned()))?;
    append(&mut command, "$db", RawBson::String(place.database.to_owned()))?;
    Ok(command)
}

/// Reads the result of each item from a reply.
fn written(verb: Verb, items: &[Item], reply: &RawDocument) -> Result<Written, String> {
    let mut outcomes: Vec<Outcome> = items.iter().map(|_| Outcome::Done).collect();
    let mut doubles = 0;
    let mut first_error = None;
    for error in documents(reply, "writeErrors") {
        let index = whole(error, "index").and_then(|index| usize::try_from(index).ok());
        let (index, item) = index
            .and_then(|index| Some((index, items.get(index)?)))
            .ok_or_else(|| "it tells an error of a document that it was not given".to_owned())?;
        first_error = Some(first_error.map_or(index, |first: usize| first.min(index)));
        let told = ServerError::of(error);
        outcomes[index] = if item.own_id.is_some() && is_double(error, &told) {
            doubles += 1;
            Outcome::Done
        } else {
            match told.class() {
                Class::Reject => Outcome::Rejected(told.reason),
                Class::Retry | Class::Reconnect | Class::Fatal => Outcome::Failed(told.into_failure()),
            }
        };
    }
    if let Some(first) = first_error.filter(|_| verb.is_ordered()) {
        outcomes[first + 1..].iter_mut().for_each(|outcome| *outcome = Outcome::Untried);
    }
    let affected = whole(reply, "n").ok_or("its answer does not say how many documents it has written")?;
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Done)).count();
    if verb == Verb::Insert && usize::try_from(affected) != Ok(done - doubles) {
        return Err(format!("it has stored {affected} documents, of {}", done - doubles));
    }
    if let Ok(Some(error)) = reply.get("writeConcernError")
        && let Some(error) = error.as_document()
    {
        // Finished items are not as safe as the route requires.
        for outcome in outcomes.iter_mut().filter(|outcome| matches!(outcome, Outcome::Done)) {
            *outcome = Outcome::Failed(ServerError::of(error).into_failure_of_concern());
        }
    }
    Ok(Written { outcomes, affected })
}

/// Returns whether an error is a duplicate `_id`: the document was stored before, and its answer
/// was lost.
fn is_double(error: &RawDocument, told: &ServerError) -> bool {
    if told.code != DUPLICATE_KEY {
        return false;
    }
    match error.get_document("keyPattern") {
        Ok(pattern) => pattern.iter().flatten().all(|(key, _)| key.as_str() == "_id"),
        // Before 4.4 only the text shows it.
        Err(_) => told.reason.contains(" index: _id_ "),
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn items(count: usize, own_id: bool) -> Vec<Item> {
        let item = |number| Item {
            document: rawdoc! { "n": number },
            own_id: own_id.then(|| ObjectId::from_bytes([1; 12])),
        };
        (0..count).map(|number| item(number as i32)).collect()
    }

    fn told(verb: Verb, own_id: bool, reply: &RawDocument) -> Result<String, String> {
        let written = written(verb, &items(4, own_id), reply)?;
        let outcome = |outcome: &Outcome| match outcome {
            Outcome::Done => "done".to_owned(),
            Outcome::Rejected(reason) => format!("rejected {reason}"),
            Outcome::Failed(Failure::Retry(reason)) => format!("retry {reason}"),
            Outcome::Failed(failure) => format!("{failure:?}"),
            Outcome::Untried => "untried".to_owned(),
        };
        Ok(written.outcomes.iter().map(outcome).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn each_document_has_its_own_outcome() {
        let reply = rawdoc! { "ok": 1.0, "n": 2, "writeErrors": [
            { "index": 1, "code": 11000, "errmsg": "E11000", "keyPattern": { "k": 1 } },
            { "index": 2, "code": 112, "codeName": "WriteConflict", "errmsg": "later" },
        ] };
        assert_eq!(
            told(Verb::Insert, true, &reply).unwrap(),
            "done, rejected error 11000: E11000, retry WriteConflict: later, done"
        );
        let reply = rawdoc! { "ok": 1, "n": 1, "writeErrors": [{ "index": 1, "code": 2, "errmsg": "bad" }] };
        assert_eq!(
            told(Verb::Update, false, &reply).unwrap(),
            "done, rejected error 2: bad, untried, untried"
        );
    }

    #[test]
    fn what_was_stored_before_is_done() {
        let new = rawdoc! { "ok": 1, "n": 3, "writeErrors": [{ "index": 0, "code": 11000, "keyPattern": { "_id": 1 } }] };
        assert_eq!(told(Verb::Insert, true, &new).unwrap(), "done, done, done, done");
        let given = told(Verb::Insert, false, &new).unwrap();
        assert!(
            given.starts_with("rejected error 11000"),
            "an _id that a message brought is its own: {given}"
        );
        let old = rawdoc! { "ok": 1, "n": 3, "writeErrors": [
            { "index": 3, "code": 11000, "errmsg": "E11000 duplicate key error collection: d.c index: _id_ dup key: { _id: 1 }" },
        ] };
        assert_eq!(told(Verb::Insert, true, &old).unwrap(), "done, done, done, done");
    }

    #[test]
    fn a_write_concern_that_was_not_reached_lets_all_come_again() {
        let reply = rawdoc! { "ok": 1, "n": 3, "writeErrors": [{ "index": 3, "code": 121, "errmsg": "bad" }],
        "writeConcernError": { "code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting" } };
        let later = "retry WriteConcernFailed: waiting";
        assert_eq!(
            told(Verb::Insert, true, &reply).unwrap(),
            format!("{later}, {later}, {later}, rejected error 121: bad")
        );
    }

    #[test]
    fn an_answer_that_is_none_is_told() {
        for (reply, expected) in [
            (rawdoc! { "ok": 1 }, "its answer does not say how many documents it has written"),
            (rawdoc! { "ok": 1, "n": 3 }, "it has stored 3 documents, of 4"),
            (
                rawdoc! { "ok": 1, "n": 3, "writeErrors": [{ "index": 4 }] },
                "it tells an error of a document that it was not given",
            ),
            (
                rawdoc! { "ok": 1, "n": 3, "writeErrors": [{ "index": -1 }] },
                "it tells an error of a document that it was not given",
            ),
        ] {
            assert_eq!(told(Verb::Insert, true, &reply).unwrap_err(), expected);
        }
    }
}
