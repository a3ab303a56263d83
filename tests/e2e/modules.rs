//! Modules uploaded inline: installed, run, refused, switched, kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};

use crate::broker;

/// The example guest as a core module, which its toolchain makes.
const SCALE: &[u8] = include_bytes!("../../sdk/examples/action-scale/prebuilt/action-scale.wasm");

/// The example guest as a component.
fn scale() -> String {
    let component = wit_component::ComponentEncoder::default().module(SCALE).unwrap().validate(true).encode();
    STANDARD.encode(component.unwrap())
}

fn scaled(broker: &Broker, raw: &str) -> String {
    let mut client = broker.client("");
    client.subscribe_to("scaled/#", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("raw/s1", raw)).unwrap();
    client.receive(WAIT_MAX).unwrap().unwrap().text()
}

#[test]
fn a_rust_guest_runs_survives_a_kill_and_can_be_switched() {
    let mut broker = broker();
    let added = broker.command_ok(&format!(
        "-addModule scale -world action -on raw/# -topics \"raw/#,scaled/#\" -version 1 wasm64:{}",
        scale()
    ));
    assert_eq!(added.message(), "Module 'scale' added successfully!");
    assert_eq!(added.0["entityType"], "Module");
    assert_eq!(added.data()["state"], "enabled");
    assert_eq!(scaled(&broker, "215"), "21.5");
    broker.command_ok("-setEnv SCALE=2");
    assert_eq!(scaled(&broker, "4"), "8", "environment values are read at each run");
    broker.kill();
    broker.start_again();
    assert_eq!(scaled(&broker, "5"), "10");
    let info = broker.command_ok("-moduleInfo scale");
    assert_eq!((info.data()["version"].as_str(), info.data()["traps"].as_u64()), (Some("1"), Some(0)));
    assert_eq!(broker.command_ok("-disableModule scale").data()["state"], "disabled");
    assert_eq!(broker.command_ok("-listModules").data()[0]["state"], "disabled");
    assert_eq!(broker.command_ok("-enableModule scale").data()["state"], "enabled");
    assert_eq!(scaled(&broker, "5"), "10");
    assert_eq!(broker.command_ok("-removeModule scale").message(), "Module 'scale' removed successfully!");
    assert_eq!(broker.command("-moduleInfo scale").code(), "MODULE_NOT_FOUND");
}

#[test]
fn what_does_not_fit_is_refused_with_its_code() {
    let broker = broker();
    let good = scale();
    let core = STANDARD.encode(SCALE);
    broker.command_ok(&format!("-addModule there -world action wasm64:{good}"));
    for (arguments, code, message) in [
        (format!("Bad -world action wasm64:{good}"), "MODULE_NAME_INVALID", "Module name 'Bad' is invalid."),
        (
            format!("there -world action wasm64:{good}"),
            "MODULE_EXISTS",
            "Module 'there' already exists. Use -replace.",
        ),
        (format!("m wasm64:{good}"), "MISSING_ARGUMENT", "Missing argument: -world."),
        ("m -world action".to_owned(), "MISSING_ARGUMENT", "Missing argument: wasm64:<base64>."),
        (format!("m -world model wasm64:{good}"), "WORLD_UNKNOWN", "Use action."),
        (format!("m -world plugin wasm64:{good}"), "WORLD_UNKNOWN", "World 'plugin' is unknown."),
        ("m -world action wasm64:%%%".to_owned(), "BASE64_INVALID", "wasm64 argument is not valid base64."),
        (
            format!("m -world action wasm64:{core}"),
            "NOT_A_COMPONENT",
            "The binary is a core module, a component is required.",
        ),
        (format!("m -world action -sha256 00 wasm64:{good}"), "HASH_MISMATCH", "Expected sha256 00, got "),
        (format!("m -world action -memory 9999 wasm64:{good}"), "ARGUMENT_INVALID", "from 1 to 64"),
        (
            format!("m -world action -topics a/#/b wasm64:{good}"),
            "FILTER_INVALID",
            "'a/#/b' is not a topic filter.",
        ),
        (format!("m -world action -speed 9 wasm64:{good}"), "ARGUMENT_INVALID", "Unknown option '-speed'."),
        ("m -world action -size 10 -sha256 00".to_owned(), "NOT_AVAILABLE", "in parts is not available yet"),
    ] {
        let reply = broker.command(&format!("-addModule {arguments}"));
        assert_eq!(reply.code(), code, "{reply:?}");
        assert!(reply.message().contains(message), "{reply:?}");
    }
    broker.command_ok(&format!("-addModule there -world action -replace wasm64:{good}"));
    for verb in ["removeModule", "moduleInfo", "enableModule", "disableModule"] {
        let reply = broker.command(&format!("-{verb} nope"));
        assert_eq!((reply.code(), reply.message()), ("MODULE_NOT_FOUND", "Module 'nope' not found."));
    }
}
