//! MQTT over TLS: our own client, mosquitto's and openssl's against the real listener.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use lotmq_chain::limits::ISSUERS_MAX;
use lotmq_client::{
    Client, ClientError, ConnectOptions, Connection, Endpoint, PropertyId, PropertyValue, ProtocolVersion,
    Publication, QoS, TlsContext, TlsOptions,
};
use lotmq_test_support::{Authority, Broker, BrokerOptions, Program, Signed, WAIT_MAX};

use crate::{LOTMQ, flood, options};

/// How to start a broker with a TLS listener that shows this certificate.
fn with_tls(signed: &Signed) -> BrokerOptions {
    options()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
}

fn endpoint(broker: &Broker, context: &TlsContext) -> Endpoint {
    Endpoint::tcp("127.0.0.1", broker.port_of("mqtts")).tls(context)
}

fn connect(broker: &Broker, context: &TlsContext, client_id: &str) -> Result<Client, ClientError> {
    Client::connect_at(&endpoint(broker, context), &ConnectOptions::v5(client_id))
}

#[test]
fn messages_of_every_size_and_qos_cross_tls_and_plain_tcp() {
    // One thread, which writes to its own connections; several, which leave the bytes to the
    // owners.
    for placement in ["pack", "spread"] {
        cross(placement);
    }
}

fn cross(placement: &str) {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker")).variable("LOTMQ_BROKER_PLACEMENT", placement).start();
    let context = authority.context();
    let mut encrypted = connect(&broker, &context, "encrypted").unwrap();
    let mut plain = broker.connect(&ConnectOptions::v5("plain"));
    encrypted.subscribe_to("to/encrypted", QoS::ExactlyOnce).unwrap();
    plain.subscribe_to("to/plain", QoS::ExactlyOnce).unwrap();
    // Around the size of a record, of a read, of a chunk, and far above the buffers of a socket.
    for len in [0, 1, 16_383, 16_385, 65_536, 65_537, 200_000, 5_000_000] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let payload: Vec<u8> = (0..=250).cycle().take(len).collect();
            let to_plain =
                encrypted.publish(&Publication::new("to/plain", payload.clone()).qos(qos)).unwrap();
            assert!(!to_plain.is_failure(), "{to_plain}");
            assert!(plain.receive(WAIT_MAX).unwrap().unwrap().payload == payload, "{len} to plain");
            plain.publish(&Publication::new("to/encrypted", payload.clone()).qos(qos)).unwrap();
            assert!(encrypted.receive(WAIT_MAX).unwrap().unwrap().payload == payload, "{len} to tls");
        }
    }
    assert_eq!(broker.metric("lotmq_tls_handshakes_total"), Some(1.0));
}

/// The answer to a CONNECT that comes right behind the handshake finds the tickets of TLS on their
/// way.
#[test]
fn refusals_reach_clients_that_did_not_wait_for_the_end_of_the_handshake() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker")).variable("LOTMQ_ANONYMOUS", "false").start();
    for round in 0..20 {
        let refused = connect(&broker, &authority.context(), "anonymous").unwrap_err();
        assert!(matches!(refused, ClientError::Refused { .. }), "{round}: {refused}");
    }
}

#[test]
fn a_flood_to_an_encrypted_receiver_keeps_its_order() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker")).variable("LOTMQ_BROKER_PLACEMENT", "spread").start();
    let mut receiver = connect(&broker, &authority.context(), "receiver").unwrap();
    let mut sender = broker.client("sender");
    flood::keeps_its_order(&mut sender, &mut receiver);
}

#[test]
fn an_encrypted_client_that_never_reads_is_bounded() {
    let authority = Authority::new();
    for placement in ["pack", "spread"] {
        let broker =
            with_tls(&authority.server("broker")).variable("LOTMQ_BROKER_PLACEMENT", placement).start();
        let mut lazy = connect(&broker, &authority.context(), "lazy").unwrap();
        flood::is_bounded(&broker, &mut lazy);
    }
}

#[test]
fn data_before_tls_close_notify_is_read() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker")).start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("last", QoS::AtMostOnce).unwrap();
    for round in 0..20 {
        let mut client = connect(&broker, &authority.context(), "short").unwrap();
        client.send_publish(&Publication::new("last", format!("{round}"))).unwrap();
        // DISCONNECT, close_notify and FIN right behind it.
        client.disconnect().unwrap();
        assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().text(), format!("{round}"));
    }
}

