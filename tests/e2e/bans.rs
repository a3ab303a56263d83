//! Bans of addresses and users by operators, and those that the broker begins itself.

use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};

use lotmq_client::{Client, ClientError, ConnectOptions, Endpoint, QoS, ReasonCode};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX};
use serde_json::{Value, json};

use crate::options;

/// A broker whose WebSocket listener takes the address of its clients from a PROXY header.
fn behind_proxy() -> BrokerOptions {
    options()
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_PROXY_PROTOCOL", "true")
        .variable("LOTMQ_ANONYMOUS", "true")
}

/// Connects a client that comes from `address`.
fn connect_from(broker: &Broker, address: &str, options: &ConnectOptions) -> Result<Client, ClientError> {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = proxy.local_addr().unwrap().port();
    let target = ("127.0.0.1", broker.port_of("ws"));
    let header = format!("PROXY TCP4 {address} 10.0.0.2 4711 1883\r\n");
    // The smallest proxy: one connection, a header in front. It ends with the connection.
    std::thread::spawn(move || {
        let (client, _) = proxy.accept().unwrap();
        let mut server = TcpStream::connect(target).unwrap();
        server.write_all(header.as_bytes()).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_client, &mut to_server);
            let _ = to_server.shutdown(Shutdown::Both);
        });
        let _ = std::io::copy(&mut server, &mut &client);
        let _ = client.shutdown(Shutdown::Both);
    });
    Client::connect_at(&Endpoint::tcp("127.0.0.1", port).websocket("/mqtt"), options)
}

fn is_closed_unread(connected: Result<Client, ClientError>) -> bool {
    matches!(connected, Err(error) if !matches!(error, ClientError::Refused { .. }))
}

/// Reason Code of a refused CONNECT.
fn refusal(connected: Result<Client, ClientError>) -> ReasonCode {
    match connected {
        Ok(_) => panic!("the client was admitted"),
        Err(ClientError::Refused { reason, .. }) => reason,
        Err(error) => panic!("{error}"),
    }
}

/// Waits until the broker has closed the connection.
fn await_close(client: &mut Client) {
    while let Ok(message) = client.receive(WAIT_MAX) {
        assert!(message.is_some(), "the connection stays open");
    }
}

fn bans(broker: &Broker) -> Vec<Value> {
    let reply = broker.command_ok("-listBans");
    reply.data()["bans"].as_array().unwrap().clone()
}

#[test]
fn banned_address_is_closed_unread_until_the_ban_is_removed_also_after_a_restart() {
    let mut broker = behind_proxy().start();
    let client = ConnectOptions::v5("a");
    let mut open = connect_from(&broker, "192.0.2.7", &client).unwrap();
    let reply = broker.command_ok("-addBan address 192.0.2.7");
    assert_eq!(reply.message(), "Address 192.0.2.7 banned; 1 connection(s) closed.");
    await_close(&mut open);
    assert!(is_closed_unread(connect_from(&broker, "192.0.2.7", &client)));
    broker.wait_for_metric("lotmq_banned_refused_total", 1.0);
    connect_from(&broker, "192.0.2.8", &client).unwrap();
    broker.command_ok("-addBan address 2001:db8::1 3600");
    assert!(broker.stop().success());
    broker.start_again();
    assert!(is_closed_unread(connect_from(&broker, "192.0.2.7", &client)));
    let listed = bans(&broker);
    assert_eq!(listed.len(), 2);
    let forever = listed.iter().find(|ban| ban["until"].is_null()).unwrap();
    assert_eq!((&forever["address"], &forever["cause"]), (&json!("192.0.2.7"), &json!("operator")));
    assert!(listed.iter().any(|ban| ban["address"] == "2001:db8::/64" && ban["until"].is_string()));
    broker.command_ok("-removeBan address 192.0.2.7");
    broker.command_ok("-removeBan address 2001:db8::/64");
    connect_from(&broker, "192.0.2.7", &client).unwrap();
    broker.kill();
    broker.start_again();
    assert!(bans(&broker).is_empty());
}

