//! `REST_API` against HTTP servers whose answers the tests write, and as a server.

mod garbage;
mod serving;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use lotmq_test_support::{Answer, Asked, Authority, Broker, HttpServer, eventually};

use crate::files::may_deploy;
use crate::{Standing, backlog, broker, next, options, publish_all, send, watch};

/// A route to a server at this machine, with these settings and events.
fn route(server: &HttpServer, path: &str, more: &str, events: &str) -> String {
    let more: String = more.lines().map(|line| format!("        WITH {line}\n")).collect();
    format!(
        "-addRoute DEFINE ROUTE Api WITH TYPE REST_API\n    ADD REST_API_CONFIG\n        WITH BASE_ADDRESS \"http://{}{path}\"\n{more}{events}",
        server.address
    )
}

fn event(name: &str, settings: &str) -> String {
    let settings: String = settings.lines().map(|line| format!("        WITH {line}\n")).collect();
    format!(
        "    ADD EVENT {name}\n        WITH SOURCE_TOPIC \"{name}/+\"\n        WITH DESTINATION_TOPIC \"answer/{{topic.2}}\"\n        WITH ERROR_TOPIC \"error/{{topic.2}}\"\n{settings}"
    )
}

/// An answer with its location.
fn redirect(status: u16, location: &str) -> Answer {
    Answer::Keep(
        format!("HTTP/1.1 {status} There\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into_bytes(),
    )
}

fn told(asked: &Asked) -> String {
    format!("{} {}", asked.line(), String::from_utf8_lossy(&asked.body))
}

fn next_of(broker: &Broker, watcher: &mut lotmq_client::Client, topic: &str, payload: &str) -> String {
    send(broker, topic, payload);
    next(watcher)
}

#[test]
fn messages_are_requests_and_answers_are_published() {
    let server = HttpServer::start(|asked| Answer::of(200, &told(asked)));
    let broker = broker();
    broker.command_ok("-setSecret TOKEN=hidden-token");
    let section =
        "AUTHORIZATION \"Bearer \" + GET SECRET \"TOKEN\"\nHEADERS \"X-Site: north; Accept: text/plain\"";
    let events = event("get", "METHOD \"GET\"\nENDPOINT \"/x/{topic.2}?c={payload}\"")
        + &event(
            "post",
            "METHOD \"POST\"\nENDPOINT \"/raw\"\nHEADERS \"X-Topic: {topic}; x-site: {topic.2}\"",
        )
        + &event(
            "put",
            "METHOD \"PUT\"\nENDPOINT \"/json\"\nBODY '{\"v\":{payload.json.v},\"n\":\"{payload.json.n}\"}'",
        )
        + &event("patch", "METHOD \"PATCH\"\nENDPOINT \"p\"\nBODY \"v={payload}\"")
        + &event("delete", "METHOD \"DELETE\"\nENDPOINT \"/d\"");
    broker.command_ok(&route(&server, "/v1", section, &events));
    let mut watcher = watch(&broker, "answer/+");
    for (topic, payload, expected) in [
        ("get/a b", "1&x=2/ä", "answer/a b=GET /v1/x/a%20b?c=1%26x%3D2%2F%C3%A4 "),
        ("post/1", "{\"a\":1}", "answer/1=POST /v1/raw {\"a\":1}"),
        ("put/1", "{\"v\":1.5,\"n\":\"a\\\"b\"}", "answer/1=PUT /v1/json {\"v\":1.5,\"n\":\"a\\\"b\"}"),
        ("patch/1", "x", "answer/1=PATCH /v1/p v=x"),
        ("delete/1", "x", "answer/1=DELETE /v1/d "),
    ] {
        assert_eq!(next_of(&broker, &mut watcher, topic, payload), expected);
    }
    let asked = server.asked();
    let fields: Vec<_> = asked.iter().map(|asked| asked.field("content-type")).collect();
    let (json, text) = (Some("application/json"), Some("text/plain; charset=utf-8"));
    assert_eq!(fields, [None, json, json, text, None]);
    assert!(asked.iter().all(|asked| asked.field("authorization") == Some("Bearer hidden-token")));
    assert_eq!((asked[1].field("x-topic"), asked[2].field("x-site")), (Some("post/1"), Some("north")));
    let sites = asked[1].head.lines().filter(|line| line.to_ascii_lowercase().starts_with("x-site:"));
    assert_eq!(sites.collect::<Vec<_>>(), ["x-site: 1"], "that of the event stands in its place");
    assert_eq!(broker.command_ok("-checkRouteConnection Api").message(), "Route 'Api' is reachable.");
    assert!(!broker.log().text().contains("hidden-token"));
}

#[test]
fn http_status_decides_between_retry_and_rejection() {
    let counted = AtomicUsize::new(0);
    let let_in = Arc::new(AtomicBool::new(false));
    let is_let_in = Arc::clone(&let_in);
    let server = HttpServer::start(move |asked| {
        let nth = counted.fetch_add(1, SeqCst);
        match asked.line() {
            "GET /busy" | "GET /limited" | "GET /late" | "GET /early" if nth.is_multiple_of(2) => {
                let status = match asked.line() {
                    "GET /busy" => 503,
                    "GET /limited" => 429,
                    "GET /late" => 408,
                    _ => 425,
                };
                Answer::of(status, "not now")
            }
            "GET /locked" | "GET /through" if !is_let_in.swap(true, SeqCst) => {
                Answer::of(if asked.line() == "GET /locked" { 401 } else { 407 }, "who are you?")
            }
            "GET /gone" => Answer::of(404, "no:\n  hidden-token is\r\nnone of ours"),
            "GET /large" => Answer::of(200, &"x".repeat(1024 * 1024 + 1)),
            line => Answer::of(200, line),
        }
    });
    let broker = broker();
    broker.command_ok("-setSecret TOKEN=hidden-token");
    broker.command_ok(&route(&server, "", "", &event("get", "METHOD \"GET\"\nENDPOINT \"/{topic.2}\"")));
    let mut watcher = watch(&broker, "answer/+");
    for path in ["busy", "limited", "late", "early"] {
        assert_eq!(
            next_of(&broker, &mut watcher, &format!("get/{path}"), ""),
            format!("answer/{path}=GET /{path}")
        );
    }
    for path in ["locked", "through"] {
        let_in.store(false, SeqCst);
        assert_eq!(
            next_of(&broker, &mut watcher, &format!("get/{path}"), ""),
            format!("answer/{path}=GET /{path}")
        );
    }
    let mut errors = watch(&broker, "error/+");
    let refused = next_of(&broker, &mut errors, "get/gone", "");
    assert!(refused.contains("the server answered 404: no: *** is none of ours"), "{refused}");
    let reason = eventually("a dead letter", || {
        let letters = broker.command_ok("-listDeadLetters Api");
        letters.data()["letters"][0]["reason"].as_str().map(str::to_owned)
    });
    assert!(reason.contains("the server answered 404: no: *** is none of ours"), "{reason}");
    let refused = next_of(&broker, &mut errors, "get/..", "");
    assert!(refused.contains("ENDPOINT gives '/..', which is the address of something else"), "{refused}");
    let refused = next_of(&broker, &mut errors, "get/large", "");
    assert!(refused.contains("1048576"), "{refused}");
    assert_eq!(next_of(&broker, &mut watcher, "get/end", ""), "answer/end=GET /end");
}

#[test]
fn redirects_are_followed_at_the_same_place_and_five_times() {
    let elsewhere = HttpServer::start(|_| Answer::of(200, "elsewhere"));
    let other = format!("http://{}/x", elsewhere.address);
    let server = HttpServer::start(move |asked| match asked.line() {
        "POST /see" => redirect(303, "/seen?x"),
        "POST /again" => redirect(308, "/there"),
        "POST /away" => redirect(302, &other),
        "POST /round" => redirect(307, "round"),
        _ => Answer::of(200, &told(asked)),
    });
    let broker = broker();
    broker.command_ok(&route(&server, "", "", &event("post", "METHOD \"POST\"\nENDPOINT \"/{topic.2}\"")));
    let mut watcher = watch(&broker, "answer/+");
    let mut errors = watch(&broker, "error/+");
    assert_eq!(next_of(&broker, &mut watcher, "post/see", "x"), "answer/see=GET /seen?x ");
    assert_eq!(next_of(&broker, &mut watcher, "post/again", "x"), "answer/again=POST /there x");
    let refused = next_of(&broker, &mut errors, "post/away", "x");
    assert!(refused.contains("to another place"), "{refused}");
    let refused = next_of(&broker, &mut errors, "post/round", "x");
    assert!(refused.contains("redirected more than 5 times"), "{refused}");
    assert_eq!(server.asked().iter().filter(|asked| asked.line() == "POST /round").count(), 6);
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn nothing_is_lost_while_the_server_is_away_slow_or_talks_nonsense() {
    let server = HttpServer::start(|asked| match asked.connection {
        1 => Answer::Stall(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
        2 => Answer::Close(b"220 this is mail\r\n".to_vec()),
        3 => Answer::Close(Vec::new()),
        _ => Answer::of(200, &told(asked)),
    });
    let broker = broker();
    broker.command_ok(&route(&server, "", "TIMEOUT 300", &event("post", "METHOD \"POST\"")));
    let mut watcher = watch(&broker, "answer/+");
    let mut standing = Standing::of(&broker, "Api");
    for number in 0..20 {
        send(&broker, &format!("post/{number}"), "x");
    }
    standing.until("\"Reconnecting\"");
    for number in 0..20 {
        assert_eq!(next(&mut watcher), format!("answer/{number}=POST / x"));
    }
    let address = server.address;
    // Nobody connects any more to what has ended, and what waits is told to the next.
    drop(server.end());
    let _ = std::net::TcpStream::connect(address);
    send(&broker, "post/later", "y");
    standing.until("\"Reconnecting\"");
    let again = HttpServer::start_at(address, None, |asked| Answer::of(200, &told(asked)));
    assert_eq!(next(&mut watcher), "answer/later=POST / y");
    drop(again);
}

/// With what a route was opened it is open no longer than its owner may read it.
#[test]
fn route_uses_a_secret_only_while_its_owner_may_read_it() {
    let server = HttpServer::start(|asked| Answer::of(200, &told(asked)));
    let broker = broker();
    may_deploy(&broker, &["ann"]);
    broker.command_ok("-setSecret TOKEN=hidden-token");
    let rule = "-addRule DEFINE RULE Reads WITH PRIORITY 90 FOR SystemConfiguration\n    IF USER IS \"ann\" AND TOPIC IS \"secret/TOKEN/read\" THEN\n        ALLOW\n";
    broker.command_ok(rule);
    let login = "AUTHORIZATION \"Bearer \" + GET SECRET \"TOKEN\"";
    let text = route(&server, "", login, &event("post", "METHOD \"POST\""));
    assert!(broker.command_as(("ann", "pw"), &text).success());
    let mut answers = watch(&broker, "answer/+");
    assert_eq!(next_of(&broker, &mut answers, "post/1", "x"), "answer/1=POST / x");
    let mut standing = Standing::of(&broker, "Api");
    broker.command_ok("-removeRule Reads");
    standing.until("TOKEN");
    send(&broker, "post/2", "y");
    broker.command_ok(rule);
    assert_eq!(next(&mut answers), "answer/2=POST / y");
    broker.command_ok("-removeUser ann");
    standing.until("TOKEN");
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn nothing_is_sent_to_server_with_untrusted_certificate() {
    let authority = Authority::new();
    let config = authority.server("localhost").server_config();
    let server = HttpServer::start_at(([127, 0, 0, 1], 0).into(), Some(config), |asked| {
        match asked.field("authorization") {
            Some("Bearer hidden-right") => Answer::of(200, &told(asked)),
            _ => Answer::of(401, "who are you?"),
        }
    });
    let broker = broker();
    broker.command_ok("-setSecret TOKEN=hidden-wrong");
    let pem = std::fs::read_to_string(authority.file()).unwrap();
    broker.command_ok(&format!("-setSecret CA={}", pem.trim().replace('\n', "\\n")));
    let login = "AUTHORIZATION \"Bearer \" + GET SECRET \"TOKEN\"";
    let secure = |more: &str| {
        let section = format!("{login}\n{more}");
        route(&server, "", section.trim(), &event("post", "METHOD \"POST\"")).replace("http://", "https://")
    };
    let mut answers = watch(&broker, "answer/+");
    let mut standing = Standing::of(&broker, "Api");
    broker.command_ok(&secure(""));
    send(&broker, "post/1", "x");
    standing.until("UnknownIssuer");
    assert!(server.asked().is_empty());
    // The route reports that the trusted server rejects its login. The waiting message goes out
    // with the login that the server accepts.
    broker.command_ok(&secure("SERVER_CA_CERT GET SECRET \"CA\"\nTLS_SERVER_NAME \"localhost\""));
    standing.until("the server answered 401");
    broker.command_ok("-setSecret TOKEN=hidden-right");
    assert_eq!(next(&mut answers), "answer/1=POST / x");
    assert_eq!(next_of(&broker, &mut answers, "post/2", "y"), "answer/2=POST / y");
    broker.command_ok(&secure("IGNORE_CERT_ERRORS TRUE"));
    assert_eq!(next_of(&broker, &mut answers, "post/3", "z"), "answer/3=POST / z");
    assert_eq!(broker.command_ok("-listDeadLetters Api").data()["letters"], serde_json::json!([]));
    assert!(!broker.log().text().contains("hidden-"));
}

#[test]
fn ten_thousand_messages_wait_for_a_server_and_are_asked_in_their_order() {
    let count = backlog(10_000);
    let server = HttpServer::start(|_| Answer::of(200, ""));
    let address = server.address;
    let broker = broker();
    let roomy = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MAX_BYTES 4000000000\n".to_owned();
    let post = "    ADD EVENT post\n        WITH SOURCE_TOPIC \"post/+\"\n        WITH METHOD \"POST\"\n        WITH ENDPOINT \"/{topic.2}\"\n";
    broker.command_ok(&route(&server, "", "", &(roomy + post)));
    drop(server);
    publish_all(&broker, (0..count).map(|number| (format!("post/{}", number % 4), number.to_string())));
    let next = Arc::new(Mutex::new([0, 1, 2, 3]));
    let of_server = Arc::clone(&next);
    let _again = HttpServer::start_at(address, None, move |asked| {
        let place: usize = asked.line().strip_prefix("POST /").unwrap().parse().unwrap();
        let number: usize = std::str::from_utf8(&asked.body).unwrap().parse().unwrap();
        let expected = &mut of_server.lock().unwrap()[place];
        // Unanswered messages may come again. A skipped message never comes.
        if number == *expected {
            *expected += 4;
        }
        Answer::of(200, "")
    });
    broker.wait_until_metric_is("lotmq_route_delivered_total", count as f64);
    assert!(next.lock().unwrap().iter().all(|next| *next >= count), "{next:?} of {count}");
}

#[test]
fn invalid_rest_definition_is_reported() {
    let broker = options().start();
    let section = |settings: &str| {
        format!("-addRoute DEFINE ROUTE Api WITH TYPE REST_API\n    ADD REST_API_CONFIG\n{settings}")
    };
    for (route, expected) in [
        (section("        WITH TIMEOUT 1\n"), "REST_API_CONFIG needs BASE_ADDRESS"),
        (
            section("        WITH BASE_ADDRESS \"http://h\"\n        WITH TIMEOUT \"soon\"\n"),
            "TIMEOUT is a whole number",
        ),
        (
            section(
                "        WITH BASE_ADDRESS \"http://h\"\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"a\"\n        WITH METHOD \"HEAD\"\n",
            ),
            "METHOD",
        ),
        (
            section("        WITH BASE_ADDRESS \"http://h\"\n        WITH HEADERS \"none\"\n"),
            "HEADERS is 'name: value; name: value'",
        ),
        (
            section("        WITH SERVER_PORT 8080\n        WITH SERVER_BIND \"localhost\"\n"),
            "SERVER_BIND is an IP address of this machine, not `localhost`",
        ),
    ] {
        let refused = broker.command(&route);
        assert!(refused.message().contains(expected), "{expected}: {refused:?}");
    }
    for (settings, expected) in [
        (
            "        WITH SERVER_PORT 8080\n        WITH ENABLE_SERVER FALSE\n",
            "neither client nor server is enabled",
        ),
        (
            "        WITH SERVER_PORT 8080\n        WITH SERVER_BIND \"127.0.0.1\"\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"a/+\"\n",
            "E: SOURCE_TOPIC of a GET is one topic, without wildcards",
        ),
    ] {
        broker.command_ok(&section(settings));
        Standing::of(&broker, "Api").until(expected);
        broker.command_ok("-removeRoute Api");
    }
}

#[test]
fn server_without_tls_is_reported_as_such() {
    for (answer, expected) in [
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            "a server of HTTP without TLS answers there",
        ),
        ("220 mail.example ESMTP\r\n", "the other side does not answer as a server of TLS has"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // The request is the begin of a handshake, and the client may be gone.
                let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer.as_bytes()));
            }
        });
        let broker = broker();
        let event = event("post", "METHOD \"POST\"");
        broker.command_ok(&format!(
            "-addRoute DEFINE ROUTE Api WITH TYPE REST_API\n    ADD REST_API_CONFIG\n        WITH BASE_ADDRESS \"https://{address}\"\n{event}"
        ));
        let refused = broker.command("-checkRouteConnection Api");
        assert!(refused.message().contains(expected), "{}", refused.message());
    }
}