#[test]
fn sessions_are_resumed() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker")).start();
    let context = authority.context();
    // The ticket of TLS 1.3 comes behind the handshake: with the first answer it has been read.
    connect(&broker, &context, "first").unwrap().disconnect().unwrap();
    let mut again = connect(&broker, &context, "second").unwrap();
    assert!(again.connection().is_resumed());
    assert_eq!(broker.metric("lotmq_tls_handshakes_resumed_total"), Some(1.0));
}

#[test]
fn certificates_are_replaced_without_restart_and_bad_ones_are_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let signed = old.server("broker");
    let broker = with_tls(&signed).start();
    let mut before = connect(&broker, &old.context(), "before").unwrap();
    let replacement = new.server("broker");

    // A certificate without its key: as in the middle of a replacement.
    std::fs::copy(&replacement.certificate, &signed.certificate).unwrap();
    broker.hang_up();
    broker.log().expect("certificate not replaced; the former one stays");
    broker.log().expect("does not belong to the certificate");
    broker.wait_for_metric("lotmq_certificate_reloads_failed_total", 1.0);
    connect(&broker, &old.context(), "still-old").unwrap();
    let health = || serde_json::from_str::<serde_json::Value>(&broker.http("/health").body).unwrap();
    let told = health();
    assert_eq!(told["status"], "healthy", "{told}");
    assert_eq!(told["certificates_not_read"][0]["listener"], "mqtts", "{told}");
    let shown = Program::run(LOTMQ, &["status", "-p", &broker.port()]).unwrap();
    assert!(shown.stdout.contains("CERTIFICATE FILES THAT CANNOT BE USED"), "{}", shown.stdout);

    std::fs::copy(&replacement.key, &signed.key).unwrap();
    // Seen by itself as well, without a signal.
    broker.wait_for_metric("lotmq_certificate_reloads_total", 1.0);
    connect(&broker, &new.context(), "new").unwrap();
    assert!(health().get("certificates_not_read").is_none());
    let refused = connect(&broker, &old.context(), "old").unwrap_err();
    assert!(refused.to_string().contains("invalid peer certificate"), "{refused}");
    before.ping().unwrap();
}

#[test]
fn certificate_expiry_is_reported_in_advance() {
    let authority = Authority::new();
    let end = SystemTime::now() + Duration::from_secs(10 * 86_400 + 3_600);
    let broker = with_tls(&authority.server_until("broker", end)).start();
    let seconds = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as f64;
    let name = "lotmq_certificate_expiry_timestamp_seconds{listener=\"mqtts\"}";
    assert!(broker.metric(name).is_some_and(|told| (told - seconds).abs() <= 1.0));
    broker.log().expect("the certificate of this listener expires soon");
    let status = |more: &[&str]| {
        Program::run(LOTMQ, &[&["status", "-p", &broker.port()], more].concat()).unwrap().output().to_owned()
    };
    assert!(status(&[]).contains("CERTIFICATES THAT END SOON"), "{}", status(&[]));
    let told: serde_json::Value = serde_json::from_str(&status(&["--json"])).unwrap();
    assert_eq!(told["certificatesNear"][0]["listener"], "mqtts", "{told}");
    assert_eq!(told["certificatesNear"][0]["daysLeft"], 10, "{told}");
}

#[test]
fn clients_show_certificates_where_they_are_asked_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = authority.client("device-1");
    let bad = stranger.client("device-2");
    let shown = |signed: &Signed| {
        let options = TlsOptions {
            certificate: Some(signed.certificate.clone()),
            key: Some(signed.key.clone()),
            ..authority.trusted()
        };
        TlsContext::new(&options).unwrap()
    };
    for (setting, without, with_bad) in
        [("off", true, true), ("optional", true, false), ("required", false, false)]
    {
        let broker = with_tls(&authority.server("broker"))
            .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
            .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", setting)
            .start();
        assert!(connect(&broker, &shown(&good), "good").is_ok(), "{setting}");
        assert_eq!(connect(&broker, &authority.context(), "none").is_ok(), without, "{setting}");
        assert_eq!(connect(&broker, &shown(&bad), "bad").is_ok(), with_bad, "{setting}");
        let refused = f64::from(u8::from(!without) + u8::from(!with_bad));
        broker.wait_for_metric("lotmq_tls_failures_total", refused);
    }
}

