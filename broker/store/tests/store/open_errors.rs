//! Errors of `open`: each failure has its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lotmq_changes::table::{BackupClass, SCHEMA_VERSION};
use lotmq_changes::*;
use lotmq_store::*;
use redb::TableDefinition;

use crate::support::*;

fn refusal(path: &Path) -> OpenError {
    Store::open(options(path), Box::new(|_| {})).unwrap_err()
}

#[test]
fn a_directory_in_use_is_refused_with_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    let expected = format!(
        "data directory '{}' is in use by process {}",
        directory.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    store.close();
    drop(open(directory.path()));
}

const DIRECTORY: &str = "LOTMQ_STORE_SECOND_DIRECTORY";

/// Run by the test below as the second process; says why it was refused.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    println!("refused: {}", refusal(directory.as_ref()));
}

#[test]
fn second_process_gets_an_error_with_the_pid_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let (_store, _) = open(directory.path());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "open_errors::child", "--nocapture"]).env(DIRECTORY, directory.path());
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(output.contains(&format!("is in use by process {}", std::process::id())), "{output}");
}

#[test]
fn a_directory_whose_holder_is_ending_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    // It ends, and stays a while as what it is then, since nobody has asked how it ended.
    let mut ended = Command::new("true").spawn().unwrap();
    let lock = directory.path().join("lotmq.lock");
    std::fs::write(&lock, ended.id().to_string()).unwrap();
    let held = std::fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1_500));
        drop(held);
    });
    drop(open(directory.path()));
    holder.join().unwrap();
    ended.wait().unwrap();
}

#[test]
fn a_path_that_is_no_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = refusal(&file);
    assert!(matches!(error, OpenError::NotDirectory { .. }), "{error}");
    assert_eq!(error.to_string(), format!("data directory '{}' is not a directory", file.display()));
    let below = file.join("below");
    assert!(matches!(refusal(&below), OpenError::NotWritable { .. }), "{}", refusal(&below));
}

#[test]
fn a_half_made_database_of_a_crashed_first_start_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("lotmq.redb.new"), vec![0; 100_000]).unwrap();
    let (_store, recovered) = open(directory.path());
    assert!(recovered.is_new);
    assert!(!directory.path().join("lotmq.redb.new").exists());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let path = directory.path().join("lotmq.redb");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let key = b"store.schema";
    let mut value = vec![1, 0, 0, 0, 0, 8];
    value.extend_from_slice(&9u64.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), &value[..1]), &value[5..]);
    value[1..5].copy_from_slice(&crc.to_be_bytes());
    let meta: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
    transaction.open_table(meta).unwrap().insert(&key[..], &value[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::SchemaTooNew { found: 9, known: SCHEMA_VERSION, .. }), "{error}");
}

#[test]
fn a_foreign_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let database = redb::Database::create(directory.path().join("lotmq.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let table: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    transaction.open_table(table).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refusal(directory.path());
    let OpenError::Corrupted { detail: Corruption::ForeignTable { table, .. }, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*table, "meta");
}

/// A small file system of its own, unmounted when dropped; `None` where we may not mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_at_start_is_refused_and_harms_no_file() {
    let Some(disk) = SmallDisk::mount(64 * 1024 * 1024) else {
        println!("skipped: a small file system cannot be mounted here");
        return;
    };
    let path = disk.0.path().join("data");
    let (store, _) = open(&path);
    put_session(&store, 0, "kept");
    drop(store);
    let files = |path: &Path| {
        let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect::<Vec<_>>()
    };
    let before = files(&path);
    let filler = disk.0.path().join("filler");
    let _ = std::fs::write(&filler, vec![1; 64 * 1024 * 1024]);

    let error = refusal(&path);
    assert!(matches!(error, OpenError::NoSpace { free_bytes, .. } if free_bytes < 1024 * 1024), "{error}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert!(files(&path) == before, "a file was changed");
    let error = refusal(&disk.0.path().join("new"));
    assert!(matches!(error, OpenError::NoSpace { .. }), "{error}");
    assert!(!disk.0.path().join("new").exists());

    std::fs::remove_file(filler).unwrap();
    let (_store, recovered) = open(&path);
    assert_eq!(recovered.sessions.len(), 1);
}

#[test]
fn a_disk_that_fills_up_fails_commits_and_recovers_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(48 * 1024 * 1024) else {
        println!("skipped: a small file system cannot be mounted here");
        return;
    };
    let path = disk.0.path().join("data");
    let (store, _) = open(&path);
    let session = put_session(&store, 0, "c");
    let payload = vec![1; 20_000];
    let mut stored = Vec::new();
    let enqueue = |stored: &mut Vec<u64>| {
        let id = store.next_message_id();
        let mut batch = Batch::new();
        batch.push(Op::Enqueue { message: message(id, "t", &payload), deliveries: &[delivery(session)] });
        let result = store.commit(batch);
        result.inspect(|()| stored.push(id.0))
    };
    let filler = disk.0.path().join("filler");
    std::fs::write(&filler, vec![1; 26 * 1024 * 1024]).unwrap();
    let error = loop {
        if let Err(error) = enqueue(&mut stored) {
            break error;
        }
    };
    let StoreError::CommitFailed(error) = error else { panic!("{error}") };
    assert_eq!(error.kind, CommitErrorKind::NoSpace, "{error}");
    assert!(enqueue(&mut stored).is_err(), "the disk is still full");
    std::fs::remove_file(filler).unwrap();
    // The file may be closed for the pause after a failed attempt to open it again. Batches that
    // are refused meanwhile are stored as well, later: not so many that they fill the disk again.
    while enqueue(&mut stored).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(store);
    let (_store, recovered) = open(&path);
    let found = queue(&recovered, session);
    assert!(stored.iter().all(|id| found.contains(id)), "{} of {}", found.len(), stored.len());
}

#[test]
fn a_store_on_a_read_only_file_system_can_be_looked_at_and_exported() {
    let Some(disk) = SmallDisk::mount(64 * 1024 * 1024) else {
        println!("skipped: a small file system cannot be mounted here");
        return;
    };
    let path = disk.0.path().join("data");
    let (store, _) = open(&path);
    put_session(&store, 0, "c");
    drop(store);
    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.0.path()).output().unwrap();
    assert!(remount.status.success(), "{remount:?}");
    assert_eq!(Store::check(&path).unwrap(), []);
    assert!(
        Store::stats(&path).unwrap().tables.iter().any(|table| (table.name, table.rows) == ("sessions", 1))
    );
    assert_eq!(Store::quarantined(&path).unwrap(), []);
    let mut export = Vec::new();
    Store::export(&path, &[BackupClass::Configuration, BackupClass::Sessions], &mut export).unwrap();
    let copy = tempfile::tempdir().unwrap();
    Store::import(&copy.path().join("data"), &mut &export[..]).unwrap();
    assert_eq!(open(&copy.path().join("data")).1.sessions.len(), 1);
    let error = Store::open(options(&path), Box::new(|_| {})).unwrap_err();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
}
