//! The configuration: every key once, five sources with one precedence, and where each value came
//! from.
//!
//! Read by `lotmq serve` before anything starts ([`Config::load`]). Keys live in one file per
//! section; parsing, the `Config` topic, `lotmq config show` and `docs/configuration.md` all derive
//! from those tables. Nothing uses yet what is here for a configuration that changes while the
//! broker runs ([`Overlay`], [`Config::with_stored`], [`Config::overrides`]): `Config/New` is
//! refused.
//!
//! Invariants: flag > environment > stored > file > default, key by key; a value is inside its
//! range or loading fails; an unknown key is an error that names the nearest one. Not here:
//! applying a change to what runs.
//!
//! # Adding a limit
//!
//! 1. Add a row to `limit_table.rs`: type, default (a constant beside it), range, unit, Reason
//!    Code, policy. The key in the configuration, `ListenerLimits`, `Limit`, its counters and
//!    `docs/limits.md` derive from the row (`UPDATE=1 cargo test -p tidy`).
//! 2. The code that enforces the limit reads `listener.limits` or `core.settings.limits`, and calls
//!    `limit_reached` when the limit is reached.
//!
//! A bound that cannot be set is a constant in the `limits.rs` of its crate.
//!
//! # Adding a transport
//!
//! 1. Add `listener/<name>.rs`: the section with docs and defaults, and `Transport::fill`
//!    (addresses, carrier of the bytes, TLS, layers).
//! 2. Add its `mod` and a row of `transports!` to `listener.rs`. Keys, limits, certificates,
//!    `docs/configuration.md` (`UPDATE=1 cargo test -p tidy`), the opened sockets, its `$SYS`
//!    topics and its part of health derive from the row.
//! 3. Add tests in `tests/e2e/<name>.rs`.
//! 4. If the transport wraps the bytes of TCP in a new way, add `net/<name>.rs` in the server and
//!    its place in `net/src/layers.rs`.
//! 5. If something else than TCP carries it, add a `Carrier`, a `net/<name>.rs` that hands its
//!    bytes to a shard as `net/src/quic.rs` does, and an arm of `listen` in `server.rs`.
//! 6. If it fails in its own way, add a `TransportFailure` and a row of `core/src/counters.rs`.
//! 7. For our own clients, see `layers.rs` of `client` and the scheme in `url.rs` of `connect`.

mod admin;
mod audit;
mod auth;
mod broker;
mod compat;
mod data_directory;
mod environment;
mod error;
mod file;
mod folders;
mod fuzz;
mod key;
mod keys;
pub mod limit_table;
mod limits;
mod listener;
mod log;
mod lot;
mod malformed;
mod mistakes;
mod modules;
mod mosquitto;
mod mqtt;
mod name_servers;
mod networks;
mod not_yet;
mod origin;
mod overlay;
mod public_keys;
mod reference;
mod routes;
mod serial_ports;
mod setting;
mod store;
mod sys;
mod tenant_places;
mod tls;
mod unknown;
mod value_error;
mod web;

use crate::auth::OWN_MODULES;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Map, Value};

use key::Need;

pub use admin::Admin;
pub use audit::Audit;
pub use auth::{
    AnonymousLogin, Auth, BUILT_IN_MODULE, ClaimPath, ClaimPaths, JWT_MODULE, Jwt, KeyAddress, LoginModules,
    TextList,
};
pub use broker::{Broker, Placement};
pub use compat::{Compat, ModelOutput, RuleTrailingPlus, TimestampUtc};
pub use data_directory::{DataDirectory, Surroundings};
pub use environment::{is_of_broker, process_variable};
pub use error::ConfigError;
pub use file::{ConfigFile, default_path};
#[doc(hidden)]
pub use fuzz::fuzz_config;
pub use key::Key;
pub use keys::KEYS;
pub use limits::{Limits, OnFull, SessionExpiryMax};
pub use listener::{
    AddressFilter, Carrier, ClientCertificate, LimitsOfListeners, Listener, ListenerLimits, ListenerPlan,
    MqttListener, MqttsListener, OwnLimits, QuicListener, UnixListener, UnixSocket, UserFromCertificate,
    UserPattern, WsListener, WssListener,
};
pub use log::{Log, LogFormat};
pub use lot::{Authority, Lot, LotCache};
pub use mistakes::Mistake;
pub use modules::Modules;
pub use mqtt::{Mqtt, TopicPrefix};
pub use name_servers::NameServers;
pub use networks::Networks;
pub use origin::ValueOrigin;
pub use overlay::Overlay;
pub use public_keys::PublicKeys;
pub use reference::markdown;
pub use routes::{OverloadPolicy, Routes};
pub use serial_ports::is_device_path;
pub use setting::{BindAddresses, FileMode, Port, Secret, VariableNames};
pub use store::{Durability, Store};
pub use sys::Sys;
pub use tls::{Tls, TlsVersion};
pub use value_error::ValueError;
pub use web::{HostNames, WebOrigins};

