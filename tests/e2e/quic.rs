//! MQTT over QUIC: clients behind a tunnel of `quinn` against the real listener.

use std::net::UdpSocket;
use std::time::{Duration, SystemTime};

use lotmq_client::{
    Client, ClientError, ConnectOptions, Connection, ProtocolVersion, Publication, QoS, Will,
};
use lotmq_test_support::{Authority, Broker, BrokerOptions, QuicOptions, QuicTunnel, Signed, WAIT_MAX};

use crate::{flood, options};

/// How to start a broker with a QUIC listener that shows this certificate.
fn with_quic(signed: &Signed) -> BrokerOptions {
    options()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "off")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .variable("LOTMQ_LISTENER_QUIC_PORT", "0")
        .variable("LOTMQ_LISTENER_QUIC_BIND", "127.0.0.1")
}

fn tunnel(broker: &Broker, authority: &Authority) -> QuicTunnel {
    QuicTunnel::new(broker.port_of("quic"), &QuicOptions::new(&authority.file()))
}

fn connect(tunnel: &QuicTunnel, options: &ConnectOptions) -> Result<Client, ClientError> {
    Client::connect(tunnel.address(), options)
}

fn connected(tunnel: &QuicTunnel, client_id: &str) -> Client {
    connect(tunnel, &ConnectOptions::v5(client_id)).unwrap()
}

#[test]
fn messages_of_every_size_and_qos_cross_quic_and_plain_tcp() {
    let authority = Authority::new();
    for placement in ["pack", "spread"] {
        let broker =
            with_quic(&authority.server("broker")).variable("LOTMQ_BROKER_PLACEMENT", placement).start();
        let tunnel = tunnel(&broker, &authority);
        let mut quic = connected(&tunnel, "quic");
        let mut plain = broker.connect(&ConnectOptions::v5("plain"));
        quic.subscribe_to("to/quic", QoS::ExactlyOnce).unwrap();
        plain.subscribe_to("to/plain", QoS::ExactlyOnce).unwrap();
        // Around the size of a relay's read and of a window, and far above.
        for len in [0, 1, 1_200, 65_535, 65_537, 262_145, 5_000_000] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let payload: Vec<u8> = (0..=250).cycle().take(len).collect();
                let to_plain = quic.publish(&Publication::new("to/plain", payload.clone()).qos(qos)).unwrap();
                assert!(!to_plain.is_failure(), "{to_plain}");
                assert!(plain.receive(WAIT_MAX).unwrap().unwrap().payload == payload, "{len} to plain");
                plain.publish(&Publication::new("to/quic", payload.clone()).qos(qos)).unwrap();
                assert!(quic.receive(WAIT_MAX).unwrap().unwrap().payload == payload, "{len} to quic");
            }
        }
        assert_eq!(broker.metric("lotmq_tls_handshakes_total"), Some(1.0));
        assert_eq!(broker.metric("lotmq_quic_retries_total"), Some(0.0));
    }
}

#[test]
fn a_flood_over_quic_keeps_its_order() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker")).variable("LOTMQ_BROKER_PLACEMENT", "spread").start();
    let tunnel = tunnel(&broker, &authority);
    let mut receiver = connected(&tunnel, "receiver");
    let mut sender = connected(&tunnel, "sender");
    flood::keeps_its_order(&mut sender, &mut receiver);
}

#[test]
fn a_client_of_quic_that_never_reads_is_bounded() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker")).start();
    let tunnel = tunnel(&broker, &authority);
    let mut lazy = connected(&tunnel, "lazy");
    flood::is_bounded(&broker, &mut lazy);
    // Its own connection lives, and others of the thread do.
    connected(&tunnel, "other").ping().unwrap();
}

#[test]
fn a_lost_connection_publishes_the_will_and_an_orderly_end_does_not() {
    let authority = Authority::new();
    let broker =
        with_quic(&authority.server("broker")).variable("LOTMQ_LISTENER_QUIC_IDLE_TIMEOUT_SEC", "1").start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("will/+", QoS::AtLeastOnce).unwrap();
    let tunnel = tunnel(&broker, &authority);
    let with_will = |name: &str| {
        let will = Will::new(format!("will/{name}"), "gone");
        connect(&tunnel, &ConnectOptions::v5(name).will(will).keep_alive(0)).unwrap()
    };
    with_will("orderly").disconnect().unwrap();
    with_will("aborted").abort();
    let silent = with_will("silent");
    let silence = tunnel.fall_silent();
    for expected in ["will/aborted", "will/silent"] {
        assert_eq!(watcher.receive(WAIT_MAX).unwrap().expect("a will comes").topic, expected);
    }
    drop((silence, silent));
    // Behind it there would be the will of the orderly one.
    watcher.publish(&Publication::new("will/barrier", "")).unwrap();
    assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "will/barrier");
}

