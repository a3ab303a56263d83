//! `REDIS`: commands, their replies and channels at a Redis server, with what goes wrong on the way
//! and at its end.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use lotmq_client::Client;
use lotmq_test_support::{Authority, Broker, Program, Signed, WAIT_MAX, eventually, free_port};
use serde_json::{Value as Json, json};

use crate::{Standing, backlog, broker, event, failure, next, publish_all, send, watch};

const PASSWORD: &str = "correct-password";

/// A server in a folder of its own, at a free port of this machine.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    program: Option<Program>,
}

impl Server {
    /// Starts one with these options; `None` where it is not installed.
    fn start(options: &[&str]) -> Option<Server> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Server { folder: tempfile::tempdir().unwrap(), port: free_port(), options, program: None }.again()
    }

    /// Starts one with TLS alone.
    fn secured(signed: &Signed, authority: &Authority) -> Option<Server> {
        let port = free_port();
        let authority = authority.file();
        let files = [
            ("--tls-cert-file", &*signed.certificate),
            ("--tls-key-file", &*signed.key),
            ("--tls-ca-cert-file", authority.as_ref()),
        ];
        let mut options =
            ["--tls-port", &port.to_string(), "--tls-auth-clients", "no"].map(str::to_owned).to_vec();
        for (option, file) in files {
            options.extend([option.to_owned(), file.display().to_string()]);
        }
        Server { folder: tempfile::tempdir().unwrap(), port: 0, options, program: None }
            .again()
            .map(|server| Server { port, ..server })
    }

    fn again(mut self) -> Option<Server> {
        self.start_again();
        self.program.is_some().then_some(self)
    }

    /// Starts it in the folder and at the port that it has.
    fn start_again(&mut self) {
        let (port, folder) = (self.port.to_string(), self.folder.path().display().to_string());
        let fixed = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--dir",
            &folder,
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ];
        let options: Vec<&str> = fixed.into_iter().chain(self.options.iter().map(String::as_str)).collect();
        self.program = Program::start("redis-server", &options);
        if self.program.is_some() && self.port != 0 {
            eventually("the server answers", || (self.cli(&["PING"]) == "PONG").then_some(()));
        }
    }

    /// Runs a command with all rights and returns its output.
    fn cli(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let login: &[&str] = if self.options.iter().any(|option| option == "--requirepass") {
            &["-a", PASSWORD, "--no-auth-warning"]
        } else {
            &[]
        };
        let ran = Program::run("redis-cli", &[&["-p", &port], login, words].concat()).unwrap();
        ran.stdout.trim_end().to_owned()
    }

    fn until(&self, words: &[&str], expected: &str) {
        eventually(&words.join(" "), || (self.cli(words) == expected).then_some(()));
    }

    fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }
}

/// A route to a port with lines in its section, and what stands behind it.
fn route(port: u16, section: &str, blocks: &str) -> String {
    let place =
        format!("    ADD REDIS_CONFIG\n        WITH SERVER \"127.0.0.1\"\n        WITH PORT {port}\n");
    let section = section.lines().fold(place, |text, line| format!("{text}        WITH {line}\n"));
    format!("-addRoute DEFINE ROUTE Cache WITH TYPE REDIS\n{section}{blocks}")
}

fn channel(name: &str, pattern: &str, topic: &str) -> String {
    format!(
        "    ADD MAPPING {name}\n        WITH DIRECTION \"in\"\n        WITH CHANNEL \"{pattern}\"\n        WITH DESTINATION_TOPIC \"{topic}\"\n        WITH QOS 1\n"
    )
}

fn counts(broker: &Broker) -> f64 {
    broker.metric("lotmq_route_reconnects_total").unwrap_or_default()
}

