//! A PostgreSQL server of a test's own: a new cluster in a folder of its own, at a free port of
//! this machine.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Program, Signed, SqlServer, eventually, free_port, wait_for_port};

/// User as whom the server runs where the test is root, whom it refuses.
const SYSTEM_USER: &str = "postgres";

/// A server; it is ended when this is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    folder: TempDir,
    /// Its port.
    pub port: u16,
    program: Option<Program>,
    options: Vec<String>,
}

impl PostgresServer {
    /// Its superuser.
    pub const USER: &str = "app";

    /// Password of the superuser.
    pub const PASSWORD: &str = "correct-password";

    /// Whether it is installed; where everything should be, it must be.
    pub fn is_installed() -> bool {
        run("initdb", &["--version"]).is_some()
    }

    /// Starts one; `None`, with a note, where it is not installed.
    ///
    /// # Panics
    /// As [`Program::start`], and when it does not come up.
    pub fn start() -> Option<Self> {
        Self::start_with(&[], None)
    }

    /// Starts one with these options, and TLS with a certificate.
    ///
    /// # Panics
    /// As [`PostgresServer::start`].
    pub fn start_with(options: &[&str], signed: Option<&Signed>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, Self::PASSWORD).unwrap();
        give(folder.path());
        let (data, password) = (folder.path().join("data"), format!("--pwfile={}", password.display()));
        let made = [data.to_str().unwrap(), "-U", Self::USER, "-A", "scram-sha-256", &password, "-E", "UTF8"];
        run("initdb", &[&["-D"], &made[..], &["--locale=C", "--no-sync"]].concat())?.wait().output();
        let mut options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        if let Some(signed) = signed {
            options.push("ssl=on".to_owned());
            for (option, from, name) in
                [("ssl_cert_file", &signed.certificate, "cert.pem"), ("ssl_key_file", &signed.key, "key.pem")]
            {
                let to = folder.path().join(name);
                std::fs::copy(from, &to).unwrap();
                give(&to);
                Program::run("chmod", &["600", to.to_str().unwrap()]).unwrap();
                options.push(format!("{option}={}", to.display()));
            }
        }
        let mut server = Self { folder, port: free_port(), program: None, options };
        server.start_again();
        Some(server)
    }
}

impl SqlServer for PostgresServer {
    type Frozen = FrozenPostgres;

    fn try_sql(&self, statements: &str) -> Result<String, String> {
        let place =
            format!("postgresql://{}:{}@127.0.0.1:{}/postgres", Self::USER, Self::PASSWORD, self.port);
        let ran = Program::run("psql", &[&place, "-X", "-A", "-t", "-c", statements]).unwrap();
        if ran.status.success() { Ok(ran.stdout.trim_end().to_owned()) } else { Err(ran.stderr) }
    }

    fn end_at_once(&mut self) {
        let program = self.program.take().unwrap();
        signal(program.process_id(), "-QUIT");
        program.wait();
    }

    fn start_again(&mut self) {
        let (folder, port) = (self.folder.path().to_str().unwrap(), self.port.to_string());
        let data = self.folder.path().join("data");
        let mut arguments = vec!["-D", data.to_str().unwrap(), "-p", &port, "-k", folder, "-h", "127.0.0.1"];
        for option in
            ["fsync=off", "max_connections=40"].into_iter().chain(self.options.iter().map(String::as_str))
        {
            arguments.extend(["-c", option]);
        }
        self.program = run("postgres", &arguments);
        wait_for_port(self.port);
        eventually("the server takes queries", || self.try_sql("SELECT 1").ok());
    }

    fn freeze(&self) -> FrozenPostgres {
        let main = self.program.as_ref().unwrap().process_id();
        // Without the main process there are no more of the others.
        signal(main, "-STOP");
        let listed = Program::run("pgrep", &["-P", &main.to_string()]).unwrap();
        let others = listed.stdout.lines().map(|line| line.trim().parse().unwrap());
        let processes: Vec<u32> = std::iter::once(main).chain(others).collect();
        processes.iter().for_each(|process| signal(*process, "-STOP"));
        FrozenPostgres(processes)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(program) = self.program.take() {
            signal(program.process_id(), "-QUIT");
            program.wait();
        }
    }
}

/// A server that stands still until this is dropped.
#[derive(Debug)]
pub struct FrozenPostgres(Vec<u32>);

impl Drop for FrozenPostgres {
    fn drop(&mut self) {
        self.0.iter().for_each(|process| signal(*process, "-CONT"));
    }
}

fn signal(process: u32, signal: &str) {
    Program::run("kill", &[signal, &process.to_string()]).unwrap();
}

/// Whether the test runs as root, as whom the server does not.
fn is_root() -> bool {
    Program::run("id", &["-u"]).unwrap().stdout.trim() == "0"
}

/// Gives a file or a folder to the user as whom the server runs.
fn give(path: &Path) {
    if is_root() {
        let path = path.to_str().unwrap();
        Program::run("chown", &["-R", SYSTEM_USER, path]).unwrap().output();
    }
}

/// Starts a program of the newest PostgreSQL that is installed.
fn run(name: &str, arguments: &[&str]) -> Option<Program> {
    let program = program(name);
    let program = program.to_str().unwrap();
    if !is_root() {
        return Program::start(program, arguments);
    }
    let user = ["--reuid", SYSTEM_USER, "--regid", SYSTEM_USER, "--clear-groups", program];
    Program::start("setpriv", &[&user[..], arguments].concat())
}

/// Returns the path of a program of PostgreSQL. Debian keeps the server programs in a folder for
/// each version.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}
