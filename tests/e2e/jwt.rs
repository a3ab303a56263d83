//! Logins by JSON Web Token, as clients and operators see them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use lotmq_client::{Client, ClientError, ConnectOptions, ProtocolVersion, Publication, QoS, ReasonCode};
use lotmq_test_support::{
    Answer, Authority, Broker, BrokerOptions, HttpServer, TokenSigner, WAIT_MAX, eventually, free_address,
};
use serde_json::{Value, json};

use crate::options;

const SECRET: &str = "a secret of at least thirty-two bytes";

/// Options of a broker that asks for tokens before it asks its accounts.
fn with_tokens() -> BrokerOptions {
    options().variable("LOTMQ_AUTH_MODULES", "jwt,builtin")
}

/// A broker with a secret, and a folder that keeps the secret.
fn with_secret(variables: &[(&str, &str)]) -> (Broker, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, SECRET).unwrap();
    let options = with_tokens().variable("LOTMQ_AUTH_JWT_SECRET_FILE", path.to_str().unwrap());
    let options = variables.iter().fold(options, |options, (name, value)| options.variable(name, value));
    (options.start(), folder)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims of a user whose token is good for an hour, with others besides.
fn claims(user: &str, others: &Value) -> Value {
    let mut claims = json!({"sub": user, "exp": now() + 3_600});
    for (name, value) in others.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn token(user: &str, others: &Value) -> String {
    TokenSigner::hmac(SECRET).sign(&json!({"alg": "HS256"}), &claims(user, others))
}

fn login(broker: &Broker, client_id: &str, user: &str, token: &str) -> Result<Client, ClientError> {
    Client::connect(broker.address(), &ConnectOptions::v5(client_id).user(user, token))
}

fn refused(broker: &Broker, client_id: &str, user: &str, token: &str) -> ReasonCode {
    match login(broker, client_id, user, token) {
        Err(ClientError::Refused { reason, .. }) => reason,
        other => panic!("{client_id}: {:?}", other.map(|_| "let in")),
    }
}

fn user_of(broker: &Broker, client_id: &str) -> Option<String> {
    let clients = broker.command_ok(&format!("-listClients {client_id}"));
    clients.data()["clients"][0]["username"].as_str().map(str::to_owned)
}

#[test]
fn token_in_the_password_is_a_login() {
    let (broker, _folder) = with_secret(&[]);
    for (user_name, client_id) in [("", "empty"), ("jwt", "word"), ("press-7", "same")] {
        let mut client = login(&broker, client_id, user_name, &token("press-7", &json!({}))).unwrap();
        client.ping().unwrap();
        assert!(user_of(&broker, client_id).unwrap().contains("press-7"), "{client_id}");
    }
    // Passwords are as ever, and so are 3.1.1 and clients without a user.
    broker.command_ok("-addUser ann a-password");
    login(&broker, "ann", "ann", "a-password").unwrap().ping().unwrap();
    assert_eq!(refused(&broker, "ann", "ann", "wrong"), ReasonCode::BadUserNameOrPassword);
    let old = ConnectOptions::new("old").user("jwt", token("press-7", &json!({})));
    assert_eq!(old.version, ProtocolVersion::V3_1_1);
    Client::connect(broker.address(), &old).unwrap().ping().unwrap();
}

#[test]
fn refused_token_has_a_reason_code_and_a_reason_in_the_log() {
    let (broker, _folder) = with_secret(&[
        ("LOTMQ_AUTH_JWT_ISSUER", "https://id.example"),
        ("LOTMQ_AUTH_JWT_AUDIENCE", "broker"),
        ("LOTMQ_AUTH_JWT_CLIENT_ID_CLAIM", "cid"),
    ]);
    // Each case is a client of its own: after five failures a client has to wait.
    let good = |cid: &str| json!({"iss": "https://id.example", "aud": ["other", "broker"], "cid": cid});
    login(&broker, "c", "", &token("press-7", &good("c"))).unwrap().ping().unwrap();
    let with = |cid: &str, name: &str, value: Value| {
        let mut others = good(cid);
        others[name] = value;
        token("press-7", &others)
    };
    let by = |cid: &str, secret: &str, algorithm: &str| {
        TokenSigner::hmac(secret).sign(&json!({"alg": algorithm}), &claims("press-7", &good(cid)))
    };
    let other = "another secret of thirty-two bytes!";
    use ReasonCode::{BadUserNameOrPassword as Bad, NotAuthorized};
    for (client_id, user, token, code, reason) in [
        ("c0", "", with("c0", "exp", json!(now() - 100)), NotAuthorized, "the token has expired 10"),
        ("c1", "", with("c1", "nbf", json!(now() + 100)), Bad, "by claim nbf"),
        ("c2", "", with("c2", "iss", json!("https://evil.example")), Bad, "is not in auth.jwt.issuer"),
        ("c3", "", with("c3", "aud", json!("other")), Bad, "is not in auth.jwt.audience"),
        ("c4", "", token("press-7", &good("c")), NotAuthorized, "not the one in claim cid"),
        ("c5", "ann", token("press-7", &good("c5")), NotAuthorized, "User Name is not the one in claim sub"),
        ("c6", "", by("c6", SECRET, "none"), Bad, "is not supported; use HS256"),
        ("c7", "", by("c7", other, "HS256"), Bad, "the signature is wrong"),
        ("c8", "", by("c8", other, "RS256"), Bad, "no key is for algorithm"),
    ] {
        assert_eq!(refused(&broker, client_id, user, &token), code, "{reason}");
        broker.log().expect(reason);
        let text = broker.log().text();
        let signature = token.rsplit('.').next().unwrap();
        assert!(signature.is_empty() || !text.contains(signature), "{text}");
        assert!(!text.contains(token.split('.').nth(1).unwrap()), "{text}");
    }
    let old = ConnectOptions::new("c9").user("jwt", with("c9", "exp", json!(1)));
    let old = Client::connect(broker.address(), &old).unwrap_err();
    assert!(matches!(old, ClientError::Refused { reason: NotAuthorized, .. }), "{old}");
    // Nobody whom CONNACK refused is there (paho.mqtt.python#895).
    let clients = broker.command_ok("-listClients c7");
    assert_eq!(clients.data()["clients"].as_array().map(Vec::len), Some(0), "{:?}", clients.data());
}

#[test]
fn token_cannot_be_root_an_account_or_an_administrator() {
    let (broker, _folder) = with_secret(&[]);
    broker.command_ok("-addUser ann a-password");
    for (client_id, user) in [("c0", "root"), ("c1", "Root"), ("c2", "ann"), ("c3", "a/b")] {
        let code = refused(&broker, client_id, "", &token(user, &json!({})));
        assert_eq!(code, ReasonCode::NotAuthorized, "{user}");
    }
    // A token in the password of an account logs nobody in either.
    for user in ["ann", "root"] {
        login(&broker, "c", user, &token(user, &json!({}))).err().unwrap();
    }
    let rights = json!({"groups": ["admin", "ops"]});
    let reply = broker.command_as(("jwt", &token("bob", &rights)), "-addUser eve a-password");
    assert!(!reply.success(), "{}", reply.message());
}

#[test]
fn end_of_the_token_ends_the_connection() {
    let (broker, _folder) = with_secret(&[("LOTMQ_AUTH_JWT_CLOCK_SKEW_SEC", "0")]);
    let mut client = login(&broker, "c", "", &token("press-7", &json!({"exp": now() + 3}))).unwrap();
    client.ping().unwrap();
    let ended = client.receive(WAIT_MAX).unwrap_err();
    assert!(matches!(ended, ClientError::Disconnected { reason: ReasonCode::NotAuthorized, .. }), "{ended}");
    assert_eq!(
        refused(&broker, "c", "", &token("press-7", &json!({"exp": now() - 1}))),
        ReasonCode::NotAuthorized
    );
    login(&broker, "c", "", &token("press-7", &json!({}))).unwrap().ping().unwrap();
}

/// The broker reads nothing of the client for 100 s.
#[test]
fn end_of_the_token_ends_a_connection_that_is_held_back_by_its_rate() {
    let (broker, _folder) =
        with_secret(&[("LOTMQ_AUTH_JWT_CLOCK_SKEW_SEC", "0"), ("LOTMQ_LISTENER_MQTT_MESSAGES_PER_SEC", "1")]);
    let mut client = login(&broker, "c", "", &token("press-7", &json!({"exp": now() + 3}))).unwrap();
    for _ in 0..100 {
        client.send_publish(&Publication::new("a", "x")).unwrap();
    }
    let ended = client.receive(WAIT_MAX).unwrap_err();
    assert!(matches!(ended, ClientError::Disconnected { reason: ReasonCode::NotAuthorized, .. }), "{ended}");
}

#[test]
fn grants_of_the_token_decide_about_topics() {
    let (broker, _folder) = with_secret(&[]);
    let acl = json!({"acl": [
        {"permission": "deny", "action": "subscribe", "topic": "plant/secret/#"},
        {"permission": "allow", "action": "all", "topic": "plant/%u/#"},
        {"permission": "allow", "action": "subscribe", "topic": "plant/+/status"},
    ]});
    let mut client = login(&broker, "c", "", &token("press-7", &acl)).unwrap();
    for (filter, is_allowed) in [
        ("plant/press-7/#", true),
        ("plant/a/status", true),
        ("plant/secret/status", false),
        ("plant/#", false),
    ] {
        let expected = if is_allowed { ReasonCode::GrantedQos1 } else { ReasonCode::NotAuthorized };
        assert_eq!(client.subscribe_to(filter, QoS::AtLeastOnce).unwrap(), expected, "{filter}");
    }
    let mut publish = |topic: &str| {
        let publication = Publication { qos: QoS::AtLeastOnce, ..Publication::new(topic, "x") };
        client.publish(&publication).unwrap()
    };
    assert_eq!(publish("plant/press-7/temperature"), ReasonCode::Success);
    assert_eq!(publish("plant/press-8/temperature"), ReasonCode::NotAuthorized);
}

/// Lines of the log say what has identified a user: a name alone may be that of an account or of a
/// token.
#[test]
fn log_lines_about_a_user_have_the_source_of_the_user() {
    let (broker, _folder) = with_secret(&[("LOTMQ_LOG", "info,client=debug")]);
    broker.command_ok("-addUser ann a-password");
    let rule = "DEFINE RULE Secret WITH PRIORITY 50 FOR Publish TO TOPIC \"secret/#\"\n    DENY\n";
    broker.command_ok(&format!("-addRule {rule}"));
    let no_grants = json!({"acl": [{"permission": "deny", "action": "all", "topic": "#"}]});
    for (client, options, source, by) in [
        ("of-account", Some(("ann", "a-password".to_owned())), "account", "rule Secret"),
        ("of-token", Some(("", token("press-7", &no_grants))), "member jwt", "grant"),
        ("of-nobody", None, "anonymous", "rule Secret"),
    ] {
        let connect = ConnectOptions::v5(client);
        let connect = match options {
            Some((user, password)) => connect.user(user, password),
            None => connect,
        };
        let mut session = Client::connect(broker.address(), &connect).unwrap();
        let publication = Publication { qos: QoS::AtLeastOnce, ..Publication::new("secret/door", "x") };
        assert_eq!(session.publish(&publication).unwrap(), ReasonCode::NotAuthorized, "{client}");
        for (message, more) in [("client connected", ""), ("denied by a rule", by)] {
            let parts = [message, &format!("client_id=\"{client}\""), source, more];
            let found = |line: &str| parts.iter().all(|part| line.contains(part)).then_some(());
            broker.log().wait_for(message, found).unwrap_or_else(|| panic!("{parts:?}"));
        }
    }
}

/// Keys of each type, with tokens of each algorithm that a provider may use.
#[test]
fn public_keys_of_each_type_verify_their_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let signers = [
        ("RS256", TokenSigner::rsa()),
        ("ES256", TokenSigner::p256()),
        ("ES384", TokenSigner::p384()),
        ("EdDSA", TokenSigner::ed25519()),
    ];
    let pem = folder.path().join("keys.pem");
    let text: String = signers.iter().map(|(_, signer)| signer.public_key_pem()).collect();
    std::fs::write(&pem, text).unwrap();
    let broker = with_tokens().variable("LOTMQ_AUTH_JWT_PUBLIC_KEY_FILE", pem.to_str().unwrap()).start();
    for (algorithm, signer) in &signers {
        let token = signer.sign(&json!({"alg": algorithm}), &claims("press-7", &json!({})));
        login(&broker, algorithm, "", &token).unwrap().ping().unwrap();
        let forged = TokenSigner::hmac(signer.public_key_pem())
            .sign(&json!({"alg": "HS256"}), &claims("press-7", &json!({})));
        assert_eq!(refused(&broker, algorithm, "", &forged), ReasonCode::BadUserNameOrPassword);
    }
}

