//! Disks that are full, read-only, broken or slow: who is told what, who notices nothing, and what
//! is there afterwards.
//!
//! A file says what the disk does (see `disk:` in the store's faults), so that a test decides the
//! very moment. One more, on a small file system of its own where that may be mounted, shows that a
//! real full disk looks the same.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lotmq_client::{Client, ClientError, ConnectOptions, ProtocolVersion, Publication, QoS, ReasonCode};
use lotmq_codec::{Properties, SubscriptionOptions};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX, eventually};
use tempfile::TempDir;

use crate::options;
use crate::small_disk::SmallDisk;

/// A broker on a disk that does what it is told.
pub(crate) struct Sick {
    pub(crate) broker: Broker,
    state: PathBuf,
    _place: TempDir,
}

impl Sick {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// With environment variables.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("disk");
        let options = options().prepared();
        let options = variables.iter().fold(options, |options, (name, value)| options.variable(name, value));
        let broker = on_disk(options, &state).start();
        Self { broker, state, _place: place }
    }

    /// `full`, `read-only`, `write-eio`, `sync-eio`, `hang`.
    pub(crate) fn becomes(&self, state: &str) {
        let new = self.state.with_extension("new");
        std::fs::write(&new, state).unwrap();
        std::fs::rename(&new, &self.state).unwrap();
    }

    pub(crate) fn heals(&self) {
        std::fs::remove_file(&self.state).unwrap();
    }

    pub(crate) fn wait_until_healthy(&self) {
        wait_for_health(&self.broker, 200);
    }
}

fn on_disk(options: BrokerOptions, state: &Path) -> BrokerOptions {
    options.variable("LOTMQ_STORE_FAULT", &format!("disk:{}", state.display()))
}

/// Faults of a disk, with the code that 5.0 Clients get and the report of the health port.
const SICK: [(&str, ReasonCode, &str); 4] = [
    ("full", ReasonCode::QuotaExceeded, "the disk of the broker is full"),
    ("read-only", ReasonCode::ImplementationSpecificError, "the disk of the broker fails"),
    ("write-eio", ReasonCode::ImplementationSpecificError, "the disk of the broker fails"),
    ("sync-eio", ReasonCode::ImplementationSpecificError, "the disk of the broker fails"),
];

fn sleeper() -> ConnectOptions {
    ConnectOptions::v5("sleeper").clean_start(false).session_expiry(3600)
}

fn send_to_sleep(broker: &Broker) {
    let mut client = broker.connect(&sleeper());
    assert!(!client.subscribe_to("kept", QoS::ExactlyOnce).unwrap().is_failure());
    client.disconnect().unwrap();
}

fn kept(text: &str) -> Publication {
    Publication::new("kept", text).qos(QoS::AtLeastOnce)
}

fn wait_for_health(broker: &Broker, status: u16) -> String {
    eventually(&format!("health {status}"), || {
        Some(broker.http("/health")).filter(|health| health.status == status)
    })
    .body
}

/// Everything of QoS 0, and of sessions that end with their connection, works as ever.
fn others_notice_nothing(broker: &Broker) {
    let mut passing = broker.connect(&ConnectOptions::v5("passing"));
    passing.subscribe_to("live/#", QoS::AtLeastOnce).unwrap();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let sent = passing.publish(&Publication::new("live/a", "1").qos(qos)).unwrap();
        assert!(!sent.is_failure(), "{sent}");
        assert_eq!(passing.receive(WAIT_MAX).unwrap().unwrap().text(), "1");
    }
    // For a session that is away nothing of QoS 0 is kept.
    passing.publish(&Publication::new("kept", "0")).unwrap();
    passing.ping().unwrap();
    assert_eq!(broker.command("-listUsers").0["success"], true);
}

