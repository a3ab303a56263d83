//! Requests of `_bulk`, and what became of each document in them.

use lotmq_guest::route::Failure;
use serde_json::{Value as Json, json};

use crate::far::{Class, Far, class_of_document, reason_of, waiting};
use crate::statement::Document;

/// Target of document uploads. `filter_path` limits the answer to the fields that are read.
const TARGET: &str = "/_bulk?filter_path=items.*.status,items.*._index,items.*._id,items.*.result,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason";

/// Result of a document.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It is stored. Holds the content of a result.
    Stored(Json),
    /// It can never be stored.
    Rejected(String),
    /// It can be stored later.
    Busy(String),
    /// It can be stored after a change at the server.
    Waits(String),
}

/// Stores documents; what became of each, in their order.
pub(crate) fn store(far: &Far, documents: &[Document]) -> Result<Vec<Outcome>, Failure> {
    let answer = far.post(TARGET, "application/x-ndjson", body(documents))?;
    outcomes(&answer, documents.len()).map_err(Failure::Reconnect)
}

/// Two lines for each document: what is done, and the document.
fn body(documents: &[Document]) -> String {
    let mut body = String::new();
    for Document { index, id, source } in documents {
        let action = match id {
            Some(id) => json!({ "index": { "_index": index, "_id": id } }),
            None => json!({ "index": { "_index": index } }),
        };
        body.push_str(&action.to_string());
        body.push('\n');
        body.push_str(source);
        body.push('\n');
    }
    body
}

fn outcomes(answer: &Json, expected: usize) -> Result<Vec<Outcome>, String> {
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.len() != expected {
        return Err(format!("the server answered for {} of {expected} documents", items.len()));
    }
    items.iter().map(outcome).collect()
}

fn outcome(item: &Json) -> Result<Outcome, String> {
    // Its only member is named after what was done.
    let done = item.as_object().and_then(|item| item.values().next()).unwrap_or(&Json::Null);
    let status = done["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.ok_or("the server answered for a document without a status")?;
    let reason = || format!("the server answered {status}{}", reason_of(&done["error"]));
    // An ingest pipeline with a `drop` processor: status 200, and nothing is stored.
    if done["result"] == "noop" {
        return Ok(Outcome::Rejected(
            "the server stored nothing: an ingest pipeline drops the document".to_owned(),
        ));
    }
    Ok(match class_of_document(status, &done["error"]) {
        Class::Done => Outcome::Stored(
            json!([{ "affected": 1, "_index": done["_index"], "_id": done["_id"], "result": done["result"] }]),
        ),
        Class::Retry => Outcome::Busy(reason()),
        Class::Wait => Outcome::Waits(waiting(&reason())),
        Class::Reject | Class::Fatal => Outcome::Rejected(reason()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_has_its_own_outcome() {
        let document = |index: &str, id: Option<&str>| Document {
            index: index.to_owned(),
            id: id.map(str::to_owned),
            source: "{}".to_owned(),
        };
        assert_eq!(
            body(&[document("a", None), document("b", Some("x\"\n"))]),
            "{\"index\":{\"_index\":\"a\"}}\n{}\n{\"index\":{\"_index\":\"b\",\"_id\":\"x\\\"\\n\"}}\n{}\n"
        );
        let answer = json!({ "items": [
            { "index": { "status": 201, "_index": "a", "_id": "1", "result": "created" } },
            { "index": { "status": 400, "error": { "type": "mapper_parsing_exception", "reason": "no", "caused_by": { "reason": "why" } } } },
            { "index": { "status": 429, "error": { "type": "es_rejected_execution_exception" } } },
            { "index": { "status": 200, "_index": "a", "_id": null, "result": "noop" } },
        ] });
        assert_eq!(
            outcomes(&answer, 4).unwrap(),
            [
                Outcome::Stored(json!([{ "affected": 1, "_index": "a", "_id": "1", "result": "created" }])),
                Outcome::Rejected("the server answered 400: mapper_parsing_exception: no: why".to_owned()),
                Outcome::Busy("the server answered 429: es_rejected_execution_exception".to_owned()),
                Outcome::Rejected(
                    "the server stored nothing: an ingest pipeline drops the document".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn an_answer_that_is_none_is_told() {
        for (answer, told) in [
            (json!({}), "the server answered for 0 of 1 documents"),
            (json!([1]), "the server answered for 0 of 1 documents"),
            (json!({ "items": [{}, {}] }), "the server answered for 2 of 1 documents"),
            (
                json!({ "items": [{ "index": { "status": "x" } }] }),
                "the server answered for a document without a status",
            ),
            (json!({ "items": [7] }), "the server answered for a document without a status"),
        ] {
            assert_eq!(outcomes(&answer, 1).unwrap_err(), told, "{answer}");
        }
    }
}
