//! Engine and configuration that embedded brokers share.

use jiff::Timestamp;
use lot_facts::RouteFacts;
use lot_to_wasm::Entity;
use lotmq_config::{Config, ConfigError, DataDirectory, Sources};
use lotmq_definitions::OnExisting;
use lotmq_host::Engine;
use lotmq_host::python::Python;

use super::engine::engine_of_user;
use super::error::refused;
use super::module::{self, outline};
use super::{ComponentOutline, EmbeddedError, EmbeddedModule, EmbeddedProgram};
use lotmq_operations::module_catalog::grants::NamedGrant;
use lotmq_programs::compile::Loader;
use lotmq_programs::route_drivers::asset_configuration;
use lotmq_programs::route_types::RouteTypes;
use lotmq_programs::{CompiledDefinition, seeds};

/// Shared parts of embedded brokers. Made once, because that takes a moment.
pub struct Embedding {
    pub(super) engine: Engine,
    pub(super) config: Config,
    /// The rules of a new broker.
    pub(super) rules: Vec<CompiledDefinition>,
    /// Why guests reach no network; `None` where they do.
    pub(super) network_refused: Option<&'static str>,
}

impl Embedding {
    /// An engine whose native code the user keeps for the next process, and a configuration in
    /// which definitions may do everything and read the variables of this process.
    ///
    /// # Errors
    /// When there is no room for guests.
    pub fn new() -> Result<Self, EmbeddedError> {
        let engine = engine_of_user()?;
        let route_types = RouteTypes::default();
        let loader = Loader::in_process(&engine, &route_types);
        let rules = seeds::compiled(loader, Timestamp::UNIX_EPOCH, OnExisting::Replace);
        let rules = rules.map(|(name, rule)| rule.map_err(|error| refused(name, &error)));
        let rules = rules.collect::<Result<_, _>>()?;
        Ok(Self { engine, config: configuration()?, rules, network_refused: None })
    }

    /// Returns the errors in the configuration of a component for a module, one by one. Empty if it
    /// is valid, or if the component has no schema.
    ///
    /// # Errors
    /// [`EmbeddedError::Component`] and [`EmbeddedError::Manifest`].
    pub fn config_problems(
        component: &[u8],
        config: &serde_json::Value,
    ) -> Result<Vec<String>, EmbeddedError> {
        module::config_problems(component, config)
    }

    /// Returns the error in a text that should name a grant as in a manifest; `None` if it is
    /// valid.
    pub fn grant_problem(text: &str) -> Option<String> {
        text.parse::<NamedGrant>().err().map(|error| error.to_string())
    }

    /// Why a component that is to be a module refuses the settings of a route that names it, as a
    /// broker says when the route is added; `config` is the module's own.
    ///
    /// # Errors
    /// [`EmbeddedError::Component`], also of a component of another world.
    pub fn route_refusal(
        component: &[u8],
        route: &RouteFacts,
        config: Option<&str>,
    ) -> Result<Option<String>, EmbeddedError> {
        module::route_refusal(component, route, config)
    }

    /// A table within a configuration, by its names from the outermost one, as the problems of its
    /// settings begin with it.
    pub fn config_place(path: &[String]) -> String {
        asset_configuration::place(path)
    }

    /// The same, in which routes connect to nothing, look up no names and listen nowhere, but for
    /// [far ports](super::EmbeddedBroker::open_far_port); what says so gives the reason.
    #[must_use]
    pub fn without_network(self, reason: &'static str) -> Self {
        Self { network_refused: Some(reason), ..self }
    }

    /// Compiles what has no error, by source, and takes scripts by name with what they run in.
    ///
    /// # Errors
    /// When the host refuses what our compiler made.
    pub fn compile(
        &self,
        sources: impl IntoIterator<Item = (String, Vec<Entity>)>,
        scripts: (Vec<(String, String)>, Option<Python>),
    ) -> Result<EmbeddedProgram, EmbeddedError> {
        EmbeddedProgram::compile(&self.engine, sources, scripts)
    }

    /// Compiles a component that is to be there as a module, of whatever world.
    ///
    /// # Errors
    /// When a broker would refuse it, or its options.
    pub fn module(&self, module: EmbeddedModule) -> Result<EmbeddedProgram, EmbeddedError> {
        EmbeddedProgram::of_module(&self.engine, module)
    }

    /// Looks at a component as a broker does to which it is uploaded: it is compiled, and
    /// everything that it imports is linked.
    ///
    /// # Errors
    /// When a broker would refuse it.
    pub fn outline(&self, component: &[u8]) -> Result<ComponentOutline, EmbeddedError> {
        outline(&self.engine, component)
    }
}

/// The configuration of all of them.
fn configuration() -> Result<Config, ConfigError> {
    // A name that cannot be written in a list cannot be written in LoT either.
    let is_name = |name: &String| !name.is_empty() && !name.contains(['*', '?', '=', ' ', '\0', ',']);
    let names: Vec<String> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(is_name).collect();
    let settings = [
        ("LOTMQ_STORE_DURABILITY", "none".to_owned()),
        ("LOTMQ_LOT_AUTHORITY", "broker".to_owned()),
        ("LOTMQ_LOT_PROCESS_ENV", names.join(",")),
        ("LOTMQ_AUDIT_ENABLED", "false".to_owned()),
        // Programs run here for a user of this machine.
        ("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true".to_owned()),
    ];
    Config::load(Sources {
        environment: settings.map(|(name, value)| (name.to_owned(), value)).into(),
        // There is no such directory, and nothing is written.
        data: DataDirectory { path: "/dev/null/lotmq".into(), origin: "embedded", user_cache: None },
        ..Sources::default()
    })
}