/// Nobody knows what becomes of a change while the disk hangs, but whoever asks for it is not left
/// waiting for that.
#[test]
fn change_during_a_disk_hang_fails_and_later_changes_fail_at_once() {
    let mut sick = Sick::new();
    let broker = &sick.broker;
    sick.becomes("hang");
    let first = broker.command("-setEnv SITE=north");
    assert_eq!(first.code(), "STORE_FAILED", "{first:?}");
    assert!(first.message().contains("the disk has not answered for 20 s. It is in force"), "{first:?}");
    for command in ["-setEnv SITE=south", "-addUser bob pw", "-removeAllActions"] {
        let refused = broker.command(command);
        assert_eq!(refused.code(), "STORE_FAILED", "{refused:?}");
        assert!(refused.message().contains("Nothing has changed."), "{refused:?}");
    }
    assert_eq!(broker.command("-listUsers").0["success"], true);
    sick.heals();
    eventually("changes are stored again", || {
        Some(()).filter(|()| broker.command("-setEnv LINE=7").0["success"] == true)
    });
    sick.broker.kill();
    sick.broker.start_again();
    let variables = sick.broker.command_ok("-listEnv").0.to_string();
    assert!(variables.contains("north") && !variables.contains("south"), "{variables}");
    let users = sick.broker.command_ok("-listUsers").0.to_string();
    assert!(!users.contains("bob"), "{users}");
}

#[test]
fn nothing_is_acknowledged_that_the_disk_does_not_take_and_all_goes_on_when_it_does() {
    for (state, code, reason) in SICK {
        let mut sick = Sick::new();
        let broker = &sick.broker;
        send_to_sleep(broker);
        let mut v5 = broker.connect(&ConnectOptions::v5("five"));
        assert!(!v5.publish(&kept("before")).unwrap().is_failure());
        sick.becomes(state);

        // The first one finds out, the others are refused at once.
        for number in 0..3 {
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let refused = v5.publish(&kept(&format!("refused-{number}")).qos(qos)).unwrap();
                assert_eq!(refused, code, "{state}: {number} {qos:?}");
            }
        }
        let health = wait_for_health(broker, 503);
        assert!(health.contains(reason), "{state}: {health}");
        assert_eq!(broker.metric("lotmq_store_failing"), Some(1.0));
        let mut v3 = broker.connect(&ConnectOptions::new("three"));
        let closed = v3.publish(&kept("refused")).unwrap_err();
        assert!(closed.is_closed(), "{state}: {closed}");
        retained_is_refused(broker, state, code);
        others_notice_nothing(broker);

        sick.heals();
        assert_eq!(wait_for_health(broker, 200), r#"{"status":"healthy"}"#, "{state}");
        assert!(
            broker.metric("lotmq_store_reopens_total") >= Some(1.0),
            "{state}: opened again, which checks it"
        );
        assert!(!v5.publish(&kept("after")).unwrap().is_failure(), "{state}");
        sick.broker.kill();
        sick.broker.start_again();
        let mut sleeper = sick.broker.connect(&sleeper());
        assert!(sleeper.session_present());
        let mut got = Vec::new();
        while got.last().is_none_or(|last| last != "after") {
            got.push(sleeper.receive(WAIT_MAX).unwrap().unwrap().text());
        }
        assert_eq!(got[0], "before", "{state}");
        // The one that found out may have been on its way to others already; the rest was not taken
        // at all.
        assert!(got.len() <= 3, "{state}: {got:?}");
    }
}

fn retained_is_refused(broker: &Broker, state: &str, code: ReasonCode) {
    let mut client = broker.connect(&ConnectOptions::v5("retaining"));
    let publication = Publication::new("state", "x").retained();
    assert_eq!(client.publish(&publication.clone().qos(QoS::AtLeastOnce)).unwrap(), code, "{state}");
    // QoS 0 has no promise and goes on.
    client.publish(&publication).unwrap();
    client.subscribe_to("state", QoS::AtMostOnce).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "x", "{state}");
}

