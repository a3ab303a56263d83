//! Settings of routes whose values come from the environment and from secrets, alone and joined to
//! texts (routes reference §1.2).

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, eventually, free_port};
use serde_json::Value;

use crate::{broker, next, send, watch};

/// Row of a route in `-listRoutes`.
fn row(broker: &Broker, name: &str) -> Value {
    let rows = broker.command_ok("-listRoutes").data().clone();
    rows.as_array().unwrap().iter().find(|row| row["name"] == name).cloned().unwrap()
}

/// Waits until a route stands so.
fn wait_until(broker: &Broker, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually("the route stands so", || Some(row(broker, name)).filter(&is_so))
}

fn is_connected(row: &Value) -> bool {
    row["connection"] == "Connected"
}

/// Waits until a route stands still with this reason.
fn stands_still(broker: &Broker, name: &str, reason: &str) {
    wait_until(broker, name, |row| {
        row["connection"] == "Disconnected"
            && row["reason"].as_str().is_some_and(|told| told.contains(reason))
    });
}

#[test]
fn texts_and_values_are_joined_and_placeholders_in_them_filled() {
    let broker = broker();
    broker.command_ok("-setEnv SITE=hq{topic.1}");
    broker.command_ok("-setSecret KEY=plant-7734");
    broker.command_ok(
        "-addRoute DEFINE ROUTE Joined WITH TYPE LOOPBACK
    ADD EVENT All
        WITH SOURCE_TOPIC \"in/\" + \"+\"
        WITH DESTINATION_TOPIC \"site/\" + GET ENV \"SITE\" + \"/{topic.2}/\" + GET SECRET \"KEY\"
    ADD EVENT Bad
        WITH SOURCE_TOPIC \"bad/+\"
        WITH ERROR_TOPIC \"errors/\" + GET ENV \"SITE\" + \"/{topic.2}\"
        WITH FAIL \"re\" + \"ject\"",
    );
    let mut answers = watch(&broker, "site/#");
    let mut errors = watch(&broker, "errors/#");
    wait_until(&broker, "Joined", is_connected);
    send(&broker, "in/a", "5");
    // A value is text, whatever stands in it.
    assert_eq!(next(&mut answers), "site/hq{topic.1}/a/plant-7734=5");
    send(&broker, "bad/b", "6");
    assert!(next(&mut errors).starts_with("errors/hq{topic.1}/b={"));

    broker.command_ok("-setEnv SITE=branch");
    eventually("the new value", || {
        send(&broker, "in/c", "7");
        let answer = next(&mut answers);
        (answer == "site/branch/c/plant-7734=7").then_some(())
    });
}

#[test]
fn route_waits_until_values_of_its_message_templates_are_set() {
    let broker = broker();
    broker.command_ok(
        "-addRoute DEFINE ROUTE Filled WITH TYPE LOOPBACK
    ADD EVENT All
        WITH SOURCE_TOPIC \"in/+\"
        WITH DESTINATION_TOPIC \"out/{secret.LINE}/{env.SITE}\"",
    );
    stands_still(&broker, "Filled", "not set: secret 'LINE', environment value 'SITE'");
    send(&broker, "in/a", "1");
    broker.command_ok("-setEnv SITE=hq");
    stands_still(&broker, "Filled", "not set: secret 'LINE'");
    let mut answers = watch(&broker, "out/#");
    broker.command_ok("-setSecret LINE=line-four");
    assert_eq!(next(&mut answers), "out/line-four/hq=1");
    broker.command_ok("-removeSecret LINE");
    stands_still(&broker, "Filled", "not set: secret 'LINE'");
    send(&broker, "in/b", "2");
    broker.command_ok("-setSecret LINE=line-five");
    assert_eq!(next(&mut answers), "out/line-five/hq=2");
    assert_eq!(row(&broker, "Filled")["deadLetters"], 0);
}

