//! `EMAIL`: mails to a server of aiosmtpd, in the clear and with TLS, to several, of templates, and
//! to servers that are away.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Authority, Broker, Program, Signed, eventually, free_port, python_with_module};
use serde_json::Value as Json;

use crate::link::Link;
use crate::{Standing, backlog, broker, options, publish_all, send, watch};

/// A mail server.
struct Server {
    program: Program,
    port: u16,
    told: usize,
}

impl Server {
    /// Starts one at a port; `None` where its packages are not installed.
    fn start(port: u16, mode: &str, signed: Option<&Signed>) -> Option<Server> {
        let python = python_with_module("aiosmtpd")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/email/server.py");
        let port_text = port.to_string();
        let mut arguments = vec![script, &port_text, mode];
        if let Some(signed) = signed {
            arguments.extend([signed.certificate.to_str().unwrap(), signed.key.to_str().unwrap()]);
        }
        let program = Program::start(python, &arguments)?;
        program.stdout.wait_for("ready", |line| (line == "ready").then_some(()));
        Some(Server { program, port, told: 0 })
    }

    fn plain() -> Option<Server> {
        Server::start(free_port(), "plain", None)
    }

    /// The mails that it has taken.
    fn mails(&self) -> Vec<Json> {
        self.program.stdout.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The next mail.
    fn next(&mut self) -> Json {
        let mail = eventually("a mail", || self.mails().into_iter().nth(self.told));
        self.told += 1;
        mail
    }

    fn signal(&self, signal: &str) {
        Program::run("kill", &[signal, &self.program.process_id().to_string()]).unwrap();
    }
}

/// A route to a server, with more lines in its section, and an event that mails what comes below
/// `alert`.
fn route(port: u16, more: &str, lines: &str) -> String {
    let section = format!("    ADD SMTP_CONFIG\n        WITH HOST \"127.0.0.1\"\n        WITH PORT {port}\n");
    let section = more.lines().fold(section, |text, line| format!("{text}        WITH {line}\n"));
    let event = "    ADD EVENT A\n        WITH SOURCE_TOPIC \"alert/+\"\n".to_owned();
    let event = lines.lines().fold(event, |text, line| format!("{text}        WITH {line}\n"));
    format!("-addRoute DEFINE ROUTE Mail WITH TYPE EMAIL\n{section}{event}")
}

const FROM: &str = "FROM \"Plant <plant@x.org>\"";
const TO: &str = "RECIPIENT \"ops@x.org\"";

/// A broker that mails to a server.
fn mailing(server: &Server, more: &str, lines: &str) -> Broker {
    let broker = broker();
    broker.command_ok(&route(server.port, &format!("{FROM}\n{more}"), lines));
    Standing::of(&broker, "Mail").until("\"Connected\"");
    broker
}

#[test]
fn a_comma_in_a_name_separates_no_recipients() {
    let Some(mut server) = Server::plain() else { return };
    let broker = mailing(&server, "", "RECIPIENT \"{payload}\"");
    for (payload, expected) in [
        (r#""Doe, Jo" <jo@y.org>"#, serde_json::json!(["jo@y.org"])),
        (r#""Doe, Jo" <jo@y.org>, max@y.org"#, serde_json::json!(["jo@y.org", "max@y.org"])),
        (r#""Doe \"J\", Jo" <jo@y.org>"#, serde_json::json!(["jo@y.org"])),
    ] {
        send(&broker, "alert/a", payload);
        assert_eq!(server.next()["to"], expected, "{payload}");
    }
    broker.command_ok(&route(server.port, FROM, r#"RECIPIENT "\"Doe, Jo\" <jo@y.org>""#));
}

#[test]
fn a_message_is_a_mail_to_several() {
    let Some(mut server) = Server::plain() else { return };
    let lines = "RECIPIENT \"ops@x.org, {payload.json.to}\"\nSUBJECT \"Alert {topic.2}\"\nBODY \"{payload.json.text}\"";
    let broker = mailing(&server, "", lines);
    send(&broker, "alert/oven", r#"{"to":"Jo <jo@y.org>","text":"81 C\n.\n..end\n."}"#);
    let mail = server.next();
    assert_eq!(
        (&mail["from"], &mail["to"]),
        (&"plant@x.org".into(), &serde_json::json!(["ops@x.org", "jo@y.org"]))
    );
    let text = mail["text"].as_str().unwrap();
    for part in [
        "From: Plant <plant@x.org>\r\n",
        "To: ops@x.org, Jo <jo@y.org>\r\n",
        "Subject: Alert oven\r\n",
        "text/plain; charset=utf-8",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("\r\n\r\n81 C\r\n.\r\n..end\r\n."), "{text}");
    send(&broker, "alert/oven", r#"{"to":"","text":"81 °C"}"#);
    let text = server.next()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("\r\n\r\n81 =C2=B0C") || text.contains("\r\n\r\nODEgwrBD"), "{text}");
    // Values write no fields and no markup.
    let html = "RECIPIENT \"ops@x.org\"\nSUBJECT \"{payload}\"\nBODY \"<p>{payload}</p>\"";
    broker.command_ok(&route(server.port, FROM, html));
    send(&broker, "alert/oven", "x\r\nBcc: all@y.org\r\n\r\n<b>");
    let mail = server.next();
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("Subject: x  Bcc: all@y.org    <b>\r\n") && text.contains("text/html"), "{text}");
    assert!(text.contains("&lt;b&gt;</p>") && !text.contains("\nBcc: all@y.org\r\nDate"), "{text}");
    assert_eq!(mail["to"], serde_json::json!(["ops@x.org"]));
    assert_eq!(broker.command_ok("-checkRouteConnection Mail").message(), "Route 'Mail' is reachable.");
}

#[test]
fn a_template_is_a_file_below_the_roots_of_the_operator() {
    let Some(mut server) = Server::plain() else { return };
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("mail")).unwrap();
    let page = "<style>b { color: red }</style><b>{value.json.t}</b> at {topic.2}, {none}";
    std::fs::write(root.path().join("mail/alert.html"), page).unwrap();
    let broker = options().variable("LOTMQ_ROUTES_FILE_ROOTS", root.path().to_str().unwrap()).start();
    broker.command_ok(&route(server.port, FROM, &format!("{TO}\nTEMPLATE_PATH \"mail/alert.html\"")));
    send(&broker, "alert/oven", r#"{"t":"<81>"}"#);
    let text = server.next()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("<style>b { color: red }</style><b>&lt;81&gt;</b> at oven, {none}"), "{text}");
    broker.command_ok(&route(server.port, FROM, &format!("{TO}\nTEMPLATE_PATH \"mail/none.html\"")));
    Standing::of(&broker, "Mail").until("NotFound");
    let outside = broker.command(&route(server.port, FROM, &format!("{TO}\nTEMPLATE_PATH \"../x.html\"")));
    assert!(!outside.success(), "{outside:?}");
}

#[test]
fn rejected_mail_is_reported_and_busy_recipient_is_retried() {
    let Some(mut server) = Server::plain() else { return };
    let lines = "RECIPIENT \"{payload.json.to}\"\nSUBJECT \"{payload.json.s}\"\nERROR_TOPIC \"failed\"";
    let broker = mailing(&server, "", lines);
    let mut failed = watch(&broker, "failed");
    let told = |failed: &mut _| -> String {
        let told: Json = serde_json::from_str(crate::next(failed).strip_prefix("failed=").unwrap()).unwrap();
        told["error"].as_str().unwrap().to_owned()
    };
    send(&broker, "alert/1", r#"{"to":"refused@x.org","s":"a"}"#);
    assert_eq!(told(&mut failed), "the server refuses refused@x.org: 550 no such user");
    send(&broker, "alert/1", r#"{"to":"a@x.org","s":"spam"}"#);
    assert_eq!(told(&mut failed), "the server refuses the mail: 554 this is spam");
    send(&broker, "alert/1", r#"{"to":"nobody","s":"a"}"#);
    assert_eq!(told(&mut failed), "'nobody' is no address of mail");
    // Some have it at once, one later, one never; nobody twice.
    send(&broker, "alert/1", r#"{"to":"a@x.org,busy@x.org,refused@x.org","s":"b"}"#);
    assert_eq!(
        told(&mut failed),
        "the others have it, but the server refuses refused@x.org: 550 no such user"
    );
    assert_eq!(server.next()["to"], serde_json::json!(["a@x.org"]));
    assert_eq!(server.next()["to"], serde_json::json!(["busy@x.org"]));
    // No line of it is one that the server finds too long.
    send(&broker, "alert/1", &format!(r#"{{"to":"last@x.org","s":"{}"}}"#, "c".repeat(3_000)));
    assert_eq!(server.next()["to"], serde_json::json!(["last@x.org"]));
}

#[test]
fn delivered_recipient_gets_no_duplicate_when_broker_restarts_during_retries() {
    let Some(server) = Server::plain() else { return };
    let mut broker = mailing(&server, "", "RECIPIENT \"a@x.org,always-busy@x.org\"");
    send(&broker, "alert/1", "x");
    let tries = |least: usize| {
        let is_try = |line: &&String| *line == "busy for always-busy@x.org";
        eventually("tries", || {
            let lines = server.program.stdout.all();
            let tries = lines.iter().filter(is_try).count();
            (tries >= least).then_some(tries)
        })
    };
    let mut tried = tries(2);
    for _ in 0..2 {
        broker.kill();
        broker.start_again();
        tried = tries(tried + 1);
    }
    assert_eq!(server.mails().len(), 1, "{:?}", server.mails());
}

#[test]
fn tls_is_established_before_the_password_is_sent() {
    let authority = Authority::new();
    let signed = authority.server("localhost");
    let login = "USERNAME \"bot\"\nPASSWORD GET SECRET \"MAIL\"";
    let trust = format!("SERVER_CA_CERT GET SECRET \"CA\"\nTLS_SERVER_NAME \"localhost\"\n{FROM}");
    let broker = broker();
    broker.command_ok("-setSecret MAIL=in");
    broker.command_ok(&format!(
        "-setSecret CA={}",
        std::fs::read_to_string(authority.file()).unwrap().trim().replace('\n', "\\n")
    ));
    let Some(mut server) = Server::start(free_port(), "starttls", Some(&signed)) else { return };
    for tls in ["USE_TLS TRUE\n", ""] {
        broker.command_ok(&route(server.port, &format!("{tls}{login}\n{trust}"), TO));
        send(&broker, "alert/1", "protected");
        let mail = server.next();
        assert_eq!(
            (&mail["tls"], mail["text"].as_str().unwrap().contains("protected")),
            (&true.into(), true)
        );
    }
    // The route sends no password to a server that it does not trust, or that offers no TLS.
    broker.command_ok(&route(server.port, &format!("{login}\n{FROM}"), TO));
    Standing::of(&broker, "Mail").until("UnknownIssuer");
    let plain = Server::plain().unwrap();
    broker.command_ok(&route(plain.port, &format!("{login}\n{FROM}"), TO));
    Standing::of(&broker, "Mail")
        .until("the password would be readable; USE_TLS FALSE in SMTP_CONFIG allows that");
    broker.command_ok(&route(plain.port, &format!("USE_TLS TRUE\n{login}\n{FROM}"), TO));
    Standing::of(&broker, "Mail").until("USE_TLS is TRUE, and the server offers no STARTTLS");
    broker.command_ok(&route(plain.port, &format!("USE_TLS FALSE\n{login}\n{FROM}"), TO));
    Standing::of(&broker, "Mail").until("\"Connected\"");
    // A wrong password stops the route and stands nowhere.
    broker.command_ok("-setSecret MAIL=wrong-password");
    Standing::of(&broker, "Mail").until("the server does not let us in: 535");
    assert!(!broker.log().text().contains("wrong-password"));
}

#[test]
fn nothing_is_lost_when_the_server_is_killed_or_frozen_under_load() {
    const MAILS: usize = 60;
    let Some(mut server) = Server::plain() else { return };
    let broker = broker();
    let hurry = format!("{FROM}\n");
    let definition = route(server.port, &hurry, &format!("{TO}\nSUBJECT \"{{payload}}\""));
    broker.command_ok(
        &definition
            .replace("    ADD SMTP", "    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT 2\n    ADD SMTP"),
    );
    let mut standing = Standing::of(&broker, "Mail");
    standing.until("\"Connected\"");
    let mut sender = broker.client("sender");
    let mut has = std::collections::BTreeSet::new();
    let number = |mail: &Json| {
        let text = mail["text"].as_str().unwrap();
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
        subject.parse::<usize>().unwrap()
    };
    for mail in 0..MAILS {
        sender.publish(&Publication::new("alert/1", mail.to_string()).qos(QoS::AtLeastOnce)).unwrap();
        if mail == MAILS / 3 {
            has.insert(number(&server.next()));
            server.signal("-STOP");
        }
    }
    standing.until("\"Reconnecting\"");
    server.signal("-CONT");
    has.insert(number(&server.next()));
    let port = server.port;
    has.extend(server.mails().iter().map(number));
    server.signal("-KILL");
    drop(server);
    let mut server = Server::start(port, "plain", None).unwrap();
    for mail in MAILS..2 * MAILS {
        sender.publish(&Publication::new("alert/1", mail.to_string()).qos(QoS::AtLeastOnce)).unwrap();
    }
    while !has.contains(&(2 * MAILS - 1)) {
        has.insert(number(&server.next()));
    }
    // The first server also took mails between the look at its mails and its end. The numbers of
    // these are consecutive.
    let missing: Vec<usize> = (0..2 * MAILS).filter(|mail| !has.contains(mail)).collect();
    assert!(missing.windows(2).all(|pair| pair[1] == pair[0] + 1) && missing.len() <= MAILS, "{missing:?}");
}

/// Takes mails as fast as they come, and notes their subjects, which are numbers: the server in
/// Python takes some hundreds a second.
fn sink(port: u16) -> Arc<Mutex<Vec<usize>>> {
    let taken: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (listener, noted) = (TcpListener::bind(("127.0.0.1", port)).unwrap(), Arc::clone(&taken));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let noted = Arc::clone(&noted);
            // It ends with the broker.
            thread::spawn(move || swallow(stream.unwrap(), &noted));
        }
    });
    taken
}

/// A session of the sink.
fn swallow(mut stream: TcpStream, noted: &Mutex<Vec<usize>>) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"220 sink\r\n")?;
    while let Some(command) = lines.next().transpose()? {
        if command != "DATA" {
            stream.write_all(if command == "QUIT" { b"221 bye\r\n" } else { b"250 yes\r\n" })?;
            continue;
        }
        stream.write_all(b"354 go on\r\n")?;
        let mut subject = None;
        while let Some(line) = lines.next().transpose()?.filter(|line| line != ".") {
            subject = subject.or_else(|| line.strip_prefix("Subject: ")?.parse().ok());
        }
        noted.lock().unwrap().push(subject.expect("a subject"));
        stream.write_all(b"250 taken\r\n")?;
    }
    Ok(())
}

#[test]
fn ten_thousand_mails_wait_for_a_server_that_is_away_and_come_once_in_order() {
    let (count, port) = (backlog(10_000), free_port());
    let broker = broker();
    let room = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MODE disk\n        WITH BUFFER_MAX_BYTES 4000000000\n    ADD SMTP";
    let definition = route(port, FROM, &format!("{TO}\nSUBJECT \"{{payload}}\""));
    broker.command_ok(&definition.replace("    ADD SMTP", room));
    publish_all(&broker, (0..count).map(|number| ("alert/1".to_owned(), number.to_string())));
    let taken = sink(port);
    broker.wait_until_metric_is("lotmq_route_delivered_total", count as f64);
    assert!(taken.lock().unwrap().iter().copied().eq(0..count));
}

#[test]
fn a_slow_server_is_waited_for() {
    let Some(mut server) = Server::plain() else { return };
    let link = Link::to(server.port);
    link.slow_down(Duration::from_millis(100));
    let broker = broker();
    broker.command_ok(&route(link.port, FROM, &format!("{TO}\nSUBJECT \"{{payload}}\"")));
    for number in 0..5 {
        send(&broker, "alert/1", &number.to_string());
    }
    for number in 0..5 {
        let text = server.next()["text"].as_str().unwrap().to_owned();
        assert!(text.contains(&format!("Subject: {number}\r\n")), "{text}");
    }
    assert_eq!(broker.metric("lotmq_route_reconnects_total"), Some(0.0));
}

#[test]
fn a_server_that_talks_nonsense_is_away() {
    for (says, told) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "the server talks no SMTP"),
        ("554 not you\r\n", "the server does not want to talk: 554 not you"),
        ("", "the server has ended the session"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // Its end is that of the client.
                let _ = stream.write_all(says.as_bytes());
                if !says.is_empty() {
                    let _ = BufReader::new(stream).read_line(&mut String::new());
                }
            }
        });
        let broker = broker();
        broker.command_ok(&route(port, FROM, TO));
        Standing::of(&broker, "Mail").until(told);
    }
}

/// Takes one client after the other, and refuses the login with what was sent for it.
fn repeating(offers: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes());
            let mut asked = 0;
            // Its end is that of the client.
            let mut told = say("220 hi");
            while let (Ok(()), Some(Ok(line))) = (&told, lines.next()) {
                told = match &*line {
                    line if line.starts_with("EHLO") => say(&format!("250-hi\r\n250 AUTH {offers}")),
                    "AUTH LOGIN" => say("334 VXNlcm5hbWU6"),
                    line if offers == "LOGIN" && asked == 0 && !line.is_empty() => {
                        asked += 1;
                        say("334 UGFzc3dvcmQ6")
                    }
                    line => say(&format!("535 5.7.8 authentication failed: {line}")),
                };
            }
        }
    });
    port
}