#[test]
fn the_end_of_a_connection_says_why_in_its_code() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker"))
        .variable("LOTMQ_LISTENER_QUIC_MAX_PACKET_SIZE", "2000")
        .start();
    let tunnel = tunnel(&broker, &authority);
    let v3 = |client_id: &str| {
        let options = ConnectOptions { version: ProtocolVersion::V3_1_1, ..ConnectOptions::new(client_id) };
        connect(&tunnel, &options).unwrap()
    };

    let _first = v3("same");
    let second = v3("same");
    assert_eq!(tunnel.next_code(), 0x8E, "taken over");

    let mut large = v3("large");
    // Refused at its header.
    large.connection().send(&[0x30, 0xFF, 0xFF, 0x03]).unwrap();
    assert_eq!(tunnel.next_code(), 0x95, "too large");

    let mut stranger = Connection::open(tunnel.address(), ProtocolVersion::V3_1_1, WAIT_MAX).unwrap();
    stranger.send(b"\xC0\x00").unwrap();
    assert_eq!(tunnel.next_code(), 0x82, "no CONNECT");

    second.disconnect().unwrap();
    assert_eq!(tunnel.next_code(), 0, "as it should be");
}

#[test]
fn the_last_word_of_the_broker_arrives() {
    let authority = Authority::new();
    let mut broker = with_quic(&authority.server("broker")).start();
    let tunnel = tunnel(&broker, &authority);
    let mut clients: Vec<Client> = (0..20).map(|number| connected(&tunnel, &format!("c{number}"))).collect();
    assert!(broker.stop().success());
    for client in &mut clients {
        let error = client.ping().unwrap_err();
        assert!(error.to_string().contains("shutting down"), "{error}");
        assert_eq!(tunnel.next_code(), 0x8B);
    }
}

#[test]
fn certificates_of_quic_are_replaced_without_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let signed = old.server("broker");
    let broker = with_quic(&signed).start();
    let (old_tunnel, new_tunnel) = (tunnel(&broker, &old), tunnel(&broker, &new));
    let mut before = connected(&old_tunnel, "before");
    let replacement = new.server("broker");
    std::fs::copy(&replacement.key, &signed.key).unwrap();
    std::fs::copy(&replacement.certificate, &signed.certificate).unwrap();
    broker.hang_up();
    broker.wait_for_metric("lotmq_certificate_reloads_total", 1.0);
    connected(&new_tunnel, "new").ping().unwrap();
    assert!(connect(&old_tunnel, &ConnectOptions::v5("old")).is_err());
    assert!(old_tunnel.next_end().to_string().contains("invalid peer certificate"));
    before.ping().unwrap();
}

#[test]
fn clients_of_quic_show_certificates_where_they_are_asked_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let broker = with_quic(&authority.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_QUIC_CLIENT_CERTIFICATE", "required")
        .variable("LOTMQ_LISTENER_QUIC_USER_FROM_CERTIFICATE", "common-name")
        .start();
    broker.command_ok("-addUser good never-sent");
    for (certificate, is_welcome) in
        [(Some(authority.client("good")), true), (Some(stranger.client("bad")), false), (None, false)]
    {
        let options = QuicOptions { certificate, ..QuicOptions::new(&authority.file()) };
        let tunnel = QuicTunnel::new(broker.port_of("quic"), &options);
        let client = connect(&tunnel, &ConnectOptions::v5("client"));
        assert_eq!(client.is_ok(), is_welcome, "{options:?}");
        if is_welcome {
            let clients = broker.command_ok("-listClients client");
            assert_eq!(clients.data()["clients"][0]["username"], "good");
        }
    }
    broker.wait_for_metric("lotmq_tls_failures_total", 2.0);
}

