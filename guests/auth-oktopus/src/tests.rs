//! The guest as the broker calls it, with doubles of the broker and a real NATS server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lotmq_guest::auth::testing::{Intervention, WrittenMessage, interventions, login, published};
use lotmq_guest::auth::{Actions, Certificate, Effect};
use lotmq_guest::testing::{set_config, set_endpoint};

use super::*;

const WAIT: Duration = Duration::from_secs(30);

/// A CONNECT of obuspa.
fn agent(user: &str, password: &str, id: &str) -> Login {
    let user_properties = vec![UserProperty { name: "usp-endpoint-id".to_owned(), value: id.to_owned() }];
    Login { user_properties, ..login(user, password) }
}

fn open(config: &str) {
    set_config(config);
    Oktopus::open().unwrap();
}

fn connack(answer: &Answer) -> &[UserProperty] {
    match answer {
        Answer::Allow(acceptance) => &acceptance.user_properties,
        Answer::Deny(denial) => &denial.user_properties,
        Answer::Continue | Answer::Challenge(_) => panic!("{answer:?}"),
    }
}

fn topic(answer: &Answer) -> &str {
    let [UserProperty { name, value }] = connack(answer) else { panic!("{answer:?}") };
    assert_eq!(name, "subscribe-topic");
    value
}

fn code(answer: &Answer) -> u8 {
    match answer {
        Answer::Allow(_) => 0,
        Answer::Deny(denial) => denial.reason_code,
        Answer::Continue | Answer::Challenge(_) => panic!("{answer:?}"),
    }
}

fn filters(answer: &Answer) -> Vec<(Actions, String)> {
    let Answer::Allow(Acceptance { principal, .. }) = answer else { panic!("{answer:?}") };
    let Permission::Grants(grants) = &principal.permission else { panic!("{answer:?}") };
    assert!(grants.iter().all(|grant| grant.effect == Effect::Allow));
    grants.iter().map(|grant| (grant.actions, grant.filter.clone())).collect()
}

fn statuses() -> Vec<(String, String)> {
    let of = |message: WrittenMessage| {
        assert!(message.qos == QoS::AtLeastOnce && !message.retain, "{message:?}");
        (message.topic, String::from_utf8(message.payload).unwrap())
    };
    published().into_iter().map(of).collect()
}

#[test]
fn client_without_checks_may_log_in_and_learns_its_topic() {
    open("{}");
    let answer = Oktopus::authenticate(agent("any", "", "os::1"));
    assert_eq!((code(&answer), topic(&answer)), (0, "oktopus/usp/v1/agent/os::1"));
    assert_eq!(filters(&answer), [(Actions::all(), "#".to_owned())]);
    let plain = Oktopus::authenticate(login("any", ""));
    assert_eq!(topic(&plain), "oktopus/usp/v1/agent/", "without a property the identifier is empty");
    let silent = Login { request_problem_information: false, ..agent("any", "", "os::1") };
    assert!(connack(&Oktopus::authenticate(silent)).is_empty());
    let older = Login { protocol_version: 4, user_properties: Vec::new(), ..login("any", "") };
    assert!(connack(&Oktopus::authenticate(older)).is_empty());
}

#[test]
fn status_follows_the_agent_subscription_and_the_end_of_the_connection() {
    open("{}");
    Oktopus::authenticate(agent("any", "", "os::1"));
    Oktopus::connected(1, "c".to_owned(), false);
    let subscribe = |filter: &str| {
        let filter = filter.to_owned();
        Oktopus::subscribed(1, vec![Subscription { filter, qos: QoS::AtMostOnce }]);
    };
    subscribe("other");
    assert_eq!(statuses(), []);
    subscribe("oktopus/usp/v1/agent/os::1");
    let status = |payload: &str| ("oktopus/usp/v1/status/os::1".to_owned(), payload.to_owned());
    assert_eq!(statuses(), [status("1")]);
    Oktopus::disconnected(1, "keepalive-timeout".to_owned());
    Oktopus::disconnected(1, "normal".to_owned());
    assert_eq!(statuses(), [status("0")]);
}

