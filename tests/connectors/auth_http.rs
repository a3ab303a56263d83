//! Guest `auth-http`: logins that an HTTP server of the test decides.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use lotmq_client::{Client, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Answer, Asked, Authority, Broker, HttpServer, WAIT_MAX, eventually};
use serde_json::{Value as Json, json};

use crate::login_guest::{Guest, refused};

/// The guest, as operators upload it.
const HTTP: &[u8] = include_bytes!("../../guests/auth-http/prebuilt/auth-http.wasm");

/// Password of all users.
const PASSWORD: &str = "p4ss+ w\"ord";

/// A broker that asks the guest before its own users. `more` are members of its configuration.
fn broker(server: &HttpServer, more: &Json) -> Broker {
    let broker = crate::login_guest::options("web,builtin").start();
    install(&broker, server, more);
    broker
}

fn install(broker: &Broker, server: &HttpServer, more: &Json) {
    let address = server.address;
    let mut config =
        json!({"path": "/auth", "endpoints": {"http": {"HOST": "127.0.0.1", "PORT": address.port()}}});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Guest { name: "web", component: HTTP }.install(broker, &address.to_string(), &config);
}

/// Logs in with a password, as a client of the same name.
fn login(broker: &Broker, user: &str) -> Client {
    eventually("the user is let in", || try_login(broker, user, user, PASSWORD).ok())
}

fn try_login(
    broker: &Broker,
    client_id: &str,
    user: &str,
    password: &str,
) -> Result<Client, lotmq_client::ClientError> {
    Client::connect(broker.address(), &ConnectOptions::v5(client_id).user(user, password))
}

fn publish(client: &mut Client, topic: &str) -> ReasonCode {
    client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap()
}