#[test]
fn subscriptions_sessions_and_commands_are_refused_with_the_reason() {
    for (state, code, reason) in SICK {
        let sick = Sick::new();
        let broker = &sick.broker;
        let mut durable = broker.connect(&sleeper());
        assert!(!durable.subscribe_to("held", QoS::AtLeastOnce).unwrap().is_failure());
        let mut v3 = broker.connect(&ConnectOptions::new("three").clean_start(false));
        sick.becomes(state);

        // The first one finds out by trying, and is refused in the same way as the next.
        for _ in 0..2 {
            assert_eq!(durable.subscribe_to("wanted", QoS::AtLeastOnce).unwrap(), code, "{state}");
            wait_for_health(broker, 503);
        }
        let many: Vec<String> = (0..20).map(|number| format!("wanted/{number}")).collect();
        let asked: Vec<_> =
            many.iter().map(|filter| (filter.as_str(), SubscriptionOptions::default())).collect();
        assert_eq!(durable.subscribe(&asked, Properties::EMPTY).unwrap(), vec![code; many.len()], "{state}");
        assert_eq!(broker.metric("lotmq_subscriptions"), Some(1.0), "{state}");
        let refused = durable.unsubscribe(&["held"]).unwrap();
        assert_eq!(refused, [ReasonCode::ImplementationSpecificError], "{state}");
        assert!(v3.subscribe_to("wanted", QoS::AtLeastOnce).is_err(), "{state}: closed without an answer");
        let reply = broker.command("-addUser ada lovelace-1815");
        assert!(!reply.success() && reply.message().contains(reason), "{state}: {reply:?}");
        for version in [ProtocolVersion::V5, ProtocolVersion::V3_1_1] {
            let options = ConnectOptions { client_id: "new".to_owned(), ..sleeper().version(version) };
            let refused = Client::connect(broker.address(), &options);
            let expected = if version == ProtocolVersion::V5 { code } else { ReasonCode::ServerUnavailable };
            match refused {
                Err(ClientError::Refused { reason, .. }) => assert_eq!(reason, expected, "{state}"),
                Err(other) => panic!("{state}: {other}"),
                Ok(_) => panic!("{state}: accepted"),
            }
        }
        others_notice_nothing(broker);

        sick.heals();
        wait_for_health(broker, 200);
        // Refused changes are not there, and the earlier state is.
        let mut publisher = broker.client("publisher");
        for topic in ["wanted", "held"] {
            publisher.publish(&Publication::new(topic, topic).qos(QoS::AtLeastOnce)).unwrap();
        }
        assert_eq!(durable.receive(WAIT_MAX).unwrap().unwrap().text(), "held", "{state}");
        assert!(broker.command("-addUser ada lovelace-1815").success(), "{state}");
        assert_eq!(durable.subscribe_to("wanted", QoS::AtLeastOnce).unwrap(), ReasonCode::GrantedQos1);
    }
}

#[test]
fn every_command_that_only_reads_works_while_the_disk_is_full() {
    let sick = Sick::new();
    let broker = &sick.broker;
    let verbs = broker.command_ok("-help");
    let verbs: Vec<&str> = verbs
        .data()
        .as_array()
        .unwrap()
        .iter()
        .map(|verb| verb["verb"].as_str().unwrap().trim_start_matches('-'))
        .collect();
    broker.command_ok("-addUser bob s3cret-pump");
    sick.becomes("full");
    assert!(!broker.command("-setEnv FOUND=out").success());
    wait_for_health(broker, 503);
    let reads =
        |verb: &&&str| verb.starts_with("list") || verb.starts_with("get") || verb.ends_with("Status");
    assert!(verbs.iter().filter(reads).count() >= 20, "{verbs:?}");
    for verb in verbs.iter().filter(reads) {
        assert_ne!(broker.command(&format!("-{verb}")).code(), "NO_SPACE", "{verb}");
    }
    // Commands that read the file itself, which cannot be opened as usual.
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let query = format!("-auditQuery {day}|addUser");
    for command in ["-listKept", "-listKept plant/#", "-loadLicense x", "-auditStatus", &*query] {
        assert!(broker.command(command).success(), "{command}");
    }
    for command in ["-removeKept plant/#", "-addUser ada lovelace-1815", "-removeAction Nobody"] {
        assert_eq!(broker.command(command).code(), "NO_SPACE", "{command}");
    }
    assert_eq!(broker.command_ok("-auditStatus").data()["intact"], true);
    assert_eq!(broker.command_ok(&query).data()[0]["target"], "bob");
    // Reads do not keep it from working again.
    sick.heals();
    sick.wait_until_healthy();
    broker.command_ok("-addUser ada lovelace-1815");
    assert_eq!(broker.command_ok("-auditStatus").data()["intact"], true);
}

/// Way in which a running broker loses its file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    Deleted,
    Moved,
    DirectoryMoved,
    Replaced,
}