#[test]
fn identifier_that_names_the_topic_of_another_device_has_no_status() {
    open("{}");
    for id in ["a/victim", "+", "#", "", "a\0"] {
        let answer = Oktopus::authenticate(agent("any", "", id));
        assert_eq!(code(&answer), 0, "{id:?}");
        Oktopus::connected(1, "c".to_owned(), false);
        Oktopus::disconnected(1, "normal".to_owned());
    }
    assert_eq!(statuses(), []);
}

/// A NATS server at a free port.
struct Nats {
    folder: std::path::PathBuf,
    port: u16,
    program: Option<Child>,
}

impl Nats {
    fn start(name: &str) -> Nats {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("auth-oktopus-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mut nats = Nats { folder, port, program: None };
        nats.start_again();
        nats
    }

    /// The program that `LOTMQ_TEST_NATS_SERVER` names, or that of the system. Debian keeps it
    /// where only root's search path looks.
    fn start_again(&mut self) {
        let place = "/usr/sbin/nats-server";
        let of_system = if std::path::Path::new(place).is_file() { place } else { "nats-server" };
        let program = std::env::var("LOTMQ_TEST_NATS_SERVER").unwrap_or_else(|_| of_system.to_owned());
        let port = self.port.to_string();
        let mut command = Command::new(program);
        command.args(["-a", "127.0.0.1", "-p", &port, "-js", "-sd"]).arg(&self.folder);
        self.program = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(began.elapsed() < WAIT, "the server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        let mut program = self.program.take().unwrap();
        program.kill().unwrap();
        program.wait().unwrap();
    }

    /// Opens the guest with this server.
    fn open(&self, more: &str) {
        set_endpoint("nats", SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)));
        open(&format!(
            r#"{{"auth":true,"retry_seconds":1,"endpoints":{{"nats":{{"HOST":"127.0.0.1"}}}}{more}}}"#
        ));
    }

    /// Publishes to JetStream as another program does, and waits until it is stored.
    fn says(&self, subject: &str, headers: &str, payload: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let block = if headers.is_empty() { String::new() } else { format!("NATS/1.0\r\n{headers}\r\n\r\n") };
        let (head, whole) = (block.len(), block.len() + payload.len());
        let line = if head == 0 {
            format!("PUB {subject} I {whole}")
        } else {
            format!("HPUB {subject} I {head} {whole}")
        };
        write!(
            stream,
            "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nSUB I 1\r\n{line}\r\n{block}{payload}\r\n"
        )
        .unwrap();
        let mut found = String::new();
        while !found.starts_with("MSG I") {
            found.clear();
            assert!(lines.read_line(&mut found).unwrap() > 0);
        }
        found.clear();
        lines.read_line(&mut found).unwrap();
        assert!(!found.contains("\"error\""), "{found}");
        found
    }

    fn put(&self, key: &str, value: &str) {
        self.says(&format!("$KV.devices-auth.{key}"), "", value);
    }

    fn delete(&self, key: &str) {
        self.says(&format!("$KV.devices-auth.{key}"), "KV-Operation: DEL", "");
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if self.program.is_some() {
            self.kill();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs the guest until something is true.
fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < WAIT, "{what}");
        Oktopus::run(50).unwrap();
    }
}

fn is_in(user: &str, password: &str) -> bool {
    code(&Oktopus::authenticate(agent(user, password, user))) == 0
}

fn revoked() -> Vec<String> {
    let of = |intervention| match intervention {
        Intervention::Revoked { whom: Selector::User(user), reason_code: NOT_AUTHORIZED, .. } => user,
        other => panic!("{other:?}"),
    };
    interventions().into_iter().map(of).collect()
}

