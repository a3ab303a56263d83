//! Assets: deployed routes, modules, and installed instances of modules, with their states,
//! policies, configurations and names, over restarts and kills.

use std::net::{SocketAddr, TcpListener};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, Reply, WAIT_MAX, eventually};
use serde_json::{Value, json};

use crate::backup;
use crate::module_routes::{accept, line};
use crate::modules::{compiled, refused, scale};
use crate::{broker, next, options, send, watch};

/// A guest that has a line for each message.
const ECHO: &[u8] = include_bytes!("../../sdk/examples/route-echo/prebuilt/route-echo.wasm");

/// The example of world `rule`.
const GUARD: &[u8] = include_bytes!("../../sdk/examples/rule-guard/prebuilt/rule-guard.wasm");

/// A route that answers, with these settings of its event.
fn loopback(event: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE Up WITH TYPE LOOPBACK\n    ADD EVENT Save\n        WITH SOURCE_TOPIC \"in/+\"\n        WITH DESTINATION_TOPIC \"done/{{topic.2}}\"\n        WITH QOS 1\n{event}"
    )
}

fn publish(broker: &Broker, topic: &str, payload: &str) {
    let mut client = broker.client("");
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
}

/// Row of an asset in `-list`.
fn asset(broker: &Broker, name: &str) -> Option<Value> {
    let listed = broker.command_ok("-l");
    listed.data().as_array().unwrap().iter().find(|row| row["name"] == name).cloned()
}

pub(crate) fn state(broker: &Broker, name: &str) -> String {
    asset(broker, name).map_or_else(|| "none".to_owned(), |row| row["state"].as_str().unwrap().to_owned())
}

fn wait_for_state(broker: &Broker, name: &str, wanted: &str) {
    eventually(&format!("asset {name} that is {wanted}"), || (state(broker, name) == wanted).then_some(()));
}

fn warnings(reply: &Reply) -> String {
    reply.0["warnings"].to_string()
}

/// The next status of the asset that a Client is subscribed to, in which it has this state.
fn until_state(client: &mut Client, wanted: &str) -> Value {
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("a status");
        let status: Value = serde_json::from_slice(&message.payload).unwrap();
        if status["state"] == wanted {
            return status;
        }
    }
}

#[test]
fn a_deployed_route_is_a_running_asset_and_what_waits_while_it_is_stopped_comes_in_order() {
    let mut broker = options().start();
    broker.command_ok(&loopback(""));
    wait_for_state(&broker, "Up", "running");
    let row = asset(&broker, "Up").unwrap();
    assert_eq!(
        (&row["package"], &row["world"], &row["kind"]),
        (&"LOOPBACK".into(), &"route".into(), &"route".into())
    );
    assert_eq!((&row["restarts"], &row["lastError"]), (&0.into(), &Value::Null));
    // It has been connected since it was, not since somebody looks.
    assert_eq!(row["since"], broker.command_ok("-listRoutes").data()[0]["since"]);
    let hint = broker.command("-stopRoute Up").errors()[0]["suggestions"][0].to_string();
    assert!(hint.contains("-stop?"), "{hint}");
    let mut status = broker.root("status");
    status.subscribe_to("$SYS/Coreflux/Assets/Up", QoS::AtLeastOnce).unwrap();
    assert!(status.receive(WAIT_MAX).unwrap().unwrap().retain);

    let stopped = broker.command_ok("-stop Up");
    assert_eq!(stopped.message(), "Asset 'Up' stopped successfully!");
    assert_eq!(
        (&stopped.data()["state"], &stopped.data()["waiting"]["messages"]),
        (&"stopped".into(), &0.into())
    );
    until_state(&mut status, "stopped");
    for number in 0..5 {
        publish(&broker, "in/a", &number.to_string());
    }
    broker.wait_until_metric_is("lotmq_route_waiting", 5.0);
    let probe = broker.command("-checkRouteConnection Up");
    assert_eq!(probe.message(), "Route 'Up' is not reachable: it is stopped; -run Up starts it");
    assert_eq!(
        broker.command_ok("-connectionStatus").message(),
        "Up (LOOPBACK): Disconnected, Red: it is stopped; -run Up starts it"
    );
    // A replacement is not started either.
    broker.command_ok(&loopback(""));
    assert_eq!(state(&broker, "Up"), "stopped");
    broker.kill();
    broker.start_again();
    assert_eq!(state(&broker, "Up"), "stopped");
    broker.wait_until_metric_is("lotmq_route_waiting", 5.0);
    let mut answers = watch(&broker, "done/#");
    for number in 5..8 {
        publish(&broker, "in/a", &number.to_string());
    }
    broker.wait_until_metric_is("lotmq_route_waiting", 8.0);
    assert_eq!(broker.metric("lotmq_route_delivered_total"), Some(0.0));
    assert_eq!(broker.command_ok("-run Up").message(), "Asset 'Up' started successfully!");
    for number in 0..8 {
        assert_eq!(next(&mut answers), format!("done/a={number}"));
    }
    wait_for_state(&broker, "Up", "running");
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    broker.kill();
    broker.start_again();
    wait_for_state(&broker, "Up", "running");
    let mut status = broker.root("status");
    status.subscribe_to("$SYS/Coreflux/Assets/Up", QoS::AtLeastOnce).unwrap();
    next(&mut status);
    broker.command_ok("-removeRoute Up");
    assert_eq!(next(&mut status), "$SYS/Coreflux/Assets/Up=");
    assert_eq!(asset(&broker, "Up"), None);
    // The order to stop it went with the route.
    broker.command_ok(&loopback(""));
    wait_for_state(&broker, "Up", "running");
}

