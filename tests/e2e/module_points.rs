//! The example that polls points of a station and writes others: what `open` gets is what the page
//! says, a station that has frozen is noticed, and nothing is lost by that.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually};
use parking_lot::Mutex;
use serde_json::Value;

use crate::modules::component;
use crate::{LOTMQ, options};

const POINTS: &[u8] = include_bytes!("../../sdk/examples/route-points/prebuilt/route-points.wasm");

/// A station on this machine, which can freeze.
#[derive(Clone, Default)]
struct Station {
    is_frozen: Arc<AtomicBool>,
    written: Arc<Mutex<Vec<String>>>,
}

impl Station {
    fn start(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let station = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (station, stream) = (station.clone(), stream.unwrap());
                thread::spawn(move || station.serve(&stream));
            }
        });
        port
    }

    fn serve(&self, stream: &TcpStream) {
        let mut writer = stream;
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            while self.is_frozen.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(10));
            }
            let answer = match line.split_once(' ') {
                Some(("SET", rest)) => {
                    self.written.lock().push(rest.to_owned());
                    "OK"
                }
                Some(("GET", "temperature")) => "VALUE 21.5",
                Some(_) => "ERROR no such point",
                None => "PONG",
            };
            if writeln!(writer, "{answer}").is_err() {
                return;
            }
        }
    }
}

/// The definition and the JSON of the page.
fn of_page() -> (String, Value) {
    let page = include_str!("../../docs/sdk/routes.md");
    let (_, section) = page.split_once("## What open gets").unwrap();
    let block = |kind: &str| {
        let (_, rest) = section.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    (block("lot"), serde_json::from_str(&block("json")).unwrap())
}

fn broker_with(station: &Station) -> (Broker, u16) {
    let broker = options()
        .variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
        .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true")
        .start();
    broker
        .command_ok(&format!("-addModule route-points -world route -grantAll wasm64:{}", component(POINTS)));
    (broker, station.start())
}

#[test]
fn open_gets_what_the_page_says() {
    let station = Station::default();
    let (broker, port) = broker_with(&station);
    let mut client = broker.root("reader");
    client.subscribe_to("$SYS/Coreflux/Routes/Station/Log", QoS::AtLeastOnce).unwrap();
    let (definition, mut expected) = of_page();
    broker.command_ok(&format!("-addRoute {}", definition.replace("14100", &port.to_string())));
    let message = client.receive(WAIT_MAX).unwrap().unwrap();
    let line: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(line["route"], "Station", "{line}");
    let mut told: Value = serde_json::from_str(line["text"].as_str().unwrap()).unwrap();
    assert!(told["route"]["start"].is_string(), "{told}");
    for value in [&mut told, &mut expected] {
        value["route"]["start"] = Value::Null;
        value["sections"]["STATION_CONFIG"]["PORT"] = Value::Null;
    }
    assert_eq!(told, expected);
}

/// `lotmq check` reports the refusals of the module without a broker, in its words.
#[test]
fn a_check_with_the_module_refuses_what_the_broker_refuses() {
    let (broker, port) = broker_with(&Station::default());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("station.lot");
    let component = STANDARD.decode(component(POINTS)).unwrap();
    std::fs::write(place.path().join("points.wasm"), component).unwrap();
    let definition = of_page().0.replace("14100", &port.to_string());
    let check = |text: &str, json: &str| {
        std::fs::write(&file, text).unwrap();
        let script = format!(
            "cd '{}'; '{LOTMQ}' check station.lot --module route-points=points.wasm {json}",
            place.path().display()
        );
        Program::run("sh", &["-c", &script]).unwrap()
    };
    let well = check(&definition, "");
    assert!(well.status.success() && well.stdout.contains("station.lot: ok (route Station)"), "{well:?}");
    let line_of_port = definition.lines().find(|line| line.contains("WITH PORT")).unwrap();
    let without_port = check(&definition.replace(line_of_port, ""), "");
    let told = "error[ROUTE_SETTINGS_INVALID]: route `Station`: the route stands still: STATION_CONFIG: PORT is not set";
    assert!(without_port.stdout.contains(told), "{without_port:?}");
    let line_of_host = definition.lines().find(|line| line.contains("WITH HOST")).unwrap();
    for lines in [&[line_of_host][..], &[line_of_host, line_of_port]] {
        let text = lines.iter().fold(definition.clone(), |text, line| text.replace(&format!("{line}\n"), ""));
        let without_host = check(&text, "");
        let told = "error[ROUTE_SETTINGS_INVALID]: route `Station`: STATION_CONFIG: HOST is not set, nor ALLOW_HOSTS or LISTEN";
        assert!(without_host.stdout.contains(told), "{without_host:?}");
    }
    let wrong =
        definition.replace("        WITH POINT \"temperature\"\n", "        WITH POINTS \"temperature\"\n");
    assert_ne!(wrong, definition);
    let line = wrong.lines().position(|line| line.contains("ADD EVENT Temperature")).unwrap() + 1;
    let refused = broker.command(&format!("-addRoute {wrong}"));
    let reason = refused.errors()[0]["message"].as_str().unwrap().to_owned();
    let checked = check(&wrong, "");
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(
        checked.stdout.contains("error[ROUTE_SETTINGS_INVALID]: route `Station`: event Temperature: "),
        "{checked:?}"
    );
    assert!(checked.stdout.contains(&format!(" --> station.lot:{line}")), "{checked:?}");
    let said = checked.stdout.split_once("route `Station`: ").unwrap().1.lines().next().unwrap();
    assert!(reason.contains(said), "{reason}: {said}");
    let told: Value = serde_json::from_str(check(&wrong, "--json").stdout.trim()).unwrap();
    assert_eq!(
        (&told["success"], &told["diagnostics"][0]["code"], &told["diagnostics"][0]["line"]),
        (&Value::Bool(false), &"ROUTE_SETTINGS_INVALID".into(), &line.into())
    );
}

#[test]
fn a_station_that_has_frozen_is_noticed_and_gets_everything_later() {
    let station = Station::default();
    let (broker, port) = broker_with(&station);
    let mut client = broker.root("reader");
    client.subscribe_to("station/temperature", QoS::AtLeastOnce).unwrap();
    let definition = of_page().0.replace("14100", &port.to_string());
    broker.command_ok(&format!("-addRoute {definition}"));
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "21.5");
    station.is_frozen.store(true, Ordering::Relaxed);
    let mut sender = broker.client("sender");
    for number in 0..20 {
        let publication = Publication::new(format!("station/v{number}/set"), number.to_string());
        sender.publish(&publication.qos(QoS::AtLeastOnce)).unwrap();
    }
    let error = eventually("the error of a frozen station", || {
        let told = broker.command_ok("-lotDiagnostic route Station").0.to_string();
        told.contains("timed out").then_some(told)
    });
    assert!(error.contains("SET v0 0"), "{error}");
    station.is_frozen.store(false, Ordering::Relaxed);
    eventually("all that was written", || {
        let written = station.written.lock();
        (0..20).all(|number| written.contains(&format!("v{number} {number}"))).then_some(())
    });
}
