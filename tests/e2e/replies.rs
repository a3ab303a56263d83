//! Replies of commands: their receivers, their properties, and the diagnostics that each user may
//! see.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use lotmq_client::{Client, ConnectOptions, Message, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually};
use serde_json::{Value, json};

use crate::{LOTMQ, broker, options};

const COMMAND: &str = "$SYS/Coreflux/Command";
const OUTPUT: &str = "$SYS/Coreflux/Command/Output";

/// A broker with a manager of users, `ann`, and one who may configure the system, `cfg`.
fn broker_of_three() -> Broker {
    let broker = broker();
    for (user, flag) in [("ann", "AllowedUserManagement"), ("cfg", "AllowedSystemConfiguration")] {
        broker.command_ok(&format!("-addUser {user} pw"));
        broker.command_ok(&format!("-changeUserSettings {user} {flag} true"));
    }
    broker
}

fn user(broker: &Broker, user: &str, client_id: &str) -> Client {
    let password = if user == "root" { "coreflux" } else { "pw" };
    broker.connect(&ConnectOptions::new(client_id).user(user, password))
}

/// Connected, and subscribed to replies.
fn reader(broker: &Broker, name: &str, client_id: &str) -> Client {
    let mut client = user(broker, name, client_id);
    assert!(!client.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
    client
}

fn send(client: &mut Client, command: &str) {
    let command = Publication::new(COMMAND, command).qos(QoS::AtLeastOnce);
    assert!(!client.publish(&command).unwrap().is_failure());
}

fn next(client: &mut Client) -> Message {
    client.receive(WAIT_MAX).unwrap().expect("a message comes")
}

/// The reply to this request.
fn reply_to(client: &mut Client, request_id: &str) -> Value {
    loop {
        let message = next(client);
        let Ok(reply) = serde_json::from_slice::<Value>(&message.payload) else { continue };
        if message.topic == OUTPUT && reply["requestId"] == request_id {
            return reply;
        }
    }
}

#[test]
fn a_reply_is_for_who_asked_and_others_learn_verb_result_and_user() {
    let broker = broker_of_three();
    broker.command_ok("-setEnv HIDDEN=plain-value");
    let mut ann = reader(&broker, "ann", "ann");
    let mut cfg = reader(&broker, "cfg", "cfg");
    let mut other = reader(&broker, "root", "root-2");
    let mut shared = user(&broker, "root", "shared");
    assert!(!shared.subscribe_to(&format!("$share/g/{OUTPUT}"), QoS::AtLeastOnce).unwrap().is_failure());
    // One that publishes and one that subscribes, as with two tools of mosquitto.
    let mut root = user(&broker, "root", "root-1");
    send(&mut root, "-listEnv -requestId e1");
    let whole = reply_to(&mut other, "e1");
    assert_eq!(whole["data"], json!([{ "name": "HIDDEN", "value": "plain-value" }]));
    let shortened = r#"{"success":true,"command":"ListEnv","requestId":"e1","message":"ListEnv by user root: done.","user":"root","data":{}}"#;
    for client in [&mut ann, &mut cfg, &mut shared] {
        assert_eq!(next(client).text(), shortened);
    }
    send(&mut root, "-removeUser nobody-there -requestId e2");
    assert_eq!(reply_to(&mut other, "e2")["message"], "User nobody-there not found.");
    let refused = next(&mut ann).text();
    assert!(refused.contains("NOT_FOUND") && !refused.contains("nobody-there"), "{refused}");
    assert!(refused.starts_with(r#"{"success":false,"command":"RemoveUser","requestId":"e2""#), "{refused}");
    // The other way round, and on the same connection.
    send(&mut ann, "-listUsers -requestId a1");
    assert_eq!(reply_to(&mut ann, "a1")["data"].as_array().unwrap().len(), 3);
    assert_eq!(reply_to(&mut other, "a1")["data"], json!({}));
    // Unknown verbs and what is no text tell others nothing of what was written.
    send(&mut root, "-hidden-verb hidden-argument");
    let unknown = next(&mut other).text();
    assert!(unknown.contains("Unknown command: -hidden-verb"), "{unknown}");
    assert_eq!(reply_to(&mut cfg, "a1")["user"], "ann");
    let unknown = next(&mut cfg).text();
    assert!(unknown.contains("UNKNOWN_COMMAND") && !unknown.contains("hidden"), "{unknown}");
}

/// Of the waiting replies, a user gets all of their own. Those to others go only to users who may
/// have them by then.
#[test]
fn replies_to_others_that_wait_go_to_those_only_who_may_have_them_by_then() {
    let broker = broker_of_three();
    let session = |client_id: &str| {
        let options = ConnectOptions::v5(client_id).user("ann", "pw").clean_start(false);
        broker.connect(&options.session_expiry(3600))
    };
    let mut away = session("away");
    assert!(!away.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
    away.disconnect().unwrap();
    let mut root = reader(&broker, "root", "root-1");
    send(&mut root, "-listUsers -requestId of-root");
    reply_to(&mut root, "of-root");
    let mut own = reader(&broker, "ann", "own");
    send(&mut own, "-listUsers -requestId of-ann");
    reply_to(&mut own, "of-ann");
    // She may still set her own password, and hear of that.
    broker.command_ok("-changeUserSettings ann AllowedUserManagement false");
    let mut away = session("away");
    let reply: Value = serde_json::from_slice(&next(&mut away).payload).unwrap();
    assert_eq!((&reply["requestId"], &reply["user"]), (&json!("of-ann"), &Value::Null), "{reply}");
    assert!(broker.metric("lotmq_queued_denied_total").unwrap() >= 1.0);
}

#[test]
fn anonymous_clients_are_not_one_another() {
    let broker = broker();
    for (name, scope) in [("Calls", "CommandCall"), ("Reads", "SubscribeSys")] {
        broker.command_ok(&format!("-addRule DEFINE RULE {name} WITH PRIORITY 5 FOR {scope}\n    ALLOW\n"));
    }
    let mut watcher = broker.client("watcher");
    assert!(!watcher.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
    let mut asker = broker.client("asker");
    assert!(!asker.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
    send(&mut asker, "-help -requestId h");
    assert!(reply_to(&mut asker, "h")["data"].as_array().is_some_and(|verbs| !verbs.is_empty()));
    let told = reply_to(&mut watcher, "h");
    assert_eq!((&told["data"], &told["user"]), (&json!({}), &Value::Null));
}

#[test]
fn definitions_see_replies_to_their_owners_only() {
    let broker = broker_of_three();
    let spy = "DEFINE ACTION Spy\nON TOPIC \"$SYS/Coreflux/Command/Output\" DO\n    PUBLISH TOPIC \"seen\" WITH PAYLOAD\n";
    let mut cfg = reader(&broker, "cfg", "cfg");
    send(&mut cfg, &format!("-addAction {spy} -requestId spy"));
    assert_eq!(reply_to(&mut cfg, "spy")["success"], true);
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("seen", QoS::AtLeastOnce).unwrap();
    broker.command_ok("-setEnv HIDDEN=plain-value");
    broker.command_ok("-listEnv");
    send(&mut cfg, "-listRoutes -requestId own");
    loop {
        let seen = next(&mut watcher).text();
        assert!(!seen.contains("plain-value") && !seen.contains("SetEnv"), "{seen}");
        if seen.contains("\"own\"") {
            break;
        }
    }
}

#[test]
fn a_project_comes_to_who_asked_for_it_and_may_see_programs() {
    use base64::Engine as _;
    let broker = broker_of_three();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a.lot", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(
        &mut zip,
        b"DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH 1\n",
    )
    .unwrap();
    let zip = base64::engine::general_purpose::STANDARD.encode(zip.finish().unwrap().into_inner());
    broker.command_ok(&format!("-addProject zip64:{zip} plant"));
    let download = "$SYS/Coreflux/Projects/plant/download";
    let (mut ann, mut root) = (reader(&broker, "ann", "ann"), reader(&broker, "root", "root"));
    for client in [&mut ann, &mut root] {
        assert!(!client.subscribe_to(download, QoS::AtLeastOnce).unwrap().is_failure());
    }
    send(&mut ann, "-getProject plant -requestId p1");
    assert_eq!(reply_to(&mut ann, "p1")["errors"][0]["code"], "PERMISSION_DENIED");
    reply_to(&mut root, "p1");
    // The asker publishes on another connection than the one that reads.
    broker.command_ok("-getProject plant");
    assert_eq!(next(&mut root).topic, download);
    send(&mut ann, "-listUsers -requestId p2");
    loop {
        let message = next(&mut ann);
        assert_ne!(message.topic, download);
        if message.text().contains("\"p2\"") {
            break;
        }
    }
}

#[test]
fn diagnostics_show_messages_to_those_only_who_may_configure_the_system() {
    let broker = broker_of_three();
    broker.command_ok(
        "-addAction DEFINE ACTION Fails\nON TOPIC \"private/in\" DO\n    PUBLISH TOPIC \"a/#/\" + PAYLOAD WITH 1\n",
    );
    let mut publisher = broker.root("publisher");
    publisher.publish(&Publication::new("private/in", "private-payload")).unwrap();
    let (mut ann, mut cfg) = (reader(&broker, "ann", "ann"), reader(&broker, "cfg", "cfg"));
    let ask = |client: &mut Client, request_id: &str| {
        send(client, &format!("-lotDiagnostic action Fails -requestId {request_id}"));
        let reply = reply_to(client, request_id);
        (!reply["data"]["lastError"].is_null()).then_some(reply)
    };
    let full = eventually("the error is recorded", || ask(&mut cfg, "c"));
    assert!(
        full["data"]["lastError"]["trigger"]["payload"].as_str().unwrap().contains("private-payload"),
        "{full}"
    );
    let shown = ask(&mut ann, "a").unwrap();
    assert_eq!(shown["data"]["lastError"]["trigger"], json!({ "topic": "", "payload": "" }));
    assert_eq!(shown["data"]["lastError"]["message"], "");
    assert_eq!(shown["data"]["lastError"]["code"], full["data"]["lastError"]["code"]);
    assert!(!shown.to_string().contains("private-payload"), "{shown}");
}

/// Masking must not reveal byte by byte how a secret goes on.
#[test]
fn masking_is_no_oracle() {
    let broker = broker();
    broker.command_ok("-setSecret TOKEN=hunter2-secret");
    broker.command_ok("-setSecret PIN=123456");
    broker.command_ok(
        "-addAction DEFINE ACTION Fails\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"a/#/\" + PAYLOAD WITH 1\n",
    );
    let mut root = reader(&broker, "root", "root");
    let mut seen = |guess: &str, number: u32| {
        let payload = ".".repeat(600) + guess;
        root.publish(&Publication::new("in", payload)).unwrap();
        let request = format!("d{number}");
        let record = eventually("the error is recorded", || {
            send(&mut root, &format!("-lotDiagnostic action Fails -requestId {request}"));
            let reply = reply_to(&mut root, &request);
            let record = &reply["data"]["lastError"];
            (record["count"].as_u64() == Some(u64::from(number))).then(|| record.clone())
        });
        record["trigger"]["payload"].as_str().unwrap().to_owned()
    };
    // A text that is not masked as a whole is shown as it is, right or wrong.
    for (number, guess) in (1..).zip(["hunt", "hunz", "hunter2-secre", "hunter2-secrX"]) {
        let payload = seen(guess, number);
        assert!(payload.ends_with(guess), "{guess}: {payload}");
    }
    assert!(seen("hunter2-secret", 5).ends_with(".***"));
    assert!(seen("123456", 6).ends_with(".123456"), "nobody learns by tries that it is a secret");
}

#[test]
fn replies_tell_no_path_of_the_machine_beyond_what_was_given() {
    let broker = options().prepared().start();
    let data = broker.data().to_str().unwrap().to_owned();
    let files = broker.data().join("files/default");
    let inner = files.join("plant/inner");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(files.join("text.zip"), "no archive").unwrap();
    std::fs::write(inner.join(OsStr::from_bytes(b"\xff.lot")), "x").unwrap();
    std::os::unix::fs::symlink("/etc", files.join("link")).unwrap();
    std::fs::create_dir_all(files.join("linked")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", files.join("linked/a.lot")).unwrap();
    for path in
        ["plant", "missing", "missing.zip", "text.zip", "link", "linked", "../../..", "/etc", "plant/../../x"]
    {
        let reply = broker.command(&format!("-addProject {path} name"));
        assert!(!reply.success(), "{path}");
        assert!(!reply.0.to_string().contains(&data), "{path}: {reply:?}");
    }
    for command in
        ["-decryptAudit |../x", "-decryptAudit |plant", "-decryptAudit |missing/x/y", "-decryptAudit |link/x"]
    {
        let reply = broker.command(command);
        assert!(!reply.0.to_string().contains(&data), "{command}: {reply:?}");
    }
}

#[test]
fn a_text_stands_alone_on_standard_output() {
    let broker = broker();
    let template = Program::run(LOTMQ, &["cmd", "-p", &broker.port(), "-routeCode", "SNOWFLAKE"]).unwrap();
    assert!(template.stdout.starts_with("DEFINE ROUTE Snowflake WITH TYPE SNOWFLAKE\n"), "{template:?}");
    for part in ["Template of route type 'SNOWFLAKE'", "warning[ROUTE_TYPE_UNAVAILABLE]: "] {
        assert!(template.stderr.contains(part), "{template:?}");
    }
}
