//! The audit: what is recorded, what never is, what outlives a kill.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};
use serde_json::Value;

use crate::{broker, options};

/// All records, by way of a file.
fn records(broker: &Broker, file: &str) -> Vec<Value> {
    let reply = broker.command_ok(&format!("-decryptAudit |{file}"));
    let path = reply.data()["path"].as_str().unwrap();
    assert!(path.starts_with("files/"), "no path of the machine: {path}");
    let text = std::fs::read_to_string(broker.data().join(path)).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reply.data()["records"], records.len());
    records
}

/// Whether the records of each sequence have their numbers without a gap.
fn is_numbered(records: &[Value]) -> bool {
    ["administration", "access", "changes"].iter().all(|trail| {
        let of_trail = records.iter().filter(|record| record["trail"] == *trail);
        of_trail.zip(1..).all(|(record, number)| record["number"] == number)
    })
}

/// The records of a verb.
fn of<'r>(records: &'r [Value], verb: &str) -> Vec<&'r Value> {
    records.iter().filter(|record| record["verb"] == verb).collect()
}

#[test]
fn audit_records_every_command_and_no_secret() {
    let broker = broker();
    let source =
        "DEFINE ACTION Echo\nON TOPIC \"in/hidden-0\" DO\n    PUBLISH TOPIC \"out\" WITH \"hidden-1\"";
    for command in [
        "-addUser bob hidden-2",
        r#"-changeUserPassword bob "hidden 3 b""#,
        "-setSecret TOKEN=hidden-4",
        "-setEnv SITE=hidden-5",
        &format!("-addAction {source}"),
        r#"-runAction Echo {"topic":"in/hidden-0","payload":"hidden-6"}"#,
        "-loadLicense hidden-7",
        "-addUserToGroup bob operators",
        "-listUsers",
    ] {
        broker.command_ok(command);
    }
    for (command, code) in [
        ("-hidden-8 hidden-9", "UNKNOWN_COMMAND"),
        ("-removeUser bob hidden-10", "TOO_MANY_ARGUMENTS"),
        ("-changeUserPassword bobhidden-17", "MISSING_ARGUMENT"),
        ("-addUser bobhidden-18", "MISSING_ARGUMENT"),
        (r#"-removeUser "hidden-11"#, "ARGUMENT_INVALID"),
        ("-setSecret hidden-12", "ARGUMENT_INVALID"),
        ("-addTenant hidden-13 hidden-14", "NOT_AVAILABLE"),
        ("-removeAction Nobody", "NOT_FOUND"),
    ] {
        assert_eq!(broker.command(command).code(), code, "{command}");
    }
    let wrong = ConnectOptions::new("thief").user("root", "hidden-15");
    assert!(Client::connect(broker.address(), &wrong).is_err());
    let mut bob = broker.connect(&ConnectOptions::new("bobs").user("bob", "hidden 3 b"));
    assert!(bob.subscribe_to("$SYS/Coreflux/Config", QoS::AtMostOnce).unwrap().is_failure());
    let stolen = Publication::new("$SYS/Coreflux/Config/New", r#"{"Port":"hidden-16"}"#);
    bob.publish(&stolen.qos(QoS::AtLeastOnce)).unwrap();

    let records = records(&broker, "first.jsonl");
    for (verb, target, arguments, result) in [
        ("addUser", "bob", "bob ****", "success"),
        ("changeUserPassword", "bob", "bob ****", "success"),
        ("setSecret", "", "TOKEN=****", "success"),
        ("setEnv", "", "SITE=****", "success"),
        ("runAction", "Echo", "Echo **** ****", "success"),
        ("loadLicense", "", "****", "success"),
        ("addUserToGroup", "bob", "bob operators", "success"),
        ("listUsers", "", "", "success"),
        ("addTenant", "", "", "NOT_AVAILABLE"),
        ("removeAction", "Nobody", "Nobody", "NOT_FOUND"),
    ] {
        let record = of(&records, verb)[0];
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        let shown = text("arguments").split(' ').next() == arguments.split(' ').next();
        assert!(shown && text("arguments").len() <= arguments.len().max(10), "{record}");
        assert_eq!((text("target"), text("result"), text("event")), (target, result, "command"), "{record}");
        assert_eq!((text("user"), text("endpoint")), ("root", "127.0.0.1"), "{record}");
        assert!(text("time").ends_with('Z') && text("clientId").starts_with("auto-"), "{record}");
    }
    let digest = of(&records, "addAction")[0]["arguments"].as_str().unwrap();
    assert!(digest.starts_with(&format!("({} bytes, sha256 ", source.len())), "{digest}");
    assert_eq!(of(&records, "setSecret")[1]["arguments"], Value::Null, "what is not formed is not shown");
    let login = records.iter().find(|record| record["clientId"] == "thief").unwrap();
    assert_eq!((&login["event"], &login["user"]), (&"login".into(), &"root".into()));
    assert_eq!(login["result"], "bad user name or password");
    let accepted = records.iter().find(|record| record["clientId"] == "bobs").unwrap();
    assert_eq!((&accepted["event"], &accepted["result"]), (&"login".into(), &"success".into()));
    let denials: Vec<_> = records.iter().filter(|record| record["event"] == "denial").collect();
    assert_eq!(denials[0]["target"], "$SYS/Coreflux/Config");
    assert_eq!((&denials[0]["scope"], &denials[0]["user"]), (&"SubscribeSys".into(), &"bob".into()));
    assert_eq!(denials[1]["scope"], "SystemConfiguration");
    assert_eq!(records[0]["event"], "start");
    assert!(is_numbered(&records));

    let everything = serde_json::to_string(&records).unwrap();
    assert!(!everything.contains("hidden"), "{everything}");
    let file = std::fs::read(broker.data().join("lotmq.redb")).unwrap();
    assert!(!file.windows(14).any(|window| window == b"TOO_MANY_ARGUM"), "records are encrypted");
}

#[test]
fn a_secret_in_the_command_of_a_definition_is_masked() {
    let broker = broker();
    broker.command_ok("-setSecret TOKEN=hidden-swordfish");
    let program = "DEFINE ACTION Leak\nON TOPIC \"go\" DO\n    SET \"s\" WITH GET SECRET \"TOKEN\"\n    PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-removeAction \" + {s}\n";
    broker.command_ok(&format!("-addAction {program}"));
    broker.client("go").publish(&Publication::new("go", "1").qos(QoS::AtLeastOnce)).unwrap();
    // Each look makes a file of its own.
    let mut looks = 0..;
    let record = eventually("the record of the command", || {
        let records = records(&broker, &format!("masked-{}.jsonl", looks.next()?));
        of(&records, "removeAction").first().map(|record| (*record).clone())
    });
    assert_eq!((&record["target"], &record["arguments"]), (&"***".into(), &"***".into()), "{record}");
    assert_eq!(record["definition"], "Leak");
}

#[test]
fn answered_commands_survive_kill_9_in_an_intact_audit_chain() {
    let mut broker = options().variable("LOTMQ_LOG_DEBUG", "false").start();
    for round in 0..5 {
        for n in 0..4 {
            broker.command_ok(&format!("-setEnv N{round}{n}=1"));
        }
        broker.kill();
        broker.start_again();
    }
    let found = records(&broker, "all.jsonl");
    assert_eq!(of(&found, "setEnv").len(), 20);
    assert_eq!(found.iter().filter(|record| record["event"] == "start").count(), 6);
    assert!(is_numbered(&found));
    let status = broker.command_ok("-auditStatus");
    assert_eq!((&status.data()["enabled"], &status.data()["encrypted"]), (&true.into(), &true.into()));
    assert_eq!((&status.data()["intact"], &status.data()["damaged"]), (&true.into(), &0.into()));
    assert!(status.data()["bytes"].as_u64().unwrap() > 1000 && status.data()["days"].as_u64().unwrap() >= 1);
}

#[test]
fn logins_are_on_the_disk_without_any_command() {
    let mut broker = broker();
    const COMMITS: &str = "lotmq_store_commits_total";
    let _first = broker.client("first");
    // The commit that comes first may be of what was recorded before; in the third at the latest is
    // the first login.
    for login in 0..3 {
        let before = broker.metric(COMMITS).unwrap();
        drop(broker.client(&format!("login {login}")));
        eventually("what was recorded is committed", || {
            broker.metric(COMMITS).filter(|commits| *commits > before)
        });
    }
    broker.kill();
    broker.start_again();
    let found = records(&broker, "logins.jsonl");
    assert!(found.iter().any(|record| record["event"] == "login" && record["clientId"] == "first"));
}

#[test]
fn records_are_asked_for_by_day_and_text() {
    let broker = broker();
    broker.command_ok("-addUser ann x");
    broker.command_ok("-addUser bob x");
    let first = records(&broker, "days.jsonl").remove(0);
    let day = &first["time"].as_str().unwrap()[..10];
    let find = |filter: &str| broker.command_ok(&format!("-auditQuery {day}|{filter}"));
    let found = find("\"target\":\"ANN\"");
    assert_eq!((found.message(), found.data()[0]["verb"].as_str()), ("1 record(s).", Some("addUser")));
    assert_eq!(found.data()[0]["hash"].as_str().unwrap().len(), 64);
    assert_eq!(find("adduser").data().as_array().unwrap().len(), 2, "not the questions, which come later");
    assert_eq!(find("nothing like it").message(), "0 record(s).");
    let of_day = broker.command_ok(&format!("-decryptAudit {day}"));
    assert!(of_day.data()["path"].as_str().unwrap().ends_with(&format!("audit-{day}.jsonl")));
    for (command, code) in [
        ("-auditQuery", "MISSING_ARGUMENT"),
        ("-auditQuery |x", "MISSING_ARGUMENT"),
        ("-auditQuery yesterday", "DATE_INVALID"),
        ("-decryptAudit 2026-13-01", "DATE_INVALID"),
        (&format!("-decryptAudit {day}"), "FILE_EXISTS"),
        ("-decryptAudit |../stolen", "PATH_FORBIDDEN"),
        ("-decryptAudit |/tmp/stolen", "PATH_FORBIDDEN"),
        ("-auditStatus x", "TOO_MANY_ARGUMENTS"),
    ] {
        assert_eq!(broker.command(command).code(), code, "{command}");
    }
    broker.command_ok("-changeUserSettings ann AllowedUserManagement true");
    let mut ann = broker.connect(&ConnectOptions::new("ann").user("ann", "x"));
    ann.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    for command in ["-auditStatus", "-auditQuery 2026-01-05", "-decryptAudit"] {
        ann.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
        let reply = ann.receive(WAIT_MAX).unwrap().unwrap().text();
        assert!(reply.contains("PERMISSION_DENIED"), "{command}: {reply}");
    }
}

#[test]
fn an_install_is_recorded_with_digest_user_and_size() {
    let module = include_bytes!("../../sdk/examples/action-scale/prebuilt/action-scale.wasm");
    let component = wit_component::ComponentEncoder::default().module(module).unwrap().encode().unwrap();
    let broker = broker();
    let info = broker.command_ok(&format!(
        "-addModule scale -world action -on raw/# -config {{\"key\":\"hidden\"}} wasm64:{}",
        STANDARD.encode(&component)
    ));
    let found = records(&broker, "install.jsonl");
    let record = of(&found, "addModule")[0];
    assert_eq!((&record["user"], &record["target"]), (&"root".into(), &"scale".into()));
    assert_eq!(record["details"]["bytes"], component.len());
    assert_eq!(record["details"]["sha256"], info.data()["sha256"]);
    let arguments = record["arguments"].as_str().unwrap();
    assert!(arguments.starts_with("scale -world action -on raw/# -config **** wasm64:("), "{arguments}");
}

#[test]
fn a_changed_configuration_is_recorded_at_the_next_start() {
    let mut broker = options().variable("LOTMQ_SYS_INTERVAL_SEC", "7").start();
    broker.stop();
    let data = broker.data().to_owned();
    {
        let other = options().data(&data).variable("LOTMQ_LIMITS_QUEUE_MESSAGES", "5").start();
        let found = records(&other, "configuration.jsonl");
        let change = found.iter().find(|record| record["event"] == "configuration").unwrap();
        assert_eq!(change["details"]["sys.interval_sec"], serde_json::json!([7, 10]));
        assert_eq!(change["details"]["limits.queue_messages"], serde_json::json!([1_000_000, 5]));
    }
    let off = options().data(&data).variable("LOTMQ_AUDIT_ENABLED", "false").start();
    let before = off.command_ok("-auditStatus");
    assert_eq!(before.data()["enabled"], false);
    off.command_ok("-setEnv A=1");
    assert_eq!(off.command_ok("-auditStatus").data()["records"], before.data()["records"]);
}

#[test]
fn commands_of_guests_are_recorded_with_their_definition_and_owner() {
    let broker = broker();
    broker.command_ok(
        "-addAction DEFINE ACTION Asker\nON TOPIC \"ask\" DO\n    PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-setEnv BY_GUEST=1\"",
    );
    let mut client = broker.client("client");
    client.publish(&Publication::new("ask", "x").qos(QoS::AtLeastOnce)).unwrap();
    let mut asked = 0;
    let record = eventually("the command of the guest is recorded", || {
        asked += 1;
        of(&records(&broker, &format!("guest-{asked}.jsonl")), "setEnv")
            .first()
            .map(|record| (*record).clone())
    });
    assert_eq!((&record["definition"], &record["user"]), (&"Asker".into(), &"root".into()));
    assert_eq!((&record["clientId"], &record["endpoint"]), (&Value::Null, &Value::Null));
}

/// How many records have a text.
fn found(broker: &Broker, filter: &str) -> usize {
    let records = records(broker, &format!("{}.jsonl", filter.len()));
    records.iter().filter(|record| record.to_string().contains(filter)).count()
}

#[test]
fn neither_logins_nor_readers_push_out_what_administrators_did() {
    let broker = options()
        .variable("LOTMQ_AUDIT_RECORDS", "100")
        .variable("LOTMQ_AUDIT_ACCESS_RECORDS", "100")
        .variable("LOTMQ_AUTH_ANONYMOUS", "false")
        .start();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-changeUserSettings ann AllowedUserManagement true");
    broker.command_ok("-setEnv EVIL=1");
    for number in 0..500 {
        assert!(Client::connect(broker.address(), &ConnectOptions::new(format!("c{number}"))).is_err());
    }
    let mut ann = broker.connect(&ConnectOptions::new("ann").user("ann", "pw"));
    for command in ["-help", "-listEnv", "-removeUser nobody"] {
        give(&mut ann, command, 60);
    }
    eventually("what ann asked for is noted", || {
        broker.metric("lotmq_audit_left_out_total").filter(|left_out| *left_out >= 490.0 + 165.0)
    });
    let status = broker.command_ok("-auditStatus");
    let trails = &status.data()["trails"];
    assert!(trails["access"]["records"].as_u64().unwrap() <= 100, "{trails}");
    assert_eq!(status.data()["intact"], true, "{trails}");
    assert_eq!(found(&broker, "EVIL=****"), 1);
    // 500 refused logins of one address are a few records, and so are 180 commands of one user.
    assert!(trails["access"]["head"]["number"].as_u64().unwrap() < 50, "{trails}");
}

/// Changes by other users have an audit sequence of their own. Each record is on the disk before
/// the answer, as for an administrator.
#[test]
fn a_user_manager_pushes_out_nothing_that_an_administrator_did() {
    let mut broker = options().variable("LOTMQ_AUDIT_RECORDS", "100").start();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-changeUserSettings ann AllowedUserManagement true");
    broker.command_ok("-setEnv EVIL=1");
    let mut ann = broker.connect(&ConnectOptions::v5("ann").user("ann", "pw"));
    ann.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    for _ in 0..250 {
        give(&mut ann, "-addUserToGroup ann shift", 1);
        assert_eq!(ann.receive(WAIT_MAX).unwrap().unwrap().text().find(r#""success":true"#), Some(1));
    }
    broker.kill();
    broker.start_again();
    assert_eq!(found(&broker, "EVIL=****"), 1);
    let status = broker.command_ok("-auditStatus");
    let changes = &status.data()["trails"]["changes"];
    assert_eq!(
        (&status.data()["intact"], &changes["head"]["number"]),
        (&true.into(), &250.into()),
        "{changes}"
    );
    assert!((98..=100).contains(&changes["records"].as_u64().unwrap()), "{changes}");
    let all = records(&broker, "all.jsonl");
    let of_ann: Vec<_> = of(&all, "addUserToGroup").iter().map(|record| &record["user"]).collect();
    assert!(of_ann.len() >= 98 && of_ann.iter().all(|user| *user == "ann"), "{of_ann:?}");
}

/// Users whom a manager makes have no shares of their own of what is kept of changes, nor have
/// those whom they make.
#[test]
fn users_whom_a_manager_makes_count_for_him() {
    let mut broker = options().start();
    for user in ["ann", "zoe"] {
        broker.command_ok(&format!("-addUser {user} pw"));
        broker.command_ok(&format!("-changeUserSettings {user} AllowedUserManagement true"));
    }
    let change = |broker: &Broker, user: &str, commands: &[&str]| {
        let mut client = broker.connect(&ConnectOptions::v5(user).user(user, "pw"));
        client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        for command in commands {
            give(&mut client, command, 1);
            let reply = client.receive(WAIT_MAX).unwrap().unwrap().text();
            assert_eq!(reply.find(r#""success":true"#), Some(1), "{reply}");
        }
    };
    change(&broker, "ann", &["-addUser bob pw", "-changeUserSettings bob AllowedUserManagement true"]);
    broker.kill();
    broker.start_again();
    change(&broker, "bob", &["-addUser cid pw", "-changeUserSettings cid AllowedUserManagement true"]);
    change(&broker, "cid", &["-addUserToGroup cid shift"]);
    change(&broker, "zoe", &["-addUserToGroup zoe shift"]);
    let all = records(&broker, "all.jsonl");
    let counts_for: Vec<_> = of(&all, "addUserToGroup")
        .iter()
        .map(|record| (record["user"].clone(), record["countsFor"].clone()))
        .collect();
    assert_eq!(counts_for, [("cid".into(), "ann".into()), ("zoe".into(), Value::Null)]);
}

/// Publishes a command so often as `client`; none of them changes anything.
fn give(client: &mut Client, command: &str, times: usize) {
    for _ in 0..times {
        let command = Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce);
        client.publish(&command).unwrap();
    }
}

#[test]
fn commands_that_come_to_nothing_push_out_neither_logins_nor_denials() {
    let mut broker = options()
        .variable("LOTMQ_AUDIT_ACCESS_RECORDS", "100")
        .variable("LOTMQ_AUTH_PASSWORD_CHARS_MIN", "8")
        .start();
    broker.command_ok("-addUser bob password");
    broker.command_ok("-addUser dep password");
    broker.command_ok(
        "-addRule DEFINE RULE Deployers WITH PRIORITY 5 FOR CommandCall\n    IF USER IS \"dep\" THEN\n        ALLOW\n",
    );
    // A user without rights may only ask for another password of their own. A user who may give
    // commands may ask for anything.
    let mut bob = broker.connect(&ConnectOptions::new("bobs").user("bob", "password"));
    let refused = Publication::new("$SYS/Coreflux/Command", "-addUser evil password").qos(QoS::AtLeastOnce);
    bob.publish(&refused).unwrap();
    give(&mut bob, "-changeUserPassword bob short", 300);
    let mut dep = broker.connect(&ConnectOptions::new("deps").user("dep", "password"));
    dep.publish(&refused).unwrap();
    give(&mut dep, "-help nosuch", 300);
    give(&mut dep, "-removeUser root", 20);
    give(&mut dep, "-nosuch", 20);
    broker.wait_for_metric("lotmq_audit_left_out_total", 600.0);
    broker.stop();
    broker.start_again();
    let records = records(&broker, "washed.jsonl");
    assert!(records.iter().any(|record| record["event"] == "login" && record["clientId"] == "bobs"));
    assert!(records.iter().any(|record| record["event"] == "denial" && record["user"] == "bob"));
    let tried = of(&records, "addUser").into_iter().find(|record| record["user"] == "dep").unwrap();
    assert_eq!((&tried["arguments"], &tried["result"]), (&"evil ****".into(), &"PERMISSION_DENIED".into()));
    for (user, verb, result, at_least) in [
        ("bob", "changeUserPassword", "PASSWORD_INVALID", 280),
        ("dep", "help", "UNKNOWN_COMMAND", 280),
        ("dep", "removeUser", "PERMISSION_DENIED", 19),
    ] {
        let of_user = |record: &&Value| record["event"] == "command" && record["user"] == user;
        let sums =
            records.iter().filter(of_user).filter_map(|record| record["details"]["commands"].as_array());
        let is_it = |command: &&Value| command["verb"] == verb && command["result"] == result;
        let counts = sums.flatten().filter(is_it).map(|command| command["count"].as_u64().unwrap());
        let count: u64 = counts.sum();
        assert!(count >= at_least, "{count} {verb} {result}");
        assert!(of(&records, verb).len() <= 24, "{verb}");
    }
}

#[test]
fn logins_of_one_address_are_summed() {
    let mut broker = options().variable("LOTMQ_AUTH_ANONYMOUS", "false").start();
    for number in 0..40 {
        assert!(Client::connect(broker.address(), &ConnectOptions::new(format!("thief-{number}"))).is_err());
    }
    broker.stop();
    broker.start_again();
    let records = records(&broker, "sums.jsonl");
    let own =
        records.iter().filter(|record| record["clientId"].as_str().is_some_and(|id| id.starts_with("thief")));
    let sum = records.iter().find(|record| record["result"] == "refused").unwrap();
    assert_eq!((own.count(), &sum["leftOut"], &sum["endpoint"]), (10, &30.into(), &"127.0.0.1".into()));
}

/// The number and the hash of the last head of administration in the log.
fn logged_head(broker: &Broker) -> Option<(u64, String)> {
    let log = broker.log().text();
    let line =
        log.lines().rev().find(|line| line.contains("audit head") && line.contains("administration"))?;
    let field = |name: &str| {
        let rest = &line[line.find(&format!("{name}="))? + name.len() + 1..];
        let value = rest.trim_start_matches('"').split(['"', ' ']).next()?;
        Some(value.to_owned())
    };
    Some((field("number")?.parse().ok()?, field("hash")?))
}

#[test]
fn heads_go_where_the_broker_cannot_take_them_back() {
    let mut broker = broker();
    let mut root = broker.root("watcher");
    root.subscribe_to("$SYS/Coreflux/Audit/Heads", QoS::AtLeastOnce).unwrap();
    let first = eventually("a head is in the log", || logged_head(&broker));
    // So many records that the next one is due at once.
    let mut busy = broker.root("busy");
    for _ in 0..1_100 {
        busy.publish(&Publication::new("$SYS/Coreflux/Command", "-updateData").qos(QoS::AtLeastOnce))
            .unwrap();
    }
    let told = loop {
        let head: Value = serde_json::from_slice(&root.receive(WAIT_MAX).unwrap().unwrap().payload).unwrap();
        if head["trail"] == "administration" && head["number"].as_u64().unwrap() > first.0 {
            break head;
        }
    };
    broker.command_ok("-setEnv LAST=1");
    broker.stop();
    let last = eventually("the last head is in the log", || {
        logged_head(&broker).filter(|last| last.0 > told["number"].as_u64().unwrap())
    });
    broker.start_again();
    let records = records(&broker, "heads.jsonl");
    let hash_of = |number: u64| {
        let fits = |record: &&Value| record["trail"] == "administration" && record["number"] == number;
        records.iter().find(fits).unwrap()["hash"].as_str().unwrap().to_owned()
    };
    assert_eq!(hash_of(first.0), first.1);
    assert_eq!(hash_of(last.0), last.1);
    assert_eq!(hash_of(told["number"].as_u64().unwrap()), told["hash"].as_str().unwrap());
}

#[test]
fn newest_records_that_somebody_took_out_of_the_file_are_missed() {
    let mut broker = broker();
    for number in 0..5 {
        broker.command_ok(&format!("-setEnv N{number}=1"));
    }
    broker.stop();
    let count = {
        let (store, _) =
            lotmq_store::Store::open(lotmq_store::StoreOptions::new(broker.data()), Box::new(|_| {}))
                .unwrap();
        let (tenant, mut numbers) = (lotmq_changes::TenantId::DEFAULT, Vec::new());
        let visit = |record: lotmq_changes::AuditRecord| {
            numbers.push(record.number);
            std::ops::ControlFlow::Continue(())
        };
        store.audit(tenant, 1..=1_000, visit).unwrap();
        let (from, below) = (numbers[numbers.len() - 2], numbers.last().unwrap() + 1);
        let mut batch = lotmq_changes::Batch::new();
        batch.push(lotmq_changes::Op::DeleteAudit { tenant, from, below });
        store.commit(batch).unwrap();
        from
    };
    broker.start_again();
    let status = broker.command_ok("-auditStatus");
    assert_eq!(status.data()["intact"], false);
    let records = records(&broker, "missing.jsonl");
    let missing = records.iter().find(|record| record["event"] == "missing").unwrap();
    assert_eq!(
        (&missing["details"]["first"], &missing["details"]["trail"]),
        (&count.into(), &"administration".into())
    );
    let log = broker.log().text();
    assert!(log.contains("records of the audit are gone"), "{log}");
}
