//! `lotmq store`: what it says of a real broker's data, and a move to another machine.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use lotmq_changes::table::SCHEMA_VERSION;
use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, Finished, Program, WAIT_MAX};
use serde_json::Value;

use crate::{LOTMQ, modules, options};

fn store(arguments: &[&str], data: &Path) -> Finished {
    Program::run(LOTMQ, &[&["store"], arguments, &["--data", data.to_str().unwrap()]].concat()).unwrap()
}

#[test]
fn an_exported_store_serves_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let (data, moved, file) =
        (place.path().join("data"), place.path().join("moved"), place.path().join("all"));
    let mut broker = options().data(&data).start();
    let session = ConnectOptions { clean_start: false, ..ConnectOptions::new("sleeper") };
    let mut sleeper = broker.connect(&session);
    sleeper.subscribe_to("q", QoS::AtLeastOnce).unwrap();
    sleeper.disconnect().unwrap();
    let mut client = broker.client("c");
    for payload in ["1", "2"] {
        client.publish(&Publication::new("q", payload).qos(QoS::AtLeastOnce)).unwrap();
    }
    broker.command_ok("-setEnv SITE=north");
    let in_use = store(&["stats"], &data);
    assert_eq!(in_use.status.code(), Some(1));
    assert!(in_use.stderr.contains(&broker.process_id().to_string()), "{}", in_use.stderr);
    broker.stop();

    let stats = store(&["stats"], &data);
    assert!(stats.output().lines().any(|line| line.starts_with("environment ")), "{}", stats.stdout);
    let schema = format!("schema version {}", SCHEMA_VERSION);
    assert_eq!(store(&["check"], &data).output(), format!("{schema}\nno damage found"));
    assert_eq!(store(&["compact"], &data).status.code(), Some(0));
    let file = file.to_str().unwrap();
    assert_eq!(store(&["export", file], &data).status.code(), Some(0));
    let again = store(&["export", file], &data);
    assert!(again.stderr.contains("exists; it is not overwritten"), "{}", again.stderr);
    assert_eq!(store(&["import", file], &moved).status.code(), Some(0));
    let twice = store(&["import", file], &moved);
    assert!(twice.stderr.contains("exists"), "{}", twice.stderr);

    let broker = options().data(&moved).start();
    assert!(broker.command_ok("-listEnv").data().to_string().contains("north"));
    let mut sleeper = broker.connect(&session);
    let got: Vec<String> = (0..2).map(|_| sleeper.receive(WAIT_MAX).unwrap().unwrap().text()).collect();
    assert_eq!(got, ["1", "2"]);
}

/// Files that root imports for a service belong to the service.
#[test]
fn files_imported_by_root_belong_to_the_folder_owner() {
    if !rustix::process::geteuid().is_root() {
        #[allow(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: only root can give files away");
        }
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (data, moved, file) =
        (place.path().join("data"), place.path().join("moved"), place.path().join("all"));
    assert!(options().data(&data).start().stop().success());
    let file = file.to_str().unwrap();
    assert_eq!(store(&["export", file], &data).status.code(), Some(0));
    std::fs::create_dir(&moved).unwrap();
    std::os::unix::fs::chown(&moved, Some(4711), Some(4712)).unwrap();
    assert_eq!(store(&["import", file], &moved).status.code(), Some(0));
    for name in ["lotmq.redb", "lotmq.lock"] {
        let made = std::fs::metadata(moved.join(name)).unwrap();
        assert_eq!((made.uid(), made.gid()), (4711, 4712), "{name}");
    }
}

