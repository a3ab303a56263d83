//! Floods of logins: whoever guesses waits, and nobody else does.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use lotmq_client::{ConnectOptions, Connection, Endpoint, ProtocolVersion, QoS};
use lotmq_test_support::{Authority, Broker, BrokerOptions, QuicOptions, QuicTunnel, WAIT_MAX};

/// Options of a broker whose logins take as long as those of users.
fn options() -> BrokerOptions {
    crate::options().real_hashes()
}

/// A broker that is told where connections come from, with users `ann` and `bob` whose passwords,
/// `right`, it has not seen since its start.
struct Site {
    broker: Broker,
    data: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut first = options().data(data.path()).start();
        for user in ["ann", "bob"] {
            first.command_ok(&format!("-addUser {user} right"));
        }
        first.stop();
        Self::over(data)
    }

    fn over(data: tempfile::TempDir) -> Self {
        let broker =
            options().data(data.path()).variable("LOTMQ_LISTENER_MQTT_PROXY_PROTOCOL", "true").start();
        Self { broker, data }
    }

    /// Ends the broker, by a signal or at once, and starts it again.
    fn restarted(mut self, is_killed: bool) -> Self {
        if is_killed {
            self.broker.kill()
        } else {
            self.broker.stop();
        }
        Self::over(self.data)
    }

    /// A connection from `address` with a CONNECT of 3.1.1.
    fn connect(&self, address: &str, user: &str, password: &str) -> TcpStream {
        let family = if address.contains(':') { 6 } else { 4 };
        let mut bytes = format!("PROXY TCP{family} {address} {address} 1 2\r\n").into_bytes();
        let mut body = b"\0\x04MQTT\x04\xc2\0\x3c\0\0".to_vec();
        for text in [user, password] {
            body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            body.extend(text.as_bytes());
        }
        bytes.extend([0x10, u8::try_from(body.len()).unwrap()]);
        bytes.extend(body);
        let mut stream = TcpStream::connect(self.broker.address()).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.write_all(&bytes).unwrap();
        stream
    }

    /// The return code of such a CONNECT: 4 for a wrong password, 3 for one that was not looked at.
    fn login(&self, address: &str, user: &str, password: &str) -> u8 {
        let mut connack = [0; 4];
        self.connect(address, user, password).read_exact(&mut connack).unwrap();
        connack[3]
    }

    fn metric(&self, name: &str) -> f64 {
        self.broker.metric(name).unwrap()
    }
}

/// From one address with made-up names, from many addresses as one user, and from many addresses
/// with made-up names.
#[test]
fn a_login_is_not_behind_a_flood_of_others() {
    for (addresses, names) in [(1, 400), (400, 1), (400, 400)] {
        let site = Site::new();
        let flood: Vec<_> = (0..400)
            .map(|n| {
                let user = if names == 1 { "bob".to_owned() } else { format!("nobody-{n}") };
                site.connect(&format!("2001:db8:0:{:x}::1", n % addresses), &user, "guess")
            })
            .collect();
        let asked = Instant::now();
        assert_eq!(site.login("198.51.100.1", "ann", "right"), 0, "{addresses} addresses, {names} names");
        let (waited, waiting) = (asked.elapsed(), site.metric("lotmq_logins_waiting"));
        println!("{addresses} addresses, {names} names: {waited:?}, {waiting} still wait");
        assert!(waiting > 100.0, "she has overtaken them: {addresses} addresses, {names} names");
        drop(flood);
    }
}

/// After a start the broker remembers no password, and guesses as existing users come from many
/// networks. A client from a known address is not queued behind them.
#[test]
fn a_login_from_a_known_place_is_not_behind_guesses_from_many_networks() {
    for is_killed in [false, true] {
        let mut site = Site::new();
        let places = [("198.51.100.1", "ann"), ("2001:db8:7:7::7", "bob")];
        for (address, user) in places {
            assert_eq!(site.login(address, user, "right"), 0);
        }
        if is_killed {
            // The broker stores the address within a second, without making anybody wait for it.
            std::thread::sleep(Duration::from_millis(1_500));
        }
        site = site.restarted(is_killed);
        let flood: Vec<_> = (0..400)
            .map(|n| site.connect(&format!("2001:db8:{n:x}::1"), ["ann", "bob"][n % 2], "guess"))
            .collect();
        for (address, user) in places {
            let asked = Instant::now();
            // Another host of the same 64-bit network is the same place.
            let address = address.replace("7::7", "7::9");
            assert_eq!(site.login(&address, user, "right"), 0, "{user}");
            let (waited, waiting) = (asked.elapsed(), site.metric("lotmq_logins_waiting"));
            println!("{user}, killed: {is_killed}: {waited:?}, {waiting} still wait");
            assert!(waiting > 100.0, "{user} has overtaken them");
        }
        drop(flood);
    }
}