/// A server of one key set over TLS, which a test replaces; `None` is an outage.
struct KeyServer {
    server: HttpServer,
    set: Arc<Mutex<Option<String>>>,
}

impl KeyServer {
    fn new(authority: &Authority) -> Self {
        let set: Arc<Mutex<Option<String>>> = Arc::default();
        let of_thread = Arc::clone(&set);
        let answer = move |_: &_| match &*of_thread.lock().unwrap() {
            Some(set) => Answer::of(200, set),
            None => Answer::of(503, ""),
        };
        let tls = authority.server("keys").server_config();
        Self { server: HttpServer::start_at(free_address(), Some(tls), answer), set }
    }

    fn show(&self, signers: &[(&str, &TokenSigner)]) {
        let keys: Vec<_> = signers.iter().map(|(kid, signer)| signer.jwk(kid)).collect();
        *self.set.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    fn breaks_down(&self) {
        *self.set.lock().unwrap() = None;
    }

    fn options(&self, authority: &Path) -> BrokerOptions {
        let address = format!("https://localhost:{}/jwks", self.server.address.port());
        with_tokens()
            .variable("LOTMQ_AUTH_JWT_JWKS_URL", &address)
            .variable("LOTMQ_AUTH_JWT_JWKS_CA", authority.to_str().unwrap())
            .variable("LOTMQ_AUTH_JWT_JWKS_UNKNOWN_KID_SEC", "1")
    }
}

fn signed(signer: &TokenSigner, algorithm: &str, kid: &str) -> String {
    signer.sign(&json!({"alg": algorithm, "kid": kid}), &claims("press-7", &json!({})))
}

#[test]
fn keys_of_a_server_are_rotated_and_outlive_its_outage() {
    let (authority, one, two) = (Authority::new(), TokenSigner::rsa(), TokenSigner::p256());
    let keys = KeyServer::new(&authority);
    // The provider starts after the broker, as after a power cut.
    let broker = keys.options(&authority.file()).variable("LOTMQ_AUTH_JWT_KEYS_OUTAGE_SEC", "3").start();
    let first = signed(&one, "RS256", "1");
    assert_eq!(refused(&broker, "c", "", &first), ReasonCode::ServerUnavailable);
    keys.show(&[("1", &one)]);
    eventually("the first key", || login(&broker, "c", "", &first).ok());

    keys.show(&[("2", &two)]);
    let second = signed(&two, "ES256", "2");
    assert_eq!(refused(&broker, "c", "", &second), ReasonCode::ServerUnavailable, "it fetches");
    eventually("the second key", || login(&broker, "c", "", &second).ok());
    assert!(login(&broker, "c", "", &first).is_err(), "the first key was taken away");

    keys.breaks_down();
    let unknown = signed(&two, "ES256", "3");
    assert_eq!(refused(&broker, "d", "", &unknown), ReasonCode::ServerUnavailable);
    login(&broker, "c", "", &second).unwrap().ping().unwrap();
    eventually("the end of the keys", || login(&broker, "c", "", &second).is_err().then_some(()));
    broker.command_ok("-addUser ann a-password");
    login(&broker, "ann", "ann", "a-password").unwrap().ping().unwrap();
    keys.show(&[("2", &two)]);
    eventually("the keys again", || login(&broker, "c", "", &second).ok());
}

#[test]
fn keys_of_an_untrusted_server_are_not_used() {
    let (authority, one) = (Authority::new(), TokenSigner::p256());
    let keys = KeyServer::new(&authority);
    keys.show(&[("1", &one)]);
    let broker = keys.options(&Authority::new().file()).start();
    broker.log().expect("there are no keys of tokens from this source");
    assert_eq!(refused(&broker, "c", "", &signed(&one, "ES256", "1")), ReasonCode::ServerUnavailable);
}

/// mosquitto#588: a file that could not be read again let everybody in.
#[test]
fn reload_that_fails_stays_closed() {
    let (broker, folder) = with_secret(&[("LOTMQ_AUTH_JWT_KEYS_OUTAGE_SEC", "0")]);
    let path = folder.path().join("secret");
    login(&broker, "c", "", &token("press-7", &json!({}))).unwrap().ping().unwrap();
    std::fs::write(&path, "short").unwrap();
    broker.log().expect("has a secret of 5 bytes");
    for secret in ["short", SECRET] {
        let token = TokenSigner::hmac(secret).sign(&json!({"alg": "HS256"}), &claims("press-7", &json!({})));
        assert_eq!(refused(&broker, "c", "", &token), ReasonCode::ServerUnavailable);
    }
    std::fs::remove_file(&path).unwrap();
    broker.log().expect("cannot be read");
    assert_eq!(refused(&broker, "c", "", &token("press-7", &json!({}))), ReasonCode::ServerUnavailable);
    std::fs::write(&path, SECRET).unwrap();
    eventually("the secret again", || login(&broker, "c", "", &token("press-7", &json!({}))).ok());
}

#[test]
fn start_without_usable_keys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, TokenSigner::p256().public_key_pem()).unwrap();
    let failed = with_tokens().variable("LOTMQ_AUTH_JWT_SECRET_FILE", path.to_str().unwrap()).fail();
    assert!(failed.stderr.contains("which is no secret for HMAC"), "{}", failed.stderr);
    let failed = with_tokens().fail();
    let told = "lists `jwt` (environment LOTMQ_AUTH_MODULES), which is no login module";
    assert!(failed.stderr.contains(told), "{}", failed.stderr);
}

