//! `OPENSEARCH`: documents, searches and rows at a server that answers `_bulk` document by
//! document, as OpenSearch and Elasticsearch do.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Answer, Asked, Authority, Broker, HttpServer, eventually, free_address};
use serde_json::{Value as Json, json};

use crate::link::Link;
use crate::{Standing, backlog, broker, event, next, publish_all, send, watch};

/// State of a server: documents by index, and how often it still refuses each for now.
#[derive(Default)]
struct Held {
    documents: BTreeMap<String, Index>,
    busy: BTreeMap<String, u64>,
    /// Status and type of the error with which each index is refused.
    refused: BTreeMap<String, (u16, &'static str)>,
}

/// Documents of an index, in the order in which they came; one that comes again is the last.
#[derive(Default)]
struct Index {
    came: u64,
    places: HashMap<String, u64>,
    documents: BTreeMap<u64, Json>,
}

impl Index {
    fn put(&mut self, id: &str, document: &Json) {
        self.came += 1;
        if let Some(former) = self.places.insert(id.to_owned(), self.came) {
            self.documents.remove(&former);
        }
        self.documents.insert(self.came, document.clone());
    }
}

/// A server of documents. A document with `"busy": n` is refused with 429 so often, one with
/// `"wrong"` with 400.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Held>>);

impl Server {
    fn start(&self) -> HttpServer {
        self.start_at(free_address())
    }