#[test]
fn nothing_is_hashed_for_who_has_left() {
    const FLOOD: f64 = 200.0;
    let site = Site::new();
    let connections: Vec<_> = (0..FLOOD as u16)
        .map(|n| site.connect(&format!("2001:db8:0:{n:x}::1"), &format!("nobody-{n}"), "guess"))
        .collect();
    site.broker.wait_for_metric("lotmq_logins_waiting", 100.0);
    drop(connections);
    site.broker.wait_until_metric_is("lotmq_logins_waiting", 0.0);
    let left = site.metric("lotmq_logins_abandoned_total");
    assert!(left > FLOOD / 2.0, "{left} of {FLOOD} were not hashed");
    assert!(site.metric("lotmq_passwords_checked_total") + left <= FLOOD);
    // The broker serves a client that said more than CONNECT and then left. No rule makes a client
    // wait for CONNACK.
    let mut watching = site.connect("198.51.100.2", "bob", "right");
    watching.write_all(b"\x82\x06\0\x01\0\x01t\0").unwrap();
    watching.read_exact(&mut [0; 9]).unwrap();
    let mut brief = site.connect("198.51.100.1", "ann", "right");
    brief.write_all(b"\x30\x04\0\x01tx\xe0\0").unwrap();
    brief.shutdown(Shutdown::Write).unwrap();
    let mut publish = [0; 6];
    watching.read_exact(&mut publish).unwrap();
    assert_eq!(publish, *b"\x30\x04\0\x01tx");
}

/// Below TLS and WebSocket a peer says that it leaves before it does.
#[test]
fn nothing_is_hashed_for_who_has_left_what_lies_between() {
    const FLOOD: u16 = 200;
    let authority = Authority::new();
    let signed = authority.server("broker");
    let mut options = options()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap());
    for listener in ["MQTTS", "WS", "WSS", "QUIC"] {
        options = options
            .variable(&format!("LOTMQ_LISTENER_{listener}_PORT"), "0")
            .variable(&format!("LOTMQ_LISTENER_{listener}_BIND"), "127.0.0.1");
    }
    let broker = options.start();
    broker.command_ok("-addUser ann right");
    let context = authority.context();
    let tunnel = QuicTunnel::new(broker.port_of("quic"), &QuicOptions::new(&authority.file()));
    let mut watching = broker.client("watching");
    watching.subscribe_to("left", QoS::AtMostOnce).unwrap();
    let tcp = |listener| Endpoint::tcp("127.0.0.1", broker.port_of(listener));
    for (kind, endpoint) in [
        ("tls", tcp("mqtts").tls(&context)),
        ("websocket", tcp("ws").websocket("/mqtt")),
        ("both", tcp("wss").tls(&context).websocket("/mqtt")),
        ("quic", Endpoint::tcp("127.0.0.1", tunnel.address().port())),
    ] {
        let open = |user: &str, password: &str| {
            let mut connection = Connection::open_at(&endpoint, ProtocolVersion::V3_1_1, WAIT_MAX).unwrap();
            let mut packet = Vec::new();
            ConnectOptions::new("").user(user, password.as_bytes()).encode(&mut packet).unwrap();
            connection.send(&packet).unwrap();
            connection
        };
        let before = broker.metric("lotmq_logins_abandoned_total").unwrap();
        let flood: Vec<_> = (0..FLOOD).map(|n| open(&format!("{kind}-{n}"), "guess")).collect();
        broker.wait_for_metric("lotmq_logins_waiting", f64::from(FLOOD) / 4.0);
        let waiting = broker.metric("lotmq_logins_waiting").unwrap();
        flood.into_iter().for_each(Connection::close);
        broker.wait_until_metric_is("lotmq_logins_waiting", 0.0);
        let left = broker.metric("lotmq_logins_abandoned_total").unwrap() - before;
        println!("{kind}: of {waiting} that waited {left} were not hashed");
        assert!(left > waiting / 2.0, "{kind}: {left} of {waiting} that waited");
        // The broker serves a client that said more than CONNECT and then left.
        let mut brief = open("ann", "right");
        brief.send(b"\x30\x07\0\x04leftx\xe0\0").unwrap();
        brief.close();
        let message = watching.receive(WAIT_MAX).unwrap().expect("it came behind CONNECT");
        assert_eq!(message.text(), "x", "{kind}");
    }
}