/// mosquitto-jwt-auth#20: a client shows a certificate, and its token says who it is.
#[test]
fn token_and_certificate_are_demanded_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, SECRET).unwrap();
    let authority = Authority::new();
    let own = authority.server("broker");
    let broker = with_tokens()
        .variable("LOTMQ_AUTH_JWT_SECRET_FILE", path.to_str().unwrap())
        .variable("LOTMQ_TLS_CERTIFICATE", own.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", own.key.to_str().unwrap())
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required")
        .variable("LOTMQ_AUTH_ANONYMOUS", "false")
        .start();
    let shown = authority.client("device-1");
    let with_certificate = lotmq_client::TlsOptions {
        certificate: Some(shown.certificate),
        key: Some(shown.key),
        ..authority.trusted()
    };
    let context = lotmq_client::TlsContext::new(&with_certificate).unwrap();
    let connect = |context: &lotmq_client::TlsContext, options: &ConnectOptions| {
        let endpoint = lotmq_client::Endpoint::tcp("127.0.0.1", broker.port_of("mqtts")).tls(context);
        Client::connect_at(&endpoint, options)
    };
    let with_token = ConnectOptions::v5("both").user("jwt", token("press-7", &json!({})));
    let mut client = connect(&context, &with_token).unwrap();
    client.ping().unwrap();
    assert!(user_of(&broker, "both").unwrap().contains("press-7"));
    connect(&context, &ConnectOptions::v5("certificate alone")).unwrap_err();
    connect(&authority.context(), &with_token).unwrap_err();
}