#[test]
fn outbox_of_a_stopped_route_keeps_its_limits() {
    let broker = options().start();
    let bounded = |settings: &str| {
        loopback("").replace("    ADD EVENT", &format!("    ADD ROUTE_CONFIG\n{settings}    ADD EVENT"))
    };
    broker.command_ok(&bounded("        WITH BUFFER_TTL_SEC 1\n"));
    broker.command_ok("-stop Up");
    publish(&broker, "in/old", "x");
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    let letters = broker.command_ok("-listDeadLetters Up");
    assert_eq!(letters.data()["letters"][0]["reason"], "it waited for longer than BUFFER_TTL_SEC");
    // Without a queue, the route sheds and counts messages that come meanwhile.
    broker.command_ok(&bounded(
        "        WITH BUFFER_MODE \"none\"\n        WITH OVERLOAD_POLICY \"realtime\"\n",
    ));
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    let before = broker.command_ok("-listRoutes").data()[0]["failed"].as_u64().unwrap();
    publish(&broker, "in/shed", "x");
    eventually("a message that is shed", || {
        let failed = broker.command_ok("-listRoutes").data()[0]["failed"].as_u64().unwrap();
        (failed > before).then_some(())
    });
}

#[test]
fn a_stopped_module_is_not_triggered_and_stays_so() {
    let mut broker = broker();
    broker.command_ok(&format!(
        "-addModule scale -world action -on raw/# -grantAll -version 3 wasm64:{}",
        scale()
    ));
    let row = asset(&broker, "scale").unwrap();
    assert_eq!(
        (&row["kind"], &row["state"], &row["package"], &row["version"], &row["world"]),
        (&"module".into(), &"running".into(), &"scale".into(), &"3".into(), &"action".into())
    );
    assert_eq!(broker.command_ok("-S scale").data()["state"], "stopped");
    assert_eq!(broker.command_ok("-moduleInfo scale").data()["state"], "disabled");
    send(&broker, "raw/a", "10");
    broker.kill();
    broker.start_again();
    assert_eq!(state(&broker, "scale"), "stopped");
    let mut after = watch(&broker, "scaled/#");
    send(&broker, "raw/a", "20");
    assert_eq!(broker.command_ok("-R scale").data()["state"], "running");
    send(&broker, "raw/a", "30");
    assert_eq!(next(&mut after), "scaled/a=3");
    let refused = broker.command("-uninstall scale");
    assert_eq!(refused.code(), "NOT_INSTALLED");
    assert_eq!(
        refused.message(),
        "Asset 'scale' was not installed, but is there by itself. -removeModule scale removes it."
    );
}

