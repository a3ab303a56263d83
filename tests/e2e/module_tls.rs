//! TLS of routes: whom a section of their settings trusts, and what it shows.

use std::path::Path;
use std::time::{Duration, SystemTime};

use lotmq_client::QoS;
use lotmq_test_support::{Answer, Authority, Broker, HttpServer, WAIT_MAX, eventually};

use crate::module_http::{at_home, bodies, module, route};
use crate::module_routes::Standing;
use crate::send;

/// A broker in which routes may name the files of an authority, and its certificates' names.
fn with_files_of(authority: &Authority) -> Broker {
    let roots = authority.path("");
    at_home().variable("LOTMQ_ROUTES_FILE_ROOTS", &roots.display().to_string()).start()
}

/// A server that shows a certificate for `localhost`, to clients of its authority only if it is
/// `strict`.
fn server(authority: &Authority, strict: bool) -> HttpServer {
    let signed = authority.server("server");
    let config = if strict { signed.server_config_for(authority) } else { signed.server_config() };
    HttpServer::start_at(([127, 0, 0, 1], 0).into(), Some(config), |_| Answer::of(200, ""))
}

/// Settings of a section beside the place.
fn settings(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("        WITH {line}\n")).collect()
}

const TLS: &str = "USE_TLS TRUE";
const NAMED: &str = "TLS_SERVER_NAME \"localhost\"";
const CERTIFIED: &str = "SERVER_CA_CERT_PATH \"ca.pem\"";
const SHOWN: &str = "CLIENT_CERT_PATH \"line.both\"";

/// An authority with what clients need: `line.both` has certificate and key, `mixed.both` a key of
/// somebody else.
fn authority() -> Authority {
    let authority = Authority::new();
    let (line, other) = (authority.client("line"), authority.client("other"));
    std::fs::write(authority.path("line.both"), line.with_key()).unwrap();
    let read = |path| std::fs::read_to_string(path).unwrap();
    std::fs::write(authority.path("mixed.both"), read(line.certificate) + &read(other.key)).unwrap();
    authority
}

#[test]
fn a_route_reaches_servers_that_its_settings_trust() {
    let authority = authority();
    let (open, strict) = (server(&authority, false), server(&authority, true));
    let broker = with_files_of(&authority);
    broker.command_ok(&module(&format!("-grantAll -net {},{}", open.address, strict.address)));
    broker.command_ok(&format!("-setSecret PLANT_KEY={}", authority.client("inline").with_key()));
    let authority_text = std::fs::read_to_string(authority.file()).unwrap();
    broker.command_ok(&format!("-setSecret PLANT_CA={authority_text}"));
    let absolute = format!("SERVER_CA_CERT_PATH \"{}\"", authority.file().display());
    for (server, lines) in [
        (&open, vec![TLS, NAMED, CERTIFIED]),
        // For an address, which the certificate has, too.
        (&open, vec![TLS, &absolute]),
        (&open, vec![TLS, NAMED, "SERVER_CA_CERT GET SECRET \"PLANT_CA\""]),
        (&open, vec!["USE_SSL TRUE", "TRUST_SERVER_CERTIFICATE TRUE"]),
        (&open, vec![TLS, NAMED, "IGNORE_CERT_ERRORS TRUE", CERTIFIED]),
        // The route sends no certificate to a server that does not ask for one.
        (&open, vec![TLS, NAMED, CERTIFIED, SHOWN]),
        (&strict, vec![TLS, NAMED, CERTIFIED, SHOWN]),
        (&strict, vec![TLS, "ALLOW_UNTRUSTED_CERTS TRUE", "CLIENT_CERT GET SECRET \"PLANT_KEY\""]),
    ] {
        let before = bodies(server).len();
        broker.command_ok(&route("Line", "out", server, &settings(&lines)));
        send(&broker, "out/1", "a reading");
        eventually(&format!("{lines:?}"), || (bodies(server).len() > before).then_some(()));
    }
    let mut client = broker.root("reader of sources");
    client.subscribe_to("$SYS/Coreflux/Routes/Line", QoS::AtMostOnce).unwrap();
    let source = client.receive(WAIT_MAX).unwrap().unwrap().text();
    assert!(source.contains("GET SECRET") && !source.contains("PRIVATE KEY"), "{source}");
}

