//! Files that were cut, flipped or never ours: an error or the right contents, never a panic, never
//! wrong contents.

use std::collections::BTreeSet;

use lotmq_changes::table::{BackupClass, Row, seal};
use lotmq_changes::*;
use lotmq_store::*;
use redb::{ReadableTable, TableDefinition};

use crate::fixture::{describe, fill};
use crate::support::*;

/// Longer files are not checked page by page whenever they are opened.
const CHECKED_AT_OPEN_BYTES_MAX: usize = 32 << 20;

/// Result of opening a damaged file.
enum Outcome {
    /// Refused; the file is as it was.
    Refused(OpenError),
    /// Opened with everything.
    Whole(String),
    /// Opened without what was put aside: what is there, piece by piece.
    Rescued(BTreeSet<String>),
}

/// Opens a directory of its own whose database is `bytes`, twice if something was put aside.
fn open_bytes(bytes: &[u8]) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lotmq.redb");
    std::fs::write(&path, bytes).unwrap();
    let checked = Store::check(directory.path());
    let _ = Store::export(directory.path(), &[BackupClass::Messages], &mut std::io::sink());
    assert!(std::fs::read(&path).unwrap() == bytes, "looking at a file changes nothing");
    match Store::open(options(directory.path()), Box::new(|_| {})) {
        Ok((_store, recovered)) if recovered.quarantined.is_empty() => Outcome::Whole(describe(&recovered)),
        Ok((store, recovered)) => {
            assert!(!checked.unwrap().is_empty(), "the check finds what a start puts aside");
            let kept = std::fs::read(directory.path().join("lotmq.redb.damaged")).unwrap();
            assert!(kept == bytes, "the damaged file stays as it was");
            drop(store);
            assert!(Store::check(directory.path()).unwrap().is_empty(), "what is left is whole");
            let (_store, again) = open(directory.path());
            assert_eq!(describe(&again), describe(&recovered));
            Outcome::Rescued(pieces(&recovered))
        }
        Err(error) => {
            assert!(
                checked.map_or(true, |damaged| !damaged.is_empty()),
                "the check finds what is refused: {error}"
            );
            assert!(std::fs::read(&path).unwrap() == bytes, "{error}: the file was changed");
            Outcome::Refused(error)
        }
    }
}

#[test]
fn nothing_is_committed_into_a_truncated_file() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    put_session(&store, 0, "before");
    let file = std::fs::OpenOptions::new().write(true).open(directory.path().join("lotmq.redb")).unwrap();
    file.set_len(4096).unwrap();
    for round in 0..3 {
        let mut batch = Batch::new();
        batch.push(Op::PutSession(&session(0, store.next_session_id(), "after")));
        let error = store.commit(batch).unwrap_err();
        assert!(error.to_string().contains("not stored"), "{round}: {error}");
        assert_eq!(store.failure(), Some(CommitErrorKind::Corrupted));
    }
    drop(store);
    assert_eq!(file.metadata().unwrap().len(), 4096, "nothing was written to it");
}

/// Every row and every message by itself.
fn pieces(recovered: &Recovered) -> BTreeSet<String> {
    fn all<T: std::fmt::Debug>(rows: &[T]) -> impl Iterator<Item = String> {
        rows.iter().map(|row| format!("{row:?}"))
    }
    let of_sessions = recovered.sessions.iter().flat_map(|session| {
        let queue = session.queue.iter().map(|delivery| format!("{:?}", delivery.message));
        queue.chain(all(&session.subscriptions)).chain([format!("{:?}", session.session)]).collect::<Vec<_>>()
    });
    of_sessions
        .chain(all(&recovered.tenants))
        .chain(all(&recovered.retained))
        .chain(all(&recovered.keeps))
        .chain(all(&recovered.delayed))
        .chain(all(&recovered.definitions))
        .chain(all(&recovered.modules))
        .chain(all(&recovered.projects))
        .chain(all(&recovered.settings))
        .chain(all(&recovered.environment))
        .chain(all(&recovered.secrets))
        .chain(recovered.users.iter().map(|user| format!("{user:?} {} {:?}", user.credential, user.settings)))
        .collect()
}