#[test]
fn two_instances_of_a_module_have_names_configurations_and_states_of_their_own() {
    let mut broker = broker();
    broker.command_ok(&format!(
        "-addModule scale -world action -on raw/# -grantAll -config 7 wasm64:{}",
        scale()
    ));
    broker.command_ok("-stop scale");
    let first = broker.command_ok("-install scale");
    assert_eq!(first.message(), "Asset 'scale-2' installed successfully!");
    assert_eq!((&first.0["entityType"], &first.data()["state"]), (&"Asset".into(), &"stopped".into()));
    broker.command_ok("-I scale -name right");
    broker.command_ok("-asset-name-set scale-2 left");
    assert_eq!(asset(&broker, "scale-2"), None);
    let row = asset(&broker, "left").unwrap();
    assert_eq!(
        (&row["package"], &row["kind"], &row["state"]),
        (&"scale".into(), &"instance".into(), &"stopped".into())
    );
    // The configuration of the module is its owner's and not theirs.
    assert_eq!(*broker.command_ok("-asset-config-load left").data(), json!({}));
    broker.command_ok("-asset-config-save left 0.5");
    broker.command_ok("-asset-config-save right 2");
    broker.command_ok("-run left");
    broker.command_ok("-run right");
    let both = |broker: &Broker| {
        let mut scaled = watch(broker, "scaled/#");
        send(broker, "raw/a", "10");
        let mut found = [next(&mut scaled), next(&mut scaled)];
        found.sort();
        found
    };
    assert_eq!(both(&broker), ["scaled/a=20", "scaled/a=5"]);
    broker.kill();
    broker.start_again();
    assert_eq!(both(&broker), ["scaled/a=20", "scaled/a=5"]);
    broker.command_ok("-stop right");
    let mut scaled = watch(&broker, "scaled/#");
    send(&broker, "raw/b", "10");
    send(&broker, "raw/c", "10");
    assert_eq!([next(&mut scaled), next(&mut scaled)], ["scaled/b=5", "scaled/c=5"]);

    // They follow their module, and are told of where it is to go.
    let replaced = broker.command_ok(&format!(
        "-addModule scale -replace -disabled -version 4 -world action -on raw/# -grantAll wasm64:{}",
        scale()
    ));
    assert!(!warnings(&replaced).contains("INSTANCE_NOT_FOLLOWED"), "{replaced:?}");
    let row = asset(&broker, "left").unwrap();
    assert_eq!((&row["version"], &row["state"]), (&"4".into(), &"running".into()));
    assert_eq!(asset(&broker, "right").unwrap()["state"], "stopped");
    send(&broker, "raw/d", "10");
    assert_eq!(next(&mut scaled), "scaled/d=5");
    let used = broker.command("-removeModule scale");
    assert_eq!(
        (used.code(), used.message()),
        ("IN_USE", "Module 'scale' is used by asset 'left' and 1 more. Use -force.")
    );
    let taken = broker.command(&format!("-addModule left -world action wasm64:{}", scale()));
    assert_eq!(taken.code(), "MODULE_EXISTS");
    assert_eq!(broker.command("-removeModule left").code(), "MODULE_NOT_FOUND");

    let gone = broker.command("-uninstall-multiple right nobody");
    assert_eq!(gone.message(), "1 of 2 asset(s) uninstalled.");
    assert_eq!(
        *gone.data(),
        json!([{"name":"right","success":true},{"name":"nobody","success":false,"code":"NOT_FOUND"}])
    );
    broker.command_ok("-removeModule scale -force");
    assert_eq!(asset(&broker, "left"), None);
    broker.kill();
    broker.start_again();
    assert_eq!(broker.command_ok("-list").message(), "No assets found.");
}

#[test]
fn a_used_instance_is_uninstalled_by_force_only() {
    let broker = broker();
    broker.command_ok(&format!("-addModule scale -world action -grantAll wasm64:{}", scale()));
    broker.command_ok("-installWithToken scale secret-token -name tenth");
    broker.command_ok("-run tenth");
    broker.command_ok("-addAction DEFINE ACTION Caller\nON TOPIC \"in\" DO\n    CALL MODULE \"tenth.scale\" WITH (raw = 20) RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH {r}\n");
    let mut out = watch(&broker, "out");
    send(&broker, "in", "");
    assert_eq!(next(&mut out), "out=2");
    let used = broker.command("-uninstall tenth");
    assert_eq!(
        (used.code(), used.message()),
        ("IN_USE", "Asset 'tenth' is used by action 'Caller'. Use -force.")
    );
    assert_eq!(broker.command("-asset-name-set tenth other").code(), "IN_USE");
    let gone = broker.command_ok("-uninstall-with-token tenth secret-token -force");
    assert!(warnings(&gone).contains("TOKEN_IGNORED"), "{gone:?}");
    assert_eq!(asset(&broker, "tenth"), None);
}

/// A program that runs for longer than a millisecond.
fn long() -> String {
    let work = "        SET \"t\" WITH \"a\" + {i} + \"b\" + {i} + \"c\"\n".repeat(10);
    compiled(&format!(
        "DEFINE ACTION Long\nON TOPIC \"raw/+\" DO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {{i}} + 1\n{work}    UNTIL {{i}} > 30000\n    \
         PUBLISH TOPIC \"scaled/up\" WITH {{i}}\n"
    ))
}

