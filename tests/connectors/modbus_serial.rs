//! `MODBUS_SERIAL`: units of pymodbus at a pseudo-terminal, and units of the test's own for what no
//! good unit does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{iter, thread};

use lotmq_client::QoS;
use lotmq_test_support::{Broker, Program, WAIT_MAX, python_with_module};

use crate::modbus::{READ, WRITES, WRITTEN, mapping, until, values};
use crate::wire::{Wire, framed, registers};
use crate::{Standing, next, options, send, watch};

/// A broker whose routes may open these ports.
fn broker(wires: &[&Wire]) -> Broker {
    let ports: Vec<String> = wires.iter().map(|wire| wire.device()).collect();
    options().variable("LOTMQ_ROUTES_SERIAL_PORTS", &ports.join(",")).start()
}

/// A route to a device with settings of its section, and a mapping `M` every 50 ms with tags, each
/// a line of `name setting; setting`.
fn route(device: &str, settings: &str, tags: &str) -> String {
    named("Plc", device, settings, tags)
}

fn named(name: &str, device: &str, settings: &str, tags: &str) -> String {
    let mut text = format!(
        "-addRoute DEFINE ROUTE {name} WITH TYPE MODBUS_SERIAL\n    ADD MODBUS_CONFIG\n        WITH COM_PORT \"{device}\"\n        WITH BAUD_RATE 115200\n"
    );
    let unit = if settings.contains("SLAVE_ID") { "" } else { "\nSLAVE_ID 1" };
    let lines = settings.lines().chain(unit.lines()).filter(|line| !line.is_empty());
    lines.for_each(|line| text += &format!("        WITH {line}\n"));
    text + &mapping(&name.to_lowercase(), tags)
}

const T: &str = r#"T ADDRESS "40001"; DATA_TYPE "INT""#;

/// Units of pymodbus at a line.
fn server(wire: &mut Wire) -> Option<Program> {
    let python = python_with_module("serial")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/modbus/server.py");
    let program = Program::start(python, &[script, &wire.plug_into_program()])?;
    program.stdout.wait_for("the server to listen", |line| (line == "listening").then_some(()));
    Some(program)
}

#[test]
fn values_of_all_types_are_published() {
    let mut wire = Wire::new();
    let Some(server) = server(&mut wire) else { return };
    let broker = broker(&[&wire]);
    let mut watcher = watch(&broker, "plc/#");
    let tags: Vec<String> = READ.iter().enumerate().map(|(at, (tag, _))| format!("t{at} {tag}")).collect();
    broker.command_ok(&route(&wire.device(), "", &tags.join("\n")));
    let values = values(&mut watcher, READ.len());
    for (at, (tag, expected)) in READ.iter().enumerate() {
        assert_eq!(values[&format!("plc/t{at}")], *expected, "{tag}");
    }
    // The route reads neighbouring addresses in one request.
    was_asked(&server, "1 3 0 17");
}

fn was_asked(server: &Program, request: &str) {
    let found = server.stdout.wait_for(request, |line| (line == request).then_some(()));
    found.unwrap_or_else(|| panic!("the server ended: {}", server.stderr.text()));
}

#[test]
fn values_sent_to_tags_are_written_and_read_back() {
    let mut wire = Wire::new();
    let Some(server) = server(&mut wire) else { return };
    let broker = broker(&[&wire]);
    let mut watcher = watch(&broker, "plc/#");
    broker.command_ok(&route(&wire.device(), "", WRITTEN));
    values(&mut watcher, 6);
    for (topic, payload, function, read_back) in WRITES {
        send(&broker, &format!("write/{topic}"), payload);
        until(&mut watcher, read_back);
        was_asked(&server, function);
    }
}

