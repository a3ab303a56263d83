//! A broker in this process for tests of the crate: real sockets, a real store, a folder of its
//! own.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use lotmq_auth::{
    Claims, Grant, GrantActions, GrantEffect, GrantList, LoginMember, MemberAnswer, MemberLogin,
};
use lotmq_changes::{Batch, EnvironmentRow, Log, Op, StoreError, TenantId};
use lotmq_client::{Client, ConnectOptions};
use lotmq_config::{Config, DataDirectory, LoginModules, Sources};
use lotmq_pulse::Silence;

use crate::Server;
use lotmq_net::shard::Shard;

/// Time that a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Member `token` of login chains: takes passwords such as `token:ann group=ops allow=a/# until=7`,
/// and leaves others to the next member.
struct Tokens;

impl LoginMember for Tokens {
    fn name(&self) -> &str {
        "token"
    }

    fn authenticate(&self, login: &MemberLogin<'_>) -> MemberAnswer {
        let token = login.password.and_then(|it| it.strip_prefix(b"token:"));
        let Some(token) = token.and_then(|it| std::str::from_utf8(it).ok()) else {
            return MemberAnswer::Continue;
        };
        let mut parts = token.split(' ');
        let user = parts.next().unwrap_or_default().to_owned();
        let (mut claims, mut grants) = (Claims { user, ..Claims::default() }, Vec::new());
        for part in parts {
            let (name, value) = part.split_once('=').unwrap();
            let grant = |effect| Grant::new(effect, GrantActions::All, value).unwrap();
            match name {
                "group" => drop(claims.groups.insert(value.to_owned())),
                "allow" => grants.push(grant(GrantEffect::Allow)),
                "deny" => grants.push(grant(GrantEffect::Deny)),
                "until" => claims.valid_until_ms = Some(value.parse().unwrap()),
                _ => return MemberAnswer::Fail(format!("{name} is unknown")),
            }
        }
        claims.grants = (!grants.is_empty()).then(|| GrantList::new(grants).unwrap());
        MemberAnswer::Allow(claims)
    }
}

/// Member for tests of login chains.
pub(crate) fn tokens() -> Arc<dyn LoginMember> {
    Arc::new(Tokens)
}

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

    /// Starts a broker in a new folder with further settings, named as environment variables.
    /// Unlike `none`, the durability `os` caches native code.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let running = Self::start_on(dir.path(), "os", settings);
        Self { _dir: Some(dir), ..running }
    }

    /// Starts a broker on a folder of the caller's.
    pub(crate) fn start_in(dir: &Path, durability: &str) -> Self {
        Self::start_on(dir, durability, &[])
    }

    /// Starts a broker on a folder of the caller's, with further settings, named as environment
    /// variables.
    pub(crate) fn start_on(dir: &Path, durability: &str, settings: &[(&str, &str)]) -> Self {
        let config = Self::config(dir, durability, settings);
        Self { server: Server::start(&config).unwrap(), _dir: None }
    }

    /// Starts a broker on a folder of the caller's that asks [`tokens`] before its user store.
    pub(crate) fn start_with_tokens(dir: &Path) -> Self {
        let mut config = Self::config(dir, "os", &[]);
        // No configuration can name the module.
        config.auth.modules = LoginModules::of(["token", "builtin"]);
        Self { server: Server::start(&config).unwrap(), _dir: None }
    }

    fn config(dir: &Path, durability: &str, settings: &[(&str, &str)]) -> Config {
        let mut environment = vec![
            ("LOTMQ_LISTENER_MQTT_PORT".to_owned(), "0".to_owned()),
            ("LOTMQ_LISTENER_MQTT_BIND".to_owned(), "127.0.0.1".to_owned()),
            ("LOTMQ_LISTENER_WS_PORT".to_owned(), "off".to_owned()),
            ("LOTMQ_STORE_DURABILITY".to_owned(), durability.to_owned()),
            ("LOTMQ_AUTH_PASSWORD_CHARS_MIN".to_owned(), "1".to_owned()),
            // The least cost: each start hashes the password of `root`.
            ("LOTMQ_AUTH_PASSWORD_HASH_MEMORY_KIB".to_owned(), "8".to_owned()),
            ("LOTMQ_AUTH_PASSWORD_HASH_PASSES".to_owned(), "1".to_owned()),
        ];
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        share_code(dir);
        Config::load(Sources {
            environment,
            data: DataDirectory { path: dir.into(), origin: "test", user_cache: None },
            ..Sources::default()
        })
        .unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0].1.network().expect("a TCP listener")
    }

    pub(crate) fn client(&self, id: &str) -> Client {
        connect(self.address(), &ConnectOptions::new(id))
    }
}

/// Has the native code of a folder in common with those of all tests, which are a process each: it
/// is named after all that it is made of.
fn share_code(dir: &Path) {
    let code = std::env::current_exe().unwrap().with_file_name("lotmq-server-code");
    DirBuilder::new().recursive(true).mode(0o700).create(&code).unwrap();
    // One that was started before has its own.
    let _ = symlink(code, dir.join("cache"));
}

pub(crate) fn connect(address: SocketAddr, options: &ConnectOptions) -> Client {
    Client::connect(address.to_string(), options).unwrap()
}

/// Waits until a thread, named by its prefix, is at a piece of work for too long or is not; as if
/// it were `later` than now.
pub(crate) fn until_silent(running: &Running, name: &str, later: Duration, is_silent: bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = Instant::now();
        let silent = running.server.broker.hosting.watchdog.pulses.silent(now + later);
        let is_at_work = |silence: &Silence| silence.name.starts_with(name) && !silence.is_waiting;
        if silent.iter().any(is_at_work) == is_silent {
            return;
        }
        assert!(now < deadline, "{name}: {silent:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Keeps the thread of a shard from running, until the sender that this returns sends or is
/// dropped.
pub(crate) fn stall(shard: &Shard) -> Sender<()> {
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    shard.listen(async move {
        begun.send(()).unwrap();
        let _ = may_go.recv();
        Ok(())
    });
    has_begun.recv().unwrap();
    go
}

/// Receives the next message: topic and payload as text.
pub(crate) fn receive(client: &mut Client) -> (String, String) {
    let message = client.receive(PATIENCE).unwrap().expect("a message comes");
    (message.topic.clone(), message.text())
}

/// Fills the queue of a store: it is full until one large batch is written, which takes far longer
/// than any call.
pub(crate) fn fill(log: &dyn Log) {
    let of_bytes = |bytes: usize| {
        let row =
            EnvironmentRow { tenant: TenantId::DEFAULT, name: "FILLER".into(), value: "v".repeat(bytes) };
        let mut batch = Batch::new();
        // A batch that is alone may be larger than the room for waiting ones.
        (0..bytes.div_ceil(40)).for_each(|_| batch.push(Op::PutEnv(&row)));
        batch
    };
    loop {
        log.wait(log.last_ticket()).unwrap();
        // Others may have been faster.
        if log.offer(of_bytes(60_000)).is_ok()
            && matches!(log.offer(of_bytes(1)), Err((StoreError::Full { .. }, _)))
        {
            return;
        }
    }
}