/// Says in a file that a store of this version has written it.
fn put_schema(file: &Path, version: u64) {
    let database = redb::Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let (key, body) = (b"store.schema", [&[8][..], &version.to_be_bytes()].concat());
        let checksum = crc32c::crc32c(&[&key[..], &[1], &body].concat());
        let value = [&[1][..], &checksum.to_be_bytes(), &body].concat();
        let mut table = transaction.open_table(redb::TableDefinition::<&[u8], &[u8]>::new("meta")).unwrap();
        table.insert(&key[..], value.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

/// An earlier version of the broker reports a later store, and leaves it as it was.
#[test]
fn a_store_of_a_later_version_is_refused_and_stays_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut broker = options().data(&data).start();
    broker.command_ok("-setEnv SITE=north");
    broker.stop();
    let (known, later) = (SCHEMA_VERSION, SCHEMA_VERSION + 7);
    put_schema(&data.join("lotmq.redb"), later);
    let before = std::fs::read(data.join("lotmq.redb")).unwrap();
    let refused = options().data(&data).fail();
    let expected = [format!("schema version {later}"), format!("{known}")];
    assert_ne!(refused.status.code(), Some(0));
    assert!(expected.iter().all(|text| refused.stderr.contains(text)), "{}", refused.stderr);
    for command in ["check", "stats", "compact", "quarantine"] {
        let said = store(&[command], &data);
        assert_eq!(said.status.code(), Some(1), "{command}: {}", said.stdout);
        assert!(expected.iter().all(|text| said.stderr.contains(text)), "{command}: {}", said.stderr);
    }
    let passwd = Program::run(LOTMQ, &["passwd", "root", "--data", data.to_str().unwrap()]).unwrap();
    assert_ne!(passwd.status.code(), Some(0));
    assert!(std::fs::read(data.join("lotmq.redb")).unwrap() == before, "nothing is written");
}

#[test]
fn store_tools_do_not_change_a_closed_store() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let fixture = format!("../store/tests/fixtures/schema-{SCHEMA_VERSION}.redb");
    std::fs::create_dir_all(&data).unwrap();
    let file = data.join("lotmq.redb");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture), &file).unwrap();
    let before = std::fs::read(&file).unwrap();
    let version = format!("version {SCHEMA_VERSION}");
    for (command, line) in [
        ("check", format!("schema {version}\nno damage found")),
        ("quarantine", format!("schema {version}\n0 rows are put aside")),
        ("stats", format!("schema   {version}")),
    ] {
        let finished = store(&[command], &data);
        assert_eq!(finished.status.code(), Some(0), "{command}: {}", finished.stderr);
        assert!(finished.stdout.contains(&line), "{command}: {}", finished.stdout);
    }
    let exported = place.path().join("all");
    let finished = store(&["export", exported.to_str().unwrap()], &data);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(std::fs::read(&file).unwrap() == before, "nothing was changed");
    assert!(!data.join("lotmq.redb.damaged").exists(), "nothing was damaged");
    let moved = place.path().join("moved");
    let finished = store(&["import", exported.to_str().unwrap()], &moved);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
}

#[test]
fn damage_is_named_and_is_an_exit_code() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    assert_eq!(store(&["check"], &data).status.code(), Some(1));
    options().data(&data).start().stop();
    let file = data.join("lotmq.redb");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let checked = store(&["check"], &data);
    assert_eq!(checked.status.code(), Some(1));
    assert!(checked.stdout.contains("damaged: "), "{}", checked.stdout);
    let refused = options().data(&data).fail();
    let said = refused.stderr.lines().last().unwrap();
    for expected in
        ["lotmq.redb' is corrupted", "`lotmq store check --data", "`lotmq store import FILE --data"]
    {
        assert!(said.contains(expected), "{said}");
    }
}

/// Places of the pages that redb takes for leaves of its trees.
pub(crate) fn leaves(bytes: &[u8]) -> impl Iterator<Item = usize> {
    const PAGE_BYTES: usize = 4096;
    const LEAF: u8 = 1;
    (0..bytes.len()).step_by(PAGE_BYTES).filter(|page| bytes[*page] == LEAF)
}