/// The broker only looks at short chains of a stranger. It would try all ways from issuer to
/// issuer, for seconds.
#[test]
fn a_long_chain_of_a_client_is_refused_and_a_short_one_is_not() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required")
        .start();
    let shown = |signed: &Signed| {
        let options = TlsOptions {
            certificate: Some(signed.certificate.clone()),
            key: Some(signed.key.clone()),
            ..authority.trusted()
        };
        TlsContext::new(&options).unwrap()
    };
    let mut short = connect(&broker, &shown(&authority.client_behind("short", 4, 1)), "short").unwrap();
    short.ping().unwrap();
    let long = authority.client_behind("long", 6, 12);
    let pem = std::fs::read_to_string(&long.certificate).unwrap();
    // Without those that the authority has signed there is no way to it.
    let (first_tier, _) = pem.rmatch_indices("-----BEGIN").nth(11).unwrap();
    std::fs::write(&long.certificate, &pem[..first_tier]).unwrap();
    assert!(connect(&broker, &shown(&long), "long").is_err());
    broker.wait_for_metric("lotmq_tls_failures_total", 1.0);
    short.ping().unwrap();
    let turn = broker.metric("lotmq_shard_turn_seconds_max").unwrap();
    assert!(turn < 0.25, "a turn took {turn} s of processor time");
}

#[test]
fn a_certificate_says_which_user_a_client_is_where_it_is_asked() {
    let authority = Authority::new();
    let shown = |name: &str| {
        let signed = authority.client(name);
        let options = TlsOptions {
            certificate: Some(signed.certificate),
            key: Some(signed.key),
            ..authority.trusted()
        };
        TlsContext::new(&options).unwrap()
    };
    for (setting, account) in [("common-name", "device-1"), ("subject", "CN=device-1"), ("off", "device-1")] {
        let broker = with_tls(&authority.server("broker"))
            .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
            .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "optional")
            .variable("LOTMQ_LISTENER_MQTTS_USER_FROM_CERTIFICATE", setting)
            .start();
        broker.command_ok(&format!("-addUser \"{account}\" never-sent"));
        let user_of = |client_id: &str| {
            let clients = broker.command_ok(&format!("-listClients {client_id}"));
            clients.data()["clients"][0]["username"].as_str().map(str::to_owned)
        };
        let is_asked = setting != "off";
        let mut device = connect(&broker, &shown("device-1"), "device").unwrap();
        device.ping().unwrap();
        assert_eq!(user_of("device"), is_asked.then(|| account.to_owned()), "{setting}");

        // Other fields of CONNECT count for nothing, the name of another user least of all.
        let as_root = ConnectOptions::v5("claims").user("root", "wrong");
        let claimed = Client::connect_at(&endpoint(&broker, &shown("device-1")), &as_root);
        assert_eq!(claimed.is_ok(), is_asked, "{setting}");
        if is_asked {
            assert_eq!(user_of("claims").as_deref(), Some(account), "{setting}");
            let refused = connect(&broker, &shown("device-2"), "unknown").unwrap_err();
            let told = refused.to_string();
            assert!(told.contains("the client certificate names no user: there is no user '"), "{told}");
            assert!(told.contains("device-2"), "{told}");
            let method = PropertyValue::Utf8("SCRAM-SHA-256");
            let other = ConnectOptions::v5("other").property(PropertyId::AuthenticationMethod, method);
            let refused = Client::connect_at(&endpoint(&broker, &shown("device-1")), &other).unwrap_err();
            assert!(refused.to_string().contains("says who the client is"), "{refused}");
        }
        // Without a certificate everything is as always.
        connect(&broker, &authority.context(), "without").unwrap().ping().unwrap();
        assert_eq!(user_of("without"), None);
        let with_password = ConnectOptions::v5("password").user(account, "never-sent");
        Client::connect_at(&endpoint(&broker, &authority.context()), &with_password).unwrap();
    }
}

