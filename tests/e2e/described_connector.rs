//! A connector of a third party that describes itself in `route.toml`: its folder,
//! `tests/guests/route-graphite`, is all that there is of it.

use std::io::{BufRead as _, BufReader, Lines};
use std::net::{TcpListener, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Publication, QoS};
use lotmq_test_support::Broker;
use serde_json::{Value, json};

use crate::options;

/// The component of the connector.
const COMPONENT: &[u8] = include_bytes!("../guests/route-graphite/prebuilt/route-graphite.wasm");

/// Its description.
const DESCRIPTION: &str = include_str!("../guests/route-graphite/route.toml");

/// Returns the component with a description, as `lotmq guest build` makes it.
fn described(description: &str) -> String {
    const NAME: &[u8] = b"lotmq:route";
    let length = |mut length: usize| {
        let mut bytes = Vec::new();
        while length >= 0x80 {
            bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).unwrap());
        bytes
    };
    let name = [&length(NAME.len())[..], NAME].concat();
    let section = [&[0], &length(name.len() + description.len())[..], &name, description.as_bytes()].concat();
    STANDARD.encode([COMPONENT, &section].concat())
}

/// The component with its own description.
fn graphite() -> String {
    let description: Value = toml::from_str(DESCRIPTION).unwrap();
    described(&description.to_string())
}

/// A broker with the connector, as module `graphite`.
fn broker() -> Broker {
    let broker = options()
        .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true")
        .variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
        .start();
    broker.command_ok(&format!("-addModule graphite -world route -grantAll wasm64:{}", graphite()));
    broker
}

/// A program with these lines in its section and in its event.
fn program(section: &[&str], event: &[&str]) -> String {
    let lines =
        |lines: &[&str]| lines.iter().map(|line| format!("        WITH {line}\n")).collect::<String>();
    format!(
        "-addRoute DEFINE ROUTE Metrics WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"graphite\"\n    ADD GRAPHITE_CONFIG\n{}    ADD EVENT Save\n        WITH SOURCE_TOPIC \"plant/+/temperature\"\n{}",
        lines(section),
        lines(event)
    )
}

/// Lines that the connector sends on its next connection.
fn connection(server: &TcpListener) -> Lines<BufReader<TcpStream>> {
    BufReader::new(server.accept().unwrap().0).lines()
}

/// Publishes a value of a line of the plant; returns the metric that the server gets.
fn metric(broker: &Broker, lines: &mut Lines<BufReader<TcpStream>>, line: &str, value: &str) -> String {
    let message = Publication::new(format!("plant/{line}/temperature"), format!("{{\"t\":{value}}}"));
    broker.root("sender").publish(&message.qos(QoS::AtLeastOnce)).unwrap();
    let line = lines.next().unwrap().unwrap();
    let (metric, seconds) = line.rsplit_once(' ').unwrap();
    assert!(seconds.parse::<u64>().unwrap() > 1_700_000_000, "{line}");
    metric.to_owned()
}

#[test]
fn connector_with_a_description_delivers_before_and_after_a_restart() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut broker = broker();
    let port = format!("PORT {}", server.local_addr().unwrap().port());
    // The description has another name for the port, and the default of PREFIX.
    broker.command_ok(&program(
        &["CARBON_HOST \"127.0.0.1\"", &port],
        &["PATH \"{topic.2}.temperature\"", "VALUE \"{payload.json.t}\"", "ROUND 1"],
    ));
    let mut before = connection(&server);
    assert_eq!(metric(&broker, &mut before, "press", "21.54"), "lotmq.press.temperature 21.5");
    broker.stop();
    broker.start_again();
    let mut after = connection(&server);
    assert_eq!(metric(&broker, &mut after, "oven", "180"), "lotmq.oven.temperature 180.0");
}

#[test]
fn route_is_checked_by_the_description_as_one_of_our_types() {
    let broker = broker();
    let (host, path) = ("HOST \"127.0.0.1\"", "PATH \"a\"");
    for (section, event, expected) in [
        (&[][..], &[path][..], "GRAPHITE_CONFIG needs CARBON_HOST"),
        (&[host], &[], "event Save needs PATH"),
        (&[host], &[path, "ROUND 10"], "ROUND is a whole number from 0 to 9, not `10`"),
        (
            &["CARBON_HOST \"127.0.0.1:2003\""],
            &[path],
            "CARBON_HOST is a host, and its port stands in CARBON_PORT",
        ),
        (&[host, "PORT 0"], &[path], "CARBON_PORT is a whole number from 1 to 65535"),
        (&[host, "ENCRYPT TRUE"], &[path], "Unknown setting 'ENCRYPT' in GRAPHITE_CONFIG"),
        (&[host], &["PATH \"{topic.0}\""], "PATH \\\"{topic.0}\\\""),
    ] {
        let reply = broker.command(&program(section, event));
        assert!(!reply.success() && reply.0.to_string().contains(expected), "{expected}: {reply:?}");
    }
    // The schema refuses them, and the reply names the place of each.
    for (section, event, expected) in [
        (&[host, "PREFX \"x\""][..], &[path][..], "did you mean PREFIX?"),
        (&[host], &[path, "RUOND 1"], "did you mean ROUND?"),
    ] {
        let reply = broker.command(&program(section, event));
        assert!(!reply.success() && reply.0.to_string().contains(expected), "{expected}: {reply:?}");
    }
    let unknown = program(&[host], &[path]).replace("GRAPHITE_CONFIG", "GRAFITE_CONFIG");
    let reply = broker.command(&unknown).0.to_string();
    assert!(reply.contains("a route of type GRAPHITE has no GRAFITE_CONFIG"), "{reply}");
}

