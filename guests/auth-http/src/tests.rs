//! The guest with a server that a function of the test plays.

use std::cell::RefCell;
use std::rc::Rc;

use lotmq_guest::auth::http::{HttpError, HttpResponse};
use lotmq_guest::auth::testing::{Request, login, response, serve_http};
use lotmq_guest::auth::{Certificate, Denial};
use lotmq_guest::testing::{metric, set_config, set_secret, set_time_ms};
use serde_json::{Value as Json, json};

use super::*;

/// Requests that the server got.
type Seen = Rc<RefCell<Vec<Request>>>;

/// Opens the guest with members of its configuration, and a server with this answer.
fn open(more: Json, answer: impl Fn(&Request) -> Result<HttpResponse, HttpError> + 'static) -> Seen {
    let mut config = json!({"path": "/auth", "endpoints": {"http": {"HOST": "h", "PORT": 80}}});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    set_config(&config.to_string());
    let seen = Seen::default();
    let asked = Rc::clone(&seen);
    serve_http("http", move |request| {
        asked.borrow_mut().push(request.clone());
        answer(request)
    });
    Http::open().unwrap();
    seen
}

fn says(status: u16, body: &str) -> impl Fn(&Request) -> Result<HttpResponse, HttpError> + 'static {
    let body = body.to_owned();
    move |_| Ok(response(status, body.clone()))
}

fn ask(user: &str, password: &str) -> Answer {
    Http::authenticate(login(user, password))
}

fn principal(answer: Answer) -> Principal {
    match answer {
        Answer::Allow(acceptance) => acceptance.principal,
        other => panic!("{other:?}"),
    }
}