/// The answering server chooses the certificates, and the client tries all ways through them.
#[test]
fn a_long_chain_of_a_broker_is_refused_and_a_short_one_is_not() {
    let authority = Authority::new();
    for ignores_name in [false, true] {
        let trusted = TlsOptions { ignores_name, ..authority.trusted() };
        let context = TlsContext::new(&trusted).unwrap();
        let short = with_tls(&authority.server_with_others("short", ISSUERS_MAX)).start();
        connect(&short, &context, "client").unwrap().ping().unwrap();
        let long = with_tls(&authority.server_with_others("long", ISSUERS_MAX + 1)).start();
        let refused = connect(&long, &context, "client").unwrap_err();
        assert!(refused.to_string().contains("UnknownIssuer"), "{ignores_name}: {refused}");
    }
}

#[test]
fn log_line_of_a_user_of_a_certificate_has_it_as_the_source() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "optional")
        .variable("LOTMQ_LISTENER_MQTTS_USER_FROM_CERTIFICATE", "common-name")
        .variable("LOTMQ_LOG", "info,client=debug")
        .start();
    broker.command_ok("-addUser device a-password");
    let signed = authority.client("device");
    let shown =
        TlsOptions { certificate: Some(signed.certificate), key: Some(signed.key), ..authority.trusted() };
    connect(&broker, &TlsContext::new(&shown).unwrap(), "shown").unwrap().ping().unwrap();
    let by_password = ConnectOptions::v5("password").user("device", "a-password");
    Client::connect_at(&endpoint(&broker, &authority.context()), &by_password).unwrap().ping().unwrap();
    for (client, source) in [("shown", "certificate"), ("password", "account")] {
        let parts = ["client connected", &format!("client_id=\"{client}\""), &format!("source=\"{source}\"")];
        let found = |line: &str| parts.iter().all(|part| line.contains(part)).then_some(());
        broker.log().wait_for("its line", found).unwrap_or_else(|| panic!("{parts:?}"));
    }
}

/// Whether somebody is known by it or not: nobody stays by a certificate that has ended, nor comes
/// back by a session of TLS that began before.
#[test]
fn a_certificate_that_has_ended_is_good_for_nothing() {
    let authority = Authority::new();
    for setting in ["common-name", "off"] {
        let broker = with_tls(&authority.server("broker"))
            .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
            .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required")
            .variable("LOTMQ_LISTENER_MQTTS_USER_FROM_CERTIFICATE", setting)
            .start();
        broker.command_ok("-addUser device never-sent");
        let signed = authority.client_until("device", SystemTime::now() + Duration::from_secs(5));
        let shown = TlsOptions {
            certificate: Some(signed.certificate),
            key: Some(signed.key),
            ..authority.trusted()
        };
        let context = TlsContext::new(&shown).unwrap();
        // Each connection gets a certificate that is still good, and what it could resume.
        connect(&broker, &context, "first").unwrap().disconnect().unwrap();
        let mut stays = connect(&broker, &context, "stays").unwrap();
        let closed = stays.receive(WAIT_MAX).unwrap_err();
        assert!(closed.to_string().contains("certificate has expired"), "{setting}: {closed}");
        connect(&broker, &context, "again").unwrap_err();
        assert_eq!(broker.metric("lotmq_tls_handshakes_resumed_total"), Some(0.0), "{setting}");
        broker.wait_for_metric("lotmq_tls_failures_total", 1.0);
    }
}

/// A new file of authorities is the means against a lost key: whoever came by the former one does
/// not stay.
#[test]
fn connections_of_an_authority_that_was_taken_out_are_closed() {
    let [former, later] = [Authority::new(), Authority::new()];
    let file = former.path("authorities.pem");
    let both = [former.file(), later.file()].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&file, both.concat()).unwrap();
    let broker = with_tls(&former.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", file.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "optional")
        .start();
    let context = |signed: Option<Signed>| {
        let (certificate, key) = signed.map(|it| (it.certificate, it.key)).unzip();
        TlsContext::new(&TlsOptions { certificate, key, ..former.trusted() }).unwrap()
    };
    let [lost, kept, none] = [Some(former.client("lost")), Some(later.client("kept")), None].map(context);
    let mut lost_client = connect(&broker, &lost, "lost").unwrap();
    let mut others = [connect(&broker, &kept, "kept").unwrap(), connect(&broker, &none, "none").unwrap()];
    std::fs::write(&file, &both[1]).unwrap();
    broker.hang_up();
    let closed = lost_client.receive(WAIT_MAX).unwrap_err();
    assert!(closed.to_string().contains("authority of the client certificate is not trusted"), "{closed}");
    broker.wait_for_metric("lotmq_disconnects_total{reason=\"certificate-untrusted\"}", 1.0);
    broker.log().expect("the authority of its certificate is not trusted any more");
    connect(&broker, &lost, "again").unwrap_err();
    others.iter_mut().for_each(|client| client.ping().unwrap());
}

