//! Life of a broker that nobody looks after: its file is rewritten again and again, an upgrade is
//! taken back, it is killed, programs fail.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lotmq_changes::table::SCHEMA_VERSION;
use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually};
use redb::TableDefinition;

use crate::backup::run_ok;
use crate::{LOTMQ, options};

/// Writes a file as tools for configuration do: beside it, and then in its place.
fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, file).unwrap();
}

/// Arguments of `lotmq` that name a file last.
fn run(arguments: &[&str], file: &Path) -> lotmq_test_support::Finished {
    Program::run(LOTMQ, &[arguments, &[file.to_str().unwrap()]].concat()).unwrap()
}

#[test]
fn a_configuration_file_that_is_written_again_and_again_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lotmq.toml");
    let good = "[broker]\nname = \"cabinet-7\"\n";
    fs::write(&file, good).unwrap();
    let mut broker = options().argument("--config").argument(&file).start();
    let mut client = broker.client("stays");
    client.subscribe_to("a", QoS::AtLeastOnce).unwrap();
    let lines = broker.log().all().len();
    // Each text with the line of the log that its first change causes.
    let texts = [
        (good, None),
        ("[broker]\nname = \"cabinet-8\"\n", Some("key=\"broker.name\"")),
        ("[broker]\nnmae = \"cabinet-8\"\n", Some("did you mean `broker.name`?")),
        ("[broker\n", Some("is not valid TOML")),
    ];
    for (number, (text, line)) in texts.into_iter().cycle().take(60).enumerate() {
        replace(&file, text);
        // Tools for configuration do so after a change.
        broker.hang_up();
        client.publish(&Publication::new("a", text).qos(QoS::AtLeastOnce)).unwrap();
        assert_eq!(client.receive(WAIT_MAX).unwrap().expect("it is the same connection").text(), text);
        // A slow broker reads the file once for several signals, so the first round waits for it.
        if let Some(line) = line.filter(|_| number < texts.len()) {
            broker.log().expect(line);
        }
    }
    // The broker reports the changes that take a restart, once each.
    let said: Vec<String> = broker.log().all().split_off(lines);
    // Warnings of the start, such as that of the default password, may come meanwhile.
    let first: Vec<&String> = said.iter().filter(|line| line.contains("WARN lotmq::serve::reload")).collect();
    assert_eq!(first.len(), 3, "60 rewritten files: {said:?}");
    assert!(
        first.iter().any(|line| line.contains("cabinet-7")
            && line.contains("cabinet-8")
            && line.contains("takes a restart")),
        "{said:?}"
    );
    // The last one is broken: it is refused before anything is restarted by it, and by a restart,
    // which names the line.
    let checked = run(&["config", "check", "--config"], &file);
    assert_ne!(checked.status.code(), Some(0));
    let place = format!("{}:1", file.display());
    assert!(checked.stderr.contains(&place) || checked.stdout.contains(&place), "{checked:?}");
    drop(client);
    assert!(broker.stop().success());
    let refused = options().argument("--config").argument(&file).fail();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("lotmq.toml"), "{refused:?}");
    replace(&file, "[broker]\nname = \"cabinet-8\"\n");
    broker.start_again();
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Config", QoS::AtMostOnce).unwrap();
    let config = root.receive(WAIT_MAX).unwrap().unwrap().text();
    assert!(config.contains(r#""Name":"cabinet-8""#), "{config}");
}

/// Makes the store say that a later version of lotmq has written it.
fn make_newer(store: &Path, version: u64) {
    let database = redb::Database::create(store).unwrap();
    let transaction = database.begin_write().unwrap();
    let key = b"store.schema";
    let mut value = vec![1, 0, 0, 0, 0, 8];
    value.extend_from_slice(&version.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), &value[..1]), &value[5..]);
    value[1..5].copy_from_slice(&crc.to_be_bytes());
    let meta: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
    transaction.open_table(meta).unwrap().insert(&key[..], &value[..]).unwrap();
    transaction.commit().unwrap();
}

fn retains(broker: &Broker, text: &str) {
    let message = Publication { retain: true, ..Publication::new("state", text).qos(QoS::AtLeastOnce) };
    assert!(!broker.client("publisher").publish(&message).unwrap().is_failure());
}

fn retained(broker: &Broker) -> String {
    let mut client = broker.connect(&ConnectOptions::v5("reader"));
    client.subscribe_to("state", QoS::AtMostOnce).unwrap();
    client.receive(WAIT_MAX).unwrap().expect("what was retained").text()
}

/// The steps of docs/install.md, "Back to the version before".
#[test]
fn an_upgrade_is_taken_back_by_the_backup_that_was_made_before() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("lotmq"), folder.path().join("before.zip"));
    let mut broker = options().data(&data).start();
    retains(&broker, "before the upgrade");
    broker.command_ok("-setSecret PUMP=s3cret");
    run_ok("backup", &broker, &backup, &[]);
    // The newer version ran, stored more, and wrote the store in its own way.
    retains(&broker, "after the upgrade");
    assert!(broker.stop().success());
    make_newer(&data.join("lotmq.redb"), 9);
    let newer = fs::read(data.join("lotmq.redb")).unwrap();

    let refused = options().data(&data).fail();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let reason = format!(
        "has schema version 9, this program knows versions up to {SCHEMA_VERSION}: a newer lotmq has written it"
    );
    assert!(refused.stderr.contains(&reason) && refused.stderr.contains("lotmq.redb"), "{refused:?}");
    assert!(fs::read(data.join("lotmq.redb")).unwrap() == newer, "nothing was changed in it");

    let aside = folder.path().join("lotmq.newer");
    fs::rename(&data, &aside).unwrap();
    let imported = run(&["store", "import", "--data", data.to_str().unwrap()], &backup);
    assert_eq!(imported.status.code(), Some(0), "{imported:?}");
    let told = &imported.stderr;
    assert!(told.contains("SECRETS_LOCKED") && told.contains("copy its secret.key into"), "{told}");
    // Started without it the broker says so, and keeps them.
    broker.start_again();
    let shown = broker.command_ok("-brokerStatus");
    assert_eq!(shown.data()["lockedSecrets"], serde_json::json!(["PUMP"]));
    let route = "-addRoute DEFINE ROUTE Log WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH FAIL GET SECRET \"PUMP\"\n";
    let warned = broker.command_ok(route).0["warnings"].to_string();
    assert!(warned.contains("SECRETS_LOCKED"), "{warned}");
    broker.command_ok("-removeRoute Log");
    assert!(broker.stop().success());
    fs::copy(aside.join("secret.key"), data.join("secret.key")).unwrap();
    broker.start_again();
    assert_eq!(retained(&broker), "before the upgrade");
    let secrets = broker.command_ok("-listSecrets").0.to_string();
    assert!(secrets.contains("PUMP"), "{secrets}");
}

