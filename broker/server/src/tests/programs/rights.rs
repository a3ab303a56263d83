//! Programs of a user who may only deploy, and the topics and commands that this user may not use.
//! Runs through real sockets and commands, with and without the switch.

use lotmq_client::{Client, Publication, QoS};

use super::authority::{code, eventually, ok, user};
use crate::testing::{Running, receive};
use lotmq_programs::HasPrograms as _;

struct World {
    running: Running,
    root: Client,
    /// May give commands and deploy, and nothing of `private/#`.
    dep: Client,
    watcher: Client,
}

impl World {
    fn new(settings: &[(&str, &str)]) -> World {
        let running = Running::start_with(settings);
        let mut root = user(&running, "root", "coreflux");
        ok(&mut root, "-addUser dep password");
        for (name, scope, condition) in [
            ("Calls", "CommandCall", ""),
            ("Actions", "ActionManagementCreation", ""),
            ("Models", "ModelManagementCreation", ""),
            ("Routes", "RouteManagementCreation", ""),
            ("Replies", "SubscribeSys", " AND TOPIC IS \"$SYS/Coreflux/Command/Output\""),
        ] {
            ok(
                &mut root,
                &format!(
                    "-addRule DEFINE RULE {name} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"dep\"{condition} THEN\n        ALLOW\n"
                ),
            );
        }
        for scope in ["Publish", "Subscribe"] {
            ok(
                &mut root,
                &format!(
                    "-addRule DEFINE RULE No{scope} WITH PRIORITY 100 FOR {scope} TO TOPIC \"private/#\"\n    IF USER IS \"dep\" THEN\n        DENY\n"
                ),
            );
        }
        for command in ["-setSecret KEY=hidden", "-setEnv SITE=north"] {
            ok(&mut root, command);
        }
        root.publish(&Publication::new("private/kept", "inside").retained().qos(QoS::AtLeastOnce)).unwrap();
        let dep = user(&running, "dep", "password");
        let mut watcher = running.client("watcher");
        watcher.subscribe_to("out", QoS::AtMostOnce).unwrap();
        World { running, root, dep, watcher }
    }

    /// Deploys an Action for `go` whose body this is, as `dep` or `root`; what it publishes to
    /// `out`.
    fn says(&mut self, by: &str, body: &str) -> String {
        let by = if by == "root" { &mut self.root } else { &mut self.dep };
        let end = "    PUBLISH TOPIC \"out\" WITH \"end\"\n";
        // A change that is refused ends the run; what was published before goes out.
        let body = if body.contains("KEEP") { format!("{end}{body}") } else { format!("{body}{end}") };
        ok(by, &format!("-addAction -replace DEFINE ACTION Go\nON TOPIC \"go\" DO\n{body}"));
        self.root.publish(&Publication::new("go", "1").qos(QoS::AtLeastOnce)).unwrap();
        let mut said = Vec::new();
        loop {
            match receive(&mut self.watcher).1 {
                end if end == "end" => return said.join(","),
                text => said.push(text),
            }
        }
    }

    fn grant(&mut self, name: &str, topic: &str) {
        ok(
            &mut self.root,
            &format!(
                "-addRule DEFINE RULE {name} WITH PRIORITY 100 FOR SystemConfiguration\n    IF USER IS \"dep\" AND TOPIC IS \"{topic}\" THEN\n        ALLOW\n"
            ),
        );
    }
}

/// Waits until the reply to a command of `root` has the text.
fn told(root: &mut Client, command: &str, text: &str) {
    let mut reply = String::new();
    let end = std::time::Instant::now() + crate::testing::PATIENCE;
    while !reply.contains(text) {
        assert!(std::time::Instant::now() < end, "no {text} in {reply}");
        std::thread::sleep(std::time::Duration::from_millis(5));
        reply = ok(root, command);
    }
}

