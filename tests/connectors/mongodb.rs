//! `MONGODB`: documents, what is found of them, changes and rows, at servers that speak MongoDB's
//! protocol, with pymongo beside as a client that is not ours.

#[path = "mongodb/faults.rs"]
mod faults;
#[path = "mongodb/server.rs"]
mod server;
#[path = "mongodb/service.rs"]
mod service;

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{WAIT_MAX, eventually};
use serde_json::{Value as Json, json};

use crate::{backlog, broker, event, failure, next, publish_all, send, watch};
use server::Server;

/// A route with an address, more lines in its section, and events.
fn route(address: &str, more: &str, events: &str) -> String {
    let lines = format!("CONNECTION_STRING \"{address}\"\nDATABASE \"plant\"\n{more}");
    let section = lines
        .lines()
        .fold("    ADD MONGODB_CONFIG\n".to_owned(), |text, line| format!("{text}        WITH {line}\n"));
    format!("-addRoute DEFINE ROUTE Docs WITH TYPE MONGODB\n{section}{events}")
}

/// An event with a statement, whose quotes are single ones here.
fn query(name: &str, topic: &str, statement: &str, more: &str) -> String {
    event(name, topic, &format!("QUERY \"{}\"\n{more}", statement.replace('"', "\\\"")))
}

/// Stores what `docs/+` brings.
fn documents() -> String {
    query("Put", "docs/+", "INSERT docs {payload.json}", "ERROR_TOPIC \"failed\"")
}

fn publish(client: &mut Client, topic: &str, payload: &str) {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
}

fn answer(answers: &mut Client, topic: &str) -> Json {
    let told = next(answers);
    let payload = told.strip_prefix(&format!("{topic}=")).unwrap_or_else(|| panic!("{told}"));
    serde_json::from_str(payload).unwrap()
}

#[test]
fn the_server_of_these_tests_speaks_as_pymongo_wants_it() {
    let users = json!({ "u": { "password": "p", "mechanisms": ["SCRAM-SHA-1", "SCRAM-SHA-256"] } });
    let Some(server) = Server::start(&json!({ "users": users })) else { return };
    assert_eq!(server.client(&["check", "plant"]), "good");
}