#[test]
fn time_and_memory_of_a_policy_end_a_run_and_never_give_more() {
    let mut broker = broker();
    broker.command_ok(&format!("-addModule long -world action -time 1000 wasm64:{}", long()));
    let mut errors = broker.root("errors");
    errors.subscribe_to("$SYS/Coreflux/Modules/long/Error", QoS::AtLeastOnce).unwrap();
    assert!(
        warnings(&broker.command_ok("-asset-policy-set long time 5000")).contains("POLICY_WITHOUT_EFFECT")
    );
    broker.command_ok("-asset-policy-set long time 2");
    broker.kill();
    broker.start_again();
    assert_eq!(asset(&broker, "long").unwrap()["policies"]["time"], 2);
    let mut errors = broker.root("errors");
    errors.subscribe_to("$SYS/Coreflux/Modules/long/Error", QoS::AtLeastOnce).unwrap();
    send(&broker, "raw/a", "1");
    let error = next(&mut errors);
    assert!(error.contains("GUEST_TIME") && error.contains("longer than 2 ms"), "{error}");
    broker.command_ok("-asset-policy-set long time default");
    broker.command_ok("-asset-policy-set long memory 1");
    let mut errors = broker.root("errors");
    errors.subscribe_to("$SYS/Coreflux/Modules/long/Error", QoS::AtLeastOnce).unwrap();
    send(&broker, "raw/a", "2");
    let error = eventually("a run that needs more memory", || {
        Some(next(&mut errors))
            .filter(|error| error.contains("GUEST_START") || error.contains("GUEST_MEMORY"))
    });
    assert!(error.contains("long"), "{error}");
    // A route of a shipped type has its bounds, too.
    broker.command_ok(&loopback(""));
    wait_for_state(&broker, "Up", "running");
    broker.command_ok("-asset-policy-set Up memory 1");
    wait_for_state(&broker, "Up", "starting");
    broker.command_ok("-asset-policy-set Up memory default");
    wait_for_state(&broker, "Up", "running");
}

