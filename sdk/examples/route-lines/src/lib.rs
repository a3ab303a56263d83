//! Example Route: writes each message as a line to the endpoint `line`, and publishes each line that comes from there to `lines/in`, with what the crate
//! tokio has for streams.

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

/// Publishes what comes, line by line. It goes on while the route runs and while it delivers.
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
