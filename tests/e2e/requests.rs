//! `lotmq request`: questions with a response topic and correlation data, and their answers.

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, Finished, Program, WAIT_MAX};

use crate::modules::component;
use crate::{LOTMQ, broker};

const DOUBLE: &str = "DEFINE ACTION Double\nON TOPIC \"double\" DO\n    REPLY WITH PAYLOAD * 2\n";
const LOCKED: &str = "DEFINE RULE Locked WITH PRIORITY 100 FOR Publish TO TOPIC \"valve/#\"\n    DENY\n";

fn request(broker: &Broker, more: &[&str]) -> Finished {
    Program::run(LOTMQ, &[&["request", "-p", &broker.port()], more].concat()).unwrap()
}

#[test]
fn an_action_answers_a_request() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {DOUBLE}"));
    assert_eq!(request(&broker, &["-t", "double", "-m", "21"]).output(), "42");
    let named = ["-t", "double", "-m", "4", "-e", "answers/hmi", "-F", "%t %D %p", "-D", "publish"];
    let named = [&named[..], &["correlation-data", "c-1"]].concat();
    assert_eq!(request(&broker, &named).output(), "answers/hmi c-1 8");
}

/// To grant the one that is missing would do for one request.
#[test]
fn a_module_that_may_not_answer_tells_that_the_topic_is_of_a_request() {
    const ANSWER: &[u8] = include_bytes!("../../sdk/examples/action-answer/prebuilt/action-answer.wasm");
    let broker = broker();
    let module = component(ANSWER);
    broker.command_ok(&format!(
        "-addModule answer -world action -on questions/# -topics questions/# wasm64:{module}"
    ));
    let asked = ["-t", "questions/1", "-m", "21", "-e", "answers/hmi", "-W", "1"];
    request(&broker, &asked);
    let told = |line: &str| {
        (line.contains("GRANT_MISSING") || line.contains("not granted")).then(|| line.to_owned())
    };
    let line = broker.log().wait_for("a grant is missing", told).expect("the broker goes on");
    assert!(line.contains("write:answers/hmi") && line.contains("the response topic of a request"), "{line}");
}

#[test]
fn only_the_answer_to_this_request_is_printed() {
    let broker = broker();
    let mut responder = broker.connect(&ConnectOptions::v5("responder"));
    responder.subscribe_to("ask", QoS::AtLeastOnce).unwrap();
    let port = broker.port();
    let asking =
        Program::start(LOTMQ, &["request", "-p", &port, "-t", "ask", "-m", "x", "-e", "answers", "--pretty"]);
    let question = responder.receive(WAIT_MAX).unwrap().unwrap();
    assert_eq!((question.properties().response_topic(), question.text()), (Some("answers"), "x".to_owned()));
    let data = question.properties().correlation_data().expect("correlation data of its own").to_vec();
    assert_eq!(data.len(), 16);
    let answer = |payload: &str, correlation: Option<&[u8]>| {
        let answer = Publication::new("answers", payload).qos(QoS::AtLeastOnce);
        let id = lotmq_client::PropertyId::CorrelationData;
        match correlation {
            Some(data) => answer.property(id, lotmq_client::PropertyValue::Binary(data)),
            None => answer,
        }
    };
    for (payload, correlation) in [("none", None), ("other", Some(&b"other"[..])), ("[1]", Some(&data))] {
        responder.publish(&answer(payload, correlation)).unwrap();
    }
    assert_eq!(asking.unwrap().wait().output(), "[\n  1\n]");
}

#[test]
fn how_a_request_ended_is_an_exit_code() {
    let broker = broker();
    broker.command_ok(&format!("-addRule {LOCKED}"));
    for (more, code, told) in [
        (
            &["-t", "nobody", "-m", "x", "--timeout", "0.2"][..],
            27,
            "no answer within 0.2 s; no client is subscribed to `nobody`, so no client got the request; of an action or a module that answers it, lotmq watch shows what failed; it was waited for at `lotmq/answers/",
        ),
        (&["-t", "valve/1", "-n"], 1, "the broker refused the request: not authorized"),
        (
            &["-t", "a", "-n", "-e", "$SYS/Coreflux/Command/Output"],
            1,
            "refused the subscription to `$SYS/Coreflux/Command/Output`, for the answer",
        ),
        (&["-t", "a"], 2, "no payload; give one with -m, -f or -s, or an empty one with -n"),
        (&["-n"], 2, "no topic; give one with -t"),
        (&["-t", "a/+", "-n"], 2, "`a/+` is no topic to publish to"),
        (&["-t", "a", "-n", "-e", "a/#"], 2, "`a/#` is no topic for an answer"),
        (&["-t", "a", "-n", "-V", "311"], 2, "lotmq request needs version 5"),
        (
            &["-t", "a", "-n", "-D", "publish", "response-topic", "b"],
            2,
            "the response topic is given with -e",
        ),
    ] {
        let finished = request(&broker, more);
        assert_eq!(finished.status.code(), Some(code), "{more:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(told), "{more:?}: {}", finished.stderr);
    }
    let unreachable = Program::run(LOTMQ, &["request", "-p", "1", "-t", "a", "-n"]).unwrap();
    assert_eq!(unreachable.status.code(), Some(3));
    let told = "; is it running? `lotmq serve`";
    assert!(unreachable.stderr.ends_with(told), "{}", unreachable.stderr);
}

#[test]
fn mosquitto_rr_and_ours_understand_one_another() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {DOUBLE}"));
    let port = broker.port();
    let arguments = ["-p", &port, "-V", "5", "-t", "double", "-e", "answers/rr", "-m", "3"];
    let Some(theirs) = Program::run("mosquitto_rr", &arguments) else { return };
    assert_eq!(theirs.output(), "6");
    assert_eq!(request(&broker, &arguments[2..]).output(), "6");
}
