//! Two tenants with the same names for everything: nothing crosses, nothing is confused, also after
//! a restart.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use lotmq_changes::{Batch, Op, TenantId, TenantRow};
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_store::{Store, StoreOptions};

use crate::testing::{Running, connect, receive};
use lotmq_net::listening_socket::{ListeningSocket, bind};

/// Writes the second tenant into a store, as a later command will.
fn add_tenant(dir: &Path) {
    let (store, _) = Store::open(StoreOptions::new(dir), Box::new(|_| {})).unwrap();
    let mut batch = Batch::new();
    batch.push(Op::PutTenant(&TenantRow { id: TenantId(1), name: "acme".into() }));
    store.commit(batch).unwrap();
    store.close();
}

/// Opens a listener for a tenant and returns its address.
fn listen(running: &Running, name: &str) -> SocketAddr {
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.all().iter().find(|tenant| &*tenant.name == name).cloned().unwrap();
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let plan = &broker.hosting.config.listeners()[0];
    let mut listener = running.server.listener(&broker.hosting.config, plan).unwrap();
    listener.tenant = tenant;
    broker.net.serve(&Arc::new(listener), ListeningSocket::Tcp(socket));
    address
}

#[test]
fn tenants_with_the_same_names_never_meet() {
    let dir = tempfile::tempdir().unwrap();
    Running::start_in(dir.path(), "fsync").server.stop();
    add_tenant(dir.path());
    let running = Running::start_in(dir.path(), "fsync");
    let addresses = [listen(&running, "default"), listen(&running, "acme")];
    let session = ConnectOptions::v5("same").session_expiry(3600);
    let clean_off = |mut options: ConnectOptions| {
        options.clean_start = false;
        options
    };
    for address in addresses {
        let mut client = connect(address, &clean_off(session.clone()));
        client.subscribe_to("a/#", QoS::AtLeastOnce).unwrap();
        client.disconnect().unwrap();
    }
    for (address, payload) in addresses.into_iter().zip(["of default", "of acme"]) {
        let mut client = connect(address, &ConnectOptions::v5("publisher"));
        let publication = Publication::new("a/b", payload).qos(QoS::AtLeastOnce).retained();
        client.publish(&publication).unwrap();
        client.disconnect().unwrap();
    }
    running.server.stop();

    let running = Running::start_in(dir.path(), "fsync");
    let addresses = [listen(&running, "default"), listen(&running, "acme")];
    for (address, payload) in addresses.into_iter().zip(["of default", "of acme"]) {
        // The queue of this tenant's session, then its retained message, and nothing else before
        // the barrier.
        let mut client = connect(address, &clean_off(session.clone()));
        assert_eq!(receive(&mut client), ("a/b".into(), payload.into()));
        client.subscribe_to("a/+", QoS::AtLeastOnce).unwrap();
        assert_eq!(receive(&mut client), ("a/b".into(), payload.into()));
        client.publish(&Publication::new("a/barrier", "x")).unwrap();
        assert_eq!(receive(&mut client).0, "a/barrier");
    }
    running.server.stop();
}

/// Adds a route in a tenant, and gives its first status that says this.
fn status_of_route(address: SocketAddr, definition: &str, part: &str) -> String {
    let mut root = connect(address, &ConnectOptions::v5("root").user("root", "coreflux"));
    for topic in ["$SYS/Coreflux/Command/Output", "$SYS/Coreflux/Routes/Line/status"] {
        root.subscribe_to(topic, QoS::AtLeastOnce).unwrap();
    }
    let command = format!("-addRoute DEFINE ROUTE Line WITH TYPE {definition}");
    root.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
    status_that_says(&mut root, part)
}

fn status_that_says(root: &mut Client, part: &str) -> String {
    loop {
        let (topic, status) = receive(root);
        assert!(!topic.ends_with("/Output") || status.contains("\"success\":true"), "{status}");
        if status.contains(part) {
            return status;
        }
    }
}

#[test]
fn routes_of_each_tenant_reach_what_the_operator_allows_that_tenant() {
    let dir = tempfile::tempdir().unwrap();
    Running::start_in(dir.path(), "fsync").server.stop();
    add_tenant(dir.path());
    let own = r#"{"acme":{"allow_loopback":true,"listen_networks":["127.0.0.0/8"]}}"#;
    let running = Running::start_on(dir.path(), "fsync", &[("LOTMQ_ROUTES_TENANTS", own)]);
    let [default, acme] = ["default", "acme"].map(|name| listen(&running, name));
    // The same routes in both.
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = far.local_addr().unwrap().port();
    let asks = format!(
        "MODBUS_TCP\n    ADD MODBUS_CONFIG\n        WITH HOST \"127.0.0.1\"\n        WITH PORT {port}\n    ADD MAPPING M\n        WITH SOURCE_TOPIC \"plc\"\n        WITH EVERY 1 SECOND\n        \
         ADD TAG T\n            WITH ADDRESS \"40001\"\n            WITH DATA_TYPE \"UINT16\"\n            WITH SOURCE_TOPIC \"plc/t\"\n"
    );
    status_of_route(default, &asks, "127.0.0.1 is this machine, and routes.allow_loopback is not set");
    let reached = std::thread::spawn(move || drop(far.accept().unwrap()));
    status_of_route(acme, &asks, "\"name\":\"Line\"");
    reached.join().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let serves = format!(
        "REST_API\n    ADD REST_API_CONFIG\n        WITH SERVER_PORT {}\n        WITH SERVER_BIND \"127.0.0.1\"\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"a\"\n",
        free.port()
    );
    status_of_route(default, &serves, "127.0.0.1 is none of routes.listen_networks");
    assert!(TcpStream::connect(free).is_err());
    status_of_route(acme, &serves, "\"connection\":\"Connected\"");
    TcpStream::connect(free).unwrap();
    running.server.stop();
}
