//! A server of TDS of a test's own, which keeps its database in a file: `server.py`, of which a
//! test shows with a client of others what it says.

use std::path::PathBuf;

use lotmq_test_support::{Frozen, Program, Signed, SqlServer, free_port, python_with_module, wait_for_port};
use tempfile::TempDir;

/// Whom the routes log in as, and into which database.
pub(super) const USER: &str = "app";
pub(super) const PASSWORD: &str = "correct-password";
pub(super) const DATABASE: &str = "plant";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/sqlserver/server.py");

/// A server.
pub(super) struct Server {
    folder: TempDir,
    pub(super) port: u16,
    python: PathBuf,
    program: Option<Program>,
    options: Vec<String>,
}

impl Server {
    /// Starts one; `None` where Python or the client that proves it is not installed.
    pub(super) fn start() -> Option<Server> {
        Server::start_with(None, false)
    }

    /// Starts one with a certificate, which may take nobody without TLS.
    pub(super) fn start_with(signed: Option<&Signed>, is_required: bool) -> Option<Server> {
        let python = python_with_module("pytds")?;
        let mut options = Vec::new();
        if let Some(signed) = signed {
            options.extend([&signed.certificate, &signed.key].map(|path| path.display().to_string()));
            options.extend(is_required.then(|| "required".to_owned()));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server { folder, port: free_port(), python, program: None, options };
        server.start_again();
        Some(server)
    }

    fn file(&self) -> String {
        self.folder.path().join("plant.db").display().to_string()
    }

    /// Returns its standard error.
    pub(super) fn errors(&self) -> String {
        self.program.as_ref().unwrap().stderr.text()
    }

    /// Asks it with the client of others, in this way, and gives what that says.
    pub(super) fn asked(&self, how: &str, authority: &str) -> String {
        let port = self.port.to_string();
        let asked = Program::run(&self.python, &[SCRIPT, "ask", &port, how, authority]).unwrap();
        assert!(asked.status.success(), "{}\n{}", asked.stderr, self.errors());
        asked.stdout.trim_end().replace('\n', "|")
    }
}

impl SqlServer for Server {
    type Frozen = Frozen;

    fn try_sql(&self, statements: &str) -> Result<String, String> {
        let ran = Program::run(&self.python, &[SCRIPT, "sql", &self.file(), statements]).unwrap();
        if ran.status.success() { Ok(ran.stdout.trim_end().to_owned()) } else { Err(ran.stderr) }
    }

    fn end_at_once(&mut self) {
        self.program.take().unwrap().kill();
    }

    fn start_again(&mut self) {
        let (port, file) = (self.port.to_string(), self.file());
        let fixed = [SCRIPT, "serve", &port, &file];
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        self.program = Program::start(&self.python, &[&fixed[..], &options].concat());
        wait_for_port(self.port);
    }

    fn freeze(&self) -> Frozen {
        self.program.as_ref().unwrap().freeze()
    }

    fn complaints(&self) -> String {
        self.errors()
    }
}