/// The list of an authority shuts out one certificate, and the others stay.
#[test]
fn revoked_certificate_is_refused_and_its_connections_end() {
    let authority = Authority::new();
    let [lost, kept] = ["lost", "kept"].map(|name| authority.client(name));
    let list = authority.revoke(&[]);
    let broker = with_tls(&authority.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_TLS_CLIENT_CRL", list.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "optional")
        .start();
    let context = |signed: &Signed| {
        let (certificate, key) = (Some(signed.certificate.clone()), Some(signed.key.clone()));
        TlsContext::new(&TlsOptions { certificate, key, ..authority.trusted() }).unwrap()
    };
    let mut lost_client = connect(&broker, &context(&lost), "lost").unwrap();
    let mut kept_client = connect(&broker, &context(&kept), "kept").unwrap();
    authority.revoke(&[&lost]);
    broker.hang_up();
    let closed = lost_client.receive(WAIT_MAX).unwrap_err();
    assert!(closed.to_string().contains("authority of the client certificate is not trusted"), "{closed}");
    broker.wait_for_metric("lotmq_disconnects_total{reason=\"certificate-untrusted\"}", 1.0);
    let refused = connect(&broker, &context(&lost), "again").unwrap_err();
    assert!(refused.to_string().contains("the certificate of this client was revoked"), "{refused}");
    broker.log().expect("by a list in `tls.client_crl`");
    kept_client.ping().unwrap();
    connect(&broker, &context(&kept), "kept again").unwrap().ping().unwrap();
    connect(&broker, &authority.context(), "without").unwrap().ping().unwrap();

    // A file without a list replaces nothing, and opens nothing.
    std::fs::write(&list, "no list\n").unwrap();
    broker.hang_up();
    broker.log().expect("it has no `BEGIN X509 CRL`");
    connect(&broker, &context(&lost), "once more").unwrap_err();
    kept_client.ping().unwrap();
}

#[test]
fn every_authority_of_clients_needs_its_list_of_revoked_certificates() {
    let [own, other] = ["own", "other"].map(Authority::named);
    let file = own.path("authorities.pem");
    let both = [own.file(), other.file()].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&file, both.concat()).unwrap();
    let with_list = |list: &std::path::Path| {
        with_tls(&own.server("broker"))
            .variable("LOTMQ_TLS_CLIENT_CA", file.to_str().unwrap())
            .variable("LOTMQ_TLS_CLIENT_CRL", list.to_str().unwrap())
            .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required")
    };
    let broker = with_list(&own.revoke(&[])).start();
    let context = |signed: Signed| {
        let (certificate, key) = (Some(signed.certificate), Some(signed.key));
        TlsContext::new(&TlsOptions { certificate, key, ..own.trusted() }).unwrap()
    };
    connect(&broker, &context(own.client("own")), "own").unwrap().ping().unwrap();
    connect(&broker, &context(other.client("other")), "other").unwrap_err();
    broker.log().expect("has no list of the authority that signed the certificate of the client");

    let no_list = own.path("none.pem");
    for (text, expected) in [("", "it has no `BEGIN X509 CRL`"), ("0 is no DER", "cannot be used")] {
        std::fs::write(&no_list, text).unwrap();
        let failed = with_list(&no_list).fail();
        let told = failed.stderr;
        assert!(told.contains("lists of revoked certificates in") && told.contains(expected), "{told}");
    }
    let failed = with_tls(&own.server("broker")).variable("LOTMQ_TLS_CLIENT_CRL", "crl.pem").fail();
    assert!(failed.stderr.contains("which needs `tls.client_ca`"), "{}", failed.stderr);
}

