//! Why an embedded broker cannot go on.

use std::sync::Arc;

use lotmq_config::ConfigError;
use lotmq_definitions::KeepRefused;
use lotmq_host::{EngineError, LoadError};

use crate::server::StartError;

/// Why an embedded broker cannot go on. Each renders as one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Its configuration is not accepted.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The engine for guests could not be started.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A definition cannot be deployed.
    #[error("{name}: {reason}")]
    Refused {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A component does not load.
    #[error("{} ({})", .0, .0.code())]
    Component(#[from] LoadError),
    /// The manifest of a component cannot be used.
    #[error("the manifest cannot be used: {reason} (MANIFEST_INVALID)")]
    Manifest {
        /// Why.
        reason: String,
    },
    /// There is no Action of this name.
    #[error("Action '{0}' not found.")]
    UnknownAction(String),
    /// A definition does not take what it is called with.
    #[error("Action '{name}' cannot run now: {reason}")]
    NotTaken {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// There is no route of this name.
    #[error("there is no route '{0}' in the program")]
    UnknownRoute(String),
    /// A route of the program does not run.
    #[error("route '{name}' does not run: {reason}")]
    RouteWaits {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// There can be no packet with this message.
    #[error("`{topic}` cannot be published: {reason}")]
    Unencodable {
        /// Topic Name.
        topic: String,
        /// Why.
        reason: String,
    },
    /// A value is more than may be kept.
    #[error(transparent)]
    Kept(#[from] KeepRefused),
    /// A variable is not accepted.
    #[error("{name}: {reason}")]
    Variable {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A user is not accepted.
    #[error("user {name}: {reason}")]
    User {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A Client cannot be called so.
    #[error("client identifier `{client_id}`: {reason}")]
    ClientIdentifier {
        /// The identifier that was asked for.
        client_id: String,
        /// Why.
        reason: String,
    },
    /// A Client cannot publish there: commands are given to a broker.
    #[error("`{topic}` is the broker's own, which here has no commands")]
    OfTheBroker {
        /// Topic Name.
        topic: String,
    },
    /// The broker has closed the connection that messages from outside come by.
    #[error("the broker has closed the connection: {reason}")]
    Disconnected {
        /// Why, as far as it said.
        reason: String,
    },
    /// A run goes on and on.
    #[error("a run did not end")]
    Endless,
    /// Routes go on and on.
    #[error("{} did not come to an end within {within_sec} s", routes(.names))]
    EndlessRoutes {
        /// Their names.
        names: Vec<Arc<str>>,
        /// How long they had, by the clock of the machine.
        within_sec: u64,
    },
    /// There is no module for logins, or there are several.
    #[error("{}", login_modules(.names))]
    LoginModules {
        /// Their names.
        names: Vec<Arc<str>>,
    },
    /// The module for logins does not want what a case asks of it.
    #[error("`describe` of the guest does not name {call}, so nobody calls it")]
    NotNamed {
        /// Name of the call.
        call: String,
    },
    /// There is no enhanced authentication that goes on.
    #[error("no enhanced authentication of `{client_id}` goes on: its answer has to be a challenge")]
    NoSteps {
        /// Client Identifier.
        client_id: String,
    },
    /// The module for logins has not let in a client, or it is gone.
    #[error("`{client_id}` is not connected: the guest has not let it in, or its connection is over")]
    NotLetIn {
        /// Client Identifier.
        client_id: String,
    },
    /// So much happened between two steps that it is not kept.
    #[error("more than {happenings_max} things, or {} MiB of messages and lines, happened in one step", bytes_max >> 20)]
    TooMuch {
        /// Most of them.
        happenings_max: usize,
        /// Most bytes of their texts.
        bytes_max: usize,
    },
}

fn login_modules(names: &[Arc<str>]) -> String {
    match names {
        [] => "there is no module of world auth, which could be asked about a login".to_owned(),
        names => format!(
            "one module of world auth is asked about a login, and there are several: {}",
            names.join(", ")
        ),
    }
}

fn routes(names: &[Arc<str>]) -> String {
    match names {
        [] => "a route".to_owned(),
        [one] => format!("route {one}"),
        all => format!("routes {}", all.join(", ")),
    }
}

impl EmbeddedError {
    /// Why a user is not accepted.
    pub(super) fn user(name: &str, error: &dyn std::fmt::Display) -> Self {
        Self::User { name: name.to_owned(), reason: error.to_string() }
    }
}

/// Why a definition is not deployed.
pub(super) fn refused(name: &str, error: &dyn std::fmt::Display) -> EmbeddedError {
    EmbeddedError::Refused { name: name.to_owned(), reason: error.to_string() }
}

/// Why a variable is not set.
pub(super) fn variable(name: &str, error: &dyn std::fmt::Display) -> EmbeddedError {
    EmbeddedError::Variable { name: name.to_owned(), reason: error.to_string() }
}