#[test]
fn a_password_that_the_server_repeats_in_base64_stands_nowhere() {
    let (user, password) = ("plant-bot@example.org", "kp-secret-77");
    for offers in ["PLAIN", "LOGIN"] {
        let broker = broker();
        let mut errors = broker.root("watcher");
        errors.subscribe_to("$SYS/Coreflux/Routes/+/Error", QoS::AtLeastOnce).unwrap();
        broker.command_ok(&format!("-setSecret MAIL={password}"));
        let login = format!("USE_TLS FALSE\nUSERNAME \"{user}\"\nPASSWORD GET SECRET \"MAIL\"\n{FROM}");
        broker.command_ok(&route(repeating(offers), &login, TO));
        Standing::of(&broker, "Mail").until("authentication failed: ");
        let told = [
            broker.command_ok("-listRoutes").message().to_owned(),
            format!("{:?}", broker.command_ok("-lotDiagnostic route Mail")),
            crate::next(&mut errors),
            broker.log().text(),
        ];
        for text in told {
            for sent in [STANDARD.encode(format!("\0{user}\0{password}")), STANDARD.encode(password)] {
                assert!(!text.contains(&sent[..12]), "{text}");
            }
            assert!(!text.contains(password), "{text}");
        }
    }
}

#[test]
fn invalid_mail_definition_is_reported() {
    let broker = broker();
    for (definition, told) in [
        (route(1, FROM, ""), "A needs RECIPIENT"),
        (
            route(1, "FROM \"nobody\"", TO),
            "FROM is the sender, an address such as name@example.com, not `nobody`",
        ),
        (route(1, "USE_TLS \"perhaps\"", TO), "USE_TLS is TRUE or FALSE"),
        (route(1, FROM, &format!("{TO}\nSUBJECT \"{{topic.0}}\"")), "{topic.0}: it counts from 1"),
        (route(1, FROM, TO).replace("        WITH HOST \"127.0.0.1\"\n", ""), "SMTP_CONFIG needs HOST"),
        (route(1, FROM, TO).replace("PORT 1\n", "PORT 70000\n"), "PORT is a whole number from 1 to 65535"),
        (
            route(1, FROM, "RECIPIENT \"ops@x.org\"\nBODY \"x\"\nTEMPLATE_PATH \"y.html\""),
            "a mail has a BODY or a TEMPLATE_PATH, not both",
        ),
    ] {
        let refused = broker.command(&definition);
        assert!(refused.message().contains(told), "{told}: {refused:?}");
    }
    broker.command_ok(&route(1, "", TO));
    Standing::of(&broker, "Mail").until("SMTP_CONFIG needs FROM or USERNAME");
}
