//! Serial ports of modules of world `route`: those that their route names, as far as they were
//! granted and the operator allows.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::QoS;
use serial2::SerialPort;

use crate::module_routes::Standing;
use crate::{next, options, send};

/// A guest that has a command for each message: what to do with its serial port.
const SERIAL: &[u8] = include_bytes!("../../tests/guests/route-serial/prebuilt/route-serial.wasm");

fn module(options: &str) -> String {
    format!("-addModule serial -world route {options} wasm64:{}", STANDARD.encode(SERIAL))
}

/// A route of the module with the serial port `line`.
fn route(device: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"serial\"\n    ADD LINE_CONFIG\n        WITH COM_PORT \"{device}\"\n        WITH BAUD_RATE 19200\n    \
         ADD EVENT Do\n        WITH SOURCE_TOPIC \"do/#\"\n        WITH DESTINATION_TOPIC \"serial/said\"\n"
    )
}

/// A pseudo-terminal, and the path by which its other end is opened.
fn terminal() -> (SerialPort, SerialPort, String) {
    let (mut far, port) = SerialPort::pair().unwrap();
    far.set_read_timeout(Duration::from_secs(10)).unwrap();
    let device = fs::read_link(format!("/proc/self/fd/{}", port.as_raw_fd())).unwrap();
    (far, port, device.display().to_string())
}

#[test]
fn a_module_opens_the_serial_port_of_its_route_that_it_was_granted() {
    let (far, _port, device) = terminal();
    let broker = options()
        .variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
        .variable("LOTMQ_ROUTES_SERIAL_PORTS", "/dev/pts/*")
        .start();
    broker.command_ok(&route(&device));
    let mut standing = Standing::of(&broker);
    let added = broker.command_ok(&module("-grantAll"));
    let asked = "serial:/dev/ttyUSB0";
    assert!(added.data()["asked"].as_array().unwrap().iter().any(|it| it == asked), "{added:?}");
    assert!(added.data()["granted"].as_array().unwrap().iter().any(|it| it == asked), "{added:?}");
    standing.says(&format!("LINE_CONFIG: module 'serial' was not granted serial:{device}"));
    broker.command_ok(&module(&format!("-replace -grantAll -grant serial:{device}")));
    let mut client = broker.client("hearer");
    client.subscribe_to("serial/said", QoS::AtLeastOnce).unwrap();
    let mut hears = |command: &str, expected: &str| {
        send(&broker, "do/it", command);
        assert_eq!(next(&mut client), format!("serial/said={expected}"), "{command}");
    };
    hears("open other", "SerialError::Denied(\"there is no serial port 'other'\")");
    hears("open line", "done");
    far.write_all(b"21.5 kg\r\n").unwrap();
    hears("ask S", "21.5 kg");
    let mut question = [0; 2];
    far.read_exact(&mut question).unwrap();
    assert_eq!(&question, b"S\n");
}

#[test]
fn no_serial_port_is_opened_that_the_operator_does_not_allow() {
    let (_far, _port, device) = terminal();
    let broker = options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true").start();
    broker.command_ok(&module("-grantAll -grant serial:*"));
    broker.command_ok(&route(&device));
    let mut client = broker.client("hearer");
    client.subscribe_to("serial/said", QoS::AtLeastOnce).unwrap();
    send(&broker, "do/it", "open line");
    let refused = format!("serial/said=SerialError::Denied(\"'{device}' is none of routes.serial_ports\")");
    assert_eq!(next(&mut client), refused);
    let refused = broker.command(&module("-replace -grant serial:ttyUSB0"));
    let told = format!("{refused:?}");
    assert!(told.contains("'serial:ttyUSB0' is not a grant: it is no path such as '/dev/ttyUSB0'"), "{told}");
}