/// The same in version 1.2, by another implementation, and with what it could resume.
#[test]
fn a_certificate_that_has_ended_is_good_for_nothing_in_tls_1_2() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required")
        .start();
    let signed = authority.client_until("device", SystemTime::now() + Duration::from_secs(4));
    let (address, session) = (broker.listener("mqtts"), authority.path("session"));
    let run = |option: &str| {
        let [certificate, key, session] = [&signed.certificate, &signed.key, &session];
        let [certificate, key, session] =
            [certificate, key, session].map(|path| path.to_str().unwrap().to_owned());
        let base = ["s_client", "-connect", &address, "-tls1_2", "-ign_eof", "-cert"];
        let arguments: Vec<&str> =
            base.into_iter().chain([&*certificate, "-key", &*key, option, &*session]).collect();
        // CONNECT with a Keep Alive of a minute.
        let input = "\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02ab";
        Program::start_with_input("openssl", &arguments, input).map(Program::wait)
    };
    // It stays until the broker ends the connection.
    let Some(stayed) = run("-sess_out") else { return };
    assert!(stayed.stdout.contains("TLSv1.2"), "{}", stayed.stdout);
    broker.log().expect("certificate has expired");
    assert_eq!(broker.metric("lotmq_tls_handshakes_total"), Some(1.0));
    let again = if session.exists() { run("-sess_in") } else { run("-sess_out") }.unwrap();
    assert!(again.stderr.contains("certificate expired"), "{}", again.stderr);
    assert_eq!(broker.metric("lotmq_tls_handshakes_total"), Some(1.0));
}

/// If the broker asks clients for certificates, each handshake is a whole one, in both versions.
#[test]
fn openssl_agrees_that_with_certificates_nothing_is_resumed() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "optional")
        .start();
    let (address, session) = (broker.listener("mqtts"), authority.path("session"));
    let run = |version: &str, option: &str| {
        let arguments = ["s_client", "-connect", &address, version, option, session.to_str().unwrap()];
        // CONNECT, and an end by what is no packet.
        let input = "\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02ab\n";
        Program::start_with_input("openssl", &arguments, input).map(Program::wait)
    };
    let mut handshakes = 0.0;
    for version in ["-tls1_2", "-tls1_3"] {
        let _ = std::fs::remove_file(&session);
        if run(version, "-sess_out").is_none() {
            return;
        }
        handshakes += 1.0;
        // Without a ticket there may be nothing to keep.
        if session.exists() {
            let again = run(version, "-sess_in").unwrap();
            assert!(again.stdout.contains("New, TLSv1."), "{version}: {}", again.stdout);
            handshakes += 1.0;
        }
    }
    broker.wait_for_metric("lotmq_tls_handshakes_total", handshakes);
    assert_eq!(broker.metric("lotmq_tls_handshakes_resumed_total"), Some(0.0));
}

#[test]
fn a_file_in_pkcs12_is_named_with_the_way_out() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let file = authority.path("broker.pfx");
    let (certificate, key) = (signed.certificate.to_str().unwrap(), signed.key.to_str().unwrap());
    let path = file.to_str().unwrap();
    let made = Program::run(
        "openssl",
        &["pkcs12", "-export", "-in", certificate, "-inkey", key, "-out", path, "-passout", "pass:secret"],
    );
    let Some(made) = made else { return };
    made.output();
    let failed = options().variable("LOTMQ_TLS_CERTIFICATE", path).fail();
    for said in [format!("{path} is PKCS#12"), format!("openssl pkcs12 -in {path} -out lotmq.pem -nodes")] {
        assert!(failed.stderr.contains(&said), "{}", failed.stderr);
    }
}

#[test]
fn non_tls_client_gets_an_alert_and_is_counted() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker")).start();
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port_of("mqtts"))).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.write_all(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab").unwrap();
    let mut answer = Vec::new();
    // The end may come as a reset, because what we sent was not all read.
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer.first(), Some(&21), "a record of type alert: {answer:?}");
    broker.wait_for_metric("lotmq_tls_failures_total", 1.0);
    assert_eq!(broker.metric("lotmq_connects_accepted_total"), Some(0.0));
}

/// Connections without CONNECT beyond the bound that this machine may have.
const SPARE: u32 = 8;

