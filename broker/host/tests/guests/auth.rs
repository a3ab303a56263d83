//! An authentication guest with each of its calls: `sdk/examples/auth-table`.

use crate::support::{Broker, engine, wrapped};
use lotmq_codec::ReasonCode;
use lotmq_host::{
    Argument, BorrowedMessage, ComponentSource, Grants, GuestId, GuestLimits, LogLevel, MetricChange,
    NestedCall, RunContext, RunError, Services, Severity, StateRefused, Value,
    auth::{
        Acceptance, Actions, Answer, AuthGuest, AuthInstance, AuthServices, AuthSpec, Denial, Hooks, Login,
        PayloadFormat, Permission, Principal, Properties, Qos, Selector, Subscription, UserProperty, Will,
    },
    fiber::{Endpoint, FiberServices, HttpEvent},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

/// The guest.
const GUEST: &[u8] = include_bytes!("../../../../sdk/examples/auth-table/prebuilt/auth-table.wasm");

/// Users of the table.
const TABLE: &str = r#"{"users":{"ann":{"password":"secret","groups":["staff","night"],"publish":"a/#","seconds":60},
    "broken":{"password":"x","publish":"a/#/b"}}}"#;

/// A broker's side that notes what is wanted of it.
#[derive(Default)]
struct Clerk {
    broker: Broker,
    lines: Mutex<Vec<String>>,
}

impl Clerk {
    fn note(&self, line: String) {
        self.lines.lock().push(line);
    }

    fn noted(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock())
    }
}

impl Services for Clerk {
    fn topic_value(&self, run: &RunContext, topic: &str, value: &mut Vec<u8>) -> bool {
        self.broker.topic_value(run, topic, value)
    }
    fn may_read(&self, _run: &RunContext, _topic: &str) -> bool {
        true
    }
    fn retained_exists(&self, run: &RunContext, topic: &str) -> bool {
        self.broker.retained_exists(run, topic)
    }
    fn environment(&self, run: &RunContext, name: &str) -> Option<String> {
        self.broker.environment(run, name)
    }
    fn set_environment(&self, run: &RunContext, name: &str, value: Option<&str>) -> bool {
        self.broker.set_environment(run, name, value)
    }
    fn secret(&self, run: &RunContext, name: &str) -> Option<String> {
        self.broker.secret(run, name)
    }
    fn set_secret(&self, run: &RunContext, name: &str, value: Option<&str>) -> bool {
        self.broker.set_secret(run, name, value)
    }
    fn state(&self, run: &RunContext, key: &str) -> Option<Vec<u8>> {
        self.broker.state(run, key)
    }
    fn set_state(&self, run: &RunContext, key: &str, value: Option<&[u8]>) -> Result<(), StateRefused> {
        self.broker.set_state(run, key, value)
    }
    fn call_action(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        self.broker.call_action(call, name, inputs)
    }
    fn monotonic_ms(&self) -> u64 {
        500
    }
    fn now_ms(&self) -> i64 {
        self.broker.now_ms()
    }
}

impl FiberServices for Clerk {
    fn lost_datagrams(&self, _run: &RunContext, _count: u64) {}

    fn note_http(&self, _run: &RunContext, _event: HttpEvent) {}
    fn refuses_address(&self, _address: IpAddr) -> Option<String> {
        None
    }
    fn refuses_listening(&self, _address: IpAddr) -> Option<String> {
        Some("it need not listen".to_owned())
    }
    fn refuses_serial_port(&self, _device: &str) -> Option<String> {
        Some("it need not open any".to_owned())
    }
    fn report(&self, _run: &RunContext, _severity: Severity, code: &str, message: &str) {
        self.note(format!("report {code}: {message}"));
    }
    fn measure(&self, _run: &RunContext, name: &str, change: MetricChange) -> bool {
        self.note(format!("{name} {change:?}"));
        true
    }
    fn log(&self, _run: &RunContext, _level: LogLevel, text: &str) {
        self.note(text.to_owned());
    }
}