/// Random flips and cuts; more with `LOTMQ_FLIPS`.
fn flips() -> usize {
    std::env::var("LOTMQ_FLIPS").ok().map_or(150, |text| text.parse().unwrap())
}

fn sample() -> (Vec<u8>, BTreeSet<String>, String) {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    drop(store);
    Store::compact(directory.path()).unwrap();
    let bytes = std::fs::read(directory.path().join("lotmq.redb")).unwrap();
    let (_store, recovered) = open(directory.path());
    (bytes, pieces(&recovered), describe(&recovered))
}

#[test]
fn a_flipped_bit_is_an_error_or_harmless() {
    let (bytes, expected, description) = sample();
    let used: Vec<_> = (0..bytes.len()).filter(|place| bytes[*place] != 0).collect();
    let mut seed = 0x5eed_1234_5678_9abc;
    let (mut refused, mut rescued) = (0, 0);
    for case in 0..flips() {
        let number = random(&mut seed) as usize;
        // Most bytes of a small file are unused: three of four aim at one that is not.
        let place = if case % 4 == 0 { number % bytes.len() } else { used[number % used.len()] };
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (random(&mut seed) % 8);
        match open_bytes(&damaged) {
            Outcome::Whole(found) => assert_eq!(found, description, "byte {place}"),
            Outcome::Rescued(found) => {
                rescued += 1;
                let wrong: Vec<_> = found.difference(&expected).collect();
                assert!(wrong.is_empty(), "byte {place}: {wrong:?}");
            }
            Outcome::Refused(
                OpenError::Corrupted { .. }
                | OpenError::SchemaTooNew { .. }
                | OpenError::ProtectionDamaged { .. },
            ) => refused += 1,
            Outcome::Refused(other) => panic!("byte {place}: {other}"),
        }
    }
    assert!(refused > flips() / 100, "{refused} refused");
    assert!(rescued > flips() / 20, "{rescued} rescued");
}

#[test]
fn a_truncated_file_is_an_error_or_an_empty_start() {
    let (bytes, ..) = sample();
    for part in 1..40 {
        let len = bytes.len() * part / 40;
        match open_bytes(&bytes[..len]) {
            Outcome::Refused(OpenError::Corrupted { .. }) => {}
            Outcome::Refused(other) => panic!("{len}: {other}"),
            Outcome::Whole(_) | Outcome::Rescued(_) => panic!("{len} bytes opened"),
        }
    }
}