#[test]
fn stalled_handshakes_end_and_disturb_nobody() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker"))
        .variable("LOTMQ_LISTENER_MQTTS_HANDSHAKE_TIMEOUT_SEC", "1")
        .variable("LOTMQ_LISTENER_MQTTS_HALF_OPEN", "3")
        .start();
    let port = broker.port_of("mqtts");
    let mut stalled: Vec<TcpStream> =
        (0..3 + SPARE).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    // A third of a ClientHello.
    stalled[0].write_all(&[22, 3, 1, 2, 0, 1, 0]).unwrap();
    broker.wait_for_metric("lotmq_connections_opened_total", f64::from(3 + SPARE));
    // All places are taken.
    assert!(connect(&broker, &authority.context(), "too-many").is_err());
    broker.wait_for_metric("lotmq_limit_reached_total{limit=\"half_open\",listener=\"mqtts\"}", 1.0);
    // The plain listener has places of its own.
    broker.client("plain").ping().unwrap();
    for stream in &mut stalled {
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        let mut end = Vec::new();
        let _ = stream.read_to_end(&mut end);
    }
    broker.wait_for_metric("lotmq_handshake_timeouts_total", f64::from(3 + SPARE));
    let reached = "lotmq_limit_reached_total{limit=\"handshake_timeout_sec\",listener=\"mqtts\"}";
    broker.wait_for_metric(reached, f64::from(3 + SPARE));
    connect(&broker, &authority.context(), "later").unwrap().ping().unwrap();
}

#[test]
fn silence_after_the_handshake_is_a_connect_timeout() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker"))
        .variable("LOTMQ_LISTENER_MQTTS_CONNECT_TIMEOUT_SEC", "1")
        .start();
    let endpoint = endpoint(&broker, &authority.context());
    let mut silent = Connection::open_at(&endpoint, ProtocolVersion::V5, WAIT_MAX).unwrap();
    assert!(silent.wait_closed(WAIT_MAX).unwrap());
    assert_eq!(broker.metric("lotmq_connect_timeouts_total"), Some(1.0));
    let reached = "lotmq_limit_reached_total{limit=\"connect_timeout_sec\",listener=\"mqtts\"}";
    broker.wait_for_metric(reached, 1.0);
    assert_eq!(broker.metric("lotmq_handshake_timeouts_total"), Some(0.0));
}

#[test]
fn wrong_settings_are_named_at_start() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let other = authority.server("other");
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let empty = authority.path("empty.pem");
    std::fs::write(&empty, "no PEM\n").unwrap();
    let missing = authority.path("missing.pem");
    // Without extensions `openssl` makes certificates of version 1.
    let [old, old_key] = ["old.pem", "old.key"].map(|name| authority.path(name));
    old_certificate(&old, &old_key);
    for (certificate, key, expected) in [
        (&missing, &signed.key, format!("cannot read {}: No such file", missing.display())),
        (&empty, &signed.key, format!("{} holds no certificate in PEM", empty.display())),
        (
            &signed.certificate,
            &empty,
            format!("{} holds no private key in PEM that is not encrypted", empty.display()),
        ),
        (&signed.certificate, &other.key, format!("the key in {} does not belong to", other.key.display())),
        (&old, &old_key, format!("{} holds a certificate of X.509 version 1", old.display())),
    ] {
        // Listeners without TLS are no substitute.
        for plain in ["0", "off"] {
            let failed = options()
                .listen_as_configured()
                .variable("LOTMQ_LISTENER_MQTT_PORT", plain)
                .variable("LOTMQ_TLS_CERTIFICATE", &path(certificate))
                .variable("LOTMQ_TLS_KEY", &path(key))
                .fail();
            assert_eq!(failed.status.code(), Some(1));
            let line = failed.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
            assert!(line.contains("listener mqtts: ") && line.contains(&expected), "{}", failed.stderr);
            assert!(!failed.stdout.contains("ready"), "{}", failed.stdout);
        }
        let checked = std::process::Command::new(LOTMQ)
            .args(["config", "check"])
            .env("LOTMQ_TLS_CERTIFICATE", certificate)
            .env("LOTMQ_TLS_KEY", key)
            .output()
            .unwrap();
        let told = String::from_utf8(checked.stdout).unwrap();
        assert_eq!(checked.status.code(), Some(1), "{told}");
        assert!(told.contains(&expected), "{told}");
    }
    let failed = options().variable("LOTMQ_LISTENER_MQTTS_USER_FROM_CERTIFICATE", "subject").fail();
    assert!(failed.stderr.contains("which needs `listener.mqtts.client_certificate`"), "{}", failed.stderr);
    let failed = options().variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required").fail();
    assert!(
        failed.stderr.contains(
            "`listener.mqtts.client_certificate` is \"required\" (environment \
             LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE), which needs `tls.client_ca`"
        ),
        "{}",
        failed.stderr
    );
}