impl AuthServices for Clerk {
    fn revoke(&self, _run: &RunContext, whom: &Selector, code: ReasonCode, reason: Option<&str>) -> u32 {
        self.note(format!("revoke {whom:?} {} {reason:?}", code.text()));
        2
    }
    fn update(&self, _run: &RunContext, whom: &Selector, principal: &Principal) -> u32 {
        let Permission::Grants(grants) = &principal.permission else { panic!("{principal:?}") };
        self.note(format!("update {whom:?} {} {:?}", grants[0].filter, grants[0].actions));
        1
    }
    fn publish(&self, _run: &RunContext, message: &BorrowedMessage<'_>, _expiry: Option<u32>) -> bool {
        let payload = String::from_utf8_lossy(message.payload);
        self.note(format!("publish {} {payload} {:?}", message.topic, message.qos));
        true
    }
}

async fn table(endpoints: HashMap<String, Endpoint>, grants: Grants) -> (AuthInstance, Arc<Clerk>) {
    let guest = AuthGuest::compile(engine(), GUEST, ComponentSource::Upload).unwrap();
    let clerk = Arc::new(Clerk::default());
    let spec = AuthSpec {
        id: GuestId(1),
        services: clerk.clone(),
        grants: Arc::new(grants),
        endpoints: Arc::new(endpoints),
        limits: GuestLimits::default(),
    };
    let mut instance = guest.instance(spec).await.unwrap();
    let description = instance.describe().await.unwrap();
    assert_eq!((description.hooks, description.methods), (Hooks::all(), vec!["REVERSE".to_owned()]));
    (instance, clerk)
}

fn grants() -> Grants {
    Grants { state: true, config: Some(TABLE.into()), ..Grants::default() }
}

fn login(user: Option<&str>, password: &str) -> Login {
    Login {
        connection: 7,
        tenant: "default".to_owned(),
        listener: "mqtts".to_owned(),
        endpoint: "10.0.0.1:5000".to_owned(),
        server_name: Some("broker.example".to_owned()),
        certificate: None,
        protocol_version: 5,
        client_id: "c1".to_owned(),
        clean_start: true,
        keep_alive_seconds: 30,
        session_expiry_seconds: Some(3600),
        receive_maximum: 20,
        packet_bytes_max: Some(4096),
        topic_alias_maximum: 10,
        request_response_information: true,
        request_problem_information: false,
        user: user.map(str::to_owned),
        password: Some(password.as_bytes().to_vec()),
        will: Some(Will {
            topic: "a/gone".to_owned(),
            payload: b"lost".to_vec(),
            qos: Qos::AtLeastOnce,
            retain: true,
            delay_seconds: 30,
            properties: Some(Properties {
                payload_format: PayloadFormat::Utf8,
                expiry_seconds: None,
                content_type: Some("text/plain".to_owned()),
                response_topic: None,
                correlation_data: None,
                user_properties: Vec::new(),
            }),
        }),
        user_properties: vec![UserProperty { name: "Line".to_owned(), value: "7".to_owned() }],
    }
}

