//! Guests through the real broker: text compiled here, messages over real sockets.

mod authority;
mod driver_slot;
mod effects;
mod relaying;
mod rights;
mod route_drivers;
mod routes;
mod rules;
mod starts;
mod variables;

use std::sync::Arc;

use lot_to_wasm::CompileOptions;
use lotmq_changes::{Batch, DefinitionRow, Op, TenantId};
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_definitions::{DefinitionKind, NewDefinition, OnExisting, Origin};
use lotmq_store::{Store, StoreOptions};

use lotmq_programs::authority::owner;
use lotmq_programs::{CompiledDefinition, Guests, HasPrograms as _, RunActionError, RunRequest, install};

use self::authority::ok;
use crate::testing::{Running, connect, receive};

fn deploy(running: &Running, source: &str) {
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    let options = CompileOptions { known: &*tenant.programs().guests, ..CompileOptions::default() };
    for entity in lot_to_wasm::compile(source, &options).entities {
        let output = entity.output.unwrap_or_else(|| panic!("{:?}", entity.diagnostics));
        let text = &source[entity.range];
        let new = NewDefinition {
            kind: output.facts.kind.into(),
            name: output.facts.name.as_str().into(),
            source: text.into(),
            origin: Origin::AdHoc,
            lines_before: 0,
            owner: owner(&tenant.users, "root"),
            facts: Arc::new(output.facts),
            installed_at: jiff::Timestamp::now(),
            order: None,
        };
        let loader = broker.hosting.loader();
        let compiled =
            CompiledDefinition::of_entity(loader, &output.component, new, OnExisting::Replace).unwrap();
        install(&tenant, &broker.hosting, compiled, &mut Batch::new()).unwrap();
    }
}

#[test]
fn an_action_answers_a_message() {
    let running = Running::start("os");
    deploy(
        &running,
        "DEFINE ACTION Hot\nON TOPIC \"s/+/t\" DO\n    SET \"id\" WITH TOPIC POSITION 2\n    IF PAYLOAD > 30 THEN\n        \
         PUBLISH TOPIC \"alarm/\" + {id} WITH \"hot \" + PAYLOAD\n",
    );
    let mut client = running.client("c");
    client.subscribe_to("alarm/#", QoS::AtMostOnce).unwrap();
    for payload in ["30", "31"] {
        client.publish(&Publication::new("s/k1/t", payload)).unwrap();
    }
    assert_eq!(receive(&mut client), ("alarm/k1".into(), "hot 31".into()));
    running.server.stop();
}

#[test]
fn unrestorable_definition_keeps_its_order_and_loses_its_removed_owner() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_in(dir.path(), "fsync");
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    ok(&mut root, "-addUser ann password");
    let row = DefinitionRow {
        tenant: TenantId::DEFAULT,
        kind: "action".into(),
        name: "Later".into(),
        source: "DEFINE ACTION Later WITH SOMETHING a later version knows".into(),
        owner: "ann".into(),
        origin: "null".into(),
        order: 7,
        changed_at_ms: 1,
        state: Vec::new(),
    };
    let mut batch = Batch::new();
    batch.push(Op::PutDefinition(&row));
    running.server.broker.core.log.commit(batch).unwrap();
    running.server.stop();

    let running = Running::start_in(dir.path(), "fsync");
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    ok(&mut root, "-removeUser ann");
    running.server.stop();
    let (store, recovered) = Store::open(StoreOptions::new(dir.path()), Box::new(|_| {})).unwrap();
    let stored = recovered.definitions.iter().find(|stored| stored.name == "Later").unwrap();
    assert_eq!(*stored, DefinitionRow { owner: String::new(), ..row });
    store.close();
}

/// A pattern that was taken before its cost was limited.
const DEAR: &str = "DEFINE ACTION Dear\nON TOPIC \"in\" DO\n    IF PAYLOAD MATCHES REGEX \"(?=.)(\\w{1,1000}){1,50}\" THEN\n        PUBLISH TOPIC \"out\" WITH 1\n";

