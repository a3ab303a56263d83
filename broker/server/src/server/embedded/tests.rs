use lot_to_wasm::{CompileOptions, Form};
use lotmq_host::Value;

use super::*;
use lotmq_programs::limits::REPORTS_PER_ROUND;
use lotmq_programs::recorder::{Denial, Published};

const EVERYTHING: &str = r#"DEFINE ACTION Boot
ON START DO
    PUBLISH TOPIC "boot" WITH "up" WITH RETAIN
DEFINE ACTION Tick
ON EVERY 10 SECONDS DO
    PUBLISH TOPIC "tick" WITH TIMESTAMP "UTC"
DEFINE ACTION Short
ON TOPIC "in" DO
    PUBLISH TOPIC "short" WITH PAYLOAD QOS1
    KEEP TOPIC "kept" WITH PAYLOAD
DEFINE ACTION Long
ON TOPIC "in" DO
    CALL ACTION Double WITH x = PAYLOAD RETURN y
    PUBLISH TOPIC "long" WITH {y} AND QOS = 2
DEFINE ACTION Double
INPUT x AS DOUBLE
DO
    SET "y" WITH {x} * 2
RETURN
    OUTPUT y
DEFINE ACTION Errors
ON TOPIC "$SYS/Coreflux/Actions/Again/Error" DO
    PUBLISH TOPIC "told" WITH GET JSON "code" IN PAYLOAD AS STRING
DEFINE ACTION Again
ON TOPIC "again" DO
    PUBLISH TOPIC "again" WITH PAYLOAD
DEFINE ACTION Retained
ON TOPIC "ask" DO
    PUBLISH TOPIC "had" WITH GET TOPIC "limit"
"#;

fn compile(embedding: &Embedding, source: &str) -> EmbeddedProgram {
    let options = CompileOptions { form: Form::Linked, ..CompileOptions::default() };
    let entities = lot_to_wasm::compile(source, &options).entities;
    embedding.compile([(source.to_owned(), entities)], (Vec::new(), None)).unwrap()
}

fn start(embedding: &Embedding, program: &EmbeddedProgram) -> EmbeddedBroker {
    let wall = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut broker = EmbeddedBroker::start(embedding, program, (wall, TimeZone::UTC)).unwrap();
    assert_eq!(broker.deploy(program).unwrap(), [""; 0]);
    broker
}

/// Lets everything happen; each thing in a line.
fn settled(broker: &mut EmbeddedBroker) -> Vec<String> {
    let show = |BrokerEvent { definition, what }| match what {
        What::Published(Published { topic, payload, qos, retain, .. }) => {
            let (text, retained) =
                (String::from_utf8(payload).unwrap(), if retain { " retained" } else { "" });
            format!("{definition}: {topic}={text} (QoS {}{retained})", qos as u8)
        }
        What::Returned(outputs) => format!("{definition} returned {outputs:?}"),
        What::Reported(report) => format!("{definition}{report}"),
        What::Printed(text) => text,
        What::Denied(Denial { scope, topic, user, client_id, by }) => {
            format!("denied {scope} {topic:?} {user:?} {client_id} by {by}")
        }
        What::Delivered { client_id, message } => {
            format!("{client_id} got {}={}", message.topic, String::from_utf8(message.payload).unwrap())
        }
        What::Unconnected(reason) => format!("{definition} is not connected: {reason}"),
        What::Forwarded(message) => format!("{definition} has for its other side: {message:?}"),
        What::OfLogins(event) => format!("{definition} {event:?}"),
    };
    broker.settle().unwrap().into_iter().map(show).collect()
}