#[test]
fn device_with_key_may_log_in_and_use_its_own_topics() {
    let nats = Nats::start("rights");
    nats.open("");
    assert_eq!(code(&Oktopus::authenticate(agent("d1", "p1", "d1"))), BAD_USER_NAME_OR_PASSWORD);
    nats.put("d1", "p1");
    nats.put("os=3A=3A1", "p2");
    nats.put("oktopusController", "c");
    eventually("the keys arrive", || is_in("os::1", "p2") && is_in("oktopusController", "c"));
    for (user, password, id, expected) in [
        ("d1", "p1", "d1", 0),
        ("d1", "p2", "d1", BAD_USER_NAME_OR_PASSWORD),
        ("d1", "", "d1", BAD_USER_NAME_OR_PASSWORD),
        ("d2", "p1", "d2", BAD_USER_NAME_OR_PASSWORD),
        ("d1", "p1", "d2", NOT_AUTHORIZED),
        ("+", "p1", "+", BAD_USER_NAME_OR_PASSWORD),
        ("a/b", "p1", "a/b", BAD_USER_NAME_OR_PASSWORD),
        ("os::1", "p2", "os::1", 0),
    ] {
        let answer = Oktopus::authenticate(agent(user, password, id));
        assert_eq!(code(&answer), expected, "{user} {password} {id}");
        assert_eq!(topic(&answer), format!("oktopus/usp/v1/agent/{id}"), "on refusals too");
    }
    let mut none = login("d1", "p1");
    none.user = None;
    assert_eq!(code(&Oktopus::authenticate(none)), BAD_USER_NAME_OR_PASSWORD);
    let device = filters(&Oktopus::authenticate(agent("d1", "p1", "d1")));
    assert!(device.contains(&(Actions::PUBLISH, "oktopus/usp/v1/controller/%u/#".to_owned())));
    assert!(!device.iter().any(|(_, filter)| filter == "oktopus/usp/v1/controller/#" || filter == "#"));
    let controller = filters(&Oktopus::authenticate(login("oktopusController", "c")));
    assert_eq!(controller, [(Actions::all(), "#".to_owned())]);

    nats.open(r#","mode":"exact","unknown_user":"continue""#);
    let answer = Oktopus::authenticate(agent("d1", "p1", "d2"));
    assert_eq!((code(&answer), topic(&answer)), (0, "oktopus/usp/v1/agent/d2"));
    assert!(filters(&answer).contains(&(Actions::PUBLISH, "oktopus/usp/v1/controller/#".to_owned())));
    assert!(matches!(Oktopus::authenticate(login("d2", "p1")), Answer::Continue));
    assert_eq!(code(&Oktopus::authenticate(login("d1", "wrong"))), BAD_USER_NAME_OR_PASSWORD);
}

fn with_certificate(subject: &str, login: Login) -> Login {
    let certificate = Certificate {
        subject: subject.to_owned(),
        issuer: "CN=Test".to_owned(),
        alternative_names: Vec::new(),
        serial: vec![1],
        not_after_ms: i64::MAX,
        fingerprint: vec![0; 32],
        pem: String::new(),
    };
    Login { certificate: Some(certificate), ..login }
}

#[test]
fn certificate_replaces_the_password_of_a_device_if_the_operator_says_so() {
    let nats = Nats::start("certificates");
    let answer = |user: Option<&str>, password: &str, id: &str, subject: &str| {
        let login = Login { user: user.map(str::to_owned), ..agent("", password, id) };
        code(&Oktopus::authenticate(with_certificate(subject, login)))
    };
    nats.open("");
    assert_eq!(answer(Some("d1"), "", "d1", "CN=d1"), BAD_USER_NAME_OR_PASSWORD);
    nats.open(r#","certificates":true"#);
    for (user, id, subject, expected) in [
        (None, "d1", "CN=d1,O=Plant", 0),
        (Some("d1"), "d1", "CN=d1", 0),
        (Some("d2"), "d2", "CN=d1", NOT_AUTHORIZED),
        (None, "d2", "CN=d1", NOT_AUTHORIZED),
        (None, "a/b", "CN=a/b", BAD_USER_NAME_OR_PASSWORD),
        (Some("d1"), "d1", "O=Plant", BAD_USER_NAME_OR_PASSWORD),
        (Some("oktopusController"), "", "CN=oktopusController", BAD_USER_NAME_OR_PASSWORD),
    ] {
        assert_eq!(answer(user, "", id, subject), expected, "{user:?} {id} {subject}");
    }
}

#[test]
fn changed_and_deleted_keys_end_the_clients_of_their_users() {
    let nats = Nats::start("changes");
    nats.open("");
    for key in ["a", "b", "c"] {
        nats.put(key, "p");
    }
    eventually("the keys arrive", || is_in("a", "p") && is_in("b", "p") && is_in("c", "p"));
    assert_eq!(revoked(), Vec::<String>::new());
    nats.delete("a");
    nats.put("b", "q");
    nats.put("c", "p");
    let mut ended = Vec::new();
    eventually("two users end", || {
        ended.extend(revoked());
        ended.len() == 2
    });
    assert_eq!(ended, ["a", "b"]);
    assert!(!is_in("a", "p") && !is_in("b", "p") && is_in("b", "q") && is_in("c", "p"));
    assert_eq!(revoked(), Vec::<String>::new(), "the same value is no change");
}

#[test]
fn logins_are_refused_while_nats_is_away_and_changes_meanwhile_take_effect() {
    let mut nats = Nats::start("away");
    nats.open(r#","reread_seconds":1"#);
    nats.put("a", "p");
    nats.put("b", "p");
    eventually("the keys arrive", || is_in("a", "p") && is_in("b", "p"));
    nats.kill();
    eventually("the loss is noticed", || !is_in("a", "p"));
    let answer = Oktopus::authenticate(agent("a", "p", "a"));
    assert_eq!(code(&answer), SERVER_UNAVAILABLE);
    assert_eq!(revoked(), Vec::<String>::new(), "existing connections stay");
    nats.start_again();
    nats.delete("a");
    eventually("the watch is back", || is_in("b", "p"));
    assert!(!is_in("a", "p"));
    assert_eq!(revoked(), ["a"]);
    // A purge of the stream leaves no marker: the next reading finds it.
    nats.says("$JS.API.STREAM.PURGE.KV_devices-auth", "", "");
    eventually("the purge is noticed", || !is_in("b", "p"));
    assert_eq!(revoked(), ["b"]);
    nats.put("b", "p");
    eventually("the key is back", || is_in("b", "p"));
}

#[test]
fn guest_started_before_nats_accepts_logins_once_connected() {
    let mut nats = Nats::start("late");
    nats.kill();
    nats.open("");
    assert_eq!(code(&Oktopus::authenticate(agent("a", "p", "a"))), SERVER_UNAVAILABLE);
    nats.start_again();
    eventually("the bucket is made", || {
        code(&Oktopus::authenticate(agent("a", "p", "a"))) == BAD_USER_NAME_OR_PASSWORD
    });
    nats.put("a", "p");
    eventually("the key arrives", || is_in("a", "p"));
}

#[test]
fn bucket_of_many_keys_is_read_whole() {
    let nats = Nats::start("many");
    nats.open("");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, nats.port)).unwrap();
    stream.write_all(b"CONNECT {\"verbose\":false}\r\n").unwrap();
    for number in 0..3_000 {
        write!(stream, "PUB $KV.devices-auth.d{number} 1\r\np\r\n").unwrap();
    }
    nats.put("last", "p");
    eventually("the watch brings all", || is_in("last", "p") && is_in("d2999", "p"));
    nats.open("");
    assert!((0..3_000).all(|number| is_in(&format!("d{number}"), "p")));
}