#[test]
fn garbage_and_late_replies_are_passed_by() {
    // Noise around each reply; the second request is answered behind its time, with another value.
    let wire = Wire::with_units(|number, frame| {
        if number == 1 {
            thread::sleep(Duration::from_millis(400));
            return registers(frame, 99);
        }
        [&[0, 0xFF, 1, 3][..], &registers(frame, 7), &[0xAA]].concat()
    });
    let broker = broker(&[&wire]);
    let mut watcher = watch(&broker, "plc/#");
    broker.command_ok(&route(&wire.device(), "READ_TIMEOUT 200\nRETRY_DELAY 1000", T));
    for _ in 0..20 {
        assert_eq!(next(&mut watcher), "plc/T=7");
    }
}

#[test]
fn damaged_reply_is_requested_again_and_reported() {
    let damaged = |frame: &[u8]| {
        let mut reply = registers(frame, 7);
        reply[4] ^= 1;
        reply
    };
    let is_worse = Arc::new(AtomicUsize::new(0));
    let worse = Arc::clone(&is_worse);
    let wire = Wire::with_units(move |number, frame| {
        let is_damaged = number % 2 == 1 || worse.load(Ordering::Acquire) > 0;
        if is_damaged { damaged(frame) } else { registers(frame, 7) }
    });
    let broker = broker(&[&wire]);
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    broker.command_ok(&route(&wire.device(), "RETRY_COUNT 1\nRETRY_DELAY 0", T));
    for _ in 0..10 {
        assert_eq!(next(&mut watcher), "plc/T=7");
    }
    is_worse.store(1, Ordering::Release);
    let told = standing.until("\"Reconnecting\"");
    assert!(told.contains("a reply with a wrong checksum came: 01 03 02 00 06"), "{told}");
}