#[test]
fn a_program_does_everything_at_once_and_time_passes_when_it_is_let() {
    let embedding = Embedding::new().unwrap();
    let program = compile(&embedding, EVERYTHING);
    let mut broker = start(&embedding, &program);
    assert_eq!(settled(&mut broker), ["Boot: boot=up (QoS 0 retained)"]);

    broker.publish(&Arriving::new("in", b"4")).unwrap();
    // Short runs happen in the turn of the message, the others beside it.
    assert_eq!(settled(&mut broker), ["Short: short=4 (QoS 1)", "Long: long=8 (QoS 2)"]);
    assert_eq!(broker.value("kept").as_deref(), Some(&b"4"[..]));

    broker.call("Double", vec![Argument { name: "x".to_owned(), value: Value::Integer(3) }]).unwrap();
    assert_eq!(settled(&mut broker), ["Double returned [Double(6.0)]"]);
    let unknown = broker.call("Nobody", Vec::new()).unwrap_err();
    assert_eq!(unknown.to_string(), "Action 'Nobody' not found.");

    broker.retain("limit", b"80");
    assert_eq!(settled(&mut broker), [""; 0], "it was there before");
    broker.publish(&Arriving::new("ask", b"")).unwrap();
    assert_eq!(settled(&mut broker), ["Retained: had=80 (QoS 0)"]);

    assert_eq!(broker.pass_time(Duration::from_secs(9)), None);
    assert_eq!(broker.pass_time(Duration::from_secs(10)), Some(Duration::from_secs(10)));
    assert_eq!(settled(&mut broker), ["Tick: tick=2026-01-01 00:00:10 (QoS 0)"]);
    broker.stand(Duration::from_millis(9_500));
    assert_eq!((settled(&mut broker).len(), broker.timers_fired()), (0, 1));
    assert_eq!(broker.next_timer(), Some(Duration::from_millis(500)));
}

/// All that is due by the clock waits for a round, so that one tells a bounded number of silences;
/// every definition has its turn.
#[test]
fn silences_are_reported_in_bounded_rounds() {
    const DEFINITIONS: usize = 20;
    const TOPICS: usize = 50;
    let embedding = Embedding::new().unwrap();
    let actions = (0..DEFINITIONS).map(|number| {
        format!(
            "DEFINE ACTION Lost{number}\nON SILENCE OF \"s/+\" FOR 1 SECOND DO\n    PUBLISH TOPIC \"lost/{number}\" WITH TOPIC\n\n"
        )
    });
    let program = compile(&embedding, &actions.collect::<String>());
    let mut broker = start(&embedding, &program);
    for topic in 0..TOPICS {
        broker.publish(&Arriving::new(&format!("s/{topic}"), b"")).unwrap();
    }
    assert_eq!(settled(&mut broker), [""; 0]);
    let (mut told, mut rounds) = (Vec::new(), 0);
    while broker.pass_time(Duration::from_secs(1)).is_some() {
        let all = settled(&mut broker);
        assert!(all.len() <= REPORTS_PER_ROUND, "{} in one round", all.len());
        told.extend(all);
        rounds += 1;
    }
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), DEFINITIONS * TOPICS);
    assert!(rounds > DEFINITIONS * TOPICS / REPORTS_PER_ROUND, "{rounds}");
}

#[test]
fn embedded_broker_reports_and_publishes_errors() {
    let embedding = Embedding::new().unwrap();
    let program = compile(&embedding, EVERYTHING);
    let mut broker = start(&embedding, &program);
    settled(&mut broker);
    broker.publish(&Arriving::new("again", b"x")).unwrap();
    let all = settled(&mut broker);
    assert_eq!(all.len(), 65 + 2, "{all:?}");
    assert!(all[..65].iter().all(|line| line == "Again: again=x (QoS 0)"), "{all:?}");
    assert_eq!(
        all[65..],
        ["Again: the message made 65 hops, limit 64 (HOP_LIMIT)", "Errors: told=HOP_LIMIT (QoS 0)"]
    );
}

