//! Definitions that are removed, taken over or replaced while they run: modules, batches of runs,
//! what waits, errors, and what a command is told.

use lotmq_definitions::DefinitionKind;
use lotmq_host::{InlineRuns, MessageBatch, RunOutput};

use super::*;
use lotmq_process::this_turn;
use lotmq_programs::effects;
use lotmq_programs::run::Run;

fn is_known(world: &World, kind: DefinitionKind, name: &str) -> bool {
    let tenant = world.running.server.broker.hosting.tenants.default_tenant();
    let registry = tenant.programs().guests.registry.read();
    registry.get(kind, name).is_some_and(|found| found.activity.last_error().is_some())
}

/// A component that does what the other programs here do.
fn module(world: &mut World) -> String {
    let wait = "    SET \"rows\" WITH GET MODEL \"A\" FROM \"Db\"\n".repeat(3);
    ok(&mut world.root, &format!("-addAction DEFINE ACTION Wait\nDO\n{wait}"));
    let effects =
        EFFECTS.split_inclusive('\n').filter(|line| !line.contains("GET MODEL")).collect::<String>();
    let source = format!("DEFINE ACTION m\nON TOPIC \"start\" DO\n{effects}    CALL ACTION Wait\n");
    let tenant = world.running.server.broker.hosting.tenants.default_tenant();
    let options = CompileOptions {
        form: Form::Standalone,
        known: &*tenant.programs().guests,
        ..CompileOptions::default()
    };
    let entity = lot_to_wasm::compile(&source, &options).entities.pop().unwrap();
    STANDARD.encode(entity.output.expect("it compiles").component)
}

#[test]
fn module_output_from_before_removal_or_ownership_change_is_dropped() {
    for change in ["-removeModule m -force", "-addModule m -replace -force", "-removeUser cfg", "own"] {
        let mut world = World::new();
        let component = module(&mut world);
        let mut cfg = world.user("cfg");
        ok(&mut world.root, "-changeUserSettings cfg AllowedUserManagement true");
        let grants = "-grant write:# -grant write:$SYS/Coreflux/Command -grant env-write:* -grant secret-write:* -grant action:Wait";
        let add =
            |more: &str| format!("-addModule m {more} -world action -on start {grants} wasm64:{component}");
        ok(&mut cfg, &add(""));
        world.start();
        match change {
            "-addModule m -replace -force" => ok(&mut world.root, &add("-replace -force")),
            "own" => ok(&mut cfg, &add("-replace")),
            command => ok(&mut world.root, command),
        };
        let expected = if change == "own" { (true, true, false) } else { (false, false, true) };
        assert_eq!(world.end(), expected, "{change}");
        world.running.server.stop();
    }
}

/// The runs of a batch end together, and their effects are carried out one after the other.
#[test]
fn batch_output_is_dropped_when_the_owner_of_its_definition_changes() {
    let source = "DEFINE ACTION Many\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"plain\" WITH PAYLOAD\n    PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-addUser evil\" + PAYLOAD + \" password\"\n";
    let removed = "-removeAction Many -force".to_owned();
    let taken_over = format!("-addAction -replace {source}");
    for (change, by_owner) in
        [(removed, false), (taken_over.clone(), false), ("-removeUser cfg".into(), false), (taken_over, true)]
    {
        let mut world = World::new();
        ok(&mut world.root, "-changeUserSettings cfg AllowedUserManagement true");
        let mut cfg = world.user("cfg");
        ok(&mut cfg, &format!("-addAction {source}"));
        let broker = std::sync::Arc::clone(&world.running.server.broker);
        let tenant = broker.hosting.tenants.default_tenant();
        let definition =
            tenant.programs().guests.registry.read().get(DefinitionKind::Action, "Many").cloned().unwrap();
        let runner = tenant.programs().guests.runner(definition.id).unwrap();
        let mut batch = MessageBatch::default();
        ["0", "1"].iter().for_each(|payload| batch.push("in", payload.as_bytes()));
        this_turn::install(std::sync::Arc::clone(&broker.hosting.context), None);
        let mut inline = InlineRuns::default();
        let mut runs = inline.run_batch(&runner, &batch, 0).expect("it takes batches");
        let mut carry_out_next = || {
            let mut output = RunOutput::new();
            let Some(outcome) = runs.next_run(&mut output) else { return false };
            let run = Run {
                tenant: &tenant,
                hops: 0,
                trigger: None,
                outcome: &outcome,
                timing: None,
                trace_id: "",
            };
            this_turn::with(|turn| {
                turn.tick();
                effects::carry_out(turn, &definition, &run, &output);
                turn.flush();
            });
            true
        };
        assert!(carry_out_next());
        assert_eq!(receive(&mut world.watcher).1, "0");
        eventually("the first command", || ok(&mut world.root, "-listUsers").contains("\"evil0\""));
        ok(if by_owner { &mut cfg } else { &mut world.root }, &change);
        let carried_out = u64::from(carry_out_next());
        // Of who is gone by then nothing is taken that was not done yet: it runs by itself, as
        // nobody's.
        assert_eq!(carried_out == 0, change == "-removeUser cfg");
        world.root.publish(&Publication::new("plain", "barrier").qos(QoS::AtLeastOnce)).unwrap();
        let next = receive(&mut world.watcher).1;
        let dropped = broker.core.counters.guest_effects_dropped.get();
        if by_owner {
            assert_eq!((next.as_str(), dropped), ("1", 0));
            eventually("its command", || ok(&mut world.root, "-listUsers").contains("\"evil1\""));
        } else {
            assert_eq!((next.as_str(), dropped), ("barrier", 2 * carried_out), "{change}");
            assert!(!ok(&mut world.root, "-listUsers").contains("\"evil1\""));
        }
        drop((runs, inline));
        this_turn::uninstall();
        world.running.server.stop();
    }
}