#[test]
fn a_route_says_why_it_does_not_reach_a_server() {
    let authority = authority();
    let stranger = Authority::new();
    std::fs::copy(stranger.file(), authority.path("stranger.pem")).unwrap();
    std::fs::write(authority.path("empty.pem"), "nothing").unwrap();
    std::os::unix::fs::symlink("/etc/hostname", authority.path("link.pem")).unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let expired = authority.server_until("expired", yesterday).server_config();
    let expired = HttpServer::start_at(([127, 0, 0, 1], 0).into(), Some(expired), |_| Answer::of(200, ""));
    let (open, strict) = (server(&authority, false), server(&authority, true));
    let broker = with_files_of(&authority);
    let places = format!("{},{},{}", open.address, strict.address, expired.address);
    broker.command_ok(&module(&format!("-grantAll -net {places}")));
    let mut standing = Standing::of(&broker);
    for (server, lines, told) in [
        (&open, vec![TLS, NAMED], "UnknownIssuer"),
        (&open, vec![TLS, NAMED, "SERVER_CA_CERT_PATH \"stranger.pem\""], "invalid peer certificate"),
        (&open, vec![TLS, CERTIFIED, "TLS_SERVER_NAME \"other.example\""], "not valid for name"),
        (&expired, vec![TLS, NAMED, CERTIFIED], "expired"),
        (&strict, vec![TLS, NAMED, CERTIFIED], "CertificateRequired"),
        (
            &open,
            vec![TLS, "SERVER_CA_CERT_PATH \"none.pem\""],
            "SERVER_CA_CERT_PATH: 'none.pem' cannot be read",
        ),
        (&open, vec![TLS, "SERVER_CA_CERT_PATH \"empty.pem\""], "'empty.pem' holds no certificate in PEM"),
        (&open, vec![TLS, "SERVER_CA_CERT_PATH \"/etc/hostname\""], "is below none of routes.file_roots"),
        (&open, vec![TLS, "SERVER_CA_CERT_PATH \"../ca.pem\""], "is not a path below a folder"),
        (&open, vec![TLS, "SERVER_CA_CERT_PATH \"link.pem\""], "a link leads out of the folder"),
        (
            &open,
            vec![TLS, "CLIENT_CERT_PATH \"ca.pem\""],
            "'ca.pem' holds no private key in PEM that is not encrypted",
        ),
        (
            &open,
            vec![TLS, "CLIENT_CERT_PATH \"mixed.both\""],
            "'mixed.both' holds a key that does not belong to the certificate of",
        ),
        (&open, vec![TLS, SHOWN, "CLIENT_CERT GET SECRET \"K\""], "not set: secret 'K'"),
        (&open, vec![TLS, SHOWN, "CLIENT_CERT_PASS \"p\""], "files with a password are not read"),
        (&open, vec![TLS, "ALLOW_UNTRUSTED_CERTS \"maybe\""], "ALLOW_UNTRUSTED_CERTS is 'maybe'"),
    ] {
        broker.command_ok(&route("Line", "out", server, &settings(&lines)));
        send(&broker, "out/1", "a reading");
        standing.says(told);
        broker.command_ok("-removeRoute Line");
    }
    let key = settings(&[TLS, "CLIENT_CERT \"-----BEGIN PRIVATE KEY-----\""]);
    let refused = broker.command(&route("Line", "out", &open, &key));
    assert!(refused.message().contains("CLIENT_CERT has a private key in the source"), "{refused:?}");
    assert!(bodies(&open).is_empty() && bodies(&strict).is_empty() && bodies(&expired).is_empty());
}