#[test]
fn stored_definition_that_no_longer_compiles_is_reported_kept_and_replaceable() {
    let dir = tempfile::tempdir().unwrap();
    Running::start_in(dir.path(), "fsync").server.stop();
    let row = DefinitionRow {
        tenant: TenantId::DEFAULT,
        kind: "action".into(),
        name: "Dear".into(),
        source: DEAR.into(),
        owner: "root".into(),
        origin: "null".into(),
        order: 7,
        changed_at_ms: 1,
        state: Vec::new(),
    };
    let (store, _) = Store::open(StoreOptions::new(dir.path()), Box::new(|_| {})).unwrap();
    let mut batch = Batch::new();
    batch.push(Op::PutDefinition(&row));
    store.commit(batch).unwrap();
    store.close();

    // Twice: it is there after the second start, too.
    for _ in 0..2 {
        let running = Running::start_in(dir.path(), "fsync");
        let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
        root.subscribe_to("$SYS/Coreflux/Actions/Dear/Error", QoS::AtMostOnce).unwrap();
        let record = receive(&mut root).1;
        for part in ["NOT_RESTORED", "line 3: ", "LOT", "too large: it costs", "lower the upper bounds"] {
            assert!(record.contains(part), "{part} in {record}");
        }
        assert_eq!(
            record.matches("\"count\":1,").count() + record.matches("\"count\":1}").count(),
            1,
            "{record}"
        );
        root.subscribe_to("$SYS/Coreflux/Actions/Dear", QoS::AtMostOnce).unwrap();
        assert!(receive(&mut root).1.contains("MATCHES REGEX"), "its text can be read");
        running.server.stop();
    }
    let running = Running::start_in(dir.path(), "fsync");
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    ok(&mut root, &format!("-addAction {}", DEAR.replace("(?=.)(\\w{1,1000}){1,50}", "a+")));
    root.subscribe_to("out", QoS::AtMostOnce).unwrap();
    root.publish(&Publication::new("in", "aa")).unwrap();
    assert_eq!(receive(&mut root), ("out".into(), "1".into()));
    running.server.stop();
}

#[test]
fn a_stored_name_that_no_topic_can_hold_harms_nobody_and_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    Running::start_in(dir.path(), "fsync").server.stop();
    let name = "N".repeat(70_000);
    let (store, _) = Store::open(StoreOptions::new(dir.path()), Box::new(|_| {})).unwrap();
    let mut batch = Batch::new();
    for (order, kind, rest) in [
        (0, "action", "\nON TOPIC \"h\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n"),
        (1, "model", "\n    ADD INT \"v\" WITH TOPIC \"h\" AS TRIGGER\n"),
        (2, "route", " WITH TYPE LOOPBACK\n    ADD EVENT \"e\"\n        WITH SOURCE_TOPIC \"h\"\n"),
    ] {
        let source = format!("DEFINE {} {name}{rest}", kind.to_uppercase());
        let row = DefinitionRow {
            tenant: TenantId::DEFAULT,
            kind: kind.into(),
            name: name.clone(),
            source,
            owner: String::new(),
            origin: String::new(),
            order,
            changed_at_ms: 0,
            state: Vec::new(),
        };
        batch.push(Op::PutDefinition(&row));
    }
    store.commit(batch).unwrap();
    store.close();

    let running = Running::start_in(dir.path(), "fsync");
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    for filter in ["$SYS/Coreflux/Actions/#", "$SYS/Coreflux/Models/#", "$SYS/Coreflux/Routes/#", "o"] {
        root.subscribe_to(filter, QoS::ExactlyOnce).unwrap();
    }
    root.publish(&Publication::new("o", "alive")).unwrap();
    let is_ours = |(topic, _): &(String, String)| topic == "o";
    let mut next = || std::iter::repeat_with(|| receive(&mut root)).find(is_ours).unwrap();
    assert_eq!(next().1, "alive");
    let broker = &running.server.broker;
    assert!(broker.core.counters.publish_unencodable.get() >= 3);
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    for verb in ["removeAction", "removeModel", "removeRoute"] {
        let command = format!("-{verb} {name}");
        root.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
        // Lists of what there is are published now and then, too.
        let is_reply = |(topic, _): &(String, String)| topic == "$SYS/Coreflux/Command/Output";
        let (_, reply) = std::iter::repeat_with(|| receive(&mut root)).find(is_reply).unwrap();
        assert!(reply.contains("removed successfully"), "{verb}: {}", &reply[..200]);
    }
    assert!(broker.hosting.watchdog.ended().is_none());
    running.server.stop();
    let running = Running::start_in(dir.path(), "fsync");
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    assert!(tenant.programs().guests.registry.read().get(DefinitionKind::Action, &name).is_none());
    running.server.stop();
}

/// Gives a command; its reply.
fn command(root: &mut Client, text: &str) -> String {
    root.publish(&Publication::new("$SYS/Coreflux/Command", text).qos(QoS::AtLeastOnce)).unwrap();
    next_on(root, "$SYS/Coreflux/Command/Output")
}

