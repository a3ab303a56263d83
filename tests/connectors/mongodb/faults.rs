//! Faults on the way to a server and at its end.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use lotmq_test_support::{Authority, eventually, free_port};
use serde_json::json;

use super::server::Server;
use super::{documents, publish, query, route};
use crate::{Standing, broker, event, failure, next, publish_all, send, watch};

#[test]
fn nothing_is_lost_when_the_server_is_killed_under_load_or_frozen() {
    const COUNT: usize = 6_000;
    let Some(mut server) = Server::start(&json!({})) else { return };
    let broker = broker();
    let hurry = format!("{}?socketTimeoutMS=1000", server.address());
    broker.command_ok(&route(&hurry, "", &documents()));
    let messages = |from: usize, to: usize| {
        (from..to).map(|number| (format!("docs/{}", number % 3), format!("{{\"n\":{number}}}")))
    };
    publish_all(&broker, messages(0, COUNT / 3));
    eventually("some are there", || (server.counts("docs").0 > 0).then_some(()));
    server.kill();
    publish_all(&broker, messages(COUNT / 3, 2 * COUNT / 3));
    server.start_again();
    eventually("it goes on", || (server.counts("docs").0 >= COUNT / 2).then_some(()));
    let frozen = server.program().freeze();
    let mut standing = Standing::of(&broker, "Docs");
    publish_all(&broker, messages(2 * COUNT / 3, COUNT));
    standing.until("it has not answered for 1000 ms");
    drop(frozen);
    // Each once: what was stored before its answer was lost is known by its identifier.
    server.until("docs", COUNT);
    broker.wait_until_metric_is("lotmq_route_outbox_bytes", 0.0);
    assert_eq!(broker.metric("lotmq_route_rejected_total").unwrap_or_default(), 0.0);
}