#[test]
fn nothing_is_acknowledged_into_a_file_that_is_no_longer_there() {
    for loss in [Loss::Deleted, Loss::Moved, Loss::DirectoryMoved, Loss::Replaced] {
        let place = tempfile::tempdir().unwrap();
        let (data, aside) = (place.path().join("data"), place.path().join("aside"));
        let file = data.join("lotmq.redb");
        let mut broker = options().prepared().data(&data).start();
        send_to_sleep(&broker);
        let mut client = broker.connect(&ConnectOptions::v5("five"));
        assert!(!client.publish(&kept("before")).unwrap().is_failure());
        match loss {
            Loss::Deleted => std::fs::remove_dir_all(&data).unwrap(),
            Loss::Moved => std::fs::rename(&file, &aside).unwrap(),
            Loss::DirectoryMoved => std::fs::rename(&data, &aside).unwrap(),
            Loss::Replaced => {
                std::fs::rename(&file, &aside).unwrap();
                std::fs::write(&file, "something else").unwrap();
            }
        }
        // Also when nobody writes.
        let health = wait_for_health(&broker, 503);
        assert!(health.contains("the file of the broker's store is gone or was replaced"), "{health}");
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let refused = client.publish(&kept("refused").qos(qos)).unwrap();
            assert_eq!(refused, ReasonCode::ImplementationSpecificError, "{loss:?}");
        }
        others_notice_nothing(&broker);
        broker.wait_for_metric("lotmq_store_reopens_total", 3.0);
        match loss {
            Loss::Replaced => assert_eq!(std::fs::read(&file).unwrap(), b"something else"),
            Loss::Deleted | Loss::Moved | Loss::DirectoryMoved => assert!(!file.exists(), "{loss:?}"),
        }
        let back = match loss {
            Loss::Deleted => continue,
            Loss::DirectoryMoved => &data,
            Loss::Moved | Loss::Replaced => &file,
        };
        std::fs::rename(&aside, back).unwrap();
        assert_eq!(wait_for_health(&broker, 200), r#"{"status":"healthy"}"#, "{loss:?}");
        assert!(!client.publish(&kept("after")).unwrap().is_failure(), "{loss:?}");
        broker.kill();
        broker.start_again();
        let mut sleeper = broker.connect(&sleeper());
        let mut got = Vec::new();
        while got.last().is_none_or(|last| last != "after") {
            got.push(sleeper.receive(WAIT_MAX).unwrap().unwrap().text());
        }
        assert_eq!(got, ["before", "after"], "{loss:?}");
    }
}

#[test]
fn acknowledgements_during_a_disk_failure_are_stored_after_recovery() {
    let mut sick = Sick::new();
    send_to_sleep(&sick.broker);
    let mut publisher = sick.broker.client("publisher");
    for text in ["1", "2", "3"] {
        publisher.publish(&kept(text)).unwrap();
    }
    let mut awake = sick.broker.connect(&sleeper().manual_acks());
    let got: Vec<_> = (0..3).map(|_| awake.receive(WAIT_MAX).unwrap().unwrap()).collect();
    sick.becomes("write-eio");
    for message in &got[..2] {
        awake.acknowledge(message, ReasonCode::Success).unwrap();
    }
    awake.ping().unwrap();
    wait_for_health(&sick.broker, 503);
    sick.heals();
    wait_for_health(&sick.broker, 200);
    sick.broker.kill();
    sick.broker.start_again();
    let mut again = sick.broker.connect(&sleeper());
    assert_eq!(again.receive(WAIT_MAX).unwrap().unwrap().text(), "3");
    again.ping().unwrap();
    assert!(again.receive(Duration::ZERO).unwrap().is_none(), "what was acknowledged does not come again");
}

#[test]
fn a_slow_disk_slows_those_only_who_need_it() {
    let sick = Sick::new();
    let broker = &sick.broker;
    send_to_sleep(broker);
    let mut waiting = broker.connect(&ConnectOptions::v5("waiting"));
    sick.becomes("hang");
    let slow = waiting.send_publish(&kept("slow")).unwrap().unwrap();
    // Durable publishers wait; who needs no disk does not notice, on whichever shard.
    for _ in 0..4 {
        others_notice_nothing(broker);
    }
    assert_eq!(broker.http("/health").status, 200, "slow is not broken");
    waiting.ping().unwrap();
    assert_eq!(waiting.unacknowledged(), 1);
    sick.heals();
    assert!(!waiting.wait_published(slow).unwrap().is_failure());
}