/// The next message on a topic; others are passed over.
fn next_on(client: &mut Client, topic: &str) -> String {
    std::iter::repeat_with(|| receive(client)).find(|(of, _)| of == topic).unwrap().1
}

#[test]
fn no_trace_error_or_reply_holds_a_secret() {
    const SECRET: &str = "hunter2-\"quoted\"";
    let running = Running::start("os");
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    for filter in
        ["$SYS/Coreflux/Command/Output", "$SYS/Coreflux/Actions/+/Trace", "$SYS/Coreflux/Actions/+/Error"]
    {
        root.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
    }
    let told = |text: String| {
        assert!(!text.contains("hunter2") && text.contains("***"), "{text}");
    };
    assert!(command(&mut root, &format!("-setSecret TOK={SECRET}")).contains("success"));
    deploy(
        &running,
        "DEFINE ACTION Call\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH \"Bearer \" + GET SECRET \"TOK\"\n    \
         PUBLISH TOPIC \"o/\" + GET SECRET \"TOK\" WITH { \"k\": GET SECRET \"TOK\" }\n\
         DEFINE ACTION Fails\nON TOPIC \"fail\" DO\n    PUBLISH TOPIC \"a/#/\" + GET SECRET \"TOK\" WITH 1\n\
         DEFINE ACTION Gives\nDO\n    SET \"v\" WITH GET SECRET \"TOK\"\nRETURN\n    OUTPUT v\n",
    );
    command(&mut root, "-actionTrace Call");
    root.publish(&Publication::new("in", format!("payload {SECRET}"))).unwrap();
    let trace = next_on(&mut root, "$SYS/Coreflux/Actions/Call/Trace");
    assert_eq!(trace.matches("***").count(), 4, "the trigger, and three of what was published: {trace}");
    told(trace);
    told(command(&mut root, "-runAction Call {\"topic\":\"in\",\"payload\":\"x\"}"));
    told(command(&mut root, "-runAction Gives"));
    root.publish(&Publication::new("fail", format!("payload {SECRET}"))).unwrap();
    told(next_on(&mut root, "$SYS/Coreflux/Actions/Fails/Error"));
    told(command(&mut root, "-lotDiagnostic action Fails"));
    running.server.stop();
}

#[test]
fn a_loop_runs_on_an_executor_and_keeps_the_order() {
    let running = Running::start("os");
    deploy(
        &running,
        "DEFINE ACTION Count\nON TOPIC \"n\" DO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n        \
         PUBLISH TOPIC \"out\" WITH PAYLOAD + \":\" + {i}\n    UNTIL {i} == 3\n",
    );
    let mut client = running.client("c");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    for payload in ["a", "b"] {
        client.publish(&Publication::new("n", payload)).unwrap();
    }
    let got: Vec<String> = (0..6).map(|_| receive(&mut client).1).collect();
    assert_eq!(got, ["a:1", "a:2", "a:3", "b:1", "b:2", "b:3"]);
    running.server.stop();
}

#[test]
fn kept_values_count_and_a_cascade_ends_at_the_hop_limit() {
    let running = Running::start("os");
    deploy(
        &running,
        "DEFINE ACTION Keep\nON TOPIC \"in\" DO\n    KEEP TOPIC \"n\" WITH (GET TOPIC \"n\" AS INT) + 1\n    \
         PUBLISH TOPIC \"o\" WITH GET TOPIC \"n\"\nDEFINE ACTION Ping\nON TOPIC \"ping\" DO\n    PUBLISH TOPIC \"ping\" WITH PAYLOAD\n",
    );
    let mut client = running.client("c");
    client.subscribe_to("o", QoS::AtMostOnce).unwrap();
    for expected in ["1", "2", "3"] {
        client.publish(&Publication::new("in", "x")).unwrap();
        assert_eq!(receive(&mut client).1, expected);
    }
    client.subscribe_to("ping", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("ping", "x")).unwrap();
    // The last message comes before the refusal is counted.
    let counters = &running.server.broker.core.counters;
    let start = std::time::Instant::now();
    while counters.hops_exceeded.get() == 0 && start.elapsed() < crate::testing::PATIENCE {
        client.receive(std::time::Duration::from_millis(20)).unwrap();
    }
    assert_eq!(counters.hops_exceeded.get(), 1);
    running.server.stop();
}

