//! Fuzz functions that pass foreign bytes to all code that reads the file's contents.
//!
//! The fuzz targets and the replay of their corpus are thin wrappers round these functions.
//! Checksums are passed by on purpose: behind them a fuzzer would see nothing. Not for production
//! use: both panic by design when one of the crate's promises is broken.

use std::fmt::Debug;

use lotmq_changes::encoding::Decoder;
use lotmq_changes::record::{Body, Deliveries, Record, decode_body, frames};
use lotmq_changes::table::{ArchiveRow, AuditRow, ComponentRow, Row, SecretRow, read, seal};
use lotmq_changes::{
    DefinitionRow, DelayedRow, EnvironmentRow, KeepRow, MetaRow, ModuleRow, ProjectRow, RetainedRow,
    SessionId, SessionRow, SettingRow, SubscriptionRow, TenantRow, UserRow,
};

use crate::log::chunk::Chunk;
use crate::log::index::LogIndex;
use crate::log::replay::NoPages;

/// Sessions 1 to this many exist in [`fuzz_log`]; records of others are of sessions that are gone.
const SESSIONS: u64 = 4;

/// Reads `bytes` as a chunk of the log, then as the records in one: decoded, taken into an index,
/// and every body opened.
pub fn fuzz_log(bytes: &[u8]) {
    let _ = Chunk::decode(1, bytes);
    let mut index = LogIndex::new((1..=SESSIONS).map(SessionId));
    index.begin_chunk();
    for frame in frames(bytes) {
        let Ok(frame) = frame else { break };
        let read = Record::decode(frame).map(|record| open(&record));
        let applied = index.apply(frame, &NoPages);
        if read.is_err() || applied.is_err() {
            break;
        }
    }
    index.chunks.end(bytes.len());
    index.go_live();
    for session in 1..=SESSIONS {
        let deleted = index.delete_session(SessionId(session), &NoPages);
        assert!(matches!(deleted, Ok(false)), "nothing was written");
    }
    assert_eq!(index.deliveries(), 0, "a delivery lives only as long as its session");
    assert_eq!(index.chunks.live_bytes(), 0, "nothing is alive when nobody is left");
}

/// Reads whatever a record holds.
fn open(record: &Record<'_>) {
    let all = |deliveries: &Deliveries<'_>| {
        deliveries.flatten().for_each(|delivery| drop(delivery.subscription_ids()));
    };
    match record {
        Record::Message { id, body, deliveries, .. } => {
            if let Body::Inline(body) = body {
                let _ = decode_body(*id, body);
            }
            all(deliveries);
        }
        Record::Deliveries { deliveries, .. } => all(deliveries),
        Record::Dequeue { .. }
        | Record::Inflight { .. }
        | Record::Pubrec { .. }
        | Record::Pubcomp { .. }
        | Record::Qos2Received { .. }
        | Record::Qos2Released { .. } => {}
    }
}

/// Reads `bytes` as `length of the key u8, key, body` of a row of every table; what is accepted
/// must come back from being written.
pub fn fuzz_row(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first() else { return };
    let Some((key, body)) = rest.split_at_checked(usize::from(*len)) else { return };
    row::<MetaRow>(key, body);
    row::<TenantRow>(key, body);
    row::<SessionRow>(key, body);
    row::<SubscriptionRow>(key, body);
    row::<RetainedRow>(key, body);
    row::<KeepRow>(key, body);
    row::<DelayedRow>(key, body);
    row::<DefinitionRow>(key, body);
    row::<ModuleRow>(key, body);
    row::<ComponentRow>(key, body);
    row::<ProjectRow>(key, body);
    row::<ArchiveRow>(key, body);
    row::<SettingRow>(key, body);
    row::<EnvironmentRow>(key, body);
    row::<SecretRow>(key, body);
    row::<AuditRow>(key, body);
    row::<UserRow>(key, body);
}

fn row<R: Row + PartialEq + Debug>(key: &[u8], body: &[u8]) {
    let _ = read::<R>(key, body);
    let (mut key, mut body) = (Decoder::new(key, "key"), Decoder::new(body, "body"));
    let Ok(row) = R::decode(&mut key, &mut body) else { return };
    if !key.is_empty() || !body.is_empty() {
        return;
    }
    let key = row.key();
    assert_eq!(read::<R>(&key, &seal(&key, &row)).as_ref(), Ok(&row), "a row comes back as it was written");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(target: &str, run: fn(&[u8])) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/").to_owned() + target;
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus of {target} is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            run(&bytes);
            (0..bytes.len()).for_each(|end| run(&bytes[..end]));
            for index in 0..bytes.len() {
                let mut changed = bytes.clone();
                for value in [0, 1, 0x7f, 0x80, 0xff, bytes[index].wrapping_add(1), bytes[index] ^ 0x10] {
                    changed[index] = value;
                    run(&changed);
                }
            }
        }
    }

    #[test]
    fn corpus_of_the_log_replays() {
        replay("log", fuzz_log);
    }

    #[test]
    fn corpus_of_rows_replays() {
        replay("row", fuzz_row);
    }
}