/// Decides like a server: by user name and password in the JSON of the request.
fn decide(asked: &Asked) -> Answer {
    let sent: Json = serde_json::from_slice(&asked.body).unwrap();
    let own = json!([{"permission": "allow", "action": "all", "topic": "d/${username}/${clientid}/#"}]);
    if sent["password"] != PASSWORD {
        return Answer::of(200, r#"{"result":"deny"}"#);
    }
    match sent["username"].as_str().unwrap() {
        "stranger" => Answer::of(200, r#"{"result":"ignore"}"#),
        "broken" => Answer::of(500, r#"{"result":"allow"}"#),
        "free" => Answer::Keep(b"HTTP/1.1 204 So\r\n\r\n".to_vec()),
        "short" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            Answer::of(200, &json!({"result": "allow", "expire_at": now + 2}).to_string())
        }
        _ => Answer::of(200, &json!({"result": "allow", "acl": own}).to_string()),
    }
}

#[test]
fn server_decides_about_logins_and_topics() {
    let server = HttpServer::start(decide);
    let broker = broker(&server, &json!({}));
    let mut ann = login(&broker, "ann");
    assert!(!publish(&mut ann, "d/ann/ann/x").is_failure());
    assert_eq!(publish(&mut ann, "d/bob/ann/x"), ReasonCode::NotAuthorized);
    let own = ann.subscribe_to("d/ann/ann/#", QoS::AtLeastOnce).unwrap();
    let all = ann.subscribe_to("d/#", QoS::AtLeastOnce).unwrap();
    assert_eq!((own, all), (ReasonCode::GrantedQos1, ReasonCode::NotAuthorized));
    // Without a list the Rules of the broker decide.
    assert!(!publish(&mut login(&broker, "free"), "anything").is_failure());
    for (user, password, expected) in [
        ("ann", "wrong", ReasonCode::BadUserNameOrPassword),
        ("stranger", PASSWORD, ReasonCode::BadUserNameOrPassword),
        ("broken", PASSWORD, ReasonCode::ServerUnavailable),
    ] {
        assert_eq!(refused(try_login(&broker, "c", user, password)), expected, "{user}");
    }
    // `root` is asked of the broker's own users alone.
    broker.root("admin").ping().unwrap();
    assert!(!broker.log().text().contains(PASSWORD));
}

#[test]
fn login_ends_when_the_answer_says_so() {
    let server = HttpServer::start(decide);
    let broker = broker(&server, &json!({}));
    let mut client = login(&broker, "short");
    eventually("the broker ends the connection", || match client.receive(WAIT_MAX) {
        Ok(None) => None,
        Ok(Some(_)) | Err(_) => Some(()),
    });
}

#[test]
fn unknown_user_is_the_next_members_if_the_configuration_says_so() {
    let server = HttpServer::start(decide);
    let broker = broker(&server, &json!({"unknown_user": "continue"}));
    broker.command_ok(&format!("-addUser stranger {}", crate::login_guest::quoted(PASSWORD)));
    login(&broker, "stranger").ping().unwrap();
    assert_eq!(refused(try_login(&broker, "c", "broken", PASSWORD)), ReasonCode::ServerUnavailable);
}

/// Checks that a client reaches neither a topic of others nor all of them.
fn expect_nothing_wider(client: &mut Client, others: &str) {
    for topic in [others, "d/a/x", "d/x/c/x", "d/ann/x", "d/ann/a/x"] {
        assert_eq!(publish(client, topic), ReasonCode::NotAuthorized, "{topic}");
    }
    for filter in ["#", "d/#", "d/+/+/#", "d/ann/+/#", "d/ann/#"] {
        let code = client.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
        assert_eq!(code, ReasonCode::NotAuthorized, "{filter}");
    }
}

#[test]
fn hostile_names_reach_the_server_whole_and_widen_nothing() {
    let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let asked = Arc::clone(&seen);
    let server = HttpServer::start(move |request| {
        asked.lock().unwrap().push(request.clone());
        decide(request)
    });
    let more = json!({"path": "/auth?user=${username}&end=1", "headers": {"X-Peer": "${peerhost}"}});
    let broker = broker(&server, &more);
    login(&broker, "ann");
    for text in
        ["\"},\"result\":\"allow", "a&end=2", "%2F", "%u", "%c", "+", "#", "a/+", "a/b", "..", "' OR 1=1 --"]
    {
        // As a user name. The broker takes none with `/`, `+` or `#`.
        seen.lock().unwrap().clear();
        match try_login(&broker, "c", text, PASSWORD) {
            Ok(mut client) => expect_nothing_wider(&mut client, "d/ann/c/x"),
            refusal => assert_eq!(refused(refusal), ReasonCode::NotAuthorized),
        }
        let asked = seen.lock().unwrap().pop().unwrap();
        let sent: Json = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(sent, json!({"username": text, "password": PASSWORD, "clientid": "c"}));
        assert_eq!(asked.field("x-peer"), Some("127.0.0.1"));
        let line = asked.line();
        let query =
            line.strip_prefix("POST /auth?user=").and_then(|rest| rest.strip_suffix("&end=1")).unwrap();
        assert!(!query.contains(['&', '/', '#', ' ', '"']), "{line}");
        // As a Client Identifier, which stands in the list of the server.
        let mut client = try_login(&broker, text, "ann", PASSWORD).unwrap();
        expect_nothing_wider(&mut client, "d/ann/other/x");
    }
    // Such values are refused without a request.
    seen.lock().unwrap().clear();
    let long = "x".repeat(65_535);
    assert_eq!(refused(try_login(&broker, "c", &long, PASSWORD)), ReasonCode::BadUserNameOrPassword);
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn control_character_and_slash_reach_neither_header_nor_path() {
    let server = HttpServer::start(|_| Answer::Keep(b"HTTP/1.1 204 So\r\n\r\n".to_vec()));
    let more = json!({"path": "/users/${username}", "method": "GET", "headers": {"X-Token": "${password}"}});
    let broker = broker(&server, &more);
    login(&broker, "ann");
    let before = server.asked().len();
    for (user, password) in [
        ("ann", "a\r\nX-Admin: 1"),
        ("ann", "a\0"),
        ("ann", " a"),
        ("../admin", "p"),
        ("..", "p"),
        ("a/b", "p"),
    ] {
        let code = refused(try_login(&broker, "c", user, password));
        assert_eq!(code, ReasonCode::BadUserNameOrPassword, "{user} {password:?}");
    }
    assert_eq!(server.asked().len(), before);
    assert!(server.asked().iter().all(|asked| asked.line() == "GET /users/ann"));
}

#[test]
fn outage_keeps_out_and_ends_by_itself() {
    let server = HttpServer::start(decide);
    let address = server.address;
    let broker =
        broker(&server, &json!({"timeout_seconds": 1, "cache_seconds": 60, "cache_deny_seconds": 0}));
    let mut ann = login(&broker, "ann");
    drop(server);
    // The cache has this answer, and no other.
    login(&broker, "ann");
    assert_eq!(refused(try_login(&broker, "c", "ann", "wrong")), ReasonCode::ServerUnavailable);
    assert_eq!(refused(try_login(&broker, "c", "bob", PASSWORD)), ReasonCode::ServerUnavailable);
    // A server that does not answer its first request.
    let was_asked = AtomicBool::new(false);
    let _back = HttpServer::start_at(address, None, move |asked| match was_asked.swap(true, SeqCst) {
        false => Answer::Stall(Vec::new()),
        true => decide(asked),
    });
    assert_eq!(refused(try_login(&broker, "c", "bob", PASSWORD)), ReasonCode::ServerUnavailable);
    login(&broker, "bob").ping().unwrap();
    let log = broker.log().text();
    assert!(log.contains("the HTTP server did not decide: ") && !log.contains(PASSWORD), "{log}");
    drop(ann.ping());
}

#[test]
fn server_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let tls = authority.server("localhost").server_config();
    let server = HttpServer::start_at(lotmq_test_support::free_address(), Some(tls), decide);
    let roots = authority.file().parent().unwrap().display().to_string();
    let options = crate::login_guest::options("web,builtin").variable("LOTMQ_ROUTES_FILE_ROOTS", &roots);
    let broker = options.start();
    let place = |more: Json| {
        let mut place = json!({
            "HOST": "127.0.0.1", "PORT": server.address.port(), "USE_TLS": true, "TLS_SERVER_NAME": "localhost",
        });
        place.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"endpoints": {"http": place}})
    };
    install(&broker, &server, &place(json!({})));
    assert_eq!(refused(try_login(&broker, "c", "ann", PASSWORD)), ReasonCode::ServerUnavailable);
    let trusted = json!({"SERVER_CA_CERT_PATH": authority.file().display().to_string()});
    install(&broker, &server, &place(trusted));
    login(&broker, "ann").ping().unwrap();
}

#[test]
fn wrong_configuration_opens_nothing() {
    let server = HttpServer::start(decide);
    let broker = broker(&server, &json!({"cache_seconds": "long"}));
    assert_eq!(refused(try_login(&broker, "c", "ann", PASSWORD)), ReasonCode::ServerUnavailable);
    eventually("the log names the member", || {
        broker.log().text().contains("cache_seconds: 0 to 86400 seconds").then_some(())
    });
}