/// The session of a user without an account is there after a restart, and is that user's.
#[test]
fn session_of_a_token_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, SECRET).unwrap();
    let mut broker = with_tokens().variable("LOTMQ_AUTH_JWT_SECRET_FILE", path.to_str().unwrap()).start();
    let connect = |broker: &Broker, user: &str| {
        let options = ConnectOptions::v5("c").user("", token(user, &json!({})));
        let options = options.session_expiry(3_600).clean_start(false);
        Client::connect(broker.address(), &options)
    };
    let mut client = connect(&broker, "press-7").unwrap();
    assert_eq!(client.subscribe_to("t", QoS::AtLeastOnce).unwrap(), ReasonCode::GrantedQos1);
    client.disconnect().unwrap();
    let kept = Publication { qos: QoS::AtLeastOnce, ..Publication::new("t", "kept") };
    broker.root("p").publish(&kept).unwrap();
    broker.stop();
    broker.start_again();
    let other = connect(&broker, "press-8").unwrap();
    assert!(!other.session_present(), "the session is another user's");
    other.disconnect().unwrap();
    let mut client = connect(&broker, "press-7").unwrap();
    assert!(client.session_present());
    let received = client.receive(WAIT_MAX).unwrap().expect("the message waits");
    assert_eq!(&received.payload[..], b"kept");
}
