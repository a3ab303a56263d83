//! `SIEMENS_S7`: a PLC of snap7 that is read and written, killed and frozen, and answers that no
//! good PLC gives.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lotmq_client::{Client, QoS};
use lotmq_test_support::{Program, WAIT_MAX, free_port, python_with_module, wait_for_port};

use crate::link::Link;
use crate::{Standing, backlog, broker, next, publish_all, roomy, send, watch};

/// A PLC.
struct Plc {
    program: Program,
    port: u16,
}

impl Plc {
    /// Starts one; `None` where its package is not installed.
    fn start(port: u16) -> Option<Plc> {
        let python = python_with_module("snap7")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/s7/server.py");
        let program = Program::start(python, &[script, &port.to_string()])?;
        wait_for_port(port);
        Some(Plc { program, port })
    }

    fn signal(&self, signal: &str) {
        Program::run("kill", &[signal, &self.program.process_id().to_string()]).unwrap();
    }
}

/// A route to a port with settings of its section, and a mapping `M` every 50 ms with tags, each a
/// line of `name setting; setting`.
fn route(port: u16, settings: &str, tags: &str) -> String {
    let mut text = format!(
        "-addRoute DEFINE ROUTE Plc WITH TYPE S7\n    ADD S7_CONFIG\n        WITH IP \"127.0.0.1\"\n        WITH PORT {port}\n"
    );
    settings.lines().for_each(|line| text += &format!("        WITH {line}\n"));
    text += "    ADD MAPPING M\n        WITH SOURCE_TOPIC \"plc\"\n        WITH EVERY 50 MILLISECONDS\n";
    for tag in tags.lines().map(str::trim) {
        let (name, settings) = tag.split_once(' ').unwrap();
        text += &format!("        ADD TAG {name}\n");
        settings.split("; ").for_each(|line| text += &format!("            WITH {line}\n"));
    }
    text
}

/// The first value of each of so many topics.
fn values(client: &mut Client, topics: usize) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    while values.len() < topics {
        let message = client.receive(WAIT_MAX).unwrap().expect("a value");
        values.entry(message.topic.to_string()).or_insert(message.text());
    }
    values
}

/// Waits for a message, as `topic=payload`.
fn until(client: &mut Client, wanted: &str) {
    while next(client) != wanted {}
}