use origin::Assignment;

/// Everything that can be set, checked and complete.
///
/// ```
/// use lotmq_config::{Config, Sources};
///
/// let config = Config::load(Sources {
///     environment: vec![("LOTMQ_LISTENER_MQTT_PORT".into(), "2883".into())],
///     ..Sources::default()
/// })?;
/// assert_eq!(config.mqtt_addresses()[0].port(), 2883);
/// let origin = config.origin("listener.mqtt.port").to_string();
/// assert_eq!(origin, "environment LOTMQ_LISTENER_MQTT_PORT");
/// # Ok::<(), lotmq_config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Section `[broker]`.
    pub broker: Broker,
    /// Sections `[listener.<name>]`.
    pub listener: Listener,
    /// Section `[tls]`.
    pub tls: Tls,
    /// Section `[auth]`.
    pub auth: Auth,
    /// Section `[auth.jwt]`.
    pub jwt: Jwt,
    /// Section `[mqtt]`.
    pub mqtt: Mqtt,
    /// Section `[log]`.
    pub log: Log,
    /// Section `[admin]`.
    pub admin: Admin,
    /// Section `[audit]`.
    pub audit: Audit,
    /// Section `[limits]`.
    pub limits: Limits,
    /// Section `[store]`.
    pub store: Store,
    /// Section `[lot]`.
    pub lot: Lot,
    /// Section `[lot.compat]`.
    pub compat: Compat,
    /// Section `[routes]`.
    pub routes: Routes,
    /// Section `[modules]`.
    pub modules: Modules,
    /// Section `[sys]`.
    pub sys: Sys,
    /// Directory of all durable data. Not a key of the file, because the directory holds the stored
    /// configuration.
    pub data: DataDirectory,
    /// Password that `root` gets when it is created, from `LOTMQ_ROOT_PASSWORD` or `--secure`;
    /// `None` is the documented default.
    pub initial_root_password: Option<Secret>,
    /// Whether that takes the place of the default password of a `root` that there is, as
    /// `--secure` has it.
    pub replaces_default_password: bool,
    /// Addresses of the health port while `admin.bind` is not set; `None` for those of the MQTT
    /// listener.
    pub health_fallback: Option<BindAddresses>,
    /// Program whose subcommand `compile-worker` compiles in a process of its own. `None` compiles
    /// in the broker's process, as where that is not the binary `lotmq`.
    pub compile_worker: Option<PathBuf>,
    assignments: Vec<Assignment>,
    origins: BTreeMap<&'static str, ValueOrigin>,
}

/// Sources that [`Config::load`] reads. It reads nothing else from the process.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Values from the command line: flag as written, path of the key, value.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// Environment variables; those that do not begin with `LOTMQ_` are ignored, but for
    /// `BROKER_ROOT_PASSWORD`.
    pub environment: Vec<(String, String)>,
    /// Settings that `Config/New` stored; empty until the store is open.
    pub stored: Overlay,
    /// The file, already read.
    pub file: Option<ConfigFile>,
    /// The data directory.
    pub data: DataDirectory,
}

