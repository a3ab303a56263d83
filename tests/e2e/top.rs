//! `lotmq top`: what of a broker does most.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, Finished, Program};
use serde_json::Value;

use crate::{LOTMQ, broker, options};

fn top(broker: &Broker, arguments: &[&str]) -> Finished {
    let port = broker.port();
    Program::run(LOTMQ, &[&["top", "-p", &port, "--interval", "1"], arguments].concat()).unwrap()
}

/// Runs it while a client publishes, a message every 10 ms.
fn top_beside(broker: &Broker, publisher: &mut Client, topic: &str, arguments: &[&str]) -> Finished {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                publisher.publish(&Publication::new(topic, "0123456789").qos(QoS::AtLeastOnce)).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let shown = top(broker, arguments);
        is_over.store(true, Ordering::Relaxed);
        publishing.join().unwrap();
        shown
    })
}

fn object(shown: &Finished) -> Value {
    let output = shown.output();
    assert_eq!(output.lines().count(), 1, "{shown:?}");
    serde_json::from_str(output).unwrap()
}

#[test]
fn clients_are_ranked_by_what_they_send_and_get() {
    let broker = broker();
    let _idle = broker.client("idle");
    let mut receiver = broker.client("receiver");
    receiver.subscribe_to("t/#", QoS::AtMostOnce).unwrap();
    let mut sender = broker.client("sender");
    let object = object(&top_beside(&broker, &mut sender, "t/a", &["clients", "--once", "--json"]));
    let rows = object["clients"].as_array().unwrap();
    let of = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert!(of("sender")["messagesReceivedPerSecond"].as_f64().unwrap() > 5.0, "{object}");
    assert!(of("sender")["bytesReceivedPerSecond"].as_f64().unwrap() > 80.0, "{object}");
    assert!(of("receiver")["messagesSentPerSecond"].as_f64().unwrap() > 5.0, "{object}");
    assert!(of("receiver")["bytesSentPerSecond"].as_f64().unwrap() > 80.0, "{object}");
    assert_eq!(of("idle")["messagesReceivedPerSecond"], 0.0);
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let place = |name: &str| names.iter().position(|known| *known == name).unwrap();
    assert!(place("sender") < place("idle") && place("receiver") < place("idle"), "{names:?}");
    let shown = top_beside(&broker, &mut sender, "t/a", &["clients", "--once", "--rows", "2"]);
    let lines: Vec<&str> = shown.output().lines().collect();
    assert!(lines[0].starts_with("2 of 4 clients, "), "{shown:?}");
    assert!(lines[1].trim_start().starts_with("IN/s") && lines[1].contains("CLIENT"), "{shown:?}");
    assert_eq!(lines.len(), 4, "{shown:?}");
}

#[test]
fn topics_are_ranked_by_their_messages() {
    let broker = broker();
    let mut sender = broker.client("sender");
    let kept = Publication::new("t/kept", "x").qos(QoS::AtLeastOnce).retained();
    sender.publish(&kept).unwrap();
    let arguments = ["topics", "--filter", "t/#", "--once", "--json"];
    let object = object(&top_beside(&broker, &mut sender, "t/a", &arguments));
    let rows = object["topics"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["name"]), (1, &"t/a".into()), "{object}");
    let rate = rows[0]["messagesPerSecond"].as_f64().unwrap();
    assert!(rate > 5.0, "{object}");
    assert!((rows[0]["bytesPerSecond"].as_f64().unwrap() - rate * 10.0).abs() < 1.0, "{object}");
}

