//! Routes of modules with asynchronous code: the SDK's executor, and its connection as a stream of
//! the crate tokio.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};
use serde_json::json;

use crate::module_routes::{accept, line};
use crate::modules::component;
use crate::options;

/// The example with a reader beside its deliveries.
const LINES: &[u8] = include_bytes!("../../sdk/examples/route-lines/prebuilt/route-lines.wasm");

/// A broker with a route of the example to `far`.
fn broker(far: &TcpListener) -> Broker {
    let broker = options()
        .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true")
        .variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
        .start();
    let module = component(LINES);
    broker.command_ok(&format!("-addModule lines -world route -grantAll wasm64:{module}"));
    broker.command_ok(&format!(
        "-addRoute DEFINE ROUTE Lines WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"lines\"\n    ADD LINE_CONFIG\n        WITH HOST \"127.0.0.1\"\n        \
         WITH PORT {}\n    ADD EVENT Out\n        WITH SOURCE_TOPIC \"out/#\"\n        WITH DESTINATION_TOPIC \"lines/in\"\n",
        far.local_addr().unwrap().port()
    ));
    broker
}

#[test]
fn a_task_reads_while_the_route_delivers() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let broker = broker(&far);
    let mut reader = broker.root("reader");
    reader.subscribe_to("lines/in", QoS::AtLeastOnce).unwrap();
    let (mut stream, mut lines) = accept(&far);
    // Nothing to deliver: the task alone.
    stream.write_all(b"first\nsec").unwrap();
    assert_eq!(reader.receive(WAIT_MAX).unwrap().unwrap().text(), "first");
    stream.write_all(b"ond\n").unwrap();
    assert_eq!(reader.receive(WAIT_MAX).unwrap().unwrap().text(), "second");
    // Both at once, and more than a task reads in its turn.
    const COUNT: usize = 400;
    let incoming: String = (0..COUNT).map(|number| format!("in-{number}\n")).collect();
    let sending = std::thread::spawn(move || {
        stream.write_all(incoming.as_bytes()).unwrap();
        stream
    });
    let mut sender = broker.root("sender");
    for number in 0..COUNT {
        let message = Publication::new("out/line", format!("out-{number}")).qos(QoS::AtLeastOnce);
        sender.publish(&message).unwrap();
    }
    for number in 0..COUNT {
        assert_eq!(line(&mut lines), format!("out-{number}"));
    }
    for number in 0..COUNT {
        assert_eq!(reader.receive(WAIT_MAX).unwrap().unwrap().text(), format!("in-{number}"));
    }
    // The end is noticed by the task, and the route comes back: not when the time of its run is
    // over, 10 s.
    let ended_at = Instant::now();
    drop((sending.join().unwrap(), lines));
    let (mut stream, mut lines) = accept(&far);
    assert!(ended_at.elapsed() < Duration::from_secs(5), "{:?}", ended_at.elapsed());
    stream.write_all(b"again\n").unwrap();
    assert_eq!(reader.receive(WAIT_MAX).unwrap().unwrap().text(), "again");
    sender.publish(&Publication::new("out/line", "back").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(line(&mut lines), "back");
    let info = broker.command_ok("-moduleInfo lines").data().clone();
    assert_eq!((&info["state"], &info["traps"]), (&json!("enabled"), &json!(0)), "{info}");
}