fn old_certificate(certificate: &std::path::Path, key: &std::path::Path) {
    let run = |arguments: &[&str]| Program::run("openssl", arguments).map(|done| done.output().to_owned());
    let (request, name) = (certificate.with_extension("csr"), ["-subj", "/CN=broker"]);
    let [certificate, key, request] = [certificate, key, &request].map(|path| path.to_str().unwrap());
    let made = ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, name[0], name[1]];
    run(&made).expect("openssl is there");
    run(&["x509", "-req", "-in", request, "-signkey", key, "-out", certificate]).unwrap();
}

#[test]
fn mosquitto_clients_speak_tls() {
    let authority = Authority::new();
    let signed = authority.client("mosquitto");
    let broker = with_tls(&authority.server("broker"))
        .variable("LOTMQ_TLS_CLIENT_CA", authority.file().to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_CLIENT_CERTIFICATE", "required")
        .start();
    let port = broker.port_of("mqtts").to_string();
    let (ca, certificate, key) = (authority.file(), signed.certificate, signed.key);
    let tls = [
        "-h",
        "localhost",
        "-p",
        &port,
        "--cafile",
        ca.to_str().unwrap(),
        "--cert",
        certificate.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    for version in ["tlsv1.2", "tlsv1.3"] {
        let publish: Vec<&str> = tls
            .iter()
            .copied()
            .chain(["--tls-version", version, "-t", "t", "-r", "-q", "1", "-m", version])
            .collect();
        let Some(published) = Program::run("mosquitto_pub", &publish) else { return };
        published.output();
        let subscribe: Vec<&str> = tls
            .iter()
            .copied()
            .chain(["--tls-version", version, "--tls-alpn", "mqtt", "-t", "t", "-C", "1"])
            .collect();
        assert_eq!(Program::run("mosquitto_sub", &subscribe).unwrap().output(), version);
    }
}

#[test]
fn openssl_agrees_on_version_protocol_and_resumption() {
    let authority = Authority::new();
    let broker = with_tls(&authority.server("broker")).variable("LOTMQ_TLS_MIN_VERSION", "1.3").start();
    let address = broker.listener("mqtts");
    let ca = authority.file();
    let session = authority.path("session");
    let base = ["s_client", "-connect", &address, "-CAfile", ca.to_str().unwrap(), "-verify_return_error"];
    let run = |more: &[&str], input: &str| {
        let arguments: Vec<&str> = base.iter().chain(more).copied().collect();
        Program::start_with_input("openssl", &arguments, input).map(Program::wait)
    };
    let Some(refused) = run(&["-tls1_2"], "Q\n") else { return };
    assert!(refused.stderr.contains("alert protocol version"), "{}", refused.stderr);
    let other = run(&["-alpn", "h2"], "Q\n").unwrap();
    assert!(other.stderr.contains("no application protocol"), "{}", other.stderr);
    let accepted = run(&["-alpn", "mqtt", "-servername", "localhost"], "Q\n").unwrap();
    assert!(accepted.output().contains("ALPN protocol: mqtt"), "{}", accepted.stdout);
    // TLS 1.3 gives the ticket behind the handshake, with our first answer at the latest: PINGREQ
    // without CONNECT ends the connection.
    run(&["-sess_out", session.to_str().unwrap()], "\u{c0}\0").unwrap();
    if session.exists() {
        let resumed = run(&["-sess_in", session.to_str().unwrap()], "Q\n").unwrap();
        assert!(resumed.stdout.contains("Reused, TLSv1.3"), "{}", resumed.stdout);
    }
}