#[test]
fn commands_are_carried_out_and_their_replies_published() {
    let Some(server) = Server::start(&[]) else { return };
    let broker = broker();
    let (mut answers, mut failed) = (watch(&broker, "answer/#"), watch(&broker, "failed"));
    let answered = |command: &str| {
        format!(
            "COMMAND \"{command}\"\nDESTINATION_TOPIC \"answer/{{topic.2}}\"\nQOS 1\nERROR_TOPIC \"failed\""
        )
    };
    let events = event("Set", "set/+", "COMMAND \"SET dev:{topic.2} {payload} EX 3600\"")
        + &event(
            "Hash",
            "hash/+",
            "COMMAND \"HSET h:{topic.2} t {payload.json.t} on {payload.json.on} note 'two words'\"",
        )
        + &event("Get", "get/+", &answered("GET {payload}"))
        + &event("All", "all/+", &answered("HGETALL h:{topic.2}"))
        + &event("Count", "count/+", &answered("INCRBY n:{topic.2} {payload}"))
        + &event("Score", "score/+", &answered("ZSCORE z {payload}"))
        + &event("Log", "log/+", "COMMAND \"XADD log MAXLEN ~ 1000 * dev {topic.2} v {payload}\"");
    broker.command_ok(&route(server.port, "DATABASE 2", &events));
    // A value is one word, whatever stands in it.
    send(&broker, "set/a", "21.5\nDEL dev:a 'x");
    server.until(&["-n", "2", "GET", "dev:a"], "21.5\nDEL dev:a 'x");
    let lives: u32 = server.cli(&["-n", "2", "TTL", "dev:a"]).parse().unwrap();
    assert!((3000..=3600).contains(&lives), "{lives}");
    assert_eq!(server.cli(&["GET", "dev:a"]), "", "the other database has nothing");
    send(&broker, "hash/a", r#"{"t":21.5,"on":true}"#);
    server.cli(&["-n", "2", "ZADD", "z", "1.25", "m"]);
    for (topic, payload, expected) in [
        ("get/x", "dev:a", "answer/x=21.5\nDEL dev:a 'x"),
        ("get/x", "none", "answer/x=null"),
        ("all/b", "", "answer/b={}"),
        ("count/c", "41", "answer/c=41"),
        ("count/c", "1", "answer/c=42"),
        ("score/s", "m", "answer/s=1.25"),
    ] {
        send(&broker, topic, payload);
        assert_eq!(next(&mut answers), expected, "{topic} {payload}");
    }
    send(&broker, "all/a", "");
    let hash: Json = serde_json::from_str(next(&mut answers).strip_prefix("answer/a=").unwrap()).unwrap();
    assert_eq!(hash, json!({"t": "21.5", "on": "true", "note": "two words"}));
    send(&broker, "log/a", "7");
    server.until(&["-n", "2", "XLEN", "log"], "1");
    // One that can never pass costs only itself.
    send(&broker, "get/x", "log");
    assert_eq!(failure(&mut failed), "WRONGTYPE Operation against a key holding the wrong kind of value");
    send(&broker, "count/c", "many");
    assert_eq!(failure(&mut failed), "ERR value is not an integer or out of range");
    assert_eq!(broker.command_ok("-checkRouteConnection Cache").message(), "Route 'Cache' is reachable.");
    assert_eq!(counts(&broker), 0.0);
}

#[test]
fn messages_of_channels_come_here() {
    let Some(mut server) = Server::start(&[]) else { return };
    let broker = broker();
    let (mut there, mut status) = (watch(&broker, "redis/#"), Standing::of(&broker, "Cache"));
    let blocks = event("Out", "out/+", "COMMAND \"PUBLISH back.{topic.2} {payload}\"")
        + &channel("Plant", "plant.*", "redis/plant/+")
        + &channel("Back", "back.*", "redis/back")
        + &channel("One", "exactly", "redis/#");
    broker.command_ok(&route(server.port, "TIMEOUT 1", &blocks));
    status.until("\"Connected\"");
    let listens = |server: &Server| server.until(&["PUBSUB", "NUMPAT"], "3");
    listens(&server);
    server.cli(&["PUBLISH", "plant.press", "21.5"]);
    assert_eq!(next(&mut there), "redis/plant/plant.press=21.5");
    server.cli(&["PUBLISH", "exactly", "1"]);
    assert_eq!(next(&mut there), "redis/exactly=1");
    send(&broker, "out/a", "round");
    assert_eq!(next(&mut there), "redis/back=round");
    // The route reports a message without a topic and goes on with the next one.
    let mut errors = broker.root("errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Cache/Error", lotmq_client::QoS::AtLeastOnce).unwrap();
    server.cli(&["PUBLISH", "plant.a/b", "1"]);
    let told = errors.receive(WAIT_MAX).unwrap().expect("an error").text();
    assert!(told.contains("the channel 'plant.a/b' is no level of a topic"), "{told}");
    // Many at once, and a server that comes again.
    let many: Vec<String> =
        (0..2_000).map(|number| format!("redis.call('PUBLISH','plant.x',{number})")).collect();
    server.cli(&["EVAL", "for i=0,1999 do redis.call('PUBLISH','plant.x',i) end", "0"]);
    for number in 0..many.len() {
        assert_eq!(next(&mut there), format!("redis/plant/plant.x={number}"));
    }
    server.kill();
    status.until("\"Reconnecting\"");
    server.start_again();
    listens(&server);
    server.cli(&["PUBLISH", "plant.press", "again"]);
    assert_eq!(next(&mut there), "redis/plant/plant.press=again");
}

#[test]
fn nothing_is_lost_when_the_server_is_killed_under_load_or_frozen() {
    const COUNT: usize = 6_000;
    let Some(mut server) = Server::start(&[]) else { return };
    let broker = broker();
    let events = event("Push", "in/+", "COMMAND \"RPUSH l:{topic.2} {payload}\"");
    broker.command_ok(&route(server.port, "TIMEOUT 1", &events));
    let messages =
        |from: usize, to: usize| (from..to).map(|number| (format!("in/{}", number % 3), number.to_string()));
    let length = |server: &Server| -> usize {
        (0..3)
            .map(|list| server.cli(&["LLEN", &format!("l:{list}")]).parse::<usize>().unwrap_or_default())
            .sum()
    };
    publish_all(&broker, messages(0, COUNT / 3));
    eventually("some are there", || (length(&server) > 0).then_some(()));
    server.kill();
    publish_all(&broker, messages(COUNT / 3, 2 * COUNT / 3));
    server.start_again();
    eventually("it goes on", || (length(&server) >= COUNT / 2).then_some(()));
    let frozen = server.program.as_ref().unwrap().freeze();
    publish_all(&broker, messages(2 * COUNT / 3, COUNT));
    Standing::of(&broker, "Cache").until("it has not answered for 1 s");
    drop(frozen);
    eventually("all are there", || (length(&server) >= COUNT).then_some(()));
    broker.wait_until_metric_is("lotmq_route_outbox_bytes", 0.0);
    for list in 0..3 {
        let found = server.cli(&["LRANGE", &format!("l:{list}"), "0", "-1"]);
        let mut last = None;
        let mut kinds = std::collections::BTreeSet::new();
        let mut repeats = 0;
        for number in found.lines().map(|line| line.parse::<usize>().unwrap()) {
            // The route repeats all messages in flight together, so the numbers go back only at the
            // ends of such stretches.
            repeats += usize::from(last.is_some_and(|last| number <= last));
            last = Some(number);
            kinds.insert(number);
        }
        assert_eq!(kinds.len(), COUNT / 3, "list {list}");
        assert!(repeats <= 4, "{repeats} times back in list {list}");
    }
}

#[test]
fn ten_thousand_that_wait_arrive_in_order_and_a_server_that_loads_is_waited_for() {
    let count = backlog(10_000);
    let Some(mut server) = Server::start(&[]) else { return };
    let broker = broker();
    let section = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MAX_BYTES 4000000000\n".to_owned();
    let events = section + &event("Push", "in", "COMMAND \"RPUSH l {payload}\"");
    server.kill();
    broker.command_ok(&route(server.port, "", &events));
    publish_all(&broker, (0..count).map(|number| ("in".to_owned(), number.to_string())));
    server.start_again();
    server.until(&["LLEN", "l"], &count.to_string());
    let first = server.cli(&["LRANGE", "l", "0", "9999"]);
    assert!(first.lines().enumerate().all(|(number, line)| line == number.to_string()));
    // A server without room says so, and takes what waits when it has some.
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    send(&broker, "in", "later");
    Standing::of(&broker, "Cache").until("OOM command not allowed");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    server.until(&["LINDEX", "l", "-1"], "later");
}

#[test]
fn failed_login_holds_messages_back_and_reveals_no_secret() {
    let Some(server) = Server::start(&["--requirepass", PASSWORD]) else { return };
    server.cli(&["ACL", "SETUSER", "app", "on", ">app-password", "~dev:*", "+@write", "+ping", "+select"]);
    let broker = broker();
    broker.command_ok("-setSecret REDIS=hidden-password");
    let events = event("Set", "set", "COMMAND \"SET dev:a {payload}\"")
        + &event("Other", "other/+", "COMMAND \"SET {topic.2}:a {payload}\"\nERROR_TOPIC \"failed\"")
        + &event("Drop", "drop", "COMMAND \"FLUSHALL\"");
    for (section, told) in [
        ("", "NOAUTH"),
        ("PASSWORD GET SECRET \"REDIS\"", "WRONGPASS"),
        ("USERNAME \"nobody\"\nPASSWORD \"hidden-password\"", "WRONGPASS"),
    ] {
        let mut standing = Standing::of(&broker, "Cache");
        broker.command_ok(&route(server.port, section, &events));
        let status = standing.until(told);
        assert!(status.contains("\"Disconnected\"") && !status.contains("hidden-password"), "{status}");
    }
    // The right one goes on with what waited, also when only the secret has changed.
    send(&broker, "set", "1");
    broker.command_ok(&route(server.port, "PASSWORD GET SECRET \"REDIS\"", &events));
    broker.command_ok(&format!("-setSecret REDIS={PASSWORD}"));
    server.until(&["GET", "dev:a"], "1");
    broker.command_ok(&route(server.port, "USERNAME \"app\"\nPASSWORD \"app-password\"", &events));
    send(&broker, "set", "2");
    server.until(&["GET", "dev:a"], "2");
    // A key that the user may not use costs only its message.
    let mut failed = watch(&broker, "failed");
    send(&broker, "other/x", "1");
    let told = failure(&mut failed);
    assert!(told.starts_with("NOPERM") && told.contains("access"), "{told}");
    send(&broker, "set", "behind it");
    server.until(&["GET", "dev:a"], "behind it");
    let mut standing = Standing::of(&broker, "Cache");
    server.cli(&["ACL", "SETUSER", "app", "-set"]);
    send(&broker, "set", "3");
    standing.until("NOPERM");
    assert!(!broker.log().text().contains("hidden-password") && !broker.log().text().contains(PASSWORD));
}

#[test]
fn a_server_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let Some(server) = Server::secured(&authority.server("localhost"), &authority) else { return };
    let broker = broker();
    let pem = std::fs::read_to_string(authority.file()).unwrap();
    broker.command_ok(&format!("-setSecret CA={}", pem.trim().replace('\n', "\\n")));
    let mut answers = watch(&broker, "answer");
    let events = event("Ask", "ask", "COMMAND \"ECHO {payload}\"\nDESTINATION_TOPIC \"answer\"");
    for section in [
        "USE_TLS TRUE\nSERVER_CA_CERT GET SECRET \"CA\"\nTLS_SERVER_NAME \"localhost\"",
        "USE_TLS TRUE\nALLOW_UNTRUSTED_CERTS TRUE",
    ] {
        broker.command_ok(&route(server.port, section, &events));
        send(&broker, "ask", "secret");
        assert_eq!(next(&mut answers), "answer=secret", "{section}");
    }
    for (section, told) in [("USE_TLS TRUE", "TLS: "), ("", "has ended")] {
        let mut standing = Standing::of(&broker, "Cache");
        broker.command_ok(&route(server.port, section, &events));
        standing.until(told);
    }
}

