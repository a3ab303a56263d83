//! Shares of users in what executes commands: whatever one gives, and from however many
//! connections, those of others are answered soon.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lotmq_client::{Client, ConnectOptions, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};

use crate::options;

const COMMAND: &str = "$SYS/Coreflux/Command";

/// Connections of the user who gives too many commands.
const CONNECTIONS: usize = 20;

/// Commands of this user over each connection.
const COMMANDS_EACH: usize = 8;

/// A broker with a user who may give commands and has these scopes.
fn broker_with(users: &[&str], scopes: &[&str]) -> Broker {
    let broker = options().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
    let is_one = users.iter().map(|user| format!("USER IS \"{user}\"")).collect::<Vec<_>>().join(" OR ");
    for user in users {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    for scope in scopes.iter().chain(&["CommandCall"]) {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Of{scope} WITH PRIORITY 5 FOR {scope}\n    IF {is_one} THEN\n        ALLOW\n"
        ));
    }
    broker
}

/// Gives a command whose reply is also published at a topic.
fn give(client: &mut Client, command: &str, answer: &str) {
    let command = Publication::new(COMMAND, command)
        .qos(QoS::AtLeastOnce)
        .property(PropertyId::ResponseTopic, PropertyValue::Utf8(answer));
    assert!(!client.publish(&command).unwrap().is_failure());
}

/// Topic and payload of the next answer.
fn next(watcher: &mut Client) -> (String, String) {
    let message = watcher.receive(8 * WAIT_MAX).unwrap().expect("an answer comes");
    (message.topic, String::from_utf8(message.payload).unwrap())
}

/// An action whose pattern is dear.
fn dear(name: &str) -> String {
    let pattern = r"\w".repeat(20);
    format!(
        "DEFINE ACTION {name}\nON TOPIC \"{name}\" DO\n    IF PAYLOAD MATCHES REGEX \"(?!x){pattern}\" THEN\n        PUBLISH TOPIC \"o\" WITH 1\n"
    )
}

#[test]
fn commands_of_one_user_do_not_hold_up_those_of_others() {
    let broker = broker_with(&["u"], &["ActionManagementCreation"]);
    let mut watcher = broker.connect(&ConnectOptions::v5("watcher").user("root", "coreflux"));
    watcher.subscribe_to("answers/+", QoS::AtLeastOnce).unwrap();
    let mut root = broker.connect(&ConnectOptions::v5("root").user("root", "coreflux"));
    let small = "-addAction DEFINE ACTION Small\nON TOPIC \"r\" DO\n    PUBLISH TOPIC \"s\" WITH 1\n";
    for of_root in [small, "-listUsers"] {
        let mut flood: Vec<Client> = (0..CONNECTIONS)
            .map(|number| broker.connect(&ConnectOptions::v5(format!("u{number}")).user("u", "pw")))
            .collect();
        for (number, client) in flood.iter_mut().enumerate() {
            for nth in 0..COMMANDS_EACH {
                give(client, &format!("-addAction {}", dear(&format!("A{number}x{nth}x"))), "answers/u");
            }
        }
        assert_eq!(next(&mut watcher).0, "answers/u");
        root.publish(&Publication::new("answers/mark", "").qos(QoS::AtLeastOnce)).unwrap();
        give(&mut root, of_root, "answers/root");
        let topics: Vec<String> =
            (1..CONNECTIONS * COMMANDS_EACH + 2).map(|_| next(&mut watcher).0).collect();
        let place = |wanted: &str| topics.iter().position(|topic| topic == wanted).unwrap();
        let before = place("answers/root") - place("answers/mark") - 1;
        // Commands that had begun, and those whose turn came before root's.
        assert!(before <= 12, "{of_root}: {before} of the other user came first");
    }
}

/// A server that takes connections and says nothing, and how many have come.
fn silent_server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((connection, _)) = listener.accept() {
            counted.fetch_add(1, Ordering::SeqCst);
            open.push(connection);
        }
    });
    (port, count)
}

#[test]
fn probes_of_a_silent_far_side_hold_up_nobody_and_are_one() {
    let (port, connections) = silent_server();
    let broker = broker_with(&["owner", "other", "stranger"], &[]);
    for user in ["owner", "other"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Routes{user} WITH PRIORITY 6 FOR RouteManagementCreation\n    IF USER IS \"{user}\" THEN\n        ALLOW\n"
        ));
    }
    let route = format!(
        "-addRoute DEFINE ROUTE Far WITH TYPE REST_API\n    ADD REST_API_CONFIG\n        WITH BASE_ADDRESS \"http://127.0.0.1:{port}\"\n        WITH TIMEOUT 300000\n    ADD EVENT Get\n        WITH SOURCE_TOPIC \"ask\"\n        WITH METHOD \"GET\"\n        WITH ENDPOINT \"/x\"\n"
    );
    assert!(broker.command_as(("owner", "pw"), &route).success());
    let refused = broker.command_as(("stranger", "pw"), "-checkRouteConnection Far");
    assert_eq!(refused.code(), "PERMISSION_DENIED", "{refused:?}");
    // The owner may still check their own route without the right.
    broker.command_ok("-removeRule Routesowner");
    let mut watcher = broker.connect(&ConnectOptions::v5("watcher").user("root", "coreflux"));
    watcher.subscribe_to("answers/+", QoS::AtLeastOnce).unwrap();
    let mut root = broker.connect(&ConnectOptions::v5("root").user("root", "coreflux"));
    let before = connections.load(Ordering::SeqCst);
    let asking: Vec<Client> = (0..CONNECTIONS)
        .map(|number| {
            let user = if number % 2 == 0 { "owner" } else { "other" };
            let mut client = broker.connect(&ConnectOptions::v5(format!("c{number}")).user(user, "pw"));
            give(&mut client, "-checkRouteConnection Far", &format!("answers/{user}"));
            client
        })
        .collect();
    for command in
        ["-listUsers", "-addAction DEFINE ACTION R\nON TOPIC \"r\" DO\n    PUBLISH TOPIC \"s\" WITH 1\n"]
    {
        give(&mut root, command, "answers/root");
        assert_eq!(next(&mut watcher).0, "answers/root", "before any probe has ended");
    }
    let first: Vec<(String, String)> = (0..3).map(|_| next(&mut watcher)).collect();
    let users: BTreeSet<&str> = first.iter().map(|(topic, _)| &**topic).collect();
    assert_eq!(users, BTreeSet::from(["answers/other", "answers/owner"]));
    assert!(first.iter().all(|(_, answer)| answer.contains("no answer within 5 s")), "{first:?}");
    let probes = connections.load(Ordering::SeqCst) - before;
    assert!(probes <= 2, "{probes} connections, for one probe that all shared and perhaps the next");
    drop(asking);
}