#[tokio::test]
async fn a_login_is_allowed_denied_or_left_to_the_next_guest() {
    let (mut instance, _clerk) = table(HashMap::new(), grants()).await;
    assert_eq!(instance.open().await.unwrap(), Ok(()));
    for logins in ["1", "2"] {
        let answer = instance.authenticate(&login(Some("ann"), "secret")).await.unwrap().unwrap();
        let Answer::Allow(Acceptance { principal, reason, user_properties, data }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (principal.user.as_str(), principal.groups),
            ("ann", vec!["staff".to_owned(), "night".to_owned()])
        );
        let properties: Vec<_> = principal.properties.iter().map(|it| (&*it.name, &*it.value)).collect();
        assert_eq!(
            properties,
            [
                ("ClientVersion", "5"),
                ("ReceiveMaximum", "20"),
                ("Will", "a/gone lost text/plain after 30 s"),
                ("Line", "7"),
            ]
        );
        let Permission::Grants(grants) = principal.permission else { panic!("{:?}", principal.permission) };
        let [grant] = &*grants else { panic!("{grants:?}") };
        assert_eq!((&*grant.filter, grant.actions, grant.retain), ("a/#", Actions::PUBLISH, false));
        assert_eq!((principal.expires_ms, principal.limits.subscriptions), (Some(61_000), Some(10)));
        assert_eq!((reason.as_deref(), data), (Some("welcome by mqtts"), None));
        assert_eq!((&*user_properties[0].name, &*user_properties[0].value), ("logins", logins));
    }
    let answer = instance.authenticate(&login(Some("ann"), "guess")).await.unwrap().unwrap();
    let Answer::Deny(Denial { reason_code, log, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((reason_code, log.as_str()), (0x86, "the password of 'ann' is wrong"));
    for nobody in [login(None, ""), login(Some("bob"), "secret")] {
        assert!(matches!(instance.authenticate(&nobody).await.unwrap(), Ok(Answer::Continue)));
    }
    let unusable = instance.authenticate(&login(Some("broken"), "x")).await.unwrap().unwrap_err();
    assert_eq!(unusable.to_string(), "'a/#/b' is no Topic Filter");
}

#[tokio::test]
async fn without_its_grants_it_has_neither_configuration_nor_state() {
    let (mut instance, clerk) = table(HashMap::new(), Grants { config: None, ..grants() }).await;
    assert!(matches!(
        instance.authenticate(&login(Some("ann"), "secret")).await.unwrap(),
        Ok(Answer::Continue)
    ));
    let (mut instance, _) = table(HashMap::new(), Grants { state: false, ..grants() }).await;
    let answer = instance.authenticate(&login(Some("ann"), "secret")).await.unwrap().unwrap();
    assert!(matches!(&answer, Answer::Allow(Acceptance { reason: None, .. })), "it kept nothing: {answer:?}");
    assert!(clerk.broker.state.lock().is_empty());
}

#[tokio::test]
async fn an_enhanced_authentication_takes_steps_that_alternate_with_others() {
    let (mut instance, clerk) = table(HashMap::new(), grants()).await;
    let (mut one, mut other) = (login(None, ""), login(None, ""));
    (one.connection, other.connection) = (1, 2);
    one.client_id = "first".to_owned();
    let mut challenges = Vec::new();
    for login in [&one, &other] {
        let answer = instance.step(login, "REVERSE", b"").await.unwrap().unwrap();
        let Answer::Challenge(challenge) = answer else { panic!("{answer:?}") };
        challenges.push(challenge);
    }
    let backwards: Vec<u8> = challenges[0].iter().rev().copied().collect();
    let answer = instance.step(&one, "REVERSE", &backwards).await.unwrap().unwrap();
    assert!(
        matches!(answer, Answer::Allow(Acceptance { principal, .. }) if principal.user == "reverser first")
    );
    let answer = instance.step(&other, "REVERSE", b"wrong").await.unwrap().unwrap();
    assert!(matches!(answer, Answer::Deny(_)));
    instance.step(&one, "REVERSE", b"").await.unwrap().unwrap();
    instance.forget(1).await.unwrap();
    instance.forget(2).await.unwrap();
    assert_eq!(clerk.noted(), ["forget 1: true", "forget 2: false"]);
}

#[tokio::test]
async fn hooks_tell_what_becomes_of_a_client() {
    let (mut instance, clerk) = table(HashMap::new(), grants()).await;
    instance.connected(7, "c1", true).await.unwrap();
    let subscription = |filter: &str, qos| Subscription { filter: filter.to_owned(), qos };
    let subscriptions = [subscription("a/#", Qos::AtLeastOnce), subscription("b", Qos::AtMostOnce)];
    instance.subscribed(7, &subscriptions).await.unwrap();
    instance.disconnected(7, "keepalive-timeout").await.unwrap();
    assert_eq!(
        clerk.noted(),
        [
            "connected 7 as c1, session present: true",
            "connected Add(1)",
            "subscribed 7 to a/# Qos::AtLeastOnce, b Qos::AtMostOnce",
            "disconnected 7: keepalive-timeout",
            "disconnected Add(1)",
        ]
    );
    assert_eq!(instance.run(10).await.unwrap(), Ok(u32::MAX), "nobody gives it orders");
    instance.close().await.unwrap();
    assert_eq!(clerk.noted(), ["goodbye"]);
}

#[tokio::test]
async fn orders_from_the_network_revoke_and_change_principals() {
    let system = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = system.local_addr().unwrap().port();
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() };
    let (mut instance, clerk) = table(HashMap::from([("orders".to_owned(), endpoint)]), grants()).await;
    assert_eq!(instance.open().await.unwrap(), Ok(()));
    let (mut stream, _) = system.accept().unwrap();
    // A run that waits ends soon when there is other work.
    let work = instance.host_work();
    work.announce();
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(30), instance.run(u32::MAX)).await.unwrap().unwrap(),
        Ok(0)
    );
    work.done();
    stream.write_all(b"revoke ann\nwiden bob b/#\nwiden bob b/#/c\nwiden  b\n").unwrap();
    while clerk.lines.lock().len() < 6 {
        assert_eq!(instance.run(30_000).await.unwrap(), Ok(0));
    }
    assert_eq!(
        clerk.noted(),
        [
            "revoke Selector::User(\"ann\") administrative action Some(\"by order\")",
            "revoke ann: 2 sessions",
            "update Selector::User(\"bob\") b/# (PUBLISH|SUBSCRIBE)",
            "widen bob b/#: 1 sessions",
            // Invalid filters do not reach the broker.
            "widen bob b/#/c: 0 sessions",
            "widen  b: 0 sessions",
        ]
    );
    drop(stream);
    assert_eq!(instance.run(30_000).await.unwrap(), Err("nobody gives orders any more".to_owned()));
}

