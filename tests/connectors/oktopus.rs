//! Oktopus with lotmq in place of its broker: devices that connect as obuspa does, a controller
//! that does what its mqtt-adapter does, and a NATS server with the bucket of passwords.
//!
//! `LOTMQ_OKTOPUS_CYCLES` is the number of cycles of the long test, by default 20.

mod container;
mod parties;

use std::net::TcpStream;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_client::{Client, ClientError, ConnectOptions, Connection, Publication, QoS, ReasonCode, Will};
use lotmq_codec::{ProtocolVersion, ServerPacket};
use lotmq_test_support::{Authority, Broker, BrokerOptions, WAIT_MAX, eventually};
use serde_json::json;

use crate::nats::{Server, programs};
use parties::{Adapter, Agent, agent_options, stated};

/// The guest, as operators upload it.
const OKTOPUS: &[u8] = include_bytes!("../../guests/auth-oktopus/prebuilt/auth-oktopus.wasm");

/// Password of each device, and of the controller.
const PASSWORD: &str = "p4ss";

/// Options of a broker whose logins ask the guest.
fn options() -> BrokerOptions {
    crate::options()
        .variable("LOTMQ_AUTH_MODULES", "oktopus,builtin")
        .variable("LOTMQ_AUTH_BAN_CONNECTS_PER_MIN", "0")
}

/// A broker with the guest, beside a NATS server.
struct Stage {
    nats: Server,
    broker: Broker,
}

impl Stage {
    /// `None` where NATS is not installed. `more` are members of the guest's configuration.
    fn set(more: &serde_json::Value) -> Option<Stage> {
        Some(Stage::with(Server::start("")?, more))
    }

    fn with(nats: Server, more: &serde_json::Value) -> Stage {
        let stage = Stage { nats, broker: options().start() };
        stage.install(more);
        stage
    }

