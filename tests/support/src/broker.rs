//! A broker in a process of its own.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lotmq_client::{Client, ConnectOptions};
use tempfile::TempDir;

use crate::{Lines, Reply, Response, WAIT_MAX, get, prepared, reply, shared_code};

/// How a broker is started.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    binary: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(String, String)>,
    listen: Option<String>,
    health: Option<String>,
    data: Option<PathBuf>,
    is_prepared: bool,
    shares_code: bool,
    hashes_cheaply: bool,
}

impl BrokerOptions {
    /// The defaults: free ports on loopback, a new data directory. `binary` is
    /// `env!("CARGO_BIN_EXE_lotmq")` of the test.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            listen: Some("127.0.0.1:0".to_owned()),
            health: Some("127.0.0.1:0".to_owned()),
            data: None,
            is_prepared: false,
            shares_code: false,
            hashes_cheaply: true,
        }
    }

    /// Begins with a copy of the data of a broker that has been started once, which is six times as
    /// fast as the first start: nothing is compiled and no password hashed. For tests to which the
    /// first start is nothing but time; not with a data directory of the caller's own.
    #[must_use]
    pub fn prepared(mut self) -> Self {
        self.is_prepared = true;
        self
    }

    /// Has the native code of programs and guests in common with the brokers of other tests,
    /// whatever its data begin with; a data directory of the caller's own has to be new. For tests
    /// to which compiling is nothing but time.
    #[must_use]
    pub fn shared_code(mut self) -> Self {
        self.shares_code = true;
        self
    }

    /// Has native code in its data directory alone again, as the broker of a user without a home.
    #[must_use]
    pub fn own_code(mut self) -> Self {
        self.shares_code = false;
        self
    }

    /// Hashes passwords at the cost of a user's broker, for tests about the time of logins. Others
    /// take the least cost: Argon2 was a fifth of the processor time of 123 tests about commands.
    #[must_use]
    pub fn real_hashes(mut self) -> Self {
        self.hashes_cheaply = false;
        self
    }

    /// Adds an argument to `lotmq serve`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable. No others with our prefix reach the broker.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Listens here instead of on a free port.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = Some(address.to_owned());
        self
    }

    /// Leaves the MQTT listener to file and environment.
    #[must_use]
    pub fn listen_as_configured(mut self) -> Self {
        self.listen = None;
        self
    }

    /// Serves health here instead of on a free port.
    #[must_use]
    pub fn health(mut self, address: &str) -> Self {
        self.health = Some(address.to_owned());
        self
    }

    /// Leaves the health port to file and environment.
    #[must_use]
    pub fn health_as_configured(mut self) -> Self {
        self.health = None;
        self
    }

    /// Uses this data directory, which the caller owns.
    #[must_use]
    pub fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.to_owned());
        self
    }

    /// Starts a broker and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead, with what it said.
    pub fn start(self) -> Broker {
        let own = TempDir::new().unwrap();
        let data = self.data.clone().unwrap_or_else(|| own.path().join("data"));
        if self.data.is_none() && self.is_prepared {
            prepared::copy_to(&data, &self.binary, self.shares_code);
        }
        if self.shares_code && (self.data.is_none() || !data.exists()) {
            shared_code::link(&data, &self.binary);
        }
        let process = Process::spawn(&self, &data);
        let mut broker = Broker { options: self, data, _own: own, process, mqtt: None, health: None };
        broker.wait_until_listening();
        broker
    }

    /// Starts a broker that must not come up, and waits for its end.
    ///
    /// # Panics
    /// When it does not end within [`WAIT_MAX`].
    pub fn fail(self) -> Exited {
        let own = TempDir::new().unwrap();
        let data = self.data.clone().unwrap_or_else(|| own.path().join("data"));
        let start = Instant::now();
        let mut process = Process::spawn(&self, &data);
        let status = process.wait();
        process.stdout.wait_for_end();
        process.stderr.wait_for_end();
        Exited {
            status,
            after: start.elapsed(),
            stdout: process.stdout.text(),
            stderr: process.stderr.text(),
        }
    }

    /// The command line of `lotmq serve`.
    fn command(&self, data: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--data").arg(data);
        command.args(&self.arguments);
        if let Some(health) = &self.health {
            command.args(["--health", health]);
        }
        if let Some(listen) = &self.listen {
            command.args(["--listen", listen]);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LOTMQ_") {
                command.env_remove(name);
            }
        }
        // Its usual port is for one broker of a machine.
        command.env("LOTMQ_LISTENER_WS_PORT", "off");
        // Tests have short passwords, but for those that are about them.
        command.env("LOTMQ_AUTH_PASSWORD_CHARS_MIN", "1");
        if self.hashes_cheaply {
            command.env("LOTMQ_AUTH_PASSWORD_HASH_MEMORY_KIB", "8");
            command.env("LOTMQ_AUTH_PASSWORD_HASH_PASSES", "1");
        }
        // No file of the user's who runs the tests.
        command.env("XDG_CONFIG_HOME", data.with_file_name("no-configuration"));
        // No file from the cache of that user either.
        command.env("XDG_CACHE_HOME", "/dev/null/no-cache");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A broker that ended by itself.