impl Config {
    /// Merges the sources over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for the first unknown key, value of the wrong type or value outside its
    /// range, with its origin.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        let assignments = Self::assignments(&sources).collect::<Result<_, _>>()?;
        let start = Self {
            data: sources.data,
            initial_root_password: environment::root_password(&sources.environment),
            ..Self::default()
        };
        start.resolve(assignments)
    }

    /// Returns the settings of the sources, the weakest first, and an error for each unknown key.
    fn assignments(sources: &Sources) -> impl Iterator<Item = Result<Assignment, ConfigError>> {
        let file = sources.file.iter().flat_map(ConfigFile::assignments);
        let of_flag = |(flag, path, value): &(&'static str, &'static str, String)| {
            let origin = ValueOrigin::Flag(flag);
            let key = Key::find(path).ok_or_else(|| unknown::unknown_key(path, &origin))?;
            Ok(Assignment { key, value: Value::String(value.clone()), origin })
        };
        file.chain(sources.stored.assignments())
            .chain(environment::assignments(&sources.environment).into_iter().map(Ok))
            .chain(environment::slips(&sources.environment).into_iter().map(Err))
            .chain(sources.flags.iter().map(of_flag))
    }

    /// The same with `stored` in place of what was stored before; all other sources keep their
    /// values.
    ///
    /// # Errors
    /// [`ConfigError`] as [`Config::load`]; `self` still holds then.
    pub fn with_stored(&self, stored: &Overlay) -> Result<Self, ConfigError> {
        let mut assignments: Vec<Assignment> = self
            .assignments
            .iter()
            .filter(|assignment| assignment.origin != ValueOrigin::Stored)
            .cloned()
            .collect();
        for assignment in stored.assignments() {
            assignments.push(assignment?);
        }
        let start = Self {
            data: self.data.clone(),
            initial_root_password: self.initial_root_password.clone(),
            replaces_default_password: self.replaces_default_password,
            health_fallback: self.health_fallback.clone(),
            compile_worker: self.compile_worker.clone(),
            ..Self::default()
        };
        start.resolve(assignments)
    }

    fn resolve(mut self, mut assignments: Vec<Assignment>) -> Result<Self, ConfigError> {
        assignments.sort_by_key(|assignment| assignment.origin.rank());
        for assignment in &assignments {
            self.assign(assignment)?;
        }
        self.assignments = assignments;
        let unmet = self.unmet_needs().next();
        unmet.map_or(Ok(self), Err)
    }

    /// Gives a key its value; it stays as it was when it cannot have that one.
    fn assign(&mut self, assignment: &Assignment) -> Result<(), ConfigError> {
        let Assignment { key, value, origin } = assignment;
        let refused = |reason| ConfigError::ValueInvalid {
            key: key.path,
            value: setting::masked_value(value),
            origin: origin.clone(),
            reason,
        };
        let before = key.get(self);
        key.set(self, value).map_err(refused)?;
        // Flags and variables have nothing but texts.
        let is_of_file = matches!(origin, ValueOrigin::File { .. });
        let is_no_text = !matches!(key.get(self), Value::String(_) | Value::Array(_));
        if is_of_file && is_no_text && value.is_string() {
            key.set(self, &before).expect("a value that is shown can be read");
            return Err(refused(ValueError::Quoted { expected: key.type_name }));
        }
        self.origins.insert(key.path, origin.clone());
        Ok(())
    }

    /// The keys that need another one which is not set, and lists with modules that do not exist.
    fn unmet_needs(&self) -> impl Iterator<Item = ConfigError> {
        let unmet = self.needs().into_iter().filter(|(.., is_missing)| *is_missing);
        let missing = unmet.map(|(key, needed, _)| {
            let value = Key::find(key).map(|key| key.get(self).to_string()).unwrap_or_default();
            ConfigError::KeyMissing { key, value, origin: self.origin(key).clone(), needed }
        });
        missing.chain(self.unknown_login_modules())
    }

    /// Keys that need others.
    fn needs(&self) -> Vec<Need> {
        let Self { tls, .. } = self;
        let no_certificate = tls.certificate.is_none();
        let mut needs = vec![
            ("tls.key", "tls.certificate", no_certificate && tls.key.is_some()),
            ("tls.client_ca", "tls.certificate", no_certificate && tls.client_ca.is_some()),
            ("tls.client_crl", "tls.client_ca", tls.client_ca.is_none() && tls.client_crl.is_some()),
        ];
        needs.extend(self.needs_of_listeners());
        needs.extend(self.jwt.needs());
        needs
    }

    /// Returns the origin of the value of the key with this path. Returns [`ValueOrigin::Default`]
    /// if no key has this path.
    #[must_use]
    pub fn origin(&self, path: &str) -> &ValueOrigin {
        self.origins.get(path).unwrap_or(&ValueOrigin::Default)
    }

    /// The keys of `stored` that do not hold, because a flag or the environment sets them too; with
    /// what overrides them.
    #[must_use]
    pub fn overrides(&self, stored: &Overlay) -> Vec<(&'static Key, &ValueOrigin)> {
        let strong = |key: &Key| self.origin(key.path).rank() > ValueOrigin::Stored.rank();
        KEYS.iter()
            .filter(|key| stored.contains(key) && strong(key))
            .map(|key| (*key, self.origin(key.path)))
            .collect()
    }

    /// Every key in the order of the reference, with its value and origin.
    pub fn entries(&self) -> impl Iterator<Item = (&'static Key, Value, &ValueOrigin)> {
        KEYS.iter().map(|key| (*key, key.get(self), self.origin(key.path)))
    }

    /// The keys with JSON names, as the topic `$SYS/Coreflux/Config` shows them.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        KEYS.iter().filter_map(|key| Some((key.json?.to_owned(), key.get(self)))).collect()
    }

    /// Whom a connection without user name may come from. Until the key is set explicitly: loopback
    /// only.
    #[must_use]
    pub fn anonymous_login(&self) -> AnonymousLogin {
        match (self.auth.anonymous, self.origin("auth.anonymous")) {
            (false, _) => AnonymousLogin::Off,
            (true, ValueOrigin::Default) => AnonymousLogin::LoopbackOnly,
            (true, _) => AnonymousLogin::Everywhere,
        }
    }

    /// Addresses of all listeners that other machines can reach, each with the name of its
    /// listener.
    #[must_use]
    pub fn public_addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let plans = self.listeners();
        let of_plan =
            |plan: ListenerPlan| plan.addresses.into_iter().map(move |address| (plan.name, address));
        plans
            .into_iter()
            .flat_map(of_plan)
            .filter(|(_, address)| !address.ip().to_canonical().is_loopback())
            .collect()
    }

    /// Listeners without TLS that other machines can reach and that take passwords, each with the
    /// address. None if `auth.passwords_need_tls` is on.
    #[must_use]
    pub fn readable_logins(&self) -> Vec<(&'static str, SocketAddr)> {
        if self.auth.passwords_need_tls {
            return Vec::new();
        }
        let plans = self.listeners();
        let has_tls = |name: &str| plans.iter().any(|plan| plan.name == name && plan.tls.is_some());
        self.public_addresses().into_iter().filter(|(name, _)| !has_tls(name)).collect()
    }

    /// Listeners that other machines can reach, and whose header of the PROXY protocol is believed
    /// whoever sends it.
    #[must_use]
    pub fn gullible_listeners(&self) -> Vec<&'static str> {
        let plans = self.listeners().into_iter();
        let believes = |plan: &ListenerPlan| plan.proxy_protocol && plan.trusted_proxies.is_empty();
        let is_public = |plan: &ListenerPlan| {
            plan.addresses.iter().any(|address| !address.ip().to_canonical().is_loopback())
        };
        plans.filter(|plan| believes(plan) && is_public(plan)).map(|plan| plan.name).collect()
    }

    /// Addresses of the MQTT listener. Port 0 lets the system choose.
    #[must_use]
    pub fn mqtt_addresses(&self) -> Vec<SocketAddr> {
        self.listener.mqtt.bind.at(self.listener.mqtt.port)
    }

    /// Addresses of the health port: those of `admin.bind`, or the MQTT listener's until that is
    /// set.
    #[must_use]
    pub fn health_addresses(&self) -> Vec<SocketAddr> {
        let fallback = self.health_fallback.as_ref().unwrap_or(&self.listener.mqtt.bind);
        self.admin.bind.as_ref().unwrap_or(fallback).with_port(self.admin.health_port)
    }

    /// The file of the embedded store.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.data.path.join("lotmq.redb")
    }

    /// Names of the login modules that are configured.
    #[must_use]
    pub fn login_module_names(&self) -> Vec<&'static str> {
        let jwt = self.jwt.has_keys().then_some(JWT_MODULE);
        [BUILT_IN_MODULE].into_iter().chain(jwt).collect()
    }

    /// Names of listed login modules that are guests: modules of world `auth`.
    #[must_use]
    pub fn login_guest_names(&self) -> Vec<&str> {
        let of_listeners = self.login_modules_of_listeners().into_iter().filter_map(|(_, modules)| modules);
        let lists = std::iter::once(&self.auth.modules).chain(of_listeners);
        let names = lists.flat_map(|modules| modules.names()).map(|name| &**name);
        names.filter(|name| !OWN_MODULES.contains(name)).collect()
    }

    /// Listed login modules of the broker that are not configured.
    pub(crate) fn unknown_login_modules(&self) -> impl Iterator<Item = ConfigError> {
        let known = self.login_module_names();
        let of_listeners = self.login_modules_of_listeners();
        let lists = std::iter::once(("auth.modules", Some(&self.auth.modules))).chain(of_listeners);
        lists.flat_map(move |(key, modules)| {
            let names = modules.map(LoginModules::names).unwrap_or_default();
            let mut own = names.iter().filter(|name| OWN_MODULES.contains(&&***name));
            let unknown = own.find(|name| !known.contains(&&***name))?;
            Some(ConfigError::UnknownLoginModule {
                key: Key::find(key)?.path,
                name: unknown.escape_debug().to_string(),
                origin: self.origin(key).clone(),
                known: known.join("`, `"),
            })
        })
    }
}

/// Names of `LOTMQ_…` variables in the environment that mean nothing, each with the nearest that
/// does; for a warning at start. Those that begin as a section does are errors of [`Config::load`]
/// instead.
#[must_use]
pub fn unknown_variables(environment: &[(String, String)]) -> Vec<(String, String)> {
    environment::unknown(environment)
}

#[cfg(test)]
mod tests;