#[test]
fn unexpected_or_missing_reply_is_reported() {
    for (reply, expected) in [
        (&b"login: "[..], "what came is no reply: 6C 6F 67 69 6E 3A 20"),
        (&framed(&[2, 3, 2, 0, 7]), "unit 1 was asked for function 3, and 2 has answered with 3"),
        (&framed(&[1, 4, 2, 0, 7]), "unit 1 was asked for function 3, and 1 has answered with 4"),
        (&[0xAB; 600], "what came is no reply: AB AB"),
        (&[], "unit 1 does not answer within 100 ms"),
    ] {
        let reply = reply.to_vec();
        let wire = Wire::with_units(move |_, _| reply.clone());
        let broker = broker(&[&wire]);
        let mut standing = Standing::of(&broker, "Plc");
        broker.command_ok(&route(&wire.device(), "READ_TIMEOUT 100\nRETRY_COUNT 0", T));
        let told = standing.until("\"Reconnecting\"");
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_unit_that_is_dead_does_not_hold_up_the_others() {
    let (sender, written) = mpsc::channel();
    let wire = Wire::with_units(move |_, frame| match frame[0] {
        0 => {
            sender.send(u16::from_be_bytes([frame[4], frame[5]])).unwrap();
            Vec::new()
        }
        9 => Vec::new(),
        _ => registers(frame, 7),
    });
    let broker = broker(&[&wire]);
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    let tags = r#"Alive ADDRESS "40001"; DATA_TYPE "INT"
        Dead ADDRESS "40001"; DATA_TYPE "INT"; SLAVE_ID 9
        All ADDRESS "40001"; DATA_TYPE "INT"; SLAVE_ID 0; DESTINATION_TOPIC "write/all""#;
    broker.command_ok(&route(&wire.device(), "READ_TIMEOUT 100\nRETRY_COUNT 0", tags));
    let told = standing.until("M/Dead");
    assert!(told.contains("M/Dead: unit 9 does not answer within 100 ms"), "{told}");
    assert!(told.contains("\"Connected\""), "{told}");
    for _ in 0..10 {
        assert_eq!(next(&mut watcher), "plc/Alive=7");
    }
    // To all units, of which none answers.
    for value in [21, 22] {
        send(&broker, "write/all", &value.to_string());
        assert_eq!(written.recv_timeout(WAIT_MAX), Ok(value));
    }
    assert_eq!(next(&mut watcher), "plc/Alive=7");
}

/// Returns the next written value other than `before`. The route repeats a value whose answer was
/// lost with the port.
fn after(before: u8, written: &mpsc::Receiver<u8>) -> u8 {
    iter::repeat_with(|| written.recv_timeout(WAIT_MAX).unwrap()).find(|value| *value != before).unwrap()
}

#[test]
fn queued_writes_survive_unplugged_port_and_killed_broker() {
    let units = || {
        let (sender, written) = mpsc::channel();
        let answer = move |_: usize, frame: &[u8]| {
            if frame[1] == 6 {
                sender.send(frame[5]).unwrap();
            }
            registers(frame, 7)
        };
        (answer, written)
    };
    let (answer, written) = units();
    let mut wire = Wire::with_units(answer);
    let mut broker = broker(&[&wire]);
    let mut standing = Standing::of(&broker, "Plc");
    // By default, late commands for a machine would be lost with the broker.
    let on_disk = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MODE disk\n    ADD MODBUS_CONFIG";
    let route = route(&wire.device(), "", &format!("{T}; DESTINATION_TOPIC \"write/t\""));
    broker.command_ok(&route.replace("    ADD MODBUS_CONFIG", on_disk));
    standing.until("\"Connected\"");
    send(&broker, "write/t", "1");
    assert_eq!(written.recv_timeout(WAIT_MAX), Ok(1));

    wire.plug_out();
    let told = standing.until("\"Reconnecting\"");
    assert!(told.contains("the device was unplugged"), "{told}");
    assert!(told.contains("there is no such device"), "{told}");
    (2..5).for_each(|value| send(&broker, "write/t", &value.to_string()));
    let (answer, written) = units();
    wire.plug_in(answer);
    (2..5).for_each(|value| assert_eq!(after(value - 1, &written), value));
    standing.until("\"Connected\"");

    wire.plug_out();
    standing.until("\"Reconnecting\"");
    (5..8).for_each(|value| send(&broker, "write/t", &value.to_string()));
    broker.kill();
    broker.start_again();
    let (answer, written) = units();
    wire.plug_in(answer);
    (5..8).for_each(|value| assert_eq!(after(value - 1, &written), value));
}

#[test]
fn routes_share_a_line_by_turns() {
    // A unit that is spoken to before it has answered would hear something else.
    let overlaps = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&overlaps);
    let wire = Wire::with_units(move |_, frame| {
        counted.fetch_add(usize::from(frame.len() != 8), Ordering::Relaxed);
        thread::sleep(Duration::from_millis(5));
        registers(frame, frame[0])
    });
    let broker = broker(&[&wire]);
    let (mut one, mut other) = (watch(&broker, "one/#"), watch(&broker, "other/#"));
    broker.command_ok(&named("One", &wire.device(), "SLAVE_ID 1", T));
    broker.command_ok(&named("Other", &wire.device(), "SLAVE_ID 2", T));
    for _ in 0..20 {
        assert_eq!(next(&mut one), "one/T=1");
        assert_eq!(next(&mut other), "other/T=2");
    }
    assert_eq!(overlaps.load(Ordering::Relaxed), 0);
    broker.command_ok("-checkRouteConnection One");
    let mut standing = Standing::of(&broker, "Third");
    let third = named("Third", &wire.device(), "STOP_BITS TWO", T);
    broker.command_ok(&third);
    let told = standing.until("\"Reconnecting\"");
    assert!(told.contains("it is open with other settings (115200 8N1)"), "{told}");
}

#[test]
fn an_echo_is_no_reply() {
    let wire = Wire::with_units(|_, frame| {
        let reply = if frame[1] == 6 { Vec::new() } else { registers(frame, 7) };
        [frame, &reply].concat()
    });
    let broker = broker(&[&wire]);
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    let tag = format!("{T}; DESTINATION_TOPIC \"write/t\"");
    broker.command_ok(&route(&wire.device(), "WRITE_TIMEOUT 100\nRETRY_COUNT 0", &tag));
    assert_eq!(next(&mut watcher), "plc/T=7");
    send(&broker, "write/t", "1");
    let told = standing.until("\"Reconnecting\"");
    assert!(told.contains("unit 1 does not answer within 100 ms"), "{told}");
}

#[test]
fn only_ports_that_the_operator_allows_are_opened() {
    let (wire, other) = (Wire::with_units(|_, frame| registers(frame, 7)), Wire::new());
    let broker = broker(&[&other]);
    let mut standing = Standing::of(&broker, "Plc");
    broker.command_ok(&route(&wire.device(), "", T));
    standing.until(&format!("'{}' is none of routes.serial_ports", wire.device()));
    let none = options().start();
    let mut standing = Standing::of(&none, "Plc");
    none.command_ok(&route(&wire.device(), "", T));
    standing.until(&format!("'{}' is none of routes.serial_ports", wire.device()));
}

#[test]
fn wrong_settings_are_reported_by_name() {
    let wire = Wire::with_units(|_, frame| registers(frame, 7));
    let broker = broker(&[&wire]);
    for (settings, tags, expected) in [
        ("SLAVE_ID 0", T, "SLAVE_ID is a whole number from 1 to 247"),
        ("", &*format!("{T}; SLAVE_ID 248"), "SLAVE_ID is a whole number from 0 to 247"),
        ("PARITY \"BOTH\"", T, "PARITY is one of NONE, ODD, EVEN, MARK, SPACE"),
        ("DATA_BITS 9", T, "DATA_BITS is a whole number from 7 to 8"),
        ("STOP_BITS \"3\"", T, "STOP_BITS is one of ONE, TWO, ONEPOINTFIVE, 1, 2"),
        ("CONNECTION_TYPE \"TCP\"", T, "CONNECTION_TYPE is SERIAL"),
        ("DATA_BITS 7", T, "DATA_BITS is 8: characters of Modbus RTU have 8 bits"),
        ("", &format!("{T}; SLAVE_ID 0"), "unit 0 is all units, of which none answers"),
    ] {
        let reply = format!("{:?}", broker.command(&route(&wire.device(), settings, tags)));
        assert!(reply.contains(expected), "{settings} {tags}: {reply}");
    }
    let without = route("", "", T).replace("        WITH COM_PORT \"\"\n", "");
    let reply = format!("{:?}", broker.command(&without));
    assert!(reply.contains("COM_PORT"), "{reply}");
    let mut standing = Standing::of(&broker, "Plc");
    for (device, settings, tags, expected) in [
        (
            "COM3",
            "",
            T,
            "MODBUS_CONFIG: COM_PORT is 'COM3', which is no path of a device such as '/dev/ttyUSB0'",
        ),
        (&*wire.device(), "PARITY \"EVEN\"", T, "it does not do 115200 8E1"),
        (&wire.device(), "RS485 TRUE", T, "its driver does not switch an RS-485 line"),
    ] {
        broker.command_ok(&route(device, settings, tags));
        standing.until(expected);
    }
}

#[test]
fn rejected_writes_are_reported() {
    let wire = Wire::with_units(|_, frame| match frame[1] {
        6 => framed(&[frame[0], 0x86, 2]),
        _ => registers(frame, 7),
    });
    let broker = broker(&[&wire]);
    let mut errors = broker.root("reader of errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Plc/Error", QoS::AtMostOnce).unwrap();
    broker.command_ok(&route(&wire.device(), "", &format!("{T}; DESTINATION_TOPIC \"write/t\"")));
    for (payload, expected) in [
        ("warm", "tag M/T is not written: 'warm' is no number"),
        ("1", "tag M/T is not written: illegal data address (exception 2)"),
    ] {
        send(&broker, "write/t", payload);
        let told = errors.receive(WAIT_MAX).unwrap().expect("an error").text();
        assert!(told.contains(expected), "{told}");
    }
}