#[test]
fn guesses_wait_and_the_user_comes_in_from_elsewhere() {
    let site = Site::new();
    let guesses = |user| -> Vec<u8> { (0..8).map(|_| site.login("192.0.2.7", user, "guess")).collect() };
    assert_eq!(guesses("ann"), [4, 4, 4, 4, 4, 3, 3, 3]);
    // Neither is the right one looked at, nor has what was refused been hashed.
    assert_eq!(site.login("192.0.2.7", "ann", "right"), 3);
    assert_eq!(site.metric("lotmq_passwords_checked_total"), 5.0);
    assert_eq!(site.login("198.51.100.1", "ann", "right"), 0, "from another address");
    assert_eq!(site.login("192.0.2.7", "bob", "right"), 0, "as another user");
    assert_eq!(guesses("nobody"), [4, 4, 4, 4, 4, 3, 3, 3], "of whom there is none");
    let reached = "lotmq_limit_reached_total{limit=\"login_wait_max_sec\",listener=\"mqtt\"}";
    assert_eq!(site.metric(reached), 7.0);
    // A network of IPv6 is one customer.
    for n in 0..5 {
        assert_eq!(site.login(&format!("2001:db8::{n}"), "ann", "guess"), 4);
    }
    assert_eq!(site.login("2001:db8::99", "ann", "guess"), 3);
    assert_eq!(site.login("2001:db8:0:1::1", "bob", "right"), 0);
}

/// A hall of devices with one account that comes at once after a restart: one hash is enough, and
/// nobody is refused.
#[test]
fn many_with_the_right_password_are_hashed_once_by_each_thread() {
    let site = Site::new();
    let mut devices: Vec<_> = (0..50).map(|_| site.connect("192.0.2.7", "ann", "right")).collect();
    for device in &mut devices {
        let mut connack = [0; 4];
        device.read_exact(&mut connack).unwrap();
        assert_eq!(connack[3], 0);
    }
    // Two threads check passwords.
    let checked = site.metric("lotmq_passwords_checked_total");
    assert!((1.0..=2.0).contains(&checked), "{checked}");
}

#[test]
fn login_waits_are_reported_with_user_address_and_end() {
    let broker = options().start();
    broker.command_ok("-addUser ann right");
    let guess = |user: &str| {
        let wrong = ConnectOptions::new("guesser").user(user, "guess");
        assert!(lotmq_client::Client::connect(broker.address(), &wrong).is_err());
    };
    let guess_both = || ["ann", "nobody-of-this-name"].into_iter().for_each(guess);
    (0..5).for_each(|_| guess_both());
    let refused = broker.log().wait_for("a refused login with its wait", |line| {
        (line.contains("login refused") && line.contains("ann") && line.contains("wait_sec=1"))
            .then(|| line.to_owned())
    });
    assert!(refused.is_some_and(|line| line.contains("WARN")));
    let port = broker.port();
    let tool = |words: &[&str]| {
        lotmq_test_support::Program::run(crate::LOTMQ, &[words, &["-p", &port]].concat()).unwrap().stdout
    };
    // Waits of a second end while a tool starts; who fails again waits longer.
    let told = lotmq_test_support::eventually("both waits at once", || {
        guess_both();
        let status: serde_json::Value = serde_json::from_str(&tool(&["status", "--json"])).unwrap();
        Some(status["loginWaits"].clone())
            .filter(|waits| waits.as_array().is_some_and(|waits| waits.len() == 2))
    });
    for user in [serde_json::Value::from("ann"), serde_json::Value::Null] {
        let wait = told.as_array().unwrap().iter().find(|wait| wait["user"] == user).unwrap();
        assert_eq!(wait["from"], "127.0.0.1");
        assert!(
            wait["failures"].as_u64().unwrap() >= 5 && wait["secondsLeft"].as_u64().unwrap() > 0,
            "{wait}"
        );
    }
    let screen = lotmq_test_support::eventually("the waits on the screen", || {
        guess_both();
        Some(tool(&["status"])).filter(|screen| screen.contains("LOGINS THAT WAIT"))
    });
    assert!(screen.contains("ann") && screen.contains("127.0.0.1"), "{screen}");
    let listed = lotmq_test_support::eventually("the wait in the list of users", || {
        guess("ann");
        Some(broker.command_ok("-listUsers").data().to_string())
            .filter(|listed| listed.contains("LoginWaits"))
    });
    assert!(listed.contains("from 127.0.0.1 until 20"), "{listed}");
}
