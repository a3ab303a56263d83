//! Every command that this build has, as a table: done, not found, malformed, not allowed; the
//! exact words that clients look for.

use std::time::Duration;

use lotmq_client::{ConnectOptions, PropertyBuf, PropertyId, PropertyValue, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};
use serde_json::{Value, json};

use crate::{broker, options};

const COMMAND: &str = "$SYS/Coreflux/Command";
const OUTPUT: &str = "$SYS/Coreflux/Command/Output";
const ECHO: &str = "DEFINE ACTION Echo\nON TOPIC \"in/+\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD";
const DOUBLE: &str =
    "DEFINE ACTION Double\nINPUT x AS INT\nDO\n    SET \"y\" WITH {x} * 2\nRETURN\n    OUTPUT y";

/// Checks the replies to commands: code of the first error, or nothing for success, and the
/// message.
fn check(broker: &Broker, rows: &[(&str, &str, &str)]) {
    for (command, code, message) in rows {
        let reply = broker.command(command);
        assert_eq!(reply.code(), *code, "{command}: {reply:?}");
        assert_eq!(reply.success(), code.is_empty(), "{command}: {reply:?}");
        assert_eq!(reply.message(), *message, "{command}: {reply:?}");
        assert_eq!(reply.errors().is_empty(), code.is_empty(), "{command}: {reply:?}");
        assert!(reply.data().is_object() || reply.data().is_array(), "{command}: {reply:?}");
    }
}