#[test]
fn definitions_are_ranked_by_their_runs() {
    let broker = broker();
    for (name, topic) in [("Idle", "never"), ("Busy", "busy")] {
        broker.command_ok(&format!(
            "-addAction DEFINE ACTION {name}\nON TOPIC \"{topic}\" DO\n    PUBLISH TOPIC \"out\" WITH 1 / 0\n"
        ));
    }
    let mut sender = broker.client("sender");
    let object = object(&top_beside(&broker, &mut sender, "busy", &["definitions", "--once", "--json"]));
    let rows = object["definitions"].as_array().unwrap();
    assert_eq!((&rows[0]["name"], &rows[0]["kind"]), (&"Busy".into(), &"Action".into()), "{object}");
    assert!(rows[0]["runsPerSecond"].as_f64().unwrap() > 5.0, "{object}");
    assert!(rows[0]["errorsPerSecond"].as_f64().unwrap() > 5.0, "{object}");
    assert_eq!((&rows[1]["name"], &rows[1]["runsPerSecond"]), (&"Idle".into(), &0.0.into()), "{object}");
    let reply = broker.command_ok("-listRuns");
    assert_eq!(reply.data()["total"], 2);
    let row = &reply.data()["definitions"][1];
    assert!(row["runs"].as_u64().unwrap() > 5 && row["seconds"].as_f64().unwrap() > 0.0, "{row}");
}

#[test]
fn top_reports_wrong_usage_and_missing_rights() {
    let broker = broker();
    let wrong = top(&broker, &["clients", "--filter", "a/#", "--once"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("--filter is for `lotmq top topics`"), "{wrong:?}");
    let wrong = top(&broker, &["topics", "--filter", "a/#/b", "--once"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    broker.command_ok("-addUser plain x");
    let refused = top(&broker, &["definitions", "--once", "-u", "plain", "-P", "x"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

/// Returns the screen of a command that `script` runs on a terminal with so many columns and lines.
/// SIGINT ends it after a while. Returns `None` if there is no `script`.
fn on_a_terminal(command: &str, (columns, lines): (u16, u16)) -> Option<String> {
    let command = format!("stty cols {columns} rows {lines}; exec timeout --foreground -s INT 4 {command}");
    let shown = Program::run("script", &["-qec", &command, "/dev/null"])?;
    Some(shown.stdout)
}

#[test]
fn it_fits_the_terminal_and_ends_in_order_at_a_signal() {
    let broker = broker();
    let _clients: Vec<Client> =
        (0..12).map(|n| broker.client(&format!("a-client-with-a-rather-long-name-{n:02}"))).collect();
    let command = format!("{LOTMQ} top clients -p {} --interval 1", broker.port());
    let Some(shown) = on_a_terminal(&command, (40, 9)) else { return };
    let screens: Vec<&str> = shown.split("\u{1b}[H\u{1b}[2J").skip(1).collect();
    assert!(!screens.is_empty(), "{shown:?}");
    for screen in screens {
        let lines: Vec<&str> = screen.trim_end().lines().collect();
        assert!(lines.len() <= 8, "{lines:?}");
        let width = |line: &str| line.replace("\u{1b}[2m", "").replace("\u{1b}[0m", "").chars().count();
        assert!(lines.iter().all(|line| width(line) <= 40), "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with('…')), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("a-client-with-a-rather-long-name-")), "{lines:?}");
    }
}

#[test]
fn it_goes_on_when_the_broker_is_back() {
    let port = lotmq_test_support::free_port().to_string();
    let mut broker = options().listen(&format!("127.0.0.1:{port}")).start();
    for what in ["clients", "topics"] {
        let arguments = ["top", what, "-p", &port, "--interval", "0.3", "--json"];
        let watching = Program::start(LOTMQ, &arguments).unwrap();
        watching.stdout.expect("\"total\"");
        broker.kill();
        broker.start_again();
        watching.stderr.expect("connected again");
        let id = watching.process_id().to_string();
        assert!(Program::run("kill", &["-INT", &id]).unwrap().status.success());
        let ended = watching.wait();
        assert_eq!(ended.status.code(), Some(0), "{what}: {}", ended.stderr);
        assert!(ended.stderr.contains("connecting again"), "{}", ended.stderr);
        assert!(!ended.stdout.contains('\u{1b}'), "no terminal, no sequences");
    }
    broker.stop();
    let gone = Program::run(LOTMQ, &["top", "clients", "--once", "-p", &port]).unwrap();
    assert_eq!(gone.status.code(), Some(3), "{}", gone.stderr);
}