#[tokio::test]
async fn a_server_of_tokens_is_asked_over_http() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut asked = Vec::new();
        for answer in ["200 OK\r\ncontent-length: 3\r\n\r\neve", "401 No\r\ncontent-length: 0\r\n\r\n"] {
            let mut request = Vec::new();
            while !request.ends_with(b"token") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            asked.push(String::from_utf8(request).unwrap());
            write!(stream, "HTTP/1.1 {answer}").unwrap();
        }
        asked
    });
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() };
    let endpoints = HashMap::from([("tokens".to_owned(), endpoint)]);
    let config = Some(r#"{"tokens": true}"#.into());
    let (mut instance, _clerk) = table(endpoints, Grants { config, ..grants() }).await;
    let bearer = login(Some("anybody"), "token");
    let answer = instance.authenticate(&bearer).await.unwrap().unwrap();
    assert!(
        matches!(&answer, Answer::Allow(Acceptance { principal, .. }) if principal.user == "eve"),
        "{answer:?}"
    );
    let answer = instance.authenticate(&bearer).await.unwrap().unwrap();
    let Answer::Deny(Denial { reason_code, log, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((reason_code, log.as_str()), (0x86, "the server answered 401"));
    let asked = answering.join().unwrap();
    assert!(asked.iter().all(|request| request.starts_with("POST /introspect HTTP/1.1\r\n")), "{asked:?}");
    let answer = instance.authenticate(&bearer).await.unwrap().unwrap();
    let Answer::Deny(Denial { reason_code, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(reason_code, 0x88, "the server is gone");
}

#[tokio::test]
async fn an_action_is_no_authentication_guest() {
    let component = wrapped("sdk/examples/action-answer");
    let error = AuthGuest::compile(engine(), &component, ComponentSource::Upload).unwrap_err();
    assert_eq!(error.code(), "IMPORT_FORBIDDEN");
}