#[test]
fn description_makes_the_template_the_schema_and_the_default_port() {
    let broker = broker();
    let listed = broker.command_ok("-listTemplates").data().clone();
    assert!(listed.as_array().unwrap().contains(&json!("GRAPHITE")), "{listed}");
    let template = broker.command_ok("-routeCode graphite").data().as_str().unwrap().to_owned();
    let expected = "DEFINE ROUTE Graphite WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"graphite\"\n    ADD GRAPHITE_CONFIG\n        WITH CARBON_HOST #CARBON_HOST,string,Name or address of the server,,true#\n";
    assert!(template.starts_with(expected), "{template}");
    let help = broker.command_ok("-assetHelp graphite").data().clone();
    assert!(help.as_str().unwrap().contains(expected), "{help}");
    let near = broker.command("-routeCode GRAFITE").0.to_string();
    assert!(near.contains("did you mean GRAPHITE?"), "{near}");
    let schema = broker.command_ok("-assetSchema graphite").data().clone();
    let section = &schema["properties"]["sections"]["properties"]["GRAPHITE_CONFIG"];
    assert_eq!(section["properties"]["CARBON_PORT"]["default"], json!(2003), "{schema}");
    let listed = broker.command_ok("-listAvailable").data().clone();
    let row = listed.as_array().unwrap().iter().find(|row| row["package"] == "graphite").unwrap();
    assert_eq!(row["description"], json!("Graphite and other servers of its plaintext protocol"));
    // The place that the route names needs a grant of the module.
    broker.command_ok(&format!(
        "-addModule graphite -replace -world route -grant endpoint:127.0.0.1:1 wasm64:{}",
        graphite()
    ));
    let reply = broker.command_ok(&program(&["SERVER \"127.0.0.1\""], &["PATH \"a\""])).0.to_string();
    assert!(reply.contains("endpoint:127.0.0.1:2003"), "{reply}");
}

#[test]
fn invalid_description_is_refused_at_upload_with_its_place() {
    let broker = broker();
    let of_type = |members: Value| json!({ "type": [members] }).to_string();
    for (description, expected) in [
        ("{".to_owned(), "route.toml: EOF while parsing"),
        (json!({ "type": [] }).to_string(), "a module has 1 type, not 0"),
        (of_type(json!({ "name": "KAFKA" })), "the name is that of type KAFKA of lotmq"),
        (
            of_type(json!({ "name": "GRAPHITE" })),
            "describes routes of type GRAPHITE, as module 'graphite' does",
        ),
        (
            of_type(
                json!({ "name": "X", "section": [{ "name": "A_CONFIG", "keys": [{ "include": "y" }] }] }),
            ),
            "X: A_CONFIG: there is no list `y` of keys to include",
        ),
        (
            of_type(
                json!({ "name": "X", "section": [{ "name": "A_CONFIG", "keys": [{ "name": "HOST", "default": "h" }] }] }),
            ),
            "X: A_CONFIG: HOST: the broker reads it in the text of the route",
        ),
        (of_type(json!({ "name": "X", "description": "\u{1b}[2J" })), "which it cannot have"),
        (of_type(json!({ "name": "X".repeat(70_000) })), "bytes as JSON, limit 65536"),
    ] {
        let command = format!("-addModule other -world route -grantAll wasm64:{}", described(&description));
        let reply = broker.command(&command);
        let is_refused = reply.code() == "MANIFEST_INVALID" && reply.0.to_string().contains(expected);
        assert!(is_refused, "{expected}: {reply:?}");
    }
    // A module may replace itself, with the same type or another one.
    let replaced = of_type(json!({ "name": "CARBON" }));
    for component in [graphite(), described(&replaced)] {
        broker.command_ok(&format!("-addModule graphite -replace -world route -grantAll wasm64:{component}"));
    }
    let listed = broker.command_ok("-listTemplates").data().to_string();
    assert!(listed.contains("CARBON") && !listed.contains("GRAPHITE"), "{listed}");
}