#[test]
fn banned_user_is_refused_from_everywhere_and_others_are_not() {
    let broker = behind_proxy().start();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} password"));
    }
    let login = |user: &str| ConnectOptions::v5(user).user(user, "password");
    let mut open = connect_from(&broker, "192.0.2.7", &login("ann")).unwrap();
    broker.command_ok("-addBan user ann");
    await_close(&mut open);
    for address in ["192.0.2.7", "192.0.2.8"] {
        assert_eq!(refusal(connect_from(&broker, address, &login("ann"))), ReasonCode::Banned);
        connect_from(&broker, address, &login("bob")).unwrap();
    }
    broker.command_ok("-removeBan user ann");
    connect_from(&broker, "192.0.2.7", &login("ann")).unwrap();
}

#[test]
fn ban_that_cannot_be_is_refused_with_a_reason() {
    let broker = options().start();
    for (command, words) in [
        ("-addBan address 127.0.0.1", "root and the addresses of this machine cannot be banned."),
        ("-addBan address ::1", "root and the addresses of this machine cannot be banned."),
        ("-addBan user root", "root and the addresses of this machine cannot be banned."),
        (
            "-addBan address 10.0.0.0/8",
            "'10.0.0.0/8' is not an IP address; deny_from of a listener takes networks.",
        ),
        ("-addBan group x", "'group' cannot be banned; allowed are address and user."),
        ("-addBan user ann soon", "'soon' is not a number of seconds."),
        ("-addBan user ann 0", "A ban takes 1 to 3153600000 seconds; without a number it has no end."),
        ("-removeBan user ann", "User 'ann' is not banned."),
    ] {
        assert_eq!(broker.command(command).message(), words, "{command}");
    }
    assert_eq!(broker.command_ok("-listBans").data()["total"], 0);
}

#[test]
fn address_of_failed_logins_is_banned_and_its_neighbours_are_not() {
    let broker = behind_proxy().variable("LOTMQ_AUTH_BAN_FAILED_LOGINS", "5").start();
    broker.command_ok("-addUser ann password");
    let ann = ConnectOptions::v5("a").user("ann", "password");
    let guess = |number: u32| {
        let options = ConnectOptions::v5("g").user(format!("nobody-{number}"), "guess");
        connect_from(&broker, "192.0.2.7", &options)
    };
    (0..4).for_each(|number| assert_eq!(refusal(guess(number)), ReasonCode::BadUserNameOrPassword));
    // A login that is right begins the count again.
    connect_from(&broker, "192.0.2.7", &ann).unwrap();
    (4..9).for_each(|number| assert_eq!(refusal(guess(number)), ReasonCode::BadUserNameOrPassword));
    assert!(is_closed_unread(guess(9)));
    assert!(is_closed_unread(connect_from(&broker, "192.0.2.7", &ann)));
    connect_from(&broker, "192.0.2.8", &ann).unwrap();
    let listed = bans(&broker);
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["address"], &listed[0]["cause"]), (&json!("192.0.2.7"), &json!("failed-logins")));
    assert_eq!(broker.metric("lotmq_bans_begun_total"), Some(1.0));
    broker.log().expect("failed logins in a row");
    broker.command_ok("-removeBan address 192.0.2.7");
    connect_from(&broker, "192.0.2.7", &ann).unwrap();
}

#[test]
fn client_that_connects_too_often_is_banned_and_others_of_its_address_are_not() {
    let broker = behind_proxy().variable("LOTMQ_AUTH_BAN_CONNECTS_PER_MIN", "5").start();
    let flapping = ConnectOptions::v5("flapping");
    // The connect that begins the ban is still served.
    for _ in 0..6 {
        connect_from(&broker, "192.0.2.7", &flapping).unwrap().disconnect().unwrap();
    }
    assert_eq!(refusal(connect_from(&broker, "192.0.2.7", &flapping)), ReasonCode::Banned);
    connect_from(&broker, "192.0.2.7", &ConnectOptions::v5("quiet")).unwrap();
    connect_from(&broker, "192.0.2.8", &flapping).unwrap();
    assert_eq!(bans(&broker)[0]["clientId"], "flapping");
    // Clients of this machine are never banned.
    for _ in 0..10 {
        let mut client = broker.connect(&ConnectOptions::v5("local"));
        client.subscribe_to("t", QoS::AtMostOnce).unwrap();
        client.disconnect().unwrap();
    }
    assert_eq!(bans(&broker).len(), 1);
}