#[derive(Debug)]
pub struct Exited {
    /// Its exit status.
    pub status: ExitStatus,
    /// How long it lived.
    pub after: Duration,
    /// Text that it wrote to standard output.
    pub stdout: String,
    /// Text that it wrote to standard error.
    pub stderr: String,
}

/// A running broker; it is killed when this is dropped.
#[derive(Debug)]
pub struct Broker {
    options: BrokerOptions,
    data: PathBuf,
    /// Deletes the data directory, unless the caller owns that.
    _own: TempDir,
    process: Process,
    mqtt: Option<SocketAddr>,
    health: Option<SocketAddr>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    fn spawn(options: &BrokerOptions, data: &Path) -> Self {
        let mut command = options.command(data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", options.binary.display()));
        let stdout = Lines::collect(child.stdout.take().unwrap());
        let stderr = Lines::collect(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                panic!("the broker does not end; it said:\n{}", self.stderr.text());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Broker {
    /// Address of the MQTT listener.
    pub fn address(&self) -> SocketAddr {
        self.mqtt.expect("the MQTT listener is up")
    }

    /// Port of the MQTT listener, as text for command lines.
    pub fn port(&self) -> String {
        self.address().port().to_string()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns its standard output so far: its addresses.
    pub fn output(&self) -> &Lines {
        &self.process.stdout
    }

    /// Returns its standard error so far.
    pub fn log(&self) -> &Lines {
        &self.process.stderr
    }

    /// Number of its process.
    pub fn process_id(&self) -> u32 {
        self.process.child.id()
    }

    /// Resident memory of its process in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process_id())).unwrap();
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// A path on its health port.
    pub fn http(&self, path: &str) -> Response {
        get(self.health.expect("the health port is up"), path)
    }

    /// A figure of `/metrics`: the first line that starts with `name`; `None` without one.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let is_ours = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        self.http("/metrics").body.lines().find(is_ours)?.rsplit(' ').next()?.parse().ok()
    }

    /// Connects an anonymous client.
    ///
    /// # Panics
    /// When the broker refuses it.
    pub fn client(&self, client_id: &str) -> Client {
        self.connect(&ConnectOptions::new(client_id))
    }

    /// Connects with these options.
    ///
    /// # Panics
    /// When the broker refuses them.
    pub fn connect(&self, options: &ConnectOptions) -> Client {
        let connected = Client::connect(self.address(), options);
        connected.unwrap_or_else(|error| panic!("{error}; the broker said:\n{}", self.log().text()))
    }

    /// Connects as `root` with the password of a new broker.
    pub fn root(&self, client_id: &str) -> Client {
        self.connect(&ConnectOptions::new(client_id).user("root", "coreflux"))
    }

    /// Sends a command as `root` and waits for its reply.
    ///
    /// # Panics
    /// When no reply comes.
    pub fn command(&self, command: &str) -> Reply {
        reply::exchange(&mut self.root(""), command)
    }

    /// Like [`Broker::command`], for a command that may take up to three minutes.
    pub fn slow_command(&self, command: &str) -> Reply {
        reply::exchange_within(&mut self.root(""), command, Duration::from_secs(180))
    }

    /// Like [`Broker::slow_command`], by another user.
    pub fn command_as(&self, (user, password): (&str, &str), command: &str) -> Reply {
        let mut client = self.connect(&ConnectOptions::new("").user(user, password));
        reply::exchange_within(&mut client, command, Duration::from_secs(180))
    }

    /// Like [`Broker::command`], and the command must succeed.
    pub fn command_ok(&self, command: &str) -> Reply {
        let reply = self.command(command);
        assert!(reply.success(), "{command}: {reply:?}");
        reply
    }

    /// Kills the process as `kill -9` does, and waits for its end.
    pub fn kill(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }

    /// Waits for its end, which something else brings about.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Tells it to stop as a service manager does, and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        let id = rustix::process::Pid::from_child(&self.process.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.process.wait()
    }

    /// Starts a new process on the same data, after [`Broker::kill`] or [`Broker::stop`]; on new
    /// ports unless they were given.
    pub fn start_again(&mut self) {
        self.process = Process::spawn(&self.options, &self.data);
        self.wait_until_listening();
    }

    fn wait_until_listening(&mut self) {
        self.mqtt = self.wait_for_listener("mqtt");
        self.health = self.wait_for_listener("health");
        assert!(self.mqtt.is_some(), "the broker ended:\n{}", self.log().text());
    }

    /// Address or path of another listener, as `mqtts`.
    ///
    /// # Panics
    /// When the broker did not open it.
    pub fn listener(&self, name: &str) -> String {
        let up = format!("listening {name} ");
        let found = self.process.stdout.wait_for(&up, |line| match line.strip_prefix(&up) {
            Some(address) => Some(Some(address.to_owned())),
            None => (line == "ready").then_some(None),
        });
        found
            .flatten()
            .unwrap_or_else(|| panic!("no listener {name}; the broker said:\n{}", self.log().text()))
    }

    /// Port of another listener.
    ///
    /// # Panics
    /// When the broker did not open it.
    pub fn port_of(&self, name: &str) -> u16 {
        self.listener(name).parse::<SocketAddr>().unwrap().port()
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        let id = rustix::process::Pid::from_child(&self.process.child);
        rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    }

    /// Waits until a whole figure of `/metrics` is `wanted`.
    ///
    /// # Panics
    /// When it is not within [`WAIT_MAX`](crate::WAIT_MAX).
    pub fn wait_until_metric_is(&self, name: &str, wanted: f64) {
        crate::eventually(&format!("{name} = {wanted}"), || {
            self.metric(name).filter(|value| (value - wanted).abs() < 0.5)
        });
    }

    /// Waits until a figure of `/metrics` is at least `wanted`.
    ///
    /// # Panics
    /// When it is not within [`WAIT_MAX`](crate::WAIT_MAX).
    pub fn wait_for_metric(&self, name: &str, wanted: f64) {
        crate::eventually(&format!("{name} >= {wanted}"), || {
            self.metric(name).filter(|value| *value >= wanted)
        });
    }

    /// The first address that the broker says this listener has; `None` when it has none, or ended.
    fn wait_for_listener(&self, name: &str) -> Option<SocketAddr> {
        let up = format!("listening {name} ");
        let found = self.process.stdout.wait_for(&up, |line| match line.strip_prefix(&up) {
            Some(address) => Some(address.parse().ok()),
            None => (line == "ready").then_some(None),
        });
        found.flatten()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
        if std::thread::panicking() {
            eprintln!("the broker said:\n{}\n{}", self.process.stdout.text(), self.log().text());
        }
    }
}
