//! Commands in a running broker: a thread that stands still, an upload that nobody continues, a
//! session that changes its own password.

use std::sync::Arc;
use std::time::Duration;

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_operations::command::expire_uploads as expire;
use lotmq_operations::limits::{
    COMMAND_SILENCE_MAX, MODULE_PART_BYTES, MODULE_UPLOAD_PATIENCE, MODULE_UPLOADS_BYTES_MAX,
};
use lotmq_process::this_turn;
use serde_json::{Value, json};

use crate::testing::{PATIENCE, Running, connect, receive, until_silent};

#[test]
fn session_that_changes_its_own_password_stays_connected_until_its_reply() {
    let running = Running::start("os");
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    let users = &tenant.users;
    users.add_user("bob", users.hash("pw").unwrap()).unwrap();
    let login = |id: &str| connect(running.address(), &ConnectOptions::v5(id).user("bob", "pw"));
    let (mut asking, mut other) = (login("asking"), login("other"));
    let asking_session =
        tenant.all_sessions().into_iter().find(|client| &*client.client_id == "asking").unwrap().session_id;
    let answer = broker.commands.sets_own_password(asking_session);
    users.change_password("bob", users.hash("new").unwrap()).unwrap();
    broker.sys.users_changed();
    assert!(other.receive(PATIENCE).is_err());
    asking.ping().unwrap();
    drop(answer);
    assert!(asking.receive(PATIENCE).is_err());
}

#[test]
fn a_command_that_stands_still_is_missed() {
    let running = Running::start("os");
    let broker = Arc::clone(&running.server.broker);
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let changes = broker.commands.changes.lock();
    let command = Publication::new("$SYS/Coreflux/Command", "-setEnv SITE north");
    root.publish(&command.qos(QoS::AtLeastOnce)).unwrap();
    until_silent(&running, "command thread", COMMAND_SILENCE_MAX, true);
    drop(changes);
    receive(&mut root);
    until_silent(&running, "command thread", COMMAND_SILENCE_MAX, false);
    running.server.stop();
}

#[test]
fn an_upload_that_nobody_goes_on_with_ends_and_gives_its_room_back() {
    let running = Running::start("os");
    let broker = Arc::clone(&running.server.broker);
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let publish = |root: &mut lotmq_client::Client, topic: &str, payload: &[u8]| {
        root.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap()
    };
    let half = MODULE_UPLOADS_BYTES_MAX / 4;
    let add = format!("-addModule m -world action -size {half} -sha256 {} -requestId a", "0".repeat(64));
    publish(&mut root, "$SYS/Coreflux/Command", add.as_bytes());
    let begun: Value = serde_json::from_str(&receive(&mut root).1).unwrap();
    let topic = format!("{}/0", begun["data"]["topic"].as_str().unwrap());
    publish(&mut root, &topic, &vec![0; MODULE_PART_BYTES]);
    let expire_after = |time: Duration| {
        this_turn::install(Arc::clone(&broker.hosting.context), None);
        this_turn::with(|turn| {
            turn.tick();
            expire(&broker, turn, broker.core.clock.now().plus(time));
            turn.flush();
        });
        this_turn::uninstall();
    };
    expire_after(MODULE_UPLOAD_PATIENCE / 2);
    publish(&mut root, &topic, &vec![0; MODULE_PART_BYTES]);
    expire_after(MODULE_UPLOAD_PATIENCE);
    let ended: Value = serde_json::from_str(&receive(&mut root).1).unwrap();
    assert_eq!((&ended["errors"][0]["code"], &ended["requestId"]), (&json!("UPLOAD_EXPIRED"), &json!("a")));
    publish(&mut root, &topic, &vec![0; MODULE_PART_BYTES]);
    assert!(receive(&mut root).1.contains("UPLOAD_UNKNOWN"));
    // All of the room is there again, of which one user has half.
    for name in ["a", "b"] {
        let add = format!("-addModule {name} -world action -size {half} -sha256 {}", "0".repeat(64));
        publish(&mut root, "$SYS/Coreflux/Command", add.as_bytes());
        let begun = receive(&mut root).1;
        assert!(begun.contains("\"success\":true"), "{begun}");
    }
    let add = format!("-addModule c -world action -size {half} -sha256 {}", "0".repeat(64));
    publish(&mut root, "$SYS/Coreflux/Command", add.as_bytes());
    assert!(receive(&mut root).1.contains("QUOTA_EXCEEDED"));
    running.server.stop();
}