#[test]
fn panics_of_the_database_are_contained_and_not_printed() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut broker = options().data(&data).start();
    let mut client = broker.client("c");
    for number in 0..200 {
        let message = Publication::new(format!("kept/{number}"), "retained").retained();
        client.publish(&message.qos(QoS::AtLeastOnce)).unwrap();
    }
    broker.stop();
    let file = data.join("lotmq.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    let whole = bytes.clone();
    // The second key of every leaf begins far beyond it.
    leaves(&whole).for_each(|leaf| bytes[leaf + 4..leaf + 8].fill(0xff));
    std::fs::write(&file, &bytes).unwrap();
    let exported = place.path().join("all");
    for command in [&["check"][..], &["stats"], &["quarantine"], &["export", exported.to_str().unwrap()]] {
        let said = store(command, &data);
        assert_eq!(said.status.code(), Some(1), "{command:?}: {}", said.stderr);
        assert!(!said.stderr.contains("panicked at"), "{command:?}: {}", said.stderr);
        // Variables of whoever runs the tests may be pointed out besides.
        let errors = said.stderr.lines().filter(|line| !line.starts_with("warning: environment variable"));
        assert!(errors.count() <= 1, "{command:?}: {}", said.stderr);
    }
    let refused = options().data(&data).fail();
    assert!(!refused.stderr.contains("panicked at"), "{}", refused.stderr);
    assert!(refused.stderr.contains("the database panicked"), "{}", refused.stderr);
}