#[test]
fn a_file_that_is_none_of_ours_is_an_error_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut seed = 77;
    let noise: Vec<u8> = (0..100_000).map(|_| random(&mut seed) as u8).collect();
    for bytes in [Vec::new(), b"hello".to_vec(), noise, vec![0; 5_000_000]] {
        let path = directory.path().join("lotmq.redb");
        std::fs::write(&path, &bytes).unwrap();
        let error = Store::open(options(directory.path()), Box::new(|_| {})).unwrap_err();
        assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const PAYLOADS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("payloads");

/// A store of which a table was changed behind its back, with correct page checksums.
fn tampered(change: impl FnOnce(&redb::WriteTransaction)) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    // More groups, so that the log has a middle.
    let sessions = [put_session(&store, 0, "x"), put_session(&store, 0, "y")];
    for _ in 0..4 {
        let id = store.next_message_id();
        let deliveries = sessions.map(delivery);
        commit_with(&store, |batch| {
            batch.push(Op::Enqueue { message: message(id, "t", b"p"), deliveries: &deliveries });
        });
    }
    drop(store);
    let database = redb::Database::create(directory.path().join("lotmq.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
    directory
}

/// Opens a store of which a table was changed.
fn tamper(change: impl FnOnce(&redb::WriteTransaction)) -> Result<Recovered, OpenError> {
    let directory = tampered(change);
    let before = std::fs::read(directory.path().join("lotmq.redb")).unwrap();
    let opened = Store::open(options(directory.path()), Box::new(|_| {}));
    if opened.is_err() {
        assert!(std::fs::read(directory.path().join("lotmq.redb")).unwrap() == before);
    }
    opened.map(|(store, recovered)| {
        // It is used as any other.
        put_session(&store, 0, "new");
        recovered
    })
}

/// Flips a bit of a row's value.
fn flip(table: &str, key: &[u8]) -> Result<Recovered, OpenError> {
    tamper(|transaction| flip_row(transaction, table, key))
}

fn flip_row(transaction: &redb::WriteTransaction, table: &str, key: &[u8]) {
    let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(table);
    let mut rows = transaction.open_table(definition).unwrap();
    let mut value = rows.get(key).unwrap().expect("the row is there").value().to_vec();
    *value.last_mut().unwrap() ^= 1;
    rows.insert(key, value.as_slice()).unwrap();
}

fn flip_chunk(transaction: &redb::WriteTransaction, place: usize) -> u64 {
    let mut log = transaction.open_table(LOG).unwrap();
    let (key, mut value) = {
        let (key, value) = log.iter().unwrap().nth(place).unwrap().unwrap();
        (key.value(), value.value().to_vec())
    };
    *value.last_mut().unwrap() ^= 1;
    log.insert(key, value.as_slice()).unwrap();
    key
}

/// Rows of table `payloads` in a closed store.
fn payload_rows(directory: &std::path::Path) -> u64 {
    let tables = Store::stats(directory).unwrap().tables;
    tables.iter().find(|table| table.name == "payloads").unwrap().rows
}

fn queued(recovered: &Recovered, client_id: &str) -> Vec<u64> {
    let session = recovered.sessions.iter().find(|found| found.session.client_id == client_id);
    let session = session.unwrap_or_else(|| panic!("the session of {client_id}"));
    session.queue.iter().map(|delivery| delivery.message.id.0).collect()
}

fn reasons(recovered: &Recovered) -> Vec<String> {
    recovered.quarantined.iter().map(ToString::to_string).collect()
}

#[test]
fn a_changed_chunk_is_found_by_its_own_checksum() {
    for place in [0, 1, 2, 4] {
        let mut lsn = 0;
        let recovered = tamper(|transaction| lsn = flip_chunk(transaction, place)).unwrap();
        let expected = Corruption::Chunk { lsn, reason: "checksum does not match" };
        assert_eq!(reasons(&recovered), [expected.to_string()]);
        // The contents of the other chunks are there, in order.
        let all = [4, 5, 6, 7];
        let left: Vec<u64> =
            all.into_iter().enumerate().filter(|(at, _)| at + 1 != place).map(|(_, id)| id).collect();
        for client_id in ["x", "y"] {
            assert_eq!(queued(&recovered, client_id), left, "chunk {place}");
        }
    }
}

#[test]
fn a_missing_chunk_is_found_by_the_record_numbers() {
    let recovered = tamper(|transaction| {
        let mut log = transaction.open_table(LOG).unwrap();
        let middle = log.iter().unwrap().nth(2).unwrap().unwrap().0.value();
        log.remove(middle).unwrap();
    });
    let recovered = recovered.unwrap();
    assert!(reasons(&recovered)[0].starts_with("log continues at record"), "{:?}", reasons(&recovered));
    assert_eq!(queued(&recovered, "x"), [4, 6, 7]);
}

#[test]
fn a_missing_or_changed_payload_is_found_by_its_message() {
    for change in [true, false] {
        let recovered = tamper(|transaction| {
            let mut payloads = transaction.open_table(PAYLOADS).unwrap();
            let (key, mut value) = {
                let (key, value) = payloads.first().unwrap().unwrap();
                (key.value(), value.value().to_vec())
            };
            value[30_000] ^= 1;
            payloads.remove(key).unwrap();
            if change {
                payloads.insert(key, value.as_slice()).unwrap();
            }
        });
        let recovered = recovered.unwrap();
        assert_eq!(reasons(&recovered), ["message 2 is queued but its content is missing"]);
        assert_eq!(queued(&recovered, "sensor"), [1], "the others are there");
        assert_eq!(queued(&recovered, "x"), [4, 5, 6, 7]);
    }
}

#[test]
fn a_large_message_that_nobody_gets_any_more_leaves_the_file_with_a_rescue() {
    // Damaged is nothing, who says that the message is there, who is to get it.
    for (damage, left) in [("nothing", 1), ("chunk", 0), ("session", 0)] {
        let directory = tampered(|transaction| match damage {
            "chunk" => {
                flip_chunk(transaction, 0);
            }
            "session" => {
                flip_row(transaction, "sessions", &[&[0; 4], &1_u64.to_be_bytes()[..]].concat());
            }
            _ => {}
        });
        assert_eq!(payload_rows(directory.path()), 1);
        Store::quarantine(directory.path()).unwrap();
        assert_eq!(payload_rows(directory.path()), left, "{damage}");
        assert!(Store::check(directory.path()).unwrap().is_empty());
    }
}

#[test]
fn compacting_removes_large_messages_that_nobody_gets() {
    let directory = tampered(|transaction| {
        let mut payloads = transaction.open_table(PAYLOADS).unwrap();
        payloads.insert((900, 0), &[1; 50_000][..]).unwrap();
        payloads.insert((900, 1), &[1; 50][..]).unwrap();
    });
    assert_eq!(payload_rows(directory.path()), 3);
    let expected = describe(&open(directory.path()).1);
    Store::compact(directory.path()).unwrap();
    assert_eq!(payload_rows(directory.path()), 1);
    assert_eq!(describe(&open(directory.path()).1), expected);
}

#[test]
fn a_changed_row_is_found_and_named() {
    for (table, key, name) in [
        ("users", &b"\0\0\0\0root"[..], "(root)"),
        ("retained", b"\0\0\0\0site/temperature", "(site/temperature)"),
        ("keeps", b"\0\0\0\0counter", "(counter)"),
        ("delayed", b"\0\0\0\0\0\0\0\0\0\0\0\x07", "checksum"),
        ("definitions", b"\0\0\0\0\x06actionHeater", "(actionHeater)"),
        ("modules", b"\0\0\0\0Filter", "(Filter)"),
        ("projects", b"\0\0\0\0plant", "(plant)"),
        ("environment", b"\0\0\0\0SITE", "(SITE)"),
        ("secrets", b"\0\0\0\0TOKEN", "(TOKEN)"),
    ] {
        let recovered = flip(table, key).unwrap();
        let [found] = &reasons(&recovered)[..] else { panic!("{table}: {:?}", reasons(&recovered)) };
        assert!(found.starts_with(&format!("row of table '{table}' with key ")), "{found}");
        assert!(found.contains(name) && found.ends_with("checksum does not match"), "{found}");
        let row = &recovered.quarantined[0];
        assert_eq!((&*row.table, &*row.key), (table, key), "kept as it was");
        // That of the other tenant is there.
        assert!(!pieces(&recovered).is_empty());
        assert_eq!(recovered.users.len(), if table == "users" { 1 } else { 2 });
    }
}

/// A row of its own whose number is the highest that its field holds, as key and value.
fn row_at_the_end(table: &str) -> (Vec<u8>, Vec<u8>) {
    fn sealed(row: &impl Row) -> (Vec<u8>, Vec<u8>) {
        let key = row.key();
        let value = seal(&key, row);
        (key, value)
    }
    let (tenant, last, none) = (TenantId::DEFAULT, MessageId(u64::MAX), bytes::Bytes::new());
    match table {
        "retained" => sealed(&RetainedRow {
            tenant,
            topic: "end".into(),
            version: last,
            qos: 0,
            properties: none.clone(),
            payload: none,
            published_at_ms: 0,
            expires_at_ms: None,
            keeper: KeeperRow::Broker,
        }),
        "delayed" => sealed(&DelayedRow {
            tenant,
            id: last,
            due_at_ms: 0,
            topic: "end".into(),
            properties: none.clone(),
            payload: none,
            qos: 1,
            retain: false,
            expires_at_ms: None,
            user: None,
            client: None,
        }),
        "users" => sealed(&UserRow {
            tenant,
            name: "end".into(),
            credential: String::new(),
            credential_version: u64::MAX,
            is_default_credential: false,
            groups: Vec::new(),
            settings: Vec::new(),
            created_at_ms: 0,
        }),
        _ => sealed(&session(0, SessionId(u64::MAX), "end")),
    }
}

#[test]
fn rows_with_exhausted_identifiers_are_quarantined() {
    let start = open(tampered(|_| ()).path()).0;
    let expected = (start.next_message_id(), start.next_session_id());
    for table in ["retained", "delayed", "users", "sessions"] {
        let (key, value) = row_at_the_end(table);
        let directory = tampered(|transaction| {
            let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(table);
            let mut rows = transaction.open_table(definition).unwrap();
            rows.insert(key.as_slice(), value.as_slice()).unwrap();
        });
        let (store, recovered) = open(directory.path());
        let reasons = reasons(&recovered);
        let start = format!("row of table '{table}' with key ");
        assert!(reasons.len() == 1 && reasons[0].starts_with(&start), "{table}: {reasons:?}");
        assert_eq!((&*recovered.quarantined[0].table, &recovered.quarantined[0].key), (table, &key));
        let (message, session) = (store.next_message_id(), store.next_session_id());
        // A rescue skips numbers that the damaged rows may have had.
        assert!(message >= expected.0 && session >= expected.1, "{table}: no number comes twice");
        assert!(message.0 < 1 << 60 && session.0 < 1 << 60, "{table}: {message:?} {session:?}");
    }
}

#[test]
fn damaged_session_is_quarantined_with_its_subscriptions() {
    let first = 1_u64.to_be_bytes();
    let recovered = flip("sessions", &[&[0; 4], &first[..]].concat()).unwrap();
    let reasons = reasons(&recovered);
    let of_session = reasons.iter().filter(|reason| reason.ends_with("its session is damaged"));
    assert_eq!((reasons.len(), of_session.count()), (3, 2), "{reasons:?}");
    assert_eq!(queued(&recovered, "x"), [4, 5, 6, 7], "other sessions have what they had");
}

#[test]
fn damaged_rule_is_quarantined_only_by_explicit_command() {
    // A rule, and a thing whose kind cannot be told.
    for kind in ["rule", "rulf"] {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = open(directory.path());
        let definition = DefinitionRow {
            tenant: TenantId::DEFAULT,
            kind: kind.into(),
            name: "Readers".into(),
            source: "DEFINE RULE".into(),
            owner: String::new(),
            origin: String::new(),
            order: 1,
            changed_at_ms: 1,
            state: vec![],
        };
        commit_with(&store, |batch| batch.push(Op::PutDefinition(&definition)));
        drop(store);
        let path = directory.path().join("lotmq.redb");
        let mut bytes = std::fs::read(&path).unwrap();
        for at in
            (0..bytes.len() - 11).filter(|at| bytes[*at..].starts_with(b"DEFINE RULE")).collect::<Vec<_>>()
        {
            bytes[at] ^= 1;
        }
        std::fs::write(&path, &bytes).unwrap();
        let error = Store::open(options(directory.path()), Box::new(|_| {})).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, OpenError::ProtectionDamaged { .. }), "{text}");
        assert!(text.contains("Readers") && text.contains("lotmq store quarantine --data"), "{text}");
        assert!(std::fs::read(&path).unwrap() == bytes, "nothing was changed");

        let aside = Store::quarantine(directory.path()).unwrap();
        assert_eq!(aside.len(), 1);
        let (store, recovered) = open(directory.path());
        assert_eq!((recovered.definitions.len(), recovered.quarantined), (0, aside));
        drop(store);
        assert_eq!(Store::forget_quarantined(directory.path()).unwrap(), 1);
        assert!(open(directory.path()).1.quarantined.is_empty());
    }
    for key in [&b"store.sessions_reserved"[..], b"store.schema"] {
        let error = flip("meta", key).unwrap_err();
        assert!(matches!(error, OpenError::ProtectionDamaged { may_be_put_aside: false, .. }), "{error}");
    }
}

