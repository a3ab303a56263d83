//! From MQTT to rows, with `tokio-postgres`: what waits, at most 1,000 messages, is one statement
//! over arrays, which is one transaction.

use std::sync::mpsc::{Receiver, Sender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use lotmq_client::{Message, ReasonCode};
use tokio::runtime::Runtime;
use tokio_postgres::{Client as Database, NoTls, Statement};

use super::{READY, say, subscriber, wait_for_the_end};

const BATCH: usize = 1000;

const INSERT: &str = "INSERT INTO t (topic, v) SELECT * FROM unnest($1::text[], $2::float8[])";

/// Carries so many messages. One thread speaks MQTT, another one SQL.
pub(super) fn carry(broker: &str, database: &str, messages: usize) {
    // A batch changes hands only while the other thread has nothing to do; until then it grows.
    let (to_write, batches) = sync_channel(0);
    let (committed, done) = channel();
    let database = database.to_owned();
    thread::spawn(move || write(&database, &batches, &committed));
    let mut client = subscriber(broker);
    say(READY);
    let (mut waiting, mut left) = (Vec::with_capacity(BATCH), messages);
    while left > 0 {
        if waiting.len() < BATCH {
            waiting.extend(client.receive(Duration::from_millis(1)).unwrap());
        }
        let is_full = waiting.len() == BATCH;
        if !waiting.is_empty() {
            match to_write.try_send(std::mem::take(&mut waiting)) {
                Ok(()) => waiting.reserve(BATCH),
                Err(TrySendError::Full(batch)) => waiting = batch,
                Err(TrySendError::Disconnected(_)) => panic!("the writer ended"),
            }
        }
        let wait = if is_full && !waiting.is_empty() { Duration::from_millis(1) } else { Duration::ZERO };
        while let Ok(batch) = done.recv_timeout(wait) {
            left -= acknowledge(&mut client, &batch);
        }
    }
    client.ping().unwrap();
    say(READY);
    wait_for_the_end();
}

fn acknowledge(client: &mut lotmq_client::Client, batch: &[Message]) -> usize {
    for message in batch {
        client.acknowledge(message, ReasonCode::Success).unwrap();
    }
    batch.len()
}

/// Writes each batch, and gives it back when it is committed.
fn write(database: &str, batches: &Receiver<Vec<Message>>, committed: &Sender<Vec<Message>>) {
    let (runtime, database, insert) = connect(database);
    for batch in batches {
        let topics: Vec<&str> = batch.iter().map(|message| message.topic.as_str()).collect();
        let values: Vec<f64> = batch.iter().map(|message| message.text().parse().unwrap()).collect();
        runtime.block_on(database.execute(&insert, &[&topics, &values])).unwrap();
        if committed.send(batch).is_err() {
            return;
        }
    }
}

/// Writes so many rows that nobody sends.
pub(super) fn write_from_memory(database: &str, rows: usize) {
    let (runtime, database, insert) = connect(database);
    let topics = vec!["in/0"; BATCH];
    let values = vec![81.5; BATCH];
    say(READY);
    for _ in 0..rows / BATCH {
        runtime.block_on(database.execute(&insert, &[&topics, &values])).unwrap();
    }
    say(READY);
    wait_for_the_end();
}

fn connect(database: &str) -> (Runtime, Database, Statement) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (database, insert) = runtime.block_on(async {
        let (database, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
        tokio::spawn(connection);
        let insert = database.prepare(INSERT).await.unwrap();
        (database, insert)
    });
    (runtime, database, insert)
}