#[test]
fn values_of_all_areas_and_types_are_published() {
    let Some(plc) = Plc::start(free_port()) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let cases = [
        (r#"ADDRESS "DB1.DBW0"; DATA_TYPE "INT"; SCALING 0.1"#, "21.5"),
        (r#"ADDRESS "DB1.DBD2"; DATA_TYPE "REAL""#, "21.5"),
        (r#"ADDRESS "DB1.DBD6"; DATA_TYPE "LREAL""#, "-2.5"),
        (r#"ADDRESS "DB1.DBD14"; DATA_TYPE "LINT""#, "-3"),
        (r#"ADDRESS "DB1.DBX22.3"; DATA_TYPE "BOOL""#, "true"),
        (r#"ADDRESS "DB1.DBX22.2"; DATA_TYPE "BOOL""#, "false"),
        (r#"ADDRESS "DB1.DBB22"; DATA_TYPE "BYTE""#, "8"),
        (r#"ADDRESS "DB1.DBS30.10"; DATA_TYPE "STRING""#, "pump"),
        (r#"ADDRESS "DB1.DBB0"; DATA_TYPE "BYTE"; LENGTH 2"#, "[0,215]"),
        (r#"ADDRESS "M10.1"; DATA_TYPE "BOOL""#, "true"),
        (r#"ADDRESS "IB1"; DATA_TYPE "BYTE""#, "7"),
        (r#"ADDRESS "A0.0"; DATA_TYPE "BOOL""#, "true"),
    ];
    let tags: Vec<String> = cases.iter().enumerate().map(|(at, (tag, _))| format!("t{at} {tag}")).collect();
    broker.command_ok(&route(plc.port, "CPU_TYPE \"S71500\"", &tags.join("\n")));
    let values = values(&mut watcher, cases.len());
    for (at, (tag, expected)) in cases.iter().enumerate() {
        assert_eq!(values[&format!("plc/t{at}")], *expected, "{tag}");
    }
}

/// The bits are the lowest ones: the PLC of snap7 writes a bit as the whole byte.
const WRITTEN: &str = r#"Word ADDRESS "DB1.DBW50"; DATA_TYPE "INT"; SCALING 0.1; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/word"
    Real ADDRESS "DB1.DBD52"; DATA_TYPE "REAL"; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/real"
    Bit ADDRESS "DB1.DBX60.0"; DATA_TYPE "BOOL"; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/bit"
    Name ADDRESS "DB1.DBS62.6"; DATA_TYPE "STRING"; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/name"
    Flag ADDRESS "M20.0"; DATA_TYPE "BOOL"; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/flag""#;

#[test]
fn values_sent_to_tags_are_written_and_read_back() {
    let Some(plc) = Plc::start(free_port()) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    broker.command_ok(&route(plc.port, "", WRITTEN));
    values(&mut watcher, 5);
    for (topic, payload, read_back) in [
        ("word", "-21.5", "plc/Word=-21.5"),
        ("real", r#"{"value":0.1}"#, "plc/Real=0.1"),
        ("bit", "true", "plc/Bit=true"),
        ("bit", "0", "plc/Bit=false"),
        ("name", "valve", "plc/Name=valve"),
        ("flag", "1", "plc/Flag=true"),
    ] {
        send(&broker, &format!("write/{topic}"), payload);
        until(&mut watcher, read_back);
    }
    let mut errors = broker.root("reader of errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Plc/Error", QoS::AtMostOnce).unwrap();
    for (topic, payload, expected) in [
        ("word", "3277", "tag M/Word is not written: 3277 is out of the range of INT16"),
        ("name", "far too long", "tag M/Name is not written: a text of 12 characters, there is room for 6"),
    ] {
        send(&broker, &format!("write/{topic}"), payload);
        let told = errors.receive(WAIT_MAX).unwrap().expect("an error").text();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn ten_thousand_values_that_wait_are_written_and_the_last_one_stays() {
    let (count, port) = (backlog(10_000), free_port());
    let broker = broker();
    broker.command_ok(&roomy(&route(port, "", WRITTEN)));
    let values = (1..count).map(|number| (number % 3000).to_string()).chain(["-7.5".to_owned()]);
    publish_all(&broker, values.map(|value| ("write/word".to_owned(), value)));
    let Some(_plc) = Plc::start(port) else { return };
    broker.wait_until_metric_is("lotmq_route_delivered_total", count as f64);
    // A new route publishes what is there now.
    let mut watcher = watch(&broker, "now/Word");
    broker.command_ok(&route(port, "", WRITTEN).replace("\"plc\"", "\"now\""));
    assert_eq!(next(&mut watcher), "now/Word=-7.5");
}

#[test]
fn a_plc_that_was_killed_or_hangs_is_read_and_written_again() {
    let Some(mut plc) = Plc::start(free_port()) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    broker.command_ok(&route(plc.port, "READ_TIMEOUT 300\nCONNECTION_TIMEOUT 300", WRITTEN));
    values(&mut watcher, 5);
    plc.signal("-STOP");
    let told = standing.until("\"Reconnecting\"");
    assert!(told.contains("the PLC does not answer within 300 ms"), "{told}");
    plc.signal("-CONT");
    standing.until("\"Connected\"");
    plc.program.kill();
    standing.until("\"Reconnecting\"");
    send(&broker, "write/word", "12.3");
    let port = plc.port;
    drop(plc);
    let _plc = Plc::start(port).unwrap();
    until(&mut watcher, "plc/Word=12.3");
}

#[test]
fn a_tag_that_is_not_there_does_not_keep_back_the_others() {
    let Some(plc) = Plc::start(free_port()) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    let tags = r#"A ADDRESS "DB1.DBW0"; DATA_TYPE "INT"
        Bad ADDRESS "DB9.DBW0"; DATA_TYPE "INT""#;
    broker.command_ok(&route(plc.port, "", tags));
    let told = standing.until("M/Bad");
    assert!(told.contains("(code 0x"), "{told}");
    until(&mut watcher, "plc/A=215");
}

#[test]
fn malformed_response_is_reported_and_ends_the_connection() {
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "what came is not ISO-on-TCP"),
        (&[3, 0, 0xFF, 0xFF], "a frame of 65535 bytes came, which is none of S7"),
        (&[3, 0, 0, 11, 6, 0x80, 0, 1, 0, 0, 0], "the PLC refuses the connection"),
        (
            &[3, 0, 0, 11, 6, 0xD0, 0, 1, 0, 0, 0, 3, 0, 0, 8, 2, 0xF0, 0x80, 0],
            "what came is no answer of S7 communication",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // Neither the request nor whether the client takes the answer matters.
                let _ = stream.write_all(answer);
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let broker = broker();
        let mut standing = Standing::of(&broker, "Plc");
        broker.command_ok(&route(port, "", r#"T ADDRESS "MW0"; DATA_TYPE "INT""#));
        let told = standing.until("\"Reconnecting\"");
        assert!(told.contains(expected), "{told}");
    }
}

/// A PLC with one word, which has no resources for so many reads and writes.
#[derive(Default)]
struct BusyPlc {
    busy_reads: AtomicUsize,
    busy_writes: AtomicUsize,
    /// Writes that came.
    writes: AtomicUsize,
    connections: AtomicUsize,
    word: Mutex<[u8; 2]>,
}

impl BusyPlc {
    fn start(self) -> (Arc<BusyPlc>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let plc = Arc::new(self);
        let of_thread = Arc::clone(&plc);
        thread::spawn(move || {
            for stream in listener.incoming() {
                of_thread.connections.fetch_add(1, SeqCst);
                // It ends with the connection.
                let _ = of_thread.serve(stream.unwrap());
            }
        });
        (plc, port)
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            let mut head = [0; 4];
            stream.read_exact(&mut head)?;
            let mut frame = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]])) - 4];
            stream.read_exact(&mut frame)?;
            let answer = match frame[1] {
                // COTP: a request to connect.
                0xE0 => vec![3, 0, 0, 11, 6, 0xD0, 0, 1, 0, 0, 0],
                _ => self.answer(&frame),
            };
            stream.write_all(&answer)?;
        }
    }

    /// The answer to a job behind the head of its frame: 3 bytes of COTP, 10 of the job's head, its
    /// function.
    fn answer(&self, frame: &[u8]) -> Vec<u8> {
        const NO_RESOURCES: [u8; 2] = [0x83, 4];
        let is_busy =
            |left: &AtomicUsize| left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        let (error, parameters, data) = match frame[13] {
            0xF0 => ([0, 0], vec![0xF0, 0, 0, 1, 0, 1, 1, 0xE0], Vec::new()),
            4 if is_busy(&self.busy_reads) => (NO_RESOURCES, Vec::new(), Vec::new()),
            4 => {
                let [high, low] = *self.word.lock().unwrap();
                ([0, 0], vec![4, 1], vec![0xFF, 4, 0, 16, high, low])
            }
            _ => {
                self.writes.fetch_add(1, SeqCst);
                if is_busy(&self.busy_writes) {
                    (NO_RESOURCES, Vec::new(), Vec::new())
                } else {
                    *self.word.lock().unwrap() = *frame.last_chunk().unwrap();
                    ([0, 0], vec![5, 1], vec![0xFF])
                }
            }
        };
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let job = [
            &[2, 0xF0, 0x80, 0x32, 3, 0, 0, frame[7], frame[8]][..],
            &length(&parameters),
            &length(&data),
            &error,
        ];
        let job = [&job.concat()[..], &parameters, &data].concat();
        let whole = u16::try_from(job.len() + 4).unwrap().to_be_bytes();
        [&[3, 0, whole[0], whole[1]][..], &job].concat()
    }
}

#[test]
fn a_busy_plc_is_asked_again_on_the_same_connection() {
    let (plc, port) = BusyPlc { busy_reads: AtomicUsize::new(3), ..BusyPlc::default() }.start();
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let tag = r#"Word ADDRESS "DB1.DBW50"; DATA_TYPE "INT"; PUBLISH_MODE "ON_CHANGE"; DESTINATION_TOPIC "write/word""#;
    broker.command_ok(&route(port, "RETRY_COUNT 3\nRETRY_DELAY 5", tag));
    assert_eq!(next(&mut watcher), "plc/Word=0", "read at the fourth try");
    plc.busy_writes.store(3, SeqCst);
    send(&broker, "write/word", "7");
    until(&mut watcher, "plc/Word=7");
    assert_eq!((plc.writes.load(SeqCst), broker.metric("lotmq_route_retried_total")), (4, Some(0.0)));
    // Beyond that the message waits, and comes again.
    plc.busy_writes.store(9, SeqCst);
    send(&broker, "write/word", "8");
    until(&mut watcher, "plc/Word=8");
    assert_eq!((plc.writes.load(SeqCst), broker.metric("lotmq_route_retried_total")), (14, Some(2.0)));
    assert_eq!(
        (plc.connections.load(SeqCst), broker.metric("lotmq_route_dead_letters_total")),
        (1, Some(0.0))
    );
}

#[test]
fn a_slow_plc_is_waited_for() {
    let Some(plc) = Plc::start(free_port()) else { return };
    let link = Link::to(plc.port);
    link.slow_down(Duration::from_millis(150));
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    broker.command_ok(&route(link.port, "", WRITTEN));
    values(&mut watcher, 5);
    for value in ["1.5", "-2.5", "3.5"] {
        send(&broker, "write/word", value);
        until(&mut watcher, &format!("plc/Word={value}"));
    }
    assert_eq!(broker.metric("lotmq_route_reconnects_total"), Some(0.0));
}

#[test]
fn wrong_settings_are_reported_by_name() {
    let broker = broker();
    let tag = r#"T ADDRESS "DB1.DBW0"; DATA_TYPE "INT""#;
    for (settings, tags, expected) in [
        ("CPU_TYPE \"S7900\"", tag, "CPU_TYPE"),
        ("RACK \"left\"", tag, "RACK"),
        ("SLOT 99", tag, "SLOT"),
        ("CONNECTION_TIMEOUT 0", tag, "CONNECTION_TIMEOUT"),
        ("READ_TIMEOUT \"long\"", tag, "READ_TIMEOUT"),
        ("WRITE_TIMEOUT 0", tag, "WRITE_TIMEOUT"),
        ("RETRY_COUNT 1001", tag, "RETRY_COUNT"),
        ("RETRY_DELAY \"long\"", tag, "RETRY_DELAY"),
        ("", r#"T ADDRESS "DB1.DBQ0"; DATA_TYPE "INT""#, "ADDRESS `DB1.DBQ0`: it is none such as"),
        ("", r#"T ADDRESS "DB1.DBD0"; DATA_TYPE "INT""#, "INT16 is not as wide as the address"),
        ("", r#"T ADDRESS "IW0"; DATA_TYPE "INT"; DESTINATION_TOPIC "w""#, "an input, a timer or a counter"),
        ("", r#"T DATA_TYPE "INT""#, "needs ADDRESS"),
        ("", r#"T ADDRESS "DB1.DBW0""#, "needs DATA_TYPE"),
        ("", r#"T ADDRESS "DB1.DBW0"; DATA_TYPE "INTEGER""#, "DATA_TYPE"),
        ("", r#"T ADDRESS "DB1.DBW0"; DATA_TYPE "INT"; PUBLISH_MODE "NEVER""#, "PUBLISH_MODE"),
    ] {
        let reply = format!("{:?}", broker.command(&route(102, settings, tags)));
        assert!(reply.contains(expected), "{settings} {tags}: {reply}");
    }
    for (text, expected) in [
        (route(102, "", tag).replace("PORT 102", "PORT 70000"), "PORT is a whole number from 1 to 65535"),
        (route(102, "", tag).replace("        WITH IP \"127.0.0.1\"\n", ""), "S7_CONFIG needs IP"),
    ] {
        let reply = format!("{:?}", broker.command(&text));
        assert!(reply.contains(expected), "{reply}");
    }
    let mut standing = Standing::of(&broker, "Plc");
    // Nobody is there: a mistake that the text does not say is told all the same.
    broker.command_ok("-setSecret PLACE=DBQ0");
    broker.command_ok(&route(free_port(), "", r#"T ADDRESS GET SECRET "PLACE"; DATA_TYPE "INT""#));
    standing.until("tag M/T: ADDRESS 'DBQ0': it is none such as");
}
