//! Compilation of definitions to native code: the slow first half of a deployment, which changes
//! nothing.
//!
//! ```text
//! text: -add…, projects, lotmq run; at a start `restore` ─▶ lot_to_wasm ─▶ of_entity ─┐
//! component: -addModule; at a start `modules` ─▶ Loader::module ─────────▶ of_module ─┼─▶ install
//! Python: -addPython, projects, lotmq run; at a start `restore` ─▶ scripts::compile ──┘
//! ```
//!
//! `of_entity` and `of_module` belong to `CompiledDefinition`. Every kind takes this path, and this
//! module decides what runs it. [`install`](super::install) is the second half: the change.

use std::sync::Arc;

use lot_facts::{Kind, RouteBlock};
use lot_route_catalogue::RouteType;
use lot_to_wasm::check::{Callee, Known, RouteEvent};
use lotmq_auth::Scope;
use lotmq_auth::built_in::built_in;
use lotmq_config::Config;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{DefinitionKind, InstallError, NewDefinition, OnExisting, Owner};
use lotmq_host::auth::AuthGuest;
use lotmq_host::route::RouteGuest;
use lotmq_host::rule::RuleGuest;
use lotmq_host::{
    CompileElsewhere, Compiler, ComponentSource, Engine, Grants, Guest, GuestLimits, LoadError, Tier, World,
};

use super::Guests;
use super::asked_grants::AskedGrants;
use super::auth_modules::AuthModuleCode;
use super::code_account::CodeQuotaKey;
use super::compile_workers::CompileFor;
use super::hosting::Hosting;
use super::policy_enforcement::PolicyTopics;
use super::refused_routes;
use super::route_drivers;
use super::route_modules::{self, RouteModule};
use super::route_types::{RouteTypes, TypeGuest};
use super::routes::RouteCode;
use super::rules::RuleModuleCode;
use super::scripts::{self, CompiledScript, ScriptError};

/// Loader: makes native code of components.
#[derive(Clone, Copy)]
pub struct Loader<'a> {
    /// Engine that compiles.
    pub engine: &'a Engine,
    /// How much is optimised. The code cache may have better code.
    pub tier: Tier,
    /// For whom worker processes compile; `None` compiles in this process.
    pub compile_for: Option<CompileFor<'a>>,
    /// Types of routes with their guests.
    pub route_types: &'a RouteTypes,
    /// Whether each module is started once: it is new, and nothing depends on it yet.
    pub has_first_look: bool,
    /// For whom the code counts that it makes.
    pub quota_key: CodeQuotaKey<'a>,
}

/// Definition with its native code, which can be installed.
#[derive(Clone)]
pub struct CompiledDefinition {
    /// Definition to install.
    pub new: NewDefinition,
    pub(super) existing: OnExisting,
    pub(super) code: Code,
    /// Whether it is switched off from the beginning.
    pub(super) is_disabled: bool,
    /// Grants that a module asks for.
    pub(super) asked: AskedGrants,
}

/// Program of a tenant that can be installed: a definition or a script.
pub enum CompiledProgram {
    /// A definition of the registry.
    Definition(Box<CompiledDefinition>),
    /// A Python script, which is in no registry.
    Script(Box<CompiledScript>),
}

impl CompiledProgram {
    /// Kind as the store writes it.
    pub fn kind_key(&self) -> &'static str {
        match self {
            CompiledProgram::Definition(compiled) => compiled.new.kind.key(),
            CompiledProgram::Script(_) => scripts::KIND,
        }
    }
}

/// Native code of a definition, by what runs it.
#[derive(Clone)]
pub(super) enum Code {
    /// Of an Action, a Model or a module, for the executor.
    Executor(Box<ExecutorCode>),
    /// Of a Route, for the threads of routes.
    Route(RouteCode),
    /// Of a module for Routes, which name it.
    RouteModule(Box<RouteModule>),
    /// Of a Rule, for the threads that ask it.
    Rule(RuleGuest),
    /// Of a module for Rules, which name it.
    RuleModule(Box<RuleModuleCode>),
    /// None: a Panel or Theme is shown and never run.
    View,
    /// Of a module for logins, which login chains ask.
    AuthModule(Box<AuthModuleCode>),
    /// None yet: it is compiled behind the open listeners.
    Compiling(Box<CodeToCome>),
}

/// Placeholder for native code that is still being compiled.
#[derive(Clone)]
pub enum CodeToCome {
    /// A mailbox, of an Action, a Model or a module; with what a policy keeps it from.
    Executor {
        /// See [`ExecutorCode::restricted`].
        restricted: Option<PolicyTopics>,
    },
    /// A substitute that denies, of a Rule.
    Rule,
    /// Nothing: who names the module finds that it is being compiled.
    Named,
}