#[test]
fn a_server_that_talks_nonsense_is_away_and_an_old_one_is_spoken_to_as_it_speaks() {
    let broker = broker();
    let events = event("Set", "in", "COMMAND \"SET k {payload}\"\nDESTINATION_TOPIC \"answer\"");
    for (answer, told) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "what it sends is no reply"),
        (b"", "has ended"),
        (b"*2147483647\r\n", "it has not answered for 1 s"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "LOADING Redis is loading"),
        (
            b"-ERR max number of clients reached\r\n-ERR max number of clients reached\r\n",
            "max number of clients",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1_024]);
                let _ = stream.write_all(answer);
                if answer.starts_with(b"*") {
                    // Until the other side has had enough.
                    let _ = stream.read(&mut [0; 1]);
                }
            }
        });
        let mut standing = Standing::of(&broker, "Cache");
        broker.command_ok(&route(port, "TIMEOUT 1", &events));
        standing.until(told);
    }
    // Before 6.0 there is no HELLO.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1_024];
            while let Ok(count @ 1..) = stream.read(&mut asked) {
                let reply: &[u8] = match &asked[..count] {
                    hello if hello.windows(5).any(|part| part == b"HELLO") => {
                        b"-ERR unknown command 'HELLO'\r\n"
                    }
                    auth if auth.windows(4).any(|part| part == b"AUTH") => b"+OK\r\n",
                    _ => b"$-1\r\n",
                };
                stream.write_all(reply).unwrap();
            }
        }
    });
    let mut answers: Client = watch(&broker, "answer");
    broker.command_ok(&route(port, "PASSWORD \"old\"", &events));
    send(&broker, "in", "1");
    assert_eq!(next(&mut answers), "answer=null");
}