fn denial(answer: Answer) -> (u8, String) {
    match answer {
        Answer::Deny(Denial { reason_code, log, .. }) => (reason_code, log),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answer_of_the_server_becomes_the_principal() {
    let body = json!({
        "result": "allow", "client_attrs": {"site": "north"}, "groups": ["plant"], "expire_at": 4_000_000_000_i64,
        "acl": [{"permission": "allow", "action": "all", "topic": "d/${clientid}/#"}],
    });
    let seen = open(json!({}), says(200, &body.to_string()));
    let found = principal(ask("ann", "s3cret"));
    assert_eq!(
        (&*found.user, found.groups, found.expires_ms),
        ("ann", vec!["plant".to_owned()], Some(4_000_000_000_000))
    );
    assert_eq!((&*found.properties[0].name, &*found.properties[0].value), ("site", "north"));
    let Permission::Grants(grants) = found.permission else { panic!("no grants") };
    assert_eq!(&*grants[0].filter, "d/%c/#");
    let request = &seen.borrow()[0];
    assert_eq!((&*request.method, &*request.target), ("POST", "/auth"));
    let sent: Json = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(sent, json!({"username": "ann", "password": "s3cret", "clientid": "ann"}));
    let kind = request.headers.iter().find(|field| field.name == "content-type").unwrap();
    assert_eq!(kind.value, b"application/json");
}

#[test]
fn hostile_values_stay_in_their_place() {
    let body = json!({"u": "<${username}>", "n": 1, "list": [true, null, {"c": "${clientid}"}]});
    let seen = open(
        json!({"path": "/a/${listener}?u=${username}&x=1", "body": body, "headers": {"X-Client": "c ${clientid}"}}),
        says(204, ""),
    );
    for hostile in ["\"},\"admin\":true,{\"", "a&x=2", "%2F", "a/b", "+", "#", "a'--", "é\u{1}"] {
        let mut login = login(hostile, "p");
        login.client_id = "c".to_owned();
        assert_eq!(principal(Http::authenticate(login)).user, hostile);
        let request = seen.borrow_mut().pop().unwrap();
        let mut escaped = Vec::new();
        auth_settings::escape::component(hostile.as_bytes(), &mut escaped).unwrap();
        assert_eq!(request.target, format!("/a/mqtt?u={}&x=1", String::from_utf8(escaped).unwrap()));
        let sent: Json = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(sent, json!({"u": format!("<{hostile}>"), "n": 1, "list": [true, null, {"c": "c"}]}));
    }
}

#[test]
fn value_that_a_place_cannot_hold_keeps_the_client_out_unasked() {
    let seen = open(json!({"path": "/u/${username}", "headers": {"x-client": "${clientid}"}}), says(204, ""));
    let long = "x".repeat(65_535);
    for (user, client, reason) in [
        ("ann", "a\r\nX-Admin: 1", "the value of clientid has a control character"),
        ("ann", "a\0", "the value of clientid has a control character"),
        ("../admin", "c", "the value of username has a slash"),
        ("..", "c", "the value of username has a slash, a control character or only dots"),
        ("", "c", "the value of username is empty"),
        (&long, "c", "the value of username is too long"),
        ("ann", &long, "the value of clientid is too long"),
    ] {
        let mut login = login(user, "s3cret");
        login.client_id = client.to_owned();
        let (code, log) = denial(Http::authenticate(login));
        assert!(code == 0x86 && log.starts_with(reason), "{log}");
    }
    let mut binary = login("ann", "");
    binary.password = Some(vec![0xFF]);
    assert_eq!(denial(Http::authenticate(binary)).1, "the value of password is no UTF-8");
    assert!(seen.borrow().is_empty());
}

#[test]
fn form_and_secret_are_sent() {
    set_secret("TOKEN", "Bearer t0ken");
    let seen = open(
        json!({
            "body_type": "form", "body": {"user name": "${username}", "p": "${password}", "ip": "${peerhost}"},
            "headers": {"Authorization": {"secret": "TOKEN"}},
        }),
        says(204, ""),
    );
    principal(ask("a b", "p&q=\n"));
    let request = &seen.borrow()[0];
    assert_eq!(String::from_utf8_lossy(&request.body), "user%20name=a%20b&p=p%26q%3D%0A&ip=");
    let fields: Vec<(&str, &[u8])> =
        request.headers.iter().map(|field| (&*field.name, &*field.value)).collect();
    let expected: [(&str, &[u8]); 2] =
        [("authorization", b"Bearer t0ken"), ("content-type", b"application/x-www-form-urlencoded")];
    assert_eq!(fields, expected);
}

#[test]
fn all_but_a_clear_answer_keeps_the_client_out() {
    for (status, body, code) in [
        (401, "", 0x86),
        (403, "", 0x87),
        (200, r#"{"result":"deny"}"#, 0x86),
        (200, r#"{"result":"ignore"}"#, 0x86),
        (200, r#"{"result":"allow","expire_at":1}"#, 0x86),
        (200, "", 0x88),
        (200, "ok", 0x88),
        (200, r#"{"result":"allow","more":1}"#, 0x88),
        (302, "", 0x88),
        (500, r#"{"result":"allow"}"#, 0x88),
    ] {
        open(json!({}), says(status, body));
        assert_eq!(denial(ask("ann", "p")).0, code, "{status} {body}");
    }
    for error in [HttpError::Refused, HttpError::TimedOut, HttpError::Closed, HttpError::Tls("no".to_owned())]
    {
        open(json!({"cache_seconds": 60}), move |_| Err(error.clone()));
        let (code, log) = denial(ask("ann", "s3cret"));
        assert!(code == 0x88 && !log.contains("s3cret"), "{log}");
    }
    open(json!({}), says(200, &format!("{{\"result\":\"allow\"{}}}", " ".repeat(70_000))));
    assert_eq!(denial(ask("ann", "p")).0, 0x88);
}

#[test]
fn ignore_goes_on_only_if_the_configuration_says_so() {
    open(json!({"unknown_user": "continue"}), says(200, r#"{"result":"ignore"}"#));
    assert!(matches!(ask("ann", "p"), Answer::Continue));
    open(json!({"unknown_user": "continue"}), says(503, ""));
    assert_eq!(denial(ask("ann", "p")).0, 0x88);
}

#[test]
fn user_may_be_the_common_name_of_the_certificate() {
    open(json!({"user": "${cert_common_name}"}), says(204, ""));
    let mut with = login("ann", "p");
    assert_eq!(denial(Http::authenticate(with.clone())), (0x86, "the name of the user is empty".to_owned()));
    with.certificate = Some(Certificate {
        subject: "CN=press-7,O=Plant".to_owned(),
        issuer: String::new(),
        alternative_names: Vec::new(),
        serial: Vec::new(),
        not_after_ms: 0,
        fingerprint: Vec::new(),
        pem: String::new(),
    });
    assert_eq!(principal(Http::authenticate(with)).user, "press-7");
}

#[test]
fn cached_answer_is_for_the_same_password_and_time_alone() {
    set_time_ms(1_000_000);
    let seen = open(json!({"cache_seconds": 60, "path": "/auth?u=${username}", "body": {}}), |request| {
        Ok(if request.target.ends_with("=ann") { response(204, "") } else { response(401, "") })
    });
    for _ in 0..3 {
        principal(ask("ann", "p"));
        denial(ask("bob", "p"));
    }
    assert_eq!(seen.borrow().len(), 2);
    assert_eq!(metric("cache_hits"), Some(4.0));
    // The request is the same, the password is not.
    principal(ask("ann", "q"));
    assert_eq!(seen.borrow().len(), 3);
    set_time_ms(1_006_000);
    principal(ask("ann", "p"));
    denial(ask("bob", "p"));
    assert_eq!(seen.borrow().len(), 4, "denials are stored for 5 s");
    set_time_ms(1_061_000);
    principal(ask("ann", "p"));
    assert_eq!(seen.borrow().len(), 5);
}