/// Code for the executor, with what it may do and use.
#[derive(Clone)]
pub struct ExecutorCode {
    /// Native code.
    pub guest: Guest,
    /// Grants of the code.
    pub grants: Grants,
    /// Limits of a run.
    pub limits: GuestLimits,
    /// Topics that a policy withholds from the module.
    pub restricted: Option<PolicyTopics>,
}

/// Reason why a definition was not deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The component was refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The registry refused the definition.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A rule whose scope this broker does not know.
    #[error("the rule has no scope that this broker knows")]
    NoScope,
    /// A route of type `WASM` does not say which module runs it.
    #[error("Route type 'WASM' needs the name of its module: ADD WASM_CONFIG, WITH MODULE \"name\".")]
    NoModule,
    /// No guest of this build runs routes of this type (routes reference §1.8).
    #[error("Route type '{kind}' is not available in this build.")]
    RouteType {
        /// Type of the route.
        kind: String,
    },
    /// The guest of the route, which is there, cannot be opened with its settings.
    #[error("{0}")]
    RouteSettings(String),
    /// The broker stops.
    #[error("guests are not available: the broker is stopping")]
    Stopping,
    /// The script was refused.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The component of a stored module is not to be had.
    #[error("{0}")]
    ComponentUnread(String),
}

impl CompiledDefinition {
    /// Compiles what the LoT compiler made of an entity, or finds the guest that runs it.
    ///
    /// # Errors
    /// [`DeployError`]: [`Load`](DeployError::Load) is a fault of ours.
    pub fn of_entity(
        loader: Loader<'_>,
        component: &[u8],
        new: NewDefinition,
        existing: OnExisting,
    ) -> Result<Self, DeployError> {
        let loader = loader.counting_for((new.kind, &new.name), new.owner.as_ref());
        let code = match new.facts.kind {
            Kind::Action => loader.of_lot(component, World::Action, Grants::action())?,
            Kind::Model => loader.of_lot(component, World::Model, Grants::model())?,
            Kind::Route => loader.of_route(&new)?,
            Kind::Rule if built_in(&new.name).is_some() => {
                let (kind, name) = (DefinitionKind::Rule, Arc::clone(&new.name));
                return Err(InstallError::Exists { kind, name }.into());
            }
            Kind::Rule => loader.of_rule(component, &new)?,
            Kind::Panel | Kind::Theme => Code::View,
        };
        Ok(Self { new, existing, code, is_disabled: false, asked: AskedGrants::default() })
    }

    /// Checks the settings of a route by what its guest has said of itself, where that is known by
    /// now, and by the ports of this broker. Not for what was deployed before, which may wait for
    /// another version of its module.
    ///
    /// # Errors
    /// [`DeployError::RouteSettings`].
    pub fn check_settings(&self, guests: &Guests, config: &Config) -> Result<(), DeployError> {
        let Some(route) = self.new.facts.route.as_deref() else { return Ok(()) };
        if let Some(reason) = refused_routes::masked(&self.new.source) {
            return Err(DeployError::RouteSettings(reason));
        }
        let of_guest = match &self.code {
            Code::Route(code) => refused_routes::refusal(code, guests, (route, self.new.owner.as_ref())),
            Code::Executor(_)
            | Code::RouteModule(_)
            | Code::Rule(_)
            | Code::RuleModule(_)
            | Code::AuthModule(_)
            | Code::Compiling(_)
            | Code::View => None,
        };
        let refusal = of_guest.or_else(|| refused_routes::other_broker(route, config));
        refusal.map_or(Ok(()), |reason| Err(DeployError::RouteSettings(reason)))
    }

    /// Takes a Panel or Theme, which has no code, in the place of the one of its name.
    pub(super) fn of_view(new: NewDefinition) -> Self {
        Self {
            new,
            existing: OnExisting::Replace,
            code: Code::View,
            is_disabled: false,
            asked: AskedGrants::default(),
        }
    }

    /// Takes the code of a module, which the [loader](Loader::module) has compiled.
    pub fn of_module(code: ExecutorCode, new: NewDefinition, is_disabled: bool) -> Self {
        let (existing, code) = (OnExisting::Replace, Code::Executor(Box::new(code)));
        Self { new, existing, code, is_disabled, asked: AskedGrants::default() }
    }

    /// Takes the code of a module for routes, which the [loader](Loader::route_module) has
    /// compiled.
    pub fn of_route_module(code: RouteModule, new: NewDefinition, is_disabled: bool) -> Self {
        let (existing, code) = (OnExisting::Replace, Code::RouteModule(Box::new(code)));
        Self { new, existing, code, is_disabled, asked: AskedGrants::default() }
    }

    /// Takes the code of a module for rules, which the [loader](Loader::rule_module) has compiled.
    pub fn of_rule_module(code: RuleModuleCode, new: NewDefinition, is_disabled: bool) -> Self {
        let (existing, code) = (OnExisting::Replace, Code::RuleModule(Box::new(code)));
        Self { new, existing, code, is_disabled, asked: AskedGrants::default() }
    }