#[test]
fn an_answer_that_is_lost_stores_nothing_twice() {
    let Some(server) = Server::start(&json!({ "old": true })) else { return };
    let broker = broker();
    broker.command_ok(&route(&server.address(), "", &documents()));
    let mut standing = Standing::of(&broker, "Docs");
    server.now(&json!({ "spoil": { "insert": "end" } }));
    send(&broker, "docs/1", r#"{"n":1}"#);
    standing.until("it has ended the connection");
    eventually("it was stored", || (server.counts("docs") == (1, 1)).then_some(()));
    send(&broker, "docs/1", r#"{"n":2}"#);
    server.now(&json!({}));
    server.until("docs", 2);
    broker.wait_until_metric_is("lotmq_route_delivered_total", 2.0);
    // Not yet as safe as it is wanted: it comes again, and is stored once.
    server.now(&json!({ "alone": true }));
    send(&broker, "docs/1", r#"{"n":3}"#);
    standing.until("waiting for replication timed out after 16000 ms");
    server.now(&json!({}));
    broker.wait_until_metric_is("lotmq_route_delivered_total", 3.0);
    assert_eq!(server.counts("docs"), (3, 3));
}

#[test]
fn the_primary_of_a_replica_set_is_followed() {
    let ports = [free_port(), free_port()];
    let hosts = ports.map(|port| format!("127.0.0.1:{port}"));
    let member = |number: usize, role: &str| {
        let settings = json!({ "set": "rs", "hosts": hosts, "me": hosts[number], "role": role });
        Server::start_at(ports[number], &settings)
    };
    let (Some(first), Some(second)) = (member(0, "primary"), member(1, "secondary")) else { return };
    second.now(&json!({ "role": "secondary", "primary": hosts[0] }));
    let broker = broker();
    // One that is no primary is enough to find the one that is.
    broker.command_ok(&route(&format!("{}?replicaSet=rs", second.address()), "", &documents()));
    send(&broker, "docs/1", r#"{"n":1}"#);
    first.until("docs", 1);
    // It changes: nobody is it for a while, then the other one.
    second.now(&json!({ "role": "secondary" }));
    first.now(&json!({ "role": "secondary" }));
    let mut standing = Standing::of(&broker, "Docs");
    send(&broker, "docs/1", r#"{"n":2}"#);
    standing.until("NotWritablePrimary: not primary");
    send(&broker, "docs/1", r#"{"n":3}"#);
    first.now(&json!({ "role": "secondary", "primary": hosts[1] }));
    second.now(&json!({ "role": "primary" }));
    second.until("docs", 2);
    assert_eq!((first.numbers("docs"), second.numbers("docs")), (vec![1], vec![2, 3]));
    let mut standing = Standing::of(&broker, "Docs");
    broker.command_ok(&route(&format!("{}?replicaSet=other", first.address()), "", &documents()));
    standing.until("is of the replica set 'rs', and not of 'other'");
}

#[test]
fn failed_login_holds_messages_back_and_reveals_no_secret() {
    let both = ["SCRAM-SHA-1", "SCRAM-SHA-256"];
    let users = json!({
        "root": { "password": "root-password", "mechanisms": both },
        "ap=p,ü": { "password": "p@ss:wörd", "mechanisms": both },
        "old": { "password": "old-password", "mechanisms": ["SCRAM-SHA-1"] },
        "reader": { "password": "reader-password", "mechanisms": both, "reads_only": true },
    });
    let Some(server) = Server::start(&json!({ "users": users })) else { return };
    let broker = broker();
    let as_user = |login: &str, more: &str| format!("mongodb://{login}@127.0.0.1:{}/{more}", server.port);
    broker.command_ok(&format!("-setSecret MONGO={}", as_user("root:hidden-password", "")));
    let secret = route("", "", &documents()).replace("\"\"", "GET SECRET \"MONGO\"");
    for (definition, told) in [
        (route(&server.address(), "", &documents()), "Unauthorized: Command insert requires authentication"),
        (secret.clone(), "AuthenticationFailed: Authentication failed."),
        (route(&as_user("nobody:hidden-password", ""), "", &documents()), "AuthenticationFailed"),
        (
            route(&as_user("old:hidden-password", "?authMechanism=SCRAM-SHA-256"), "", &documents()),
            "AuthenticationFailed",
        ),
        (
            route(&as_user("reader:reader-password", ""), "", &documents()),
            "not authorized on plant to execute command insert",
        ),
    ] {
        let mut standing = Standing::of(&broker, "Docs");
        broker.command_ok(&definition);
        send(&broker, "docs/1", r#"{"n":0}"#);
        let status = standing.until(told);
        assert!(!status.contains("hidden-password") && !status.contains("reader-password"), "{status}");
    }
    // The right one goes on with what waited, also when only the secret has changed.
    broker.command_ok(&secret);
    broker.command_ok(&format!(
        "-setSecret MONGO={}",
        as_user("root:root-password", "?authMechanism=SCRAM-SHA-256")
    ));
    eventually("what waited", || (server.counts("docs").0 == 5).then_some(()));
    for (number, login, more) in [
        (1, "root:root-password", "?authMechanism=SCRAM-SHA-1"),
        (2, "ap%3Dp%2C%C3%BC:p%40ss%3Aw%C3%B6rd", "admin"),
        (3, "old:old-password", "?authSource=admin"),
    ] {
        broker.command_ok(&route(&as_user(login, more), "", &documents()));
        send(&broker, "docs/1", &format!("{{\"n\":{number}}}"));
        eventually(login, || (server.counts("docs") == (5 + number, 1 + number)).then_some(()));
    }
    let log = broker.log().text();
    for password in ["hidden-password", "root-password", "reader-password", "old-password", "p%40ss"] {
        assert!(!log.contains(password), "{password}");
    }
}

#[test]
fn a_server_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let signed = authority.server("localhost");
    let settings = json!({ "certificate": signed.certificate, "key": signed.key });
    let Some(server) = Server::start(&settings) else { return };
    let broker = broker();
    let pem = std::fs::read_to_string(authority.file()).unwrap();
    broker.command_ok(&format!("-setSecret CA={}", pem.trim().replace('\n', "\\n")));
    let secure = format!("{}?tls=true", server.address());
    for (number, address, section) in [
        (1, secure.clone(), "SERVER_CA_CERT GET SECRET \"CA\""),
        (2, format!("{secure}&tlsAllowInvalidCertificates=true"), ""),
        (3, secure.clone(), "TRUST_SERVER_CERTIFICATE TRUE"),
    ] {
        broker.command_ok(&route(&address, section, &documents()));
        send(&broker, "docs/1", &format!("{{\"n\":{number}}}"));
        server.until("docs", number);
    }
    for (address, told) in [(secure, "TLS: "), (server.address(), "has ended")] {
        let mut standing = Standing::of(&broker, "Docs");
        broker.command_ok(&route(&address, "", &documents()));
        standing.until(told);
    }
}

#[test]
fn a_server_that_talks_nonsense_is_away() {
    let Some(server) = Server::start(&json!({})) else { return };
    let broker = broker();
    let find = query("Ask", "ask", "FIND docs", "DESTINATION_TOPIC \"answer\"");
    let hurry = format!("{}?socketTimeoutMS=1000", server.address());
    for (command, how, told) in [
        ("insert", "text", "what it sends is no message of MongoDB 3.6 or newer"),
        ("insert", "length", "its answer has 2147483647 bytes, the limit is"),
        ("insert", "negative", "its answer has a negative length"),
        ("insert", "other", "which was not asked"),
        ("insert", "flags", "its answer has the flags 0x2"),
        ("insert", "section", "its answer has no document"),
        ("insert", "document", "its answer is no document"),
        ("insert", "end", "it has ended the connection"),
        ("insert", "empty", "its answer does not say how many documents it has written"),
        ("insert", "few", "it has stored 0 documents, of "),
        ("insert", "stranger", "it tells an error of a document that it was not given"),
        ("find", "empty", "its answer has no cursor"),
        ("hello", "text", "what it sends is no message of MongoDB 3.6 or newer"),
        ("hello", "empty", "it speaks version 0 of the protocol"),
    ] {
        server.now(&json!({ "spoil": { command: how } }));
        let mut standing = Standing::of(&broker, "Docs");
        broker.command_ok(&route(&hurry, "", &(documents() + &find)));
        send(&broker, if command == "find" { "ask" } else { "docs/1" }, r#"{"n":1}"#);
        standing.until(told);
    }
    // One that is slow is away, too, and nothing is lost or twice.
    server.now(&json!({ "slow": { "insert": 3 } }));
    let mut standing = Standing::of(&broker, "Docs");
    broker.command_ok(&route(&hurry, "", &documents()));
    send(&broker, "docs/1", r#"{"n":2}"#);
    standing.until("it has not answered for 1000 ms");
    server.now(&json!({}));
    eventually("all of it", || (server.counts("docs") == (14, 2)).then_some(()));
    // And one that is of another protocol.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(b"-ERR unknown command\r\n");
        }
    });
    let mut standing = Standing::of(&broker, "Docs");
    broker.command_ok(&route(&format!("mongodb://127.0.0.1:{port}"), "", &documents()));
    standing.until("what it sends is no message of MongoDB 3.6 or newer");
}

#[test]
fn errors_of_a_command_decide_what_becomes_of_the_route() {
    let Some(server) = Server::start(&json!({ "page": 1 })) else { return };
    let broker = broker();
    let mut failed = watch(&broker, "failed");
    let mut sender = broker.client("sender");
    for (code, name, told) in [
        (13388, "StaleConfig", "\"Connected\""),
        (91, "ShutdownInProgress", "ShutdownInProgress: so"),
        (13, "Unauthorized", "\"Disconnected\""),
    ] {
        server.now(&json!({ "refuse": { "insert": [code, name, "so"] } }));
        let mut standing = Standing::of(&broker, "Docs");
        broker.command_ok(&route(&server.address(), "", &documents()));
        publish(&mut sender, "docs/1", &format!("{{\"n\":{code}}}"));
        let status = standing.until(&format!("{name}: so"));
        assert!(status.contains(told), "{status}");
    }
    // An error that no document of a batch can avoid rejects each of them.
    server.now(&json!({ "refuse": { "insert": [2, "BadValue", "so"] } }));
    broker.command_ok(&route(&server.address(), "", &documents()));
    for _ in 0..3 {
        assert_eq!(failure(&mut failed), "BadValue: so");
    }
    // A cursor that the server has forgotten: the question comes again.
    server.now(&json!({}));
    for number in 0..3 {
        server.client(&["insert", "plant", "kept", &json!({ "_id": number }).to_string()]);
    }
    server.now(&json!({ "forgetful": true }));
    let mut answers = watch(&broker, "answer");
    let find = query("Ask", "ask", "FIND kept", "DESTINATION_TOPIC \"answer\"");
    let mut standing = Standing::of(&broker, "Docs");
    broker.command_ok(&route(&server.address(), "", &(documents() + &find)));
    send(&broker, "ask", "");
    standing.until("CursorNotFound");
    server.now(&json!({}));
    assert_eq!(next(&mut answers), r#"answer=[{"_id":0},{"_id":1},{"_id":2}]"#);
    let concern = format!("{}?w=nobody", server.address());
    let mut standing = Standing::of(&broker, "Docs");
    broker.command_ok(&route(&concern, "", &documents()));
    send(&broker, "docs/1", r#"{"n":1}"#);
    let status = standing.until("no mode 'nobody'");
    assert!(status.contains("\"Disconnected\""), "{status}");
}

#[test]
fn invalid_route_definition_is_reported() {
    let broker = broker();
    let good = "mongodb://127.0.0.1:1";
    for (definition, told) in [
        (
            route(good, "", &documents()).replace("        WITH DATABASE \"plant\"\n", ""),
            "MONGODB_CONFIG needs DATABASE",
        ),
        (route("h:27017", "", &documents()), "CONNECTION_STRING is an address that begins with mongodb://"),
        (route(good, "USE_TLS \"perhaps\"", &documents()), "USE_TLS is TRUE or FALSE"),
        (route(good, "", "    ADD EVENT E\n        WITH QUERY \"FIND x\"\n"), "needs SOURCE_TOPIC"),
        (
            route(good, "", &query("E", "in", "DROP x", "")),
            "QUERY begins with 'DROP', and not with INSERT, FIND, UPDATE or DELETE",
        ),
        (route(good, "", &query("E", "in", "DELETE x", "")), "QUERY has no WHERE behind DELETE"),
        (
            route(good, "", &query("E", "in", r#"INSERT x {"v": {payload},}"#, "")),
            "QUERY has a document that is no JSON: trailing comma",
        ),
    ] {
        let refused = broker.command(&definition);
        assert!(refused.message().contains(told), "{told}: {refused:?}");
        let told: Vec<String> = refused.0["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| one["message"].to_string())
            .collect();
        assert!(!told.concat().contains("hidden"), "{refused:?}");
    }
    broker.command_ok("-setSecret SRV=postgres://u:hidden@h");
    broker.command_ok("-setEnv VERB=DROP");
    let secret = |name: &str| route("", "", &documents()).replace("\"\"", &format!("GET SECRET \"{name}\""));
    for (definition, told) in [
        (secret("SRV"), "is an address that begins with mongodb:// or mongodb+srv://, not the secret"),
        (route("mongodb://u:hidden@h:x", "", &documents()), "CONNECTION_STRING names no servers"),
        (
            route("mongodb://u:hidden@h/?tsl=true", "", &documents()),
            "has the option 'tsl', which is not known",
        ),
        (
            route("mongodb://h/?tlsCAFile=/ca.pem", "", &documents()),
            "named by the setting SERVER_CA_CERT_PATH",
        ),
        (route("mongodb://h/?w=0", "", &documents()), "has 'w=0', with which nobody learns"),
        (route("mongodb://h", "SERVER_CA_CERT_PATH \"a\"", &documents()), "none of USE_TLS, USE_SSL"),
        (
            route(good, "", &documents()).replace("\"plant\"", "\"a.b\""),
            "DATABASE is 'a.b', which is no name of a database",
        ),
        // The route checks these values when it begins.
        (
            route(good, "", &event("E", "in", "QUERY GET ENV \"VERB\" + \" x\"")),
            "E: QUERY begins with 'DROP', and not with INSERT, FIND",
        ),
        (
            route(good, "", &query("E", "in", "DELETE x LIMIT 5", "")),
            "E: QUERY has no WHERE: for DELETE of all documents write {}",
        ),
        (
            route(good, "", &query("E", "in", r#"FIND x {"$where": "{payload}"}"#, "")),
            "E: QUERY has a placeholder within $where",
        ),
        (route(good, "", &event("E", "in", "")), "E needs QUERY or COLLECTION"),
    ] {
        let mut standing = Standing::of(&broker, "Docs");
        broker.command_ok(&definition);
        let status = standing.until(&told.replace('"', "\\\""));
        assert!(!status.contains("hidden"), "{status}");
    }
}
