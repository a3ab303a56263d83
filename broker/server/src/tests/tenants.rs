//! Two tenants with the same names for everything: nothing crosses, nothing is confused, also after a restart.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_store::{Batch, Op, Store, StoreOptions, TenantId, TenantRow};

use crate::net::accept::serve;
use crate::net::listening_socket::{ListeningSocket, bind};
use crate::testing::{Running, connect, receive};

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
    let tenant = broker.tenants.all().iter().find(|tenant| &*tenant.name == name).cloned().unwrap();
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let plan = &broker.config.listeners()[0];
    let mut listener = running.server.listener(&broker.config, plan).unwrap();
    listener.tenant = tenant;
    let served = broker.net.listening.add(Arc::new(listener), ListeningSocket::Tcp(socket));
    broker.net.shards[0].listen(serve(served));
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
        // What was queued for the session of this tenant, then what is retained in it, and nothing else before the barrier.
        let mut client = connect(address, &clean_off(session.clone()));
        assert_eq!(receive(&mut client), ("a/b".into(), payload.into()));
        client.subscribe_to("a/+", QoS::AtLeastOnce).unwrap();
        assert_eq!(receive(&mut client), ("a/b".into(), payload.into()));
        client.publish(&Publication::new("a/barrier", "x")).unwrap();
        assert_eq!(receive(&mut client).0, "a/barrier");
    }
    running.server.stop();
}