#[test]
fn a_disk_that_is_behind_bounds_what_waits_for_it() {
    const MESSAGES: usize = 1_500;
    let sick = Sick::new();
    let broker = &sick.broker;
    send_to_sleep(broker);
    let mut flooding = broker.connect(&ConnectOptions::new("flooding"));
    sick.becomes("hang");
    let flood = std::thread::spawn(move || {
        let message = Publication::new("kept", vec![7; 60_000]).qos(QoS::AtLeastOnce);
        let sent: Vec<_> = (0..MESSAGES).map(|_| flooding.send_publish(&message).unwrap().unwrap()).collect();
        sent.into_iter().filter(|id| !flooding.wait_published(*id).unwrap().is_failure()).count()
    });
    let waiting = || broker.metric("lotmq_store_waiting_bytes").unwrap();
    eventually("half of what may wait waits", || (waiting() > f64::from(32 << 20)).then_some(()));
    for _ in 0..4 {
        others_notice_nothing(broker);
    }
    assert!(waiting() <= f64::from(65 << 20), "{} bytes wait", waiting());
    sick.heals();
    assert_eq!(flood.join().unwrap(), MESSAGES);
}

/// A user who gives the disk more than their share waits. The broker takes the data of others until
/// that is too much as well.
#[test]
fn flooding_user_does_not_block_writes_of_other_users() {
    const MESSAGES: usize = 1_500;
    let sick = Sick::new();
    let broker = &sick.broker;
    send_to_sleep(broker);
    broker.command_ok("-addUser ann s3cret-pump");
    let mut ann = broker.connect(&ConnectOptions::v5("ann").user("ann", "s3cret-pump"));
    let flooding = broker.connect(&ConnectOptions::new("flooding"));
    sick.becomes("hang");
    let waiting = || broker.metric("lotmq_store_waiting_bytes").unwrap();
    let message = Publication::new("kept", vec![7; 60_000]).qos(QoS::AtLeastOnce);
    let flood = |mut client: Client, message: Publication| {
        std::thread::spawn(move || {
            let sent: Vec<_> =
                (0..MESSAGES).map(|_| client.send_publish(&message).unwrap().unwrap()).collect();
            sent.into_iter().filter(|id| !client.wait_published(*id).unwrap().is_failure()).count()
        })
    };
    let first = flood(flooding, message.clone());
    eventually("half of what may wait waits", || (waiting() > f64::from(32 << 20)).then_some(()));
    let before = waiting();
    let sent: Vec<_> = (0..50).map(|_| ann.send_publish(&message).unwrap().unwrap()).collect();
    eventually("what ann sends is taken", || (waiting() >= before + 50.0 * 60_000.0).then_some(()));
    ann.ping().unwrap();
    let second = flood(ann_again(broker), message);
    eventually("three quarters of what may wait wait", || (waiting() > f64::from(47 << 20)).then_some(()));
    for _ in 0..4 {
        others_notice_nothing(broker);
    }
    assert!(waiting() <= f64::from(65 << 20), "{} bytes wait", waiting());
    sick.heals();
    assert!(sent.into_iter().all(|id| !ann.wait_published(id).unwrap().is_failure()));
    assert_eq!((first.join().unwrap(), second.join().unwrap()), (MESSAGES, MESSAGES));
}

/// A second connection of a user.
fn ann_again(broker: &Broker) -> Client {
    broker.connect(&ConnectOptions::v5("ann-2").user("ann", "s3cret-pump"))
}

#[test]
fn a_disk_that_is_really_full_refuses_and_serves_again_without_a_restart() {
    let Some(disk) = SmallDisk::with_megabytes(64) else { return };
    let broker = options().data(&disk.path().join("data")).start();
    send_to_sleep(&broker);
    let filler = disk.fill();
    let mut client = broker.connect(&ConnectOptions::v5("writer"));
    let large = Publication::new("kept", vec![7; 60_000]).qos(QoS::AtLeastOnce);
    // The file has room for some.
    let refused = (0..2_000).find_map(|_| Some(client.publish(&large).unwrap()).filter(|it| it.is_failure()));
    assert_eq!(refused, Some(ReasonCode::QuotaExceeded));
    assert!(wait_for_health(&broker, 503).contains("full"));
    others_notice_nothing(&broker);
    std::fs::remove_file(filler).unwrap();
    wait_for_health(&broker, 200);
    eventually("there is more than the reserve", || {
        (!client.publish(&kept("after")).unwrap().is_failure()).then_some(())
    });
}