#[test]
fn users_settings_and_groups() {
    let broker = broker();
    check(
        &broker,
        &[
            ("-addUser bob s3cret", "", "User bob added successfully!"),
            ("-addUser bob again", "USER_EXISTS", "User bob already exists."),
            (r#"-addUser "Ann Lee" "pass word""#, "", "User Ann Lee added successfully!"),
            (
                "-addUser eve",
                "MISSING_ARGUMENT",
                "Missing argument: password. Usage: -addUser <user> <password>",
            ),
            (
                "-addUser eve pass word",
                "TOO_MANY_ARGUMENTS",
                "Too many arguments. Usage: -addUser <user> <password>",
            ),
            (r#"-addUser eve "pass"#, "ARGUMENT_INVALID", "A quotation mark is not closed."),
            (
                "-addUser a/b x",
                "NAME_INVALID",
                "User name 'a/b' is invalid: the name contains '/'; control characters and / + # are not allowed.",
            ),
            ("-changeUserPassword bob n3w", "", "Password for user bob changed successfully!"),
            ("-changeUserPassword nobody x", "NOT_FOUND", "User nobody not found."),
            (
                r#"-changeUserPassword bob """#,
                "PASSWORD_INVALID",
                "The password cannot be used: the password is empty.",
            ),
            (
                "-changeUserSettings bob AllowedUserManagement true",
                "",
                "Settings for user bob changed successfully!",
            ),
            (
                "-changeUserSettings bob AllowedUserManagement yes",
                "ARGUMENT_INVALID",
                "Setting AllowedUserManagement takes true or false, not 'yes'.",
            ),
            ("-addUserToGroup bob operators", "", "User bob added to group operators successfully!"),
            ("-removeUserFromGroup bob operators", "", "User bob removed from group operators successfully!"),
            ("-removeUserFromGroup bob operators", "NOT_FOUND", "User bob is not in group operators."),
            ("-listUserGroups bob", "", "0 group(s)."),
            ("-listUserGroups nobody", "NOT_FOUND", "User nobody not found."),
            ("-removeUser bob", "", "User bob removed successfully!"),
            ("-removeUser bob", "NOT_FOUND", "User bob not found."),
            ("-removeUser root", "USER_PROTECTED", "User root cannot be removed."),
        ],
    );
    let users = broker.command_ok("-listUsers");
    assert_eq!(users.message(), "2 user(s).");
    assert_eq!(users.data()[0]["Username"], "Ann Lee");
    assert_eq!(users.data()[0]["Password"], "****");
}

#[test]
fn environment_and_secrets() {
    let broker = broker();
    check(
        &broker,
        &[
            ("-setEnv SITE=north hall = 2", "", "Environment variable 'SITE' set successfully!"),
            ("-setEnv Q=\" x \"", "", "Environment variable 'Q' set successfully!"),
            (
                "-setEnv 1A=x",
                "NAME_INVALID",
                "'1A' is not a name: letters, digits and _, not beginning with a digit, at most 256 characters.",
            ),
            ("-setEnv SITE", "ARGUMENT_INVALID", "Expected NAME=value. Usage: -setEnv <NAME=value>"),
            ("-setEnv", "MISSING_ARGUMENT", "Missing argument: NAME=value. Usage: -setEnv <NAME=value>"),
            ("-removeEnv NOPE", "NOT_FOUND", "Environment variable 'NOPE' not found."),
            ("-setSecret KEY=v3ry-s3cret", "", "Secret 'KEY' set successfully!"),
            ("-removeSecret NOPE", "NOT_FOUND", "Secret 'NOPE' not found."),
        ],
    );
    let mut root = broker.root("root");
    for filter in ["#", "$SYS/#", "barrier"] {
        root.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
    }
    broker.command_ok("-setSecret KEY=v3ry-s3cret");
    broker.command_ok("-listSecrets");
    root.publish(&Publication::new("barrier", "x")).unwrap();
    loop {
        let message = root.receive(WAIT_MAX).unwrap().unwrap();
        assert!(!message.text().contains("v3ry-s3cret"), "{}", message.topic);
        if message.topic == "barrier" {
            break;
        }
    }
    let listed = broker.command_ok("-listEnv");
    assert_eq!(*listed.data(), json!([{"name":"Q","value":" x "},{"name":"SITE","value":"north hall = 2"}]));
    assert_eq!(*broker.command_ok("-listSecrets").data(), json!([{"name":"KEY"}]));
    check(
        &broker,
        &[
            ("-removeEnv SITE", "", "Environment variable 'SITE' removed successfully!"),
            ("-removeSecret KEY", "", "Secret 'KEY' removed successfully!"),
        ],
    );
    assert!(!broker.log().text().contains("v3ry-s3cret"), "secrets never reach the log");
}

#[test]
fn actions_from_upload_to_removal() {
    let broker = broker();
    check(
        &broker,
        &[
            ("-listEntities", "", "No entities registered."),
            (&format!("-addAction {ECHO}"), "", "Action 'Echo' added successfully!"),
            (&format!("-addAction Echo {ECHO}"), "", "Action 'Echo' added successfully!"),
            (&format!("-addAction {DOUBLE}"), "", "Action 'Double' added successfully!"),
            ("-addAction", "MISSING_ARGUMENT", "Missing argument: LoT text. Usage: -addAction <LoT text>"),
            (
                "-runAction Echo {\"topic\":\"in/1\",\"payload\":{\"v\":1}}",
                "",
                "Action 'Echo' executed successfully.",
            ),
            ("-runAction Double {\"x\":21}", "", "Action 'Double' executed successfully."),
            ("-runAction Double {\"z\":1}", "INPUT_UNKNOWN", "Action 'Double' has no input 'z'."),
            (
                "-runAction Double {x",
                "JSON_INVALID",
                "The JSON cannot be read: key must be a string at line 1 column 2.",
            ),
            ("-runAction Nope", "NOT_FOUND", "Action 'Nope' not found."),
            ("-actionTrace Echo", "", "Tracing enabled for action 'Echo'."),
            ("-actionTrace status", "", "1 action(s) traced."),
            ("-actionTrace remove Echo", "", "Tracing disabled for action 'Echo'."),
            ("-actionTrace all", "", "Tracing enabled for all actions."),
            ("-actionTrace off", "", "Tracing disabled for all actions."),
            ("-actionTrace Nope", "NOT_FOUND", "Action 'Nope' not found."),
            ("-lotDiagnostic action Echo", "", "Action 'Echo'."),
            ("-lotDiagnostic Echo", "", "Action 'Echo'."),
            ("-lotDiagnostic model Echo", "NOT_FOUND", "Model 'Echo' not found."),
            (
                "-lotDiagnostic python Echo",
                "ARGUMENT_INVALID",
                "A script has no diagnostic of its own: its errors are those of the actions that call it.",
            ),
            (
                "-lotDiagnostic thing Echo",
                "ARGUMENT_INVALID",
                "Unknown kind 'thing'. Usage: -lotDiagnostic [model | action | route | rule] <name>",
            ),
            ("-getPendingStatus", "", "No pending models or actions."),
            ("-listEntities", "", "2 entities."),
            ("-removeAction Echo", "", "Action 'Echo' removed successfully!"),
            ("-listEntities", "", "1 entity."),
            ("-removeAction Echo", "NOT_FOUND", "Action 'Echo' not found."),
            ("-removeAllActions", "", "Removed all actions successfully"),
            ("-listEntities", "", "No entities registered."),
        ],
    );
}

#[test]
fn a_run_reports_what_it_published_and_returned() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {ECHO}"));
    broker.command_ok(&format!("-addAction {DOUBLE}"));
    let run = broker.command_ok("-runAction Double {\"x\":21}");
    assert_eq!(run.data()["outputs"], json!({"y":42}));
    assert_eq!(run.data()["status"], "success");
    let run = broker.command_ok("-runAction Echo {\"topic\":\"in/1\",\"payload\":{\"v\":1}}");
    assert_eq!(run.data()["published"], json!([{"topic":"out","payload":"{\"v\":1}"}]));
    let bare = broker.command_ok("-runAction Echo");
    assert_eq!(bare.data()["published"], json!([{"topic":"out","payload":""}]));
    assert_eq!(bare.0["warnings"][0]["code"], "NO_MESSAGE", "{bare:?}");
}

#[test]
fn features_missing_in_this_build_are_rejected_by_name() {
    let broker = broker();
    // The broker reports mistakes in a route before it reports that nothing runs it (routes
    // reference §1.7, §1.8).
    let without = "-addRoute DEFINE ROUTE R WITH TYPE SNOWFLAKE\n";
    let reply = broker.command(without);
    assert_eq!((reply.code(), reply.0["errors"][0]["line"].as_u64()), ("LOT322", Some(1)), "{reply:?}");
    assert!(reply.message().contains("needs ADD SNOWFLAKE_CONFIG"), "{reply:?}");
    let whole = format!("{without}    ADD SNOWFLAKE_CONFIG\n        WITH CONNECTION_STRING \"account=a\"");
    let reply = broker.command(&whole);
    assert_eq!(reply.code(), "ROUTE_TYPE_UNAVAILABLE", "{reply:?}");
    assert_eq!(reply.message(), "Route type 'SNOWFLAKE' is not available in this build.");
    let reply =
        broker.command("-addRoute DEFINE ROUTE R WITH TYPE GRPC\n    ADD GRPC_CONFIG\n        WITH X 1");
    assert_eq!(reply.message(), "Route type 'GRPC' is not available in this build.");
    let reply = broker.command("-addRoute DEFINE ROUTE R WITH TYPE MODBUS_TPC\n");
    assert_eq!(reply.code(), "LOT319", "{reply:?}");
    let asks = "-addAction DEFINE ACTION A\nON TOPIC \"a\" DO\n    CALL LLM \"L\" METHOD \"generate\" WITH prompt = PAYLOAD RETURN AS {r}\n    PUBLISH TOPIC \"o\" WITH {r}";
    let reply = broker.command(asks);
    assert_eq!(reply.code(), "LOT501", "{reply:?}");
    check(
        &broker,
        &[
            ("-removeModel Nope", "NOT_FOUND", "Model 'Nope' not found."),
            ("-removeRule Nope", "NOT_FOUND", "Rule 'Nope' not found."),
            ("-removeRoute Nope", "NOT_FOUND", "Route 'Nope' not found."),
            ("-removeAllModels", "", "Removed all models successfully"),
            ("-removeAllRoutes", "", "Removed all routes successfully"),
            ("-listRoutes", "", "No routes registered."),
            ("-connectionStatus", "", "No routes registered."),
            ("-listClients nobody-", "", "No active connections found."),
            ("-listModules", "", "No modules registered."),
            ("-checkRouteConnection Up", "NOT_FOUND", "Route 'Up' not found."),
            ("-listProjects", "", "No projects found."),
            ("-loadLicense x", "", "No license is required. The command was ignored."),
            ("-projectPull x", "NOT_AVAILABLE", "Command -projectPull is not available yet."),
            (
                "-install-python-package x",
                "NOT_AVAILABLE",
                "Command -installPythonPackage is not available yet.",
            ),
            ("listRoutes", "UNKNOWN_COMMAND", "Unknown command: listRoutes"),
            ("---listRoutes", "UNKNOWN_COMMAND", "Unknown command: ---listRoutes"),
        ],
    );
    let help = broker.command_ok("-help");
    let verbs: Vec<&str> =
        help.data().as_array().unwrap().iter().filter_map(|row| row["verb"].as_str()).collect();
    assert!(verbs.contains(&"-addAction") && !verbs.contains(&"-projectPull"), "{verbs:?}");
}

/// The verbs are those of the document, which a test of `tidy` compares with the broker's list.
#[test]
fn verbs_of_later_versions_are_refused_by_name() {
    let document = include_str!("../../docs/commands-coverage.md");
    let (_, section) = document.split_once("## Refused by name").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let verbs: Vec<&str> = words.filter(|word| word.starts_with('-')).collect();
    assert!(verbs.len() > 10, "{verbs:?}");
    let broker = broker();
    let help = broker.command_ok("-help").data().to_string();
    for verb in verbs {
        let dashed =
            |c: char| c.is_ascii_uppercase().then_some('-').into_iter().chain([c.to_ascii_lowercase()]);
        let kebab: String = verb.trim_start_matches('-').chars().flat_map(dashed).collect();
        for written in [verb, &format!("--{}", kebab.trim_start_matches('-'))] {
            let reply = broker.command(&format!("{written} x"));
            assert_eq!(reply.message(), format!("Command {verb} is not available yet."), "{written}");
            assert_eq!(reply.code(), "NOT_AVAILABLE", "{written}");
        }
        assert!(!help.contains(&format!("\"{verb}\"")), "{verb}");
    }
    for verb in ["-mqttPacketTrace", "-checkActionUsage", "-loadFolder"] {
        let reply = broker.command(&format!("{verb} x"));
        assert_eq!(
            (reply.code(), reply.message()),
            ("UNKNOWN_COMMAND", &*format!("Unknown command: {verb}"))
        );
    }
}

#[test]
fn an_allowed_user_manager_manages_users_and_nothing_else() {
    let broker = broker();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-changeUserSettings ann AllowedUserManagement true");
    let mut ann = broker.connect(&ConnectOptions::new("ann").user("ann", "pw"));
    assert!(!ann.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
    let mut ask = |command: &str| -> Value {
        ann.publish(&Publication::new(COMMAND, command).qos(QoS::AtLeastOnce)).unwrap();
        serde_json::from_slice(&ann.receive(WAIT_MAX).unwrap().unwrap().payload).unwrap()
    };
    for verb in [
        "addAction",
        "removeAction",
        "removeAllActions",
        "runAction",
        "addModel",
        "removeModel",
        "removeAllModels",
        "addRule",
        "removeRule",
        "addRoute",
        "removeRoute",
        "removeAllRoutes",
        "setEnv",
        "removeEnv",
        "listEnv",
        "setSecret",
        "removeSecret",
        "listSecrets",
        "brokerStatus",
        "listRuns",
        "listClients",
        "listSessions",
        "endSession",
        "kickClient",
        "listConnections",
        "endConnection",
        "addModule",
        "removeModule",
        "enableModule",
        "disableModule",
        "addPanel",
        "addVisu",
        "addVisuFile",
        "removePanel",
        "removeVisu",
        "listPanels",
        "panelCode",
        "updateVisuState",
        "refreshVisu",
        "addTheme",
        "removeTheme",
        "removeAllThemes",
        "listThemes",
    ] {
        let reply = ask(&format!("-{verb} x"));
        assert_eq!(reply["success"], false, "{verb}: {reply}");
        let message = format!("Permission denied: You are not allowed to execute -{verb}");
        assert_eq!(reply["message"], *message, "{verb}: {reply}");
        assert_eq!(reply["errors"][0]["code"], "PERMISSION_DENIED", "{verb}: {reply}");
    }
    assert_eq!(ask("-addUser bob pw")["success"], true);
    assert_eq!(ask("-changeUserPassword root x")["message"], "Only root may change root.");
    let typo = ask("-changeUserSettings bob AllowedSystemConfigration true");
    let said = typo["message"].as_str().unwrap();
    assert!(said.contains("did you mean AllowedSystemConfiguration?"), "{said}");
    let granted = ask("-changeUserSettings bob AllowedSystemConfiguration true");
    assert_eq!(granted["message"], "You cannot grant AllowedSystemConfiguration because you do not have it.");
    assert_eq!(ask("-listEntities")["success"], true, "needs no more than CommandCall");
    let help = ask("-help");
    let verbs: Vec<&str> =
        help["data"].as_array().unwrap().iter().filter_map(|row| row["verb"].as_str()).collect();
    assert!(verbs.contains(&"-addUser") && verbs.contains(&"-listRoutes"), "{verbs:?}");
    assert!(!verbs.contains(&"-addAction") && !verbs.contains(&"-listEnv"), "{verbs:?}");
}

#[test]
fn sessions_of_removed_users_and_old_passwords_end() {
    let broker = broker();
    for user in ["gone", "new", "stays"] {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    let session = |user: &str| broker.connect(&ConnectOptions::v5(user).user(user, "pw"));
    let (mut gone, mut new, mut stays) = (session("gone"), session("new"), session("stays"));
    broker.command_ok("-removeUser gone");
    broker.command_ok("-changeUserPassword new pw2");
    for client in [&mut gone, &mut new] {
        let error = client.receive(WAIT_MAX).unwrap_err();
        assert!(error.is_closed(), "{error}");
    }
    stays.ping().unwrap();
    let mut again = broker.connect(&ConnectOptions::new("new").user("new", "pw2"));
    again.ping().unwrap();
}

#[test]
fn accounts_variables_and_definitions_survive_a_kill() {
    let mut broker = broker();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-addUserToGroup ann shift");
    broker.command_ok("-setEnv SITE=north");
    broker.command_ok("-setSecret KEY=v3ry-s3cret");
    broker.command_ok(&format!("-addAction {ECHO}"));
    broker.kill();
    broker.start_again();
    assert_eq!(*broker.command_ok("-listUserGroups ann").data(), json!({"groups":["shift"]}));
    broker.connect(&ConnectOptions::new("ann").user("ann", "pw")).ping().unwrap();
    assert_eq!(*broker.command_ok("-listEnv").data(), json!([{"name":"SITE","value":"north"}]));
    assert_eq!(*broker.command_ok("-listSecrets").data(), json!([{"name":"KEY"}]));
    assert_eq!(broker.command_ok("-listEntities").data()[0]["name"], "Echo");
    let file = std::fs::read(broker.data().join("lotmq.redb")).unwrap();
    assert!(!file.windows(11).any(|bytes| bytes == b"v3ry-s3cret"), "secrets are encrypted at rest");
}

#[test]
fn replies_of_one_client_come_in_order_and_are_not_retained() {
    let broker = broker();
    let mut root = broker.root("root");
    root.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    for n in 0..50 {
        // A slow one in between does not let the next overtake it.
        let command = if n % 10 == 0 { "-addUser u pw" } else { "-listUsers" };
        let payload = format!("{command} -requestId r{n}");
        root.publish(&Publication::new(COMMAND, payload).qos(QoS::AtLeastOnce).retained()).unwrap();
    }
    for n in 0..50 {
        let reply: Value = serde_json::from_slice(&root.receive(WAIT_MAX).unwrap().unwrap().payload).unwrap();
        assert_eq!(reply["requestId"], *format!("r{n}"));
    }
    let mut late = broker.root("late");
    late.subscribe_to("$SYS/Coreflux/Command/#", QoS::AtLeastOnce).unwrap();
    late.subscribe_to("barrier", QoS::AtLeastOnce).unwrap();
    late.publish(&Publication::new("barrier", "x")).unwrap();
    assert_eq!(late.receive(WAIT_MAX).unwrap().unwrap().topic, "barrier", "nothing of commands is retained");
}

#[test]
fn an_action_gives_commands_in_the_name_of_its_owner() {
    let broker = broker();
    let source = "DEFINE ACTION Admin\nON TOPIC \"make/user\" DO\n    PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-addUser made pw\"";
    broker.command_ok(&format!("-addAction {source}"));
    broker.client("c").publish(&Publication::new("make/user", "x").qos(QoS::AtLeastOnce)).unwrap();
    eventually("the user", || {
        let users = broker.command_ok("-listUsers");
        users.data().as_array().unwrap().iter().any(|user| user["Username"] == "made").then_some(())
    });
}

#[test]
fn other_system_topics_cannot_be_written() {
    let broker = options().variable("LOTMQ_SYS_INTERVAL_SEC", "0").start();
    let mut root = broker.connect(&ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/made/up", QoS::AtLeastOnce).unwrap();
    root.subscribe_to("barrier", QoS::AtLeastOnce).unwrap();
    let forged = Publication::new("$SYS/made/up", "x").qos(QoS::AtLeastOnce).retained();
    assert_eq!(
        root.publish(&forged).unwrap(),
        ReasonCode::Success,
        "accepted from an administrator, and ignored"
    );
    let mut other = broker.connect(&ConnectOptions::v5("other"));
    assert_eq!(other.publish(&forged).unwrap(), ReasonCode::NotAuthorized);
    root.publish(&Publication::new("barrier", "x")).unwrap();
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().topic, "barrier");
}

/// The next user of a name is somebody else. Definitions of the former user get none of the rights
/// of the next one, not after a restart either.
#[test]
fn definitions_of_a_removed_user_do_not_serve_the_next_of_that_name() {
    let mut broker = broker();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let mut ann = broker.connect(&ConnectOptions::v5("ann").user("ann", "pw"));
    ann.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtMostOnce).unwrap();
    let program = "DEFINE ACTION Sneak\nON TOPIC \"go\" DO\n    \
                   PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-setEnv SNEAK=\" + PAYLOAD\n";
    let upload = format!("-addAction {program}");
    ann.publish(&Publication::new("$SYS/Coreflux/Command", upload)).unwrap();
    assert!(ann.receive(WAIT_MAX).unwrap().unwrap().text().contains(r#""success":true"#));
    let go = |broker: &Broker, payload: &str| {
        broker.client("go").publish(&Publication::new("go", payload).qos(QoS::AtLeastOnce)).unwrap();
    };
    let value = |broker: &Broker| broker.command_ok("-listEnv").data().to_string();
    go(&broker, "one");
    eventually("the variable that her action set", || value(&broker).contains("one").then_some(()));
    broker.command_ok("-removeUser ann");
    broker.command_ok("-addUser ann other");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    for payload in ["two", "three"] {
        let mut root = broker.root("root");
        root.subscribe_to("$SYS/Coreflux/Actions/Sneak/Error", QoS::AtMostOnce).unwrap();
        go(&broker, payload);
        eventually("the refusal", || {
            let error = root.receive(WAIT_MAX).unwrap().unwrap().text();
            (error.contains("AUTHORITY_GONE") || error.contains("not granted")).then_some(())
        });
        assert!(!value(&broker).contains(payload));
        broker.kill();
        broker.start_again();
    }
}

/// Definitions of a removed user go on with the rights of a Client without a user, before and after
/// a restart.
#[test]
fn definitions_of_a_removed_user_go_on_with_the_rights_of_nobody() {
    let mut broker = broker();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let mut ann = broker.connect(&ConnectOptions::v5("ann").user("ann", "pw"));
    ann.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtMostOnce).unwrap();
    for (name, to) in [("Open", "out"), ("Closed", "closed")] {
        let program =
            format!("DEFINE ACTION {name}\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"{to}\" WITH PAYLOAD\n");
        ann.publish(&Publication::new("$SYS/Coreflux/Command", format!("-addAction {program}"))).unwrap();
        assert!(ann.receive(WAIT_MAX).unwrap().unwrap().text().contains(r#""success":true"#));
    }
    broker.command_ok("-addRule DEFINE RULE Closed WITH PRIORITY 1 FOR Publish TO TOPIC \"closed\"\n    IF USER IS \"ann\" THEN\n        ALLOW\n    ELSE\n        DENY\n");
    let received = |broker: &Broker, payload: &str| {
        let mut root = broker.root("watcher");
        root.subscribe_to("out", QoS::AtMostOnce).unwrap();
        root.subscribe_to("closed", QoS::AtMostOnce).unwrap();
        broker.client("go").publish(&Publication::new("in", payload).qos(QoS::AtLeastOnce)).unwrap();
        // Both Actions have run by the time of what is published behind them.
        let mut topics = Vec::new();
        while let Some(message) = root.receive(Duration::from_millis(500)).unwrap() {
            topics.push(message.topic);
        }
        topics.sort();
        topics
    };
    assert_eq!(received(&broker, "hers"), ["closed", "out"]);
    broker.command_ok("-removeUser ann");
    for state in ["running", "started again"] {
        assert_eq!(received(&broker, "nobody's"), ["out"], "{state}");
        broker.kill();
        broker.start_again();
    }
}

/// A session holds messages that its user may read. No other user gets it, with any Client
/// Identifier.
#[test]
fn a_session_is_its_users_alone() {
    let mut broker = broker();
    for user in ["ann", "low", "gone"] {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    broker.command_ok("-changeUserSettings gone AllowedSystemConfiguration true");
    let session = |id: &str| {
        let mut options = ConnectOptions::v5(id).session_expiry(600);
        options.clean_start = false;
        options
    };
    for user in ["ann", "gone"] {
        let mut client = broker.connect(&session(user).user(user, "pw"));
        assert!(!client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap().is_failure());
        client.disconnect().unwrap();
    }
    let mut open = broker.connect(&session("open"));
    open.subscribe_to("anything", QoS::AtLeastOnce).unwrap();
    open.disconnect().unwrap();
    broker.command_ok("-removeUser gone");
    broker.command_ok("-addUser gone pw");
    let mut namesake = broker.connect(&session("gone").user("gone", "pw"));
    assert!(!namesake.session_present(), "the next user of that name is somebody else");
    broker.command_ok("-removeUser gone");
    assert!(namesake.ping().is_err() || namesake.receive(WAIT_MAX).is_err(), "and his connection is closed");
    for _ in 0..2 {
        let strangers =
            [session("ann"), session("ann").user("low", "pw"), session("ann").user("root", "coreflux")];
        for options in strangers {
            let stranger = broker.connect(&options);
            assert!(!stranger.session_present(), "hers is not told of, either");
            let mut ends = PropertyBuf::new();
            ends.push(PropertyId::SessionExpiryInterval, PropertyValue::FourByte(0)).unwrap();
            stranger.disconnect_with(ReasonCode::Success, ends.properties()).unwrap();
        }
        for (id, user) in [("ann", Some("ann")), ("open", None)] {
            let options = user.map_or(session(id), |user| session(id).user(user, "pw"));
            let owner = broker.connect(&options);
            assert!(owner.session_present(), "{id} is still there");
            owner.disconnect().unwrap();
        }
        broker.kill();
        broker.start_again();
    }
}