const QUEUES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("queues");

/// A file with rows in table `queues`, the places of their pages in it, and what it says. It is
/// longer by `ballast`.
fn sample_with_queues(ballast: usize) -> (Vec<u8>, Vec<std::ops::Range<usize>>, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lotmq.redb");
    let limits = Limits { entries_in_memory_max: 0, ..Limits::default() };
    let (store, _) =
        Store::open(StoreOptions { limits, ..options(directory.path()) }, Box::new(|_| {})).unwrap();
    fill(&store);
    store.commit(large_module(ballast)).unwrap();
    let sessions: Vec<_> = (0..120).map(|at| put_session(&store, 0, &format!("sensor-{at}"))).collect();
    for group in 0..20 {
        commit_with(&store, |batch| {
            for (at, session) in sessions.iter().enumerate().filter(|(at, _)| at % 4 == group % 4) {
                for _ in 0..=at % 5 {
                    let id = store.next_message_id();
                    batch.push(Op::Enqueue {
                        message: message(id, "t", b"p"),
                        deliveries: &[delivery(*session)],
                    });
                }
            }
        });
    }
    drop(store);
    Store::compact(directory.path()).unwrap();
    let description = describe(&open(directory.path()).1);
    let bytes = std::fs::read(&path).unwrap();
    let database = redb::Database::open(&path).unwrap();
    let reading = redb::ReadableDatabase::begin_read(&database).unwrap();
    let keys: Vec<[u8; 16]> = reading
        .open_table(QUEUES)
        .unwrap()
        .iter()
        .unwrap()
        .map(|row| row.unwrap().0.value())
        .filter(|key| key.1 > 0)
        .map(|(session, first)| [session.to_le_bytes(), first.to_le_bytes()].concat().try_into().unwrap())
        .collect();
    let pages = (0..bytes.len()).step_by(4096).map(|start| start..start + 4096);
    let has_keys = |page: &std::ops::Range<usize>| {
        let windows = bytes[page.clone()].windows(16);
        // Most of what the page has: two neighbours in a branch of the log may look like one, too.
        let count = usize::from(bytes[page.start + 2]) + 256 * usize::from(bytes[page.start + 3]);
        // redb's kinds of pages: 1 is a leaf, 2 a branch.
        [1, 2].contains(&bytes[page.start])
            && windows.filter(|bytes| keys.iter().any(|key| key == bytes)).count() > count / 2
    };
    let pages: Vec<_> = pages.filter(has_keys).collect();
    assert!(pages.len() > 4, "{} pages", pages.len());
    (bytes, pages, description)
}