#[test]
fn connections_of_an_authority_that_was_taken_out_are_closed_over_quic() {
    let [former, later] = [Authority::new(), Authority::new()];
    let file = former.path("authorities.pem");
    std::fs::copy(former.file(), &file).unwrap();
    let broker = with_quic(&former.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", file.to_str().unwrap())
        .variable("LOTMQ_LISTENER_QUIC_CLIENT_CERTIFICATE", "required")
        .start();
    let certificate = Some(former.client("lost"));
    let options = QuicOptions { certificate, ..QuicOptions::new(&former.file()) };
    let tunnel = QuicTunnel::new(broker.port_of("quic"), &options);
    let mut lost = connected(&tunnel, "lost");
    std::fs::copy(later.file(), &file).unwrap();
    broker.hang_up();
    let closed = lost.receive(WAIT_MAX).unwrap_err();
    assert!(closed.to_string().contains("authority of the client certificate is not trusted"), "{closed}");
    connect(&tunnel, &ConnectOptions::v5("again")).unwrap_err();
}

/// Neither for who is connected by it, nor for who could resume a session of TLS that began before.
#[test]
fn a_certificate_that_has_ended_is_good_for_nothing_over_quic() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_QUIC_CLIENT_CERTIFICATE", "required")
        .start();
    let certificate = Some(authority.client_until("device", SystemTime::now() + Duration::from_secs(4)));
    let options = QuicOptions { certificate, ..QuicOptions::new(&authority.file()) };
    let tunnel = QuicTunnel::new(broker.port_of("quic"), &options);
    connected(&tunnel, "first").disconnect().unwrap();
    let mut stays = connected(&tunnel, "stays");
    let closed = stays.receive(WAIT_MAX).unwrap_err();
    assert!(closed.to_string().contains("certificate has expired"), "{closed}");
    connect(&tunnel, &ConnectOptions::v5("again")).unwrap_err();
    broker.wait_for_metric("lotmq_tls_failures_total", 1.0);
    assert_eq!(broker.metric("lotmq_tls_handshakes_total"), Some(2.0));
    assert_eq!(broker.metric("lotmq_tls_handshakes_resumed_total"), Some(0.0));
}

#[test]
fn a_client_moves_to_another_address() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker")).start();
    let tunnel = tunnel(&broker, &authority);
    let mut client = connected(&tunnel, "mobile");
    client.subscribe_to("t", QoS::AtLeastOnce).unwrap();
    for round in 0..3 {
        tunnel.change_address();
        client.publish(&Publication::new("t", format!("{round}")).qos(QoS::AtLeastOnce)).unwrap();
        assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), format!("{round}"));
    }
    assert_eq!(broker.metric("lotmq_connects_accepted_total"), Some(1.0));
}

#[test]
fn crowded_quic_port_validates_addresses_with_retry() {
    let authority = Authority::new();
    let broker =
        with_quic(&authority.server("broker")).variable("LOTMQ_LISTENER_QUIC_HALF_OPEN", "1").start();
    let tunnel = tunnel(&broker, &authority);
    for round in 1..=3 {
        connected(&tunnel, "client").ping().unwrap();
        assert_eq!(broker.metric("lotmq_quic_retries_total"), Some(f64::from(round)));
    }
}

#[test]
fn an_address_of_quic_counts_once_it_is_proved() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker"))
        .variable("LOTMQ_LISTENER_QUIC_CONNECTIONS_PER_ADDRESS", "1")
        .start();
    let tunnel = tunnel(&broker, &authority);
    let first = connected(&tunnel, "first");
    assert!(connect(&tunnel, &ConnectOptions::v5("second")).is_err());
    assert_eq!(tunnel.next_code(), 0x97);
    let reached = "lotmq_limit_reached_total{limit=\"connections_per_address\",listener=\"quic\"}";
    assert_eq!(broker.metric(reached), Some(1.0));
    first.disconnect().unwrap();
    assert_eq!(tunnel.next_code(), 0);
    connected(&tunnel, "third").ping().unwrap();
}

#[test]
fn quic_connection_without_stream_or_connect_times_out() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker"))
        .variable("LOTMQ_LISTENER_QUIC_HANDSHAKE_TIMEOUT_SEC", "1")
        .variable("LOTMQ_LISTENER_QUIC_CONNECT_TIMEOUT_SEC", "2")
        .variable("LOTMQ_LISTENER_QUIC_HALF_OPEN", "2")
        .start();
    let tunnel = tunnel(&broker, &authority);
    let open = || Connection::open(tunnel.address(), ProtocolVersion::V5, WAIT_MAX).unwrap();
    // A stream opens with its first byte.
    let (_silent, mut slow) = (open(), open());
    slow.send(&[0x10]).unwrap();
    broker.wait_for_metric("lotmq_tls_handshakes_total", 2.0);
    assert!(connect(&tunnel, &ConnectOptions::v5("too-many")).is_err());
    assert!(tunnel.next_end().to_string().contains("refused"));
    broker.wait_for_metric("lotmq_handshake_timeouts_total", 1.0);
    broker.wait_for_metric("lotmq_connect_timeouts_total", 1.0);
    tunnel.next_code();
    tunnel.next_code();
    connected(&tunnel, "later").ping().unwrap();
    let refused = "lotmq_limit_reached_total{limit=\"half_open\",listener=\"quic\"}";
    assert_eq!(broker.metric(refused), Some(1.0));
}

#[test]
fn quic_client_with_zero_window_is_closed_after_mqtt_ends() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker")).start();
    let takes_nothing = QuicOptions { window: 0, ..QuicOptions::new(&authority.file()) };
    let tunnel = QuicTunnel::new(broker.port_of("quic"), &takes_nothing);
    let mut stranger = Connection::open(tunnel.address(), ProtocolVersion::V5, WAIT_MAX).unwrap();
    // Version 9 of MQTT: refused with an answer.
    stranger.send(b"\x10\x0D\x00\x04MQTT\x09\x02\x00\x00\x00\x01x").unwrap();
    // It does not stay for an answer that nobody fetches.
    assert_eq!(tunnel.next_code(), 0);
}