#[test]
fn restart_policy_never_keeps_a_failed_asset_down_until_run() {
    let broker = broker();
    broker.command_ok(&format!("-addModule long -world action -time 1 wasm64:{}", long()));
    broker.command_ok("-asset-policy-set long restart never");
    let traps = || broker.command_ok("-moduleInfo long").data()["traps"].as_u64().unwrap();
    publish(&broker, "raw/a", "1");
    wait_for_state(&broker, "long", "failed");
    publish(&broker, "raw/a", "2");
    assert_eq!(traps(), 1);
    assert_eq!(
        asset(&broker, "long").unwrap()["lastError"].as_str().map(|text| text.contains("1 ms")),
        Some(true)
    );
    broker.command_ok("-run long");
    eventually("the message that waited", || (traps() == 2).then_some(()));
    wait_for_state(&broker, "long", "failed");

    broker.command_ok(&loopback("        WITH FAIL \"{payload.json.fail}\"\n"));
    broker.command_ok("-asset-policy-set Up restart never");
    wait_for_state(&broker, "Up", "running");
    publish(&broker, "in/a", r#"{"fail":"reconnect"}"#);
    wait_for_state(&broker, "Up", "failed");
    let reason = asset(&broker, "Up").unwrap()["lastError"].as_str().unwrap().to_owned();
    assert!(reason.ends_with("; its policy restart is never"), "{reason}");
    broker.wait_until_metric_is("lotmq_route_waiting", 1.0);
    let mut answers = watch(&broker, "done/#");
    broker.command_ok(&loopback(""));
    assert_eq!(next(&mut answers), r#"done/a={"fail":"reconnect"}"#);
    // An always restarted route also retries after an error that only people can correct.
    broker.command_ok(&loopback("        WITH FAIL \"{payload.json.fail}\"\n"));
    broker.command_ok("-asset-policy-set Up restart always");
    wait_for_state(&broker, "Up", "running");
    publish(&broker, "in/a", r#"{"fail":"fatal"}"#);
    eventually("a route that comes back", || {
        asset(&broker, "Up").unwrap()["restarts"].as_u64().filter(|restarts| *restarts > 1)
    });
    broker.command_ok("-asset-policy-set Up restart default");
    wait_for_state(&broker, "Up", "failed");
}

#[test]
fn orders_policies_and_instances_are_in_a_backup() {
    let broker = broker();
    broker.command_ok(&loopback(""));
    broker.command_ok("-stop Up");
    broker.command_ok("-asset-policy-set Up memory 16");
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    broker.command_ok("-install scale -name one");
    broker.command_ok("-asset-config-save one 3");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.zip");
    backup::run_ok("backup", &broker, &file, &[]);
    let other = crate::broker();
    backup::run_ok("restore", &other, &file, &["--yes"]);
    backup::until_back(&other);
    let route = asset(&other, "Up").unwrap();
    assert_eq!((&route["state"], &route["policies"]["memory"]), (&"stopped".into(), &16.into()));
    assert_eq!(asset(&other, "one").unwrap()["package"], "scale");
    assert_eq!(*other.command_ok("-asset-config-load one").data(), json!(3));
}

#[test]
fn asset_without_autostart_waits_for_run_after_a_restart() {
    let mut broker = broker();
    broker.command_ok(&loopback(""));
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    broker.command_ok("-install scale -name one");
    for name in ["Up", "scale", "one"] {
        broker.command_ok(&format!("-run {name}"));
        broker.command_ok(&format!("-asset-policy-set {name} autostart false"));
        wait_for_state(&broker, name, "running");
    }
    broker.kill();
    broker.start_again();
    for name in ["Up", "scale", "one"] {
        assert_eq!(state(&broker, name), "stopped", "{name}");
        broker.command_ok(&format!("-run {name}"));
        wait_for_state(&broker, name, "running");
    }
}

#[test]
fn topics_of_a_policy_bound_what_starts_an_asset_and_what_it_writes() {
    let broker = broker();
    broker.command_ok(&loopback(""));
    broker.command_ok("-asset-policy-set Up topics \"in/a, done/#\"");
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    broker.command_ok("-asset-policy-set scale topics raw/a,scaled/a");
    let mut watcher = watch(&broker, "done/#");
    watcher.subscribe_to("scaled/#", QoS::AtLeastOnce).unwrap();
    for number in 1..3 {
        publish(&broker, "in/b", "x");
        publish(&broker, "in/a", &number.to_string());
        assert_eq!(next(&mut watcher), format!("done/a={number}"));
        send(&broker, "raw/b", "10");
        send(&broker, "raw/a", "10");
        assert_eq!(next(&mut watcher), "scaled/a=1");
    }
    let listed = broker.command_ok("-list").data().clone();
    let row = |name: &str| listed.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!((&row("Up")["refusedByPolicy"], &row("scale")["refusedByPolicy"]), (&2.into(), &2.into()));
    assert_eq!(broker.metric("lotmq_route_policy_refused_total"), Some(2.0));
    assert_eq!(broker.metric("lotmq_definition_policy_refused_total"), Some(2.0));
    let told = "policy topics of a module refuses a message";
    assert_eq!(broker.log().text().matches(told).count(), 1);
    assert_eq!(broker.log().text().matches("policy topics of a route refuses a message").count(), 1);
    // Both directions.
    broker.command_ok("-asset-policy-set scale topics raw/a");
    send(&broker, "raw/a", "10");
    refused(&broker, "write:scaled/a");
    broker.command_ok("-asset-policy-set scale topics default");
    send(&broker, "raw/b", "20");
    assert_eq!(next(&mut watcher), "scaled/b=2");
}

pub(crate) fn at_home() -> BrokerOptions {
    options().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
}

pub(crate) fn echo(options: &str) -> String {
    format!("-addModule echo -world route {options} wasm64:{}", STANDARD.encode(ECHO))
}

/// A route of a module to a place.
pub(crate) fn line_of(module: &str, far: SocketAddr) -> String {
    format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"{module}\"\n    ADD ECHO_CONFIG\n        WITH HOST \"{}\"\n        WITH PORT {}\n    \
         ADD EVENT Out\n        WITH SOURCE_TOPIC \"out/#\"\n",
        far.ip(),
        far.port()
    )
}

#[test]
fn a_route_runs_an_instance_whose_configuration_and_policies_are_its_own() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    let mut broker = at_home().start();
    broker.command_ok(&echo("-grant endpoint:127.0.0.1:*"));
    broker.command_ok("-install echo -name other");
    broker.command_ok(&line_of("other", address));
    wait_for_state(&broker, "Line", "failed");
    publish(&broker, "out/1", "waited");
    broker.command_ok("-run other");
    let (_stream, mut lines) = accept(&far);
    assert_eq!(line(&mut lines), "waited");
    assert_eq!(asset(&broker, "Line").unwrap()["package"], "other");

    // A setting that the route does not say is that of the instance, which is opened anew with it.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = elsewhere.local_addr().unwrap();
    broker.command_ok(
        &line_of("other", address)
            .replace("    ADD EVENT", "        WITH ALLOW_HOSTS \"127.0.0.1:*\"\n    ADD EVENT"),
    );
    assert_eq!(line(&mut lines), "");
    let (_stream, mut lines) = accept(&far);
    let config = json!({"sections": {"ECHO_CONFIG": {"HOW": format!("to={there}"), "TOKEN": "t0p"}}});
    broker.command_ok(&format!("-asset-config-save other {config}"));
    assert_eq!(line(&mut lines), "");
    let (_stream, mut lines) = accept(&elsewhere);
    publish(&broker, "out/1", "elsewhere");
    assert_eq!(line(&mut lines), "elsewhere");
    let loaded = broker.command_ok("-asset-config-load other");
    let section = &loaded.data()["sections"]["ECHO_CONFIG"];
    assert_eq!((&section["HOW"], &section["TOKEN"]), (&format!("to={there}").into(), &"****".into()));
    broker.command_ok("-asset-config-save other {}");
    let (_stream, _lines) = accept(&far);
    broker.command_ok(&line_of("other", address));
    let (_stream, _lines) = accept(&far);

    // The policies are those of the instance and of the route, and narrow what the module was
    // granted.
    let mut connections = Vec::new();
    for name in ["Line", "other"] {
        let elsewhere = format!("-asset-policy-set {name} net 127.0.0.1:1");
        broker.command_ok(&elsewhere);
        wait_for_state(&broker, "Line", "failed");
        let reason = asset(&broker, "Line").unwrap()["lastError"].clone();
        assert_eq!(reason, format!("ECHO_CONFIG: policy net does not name {address}"), "{name}");
        broker.command_ok(&format!("-asset-policy-set {name} net {address}"));
        connections.push(accept(&far));
        wait_for_state(&broker, "Line", "running");
    }
    broker.kill();
    broker.start_again();
    let (_stream, _lines) = accept(&far);
    assert_eq!(asset(&broker, "other").unwrap()["policies"]["net"], json!([address.to_string()]));
    assert_eq!(broker.command("-uninstall other").code(), "IN_USE");
}

/// The component with a manifest.
fn with_manifest(json: &str) -> String {
    let component = compiled("DEFINE ACTION Idle\nON TOPIC \"idle\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n");
    let mut component = STANDARD.decode(component).unwrap();
    let name = b"lotmq:manifest";
    let mut len = 1 + name.len() + json.len();
    component.push(0);
    while len >= 0x80 {
        component.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
        len >>= 7;
    }
    component.push(u8::try_from(len).unwrap());
    component.push(u8::try_from(name.len()).unwrap());
    component.extend_from_slice(name);
    component.extend_from_slice(json.as_bytes());
    STANDARD.encode(component)
}

#[test]
fn a_configuration_is_what_the_schema_of_its_package_says() {
    let mut broker = broker();
    let schema = json!({
        "description": "Watches a line.", "additionalProperties": false,
        "properties": {
            "rate": {"type": "integer", "minimum": 1, "default": 10, "description": "readings in a second"},
            "pin": {"type": "string", "writeOnly": true},
        },
    });
    let manifest = json!({ "asks": [], "description": "An example.", "configuration": schema });
    broker.command_ok(&format!(
        "-addModule idle -world action wasm64:{}",
        with_manifest(&manifest.to_string())
    ));
    assert_eq!(*broker.command_ok("-asset-schema idle").data(), schema);
    assert_eq!(*broker.command_ok("-asset-default-config idle").data(), json!({"rate":10}));
    let help = broker.command_ok("-assetHelp idle");
    let help = help.data().as_str().unwrap();
    assert!(help.starts_with("An example.\nWatches a line.\n"), "{help}");
    assert!(help.contains("rate: integer, from 1, default 10: readings in a second"), "{help}");
    broker.command_ok("-install idle -name one");
    assert_eq!(*broker.command_ok("-asset-config-load one").data(), json!({"rate":10}));
    for (config, reason) in [
        (r#"{"rate": 0}"#, "rate is '0', which is not a whole number from 1"),
        (r#"{"rat": 5}"#, "rat is not known; did you mean rate?"),
    ] {
        let refused = broker.command(&format!("-asset-config-save one {config}"));
        assert_eq!(
            (refused.code(), refused.message()),
            ("CONFIG_INVALID", &*format!("The configuration is not valid: {reason}."))
        );
        let module = with_manifest(&manifest.to_string());
        let config = config.replace(' ', "");
        let added = format!("-addModule other -world action -config {config} wasm64:{module}");
        assert_eq!(broker.command(&added).code(), "CONFIG_INVALID");
    }
    assert_eq!(broker.command("-asset-config-save one {").code(), "JSON_INVALID");
    for name in ["one", "idle"] {
        broker.command_ok(&format!("-asset-config-save {name} {{\"pin\": \"1234\"}}"));
        assert_eq!(
            *broker.command_ok(&format!("-asset-config-load {name}")).data(),
            json!({"rate":10,"pin":"****"})
        );
    }
    // A masked value that comes back keeps its stored value.
    broker.command_ok("-asset-config-save one {\"pin\": \"****\", \"rate\": 3}");
    broker.kill();
    broker.start_again();
    assert_eq!(*broker.command_ok("-asset-config-load one").data(), json!({"rate":3,"pin":"****"}));
    assert_eq!(*broker.command_ok("-asset-config-load idle").data(), json!({"rate":10,"pin":"****"}));
    let bad = json!({ "asks": [], "configuration": {"format": "x"} }).to_string();
    let refused = broker.command(&format!("-addModule bad -world action wasm64:{}", with_manifest(&bad)));
    assert_eq!(refused.code(), "MANIFEST_INVALID", "{refused:?}");
}

#[test]
fn shipped_types_are_in_the_catalogue_and_need_no_installation() {
    let broker = broker();
    broker.command_ok(&loopback(""));
    let listed = broker.command_ok("-L");
    let row = |package: &str| {
        listed.data().as_array().unwrap().iter().find(|row| row["package"] == package).cloned().unwrap()
    };
    assert_eq!((&row("LOOPBACK")["kind"], &row("LOOPBACK")["assets"]), (&"shipped".into(), &1.into()));
    assert_eq!(row("MODBUS_TCP")["assets"], 0);
    let refused = broker.command("-install modbus_tcp");
    assert_eq!(refused.code(), "NOTHING_TO_INSTALL");
    assert_eq!(
        refused.message(),
        "'MODBUS_TCP' needs no installation: each route of this type is an asset, by its own name."
    );
    let help = broker.command_ok("-asset-help loopback");
    assert!(help.data().as_str().unwrap().contains("DEFINE ROUTE"), "{help:?}");
    assert!(broker.command_ok("-asset-schema Up").data().is_object());
    let schema = broker.command_ok("-asset-schema POSTGRESQL").data().clone();
    let sections = &schema["properties"]["sections"];
    assert_eq!(sections["required"], json!(["SQL_CONFIG"]));
    let section = &sections["properties"]["SQL_CONFIG"]["properties"];
    let pool = json!({ "type": "integer", "minimum": 1, "maximum": 64, "default": 4 });
    assert_eq!((&section["POOL_SIZE"], &section["PORT"]["default"]), (&pool, &5432.into()));
    assert_eq!(section["SERVER"]["description"], "needed without CONNECTION_STRING; also HOST, IP, ADDRESS");
    assert_eq!(schema["properties"]["events"]["additionalProperties"]["required"], json!(["SOURCE_TOPIC"]));
    let loaded = broker.command_ok("-asset-config-load Up");
    assert_eq!(loaded.data()["events"]["Save"]["SOURCE_TOPIC"], "in/+", "{loaded:?}");
    let refused = broker.command("-asset-config-save Up {}");
    assert_eq!(
        (refused.code(), refused.message()),
        ("CONFIG_OF_TEXT", "The configuration of route 'Up' is its text. Change it with -addRoute.")
    );
    assert_eq!(broker.command("-asset-name-set Up Down").code(), "NAME_FIXED");
    assert_eq!(broker.command("-uninstall Up").code(), "NOT_INSTALLED");
}

#[test]
fn route_and_module_of_one_name_are_distinguished() {
    let broker = broker();
    broker.command_ok(&loopback("").replace("ROUTE Up", "ROUTE scale"));
    assert_eq!(asset(&broker, "scale").unwrap()["kind"], "route");
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    assert_eq!(asset(&broker, "scale").unwrap()["kind"], "module");
    assert_eq!(broker.command_ok("-stop route:scale").data()["kind"], "route");
    assert_eq!(
        (state(&broker, "scale"), state(&broker, "route:scale")),
        ("running".to_owned(), "stopped".to_owned())
    );
}

#[test]
fn log_lines_of_an_asset_are_at_its_topic() {
    let broker = broker();
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    let mut root = broker.root("log");
    root.subscribe_to("$SYS/Coreflux/Assets/scale/Log", QoS::AtLeastOnce).unwrap();
    send(&broker, "raw/s", "no number");
    let message = root.receive(WAIT_MAX).unwrap().unwrap();
    let line: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((&line["level"], message.retain), (&"warn".into(), false));
    assert_eq!(line["text"], "1 readings could not be read so far");
}

#[test]
fn a_rule_whose_module_is_stopped_denies() {
    let broker = broker();
    let guard =
        wit_component::ComponentEncoder::default().module(GUARD).unwrap().validate(true).encode().unwrap();
    broker.command_ok(&format!("-addModule guard -world rule -grantAll wasm64:{}", STANDARD.encode(guard)));
    broker.command_ok("-addRule DEFINE RULE Guarded WITH PRIORITY 100 FOR Publish TO TOPIC \"plant/#\"\n    IF MODULE \"guard\" THEN\n        ALLOW\n");
    let may = || {
        let mut client = broker.connect(&ConnectOptions::v5("asker"));
        let answered = client.publish(&Publication::new("plant/a", "x").qos(QoS::AtLeastOnce));
        !answered.unwrap().is_failure()
    };
    assert!(may());
    broker.command_ok("-stop guard");
    assert_eq!(state(&broker, "guard"), "stopped");
    assert!(!may(), "a rule fails closed");
    broker.command_ok("-run guard");
    assert!(may());
}

#[test]
fn each_command_asks_for_its_right() {
    let broker = broker();
    broker.command_ok(&loopback(""));
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    for (user, flag) in [("keeper", "AllowedAssetManipulation"), ("clerk", "AllowedUserManagement")] {
        broker.command_ok(&format!("-addUser {user} pw"));
        broker.command_ok(&format!("-changeUserSettings {user} {flag} true"));
    }
    broker.command_ok("-changeUserSettings keeper AllowedUserManagement true");
    for (verb, arguments) in [
        ("install", "scale -name mine"),
        ("run", "mine"),
        ("stop", "mine"),
        ("assetConfigSave", "mine 3"),
        ("assetConfigLoad", "mine"),
        ("assetPolicySet", "mine memory 16"),
        ("assetNameSet", "mine ours"),
        ("uninstall", "ours"),
        ("installWithToken", "scale t -name mine"),
        ("uninstallWithToken", "mine t"),
    ] {
        let command = format!("-{verb} {arguments}");
        let refused = broker.command_as(("clerk", "pw"), &command);
        assert_eq!(refused.code(), "PERMISSION_DENIED", "{command}");
        let done = broker.command_as(("keeper", "pw"), &command);
        assert!(done.success(), "{command}: {done:?}");
    }
    assert_eq!(broker.command_as(("clerk", "pw"), "-uninstall-multiple a").code(), "PERMISSION_DENIED");
    for command in
        ["-list", "-listAvailable", "-asset-schema scale", "-asset-help scale", "-asset-default-config scale"]
    {
        assert!(broker.command_as(("clerk", "pw"), command).success(), "{command}");
    }
    // The broker leaves an asset of another user alone unless the command has `-force`.
    let refused = broker.command_as(("keeper", "pw"), "-stop Up");
    assert_eq!((refused.code(), state(&broker, "Up")), ("OF_ANOTHER", "running".to_owned()));
    assert!(broker.command_as(("keeper", "pw"), "-stop Up -force").success());
    // Only root may use a module that decides about the rights of others.
    let guard =
        wit_component::ComponentEncoder::default().module(GUARD).unwrap().validate(true).encode().unwrap();
    broker.command_ok(&format!("-addModule guard -world rule -grantAll wasm64:{}", STANDARD.encode(guard)));
    assert_eq!(broker.command_as(("keeper", "pw"), "-install guard").code(), "PERMISSION_DENIED");
    assert_eq!(
        broker.command_as(("keeper", "pw"), "-asset-policy-set guard memory 1 -force").code(),
        "PERMISSION_DENIED"
    );
}

#[test]
fn wrong_arguments_are_answered_by_name() {
    let broker = broker();
    broker.command_ok(&format!("-addModule scale -world action -version 1 wasm64:{}", scale()));
    for (command, code, message) in [
        ("-run", "MISSING_ARGUMENT", "Missing argument: asset. Usage: -run <asset> [-force]"),
        ("-run scal", "NOT_FOUND", "Asset 'scal' not found."),
        ("-stop a b", "TOO_MANY_ARGUMENTS", "Too many arguments. Usage: -stop <asset> [-force]"),
        ("-install scall", "NOT_FOUND", "There is no module 'scall'."),
        ("-install scale 2", "VERSION_NOT_FOUND", "Module 'scale' has version '1', not '2'."),
        ("-install scale -name Bad_Name", "ASSET_NAME_INVALID", "Asset name 'Bad_Name' is invalid."),
        ("-install scale -name scale", "ASSET_EXISTS", "An asset with the name 'scale' already exists."),
        (
            "-install scale -name",
            "MISSING_ARGUMENT",
            "Missing argument: value of -name. Usage: -install <module> [version] [-name <name>]",
        ),
        (
            "-asset-policy-set scale memory 65",
            "POLICY_INVALID",
            "Policy 'memory' takes a whole number from 1 to 64, or default, not '65'.",
        ),
        (
            "-asset-policy-set scale time 0",
            "POLICY_INVALID",
            "Policy 'time' takes a whole number from 1 to 10000, or default, not '0'.",
        ),
        (
            "-asset-policy-set scale restart maybe",
            "POLICY_INVALID",
            "Policy 'restart' takes always, on-failure or never, or default, not 'maybe'.",
        ),
        (
            "-asset-policy-set scale autostart yes",
            "POLICY_INVALID",
            "Policy 'autostart' takes true or false, or default, not 'yes'.",
        ),
        (
            "-asset-policy-set scale net nowhere",
            "POLICY_INVALID",
            "Policy 'net' takes places as host:port with commas between them, or default, not 'nowhere'.",
        ),
        (
            "-asset-policy-set scale topics a/#/b",
            "POLICY_INVALID",
            "Policy 'topics' takes topic filters with commas between them, or default, not 'a/#/b'.",
        ),
        (
            "-asset-policy-set scale speed 3",
            "POLICY_UNKNOWN",
            "There is no policy 'speed'. Policies are restart, autostart, memory, time, net and topics.",
        ),
        (
            "-asset-config-save scale",
            "MISSING_ARGUMENT",
            "Missing argument: json. Usage: -assetConfigSave <asset> [-force] <json>",
        ),
        ("-asset-schema nothing", "NOT_FOUND", "Asset 'nothing' not found."),
        ("-i scale", "UNKNOWN_COMMAND", "Unknown command: -i"),
    ] {
        let reply = broker.command(command);
        assert_eq!((reply.code(), reply.message()), (code, message), "{command}");
    }
    let near = broker.command("-run scal");
    assert_eq!(near.errors()[0]["suggestions"][0], "did you mean 'scale'? -list lists all");
    broker.command_ok("-install scale 1");
    let mut anybody = broker.connect(&ConnectOptions::v5("anybody"));
    assert!(anybody.subscribe_to("$SYS/Coreflux/Assets/#", QoS::AtMostOnce).unwrap().is_failure());
}