pub(crate) fn large_module(bytes: usize) -> Batch {
    let mut batch = Batch::new();
    let row = ModuleRow {
        tenant: TenantId::DEFAULT,
        name: "Ballast".into(),
        is_former: false,
        world: "action".into(),
        options: String::new(),
        hash: [0; 32],
        component_bytes: bytes as u64,
        owner: String::new(),
        origin: String::new(),
        order: 3,
        changed_at_ms: 0,
    };
    batch.push(Op::PutModule { row: &row, component: vec![1; bytes].into() });
    batch
}

#[test]
fn a_flipped_bit_in_what_the_log_says_again_costs_nothing() {
    // A file that is checked page by page at every open, and one that is too large for that.
    for (ballast, cases) in [(0, flips() / 12), (CHECKED_AT_OPEN_BYTES_MAX, 1)] {
        let (bytes, pages, description) = sample_with_queues(ballast);
        let mut seed = 0x51de_0f11_0000_0001;
        for case in 0..cases {
            let page = pages[case % pages.len()].clone();
            let used: Vec<_> = page.filter(|place| bytes[*place] != 0).collect();
            let place = used[random(&mut seed) as usize % used.len()];
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << (random(&mut seed) % 8);
            match open_bytes(&damaged) {
                Outcome::Whole(found) => assert!(found == description, "byte {place}"),
                Outcome::Rescued(_) => panic!("byte {place}: something was put aside"),
                Outcome::Refused(error) => panic!("byte {place}: {error}"),
            }
        }
    }
}