    /// Takes a module for logins, which the [loader](Loader::auth_module) has tried.
    pub fn of_auth_module(code: AuthModuleCode, new: NewDefinition, is_disabled: bool) -> Self {
        let (existing, code) = (OnExisting::Replace, Code::AuthModule(Box::new(code)));
        Self { new, existing, code, is_disabled, asked: AskedGrants::default() }
    }

    /// The code of a module for logins; `None` of all else.
    pub fn auth_module(&self) -> Option<&AuthModuleCode> {
        match &self.code {
            Code::AuthModule(code) => Some(code),
            Code::Executor(_)
            | Code::Route(_)
            | Code::RouteModule(_)
            | Code::Rule(_)
            | Code::RuleModule(_)
            | Code::Compiling(_)
            | Code::View => None,
        }
    }

    /// Takes a definition of a start whose native code comes later.
    pub fn without_code(new: NewDefinition, code: CodeToCome, is_disabled: bool) -> Self {
        let (existing, code) = (OnExisting::Replace, Code::Compiling(Box::new(code)));
        Self { new, existing, code, is_disabled, asked: AskedGrants::default() }
    }

    /// Takes a route of a start; its guest may come later.
    pub(super) fn of_route(new: NewDefinition, guest: TypeGuest) -> Self {
        let (existing, code) = (OnExisting::Replace, Code::Route(RouteCode::Own(guest)));
        Self { new, existing, code, is_disabled: false, asked: AskedGrants::default() }
    }

    /// The same of a module that asks for these grants.
    pub fn asking_for(self, asked: AskedGrants) -> Self {
        Self { asked, ..self }
    }

    /// No run of it within a turn is given up for its slice of time, whatever else the machine
    /// does.
    pub fn never_gives_up(&mut self) {
        if let Code::Executor(code) = &mut self.code {
            code.limits.slice = std::time::Duration::MAX;
        }
    }
}

impl Hosting {
    /// Loader of what the broker has stored. Commands have a loader of their own,
    /// `Call::loader` of the crate of commands.
    pub fn loader(&self) -> Loader<'_> {
        self.loader_for(CompileFor::broker(&self.compile_workers))
    }

    /// Loader for an owner.
    pub fn loader_for<'a>(&'a self, compile_for: CompileFor<'a>) -> Loader<'a> {
        Loader { compile_for: Some(compile_for), ..Loader::in_process(&self.engine, &self.route_types) }
    }

    /// Loader of stored definitions whose code a start compiles behind the listeners.
    pub fn loader_of_stored<'a>(&'a self, tenant: &'a Tenant) -> Loader<'a> {
        Loader { quota_key: CodeQuotaKey::OwnerOfStoredIn(tenant), ..self.loader() }
    }

    /// Loader of the definitions of a tenant, whose code counts for their owners.
    pub fn loader_of<'a>(&'a self, tenant: &'a Tenant) -> Loader<'a> {
        self.loader().for_owners_in(tenant)
    }
}

impl<'a> Loader<'a> {
    /// Loader that compiles in this process, optimised.
    pub fn in_process(engine: &'a Engine, route_types: &'a RouteTypes) -> Self {
        let quota_key = CodeQuotaKey::Broker;
        Self {
            engine,
            tier: Tier::Optimised,
            compile_for: None,
            route_types,
            has_first_look: false,
            quota_key,
        }
    }

    /// The same loader for definitions of this tenant, whose code counts for their owners.
    pub fn for_owners_in(self, tenant: &'a Tenant) -> Self {
        Self { quota_key: CodeQuotaKey::OwnerIn(tenant), ..self }
    }

    /// The same loader, whose worker ends when this says no.
    pub fn while_wanted(self, is_wanted: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { compile_for: self.compile_for.map(|elsewhere| elsewhere.while_wanted(is_wanted)), ..self }
    }

    fn compiler<'b>(&'b self, engine: &'b Engine) -> Compiler<'b> {
        let elsewhere = self.compile_for.as_ref().map(|elsewhere| elsewhere as &dyn CompileElsewhere);
        Compiler { engine, tier: self.tier, elsewhere }
    }

    /// The same loader for the definition of this name and owner, for whom its code counts.
    pub fn counting_for(self, named: (DefinitionKind, &str), owner: Option<&Owner>) -> Self {
        Self { quota_key: CodeQuotaKey::Account(self.quota_key.account(self.engine, named, owner)), ..self }
    }

    /// The engine, which counts code for who pays for it.
    fn engine(self) -> Engine {
        match self.quota_key {
            CodeQuotaKey::Account(account) => self.engine.for_account(account),
            CodeQuotaKey::Broker | CodeQuotaKey::OwnerIn(_) | CodeQuotaKey::OwnerOfStoredIn(_) => {
                self.engine.clone()
            }
        }
    }

