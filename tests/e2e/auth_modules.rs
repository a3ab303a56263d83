//! Modules of world `auth`: checked, tried and kept; `login_guests` has those that logins ask.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_client::{ConnectOptions, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::{Broker, Reply, WAIT_MAX};
use serde_json::{Value, json};

use crate::modules::scale;
use crate::options;

/// The guest with a table of users.
const TABLE: &[u8] = include_bytes!("../../sdk/examples/auth-table/prebuilt/auth-table.wasm");

fn add(options: &str) -> String {
    format!("-addModule table -world auth {options} wasm64:{}", BASE64_STANDARD.encode(TABLE))
}

fn warnings(reply: &Reply) -> String {
    reply.0["warnings"].to_string()
}

fn says_that_nobody_asks(reply: &Reply) {
    let told = warnings(reply);
    assert!(
        told.contains("NOT_ASKED_YET") && told.contains("auth.modules of the configuration does not list it"),
        "{told}"
    );
}

fn version(broker: &Broker) -> String {
    let info = broker.command_ok("-moduleInfo table");
    says_that_nobody_asks(&info);
    info.data()["version"].as_str().unwrap().to_owned()
}

#[test]
fn a_module_for_logins_is_kept_replaced_rolled_back_and_downloaded() {
    let mut broker = options().start();
    let added = broker.command_ok(&add(
        "-version 1 -net ldap.example:636 -grant secret-read:BIND -grant state -config {\"users\":{}}",
    ));
    says_that_nobody_asks(&added);
    assert_eq!((&added.data()["world"], &added.data()["state"]), (&json!("auth"), &json!("enabled")));
    let granted = json!(["secret-read:BIND", "endpoint:ldap.example:636", "state"]);
    assert_eq!(added.data()["granted"], granted);
    assert_eq!(version(&broker), "1");
    let replaced = broker.command_ok(&add("-replace -version 2 -on a/# -topics b/#"));
    says_that_nobody_asks(&replaced);
    let told = warnings(&replaced);
    assert!(told.contains("-on means nothing") && told.contains("-topics means nothing"), "{told}");
    assert_eq!(replaced.data()["granted"], json!([]), "nothing that nobody has named");
    assert_eq!(replaced.data()["changes"]["granted"]["removed"], granted);
    assert_eq!(version(&broker), "2");
    // If logins ever ask the module, they will do so by name. For now, a login is decided without
    // it.
    assert!(broker.client("anybody").ping().is_ok());
    broker.kill();
    broker.start_again();
    assert_eq!(version(&broker), "2");
    says_that_nobody_asks(&broker.command_ok("-rollbackModule table"));
    assert_eq!(version(&broker), "1");
    assert_eq!(broker.command_ok("-disableModule table").data()["state"], "disabled");
    assert_eq!(broker.command_ok("-enableModule table").data()["state"], "enabled");
    assert_eq!(broker.command_ok("-listModules").data()[0]["world"], "auth");
    let bytes = broker.command_ok("-moduleInfo table").data()["bytes"].as_u64();
    assert_eq!(bytes, Some(TABLE.len() as u64));
    broker.command_ok("-removeModule table");
    assert_eq!(broker.command("-moduleInfo table").code(), "MODULE_NOT_FOUND");
}

#[test]
fn unsuitable_login_module_is_rejected() {
    let broker = options().start();
    let scale = scale();
    let hollow = b"\0asm\x0d\0\x01\0";
    for (command, code, part) in [
        (add("-grant read:a"), "GRANT_INVALID", "'read:a' means nothing for a module of world 'auth'"),
        (add("-grant file-read:x"), "GRANT_INVALID", "means nothing"),
        (add("-grant action:A"), "GRANT_INVALID", "means nothing"),
        (add("-memory 65"), "ARGUMENT_INVALID", "-memory takes a number from 1 to 64"),
        (add("-time 1001"), "ARGUMENT_INVALID", "-time takes a number from 1 to 1000"),
        (add("-net here"), "GRANT_INVALID", "it is not host:port"),
        (format!("-addModule m -world auth wasm64:{scale}"), "WORLD_MISMATCH", "does not fit world 'auth'"),
        (
            format!("-addModule m -world auth wasm64:{}", BASE64_STANDARD.encode(hollow)),
            "WORLD_MISMATCH",
            "export 'lotmq:guest/auth-handler",
        ),
        // It is tried: with so little memory it does not start.
        (
            format!("-addModule m -world auth -memory 1 wasm64:{}", BASE64_STANDARD.encode(TABLE)),
            "COMPILE_FAILED",
            "does not start",
        ),
    ] {
        let reply = broker.command(&command);
        assert_eq!(reply.code(), code, "{reply:?}");
        assert!(reply.message().contains(part), "{reply:?}");
    }
    // Only root, or a user with a signature, installs a module that decides over others.
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let reply = broker.command_as(("ann", "pw"), &add(""));
    assert_eq!(reply.code(), "PERMISSION_DENIED", "{reply:?}");
}

#[test]
fn the_bytes_of_a_module_for_logins_come_back_as_they_were_uploaded() {
    let broker = options().start();
    let added = broker.command_ok(&add(""));
    for (packet, are_pieces) in [(None, false), (Some(20_000), true)] {
        let options = ConnectOptions::v5("asker").user("root", "coreflux");
        let options = match packet {
            Some(bytes) => options.property(PropertyId::MaximumPacketSize, PropertyValue::FourByte(bytes)),
            None => options,
        };
        let mut asker = broker.connect(&options);
        for topic in ["$SYS/Coreflux/Command/Output", "$SYS/Coreflux/Modules/+/download/#"] {
            asker.subscribe_to(topic, QoS::AtLeastOnce).unwrap();
        }
        let command = Publication::new("$SYS/Coreflux/Command", "-getModule table");
        asker.publish(&command.qos(QoS::AtLeastOnce)).unwrap();
        let mut came = Vec::new();
        let reply: Value = loop {
            let message = asker.receive(WAIT_MAX).unwrap().expect("a message");
            if message.topic.ends_with("/Output") {
                break serde_json::from_str(&message.text()).unwrap();
            }
            came.extend_from_slice(&message.payload);
        };
        assert_eq!(came, TABLE, "{packet:?}");
        let data = &reply["data"];
        assert_eq!(
            (&data["sha256"], data["bytes"].as_u64()),
            (&added.data()["sha256"], Some(TABLE.len() as u64))
        );
        assert_eq!(data["chunks"].as_u64().unwrap() > 1, are_pieces, "{data}");
    }
}