/// A Client stores as fast as it can. When it is refused, the reserve is left to find that Client,
/// end its session and free its space.
#[test]
fn full_disk_keeps_a_reserve_for_commands() {
    const MIB: u64 = 1 << 20;
    let Some(disk) = SmallDisk::with_megabytes(96) else { return };
    let mut broker = options().data(&disk.path().join("data")).start();
    send_to_sleep(&broker);
    let mut filling = broker.connect(&ConnectOptions::v5("filling").clean_start(false).session_expiry(3_600));
    let large = Publication::new("kept", vec![7; 40_000]).qos(QoS::AtLeastOnce);
    let refused = (0..200).any(|_| {
        let sent: Vec<_> = (0..50).map(|_| filling.send_publish(&large).unwrap().unwrap()).collect();
        let outcomes: Vec<_> = sent.into_iter().map(|id| filling.wait_published(id).unwrap()).collect();
        outcomes.contains(&ReasonCode::QuotaExceeded)
    });
    assert!(refused, "a disk of 96 MiB takes 400 MB");
    let free = || lotmq_store::free_bytes(disk.path()).unwrap();
    assert!(free() > 12 * MIB, "{} bytes are free", free());
    assert!(wait_for_health(&broker, 503).contains("full but for the reserve"));
    for command in ["-addUser ann s3cret-pump", "-changeUserPassword ann s3cret-pump-2", "-setEnv SITE=north"]
    {
        broker.command_ok(command);
    }
    broker.kill();
    broker.start_again();
    broker.command_ok("-setEnv SITE=south");
    broker.command_ok("-endSession sleeper");
    let mut later = broker.connect(&ConnectOptions::v5("later").clean_start(false).session_expiry(3_600));
    later.subscribe_to("kept", QoS::AtLeastOnce).unwrap();
    later.disconnect().unwrap();
    let mut filling = broker.connect(&ConnectOptions::v5("filling"));
    eventually("there is room again", || (!filling.publish(&large).unwrap().is_failure()).then_some(()));
}

/// More comes between two looks than fits beside the reserve, which the disk still has when it is
/// looked at again.
#[test]
fn a_burst_that_is_refused_for_want_of_room_is_in_the_log() {
    let Some(disk) = SmallDisk::with_megabytes(20) else { return };
    let broker = options().data(&disk.path().join("data")).start();
    send_to_sleep(&broker);
    let mut client = broker.connect(&ConnectOptions::v5("writer"));
    let large = Publication::new("kept", vec![7; 80_000]).qos(QoS::AtLeastOnce);
    let refused = (0..400).any(|_| client.publish(&large).unwrap() == ReasonCode::QuotaExceeded);
    assert!(refused, "a disk of 20 MiB takes 32 MB");
    eventually("the log says why", || {
        let log = broker.log().text();
        ["little room beside its reserve", "full but for its reserve"]
            .iter()
            .any(|told| log.contains(told))
            .then_some(())
    });
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let broker = options().start();
    send_to_sleep(&broker);
    let process = rustix::process::Pid::from_raw(i32::try_from(broker.process_id()).unwrap());
    let limit = |bytes: Option<u64>| {
        let limit = rustix::process::Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(process, rustix::process::Resource::Fsize, limit).unwrap();
    };
    limit(Some(std::fs::metadata(broker.data().join("lotmq.redb")).unwrap().len()));
    let mut client = broker.connect(&ConnectOptions::v5("v5"));
    let large = "x".repeat(60_000);
    let mut publish = || client.publish(&kept(&large)).unwrap();
    eventually("the file may not grow", || (publish() == ReasonCode::QuotaExceeded).then_some(()));
    limit(None);
    eventually("it may grow again", || (!publish().is_failure()).then_some(()));
}