/// The file with the key was lost: what it had encrypted is not told to be missing.
#[test]
fn lost_secret_key_is_reported_at_startup_and_by_programs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("lotmq");
    let mut broker = options().data(&data).start();
    let told = "the key of the secrets was gone and a new one was made";
    broker.command_ok("-setSecret DBPW=s3cret");
    broker.command_ok(
        "-addAction DEFINE ACTION Reads\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH (GET SECRET \"DBPW\")\n",
    );
    assert!(broker.stop().success());
    assert!(!broker.log().text().contains(told), "{}", broker.log().text());
    fs::remove_file(data.join("secret.key")).unwrap();
    broker.start_again();
    broker.log().expect(told);
    let mut errors = broker.root("errors");
    errors.subscribe_to("$SYS/Coreflux/Actions/Reads/Error", QoS::AtMostOnce).unwrap();
    broker.client("sends").publish(&Publication::new("in", "1").qos(QoS::AtLeastOnce)).unwrap();
    let error = errors.receive(WAIT_MAX).unwrap().expect("an error").text();
    let locked = "secret `DBPW` is stored, and the key of this broker does not open it (SECRETS_LOCKED)";
    assert!(error.contains(locked) && error.contains("LOT606"), "{error}");
    // Said once: it is the key from now on.
    assert!(broker.stop().success());
    broker.start_again();
    assert!(!broker.log().text().contains(told), "{}", broker.log().text());
}

/// Code and count of the last error of the action `Ratio`, as its topic says; `None` when that has
/// no message.
fn last_error(broker: &Broker) -> Option<(String, u64)> {
    let mut root = broker.root("reads errors");
    root.subscribe_to("$SYS/Coreflux/Actions/Ratio/#", QoS::AtMostOnce).unwrap();
    root.ping().unwrap();
    let messages = std::iter::from_fn(|| root.receive(Duration::from_millis(200)).unwrap());
    let error = messages.filter(|message| message.topic.ends_with("/Error")).last()?;
    let error: serde_json::Value = serde_json::from_slice(&error.payload).unwrap();
    Some((error["code"].as_str()?.to_owned(), error["count"].as_u64()?))
}

#[test]
fn the_last_error_of_a_definition_is_there_after_a_restart_and_costs_one_write_in_ten_minutes() {
    const RATIO: &str =
        "DEFINE ACTION Ratio\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH 1 / PAYLOAD\n";
    let mut broker = crate::broker();
    broker.command_ok(&format!("-addAction {RATIO}"));
    let fails = |broker: &Broker, times: u64| (0..times).for_each(|_| crate::send(broker, "in", "0"));
    let has = |broker: &Broker, count: u64| {
        eventually("the last error", || {
            (last_error(broker) == Some(("LOT602".to_owned(), count))).then_some(())
        });
    };
    fails(&broker, 1);
    has(&broker, 1);
    // It is durable as kept values are, and those that follow are not written: a kill takes them,
    // ...
    std::thread::sleep(Duration::from_millis(500));
    fails(&broker, 5);
    has(&broker, 6);
    broker.kill();
    broker.start_again();
    has(&broker, 1);
    // ... but not a stop.
    fails(&broker, 2);
    has(&broker, 3);
    fails(&broker, 1);
    broker.stop();
    broker.start_again();
    has(&broker, 4);
    let status = broker.command_ok("-brokerStatus").0.to_string();
    assert!(status.contains("LOT602"), "{status}");
    // Another version has none, nor has what was removed.
    broker.command_ok(&format!("-addAction {RATIO}"));
    assert_eq!(last_error(&broker), None);
    fails(&broker, 1);
    has(&broker, 1);
    broker.stop();
    broker.start_again();
    has(&broker, 1);
    broker.command_ok("-removeAction Ratio");
    broker.command_ok(&format!("-addAction {RATIO}"));
    broker.stop();
    broker.start_again();
    assert_eq!(last_error(&broker), None);
    assert!(!broker.command_ok("-listKept").0.to_string().contains("Ratio"));
}

/// The kernel ends a process that takes too much memory by the same signal: what follows is what
/// the unit says.
#[test]
fn killed_service_restarts_with_acknowledged_messages() {
    let unit = include_str!("../../packaging/lotmq.service");
    let has = |line: &str| assert!(unit.lines().any(|found| found == line), "the unit has no {line}");
    has("Restart=always");
    has("StartLimitIntervalSec=0");
    let mut broker = crate::broker();
    retains(&broker, "acknowledged");
    broker.kill();
    broker.start_again();
    assert_eq!(retained(&broker), "acknowledged");
}