#[test]
fn a_broker_that_ends_leaves_nothing_behind() {
    let embedding = Embedding::new().unwrap();
    let program = compile(
        &embedding,
        &format!(
            "{EVERYTHING}DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD EVENT \"e\"\n        WITH SOURCE_TOPIC \"in\"\n"
        ),
    );
    let mut broker = start(&embedding, &program);
    broker.publish(&Arriving::new("in", b"4")).unwrap();
    settled(&mut broker);
    let weak = Arc::downgrade(&broker.broker);
    let tenant = Arc::downgrade(&broker.tenant);
    drop(broker);
    assert!(weak.upgrade().is_none() && tenant.upgrade().is_none());
}

const ROUTES: &str = r#"DEFINE ROUTE Db WITH TYPE LOOPBACK
    ADD LOOPBACK_CONFIG
        WITH DELAY 3600000
    ADD EVENT Save
        WITH SOURCE_TOPIC "save/+"
        WITH DESTINATION_TOPIC "saved/{topic.2}"
        WITH FAIL "{payload.json.fail}"
        WITH ERROR_TOPIC "failed/{topic.2}"
DEFINE MODEL Reading COLLAPSED
    ADD STRING "id"
    ADD DOUBLE "v"
    STORE IN "Db"
DEFINE ACTION Store
ON TOPIC "saved/+" DO
    PUBLISH MODEL Reading TO "clean/+" WITH
        id = TOPIC POSITION 2
        v = 1
DEFINE ACTION Ask
ON TOPIC "saved/+" DO
    PUBLISH TOPIC "rows" WITH GET MODEL "Reading" FROM "Db" WHERE v > 0 ORDER BY id ASC
DEFINE ACTION Beside
ON TOPIC "save/+" DO
    SET "i" WITH 0
    LOOP
        SET "i" WITH {i} + 1
        PUBLISH TOPIC "beside" WITH {i}
    UNTIL {i} >= 3
"#;

#[test]
fn failed_route_message_is_reported_by_failure_class() {
    let embedding = Embedding::new().unwrap();
    let program = compile(&embedding, ROUTES);
    let mut broker = start(&embedding, &program);
    settled(&mut broker);
    let [rejected, waits] = ["ROUTE_REJECTED", "ROUTE_WAITS"]
        .map(|code| format!("Db: event `Save`: it was asked to fail ({code})"));
    let told = "Db: failed/a={\"route\":\"Db\",\"event\":\"Save\",\"error\":\"it was asked to fail\",\"topic\":\"save/a\",\"payload\":\"{\\\"fail\\\":\\\"reject\\\"}\",\"timestamp\":\"2026-01-01T00:00:00.000Z\"} (QoS 0)";
    for (class, expected) in [
        ("reject", vec![&*rejected, told]),
        ("retry", vec![&*waits]),
        ("reconnect", vec![&*waits, "Db: it was asked to fail (ROUTE_AWAY)"]),
        ("fatal", vec![&*waits, "Db: it was asked to fail (ROUTE_STOPPED)"]),
    ] {
        broker.publish(&Arriving::new("save/a", format!("{{\"fail\":\"{class}\"}}").as_bytes())).unwrap();
        let all = settled(&mut broker);
        let of_route: Vec<&str> =
            all.iter().map(|line| &**line).filter(|line| line.starts_with("Db")).collect();
        assert_eq!(of_route, expected, "{class}: {all:?}");
    }
    broker.publish(&Arriving::new("save/b", b"{}")).unwrap();
    assert!(settled(&mut broker).iter().all(|line| !line.starts_with("Db")), "it stands still");
}

#[test]
fn output_order_is_deterministic() {
    let embedding = Embedding::new().unwrap();
    let program = compile(&embedding, ROUTES);
    let all = || {
        let mut broker = start(&embedding, &program);
        let mut all = settled(&mut broker);
        for topic in ["save/a", "save/b"] {
            broker.publish(&Arriving::new(topic, b"{\"n\":1}")).unwrap();
        }
        all.append(&mut settled(&mut broker));
        all
    };
    let first = all();
    assert!(first.iter().filter(|line| line.starts_with("Ask: rows=")).count() == 2, "{first:?}");
    for _ in 0..20 {
        assert_eq!(all(), first);
    }
}
