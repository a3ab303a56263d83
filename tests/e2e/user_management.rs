//! Rights of users who manage users and are not administrators, and rights of each user over their
//! own account.

use lotmq_changes::{Batch, Op, SettingRow, TenantId, UserRow};
use lotmq_client::{Client, ClientError, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_store::{Store, StoreOptions};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};
use serde_json::Value;

use crate::backup::{run_ok, until_back};
use crate::disk::Sick;
use crate::{LOTMQ, broker, options};

const COMMAND: &str = "$SYS/Coreflux/Command";
const OUTPUT: &str = "$SYS/Coreflux/Command/Output";

const DEPLOYERS: &str = "DEFINE RULE Deployers WITH PRIORITY 100 FOR ActionManagementCreation
    IF USER IS \"cfg\" OR USER IN GROUP \"deployers\" OR USER HAS Deploys THEN
        ALLOW
";

/// A broker with `ann`, who manages users, and `bob`, who may do nothing.
fn broker_of_two(options: lotmq_test_support::BrokerOptions) -> Broker {
    let broker = options.start();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    broker.command_ok("-changeUserSettings ann AllowedUserManagement true");
    broker
}

/// The code of the first error of a command of a user, empty for success.
fn code(broker: &Broker, user: &str, command: &str) -> String {
    let mut client = broker.connect(&ConnectOptions::new("").user(user, "pw"));
    assert!(!client.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
    let text = format!("{command} -requestId one");
    client.publish(&Publication::new(COMMAND, text).qos(QoS::AtLeastOnce)).unwrap();
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("a reply comes");
        let reply: Value = serde_json::from_slice(&message.payload).unwrap();
        if reply["requestId"] == "one" && reply["user"].is_null() {
            return reply["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        }
    }
}

#[test]
fn a_user_manager_gets_nothing_by_way_of_others() {
    let broker = broker_of_two(options());
    broker.command_ok(&format!("-addRule {DEPLOYERS}"));
    for user in ["cfg", "chief", "deployer", "tagged"] {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    broker.command_ok("-changeUserSettings chief AllowedSystemConfiguration true");
    broker.command_ok("-addUserToGroup deployer deployers");
    broker.command_ok("-changeUserSettings tagged Deploys true");
    for command in [
        "-removeUser cfg",
        "-removeUser chief",
        "-removeUser deployer",
        "-removeUser tagged",
        "-changeUserPassword cfg evil",
        "-changeUserPassword deployer evil",
        "-changeUserPassword tagged evil",
        "-changeUserPassword chief evil",
        "-addUserToGroup ann deployers",
        "-removeUserFromGroup deployer deployers",
        "-changeUserSettings ann Deploys true",
        "-changeUserSettings bob Deploys true",
    ] {
        assert_eq!(code(&broker, "ann", command), "PERMISSION_DENIED", "{command}");
    }
    broker.command_ok("-removeUser cfg");
    assert_eq!(code(&broker, "ann", "-addUser cfg evil"), "PERMISSION_DENIED");
    for command in [
        "-addUser eve pw",
        "-changeUserPassword eve other",
        "-addUserToGroup eve shift",
        "-changeUserSettings eve Line 7",
        "-removeUser eve",
        "-removeUser bob",
    ] {
        assert_eq!(code(&broker, "ann", command), "", "{command}");
    }
    // A user who has the group may give it.
    broker.command_ok("-addUserToGroup ann deployers");
    assert_eq!(code(&broker, "ann", "-removeUserFromGroup deployer deployers"), "");
}

/// The usual rule that gives each user a subtree of their own names nobody and means everybody.
#[test]
fn a_user_manager_becomes_nobody_whom_rules_mean_without_his_name() {
    let broker = broker_of_two(options());
    assert_eq!(code(&broker, "ann", "-changeUserPassword bob other"), "", "there are no rules");
    broker.command_ok("-changeUserPassword bob pw");
    broker.command_ok(
        "-addRule DEFINE RULE Own WITH PRIORITY 5 FOR Subscribe TO TOPIC \"private/+/#\"\n    IF USER IS TOPIC POSITION 2 THEN\n        ALLOW\n    ELSE\n        DENY\n",
    );
    for command in ["-changeUserPassword bob evil", "-removeUser bob"] {
        assert_eq!(code(&broker, "ann", command), "PERMISSION_DENIED", "{command}");
    }
    assert_eq!(code(&broker, "bob", "-changeUserPassword bob pw"), "", "his own");
    assert_eq!(code(&broker, "ann", "-addUser eve pw"), "");
    broker.command_ok("-removeRule Own");
    assert_eq!(code(&broker, "ann", "-removeUser bob"), "");
}

#[test]
fn names_of_removed_users_rest_after_a_crash_too_and_root_may_give_them() {
    let mut broker = broker_of_two(options());
    assert_eq!(code(&broker, "ann", "-removeUser bob"), "");
    broker.kill();
    broker.start_again();
    assert_eq!(code(&broker, "ann", "-addUser bob evil"), "NAME_RESTS");
    broker.command_ok("-addUser bob pw");
    assert_eq!(code(&broker, "ann", "-changeUserPassword bob other"), "");
    // Once root has given it, it has nothing of its rest left.
    broker.kill();
    broker.start_again();
    broker.command_ok("-listUserGroups bob");
    let at_once = broker_of_two(options().variable("LOTMQ_AUTH_REMOVED_NAMES_REST_DAYS", "0"));
    assert_eq!(code(&at_once, "ann", "-removeUser bob"), "");
    assert_eq!(code(&at_once, "ann", "-addUser bob pw"), "");
}

fn sends(client: &mut Client, command: &str) -> ReasonCode {
    client.publish(&Publication::new(COMMAND, command).qos(QoS::AtLeastOnce)).unwrap()
}

#[test]
fn everybody_may_set_his_own_password_and_give_no_other_command() {
    let broker = broker_of_two(options());
    let mut bob = broker.connect(&ConnectOptions::v5("bob").user("bob", "pw"));
    for command in [
        "-listUsers",
        "-changeUserPassword ann evil",
        "-changeUserPassword \"bobby\" evil",
        "-changeUserPassword",
        "-changeUserPasswords bob evil",
        "-addUser bob evil",
    ] {
        assert_eq!(sends(&mut bob, command), ReasonCode::NotAuthorized, "{command}");
    }
    let mut anonymous = broker.connect(&ConnectOptions::v5("bob-2"));
    assert_eq!(sends(&mut anonymous, "-changeUserPassword bob evil"), ReasonCode::NotAuthorized);
    bob.subscribe_to("answers/bob", QoS::AtLeastOnce).unwrap();
    let ask = Publication::new(COMMAND, "--change-user-password bob \"new pass word\"").qos(QoS::AtLeastOnce);
    let ask = ask
        .property(lotmq_client::PropertyId::ResponseTopic, lotmq_client::PropertyValue::Utf8("answers/bob"));
    assert!(!bob.publish(&ask).unwrap().is_failure());
    let answer = bob.receive(WAIT_MAX).unwrap().unwrap().text();
    assert!(answer.contains("Password for user bob changed successfully!"), "{answer}");
    let old = ConnectOptions::new("old").user("bob", "pw");
    assert!(Client::connect(broker.address(), &old).is_err());
    drop(broker.connect(&ConnectOptions::new("new").user("bob", "new pass word")));
    // The session of the old password is closed.
    eventually("the session is closed", || bob.ping().is_err().then_some(()));
}

/// The next message of a session.
fn next(client: &mut Client) -> Value {
    serde_json::from_slice(&client.receive(WAIT_MAX).unwrap().expect("a reply comes").payload).unwrap()
}

#[test]
fn user_gets_the_reply_before_a_password_change_closes_the_connection() {
    let broker = broker_of_two(options());
    let mut password = "pw";
    for (options, new) in
        [(ConnectOptions::v5("five"), "pw-five"), (ConnectOptions::new("three"), "pw-three")]
    {
        let mut bob = broker.connect(&options.user("bob", password));
        assert!(!bob.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
        assert!(!sends(&mut bob, "-changeUserPassword bob").is_failure());
        assert_eq!(next(&mut bob)["errors"][0]["code"], "MISSING_ARGUMENT");
        assert!(!sends(&mut bob, &format!("-changeUserPassword bob {new}")).is_failure());
        assert_eq!(next(&mut bob)["message"], "Password for user bob changed successfully!");
        let end = bob.receive(WAIT_MAX).unwrap_err();
        if let ClientError::Disconnected { reason, text } = &end {
            assert_eq!((new, *reason), ("pw-five", ReasonCode::AdministrativeAction));
            assert_eq!(text, "the user's password was changed; log in with the new one");
        } else {
            assert!(new == "pw-three" && end.is_closed(), "{end}");
        }
        let old = ConnectOptions::new("old").user("bob", password);
        assert!(Client::connect(broker.address(), &old).is_err(), "{new}");
        password = new;
    }
    // The same by the tool.
    let (port, set) = (broker.port(), "-changeUserPassword bob pw-tool");
    let arguments = ["cmd", "-p", &port, "-u", "bob", "-P", password, set];
    let done = lotmq_test_support::Program::run(LOTMQ, &arguments).unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(done.stdout.trim(), "Password for user bob changed successfully!");
    drop(broker.connect(&ConnectOptions::new("new").user("bob", "pw-tool")));
}

#[test]
fn user_without_rights_gets_only_replies_to_own_commands() {
    let broker = broker_of_two(options());
    let mut bob = broker.connect(&ConnectOptions::v5("bob").user("bob", "pw"));
    for filter in
        ["$SYS/Coreflux/Command/+", "$SYS/Coreflux/Command/#", "$share/g/$SYS/Coreflux/Command/Output"]
    {
        let refused = bob.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
        assert_eq!(refused, ReasonCode::NotAuthorized, "{filter}");
    }
    let mut nobody = broker.client("nobody");
    assert!(nobody.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
    assert!(!bob.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
    // The published text of the rule says so.
    let mut root = broker.root("reader");
    root.subscribe_to("$SYS/Coreflux/Rules/AllowSubscribeCommandOutput", QoS::AtLeastOnce).unwrap();
    let text = root.receive(WAIT_MAX).unwrap().unwrap().text();
    assert!(text.contains("every user may subscribe to the topic of replies"), "{text}");
    let mut ann = broker.connect(&ConnectOptions::v5("ann").user("ann", "pw"));
    ann.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    // The subscription outlives changes of users, each of which has rights asked again.
    broker.command_ok("-changeUserSettings ann Line 7");
    assert_eq!(next(&mut ann)["user"], "root");
    assert!(!sends(&mut ann, "-listUsers").is_failure());
    assert_eq!(next(&mut ann)["command"], "ListUsers");
    let mut other = broker.connect(&ConnectOptions::v5("other").user("bob", "pw"));
    other.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    eventually("rights were asked again", || {
        let clients = broker.command_ok("-listClients bob");
        (clients.data()["clients"][0]["subscriptions"] == 1).then_some(())
    });
    assert!(!sends(&mut bob, "-changeUserPassword bob").is_failure());
    for client in [&mut bob, &mut other] {
        let reply = next(client);
        assert_eq!((&reply["command"], &reply["user"]), (&"ChangeUserPassword".into(), &Value::Null));
    }
    while next(&mut ann)["user"] != "bob" {}
}

fn can_log_in(broker: &Broker, password: &str) -> bool {
    Client::connect(broker.address(), &ConnectOptions::v5(password).user("bob", password)).is_ok()
}

/// If the last write to the disk was not answered, either password may be on it.
#[test]
fn a_new_password_counts_at_once_and_after_a_crash_before_its_answer_one_of_the_two_does() {
    let mut sick = Sick::new();
    sick.broker.command_ok("-addUser bob pw");
    let mut bob = sick.broker.connect(&ConnectOptions::v5("bob").user("bob", "pw"));
    bob.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    let lasting =
        |password| ConnectOptions::v5("away").user("bob", password).clean_start(false).session_expiry(3600);
    let mut away = sick.broker.connect(&lasting("pw"));
    away.subscribe_to("kept", QoS::AtLeastOnce).unwrap();
    away.disconnect().unwrap();
    sick.becomes("hang");
    assert!(!sends(&mut bob, "-changeUserPassword bob new").is_failure());
    eventually("the old password is refused", || (!can_log_in(&sick.broker, "pw")).then_some(()));
    let mut early = sick.broker.connect(&ConnectOptions::v5("early").user("bob", "new"));
    early.send_publish(&Publication::new("kept", "early").qos(QoS::AtLeastOnce)).unwrap();
    early.ping().unwrap();
    assert_eq!(early.unacknowledged(), 1);
    bob.ping().unwrap();
    assert!(bob.receive(std::time::Duration::ZERO).unwrap().is_none(), "nobody was told that it is done");
    sick.broker.kill();
    sick.heals();
    sick.broker.start_again();
    let valid: Vec<_> = ["pw", "new"].into_iter().filter(|it| can_log_in(&sick.broker, it)).collect();
    let &[valid] = &valid[..] else { panic!("{valid:?}") };
    assert!(sick.broker.connect(&lasting(valid)).session_present(), "what was acknowledged is there");
    // The same change, once it is answered, holds.
    let mut bob = sick.broker.connect(&ConnectOptions::v5("bob").user("bob", valid));
    bob.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    assert!(!sends(&mut bob, "-changeUserPassword bob newer").is_failure());
    assert_eq!(next(&mut bob)["success"], true);
    sick.broker.kill();
    sick.broker.start_again();
    assert!(can_log_in(&sick.broker, "newer") && !can_log_in(&sick.broker, valid));
}

#[test]
fn unstored_password_is_reported_and_gone_after_a_crash() {
    let mut sick = Sick::new();
    sick.broker.command_ok("-addUser bob pw");
    let mut bob = sick.broker.connect(&ConnectOptions::v5("bob").user("bob", "pw"));
    bob.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    sick.becomes("write-eio");
    assert!(!sends(&mut bob, "-changeUserPassword bob new").is_failure());
    let reply = next(&mut bob);
    assert_eq!(reply["errors"][0]["code"], "STORE_FAILED", "{reply}");
    // It is not, where the store was known to fail before.
    let is_in_force = reply["message"].as_str().unwrap().contains("It is in force");
    assert_eq!(can_log_in(&sick.broker, "new"), is_in_force, "{reply}");
    sick.broker.kill();
    sick.heals();
    sick.broker.start_again();
    assert!(can_log_in(&sick.broker, "pw") && !can_log_in(&sick.broker, "new"));
}

#[test]
fn log_manager_can_run_log_commands_only() {
    let broker = broker_of_two(options());
    broker.command_ok("-changeUserSettings bob AllowedLogManagement true");
    for (command, expected) in [
        ("-addTraceLog pump", ""),
        ("-listTraceLogs", ""),
        ("-removeTraceLog pump", ""),
        ("-listUsers", "PERMISSION_DENIED"),
        ("-listEnv", "PERMISSION_DENIED"),
        ("-addUser eve pw", "PERMISSION_DENIED"),
        ("-getProject plant", "PERMISSION_DENIED"),
    ] {
        assert_eq!(code(&broker, "bob", command), expected, "{command}");
    }
    let mut bob = broker.connect(&ConnectOptions::v5("bob").user("bob", "pw"));
    for topic in ["$SYS/Coreflux/Projects/list", "$SYS/Coreflux/Config", "$SYS/#"] {
        assert_eq!(bob.subscribe_to(topic, QoS::AtMostOnce).unwrap(), ReasonCode::NotAuthorized, "{topic}");
    }
}

#[test]
fn short_passwords_are_refused_unless_the_configuration_takes_them() {
    let lenient = broker();
    lenient.command_ok("-addUser bob x");
    let strict = options().variable("LOTMQ_AUTH_PASSWORD_CHARS_MIN", "8").start();
    for password in ["x", "1234567", "äöüäöüä"] {
        let reply = strict.command(&format!("-addUser bob {password}"));
        assert_eq!(reply.code(), "PASSWORD_INVALID", "{reply:?}");
        assert_eq!(reply.message(), "The password cannot be used: it has fewer than 8 characters.");
    }
    strict.command_ok("-addUser bob 12345678");
    assert_eq!(strict.command("-changeUserPassword bob short").code(), "PASSWORD_INVALID");
    strict.command_ok("-changeUserPassword bob äöüäöüäö");
}

/// Adds to what a broker has stored while it is stopped.
fn add_to_store(broker: &mut Broker, fill: impl FnOnce(&mut Batch)) {
    broker.stop();
    let (store, _) = Store::open(StoreOptions::new(broker.data()), Box::new(|_| {})).unwrap();
    let mut batch = Batch::new();
    fill(&mut batch);
    store.commit(batch).unwrap();
    store.close();
    drop(store);
    broker.start_again();
}

fn put_user(batch: &mut Batch, name: String, settings: Vec<(String, String)>) {
    batch.push(Op::PutUser(&UserRow {
        tenant: TenantId::DEFAULT,
        name,
        credential: String::new(),
        credential_version: 1,
        is_default_credential: false,
        groups: Vec::new(),
        settings,
        created_at_ms: 0,
    }));
}

/// Three quarters of what all users may have, that is; commands of administrators go on.
#[test]
fn user_manager_may_fill_three_quarters_of_the_settings_quota() {
    let mut broker = broker_of_two(options());
    // 256 settings of 4 KiB each make a mebibyte, of which there are eight; one that is shorter has
    // room yet.
    add_to_store(&mut broker, |batch| {
        for user in 0..6 {
            let name = |at: usize| format!("P{at:03}");
            let length = |at: usize| 4092 - usize::from(user == 5 && at == 255) * 64;
            let settings = (0..256).map(|at| (name(at), "x".repeat(length(at)))).collect();
            put_user(batch, format!("full{user}"), settings);
        }
    });
    let set = |length: usize| format!("-changeUserSettings bob Line {}", "7".repeat(length));
    assert_eq!(code(&broker, "ann", &set(80)), "QUOTA_EXCEEDED");
    assert_eq!(code(&broker, "ann", &set(40)), "");
    assert_eq!(code(&broker, "ann", &format!("-addUserToGroup bob {}", "g".repeat(60))), "QUOTA_EXCEEDED");
    assert_eq!(code(&broker, "ann", "-addUserToGroup bob g"), "");
    broker.command_ok(&format!("-addUserToGroup bob {}", "g".repeat(60)));
    broker.command_ok(&set(4_000));
    assert_eq!(code(&broker, "ann", &set(40)), "", "less than before is taken however much there is");
}

#[test]
fn user_manager_may_add_three_quarters_of_the_user_limit() {
    const OF_OTHERS: usize = 75_000;
    let mut broker = broker_of_two(options());
    // There are three.
    let added = OF_OTHERS - 4;
    add_to_store(&mut broker, |batch| {
        (0..added).for_each(|user| put_user(batch, format!("u{user}"), Vec::new()));
    });
    assert_eq!(code(&broker, "ann", "-addUser eve pw"), "");
    assert_eq!(code(&broker, "ann", "-addUser mal pw"), "QUOTA_EXCEEDED");
    broker.command_ok("-addUser mal pw");
}

/// Names rest as long as they would be given again otherwise; who manages users pushes none of them
/// out.
#[test]
fn user_manager_cannot_remove_users_beyond_the_reserved_name_quota() {
    const OF_OTHERS: usize = 7_500;
    let mut broker = broker_of_two(options());
    broker.command_ok("-addUser eve pw");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    add_to_store(&mut broker, |batch| {
        for number in 1..OF_OTHERS {
            let (name, value) = (format!("users.removed/u{number}"), now.to_string());
            batch.push(Op::PutSetting(&SettingRow { tenant: TenantId::DEFAULT, name, value }));
        }
    });
    assert_eq!(code(&broker, "ann", "-removeUser bob"), "", "one has room");
    assert_eq!(code(&broker, "ann", "-removeUser eve"), "QUOTA_EXCEEDED");
    broker.command_ok("-listUserGroups eve");
    let told = broker.command_as(("ann", "pw"), "-removeUser eve").0.to_string();
    assert!(
        told.contains("The names of 7500 removed users rest") && told.contains("A new password"),
        "{told}"
    );
    assert_eq!(code(&broker, "ann", "-changeUserPassword eve other"), "", "it says what else helps");
    broker.command_ok("-removeUser eve");
}

/// A user manager makes many accounts. All of them have one share with the manager, also after a
/// restart and when they are gone.
#[test]
fn users_whom_a_manager_makes_have_no_share_of_their_own() {
    let options = options().variable("LOTMQ_LIMITS_RETAINED_MESSAGES", "16");
    let options = options.variable("LOTMQ_LIMITS_SESSIONS_PER_USER", "2");
    let mut broker = broker_of_two(options.clone());
    for user in ["one", "two"] {
        assert_eq!(code(&broker, "ann", &format!("-addUser {user} pw")), "");
    }
    let retained = |broker: &Broker, user: &str| {
        let mut client = broker.connect(&ConnectOptions::v5("").user(user, "pw"));
        (0..16)
            .filter(|number| {
                let message = Publication::new(format!("{user}/{number}"), "1").retained();
                let answer = client.publish(&message.qos(QoS::AtLeastOnce)).unwrap();
                assert!(!answer.is_failure() || answer == ReasonCode::QuotaExceeded, "{answer:?}");
                !answer.is_failure()
            })
            .count()
    };
    assert_eq!(retained(&broker, "one"), 12, "three quarters of what others leave");
    for user in ["two", "ann"] {
        assert_eq!(retained(&broker, user), 0, "{user}");
    }
    assert_eq!(retained(&broker, "bob"), 3, "an administrator has made him");
    broker.kill();
    broker.start_again();
    assert_eq!(retained(&broker, "two"), 0);
    for command in ["-removeUser one", "-addUser three pw"] {
        assert_eq!(code(&broker, "ann", command), "", "{command}");
    }
    broker.kill();
    broker.start_again();
    assert_eq!(retained(&broker, "three"), 0, "what 'one' has left counts as before");

    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.zip");
    run_ok("backup", &broker, &backup, &[]);
    let restored = options.start();
    run_ok("restore", &restored, &backup, &["--yes"]);
    until_back(&restored);
    assert_eq!((retained(&restored, "three"), retained(&restored, "bob")), (0, 3), "in a backup, too");

    let stays = |user: &str, client_id: &str| {
        let session = ConnectOptions::v5(client_id).user(user, "pw").session_expiry(3600);
        Client::connect(broker.address(), &session).is_ok()
    };
    assert!(stays("ann", "a") && stays("two", "b") && !stays("three", "c") && !stays("ann", "d"));
    assert!(stays("bob", "e"));
}
