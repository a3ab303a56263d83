//! Example Route: writes each message as a line to the endpoint `line`, and publishes each received
//! line to `lines/in`. Uses the streams of the crate tokio.

use std::cell::{Cell, RefCell};

use lotmq_guest::route::executor::{self, AsyncConnection};
use lotmq_guest::route::{
    Abilities, Arrival, Delivery, Description, Failure, QoS, Receipt, Route, failure, ingest,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf};

lotmq_guest::manifest!("endpoint:127.0.0.1:*", "write:lines/in");

thread_local! {
    static WRITER: RefCell<Option<WriteHalf<AsyncConnection>>> = const { RefCell::new(None) };
    static HAS_ENDED: Cell<bool> = const { Cell::new(false) };
}

struct Lines;

impl Route for Lines {
    fn describe() -> Description {
        Description {
            configuration: r#"{"type":"object"}"#.to_owned(),
            abilities: Abilities::DELIVER | Abilities::RUN,
        }
    }

    fn open(_configuration: String) -> Result<(), Failure> {
        let connection = AsyncConnection::open("line", 5_000).map_err(|error| failure(&error))?;
        let (reader, writer) = tokio::io::split(connection);
        WRITER.set(Some(writer));
        executor::spawn(read(reader));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        let mut writer = WRITER.take().ok_or_else(|| Failure::Reconnect("not open".to_owned()))?;
        let lines: Vec<u8> =
            batch.iter().flat_map(|one| [&one.message.payload[..], b"\n"].concat()).collect();
        let written = executor::block_on(writer.write_all(&lines));
        WRITER.set(Some(writer));
        written.map_err(|error| Failure::Reconnect(error.to_string()))?;
        Ok(Receipt { accepted: batch.len() as u32, rejected: Vec::new() })
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        executor::drive(until_ms);
        if HAS_ENDED.get() { Err(Failure::Reconnect("the other side has ended".to_owned())) } else { Ok(0) }
    }
}

/// Publishes received lines one by one, while the route runs and while it delivers.
async fn read(reader: ReadHalf<AsyncConnection>) {
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let topic = "lines/in".to_owned();
        let arrival =
            Arrival { topic, payload: line.into(), qos: QoS::AtLeastOnce, retain: false, properties: None };
        if ingest::publish(&[arrival]).is_err() {
            break;
        }
    }
    HAS_ENDED.set(true);
}

lotmq_guest::export_route!(Lines);

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};

    use lotmq_guest::route::testing::{delivery, published, refuse_published};
    use lotmq_guest::testing::set_endpoint;

    use super::*;

    /// The other side, to which the guest has connected.
    fn opened() -> (TcpStream, BufReader<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_endpoint("line", listener.local_addr().unwrap());
        Lines::open("{}".to_owned()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        (stream.try_clone().unwrap(), BufReader::new(stream))
    }

    #[test]
    fn messages_leave_as_lines() {
        let (_, mut lines) = opened();
        let receipt = Lines::deliver(vec![delivery("a", "one"), delivery("b", "two")]).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected.len()), (2, 0));
        let mut text = String::new();
        lines.read_line(&mut text).unwrap();
        lines.read_line(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn lines_come_as_messages_until_the_other_side_ends() {
        let (mut stream, lines) = opened();
        stream.write_all(b"first\nsecond\n").unwrap();
        let mut all = Vec::new();
        while all.len() < 2 {
            Lines::run(10).unwrap();
            all.extend(published().into_iter().map(|arrival| (arrival.topic, arrival.payload)));
        }
        let line = |text: &str| ("lines/in".to_owned(), text.as_bytes().to_vec());
        assert_eq!(all, [line("first"), line("second")]);
        drop((stream, lines));
        // It comes back at once when the task has ended, however long it may run.
        while Lines::run(u32::MAX).is_ok() {}
        assert!(matches!(Lines::run(10), Err(Failure::Reconnect(_))));
    }

    #[test]
    fn connection_end_between_runs_ends_the_next_run() {
        let (stream, lines) = opened();
        drop((stream, lines));
        while !HAS_ENDED.get() {
            executor::block_on(executor::sleep(std::time::Duration::from_millis(1)));
        }
        assert!(matches!(Lines::run(u32::MAX), Err(Failure::Reconnect(_))));
        // With no task left it waits for its time.
        Lines::run(10).unwrap_err();
    }

    #[test]
    fn failed_publish_ends_the_connection() {
        let (mut stream, _lines) = opened();
        refuse_published(Some(ingest::IngestError::NotStored));
        stream.write_all(b"line\n").unwrap();
        while Lines::run(10).is_ok() {}
        assert!(published().is_empty());
    }

    #[test]
    fn without_an_endpoint_it_is_not_opened() {
        assert!(
            matches!(Lines::open("{}".to_owned()), Err(Failure::Fatal(reason)) if reason.contains("'line'"))
        );
    }
}
