//! A broker in this process for tests of the crate: real sockets, a real store, a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions};

use crate::Server;
use crate::config::{Config, DataDirectory, Sources};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A running broker; its folder goes with it.
pub(crate) struct Running {
    pub(crate) server: Server,
    _dir: Option<tempfile::TempDir>,
}

impl Running {
    /// Starts a broker in a new folder.
    pub(crate) fn start(durability: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let running = Self::start_in(dir.path(), durability);
        Self { _dir: Some(dir), ..running }
    }

    /// Starts a broker on a folder of the caller's.
    pub(crate) fn start_in(dir: &Path, durability: &str) -> Self {
        let config = Config::load(Sources {
            environment: vec![
                ("LOTMQ_LISTENER_MQTT_PORT".into(), "0".into()),
                ("LOTMQ_LISTENER_MQTT_BIND".into(), "127.0.0.1".into()),
                ("LOTMQ_STORE_DURABILITY".into(), durability.into()),
            ],
            data: DataDirectory { path: dir.into(), origin: "test" },
            ..Sources::default()
        })
        .unwrap();
        Self { server: Server::start(&config).unwrap(), _dir: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0].1
    }

    pub(crate) fn client(&self, id: &str) -> Client {
        connect(self.address(), &ConnectOptions::new(id))
    }
}

pub(crate) fn connect(address: SocketAddr, options: &ConnectOptions) -> Client {
    Client::connect(&address.to_string(), options).unwrap()
}

/// The next message: topic and payload as text.
pub(crate) fn receive(client: &mut Client) -> (String, String) {
    let message = client.receive(PATIENCE).unwrap().expect("a message comes");
    (message.topic.clone(), message.text())
}