#[test]
fn documents_are_stored_found_changed_and_removed() {
    let Some(server) = Server::start(&json!({})) else { return };
    let broker = broker();
    let (mut answers, mut failed) = (watch(&broker, "answer/#"), watch(&broker, "failed"));
    let answered = "DESTINATION_TOPIC \"answer/{topic.2}\"\nQOS 1\nERROR_TOPIC \"failed\"";
    let events = documents()
        + &query(
            "Made",
            "made/+",
            r#"INSERT made_{topic.2} {"v": {payload}, "of": "dev {topic.2}", "at": {timestamp}, "none": {payload.json.x}}"#,
            "",
        )
        + &query("Named", "named/+", "INSERT named {payload.json}", answered)
        + &query("Ask", "ask/+", "FIND docs WHERE t = {payload.json.t} AND i >= -7 LIMIT 5", answered)
        + &query("Raw", "raw/+", r#"FIND docs {"o": {"y": {payload}}}"#, answered)
        + &query("One", "one/+", "FIND named WHERE _id = '{payload}'", answered)
        + &query("Set", "set/+", "UPDATE named SET {payload.json} WHERE id = '{topic.2}'", answered)
        + &query("Drop", "drop/+", "DELETE named WHERE id = '{topic.2}'", answered)
        + &event("Whole", "whole", "COLLECTION \"whole\"")
        + "    ADD MAPPING Old\n        WITH TOPIC \"old/+\"\n        WITH COLLECTION \"old\"\n";
    broker.command_ok(&route(&server.address(), "", &events));
    let every = r#"{"b":true,"i":-7,"l":9007199254740993,"d":2.5,"w":2.0,"n":null,"t":"quo\"te {x} ü","a":[1,{"z":1}],"o":{"y":0}}"#;
    send(&broker, "docs/1", every);
    // The types that pymongo sees, and the document as it comes back.
    let stored = eventually("it is stored", || server.documents("docs").into_iter().next());
    let int = |number: &str| json!({ "$numberInt": number });
    let mut expected = json!({
        "b": true, "i": int("-7"), "l": { "$numberLong": "9007199254740993" }, "d": { "$numberDouble": "2.5" },
        "w": { "$numberDouble": "2.0" }, "n": null, "t": "quo\"te {x} ü", "a": [int("1"), { "z": int("1") }],
        "o": { "y": int("0") },
    });
    expected["_id"] = stored["_id"].clone();
    assert_eq!(stored, expected);
    let identifier = stored["_id"]["$oid"].as_str().unwrap().to_owned();
    send(&broker, "ask/q", r#"{"t":"quo\"te {x} ü"}"#);
    let mut whole: Json = serde_json::from_str(every).unwrap();
    whole["_id"] = json!(identifier);
    assert_eq!(answer(&mut answers, "answer/q"), json!([whole]));
    // The server compares with the value of a message and does not execute it.
    send(&broker, "ask/evil", r#"{"t":{"$ne":""}}"#);
    assert_eq!(answer(&mut answers, "answer/evil"), json!([]));
    send(&broker, "ask/none", "{}");
    assert_eq!(failure(&mut failed), "{payload.json.t} is not there, and nothing is compared with it");
    send(&broker, "raw/r", "0");
    assert_eq!(answer(&mut answers, "answer/r"), json!([whole]));
    send(&broker, "named/n", r#"{"id":"n","_id":7}"#);
    assert_eq!(answer(&mut answers, "answer/n"), json!([{ "affected": 1 }]));
    send(&broker, "named/m", r#"{"id":"m","v":1}"#);
    let told = answer(&mut answers, "answer/m");
    let of_m = told[0]["_id"].as_str().unwrap().to_owned();
    send(&broker, "set/m", r#"{"v":2,"o.p":[true]}"#);
    assert_eq!(answer(&mut answers, "answer/m"), json!([{ "affected": 1 }]));
    send(&broker, "one/o", &of_m);
    assert_eq!(
        answer(&mut answers, "answer/o"),
        json!([{ "_id": of_m, "id": "m", "v": 2, "o": { "p": [true] } }])
    );
    send(&broker, "set/m", r#"{"$inc":{"v":1}}"#);
    assert_eq!(failure(&mut failed), "'$inc' is no name of a field: SET takes fields and their values");
    send(&broker, "drop/m", "");
    assert_eq!(answer(&mut answers, "answer/m"), json!([{ "affected": 1 }]));
    send(&broker, "made/x", "21.5");
    send(&broker, "whole", r#"{"w":1}"#);
    send(&broker, "old/1", r#"{"o":1}"#);
    let made = eventually("it is made", || server.documents("made_x").into_iter().next());
    assert_eq!(
        (&made["v"], &made["of"], &made["none"]),
        (&json!({ "$numberDouble": "21.5" }), &json!("dev x"), &Json::Null)
    );
    assert!(made["at"]["$date"]["$numberLong"].is_string(), "{made}");
    eventually("the others", || {
        (server.documents("whole").len() == 1 && server.documents("old").len() == 1).then_some(())
    });
    assert_eq!(broker.command_ok("-checkRouteConnection Docs").message(), "Route 'Docs' is reachable.");
    assert_eq!(broker.metric("lotmq_route_reconnects_total").unwrap_or_default(), 0.0);
}

#[test]
fn every_type_of_the_database_comes_as_json() {
    let Some(server) = Server::start(&json!({ "page": 2 })) else { return };
    let broker = broker();
    let mut answers = watch(&broker, "answer");
    let events = query("Ask", "ask", "FIND types ORDER BY n DESC", "DESTINATION_TOPIC \"answer\"");
    broker.command_ok(&route(&server.address(), "", &events));
    let typed = json!({
        "_id": { "$oid": "65a1b2c3d4e5f60718293a4b" }, "n": 9, "at": { "$date": "2026-11-20T09:18:25.120Z" },
        "dec": { "$numberDecimal": "12.3400000000000000000000000000001" }, "big": { "$numberLong": "-9223372036854775808" },
        "bytes": { "$binary": { "base64": "/wA=", "subType": "00" } }, "uuid": { "$uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f" },
        "nan": { "$numberDouble": "NaN" }, "re": { "$regularExpression": { "pattern": "a/b", "options": "i" } },
        "ts": { "$timestamp": { "t": 1, "i": 2 } }, "min": { "$minKey": 1 },
    });
    server.client(&["insert", "plant", "types", &typed.to_string()]);
    for number in 0..6 {
        server.client(&["insert", "plant", "types", &json!({ "_id": number, "n": number }).to_string()]);
    }
    send(&broker, "ask", "");
    let told = next(&mut answers);
    let first = r#"answer=[{"_id":"65a1b2c3d4e5f60718293a4b","n":9,"at":"2026-11-20T09:18:25.120Z","dec":12.3400000000000000000000000000001,"big":-9223372036854775808,"bytes":"/wA=","uuid":"00010203-0405-0607-0809-0a0b0c0d0e0f","nan":"NaN","re":"/a/b/i","ts":{"t":1,"i":2},"min":"MinKey"},{"_id":5,"n":5},"#;
    assert!(told.starts_with(first), "{told}");
    // Of several pages, and in their order.
    assert!(told.ends_with(r#"{"_id":1,"n":1},{"_id":0,"n":0}]"#), "{told}");
    assert!(server.asked("getmore") >= 3);
}

#[test]
fn a_result_that_is_too_large_is_cut_and_its_cursor_ended() {
    let Some(server) = Server::start(&json!({ "page": 1 })) else { return };
    let broker = broker();
    let (mut answers, mut put) = (watch(&broker, "answer"), broker.client("sender"));
    let events = documents() + &query("Ask", "ask", "FIND docs", "DESTINATION_TOPIC \"answer\"");
    broker.command_ok(&route(&server.address(), "", &events));
    let mut errors = broker.root("errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Docs/Error", QoS::AtLeastOnce).unwrap();
    for number in 0..4 {
        publish(&mut put, "docs/1", &json!({ "n": number, "t": "x".repeat(400_000) }).to_string());
    }
    server.until("docs", 4);
    send(&broker, "ask", "");
    assert_eq!(answer(&mut answers, "answer").as_array().map(Vec::len), Some(2));
    let told = errors.receive(WAIT_MAX).unwrap().expect("an error").text();
    assert!(told.contains("further documents were left out"), "{told}");
    assert_eq!(server.asked("killcursors"), 1);
}

#[test]
fn each_document_of_a_batch_is_heeded_by_itself() {
    let settings = json!({ "unique": { "docs": "u" }, "document_bytes": 2_000 });
    let Some(server) = Server::start(&settings) else { return };
    let broker = broker();
    let gathered = "    ADD ROUTE_CONFIG\n        WITH BATCH_SIZE 12\n        WITH BATCH_LINGER 500\n";
    let mut failed = watch(&broker, "failed");
    let change = query(
        "Set",
        "set/+",
        "UPDATE docs SET {payload.json} WHERE n = {payload.json.of}",
        "ERROR_TOPIC \"failed\"",
    );
    broker.command_ok(&route(&server.address(), "", &(gathered.to_owned() + &documents() + &change)));
    let mut sender = broker.client("sender");
    for document in [
        r#"{"n":0,"u":0}"#.to_owned(),
        r#"{"n":1,"u":1,"busy":true}"#.to_owned(),
        r#"{"n":2,"u":2,"wrong":1}"#.to_owned(),
        r#"{"n":3,"u":0}"#.to_owned(),
        r#"{"n":4,"u":4,"_id":"mine"}"#.to_owned(),
        r#"{"n":5,"u":5,"_id":"mine"}"#.to_owned(),
        json!({ "n": 6, "u": 6, "t": "x".repeat(3_000) }).to_string(),
        "no document".to_owned(),
        "[1]".to_owned(),
        format!("{}1{}", "{\"a\":".repeat(110), "}".repeat(110)),
        r#"{"n":7,"u":7}"#.to_owned(),
    ] {
        publish(&mut sender, "docs/1", &document);
    }
    // Documents in the same command as the busy one are stored. The next command, behind the
    // document that is too large, waits for it.
    eventually("those that go with the busy one", || (server.numbers("docs") == [0, 4]).then_some(()));
    server.now(&json!({ "idle": true }));
    let mut told: Vec<String> = (0..7).map(|_| failure(&mut failed)).collect();
    told.sort();
    for (told, expected) in told.iter().zip([
        "error 11000: E11000 duplicate key error collection: c index: _id_",
        "error 11000: E11000 duplicate key error collection: c index: u_1",
        "error 121: Document failed validation",
        "it has more than 100 levels",
        "the document has 30",
        "the document is not a JSON object",
        "the payload is not JSON",
    ]) {
        assert!(told.starts_with(expected), "{told:?} begins with {expected:?}");
    }
    server.until("docs", 4);
    let mut numbers = server.numbers("docs");
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 4, 7]);
    // Changes of a batch go together and in order; a wrong one ends what goes with it, and not what
    // is behind.
    for change in [r#"{"of":0,"v":1}"#, r#"{"of":0,"v":2}"#, r#"{"of":4,"wrong":1}"#, r#"{"of":7,"v":3}"#] {
        publish(&mut sender, "set/1", change);
    }
    assert_eq!(failure(&mut failed), "error 121: Document failed validation");
    let values = || -> Vec<(i64, String)> {
        let of = |document: &Json, key: &str| document[key]["$numberInt"].as_str().map(str::to_owned);
        let documents = server.documents("docs");
        documents.iter().filter_map(|one| Some((of(one, "n")?.parse().ok()?, of(one, "v")?))).collect()
    };
    eventually("they are changed", || {
        let mut found = values();
        found.sort();
        (found == [(0, "2".to_owned()), (7, "3".to_owned())]).then_some(())
    });
    broker.wait_until_metric_is("lotmq_route_rejected_total", 8.0);
}

#[test]
fn rows_are_stored_and_asked_for() {
    let Some(server) = Server::start(&json!({})) else { return };
    let broker = broker();
    broker.command_ok(&route(&server.address(), "", &documents()));
    broker.command_ok(
        "-addModel DEFINE MODEL Part COLLAPSED\n    ADD STRING \"id\"\n    ADD INT \"weight\"\n    STORE IN \"Docs\"\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Weigh\nON TOPIC \"scale/+\" DO\n    PUBLISH MODEL Part TO \"parts/\" + TOPIC POSITION 2 WITH\n        id = TOPIC POSITION 2\n        weight = PAYLOAD AS INT\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Find\nON TOPIC \"find\" DO\n    PUBLISH TOPIC \"found\" WITH GET MODEL \"Part\" FROM \"Docs\" WHERE id == PAYLOAD\n",
    );
    let mut found = watch(&broker, "found");
    for (topic, weight) in [("scale/a", "11"), ("scale/b", "3"), ("scale/a", "12")] {
        send(&broker, topic, weight);
    }
    eventually("all rows", || (server.documents("Part").len() == 3).then_some(()));
    send(&broker, "find", "a");
    assert_eq!(next(&mut found), r#"found=[{"id":"a","weight":12},{"id":"a","weight":11}]"#);
}

#[test]
fn ten_thousand_that_wait_arrive_in_order() {
    let count = backlog(10_000);
    let Some(mut server) = Server::start(&json!({ "batch": 100 })) else { return };
    let broker = broker();
    let section = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MAX_BYTES 4000000000\n".to_owned();
    server.kill();
    broker.command_ok(&route(&server.address(), "", &(section + &documents())));
    publish_all(&broker, (0..count).map(|number| ("docs/1".to_owned(), format!("{{\"n\":{number}}}"))));
    server.start_again();
    // The server is one thread, and to count is to read all: it is left alone until it has them.
    broker.wait_until_metric_is("lotmq_route_delivered_total", count as f64);
    server.until("docs", count);
    let numbers = server.numbers("docs");
    assert!(numbers.iter().enumerate().all(|(place, number)| usize::try_from(*number) == Ok(place)));
    // Identifiers rise as messages came.
    let ids: Vec<String> =
        server.documents("docs").iter().map(|one| one["_id"]["$oid"].as_str().unwrap().to_owned()).collect();
    assert!(ids.is_sorted() || count > 1 << 24);
    let commands = server.asked("insert");
    assert!(usize::try_from(commands).unwrap() <= count / 20, "{commands} commands");
}
