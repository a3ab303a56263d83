//! A MariaDB server of a test's own: in a folder of its own, at a free port of this machine.

use std::path::{Path, PathBuf};

use lotmq_test_support::{Frozen, Program, Signed, SqlServer, eventually, free_port, wait_for_port};
use tempfile::TempDir;

/// Whom the routes log in as, and into which database.
pub(crate) const USER: &str = "app";
pub(crate) const PASSWORD: &str = "correct-password";
pub(crate) const DATABASE: &str = "plant";

/// Options that keep a server small and fast, without features that tests do not need.
const SMALL: [&str; 6] = [
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M",
    "--innodb-lock-wait-timeout=1",
    "--skip-log-bin",
    "--performance-schema=OFF",
];

/// A server.
pub(crate) struct Server {
    folder: TempDir,
    pub(crate) port: u16,
    program: Option<Program>,
    options: Vec<String>,
}

impl Server {
    /// Starts one; `None` where it is not installed.
    pub(crate) fn start() -> Option<Server> {
        Server::start_with(&[], None)
    }

    /// Starts one with these options, and TLS with a certificate.
    pub(crate) fn start_with(options: &[&str], signed: Option<&Signed>) -> Option<Server> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let data = format!("--datadir={}", folder.path().join("data").display());
        let temporary = temporary(folder.path());
        let made = [
            "--no-defaults",
            &data,
            &temporary,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ];
        let user = ["--user=root"];
        let made: Vec<&str> =
            made.into_iter().chain(is_root().then_some(user).into_iter().flatten()).collect();
        Program::start("mariadb-install-db", &made)?.wait().output();
        let mut options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        if let Some(signed) = signed {
            options.push(format!("--ssl-cert={}", signed.certificate.display()));
            options.push(format!("--ssl-key={}", signed.key.display()));
        }
        let mut server = Server { folder, port: free_port(), program: None, options };
        server.start_again();
        server
            .try_sql_at(
                "",
                &format!(
                    "CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4; CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON {DATABASE}.* TO {USER}@'%'"
                ),
            )
            .unwrap();
        Some(server)
    }

    fn socket(&self) -> String {
        self.folder.path().join("socket").display().to_string()
    }

    /// Runs statements in a database, as root.
    fn try_sql_at(&self, database: &str, statements: &str) -> Result<String, String> {
        let ran = self.client(database, statements).wait();
        let rows = ran.stdout.trim_end().replace('\t', "|");
        if ran.status.success() { Ok(rows) } else { Err(ran.stderr) }
    }

    /// A client that runs statements.
    pub(crate) fn client(&self, database: &str, statement: &str) -> Program {
        let socket = format!("--socket={}", self.socket());
        let fixed = ["--no-defaults", &socket, "-u", "root", "--default-character-set=utf8mb4", "-N", "-B"];
        Program::start("mariadb", &[&fixed[..], &["-e", statement, database]].concat()).unwrap()
    }
}

impl SqlServer for Server {
    type Frozen = Frozen;

    /// As root.
    fn try_sql(&self, statements: &str) -> Result<String, String> {
        self.try_sql_at(DATABASE, statements)
    }

    fn end_at_once(&mut self) {
        self.program.take().unwrap().kill();
    }

    fn start_again(&mut self) {
        let folder = self.folder.path();
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", folder.join("data").display()),
            temporary(folder),
            format!("--socket={}", self.socket()),
            format!("--pid-file={}", folder.join("pid").display()),
            format!("--port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
        ];
        if is_root() {
            arguments.push("--user=root".to_owned());
        }
        arguments.extend(SMALL.iter().map(|option| (*option).to_owned()));
        arguments.extend(self.options.iter().cloned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.program = Program::start(program(), &arguments);
        wait_for_port(self.port);
        eventually("the server takes queries", || self.try_sql_at("", "SELECT 1").ok());
    }

    fn freeze(&self) -> Frozen {
        self.program.as_ref().unwrap().freeze()
    }
}

fn is_root() -> bool {
    Program::run("id", &["-u"]).unwrap().stdout.trim() == "0"
}

/// Returns the path of the server. Debian keeps it in a folder that only root's search path has.
fn program() -> PathBuf {
    let place = PathBuf::from("/usr/sbin/mariadbd");
    if place.is_file() { place } else { "mariadbd".into() }
}

/// A folder of its own for what it sorts: a server that starts removes the temporary tables of all
/// that share its folder.
fn temporary(folder: &Path) -> String {
    format!("--tmpdir={}", folder.join("tmp").display())
}