/// Flips a bit of everything that is written so in the file.
fn damage(data: &Path, text: &str) {
    let file = data.join("lotmq.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    let places: Vec<usize> = bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, window)| *window == text.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "{text} is in the file");
    places.into_iter().for_each(|at| bytes[at] ^= 0x20);
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn damaged_rows_are_quarantined_and_other_rows_stay_available() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut broker = options().data(&data).start();
    broker.command_ok("-setEnv SITE=the-north-wing");
    broker.command_ok("-setEnv LINE=7");
    let mut client = broker.client("c");
    for topic in ["kept/a", "kept/b"] {
        let text = format!("retained-on-{topic}");
        client.publish(&Publication::new(topic, text).retained().qos(QoS::AtLeastOnce)).unwrap();
    }
    broker.stop();
    damage(&data, "the-north-wing");
    damage(&data, "retained-on-kept/a");
    let checked = store(&["check"], &data);
    assert_eq!(checked.status.code(), Some(1));
    for id in ["'environment'", "(SITE)", "'retained'", "(kept/a)"] {
        assert!(checked.stdout.contains(id), "{}", checked.stdout);
    }

    broker.start_again();
    let said = broker.log().expect("(kept/a)");
    assert!(said.contains("ERROR"), "{said}");
    assert_eq!(broker.metric("lotmq_store_quarantined_rows"), Some(2.0));
    assert!(broker.http("/health").body.contains(r#""quarantined_rows":2"#));
    let environment = broker.command_ok("-listEnv").data().to_string();
    assert!(environment.contains("LINE") && !environment.contains("SITE"), "{environment}");
    let mut reader = broker.root("reader");
    reader.subscribe_to("kept/#", QoS::AtLeastOnce).unwrap();
    assert_eq!(reader.receive(WAIT_MAX).unwrap().unwrap().text(), "retained-on-kept/b");
    reader.subscribe_to("$SYS/Coreflux/Store/Quarantine", QoS::AtLeastOnce).unwrap();
    let listed = reader.receive(WAIT_MAX).unwrap().unwrap().text();
    assert!(listed.contains("(SITE)") && listed.contains("(kept/a)"), "{listed}");

    // It is said again at every start, until somebody has seen it.
    broker.kill();
    broker.start_again();
    broker.log().expect("(SITE)");
    broker.stop();
    let checked = store(&["check"], &data);
    assert_eq!(checked.status.code(), Some(0), "{}", checked.stderr);
    assert!(
        checked.stdout.contains("put aside: ") && checked.stdout.contains("no damage found"),
        "{}",
        checked.stdout
    );
    assert!(
        store(&["stats"], &data)
            .stdout
            .lines()
            .any(|line| { line.split_whitespace().take(2).eq(["quarantine", "2"]) })
    );
    assert_eq!(store(&["quarantine", "--forget"], &data).output(), "2 rows removed");
    broker.start_again();
    assert_eq!(broker.metric("lotmq_store_quarantined_rows"), Some(0.0));
}

#[test]
fn damaged_modules_are_listed_with_their_reason_after_a_start() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut broker = options().data(&data).start();
    let add_row = format!(
        "-addModule row -world action -on raw/# -grantAll -version of-the-damaged-row wasm64:{}",
        modules::scale()
    );
    broker.command_ok(&add_row);
    let code = modules::compiled(
        "DEFINE ACTION Code\nON TOPIC \"raw\" DO\n    PUBLISH TOPIC \"x\" WITH \"of-the-damaged-component\"\n",
    );
    let add_code = format!("-addModule code -world action -on raw/# -grantAll wasm64:{code}");
    broker.command_ok(&add_code);
    broker.stop();
    damage(&data, "of-the-damaged-row");
    damage(&data, "of-the-damaged-component");
    broker.start_again();
    let listed = |broker: &Broker| {
        let reply = broker.command_ok("-listModules");
        let rows = reply.data().as_array().unwrap().clone();
        let cell = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows = rows.iter().map(|row| ["name", "state", "reason"].map(|key| cell(row, key)));
        rows.collect::<Vec<_>>()
    };
    let found = listed(&broker);
    assert_eq!(found.len(), 2, "{found:?}");
    for ([name, state, reason], (expected, why)) in
        found.iter().zip([("code", "component is damaged"), ("row", "checksum does not match")])
    {
        assert_eq!((&**name, &**state), (expected, "damaged"));
        assert!(reason.contains(why), "{reason}");
    }
    let errors = broker.command_ok("-brokerStatus").data()["errors"].clone();
    let of_modules = errors.as_array().unwrap().iter().filter(|row| row["code"] == "NOT_RESTORED");
    assert_eq!(of_modules.map(|row| row["name"].clone()).collect::<Vec<_>>(), ["code", "row"]);
    let told = broker.command_ok("-moduleInfo row");
    assert!(told.message().contains("is damaged"), "{told:?}");
    for name in ["code", "row"] {
        let removed = broker.command(&format!("-removeModule {name}"));
        assert_eq!(removed.code(), "MODULE_NOT_FOUND", "its row is put aside");
    }
    broker.command_ok(&add_code);
    broker.command_ok(&add_row);
    let whole = |broker: &Broker| {
        let found = listed(broker);
        let found: Vec<_> = found.iter().map(|row| [&*row[0], &*row[1]]).collect();
        assert_eq!(found, [["code", "enabled"], ["row", "enabled"]]);
    };
    whole(&broker);
    broker.stop();
    broker.start_again();
    whole(&broker);
}

#[test]
fn a_damaged_root_does_not_become_one_with_the_default_password() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut broker = options().data(&data).start();
    broker.command_ok("-addUser ada hopper-1906-cobol");
    broker.command_ok("-changeUserPassword root lovelace-1815");
    broker.stop();
    damage(&data, "$argon2id$v=19$");
    broker.start_again();
    broker.log().expect("root may be among the damaged users");
    for password in ["coreflux", "lovelace-1815"] {
        let options = ConnectOptions::new("r").user("root", password);
        assert!(lotmq_client::Client::connect(broker.address(), &options).is_err(), "{password}");
    }
    let ada = ConnectOptions::new("a").user("ada", "hopper-1906-cobol");
    assert!(
        lotmq_client::Client::connect(broker.address(), &ada).is_err(),
        "what cannot be read lets nobody in"
    );
}
