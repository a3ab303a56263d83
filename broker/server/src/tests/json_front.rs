//! A front other than MQTT, as HTTP would be: arguments, run, typed reply, JSON. It has no Client,
//! no topic and no text of a reply.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::verbs::{ROWS, RowTexts, command};
use crate::testing::Running;
use crate::{CommandReply, CommandUser, ReplyData, execute_command, is_read_only, verb_names};

/// Request of the front.
struct Request<'a> {
    user: &'a str,
    verb: &'a str,
    arguments: &'a str,
}

/// Response of the front.
struct Response {
    status: u16,
    body: Value,
    download: Vec<u8>,
}

/// HTTP status for the code of a refusal.
fn status_of(reply: &CommandReply) -> u16 {
    match reply.code() {
        None => 200,
        Some("PERMISSION_DENIED") => 403,
        Some("NOT_FOUND" | "MODULE_NOT_FOUND" | "TENANT_NOT_FOUND") => 404,
        Some("BUSY" | "STOPPING") => 503,
        Some(_) => 400,
    }
}

/// The whole front.
fn respond(running: &Running, request: &Request<'_>) -> Response {
    let mut download = Vec::new();
    let of = CommandUser { tenant: "default", user: request.user };
    let text = format!("-{} {}", request.verb, request.arguments);
    let reply = execute_command(&running.server, of, &text, &mut download).expect("a vector takes all bytes");
    let status = status_of(&reply);
    let body = match reply.data {
        ReplyData::Nothing => json!({ "message": reply.message, "errors": reply.errors }),
        ReplyData::Table(rows) => json!({ "rows": rows, "errors": reply.errors }),
        ReplyData::Document(members) => json!({ "document": members, "errors": reply.errors }),
        ReplyData::Single(value) => json!({ "value": value, "errors": reply.errors }),
    };
    Response { status, body, download }
}

/// Every row of the table runs, so that the read-only verbs find something. Rows of those go
/// through the front.
#[test]
fn every_verb_that_only_reads_answers_through_a_json_front() {
    let (running, texts) = (Running::start("none"), RowTexts::new());
    let (mut asked, mut wrong) = (BTreeSet::new(), Vec::new());
    for (user, row, code, _) in ROWS {
        let text = texts.fill(row);
        let (verb, arguments) = text.trim_start_matches('-').split_once(' ').unwrap_or((&text[1..], ""));
        if is_read_only(verb) != Some(true) {
            command(&running, user, &text);
            continue;
        }
        let Response { status, body, .. } = respond(&running, &Request { user, verb, arguments });
        let has_errors = body["errors"].as_array().is_some_and(|errors| !errors.is_empty());
        if (status == 200) != code.is_empty() || has_errors == code.is_empty() {
            wrong.push(format!("{row}: {status} {body}"));
        }
        asked.insert(verb.to_owned());
    }
    let missing: Vec<&str> =
        verb_names().filter(|verb| is_read_only(verb) == Some(true) && !asked.contains(*verb)).collect();
    running.server.stop();
    assert!(wrong.is_empty() && missing.is_empty(), "{wrong:#?} {missing:?}");
}

#[test]
fn a_json_front_tells_tables_documents_and_downloads_apart() {
    let (running, texts) = (Running::start("none"), RowTexts::new());
    let project = texts.fill("zip64:{project} plant");
    let ask = |user, verb, arguments| respond(&running, &Request { user, verb, arguments });
    assert_eq!(ask("root", "addProject", &project).status, 200);
    assert_eq!(ask("root", "listProjects", "").body["rows"][0]["name"], "plant");
    assert!(ask("root", "projectManifest", "plant").body["document"].is_object());
    let download = ask("root", "getProject", "plant");
    assert_eq!((download.status, download.download.get(..2)), (200, Some(&b"PK"[..])));
    assert_eq!(ask("root", "getProject", "other").status, 404);
    assert_eq!(ask("nobody", "listProjects", "").status, 403);
    assert_eq!(ask("root", "getProject", "").status, 400);
    running.server.stop();
}

/// The value and the text of the `$SYS` front are the same JSON.
#[test]
fn the_value_of_a_reply_serializes_to_the_text_of_the_topic() {
    let running = Running::start("none");
    for text in ["-listUsers -requestId r7", "-brokerStatus", "-removeAction Nope", "-nothing"] {
        let of = CommandUser { tenant: "default", user: "root" };
        let reply = execute_command(&running.server, of, text, &mut Vec::new()).unwrap();
        assert_eq!(serde_json::to_string(&reply).unwrap(), reply.json(), "{text}");
    }
    running.server.stop();
}