#[test]
fn definition_with_a_denied_trigger_is_reported() {
    for (mut world, is_open) in modes() {
        let text =
            "DEFINE ACTION Ears\nON TOPIC \"go\" OR \"private/+\" DO\n    PUBLISH TOPIC \"out\" WITH 1";
        let reply = ok(&mut world.dep, &format!("-addAction {text}"));
        assert_eq!(reply.contains("TRIGGER_DENIED"), !is_open, "{reply}");
        if is_open {
            continue;
        }
        let place = r#""column":19,"endColumn":28,"line":2"#;
        let message = "the rules do not let its owner 'dep' read 'private/+'";
        assert!(reply.contains(message), "{reply}");
        for part in place.split(',') {
            assert!(reply.contains(part), "{part} {reply}");
        }
        let status = ok(&mut world.root, "-brokerStatus");
        assert!(status.contains(message), "{status}");
        assert!(ok(&mut world.root, "-lotDiagnostic Ears").contains(r#""unheard":["private/+"]"#));
        let row = r#""type":"Action","name":"Ears","origin":"adhoc","unheard":["private/+"]"#;
        let listed = ok(&mut world.root, "-listEntities");
        assert!(listed.contains(&format!("{row},\"owner\":\"dep\"")), "{listed}");
        // Only the owner and users who may configure the system see the owner.
        assert!(ok(&mut world.dep, "-listEntities").contains("\"owner\":\"dep\""));
        ok(&mut world.root, "-addUser eye password");
        for (name, scope) in [("EyeCalls", "CommandCall"), ("EyeReplies", "SubscribeSys")] {
            let rule = format!(
                "DEFINE RULE {name} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"eye\" THEN\n        ALLOW\n"
            );
            ok(&mut world.root, &format!("-addRule {rule}"));
        }
        let listed = ok(&mut user(&world.running, "eye", "password"), "-listEntities");
        assert!(listed.contains("Ears") && !listed.contains("\"owner\""), "{listed}");
        // A user with the right gets no warning. A right that is removed later is reported until it
        // is restored.
        ok(&mut world.root, "-removeRule NoSubscribe");
        assert!(!ok(&mut world.root, "-brokerStatus").contains("TRIGGER_DENIED"));
        let none = "-addRule DEFINE RULE None WITH PRIORITY 50 FOR Subscribe TO TOPIC \"go\"\n    IF USER IS \"dep\" THEN\n        DENY\n";
        ok(&mut world.root, none);
        let status = ok(&mut world.root, "-brokerStatus");
        assert!(status.contains("the rules do not let its owner 'dep' read 'go'"), "{status}");
        // The first denial of a publish reports the topic.
        ok(
            &mut world.dep,
            "-addAction DEFINE ACTION Says\nON TOPIC \"say\" DO\n    PUBLISH TOPIC \"private/x\" WITH 1",
        );
        world.root.publish(&Publication::new("say", "1").qos(QoS::AtLeastOnce)).unwrap();
        told(
            &mut world.root,
            "-lotDiagnostic Says",
            "the rules do not let its owner 'dep' publish to 'private/x'; nothing was written",
        );
        let removed = "DEFINE ACTION Root\nON TOPIC \"private/+\" DO\n    PUBLISH TOPIC \"out\" WITH 1";
        let reply = ok(&mut world.root, &format!("-addAction {removed}"));
        assert!(!reply.contains("TRIGGER_DENIED"), "{reply}");
    }
}

fn modes() -> [(World, bool); 2] {
    [(World::new(&[]), false), (World::new(&[("LOTMQ_LOT_AUTHORITY", "broker")]), true)]
}

fn shown(expression: &str) -> String {
    format!("    PUBLISH TOPIC \"out\" WITH \"[\" + ({expression}) + \"]\"\n")
}

#[test]
fn topics_are_read_as_far_as_the_owner_may() {
    for (mut world, is_open) in modes() {
        let read = shown("GET TOPIC \"private/kept\"");
        assert_eq!(world.says("dep", &read), if is_open { "[inside]" } else { "[]" });
        assert_eq!(world.says("root", &read), "[inside]");
        if !is_open {
            world.says("dep", &read);
            assert!(ok(&mut world.root, "-lotDiagnostic Go").contains("RULE_DENIED"));
            // The answer is asked for anew when the rules have changed.
            ok(&mut world.root, "-removeRule NoSubscribe");
            assert_eq!(world.says("dep", &read), "[inside]");
        }
        world.running.server.stop();
    }
}

#[test]
fn model_state_is_not_passed_to_the_next_owner_of_its_name() {
    let mut world = World::new(&[]);
    let mut watcher = world.running.client("of sums");
    watcher.subscribe_to("sum/+", QoS::AtMostOnce).unwrap();
    let model = |name: &str, from: &str| {
        format!(
            "DEFINE MODEL {name} COLLAPSED WITH TOPIC \"sum/+\"\n    ADD STRING \"last\" WITH TOPIC \"{from}/+/x\" AS TRIGGER\n    ADD STRING \"all\" WITH all + last\n"
        )
    };
    let mut sum = |world: &mut World, topic: &str| {
        world.root.publish(&Publication::new(topic, "s").qos(QoS::AtLeastOnce)).unwrap();
        receive(&mut watcher).1
    };
    for (name, command, removal) in
        [("Replaced", "-addModel -replace", None), ("Again", "-addModel", Some("-removeModel Again"))]
    {
        ok(&mut world.root, &format!("-addModel {}", model(name, "private")));
        sum(&mut world, "private/d/x");
        assert!(sum(&mut world, "private/d/x").contains("\"ss\""));
        // Its owner finds it again.
        if let Some(removal) = removal {
            ok(&mut world.root, removal);
            ok(&mut world.root, &format!("-addModel {}", model(name, "private")));
            assert!(sum(&mut world, "private/d/x").contains("\"sss\""));
            ok(&mut world.root, removal);
        }
        ok(&mut world.dep, &format!("{command} {}", model(name, "open")));
        assert!(sum(&mut world, "open/d/x").contains("\"s\""), "{name}");
        ok(&mut world.root, &format!("-removeModel {name} -force"));
    }
    world.running.server.stop();
}

#[test]
fn values_written_by_callees_are_readable_within_the_rights_of_the_owner() {
    for (mut world, is_open) in modes() {
        ok(
            &mut world.root,
            "-addRule DEFINE RULE Runs WITH PRIORITY 5 FOR ActionManagementRun\n    IF USER IS \"dep\" THEN\n        ALLOW\n",
        );
        ok(
            &mut world.root,
            "-addAction DEFINE ACTION Rep\nDO\n    KEEP TOPIC \"private/copy\" WITH \"k\"\n    PUBLISH TOPIC \"private/said\" WITH \"p\"\n    PUBLISH TOPIC \"open/said\" WITH \"o\"\n",
        );
        let called = [
            "    PUBLISH TOPIC \"own\" WITH \"m\"\n    CALL ACTION \"Rep\"\n".to_owned(),
            shown("GET TOPIC \"private/copy\""),
            shown("GET TOPIC \"private/said\""),
            shown("GET TOPIC \"open/said\""),
            shown("GET TOPIC \"own\""),
        ];
        let read = format!(
            "{}    FOR EACH {{topic}} IN TOPICS \"private/+\" DO\n        PUBLISH TOPIC \"out\" WITH {{topic}}\n",
            called.concat()
        );
        let all = "[k],[p],[o],[m],private/copy,private/kept,private/said";
        assert_eq!(world.says("dep", &read), if is_open { all } else { "[],[],[o],[m]" });
        assert_eq!(world.says("root", &read), all);
        // The other direction: a callee reads nothing with the rights of its caller, except the
        // message that started the caller.
        let body = format!("{}{}", shown("GET TOPIC \"private/mine\""), shown("PAYLOAD"));
        ok(&mut world.dep, &format!("-addAction DEFINE ACTION Library\nDO\n{body}"));
        let said = world
            .says("root", "    PUBLISH TOPIC \"private/mine\" WITH \"r\"\n    CALL ACTION \"Library\"\n");
        assert_eq!(said, if is_open { "[r],[1]" } else { "[],[1]" });
        world.running.server.stop();
    }
}

#[test]
fn messages_start_what_their_readers_have_deployed() {
    for (mut world, is_open) in modes() {
        ok(
            &mut world.dep,
            "-addAction DEFINE ACTION Leak\nON TOPIC \"+/+\" DO\n    PUBLISH TOPIC \"out\" WITH TOPIC\n",
        );
        let publish = |world: &mut World, topic: &str| {
            world.root.publish(&Publication::new(topic, "1").qos(QoS::AtLeastOnce)).unwrap();
        };
        for topic in ["private/x", "private/x", "open/x"] {
            publish(&mut world, topic);
        }
        let next = |world: &mut World| receive(&mut world.watcher).1;
        if is_open {
            assert_eq!(next(&mut world), "private/x");
            assert_eq!(next(&mut world), "private/x");
        }
        assert_eq!(next(&mut world), "open/x");
        ok(&mut world.root, "-removeRule NoSubscribe");
        publish(&mut world, "private/y");
        assert_eq!(next(&mut world), "private/y");
        world.running.server.stop();
    }
}

#[test]
fn messages_are_published_and_kept_as_far_as_the_owner_may() {
    for (mut world, is_open) in modes() {
        let mut watcher = world.running.client("of private");
        watcher.subscribe_to("private/#", QoS::AtMostOnce).unwrap();
        assert_eq!(receive(&mut watcher).1, "inside");
        let tenant = world.running.server.broker.hosting.tenants.default_tenant();
        let kept = || tenant.programs().guests.values.read("private/k", |value| value.is_some());
        for body in [
            "    PUBLISH TOPIC \"private/p\" WITH 1\n",
            "    KEEP TOPIC \"private/k\" WITH 1\n",
            "    PUBLISH MODEL Made TO \"private/m\" WITH a = \"1\"\n",
        ] {
            let _ = code(&mut world.dep, "-addModel DEFINE MODEL Made COLLAPSED\n    ADD STRING \"a\"\n");
            ok(
                &mut world.dep,
                &format!("-addAction -replace DEFINE ACTION Put\nON TOPIC \"put\" DO\n{body}"),
            );
            world.root.publish(&Publication::new("put", "1").qos(QoS::AtLeastOnce)).unwrap();
            if is_open && body.contains("KEEP") {
                eventually("it is kept", kept);
            } else if is_open {
                assert!(receive(&mut watcher).0.starts_with("private/"));
            } else {
                let is_model = body.contains("MODEL");
                let expected = if is_model { "may not publish to 'private/m'" } else { "LOT611" };
                told(&mut world.root, "-lotDiagnostic Put", expected);
            }
        }
        world.root.publish(&Publication::new("private/end", "end").qos(QoS::AtLeastOnce)).unwrap();
        assert_eq!(receive(&mut watcher).1, "end");
        assert_eq!(kept(), is_open);
        world.running.server.stop();
    }
}

#[test]
fn secrets_and_environment_are_by_grant_name_by_name() {
    for (mut world, is_open) in modes() {
        let (secret, site) = (shown("GET SECRET \"KEY\""), shown("GET ENV \"SITE\""));
        let both = format!("{secret}{site}");
        assert_eq!(world.says("root", &both), "[hidden],[north]");
        assert_eq!(world.says("dep", &both), if is_open { "[hidden],[north]" } else { "[],[]" });
        let change = "    KEEP SECRET \"KEY\" WITH \"other\"\n    KEEP ENV \"SITE\" WITH \"south\"\n";
        world.says("dep", change);
        assert_eq!(world.says("root", &both), if is_open { "[other],[south]" } else { "[hidden],[north]" });
        if !is_open {
            world.grant("G1", "secret/KEY/read");
            assert_eq!(world.says("dep", &both), "[hidden],[]");
            world.grant("G2", "env/SITE/write");
            world.says("dep", change);
            assert_eq!(world.says("root", &both), "[hidden],[south]");
            // It is no right to the commands that read and change them.
            assert_eq!(code(&mut world.dep, "-listEnv"), "PERMISSION_DENIED");
        }
        world.running.server.stop();
    }
}

#[test]
fn of_the_process_only_listed_names_are_seen() {
    let path = std::env::var("PATH").unwrap();
    for (settings, expected) in [
        (vec![], "[]".to_owned()),
        (vec![("LOTMQ_LOT_AUTHORITY", "broker")], "[]".to_owned()),
        (vec![("LOTMQ_LOT_PROCESS_ENV", "HOME, PATH")], format!("[{path}]")),
    ] {
        let mut world = World::new(&settings);
        assert_eq!(world.says("root", &shown("GET ENV \"PATH\"")), expected, "{settings:?}");
        world.running.server.stop();
    }
}

#[test]
fn definitions_of_other_users_run_only_with_the_right_to_run_actions() {
    for (mut world, is_open) in modes() {
        ok(
            &mut world.root,
            "-addAction DEFINE ACTION Provision\nDO\n    PUBLISH TOPIC \"out\" WITH \"called\"\n",
        );
        ok(&mut world.root, "-addModel DEFINE MODEL Made COLLAPSED\n    ADD STRING \"a\"\n");
        let call = "    CALL ACTION Provision\n";
        let publish = "    PUBLISH MODEL Made TO \"out\" WITH a = \"1\"\n";
        for (body, said) in [(call, "called"), (publish, "{\"a\":\"1\"}")] {
            let source = format!(
                "DEFINE ACTION Go\nON TOPIC \"go\" DO\n{body}    PUBLISH TOPIC \"out\" WITH \"end\"\n"
            );
            ok(&mut world.dep, &format!("-addAction -replace {source}"));
            let go = |world: &mut World| {
                world.root.publish(&Publication::new("go", "1").qos(QoS::AtLeastOnce)).unwrap()
            };
            go(&mut world);
            if !is_open {
                told(&mut world.root, "-lotDiagnostic Go", "belongs to another user");
                let rule = "-addRule -replace DEFINE RULE Runs WITH PRIORITY 100 FOR ActionManagementRun\n    IF USER IS \"dep\" THEN\n        ALLOW\n";
                ok(&mut world.root, rule);
                go(&mut world);
            }
            assert_eq!(receive(&mut world.watcher).1, said);
            assert_eq!(receive(&mut world.watcher).1, "end");
            if !is_open {
                ok(&mut world.root, "-removeRule Runs");
            }
        }
        world.running.server.stop();
    }
}

#[test]
fn a_model_is_made_of_no_text_that_another_has_changed_since() {
    for (mut world, is_open) in modes() {
        let base = |value: &str| {
            format!("-addModel DEFINE MODEL Base COLLAPSED\n    ADD STRING \"unit\" WITH {value}")
        };
        ok(&mut world.dep, &base("\"C\""));
        ok(
            &mut world.dep,
            "-addModel DEFINE MODEL Part FROM Base COLLAPSED\n    ADD STRING \"kind\" WITH \"k\"",
        );
        let whole = "-addModel DEFINE MODEL Whole FROM Part WITH TOPIC \"out\"\n    ADD INT \"v\" WITH TOPIC \"v\" AS TRIGGER";
        ok(&mut world.root, whole);
        let publish = |world: &mut World| {
            world.root.publish(&Publication::new("v", "1").qos(QoS::AtLeastOnce)).unwrap();
        };
        publish(&mut world);
        let made = receive(&mut world.watcher).1;
        assert!(made.contains("\"C\"") && made.contains("\"k\""), "{made}");
        ok(&mut world.dep, &base("GET TOPIC \"private/kept\""));
        if !is_open {
            told(&mut world.root, "-lotDiagnostic model Whole", "was changed since, and belongs to dep");
            publish(&mut world);
            // A new deployment counts as consent to the changed text.
            assert_eq!(world.says("root", ""), "");
            ok(&mut world.root, whole);
        }
        publish(&mut world);
        assert!(receive(&mut world.watcher).1.contains("\"inside\""));
        world.running.server.stop();
    }
}

#[test]
fn a_route_carries_what_its_owner_may_read_and_brings_what_he_may_publish() {
    for (mut world, is_open) in modes() {
        ok(
            &mut world.dep,
            "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD EVENT Out\n        WITH SOURCE_TOPIC \"private/out\"\n        WITH DESTINATION_TOPIC \"out\"\n    ADD EVENT In\n        WITH SOURCE_TOPIC \"open/in\"\n        WITH DESTINATION_TOPIC \"private/in\"\n    ADD EVENT Open\n        WITH SOURCE_TOPIC \"open/out\"\n        WITH DESTINATION_TOPIC \"out\"\n",
        );
        let mut watcher = world.running.client("of private");
        watcher.subscribe_to("private/in", QoS::AtMostOnce).unwrap();
        for topic in ["private/out", "open/in", "open/out"] {
            world.root.publish(&Publication::new(topic, topic).qos(QoS::AtLeastOnce)).unwrap();
        }
        if is_open {
            assert_eq!(receive(&mut world.watcher).1, "private/out");
        }
        assert_eq!(receive(&mut world.watcher).1, "open/out");
        world.root.publish(&Publication::new("private/in", "end").qos(QoS::AtLeastOnce)).unwrap();
        if is_open {
            assert_eq!(receive(&mut watcher).1, "open/in");
        }
        assert_eq!(receive(&mut watcher).1, "end");
        // A secret that the owner may not read is not set.
        ok(
            &mut world.dep,
            "-addRoute DEFINE ROUTE S WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH FAIL GET ENV \"SITE\"\n",
        );
        if !is_open {
            told(&mut world.root, "-lotDiagnostic route S", "not set: environment value 'SITE'");
            assert!(ok(&mut world.root, "-connectionStatus").contains("S (LOOPBACK): Disconnected"));
            // Nor is it told whether there is one of that name.
            for name in ["KEY", "NONE"] {
                let route = format!(
                    "-addRoute -replace DEFINE ROUTE S WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH FAIL GET SECRET \"{name}\"\n"
                );
                let reply = ok(&mut world.dep, &route);
                let told = format!(
                    "secret '{name}' is not set for this route: the rules do not let its owner read it, whether it is there or not"
                );
                assert!(reply.contains("VALUE_MISSING") && reply.contains(&told), "{reply}");
            }
        }
        world.running.server.stop();
    }
}

#[test]
fn topics_of_the_broker_start_what_their_readers_have_deployed() {
    let mut world = World::new(&[]);
    ok(
        &mut world.dep,
        "-addAction DEFINE ACTION Leak\nON TOPIC \"$SYS/#\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n",
    );
    ok(&mut world.root, "-listEnv");
    let said = world.says("root", "");
    // The reply to a command of the owner may have arrived.
    assert!(!said.contains("listEnv") && !said.contains("\"root\""), "{said}");
    world.running.server.stop();
}

#[test]
fn a_program_is_no_local_client_and_has_no_clients_name() {
    let mut world = World::new(&[]);
    ok(
        &mut world.root,
        "-addRule DEFINE RULE Local WITH PRIORITY 5 FOR UserManagementCreation\n    IF CLIENTID IS \"Go\" OR ENDPOINT IS \"unix\" OR ENDPOINT STARTS_WITH \"127.\" THEN\n        ALLOW\n",
    );
    let before = world.running.server.broker.core.counters.commands_refused.get();
    world.says("dep", "    PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-addUser evil password\"\n");
    eventually("the command is refused", || {
        world.running.server.broker.core.counters.commands_refused.get() > before
    });
    assert!(world.running.server.broker.hosting.tenants.default_tenant().users.account("evil").is_none());
    world.running.server.stop();
}