/// Language reference §6: what a topic had before its first reader was deployed is known only with
/// `cache = "all"`.
#[test]
fn the_cache_holds_topics_that_are_read_or_all() {
    for (cache, first) in [("read-topics", "1"), ("all", "5")] {
        let running = Running::start_with(&[("LOTMQ_LOT_CACHE", cache)]);
        let mut client = running.client("c");
        client.subscribe_to("o", QoS::AtMostOnce).unwrap();
        client.publish(&Publication::new("cfg/x", "4").qos(QoS::AtLeastOnce)).unwrap();
        let source =
            "DEFINE ACTION A\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"o\" WITH (GET TOPIC \"cfg/x\" + 1)\n";
        deploy(&running, source);
        for expected in [first, "5"] {
            client.publish(&Publication::new("in", "x")).unwrap();
            assert_eq!(receive(&mut client).1, expected, "{cache}");
            client.publish(&Publication::new("cfg/x", "4").qos(QoS::AtLeastOnce)).unwrap();
        }
        running.server.stop();
    }
}

/// Language reference OD-29.
#[test]
fn kept_values_are_retained_messages_only_where_the_switch_says_so() {
    for (switch, expected) in [("false", "barrier"), ("true", "kept")] {
        let running = Running::start_with(&[("LOTMQ_LOT_COMPAT_KEEP_VISIBLE_RETAINED", switch)]);
        let keep = "DEFINE ACTION K\nON TOPIC \"in\" DO\n    KEEP TOPIC \"kept\" WITH PAYLOAD\n    PUBLISH TOPIC \"done\" WITH 1\n";
        deploy(&running, keep);
        let mut client = running.client("c");
        client.subscribe_to("done", QoS::AtMostOnce).unwrap();
        client.publish(&Publication::new("in", "x")).unwrap();
        receive(&mut client);
        client.subscribe_to("kept", QoS::AtMostOnce).unwrap();
        client.subscribe_to("barrier", QoS::AtMostOnce).unwrap();
        client.publish(&Publication::new("barrier", "x")).unwrap();
        assert_eq!(receive(&mut client).0, expected, "{switch}");
        running.server.stop();
    }
}

/// Every kind of trigger can be tried by `-runAction`, commands reference §4.
#[test]
fn run_action_starts_every_kind_of_action() {
    let running = Running::start("os");
    for (trigger, expected) in [
        ("ON TOPIC \"a/+\" DO", "a/b"),
        ("ON CHANGE \"a/+\" DO", "a/b"),
        ("ON EVERY 1 HOUR DO", "ran"),
        ("ON EVERY DAY AT \"03:00\" DO", "ran"),
        ("ON START DO", "ran"),
        ("ON CONNECT DO", "ran"),
        ("ON DISCONNECT DO", "ran"),
        ("ON SUBSCRIBE \"x/#\" DO", "ran"),
        ("DO", "ran"),
    ] {
        let value = if expected == "ran" { "\"ran\"" } else { "TOPIC" };
        deploy(&running, &format!("DEFINE ACTION A\n{trigger}\n    PUBLISH TOPIC \"o\" WITH {value}\n"));
        let tenant = running.server.broker.hosting.tenants.default_tenant();
        let guests = &tenant.programs().guests;
        let request = RunRequest::Message { topic: "a/b".into(), payload: b"1".to_vec() };
        let report = guests.run_action("A", request, 0).unwrap();
        assert_eq!(report.error, None, "{trigger}");
        assert_eq!(report.published[0].payload, expected, "{trigger}");
    }
    running.server.stop();
}

#[test]
fn command_waiting_for_a_removed_action_fails_immediately() {
    let running = Running::start("os");
    deploy(
        &running,
        "DEFINE ACTION Busy\nDO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n    UNTIL {i} < 0\n",
    );
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    std::thread::scope(|scope| {
        let mut run =
            scope.spawn(|| tenant.programs().guests.run_action("Busy", RunRequest::Inputs(Vec::new()), 0));
        while tenant.programs().guests.waiting.commands.lock().is_empty() {
            if run.is_finished() {
                // It ran into its time limit before this thread had its turn.
                run = scope
                    .spawn(|| tenant.programs().guests.run_action("Busy", RunRequest::Inputs(Vec::new()), 0));
            }
            std::thread::yield_now();
        }
        Guests::remove(&tenant, &broker.hosting, DefinitionKind::Action, "Busy", &mut Batch::new()).unwrap();
        let error = run.join().unwrap().unwrap_err();
        assert!(matches!(error, RunActionError::Removed(_) | RunActionError::NotTaken(..)), "{error}");
    });
    running.server.stop();
}