    fn install(&self, more: &serde_json::Value) {
        let port = self.nats.port();
        let mut config = json!({
            "auth": true, "retry_seconds": 1,
            "endpoints": {"nats": {"HOST": "127.0.0.1", "PORT": port}},
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let guest = BASE64_STANDARD.encode(OKTOPUS);
        self.broker.command_ok(&format!(
            "-addModule oktopus -world auth -replace -net 127.0.0.1:{port} -grant write:oktopus/usp/v1/status/+ \
             -config {config} wasm64:{guest}"
        ));
    }

    /// Sets passwords, and waits until the controller is in. The guest has read all keys then.
    fn adapter(&self, users: &[&str]) -> Adapter {
        put_passwords(&self.nats, users);
        Adapter::connect(self.broker.address())
    }
}

/// Sets the passwords of devices, and of the controller, in the bucket that the guest makes.
fn put_passwords(nats: &Server, users: &[&str]) {
    eventually("there is a bucket", || {
        let info = nats.client().ask("$JS.API.STREAM.INFO.KV_devices-auth", "");
        info["error"].is_null().then_some(())
    });
    for key in users.iter().chain(&["oktopusController"]) {
        let stored = nats.client().ask(&format!("$KV.devices-auth.{key}"), PASSWORD);
        assert!(stored["error"].is_null(), "{stored}");
    }
}

#[test]
fn no_request_is_lost_and_no_status_is_wrong_whatever_is_killed() {
    let cycles = std::env::var("LOTMQ_OKTOPUS_CYCLES").ok().and_then(|text| text.parse().ok());
    for nats in programs().into_iter().filter_map(|name| Server::start_program(name, "")) {
        run_cycles(Stage::with(nats, &json!({})), cycles.unwrap_or(20));
    }
}

fn run_cycles(mut stage: Stage, cycles: usize) {
    let id = "oktopus-0-mqtt";
    let mut adapter = stage.adapter(&[id]);
    let mut agent = Agent::connect(stage.broker.address(), id, "agent-0");
    adapter.expect_status(id, "1");
    for cycle in 0..cycles {
        adapter.request(&mut agent, &format!("onboarding {cycle}"));
        match cycle % 10 {
            // The broker. No status `0` follows a crash.
            4 => {
                stage.broker.kill();
                stage.broker.start_again();
                adapter = Adapter::connect(stage.broker.address());
                agent = Agent::connect(stage.broker.address(), id, "agent-0");
            }
            // NATS. Connected clients stay, and work on.
            9 => {
                stage.nats.kill();
                let other = agent_options(id, "other", PASSWORD);
                eventually("the guest notices it", || {
                    match Client::connect(stage.broker.address(), &other) {
                        Err(ClientError::Refused { reason, .. }) => {
                            (reason == ReasonCode::ServerUnavailable).then_some(())
                        }
                        Ok(_) | Err(_) => None,
                    }
                });
                adapter.request(&mut agent, "while NATS is away");
                stage.nats.start_again();
                let next = Agent::connect(stage.broker.address(), id, "agent-0");
                adapter.expect_status(id, "0");
                agent = next;
            }
            // The device, by a new connection of the same client.
            2 | 7 => {
                let next = Agent::connect(stage.broker.address(), id, "agent-0");
                adapter.expect_status(id, "0");
                agent = next;
            }
            1 | 6 => {
                agent.client.disconnect().unwrap();
                adapter.expect_status(id, "0");
                agent = Agent::connect(stage.broker.address(), id, "agent-0");
            }
            _ => {
                agent.client.abort();
                adapter.expect_status(id, "0");
                agent = Agent::connect(stage.broker.address(), id, "agent-0");
            }
        }
        adapter.expect_status(id, "1");
        adapter.request(&mut agent, &format!("request {cycle}"));
        adapter.expect_nothing();
    }
}

#[test]
fn device_reaches_its_own_topics_and_a_denial_keeps_its_connection() {
    let Some(stage) = Stage::set(&json!({})) else { return };
    let ids = ["d1", "d2"];
    let mut adapter = stage.adapter(&ids);
    let mut agent = Agent::connect(stage.broker.address(), "d1", "d1");
    adapter.expect_status("d1", "1");
    let mut other = agent_options("d2", "d2", PASSWORD);
    other.version = ProtocolVersion::V3_1_1;
    other.properties = Default::default();
    let mut other = stage.broker.connect(&other);
    let publish = |client: &mut Client, topic: &str| {
        client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap()
    };
    for (topic, expected) in [
        ("oktopus/usp/v1/controller", ReasonCode::NoMatchingSubscribers),
        ("oktopus/usp/v1/controller/d1", ReasonCode::Success),
        ("oktopus/usp/v1/api/d1", ReasonCode::Success),
        ("oktopus/usp/v1/controller/d2", ReasonCode::NotAuthorized),
        ("oktopus/usp/v1/api/d2", ReasonCode::NotAuthorized),
        ("oktopus/usp/v1/status/d1", ReasonCode::NotAuthorized),
        ("oktopus/usp/v1/agent/d2", ReasonCode::NotAuthorized),
        ("$SYS/Coreflux/Command", ReasonCode::NotAuthorized),
    ] {
        assert_eq!(publish(&mut agent.client, topic), expected, "{topic}");
    }
    for filter in ["oktopus/usp/v1/agent/d2", "oktopus/usp/v1/agent/+", "#", "oktopus/usp/v1/controller"] {
        let code = agent.client.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
        assert_eq!(code, ReasonCode::NotAuthorized, "{filter}");
    }
    // MQTT 3.1.1 has no code for a denied message: it is acknowledged and dropped.
    let reply_to = "oktopus/usp/v1/controller/d2/reply-to=oktopus%2Fusp%2Fv1%2Fagent%2Fd2";
    publish(&mut other, "oktopus/usp/v1/controller/d1");
    publish(&mut other, "oktopus/usp/v1/controller/d2");
    publish(&mut other, reply_to);
    other.subscribe_to("oktopus/usp/v1/agent/d2/#", QoS::AtLeastOnce).unwrap();
    adapter.expect_status("d2", "1");
    let topics: Vec<String> = adapter.answers().into_iter().map(|message| message.topic).collect();
    let own = ["oktopus/usp/v1/controller/d1", "oktopus/usp/v1/api/d1", "oktopus/usp/v1/controller/d2"];
    assert_eq!(topics, own, "the filters of the controller have one level behind the identifier's");
    other.ping().unwrap();
    agent.client.ping().unwrap();
}

#[test]
fn each_connack_has_the_topic_of_the_device_also_one_that_refuses() {
    let Some(stage) = Stage::set(&json!({})) else { return };
    let _adapter = stage.adapter(&["d1"]);
    for (user, id, password, expected) in [
        ("d1", "d1", "wrong", ReasonCode::BadUserNameOrPassword),
        ("d2", "d2", PASSWORD, ReasonCode::BadUserNameOrPassword),
        ("d1", "d2", PASSWORD, ReasonCode::NotAuthorized),
        ("d1", "d1", PASSWORD, ReasonCode::Success),
    ] {
        let options = stated(agent_options(user, "c", password), id);
        let mut packet = Vec::new();
        options.encode(&mut packet).unwrap();
        let mut connection = Connection::open(stage.broker.address(), ProtocolVersion::V5, WAIT_MAX).unwrap();
        connection.send(&packet).unwrap();
        let answer = connection.receive(WAIT_MAX).unwrap().expect("an answer");
        let ServerPacket::Connack(connack) = answer.decode().unwrap() else { panic!("no CONNACK") };
        assert_eq!(connack.reason, expected, "{user} {id}");
        let properties: Vec<_> = connack.properties.user_properties().collect();
        assert_eq!(properties, [("subscribe-topic", &*format!("oktopus/usp/v1/agent/{id}"))]);
    }
}

#[test]
fn large_messages_and_unusual_names_pass() {
    let Some(stage) = Stage::set(&json!({})) else { return };
    let id = "os::00D09E-a.b_c%41";
    let mut adapter = stage.adapter(&["os=3A=3A00D09E-a=2Eb_c=2541"]);
    let client_id = format!("{id}-{}", "x".repeat(64));
    let mut agent = Agent::connect(stage.broker.address(), id, &client_id);
    adapter.expect_status(id, "1");
    adapter.request(&mut agent, "hello");
    adapter.request(&mut agent, &"x".repeat(5 * 1024 * 1024));
    // A device keeps its own Will.
    let will = format!("oktopus/usp/v1/api/{id}");
    let options = agent_options(id, "with a Will", PASSWORD).will(Will::new(&*will, "gone"));
    stage.broker.connect(&options).abort();
    let message = adapter.answer();
    assert_eq!((message.topic, message.payload), (will, b"gone".to_vec()));
    // Checks of the round trip open a connection and send nothing.
    for _ in 0..300 {
        drop(TcpStream::connect(stage.broker.address()).unwrap());
    }
    adapter.request(&mut agent, "still there");
    assert_eq!(stage.broker.command_ok("-listBans").data()["total"], json!(0));
}

#[test]
fn guest_reaches_nats_over_tls_with_a_certificate_of_its_own() {
    let authority = Authority::new();
    let (server, client) = (authority.server("localhost"), authority.client("lotmq"));
    let file = |path: &std::path::Path| path.display().to_string();
    let tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}",
        file(&server.certificate),
        file(&server.key),
        file(&authority.file()),
    );
    let Some(nats) = Server::start(&tls) else { return };
    let root = file(authority.file().parent().unwrap());
    let options = options().variable("LOTMQ_ROUTES_FILE_ROOTS", &root);
    let stage = Stage { broker: options.start(), nats };
    let place = |more: serde_json::Value| {
        let mut place = json!({
            "HOST": "127.0.0.1", "PORT": stage.nats.port(), "TLS_SERVER_NAME": "localhost", "USE_STARTTLS": true,
            "SERVER_CA_CERT_PATH": file(&authority.file()),
        });
        place.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"endpoints": {"nats": place}})
    };
    let certificate =
        json!({"CLIENT_CERT_PATH": file(&client.certificate), "CLIENT_KEY_PATH": file(&client.key)});
    for (more, expected) in
        [(json!({}), ReasonCode::ServerUnavailable), (certificate, ReasonCode::BadUserNameOrPassword)]
    {
        stage.install(&place(more));
        // A bucket without the key is a bucket that was read.
        eventually("the guest gives this answer", || {
            match Client::connect(stage.broker.address(), &agent_options("d1", "d1", PASSWORD)) {
                Err(ClientError::Refused { reason, .. }) => (reason == expected).then_some(()),
                Ok(_) | Err(_) => None,
            }
        });
    }
}

