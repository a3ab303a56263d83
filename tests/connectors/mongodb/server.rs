//! Servers of these tests: the protocol and the values of MongoDB with pymongo's `bson`, and
//! pymongo itself as a client beside the connector.

use std::path::PathBuf;

use lotmq_test_support::{Program, eventually, free_port, python_with_module, wait_for_port};
use serde_json::{Value as Json, json};

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/mongodb/server.py");
const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/mongodb/client.py");

/// A server in a folder of its own, at a free port of this machine.
pub(super) struct Server {
    folder: tempfile::TempDir,
    python: PathBuf,
    pub(super) port: u16,
    /// Text in front of the host in the client's address.
    login: String,
    /// Text behind the host in the client's address.
    options: String,
    program: Option<Program>,
}

impl Server {
    /// Starts one with these settings; `None` where pymongo is not installed.
    pub(super) fn start(settings: &Json) -> Option<Server> {
        Server::start_at(free_port(), settings)
    }

    pub(super) fn start_at(port: u16, settings: &Json) -> Option<Server> {
        let python = python_with_module("pymongo")?;
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings.clone();
        settings["port"] = json!(port);
        std::fs::write(folder.path().join("server.json"), settings.to_string()).unwrap();
        let user = settings["users"].as_object().and_then(|users| users.iter().next());
        let login = user
            .map_or(String::new(), |(name, user)| format!("{name}:{}@", user["password"].as_str().unwrap()));
        let options = match settings.get("certificate") {
            Some(_) => "?directConnection=true&tls=true&tlsAllowInvalidCertificates=true",
            None => "?directConnection=true",
        };
        let mut server = Server { folder, python, port, login, options: options.to_owned(), program: None };
        server.start_again();
        Some(server)
    }

    /// Starts it in the folder and at the port that it has.
    pub(super) fn start_again(&mut self) {
        let folder = self.folder.path().display().to_string();
        self.program = Program::start(&self.python, &[SERVER, &folder]);
        wait_for_port(self.port);
    }

    pub(super) fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    pub(super) fn program(&self) -> &Program {
        self.program.as_ref().unwrap()
    }

    /// Says how it behaves from now on.
    pub(super) fn now(&self, now: &Json) {
        let written = self.folder.path().join("next.json");
        std::fs::write(&written, now.to_string()).unwrap();
        std::fs::rename(written, self.folder.path().join("now.json")).unwrap();
    }

    /// Its address for routes, without a login.
    pub(super) fn address(&self) -> String {
        format!("mongodb://127.0.0.1:{}/", self.port)
    }

    /// Returns the output of pymongo.
    pub(super) fn client(&self, arguments: &[&str]) -> String {
        let uri = format!("mongodb://{}127.0.0.1:{}/{}", self.login, self.port, self.options);
        let arguments = [&[CLIENT, &uri], arguments].concat();
        Program::run(&self.python, &arguments).unwrap().output().trim().to_owned()
    }

    /// The documents of a collection that pymongo finds, as canonical Extended JSON.
    pub(super) fn documents(&self, collection: &str) -> Vec<Json> {
        let found = self.client(&["find", "plant", collection]);
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The members `n` of these documents, in the order in which they were stored.
    pub(super) fn numbers(&self, collection: &str) -> Vec<i64> {
        let number = |document: &Json| document["n"]["$numberInt"].as_str().unwrap().parse().unwrap();
        self.documents(collection).iter().map(number).collect()
    }

    /// How many documents a collection has, and how many different `n`.
    pub(super) fn counts(&self, collection: &str) -> (usize, usize) {
        let told = self.client(&["count", "plant", collection]);
        let (all, different) = told.split_once(' ').unwrap();
        (all.parse().unwrap(), different.parse().unwrap())
    }

    /// Waits until a collection has so many documents with so many different `n`.
    pub(super) fn until(&self, collection: &str, count: usize) {
        eventually("all are there, and each once", || {
            (self.counts(collection) == (count, count)).then_some(())
        });
    }

    /// How often the server was asked for a command.
    pub(super) fn asked(&self, command: &str) -> u64 {
        let told: Json = serde_json::from_str(&self.client(&["asked"])).unwrap();
        told["asked"][command].as_u64().unwrap_or_default()
    }
}