    /// Compiles a component that somebody has uploaded.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn module(self, component: &[u8], grants: &Grants, limits: GuestLimits) -> Result<Guest, LoadError> {
        let engine = self.engine();
        let guest = self.compiler(&engine).compile(component, World::Action, ComponentSource::Upload)?;
        if self.has_first_look {
            guest.first_look(grants.clone(), limits)?;
        }
        Ok(guest)
    }

    /// Compiles a component that somebody has uploaded for routes, and has it say what it is when
    /// it is new: by the schema of its settings every route is checked.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn route_module(
        self,
        component: &[u8],
        grants: &Grants,
        limits: GuestLimits,
    ) -> Result<RouteGuest, LoadError> {
        let engine = self.engine();
        let guest = RouteGuest::compile(self.compiler(&engine), component, ComponentSource::Upload)?;
        if self.has_first_look {
            let described = guest.first_look(grants.clone(), limits)?;
            route_drivers::check_schema(&described)
                .map_err(|reason| LoadError::SettingsSchema { reason: reason.to_string() })?;
        }
        Ok(guest)
    }

    /// Compiles a component that somebody has uploaded for rules.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn rule_module(
        self,
        component: &[u8],
        grants: &Grants,
        limits: GuestLimits,
    ) -> Result<RuleGuest, LoadError> {
        let engine = self.engine();
        let guest = RuleGuest::compile(self.compiler(&engine), component, ComponentSource::Upload)?;
        if self.has_first_look {
            guest.first_look(grants.clone(), limits)?;
        }
        Ok(guest)
    }

    /// Compiles a component that somebody has uploaded for logins, and has it say what it is when
    /// it is new.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn auth_module(
        self,
        component: &[u8],
        grants: &Grants,
        limits: GuestLimits,
    ) -> Result<AuthGuest, LoadError> {
        let engine = self.engine();
        let guest = AuthGuest::compile(self.compiler(&engine), component, ComponentSource::Upload)?;
        if self.has_first_look {
            guest.first_look(grants.clone(), limits)?;
        }
        Ok(guest)
    }

    fn of_lot(self, component: &[u8], world: World, grants: Grants) -> Result<Code, DeployError> {
        let engine = self.engine();
        let guest = self.compiler(&engine).compile(component, world, ComponentSource::Compiler)?;
        Ok(Code::Executor(Box::new(ExecutorCode {
            guest,
            grants,
            limits: GuestLimits::default(),
            restricted: None,
        })))
    }

    fn of_route(self, new: &NewDefinition) -> Result<Code, DeployError> {
        let route = new.facts.route.as_deref();
        if let Some(route) = route.filter(|route| route.kind == route_modules::WASM) {
            let name = route_modules::named(route).ok_or(DeployError::NoModule)?;
            return Ok(Code::Route(RouteCode::Module(name.into())));
        }
        let kind = route.map(|route| route.kind.clone()).unwrap_or_default();
        let guest = self.route_types.guest(self.engine, &kind)?;
        Ok(Code::Route(RouteCode::Own(guest.ok_or(DeployError::RouteType { kind })?)))
    }

    fn of_rule(self, component: &[u8], new: &NewDefinition) -> Result<Code, DeployError> {
        let is_known = new.facts.rule.as_ref().is_some_and(|facts| facts.scope.parse::<Scope>().is_ok());
        if !is_known {
            return Err(DeployError::NoScope);
        }
        let engine = self.engine();
        let guest = RuleGuest::compile(self.compiler(&engine), component, ComponentSource::Compiler)?;
        Ok(Code::Rule(guest))
    }
}

impl Known for Guests {
    fn action(&self, name: &str) -> Callee {
        let registry = self.registry.read();
        let Some(action) = registry.get(DefinitionKind::Action, name) else { return Callee::Unknown };
        action.facts().callable.clone().map_or(Callee::Triggered, Callee::Callable)
    }

    fn model_source(&self, name: &str) -> Option<Arc<str>> {
        let registry = self.registry.read();
        registry.get(DefinitionKind::Model, name).map(|model| Arc::clone(&model.deployed.source))
    }

    fn route_events(&self, name: &str) -> Option<Vec<RouteEvent>> {
        let registry = self.registry.read();
        let route = registry.get(DefinitionKind::Route, name)?.facts().route.as_deref()?;
        let event = |event: &RouteBlock| RouteEvent {
            name: event.name.clone(),
            filled_by_wildcard: event.filled_by_wildcard(),
        };
        Some(route.events.iter().map(event).collect())
    }

    fn route_type(&self, module: &str) -> Option<Arc<RouteType>> {
        let (module, _) = self.route_modules.get(module)?;
        module.routes.clone()
    }
}