#[test]
fn device_whose_key_is_deleted_or_changed_loses_its_connection_and_its_session() {
    // A purge leaves no marker: the guest finds it when it reads the bucket again.
    let Some(stage) = Stage::set(&json!({"reread_seconds": 1})) else { return };
    let mut adapter = stage.adapter(&["d1", "d2", "d3"]);
    let mut agents: Vec<Agent> =
        ["d1", "d2", "d3"].map(|id| Agent::connect(stage.broker.address(), id, id)).into();
    ["d1", "d2", "d3"].into_iter().for_each(|id| adapter.expect_status(id, "1"));
    let mut nats = stage.nats.client();
    nats.ask("$JS.API.STREAM.PURGE.KV_devices-auth", r#"{"filter":"$KV.devices-auth.d1"}"#);
    let stored = nats.ask("$KV.devices-auth.d2", "other");
    assert!(stored["error"].is_null(), "{stored}");
    for agent in &mut agents[..2] {
        let end = eventually("the connection ends", || agent.client.ping().err());
        assert!(matches!(end, ClientError::Disconnected { reason: ReasonCode::NotAuthorized, .. }), "{end}");
    }
    agents[2].client.ping().unwrap();
}

#[test]
fn device_without_checks_may_log_in_and_has_a_status() {
    let Some(stage) = Stage::set(&json!({"auth": false})) else { return };
    let mut adapter = Adapter::connect(stage.broker.address());
    let mut agent = Agent::open(stage.broker.address(), &stated(ConnectOptions::v5(""), "os::1"), "os::1");
    adapter.expect_status("os::1", "1");
    adapter.request(&mut agent, "hello");
    agent.client.abort();
    adapter.expect_status("os::1", "0");
}