/// MQTT has the first stream; what is asked for besides is not given, and a stream that is reset is
/// a lost connection.
#[test]
fn further_streams_are_not_to_be_had_and_a_reset_publishes_the_will() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker")).start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("said/#", QoS::AtLeastOnce).unwrap();
    let odd = QuicOptions { resets: true, further_streams: 100, ..QuicOptions::new(&authority.file()) };
    let tunnel = QuicTunnel::new(broker.port_of("quic"), &odd);
    let will = Will::new("said/will", "gone");
    let mut client = connect(&tunnel, &ConnectOptions::v5("odd").will(will).keep_alive(0)).unwrap();
    for number in 0..20 {
        let message = Publication::new(format!("said/{number}"), "x").qos(QoS::AtLeastOnce);
        assert!(!client.publish(&message).unwrap().is_failure());
        assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().topic, format!("said/{number}"));
    }
    client.abort();
    assert_eq!(watcher.receive(WAIT_MAX).unwrap().expect("a will comes").topic, "said/will");
    tunnel.next_code();
    connected(&tunnel, "later").ping().unwrap();
    broker.wait_until_metric_is("lotmq_connections", 1.0);
}

#[test]
fn garbage_and_other_protocols_are_refused_and_disturb_nobody() {
    let authority = Authority::new();
    let broker = with_quic(&authority.server("broker")).start();
    let port = broker.port_of("quic");
    let tunnel = tunnel(&broker, &authority);
    let mut client = connected(&tunnel, "client");

    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for len in (0..1_500).step_by(7) {
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .collect();
        stranger.send_to(&bytes, ("127.0.0.1", port)).unwrap();
        // The same as an Initial of version 1, which is looked into.
        if let [first, rest @ ..] = &bytes[..] {
            let initial = [&[0xC0 | first & 0x0F, 0, 0, 0, 1, 8], rest].concat();
            stranger.send_to(&initial, ("127.0.0.1", port)).unwrap();
        }
    }
    client.ping().unwrap();

    let http = QuicOptions { protocol: b"h3".to_vec(), ..QuicOptions::new(&authority.file()) };
    let http = QuicTunnel::new(port, &http);
    assert!(connect(&http, &ConnectOptions::v5("other")).is_err());
    assert!(http.next_end().to_string().contains("protocol"));
    assert_eq!(broker.metric("lotmq_connects_accepted_total"), Some(1.0));
    connected(&tunnel, "later").ping().unwrap();
}

#[test]
fn quic_is_off_until_its_port_is_set_and_needs_a_certificate() {
    let failed = options().variable("LOTMQ_LISTENER_QUIC_PORT", "14567").fail();
    assert!(failed.stderr.contains("which needs `tls.certificate`"), "{}", failed.stderr);
}

#[test]
fn frames_without_data_count_for_the_rates_and_what_was_asked_for_does_not() {
    let authority = Authority::new();
    for (rate, value, name) in
        [("BYTES_PER_SEC", "2000", "bytes_per_sec"), ("MESSAGES_PER_SEC", "10", "messages_per_sec")]
    {
        let broker = with_quic(&authority.server("broker"))
            .variable(&format!("LOTMQ_LISTENER_QUIC_{rate}"), value)
            .start();
        let reached = || {
            let limit = format!("lotmq_limit_reached_total{{limit=\"{name}\",listener=\"quic\"}}");
            broker.metric(&limit).unwrap_or_default()
        };
        // One that is sent far more than it may send, all of which it acknowledges.
        let quiet = tunnel(&broker, &authority);
        let mut reader = connect(&quiet, &ConnectOptions::v5("reader").keep_alive(0)).unwrap();
        reader.subscribe_to("much", QoS::AtMostOnce).unwrap();
        let mut plain = broker.client("plain");
        for _ in 0..20 {
            plain.publish(&Publication::new("much", vec![7; 200_000])).unwrap();
            assert_eq!(reader.receive(WAIT_MAX).unwrap().unwrap().payload.len(), 200_000);
        }
        assert_eq!(reached(), 0.0);
        let options = QuicOptions {
            pings_every: Some(Duration::from_millis(1)),
            ..QuicOptions::new(&authority.file())
        };
        let pinging = QuicTunnel::new(broker.port_of("quic"), &options);
        let _pings = connect(&pinging, &ConnectOptions::v5("pings").keep_alive(0)).unwrap();
        assert_eq!(pinging.next_code(), 0x96, "{rate}");
        assert!(reached() >= 1.0);
        reader.ping().unwrap();
    }
}