#[test]
fn waiting_events_are_dropped_when_a_definition_changes_its_owner() {
    for by in ["cfg", "root"] {
        let mut world = World::new();
        let mut cfg = world.user("cfg");
        ok(&mut cfg, &format!("-addAction {}", triggered("Run")));
        world.start();
        for number in ["2", "3"] {
            world.root.publish(&Publication::new("start", number).qos(QoS::AtLeastOnce)).unwrap();
        }
        let new =
            "DEFINE ACTION Run\nON TOPIC \"start\" DO\n    PUBLISH TOPIC \"plain\" WITH \"new \" + PAYLOAD\n";
        ok(if by == "cfg" { &mut cfg } else { &mut world.root }, &format!("-addAction -replace {new}"));
        ok(&mut world.root, "-removeRoute Db");
        let counters = &world.running.server.broker.core.counters;
        assert_eq!(counters.guest_events_dropped.get(), if by == "cfg" { 0 } else { 2 });
        world.root.publish(&Publication::new("start", "4").qos(QoS::AtLeastOnce)).unwrap();
        let expected: &[&str] = if by == "cfg" { &["out", "new 2", "new 3", "new 4"] } else { &["new 4"] };
        for expected in expected {
            assert_eq!(receive(&mut world.watcher).1, *expected);
        }
        world.running.server.stop();
    }
}

#[test]
fn waiting_messages_are_dropped_when_a_route_changes_its_owner() {
    let route = |fails: &str| {
        format!(
            "-addRoute -replace DEFINE ROUTE Out WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH FAIL \"{fails}\"\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"up\"\n        WITH DESTINATION_TOPIC \"plain\"\n"
        )
    };
    for by in ["root", "cfg"] {
        let mut world = World::new();
        let mut cfg = world.user("cfg");
        ok(&mut world.root, &route("retry"));
        for number in ["1", "2"] {
            world.root.publish(&Publication::new("up", number).qos(QoS::AtLeastOnce)).unwrap();
        }
        ok(if by == "cfg" { &mut cfg } else { &mut world.root }, &route("never"));
        world.root.publish(&Publication::new("up", "3").qos(QoS::AtLeastOnce)).unwrap();
        let expected: &[&str] = if by == "cfg" { &["3"] } else { &["1", "2", "3"] };
        for expected in expected {
            assert_eq!(receive(&mut world.watcher).1, *expected, "{by}");
        }
        world.running.server.stop();
    }
}

#[test]
fn error_of_a_run_is_not_reported_to_a_new_owner() {
    for by in ["cfg", "root"] {
        let mut world = World::new();
        ok(&mut world.root, "-changeUserSettings cfg AllowedUserManagement true");
        let mut cfg = world.user("cfg");
        let fails = "    SET \"x\" WITH 1 / (PAYLOAD - 1)\n    PUBLISH TOPIC \"o\" WITH {x}\n";
        ok(&mut cfg, &format!("-addAction {}{fails}", triggered("Run")));
        world.start();
        ok(if by == "cfg" { &mut cfg } else { &mut world.root }, &format!("-addAction -replace {NOTHING}"));
        world.end();
        if by == "cfg" {
            eventually("his own error", || is_known(&world, DefinitionKind::Action, "Run"));
        } else {
            assert!(!is_known(&world, DefinitionKind::Action, "Run"));
            world.root.subscribe_to("$SYS/Coreflux/Actions/Run/#", QoS::AtLeastOnce).unwrap();
            world.root.publish(&Publication::new("$SYS/Coreflux/Command", "-listUsers")).unwrap();
            loop {
                let (topic, _) = receive(&mut world.root);
                assert!(!topic.ends_with("/Error"), "{topic}");
                if topic == "$SYS/Coreflux/Command/Output" {
                    break;
                }
            }
        }
        world.running.server.stop();
    }
}

#[test]
fn run_action_reply_lists_published_messages_and_warns_of_dropped_ones() {
    let mut world = World::new();
    let (callee, caller) = called();
    let mut cfg = world.user("cfg");
    ok(&mut cfg, &format!("-addAction {callee}"));
    let caller = caller.replace("ON TOPIC \"start\" DO\n", "DO\n    PUBLISH TOPIC \"own\" WITH \"his\"\n");
    ok(&mut world.root, &format!("-addAction {caller}"));
    let mut asker = connect(world.running.address(), &ConnectOptions::v5("asker").user("root", "coreflux"));
    asker.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let tenant = world.running.server.broker.hosting.tenants.default_tenant();
    let reply = std::thread::scope(|scope| {
        let reply = scope.spawn(|| command(&mut asker, "-runAction Range"));
        eventually("the run begins", || tenant.programs().variables.environment("BEGAN").is_some());
        ok(&mut cfg, "-removeAction Limits");
        ok(&mut world.root, "-removeRoute Db");
        reply.join().unwrap()
    });
    let published = reply["data"]["published"].as_array().unwrap();
    let topics: Vec<_> = published.iter().filter_map(|it| it["topic"].as_str()).collect();
    assert_eq!(topics, ["own"], "{reply}");
    assert_eq!(reply["warnings"][0]["code"], "MESSAGES_DROPPED", "{reply}");
    // Of one that was taken over there is nothing to tell.
    world.running.server.stop();
}