/// Guests that answer what the broker publishes about guests end at the hop limit too.
#[test]
fn a_loop_through_errors_ends() {
    let running = Running::start("os");
    deploy(
        &running,
        "DEFINE ACTION Loop\nON TOPIC \"$SYS/Coreflux/Actions/+/Error\" DO\n    SET \"x\" WITH 1 / 0\nDEFINE ACTION First\nON TOPIC \"in\" DO\n    \
         SET \"x\" WITH 1 / PAYLOAD\n    PUBLISH TOPIC \"o\" WITH {x}\n",
    );
    let mut client = running.client("c");
    client.publish(&Publication::new("in", "0").qos(QoS::AtLeastOnce)).unwrap();
    let counters = &running.server.broker.core.counters;
    let start = std::time::Instant::now();
    while counters.hops_exceeded.get() == 0 && start.elapsed() < 3 * crate::testing::PATIENCE {
        client.ping().unwrap();
    }
    assert_eq!(counters.hops_exceeded.get(), 1);
    running.server.stop();
}

/// Publishes payloads 1 to `count` to `topic` as fast as they are taken.
fn flood(running: &Running, topic: &str, count: u32) {
    let mut sender = running.client(&format!("sender of {topic}"));
    for number in 1..=count {
        sender.send_publish(&Publication::new(topic, number.to_string())).unwrap();
    }
    // Runs that start in the turn of the first ping begin after its answer.
    for _ in 0..2 {
        sender.ping().unwrap();
    }
}

/// More than the mailbox takes, and more than a turn runs; from two threads, of which only one at a
/// time can run the Action.
#[test]
fn a_flood_of_a_bounded_action_slows_its_senders_and_loses_nothing() {
    const COUNT: u32 = 12_000;
    let running = Running::start_with(&[("LOTMQ_BROKER_PLACEMENT", "spread")]);
    deploy(
        &running,
        &format!(
            "DEFINE ACTION Next\nON TOPIC \"in/+\" DO\n    SET \"last\" WITH \"last/\" + TOPIC POSITION 2\n    \
             IF NOT PAYLOAD == (GET TOPIC {{last}} AS INT) + 1 THEN\n        \
             PUBLISH TOPIC \"done\" WITH TOPIC + \" out of order: \" + PAYLOAD\n    KEEP TOPIC {{last}} WITH PAYLOAD\n    \
             IF PAYLOAD == {COUNT} THEN\n        PUBLISH TOPIC \"done\" WITH \"all\"\n"
        ),
    );
    let mut client = running.client("c");
    client.subscribe_to("done", QoS::AtMostOnce).unwrap();
    for topic in ["last/a", "last/b"] {
        client.publish(&Publication::new(topic, "0").qos(QoS::AtLeastOnce)).unwrap();
    }
    std::thread::scope(|scope| {
        for topic in ["in/a", "in/b"] {
            let running = &running;
            scope.spawn(move || flood(running, topic, COUNT));
        }
        // Others are served meanwhile.
        client.ping().unwrap();
        assert_eq!([receive(&mut client).1, receive(&mut client).1], ["all", "all"]);
    });
    assert_eq!(running.server.broker.core.counters.guest_events_dropped.get(), 0);
    running.server.stop();
}

/// An Action that may take long does not slow its senders down; what its mailbox does not take is
/// counted, and recorded together.
#[test]
fn events_rejected_by_a_full_mailbox_are_recorded_as_one_error() {
    let running = Running::start("os");
    deploy(
        &running,
        "DEFINE ACTION Slow\nON TOPIC \"in\" DO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n    UNTIL {i} == 99999\n",
    );
    flood(&running, "in", 20_000);
    let counters = &running.server.broker.core.counters;
    let dropped = counters.guest_events_dropped.get();
    assert!(dropped > 1, "the mailbox takes 10,000");
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let slow = tenant.programs().guests.registry.read().get(DefinitionKind::Action, "Slow").cloned().unwrap();
    let mut client = running.client("c");
    let start = std::time::Instant::now();
    let recorded = || slow.activity.last_error().map_or(0, |record| record.count);
    while recorded() < dropped && start.elapsed() < crate::testing::PATIENCE {
        client.ping().unwrap();
    }
    let record = slow.activity.last_error().unwrap();
    assert_eq!((record.code.as_str(), record.count), ("MAILBOX_FULL", dropped));
    assert!(record.message.contains(" more events were not taken: "), "{}", record.message);
    assert_eq!(counters.guest_errors.get(), dropped);
    running.server.stop();
}