    fn start_at(&self, address: SocketAddr) -> HttpServer {
        let held = self.clone();
        HttpServer::start_at(address, None, move |asked| held.answer(asked))
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let line = asked.line();
        match line.split('?').next().unwrap_or_default() {
            "GET /" => Answer::of(200, r#"{"version":{"number":"2.0"}}"#),
            "POST /_bulk" => self.bulk(&asked.body),
            path if path.ends_with("/_search") => self.search(path, &asked.body),
            path if path.ends_with("/_field_caps") => {
                let keyword = json!({ "keyword": { "searchable": true } });
                Answer::of(
                    200,
                    &json!({ "fields": { "id": { "text": {} }, "id.keyword": keyword } }).to_string(),
                )
            }
            other => Answer::of(404, &format!("{{\"error\":\"no {other}\"}}")),
        }
    }

    fn bulk(&self, body: &[u8]) -> Answer {
        let text = std::str::from_utf8(body).unwrap();
        assert!(text.ends_with('\n'), "a bulk ends with a line");
        let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut held = self.0.lock().unwrap();
        let items: Vec<Json> = lines.chunks(2).map(|pair| held.index(&pair[0]["index"], &pair[1])).collect();
        Answer::of(200, &json!({ "items": items }).to_string())
    }

    fn search(&self, path: &str, body: &[u8]) -> Answer {
        let body: Json = serde_json::from_slice(body).unwrap();
        let index = path.trim_start_matches("POST /").trim_end_matches("/_search");
        let held = self.0.lock().unwrap();
        if let Some((status, kind)) = held.refused.get(index) {
            let error = json!({ "error": { "type": kind, "reason": "so" }, "status": status });
            return Answer::of(*status, &error.to_string());
        }
        let wanted = body.pointer("/query/bool/filter/0/term/id.keyword").or(body.pointer("/query/term/id"));
        let found = held.documents.get(index).into_iter().flat_map(|index| index.documents.values().rev());
        let hits: Vec<Json> = found
            .filter(|document| wanted.is_none_or(|wanted| document["id"] == *wanted))
            .map(|document| json!({ "_source": document }))
            .collect();
        Answer::of(200, &json!({ "hits": { "hits": hits } }).to_string())
    }

    fn sources(&self, index: &str) -> Vec<Json> {
        let held = self.0.lock().unwrap();
        held.documents.get(index).into_iter().flat_map(|index| index.documents.values().cloned()).collect()
    }

    /// Refuses an index from now on, or takes it again.
    fn refuses(&self, index: &str, error: Option<(u16, &'static str)>) {
        let mut held = self.0.lock().unwrap();
        held.refused.remove(index);
        held.refused.extend(error.map(|error| (index.to_owned(), error)));
    }

    fn count(&self, index: &str) -> usize {
        self.0.lock().unwrap().documents.get(index).map_or(0, |index| index.documents.len())
    }
}

impl Held {
    fn index(&mut self, action: &Json, document: &Json) -> Json {
        let error = |status: u16, kind: &str| json!({ "index": { "status": status, "error": { "type": kind, "reason": "so" } } });
        if let Some((status, kind)) = self.refused.get(action["_index"].as_str().unwrap()) {
            return error(*status, kind);
        }
        if document.get("wrong").is_some() {
            return error(400, "mapper_parsing_exception");
        }
        if let Some(refusals) = document["busy"].as_u64() {
            let times = self.busy.entry(document.to_string()).or_default();
            if *times < refusals {
                *times += 1;
                return error(429, "es_rejected_execution_exception");
            }
        }
        let of_index = self.documents.entry(action["_index"].as_str().unwrap().to_owned()).or_default();
        let id = action["_id"].as_str().map_or_else(|| format!("own-{}", of_index.came), str::to_owned);
        of_index.put(&id, document);
        json!({ "index": { "status": 201, "_index": action["_index"], "_id": id, "result": "created" } })
    }
}

/// A route to a server with more lines in its section, and events.
fn route(server: &HttpServer, more: &str, events: &str) -> String {
    let url = format!("    ADD OPENSEARCH_CONFIG\n        WITH BASE_URL \"http://{}\"\n", server.address);
    let section = more.lines().fold(url, |text, line| format!("{text}        WITH {line}\n"));
    format!("-addRoute DEFINE ROUTE Idx WITH TYPE OPENSEARCH\n{section}{events}")
}

fn documents() -> String {
    event("E", "docs/+", "QUERY \"INDEX docs {payload.json}\"")
}

fn publish(client: &mut Client, topic: &str, payload: &str) {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
}

#[test]
fn documents_are_indexed_and_found() {
    let server = Server::default();
    let http = server.start();
    let broker = broker();
    let mut answers = watch(&broker, "answer/#");
    let events = documents()
        + &event("Named", "named/+", "QUERY \"INDEX idx-{topic.1}/{topic.2} {payload.json}\"\nDESTINATION_TOPIC \"answer/{topic.2}\"")
        + &event("Made", "made/+", "QUERY \"INDEX made { 'v': {payload}, 'at': 'of {topic.2}' }\"").replace('\'', "\\\"")
        + &event("Whole", "whole", "INDEX_NAME \"whole\"")
        + &event("Ask", "ask/+", "QUERY \"SEARCH idx-named { 'query': { 'term': { 'id': {payload.json.id} } } }\"\nDESTINATION_TOPIC \"answer/{topic.2}\"").replace('\'', "\\\"")
        + "    ADD MAPPING Old\n        WITH TOPIC \"old/+\"\n        WITH INDEX \"old\"\n";
    broker.command_ok(&route(&http, "USERNAME \"u\"\nPASSWORD \"p\"", &events));
    let every = r#"{"b":true,"i":-7,"big":9007199254740993,"d":2.5,"n":null,"t":"quo\"te {x} ü","a":[1,{"z":1}],"o":{"y":0}}"#;
    send(&broker, "docs/1", every);
    send(&broker, "named/a", r#"{"id":"x\"y"}"#);
    let result = next(&mut answers);
    assert_eq!(result, r#"answer/a=[{"affected":1,"_index":"idx-named","_id":"a","result":"created"}]"#);
    send(&broker, "made/m", "21.5");
    send(&broker, "whole", r#"{"w":1}"#);
    send(&broker, "old/1", r#"{"o":1}"#);
    send(&broker, "ask/q", r#"{"id":"x\"y"}"#);
    assert_eq!(next(&mut answers), r#"answer/q=[{"id":"x\"y"}]"#);
    send(&broker, "ask/none", r#"{"id":"other"}"#);
    assert_eq!(next(&mut answers), "answer/none=[]");
    assert_eq!(server.sources("docs"), [serde_json::from_str::<Json>(every).unwrap()]);
    assert_eq!(server.sources("made"), [json!({ "v": 21.5, "at": "of m" })]);
    assert_eq!(
        (server.sources("whole"), server.sources("old")),
        (vec![json!({ "w": 1 })], vec![json!({ "o": 1 })])
    );
    assert_eq!(broker.command_ok("-checkRouteConnection Idx").message(), "Route 'Idx' is reachable.");
    for asked in http.asked() {
        assert_eq!(asked.field("authorization"), Some("Basic dTpw"), "{}", asked.line());
    }
}

#[test]
fn each_document_of_a_bulk_is_heeded_by_itself() {
    let server = Server::default();
    let http = server.start();
    let broker = broker();
    let gathered = "    ADD ROUTE_CONFIG\n        WITH BATCH_SIZE 6\n        WITH BATCH_LINGER 500\n";
    let mut failed = watch(&broker, "failed");
    let event = documents() + "        WITH ERROR_TOPIC \"failed\"\n";
    broker.command_ok(&route(&http, "", &(gathered.to_owned() + &event)));
    let mut sender = broker.client("sender");
    for document in [
        r#"{"n":0}"#,
        r#"{"n":1,"busy":3}"#,
        r#"{"n":2,"wrong":1}"#,
        r#"{"n":3}"#,
        "no document",
        r#"{"n":4,"busy":1}"#,
        r#"{"n":5}"#,
    ] {
        publish(&mut sender, "docs/1", document);
    }
    // The server stored the documents behind a busy one at once, and only once.
    let numbers =
        || -> Vec<i64> { server.sources("docs").iter().map(|one| one["n"].as_i64().unwrap()).collect() };
    eventually("all but those that are refused", || (numbers().len() == 5).then_some(()));
    let mut stored = numbers();
    stored.sort_unstable();
    assert_eq!(stored, [0, 1, 3, 4, 5]);
    let mut told = vec![next(&mut failed), next(&mut failed)];
    told.sort();
    assert!(
        told[0].contains("mapper_parsing_exception: so") || told[1].contains("mapper_parsing_exception: so"),
        "{told:?}"
    );
    assert!(told.iter().any(|one| one.contains("JSON")), "{told:?}");
    broker.wait_until_metric_is("lotmq_route_rejected_total", 2.0);
    broker.wait_until_metric_is("lotmq_route_delivered_total", 5.0);
}

#[test]
fn rows_are_stored_and_asked_for() {
    let server = Server::default();
    let http = server.start();
    let broker = broker();
    broker.command_ok(&route(&http, "INDEX \"all\"", &event("E", "docs/+", "")));
    broker.command_ok(
        "-addModel DEFINE MODEL Part COLLAPSED\n    ADD STRING \"id\"\n    ADD INT \"weight\"\n    STORE IN \"Idx\"\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Weigh\nON TOPIC \"scale/+\" DO\n    PUBLISH MODEL Part TO \"parts/\" + TOPIC POSITION 2 WITH\n        id = TOPIC POSITION 2\n        weight = PAYLOAD AS INT\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Find\nON TOPIC \"find\" DO\n    PUBLISH TOPIC \"found\" WITH GET MODEL \"Part\" FROM \"Idx\" WHERE id == PAYLOAD\n",
    );
    let mut found = watch(&broker, "found");
    send(&broker, "scale/a", "12");
    send(&broker, "scale/b", "3");
    eventually("both rows", || {
        let held = server.0.lock().unwrap();
        (held.documents.values().map(|index| index.documents.len()).sum::<usize>() == 2).then_some(())
    });
    send(&broker, "find", "a");
    assert_eq!(next(&mut found), r#"found={"id":"a","weight":12}"#);
}

#[test]
fn nothing_is_lost_when_the_server_ends_under_load() {
    let messages = backlog(10_000);
    let server = Server::default();
    let http = server.start();
    let broker = broker();
    let roomy = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MAX_BYTES 4000000000\n".to_owned();
    let event = event("E", "docs/+", "QUERY \"INDEX docs/{payload.json.n} {payload.json}\"");
    broker.command_ok(&route(&http, "", &(roomy + &event)));
    let numbered = |number| ("docs/1".to_owned(), format!("{{\"n\":{number}}}"));
    publish_all(&broker, (0..messages / 10).map(numbered));
    eventually("the first", || (server.count("docs") > 0).then_some(()));
    let address = http.address;
    drop(http);
    publish_all(&broker, (messages / 10..messages).map(numbered));
    eventually("the port", || std::net::TcpListener::bind(address).ok());
    let _http = server.start_at(address);
    eventually("all of them", || (server.count("docs") == messages).then_some(()));
}

#[test]
fn a_slow_server_is_waited_for() {
    let server = Server::default();
    let http = server.start();
    let link = Link::to(http.address.port());
    link.slow_down(Duration::from_millis(200));
    let broker = broker();
    let slow = route(&http, "", &documents())
        .replace(&http.address.to_string(), &format!("127.0.0.1:{}", link.port));
    broker.command_ok(&slow);
    publish_all(&broker, (0..300).map(|number| ("docs/1".to_owned(), format!("{{\"n\":{number}}}"))));
    eventually("all of them, each once", || (server.count("docs") == 300).then_some(()));
    assert_eq!(broker.metric("lotmq_route_reconnects_total"), Some(0.0));
}

/// A broker with a route to a server that always answers in one way.
fn answered(answer: Answer, more: &str) -> (Broker, HttpServer, Standing) {
    let http = HttpServer::start(move |_| answer.clone());
    let broker = broker();
    broker.command_ok("-setSecret OS=hidden-password");
    let hurry = "    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT 2\n".to_owned();
    let login = format!("USERNAME \"u\"\nPASSWORD GET SECRET \"OS\"{more}");
    broker.command_ok(&route(&http, &login, &(hurry + &documents())));
    let standing = Standing::of(&broker, "Idx");
    send(&broker, "docs/1", "{}");
    (broker, http, standing)
}

#[test]
fn server_errors_are_reported_without_the_password() {
    let error = r#"{"error":{"type":"security_exception","reason":"missing"},"status":401}"#;
    for (answer, told) in [
        (Answer::of(401, error), "the server answered 401: security_exception: missing"),
        (Answer::of(404, "<html>"), "the server answered 404"),
        (Answer::of(503, ""), "the server answered 503"),
        (Answer::of(200, "{\"items\":[]}"), "the server answered for 0 of 1 documents"),
        (Answer::of(200, "nonsense"), "the answer of the server is not JSON"),
        (Answer::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()), "\"Reconnecting\""),
        (Answer::Close(b"\x15\x03\x01".to_vec()), "\"Reconnecting\""),
    ] {
        let (broker, _http, mut standing) = answered(answer, "");
        let status = standing.until(told);
        assert!(!status.contains("hidden-password"));
        assert!(!broker.log().text().contains("hidden-password"));
    }
}

#[test]
fn documents_wait_while_the_index_rejects_every_message() {
    let server = Server::default();
    let http = server.start();
    let broker = broker();
    let search = event("S", "ask", "QUERY \"SEARCH docs\"\nDESTINATION_TOPIC \"found\"");
    broker.command_ok(&route(&http, "", &(documents() + &search)));
    let mut standing = Standing::of(&broker, "Idx");
    let mut found = watch(&broker, "found");
    let mut stored = Vec::new();
    for (number, (status, kind)) in [
        (403, "cluster_block_exception"),
        (429, "cluster_block_exception"),
        (403, "security_exception"),
        (404, "index_not_found_exception"),
    ]
    .into_iter()
    .enumerate()
    {
        server.refuses("docs", Some((status, kind)));
        let told = format!("the server answered {status}: {kind}: so: so it is for every message; they wait");
        let document = json!({ "n": number });
        send(&broker, "docs/1", &document.to_string());
        let status = standing.until(&told);
        assert!(status.contains("\"Reconnecting\"") && status.contains("\"deadLetters\":0"), "{status}");
        server.refuses("docs", None);
        stored.push(document);
        eventually("it is stored", || (server.sources("docs") == stored).then_some(()));
    }
    // A search is told of the whole request.
    server.refuses("docs", Some((404, "index_not_found_exception")));
    send(&broker, "ask", "");
    standing.until("the server answered 404: index_not_found_exception: so: so it is");
    server.refuses("docs", None);
    assert_eq!(next(&mut found), r#"found=[{"n":3},{"n":2},{"n":1},{"n":0}]"#);
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(0.0));
}

#[test]
fn nothing_is_sent_to_server_with_untrusted_certificate() {
    let authority = Authority::new();
    let config = authority.server("localhost").server_config();
    let server = Server::default();
    let held = server.clone();
    let http =
        HttpServer::start_at(([127, 0, 0, 1], 0).into(), Some(config), move |asked| held.answer(asked));
    let broker = broker();
    let secure = route(&http, "", &documents()).replace("http://", "https://");
    broker.command_ok(&secure);
    let mut standing = Standing::of(&broker, "Idx");
    send(&broker, "docs/1", "{\"n\":1}");
    standing.until("UnknownIssuer");
    assert!(http.asked().is_empty());
    broker
        .command_ok(&secure.replace("    ADD EVENT", "        WITH IGNORE_CERT_ERRORS TRUE\n    ADD EVENT"));
    eventually("it is stored", || (server.sources("docs").len() == 1).then_some(()));
}

#[test]
fn invalid_route_definition_is_reported() {
    let http = Server::default().start();
    let broker = broker();
    for (definition, told) in [
        (route(&http, "PORT 70000", &documents()), "PORT is a whole number from 1 to 65535"),
        (route(&http, "IGNORE_CERT_ERRORS \"perhaps\"", &documents()), "IGNORE_CERT_ERRORS is TRUE or FALSE"),
        ("-addRoute DEFINE ROUTE Idx WITH TYPE ELASTIC\n    ADD OPENSEARCH_CONFIG\n        WITH USERNAME \"u\"\n".to_owned(), "OPENSEARCH_CONFIG needs BASE_URL"),
        (route(&http, "", "    ADD EVENT E\n        WITH QUERY \"SEARCH x\"\n"), "needs SOURCE_TOPIC"),
        (
            route(&http, "", &event("E", "docs/+", "QUERY \"DROP x\"")),
            "QUERY begins with 'DROP', and not with INDEX or SEARCH",
        ),
        (
            route(&http, "", &event("E", "docs/+", "QUERY \"INDEX x\"")),
            "QUERY has no document behind the index",
        ),
    ] {
        let refused = broker.command(&definition);
        assert!(refused.message().contains(told), "{told}: {refused:?}");
    }
    // Only the guest can judge these mistakes, and they stop the route.
    for (query, told) in [
        ("QUERY \"INDEX x/ {}\"", "E: QUERY has no id behind the slash"),
        ("", "E needs QUERY, TABLE or INDEX of OPENSEARCH_CONFIG"),
    ] {
        broker.command_ok(&route(&http, "", &event("E", "docs/+", query)));
        Standing::of(&broker, "Idx").until(told);
    }
}
