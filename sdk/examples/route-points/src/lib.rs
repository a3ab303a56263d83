//! Example Route: a connector for a station that speaks lines of text. It polls the points of
//! events, writes messages to others, and detects a frozen station.
//!
//! The station answers `GET name` with `VALUE text`, `SET name text` with `OK` or `BUSY`, `PING`
//! with `PONG`, and errors with `ERROR reason`.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use lotmq_guest::route::{
    Abilities, Addressee, Arrival, Connection, Delivery, Description, Failure, Level, QoS, Receipt, Route,
    Schedule, Template, ambient, deliver_each, failure, ingest, log, unpublished,
};
use serde_json::Value;

lotmq_guest::manifest!("endpoint:127.0.0.1:*", "write:station/#");

/// Settings that it knows: of the station, and of each event the point that it is about.
const SETTINGS: &str = r#"{"properties":{
    "sections":{"required":["STATION_CONFIG"],"properties":{"STATION_CONFIG":{"additionalProperties":false,
        "properties":{"POLL_SECONDS":{"type":"integer","minimum":1,"default":10}}}}},
    "events":{"additionalProperties":{"required":["POINT"],"additionalProperties":false,"properties":{"POINT":{},"DESTINATION_TOPIC":{"type":"string"}}}}}}"#;

/// Longest wait for an answer, in milliseconds. A station that is silent for longer has frozen.
const TIMEOUT_MS: u32 = 5_000;

/// Milliseconds without an answer after which the route pings the station.
const PING_MS: u64 = 10_000;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1_024;

thread_local! {
    static STATION: RefCell<Option<Station>> = const { RefCell::new(None) };
}

/// Connection, and the points that the route's events name.
struct Station {
    link: BufReader<Connection>,
    /// Points that are polled, each with the topic that its value is published at.
    polled: Vec<(String, String)>,
    /// Points that are written, by the name of the event.
    written: Vec<(String, Template)>,
    polls: Schedule,
    /// When it has last answered.
    heard: u64,
}

struct Guest;

impl Route for Guest {
    fn describe() -> Description {
        Description { configuration: SETTINGS.to_owned(), abilities: Abilities::DELIVER | Abilities::RUN }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        log(Level::Debug, &configuration);
        let said: Value =
            serde_json::from_str(&configuration).map_err(|error| Failure::Fatal(error.to_string()))?;
        let (mut polled, mut written) = (Vec::new(), Vec::new());
        for (event, said) in said["events"].as_object().into_iter().flatten() {
            let point = Template::of("POINT", &said["POINT"])
                .ok_or_else(|| Failure::Fatal(format!("event {event}: POINT is no text")))?;
            match said["DESTINATION_TOPIC"].as_str() {
                Some(topic) => polled.push((point.joined(&[]), topic.to_owned())),
                None => written.push((event.clone(), point)),
            }
        }
        let poll_seconds = said["sections"]["STATION_CONFIG"]["POLL_SECONDS"].as_u64().unwrap_or(10);
        let link = Connection::open("station", TIMEOUT_MS).map_err(|error| failure(&error))?;
        let now = ambient::monotonic_ms();
        let link = BufReader::new(link);
        let poll_ms = u32::try_from(poll_seconds.saturating_mul(1_000)).unwrap_or(u32::MAX);
        let polls = if polled.is_empty() { Schedule::new() } else { Schedule::new().every(poll_ms) };
        let mut station = Station { link, polled, written, polls, heard: now };
        // The kernel of a machine accepts connections for a program that has frozen.
        station.ask("PING")?;
        STATION.set(Some(station));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        with_station(|station| deliver_each(&batch, |delivery| station.write(delivery)))
    }

    fn run(_until_ms: u32) -> Result<u32, Failure> {
        with_station(|station| {
            while let Some(due) = station.polls.due() {
                station.poll()?;
                if due.missed > 0 {
                    lotmq_guest::eprintln!("{} polls were missed", due.missed);
                }
            }
            if ambient::monotonic_ms() >= station.heard + PING_MS {
                station.ask("PING")?;
            }
            // When there is something to do again.
            let ping = (station.heard + PING_MS).saturating_sub(ambient::monotonic_ms());
            Ok(station.polls.wait_ms().min(u32::try_from(ping).unwrap_or(u32::MAX)))
        })
    }
}

fn with_station<T>(work: impl FnOnce(&mut Station) -> Result<T, Failure>) -> Result<T, Failure> {
    STATION.with_borrow_mut(|station| match station {
        Some(station) => work(station),
        None => Err(Failure::Reconnect("not open".to_owned())),
    })
}

