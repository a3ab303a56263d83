//! A small route that works with serial ports: it runs one command per message and publishes the
//! result.
//!
//! It proves the interface `serial`. A command is a word and a text. `open line` opens the port of
//! `LINE_CONFIG` and publishes `done` to `serial/said` with QoS 1, or the error. `ask S` writes `S`
//! and publishes the next line.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, BufRead as _, BufReader, Write as _};

use lotmq_guest::route::{
    Abilities, Arrival, Delivery, Description, Failure, QoS, Receipt, Route,
    executor::block_on,
    ingest, net,
    serial::{SerialError, SerialPort},
    unpublished,
};

lotmq_guest::manifest!("serial:/dev/ttyUSB0", "read:do/#", "write:serial/said");

/// Milliseconds that it waits for anything.
const TIMEOUT_MS: u32 = 200;

thread_local!(static PORT: RefCell<Option<SerialPort>> = const { RefCell::new(None) });

struct Serial;

impl Route for Serial {
    fn describe() -> Description {
        Description {
            configuration: r#"{"type":"object"}"#.to_owned(),
            abilities: Abilities::DELIVER | Abilities::REQUEST,
        }
    }

    fn open(_configuration: String) -> Result<(), Failure> {
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        for delivery in &batch {
            let said = said(&String::from_utf8_lossy(&delivery.message.payload));
            ingest::publish(&[said_by(said)]).map_err(unpublished)?;
        }
        Ok(Receipt { accepted: u32::try_from(batch.len()).unwrap_or(u32::MAX), rejected: Vec::new() })
    }

    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match operation.as_str() {
            "do" => Ok(said(&String::from_utf8_lossy(&body)).into_bytes()),
            "probe" => Ok(b"{}".to_vec()),
            _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
        }
    }
}

fn said_by(text: String) -> Arrival {
    let (topic, payload) = ("serial/said".to_owned(), text.into_bytes());
    Arrival { topic, payload, qos: QoS::AtLeastOnce, retain: false, properties: None }
}

/// Runs a command and returns its result or its error.
fn said(command: &str) -> String {
    let (what, text) = command.split_once(' ').unwrap_or((command, ""));
    match what {
        "open" | "open-shared" => {
            // The port before is closed, so that the device is free.
            PORT.take();
            let open = if what == "open" { SerialPort::open } else { SerialPort::open_shared };
            told(open(text, TIMEOUT_MS).map(|port| {
                PORT.set(Some(port));
                "done".to_owned()
            }))
        }
        "open-all" => opened_all(text),
        "close" => {
            PORT.take();
            "done".to_owned()
        }
        _ => PORT.with_borrow_mut(|port| match port {
            Some(port) => done(port, what, text),
            None => "there is no port".to_owned(),
        }),
    }
}

fn done(port: &mut SerialPort, what: &str, text: &str) -> String {
    match what {
        "begin" => told(port.begin(TIMEOUT_MS).map(|()| "done".to_owned())),
        "end" => {
            port.end();
            "done".to_owned()
        }
        "send" => told(port.send(text.as_bytes()).map(|sent| sent.to_string())),
        "receive" => told(port.receive(4096).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
        "discard" => told(port.discard().map(|()| "done".to_owned())),
        "is-readable" => (!net::wait(&[port.readable()], TIMEOUT_MS).is_empty()).to_string(),
        "ask" => asked(port, text).unwrap_or_else(|error| format!("{:?}: {error}", error.kind())),
        "ask-asynchronously" => {
            block_on(asked_asynchronously(port, text)).unwrap_or_else(|error| error.to_string())
        }
        // The text is the number of bytes.
        "fill" => {
            let bytes = vec![b'x'; text.parse().unwrap_or(0)];
            port.write_all(&bytes).map_or_else(|error| format!("{:?}", error.kind()), |()| "done".to_owned())
        }
        _ => format!("unknown command '{what}'"),
    }
}

fn told(done: Result<String, SerialError>) -> String {
    done.unwrap_or_else(|error| format!("{error:?}"))
}

/// Writes a line and reads one.
fn asked(port: &mut SerialPort, text: &str) -> io::Result<String> {
    writeln!(port, "{text}")?;
    let mut line = String::new();
    BufReader::with_capacity(1, port).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

async fn asked_asynchronously(port: &SerialPort, text: &str) -> io::Result<String> {
    let question = format!("{text}\n").into_bytes();
    let mut left = &question[..];
    while !left.is_empty() {
        let written = poll_fn(|cx| port.poll_send(cx, left)).await?;
        left = &left[written..];
    }
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.extend(poll_fn(|cx| port.poll_receive(cx, 1)).await?);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Opens a port as often as it can be.
fn opened_all(section: &str) -> String {
    let mut ports = Vec::new();
    loop {
        match SerialPort::open_shared(section, TIMEOUT_MS) {
            Ok(port) => ports.push(port),
            Err(error) => return format!("{} {error:?}", ports.len()),
        }
    }
}

lotmq_guest::export_route!(Serial);