#[test]
fn renewed_client_certificate_is_used_for_the_next_connection() {
    let authority = authority();
    let strict = server(&authority, true);
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    std::fs::write(authority.path("line.both"), authority.client_until("old", yesterday).with_key()).unwrap();
    let broker = with_files_of(&authority);
    broker.command_ok(&module(&format!("-grantAll -net {}", strict.address)));
    let mut standing = Standing::of(&broker);
    broker.command_ok(&route("Line", "out", &strict, &settings(&[TLS, NAMED, CERTIFIED, SHOWN])));
    send(&broker, "out/1", "a reading");
    standing.says("'line.both' holds a certificate that expired at");
    std::fs::write(authority.path("line.both"), authority.client("new").with_key()).unwrap();
    eventually("the new one is shown", || (bodies(&strict) == ["a reading"]).then_some(()));
}

#[test]
fn a_route_waits_for_its_files_and_shows_what_is_in_them_then() {
    let (authority, clients, others) = (authority(), Authority::new(), Authority::new());
    let config = authority.server("server").server_config_for(&clients);
    let strict = HttpServer::start_at(([127, 0, 0, 1], 0).into(), Some(config), |_| Answer::of(200, ""));
    let broker = with_files_of(&authority);
    broker.command_ok(&module(&format!("-grantAll -net {}", strict.address)));
    let mut standing = Standing::of(&broker);
    let parts = ["CLIENT_CERT_PATH \"own/line.pem\"", "CLIENT_KEY_PATH \"own/line.key\""];
    let lines = settings(&[&[TLS, NAMED, CERTIFIED, "TLS_MIN_VERSION \"1.3\""], &parts[..]].concat());
    broker.command_ok(&route("Line", "out", &strict, &lines));
    standing.says("API_CONFIG: CLIENT_CERT_PATH: 'own/line.pem' cannot be read: No such file");
    let show = |signed: lotmq_test_support::Signed| {
        std::fs::copy(signed.key, authority.path("own/line.key")).unwrap();
        std::fs::copy(signed.certificate, authority.path("own/line.pem")).unwrap();
    };
    std::fs::create_dir(authority.path("own")).unwrap();
    show(others.client("line"));
    send(&broker, "out/1", "a reading");
    standing.says("received fatal alert");
    assert!(bodies(&strict).is_empty());
    show(clients.client("line"));
    eventually("the right one is shown", || (bodies(&strict) == ["a reading"]).then_some(()));
}

#[test]
fn a_key_comes_of_a_secret_and_stays_with_the_host() {
    let authority = authority();
    let strict = server(&authority, true);
    let broker = with_files_of(&authority);
    broker.command_ok(&module(&format!("-grantAll -net {}", strict.address)));
    let mut standing = Standing::of(&broker);
    let (own, other) = (authority.client("own"), authority.client("foreign"));
    // On one line, as environment values often are.
    let line = |path: &Path| std::fs::read_to_string(path).unwrap().replace('\n', "\\n");
    broker.command_ok(&format!("-setEnv CERTIFICATE={}", line(&own.certificate)));
    let parts = ["CLIENT_CERT GET ENV \"CERTIFICATE\"", "CLIENT_KEY GET SECRET \"LINE_KEY\""];
    let lines = settings(&[&[TLS, NAMED, CERTIFIED], &parts[..]].concat());
    broker.command_ok(&route("Line", "out", &strict, &lines));
    standing.says("not set: secret 'LINE_KEY'");
    broker.command_ok(&format!("-setSecret LINE_KEY={}", line(&other.key)));
    standing.says(
        "API_CONFIG: CLIENT_KEY: its text holds a key that does not belong to the certificate of API_CONFIG: CLIENT_CERT: its text",
    );
    broker.command_ok(&format!("-setSecret LINE_KEY={}", line(&own.key)));
    send(&broker, "out/1", "a reading");
    eventually("it is shown", || (bodies(&strict) == ["a reading"]).then_some(()));
    let report = broker.command_ok("-lotDiagnostic route Line").data().to_string();
    assert!(!report.contains("PRIVATE KEY"), "{report}");
}