impl Station {
    /// Writes a message to the point that its event names.
    fn write(&mut self, delivery: &Delivery) -> Result<(), Failure> {
        let Addressee::Event(event) = &delivery.to else {
            return Err(Failure::Reject("the route has events only".to_owned()));
        };
        let point =
            self.written.iter().find(|(name, _)| name == event).map(|(_, point)| point.filled(delivery));
        let point = point.ok_or_else(|| Failure::Reject(format!("event {event} takes no messages")))?;
        let value = String::from_utf8_lossy(&delivery.message.payload);
        if [&*point, &*value].iter().any(|text| text.contains(char::is_control)) {
            return Err(Failure::Reject("a line ends within it".to_owned()));
        }
        match self.ask(&format!("SET {point} {value}"))?.as_str() {
            "OK" => Ok(()),
            "BUSY" => Err(Failure::Retry("the station is busy".to_owned())),
            answer => Err(Failure::Reject(answer.to_owned())),
        }
    }

    /// Publishes the values of all points that are polled.
    fn poll(&mut self) -> Result<(), Failure> {
        let mut arrivals = Vec::new();
        for (point, topic) in self.polled.clone() {
            let answer = self.ask(&format!("GET {point}"))?;
            let Some(value) = answer.strip_prefix("VALUE ") else {
                lotmq_guest::eprintln!("{point}: {answer}");
                continue;
            };
            let payload = value.as_bytes().to_vec();
            arrivals.push(Arrival { topic, payload, qos: QoS::AtLeastOnce, retain: false, properties: None });
        }
        ingest::publish(&arrivals).map_err(unpublished)
    }

    /// Sends a line and reads its answer. Without an answer in time, the route reconnects.
    fn ask(&mut self, line: &str) -> Result<String, Failure> {
        let away = |error: std::io::Error| Failure::Reconnect(format!("'{line}': {error}"));
        self.link.get_mut().write_all(format!("{line}\n").as_bytes()).map_err(away)?;
        let mut answer = String::new();
        self.link.by_ref().take(ANSWER_BYTES_MAX).read_line(&mut answer).map_err(away)?;
        let Some(answer) = answer.strip_suffix('\n') else {
            return Err(Failure::Reconnect(format!("it has ended behind '{answer}'")));
        };
        self.heard = ambient::monotonic_ms();
        Ok(answer.trim_end().to_owned())
    }
}

lotmq_guest::export_route!(Guest);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use lotmq_guest::route::PlaceholderValues;
    use lotmq_guest::route::testing::{delivery, published};
    use lotmq_guest::testing::set_endpoint;

    use super::*;

    const CONFIGURATION: &str = r#"{"events":{"Read":{"POINT":"temperature","DESTINATION_TOPIC":"station/temperature"},
        "Write":{"POINT":{"template":["",""],"placeholders":["topic.2"]},"SOURCE_TOPIC":"station/+/set"}}}"#;

    /// Starts a station that sends these answers, one for each line. The thread returns the
    /// received lines.
    fn station(answers: &'static [&'static str]) -> thread::JoinHandle<Vec<String>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_endpoint("station", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut writer = stream;
            let ask = |answer: &&str| {
                let line = lines.next()?.ok()?;
                writer.write_all(format!("{answer}\n").as_bytes()).ok()?;
                Some(line)
            };
            answers.iter().map_while(ask).collect()
        })
    }

    #[test]
    fn points_are_polled() {
        let asked = station(&["PONG", "VALUE 21.5"]);
        Guest::open(CONFIGURATION.to_owned()).unwrap();
        let next = Guest::run(100).unwrap();
        assert!(next > 5_000 && next <= 10_000, "{next}");
        let arrivals: Vec<_> = published().into_iter().map(|one| (one.topic, one.payload)).collect();
        assert_eq!(arrivals, [("station/temperature".to_owned(), b"21.5".to_vec())]);
        assert_eq!(asked.join().unwrap(), ["PING", "GET temperature"]);
    }

    #[test]
    fn messages_are_written_and_failures_are_classified() {
        let asked = station(&["PONG", "OK", "ERROR no such point", "BUSY"]);
        Guest::open(CONFIGURATION.to_owned()).unwrap();
        let write = |point: &str| Delivery {
            to: Addressee::Event("Write".to_owned()),
            placeholders: vec![PlaceholderValues {
                setting: "POINT".to_owned(),
                values: vec![lotmq_guest::route::Value::Text(point.to_owned())],
            }],
            ..delivery(&format!("station/{point}/set"), "1")
        };
        let receipt = Guest::deliver(vec![write("valve"), write("x"), write("pump")]).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected.len()), (2, 1));
        assert_eq!(receipt.rejected[0].reason, "ERROR no such point");
        assert_eq!(asked.join().unwrap(), ["PING", "SET valve 1", "SET x 1", "SET pump 1"]);
    }

    #[test]
    fn a_station_that_ends_is_opened_anew() {
        let asked = station(&["PONG"]);
        Guest::open(CONFIGURATION.to_owned()).unwrap();
        asked.join().unwrap();
        assert!(matches!(Guest::run(100), Err(Failure::Reconnect(_))));
    }
}