#[test]
fn a_row_of_the_queues_that_is_changed_or_gone_is_found_by_the_check() {
    for is_gone in [true, false] {
        let (bytes, ..) = sample_with_queues(0);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lotmq.redb");
        std::fs::write(&path, bytes).unwrap();
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut queues = transaction.open_table(QUEUES).unwrap();
        let (key, mut value) = {
            let (key, value) = queues.iter().unwrap().nth(20).unwrap().unwrap();
            (key.value(), value.value().to_vec())
        };
        queues.remove(key).unwrap();
        if !is_gone {
            *value.last_mut().unwrap() ^= 1;
            queues.insert(key, value.as_slice()).unwrap();
        }
        drop(queues);
        transaction.commit().unwrap();
        drop(database);
        let found = Store::check(directory.path()).unwrap();
        let [Corruption::Row { table: "queues", .. }] = &found[..] else { panic!("{found:?}") };
        assert!(Store::quarantine(directory.path()).unwrap().is_empty(), "nothing is lost");
        assert!(Store::check(directory.path()).unwrap().is_empty());
    }
}

/// A file as `kill -9` leaves it between two commits, what it says piece by piece, and what it says
/// in words with and without the last commit.
fn killed_sample() -> (Vec<u8>, BTreeSet<String>, [String; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lotmq.redb");
    let limits = Limits { entries_in_memory_max: 40, ..Limits::default() };
    let (store, _) =
        Store::open(StoreOptions { limits, ..options(directory.path()) }, Box::new(|_| {})).unwrap();
    fill(&store);
    let sessions: Vec<_> = (0..40).map(|at| put_session(&store, 0, &format!("sensor-{at}"))).collect();
    let mut before = Vec::new();
    for _ in 0..20 {
        before = std::fs::read(&path).unwrap();
        commit_with(&store, |batch| {
            for session in &sessions {
                let message = message(store.next_message_id(), "t", &[9; 100]);
                batch.push(Op::Enqueue { message, deliveries: &[delivery(*session)] });
            }
        });
    }
    let bytes = std::fs::read(&path).unwrap();
    drop(store);
    let (_store, recovered) = open(directory.path());
    let Outcome::Whole(before) = open_bytes(&before) else { panic!("nothing is damaged in it") };
    (bytes, pieces(&recovered), [describe(&recovered), before])
}

#[test]
fn flipped_bit_in_a_file_that_was_not_closed_is_quarantined() {
    let (bytes, expected, descriptions) = killed_sample();
    let used: Vec<_> = (0..bytes.len()).filter(|place| bytes[*place] != 0).collect();
    let mut seed = 0x0ff5_e71e_57a7_0001;
    let mut rescued = 0;
    for _ in 0..flips() / 4 {
        let place = used[random(&mut seed) as usize % used.len()];
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (random(&mut seed) % 8);
        match open_bytes(&damaged) {
            // Damage in what the last commit has written looks as if it was torn by a power cut.
            Outcome::Whole(found) => assert!(descriptions.contains(&found), "byte {place}"),
            Outcome::Rescued(found) => {
                rescued += 1;
                let wrong: Vec<_> = found.difference(&expected).collect();
                assert!(wrong.is_empty(), "byte {place}: {wrong:?}");
            }
            Outcome::Refused(OpenError::Corrupted { .. } | OpenError::ProtectionDamaged { .. }) => {}
            Outcome::Refused(other) => panic!("byte {place}: {other}"),
        }
    }
    // The layout of the file varies, so the hit page differs from run to run.
    assert!(rescued > flips() / 64, "{rescued} rescued");
}
