//! Example Route: sends each message as a question to the endpoint `station`, such as `read 40001`,
//! and publishes the answer below `answers/`.
//!
//! Each question starts with a number that the answer repeats, so a late answer does not count for
//! the next question: `7 read 40001`, `7 21.5`.

use std::cell::RefCell;

use lotmq_guest::route::{
    Abilities, Arrival, Delivery, Description, Failure, IoError, QoS, Receipt, Route, UdpConnection, away,
    deliver_each, described, failure, ingest, unpublished,
};

lotmq_guest::manifest!("endpoint:127.0.0.1:*", "write:answers/#");

/// Longest wait for an answer, in milliseconds, and the number of attempts per question.
const TIMEOUT_MS: u32 = 500;
const ATTEMPTS: u32 = 3;

thread_local! {
    static STATION: RefCell<Option<UdpConnection>> = const { RefCell::new(None) };
}

struct Datagrams;

impl Route for Datagrams {
    fn describe() -> Description {
        Description { configuration: r#"{"type":"object"}"#.to_owned(), abilities: Abilities::DELIVER }
    }

    fn open(_configuration: String) -> Result<(), Failure> {
        let station = UdpConnection::open("station", TIMEOUT_MS).map_err(|error| failure(&error))?;
        STATION.set(Some(station));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        STATION.with_borrow(|station| {
            let station = station.as_ref().ok_or_else(|| Failure::Reconnect("not open".to_owned()))?;
            deliver_each(&batch, |delivery| answered(station, delivery))
        })
    }
}

fn answered(station: &UdpConnection, delivery: &Delivery) -> Result<(), Failure> {
    // A message that is delivered again has its number again.
    let number = format!("{} ", delivery.sequence);
    let question = [number.as_bytes(), &delivery.message.payload].concat();
    let answer = station.ask(&question, ATTEMPTS, |answer| answer.starts_with(number.as_bytes()));
    let payload = answer.map_err(|error| silent(&error))?.split_off(number.len());
    let topic = format!("answers/{}", delivery.message.topic);
    let arrival = Arrival { topic, payload, qos: QoS::AtLeastOnce, retain: false, properties: None };
    ingest::publish(&[arrival]).map_err(unpublished)
}

/// A socket needs no new one where the station is silent.
fn silent(error: &IoError) -> Failure {
    match error {
        IoError::TimedOut | IoError::Refused => away(described(error)),
        _ => failure(error),
    }
}

lotmq_guest::export_route!(Datagrams);

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use lotmq_guest::route::testing::{delivery, published, said_away};
    use lotmq_guest::testing::set_endpoint;

    use super::*;

    /// Opens the guest with a station that answers only the datagrams with these numbers, counted
    /// from 1. The thread returns the number of datagrams after `count` of them.
    fn station(answers: &'static [usize], count: usize) -> std::thread::JoinHandle<usize> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        set_endpoint("station", socket.local_addr().unwrap());
        Datagrams::open("{}".to_owned()).unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 64];
            for number in 1..=count {
                let (length, from) = socket.recv_from(&mut bytes).unwrap();
                let asked = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let (asked, _) = asked.split_once(' ').unwrap();
                if answers.contains(&number) {
                    socket.send_to(b"999 late", from).unwrap();
                    socket.send_to(format!("{asked} 21.5").as_bytes(), from).unwrap();
                }
            }
            count
        })
    }

    #[test]
    fn lost_datagram_is_requested_again_and_late_answers_are_ignored() {
        let station = station(&[2], 2);
        let receipt = Datagrams::deliver(vec![delivery("press", "read 1")]).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected.len()), (1, 0));
        let answers: Vec<_> = published().into_iter().map(|one| (one.topic, one.payload)).collect();
        assert_eq!(answers, [("answers/press".to_owned(), b"21.5".to_vec())]);
        assert_eq!(station.join().unwrap(), 2);
    }

    #[test]
    fn a_station_that_is_silent_is_asked_so_often_and_no_more() {
        let station = station(&[], ATTEMPTS as usize);
        let away = Datagrams::deliver(vec![delivery("press", "read 1")]);
        assert!(matches!(away, Err(Failure::Retry(_))) && said_away(), "{away:?}");
        assert!(published().is_empty());
        assert_eq!(station.join().unwrap(), 3);
    }
}