#[test]
fn the_brokers_own_settings_of_a_route_follow_their_values() {
    let broker = broker();
    for pair in ["BYTES=2000", "MODE=Memory", "POLICY=realtime", "MANY=3", "ROWS=5"] {
        broker.command_ok(&format!("-setEnv {pair}"));
    }
    broker.command_ok(
        "-addRoute DEFINE ROUTE Own WITH TYPE LOOPBACK
    ADD LOOPBACK_CONFIG
        WITH MAX_ROWS GET ENV \"ROWS\"
    ADD ROUTE_CONFIG
        WITH BUFFER_MODE GET ENV \"MODE\"
        WITH BUFFER_MAX_BYTES GET ENV \"BYTES\"
        WITH OVERLOAD_POLICY GET ENV \"POLICY\"
        WITH INSTANCES GET ENV \"MANY\"
    ADD EVENT All
        WITH SOURCE_TOPIC \"in/+\"
        WITH DESTINATION_TOPIC \"out/{topic.2}\"",
    );
    let told = wait_until(&broker, "Own", |row| is_connected(row) && row["waitingBytesMax"] == 2000);
    assert_eq!(told["buffer"], "memory", "{told}");
    eventually("three instances", || (broker.metric("lotmq_route_instances")? == 3.0).then_some(()));

    broker.command_ok("-setEnv BYTES=4000");
    broker.command_ok("-setEnv MODE=disk");
    wait_until(&broker, "Own", |row| row["waitingBytesMax"] == 4000 && row["buffer"] != "memory");
    let mut answers = watch(&broker, "out/#");
    let mut client = broker.client("publisher");
    client.publish(&Publication::new("in/a", "1").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(next(&mut answers), "out/a=1");

    // None that the setting takes, of the broker's and of the guest's.
    let wrong = broker.command_ok("-setEnv MODE=tape");
    assert!(wrong.0["success"] == true);
    stands_still(
        &broker,
        "Own",
        "ROUTE_CONFIG: BUFFER_MODE is one of none, memory, disk, not 'tape'; it comes from GET ENV \"MODE\"",
    );
    broker.command_ok("-setEnv MODE=disk");
    wait_until(&broker, "Own", is_connected);
    broker.command_ok("-setEnv ROWS=many");
    stands_still(&broker, "Own", "LOOPBACK_CONFIG: MAX_ROWS is a whole number from 1 to 100000, not 'many'");
}

#[test]
fn a_port_or_a_switch_that_is_none_stops_the_route() {
    let broker = crate::options().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
    broker.command_ok("-setEnv PORT=abc");
    broker.command_ok("-setEnv WRITES=false");
    let reply = broker.command_ok(
        "-addRoute DEFINE ROUTE Plc WITH TYPE MODBUS_TCP
    ADD MODBUS_CONFIG
        WITH HOST \"127.0.0.1\"
        WITH PORT GET ENV \"PORT\"
    ADD MAPPING M
        ADD TAG T
            WITH ADDRESS \"40001\"
            WITH DATA_TYPE \"INT16\"
            WITH DESTINATION_TOPIC \"write/\" + \"t\"
            WITH WRITABLE GET ENV \"WRITES\"",
    );
    let told =
        "MODBUS_CONFIG: PORT is a whole number from 1 to 65535, not 'abc'; it comes from GET ENV \"PORT\"";
    let warned = reply.0["warnings"].to_string();
    assert!(warned.contains("VALUE_INVALID") && warned.contains("not 'abc'"), "{warned}");
    stands_still(&broker, "Plc", told);

    broker.command_ok(&format!("-setEnv PORT={}", free_port()));
    wait_until(&broker, "Plc", |row| row["reason"].as_str().is_some_and(|told| told.contains("127.0.0.1")));
    let mut client = broker.client("operator");
    client.publish(&Publication::new("write/t", "6").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(row(&broker, "Plc")["waiting"], 0, "the tag is not written");
    broker.command_ok("-setEnv WRITES=true");
    eventually("the tag is written", || {
        client.publish(&Publication::new("write/t", "6").qos(QoS::AtLeastOnce)).unwrap();
        (row(&broker, "Plc")["waiting"].as_u64()? > 0).then_some(())
    });
}