#[test]
fn invalid_route_definition_is_reported() {
    let broker = broker();
    let set = event("Set", "in", "COMMAND \"SET k {payload}\"");
    for (definition, told) in [
        (route(1, "", &set).replace("        WITH SERVER \"127.0.0.1\"\n", ""), "REDIS_CONFIG needs SERVER"),
        (route(1, "DATABASE -1", &set), "DATABASE is a whole number from 0 to 1000000"),
        (route(1, "TIMEOUT 0", &set), "TIMEOUT is a whole number from 1 to 3600"),
        (route(1, "", "    ADD EVENT E\n        WITH SOURCE_TOPIC \"in\"\n"), "needs COMMAND"),
        (route(1, "", &channel("M", "c", "t").replace("\"in\"", "\"out\"")), "DIRECTION is in"),
        (route(1, "", &event("E", "in", "COMMAND \"\"")), "COMMAND is empty"),
    ] {
        let refused = broker.command(&definition);
        assert!(refused.message().contains(told), "{told}: {refused:?}");
    }
    for (section, blocks, told) in [
        ("USERNAME \"u\"", set.as_str(), "REDIS_CONFIG: USERNAME needs PASSWORD"),
        ("", &event("E", "in", "COMMAND \"{payload} x\""), "E: COMMAND: begins with no name of a command"),
        ("", &event("E", "in", "COMMAND \"SET k 'x\""), "E: COMMAND: the quote ' does not end"),
        ("", &event("E", "in", "COMMAND \"monitor\""), "E: COMMAND: MONITOR is no command for an event"),
        ("", &channel("M", "c", "a/+/#"), "M: DESTINATION_TOPIC has one wildcard at most"),
    ] {
        let mut standing = Standing::of(&broker, "Cache");
        broker.command_ok(&route(1, section, blocks));
        standing.until(told);
    }
}
